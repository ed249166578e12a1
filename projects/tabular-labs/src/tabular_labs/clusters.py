"""Clusters of colors: k-means, mixtures chosen by BIC, how many there are, and which run together.

R. Tibshirani, G. Walther and T. Hastie, Estimating the number of clusters in a data set via the gap
statistic, 2001; G. Schwarz, Estimating the dimension of a model, 1978 (BIC).
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from tabular_labs.color import ciede2000
from unsupervised_learning import GaussianMixture, KMeans, silhouette_score


def k_means(k: int, starts: int, seed: int, X: NDArray) -> KMeans:
    """Our k-means, the best of so many starts."""
    return KMeans(k, n_init=starts, random_state=seed).fit(X)


def mixture_by_bic(X: NDArray, start: NDArray, seed: int) -> tuple[GaussianMixture, str]:
    """The mixture of normal distributions whose kind of covariance has the least BIC, and the kind.

    X : (n, d). start : the means to begin with, (k, d).
    """
    best: tuple[float, GaussianMixture, str] | None = None
    for kind in ("spherical", "tied", "diag", "full"):
        model = GaussianMixture(
            len(start), covariance_type=kind, random_state=seed, reg_covar=1e-3,
            means_init=start, max_iter=300,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            bic = float(model.fit(X).bic(X))
        if best is None or bic < best[0]:
            best = bic, model, kind
    assert best is not None
    return best[1], best[2]


def how_many(
    X: NDArray, ks: tuple[int, ...], starts: int, seed: int, most: int = 1500
) -> dict[str, Any]:
    """Gap and silhouette at each k, and what each of them chooses; of at most so many rows."""
    rng = np.random.default_rng(seed)
    some = X[rng.permutation(len(X))[:most]]
    silhouettes = [
        silhouette_score(some, k_means(k, max(starts, 5), seed, some).labels_) for k in ks
    ]

    def inertia(points: NDArray, k: int) -> float:
        return float(k_means(k, max(starts // 2, 3), seed, points).inertia_)

    gaps, errors = gap_curve(some, ks, inertia, rng, references=3)
    return {
        "ks": ks,
        "silhouettes": silhouettes,
        "gaps": gaps,
        "chosen": {
            "silhouette": ks[int(np.argmax(silhouettes))],
            "gap": choose_by_gap(ks, gaps, errors),
        },
    }


def gap_curve(
    points: NDArray[np.float64],
    ks: tuple[int, ...],
    cluster: Callable[[NDArray[np.float64], int], float],
    rng: np.random.Generator,
    *,
    references: int = 5,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""The gap statistic at each k and its error: how much tighter than in points without clusters.

    $\mathrm{Gap}(k) = E^*[\log W_k] - \log W_k$, with $W_k$ the inertia and the expectation over
    uniform points in the box of the data's principal axes. `cluster` gives the inertia of points at
    k. The k to take is the least with Gap(k) ≥ Gap(k') - error(k'), k' the next one.

    R. Tibshirani, G. Walther and T. Hastie, Estimating the number of clusters in a data set via the
    gap statistic, 2001.
    """
    center = points.mean(axis=0)
    _, _, axes = np.linalg.svd(points - center, full_matrices=False)
    turned = (points - center) @ axes.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    made = [rng.uniform(low, high, points.shape) for _ in range(references)]
    logs = np.array([[np.log(cluster(uniform, k)) for uniform in made] for k in ks])
    own = np.array([np.log(cluster(points, k)) for k in ks])
    errors = logs.std(axis=1) * np.sqrt(1 + 1 / references)
    return logs.mean(axis=1) - own, errors


def choose_by_gap(ks: tuple[int, ...], gaps: NDArray, errors: NDArray) -> int:
    """The least k whose gap is within the next one's error, or the last."""
    for i in range(len(ks) - 1):
        if gaps[i] >= gaps[i + 1] - errors[i + 1]:
            return ks[i]
    return ks[-1]


def confusions(
    palette: NDArray, centers: NDArray, labels: NDArray[np.int64], said: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """Which entries' points went to another entry's center most often, as rows of a table.

    palette, centers : CIELAB (k, 3). labels, said : of points, the true entry and the center (n,).
    """
    owner = ciede2000(centers[:, None], palette[None]).argmin(axis=1)[said]
    wrong = owner != labels
    pairs, counts = np.unique(
        np.stack([labels[wrong], owner[wrong]], axis=1), axis=0, return_counts=True
    )
    found = [
        {
            "entry": int(a), "taken for": int(b), "points": int(n),
            "of the entry's": n / np.sum(labels == a), "ΔE": ciede2000(palette[a], palette[b]),
        }
        for (a, b), n in zip(pairs, counts, strict=True)
    ]  # fmt: skip
    return sorted(found, key=lambda row: -row["points"])[:8]
