r"""Minimum spanning trees of points, without a matrix of distances, and the merges they tell.

Cut the longest edges of a minimum spanning tree, and what stays connected is what single linkage
calls a cluster. HDBSCAN asks for the tree under the *mutual reachability distance*

$$d_m(i, j) = \max\{c_i, c_j, d(i, j)\},$$

where the core distance $c_i$ is that of the $k$-th nearest neighbor of $i$; with $c = 0$ it is
plain single linkage.

`prim` grows one tree from the first point: each step takes in the point that is nearest to the
tree. That takes $n^2 / 2$ distances in any dimension, and room for $n$ of them. (Robert Prim,
"Shortest connection networks and some generalizations", 1957.) The points outside the tree lie
close together in memory, column by column, so that a step is a pass over a few arrays.

`merge_edges` puts the edges together again, the shortest first. Each joins two clusters, and the
list of what it joins is the single linkage dendrogram. (John Gower and Gavin Ross, "Minimum
spanning trees and single linkage cluster analysis", 1969.)
"""

import numpy as np
from numba import njit

from unsupervised_learning.neighbor_search import EUCLIDEAN, PRECOMPUTED

#: Points that are looked at together: their distances stay in the nearest cache.
CHUNK = 512


# NaN cannot reach this: the points are finite, and only the distance of two may overflow to inf.
@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def prim(x, core, metric):
    """The minimum spanning tree of the rows of x, grown from the first.

    Parameters
    ----------
    x : float64 (n, d), or the distances (n, n) where `metric` is PRECOMPUTED.
    core : (n,), the core distances; squared with EUCLIDEAN.

    Returns
    -------
    visited : (n,), the rows in the order in which the tree takes them in.
    source : (n - 1,), the row in the tree that `visited[k + 1]` hangs on.
    weight : (n - 1,), the length of that edge; squared with EUCLIDEAN.
    """
    n = len(x)
    visited, source, weight = np.zeros(n, np.int64), np.empty(n - 1, np.int64), np.empty(n - 1)
    # The points outside the tree: their rows, coordinates, and nearest points in the tree.
    row, floor = np.arange(n), core.copy()
    nearest, hung_on = np.full(n, np.inf), np.zeros(n, np.int64)
    columns = x.T.copy() if metric != PRECOMPUTED else np.empty((0, n))
    left, gone, place = n, 0, 0
    apart = np.empty(CHUNK)
    for step in range(n - 1):
        current = row[place]
        # The point that is taken in stays in the arrays, out of everyone's reach, for a while.
        row[place], floor[place], nearest[place] = -1, np.inf, np.inf
        gone += 1
        if 8 * gone > left:
            left = _close_up(row, floor, nearest, hung_on, columns, left)
            gone = 0
        shortest, start = np.inf, 0
        for first in range(0, left, CHUNK):
            size = min(CHUNK, left - first)
            distances_from(x, current, columns, row, first, size, metric, apart)
            low = np.inf
            for j in range(size):
                reach = max(max(apart[j], core[current]), floor[first + j])
                closer = reach < nearest[first + j]
                nearest[first + j] = reach if closer else nearest[first + j]
                hung_on[first + j] = current if closer else hung_on[first + j]
                low = min(low, nearest[first + j])
            if low < shortest:
                shortest, start = low, first
        place = start
        while nearest[place] != shortest or row[place] < 0:
            place += 1
        visited[step + 1], source[step], weight[step] = row[place], hung_on[place], shortest
    return visited, source, weight


@njit(cache=True, nogil=True)
def distances_from(x, current, columns, row, first, size, metric, apart):
    """Put the distances from row `current` of x to `size` points into `apart`.

    The points are the columns `first`, `first` + 1, … of `columns`, (d, n); `row` holds their rows
    in x, which precomputed distances are read by. Squared with EUCLIDEAN.
    """
    if metric == PRECOMPUTED:
        for j in range(size):
            apart[j] = x[current, row[first + j]]
        return
    apart[:size] = 0.0
    for k in range(len(columns)):
        value, column = x[current, k], columns[k, first : first + size]
        if metric == EUCLIDEAN:
            for j in range(size):
                difference = value - column[j]
                apart[j] += difference * difference
        else:
            for j in range(size):
                apart[j] += abs(value - column[j])


@njit(cache=True, nogil=True)
def _close_up(row, floor, nearest, hung_on, columns, left):
    """Move the points outside the tree together, in their order; returns how many there are."""
    kept = 0
    for j in range(left):
        if row[j] >= 0:
            row[kept], floor[kept] = row[j], floor[j]
            nearest[kept], hung_on[kept] = nearest[j], hung_on[j]
            for k in range(len(columns)):
                columns[k, kept] = columns[k, j]
            kept += 1
    return kept


@njit(cache=True, nogil=True)
def merge_edges(first, second):
    """Join clusters edge by edge.

    Parameters
    ----------
    first, second : (n - 1,), the rows that each edge of a tree joins, in the order of the merges.

    Returns
    -------
    children : (n - 1, 2), what merge i joins: a row, or n + j for the cluster of merge j; the
        cluster of `first` comes first.
    size : (n - 1,), how many rows the new cluster holds.
    """
    n = len(first) + 1
    parent = np.arange(2 * n - 1)
    children, size = np.empty((n - 1, 2), np.int64), np.empty(n - 1, np.int64)
    for i in range(n - 1):
        total = 0
        for side, row in enumerate((first[i], second[i])):
            top = row
            while parent[top] != top:
                parent[top] = parent[parent[top]]
                top = parent[top]
            children[i, side] = top
            total += size[top - n] if top >= n else 1
            parent[top] = n + i
        size[i] = total
    return children, size
