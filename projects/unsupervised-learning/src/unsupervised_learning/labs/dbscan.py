"""Find clusters of any shape and the noise between them: DBSCAN, core points, borders and outliers.

`unsupervised_learning.dbscan` says what a core point is and why one pass over the neighbors is
enough. The radius is read off a curve, as the paper does it: sort the distances to the k-th
neighbor, and let the share of noise that one expects lie beyond it; or, where one expects nothing
yet, take the curve's knee. The figure shows that curve, three
shapes that no ball describes (moons, rings, and an irregular set with uniform noise thrown over
it), what k-means makes of the moons, and a real table: with `places` of California, the map of
where people live; with irises, their petals. Large dots are core points, small ones the border,
crosses noise.

Martin Ester, Hans-Peter Kriegel, Jörg Sander and Xiaowei Xu, A density-based algorithm for
discovering clusters in large spatial databases with noise, 1996.
"""

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from sklearn import cluster as reference
from sklearn.datasets import make_circles, make_moons
from sklearn.metrics import adjusted_rand_score

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from unsupervised_learning.dbscan import DBSCAN
from unsupervised_learning.kmeans import KMeans
from unsupervised_learning.neighbor_search import build_tree, kth_distances

PRESETS = {
    "smoke": {"points": 600, "sets": ("iris", "wine"), "seeds": 2, "rows": 1000},
    "default": {},
    "full": {
        "points": 5000,
        "places": "california_housing",
        "sets": ("penguins", "letter", "jb_wheat_seeds", "jb_banknote_authentication"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("rand_index.moons", ">=", 0.98),
    Claim("rand_index_kmeans.moons", "<=", 0.7),
    Claim("rand_index.rings", ">=", 0.98),
    Claim("rand_index.irregular", ">=", 0.85),
    Claim("noise_found.irregular", ">=", 0.75),
    Claim("noise_right.irregular", ">=", 0.75),
    Claim("clusters.places", ">=", 2),
    Claim("apart.DBSCAN", "<=", 1e-9),
    Claim("ratio.fit.DBSCAN", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.DBSCAN", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.DBSCAN", "<=", 2.0, presets=("full",)),
]
MIN_SAMPLES = 8


def main(
    run: Run,
    *,
    points: Annotated[int, Ge(200), "points of each shape"] = 1500,
    places: Annotated[
        Literal["iris", "california_housing"], "the real table in the last panel"
    ] = "iris",
    sets: Sets = ("iris", "wine", "breast_cancer", "digits"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Read the radius off a curve, cluster the shapes and a real table, compare."""
    draw_shapes(run, points, places, seeds)
    pair = Pair(
        "DBSCAN",
        DBSCAN(eps=4.0),
        reference.DBSCAN(eps=4.0),
        score=rand_points,
        holdout=False,
        apply="",
        prepare=lambda X: X * (8.0 / np.sqrt(X.shape[1])),  # tables of any width, one radius
    )
    study(run, [pair], sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


def rand_points(fitted: Any, X: NDArray, y: NDArray) -> float:
    """The adjusted Rand index of the clusters against the classes, times 100."""
    return 100.0 * float(adjusted_rand_score(y, fitted.labels_))


def make_irregular(n: int, seed: int) -> tuple[NDArray, NDArray]:
    """A spiral arm, a bar, a ring segment and a blob under uniform noise, which is class -1."""
    rng = np.random.default_rng(seed)
    parts = [n * share // 20 for share in (7, 3, 4, 2)]
    turn = np.sqrt(rng.random(parts[0])) * 3 * np.pi
    spiral = 0.3 * turn[:, None] * np.column_stack([np.cos(turn), np.sin(turn)])
    bar = np.column_stack([rng.uniform(4, 8, parts[1]), np.full(parts[1], 3.2)])
    angle = rng.uniform(-0.7 * np.pi, 0.3 * np.pi, parts[2])
    arc = [6.0, -0.5] + 2.0 * np.column_stack([np.cos(angle), np.sin(angle)])
    blob = [5.8, -0.3] + 0.25 * rng.standard_normal((parts[3], 2))
    shapes = np.concatenate([spiral, bar, arc, blob])
    shapes += 0.12 * rng.standard_normal(shapes.shape)
    noise = rng.uniform([-4, -4.5], [9, 5], (n - sum(parts), 2))
    y = np.concatenate([np.repeat(np.arange(4), parts), np.full(len(noise), -1)])
    # What fell on a shape is no noise to anyone who sees the points only.
    near = np.sqrt(((noise[:, None] - shapes[None]) ** 2).sum(axis=2).min(axis=1)) > 0.35
    kept = np.concatenate([np.ones(len(shapes), bool), near])
    return np.concatenate([shapes, noise])[kept], y[kept]


def sorted_distances(X: NDArray) -> NDArray:
    """The distance of every row to its MIN_SAMPLES-th neighbor, largest first."""
    squares = kth_distances(build_tree(np.ascontiguousarray(X, dtype=np.float64)), MIN_SAMPLES)
    return np.sqrt(np.sort(squares)[::-1])


def radius_for(X: NDArray, noise: float | None = None) -> float:
    """Where the expected share of noise ends on the curve; or its knee, farthest below the line."""
    curve = sorted_distances(X)
    if noise is not None:
        return float(curve[int(noise * len(curve))])
    line = np.linspace(curve[0], curve[-1], len(curve))
    return float(curve[np.argmax(line - curve)])


def draw_shapes(run: Run, points: int, places: str, seeds: int) -> None:
    shapes = {
        "moons": lambda seed: make_moons(points, noise=0.06, random_state=seed),
        "rings": lambda seed: make_circles(points, noise=0.04, factor=0.5, random_state=seed),
        "irregular": lambda seed: make_irregular(points, seed),
    }
    figure, axes = plots.figure(2, 3, width=9.0, height=6.0)
    panels = dict(zip(("moons", "rings", "irregular"), axes.flat[1:4], strict=True))
    for name, make in shapes.items():
        agreement, found, right = [], [], []
        for seed in run.seeds(seeds):
            X, y = make(seed)
            noise_share = None if name == "irregular" else 0.01
            model = DBSCAN(radius_for(X, noise_share), min_samples=MIN_SAMPLES).fit(X)
            agreement.append(adjusted_rand_score(y, model.labels_))
            noise = model.labels_ < 0
            found.append(float(noise[y < 0].mean()) if (y < 0).any() else 1.0)
            right.append(float((y[noise] < 0).mean()) if noise.any() else 1.0)
            if seed == run.seed:
                draw_clusters(panels[name], X, model, name.capitalize())
                if name == "irregular":
                    draw_curve(axes[0, 0], X, model.eps)
        run.metric(f"rand_index.{name}", agreement)
    run.metric("noise_found.irregular", found)
    run.metric("noise_right.irregular", right)
    draw_kmeans(run, axes[1, 1], shapes["moons"], seeds)
    draw_places(run, axes[1, 2], places)
    run.figure(
        "shapes",
        figure,
        f"DBSCAN with min_samples = {MIN_SAMPLES}: large dots are core points, small ones the "
        "border, grey crosses noise. For moons and rings the radius leaves 1 % of the points "
        "beyond it; elsewhere it is the knee of the curve.",
        format="png",
    )


def draw_clusters(axes: Any, X: NDArray, model: DBSCAN, title: str) -> None:
    core = np.zeros(len(X), bool)
    core[model.core_sample_indices_] = True
    noise = model.labels_ < 0
    colors = np.array(plots.PALETTE[:-1])[model.labels_ % (len(plots.PALETTE) - 1)]
    size = 7.0 if len(X) < 3000 else 1.5
    for chosen, scale in ((core, 1.0), (~core & ~noise, 0.35)):
        axes.scatter(*X[chosen].T, s=scale * size, c=colors[chosen], linewidths=0)
    axes.scatter(*X[noise].T, s=size, c=plots.PALETTE[-1], marker="x", linewidths=0.6)
    axes.set(title=f"{title}: {model.labels_.max() + 1} clusters, eps {model.eps:.2g}")
    axes.set(xticks=[], yticks=[])


def draw_curve(axes: Any, X: NDArray, radius: float) -> None:
    curve = sorted_distances(X)
    axes.plot(curve)
    axes.axhline(radius, color=plots.PALETTE[3], linewidth=1, linestyle="--")
    axes.text(len(curve), radius, f"knee: {radius:.2g}", ha="right", va="bottom")
    axes.set(title="Irregular: the curve", xlabel="points, farthest first", ylim=(0, None))
    axes.set_ylabel(f"distance to neighbor {MIN_SAMPLES}")


def draw_kmeans(run: Run, axes: Any, make: Any, seeds: int) -> None:
    agreement = []
    for seed in run.seeds(seeds):
        X, y = make(seed)
        labels = KMeans(2, n_init=5, random_state=seed).fit_predict(X)
        agreement.append(adjusted_rand_score(y, labels))
        if seed == run.seed:
            size = 7.0 if len(X) < 3000 else 1.5
            axes.scatter(*X.T, s=size, c=np.array(plots.PALETTE)[labels], linewidths=0)
    run.metric("rand_index_kmeans.moons", agreement)
    axes.set(title="Moons cut by k-means", xticks=[], yticks=[])


def draw_places(run: Run, axes: Any, places: str) -> None:
    if places == "iris":
        X, title = tables.matrix("iris", run.data)[0][:, 2:], "Petals"
    else:
        frame, _ = tables.frame(places, run.data)
        X = frame[["longitude", "latitude"]].drop_duplicates().to_numpy(np.float64)
        X = X * [np.cos(np.deg2rad(X[:, 1].mean())), 1.0]  # a degree east is shorter than one north
        title = "California"
    model = DBSCAN(radius_for(X), min_samples=MIN_SAMPLES).fit(X)
    run.metric("clusters.places", float(model.labels_.max() + 1))
    run.metric("noise_share.places", float((model.labels_ < 0).mean()))
    run.metric("core_share.places", len(model.core_sample_indices_) / len(X))
    draw_clusters(axes, X, model, title)
