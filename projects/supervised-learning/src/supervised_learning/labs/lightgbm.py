"""Boost trees on a large table: histograms in place of sorting, the best leaf first, fewer rows.

Sorting every column in every node is what made boosting slow. A histogram of 255 bins needs one
pass of additions, and the sibling of a counted node is a difference: the first panel sets it beside
exact boosting, rows against seconds. The second panel grows trees of equally many leaves in two
orders. Leaf by leaf, the loss on the training rows falls faster than level by level; whether that
helps on other rows is for the held-out loss to say. The third panel shows what one-side sampling
(GOSS) saves and costs: it keeps the rows with large gradients, draws some of the others, and is
held against a uniform sample of the same size. Where a table has categories, they are taken as they
are, and once more as columns of 0 and 1.

The four boosters are held against LightGBM itself, at equal settings; those that have
scikit-learn's interface are held against its scores, too. All of it runs on one thread.

G. Ke and others, LightGBM: a highly efficient gradient boosting decision tree, 2017; J. Friedman,
Greedy function approximation: a gradient boosting machine, 2001.
"""

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Annotated, Any, Literal

import lightgbm
import numpy as np
import pandas as pd
from annotated_types import Ge
from numpy.typing import NDArray
from sklearn import ensemble
from sklearn.datasets import make_classification
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from groundwork.measure import compare, thread_limit
from supervised_learning.histogram_boosting import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from supervised_learning.lightgbm import LGBMClassifier, LGBMRegressor

