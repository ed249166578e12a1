r"""What the two trees share: a balanced binary tree that lies in arrays, and the search of a leaf.

The tree is complete: node $i$ has the children $2i + 1$ and $2i + 2$, and all leaves are on the
last level. A node holds a range of the points' order. Its points are split at the median along the
feature in which they spread widest, so both children hold half of them, and the depth is
$\lceil \log_2 (n / \ell) \rceil$ for leaves of at most $\ell$ points, whatever the points are.
The points are moved into the order of the leaves on the way: a leaf is one piece of memory.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervised_learning.neighbors.heap import before, replace_root
from supervised_learning.neighbors.metrics import reduced_distance


def split_points(X: NDArray, leaf_size: int) -> tuple[NDArray, NDArray, NDArray]:
    """Order the points of X (n, d) into a tree.

    Returns the points in that order, the order itself, int64 (n,), and for each node the ends of
    its range, int64 (n_nodes, 2).
    """
    depth = max(0, int(np.ceil(np.log2(len(X) / leaf_size))))
    points, order = X.copy(), np.arange(len(X))
    ranges = np.zeros((2 ** (depth + 1) - 1, 2), dtype=np.int64)
    ranges[0, 1] = len(X)
    _split(points, order, ranges)
    return points, order, ranges


@njit(cache=True, nogil=True)
def _split(points: NDArray, order: NDArray, ranges: NDArray) -> None:
    for node in range(ranges.shape[0] // 2):
        start, stop = ranges[node]
        middle = (start + stop) // 2
        _partition(points, order, widest_feature(points, start, stop), start, stop, middle)
        ranges[2 * node + 1] = start, middle
        ranges[2 * node + 2] = middle, stop


@njit(cache=True, nogil=True)
def widest_feature(points: NDArray, start: int, stop: int) -> int:
    """The feature whose values spread widest among these points."""
    d = points.shape[1]
    lower = points[start].copy()
    upper = lower.copy()
    for i in range(start + 1, stop):
        for f in range(d):
            lower[f] = min(lower[f], points[i, f])
            upper[f] = max(upper[f], points[i, f])
    widest = 0
    for f in range(1, d):
        if upper[f] - lower[f] > upper[widest] - lower[widest]:
            widest = f
    return widest


@njit(cache=True, nogil=True)
def _partition(
    points: NDArray, order: NDArray, feature: int, start: int, stop: int, middle: int
) -> None:
    """Order a range so that what lies before its middle is no larger than what follows.

    C. A. R. Hoare, "Algorithm 65: Find", Communications of the ACM, 1961. Scans stop at equal
    values, so that many ties split evenly. The points move along: a node's lie side by side.
    """
    d = points.shape[1]
    left, right = start, stop - 1
    while left < right:
        first, last = points[left, feature], points[right, feature]
        center = points[(left + right) // 2, feature]
        pivot = max(min(first, last), min(max(first, last), center))
        i, j = left, right
        while i <= j:
            while points[i, feature] < pivot:
                i += 1
            while points[j, feature] > pivot:
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                for f in range(d):
                    points[i, f], points[j, f] = points[j, f], points[i, f]
                i += 1
                j -= 1
        if j < middle:
            left = i
        if middle < i:
            right = j


@njit(cache=True, nogil=True)
def search_leaf(
    points: NDArray,
    order: NDArray,
    start: int,
    stop: int,
    query: NDArray,
    p: float,
    distances: NDArray,
    indices: NDArray,
) -> None:
    """Hold every point of a leaf against the heap of a query."""
    k = len(distances)
    for i in range(start, stop):
        distance = reduced_distance(points[i], query, p)
        if before(distance, order[i], distances[0], indices[0]):
            replace_root(distances, indices, k, distance, order[i])
