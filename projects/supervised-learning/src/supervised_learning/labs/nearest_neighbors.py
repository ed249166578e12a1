"""Ask the nearest: how many neighbors to hear, and why trees help only in few dimensions.

A classifier lets the k nearest training points vote, a regressor takes their mean. One neighbor
knows every training row by heart and draws an island around each odd one; many neighbors smooth the
border until it says little. The first panels show both on two columns of wine, the third the errors
against k. The search is what costs: a k-d tree skips boxes of points that are too far away, but
with every further dimension more boxes lie at nearly the same distance, until the tree looks at all
points and a plain scan by matrix products is quicker (the fourth panel). The last one is
regression: the mean of neighbors, equal or weighted by 1 / distance.

T. M. Cover and P. E. Hart, Nearest neighbor pattern classification, 1967; J. L. Bentley,
Multidimensional binary search trees used for associative searching, 1975.
"""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import neighbors as reference
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

from groundwork import Claim, Run, plots
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from supervised_learning.neighbors import KNeighborsClassifier, KNeighborsRegressor

PRESETS = {
    "smoke": {"sets": ("iris", "wine"), "seeds": 2, "rows": 1000},
    "default": {"rows": 5000},
    "full": {
        "sets": ("penguins", "wisdm_har", "letter", "jb_banknote_authentication", "rubix_credit"),
        "regression_sets": ("concrete", "california_housing", "jb_abalone", "diamonds"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("train_error.1", "==", 0.0),
    Claim("error_of_1_over_best", ">=", 1.1),
    Claim("error_of_most_over_best", ">=", 1.3),
    Claim("tree_over_scan.2", "<=", 0.5),
    Claim("tree_over_scan.20", ">=", 1.0),
    Claim("curve_error", "<=", 0.15),
    Claim("behind.KNeighborsClassifier", "<=", 0.5),
    Claim("behind.KNeighborsRegressor", "<=", 0.5),
    Claim("behind.KDTreeClassifier", "<=", 0.5),
    Claim("ratio.fit.KNeighborsClassifier", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.KNeighborsClassifier", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.KNeighborsRegressor", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.KNeighborsRegressor", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.KDTreeClassifier", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.KDTreeClassifier", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.KNeighborsClassifier", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.KNeighborsRegressor", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.KDTreeClassifier", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.KNeighborsClassifier", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.KNeighborsRegressor", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.KDTreeClassifier", "<=", 2.0, presets=("full",)),
]
NUMBERS = (1, 2, 3, 5, 8, 12, 18, 27, 40, 60, 80)
DIMENSIONS = (2, 4, 8, 12, 20)


def main(
    run: Run,
    *,
    sets: Sets = ("iris", "wine", "breast_cancer", "digits"),
    regression_sets: Sets = ("diabetes", "friedman1"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Draw borders, errors and the cost of the search, then hold the estimators to the library."""
    figure, axes = plots.figure(1, 5, width=15.0, height=3.0)
    wine = run.data("wine")
    X, y = scale(np.asarray(wine["x"])[:, [6, 9]]), np.asarray(wine["y"])
    for panel, k in zip(axes, (1, 25), strict=False):
        draw_border(panel, KNeighborsClassifier(k).fit(X, y), X, y)
        panel.set_title(f"{k} neighbor{'s' * (k > 1)}")
    draw_errors(run, axes[2], X, y)
    draw_search(run, axes[3])
    draw_means(run, axes[4])
    run.figure(
        "neighbors",
        figure,
        "Three kinds of wine by flavanoids and color, one neighbor asked and 25; the errors "
        "against k; the time of a k-d tree over that of a scan by dimension; means of neighbors.",
    )
    pairs = [
        Pair("KNeighborsClassifier", KNeighborsClassifier(), reference.KNeighborsClassifier()),
        Pair(
            "KNeighborsRegressor",
            KNeighborsRegressor(weights="distance"),
            reference.KNeighborsRegressor(weights="distance"),
            sets=regression_sets,
        ),
        Pair(
            "KDTreeClassifier",
            KNeighborsClassifier(algorithm="kd_tree"),
            reference.KNeighborsClassifier(algorithm="kd_tree"),
            make=few_columns,
        ),
    ]
    study(run, pairs, sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


def few_columns(n: int, seed: int) -> tuple[NDArray, NDArray]:
    """Made rows where a tree pays: X (n, 5), y (n,)."""
    X, y = make_classification(n, 5, n_informative=5, n_redundant=0, random_state=seed)
    return X, y


def draw_border(panel: Any, model: KNeighborsClassifier, X: NDArray, y: NDArray) -> None:
    """The areas of the classes over two columns, and the training points."""
    low, high = X.min(axis=0) - 0.4, X.max(axis=0) + 0.4
    across, up = np.meshgrid(np.linspace(low[0], high[0], 200), np.linspace(low[1], high[1], 200))
    areas = model.predict(np.column_stack([across.ravel(), up.ravel()])).reshape(across.shape)
    panel.contourf(
        across, up, areas, levels=[-0.5, 0.5, 1.5, 2.5], colors=plots.PALETTE[:3], alpha=0.25
    )
    for value in np.unique(y):
        panel.plot(*X[y == value].T, ".", color=plots.PALETTE[value], markersize=4)
    panel.set(xlabel="flavanoids", ylabel="color intensity")


def draw_errors(run: Run, panel: Any, X: NDArray, y: NDArray) -> None:
    """The share of wrong votes on the training half and on the other, over 20 halvings."""
    train, test = (np.zeros((20, len(NUMBERS))) for _ in range(2))
    for turn, seed in enumerate(run.seeds(20)):
        halves = train_test_split(X, y, test_size=0.5, random_state=seed, stratify=y)
        for column, k in enumerate(NUMBERS):
            model = KNeighborsClassifier(k).fit(halves[0], halves[2])
            train[turn, column] = 1 - model.score(halves[0], halves[2])
            test[turn, column] = 1 - model.score(halves[1], halves[3])
    means = test.mean(axis=0)
    run.metric("train_error.1", float(train[:, 0].mean()))
    run.metric("best_number", NUMBERS[int(means.argmin())])
    run.metric("test_error.best", list(test[:, means.argmin()]))
    run.metric("error_of_1_over_best", means[0] / means.min())
    run.metric("error_of_most_over_best", means[-1] / means.min())
    panel.semilogx(NUMBERS, train.mean(axis=0), "o-", markersize=4, label="training half")
    panel.semilogx(NUMBERS, means, "s-", markersize=4, label="other half")
    panel.set(title="Errors", xlabel="neighbors k", ylabel="share wrong")
    panel.legend()


def draw_search(run: Run, panel: Any, n: int = 10_000, queries: int = 500) -> None:
    """The time of a search in a k-d tree over that of a scan, for normal points."""
    ratios = []
    for d in DIMENSIONS:
        rng = np.random.default_rng(run.seed)
        X, Q = rng.standard_normal((n, d)), rng.standard_normal((queries, d))
        seconds = {}
        for algorithm in ("kd_tree", "brute"):
            model = KNeighborsRegressor(algorithm=algorithm).fit(X, X[:, 0])
            model.kneighbors(Q[:16])
            seconds[algorithm] = min(timed(model, Q) for _ in range(3))
        ratios.append(run.metric(f"tree_over_scan.{d}", seconds["kd_tree"] / seconds["brute"]))
    panel.axhline(1.0, color=plots.PALETTE[7], linewidth=1)
    panel.semilogy(DIMENSIONS, ratios, "o-", markersize=4)
    panel.set(title="Tree over scan", xlabel="dimensions", ylabel="time, ratio")


def timed(model: KNeighborsRegressor, Q: NDArray) -> float:
    start = time.perf_counter()
    model.kneighbors(Q)
    return time.perf_counter() - start


def draw_means(run: Run, panel: Any, n: int = 120) -> None:
    """A noisy wave, and the means of seven neighbors."""
    rng = np.random.default_rng(run.seed)
    x = np.sort(rng.uniform(0, 6, n))
    y = np.sin(x) + 0.2 * rng.standard_normal(n)
    grid = np.linspace(0, 6, 400)
    panel.plot(x, y, ".", color="black", markersize=3)
    for weights in ("distance", "uniform"):
        model = KNeighborsRegressor(7, weights=weights).fit(x[:, None], y)
        curve = model.predict(grid[:, None])
        panel.plot(grid, curve, label=weights, linewidth=1.2)
    run.metric("curve_error", float(np.sqrt(np.mean((curve - np.sin(grid)) ** 2))))
    panel.set(title="Means of 7", xlabel="x", ylabel="y")
    panel.legend()
