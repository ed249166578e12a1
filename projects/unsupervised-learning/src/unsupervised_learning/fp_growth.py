r"""FP-growth: frequent itemsets from a prefix tree, without candidates.

Apriori looks at all baskets again for every size. The FP-tree holds them all at once, compressed.
Drop the infrequent items, sort each basket by how frequent its items are, and insert it into a tree
as a path from the root: baskets with the same popular items share the beginning of their paths. A
node carries an item and the number of baskets through it.

The tree answers *which sets end with item $i$* by itself. Every occurrence of $i$ is a node; the
path above it, with the node's count, is a basket that holds $i$, without the items that are rarer.
All these paths are the *conditional baskets* of $i$. Their frequent items, each together with $i$,
are the frequent pairs; and a tree made of them, the conditional FP-tree, answers the same question
again for sets that end with this pair. So the sets grow by recursion,

$$\operatorname{mine}(T, S):\quad \text{for each item } i \text{ of } T:\quad
\text{emit } S \cup \{i\},\quad \operatorname{mine}(T|_i,\; S \cup \{i\}),$$

and nothing is ever counted that is not in some basket.

A tree is four arrays: nodes come after their parents, a node's children are a chained list.

Source: Jiawei Han, Jian Pei and Yiwen Yin, *Mining frequent patterns without candidate generation*,
2000.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from unsupervised_learning.baskets import (
    Baskets,
    Level,
    largest_size,
    least_count,
    read_baskets,
    to_frame,
)


class Tree(NamedTuple):
    """An FP-tree; node 0 is the root, and items are ranks: 0 is the most frequent one.

    Attributes
    ----------
    items, parents, counts : of each node, int32, int32, int64.
    size : the number of nodes; the arrays may be longer.
    totals : the count of each item in the tree, int64; 0 where it is not frequent.
    """

    items: NDArray[np.int32]
    parents: NDArray[np.int32]
    counts: NDArray[np.int64]
    size: int
    totals: NDArray[np.int64]


def fpgrowth(
    data: Any,
    min_support: float = 0.5,
    use_colnames: bool = False,
    max_len: int | None = None,
) -> pd.DataFrame:
    """The frequent itemsets of some baskets.

    Parameters
    ----------
    data : one-hot frame or array of shape (n_baskets, n_items), bool or 0 and 1; or a list with one
        collection of names a basket.
    min_support : the smallest share of the baskets that hold the set, above 0, at most 1.
    use_colnames : whether items of a frame are called by its columns, else by their numbers. Items
        of a list keep their names.
    max_len : the most items of a set; None: no limit.

    Returns
    -------
    DataFrame with the columns `support` (float) and `itemsets` (frozenset); small sets first, and
    sets of one size in the order of their items: the frame that `apriori` gives.

    Raises
    ------
    TypeError, ValueError : for what are no baskets, no support and no length; see the messages.

    References
    ----------
    Jiawei Han, Jian Pei and Yiwen Yin, *Mining frequent patterns without candidate generation*,
    2000.

    Examples
    --------
    >>> baskets = [["bread", "milk"], ["bread", "butter", "milk"], ["butter"]]
    >>> fpgrowth(baskets, min_support=0.6)["itemsets"].map(sorted).tolist()
    [['bread'], ['butter'], ['milk'], ['bread', 'milk']]
    """
    baskets = read_baskets(data, use_colnames)
    least = least_count(min_support, len(baskets))
    most = largest_size(max_len, len(baskets.names))
    tree, by_rank = build_tree(baskets, least)
    return to_frame(_to_levels(*_mine(tree, by_rank, least, most)), baskets)


def build_tree(baskets: Baskets, least: int) -> tuple[Tree, NDArray[np.int64]]:
    """The FP-tree of the items with a count of at least `least`, and the item of each rank."""
    counts = np.bincount(baskets.items, minlength=len(baskets.names))
    by_rank = np.argsort(-counts, kind="stable")[: int((counts >= least).sum())]
    rank = np.full(len(counts), -1, np.int32)
    rank[by_rank] = np.arange(len(by_rank))
    tree = _build(baskets.items, baskets.starts, rank, counts[by_rank])
    return tree, by_rank


def _to_levels(before: NDArray, items: NDArray, counts: NDArray, sizes: NDArray) -> list[Level]:
    """Sort itemsets, each given by its last item and the set before it, into levels."""
    levels: list[Level] = []
    of_size = np.flatnonzero(sizes == 1)
    members = items[of_size, None]
    place = np.zeros(len(sizes), np.int64)  # of a set in its level
    while len(of_size):
        order = np.lexsort(np.sort(members, axis=1).T[::-1])
        levels.append((np.sort(members, axis=1)[order], counts[of_size[order]]))
        place[of_size] = np.arange(len(of_size))
        of_size = np.flatnonzero(sizes == len(levels) + 1)
        members = np.column_stack([members[place[before[of_size]]], items[of_size]])
    return levels


@njit(cache=True, nogil=True)
def _build(items: NDArray, starts: NDArray, rank: NDArray, totals: NDArray) -> Tree:
    """Insert every basket, its frequent items sorted by rank."""
    room = 1
    for item in items:
        room += rank[item] >= 0
    tree = _empty(room, totals)
    links = np.zeros((2, room), np.int32)
    path = np.empty(len(totals), np.int32)
    size = 1
    for basket in range(len(starts) - 1):
        length = 0
        for k in range(starts[basket], starts[basket + 1]):
            if rank[items[k]] >= 0:
                path[length] = rank[items[k]]
                length += 1
        path[:length].sort()
        size = _insert(tree, links, size, path[:length], 1)
    return Tree(tree.items, tree.parents, tree.counts, size, tree.totals)


@njit(cache=True, nogil=True)
def _empty(room: int, totals: NDArray) -> Tree:
    items, parents = np.full(room, -1, np.int32), np.zeros(room, np.int32)
    return Tree(items, parents, np.zeros(room, np.int64), 1, totals)


@njit(cache=True, nogil=True)
def _insert(tree: Tree, links: NDArray, size: int, path: NDArray, count: int) -> int:
    """Walk a path from the root, making what is not there yet; gives the new size.

    `links[0]` is a node's child that was made last, `links[1]` its sibling that was made before it.
    """
    node = 0
    for item in path:
        child = links[0, node]
        while child != 0 and tree.items[child] != item:
            child = links[1, child]
        if child == 0:
            child = size
            size += 1
            tree.items[child], tree.parents[child] = item, node
            links[1, child] = links[0, node]
            links[0, node] = child
        tree.counts[child] += count
        node = child
    return size


@njit(cache=True, nogil=True)
def _mine(
    tree: Tree, by_rank: NDArray, least: int, most: int
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """All frequent sets: the number of the set before the last item, that item, count and size.

    The recursion is a stack: of each tree, what is left to do are the items below the last one.
    Set 0 is the empty one.
    """
    before, items, counts, sizes = [0], [0], [0], [0]
    nodes, starts = _nodes_by_item(tree)
    stack = [(tree, nodes, starts, 0, len(tree.totals))]
    while len(stack) > 0:
        tree, nodes, starts, suffix, item = stack.pop()
        item -= 1
        while item >= 0 and tree.totals[item] == 0:
            item -= 1
        if item < 0:
            continue
        stack.append((tree, nodes, starts, suffix, item))
        found = len(before)
        before.append(suffix)
        items.append(by_rank[item])
        counts.append(tree.totals[item])
        sizes.append(sizes[suffix] + 1)
        if sizes[found] < most and item > 0:
            own = nodes[starts[item] : starts[item + 1]]
            conditional = _condition(tree, own, item, least)
            if conditional.size > 1:
                nodes, starts = _nodes_by_item(conditional)
                stack.append((conditional, nodes, starts, found, item))
    return np.array(before), np.array(items), np.array(counts), np.array(sizes)


@njit(cache=True, nogil=True)
def _nodes_by_item(tree: Tree) -> tuple[NDArray, NDArray]:
    """The nodes of item i are `nodes[starts[i]:starts[i + 1]]`."""
    starts = np.zeros(len(tree.totals) + 1, np.int64)
    for node in range(1, tree.size):
        starts[tree.items[node] + 1] += 1
    starts = np.cumsum(starts)
    filled = starts.copy()
    nodes = np.empty(tree.size - 1, np.int32)
    for node in range(1, tree.size):
        nodes[filled[tree.items[node]]] = node
        filled[tree.items[node]] += 1
    return nodes, starts


@njit(cache=True, nogil=True)
def _condition(tree: Tree, nodes: NDArray, item: int, least: int) -> Tree:
    """The tree of the paths above some nodes, which all have this item."""
    totals = np.zeros(item, np.int64)
    for node in nodes:
        above = tree.parents[node]
        while above != 0:
            totals[tree.items[above]] += tree.counts[node]
            above = tree.parents[above]
    room, frequent = 1, 0
    for other in range(item):
        if totals[other] < least:
            totals[other] = 0
        frequent += totals[other] > 0
    if frequent > 0:
        for node in nodes:
            above = tree.parents[node]
            while above != 0:
                room += totals[tree.items[above]] > 0
                above = tree.parents[above]
    smaller = _empty(room, totals)
    if frequent == 0:
        return smaller
    links = np.zeros((2, room), np.int32)
    path = np.empty(item, np.int32)
    size = 1
    for node in nodes:
        begin = item
        above = tree.parents[node]
        while above != 0:
            if totals[tree.items[above]] > 0:
                begin -= 1
                path[begin] = tree.items[above]
            above = tree.parents[above]
        size = _insert(smaller, links, size, path[begin:], tree.counts[node])
    return Tree(smaller.items, smaller.parents, smaller.counts, size, totals)
