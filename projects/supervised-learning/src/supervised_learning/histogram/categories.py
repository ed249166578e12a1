r"""Splits of a categorical column: which of its categories go to the left.

A column of $k$ categories can be cut in $2^{k-1} - 1$ ways. For a loss that is a sum of convex
terms, the best of them is a cut of the categories *in the order of $G_b / H_b$*, the value that
each of them would get as a leaf: so $k - 1$ cuts are enough, and the search is the walk along a
histogram whose bins were sorted first.

A leaf of few rows has an uncertain value, and sorting by uncertain values finds a good split in
noise. Four brakes keep it honest: the order is that of $G_b / (H_b + s)$ with a smoothing $s$,
categories of fewer than $s$ rows are left out, the side that is named holds at most some of the
categories, and such a split is charged a larger penalty $\lambda$. A column of very few categories
needs none of this: each category is tried against all others.

The left side is a set, and everything outside of it goes to the right: missing values, categories
too rare for a bin of their own, and those never seen.

Source: Walter Fisher, *On grouping for maximum homogeneity*, 1958; Guolin Ke and others, *LightGBM:
A highly efficient gradient boosting decision tree*, 2017.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: What a split may be: values up to a threshold, one category, or some of the sorted categories.
NUMERIC, ONE_CATEGORY, SORTED_CATEGORIES = range(3)

Record = Any  # an element of a structured array


@njit(cache=True, nogil=True, error_model="numpy")
def search_categories(
    column: NDArray, feature: int, state: Record, rules: Any, best: Record
) -> None:
    """Put the best split of a categorical column into `best`, if it beats what is there.

    Parameters
    ----------
    column : the bins of the categories, `histograms.BIN` (k,).
    feature : the column's number.
    state : the node's sums, `grower.STATE`.
    rules : `grower.Rules`, or what holds its attributes: those of every split, and `cat_l2`, which
        is added to the penalty on leaf values; `cat_smooth`, which is added to the hessian for the
        order, and the fewest rows of a category; `max_cat_threshold`, the most categories of the
        side that is named; `max_cat_to_onehot`, up to which number of categories each is tried
        against all others instead; `min_data_per_group`, the fewest rows of a step from one cut to
        the next, and of the other side.
    best : `grower.SPLIT`.
    """
    G, H, n = state.gradient, state.hessian, np.int64(state.end - state.start)
    unsplit = G * G / (H + rules.l2)
    single = len(column) <= rules.max_cat_to_onehot
    if single:
        order, most = np.arange(len(column)), len(column)
    else:
        order, most = _sort(column, rules.cat_smooth, rules.max_cat_threshold)
    extra = 0.0 if single else rules.cat_l2
    for direction in range(1 if single else 2):
        gradient, hessian = 0.0, 0.0
        count, group = 0, 0
        for i in range(most):
            bin = column[order[-1 - i] if direction else order[i]]
            if single:
                gradient, hessian, count = 0.0, 0.0, 0
            gradient += bin.gradient
            hessian += bin.hessian
            count += np.int64(bin.count)
            group += np.int64(bin.count)
            if count < rules.min_samples or hessian < rules.min_hessian:
                continue
            rest = n - count
            if rest < rules.min_samples or H - hessian < rules.min_hessian:
                if single:
                    continue
                break
            if not single:
                if rest < rules.min_data_per_group:
                    break
                if group < rules.min_data_per_group:
                    continue
                group = 0
            other = G - gradient
            gain = gradient * gradient / (hessian + rules.l2 + extra)
            gain += other * other / (H - hessian + rules.l2 + extra) - unsplit
            if gain > max(best.gain, rules.min_gain):
                best.gain, best.feature = gain, feature
                best.kind = ONE_CATEGORY if single else SORTED_CATEGORIES
                best.gradient, best.hessian = gradient, hessian
                best.code = best.missing_left = 0
                best.members[:] = 0
                for j in range(i if single else 0, i + 1):
                    _put(best, order[-1 - j] if direction else order[j])


@njit(cache=True, nogil=True, error_model="numpy")
def _sort(column: NDArray, smooth: float, most: int) -> tuple[NDArray, int]:
    """The categories of enough rows in the order of their leaf values, and how many to name."""
    kept = np.empty(len(column), np.int64)
    size = 0
    for b in range(len(column)):
        if column[b].count >= smooth:
            kept[size] = b
            size += 1
    values = np.empty(size)
    for i in range(size):
        values[i] = column[kept[i]].gradient / (column[kept[i]].hessian + smooth)
    return kept[np.argsort(values, kind="mergesort")], min(most, (size + 1) // 2)


@njit(cache=True, nogil=True)
def _put(best: Record, code: int) -> None:
    """Add a code to the set of those that go left."""
    best.members[code >> 6] |= np.uint64(1) << np.uint64(code & 63)


@njit(cache=True, nogil=True)
def is_member(node: Record, code: np.uint64) -> np.uint64:
    """1 where the code is in a node's set, else 0."""
    return (node.members[code >> np.uint64(6)] >> (code & np.uint64(63))) & np.uint64(1)
