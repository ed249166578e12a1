r"""Neighbors of many points at once: a k-d tree whose leaves are compared block by block.

A *k-d tree* halves the points at the median of their widest coordinate, again and again, until
a leaf holds a few dozen. Each node keeps its bounding box, and two nodes whose boxes lie farther
apart than a radius hold no neighbors within it. (Jon Bentley, "Multidimensional binary search
trees used for associative searching", 1975; Jerome Friedman, Jon Bentley and Raphael Finkel, "An
algorithm for finding best matches in logarithmic expected time", 1977.)

The searches here ask for the neighbors of *all* points, so they go leaf by leaf: what can be ruled
out is ruled out for a whole leaf, and what remains is a block of distances between two leaves.

In few dimensions a block is the sum of the squared differences. In many, where boxes rule out
little, it is a matrix product,

$$\|x - y\|^2 = \begin{pmatrix} x & \|x\|^2 & 1 \end{pmatrix}
\begin{pmatrix} -2y & 1 & \|y\|^2 \end{pmatrix}^\top,$$

in single precision, whose rounding error is at most about $(d + 6)\,2^{-24} (\|x\| + \|y\|)^2$.
A distance nearer to the radius than that bound is computed again from the differences in double
precision, so that the answer is that of the direct formula, bit for bit. The blocks are small: call
a search within `blas_threads.one_blas_thread`.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

EUCLIDEAN, MANHATTAN, PRECOMPUTED = 0, 1, 2

#: The metrics by the names that scikit-learn gives them.
METRICS = {
    "euclidean": EUCLIDEAN,
    "l2": EUCLIDEAN,
    "manhattan": MANHATTAN,
    "l1": MANHATTAN,
    "cityblock": MANHATTAN,
    "precomputed": PRECOMPUTED,
}

#: From this many columns on, a block of distances is a matrix product.
_PRODUCT_COLUMNS = 8

#: A distance is computed directly where the product's error passes this share of the radius.
_ERROR_SHARE = 0.02


class Tree(NamedTuple):
    """Points in the order of a k-d tree's leaves.

    Node i has the children 2i + 1 and 2i + 2 and holds the points `start[i]` to `stop[i]`; all
    leaves lie on the last level, and their sizes differ by at most 1.

    metric : EUCLIDEAN, MANHATTAN or PRECOMPUTED.
    points : (n, d), or the (n, n) distances where they are precomputed.
    columns : (d, n), the same points column by column.
    order : (n,), the row that each point had before.
    start, stop : (nodes,).
    low, high : (nodes, d), the boxes; without columns where the distances are precomputed.
    first_leaf : the number of the first leaf.
    left, right : (n, d + 2) in single precision, the factors of the product; empty where unused.
    norm : (nodes,), the largest norm of the centred points of a leaf; infinite where unused.
    """

    metric: int
    points: NDArray[np.float64]
    columns: NDArray[np.float64]
    order: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    first_leaf: int
    left: NDArray[np.float32]
    right: NDArray[np.float32]
    norm: NDArray[np.float64]


def check_distances(x: NDArray) -> None:
    """Raise ValueError for precomputed distances that are not square or not symmetric."""
    if x.ndim != 2 or x.shape[0] != x.shape[1]:
        raise ValueError(
            f"metric='precomputed' takes a square matrix of distances, X has the shape {x.shape}; "
            "give one row and one column for each sample"
        )
    if not np.allclose(x, x.T):
        raise ValueError(
            "metric='precomputed' takes symmetric distances, and X is not symmetric; give the "
            "distance from i to j where the one from j to i is"
        )


def build_tree(x: NDArray[np.float64], metric: int = EUCLIDEAN, leaf_size: int = 0) -> Tree:
    """A tree over the rows of x, float64 of shape (n, d); or over the (n, n) distances.

    Distances are told squared with EUCLIDEAN, and as they are otherwise. `leaf_size` is the most
    points that a leaf holds; 0 chooses 40 in up to three dimensions and 160 in more.
    """
    n, d = (len(x), 0) if metric == PRECOMPUTED else x.shape
    product = metric == EUCLIDEAN and d >= _PRODUCT_COLUMNS
    if not leaf_size:
        leaf_size = 160 if d > 3 or metric == PRECOMPUTED else 40
    levels = int(np.ceil(np.log2(max(1.0, n / leaf_size))))
    nodes, first_leaf = 2 ** (levels + 1) - 1, 2**levels - 1
    start, stop = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    low, high = np.empty((nodes, d)), np.empty((nodes, d))
    norm = np.full(nodes, np.inf)
    none = np.empty((0, d + 2), np.float32)
    if metric == PRECOMPUTED:
        order = np.arange(n)
        _halve(np.empty((n, 0)), order, start, stop, low, high, first_leaf)
        return Tree(metric, x, x[:0], order, start, stop, low, high, first_leaf, none, none, norm)
    order = np.arange(n)
    _halve(x, order, start, stop, low, high, first_leaf)
    points = x[order]
    columns = np.ascontiguousarray(points.T)
    left = right = none
    if product:
        left, right = _factors(points, start, stop, first_leaf, norm)
    return Tree(
        metric, points, columns, order, start, stop, low, high, first_leaf, left, right, norm
    )


@njit(cache=True, nogil=True)
def _halve(x, order, start, stop, low, high, first_leaf):
    """Put the rows in the order of the leaves, and find every node's range and box."""
    n, d = x.shape
    start[0], stop[0] = 0, n
    for node in range(len(start)):
        a, b = start[node], stop[node]
        low[node], high[node] = np.inf, -np.inf
        for i in range(a, b):
            for k in range(d):
                value = x[order[i], k]
                low[node, k] = min(low[node, k], value)
                high[node, k] = max(high[node, k], value)
        if node >= first_leaf:
            continue
        middle = (a + b) // 2
        if d > 0 and b - a > 1:
            widest = np.argmax(high[node] - low[node])
            key = np.empty(b - a)
            for i in range(a, b):
                key[i - a] = x[order[i], widest]
            order[a:b] = order[a:b][np.argpartition(key, middle - a)]
        start[2 * node + 1], stop[2 * node + 1] = a, middle
        start[2 * node + 2], stop[2 * node + 2] = middle, b


