r"""The Barnes-Hut sum: what all points do to each point, with far ones taken together.

The repulsion in a t-SNE map is a sum over all pairs,

$$Z = \sum_{i \ne j} w_{ij}, \qquad F_i = \sum_j w_{ij} t_{ij} (y_i - y_j), \qquad
  t_{ij} = (1 + |y_i - y_j|^2 / \nu)^{-1}, \quad w_{ij} = t_{ij}^{(\nu + 1) / 2},$$

which takes $n^2$ steps. A cluster far away acts almost as if all its points were at its center of
mass. So the points are put into a tree whose cells split in the middle of their bounding box along
every axis (a quadtree in two dimensions, an octree in three), and a cell of width s at distance r
is taken as a whole where $s / r < \theta$. That leaves about log n cells for each point.

Here the question is asked once for a leaf of up to 32 points, not for each point: the distance is
that from the leaf's box, so the answer is right for all of them, and more exact than it has to be.
Every point of the leaf then sums over the same list of cells and points, in loops over plain arrays
that the processor runs in vectors. Points are stored one axis after the other for that reason.

Sources: J. Barnes and P. Hut, "A Hierarchical O(N log N) Force-Calculation Algorithm", Nature 324
(1986). J. E. Barnes, "A Modified Tree Code: Don't Laugh; It Runs", Journal of Computational Physics
87 (1990), for the list that neighbors share. L. van der Maaten, "Accelerating t-SNE Using
Tree-Based Algorithms", Journal of Machine Learning Research 15 (2014).
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

_LEAF = 32  # points, at most, in a cell that is not split
#: Sums may be taken in any order; NaN and infinity keep their meaning.
REORDER = {"reassoc", "contract", "arcp", "nsz"}


class Tree(NamedTuple):
    """Cells in depth-first order: a cell's parts follow it, and `skip` is the cell after them."""

    order: NDArray[np.int64]  # (n,): the points, those of a cell between its start and its end
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    skip: NDArray[np.int64]
    center: NDArray[np.float32]  # (d, cells): the center of mass
    low: NDArray[np.float32]  # (d, cells): the bounding box
    high: NDArray[np.float32]


@njit(cache=True, nogil=True)
def build_tree(Y: NDArray) -> Tree:
    """Put points Y, float32 (d, n) with d at most 3, into a tree of cells."""
    d, n = Y.shape
    order, moved = np.arange(n), np.empty(n, np.int64)
    start, end, skip = np.empty((3, 2 * n), np.int64)
    center, low, high = np.empty((3, d, 2 * n), np.float32)
    quadrant = np.empty(n, np.int64)
    edges = np.empty(2**d + 1, np.int64)
    waiting = [(0, n)]
    cells = 0
    while waiting:
        first, last = waiting.pop()
        start[cells], end[cells] = first, last
        width = np.float32(0.0)
        for axis in range(d):
            total = 0.0
            least = most = Y[axis, order[first]]
            for i in range(first, last):
                value = Y[axis, order[i]]
                total += value
                least, most = min(least, value), max(most, value)
            center[axis, cells] = total / (last - first)
            low[axis, cells], high[axis, cells] = least, most
            width = max(width, most - least)
        if last - first > _LEAF and 0 < width < np.inf:
            # Sort the points by their quadrant, whose bit `axis` tells the side on that axis.
            edges[0], edges[1:] = first, 0
            for i in range(first, last):
                q = 0
                for axis in range(d):
                    middle = low[axis, cells] + 0.5 * (high[axis, cells] - low[axis, cells])
                    q |= (Y[axis, order[i]] > middle) << axis
                quadrant[i] = q
                edges[q + 1] += 1
            edges = np.cumsum(edges)
            for q in range(2**d - 1, -1, -1):
                if edges[q + 1] > edges[q]:
                    waiting.append((edges[q], edges[q + 1]))
            for i in range(first, last):
                q = quadrant[i]
                moved[edges[q]] = order[i]
                edges[q] += 1
            order[first:last] = moved[first:last]
        cells += 1
    for cell in range(cells - 1, -1, -1):
        after = cell + 1
        while after < cells and start[after] < end[cell]:
            after = skip[after]
        skip[cell] = after
    return Tree(
        order,
        start[:cells],
        end[:cells],
        skip[:cells],
        center[:, :cells],
        low[:, :cells],
        high[:, :cells],
    )


