r"""DBSCAN: clusters are what is connected at a given density.

A point is a *core point* where at least `min_samples` points, itself among them, lie within `eps`
of it. Core points within `eps` of each other belong to one cluster; a point that is no core point
but lies within `eps` of one is on the *border* of its cluster; all others are *noise*. So the
clusters are the connected components of a graph on the core points, and they may have any shape.
(Martin Ester, Hans-Peter Kriegel, Jörg Sander and Xiaowei Xu, "A density-based algorithm for
discovering clusters in large spatial databases with noise", 1996.)

Clusters are numbered by their first core point in the order of the rows. A border point that
several clusters reach belongs to the one with the smallest number. That is what the paper's search
gives when it begins with the first row, and it settles every tie.

**One pass over the neighbors.** A search from point to point needs every neighborhood, and to
keep them all takes memory without a bound. Here each pair of neighbors is met once. It counts for
both; where both are known to be core points by then, their components are joined at once, in a
union-find forest, and the pair is forgotten. Otherwise it is kept: then one of the two has fewer
than `min_samples` neighbors so far, so that at most $n\,(m - 1)$ pairs are ever kept, with
$m$ = `min_samples`. Two leaves of the tree whose points are all core points of one component have
nothing more to tell, and are passed over.
"""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, validate_data

from unsupervised_learning.blas_threads import one_blas_thread
from unsupervised_learning.neighbor_search import (
    EUCLIDEAN,
    METRICS,
    PRECOMPUTED,
    build_tree,
    check_distances,
    gap,
    make_room,
    pairs_within,
)


