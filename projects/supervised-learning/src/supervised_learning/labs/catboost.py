r"""Learn from columns of categories without a leak: ordered target statistics, ordered boosting.

A category is given a number: the mean target of its rows. The figure shows what is wrong with that.
Upper left, a column that knows nothing of the target: its greedy statistic, taken over all rows,
still goes along with the training targets, since each row's own target is in it; on new rows there
is nothing. The ordered statistic, taken over the rows before in a random order, is honest on both.
Upper right, what a model loses by such a column, the fewer rows a category has the more. Lower
left, a column that does matter: six ways to use it. Lower right, the same idea for the gradients:
plain boosting is sure of its training rows, ordered boosting takes each gradient from a model that
has not seen the row. `supervised_learning.catboost` has the two together, on oblivious trees.

Liudmila Prokhorenkova and others, CatBoost: unbiased boosting with categorical features, 2018.
"""

from typing import Annotated, Any

import catboost as reference
import numpy as np
import pandas as pd
from annotated_types import Ge
from numpy.typing import NDArray
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from supervised_learning.catboost import CatBoostClassifier, CatBoostRegressor
from supervised_learning.target_statistics import greedy_statistics, ordered_statistics

PRESETS = {
    "smoke": {"sets": ("iris",), "seeds": 2, "rows": 200, "made": 300, "trees": 10},
    "default": {},
    "full": {
        "categories": ("adult", "telco_churn", "mushrooms", "jb_german"),
        "sets": ("adult", "telco_churn", "rubix_credit", "otto", "california_housing", "diamonds"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("leak.greedy", ">=", 0.3),
    Claim("leak.ordered", "<=", 0.1),
    Claim("lost_by_greedy", ">=", 0.03),
    Claim("lost_by_ordered", "<=", 0.03, presets=("default", "full")),
    Claim("saved_by_categories", ">=", 0.02, presets=("default", "full")),
    Claim("overconfidence_removed", ">=", 0.0, presets=("default", "full")),
    Claim("behind_on_categories", "<=", 0.5, presets=("full",)),
    Claim("behind.CatBoostClassifier", "<=", 0.5, presets=("default", "full")),
    Claim("behind.CatBoostRegressor", "<=", 0.5, presets=("default", "full")),
    Claim("behind.Ordered", "<=", 0.5, presets=("default", "full")),
    Claim("ratio.fit.CatBoostClassifier", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.CatBoostClassifier", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.CatBoostRegressor", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.CatBoostRegressor", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.Ordered", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.Ordered", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.CatBoostClassifier", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.CatBoostRegressor", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.Ordered", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.CatBoostClassifier", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.CatBoostRegressor", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.Ordered", "<=", 2.0, presets=("full",)),
]
#: Rows of a category.
SIZES = (1, 2, 5, 10, 20, 50)


def main(
    run: Run,
    *,
    made: Annotated[int, Ge(200), "made rows, as many again are held out"] = 1000,
    trees: Annotated[int, Ge(10), "trees of a model"] = 100,
    categories: Annotated[tuple[str, ...], "tables with categories to score on"] = (),
    splits: Annotated[int, Ge(1), "splits of these; one of a small table decides little"] = 20,
    sets: Sets = ("breast_cancer", "digits", "friedman1"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Show the leak and both cures, then hold the boosters to the library's."""
    figure, axes = plots.figure(2, 2, width=8.8, height=6.4)
    draw_statistics(run, axes[0, 0], made)
    draw_loss(run, axes[0, 1], made, trees)
    draw_ways(run, axes[1, 0], made, trees)
    draw_shift(run, axes[1, 1], made // 2, 2 * trees)
    run.figure(
        "leak",
        figure,
        "The correlation of a meaningless column's statistic with the target; the held-out "
        "accuracy with such a column; ways to use a column that matters; the loss of plain and of "
        "ordered boosting on training and on new rows.",
    )
    if categories:
        score_categories(run, categories, splits, trees)
    classes = [name for name in sets if not tables.is_regression(name)]
    numbers = [name for name in sets if tables.is_regression(name)]
    study(
        run, pairs(classes, numbers, trees), seeds=seeds, rows=rows, largest=largest, threads=1,
        memory=memory,
    )  # fmt: skip


def pairs(classes: list[str], numbers: list[str], trees: int) -> list[Pair]:
    """Ours and the library's at the same rounds, rate, depth and penalty, one thread each."""
    common: dict[str, Any] = {"iterations": trees, "learning_rate": 0.1, "thread_count": 1}
    ordered = common | {"iterations": -(-trees // 5), "learning_rate": 0.3}
    ordered["boosting_type"] = "Ordered"
    silent: dict[str, Any] = {"verbose": 0, "allow_writing_files": False, "random_state": 0}
    made = {
        "CatBoostClassifier": (CatBoostClassifier, reference.CatBoostClassifier, common, classes),
        "CatBoostRegressor": (CatBoostRegressor, reference.CatBoostRegressor, common, numbers),
        "Ordered": (CatBoostClassifier, reference.CatBoostClassifier, ordered, classes),
    }
    return [
        Pair(name, ours(**settings), theirs(**settings, **silent), "catboost", names)
        for name, (ours, theirs, settings, names) in made.items()
    ]


def made_rows(seed: int, n: int, size: int, effect: float) -> tuple[pd.DataFrame, NDArray]:
    """Rows with a number x, a category `who` of about `size` rows, and a class.

    `effect` is the spread of what a category adds to the log odds.
    """
    rng = np.random.default_rng(seed)
    levels = max(1, n // size)
    who = rng.permutation(np.arange(n) % levels)
    x = rng.standard_normal(n)
    odds = 1.5 * x + effect * rng.standard_normal(levels)[who]
    y = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(int)
    return pd.DataFrame({"who": who, "x": x}), y


def halves(
    seed: int, n: int, size: int, effect: float
) -> tuple[pd.DataFrame, pd.DataFrame, NDArray, NDArray]:
    """Training and new rows, n each; a category has about `size` rows in each half."""
    frame, y = made_rows(seed, 2 * n, 2 * size, effect)
    return train_test_split(frame, y, test_size=0.5, random_state=seed)


def greedy(train: pd.DataFrame, new: pd.DataFrame, y: NDArray) -> tuple[NDArray, NDArray]:
    """[statistic, x] of the training and of the new rows, by the mean over all training rows."""
    levels = int(max(train["who"].max(), new["who"].max())) + 1
    table = greedy_statistics(
        train["who"].to_numpy(), levels, y.astype(float), np.ones(len(y)), float(y.mean())
    )
    first, second = (np.column_stack([table[part["who"]], part["x"]]) for part in (train, new))
    return first, second


def draw_statistics(run: Run, axes: Any, n: int) -> None:
    """How far a meaningless column's statistic goes along with the target."""
    lines: dict[str, list[float]] = {
        "greedy, training rows": [], "greedy, new rows": [], "ordered, training rows": []
    }  # fmt: skip
    for size in SIZES:
        train, new, y, new_y = halves(run.seed, n, size, 0.0)
        codes, levels = train["who"].to_numpy(), int(max(train["who"].max(), new["who"].max())) + 1
        order = np.random.default_rng(run.seed).permutation(n)
        ordered = ordered_statistics(codes, levels, y * 1.0, np.ones(n), order, y.mean())
        both = greedy(train, new, y)
        for name, statistic, target in (
            ("greedy, training rows", both[0][:, 0], y),
            ("greedy, new rows", both[1][:, 0], new_y),
            ("ordered, training rows", ordered, y[order]),
        ):
            same = np.ptp(statistic) == 0
            lines[name].append(0.0 if same else float(np.corrcoef(statistic, target)[0, 1]))
    run.metric("leak.greedy", lines["greedy, training rows"][2])
    run.metric("leak.ordered", abs(lines["ordered, training rows"][2]))
    for name, values in lines.items():
        axes.plot(SIZES, values, "o-", markersize=3, label=name)
    axes.set(title="A meaningless column", xscale="log", xlabel="rows of a category")
    axes.set(ylabel="correlation with the target", ylim=(-0.3, 1.05))
    axes.legend()


def draw_loss(run: Run, axes: Any, n: int, trees: int) -> None:
    """The held-out accuracy with a meaningless column, by the size of its categories."""
    scores: dict[str, list[list[float]]] = {"without it": [], "greedy": [], "ordered": []}
    for size in SIZES:
        found: dict[str, list[float]] = {name: [] for name in scores}
        for seed in run.seeds(3):
            train, new, y, new_y = halves(seed, n, size, 0.0)
            model = CatBoostClassifier(trees, depth=3, random_state=seed)
            statistic, new_statistic = greedy(train, new, y)
            found["without it"].append(model.fit(train[["x"]], y).score(new[["x"]], new_y))
            found["greedy"].append(model.fit(statistic, y).score(new_statistic, new_y))
            model.set_params(cat_features=["who"])
            found["ordered"].append(model.fit(train, y).score(new, new_y))
        for name, values in found.items():
            scores[name].append(values)
    best = np.array(scores["without it"])
    for name in ("greedy", "ordered"):
        run.metric(f"lost_by_{name}", list((best - scores[name])[:3].mean(axis=0)))
    for name, values in scores.items():
        axes.plot(SIZES, np.mean(values, axis=1), "o-", markersize=3, label=name)
    axes.set(title="What it costs", xscale="log", xlabel="rows of a category")
    axes.set(ylabel="held-out accuracy")
    axes.legend()


def draw_ways(run: Run, axes: Any, n: int, trees: int) -> None:
    """The held-out loss of ways to use a column that matters, with ten rows a category."""
    losses: dict[str, list[float]] = {}
    for seed in run.seeds(3):
        train, new, y, new_y = halves(seed, n, 10, 1.5)
        common: dict[str, Any] = {"iterations": trees, "depth": 3, "random_state": seed}
        plain = CatBoostClassifier(**common)
        with_categories = CatBoostClassifier(**common, cat_features=["who"])
        both = CatBoostClassifier(**common, cat_features=["who"], boosting_type="Ordered")
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(train[["who"]])
        single = [np.c_[encoder.transform(part[["who"]]), part["x"]] for part in (train, new)]
        library = reference.CatBoostClassifier(
            **common, cat_features=["who"], verbose=0, allow_writing_files=False, thread_count=1
        )
        for name, model, x, new_x in (
            ("left out", plain, train[["x"]], new[["x"]]),
            ("as a number", plain, train, new),
            ("one column each", plain, *single),
            ("greedy", plain, *greedy(train, new, y)),
            ("ordered", with_categories, train, new),
            ("ordered, both", both, train, new),
            ("the library", library, train, new),
        ):
            p = model.fit(x, y).predict_proba(new_x)
            losses.setdefault(name, []).append(float(log_loss(new_y, p)))
    saved = np.array(losses["left out"]) - losses["ordered"]
    run.metric("saved_by_categories", list(saved), "nats")
    names = list(losses)
    axes.barh(names, [np.mean(losses[name]) for name in names])
    axes.errorbar(
        [np.mean(losses[name]) for name in names], names,
        xerr=[np.std(losses[name], ddof=1) for name in names],
        fmt="none", color=plots.PALETTE[7], elinewidth=1,
    )  # fmt: skip
    axes.invert_yaxis()
    axes.set(title="A column that matters", xlabel="held-out loss (nats)")


def draw_shift(run: Run, axes: Any, n: int, trees: int) -> None:
    """Plain and ordered boosting on few noisy rows: the loss on training and on new rows."""
    steps = [max(1, trees * k // 8) for k in range(1, 9)]
    gaps: dict[str, list[float]] = {}
    for seed in run.seeds(3):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((5 * n, 10))
        odds = X[:, 0] + X[:, 1] * X[:, 2]
        y = (rng.random(5 * n) < 1 / (1 + np.exp(-odds))).astype(int)
        for k, kind in enumerate(("Plain", "Ordered")):
            model = CatBoostClassifier(
                trees, depth=4, learning_rate=0.1, boosting_type=kind, random_state=seed
            ).fit(X[:n], y[:n])
            curves = [
                [log_loss(target, p) for p in staged(model, part, steps)]
                for part, target in ((X[:n], y[:n]), (X[n:], y[n:]))
            ]
            gaps.setdefault(kind, []).append(curves[1][-1] - curves[0][-1])
            if seed == run.seed:
                color = plots.PALETTE[k]
                axes.plot(steps, curves[0], "--", color=color, label=f"{kind}, training rows")
                axes.plot(steps, curves[1], "-", color=color, label=f"{kind}, new rows")
    removed = np.array(gaps["Plain"]) - gaps["Ordered"]
    run.metric("overconfidence_removed", list(removed), "nats")
    axes.set(title="Prediction shift", xlabel="trees", ylabel="log loss (nats)")
    axes.legend()


def staged(model: CatBoostClassifier, X: NDArray, steps: list[int]) -> list[NDArray]:
    """The probability of the second class (n,) after some of the trees."""
    raw, result = np.zeros(len(X)), []
    bits = 1 << np.arange(model.split_features_.shape[1])
    for t in range(steps[-1]):
        answers = X[:, model.split_features_[t]].astype(np.float32) > model.split_thresholds_[t]
        raw += model.leaf_values_[t, 0][answers @ bits]
        if t + 1 in steps:
            result.append(1 / (1 + np.exp(-raw)))
    return result


def score_categories(run: Run, names: tuple[str, ...], splits: int, trees: int) -> None:
    """Accuracy in points on tables with their categories as they come, ours and the library's."""
    rows: list[dict[str, Any]] = []
    for name in run.progress(names, len(names), "tables"):
        X, y = tables.frame(name, run.data)
        text = [column for column in X if not pd.api.types.is_numeric_dtype(X[column])]
        X[text] = X[text].astype(object).where(X[text].notna(), "missing").astype(str)
        chosen = np.random.default_rng(run.seed).permutation(len(y))[:5000]
        points: dict[str, list[float]] = {"ours": [], "ours_ordered": [], "library": []}
        for seed in run.seeds(splits):
            train, test = train_test_split(
                chosen, test_size=0.25, random_state=seed, stratify=y[chosen]
            )
            common: dict[str, Any] = {"iterations": trees, "learning_rate": 0.1}
            common |= {"cat_features": text, "random_state": seed, "thread_count": 1}
            models = {
                "ours": CatBoostClassifier(**common),
                "ours_ordered": CatBoostClassifier(**common, boosting_type="Ordered"),
                "library": reference.CatBoostClassifier(
                    **common, verbose=0, allow_writing_files=False
                ),
            }
            for key, model in models.items():
                model.fit(X.iloc[train], y[train])
                points[key].append(100 * float(model.score(X.iloc[test], y[test])))
        means = {key: float(np.mean(values)) for key, values in points.items()}
        rows.append({"table": name} | means)
    run.table("categories", rows, caption="Accuracy in points with the tables' own categories")
    run.metric("behind_on_categories", max(row["library"] - row["ours"] for row in rows), "points")
