r"""HDBSCAN: every density at once, and of all clusters the ones that last.

DBSCAN finds what is connected at one density. Here all densities are looked at. With the *core
distance* $c_i$ of a point, that of its $k$-th nearest neighbor (itself the first), and the *mutual
reachability distance*

$$d_m(i, j) = \max\{c_i, c_j, d(i, j)\},$$

two points are in one cluster at the radius $\varepsilon$ exactly where a path with steps
$d_m \le \varepsilon$ joins them. So single linkage under $d_m$ holds DBSCAN's clusters for every
$\varepsilon$, without their border points. Four steps lead from there to one answer:

1. **Spanning tree.** The minimum spanning tree under $d_m$ gives the single linkage dendrogram.
2. **Condensed tree.** From the top down, with $\lambda = 1 / \varepsilon$ growing: where a cluster
   splits in two parts of at least `min_cluster_size` points each, two clusters are born. Where one
   part is smaller, its points fall out and the cluster lives on. Where both are, it dies.
3. **Stability.** A cluster that is born at $\lambda_b$ has the stability
   $S = \sum_i (\lambda_i - \lambda_b)$ over its points, where $\lambda_i$ is when point $i$ leaves
   it, alone or with a child.
4. **Selection.** Of a cluster and all that lies below it one may be kept. Excess of mass keeps what
   adds up to the most stability, which one pass from the leaves to the root finds: a cluster is
   kept where its own stability is not below the sum of the best below it.

(Ricardo Campello, Davoud Moulavi and Jörg Sander, "Density-based clustering based on hierarchical
density estimates", 2013; with Arthur Zimek, "Hierarchical density estimates for data clustering,
visualization, and outlier detection", 2015. `cluster_selection_epsilon` is from Claudia Malzer and
Marcus Baum, "A hybrid approach to hierarchical density-based cluster selection", 2020.)
"""

from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import validate_data

from unsupervised_learning.blas_threads import one_blas_thread
from unsupervised_learning.neighbor_search import (
    EUCLIDEAN,
    METRICS,
    build_tree,
    check_distances,
    kth_distances,
)
from unsupervised_learning.spanning_tree import merge_edges, prim

#: The labels of rows that belong to no cluster.
NOISE, INFINITE, MISSING = -1, -2, -3


class CondensedTree(NamedTuple):
    """The clusters of at least `min_cluster_size` points, the root first, children after parents.

    parent : (k,), the cluster that each was born from; -1 for the root.
    birth, death : (k,), the λ where it is born, and where the last of its points leaves it.
    size : (k,), its points at birth.
    stability : (k,).
    point_cluster : (n,), the last cluster that each point belongs to.
    point_density : (n,), the λ where the point leaves it.
    """

    parent: NDArray[np.int64]
    birth: NDArray[np.float64]
    death: NDArray[np.float64]
    size: NDArray[np.int64]
    stability: NDArray[np.float64]
    point_cluster: NDArray[np.int64]
    point_density: NDArray[np.float64]


