"""Project classes so that they part: Fisher's discriminant for two classes and for many.

For two classes there is one direction, and the figure's left panel shows why it is not the line
through the two means: the spread within the classes bends it. For the ten digits there are nine
directions; the middle panel shows the first two beside those of principal components, which do not
know the classes. The right panel takes columns away from rows: with as many columns as rows the
covariance is a guess, and shrinking it towards a multiple of the identity saves the classifier.

R. A. Fisher, The use of multiple measurements in taxonomic problems, 1936; C. R. Rao, The
utilization of multiple measurements in problems of biological classification, 1948; O. Ledoit and
M. Wolf, A well-conditioned estimator for large-dimensional covariance matrices, 2004.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis as Reference
from sklearn.model_selection import cross_val_score

from groundwork import Claim, Run, plots
from groundwork.estimators import (
    Largest,
    Memory,
    Pair,
    Rows,
    Seeds,
    Sets,
    coefficient_error,
    study,
)
from supervised_learning.discriminant import LinearDiscriminantAnalysis

PRESETS = {
    "smoke": {"sets": ("iris", "wine"), "seeds": 2, "rows": 1000},
    "default": {},
    "full": {
        "sets": ("penguins", "wisdm_har", "letter", "otto", "lightgbm_binary"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("fisher_ratio_gained", ">=", 1.5),
    Claim("silhouette_gained", ">=", 0.05),
    Claim("gained_by_shrinkage", ">=", 0.05),
    Claim("coefficient_error.lda", "<=", 1e-5),
    Claim("behind.LinearDiscriminantAnalysis", "<=", 0.5),
    Claim("behind.LinearDiscriminantAnalysis-shrunk", "<=", 0.5),
    Claim("ratio.fit.LinearDiscriminantAnalysis", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.LinearDiscriminantAnalysis", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.LinearDiscriminantAnalysis-shrunk", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.LinearDiscriminantAnalysis-shrunk", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.LinearDiscriminantAnalysis", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.LinearDiscriminantAnalysis-shrunk", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.LinearDiscriminantAnalysis", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.LinearDiscriminantAnalysis-shrunk", "<=", 2.0, presets=("full",)),
]
COLUMNS = (5, 10, 20, 40, 60, 80, 120)


def main(
    run: Run,
    *,
    sets: Sets = ("iris", "wine", "breast_cancer", "digits"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Draw two classes, ten classes and shrinkage, then hold it against the reference."""
    figure, axes = plots.figure(1, 3, width=9.6, height=3.2)
    draw_two(run, axes[0])
    draw_ten(run, axes[1])
    draw_shrinkage(run, axes[2])
    run.figure(
        "projections",
        figure,
        "Fisher's direction (red) and the line through the means (grey); the digits on the first "
        "two discriminants; accuracy against the number of columns, for 80 rows.",
    )
    coefficient_error(run, "lda", LinearDiscriminantAnalysis(), Reference(), sets)
    shrunk: dict[str, Any] = {"solver": "eigen", "shrinkage": "auto"}
    pairs = [
        Pair("LinearDiscriminantAnalysis", LinearDiscriminantAnalysis(), Reference()),
        Pair(
            "LinearDiscriminantAnalysis-shrunk",
            LinearDiscriminantAnalysis(**shrunk),
            Reference(**shrunk),
        ),
    ]
    study(run, pairs, sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


def fisher_ratio(w: NDArray, X: NDArray, y: NDArray) -> float:
    """Squared distance of the two means along w, over the variance within the classes."""
    a, b = X[y == 0] @ w, X[y == 1] @ w
    return float((a.mean() - b.mean()) ** 2 / (a.var() + b.var()))


def draw_two(run: Run, axes: Any) -> None:
    iris = run.data("iris")
    X, y = iris["x"][50:, [0, 2]], iris["y"][50:] - 1  # versicolor and virginica
    w = LinearDiscriminantAnalysis().fit(X, y).scalings_[:, 0]
    between = X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0)
    run.metric("fisher_ratio_gained", fisher_ratio(w, X, y) / fisher_ratio(between, X, y), "×")
    center = X.mean(axis=0)
    for value, color in ((0, plots.PALETTE[0]), (1, plots.PALETTE[1])):
        axes.plot(*X[y == value].T, ".", color=color, markersize=4)
    w = w * np.sign(w @ between)
    for direction, color in ((between, plots.PALETTE[7]), (w, plots.PALETTE[3])):
        ends = center + np.outer([-1.2, 1.2], direction / np.linalg.norm(direction))
        axes.plot(*ends.T, color=color)
    axes.set_aspect("equal")
    axes.set(title="Two classes", xlabel="sepal length (cm)", ylabel="petal length (cm)")


def draw_ten(run: Run, axes: Any) -> None:
    from sklearn.metrics import silhouette_score

    digits = run.data("digits")
    X, y = digits["x"].reshape(len(digits["y"]), -1).astype(float), digits["y"]
    ours = LinearDiscriminantAnalysis(n_components=2).fit(X, y).transform(X)
    blind = PCA(2).fit_transform(X)
    gained = silhouette_score(ours, y) - silhouette_score(blind, y)
    run.metric("silhouette_gained", gained)
    axes.scatter(*ours.T, c=y, cmap="tab10", s=3)
    for digit in range(10):
        axes.text(*ours[y == digit].mean(axis=0), str(digit), fontweight="bold")
    axes.set(title="Ten classes", xlabel="discriminant 1", ylabel="discriminant 2")


def draw_shrinkage(run: Run, axes: Any) -> None:
    curves: dict[str, list[list[float]]] = {"plain": [], "shrunk": []}
    for seed in run.seeds(10):
        rng = np.random.default_rng(seed)
        y = np.arange(80) % 2
        X = rng.standard_normal((80, max(COLUMNS)))
        X[:, 0] += 2 * y  # one column tells the classes apart
        for name, model in (
            ("plain", LinearDiscriminantAnalysis()),
            ("shrunk", LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")),
        ):
            scores = [cross_val_score(model, X[:, :d], y, cv=4).mean() for d in COLUMNS]
            curves[name].append(scores)
    for name, values in curves.items():
        axes.plot(COLUMNS, np.mean(values, axis=0), "o-", markersize=3, label=name)
    axes.axvline(60, color=plots.PALETTE[7], linewidth=1, linestyle="--")
    axes.legend()
    axes.set(title="Shrinkage", xlabel="columns, for 60 rows", ylabel="held-out accuracy")
    at = COLUMNS.index(60)
    gains = [b[at] - a[at] for a, b in zip(curves["plain"], curves["shrunk"], strict=True)]
    run.metric("gained_by_shrinkage", gains)
