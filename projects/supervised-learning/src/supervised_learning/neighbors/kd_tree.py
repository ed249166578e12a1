r"""Nearest neighbors by a tree of boxes.

Each node knows the smallest box, with sides along the axes, that holds its points. No point of the
box is nearer to a query than the box itself, whose distance is quick to tell: it is that of the
query from the query clipped into the box. The search goes down to the nearer child first, so that
good candidates are found early, and leaves out every box that is farther away than the k-th best
of them. In few dimensions $O(\log n)$ nodes a query remain; from about 15 on nearly all boxes are
near, and a scan of all points wins.

J. H. Friedman, J. L. Bentley, R. A. Finkel, "An algorithm for finding best matches in logarithmic
expected time", ACM Transactions on Mathematical Software, 1977.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervised_learning.neighbors.heap import empty_heaps, sort_heaps
from supervised_learning.neighbors.metrics import add_term, take_roots
from supervised_learning.neighbors.tree import search_leaf, split_points


class KDTree:
    """A k-d tree over points X (n, d).

    Parameters
    ----------
    X : ndarray of shape (n, d), float32 or float64, finite
    leaf_size : the most points that a leaf holds.
    p : the order of the Minkowski distance, from 1 to inf.

    Examples
    --------
    >>> import numpy as np
    >>> tree = KDTree(np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]))
    >>> distances, indices = tree.query(np.array([[0.0, 1.0]]), k=2)
    >>> indices
    array([[0, 1]])
    """

    def __init__(self, X: NDArray, leaf_size: int = 30, p: float = 2.0) -> None:
        self.p = float(p)
        self.points, self.order, self.ranges = split_points(X, leaf_size)
        self.boxes = _boxes(self.points, self.ranges)

    def query(self, Q: NDArray, k: int) -> tuple[NDArray, NDArray]:
        """The k nearest points to each query of Q (m, d): distances and indices (m, k).

        Nearest first; points at the same distance come in the order of X. k is at most n.
        """
        distances, indices = empty_heaps(len(Q), k, len(self.points))
        _search(self.points, self.order, self.ranges, self.boxes, Q, self.p, distances, indices)
        sort_heaps(distances, indices)
        take_roots(distances, self.p)
        return distances, indices


@njit(cache=True, nogil=True)
def _boxes(points: NDArray, ranges: NDArray) -> NDArray:
    """The lower and the upper corner of each node's box, (n_nodes, 2, d): from the leaves up."""
    n_nodes, d = ranges.shape[0], points.shape[1]
    boxes = np.empty((n_nodes, 2, d), points.dtype)
    for node in range(n_nodes - 1, -1, -1):
        start, stop = ranges[node]
        left = 2 * node + 1
        for f in range(d):
            if left < n_nodes:
                boxes[node, 0, f] = min(boxes[left, 0, f], boxes[left + 1, 0, f])
                boxes[node, 1, f] = max(boxes[left, 1, f], boxes[left + 1, 1, f])
                continue
            boxes[node, :, f] = points[start, f]
            for i in range(start + 1, stop):
                boxes[node, 0, f] = min(boxes[node, 0, f], points[i, f])
                boxes[node, 1, f] = max(boxes[node, 1, f], points[i, f])
    return boxes


@njit(cache=True, nogil=True)
def _box_distance(box: NDArray, query: NDArray, p: float) -> float:
    """The reduced distance from a query to the nearest point of a box."""
    total = 0.0
    for f in range(len(query)):
        value = np.float64(query[f])
        outside = max(np.float64(box[0, f]) - value, value - np.float64(box[1, f]), 0.0)
        total = add_term(total, outside, p)
    return total


@njit(cache=True, nogil=True)
def _search(
    points: NDArray,
    order: NDArray,
    ranges: NDArray,
    boxes: NDArray,
    Q: NDArray,
    p: float,
    distances: NDArray,
    indices: NDArray,
) -> None:
    n_nodes = ranges.shape[0]
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
            near, far = left, left + 1
            to_near = _box_distance(boxes[near], query, p)
            to_far = _box_distance(boxes[far], query, p)
            if to_far < to_near:
                near, far = far, near
                to_near, to_far = to_far, to_near
            nodes[size], bounds[size] = far, to_far
            nodes[size + 1], bounds[size + 1] = near, to_near
            size += 2