@njit(cache=True, nogil=True)
def _factors(points, start, stop, first_leaf, norm):
    """The two factors of the product, centred so that they round little, and each leaf's norm."""
    n, d = points.shape
    centre = np.zeros(d)
    for i in range(n):
        centre += points[i]
    centre /= n
    left, right = np.empty((n, d + 2), np.float32), np.empty((n, d + 2), np.float32)
    for leaf in range(first_leaf, len(start)):
        largest = 0.0
        for i in range(start[leaf], stop[leaf]):
            square = 0.0
            for k in range(d):
                value = points[i, k] - centre[k]
                square += value * value
                left[i, k] = value
                right[i, k] = -2.0 * value
            left[i, d], left[i, d + 1] = square, 1.0
            right[i, d], right[i, d + 1] = 1.0, square
            largest = max(largest, square)
        # Beyond 1e30 single precision may overflow; no radius is far enough then.
        norm[leaf] = np.sqrt(largest) if largest < 1e30 else np.inf
    return left, right


@njit(cache=True, nogil=True)
def gap(tree, a, b):
    """The smallest distance between the boxes of nodes a and b: 0 where they meet."""
    total = 0.0
    for k in range(tree.low.shape[1]):
        apart = max(tree.low[a, k] - tree.high[b, k], tree.low[b, k] - tree.high[a, k])
        if apart > 0:
            total += apart * apart if tree.metric == EUCLIDEAN else apart
    return total


@njit(cache=True, nogil=True)
def _gap_from(tree, i, node):
    """The smallest distance between point i and the box of a node: 0 inside."""
    total = 0.0
    for k in range(tree.low.shape[1]):
        value = tree.points[i, k]
        apart = max(tree.low[node, k] - value, value - tree.high[node, k])
        if apart > 0:
            total += apart * apart if tree.metric == EUCLIDEAN else apart
    return total


@njit(cache=True, nogil=True)
def distance(tree, i, j):
    """The distance of points i and j, from the differences."""
    if tree.metric == PRECOMPUTED:
        return tree.points[i, j]
    total = 0.0
    for k in range(tree.points.shape[1]):
        apart = tree.points[i, k] - tree.points[j, k]
        total += apart * apart if tree.metric == EUCLIDEAN else abs(apart)
    return total