class DBSCAN(ClusterMixin, BaseEstimator):
    """Clusters of core points that lie within a radius of each other, and noise.

    Parameters
    ----------
    eps : the radius of a neighborhood, its edge included.
    min_samples : a point with this many points within `eps`, itself among them, is a core point.
    metric : "euclidean" ("l2"), "manhattan" ("l1", "cityblock"), or "precomputed": then X holds the
        symmetric distances, shape (n_samples, n_samples).

    Attributes
    ----------
    labels_ : the cluster of each row, shape (n_samples,), from 0; -1 is noise.
    core_sample_indices_ : the rows that are core points, in order, shape (n_core_samples,).
    components_ : the core points, shape (n_core_samples, n_features).
    n_features_in_, feature_names_in_ : as everywhere in scikit-learn.

    Notes
    -----
    Labels and core points are those of scikit-learn. Memory is linear in the rows: at most
    `min_samples` - 1 pairs are kept for each (only with negative weights, all pairs of neighbors).

    References
    ----------
    Martin Ester, Hans-Peter Kriegel, Jörg Sander and Xiaowei Xu, "A density-based algorithm for
    discovering clusters in large spatial databases with noise", 1996.

    Examples
    --------
    >>> from unsupervised_learning.dbscan import DBSCAN
    >>> X = [[1, 2], [2, 2], [2, 3], [8, 7], [8, 8], [25, 80]]
    >>> DBSCAN(eps=3, min_samples=2).fit_predict(X).tolist()
    [0, 0, 0, 1, 1, -1]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "eps": [Interval(Real, 0, None, closed="neither")],
        "min_samples": [Interval(Integral, 1, None, closed="left")],
        "metric": [StrOptions(set(METRICS))],
    }

    def __init__(
        self, eps: float = 0.5, *, min_samples: int = 5, metric: str = "euclidean"
    ) -> None:
        self.eps = eps
        self.min_samples = min_samples
        self.metric = metric

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> "DBSCAN":
        """Find the clusters of the rows of X.

        Parameters
        ----------
        X : (n_samples, n_features), or the distances (n_samples, n_samples).
        y : ignored.
        sample_weight : (n_samples,), how many points each row stands for; a row of the weight
            `min_samples` is a core point by itself, and a negative weight keeps its neighbors from
            being one. None: 1 each.

        Raises ValueError for missing or infinite values, and for precomputed distances that are
        not square or not symmetric.
        """
        X = validate_data(self, X)
        n = len(X)
        if sample_weight is None:
            weight = np.ones(n)
        else:
            weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        metric = METRICS[self.metric]
        if metric == PRECOMPUTED:
            check_distances(X)
        tree = build_tree(np.ascontiguousarray(X, dtype=np.float64), metric)
        radius = self.eps * self.eps if metric == EUCLIDEAN else self.eps
        with one_blas_thread():
            count, parent, kept = _meet_neighbors(
                tree, float(radius), float(self.min_samples), weight[tree.order]
            )
        core = count >= self.min_samples
        rank = np.empty(n, np.int64)
        rank[tree.order] = np.arange(n)
        self.labels_ = _label(core, parent, kept, rank)[rank]
        self.core_sample_indices_ = np.flatnonzero(core[rank])
        self.components_ = X[self.core_sample_indices_].copy()
        return self

    def fit_predict(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> NDArray[np.int64]:
        """Find the clusters and return `labels_`; the parameters are those of `fit`."""
        return self.fit(X, sample_weight=sample_weight).labels_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.metric == "precomputed"
        return tags


@njit(cache=True, nogil=True)
def _meet_neighbors(tree, radius, min_samples, weight):
    """Meet every pair of neighbors once.

    Returns the weight within the radius of each point (for a core point, at least `min_samples`),
    the forest of the components joined on the way, and the pairs that were kept, (m, 2).
    """
    n = len(weight)
    count, parent = weight.copy(), np.arange(n)
    kept, used = np.empty((max(n, 16), 2), np.int32), 0
    # With a negative weight ahead, a core point need not stay one: then every pair is kept.
    final = weight.min() >= 0
    room = make_room(tree)
    stack, within = np.empty(64, np.int64), np.full(len(room.exact), radius)
    for a in range(tree.first_leaf, len(tree.start)):
        stack[0], depth = 0, 1
        while depth > 0:
            depth -= 1
            node = stack[depth]
            if tree.stop[node] <= tree.start[a] or gap(tree, a, node) > radius:
                continue
            if node < tree.first_leaf:
                stack[depth], stack[depth + 1] = 2 * node + 1, 2 * node + 2
                depth += 2
                continue
            if final and _is_settled(tree, a, node, count, min_samples, parent):
                continue
            points = tree.stop[a] - tree.start[a]
            for pair in range(pairs_within(tree, a, node, within[:points], room)):
                i, j = room.first[pair], room.second[pair]
                if i >= j:
                    continue
                count[i] += weight[j]
                count[j] += weight[i]
                if final and count[i] >= min_samples and count[j] >= min_samples:
                    _join(parent, i, j)
                    continue
                if used == len(kept):
                    kept = np.concatenate((kept, np.empty_like(kept)))
                kept[used, 0], kept[used, 1] = i, j
                used += 1
    return count, parent, kept[:used]


@njit(cache=True, nogil=True)
def _is_settled(tree, a, b, count, min_samples, parent):
    """Whether all points of two leaves are known to be core points of one component."""
    root = _find(parent, tree.start[a])
    for leaf in (a, b):
        for i in range(tree.start[leaf], tree.stop[leaf]):
            if count[i] < min_samples or _find(parent, i) != root:
                return False
    return True


@njit(cache=True, nogil=True)
def _label(core, parent, kept, rank):
    """Join what was kept, number the components in the order of the rows, add the border."""
    for i, j in kept:
        if core[i] and core[j]:
            _join(parent, i, j)
    number = np.full(len(core), -1)
    labels = np.full(len(core), -1)
    clusters = 0
    for i in rank:
        if core[i]:
            root = _find(parent, i)
            if number[root] < 0:
                number[root] = clusters
                clusters += 1
            labels[i] = number[root]
    for i, j in kept:
        for inner, outer in ((i, j), (j, i)):
            closer = labels[outer] < 0 or labels[inner] < labels[outer]
            if core[inner] and not core[outer] and closer:
                labels[outer] = labels[inner]
    return labels


@njit(cache=True, nogil=True)
def _find(parent, i):
    """The root of i's component; the path to it is halved on the way."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def _join(parent, i, j):
    """Put two components together, under the root that comes first."""
    i, j = _find(parent, i), _find(parent, j)
    if i < j:
        parent[j] = i
    else:
        parent[i] = j
