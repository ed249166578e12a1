r"""Agglomerative clustering: from single rows to one cluster, the two nearest first.

A *linkage* says how far apart two clusters lie: by their nearest points (single), their farthest
points (complete), the mean over all pairs (average), or by what the merge adds to the sum of
squares about the means (Ward),

$$d(A, B)^2 = \frac{2\,|A|\,|B|}{|A| + |B|}\,\lVert \bar a - \bar b \rVert^2.$$

After a merge the distances to the new cluster follow from the old ones (Godfrey Lance and William
Williams, "A general theory of classificatory sorting strategies", 1967). With sizes $a$, $b$, $c$:

| linkage | $d(A \cup B, C)$ |
| --- | --- |
| complete | $\max\{d(A, C),\ d(B, C)\}$ |
| average | $(a\,d(A, C) + b\,d(B, C)) / (a + b)$ |
| Ward | $\sqrt{((a + c)\,d(A, C)^2 + (b + c)\,d(B, C)^2 - c\,d(A, B)^2) / (a + b + c)}$ |

**Nearest-neighbor chain.** To look for the nearest pair before every merge takes cubic time. With
these linkages a merge brings no third cluster nearer than it was: $d(A \cup B, C) \ge
\min\{d(A, C), d(B, C)\}$. So two clusters that are each other's nearest stay so, whatever else is
merged, and may be merged at once. To find such a pair, go from any cluster to its nearest, from
there to its nearest, and so on: distances fall until two point at each other. What lies before them
in the chain stays valid, so that there are at most $3n$ searches of a row. Sorted by distance, the
merges are those of the slow way. (Fionn Murtagh, "A survey of recent advances in hierarchical
clustering algorithms", 1983; Daniel Müllner, "Modern hierarchical, agglomerative clustering
algorithms", 2011; Joe Ward, "Hierarchical grouping to optimize an objective function", 1963.)

**Single linkage** is the minimum spanning tree, which needs no matrix of distances. In the order of
Prim's algorithm, the edge that takes point $k$ in may as well hang on the point taken in before it:
the longest edge between any two points stays the same, and so do the merges.
"""

from heapq import heappush, heappushpop
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from unsupervised_learning.neighbor_search import (
    EUCLIDEAN,
    METRICS,
    PRECOMPUTED,
    check_distances,
)
from unsupervised_learning.spanning_tree import CHUNK, distances_from, merge_edges, prim

WARD, COMPLETE, AVERAGE = 0, 1, 2
LINKAGES = {"ward": WARD, "complete": COMPLETE, "average": AVERAGE}

#: The side of the tiles in which a matrix is mirrored.
_TILE = 32


