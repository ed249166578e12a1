r"""Grow a binary tree on sorted columns, depth first.

CART grows greedily: a node looks for the column and the threshold whose split gains most, its rows
go left ($x \le t$) or right, and the same is done with each child, until a child is pure, too small
or too deep. The threshold lies midway between two neighbors. With $d$ columns, $n$ rows and depth
$D$ it takes $O(d\,n\,D)$, as the columns stay sorted in every node (see `columns`).

Reference: L. Breiman, J. Friedman, R. Olshen, C. Stone, *Classification and Regression Trees*,
1984.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervised_learning.tree.columns import CLOSE, Columns, SortedLists, sort_node
from supervised_learning.tree.criteria import (
    CRITERIA,
    ENTROPY,
    GINI,
    SQUARED_ERROR,
    entropy,
    gini,
    scan_entropy,
    scan_gini,
    scan_squared_error,
    table_of_log2,
)
from supervised_learning.tree.structure import LEAF, NO_COLUMN, Tree

#: A child with a smaller share of its node's weight than this would be lost in rounding.
_LEAST_SHARE = 1e-9

#: Random numbers are taken modulo this, as C's `rand` gives them.
MAX_RANDOM = np.uint32(2**31)

#: Values lie far from 0 where their mean is more than so many standard deviations.
_FAR = 100.0

_ROUNDING = float(np.finfo(np.float64).eps)
_NO_LISTS = SortedLists(np.empty((0, 0), np.int32), np.empty((0, 0), np.float32))


@dataclass(frozen=True)
class Limits:
    """When growth ends; scikit-learn's parameters as numbers of rows and weights."""

    max_depth: int = 2**31 - 1
    min_samples_split: int = 2
    min_samples_leaf: int = 1
    min_weight_leaf: float = 0.0
    min_impurity_decrease: float = 0.0


def grow(
    columns: Columns,
    y: NDArray,
    weight: NDArray[np.float64] | None = None,
    *,
    criterion: str,
    n_classes: int = 0,
    max_features: int | None = None,
    limits: Limits = Limits(),
    seed: int = 0,
    times: NDArray[np.int64] | None = None,
    once: bool = False,
) -> tuple[Tree, NDArray[np.int32]]:
    """Grow a tree on the rows of weight above 0; gives it and the leaf of each row, int32 (n,).

    For a row that took no part 0 stands in place of its leaf.

    Parameters
    ----------
    y : int32 (n,), the classes 0 … n_classes - 1; or float64 (n,), the values to predict.
    weight : float64 (n,), not negative; None: 1 each.
    criterion : a name in `CRITERIA`.
    max_features : how many columns a node looks at, drawn anew for each node; None: all of them.
        Where all of these are constant in the node, it looks on.
    seed : of the order in which columns are looked at; the first of equally good splits is taken.
    times : how often each row stands in the training set (n,), beside its weight; None: once each.
    once : whether nothing else is grown on `columns`; then their sorted lists are used up.
    """
    d, n = columns.values.shape
    max_features = d if max_features is None else max_features
    if times is None and weight is not None and not weight.all():
        times = (weight > 0).astype(np.int64)
    rows = np.arange(n, dtype=np.int32)
    if times is not None:
        rows = np.repeat(rows, times)
    lists, ranks = _NO_LISTS, _NO_LISTS.rows
    if not columns.prepare(max_features):
        ranks = columns.ranks
    elif times is not None:
        lists = columns.lists.of_rows(times)
    else:
        lists = columns.lists if once else columns.lists.copy()
    label, target, origin = y, np.empty(0), 0.0
    if not n_classes:
        # Deviations from a value near the mean where all are far from 0: so no digits are lost.
        center = y.mean()
        if abs(center) > _FAR * y.std():
            origin = y[np.abs(y - center).argmin()]
        label, target = np.empty(0, np.int32), y - origin
    leaf_of = np.zeros(n, np.int32)
    arrays = _grow(
        columns.values,
        lists.rows,
        lists.values,
        ranks,
        rows,
        label,
        target,
        target if weight is None or n_classes else target * weight,
        np.empty(0) if weight is None else weight,
        table_of_log2(weight, len(rows)) if CRITERIA[criterion] == ENTROPY else np.empty(0),
        n_classes,
        CRITERIA[criterion],
        max_features,
        limits.max_depth,
        limits.min_samples_split,
        limits.min_samples_leaf,
        limits.min_weight_leaf,
        limits.min_impurity_decrease,
        np.uint32(seed or 1),
        leaf_of,
    )
    tree = Tree(*(*arrays, d))
    tree.value += origin
    return tree, leaf_of