class HDBSCAN(ClusterMixin, BaseEstimator):
    """Clusters of any density: the most stable ones among DBSCAN's at all radii.

    Parameters
    ----------
    min_cluster_size : fewer points than this are no cluster.
    min_samples : the core distance is that of this neighbor, the point itself the first. None:
        `min_cluster_size`.
    cluster_selection_epsilon : clusters that are born below this distance are put together with
        what lies above them.
    max_cluster_size : "eom" keeps no cluster with more points. None: no limit.
    metric : "euclidean" ("l2"), "manhattan" ("l1", "cityblock"), or "precomputed": then X holds the
        symmetric distances, shape (n_samples, n_samples), where infinite ones are allowed.
    cluster_selection_method : "eom", excess of mass; or "leaf", the clusters without children.
    allow_single_cluster : whether the root, which holds everything, may be kept.

    Attributes
    ----------
    labels_ : the cluster of each row, shape (n_samples,), from 0; -1 is noise. Rows with an
        infinite value have -2, rows with a missing one -3.
    probabilities_ : how deep in its cluster each row lies: its λ as a share of the cluster's
        largest, shape (n_samples,); 0 for noise, NaN for rows with a missing value.
    condensed_tree_ : the `CondensedTree` of the rows without missing or infinite values.
    n_features_in_, feature_names_in_ : as everywhere in scikit-learn.

    Notes
    -----
    Labels and probabilities are those of scikit-learn, ties included; with "precomputed" distances
    they may differ in ties. Time is quadratic in the rows, memory linear.

    References
    ----------
    Ricardo Campello, Davoud Moulavi and Jörg Sander, "Density-based clustering based on
    hierarchical density estimates", 2013.

    Examples
    --------
    >>> from unsupervised_learning.hdbscan import HDBSCAN
    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1], [50, 50], [50, 60], [60, 50], [60, 60], [400, 0]]
    >>> HDBSCAN(min_cluster_size=3).fit_predict(X).tolist()
    [0, 0, 0, 0, 1, 1, 1, 1, -1]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "min_cluster_size": [Interval(Integral, 2, None, closed="left")],
        "min_samples": [Interval(Integral, 1, None, closed="left"), None],
        "cluster_selection_epsilon": [Interval(Real, 0, None, closed="left")],
        "max_cluster_size": [Interval(Integral, 1, None, closed="left"), None],
        "metric": [StrOptions(set(METRICS))],
        "cluster_selection_method": [StrOptions({"eom", "leaf"})],
        "allow_single_cluster": ["boolean"],
    }

    def __init__(
        self,
        min_cluster_size: int = 5,
        min_samples: int | None = None,
        cluster_selection_epsilon: float = 0.0,
        max_cluster_size: int | None = None,
        metric: str = "euclidean",
        cluster_selection_method: str = "eom",
        allow_single_cluster: bool = False,
    ) -> None:
        self.min_cluster_size = min_cluster_size
        self.min_samples = min_samples
        self.cluster_selection_epsilon = cluster_selection_epsilon
        self.max_cluster_size = max_cluster_size
        self.metric = metric
        self.cluster_selection_method = cluster_selection_method
        self.allow_single_cluster = allow_single_cluster

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None) -> "HDBSCAN":
        """Find the clusters of the rows of X.

        Parameters
        ----------
        X : (n_samples, n_features), or the distances (n_samples, n_samples).
        y : ignored.

        Raises ValueError for fewer than 2 rows or than `min_samples`, and for precomputed
        distances that are missing, not square or not symmetric.
        """
        X = validate_data(self, X, dtype=np.float64, order="C", ensure_all_finite=False)
        self.labels_ = np.full(len(X), NOISE)
        self.probabilities_ = np.zeros(len(X))
        whole = np.arange(len(X))
        if self.metric == "precomputed":
            if np.isnan(X).any():
                raise ValueError("metric='precomputed' takes no NaN; give np.inf for no connection")
            check_distances(X)
        elif not np.isfinite(X).all():
            finite, missing = np.isfinite(X).all(axis=1), np.isnan(X).any(axis=1)
            self.labels_[~finite] = INFINITE
            self.labels_[missing], self.probabilities_[missing] = MISSING, np.nan
            whole = np.flatnonzero(finite)
            X = X[whole]
        self._check_rows(len(X))
        children, size, height = self._merges(X)
        tree = condense(children, size, height, self.min_cluster_size)
        chosen = self._choose(tree)
        self.labels_[whole], self.probabilities_[whole] = self._label(tree, chosen)
        self.condensed_tree_ = tree
        return self

    def _check_rows(self, n: int) -> None:
        if n < 2:
            raise ValueError(
                f"n_samples={n} without missing or infinite values, and HDBSCAN takes at least 2"
            )
        if (self.min_samples or self.min_cluster_size) > n:
            name = "min_samples" if self.min_samples else "min_cluster_size"
            raise ValueError(
                f"{name}={getattr(self, name)} is more than the {n} rows in X; give at most {n} "
                "as min_samples"
            )

    def _merges(self, X: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """The single linkage dendrogram under mutual reachability."""
        metric = METRICS[self.metric]
        tree = build_tree(X, metric)
        core = np.empty(len(X))
        with one_blas_thread():
            core[tree.order] = kth_distances(tree, self.min_samples or self.min_cluster_size)
        visited, source, weight = prim(X, core, metric)
        if metric == EUCLIDEAN:
            weight = np.sqrt(weight)
        # Core distances make many edges equally long; scikit-learn's order is that of this sort.
        order = np.argsort(weight)
        return *merge_edges(source[order], visited[1:][order]), weight[order]

    def _choose(self, tree: CondensedTree) -> NDArray[np.int64]:
        """The clusters that are kept, in order."""
        k, parent = len(tree.parent), tree.parent
        if self.cluster_selection_method == "leaf":
            chosen = np.setdiff1d(np.arange(1, k), parent)
        else:
            largest = np.inf if self.max_cluster_size is None else self.max_cluster_size
            best = excess_of_mass(tree, largest, self.allow_single_cluster)
            chosen = np.flatnonzero(best)
        epsilon = self.cluster_selection_epsilon
        if epsilon > 0 and not np.array_equal(chosen, [0]):
            climbed = [self._climb(tree, c, epsilon) for c in chosen]
            chosen = np.unique(np.array(climbed, dtype=np.int64))
        return chosen

    def _climb(self, tree: CondensedTree, cluster: int, epsilon: float) -> int:
        """The first cluster from here up that is born at a distance beyond epsilon."""
        while tree.birth[cluster] > 0 and 1.0 / tree.birth[cluster] < epsilon:
            above = tree.parent[cluster]
            if above == 0:
                return 0 if self.allow_single_cluster else cluster
            cluster = above
        return cluster

    def _label(self, tree: CondensedTree, chosen: NDArray[np.int64]) -> tuple[NDArray, NDArray]:
        """Labels and probabilities: a point belongs to the kept cluster above it, if any."""
        number = np.full(len(tree.parent), NOISE)
        number[chosen] = np.arange(len(chosen))
        for cluster in range(1, len(number)):
            if number[cluster] == NOISE:
                number[cluster] = number[tree.parent[cluster]]
        labels, density = number[tree.point_cluster], tree.point_density
        if np.array_equal(chosen, [0]):  # the root holds what stays to the end, and noise
            epsilon = self.cluster_selection_epsilon
            labels[density < (1.0 / epsilon if epsilon > 0 else tree.death[0])] = NOISE
        inside = np.flatnonzero(labels != NOISE)
        probabilities = np.zeros(len(labels))
        largest, density = tree.death[chosen[labels[inside]]], density[inside]
        certain = (largest == 0) | np.isinf(density)
        share = np.minimum(density, largest) / np.where(certain, 1.0, largest)
        probabilities[inside] = np.where(certain, 1.0, share)
        return labels, probabilities

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.metric == "precomputed"
        tags.input_tags.allow_nan = self.metric != "precomputed"
        return tags


def condense(
    children: NDArray[np.int64],
    size: NDArray[np.int64],
    height: NDArray[np.float64],
    min_cluster_size: int,
) -> CondensedTree:
    """The condensed tree of a dendrogram: children (n - 1, 2), size and height (n - 1,)."""
    return CondensedTree(*_condense(children, size, height, min_cluster_size))


@njit(cache=True, nogil=True)
def _condense(children, size, height, least):
    """Walk down the dendrogram, level by level; stabilities add up on the way."""
    n = len(children) + 1
    most = 1 + 2 * (n // least)
    parent, points = np.full(most, -1), np.full(most, n)
    birth, death, stability = np.zeros(most), np.zeros(most), np.zeros(most)
    point_cluster, point_density = np.zeros(n, np.int64), np.zeros(n)
    # The nodes to visit and the cluster that each belongs to: first in, first out.
    node, cluster = np.empty(n, np.int64), np.empty(n, np.int64)
    node[0], cluster[0], waiting, k = 2 * n - 2, 0, 1, 1
    stack, part = np.empty(n, np.int64), np.empty(2, np.int64)
    at = 0
    while at < waiting:
        merge, c = node[at] - n, cluster[at]
        at += 1
        density = 1.0 / height[merge] if height[merge] > 0 else np.inf
        death[c] = max(death[c], density)
        for side in range(2):
            child = children[merge, side]
            part[side] = size[child - n] if child >= n else 1
        splits = part[0] >= least and part[1] >= least
        for side in range(2):
            child = children[merge, side]
            if splits:
                parent[k], birth[k], points[k] = c, density, part[side]
                stability[c] += (density - birth[c]) * part[side]
                node[waiting], cluster[waiting] = child, k
                waiting, k = waiting + 1, k + 1
            elif part[side] >= least:
                node[waiting], cluster[waiting] = child, c
                waiting += 1
            else:
                stack[0], depth = child, 1
                while depth > 0:
                    depth -= 1
                    below = stack[depth]
                    if below >= n:
                        stack[depth], stack[depth + 1] = children[below - n]
                        depth += 2
                        continue
                    point_cluster[below], point_density[below] = c, density
                    stability[c] += density - birth[c]
    return (
        parent[:k],
        birth[:k],
        death[:k],
        points[:k],
        stability[:k],
        point_cluster,
        point_density,
    )


@njit(cache=True, nogil=True)
def excess_of_mass(tree, largest, allow_root):
    """Which clusters are kept, bool (k,): those whose stabilities add up to the most."""
    k = len(tree.parent)
    below, kept = np.zeros(k), np.zeros(k, np.bool_)
    for c in range(k - 1, -1, -1):
        # Stability is NaN where copies of a point split from each other: such a cluster is kept.
        worse = below[c] > tree.stability[c] or tree.size[c] > largest
        kept[c] = not worse and (c > 0 or allow_root)
        if c > 0:
            below[tree.parent[c]] += below[c] if worse else tree.stability[c]
    covered = kept.copy()
    for c in range(1, k):
        if covered[tree.parent[c]]:
            covered[c], kept[c] = True, False
    return kept