@njit(cache=True, nogil=True)
def repulsion(Y: NDArray, theta: float, nu: int) -> tuple[NDArray, float]:
    """The sums F (d, n) and Z over all pairs of points, by the tree.

    Parameters
    ----------
    Y : the points, float32 (d, n), d at most 3.
    theta : up to which width / distance a cell is taken as a whole; 0 takes every pair.
    nu : the degrees of freedom of the kernel.
    """
    d, n = Y.shape
    tree = build_tree(Y)
    points = np.empty((d, n), np.float32)
    for axis in range(d):
        points[axis] = Y[axis][tree.order]
    place, scratch = np.empty((d, n), np.float32), np.empty((2, n), np.float32)
    mass = np.empty(n, np.float32)
    force, push = np.empty((d, n), np.float32), np.empty(d, np.float32)
    total = 0.0
    for leaf in range(len(tree.start)):
        if tree.skip[leaf] != leaf + 1:
            continue
        size = _interactions(tree, leaf, points, theta, place, mass)
        for i in range(tree.start[leaf], tree.end[leaf]):
            total += _push(points, i, place, mass, size, nu, scratch, push)
            force[:, tree.order[i]] = push
    return force, total


@njit(cache=True, nogil=True)
def exact_repulsion(Y: NDArray, nu: int) -> tuple[NDArray, float]:
    """The sums F (d, n) and Z over all pairs of points, one by one; d may be any."""
    d, n = Y.shape
    scratch, mass = np.empty((2, n), np.float32), np.ones(n, np.float32)
    force, push = np.empty((d, n), np.float32), np.empty(d, np.float32)
    total = 0.0
    for i in range(n):
        total += _push(Y, i, Y, mass, n, nu, scratch, push)
        force[:, i] = push
    return force, total


@njit(cache=True, nogil=True)
def _interactions(
    tree: Tree, leaf: int, points: NDArray, theta: float, place: NDArray, mass: NDArray
) -> int:
    """List where the masses are that act on a leaf, and how large; returns their number."""
    d = len(place)
    size, cell = 0, 0
    while cell < len(tree.start):
        first, last, after = tree.start[cell], tree.end[cell], tree.skip[cell]
        width = gap = np.float32(0.0)  # of the cell, and its square distance from the leaf's box
        for axis in range(d):
            c = tree.center[axis, cell]
            width = max(width, tree.high[axis, cell] - tree.low[axis, cell])
            outside = max(tree.low[axis, leaf] - c, c - tree.high[axis, leaf], np.float32(0.0))
            gap += outside * outside
        holds = first <= tree.start[leaf] < last
        if not holds and width * width < theta * theta * gap:
            for axis in range(d):
                place[axis, size] = tree.center[axis, cell]
            mass[size] = last - first
            size += 1
            cell = after
        elif after == cell + 1:
            for axis in range(d):
                for i in range(first, last):
                    place[axis, size + i - first] = points[axis, i]
            mass[size : size + last - first] = 1.0
            size += last - first
            cell = after
        else:
            cell += 1
    return size


@njit(cache=True, nogil=True, fastmath=REORDER, error_model="numpy")
def _push(
    points: NDArray,
    i: int,
    place: NDArray,
    mass: NDArray,
    size: int,
    nu: int,
    scratch: NDArray,
    push: NDArray,
) -> np.floating:
    """What the listed masses do to point i: F_i goes into `push`; returns its part of Z."""
    near, pull = scratch[0], scratch[1]
    near[:size] = 1.0
    for axis in range(len(points)):
        own, there = points[axis, i], place[axis]
        for k in range(size):
            difference = own - there[k]
            near[k] += difference * difference / np.float32(nu)
    weights = np.float32(0.0)
    if nu == 1:
        for k in range(size):
            t = np.float32(1.0) / near[k]
            w = mass[k] * t
            weights += w
            pull[k] = w * t
    elif nu == 2:
        for k in range(size):
            t = np.float32(1.0) / near[k]
            w = mass[k] * t * np.sqrt(t)
            weights += w
            pull[k] = w * t
    else:
        for k in range(size):
            t = np.float32(1.0) / near[k]
            w = mass[k] * t ** np.float32((nu + 1) / 2)
            weights += w
            pull[k] = w * t
    for axis in range(len(points)):
        own, there = points[axis, i], place[axis]
        force = np.float32(0.0)
        for k in range(size):
            force += pull[k] * (own - there[k])
        push[axis] = force
    return weights - np.float32(1.0)  # the point itself is on the list
