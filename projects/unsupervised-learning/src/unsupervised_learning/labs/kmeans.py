"""Find k means by Lloyd's iteration, begin well, choose k, and see where the means mislead.

Two steps in turns: each row goes to its nearest center, each center to the mean of its rows. The
sum of squares falls with each step and ends in a local minimum, so it matters where one begins:
k-means++ draws rows far from each other. Top left: five starts of either kind on 25 clusters; a
random start puts two centers into one cluster, and Lloyd's steps never bring one out again. (Where
clusters run into each other, as handwritten digits do, the start hardly matters.) Top middle: the
elbow, where a further cluster stops paying, on three kinds of wine. Top right: the same
clusterings by their quality scores, without the kinds (silhouette, Caliński-Harabasz,
Davies-Bouldin) and beside them (adjusted Rand index, adjusted mutual information); all have their
best at the three kinds.

Bottom: a mean stands for a round cluster. Where clusters are bent, stretched, or of unequal spread,
the borders halfway between two means cut through them. More starts do not help: the least sum of
squares is the wrong one.

S. P. Lloyd, "Least squares quantization in PCM" (1982); D. Arthur and S. Vassilvitskii,
"k-means++: the advantages of careful seeding" (2007); D. Sculley, "Web-scale k-means clustering"
(2010).
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import cluster as reference
from sklearn import metrics as reference_scores
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from unsupervised_learning import scores
from unsupervised_learning.kmeans import KMeans
from unsupervised_learning.minibatch_kmeans import MiniBatchKMeans

PRESETS = {
    "smoke": {"sets": ("iris", "wine"), "seeds": 2, "rows": 1000},
    "default": {},
    "full": {
        "sets": ("adult", "letter", "otto", "jb_winequality_white", "diamonds"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("lloyd_error", "<=", 1e-9),
    Claim("score_error", "<=", 1e-9),
    Claim("wine_clusters", "==", 3),
    Claim("wine_ari", ">=", 0.85),
    Claim("random_start_inertia.blobs", ">=", 1.5),
    Claim("ari.moons", "<=", 0.6),
    Claim("ari.stretched", "<=", 0.7),
    Claim("ari.unequal", "<=", 0.7),
    Claim("behind.KMeans", "<=", 0.5),
    Claim("behind.MiniBatchKMeans", "<=", 0.5),
    Claim("ratio.silhouette", "<=", 1.0, presets=("full",)),
    Claim("ratio.fit.KMeans", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.KMeans", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.MiniBatchKMeans", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.MiniBatchKMeans", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.KMeans", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.MiniBatchKMeans", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.KMeans", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.MiniBatchKMeans", "<=", 2.0, presets=("full",)),
]
STEPS = range(1, 21)
INNER = ("silhouette_score", "calinski_harabasz_score", "davies_bouldin_score")
OUTER = ("adjusted_rand_score", "adjusted_mutual_info_score")


def main(
    run: Run,
    *,
    sets: Sets = ("iris", "wine", "breast_cancer", "digits"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Iterate, choose k, score, fail; then hold both estimators against the reference."""
    figure, axes = plots.figure(2, 3, width=9.5, height=5.8)
    draw_iterations(run, axes[0, 0])
    draw_choice_of_k(run, axes[0, 1], axes[0, 2])
    for panel, (name, (X, kinds)) in zip(axes[1], hard_sets(run).items(), strict=True):
        draw_failure(run, panel, name, X, kinds)
    run.figure(
        "kmeans",
        figure,
        "Top: inertia by iteration from two kinds of start; the elbow; quality scores for each k. "
        "Bottom: clusters that means cannot stand for; color: kind, background: cluster.",
        format="png",
    )
    if rows:
        time_silhouette(run, min(rows, 5000))
    pairs = [
        Pair(name, ours(random_state=0), theirs(random_state=0), score=explained)
        for name, ours, theirs in (
            ("KMeans", KMeans, reference.KMeans),
            ("MiniBatchKMeans", MiniBatchKMeans, reference.MiniBatchKMeans),
        )
    ]
    study(run, pairs, sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


def explained(model: Any, X: NDArray, _: Any) -> float:
    """The share of the sum of squares that the centers explain, in points."""
    return 100.0 * (1.0 + float(model.score(X)) / float(((X - X.mean(axis=0)) ** 2).sum()))


def inertia_after(model: Any, X: NDArray, start: NDArray, steps: int) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = model(len(start), init=start, max_iter=steps, tol=0).fit(X)
    return float(fitted.inertia_)


def draw_iterations(run: Run, axes: Any) -> None:
    """Lloyd's iteration from rows drawn at random and from k-means++; every step checked."""
    blobs = make_blobs(1500, 2, centers=25, cluster_std=0.35, random_state=0)[0]
    digits = tables.matrix("digits", run.data)[0]
    kinds = ("random", "k-means++")
    for color, kind in zip(plots.PALETTE, kinds, strict=False):
        for seed in range(5):
            seeding = KMeans(25, init=kind, n_init=1, random_state=seed)
            start = seeding._first_centers(blobs, np.ones(len(blobs)), np.random.RandomState(seed))
            curve = [inertia_after(KMeans, blobs, start, steps) for steps in STEPS]
            axes.plot(STEPS, curve, color=color, lw=1.2, label=None if seed else kind)
    axes.set(title="25 clusters: the start", xlabel="iterations", ylabel="inertia", yscale="log")
    axes.legend()
    errors = [
        inertia_after(KMeans, digits, digits[:10], steps)
        / inertia_after(reference.KMeans, digits, digits[:10], steps)
        for steps in STEPS
    ]
    run.metric("lloyd_error", float(np.abs(np.array(errors) - 1).max()))
    for name, X, k in (("blobs", blobs, 25), ("digits", digits, 10)):
        ends = {
            kind: [
                KMeans(k, init=kind, n_init=1, random_state=seed).fit(X).inertia_
                for seed in run.seeds(10)
            ]
            for kind in kinds
        }
        usual = float(np.mean(ends["k-means++"]))
        run.metric(f"random_start_inertia.{name}", [end / usual for end in ends["random"]])


def draw_choice_of_k(run: Run, elbow: Any, quality: Any) -> None:
    """Inertia and scores of wine's clusters for each k; the best k, and the scores checked."""
    X, kinds = tables.matrix("wine", run.data, standardize=True)
    labels = [KMeans(k, n_init=10, random_state=run.seed).fit(X) for k in range(1, 11)]
    elbow.plot(range(1, 11), [model.inertia_ for model in labels], "o-", markersize=4)
    elbow.axvline(3, color=plots.PALETTE[7], lw=1, ls=":")
    elbow.set(title="Wine: the elbow", xlabel="clusters", ylabel="inertia", ylim=(0, None))
    errors, table = [], {}
    for name in (*INNER, *OUTER):
        curve = []
        for model in labels[1:]:
            given = (X, model.labels_) if name in INNER else (kinds, model.labels_)
            curve.append(getattr(scores, name)(*given))
            errors.append(abs(curve[-1] - getattr(reference_scores, name)(*given)))
        table[name] = np.array(curve)
        shown = table[name].min() / table[name] if name == INNER[2] else table[name] / max(curve)
        words = name.removesuffix("_score").replace("_", " ")
        style = "o-" if name in INNER else "s--"
        quality.plot(range(2, 11), shown, style, markersize=3, lw=1.2, label=words)
    quality.set(title="Wine: scores, best = 1", xlabel="clusters")
    quality.legend(fontsize=7)
    best = {name: 2 + int(np.argmax(curve)) for name, curve in table.items()}
    best[INNER[2]] = 2 + int(np.argmin(table[INNER[2]]))
    run.metric("score_error", max(errors))
    run.metric("wine_clusters", float(np.median([best[name] for name in INNER])))
    run.metric("wine_ari", float(table[OUTER[0]][1]))
    run.metric("wine_purity", scores.purity_score(kinds, labels[2].labels_))
    run.table(
        "wine",
        [
            {"clusters": k + 2, **{name: float(curve[k]) for name, curve in table.items()}}
            for k in range(9)
        ],
        caption="Scores of k-means on wine",
    )


def hard_sets(run: Run) -> dict[str, tuple[NDArray, NDArray]]:
    """Three sets of plain clusters that are bent, stretched, or of unequal spread and size."""
    moons = run.data("moons", n=600, noise=0.06, seed=run.seed)
    kinds = np.arange(600) % 3
    strips = run.rng.standard_normal((600, 2)) * (2.5, 0.25) + np.outer(kinds, (0.0, 1.6))
    stretched = strips @ np.array([[0.8, 0.6], [-0.6, 0.8]])
    unequal, sizes = make_blobs(
        [500, 60, 60],
        2,
        centers=np.array([[0, 0], [4.5, 1.5], [4.5, -1.5]]),
        cluster_std=[1.6, 0.3, 0.3],
        random_state=run.seed,
    )
    return {
        "moons": (moons["x"], moons["y"]),
        "stretched": (stretched, kinds),
        "unequal": (unequal, sizes),
    }


def draw_failure(run: Run, axes: Any, name: str, X: NDArray, kinds: NDArray) -> None:
    """Color the kinds, shade the clusters, and tell how far they agree."""
    k = int(kinds.max()) + 1
    model = KMeans(k, n_init=20, random_state=run.seed).fit(X)
    agreement = run.metric(f"ari.{name}", scores.adjusted_rand_score(kinds, model.labels_))
    truth = np.array([X[kinds == kind].mean(axis=0) for kind in range(k)])
    true_inertia = float(((X - truth[kinds]) ** 2).sum())
    run.metric(f"inertia_of_the_truth.{name}", true_inertia / model.inertia_)
    (left, bottom), (right, top) = X.min(axis=0) - 0.4, X.max(axis=0) + 0.4
    grid = np.meshgrid(np.linspace(left, right, 200), np.linspace(bottom, top, 200))
    regions = model.predict(np.column_stack([part.ravel() for part in grid])).reshape(200, 200)
    axes.contourf(
        *grid, regions, levels=np.arange(k + 1) - 0.5, colors=["#f4f5f7", "#d8dce3", "#e9ecf0"][:k]
    )
    axes.scatter(*X.T, c=[plots.PALETTE[kind] for kind in kinds], s=4, linewidths=0)
    axes.plot(*model.cluster_centers_.T, "kX", markersize=7)
    axes.set(title=f"{name.capitalize()}: ARI {agreement:.2f}", xticks=[], yticks=[])
    axes.grid(visible=False)


def time_silhouette(run: Run, rows: int) -> None:
    """Time the silhouette, the one score that needs all distances."""
    X, labels = make_blobs(rows, 20, centers=8, random_state=run.seed)
    run.compare(
        "silhouette",
        ours=lambda: scores.silhouette_score(X, labels),
        reference=lambda: reference_scores.silhouette_score(X, labels),
        library="scikit-learn",
        pairs=5,
    )
