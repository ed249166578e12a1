"""Nearest neighbors by a tree of balls.

Each node knows a center $c$, the mean of its points, and the radius $r$ of the ball around it that
holds them. By the triangle inequality no point of the ball is nearer to a query $q$ than
$d(q, c) - r$, in any metric. The search is that of the k-d tree with this bound in place of the
box's. A ball adapts to points that lie in few directions of a large space, where a box along the
axes does not.

S. M. Omohundro, "Five balltree construction algorithms", ICSI technical report, 1989.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervised_learning.neighbors.heap import empty_heaps, sort_heaps
from supervised_learning.neighbors.metrics import power, reduced_distance, root, take_roots
from supervised_learning.neighbors.tree import search_leaf, split_points


class BallTree:
    """A ball tree over points X (n, d).

    Parameters
    ----------
    X : ndarray of shape (n, d), float32 or float64, finite
    leaf_size : the most points that a leaf holds.
    p : the order of the Minkowski distance, from 1 to inf.

    Examples
    --------
    >>> import numpy as np
    >>> tree = BallTree(np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]), p=1)
    >>> distances, indices = tree.query(np.array([[0.0, 1.0]]), k=2)
    >>> distances
    array([[1., 6.]])
    """

    def __init__(self, X: NDArray, leaf_size: int = 30, p: float = 2.0) -> None:
        self.p = float(p)
        self.points, self.order, self.ranges = split_points(X, leaf_size)
        self.centers, self.radii = _balls(self.points, self.ranges, self.p)

    def query(self, Q: NDArray, k: int) -> tuple[NDArray, NDArray]:
        """The k nearest points to each query of Q (m, d): distances and indices (m, k).

        Nearest first; points at the same distance come in the order of X. k is at most n.
        """
        distances, indices = empty_heaps(len(Q), k, len(self.points))
        _search(
            self.points,
            self.order,
            self.ranges,
            self.centers,
            self.radii,
            Q,
            self.p,
            distances,
            indices,
        )
        sort_heaps(distances, indices)
        take_roots(distances, self.p)
        return distances, indices


@njit(cache=True, nogil=True)
def _balls(points: NDArray, ranges: NDArray, p: float) -> tuple[NDArray, NDArray]:
    """Each node's center (n_nodes, d) and radius (n_nodes,)."""
    n_nodes, d = ranges.shape[0], points.shape[1]
    centers = np.zeros((n_nodes, d))
    radii = np.zeros(n_nodes)
    for node in range(n_nodes):
        start, stop = ranges[node]
        for i in range(start, stop):
            for f in range(d):
                centers[node, f] += points[i, f] / (stop - start)
        for i in range(start, stop):
            radii[node] = max(radii[node], reduced_distance(points[i], centers[node], p))
        radii[node] = root(radii[node], p)
    return centers, radii


@njit(cache=True, nogil=True)
def _bound(to_center: float, radius: float, d: int, p: float) -> float:
    """A lower bound of the reduced distance to the points of a ball in d dimensions.

    It is made smaller by more than rounding can make it too large.
    """
    slack = 4.0 * (d + 4) * 2.3e-16
    outside = to_center * (1.0 - slack) - radius * (1.0 + slack)
    return power(outside, p) if outside > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _search(
    points: NDArray,
    order: NDArray,
    ranges: NDArray,
    centers: NDArray,
    radii: NDArray,
    Q: NDArray,
    p: float,
    distances: NDArray,
    indices: NDArray,
) -> None:
    n_nodes = ranges.shape[0]
    d = points.shape[1]
    nodes = np.empty(64, np.int64)  # a stack; it holds at most one node a level, and there are < 64
    bounds = np.empty(64)
    for row in range(Q.shape[0]):
        query, distance, index = Q[row], distances[row], indices[row]
        nodes[0], bounds[0] = 0, 0.0
        size = 1
        while size > 0:
            size -= 1
            node = nodes[size]
            if bounds[size] > distance[0]:
                continue
            left = 2 * node + 1
            if left >= n_nodes:
                start, stop = ranges[node]
                search_leaf(points, order, start, stop, query, p, distance, index)
                continue
            # Balls overlap, and a query in both has the bound 0 from both: the centers decide.
            near, far = left, left + 1
            to_near = root(reduced_distance(centers[near], query, p), p)
            to_far = root(reduced_distance(centers[far], query, p), p)
            if to_far < to_near:
                near, far = far, near
                to_near, to_far = to_far, to_near
            nodes[size], bounds[size] = far, _bound(to_far, radii[far], d, p)
            nodes[size + 1], bounds[size + 1] = near, _bound(to_near, radii[near], d, p)
            size += 2
