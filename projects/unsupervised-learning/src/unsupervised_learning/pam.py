r"""Partitioning around medoids: k rows that represent all others, for any dissimilarity.

Of $n$ rows with the dissimilarities $d(i, j)$, choose the medoids $M$, $|M| = k$, that make

$$ L(M) = \sum_i \min_{m \in M} d(i, m) $$

small. A medoid is a row, so no mean has to exist: any dissimilarity will do. And the distances are
not squared, so a far row pulls less than in k-means. Kaufman and Rousseeuw search in two phases.

**Build.** The first medoid is the row with the least sum of dissimilarities; each further one is
the row that lowers $L$ most. The gain of a row, $\sum_i \max(0, D_i - d(i, j))$ with $D_i$ the
dissimilarity to the nearest medoid, can only fall as medoids are added. A gain of an earlier round
is thus an upper bound: the rows are tried in its order, and the round ends when the next bound is
below the best gain. The choice is the same; most of the gains are never computed.

**Swap.** Put a row in the place of a medoid wherever that lowers $L$. With $E_i$ the dissimilarity
to the second nearest medoid, taking medoid $m$ away costs $R_m = \sum_{i: m_i = m} (E_i - D_i)$.
If row $j$ comes instead, $L$ changes by

$$ \Delta(m, j) = R_m + \sum_i \min(0, d_{ij} - D_i)
+ \sum_{i: m_i = m} (\min(E_i, d_{ij}) - E_i - \min(0, d_{ij} - D_i)) : $$

the second term is the same for all $m$, and in the third each $i$ belongs to one $m$ only. One pass
over the rows gives $\Delta(m, j)$ for all $k$ medoids at once, where the first algorithm took $k$.
*PAM* makes the best of all swaps, then begins again: $n^2$ steps each. *FasterPAM* makes the best
swap of each row as soon as it is found, and goes on with the next row: a pass of $n^2$ steps makes
many swaps. Both end where no swap lowers $L$.

L. Kaufman and P. J. Rousseeuw, "Finding groups in data" (1990). E. Schubert and P. J. Rousseeuw,
"Fast and eager k-medoids clustering" (2021). M. Minoux, "Accelerated greedy algorithms for
maximizing submodular set functions" (1978).
"""

import warnings
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import pairwise_distances, pairwise_distances_argmin
from sklearn.metrics.pairwise import _VALID_METRICS
from sklearn.utils import Tags, check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from unsupervised_learning.distance_matrix import euclidean_matrix
from unsupervised_learning.kmeans_steps import nearest

# --- build ---------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _sum(row: NDArray) -> float:
    total = 0.0
    for i in range(len(row)):
        total += row[i]
    return total


@njit(cache=True, nogil=True)
def _gain(row: NDArray, closest: NDArray) -> float:
    """By how much the loss falls when the row with these dissimilarities becomes a medoid."""
    total = 0.0
    for i in range(len(row)):
        total += max(closest[i] - row[i], 0.0)
    return total


@njit(cache=True, nogil=True)
def build(D: NDArray, k: int) -> NDArray[np.int64]:
    """The medoids that the build phase chooses, the first of equally good rows each time."""
    n = len(D)
    medoids = np.empty(k, np.int64)
    sums = np.array([_sum(D[j]) for j in range(n)])
    medoids[0] = np.argmin(sums)
    closest = D[medoids[0]].copy()
    bounds = np.full(n, np.inf)
    for c in range(1, k):
        bounds[medoids[:c]] = -1.0
        best, chosen = -1.0, n
        for j in np.argsort(-bounds, kind="mergesort"):
            if bounds[j] < best or bounds[j] < 0:
                break
            bounds[j] = _gain(D[j], closest)
            if bounds[j] > best or (bounds[j] == best and j < chosen):
                best, chosen = bounds[j], j
        medoids[c] = chosen
        closest = np.minimum(closest, D[chosen])
    return medoids


# --- swap ----------------------------------------------------------------------------------------
# The state of a search: for each row the number of its nearest medoid and of the second nearest,
# and the dissimilarities to these two.


