r"""The k best candidates so far, kept in a bounded max-heap.

The root is the worst of the k candidates, so one comparison turns a new point away, and a better
one takes the root's place and sinks to where it belongs in $O(\log k)$ steps. Candidates are
ordered by (distance, index). A tie in distance therefore goes to the point that was given first,
whatever the order in which an algorithm meets the points: a tree and a scan of all points return
the same neighbors.

J. W. J. Williams, "Algorithm 232: Heapsort", Communications of the ACM, 1964.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray


def empty_heaps(n_queries: int, k: int, n_points: int) -> tuple[NDArray, NDArray]:
    """Heaps without candidates (n_queries, k): distances are inf, indices n_points."""
    return np.full((n_queries, k), np.inf), np.full((n_queries, k), n_points, dtype=np.int64)


@njit(cache=True, nogil=True)
def before(distance: float, index: int, other_distance: float, other_index: int) -> bool:
    """Whether a candidate is better than another one: nearer, or as near and given earlier."""
    return distance < other_distance or (distance == other_distance and index < other_index)


@njit(cache=True, nogil=True)
def replace_root(
    distances: NDArray, indices: NDArray, size: int, distance: float, index: int
) -> None:
    """Put a candidate in the root's place and let it sink; the heap is the first `size` entries."""
    hole = 0
    while True:
        child = 2 * hole + 1
        if child >= size:
            break
        right = child + 1
        if right < size and before(
            distances[child], indices[child], distances[right], indices[right]
        ):
            child = right
        if not before(distance, index, distances[child], indices[child]):
            break
        distances[hole] = distances[child]
        indices[hole] = indices[child]
        hole = child
    distances[hole] = distance
    indices[hole] = index


@njit(cache=True, nogil=True)
def sort_heaps(distances: NDArray, indices: NDArray) -> None:
    """Turn each row's heap into a list from the nearest to the farthest, in place."""
    for row in range(distances.shape[0]):
        d, i = distances[row], indices[row]
        for last in range(len(d) - 1, 0, -1):
            distance, index = d[last], i[last]
            d[last], i[last] = d[0], i[0]
            replace_root(d, i, last, distance, index)
