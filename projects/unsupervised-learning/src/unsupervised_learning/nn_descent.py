r"""Approximate nearest neighbors: a neighbor's neighbor is likely a neighbor.

Comparing all pairs costs $n^2$ distances. Two ideas get almost all of the k nearest neighbors with
few of them.

A random projection tree splits the points by the plane that lies between two of them, drawn at
random, until a leaf holds few: points of one leaf are near each other in most cases, and a forest
of such trees errs each time elsewhere. It gives a first guess.

NN-descent betters any guess. For each point, two of its neighbors (or of the points that it is a
neighbor of) are compared, and each keeps the other where it is nearer than its farthest so far.
Pairs that have met before need not meet again: a neighbor is new until it took part. The rounds end
when almost nothing changes.

Sources: W. Dong, M. Charikar and K. Li, "Efficient K-Nearest Neighbor Graph Construction for
Generic Similarity Measures", WWW 2011. S. Dasgupta and Y. Freund, "Random Projection Trees and Low
Dimensional Manifolds", STOC 2008.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_random_state

REORDER = {"reassoc", "contract", "nsz"}
_ROUNDS = 12
_CANDIDATES = 60  # new and old neighbors, at most, that meet at a point in a round


def nearest_neighbors(
    X: ArrayLike,
    n_neighbors: int,
    *,
    n_trees: int | None = None,
    delta: float = 0.001,
    random_state: Any = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The k nearest neighbors of each row, without itself, almost all of them right.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The rows; their distance is Euclidean, in float32.
    n_neighbors : int
        k, below n_samples.
    n_trees : int or None, default=None
        Trees for the first guess; None: 5 + √n / 20, at most 32.
    delta : float, default=0.001
        The rounds end when fewer than this share of the n k neighbors change.
    random_state : int, RandomState instance or None, default=None
        The source of the trees and of the meetings.

    Returns
    -------
    neighbors, distances : ndarray of shape (n_samples, n_neighbors)
        Sorted, the nearest first.

    Raises
    ------
    ValueError
        For NaN or infinity in X, or n_neighbors out of range.

    References
    ----------
    W. Dong, M. Charikar and K. Li, "Efficient K-Nearest Neighbor Graph Construction for Generic
    Similarity Measures", WWW 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from unsupervised_learning.nn_descent import nearest_neighbors
    >>> X = np.arange(100.0)[:, None]
    >>> nearest_neighbors(X, 2, random_state=0)[0][50]
    array([49, 51], dtype=int32)
    """
    X = check_array(X, dtype=np.float64)
    n = len(X)
    if not 1 <= n_neighbors < n:
        raise ValueError(f"n_neighbors={n_neighbors} should be between 1 and {n - 1} for {n} rows")
    # In float32 the digits of a common offset would be lost to the distances, and huge or tiny
    # numbers have no square.
    X = X - X.mean(axis=0)
    scale = np.abs(X).max() or 1.0
    X = (X / scale).astype(np.float32)
    state = np.array([random_seed(random_state)], np.uint64)
    if n_trees is None:
        n_trees = min(32, 5 + round(np.sqrt(n) / 20))
    neighbors = np.full((n, n_neighbors), -1, np.int32)
    squares = np.full((n, n_neighbors), np.inf, np.float32)
    fresh = np.zeros((n, n_neighbors), np.bool_)
    leaf_size = max(20, n_neighbors)
    for _ in range(n_trees):
        _compare_leaves(X, *grow_tree(X, leaf_size, state), neighbors, squares, fresh)
    _fill(X, neighbors, squares, fresh, state)
    size = min(_CANDIDATES, 2 * n_neighbors)
    for _ in range(_ROUNDS):
        changes = _meet(X, *_candidates(neighbors, fresh, size, state), neighbors, squares, fresh)
        if changes <= delta * n * n_neighbors:
            break
    # The squared distance itself is kept; ties go to the lower row.
    order = np.lexsort((neighbors, squares), axis=1)
    neighbors = np.take_along_axis(neighbors, order, axis=1)
    distances = np.sqrt(np.take_along_axis(squares, order, axis=1)) * np.float32(scale)
    return neighbors, distances


def random_seed(random_state: Any) -> int:
    """A seed for `random_bits`, which must not be 0."""
    return int(check_random_state(random_state).randint(1, 2**31))