class Room(NamedTuple):
    """Room for the pairs of two leaves: `size` = (points of a leaf)² entries each.

    first, second, distance : the pairs that were found, and how far apart they are.
    exact, rough : the block of distances, in double or single precision.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distance: NDArray[np.float64]
    exact: NDArray[np.float64]
    rough: NDArray[np.float32]


@njit(cache=True, nogil=True)
def make_room(tree):
    """Room for the pairs of any two leaves of the tree."""
    size = 0
    for leaf in range(tree.first_leaf, len(tree.start)):
        size = max(size, tree.stop[leaf] - tree.start[leaf])
    size *= size
    return Room(
        np.empty(size, np.int64),
        np.empty(size, np.int64),
        np.empty(size),
        np.empty(size),
        np.empty(size, np.float32),
    )


@njit(cache=True, nogil=True)
def pairs_within(tree, a, b, radius, room):
    """Find the pairs (i, j), i in leaf a and j in leaf b, that lie within the radius of i.

    `radius` has an entry for every point of a. Returns how many there are; they are in `room`,
    ordered by i, then j.
    """
    i0, j0 = tree.start[a], tree.start[b]
    rows, width = tree.stop[a] - i0, tree.stop[b] - j0
    reach = tree.norm[a] + tree.norm[b]
    error = 2.0 * (tree.points.shape[1] + 8) * 2.0**-24 * reach * reach
    if error < np.inf and error <= _ERROR_SHARE * radius.max():
        block = room.rough[: rows * width].reshape(rows, width)
        np.dot(tree.left[i0 : tree.stop[a]], tree.right[j0 : tree.stop[b]].T, block)
        count = 0
        for i in range(rows):
            limit = np.float32((radius[i] + error) * (1 + 2.0**-22))
            if not _any_within(block[i], limit):
                continue
            for j in range(width):
                if block[i, j] <= limit:
                    apart = distance(tree, i0 + i, j0 + j)
                    if apart <= radius[i]:
                        room.first[count], room.second[count] = i0 + i, j0 + j
                        room.distance[count] = apart
                        count += 1
        return count
    count = 0
    row = room.exact[:width]
    for i in range(rows):
        if _gap_from(tree, i0 + i, b) > radius[i]:
            continue
        _distances_from(tree, i0 + i, j0, row)
        if not _any_within(row, radius[i]):
            continue
        for j in range(width):
            if row[j] <= radius[i]:
                room.first[count], room.second[count] = i0 + i, j0 + j
                room.distance[count] = row[j]
                count += 1
    return count


@njit(cache=True, nogil=True)
def _any_within(row, limit):
    """Whether an entry is within the limit; without a branch, so that it takes many at once."""
    count = np.int32(0)
    for j in range(len(row)):
        count += np.int32(row[j] <= limit)
    return count > 0


@njit(cache=True, nogil=True)
def _distances_from(tree, i, first, row):
    """The distances from point i to the points `first`, `first` + 1, … of a leaf."""
    if tree.metric == PRECOMPUTED:
        row[:] = tree.points[i, first : first + len(row)]
        return
    row[:] = 0.0
    for k in range(len(tree.columns)):
        column, value = tree.columns[k, first : first + len(row)], tree.points[i, k]
        if tree.metric == EUCLIDEAN:
            for j in range(len(row)):
                apart = value - column[j]
                row[j] += apart * apart
        else:
            for j in range(len(row)):
                row[j] += abs(value - column[j])


@njit(cache=True, nogil=True)
def kth_distances(tree, k):
    """The distance from each point to its k-th nearest one, itself the first; shape (n,).

    Squared with EUCLIDEAN; in the tree's order.
    """
    room = make_room(tree)
    result = np.empty(len(tree.order))
    stack, gaps = np.empty(64, np.int64), np.empty(64)
    for a in range(tree.first_leaf, len(tree.start)):
        first, stop = tree.start[a], tree.stop[a]
        nearest = np.full((stop - first, k), np.inf)
        _keep_nearest(tree, a, a, nearest, room)
        farthest = nearest[:, k - 1].max()
        stack[0], gaps[0], depth = 0, 0.0, 1
        while depth > 0:
            depth -= 1
            node = stack[depth]
            if gaps[depth] > farthest or node == a:
                continue
            if node >= tree.first_leaf:
                _keep_nearest(tree, a, node, nearest, room)
                farthest = nearest[:, k - 1].max()
                continue
            near, far = 2 * node + 1, 2 * node + 2
            near_gap, far_gap = gap(tree, a, near), gap(tree, a, far)
            if far_gap < near_gap:
                near, far, near_gap, far_gap = far, near, far_gap, near_gap
            stack[depth], gaps[depth] = far, far_gap
            stack[depth + 1], gaps[depth + 1] = near, near_gap
            depth += 2
        result[first:stop] = nearest[:, k - 1]
    return result


@njit(cache=True, nogil=True)
def _keep_nearest(tree, a, b, nearest, room):
    """Let the points of leaf b into the sorted lists of the nearest of each point of leaf a."""
    k = nearest.shape[1]
    for pair in range(pairs_within(tree, a, b, nearest[:, k - 1].copy(), room)):
        mine, apart = nearest[room.first[pair] - tree.start[a]], room.distance[pair]
        place = k - 1
        if apart >= mine[place]:
            continue
        while place > 0 and mine[place - 1] > apart:
            mine[place] = mine[place - 1]
            place -= 1
        mine[place] = apart
