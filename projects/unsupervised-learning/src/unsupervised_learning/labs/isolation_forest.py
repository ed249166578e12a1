"""Set outliers apart with random cuts: the fewer it takes, the odder the row.

Nothing is modelled: neither a density nor a distance. A tree cuts at random until a row stands
alone, and what lies far from the others stands alone soon. The figure shows the cuts of one tree
around an outlier and around a row of the crowd; the score over the plane, with the ghosts
beside the clusters that cuts along the axes leave behind; the path lengths of inliers and outliers
of a real table; and how many trees, and how few rows a tree, are enough: a sample of 256 rows
shows outliers better than all rows do, as crowds of outliers no longer hide each other.

F. T. Liu, K. M. Ting and Z.-H. Zhou, Isolation forest, 2008.
"""

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn import ensemble as reference
from sklearn.datasets import make_blobs
from sklearn.metrics import roc_auc_score

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from unsupervised_learning.isolation_forest import IsolationForest, IsolationTree
from unsupervised_learning.outlier_demo import crowd, rare_ranked

PRESETS = {
    "smoke": {"sets": ("wine", "breast_cancer"), "seeds": 3, "rows": 2000},
    "default": {},
    "full": {
        "data": "creditcard_fraud_sample",
        "sets": ("creditcard_fraud_sample", "rubix_credit", "jb_ionosphere", "mushrooms"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("cuts.crowd_over_outlier", ">=", 1.4),
    Claim("area", ">=", 0.9),
    Claim("area.256_over_all", ">=", 1.0, presets=("full",)),
    # On so few rows the chance of the cuts is worth some points.
    Claim("behind.IsolationForest", "<=", 3.0, presets=("smoke", "default")),
    Claim("behind.IsolationForest", "<=", 0.5, presets=("full",)),
    Claim("ratio.fit.IsolationForest", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.IsolationForest", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.IsolationForest", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.IsolationForest", "<=", 2.0, presets=("full",)),
]


def main(
    run: Run,
    *,
    data: Annotated[
        Literal["breast_cancer", "creditcard_fraud_sample"], "the table with outliers"
    ] = "breast_cancer",
    sets: Sets = ("wine", "breast_cancer", "digits", "iris"),
    seeds: Seeds = 5,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Watch the cuts, find outliers in a table, then hold the forest against the library's."""
    figure, axes = plots.figure(1, 4, width=12.0, height=3.1)
    X = make_blobs(300, centers=[[0, 0], [5, 4]], cluster_std=0.8, random_state=run.seed)[0]
    X = np.vstack([X, [[5.0, -2.0]]])
    draw_cuts(run, axes[0], X)
    draw_scores(run, axes[1], X)
    table, outlier = load(run, data)
    draw_lengths(run, axes[2], table, outlier)
    draw_samples(run, axes[3], table, outlier)
    run.figure(
        "cuts",
        figure,
        "The cuts of a tree that set an outlier apart, and a row of the crowd; the score over the "
        "plane; path lengths in a real table; the ranking by rows a tree.",
    )
    pair = Pair(
        "IsolationForest",
        IsolationForest(n_estimators=500),
        reference.IsolationForest(n_estimators=500),
        score=rare_ranked,
        holdout=False,
        make=crowd,
    )
    study(run, [pair], sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


def load(run: Run, data: str) -> tuple[NDArray, NDArray]:
    """A table and which of its rows are outliers: frauds, or a few malignant among benign."""
    if data == "breast_cancer":
        bunch = run.data(data)
        X, y = np.asarray(bunch["x"]), np.asarray(bunch["y"])
        keep = np.sort(np.r_[np.flatnonzero(y == 1), np.flatnonzero(y == 0)[:30]])
        return X[keep], y[keep] == 0
    X, y = tables.matrix(data, run.data, rows=None, seed=run.seed, standardize=True)
    return X, y == y.max()


def cuts_to(tree: IsolationTree, row: NDArray) -> list[tuple[int, float]]:
    """The cuts (feature, threshold) on the way of a row."""
    node, cuts = 0, []
    while tree.child[node] != node:
        cuts.append((int(tree.feature[node]), float(tree.threshold[node])))
        node = tree.child[node] + (row[tree.feature[node]] > tree.threshold[node])
    return cuts


def draw_cuts(run: Run, panel: Any, X: NDArray) -> None:
    forest = IsolationForest(n_estimators=200, random_state=run.seed).fit(X)
    middle = X[np.argmin(np.abs(X).sum(axis=1))]
    means = {}
    for name, row in (("outlier", X[-1]), ("crowd", middle)):
        lengths = [len(cuts_to(tree, row)) for tree in forest.estimators_]
        means[name] = run.metric(f"cuts.{name}", float(np.mean(lengths)))
    run.metric("cuts.crowd_over_outlier", means["crowd"] / means["outlier"])
    panel.plot(*X.T, ".", color=plots.PALETTE[7], markersize=3)
    for row, color in ((X[-1], plots.PALETTE[3]), (middle, plots.PALETTE[0])):
        counts = [len(cuts_to(tree, row)) for tree in forest.estimators_]
        tree = forest.estimators_[int(np.argsort(counts)[len(counts) // 2])]
        box = np.array([X.min(axis=0) - 0.5, X.max(axis=0) + 0.5])
        for feature, threshold in cuts_to(tree, row):
            ends = box[:, 1 - feature]
            line = [threshold, threshold], list(ends)
            panel.plot(*(line if feature == 0 else line[::-1]), color=color, linewidth=0.9)
            box[int(row[feature] <= threshold), feature] = threshold
        panel.plot(*row, "o", color=color, markersize=5)
    panel.set(title="Cuts to be alone", xlabel="x", ylabel="y")


def draw_scores(run: Run, panel: Any, X: NDArray) -> None:
    forest = IsolationForest(n_estimators=300, random_state=run.seed).fit(X)
    low, high = X.min(axis=0) - 1.5, X.max(axis=0) + 1.5
    across, up = np.meshgrid(*(np.linspace(low[i], high[i], 120) for i in range(2)))
    score = -forest.score_samples(np.column_stack([across.ravel(), up.ravel()]))
    drawn = panel.contourf(across, up, score.reshape(across.shape), 12, cmap="Blues")
    panel.figure.colorbar(drawn, ax=panel)
    panel.plot(*X.T, ".", color="black", markersize=2)
    panel.set(title="The score", xlabel="x")


def draw_lengths(run: Run, panel: Any, X: NDArray, outlier: NDArray) -> None:
    areas = []
    for seed in run.seeds(5):
        forest = IsolationForest(n_estimators=200, random_state=seed).fit(X)
        length = forest.path_length(X)
        areas.append(roc_auc_score(outlier, -length))
    run.metric("area", areas)
    edges = np.linspace(length.min(), length.max(), 40)
    for which, name in ((~outlier, "inliers"), (outlier, "outliers")):
        panel.hist(length[which], edges, density=True, alpha=0.6, label=name)
    panel.set(title="Path lengths", xlabel="mean cuts", ylabel="density")
    panel.legend()


def draw_samples(run: Run, panel: Any, X: NDArray, outlier: NDArray) -> None:
    sizes = [m for m in (8, 32, 128, 256, 1024, 4096) if m < len(X)] + [len(X)]
    areas = []
    for size in sizes:
        each = []
        for seed in run.seeds(3):
            forest = IsolationForest(n_estimators=100, max_samples=size, random_state=seed).fit(X)
            each.append(roc_auc_score(outlier, -forest.score_samples(X)))
        areas.append(float(np.mean(each)))
    run.metric("area.256_over_all", areas[sizes.index(256)] / areas[-1])
    panel.semilogx(sizes, areas, "o-", markersize=4)
    panel.set(title="A small sample is enough", xlabel="rows a tree", ylabel="area under ROC")
