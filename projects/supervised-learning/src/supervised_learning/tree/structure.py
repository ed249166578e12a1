"""A grown tree as flat arrays: walk it, measure it, cut branches off.

Nodes stand in depth-first order: the left child follows its parent, and a node's descendants stand
together right behind it. So a row that goes left moves to the next number, and the nodes of a
branch that is cut off vanish between the node that becomes a leaf and its right neighbor.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

LEAF = -1
#: What stands in a leaf for the column of the split, and for its threshold.
NO_COLUMN = -2

#: So many rows walk down side by side.
_ROWS = 8

Steps = tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.uint32]]


@dataclass
class Tree:
    """A binary tree; its arrays have one entry for each node.

    Attributes
    ----------
    feature : int32 (nodes,), the column of the split; -2 in a leaf.
    threshold : float64 (nodes,), rows with x ≤ threshold go left; -2.0 in a leaf.
    children_left, children_right : int32 (nodes,), the children's numbers; -1 in a leaf.
    impurity : float64 (nodes,).
    n_node_samples : int32 (nodes,), rows of the training set.
    weighted_n_node_samples : float64 (nodes,), the sum of their weights.
    value : float64 (nodes, k), the shares of the k classes, or (nodes, 1), the mean.
    n_features : the number of columns.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    children_left: NDArray[np.int32]
    children_right: NDArray[np.int32]
    impurity: NDArray[np.float64]
    n_node_samples: NDArray[np.int32]
    weighted_n_node_samples: NDArray[np.float64]
    value: NDArray[np.float64]
    n_features: int

    @property
    def node_count(self) -> int:
        """How many nodes there are."""
        return len(self.feature)

    @property
    def is_leaf(self) -> NDArray[np.bool_]:
        """Which nodes are leaves (nodes,)."""
        return self.children_left == LEAF

    @property
    def n_leaves(self) -> int:
        """How many leaves there are."""
        return int(np.count_nonzero(self.is_leaf))

    def depths(self) -> NDArray[np.int32]:
        """The depth of each node (nodes,); the root's is 0."""
        return _depths(self.children_left, self.children_right)

    @property
    def max_depth(self) -> int:
        """The depth of the deepest leaf."""
        return int(self.depths().max())

    def gains(self) -> NDArray[np.float64]:
        """By how much each node's split lowers the tree's impurity (nodes,); 0 in leaves."""
        inner = np.flatnonzero(~self.is_leaf)
        part = self.impurity * self.weighted_n_node_samples
        gains = np.zeros(self.node_count)
        children = part[self.children_left[inner]] + part[self.children_right[inner]]
        gains[inner] = (part[inner] - children) / self.weighted_n_node_samples[0]
        return gains

    def gains_of_features(self) -> NDArray[np.float64]:
        """The sum of the gains by column (d,)."""
        inner = ~self.is_leaf
        gains = np.bincount(self.feature[inner], self.gains()[inner], self.n_features)
        return gains.astype(np.float64, copy=False)

    def feature_importances(self) -> NDArray[np.float64]:
        """The share of each column in the tree's gains (d,); all 0 where there is no gain."""
        gains = self.gains_of_features()
        total = gains.sum()
        return gains / total if total > 0 else gains

    @cached_property
    def steps(self) -> Steps:
        """The nodes as a walk needs them: columns, thresholds (nodes,), and children (2 nodes,).

        A leaf is its own left child, and every number lies below its threshold: a row that is there
        stays. A float32 is at most the threshold when it is at most the last float32 that does not
        lie above it.
        """
        leaf, node = self.is_leaf, np.arange(self.node_count)
        below = self.threshold.astype(np.float32)
        too_high = below > self.threshold
        below[too_high] = np.nextafter(below[too_high], np.float32(-np.inf))
        below[leaf] = np.inf
        children = np.empty(2 * self.node_count, np.uint32)
        children[::2] = np.where(leaf, node, self.children_left)
        children[1::2] = np.where(leaf, node, self.children_right)
        return np.where(leaf, 0, self.feature).astype(np.uint32), below, children

    def apply(self, X: NDArray[np.float32]) -> NDArray[np.int32]:
        """The leaf in which each row of X (n, d) ends: int32 (n,)."""
        return _apply(X, *self.steps)

    def add_values(
        self, X: NDArray[np.float32], value: NDArray[np.float64], out: NDArray[np.float64]
    ) -> None:
        """Add to each row of `out` (n, k) the entry of `value` (nodes, k) for that row's leaf."""
        _add_values(X, *self.steps, value, out)

    def cut(self, inner: NDArray[np.bool_]) -> "tuple[Tree, NDArray[np.int64]]":
        """The tree in which only the nodes marked in `inner` (nodes,) split still.

        Gives it with the number that stands for each old node (nodes,): its own new number, or
        that of the leaf that it went into.
        """
        stays = _reached(inner, self.children_left, self.children_right)
        number = np.cumsum(stays) - 1
        splits = inner[stays] & ~self.is_leaf[stays]
        left = number[self.children_left[stays]].astype(np.int32)
        right = number[self.children_right[stays]].astype(np.int32)
        tree = Tree(
            np.where(splits, self.feature[stays], np.int32(NO_COLUMN)),
            np.where(splits, self.threshold[stays], float(NO_COLUMN)),
            np.where(splits, left, np.int32(LEAF)),
            np.where(splits, right, np.int32(LEAF)),
            self.impurity[stays],
            self.n_node_samples[stays],
            self.weighted_n_node_samples[stays],
            self.value[stays],
            self.n_features,
        )
        return tree, number


