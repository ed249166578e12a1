"""Compare PCA, t-SNE and UMAP in two and three dimensions, and measure how their maps distort.

The three keep different things. PCA is a shadow: directions of large variance, all distances to one
scale, neighbors mixed where the shadow overlaps. t-SNE and UMAP keep neighbors and give up the
rest. The scores tell which neighbors were invented (trustworthiness) or lost (continuity), how many
of the nearest stayed (neighbor preservation), whether large distances stay large (the Shepard
correlation), and whether classes can be read from the map (neighbor accuracy).

The second figure has a truth that is known: three round clusters, of which one is four times as
wide as the others and lies five times as far away. t-SNE and UMAP measure each point on the scale
of its neighbors, so the widths come out alike, and so do the distances between the clusters: on
such a map neither means what it seems to.

J. Venna and S. Kaski, "Neighborhood Preservation in Nonlinear Projection Methods: An Experimental
Study", 2001. M. Wattenberg, F. Viégas and I. Johnson, "How to Use t-SNE Effectively", 2016.
"""

import time
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from groundwork import Claim, Run, plots
from groundwork.estimators import Seeds
from unsupervised_learning.embedding_demo import DigitName, digit_rows, draw_map
from unsupervised_learning.embedding_scores import (
    continuity,
    neighbor_preservation,
    shepard_correlation,
    trustworthiness,
)
from unsupervised_learning.pca import PCA
from unsupervised_learning.tsne import TSNE
from unsupervised_learning.umap import UMAP

PRESETS = {
    "smoke": {"points": 300, "seeds": 1},
    "default": {},
    "full": {"data": "mnist", "points": 4000, "seeds": 5},
}
CLAIMS = [
    Claim("trustworthiness.TSNE.2d", ">=", 0.97),
    Claim("trustworthiness.UMAP.2d", ">=", 0.95),
    Claim("tsne_over_umap.trustworthiness", ">=", 0.0, presets=("default", "full")),
    Claim("pca_over_both.shepard_correlation", ">=", 0.0),
    Claim("third_dimension.trustworthiness.PCA", ">=", 0.01),
    Claim("width_ratio.PCA", ">=", 3.5),
    Claim("width_ratio.TSNE", "<=", 2.0),
    Claim("width_ratio.UMAP", "<=", 2.0),
    Claim("distance_ratio.PCA", ">=", 4.5),
    Claim("distance_ratio.TSNE", "<=", 2.5),
    Claim("distance_ratio.UMAP", "<=", 2.5),
]
METHODS: dict[str, Any] = {
    "PCA": lambda d, seed: PCA(d, random_state=seed),
    "TSNE": lambda d, seed: TSNE(d, init="random", random_state=seed),
    "UMAP": lambda d, seed: UMAP(n_components=d, random_state=seed),
}
WIDTHS = (1.0, 1.0, 4.0)
CENTERS = ((0.0, 0.0), (25.0, 0.0), (0.0, 125.0))  # the third is five times as far from the first


def main(
    run: Run,
    *,
    data: Annotated[DigitName, "the images"] = "digits",
    points: Annotated[int, Ge(100), "how many of them"] = 1797,
    neighbors: Annotated[int, Ge(1), "k of the neighbor scores"] = 10,
    seeds: Seeds = 3,
) -> None:
    """Map digits three ways in two and three dimensions, then clusters whose shape is known."""
    X, y = digit_rows(run.data, data, points, run.seed)
    maps: dict[tuple[str, int], NDArray] = {}
    means: dict[tuple[str, str, int], float] = {}
    table = []
    jobs = [(name, d) for d in (2, 3) for name in METHODS]
    for name, d in run.progress(jobs, len(jobs), "maps"):
        values: dict[str, list[float]] = {}
        for seed in run.seeds(seeds):
            start = time.perf_counter()
            embedding = METHODS[name](d, seed).fit_transform(X)
            scores = {"seconds": time.perf_counter() - start, **quality(X, y, embedding, neighbors)}
            for score, value in scores.items():
                values.setdefault(score, []).append(value)
            maps.setdefault((name, d), embedding)
        for score, several in values.items():
            unit = "s" if score == "seconds" else ""
            means[score, name, d] = run.metric(f"{score}.{name}.{d}d", several, unit)
        row = {score: round(means[score, name, d], 4) for score in values}
        table.append({"map": f"{name}, {d} dimensions", **row})
    run.table("scores", table, caption="Scores of the maps, mean over the seeds")
    tell_differences(run, means)
    draw_maps(run, maps, y)
    distortion(run, seeds)


