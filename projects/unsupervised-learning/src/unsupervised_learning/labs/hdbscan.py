"""Find clusters whose densities differ: HDBSCAN against DBSCAN at its best radius.

`unsupervised_learning.hdbscan` derives the method: all radii at once, and of all clusters the ones
that last. The made set has three tight groups side by side, two of middle density and a wide one,
under uniform noise. A radius that tells the tight groups apart turns the wide one to noise; one
that holds the wide group together joins the tight ones. The curve shows it: DBSCAN at every radius,
against HDBSCAN, which is given none. The last panel is the condensed tree: from the top down the
density grows, a column is as wide as its cluster has points, and the colored columns are kept.

Ricardo Campello, Davoud Moulavi and Jörg Sander, Density-based clustering based on hierarchical
density estimates, 2013.
"""

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from sklearn import cluster as reference
from sklearn.metrics import adjusted_rand_score

from groundwork import Claim, Run, plots
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from unsupervised_learning.dbscan import DBSCAN
from unsupervised_learning.hdbscan import HDBSCAN

PRESETS = {
    "smoke": {"points": 900, "sets": ("iris", "wine"), "seeds": 2, "rows": 800},
    "default": {"rows": 5000},
    "full": {
        "points": 5000,
        "sets": ("penguins", "letter", "jb_wheat_seeds", "jb_banknote_authentication"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 20_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("rand_index", ">=", 0.85),
    Claim("rand_index_gained", ">=", 0.1),
    Claim("clusters", ">=", 5.5),
    Claim("clusters", "<=", 6.5),
    Claim("noise_right", ">=", 0.5),
    Claim("apart.HDBSCAN", "<=", 1e-9),
    Claim("ratio.fit.HDBSCAN", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.HDBSCAN", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.HDBSCAN", "<=", 2.0, presets=("full",)),
]
MIN_SAMPLES = 10
#: Center, spread and share of the points of each group; the rest is noise.
GROUPS = (
    (-5.0, 3.0, 0.08, 0.13),
    (-4.3, 3.0, 0.08, 0.13),
    (-4.65, 3.6, 0.08, 0.13),
    (-4.5, -2.5, 0.4, 0.15),
    (-2.0, -2.5, 0.4, 0.15),
    (4.0, 0.5, 1.6, 0.26),
)


def main(
    run: Run,
    *,
    points: Annotated[int, Ge(300), "points of the made set"] = 2000,
    sets: Sets = ("iris", "wine", "breast_cancer", "digits"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Cluster groups of many densities with both methods, then hold ours against the library."""
    compare_methods(run, points, seeds)
    pair = Pair(
        "HDBSCAN",
        HDBSCAN(10),
        reference.HDBSCAN(10, copy=True),
        score=rand_points,
        holdout=False,
        apply="",
    )
    study(
        run,
        [pair],
        sets=sets,
        score_rows=2000,
        seeds=seeds,
        rows=rows,
        largest=largest,
        memory=memory,
    )


def rand_points(fitted: Any, X: NDArray, y: NDArray) -> float:
    """The adjusted Rand index of the clusters against the classes, times 100."""
    return 100.0 * float(adjusted_rand_score(y, fitted.labels_))


def make_groups(n: int, seed: int) -> tuple[NDArray, NDArray]:
    """Points (n, 2) of groups of many densities, and their group; uniform noise is -1."""
    rng = np.random.default_rng(seed)
    parts, y = [], []
    for group, (x, height, spread, share) in enumerate(GROUPS):
        size = int(share * n)
        parts.append([x, height] + spread * rng.standard_normal((size, 2)))
        y.append(np.full(size, group))
    left = n - sum(map(len, parts))
    parts.append(rng.uniform([-8, -6], [9, 6], (left, 2)))
    y.append(np.full(left, -1))
    return np.concatenate(parts), np.concatenate(y)


def compare_methods(run: Run, points: int, seeds: int) -> None:
    radii = np.geomspace(0.03, 1.5, 40)
    figure, axes = plots.figure(2, 2, width=9.0, height=6.8)
    measured: dict[str, list[float]] = {}
    for seed in run.progress(run.seeds(seeds), seeds, "seeds"):
        X, y = make_groups(points, seed)
        model = HDBSCAN(max(10, points // 50), min_samples=MIN_SAMPLES).fit(X)
        index = float(adjusted_rand_score(y, model.labels_))
        dbscan = [DBSCAN(eps, min_samples=MIN_SAMPLES).fit_predict(X) for eps in radii]
        curve = np.array([adjusted_rand_score(y, labels) for labels in dbscan])
        best = int(curve.argmax())
        noise = model.labels_ < 0
        for name, value in (
            ("rand_index", index),
            ("rand_index_dbscan", float(curve[best])),
            ("rand_index_gained", index - float(curve[best])),
            ("clusters", float(model.labels_.max() + 1)),
            ("clusters_dbscan", float(dbscan[best].max() + 1)),
            ("noise_found", float(noise[y < 0].mean())),
            ("noise_right", float((y[noise] < 0).mean())),
        ):
            measured.setdefault(name, []).append(value)
        if seed != run.seed:
            continue
        draw_clusters(axes[0, 0], X, model.labels_, f"HDBSCAN: {index:.2f}", model.probabilities_)
        title = f"DBSCAN, eps {radii[best]:.2f}: {curve[best]:.2f}"
        draw_clusters(axes[0, 1], X, dbscan[best], title)
        axes[1, 0].semilogx(radii, curve, label="DBSCAN")
        axes[1, 0].axhline(index, color=plots.PALETTE[1], linestyle="--", label="HDBSCAN")
        axes[1, 0].set(title="At every radius", xlabel="eps", ylabel="adjusted Rand index")
        axes[1, 0].legend()
        draw_condensed(axes[1, 1], model)
    for name, values in measured.items():
        run.metric(name, values)
    run.figure(
        "densities",
        figure,
        "Groups of many densities under uniform noise. Noise is grey; with HDBSCAN, pale points "
        "are at the edge of their cluster. Below: every radius, and the condensed tree.",
        format="png",
    )


def draw_clusters(
    axes: Any, X: NDArray, labels: NDArray, title: str, strength: NDArray | None = None
) -> None:
    noise = labels < 0
    colors = np.array(plots.PALETTE[:-1])[labels % (len(plots.PALETTE) - 1)]
    alpha = np.ones(len(X)) if strength is None else 0.3 + 0.7 * strength
    axes.scatter(*X[noise].T, s=4, c=plots.PALETTE[-1], marker="x", linewidths=0.5)
    axes.scatter(*X[~noise].T, s=5, c=colors[~noise], alpha=alpha[~noise], linewidths=0)
    axes.set(title=title, xticks=[], yticks=[])


def draw_condensed(axes: Any, model: HDBSCAN) -> None:
    """Each cluster a column from birth to death, as wide as it has points left."""
    tree = model.condensed_tree_
    kept = np.full(len(tree.parent), -1)
    kept[tree.point_cluster] = model.labels_  # the points of a column have one label
    middle = np.zeros(len(tree.parent))
    for c in range(len(tree.parent)):
        children = np.flatnonzero(tree.parent == c)
        total = tree.size[children].sum()
        edge = middle[c] - total / 2
        for child in children:
            middle[child] = edge + tree.size[child] / 2
            edge += tree.size[child]
        # How many points are left: those that fall out alone go one by one.
        alone = np.sort(tree.point_density[tree.point_cluster == c])
        density = np.concatenate([[tree.birth[c]], alone, [tree.death[c]]])
        count = np.concatenate([[tree.size[c]], tree.size[c] - np.arange(1, len(alone) + 1)])
        count = np.append(count, count[-1])
        color = plots.PALETTE[-1] if kept[c] < 0 else plots.PALETTE[kept[c] % 7]
        left, right = middle[c] - count / 2, middle[c] + count / 2
        axes.fill_betweenx(density, left, right, step="pre", color=color, linewidth=0)
    axes.set(title="The condensed tree", ylabel="density 1 / distance", xticks=[])
    axes.set_yscale("symlog", linthresh=1.0)
    axes.invert_yaxis()
    axes.grid(False)