@njit(cache=True, nogil=True)
def _grow(
    values, list_rows, list_values, ranks, rows, label, target, weighted_target, weight, table,
    n_classes, criterion, max_features, max_depth, min_split, min_leaf, min_weight, min_decrease,
    random, leaf_of,
):  # fmt: skip
    (d, n), n_rows, presorted = values.shape, len(rows), len(list_rows) > 0
    room = 2 * n_rows - 1 if max_depth > 30 else min(2 * n_rows - 1, 2 ** (max_depth + 1) - 1)
    column_of, cut_of = np.empty(room, np.int32), np.empty(room)
    child_left, child_right = np.full(room, LEAF, np.int32), np.full(room, LEAF, np.int32)
    impurities, weights, sizes = np.empty(room), np.empty(room), np.empty(room, np.int32)
    contents = np.empty((room, max(1, n_classes)))

    total, left = np.empty(n_classes), np.empty(n_classes)
    # The columns that are constant in a node come first: its children need not look at them.
    shuffled, constant = np.arange(d), np.empty(d, np.int64)
    goes_left = np.zeros(n, np.bool_)
    spare, spare_values = np.empty(n_rows, np.int32), np.empty(n_rows, np.float32)
    # What a node sees of its rows: everything, by row number, where lists are kept; else copies.
    m_sort = 0 if presorted else n_rows
    keys, spare_keys = np.empty(m_sort, np.uint64), np.empty(m_sort, np.uint64)
    own_order, own_x = np.empty(m_sort, np.int32), np.empty(m_sort, np.float32)
    own_label, own_target, own_weight = label, weighted_target, weight
    if not presorted:
        own_label = np.empty(n_rows if n_classes else 0, np.int32)
        own_target = np.empty(0 if n_classes else n_rows)
        own_weight = np.empty(n_rows if len(weight) else 0)

    nodes = 0
    stack = [(0, n_rows, 0, LEAF, 0, may_split(rows, label, target, 0, max_depth, min_split))]
    while stack:
        start, end, depth, parent, known, goes_on = stack.pop()
        node, m, mine = nodes, end - start, rows[start:end]
        nodes += 1
        if parent >= 0 and child_left[parent] != node:
            child_right[parent] = node

        w, s, mean, impure = describe(mine, label, target, weight, criterion, total)
        weights[node], sizes[node], impurities[node] = w, m, impure
        if n_classes:
            contents[node] = total / w
        else:
            contents[node, 0] = mean

        # The best split of the columns that are looked at, in a random order: so no column is
        # favored where several split equally well.
        best, column, position, cut = -np.inf, NO_COLUMN, 0, float(NO_COLUMN)
        found = 0
        if goes_on and w >= 2.0 * min_weight:
            if not presorted:
                gather(mine, label, weighted_target, weight, own_label, own_target, own_weight)
            least = max(min_weight, _LEAST_SHARE * w)
            looked, skipped, last = 0, 0, d
            while last > known + found and (looked < max_features or looked <= skipped + found):
                looked += 1
                random = next_random(random)
                pick = skipped + random % MAX_RANDOM % np.uint32(last - found - skipped)
                if pick < known:
                    swap(shuffled, pick, skipped)
                    skipped += 1
                    continue
                pick += found
                c = shuffled[pick]
                if presorted:
                    order, x = list_rows[c, start:end], list_values[c, start:end]
                else:
                    order, x = own_order[:m], own_x[:m]
                    sort_node(ranks[c], mine, keys, spare_keys, order)
                    for j in range(m):
                        x[j] = values[c, mine[order[j]]]
                if x[m - 1] <= x[0] + CLOSE:
                    swap(shuffled, pick, known + found)
                    found += 1
                    continue
                last -= 1
                swap(shuffled, pick, last)
                if criterion == GINI:
                    score, p = scan_gini(
                        x, order, own_label, own_weight, total, left, w, min_leaf, least
                    )
                elif criterion == SQUARED_ERROR:
                    score, p = scan_squared_error(
                        x, order, own_target, own_weight, s, w, min_leaf, least
                    )
                else:
                    score, p = scan_entropy(
                        x, order, own_label, own_weight, total, left, w, min_leaf, least, table
                    )
                if score > best:
                    best, column, position = score, c, p
                    cut = x[p - 1] / 2.0 + x[p] / 2.0
                    if cut >= x[p]:
                        cut = float(x[p - 1])
            # The order of the known ones stays, as the node's other relatives rely on it.
            shuffled[:known] = constant[:known]
            constant[known : known + found] = shuffled[known : known + found]
        gain = best - s * s / w if criterion == SQUARED_ERROR else best + w * impure
        if min_decrease > 0.0 and gain / weights[0] + _ROUNDING < min_decrease:
            column, cut = NO_COLUMN, float(NO_COLUMN)
        column_of[node], cut_of[node] = column, cut
        if column == NO_COLUMN:
            for i in mine:
                leaf_of[i] = node
            continue

        # Its rows go left or right; the lists are divided only where a child goes on.
        for i in mine:
            goes_left[i] = values[column, i] <= cut
        divide(mine, goes_left, spare)
        middle, deeper = start + position, depth + 1
        left_goes = may_split(rows[start:middle], label, target, deeper, max_depth, min_split)
        right_goes = may_split(rows[middle:end], label, target, deeper, max_depth, min_split)
        if presorted and (left_goes or right_goes):
            for c in shuffled[known + found :]:
                if c != column:
                    divide_list(
                        list_rows[c, start:end], list_values[c, start:end], goes_left,
                        spare, spare_values,
                    )  # fmt: skip
        child_left[node] = nodes
        known += found
        stack.append((middle, end, deeper, node, known, right_goes))
        stack.append((start, middle, deeper, node, known, left_goes))
    return (
        column_of[:nodes].copy(), cut_of[:nodes].copy(), child_left[:nodes].copy(),
        child_right[:nodes].copy(), impurities[:nodes].copy(), sizes[:nodes].copy(),
        weights[:nodes].copy(), contents[:nodes].copy(),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def may_split(rows, label, target, depth, max_depth, min_split):
    """Whether a node is neither too deep nor too small nor pure."""
    if depth >= max_depth or len(rows) < min_split:
        return False
    if len(label):
        for i in rows:
            if label[i] != label[rows[0]]:
                return True
    else:
        for i in rows:
            if target[i] != target[rows[0]]:
                return True
    return False


@njit(cache=True, nogil=True)
def describe(rows, label, target, weight, criterion, total):
    """The weight, the sum, the mean and the impurity of a node; class weights go to `total`."""
    w, s = 0.0, 0.0
    if criterion != SQUARED_ERROR:
        total[:] = 0.0
        for i in rows:
            omega = weight[i] if len(weight) else 1.0
            total[label[i]] += omega
            w += omega
        return w, 0.0, 0.0, gini(total) if criterion == GINI else entropy(total)
    origin, squares = target[rows[0]], 0.0
    for i in rows:
        omega, deviation = weight[i] if len(weight) else 1.0, target[i] - origin
        w += omega
        s += omega * deviation
        squares += omega * deviation * deviation
    mean = s / w
    return w, s + w * origin, mean + origin, max(0.0, squares / w - mean * mean)


@njit(cache=True, nogil=True)
def gather(rows, label, target, weight, own_label, own_target, own_weight):
    """Copy what belongs to a node's rows next to each other, where the cache finds it."""
    for j in range(len(rows)):
        i = rows[j]
        if len(label):
            own_label[j] = label[i]
        else:
            own_target[j] = target[i]
        if len(weight):
            own_weight[j] = weight[i]


@njit(cache=True, nogil=True)
def swap(items, i, j):
    """Let two entries change places."""
    item = items[i]
    items[i] = items[j]
    items[j] = item


@njit(cache=True, nogil=True)
def next_random(state):
    """The next state of a 32-bit xorshift generator (G. Marsaglia, *Xorshift RNGs*, 2003)."""
    state = np.uint32(state ^ (state << 13))
    state = np.uint32(state ^ (state >> 17))
    return np.uint32(state ^ (state << 5))


@njit(cache=True, nogil=True)
def divide(rows, goes_left, spare):
    """Put the rows that go left before those that go right; each side keeps its order.

    Every row is written to both sides, and only one side moves on: that is quicker than to ask.
    """
    left, right = 0, 0
    for i in rows:
        rows[left] = i
        spare[right] = i
        left += goes_left[i]
        right += not goes_left[i]
    rows[left:] = spare[:right]


@njit(cache=True, nogil=True)
def divide_list(rows, values, goes_left, spare, spare_values):
    """The same with a sorted list of rows and their values."""
    left, right = 0, 0
    for j in range(len(rows)):
        i, x = rows[j], values[j]
        rows[left], values[left] = i, x
        spare[right], spare_values[right] = i, x
        left += goes_left[i]
        right += not goes_left[i]
    rows[left:] = spare[:right]
    values[left:] = spare_values[:right]