def quality(X: NDArray, y: NDArray, embedding: NDArray, k: int) -> dict[str, float]:
    """Four scores of a map against the data, and the share of points whose neighbors tell y."""
    votes = cross_val_score(KNeighborsClassifier(k), embedding, y, cv=5)
    return {
        "trustworthiness": trustworthiness(X, embedding, n_neighbors=k),
        "continuity": continuity(X, embedding, n_neighbors=k),
        "neighbor_preservation": neighbor_preservation(X, embedding, n_neighbors=k),
        "shepard_correlation": shepard_correlation(X, embedding),
        "neighbor_accuracy": float(votes.mean()),
    }


def tell_differences(run: Run, means: dict[tuple[str, str, int], float]) -> None:
    """Which method leads, and what a third dimension brings."""
    trust, shepard = "trustworthiness", "shepard_correlation"
    run.metric(f"tsne_over_umap.{trust}", means[trust, "TSNE", 2] - means[trust, "UMAP", 2])
    best = max(means[shepard, "TSNE", 2], means[shepard, "UMAP", 2])
    run.metric(f"pca_over_both.{shepard}", means[shepard, "PCA", 2] - best)
    for name in METHODS:
        gain = means[trust, name, 3] - means[trust, name, 2]
        run.metric(f"third_dimension.{trust}.{name}", gain)


def distortion(run: Run, seeds: int, rows: int = 200, columns: int = 10) -> None:
    """Map clusters of known widths and distances; tells what the maps make of them."""
    group = np.repeat(np.arange(3), rows)
    ratios: dict[str, list[tuple[float, float]]] = {name: [] for name in METHODS}
    maps: dict[str, NDArray] = {}
    for seed in run.seeds(seeds):
        X = np.random.default_rng(seed).normal(size=(3 * rows, columns))
        X *= np.asarray(WIDTHS)[group, None]
        X[:, :2] += np.asarray(CENTERS)[group]
        for name, make in METHODS.items():
            embedding = make(2, seed).fit_transform(X)
            ratios[name].append(shape(embedding, group))
            maps.setdefault(name, embedding)
    captions = []
    for name, values in ratios.items():
        widths, distances = np.transpose(values)
        width = run.metric(f"width_ratio.{name}", widths.tolist())
        distance = run.metric(f"distance_ratio.{name}", distances.tolist())
        captions.append(f"widths 1 : {width:.1f}, distances 1 : {distance:.1f}")
    figure, axes = plots.figure(1, 3, width=9.6, height=3.4)
    for cell, (name, embedding), caption in zip(axes, maps.items(), captions, strict=True):
        draw_map(cell, embedding, group, name, names=False)
        cell.set_aspect("equal", adjustable="datalim")
        cell.set_xlabel(caption)
    run.figure(
        "distortion",
        figure,
        "Three clusters in ten dimensions whose widths are as 1 : 1 : 4 and whose distances from "
        "the first are as 1 : 5. PCA keeps both, t-SNE and UMAP neither.",
        format="png",
    )


def shape(embedding: NDArray, group: NDArray) -> tuple[float, float]:
    """How much wider the third cluster is than the first, and farther from it than the second."""
    centers = np.array([embedding[group == g].mean(axis=0) for g in range(3)])
    widths = [
        float(np.linalg.norm(embedding[group == g] - centers[g], axis=1).mean()) for g in range(3)
    ]
    distances = np.linalg.norm(centers[1:] - centers[0], axis=1)
    return widths[2] / widths[0], float(distances[1] / distances[0])


def draw_maps(run: Run, maps: dict[tuple[str, int], NDArray], y: NDArray) -> None:
    """The maps side by side, in two dimensions above and in three below."""
    figure, axes = plots.figure(2, 3, width=9.6, height=6.4)
    for column, name in enumerate(METHODS):
        draw_map(axes[0, column], maps[name, 2], y, name)
        axes[1, column].remove()
        solid = figure.add_subplot(2, 3, 4 + column, projection="3d")
        draw_map(solid, maps[name, 3], y, f"{name}, three dimensions")
    run.figure(
        "maps",
        figure,
        "The same digits by three methods, in two dimensions and in three.",
        format="png",
    )
