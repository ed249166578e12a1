"""Grow one tree over all rows, cut it anywhere, and see how the linkage decides what a cluster is.

`unsupervised_learning.hierarchical` derives the four linkages and the nearest-neighbor chain. The
first figure is the dendrogram of a real table under Ward's linkage: long legs say where to cut.
Here the cut goes through the widest gap between two merges among the last ten, and the clusters
are held against the classes, which the tree has not seen. The second figure gives four sets to the
four linkages. Single linkage follows moons and is led astray by one chain of points between two
blobs; the others look for balls, and Ward's for equal ones: it halves a large disk rather than keep
a small group apart.

Joe Ward, Hierarchical grouping to optimize an objective function, 1963; Daniel Müllner, Modern
hierarchical, agglomerative clustering algorithms, 2011.
"""

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from sklearn import cluster as reference
from sklearn.datasets import make_blobs, make_moons
from sklearn.metrics import adjusted_rand_score

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from unsupervised_learning.dendrogram import draw_dendrogram
from unsupervised_learning.hierarchical import AgglomerativeClustering, linkage_matrix

PRESETS = {
    "smoke": {"points": 200, "sets": ("iris", "wine"), "seeds": 2, "rows": 300},
    "default": {"rows": 3000},
    "full": {
        "points": 1000,
        "sets": ("penguins", "letter", "jb_wheat_seeds", "jb_banknote_authentication"),
        "seeds": 5,
        "rows": 5000,
        "largest": 10_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("rand_index.table", ">=", 0.7),
    Claim("clusters.table", ">=", 3),
    Claim("clusters.table", "<=", 3),
    Claim("rand_index.single.moons", ">=", 0.95),
    Claim("rand_index.ward.moons", "<=", 0.7),
    Claim("rand_index.ward.blobs", ">=", 0.8),
    Claim("rand_index.single.blobs", "<=", 0.3),
    Claim("rand_index.single.bridge", "<=", 0.3),
    Claim("rand_index.ward.bridge", ">=", 0.85),
    Claim("rand_index.average.unequal", ">=", 0.95),
    Claim("rand_index.ward.unequal", "<=", 0.6),
    Claim("apart.ward", "<=", 1e-9),
    Claim("apart.complete", "<=", 1e-9),
    Claim("apart.average", "<=", 1e-9),
    Claim("apart.single", "<=", 1e-9),
    Claim("ratio.fit.ward", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.complete", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.average", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.single", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.ward", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.complete", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.average", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.single", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.ward", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.complete", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.average", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.single", "<=", 2.0, presets=("full",)),
]
_DRAWN = 200  # about so many points of a set are drawn
LINKAGES = ("single", "complete", "average", "ward")


def main(
    run: Run,
    *,
    table: Annotated[
        Literal["wine", "penguins", "jb_wheat_seeds"], "the table of the dendrogram"
    ] = "wine",
    points: Annotated[int, Ge(100), "points of each made set"] = 400,
    sets: Sets = ("iris", "wine", "breast_cancer", "digits"),
    seeds: Seeds = 3,
    rows: Rows = 5000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Draw a table's dendrogram, give made sets to four linkages, compare."""
    draw_table(run, table)
    draw_linkages(run, points, seeds)
    pairs = [
        Pair(
            linkage,
            AgglomerativeClustering(5, linkage=linkage),
            reference.AgglomerativeClustering(5, linkage=linkage),
            score=rand_points,
            holdout=False,
            apply="",
        )
        for linkage in LINKAGES
    ]
    study(
        run,
        pairs,
        sets=sets,
        score_rows=1500,
        seeds=seeds,
        rows=rows,
        largest=largest,
        memory=memory,
    )


def rand_points(fitted: Any, X: NDArray, y: NDArray) -> float:
    """The adjusted Rand index of the clusters against the classes, times 100."""
    return 100.0 * float(adjusted_rand_score(y, fitted.labels_))


def widest_gap(distances: NDArray, merges: int = 10) -> float:
    """The middle of the widest gap between two of the last merges."""
    last = distances[-merges:]
    at = int(np.argmax(np.diff(last)))
    return float(last[at] + last[at + 1]) / 2


def draw_table(run: Run, table: str) -> None:
    X, y = tables.matrix(table, run.data, standardize=True)
    model = AgglomerativeClustering(compute_distances=True).fit(X)
    threshold = widest_gap(model.distances_)
    cut = AgglomerativeClustering(None, distance_threshold=threshold).fit(X)
    run.metric("clusters.table", float(cut.n_clusters_))
    run.metric("rand_index.table", adjusted_rand_score(y, cut.labels_))
    run.table(
        "clusters",
        [
            {"cluster": c, "rows": int((cut.labels_ == c).sum())}
            | {
                f"class {k}": int(((cut.labels_ == c) & (y == k)).sum())
                for k in range(int(y.max()) + 1)
            }
            for c in range(cut.n_clusters_)
        ],
        caption="Rows of each class in each cluster; the tree has not seen the classes",
    )
    figure, axes = plots.figure(1, 1, width=9.0, height=3.8)
    draw_dendrogram(
        axes, linkage_matrix(model), leaves=45, threshold=threshold, palette=plots.PALETTE
    )
    axes.set(title=f"{table}: Ward's linkage, cut in {cut.n_clusters_}")
    axes.set_xlabel("rows; (how many) where a leaf holds several")
    run.figure(
        "dendrogram",
        figure,
        "The last 44 merges. A bracket stands as high as the two clusters lay apart; the dotted "
        "line cuts through the widest gap.",
    )


def make_sets(n: int, seed: int) -> dict[str, tuple[NDArray, NDArray]]:
    """Four sets (n, 2) with their classes, each easy for one linkage and hard for another."""
    rng = np.random.default_rng(seed)
    bridge, of_bridge = make_blobs(n, centers=[[-4, 0], [4, 0]], cluster_std=0.9, random_state=seed)
    chain = np.column_stack([np.linspace(-4, 4, 40), 0.05 * rng.standard_normal(40)])
    disk = 3.0 * np.sqrt(rng.random(n))[:, None] * unit_circle(rng, n)
    small = [5.5, 0] + 0.3 * rng.standard_normal((n // 30, 2))
    return {
        "moons": make_moons(n, noise=0.04, random_state=seed),
        "blobs": make_blobs(
            n, centers=[[0, 0], [3.2, 0], [1.6, 2.8]], cluster_std=0.65, random_state=seed
        ),
        "bridge": (
            np.concatenate([bridge, chain]),
            np.concatenate([of_bridge, (chain[:, 0] > 0).astype(int)]),
        ),
        "unequal": (
            np.concatenate([disk, small]),
            np.repeat([0, 1], [len(disk), len(small)]),
        ),
    }


def unit_circle(rng: np.random.Generator, n: int) -> NDArray:
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.column_stack([np.cos(angle), np.sin(angle)])


def draw_linkages(run: Run, points: int, seeds: int) -> None:
    agreement: dict[str, list[float]] = {}
    figure, axes = plots.figure(4, 4, width=5.8, height=5.6)
    colors = np.array(plots.PALETTE)
    for seed in run.seeds(seeds):
        for row, (name, (X, y)) in enumerate(make_sets(points, seed).items()):
            for column, linkage in enumerate(LINKAGES):
                k = int(y.max()) + 1
                labels = AgglomerativeClustering(k, linkage=linkage).fit_predict(X)
                index = float(adjusted_rand_score(y, labels))
                agreement.setdefault(f"rand_index.{linkage}.{name}", []).append(index)
                if seed == run.seed:
                    panel = axes[row, column]
                    few = slice(None, None, max(1, len(X) // _DRAWN))
                    panel.scatter(*X[few].T, s=4, c=colors[labels[few]], linewidths=0)
                    panel.set(xticks=[], yticks=[], title=f"{linkage}: {index:.2f}")
                    panel.set_ylabel(name if column == 0 else "")
    for name, values in agreement.items():
        run.metric(name, values)
    run.figure(
        "linkages",
        figure,
        "Four sets under four linkages, with the adjusted Rand index against the true classes.",
        format="png",
    )