@njit(cache=True, nogil=True)
def _two_nearest(D: NDArray, medoids: NDArray, i: int, state: tuple) -> None:
    first, second, near, far = state
    near[i] = far[i] = np.inf
    for c in range(len(medoids)):
        distance = D[medoids[c], i]
        if distance < near[i]:
            second[i], far[i] = first[i], near[i]
            first[i], near[i] = c, distance
        elif distance < far[i]:
            second[i], far[i] = c, distance


@njit(cache=True, nogil=True)
def _removal_costs(state: tuple, removal: NDArray) -> None:
    """removal[m] = by how much the loss grows without medoid m."""
    first, _, near, far = state
    removal[:] = 0.0
    for i in range(len(near)):
        removal[first[i]] += far[i] - near[i]


@njit(cache=True, nogil=True)
def _begin(D: NDArray, medoids: NDArray) -> tuple[tuple, NDArray]:
    n = len(D)
    state = (np.zeros(n, np.int32), np.zeros(n, np.int32), np.empty(n), np.empty(n))
    for i in range(n):
        _two_nearest(D, medoids, i, state)
    removal = np.empty(len(medoids))
    _removal_costs(state, removal)
    return state, removal


@njit(cache=True, nogil=True)
def _best_swap(row: NDArray, state: tuple, removal: NDArray, change: NDArray) -> tuple[int, float]:
    """The medoid to give up for the row with these dissimilarities, and the loss's change."""
    first, _, near, far = state
    change[:] = removal
    common = 0.0
    for i in range(len(row)):
        distance = row[i]
        if distance < far[i]:
            if distance < near[i]:
                common += distance - near[i]
                change[first[i]] += near[i] - far[i]
            else:
                change[first[i]] += distance - far[i]
    medoid = int(np.argmin(change))
    return medoid, change[medoid] + common


@njit(cache=True, nogil=True)
def _exchange(
    D: NDArray, medoids: NDArray, medoid: int, row: int, state: tuple, removal: NDArray
) -> float:
    """Put the row in the medoid's place; returns the loss."""
    first, second, near, far = state
    medoids[medoid] = row
    for i in range(len(D)):
        distance = D[row, i]
        if first[i] == medoid or second[i] == medoid:
            _two_nearest(D, medoids, i, state)
        elif distance < near[i]:
            second[i], far[i] = first[i], near[i]
            first[i], near[i] = medoid, distance
        elif distance < far[i]:
            second[i], far[i] = medoid, distance
    _removal_costs(state, removal)
    return float(near.sum())


@njit(cache=True, nogil=True)
def swap_eagerly(D: NDArray, medoids: NDArray, max_iter: int) -> tuple[float, int, bool]:
    """FasterPAM: make the best swap of each row at once, until none has lowered the loss.

    Changes `medoids`. Returns the loss, the passes, and whether they came to an end.
    """
    state, removal = _begin(D, medoids)
    change = np.empty(len(medoids))
    loss, last = float(state[2].sum()), -1
    for iteration in range(1, max_iter + 1):
        for row in range(len(D)):
            if row == last:  # all others have been tried since
                return loss, iteration, True
            if medoids[state[0][row]] == row:
                continue
            medoid, difference = _best_swap(D[row], state, removal, change)
            if difference < -1e-14 * loss:
                loss = _exchange(D, medoids, medoid, row, state, removal)
                last = row
        if last < 0:
            return loss, iteration, True
    return loss, max_iter, False


@njit(cache=True, nogil=True)
def swap_best(D: NDArray, medoids: NDArray, max_iter: int) -> tuple[float, int, bool]:
    """PAM: find the best of all swaps and make it, until none lowers the loss; as above."""
    state, removal = _begin(D, medoids)
    change = np.empty(len(medoids))
    loss = float(state[2].sum())
    for iteration in range(1, max_iter + 1):
        best, best_medoid, best_row = -1e-14 * loss, -1, -1
        for row in range(len(D)):
            medoid, difference = _best_swap(D[row], state, removal, change)
            if difference < best:
                best, best_medoid, best_row = difference, medoid, row
        if best_row < 0:
            return loss, iteration, True
        loss = _exchange(D, medoids, best_medoid, best_row, state, removal)
    return loss, max_iter, False


