r"""Prediction with many trees: test every node of a tree, for many rows at once.

The plain way sends each row down each tree. Every step waits for a memory access that depends on
the step before it, and no branch can be guessed. QuickScorer turns this around. Number the leaves
of a tree from left to right, and let a row hold one bit for each leaf it may still reach, at first
all of them. A node whose test sends the row to the right rules out the leaves of its *left*
subtree: one AND. After all nodes have had their say, in any order, the row's leaf is the lowest bit
left:

- a leaf to the left of the row's own is ruled out where their paths part: there the row went right;
- the row's own leaf is never in the left subtree of a node that sends the row to the right.

It takes more tests than a walk does, but no test depends on another one. So the loop runs over the
rows of a block, side by side in vector registers. The lowest bit $b = a\ \&\ {-a}$ is turned into a
place by one multiplication with a de Bruijn sequence, whose windows of 6 bits are all different.

A tree with more than 64 leaves is walked.

Source: Claudio Lucchese and others, *QuickScorer: a fast algorithm to rank documents with additive
ensembles of regression trees*, 2015.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from supervised_learning.histogram.categories import NUMERIC, Record, is_member

_BLOCK = 256  # rows; their columns and their bits stay in the first caches
_MOST_LEAVES = 64
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_WINDOW = np.uint64(64 - 6)


@dataclass(frozen=True)
class Scorer:
    """The trees of an ensemble, laid out for prediction; tree t adds to output t mod n_outputs.

    Attributes
    ----------
    nodes : `grower.NODE`, all trees end to end.
    roots : where each tree begins, and the end; int64 (n_trees + 1,).
    masks : the leaves that a row may still reach after it went right at a node, uint64 (n_nodes,).
    values : the leaf values of each tree, by the window of the leaf's bit, (n_trees, 64); of
        no use where a tree has more leaves.
    n_outputs : the number of raw predictions of a row.
    """

    nodes: NDArray
    roots: NDArray[np.int64]
    masks: NDArray[np.uint64]
    values: NDArray[np.float64]
    n_outputs: int

    @classmethod
    def of(cls, trees: Sequence[NDArray], n_outputs: int = 1) -> "Scorer":
        """Lay out trees of `grower.NODE`."""
        nodes = np.concatenate(trees)
        roots = np.cumsum([0] + [len(tree) for tree in trees])
        masks = np.empty(len(nodes), np.uint64)
        values = np.empty((len(trees), _MOST_LEAVES))
        for t, (start, end) in enumerate(pairwise(roots)):
            if end - start <= 2 * _MOST_LEAVES - 1:
                _number_leaves(nodes[start:end], masks[start:end], values[t])
        return cls(nodes, roots, masks, values, n_outputs)

    def add(self, X: NDArray, raw: NDArray[np.float64]) -> None:
        """Add every tree's prediction for X (n, n_features) to `raw` (n_outputs, n)."""
        _score(X, self.nodes, self.roots, self.masks, self.values, raw)


@njit(cache=True, nogil=True)
def _number_leaves(nodes: NDArray, masks: NDArray, values: NDArray) -> None:
    """Fill the masks of a tree's nodes and the values of its leaves, which are numbered in order.

    Children come after their parent, so one walk backward counts the leaves below every node, and
    one walk forward tells every node which leaf is its first.
    """
    one = np.uint64(1)
    below = np.ones(len(nodes), np.uint64)
    for k in range(len(nodes) - 1, -1, -1):
        if nodes[k].left != 0:
            below[k] = below[nodes[k].left] + below[nodes[k].left + 1]
    first = np.zeros(len(nodes), np.uint64)
    for k in range(len(nodes)):
        left = nodes[k].left
        if left == 0:
            values[((one << first[k]) * _DE_BRUIJN) >> _WINDOW] = nodes[k].value
        else:
            first[left], first[left + 1] = first[k], first[k] + below[left]
            masks[k] = ~(((one << below[left]) - one) << first[k])


@njit(cache=True, nogil=True, parallel=True)
def _score(
    X: NDArray, nodes: NDArray, roots: NDArray, masks: NDArray, values: NDArray, raw: NDArray
) -> None:
    n, n_outputs = X.shape[0], raw.shape[0]
    for block in prange(-(-n // _BLOCK)):
        start, end = block * _BLOCK, min(n, (block + 1) * _BLOCK)
        columns = np.empty((X.shape[1], end - start))
        for i in range(end - start):
            for f in range(X.shape[1]):
                columns[f, i] = X[start + i, f]
        reachable = np.empty(end - start, np.uint64)
        for t in range(len(roots) - 1):
            total = raw[t % n_outputs, start:end]
            tree = nodes[roots[t] : roots[t + 1]]
            if len(tree) <= 2 * _MOST_LEAVES - 1:
                _test(columns, tree, masks[roots[t] : roots[t + 1]], reachable)
                for i in range(end - start):
                    lowest = reachable[i] & (~reachable[i] + np.uint64(1))
                    total[i] += values[t, (lowest * _DE_BRUIJN) >> _WINDOW]
            else:
                for i in range(end - start):
                    total[i] += _walk(columns[:, i], tree)


@njit(cache=True, nogil=True)
def _test(columns: NDArray, tree: NDArray, masks: NDArray, reachable: NDArray) -> None:
    """Rule out leaves: all bits stay where the test says left, else those of the mask."""
    one = np.uint64(1)
    reachable[:] = ~np.uint64(0)
    for k in range(len(tree)):
        node = tree[k]
        if node.left == 0:
            continue
        column, threshold, mask = columns[node.feature], node.threshold, masks[k]
        if node.kind != NUMERIC:
            for i in range(len(reachable)):
                reachable[i] &= mask | (np.uint64(0) - _is_named(node, column[i]))
        elif node.missing_left:  # a comparison with NaN is false
            for i in range(len(reachable)):
                reachable[i] &= mask | (np.uint64(column[i] > threshold) - one)
        else:
            for i in range(len(reachable)):
                reachable[i] &= mask | (np.uint64(not column[i] <= threshold) - one)


@njit(cache=True, nogil=True)
def _walk(x: NDArray, tree: NDArray) -> float:
    """The value of a row's leaf."""
    k = np.uint32(0)
    while tree[k].left != 0:
        value = x[tree[k].feature]
        if tree[k].kind != NUMERIC:
            left = _is_named(tree[k], value) != 0
        elif np.isnan(value):
            left = tree[k].missing_left != 0
        else:
            left = value <= tree[k].threshold
        k = tree[k].left if left else tree[k].left + np.uint32(1)
    return tree[k].value


@njit(cache=True, nogil=True)
def _is_named(node: Record, value: float) -> np.uint64:
    """1 where a category goes left, else 0; a missing one goes right."""
    return np.uint64(0) if np.isnan(value) else is_member(node, np.uint64(value))