@njit(cache=True, nogil=True, inline="always")
def random_bits(state: NDArray) -> np.uint64:
    """The next 64 bits of the stream whose state is uint64 (1,).

    G. Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8 (2003).
    """
    x = state[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    state[0] = x
    return x


@njit(cache=True, nogil=True, inline="always")
def random_below(state: NDArray, n: int) -> np.int64:
    """A whole number from 0 to n - 1."""
    return np.int64(((random_bits(state) >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


@njit(cache=True, nogil=True, fastmath=REORDER)
def square_distance(X: NDArray, i: int, j: int) -> np.float32:
    """|x_i - x_j|²."""
    total = np.float32(0.0)
    for column in range(X.shape[1]):
        difference = X[i, column] - X[j, column]
        total += difference * difference
    return total


@njit(cache=True, nogil=True, fastmath=REORDER)
def grow_tree(X: NDArray, leaf_size: int, state: NDArray) -> tuple[NDArray, NDArray]:
    """A random projection tree: the rows in the order of its leaves, and where each leaf begins."""
    n, d = X.shape
    order = np.arange(n).astype(np.int32)
    normal = np.empty(d, X.dtype)
    begins = [np.int64(0) for _ in range(0)]
    waiting = [(0, n)]
    while waiting:
        first, last = waiting.pop()
        if last - first <= leaf_size:
            begins.append(np.int64(first))
            continue
        a = order[first + random_below(state, last - first)]
        b = order[first + random_below(state, last - first)]
        offset = X.dtype.type(0.0)
        for column in range(d):
            normal[column] = X[a, column] - X[b, column]
            offset += normal[column] * (X[a, column] + X[b, column]) * X.dtype.type(0.5)
        middle, end = first, last
        while middle < end:
            side = -offset
            row = X[order[middle]]
            for column in range(d):
                side += normal[column] * row[column]
            if side > 0:
                middle += 1
            else:
                end -= 1
                order[middle], order[end] = order[end], order[middle]
        if middle in (first, last):  # duplicates, or a point drawn twice: halve by chance
            for i in range(first, last):
                other = i + random_below(state, last - i)
                order[i], order[other] = order[other], order[i]
            middle = (first + last) // 2
        waiting.append((middle, last))
        waiting.append((first, middle))
    begins.append(np.int64(n))
    return order, np.array(begins)


@njit(cache=True, nogil=True)
def _insert(
    i: int, j: int, square: float, neighbors: NDArray, squares: NDArray, fresh: NDArray
) -> int:
    """Make j a neighbor of i, in its sorted row, unless it is one or too far away."""
    place = neighbors.shape[1] - 1
    if square >= squares[i, place]:
        return 0
    for slot in range(place + 1):
        if neighbors[i, slot] == j:
            return 0
    while place > 0 and squares[i, place - 1] > square:
        neighbors[i, place] = neighbors[i, place - 1]
        squares[i, place] = squares[i, place - 1]
        fresh[i, place] = fresh[i, place - 1]
        place -= 1
    neighbors[i, place], squares[i, place], fresh[i, place] = j, square, True
    return 1


@njit(cache=True, nogil=True)
def _compare_leaves(
    X: NDArray,
    order: NDArray,
    begins: NDArray,
    neighbors: NDArray,
    squares: NDArray,
    fresh: NDArray,
) -> None:
    """Compare all pairs within each leaf."""
    for leaf in range(len(begins) - 1):
        for p in range(begins[leaf], begins[leaf + 1]):
            i = order[p]
            for q in range(p + 1, begins[leaf + 1]):
                j = order[q]
                square = square_distance(X, i, j)
                _insert(i, j, square, neighbors, squares, fresh)
                _insert(j, i, square, neighbors, squares, fresh)


@njit(cache=True, nogil=True)
def _fill(X: NDArray, neighbors: NDArray, squares: NDArray, fresh: NDArray, state: NDArray) -> None:
    """Give random neighbors to the rows that still have too few."""
    n, k = neighbors.shape
    for i in range(n):
        while neighbors[i, k - 1] < 0:
            j = random_below(state, n)
            if j != i:
                _insert(i, j, square_distance(X, i, j), neighbors, squares, fresh)


@njit(cache=True, nogil=True)
def _candidates(
    neighbors: NDArray, fresh: NDArray, size: int, state: NDArray
) -> tuple[NDArray, NDArray]:
    """For each point the new and the old ones that meet there: up to `size` each, at random.

    A point meets its neighbors and the points whose neighbor it is.
    """
    n, k = neighbors.shape
    chosen = np.full((2, n, size), -1, np.int32)
    seen = np.zeros((2, n), np.int64)
    for i in range(n):
        for slot in range(k):
            j = np.int64(neighbors[i, slot])
            kind = 0 if fresh[i, slot] else 1
            for point, other in ((i, j), (j, i)):  # a sample from a stream of unknown length
                count = seen[kind, point]
                place = count if count < size else random_below(state, count + 1)
                if place < size:
                    chosen[kind, point, place] = other
                seen[kind, point] += 1
    for i in range(n):  # those that take part now are not new any more
        for slot in range(k):
            if fresh[i, slot]:
                for other in chosen[0, i]:
                    if other == neighbors[i, slot]:
                        fresh[i, slot] = False
                        break
    return chosen[0], chosen[1]


@njit(cache=True, nogil=True)
def _meet(
    X: NDArray,
    new: NDArray,
    old: NDArray,
    neighbors: NDArray,
    squares: NDArray,
    fresh: NDArray,
) -> int:
    """Compare the new ones at each point with each other and with the old; returns the changes."""
    n, size = new.shape
    changes = 0
    for point in range(n):
        for a in range(size):
            i = new[point, a]
            if i < 0:
                break
            for b in range(a + 1, 2 * size):
                j = new[point, b] if b < size else old[point, b - size]
                if j < 0 or i == j:
                    continue
                square = square_distance(X, i, j)
                changes += _insert(i, j, square, neighbors, squares, fresh)
                changes += _insert(j, i, square, neighbors, squares, fresh)
    return changes