# --- the estimator -------------------------------------------------------------------------------


class KMedoids(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """Clusters around k rows, the medoids, with the least sum of dissimilarities to them.

    Parameters
    ----------
    n_clusters : how many clusters, 1 or more.
    metric : what `sklearn.metrics.pairwise_distances` takes, or "precomputed": then X is the
        symmetric matrix of dissimilarities.
    metric_params : further arguments of the metric, a dict, or None.
    method : "fasterpam", or "pam" for the first algorithm's swaps: one at a time, the best of all.
    init : the first medoids: "build", greedily; "k-medoids++", drawn with probability proportional
        to the dissimilarity to the nearest so far; "random"; or the numbers of the rows,
        array-like of shape (n_clusters,).
    max_iter : the most passes over the rows ("fasterpam") or swaps ("pam").
    random_state : int, RandomState or None; the source of drawn medoids.

    Attributes
    ----------
    medoid_indices_ : ndarray of shape (n_clusters,), the rows that are medoids.
    cluster_centers_ : ndarray of shape (n_clusters, n_features), these rows; None with
        metric="precomputed".
    labels_ : ndarray of shape (n_samples,), int32; the nearest medoid of every row.
    inertia_ : the sum of the dissimilarities to the nearest medoids.
    n_iter_ : the passes or swaps.
    n_features_in_, feature_names_in_ : as everywhere in scikit-learn.

    Raises ValueError for fewer rows than clusters and for a matrix of dissimilarities that is not
    square, not symmetric or negative somewhere, `ConvergenceWarning` where `max_iter` was reached
    or there are fewer distinct rows than clusters. All n² dissimilarities are held at once.

    L. Kaufman and P. J. Rousseeuw, "Finding groups in data" (1990). E. Schubert and P. J.
    Rousseeuw, "Fast and eager k-medoids clustering" (2021).

    Examples
    --------
    >>> from unsupervised_learning.pam import KMedoids
    >>> model = KMedoids(2, metric="manhattan").fit([[0.0], [1.0], [3.0], [9.0], [10.0], [99.0]])
    >>> model.cluster_centers_.ravel().tolist()
    [3.0, 99.0]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "metric": [StrOptions({*_VALID_METRICS, "precomputed"}), callable],
        "metric_params": [dict, None],
        "method": [StrOptions({"fasterpam", "pam"})],
        "init": [StrOptions({"build", "k-medoids++", "random"}), "array-like"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        metric: Any = "euclidean",
        metric_params: dict[str, Any] | None = None,
        method: str = "fasterpam",
        init: Any = "build",
        max_iter: int = 300,
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.metric = metric
        self.metric_params = metric_params
        self.method = method
        self.init = init
        self.max_iter = max_iter
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self._is_precomputed
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _is_precomputed(self) -> bool:
        return isinstance(self.metric, str) and self.metric == "precomputed"

    @property
    def _is_euclidean(self) -> bool:
        return (
            isinstance(self.metric, str) and self.metric == "euclidean" and not self.metric_params
        )

    @property
    def _n_features_out(self) -> int:
        return len(self.medoid_indices_)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Find the medoids.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or (n_samples, n_samples) with
            metric="precomputed".
        y : ignored.
        """
        data = validate_data(self, X, dtype=[np.float64, np.float32], order="C")
        if len(data) < self.n_clusters:
            raise ValueError(
                f"n_samples={len(data)} should be >= n_clusters={self.n_clusters}: give more rows "
                f"or ask for fewer clusters"
            )
        D = euclidean_matrix(data) if self._is_euclidean else self._distances(data)
        D = np.ascontiguousarray(D)
        if self._is_precomputed and (difference := _asymmetry(D)) > 1e-6 * D.max():
            raise ValueError(
                f"the matrix of dissimilarities is not symmetric: two entries differ by "
                f"{difference:.3g}; take (D + D.T) / 2 if that is what is meant"
            )
        medoids = self._first_medoids(D)
        if self.n_clusters == 1:  # there is nothing to swap: the least sum is the answer
            medoids = build(D, 1)
            self.inertia_, self.n_iter_, converged = float(D[medoids[0]].sum()), 1, True
        else:
            search = swap_eagerly if self.method == "fasterpam" else swap_best
            self.inertia_, self.n_iter_, converged = search(D, medoids, self.max_iter)
        self.medoid_indices_ = medoids
        self.cluster_centers_: Any = None if self._is_precomputed else data[medoids]
        self.labels_ = self._labels(data)
        distinct = len(np.unique(self.labels_))
        if distinct < self.n_clusters:
            warnings.warn(
                f"only {distinct} of n_clusters={self.n_clusters} clusters have rows: there may be "
                f"fewer distinct rows than clusters; ask for fewer",
                ConvergenceWarning,
                stacklevel=2,
            )
        elif not converged:
            warnings.warn(
                f"no convergence in max_iter={self.max_iter} iterations: raise max_iter",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:
        """The number of the nearest medoid of every row.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), or with metric="precomputed" the
            dissimilarities to the rows of `fit`, shape (n_queries, n_samples).
        """
        return self._labels(self._data(X))

    def transform(self, X: ArrayLike) -> NDArray:
        """The dissimilarity of every row to every medoid, shape (n_queries, n_clusters)."""
        data = self._data(X)
        if self._is_precomputed:
            return data[:, self.medoid_indices_]
        return self._distances(data, self.cluster_centers_).astype(data.dtype, copy=False)

    def _data(self, X: ArrayLike) -> NDArray:
        check_is_fitted(self)
        dtypes = [np.float64, np.float32]
        return validate_data(self, X, dtype=dtypes, order="C", reset=False)

    def _distances(self, X: NDArray, Y: NDArray | None = None) -> NDArray:
        return pairwise_distances(X, Y, metric=self.metric, **(self.metric_params or {}))

    def _labels(self, data: NDArray) -> NDArray[np.int32]:
        if self._is_precomputed:
            return data[:, self.medoid_indices_].argmin(axis=1).astype(np.int32)
        if self._is_euclidean:
            return nearest(data, self.cluster_centers_.astype(data.dtype, copy=False))
        return pairwise_distances_argmin(
            data, self.cluster_centers_, metric=self.metric, metric_kwargs=self.metric_params
        ).astype(np.int32)

    def _first_medoids(self, D: NDArray) -> NDArray[np.int64]:
        n, k = len(D), self.n_clusters
        if not isinstance(self.init, str):
            given = check_array(self.init, ensure_2d=False, dtype=np.int64, copy=True)
            if (
                given.shape != (k,)
                or len(np.unique(given)) < k
                or given.min() < 0
                or given.max() >= n
            ):
                raise ValueError(
                    f"init names the first medoids: {k} different row numbers below {n} are needed"
                )
            return given
        random_state = check_random_state(self.random_state)
        if self.init == "build":
            return build(D, k)
        if self.init == "random":
            return random_state.permutation(n)[:k].astype(np.int64)
        chosen = [int(random_state.randint(n))]
        closest = D[chosen[0]].astype(np.float64)
        while len(chosen) < k:
            weight = closest if closest.any() else np.isin(np.arange(n), chosen, invert=True)
            chosen.append(int(random_state.choice(n, p=weight / weight.sum())))
            closest = np.minimum(closest, D[chosen[-1]])
        return np.array(chosen, dtype=np.int64)


@njit(cache=True, nogil=True)
def _asymmetry(D: NDArray) -> float:
    """The largest |D[i, j] - D[j, i]|, in tiles: a column would be read with a miss an entry."""
    largest, n, width = 0.0, len(D), 32
    for top in range(0, n, width):
        for left in range(0, top + 1, width):
            for i in range(top, min(top + width, n)):
                for j in range(left, min(left + width, n)):
                    largest = max(largest, abs(D[i, j] - D[j, i]))
    return largest