class AgglomerativeClustering(ClusterMixin, BaseEstimator):
    """Clusters from merging the nearest two, again and again.

    Parameters
    ----------
    n_clusters : how many clusters to cut the tree into; None where `distance_threshold` is given.
    metric : "euclidean" ("l2"), "manhattan" ("l1", "cityblock"), or "precomputed": then X holds the
        symmetric distances, shape (n_samples, n_samples). Ward's linkage takes the first only.
    linkage : "ward", "complete", "average" or "single".
    distance_threshold : cut the tree so that merges at this distance or beyond are undone; None
        where `n_clusters` is given.
    compute_distances : whether to keep `distances_` also without a threshold.

    Attributes
    ----------
    labels_ : the cluster of each row, shape (n_samples,).
    n_clusters_ : how many there are.
    children_ : what merge i joins, shape (n_samples - 1, 2): a row, or n_samples + j for the
        cluster of merge j.
    distances_ : the distance of the two, shape (n_samples - 1,), growing; see `compute_distances`.
    n_leaves_ : n_samples.
    n_connected_components_ : 1.
    n_features_in_, feature_names_in_ : as everywhere in scikit-learn.

    Notes
    -----
    Merges and labels are those of scikit-learn, ties included; with "single" and "precomputed"
    distances they may differ in ties. Time is quadratic in the rows. Single linkage takes linear
    memory (for points), the others 8 n_samples² bytes.

    References
    ----------
    Daniel Müllner, "Modern hierarchical, agglomerative clustering algorithms", 2011.

    Examples
    --------
    >>> from unsupervised_learning.hierarchical import AgglomerativeClustering
    >>> X = [[1, 2], [1, 4], [1, 0], [4, 2], [4, 4], [4, 0]]
    >>> AgglomerativeClustering().fit_predict(X).tolist()
    [1, 1, 1, 0, 0, 0]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left"), None],
        "metric": [StrOptions(set(METRICS))],
        "linkage": [StrOptions({*LINKAGES, "single"})],
        "distance_threshold": [Interval(Real, 0, None, closed="left"), None],
        "compute_distances": ["boolean"],
    }

    def __init__(
        self,
        n_clusters: int | None = 2,
        *,
        metric: str = "euclidean",
        linkage: str = "ward",
        distance_threshold: float | None = None,
        compute_distances: bool = False,
    ) -> None:
        self.n_clusters = n_clusters
        self.metric = metric
        self.linkage = linkage
        self.distance_threshold = distance_threshold
        self.compute_distances = compute_distances

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None) -> "AgglomerativeClustering":
        """Merge the rows of X into one cluster, and cut the tree.

        Parameters
        ----------
        X : (n_samples, n_features), or the distances (n_samples, n_samples).
        y : ignored.

        Raises ValueError for fewer than 2 rows or than `n_clusters`, for missing or infinite
        values, for precomputed distances that are not square or not symmetric, and where not
        exactly one of `n_clusters` and `distance_threshold` is given.
        """
        X = validate_data(self, X, ensure_min_samples=2)
        if (self.n_clusters is None) == (self.distance_threshold is None):
            raise ValueError(
                "Exactly one of n_clusters and distance_threshold has to be set, and the other "
                "needs to be None."
            )
        metric, n = METRICS[self.metric], len(X)
        if self.linkage == "ward" and metric != EUCLIDEAN:
            raise ValueError(
                f"metric={self.metric!r} does not go with Ward's linkage, which is about squared "
                "euclidean distances; take 'euclidean' or another linkage"
            )
        if metric == PRECOMPUTED:
            check_distances(X)
        if self.n_clusters is not None and self.n_clusters > n:
            raise ValueError(
                f"n_clusters={self.n_clusters} is more than the {n} rows in X; give at most {n}"
            )
        X = np.ascontiguousarray(X, dtype=np.float64)
        self.children_, distances = merges(X, self.linkage, metric)
        self.n_leaves_, self.n_connected_components_ = n, 1
        if self.compute_distances or self.distance_threshold is not None:
            self.distances_ = distances
        if self.n_clusters is None:
            self.n_clusters_ = int(np.count_nonzero(distances >= self.distance_threshold)) + 1
        else:
            self.n_clusters_ = int(self.n_clusters)
        self.labels_ = cut(self.children_, self.n_clusters_)
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.metric == "precomputed"
        return tags


def linkage_matrix(model: AgglomerativeClustering) -> NDArray[np.float64]:
    """The tree as SciPy writes it, shape (n_samples - 1, 4): two children, distance, size.

    Raises NotFittedError before a fit, and ValueError where the model kept no distances.
    """
    check_is_fitted(model)
    if not hasattr(model, "distances_"):
        raise ValueError("the model kept no distances; fit it with compute_distances=True")
    n = model.n_leaves_
    size = np.ones(2 * n - 1)
    for merge, (a, b) in enumerate(model.children_):
        size[n + merge] = size[a] + size[b]
    return np.column_stack([model.children_, model.distances_, size[n:]])


def merges(X: NDArray[np.float64], linkage: str, metric: int) -> tuple[NDArray, NDArray]:
    """The merges in the order of their distances: children (n - 1, 2) and distances (n - 1,)."""
    if linkage == "single":
        visited, _, distance = prim(X, np.zeros(len(X)), metric)
        if metric == EUCLIDEAN:
            distance = np.sqrt(distance)
        _check_finite(distance.max())
        order = np.argsort(distance, kind="stable")
        children = merge_edges(visited[:-1][order], visited[1:][order])[0]
        return children, distance[order]
    square = X.copy() if metric == PRECOMPUTED else distances_between(X, metric)
    _check_finite(square.max())
    first, second, distance = nearest_neighbor_chain(square, LINKAGES[linkage])
    order = np.argsort(distance, kind="stable")
    children = merge_edges(first[order], second[order])[0]
    return np.sort(children, axis=1), distance[order]


def _check_finite(largest: float) -> None:
    if not np.isfinite(largest):
        raise ValueError("the distances between rows of X are too large for float64; rescale X")


def cut(children: NDArray[np.int64], n_clusters: int) -> NDArray[np.int64]:
    """The labels (n,) that undo the last `n_clusters` - 1 merges.

    The nodes to split lie in a heap, the latest merge on top; a cluster's label is the place where
    its node lies in the end.
    """
    n = len(children) + 1
    heap = [-(2 * n - 2)]
    for _ in range(n_clusters - 1):
        left, right = children[-heap[0] - n]
        heappush(heap, -int(left))
        heappushpop(heap, -int(right))
    return _spread(children, -np.array(heap))


@njit(cache=True, nogil=True)
def _spread(children, nodes):
    """Give every row the number of the node above it."""
    n = len(children) + 1
    label = np.full(2 * n - 1, -1)
    for number, node in enumerate(nodes):
        label[node] = number
    for node in range(2 * n - 2, n - 1, -1):
        if label[node] >= 0:
            for child in children[node - n]:
                label[child] = label[node]
    return label[:n].copy()


@njit(cache=True, nogil=True)
def distances_between(x, metric):
    """All distances of the rows of x, (n, n)."""
    n = len(x)
    columns, square = x.T.copy(), np.empty((n, n))
    row, apart = np.arange(n), np.empty(CHUNK)
    for first in range(0, n, CHUNK):
        size = min(CHUNK, n - first)
        for i in range(first + size):
            distances_from(x, i, columns, row, first, size, metric, apart)
            for j in range(size):
                square[i, first + j] = np.sqrt(apart[j]) if metric == EUCLIDEAN else apart[j]
    # Above the diagonal every entry is known; the rest mirrors it, tile by tile.
    for first in range(0, n, _TILE):
        for i in range(first, n):
            for j in range(first, min(first + _TILE, i)):
                square[i, j] = square[j, i]
    return square


@njit(cache=True, nogil=True)
def nearest_neighbor_chain(square, linkage):
    """Merge mutual nearest neighbors until one cluster is left.

    Parameters
    ----------
    square : the distances, (n, n); used as room for those of the clusters.
    linkage : WARD, COMPLETE or AVERAGE.

    Returns
    -------
    first, second : (n - 1,), a row of each of the two clusters, in the order of the chain.
    distance : (n - 1,).
    """
    n = len(square)
    first, second = np.empty(n - 1, np.int64), np.empty(n - 1, np.int64)
    distance = np.empty(n - 1)
    row, size = np.arange(n), np.ones(n)
    chain, length, start = np.empty(n, np.int64), 0, 0
    left = n
    for i in range(n):
        square[i, i] = np.inf
    for merge in range(n - 1):
        if 2 * (n - merge) < left:
            left = _close_up(square, row, size, chain[:length], left)
            start = 0
        if length == 0:
            while size[start] == 0:
                start += 1
            chain[0], length = start, 1
        while True:
            x = chain[length - 1]
            y, apart = _nearest(square[x], size, left)
            # At equal distances, turn back: a chain that goes on might go round.
            if length > 1 and square[x, chain[length - 2]] == apart:
                y = chain[length - 2]
                break
            chain[length] = y
            length += 1
        length -= 2
        x, y = min(x, y), max(x, y)
        first[merge], second[merge], distance[merge] = row[x], row[y], apart
        _update(square, size, x, y, apart, left, linkage)
        size[y] += size[x]
        size[x] = 0.0
    return first, second, distance


# NaN cannot reach the next two: distances are finite, but for the diagonal, which is infinite.
@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _nearest(row, size, left):
    """The first of the smallest entries of clusters that still exist, and its value."""
    shortest, start = np.inf, 0
    for first in range(0, left, CHUNK):
        low = np.inf
        for j in range(first, min(first + CHUNK, left)):
            low = min(low, row[j] if size[j] > 0 else np.inf)
        if low < shortest:
            shortest, start = low, first
    place = start
    while row[place] != shortest or size[place] == 0:
        place += 1
    return place, shortest


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _update(square, size, x, y, apart, left, linkage):
    """Put the distances of the union of x and y in the place of y's."""
    a, b, to_x, to_y = size[x], size[y], square[x], square[y]
    if linkage == WARD:
        for i in range(left):
            c = size[i]
            t = 1.0 / (a + b + c)
            far = (c + a) * t * to_x[i] * to_x[i] + (c + b) * t * to_y[i] * to_y[i]
            to_y[i] = np.sqrt(far - c * t * apart * apart)
    elif linkage == COMPLETE:
        for i in range(left):
            to_y[i] = max(to_x[i], to_y[i])
    else:
        for i in range(left):
            to_y[i] = (a * to_x[i] + b * to_y[i]) / (a + b)
    to_y[y] = np.inf
    for i in range(left):
        if size[i] > 0:
            square[i, y] = to_y[i]


@njit(cache=True, nogil=True)
def _close_up(square, row, size, chain, left):
    """Move the clusters that still exist together, in their order; returns how many there are."""
    old = np.flatnonzero(size[:left] > 0)
    place = np.empty(left, np.int64)
    for new in range(len(old)):
        place[old[new]] = new
        row[new], size[new] = row[old[new]], size[old[new]]
        for j in range(len(old)):
            square[new, j] = square[old[new], old[j]]
    for i in range(len(chain)):
        chain[i] = place[chain[i]]
    return len(old)
