r"""Leaf-wise growth: split the leaf that gains most, until there are enough leaves.

A leaf with the sums $G$ and $H$ lowers the loss by $\tfrac12 G^2 / (H + \lambda)$ when its rows get
$-G / (H + \lambda)$. So a split into left and right gains (twice)

$$\frac{G_L^2}{H_L + \lambda} + \frac{G_R^2}{H_R + \lambda} - \frac{G^2}{H + \lambda}.$$

The best cut of a column is found by one walk along its histogram with running sums; where rows lack
a value, a second walk tries them on the left. Growing level by level spends leaves on nodes that
hardly gain. Leaf-wise growth keeps the best split of every leaf in a priority queue and always
carries out the best of them: for the same number of leaves the loss is lower, and the tree deeper.

A node's rows are a stretch of one array of row numbers. A split sorts that stretch into a left and
a right part, in place, in the order of the rows. Then the child with fewer rows is counted, its
sibling is a difference (`histograms`), and both are searched: one parallel step, in which each
thread has some of the columns.

Source: Tianqi Chen and Carlos Guestrin, *XGBoost: A scalable tree boosting system*, 2016 (the gain
and the walk); Guolin Ke and others, *LightGBM: A highly efficient gradient boosting decision tree*,
2017 (leaf-wise growth on histograms).
"""

import heapq
from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from supervised_learning.histogram.binning import Bins
from supervised_learning.histogram.categories import (
    NUMERIC,
    SORTED_CATEGORIES,
    Record,
    is_member,
    search_categories,
)
from supervised_learning.histogram.histograms import (
    BIN,
    add_rows,
    empty_histograms,
    subtract_columns,
)

#: A node of a tree. Its children stand side by side, at `left` and `left` + 1; a leaf has `left` 0.
#: Values ≤ threshold (codes ≤ code) go left, missing ones where `missing_left` says. Where `kind`
#: is not `NUMERIC`, the codes in the bit set `members` go left.
NODE = np.dtype(
    [
        ("threshold", "f8"),
        ("value", "f8"),
        ("gain", "f8"),
        ("left", "u4"),
        ("feature", "u4"),
        ("count", "u4"),
        ("code", "u1"),
        ("missing_left", "u1"),
        ("kind", "u1"),
        ("members", "u8", (4,)),
    ],
    align=True,
)

#: The best split of a node, with the sums of its left side; a gain of 0: there is none.
SPLIT = np.dtype(
    [
        ("gain", "f8"),
        ("gradient", "f8"),
        ("hessian", "f8"),
        ("feature", "u4"),
        ("code", "u1"),
        ("missing_left", "u1"),
        ("kind", "u1"),
        ("members", "u8", (4,)),
    ],
    align=True,
)

#: What is known of a node as the tree grows: its stretch of the rows, its sums, its depth, and
#: where its histogram is.
STATE = np.dtype(
    [
        ("start", "u8"),
        ("end", "u8"),
        ("gradient", "f8"),
        ("hessian", "f8"),
        ("depth", "i8"),
        ("slot", "i8"),
    ]
)

_FIRST_SLOTS = 64
_TINY = 1e-15


class Rules(NamedTuple):
    """What a split has to keep to.

    Attributes
    ----------
    l2 : the penalty λ on leaf values.
    min_samples : the fewest rows of a leaf, at least 1.
    min_hessian : the smallest sum of hessians of a leaf.
    min_gain : a split has to gain more.
    max_leaves : the most leaves of a tree.
    max_depth : the most splits between the root and a leaf.
    cat_l2, cat_smooth, max_cat_threshold, max_cat_to_onehot, min_data_per_group : what a split of
        a categorical column has to keep to, see `categories`.
    """

    l2: float
    min_samples: int
    min_hessian: float
    min_gain: float
    max_leaves: int
    max_depth: int
    cat_l2: float = 10.0
    cat_smooth: float = 10.0
    max_cat_threshold: int = 32
    max_cat_to_onehot: int = 4
    min_data_per_group: int = 100


class _Problem(NamedTuple):
    """What a search needs to know that does not change while a tree grows."""

    codes: NDArray
    offsets: NDArray
    with_missing: NDArray
    gradients: NDArray
    hessians: NDArray
    categorical: NDArray
    l2: float  # from here on: `Rules`; a compiled parallel loop takes no nested tuple
    min_samples: int
    min_hessian: float
    min_gain: float
    max_leaves: int
    max_depth: int
    cat_l2: float
    cat_smooth: float
    max_cat_threshold: int
    max_cat_to_onehot: int
    min_data_per_group: int


