"""Represent all rows by k of them: build and swap medoids, for any distance, and outlive outliers.

A mean need not look like anything, and one far row draws it along. A medoid is a row, its cluster's
most central one, and the distances to it are not squared. PAM builds k medoids greedily, then swaps
one for another row as long as that lowers the sum of distances; FasterPAM evaluates a row against
all k medoids in one pass and makes each good swap at once.

Left: three clusters with more and more far rows beside them, and how far the worst of the three
true centers lies from a mean, and from a medoid; a line for each seed. Right: the medoids of the
handwritten digits in cosine distance, each an image that somebody wrote; above each the share of
its cluster's most frequent digit.

L. Kaufman and P. J. Rousseeuw, "Finding groups in data" (1990); E. Schubert and P. J. Rousseeuw,
"Fast and eager k-medoids clustering" (2021).
"""

from typing import Any, Self

import kmedoids
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.datasets import make_blobs
from sklearn.metrics import pairwise_distances

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from unsupervised_learning.kmeans import KMeans
from unsupervised_learning.pam import KMedoids, build, swap_best, swap_eagerly
from unsupervised_learning.scores import adjusted_rand_score, purity_score

PRESETS = {
    "smoke": {"sets": ("iris", "wine"), "seeds": 2, "rows": 500},
    "default": {},
    "full": {
        "sets": ("adult", "letter", "otto", "jb_winequality_white", "diamonds"),
        "seeds": 5,
        "rows": 5000,
        "largest": 10_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("medoids_moved", "<=", 0.5),
    Claim("means_moved", ">=", 2.0),
    Claim("digits_purity", ">=", 0.7),
    Claim("loss_error", "<=", 1e-9),
    Claim("build_agrees", "==", 1),
    Claim("eager_over_best_loss", "<=", 1.01),
    Claim("behind.KMedoids", "<=", 0.5),
    Claim("apart.KMedoids", "<=", 1e-6),
    Claim("ratio.fit.KMedoids", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.KMedoids", "<=", 3.0, presets=("full",)),
    Claim("largest_fit_over_reference", "<=", 1.0, presets=("full",)),
    Claim("exponent_excess.KMedoids", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.KMedoids", "<=", 2.0, presets=("full",)),
]
CENTERS = np.array([[0.0, 0.0], [6.0, 0.0], [3.0, 5.0]])
OUTLIERS = (0, 1, 2, 5, 10, 20, 30, 40, 60)


class OneThread(kmedoids.KMedoids):
    """The reference's FasterPAM from BUILD, on one thread: its class takes every core."""

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Find the medoids."""
        D = pairwise_distances(X, metric=self.metric)
        result = kmedoids.fasterpam(D, self.n_clusters, self.max_iter, "build", n_cpu=1)
        self.medoid_indices_, self.labels_ = result.medoids, result.labels
        self.cluster_centers_, self.inertia_ = np.asarray(X)[result.medoids], result.loss
        return self


def main(
    run: Run,
    *,
    sets: Sets = ("iris", "wine", "breast_cancer", "digits"),
    seeds: Seeds = 3,
    rows: Rows = 2000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Add outliers, show medoids, compare both searches; then hold ours against the reference."""
    figure, (left, right) = plots.figure(1, 2, width=9.0, height=3.4)
    draw_outliers(run, left, seeds)
    draw_digits(run, right)
    run.figure(
        "medoids",
        figure,
        "Left: how far the worst of three centers moves as far rows are added. Right: the ten "
        "medoids of the digits; the share of its cluster that is the same digit.",
    )
    compare_searches(run, seeds)
    pair = Pair(
        "KMedoids",
        KMedoids(8, random_state=0),
        OneThread(8, metric="euclidean", random_state=0),
        library="kmedoids",
        score=explained,
    )
    curves = study(
        run,
        [pair],
        sets=sets,
        score_rows=2000,
        seeds=seeds,
        rows=rows,
        largest=largest,
        memory=memory,
    )
    if largest:  # n² numbers: beyond the cache the slope is that of the memory, not of the method
        curve = curves["KMedoids"]
        run.metric("largest_fit_over_reference", curve.ours[-1] / curve.reference[-1])


def explained(model: Any, X: NDArray, _: Any) -> float:
    """The share of the mean distance to the middle that the medoids take away, in points."""
    near = pairwise_distances(X, model.cluster_centers_).min(axis=1).mean()
    return 100.0 * (1.0 - float(near / np.linalg.norm(X - X.mean(axis=0), axis=1).mean()))


def draw_outliers(run: Run, axes: Any, seeds: int) -> None:
    """How far centers lie from the true ones, by the number of far rows beside 300 others."""
    moved: dict[str, list[list[float]]] = {"means": [], "medoids": []}
    for seed in run.seeds(seeds):
        X = make_blobs(300, centers=CENTERS, cluster_std=0.7, random_state=seed)[0]
        far = np.random.default_rng(seed).normal((3.0, 2.0), 25.0, (max(OUTLIERS), 2))
        means: Any = KMeans(3, n_init=10, random_state=seed)
        models = {"means": means, "medoids": KMedoids(3)}
        for name, model in models.items():
            curve = []
            for count in OUTLIERS:
                model.fit(np.vstack([X, far[:count]]))
                off = pairwise_distances(CENTERS, model.cluster_centers_)
                curve.append(float(off.min(axis=1).max()))
            moved[name].append(curve)
    for name, style, color in (("means", "s--", 3), ("medoids", "o-", 0)):
        curves = np.array(moved[name])
        run.metric(f"{name}_moved", list(curves[:, OUTLIERS.index(30)]))
        axes.plot(OUTLIERS, curves.T, style, color=plots.PALETTE[color], lw=1, markersize=3)
        axes.plot([], [], style, color=plots.PALETTE[color], label=name, markersize=3)
    axes.set(
        title="Far rows beside three clusters",
        xlabel="far rows, beside 300",
        ylabel="worst center's distance from the truth",
        ylim=(0, None),
    )
    axes.legend()


def draw_digits(run: Run, axes: Any) -> None:
    """Ten medoids of the digits in cosine distance, and how pure their clusters are."""
    bunch = run.data("digits")
    images, y = np.asarray(bunch["x"]).reshape(-1, 8, 8), np.asarray(bunch["y"])
    model = KMedoids(10, metric="cosine").fit(images.reshape(len(images), -1))
    run.metric("digits_purity", purity_score(y, model.labels_))
    run.metric("digits_ari", adjusted_rand_score(y, model.labels_))
    sheet = np.full((2 * 11, 5 * 10), 0.0)
    order = np.argsort(y[model.medoid_indices_], kind="stable")
    for place, cluster in enumerate(order):
        top, left = 11 * (place // 5) + 3, 10 * (place % 5) + 1
        sheet[top : top + 8, left : left + 8] = images[model.medoid_indices_[cluster]]
        members = y[model.labels_ == cluster]
        share = np.bincount(members).max() / len(members)
        axes.text(left + 3.5, top - 1.6, f"{share:.0%}", ha="center", va="center", fontsize=8)
    axes.imshow(sheet, cmap="gray_r")
    axes.set(title="Ten medoids of the digits", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)


def compare_searches(run: Run, seeds: int) -> None:
    """Both searches from the same random starts: where they end, and the reference's end."""
    D = pairwise_distances(tables.matrix("digits", run.data, rows=600)[0])
    ratios, errors, passes = [], [], []
    for seed in run.seeds(seeds):
        start = np.random.default_rng(seed).choice(len(D), 10, replace=False)
        eager, best = start.copy(), start.copy()
        loss, eager_passes, _ = swap_eagerly(D, eager, 300)
        best_loss, best_passes, _ = swap_best(D, best, 300)
        ends = (
            kmedoids.fasterpam(D, start.astype(np.uint64), 300, n_cpu=1).loss,
            kmedoids.pam(D, start.astype(np.uint64), 300).loss,
        )
        ratios.append(loss / best_loss)
        errors += [abs(loss / ends[0] - 1), abs(best_loss / ends[1] - 1)]
        passes.append(best_passes / eager_passes)
    run.metric("eager_over_best_loss", ratios)
    run.metric("passes_saved_by_eager_swaps", passes)
    run.metric("loss_error", max(errors))
    chosen = build(D, 10)
    run.metric("build_agrees", float((chosen == kmedoids.pam_build(D, 10).medoids).all()))
    run.compare(
        "build",
        ours=lambda: build(D, 10),
        reference=lambda: kmedoids.pam_build(D, 10),
        library="kmedoids",
        pairs=5,
    )
