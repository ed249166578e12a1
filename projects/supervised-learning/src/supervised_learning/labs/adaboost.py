"""Boost stumps: weak learners become a strong one, round by round, beside single learners.

A stump asks one question of one column. The upper row shows what a sum of stumps can say: on a
diamond, which no single question can tell from its surroundings, the border takes shape as rounds
go by. The lower row is a real table. The error on the training rows falls below the bound that
Freund and Schapire proved, the product of 2 √(ε (1 - ε)) over the rounds; the error on unseen rows
passes that of a single stump and of a full tree. It does not turn up where the training error has
come to 0: the margins, the votes for a row's class less those against it, become more even, and
the smallest of them still grow. The last panel holds AdaBoost against single learners on several
tables.

Y. Freund and R. Schapire, A decision-theoretic generalization of on-line learning and an
application to boosting, 1997; R. Schapire, Y. Freund, P. Bartlett and W. S. Lee, Boosting the
margin: a new explanation for the effectiveness of voting methods, 1998.
"""

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from sklearn import ensemble as reference
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from supervised_learning.adaboost import AdaBoostClassifier, AdaBoostRegressor
from supervised_learning.logistic import LogisticRegression
from supervised_learning.tree import DecisionTreeClassifier

PRESETS = {
    "smoke": {
        "classes": ("iris", "breast_cancer"),
        "values": ("friedman1",),
        "rounds": 100,
        "seeds": 2,
        "rows": 1000,
    },
    "default": {},
    "full": {
        "table": "jb_ionosphere",
        "classes": ("adult", "telco_churn", "jb_pima_indians_diabetes", "letter"),
        "values": ("california_housing", "concrete", "ames_full", "diamonds"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("diamond_accuracy", ">=", 0.95),
    Claim("diamond_accuracy.stump", "<=", 0.8),
    Claim("over_the_bound", "<=", 0.0),
    Claim("gained_over_stump", ">=", 0.02),
    Claim("gained_over_tree", ">=", 0.0, presets=("default", "full")),
    Claim("smallest_margin_gained", ">=", 0.0, presets=("default", "full")),
    Claim("behind.AdaBoostClassifier", "<=", 0.5),
    Claim("behind.AdaBoostRegressor", "<=", 0.5),
    Claim("ratio.fit.AdaBoostClassifier", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.AdaBoostRegressor", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.AdaBoostClassifier", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.AdaBoostRegressor", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.AdaBoostClassifier", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.AdaBoostRegressor", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.AdaBoostClassifier", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.AdaBoostRegressor", "<=", 2.0, presets=("full",)),
]
STAGES = (1, 10, 300)


def main(
    run: Run,
    *,
    table: Annotated[str, "table of two classes on which the rounds are followed"] = (
        "breast_cancer"
    ),
    rounds: Annotated[int, Ge(20), "rounds of boosting"] = 300,
    classes: Sets = ("iris", "wine", "breast_cancer", "digits"),
    values: Annotated[tuple[str, ...], "tables of values to score on"] = ("diabetes", "friedman1"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Add up stumps, follow the rounds on a table, then hold both estimators to the reference."""
    figure, axes = plots.figure(2, 3, width=10.4, height=6.4)
    draw_diamond(run, axes[0])
    X, y = tables.matrix(table, run.data, rows=5000, seed=run.seed, standardize=True)
    follow_rounds(run, axes[1, 0], X, y, rounds, seeds)
    draw_margins(run, axes[1, 1], X, y, rounds)
    compare_learners(run, axes[1, 2], classes, rounds, seeds)
    run.figure(
        "rounds",
        figure,
        f"Above: sums of stumps on a diamond. Below: errors and margins on {table} round by round, "
        "and AdaBoost beside single learners.",
    )
    pairs = [
        Pair(
            "AdaBoostClassifier",
            AdaBoostClassifier(n_estimators=20),
            reference.AdaBoostClassifier(n_estimators=20),
            sets=classes,
        ),
        Pair(
            "AdaBoostRegressor",
            AdaBoostRegressor(n_estimators=20),
            reference.AdaBoostRegressor(n_estimators=20),
            sets=values,
        ),
    ]
    study(run, pairs, seeds=seeds, rows=rows, largest=largest, memory=memory)


def draw_diamond(run: Run, axes: Any) -> None:
    """Boost stumps on a diamond and draw the decision after 1, 10 and 300 rounds."""
    X = run.rng.uniform(-1, 1, (1000, 2))
    y = (np.abs(X).sum(axis=1) < 0.7).astype(int)
    model = AdaBoostClassifier(n_estimators=STAGES[-1], random_state=run.seed).fit(X, y)
    line = np.linspace(-1, 1, 100)
    grid = np.column_stack([part.ravel() for part in np.meshgrid(line, line)])
    unseen = run.rng.uniform(-1, 1, (4000, 2))
    hidden = (np.abs(unseen).sum(axis=1) < 0.7).astype(int)
    accuracies = list(model.staged_score(unseen, hidden))
    stages = enumerate(model.staged_decision_function(grid), start=1)
    drawn = [(stage, votes) for stage, votes in stages if stage in STAGES]
    for panel, (stage, votes) in zip(axes, drawn, strict=True):
        votes = votes.reshape(100, 100)
        limit = np.abs(votes).max()
        panel.imshow(
            votes,
            extent=(-1, 1, -1, 1),
            origin="lower",
            cmap="RdBu",
            vmin=-limit,
            vmax=limit,
            alpha=0.75,
        )
        if votes.min() < 0 < votes.max():
            panel.contour(line, line, votes, levels=[0.0], colors="black", linewidths=1.0)
        panel.plot([0, 0.7, 0, -0.7, 0], [0.7, 0, -0.7, 0, 0.7], color="black", ls=":", lw=0.8)
        title = f"{stage} stump{'s' * (stage > 1)}: {100 * accuracies[stage - 1]:.0f} % right"
        panel.set(title=title, xticks=[], yticks=[])
        panel.grid(False)
    run.metric("diamond_accuracy.stump", accuracies[0])
    run.metric("diamond_accuracy", accuracies[-1])


def follow_rounds(run: Run, axes: Any, X: NDArray, y: NDArray, rounds: int, seeds: int) -> None:
    """The errors on training and unseen rows, round by round, beside a stump's and a tree's."""
    curves: dict[str, list[NDArray]] = {"training rows": [], "bound": [], "unseen rows": []}
    single: dict[str, list[float]] = {"stump": [], "tree": []}
    over = []
    for seed in run.seeds(seeds):
        train, test = train_test_split(
            np.arange(len(y)), test_size=0.25, random_state=seed, stratify=y
        )
        model = AdaBoostClassifier(n_estimators=rounds, random_state=seed).fit(X[train], y[train])
        wrong = 1 - np.array(list(model.staged_score(X[train], y[train])))
        error = model.estimator_errors_[: len(wrong)]
        bound = np.cumprod(2 * np.sqrt(error * (1 - error)))
        over.append(float((wrong - bound).max()))
        unseen = 1 - np.array(list(model.staged_score(X[test], y[test])))
        for curve, part in zip(curves.values(), (wrong, bound, unseen), strict=True):
            curve.append(np.pad(part, (0, rounds - len(part)), mode="edge"))
        for name, depth in (("stump", 1), ("tree", None)):
            tree = DecisionTreeClassifier(max_depth=depth, random_state=seed)
            single[name].append(1 - tree.fit(X[train], y[train]).score(X[test], y[test]))
    run.metric("over_the_bound", max(over))
    last = np.array([curve[-1] for curve in curves["unseen rows"]])
    run.metric("test_error", list(last))
    run.metric("gained_over_stump", list(np.array(single["stump"]) - last))
    run.metric("gained_over_tree", list(np.array(single["tree"]) - last))
    styles = {"training rows": "-", "bound": ":", "unseen rows": "-"}
    for (name, curve), color in zip(curves.items(), plots.PALETTE, strict=False):
        mean = np.mean(curve, axis=0)
        axes.plot(range(1, rounds + 1), mean, styles[name], color=color, label=name)
    for name, style in (("stump", "--"), ("tree", "-.")):
        axes.axhline(np.mean(single[name]), ls=style, color=plots.PALETTE[7], lw=1.0)
        axes.annotate(f"one {name}", (1, np.mean(single[name])), va="bottom", fontsize=7)
    axes.set(title="Share of wrong rows", xlabel="round", xscale="log", ylim=(-0.005, 0.2))
    axes.legend()


def draw_margins(run: Run, axes: Any, X: NDArray, y: NDArray, rounds: int) -> None:
    """How the margins of the training rows are spread after some rounds."""
    model = AdaBoostClassifier(n_estimators=rounds, random_state=run.seed).fit(X, y)
    sign = 2 * (y == model.classes_[1]) - 1
    margins = [sign * votes / 2 for votes in model.staged_decision_function(X)]
    perfect = [t for t, margin in enumerate(margins) if margin.min() > 0]
    first = perfect[0] if perfect else len(margins) - 1
    run.metric("rounds_to_no_training_error", first + 1 if perfect else float("nan"))
    run.metric("smallest_margin_gained", margins[-1].min() - margins[first].min())
    for t, color in zip((4, first, len(margins) - 1), plots.PALETTE, strict=False):
        share = np.arange(1, len(y) + 1) / len(y)
        axes.plot(np.sort(margins[t]), share, color=color, label=f"{t + 1} rounds")
    axes.axvline(0, color=plots.PALETTE[7], lw=1.0)
    axes.set(title="Rows with a smaller margin", xlabel="margin", ylabel="share")
    axes.legend()


def compare_learners(run: Run, axes: Any, sets: tuple[str, ...], rounds: int, seeds: int) -> None:
    """The accuracy of single learners and of AdaBoost on several tables."""
    learners = {
        "stump": DecisionTreeClassifier(max_depth=1),
        "tree": DecisionTreeClassifier(),
        "logistic": LogisticRegression(max_iter=1000),
        "boosted stumps": AdaBoostClassifier(n_estimators=rounds),
        "boosted trees": AdaBoostClassifier(
            DecisionTreeClassifier(max_depth=4), n_estimators=rounds
        ),
    }
    lines: list[dict[str, Any]] = []
    for name in sets:
        X, y = tables.matrix(name, run.data, rows=5000, seed=run.seed, standardize=True)
        scores: dict[str, list[float]] = {learner: [] for learner in learners}
        for seed in run.seeds(seeds):
            train, test = train_test_split(
                np.arange(len(y)), test_size=0.25, random_state=seed, stratify=y
            )
            for learner, model in learners.items():
                fitted = clone(model).fit(X[train], y[train])
                scores[learner].append(fitted.score(X[test], y[test]))
        lines.append({"table": name, **{key: float(np.mean(s)) for key, s in scores.items()}})
    run.table("learners", lines, caption=f"Accuracy on unseen rows, {rounds} rounds of boosting")
    for learner, marker in zip(learners, "v^sod", strict=True):
        accuracies = [line[learner] for line in lines]
        axes.plot(accuracies, range(len(lines)), marker, ls="", markersize=5, label=learner)
        run.metric(f"accuracy.{learner.replace(' ', '_')}", float(np.mean(accuracies)))
    axes.set_yticks(range(len(lines)), [line["table"] for line in lines])
    axes.set(title="Against single learners", xlabel="accuracy on unseen rows")
    axes.margins(y=0.2)
    axes.legend(fontsize=7)
