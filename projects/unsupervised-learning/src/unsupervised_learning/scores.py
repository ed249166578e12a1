r"""How good a clustering is: beside known classes, or by its own shape.

**Beside classes.** All that two labelings share is the contingency table $n_{ij}$, the number of
rows with class $i$ and cluster $j$, with the sums $a_i$ and $b_j$.

- *Pairs of rows.* With $S = \sum_{ij} \binom{n_{ij}}{2}$, $A = \sum_i \binom{a_i}{2}$,
  $B = \sum_j \binom{b_j}{2}$ and $T = \binom{n}{2}$ the labelings agree on $T + 2S - A - B$ pairs:
  over $T$, the Rand index. Two labelings drawn at random with the same sizes have $S = AB / T$ in
  the mean; with that as 0 and $S = (A + B) / 2$ as 1 it is the adjusted Rand index. Fowlkes and
  Mallows take $S / \sqrt{AB}$.
- *Information.* $I = \sum_{ij} \frac{n_{ij}}{n} \ln \frac{n\, n_{ij}}{a_i b_j}$ is what one
  labeling tells of the other. Over the classes' entropy it is the homogeneity, over the clusters'
  the completeness, over an average of both the normalized mutual information. Many small clusters
  have a large $I$ by chance alone. $n_{ij}$ is hypergeometric when the labels are shuffled; the
  adjusted score takes the expectation of $I$ off both sides of the ratio. Successive
  probabilities have the ratio
  $\frac{P(m + 1)}{P(m)} = \frac{(a - m)(b - m)}{(m + 1)(n - a - b + m + 1)}$, and they sum to 1: no
  factorial is needed.
- *Purity* is the share of rows that belong to their cluster's most frequent class.

**By shape.** The silhouette of a row is $(b - a) / \max(a, b)$: $a$ is its mean distance to the
others of its cluster, $b$ that to the rows of the nearest other cluster. All $n^2$ distances are
needed, but only their sums: the rows are sorted by cluster, and a block of distances is made,
summed and forgotten while it lies in the cache. Caliński–Harabasz is the ratio of the mean squares
between and within clusters, Davies–Bouldin the mean over the clusters of the worst
$(s_i + s_j) / d(c_i, c_j)$, where $s$ is the mean distance to the center.

L. Hubert and P. Arabie, "Comparing partitions" (1985). N. X. Vinh, J. Epps and J. Bailey,
"Information theoretic measures for clusterings comparison" (2010). A. Rosenberg and J. Hirschberg,
"V-measure" (2007). E. B. Fowlkes and C. L. Mallows, "A method for comparing two hierarchical
clusterings" (1983). P. J. Rousseeuw, "Silhouettes" (1987). T. Caliński and J. Harabasz, "A dendrite
method for cluster analysis" (1974). D. L. Davies and D. W. Bouldin, "A cluster separation measure"
(1979).

The names, parameters and conventions are those of `sklearn.metrics`. `labels_true` and
`labels_pred` are array-like of shape (n_samples,), of any type whose values can be sorted.
"""

import warnings
from collections.abc import Callable
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from scipy.spatial.distance import cdist
from sklearn.metrics import pairwise_distances
from sklearn.utils import check_array, check_consistent_length, check_random_state, check_X_y
from sklearn.utils.multiclass import type_of_target

from unsupervised_learning.blas_threads import one_blas_thread

# --- beside known classes ------------------------------------------------------------------------


class _Contingency(NamedTuple):
    """The table of two labelings: only the cells that are not 0, and the sums."""

    n: int
    cells: NDArray[np.int64]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    row_sums: NDArray[np.int64]
    column_sums: NDArray[np.int64]