class Grower:
    """Grows trees on the same codes, one after the other, in the same memory.

    Parameters
    ----------
    codes : uint8 (n, n_features), C order.
    bins : how they were made.
    rules : what a split has to keep to.
    threads : `numba.get_num_threads()`.
    categorical : which columns hold categories, bool (n_features,); None: none of them.
    """

    def __init__(
        self,
        codes: NDArray[np.uint8],
        bins: Bins,
        rules: Rules,
        threads: int,
        categorical: NDArray[np.bool_] | None = None,
    ) -> None:
        n = len(codes)
        most = max(1, min(rules.max_leaves, n // rules.min_samples))
        self.codes, self.bins, self.threads = codes, bins, threads
        self.rules = rules._replace(max_leaves=most)
        none = np.zeros(bins.n_features, np.bool_)
        self.categorical = none if categorical is None else categorical
        self.with_missing = _find_missing(codes, bins.offsets)
        self.histograms = empty_histograms(min(most, _FIRST_SLOTS), bins.offsets)
        self.nodes = np.empty(2 * most - 1, NODE)
        self.states = np.empty(2 * most - 1, STATE)
        self.rows = np.empty(n, np.uint32)
        self.scratch = np.empty(n, np.uint32)

    def grow(
        self, gradients: NDArray, hessians: NDArray, rows: NDArray[np.uint32] | None = None
    ) -> NDArray:
        """Grow a tree and give its nodes, `NODE` (n_nodes,), the root first.

        Parameters
        ----------
        gradients, hessians : float32 (n,).
        rows : the rows to grow on, ascending; None: all.
        """
        size = len(self.codes) if rows is None else len(rows)
        self.rows[:size] = np.arange(size, dtype=np.uint32) if rows is None else rows
        count = _grow(
            self.codes,
            self.bins.offsets,
            self.with_missing,
            gradients,
            hessians,
            self.rules,
            self.categorical,
            self.bins.thresholds,
            self.rows[:size],
            self.scratch,
            self.histograms,
            self.nodes,
            self.states,
            self.threads,
        )
        return self.nodes[:count].copy()

    def add_values(self, nodes: NDArray, raw: NDArray) -> None:
        """Add the leaf values of the tree grown last to the raw prediction (n,) of its rows."""
        _add_values(nodes, self.states, self.rows, raw)

    def add_values_to_all(self, nodes: NDArray, raw: NDArray) -> None:
        """Add a tree's values to the raw prediction (n,) of all rows, those it has not seen too."""
        _add_values_to_all(
            nodes,
            self.codes,
            self.bins.offsets,
            self.with_missing,
            self.rows,
            self.scratch,
            raw,
        )


@njit(cache=True, nogil=True)
def _grow(
    codes: NDArray,
    offsets: NDArray,
    with_missing: NDArray,
    gradients: NDArray,
    hessians: NDArray,
    rules: Rules,
    categorical: NDArray,
    thresholds: NDArray,
    rows: NDArray,
    scratch: NDArray,
    histograms: NDArray,
    nodes: NDArray,
    states: NDArray,
    threads: int,
) -> int:
    """Grow a tree into `nodes` and give the number of them; `states` tells each node's rows."""
    problem = _Problem(codes, offsets, with_missing, gradients, hessians, categorical, *rules[:])
    splits = np.zeros(len(nodes), SPLIT)
    found = np.zeros((2, threads), SPLIT)  # the best of each thread, in the small and large child
    free = [np.int64(slot) for slot in range(len(histograms) - 1, 0, -1)]
    queue = [(0.0, np.int64(0)) for _ in range(0)]

    states[0].gradient = states[0].hessian = 0.0
    for row in rows:
        states[0].gradient += gradients[row]
        states[0].hessian += hessians[row]
    states[0].start, states[0].end, states[0].depth, states[0].slot = 0, rows.size, 0, 0
    _make_leaf(nodes, states, 0, rules.l2)
    if _may_split(states, 0, rules):
        _search(problem, rows, states, 0, 0, True, False, histograms, found)
        _choose(found[0], splits, 0)
        if splits[0].gain > 0.0:
            queue.append((-splits[0].gain, np.int64(0)))
    n_nodes, leaves = 1, 1
    while len(queue) > 0 and leaves < rules.max_leaves:
        parent = heapq.heappop(queue)[1]
        left, right = np.int64(n_nodes), np.int64(n_nodes + 1)
        n_nodes, leaves = n_nodes + 2, leaves + 1
        start, end = states[parent].start, states[parent].end
        middle = start + _partition(
            codes, offsets, with_missing, splits[parent], rows[start:end], scratch
        )
        _divide(states, parent, left, middle, splits[parent])
        extra = rules.cat_l2 if splits[parent].kind == SORTED_CATEGORIES else 0.0
        _make_leaf(nodes, states, left, rules.l2 + extra)
        _make_leaf(nodes, states, right, rules.l2 + extra)
        _make_inner(nodes, parent, left, splits[parent], problem, thresholds)
        if leaves == rules.max_leaves:
            break
        small, large = (left, right) if middle - start <= end - middle else (right, left)
        may = (_may_split(states, small, rules), _may_split(states, large, rules))
        states[large].slot = states[parent].slot
        if may[0] or may[1]:
            if len(free) == 0:
                histograms = _double(histograms, free)
            states[small].slot = free.pop()
            own = rows[states[small].start : states[small].end]
            _search(problem, own, states, small, large, may[0], may[1], histograms, found)
            for side in range(2):
                child = large if side else small
                if may[side]:
                    _choose(found[side], splits, child)
                if splits[child].gain > 0.0:
                    heapq.heappush(queue, (-splits[child].gain, child))
                else:
                    free.append(states[child].slot)
        else:
            free.append(states[large].slot)
    return n_nodes


@njit(cache=True, nogil=True)
def _divide(states: NDArray, parent: int, left: int, middle: int, split: Record) -> None:
    """Give the parent's rows and sums to its children."""
    above, here, there = states[parent], states[left], states[left + 1]
    here.start, here.end = above.start, middle
    there.start, there.end = middle, above.end
    here.gradient, here.hessian = split.gradient, split.hessian
    there.gradient = above.gradient - split.gradient
    there.hessian = above.hessian - split.hessian
    here.depth = there.depth = above.depth + 1


@njit(cache=True, nogil=True)
def _make_leaf(nodes: NDArray, states: NDArray, index: int, l2: float) -> None:
    node, state = nodes[index], states[index]
    node.threshold, node.gain = np.nan, 0.0
    node.left = node.feature = node.code = node.missing_left = 0
    node.count = state.end - state.start
    node.kind = NUMERIC
    weight = state.hessian + l2
    node.value = -state.gradient / weight if weight > _TINY else 0.0


@njit(cache=True, nogil=True)
def _make_inner(
    nodes: NDArray, index: int, left: int, split: Record, problem: _Problem, thresholds: NDArray
) -> None:
    node, f = nodes[index], split.feature
    node.left, node.gain, node.feature, node.code = left, split.gain, f, split.code
    node.kind = split.kind
    if split.kind != NUMERIC:
        node.members[:] = split.members
        return
    first = problem.offsets[f] - 2 * f  # of the column's cuts, see `Bins.offsets`
    last = problem.offsets[f + 1] - 2 * (f + 1)
    node.threshold = thresholds[first + split.code] if first + split.code < last else np.inf
    if problem.with_missing[f]:
        node.missing_left = split.missing_left
    else:  # what was never seen goes with the majority
        node.missing_left = nodes[left].count > nodes[left + 1].count


@njit(cache=True, nogil=True)
def _may_split(states: NDArray, index: int, rules: Rules) -> bool:
    state = states[index]
    enough = state.end - state.start >= 2 * rules.min_samples
    return enough and state.hessian >= 2 * rules.min_hessian and state.depth < rules.max_depth


@njit(cache=True, nogil=True)
def _double(histograms: NDArray, free: list[np.int64]) -> NDArray:
    """Twice as many slots."""
    slots = len(histograms)
    more = np.empty((2 * slots, histograms.shape[1]), BIN)
    more[:slots] = histograms
    for slot in range(2 * slots - 1, slots - 1, -1):
        free.append(np.int64(slot))
    return more


@njit(cache=True, nogil=True)
def _partition(
    codes: NDArray,
    offsets: NDArray,
    with_missing: NDArray,
    split: Record,
    rows: NDArray,
    scratch: NDArray,
) -> int:
    """Move the rows that go left to the front, keeping their order; gives their number."""
    f = split.feature
    goes_left = np.zeros(256, np.uint8)
    if split.kind != NUMERIC:
        for code in range(256):
            goes_left[code] = is_member(split, np.uint64(code))
    else:
        goes_left[: split.code + 1] = 1
    if split.kind == NUMERIC and with_missing[f]:
        goes_left[offsets[f + 1] - offsets[f] - 1] = split.missing_left
    left = right = np.uint64(0)
    for i in range(rows.size):  # written to both sides, so that there is no branch to mispredict
        row = rows[i]
        goes = np.uint64(goes_left[codes[row, f]])
        rows[left] = row
        scratch[right] = row
        left += goes
        right += np.uint64(1) - goes
    rows[left:] = scratch[:right]
    return int(left)


@njit(cache=True, nogil=True, parallel=True)
def _search(
    problem: _Problem,
    rows: NDArray,
    states: NDArray,
    small: int,
    large: int,
    small_may: bool,
    large_may: bool,
    histograms: NDArray,
    found: NDArray,
) -> None:
    """Count the small child's rows, subtract for the large one, and search those that may split.

    `found` (2, threads) gets the best split of each thread's columns in the small and the large
    child.
    """
    n_features, threads = problem.codes.shape[1], found.shape[1]
    counted, rest = histograms[states[small].slot], histograms[states[large].slot]
    for block in prange(threads):
        first = np.uint64(block * n_features // threads)
        last = np.uint64((block + 1) * n_features // threads)
        add_rows(
            problem.codes,
            rows,
            problem.gradients,
            problem.hessians,
            problem.offsets,
            first,
            last,
            counted,
        )
        if small_may:
            _search_columns(problem, counted, states[small], first, last, found[0, block])
        if large_may:
            subtract_columns(rest, counted, problem.offsets, first, last, rest)
            _search_columns(problem, rest, states[large], first, last, found[1, block])


@njit(cache=True, nogil=True)
def _choose(found: NDArray, splits: NDArray, index: int) -> None:
    """The best of what the threads have found; of equal ones the first column's."""
    best = 0
    for block in range(1, len(found)):
        if found[block].gain > found[best].gain:
            best = block
    splits[index] = found[best]


@njit(cache=True, nogil=True)
def _search_columns(
    problem: _Problem, histogram: NDArray, state: Record, first: int, last: int, best: Record
) -> None:
    """Put the best split of the columns `first` ≤ f < `last` into `best`."""
    best.gain = 0.0
    for f in range(first, last):
        low, bins = problem.offsets[f], np.int64(problem.offsets[f + 1] - problem.offsets[f] - 1)
        column = histogram[low : low + bins]
        if problem.categorical[f]:
            search_categories(column, f, state, problem, best)
        elif problem.with_missing[f]:
            _walk(column, f, state, problem, 0, bins, 1, best)
            _walk(column, f, state, problem, bins - 1, 0, -1, best)
        else:
            _walk(column, f, state, problem, 0, bins - 1, 1, best)


@njit(cache=True, nogil=True, error_model="numpy")
def _walk(
    column: NDArray,
    f: int,
    state: Record,
    problem: _Problem,
    start: int,
    stop: int,
    step: int,
    best: Record,
) -> None:
    """Try the cuts between the bins of a column; missing values stay on the far side.

    A walk upward fills the left side, bin by bin; a walk downward the right side.
    """
    G, H, n = state.gradient, state.hessian, state.end - state.start
    unsplit = G * G / (H + problem.l2)
    highest = max(best.gain, problem.min_gain)
    gradient, hessian, count = 0.0, 0.0, np.uint64(0)
    for j in range(start, stop, step):
        gradient += column[j].gradient
        hessian += column[j].hessian
        count += column[j].count
        if count < problem.min_samples or hessian < problem.min_hessian:
            continue
        if n - count < problem.min_samples or H - hessian < problem.min_hessian:
            break
        other = G - gradient
        near, far = hessian + problem.l2, H - hessian + problem.l2
        gain = (gradient * gradient * far + other * other * near) / (near * far) - unsplit
        if gain > highest:
            highest = best.gain = gain
            best.feature, best.kind, best.missing_left = f, NUMERIC, step < 0
            best.code = j if step > 0 else j - 1
            best.gradient = gradient if step > 0 else other
            best.hessian = hessian if step > 0 else H - hessian


@njit(cache=True, nogil=True)
def _find_missing(codes: NDArray, offsets: NDArray) -> NDArray:
    """Which columns hold a missing value."""
    found = np.zeros(codes.shape[1], np.bool_)
    for i in range(codes.shape[0]):
        for f in range(codes.shape[1]):
            found[f] |= codes[i, f] == offsets[f + 1] - offsets[f] - 1
    return found


@njit(cache=True, nogil=True)
def _add_values(nodes: NDArray, states: NDArray, rows: NDArray, raw: NDArray) -> None:
    for index in range(len(nodes)):
        if nodes[index].left == 0:
            for row in rows[states[index].start : states[index].end]:
                raw[row] += nodes[index].value


@njit(cache=True, nogil=True)
def _add_values_to_all(
    nodes: NDArray,
    codes: NDArray,
    offsets: NDArray,
    with_missing: NDArray,
    rows: NDArray,
    scratch: NDArray,
    raw: NDArray,
) -> None:
    """Sort all rows down the tree, as growth does."""
    start, end = np.zeros(len(nodes), np.int64), np.zeros(len(nodes), np.int64)
    end[0] = len(rows)
    for row in range(len(rows)):
        rows[row] = row
    for k in range(len(nodes)):  # children come after their parent
        own, left = rows[start[k] : end[k]], nodes[k].left
        if left == 0:
            for row in own:
                raw[row] += nodes[k].value
        else:
            middle = start[k] + _partition(codes, offsets, with_missing, nodes[k], own, scratch)
            start[left], end[left] = start[k], middle
            start[left + 1], end[left + 1] = middle, end[k]