@njit(cache=True, nogil=True)
def _walk(X, start, feature, threshold, children, nodes):
    """Walk the rows from `start` on down to their leaves, `nodes` (8,).

    A step waits for what the step before has found in memory. Eight rows in turn hide that wait,
    and taking the child from a list, with no `if`, leaves nothing to guess. Numbers without a sign
    save a check at every access.
    """
    nodes[:] = 0
    moved = np.uint32(1)
    while moved:
        moved = np.uint32(0)
        for j in range(_ROWS):
            node = np.uint64(nodes[j])
            right = X[np.uint64(start + j), np.uint64(feature[node])] > threshold[node]
            child = children[np.uint64(2) * node + np.uint64(right)]
            moved |= child ^ nodes[j]
            nodes[j] = child


@njit(cache=True, nogil=True)
def _walk_one(x, feature, threshold, children):
    node, child = np.uint32(1), np.uint32(0)
    while child != node:
        node = child
        child = children[2 * node + np.uint32(x[feature[node]] > threshold[node])]
    return node


@njit(cache=True, nogil=True)
def _apply(X, feature, threshold, children):
    n = len(X)
    leaves = np.empty(n, np.int32)
    nodes = np.empty(_ROWS, np.uint32)
    whole = n - n % _ROWS
    for start in range(0, whole, _ROWS):
        _walk(X, start, feature, threshold, children, nodes)
        for j in range(_ROWS):
            leaves[start + j] = nodes[j]
    for i in range(whole, n):
        leaves[i] = _walk_one(X[i], feature, threshold, children)
    return leaves


@njit(cache=True, nogil=True)
def _add_values(X, feature, threshold, children, value, out):
    n = len(X)
    nodes = np.empty(_ROWS, np.uint32)
    whole = n - n % _ROWS
    for start in range(0, whole, _ROWS):
        _walk(X, start, feature, threshold, children, nodes)
        for j in range(_ROWS):
            for k in range(out.shape[1]):
                out[start + j, k] += value[nodes[j], k]
    for i in range(whole, n):
        out[i] += value[_walk_one(X[i], feature, threshold, children)]


@njit(cache=True, nogil=True)
def _depths(child_left, child_right):
    depth = np.zeros(len(child_left), np.int32)
    for node in range(len(child_left)):
        if child_left[node] != LEAF:
            depth[child_left[node]] = depth[child_right[node]] = depth[node] + 1
    return depth


@njit(cache=True, nogil=True)
def _reached(inner, child_left, child_right):
    """Which nodes can be reached from the root when only those in `inner` split."""
    reached = np.zeros(len(inner), np.bool_)
    reached[0] = True
    for node in range(len(inner)):
        if reached[node] and inner[node] and child_left[node] != LEAF:
            reached[child_left[node]] = reached[child_right[node]] = True
    return reached