def _contingency(labels_true: ArrayLike, labels_pred: ArrayLike) -> _Contingency:
    checked = []
    for name, labels in (("labels_true", labels_true), ("labels_pred", labels_pred)):
        array = check_array(labels, ensure_2d=False, ensure_min_samples=0, dtype=None)
        if array.ndim != 1:
            raise ValueError(f"{name} has the shape {array.shape}: one label for each row is taken")
        if array.dtype.kind == "f" and "continuous" in type_of_target(array):
            warnings.warn(
                f"{name} holds fractions, each of which is a cluster of its own: give the labels "
                f"as whole numbers or text",
                UserWarning,
                stacklevel=3,
            )
        checked.append(array)
    check_consistent_length(*checked)
    row_of, row_sums = np.unique(checked[0], return_inverse=True, return_counts=True)[1:]
    column_of, column_sums = np.unique(checked[1], return_inverse=True, return_counts=True)[1:]
    width = max(1, len(column_sums))
    codes, cells = np.unique(row_of.astype(np.int64) * width + column_of, return_counts=True)
    return _Contingency(len(row_of), cells, codes // width, codes % width, row_sums, column_sums)


def _pairs(table: _Contingency) -> tuple[int, int, int, int]:
    """Twice S, A, B and T of the module's text, as Python's integers: their products are large."""
    sums = (table.cells, table.row_sums, table.column_sums, np.array([table.n]))
    s, a, b, t = (int(np.dot(counts, counts)) - table.n for counts in sums)
    return s, a, b, t


def rand_score(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """The share of pairs of rows that both labelings join, or both part; 0 to 1.

    W. M. Rand, "Objective criteria for the evaluation of clustering methods" (1971).
    """
    s, a, b, t = _pairs(_contingency(labels_true, labels_pred))
    return (t + 2 * s - a - b) / t if t else 1.0


def adjusted_rand_score(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """The Rand index with the expectation of random labels as 0 and the same clusters as 1.

    >>> adjusted_rand_score([0, 0, 1, 1], ["b", "b", "a", "a"])
    1.0
    """
    s, a, b, t = _pairs(_contingency(labels_true, labels_pred))
    return 1.0 if s == a == b else 2 * (s * t - a * b) / ((a + b) * t - 2 * a * b)


def fowlkes_mallows_score(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """The geometric mean of precision and recall over the pairs of rows; 0 to 1."""
    s, a, b, _ = _pairs(_contingency(labels_true, labels_pred))
    return sqrt(s / a) * sqrt(s / b) if s else 0.0


def purity_score(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """The share of rows that belong to the most frequent class of their cluster.

    It grows with the number of clusters, and is 1 where each row is its own.
    """
    table = _contingency(labels_true, labels_pred)
    most = np.zeros(len(table.column_sums), dtype=np.int64)
    np.maximum.at(most, table.columns, table.cells)
    return float(most.sum() / table.n) if table.n else 1.0


def _entropy(counts: NDArray[np.int64]) -> float:
    share = counts / counts.sum()
    return float(-(share @ np.log(share))) if len(counts) > 1 else 0.0


def _mutual_information(table: _Contingency) -> float:
    if len(table.row_sums) <= 1 or len(table.column_sums) <= 1:
        return 0.0
    chance = np.log(table.row_sums)[table.rows] + np.log(table.column_sums)[table.columns]
    gain = np.log(table.cells) + np.log(table.n) - chance
    return max(0.0, float(table.cells @ gain) / table.n)


def mutual_info_score(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """What one labeling tells of the other, in nats; 0 or more."""
    return _mutual_information(_contingency(labels_true, labels_pred))


_AVERAGES: dict[str, Callable[[float, float], float]] = {
    "arithmetic": lambda a, b: (a + b) / 2,
    "geometric": lambda a, b: sqrt(a * b),
    "min": min,
    "max": max,
}


def _average(name: str) -> Callable[[float, float], float]:
    if name not in _AVERAGES:
        raise ValueError(f"average_method={name!r}: one of {', '.join(_AVERAGES)} is taken")
    return _AVERAGES[name]


def normalized_mutual_info_score(
    labels_true: ArrayLike, labels_pred: ArrayLike, *, average_method: str = "arithmetic"
) -> float:
    """Mutual information over an average of the two entropies; 0 to 1.

    `average_method` is "arithmetic", "geometric", "min" or "max". Chance is not taken off.
    """
    average = _average(average_method)
    table = _contingency(labels_true, labels_pred)
    if len(table.row_sums) <= 1 and len(table.column_sums) <= 1:
        return 1.0
    information = _mutual_information(table)
    if information <= np.finfo(float).eps:
        return 0.0
    return information / average(_entropy(table.row_sums), _entropy(table.column_sums))


@njit(cache=True, nogil=True)
def _expected_information(
    n: int, row_sizes: NDArray, row_times: NDArray, column_sizes: NDArray, column_times: NDArray
) -> float:
    """The mean of the mutual information over all shuffles of the labels.

    Sizes that occur several times are given once, with how many times.
    """
    total = 0.0
    for a, a_times in zip(row_sizes, row_times):  # noqa: B905 (Numba knows no strict)
        for b, b_times in zip(column_sizes, column_times):  # noqa: B905
            mode = (a + 1) * (b + 1) // (n + 2)
            # probabilities of a cell's count m, relative to the mode's: upwards, then downwards
            share, m, mass, information = 1.0, mode, 0.0, 0.0
            while share > 1e-18:
                mass += share
                information += share * m * np.log(n * max(m, 1) / (a * b))
                share *= (a - m) * (b - m) / ((m + 1.0) * (n - a - b + m + 1.0))
                m += 1
            share, m = 1.0, mode
            while m > 0:
                share *= m * (n - a - b + m) / ((a - m + 1.0) * (b - m + 1.0))
                m -= 1
                if share < 1e-18:
                    break
                mass += share
                information += share * m * np.log(n * max(m, 1) / (a * b))
            total += a_times * b_times * information / mass
    return total / n


def adjusted_mutual_info_score(
    labels_true: ArrayLike, labels_pred: ArrayLike, *, average_method: str = "arithmetic"
) -> float:
    """Mutual information above that of random labels, over the most it could be above.

    About 0 for random labels whatever the number of clusters, 1 for the same clusters.
    `average_method`, "arithmetic", "geometric", "min" or "max", says which average of the two
    entropies is the most. Where nothing lies between chance and that most (each row a cluster of
    its own, with "min") it is 1.
    """
    average = _average(average_method)
    table = _contingency(labels_true, labels_pred)
    classes, clusters = len(table.row_sums), len(table.column_sums)
    if classes == clusters == len(table.cells):
        return 1.0
    if classes == 1 or clusters == 1:
        return 0.0
    sizes = (np.unique(s, return_counts=True) for s in (table.row_sums, table.column_sums))
    expected = _expected_information(table.n, *next(sizes), *next(sizes))
    above = _mutual_information(table) - expected
    most = average(_entropy(table.row_sums), _entropy(table.column_sums)) - expected
    if abs(most) < 1e-12:
        return 1.0
    return above / most


def homogeneity_completeness_v_measure(
    labels_true: ArrayLike, labels_pred: ArrayLike, *, beta: float = 1.0
) -> tuple[float, float, float]:
    """Whether clusters hold one class each, whether classes stay together, and both in one.

    The V-measure is the harmonic mean; `beta` above 1 gives the completeness more weight.
    """
    if beta < 0:
        raise ValueError(f"beta={beta}: the weight of the completeness is 0 or more")
    table = _contingency(labels_true, labels_pred)
    information = _mutual_information(table)
    entropies = (_entropy(table.row_sums), _entropy(table.column_sums))
    homogeneity, completeness = (information / h if h else 1.0 for h in entropies)
    if homogeneity + completeness == 0:
        return 0.0, 0.0, 0.0
    joint = (1 + beta) * homogeneity * completeness / (beta * homogeneity + completeness)
    return homogeneity, completeness, joint


def homogeneity_score(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """The share of the classes' entropy that the clusters tell: 1 if each holds one class only."""
    return homogeneity_completeness_v_measure(labels_true, labels_pred)[0]


def completeness_score(labels_true: ArrayLike, labels_pred: ArrayLike) -> float:
    """The share of the clusters' entropy that the classes tell: 1 if each class is in one only."""
    return homogeneity_completeness_v_measure(labels_true, labels_pred)[1]


def v_measure_score(labels_true: ArrayLike, labels_pred: ArrayLike, *, beta: float = 1.0) -> float:
    """The harmonic mean of homogeneity and completeness."""
    return homogeneity_completeness_v_measure(labels_true, labels_pred, beta=beta)[2]


# --- by shape ------------------------------------------------------------------------------------


class _Sorted(NamedTuple):
    """The rows by cluster: cluster c is rows[starts[c] : starts[c + 1]]; `order` is where from."""

    rows: Any
    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    sizes: NDArray[np.intp]

    def means(self) -> NDArray:
        return np.add.reduceat(self.rows, self.starts[:-1]) / self.sizes[:, None]


def _sorted(X: Any, labels: NDArray) -> _Sorted:
    label, sizes = np.unique(labels, return_inverse=True, return_counts=True)[1:]
    if not 1 < len(sizes) < len(label):
        raise ValueError(
            f"Number of labels is {len(sizes)} for {len(label)} rows: 2 to n_samples - 1 clusters "
            f"have such a score"
        )
    order = np.argsort(label, kind="stable")
    return _Sorted(X[order], order, np.concatenate([[0], np.cumsum(sizes)]), sizes)


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _euclidean_sums(
    X: NDArray, norms: NDArray, starts: NDArray, begin: int, sums: NDArray, tile: NDArray
) -> None:
    """sums[i, c] = the distances of row begin + i to all rows of cluster c, in tiles of columns."""
    n, (rows, width) = len(X), tile.shape
    block, first = X[begin : begin + rows], 0
    for left in range(0, n, width):
        right = min(left + width, n)
        products = tile.reshape(-1)[: rows * (right - left)].reshape((rows, right - left))
        np.dot(block, X[left:right].T, products)
        for i in range(rows):
            if left <= begin + i < right:  # exactly 0 from itself
                products[i, begin + i - left] = norms[begin + i]
            c, j = first, left
            while j < right:
                stop = min(starts[c + 1], right)
                total = 0.0
                for t in range(j, stop):
                    squared = norms[begin + i] + norms[t] - 2 * products[i, t - left]
                    total += np.sqrt(max(squared, 0.0))
                sums[i, c] += total
                j = stop
                c += 1
        while first < len(starts) - 2 and starts[first + 1] <= right:
            first += 1


def silhouette_samples(
    X: Any, labels: ArrayLike, *, metric: Any = "euclidean", **kwds: Any
) -> NDArray[np.float64]:
    """The silhouette of every row, -1 to 1; 0 for a row alone in its cluster.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n_samples, n_features), or with metric="precomputed"
        the distances, shape (n_samples, n_samples), with 0 on the diagonal.
    labels : array-like of shape (n_samples,), with 2 to n_samples - 1 different values.
    metric : what `sklearn.metrics.pairwise_distances` takes; `kwds` go to it.

    Returns an array of shape (n_samples,). Beyond X, memory for a few hundred rows of distances.

    >>> silhouette_samples([[0.0], [1.0], [9.0], [10.0]], [0, 0, 1, 1]).round(3).tolist()
    [0.895, 0.882, 0.882, 0.895]
    """
    X, labels = check_X_y(X, labels, accept_sparse="csr")
    precomputed = isinstance(metric, str) and metric == "precomputed"
    if precomputed and np.abs(X.diagonal()).max() > 100 * np.finfo(np.result_type(X, 1.0)).eps:
        raise ValueError(
            "a precomputed distance matrix has non-zero elements on the diagonal: a row's distance "
            "to itself is 0; use np.fill_diagonal(X, 0)"
        )
    euclidean = isinstance(metric, str) and metric == "euclidean" and not kwds and not issparse(X)
    if euclidean:
        X = X - X.mean(axis=0, dtype=np.float64)  # products lose fewer digits near 0
    rows, order, starts, sizes = _sorted(X, labels)
    n, k = len(order), len(sizes)
    norms = np.einsum("ij,ij->i", rows, rows) if euclidean else None

    def sums_of(begin: int, end: int) -> NDArray:
        """The distances of the rows from begin to end to each cluster, summed."""
        if euclidean:
            sums = np.zeros((end - begin, k))
            with one_blas_thread():
                _euclidean_sums(rows, norms, starts, begin, sums, np.empty((end - begin, 1024)))
            return sums
        if precomputed:
            distances = rows[begin:end][:, order]
        else:
            distances = pairwise_distances(rows[begin:end], rows, metric=metric, **kwds)
        if issparse(distances):
            distances = distances.toarray()
        return np.add.reduceat(distances, starts[:-1], axis=1, dtype=np.float64)

    own = np.repeat(np.arange(k), sizes)
    result = np.empty(n)
    step = 64 if euclidean else max(1, 2**21 // n)
    for begin in range(0, n, step):
        end = min(begin + step, n)
        block, each, sums = own[begin:end], np.arange(end - begin), sums_of(begin, end)
        within = sums[each, block] / np.maximum(sizes[block] - 1, 1)
        sums /= sizes
        sums[each, block] = np.inf
        beside = sums.min(axis=1)
        larger = np.maximum(within, beside)
        known = (sizes[block] > 1) & (larger > 0)
        result[order[begin:end]] = np.where(
            known, (beside - within) / np.where(known, larger, 1.0), 0.0
        )
    return result


def silhouette_score(
    X: Any,
    labels: ArrayLike,
    *,
    metric: Any = "euclidean",
    sample_size: int | None = None,
    random_state: Any = None,
    **kwds: Any,
) -> float:
    """The mean silhouette; of `sample_size` rows drawn with `random_state`, where that is given."""
    if sample_size is not None:
        X, labels = check_X_y(X, labels, accept_sparse="csr")
        chosen = check_random_state(random_state).permutation(X.shape[0])[:sample_size]
        precomputed = isinstance(metric, str) and metric == "precomputed"
        X, labels = X[chosen][:, chosen] if precomputed else X[chosen], labels[chosen]
    return float(silhouette_samples(X, labels, metric=metric, **kwds).mean())


def calinski_harabasz_score(X: ArrayLike, labels: ArrayLike) -> float:
    """The mean square between clusters over that within; 1 where no row is off its mean."""
    X, labels = check_X_y(X, labels, dtype=np.float64)
    groups = _sorted(X - X.mean(axis=0), labels)
    means, (n, k) = groups.means(), (len(X), len(groups.sizes))
    between = float(groups.sizes @ (means**2).sum(axis=1))
    within = float(((groups.rows - np.repeat(means, groups.sizes, axis=0)) ** 2).sum())
    return between * (n - k) / (within * (k - 1)) if within else 1.0


def davies_bouldin_score(X: ArrayLike, labels: ArrayLike) -> float:
    """The mean over the clusters of how near the worst other one lies, in their widths; 0 is best.

    Clusters with the same center are not compared.
    """
    X, labels = check_X_y(X, labels, dtype=np.float64)
    groups = _sorted(X, labels)
    means = groups.means()
    off = groups.rows - np.repeat(means, groups.sizes, axis=0)
    widths = np.add.reduceat(np.sqrt(np.einsum("ij,ij->i", off, off)), groups.starts[:-1])
    widths /= groups.sizes
    apart = cdist(means, means)
    if np.allclose(widths, 0) or np.allclose(apart, 0):
        return 0.0
    apart[apart == 0] = np.inf
    return float(((widths[:, None] + widths) / apart).max(axis=1).mean())