PRESETS = {
    "smoke": {
        "made_rows": 1000,
        "scale": 1000,
        "sets": ("breast_cancer",),
        "value_sets": ("friedman1",),
        "seeds": 1,
        "rows": 300,
    },
    "default": {},
    "full": {
        "table": "adult",
        "scale": 200_000,
        "sets": ("adult", "telco_churn", "letter", "rubix_credit"),
        "value_sets": ("california_housing", "diamonds", "concrete", "ames_full"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("leaf_wise_training_loss_saved", ">=", 0.0),
    Claim("goss_fit_time", "<=", 0.95, presets=("full",)),
    Claim("goss_points_lost", "<=", 1.0, presets=("default", "full")),
    Claim("exact_over_histogram_time", ">=", 3.0, presets=("default", "full")),
    Claim("categories_fit_time", "<=", 0.8, presets=("full",)),
    Claim("categories_points_lost", "<=", 0.5, presets=("full",)),
    Claim("apart_from_scikit_learn.HistGradientBoostingClassifier", "<=", 0.5, presets=("full",)),
    Claim("apart_from_scikit_learn.HistGradientBoostingRegressor", "<=", 0.5, presets=("full",)),
    Claim("behind.HistGradientBoostingClassifier", "<=", 0.5, presets=("full",)),
    Claim("behind.HistGradientBoostingRegressor", "<=", 0.5, presets=("full",)),
    Claim("behind.LGBMClassifier", "<=", 0.5, presets=("full",)),
    Claim("behind.LGBMRegressor", "<=", 0.5, presets=("full",)),
    Claim("ratio.fit.HistGradientBoostingClassifier", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.HistGradientBoostingRegressor", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.LGBMClassifier", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.LGBMRegressor", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.HistGradientBoostingClassifier", "<=", 1.0, presets=("full",)),
    Claim("ratio.predict.HistGradientBoostingRegressor", "<=", 1.0, presets=("full",)),
    Claim("ratio.predict.LGBMClassifier", "<=", 1.0, presets=("full",)),
    Claim("ratio.predict.LGBMRegressor", "<=", 1.0, presets=("full",)),
    Claim("exponent_excess.HistGradientBoostingClassifier", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.HistGradientBoostingRegressor", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.LGBMClassifier", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.LGBMRegressor", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.HistGradientBoostingClassifier", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.HistGradientBoostingRegressor", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.LGBMClassifier", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.LGBMRegressor", "<=", 2.0, presets=("full",)),
]
SHARES = (0.06, 0.15, 0.3, 0.6)
EXACT_ROWS = 5000  # exact boosting is not timed beyond


def main(
    run: Run,
    *,
    table: Annotated[Literal["made", "adult"], "the table of the second and third panel"] = "made",
    made_rows: Annotated[int, Ge(500), "rows of the made table"] = 20_000,
    scale: Annotated[int, Ge(1000), "the largest table of the first panel"] = 50_000,
    sets: Sets = ("breast_cancer", "wine", "digits"),
    value_sets: Annotated[tuple[str, ...], "tables to score regressors on"] = (
        "diabetes",
        "friedman1",
    ),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Draw the three panels, then measure the four boosters, on one thread."""
    with thread_limit(1):
        draw_panels(run, table, made_rows, scale, seeds)
        if table != "made":
            compare_categories(run, table)
        measure(run, sets, value_sets, seeds, rows, largest, memory)


def draw_panels(run: Run, table: str, made_rows: int, scale: int, seeds: int) -> None:
    if table == "made":
        X, y = made(made_rows, run.seed)
    else:
        X, y = tables.matrix(table, run.data)
    figure, axes = plots.figure(1, 3, width=10.8, height=3.4)
    draw_scale(run, axes[0], scale)
    draw_orders(run, axes[1], X, y)
    draw_sampling(run, axes[2], X, y, seeds)
    run.figure(
        "boosting",
        figure,
        "Left: a fit of 100 trees. Middle: trees of 32 leaves, grown in two orders. Right: trees "
        "grown on a share of the rows; the bars are one standard deviation over the seeds.",
    )


def measure(
    run: Run,
    sets: tuple[str, ...],
    value_sets: tuple[str, ...],
    seeds: int,
    rows: int,
    largest: int,
    memory: bool,
) -> None:
    """Hold the four boosters against LightGBM, and two of them against scikit-learn's scores."""
    histogram: dict[str, Any] = {"early_stopping": False}
    silent: dict[str, Any] = {"verbose": -1, "n_jobs": 0}  # 0: the threads that OpenMP was given
    classifier = HistGradientBoostingClassifier(**histogram)
    regressor = HistGradientBoostingRegressor(**histogram)
    theirs: Any = ensemble.HistGradientBoostingClassifier(**histogram)
    compare_scores(run, classifier, theirs, sets, seeds)
    theirs = ensemble.HistGradientBoostingRegressor(**histogram)
    compare_scores(run, regressor, theirs, value_sets, seeds)
    pairs = []
    for ours in (classifier, regressor, LGBMClassifier(), LGBMRegressor()):
        classes = isinstance(ours, HistGradientBoostingClassifier | LGBMClassifier)
        theirs = lightgbm.LGBMClassifier if classes else lightgbm.LGBMRegressor
        scored = sets if classes else value_sets
        pairs.append(Pair(type(ours).__name__, ours, theirs(**silent), "lightgbm", sets=scored))
    study(run, pairs, seeds=seeds, rows=rows, largest=largest, threads=1, memory=memory)


def made(n: int, seed: int) -> tuple[NDArray, NDArray]:
    """Two classes, 20 columns, a tenth of the classes wrong."""
    return make_classification(
        n, 20, n_informative=10, n_redundant=4, flip_y=0.1, class_sep=0.7, random_state=seed
    )


def seconds(fit: Callable[[], Any], turns: int = 3) -> float:
    """The median time of a call."""
    times = []
    for _ in range(turns):
        start = time.perf_counter()
        fit()
        times.append(time.perf_counter() - start)
    return median(times)


def draw_scale(run: Run, axes: Any, scale: int) -> None:
    methods = {
        "exact": ensemble.GradientBoostingClassifier(max_leaf_nodes=31, max_depth=None),
        "histogram": LGBMClassifier(),
        "histogram, GOSS": LGBMClassifier(data_sample_strategy="goss", random_state=run.seed),
    }
    X, y = made(scale, run.seed)
    sizes = [n for n in (1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000) if n <= scale]
    times: dict[str, list[float]] = {name: [] for name in methods}
    for n in sizes:
        for name, model in methods.items():
            if name == "exact" and n > EXACT_ROWS:
                continue
            if n == sizes[0]:
                model.fit(X[:500], y[:500])  # compiles
            times[name].append(seconds(partial(model.fit, X[:n], y[:n]), 1))
    most = len(times["exact"]) - 1
    ratio = times["exact"][most] / times["histogram"][most]
    run.metric("exact_over_histogram_time", ratio, "×")
    run.metric("histogram_seconds_at_scale", times["histogram"][-1], "s")
    for name, style in zip(methods, ("s--", "o-", "^-"), strict=True):
        axes.loglog(sizes[: len(times[name])], times[name], style, markersize=4, label=name)
    axes.set(title="Sorting or counting", xlabel="rows", ylabel="seconds of a fit")
    axes.legend()


def draw_orders(run: Run, axes: Any, X: NDArray, y: NDArray) -> None:
    ends = {}
    for name, depth, color in (("leaf by leaf", None, 0), ("level by level", 5, 1)):
        model = HistGradientBoostingClassifier(
            max_iter=150,
            max_leaf_nodes=32,
            max_depth=depth,
            early_stopping=True,
            validation_fraction=0.3,
            n_iter_no_change=150,
            random_state=run.seed,
        ).fit(X, y)
        axes.plot(-model.train_score_, "--", color=plots.PALETTE[color], linewidth=1.2)
        axes.plot(-model.validation_score_, color=plots.PALETTE[color], label=name)
        ends[name] = (-model.train_score_[-1], float((-model.validation_score_).min()))
    saved = [b - a for a, b in zip(ends["leaf by leaf"], ends["level by level"], strict=True)]
    run.metric("leaf_wise_training_loss_saved", saved[0], "nats")
    run.metric("leaf_wise_held_out_loss_saved", saved[1], "nats")
    axes.set(title="The order of growth", xlabel="trees", ylabel="log loss (dashed: training)")
    axes.legend()


def draw_sampling(run: Run, axes: Any, X: NDArray, y: NDArray, seeds: int) -> None:
    kinds: dict[str, Callable[[float], dict[str, Any]]] = {
        "GOSS": lambda share: {
            "data_sample_strategy": "goss",
            "top_rate": 2 * share / 3,
            "other_rate": share / 3,
        },
        "uniform": lambda share: {"subsample": share, "subsample_freq": 1},
    }
    lost: dict[tuple[str, float], NDArray] = {}
    times: dict[tuple[str, float], float] = {}
    for seed in run.seeds(seeds):
        train, test, y_train, y_test = train_test_split(
            X, y, test_size=0.25, random_state=seed, stratify=y
        )
        for name, options in {"all": lambda share: {}, **kinds}.items():
            for share in (1.0,) if name == "all" else SHARES:
                model = LGBMClassifier(random_state=seed, **options(share))
                fit = partial(model.fit, train, y_train)
                times[name, share] = min(times.get((name, share), np.inf), seconds(fit, 1))
                scored = [
                    log_loss(y_test, model.predict_proba(test)),
                    100 * model.score(test, y_test),
                ]
                lost[name, share] = np.vstack([lost.get((name, share), np.empty((0, 2))), scored])
    share = 0.3
    goss = LGBMClassifier(random_state=run.seed, **kinds["GOSS"](share))
    every = LGBMClassifier()
    saved = compare(
        lambda: goss.fit(X, y), lambda: every.fit(X, y), library="all rows", pairs=5, threads=1
    )
    run.metric("goss_fit_time", saved.ratio, "×")
    run.metric("goss_points_lost", list((lost["all", 1.0] - lost["GOSS", share])[:, 1]), "points")
    run.metric(
        "goss_loss_beside_uniform",
        list((lost["GOSS", share] - lost["uniform", share])[:, 0]),
        "nats",
    )
    for name, style in (("GOSS", "^-"), ("uniform", "o--")):
        values = [lost[name, share][:, 0] for share in SHARES]
        spread = [value.std(ddof=1) if len(value) > 1 else 0.0 for value in values]
        where = [100 * share for share in SHARES]
        axes.errorbar(
            where, [v.mean() for v in values], spread, fmt=style, markersize=4, label=name
        )
    axes.axhline(
        lost["all", 1.0][:, 0].mean(), color=plots.PALETTE[7], linewidth=1, label="all rows"
    )
    axes.set(title="Fewer rows a tree", xlabel="rows of a tree (%)", ylabel="held-out log loss")
    axes.legend()
    run.table(
        "sampling",
        [
            {
                "rows": name,
                "share": share,
                "fit_s": times[name, share],
                "log_loss": float(value[:, 0].mean()),
                "accuracy": float(value[:, 1].mean()),
            }
            for (name, share), value in lost.items()
        ],
        caption="What a sample of the rows saves and costs, 100 trees, one thread",
    )


def compare_categories(run: Run, table: str) -> None:
    """Categories as they are, and as columns of 0 and 1."""
    frame, y = tables.frame(table, run.data)
    text = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name].dtype)]
    frame = frame.astype(dict.fromkeys(text, "category"))
    columns, _ = tables.matrix(table, run.data)
    train, test = train_test_split(np.arange(len(y)), test_size=0.25, random_state=run.seed)
    model = LGBMClassifier()
    fits, points = [], []
    for X in (frame, pd.DataFrame(columns)):
        fits.append(seconds(partial(model.fit, X.iloc[train], y[train])))
        points.append(100 * model.score(X.iloc[test], y[test]))
    run.metric("categories_fit_time", fits[0] / fits[1], "×")
    run.metric("categories_points_lost", points[1] - points[0], "points")


def compare_scores(run: Run, ours: Any, theirs: Any, sets: tuple[str, ...], seeds: int) -> None:
    """The largest difference of mean scores to scikit-learn's estimator, either way."""
    apart = []
    for name in sets:
        X, y = tables.matrix(name, run.data, rows=5000, seed=run.seed)
        gaps = []
        for seed in run.seeds(seeds):
            parts = train_test_split(X, y, test_size=0.25, random_state=seed)
            scores = [m.fit(parts[0], parts[2]).score(parts[1], parts[3]) for m in (ours, theirs)]
            gaps.append(100 * (scores[0] - scores[1]))
        apart.append(gaps)
    worst = max(apart, key=lambda gaps: abs(float(np.mean(gaps))))
    sign = float(np.sign(np.mean(worst))) or 1.0
    run.metric(
        f"apart_from_scikit_learn.{type(ours).__name__}", [sign * g for g in worst], "points"
    )
