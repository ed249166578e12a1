r"""The columns of a table, sorted once for every node and every tree that is grown on them.

A tree looks at a column in ascending order, in each of its nodes. Sorting the node's rows anew
costs $O(m \log m)$ a node; but a node's rows keep the order that they have in the whole table, so
one sort at the start is enough. It is kept in one of two forms:

- sorted lists: for each column its values in ascending order, and the rows they belong to. A split
  divides each list into the rows that go left and those that go right, and both stay sorted:
  $O(d\,m)$ a node.
- ranks: for each column and row, the place of its value among the column's different values. A node
  that looks at few of many columns sorts its rows by rank in those alone. Ranks are small whole
  numbers, so that a radix sort does it in $O(m)$: one pass for each eight bits.

Both are ideas of M. Mehta, R. Agrawal and J. Rissanen (*SLIQ: A Fast Scalable Classifier for Data
Mining*, 1996), who sorted each attribute of a table too large for memory just once. The values are
kept as float32, as in scikit-learn: thresholds, and with them predictions, are then the same.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Two neighbors in sorted order that are no further apart than this count as equal.
CLOSE = np.float32(1e-7)

#: Lists are kept where a node looks at this share of the columns or more.
_MANY = 0.25

#: Up to this many keys an insertion sort is the quicker one.
_FEW = 40


@dataclass
class SortedLists:
    """For each column the rows in ascending order of its values.

    Attributes
    ----------
    rows : int32 (d, n), the rows' numbers.
    values : float32 (d, n), the values in that order.
    """

    rows: NDArray[np.int32]
    values: NDArray[np.float32]

    def copy(self) -> "SortedLists":
        """The same lists in memory of their own."""
        return SortedLists(self.rows.copy(), self.values.copy())

    def of_rows(self, times: NDArray) -> "SortedLists":
        """New lists in which row i stands `times[i]` times (whole numbers from 0 up, (n,))."""
        return SortedLists(*_repeat(self.rows, self.values, times, int(times.sum())))


@dataclass
class Columns:
    """A table by columns, with what its sorting gives; each form is made when it is first asked.

    Attributes
    ----------
    values : float32 (d, n).
    """

    values: NDArray[np.float32]

    @classmethod
    def of(cls, X: NDArray) -> "Columns":
        """The columns of a matrix (n, d)."""
        return cls(np.ascontiguousarray(X.T, dtype=np.float32))

    @cached_property
    def lists(self) -> SortedLists:
        """The sorted lists of all columns."""
        return SortedLists(*_sort_columns(self.values))

    @cached_property
    def ranks(self) -> NDArray[np.int32]:
        """For each column and row, the place of its value among the column's different ones."""
        return _rank_columns(self.values)

    def prepare(self, max_features: int) -> bool:
        """Sort for trees that look at `max_features` columns a node; whether that gives lists.

        Lists are worth their upkeep where a node looks at many of the columns, ranks elsewhere.
        """
        by_lists = max_features >= _MANY * len(self.values)
        _ = self.lists if by_lists else self.ranks
        return by_lists


@njit(cache=True, nogil=True)
def _sort_columns(values):
    d, n = values.shape
    rows, ascending = np.empty((d, n), np.int32), np.empty((d, n), np.float32)
    keys, spare = np.empty(n, np.uint64), np.empty(n, np.uint64)
    for c in range(d):
        in_order = _sort_column(values[c], keys, spare)
        for j in range(n):
            i = in_order[j] & 0xFFFFFFFF
            rows[c, j] = i
            ascending[c, j] = values[c, i]
    return rows, ascending


@njit(cache=True, nogil=True)
def _rank_columns(values):
    d, n = values.shape
    ranks = np.empty((d, n), np.int32)
    keys, spare = np.empty(n, np.uint64), np.empty(n, np.uint64)
    for c in range(d):
        in_order = _sort_column(values[c], keys, spare)
        rank = 0
        before = 0
        for j in range(n):
            i = in_order[j] & 0xFFFFFFFF
            if j > 0 and values[c, i] > values[c, before]:
                rank += 1
            ranks[c, i] = rank
            before = i
    return ranks


@njit(cache=True, nogil=True)
def _sort_column(column, keys, spare):
    """Keys that hold a value's bits and its row, in ascending order.

    The bits of a float32 are in the order of the values when the sign bit of positive numbers is
    set and all bits of negative numbers are flipped.
    """
    bits = column.view(np.uint32)
    for i in range(len(column)):
        b = np.uint64(bits[i])
        b = b ^ np.uint64(0xFFFFFFFF) if b >> np.uint64(31) else b | np.uint64(0x80000000)
        keys[i] = b << np.uint64(32) | np.uint64(i)
    return radix_sort(keys, spare, len(column), 32)


@njit(cache=True, nogil=True)
def _repeat(rows, values, times, m):
    d, n = rows.shape
    new_rows, new_values = np.empty((d, m), np.int32), np.empty((d, m), np.float32)
    for c in range(d):
        end = 0
        for j in range(n):
            i = rows[c, j]
            for _ in range(times[i]):
                new_rows[c, end] = i
                new_values[c, end] = values[c, j]
                end += 1
    return new_rows, new_values


@njit(cache=True, nogil=True)
def sort_node(ranks, rows, keys, spare, order):
    """Write to `order` (m,) how the ranks (n,) of a node's `rows` (m,) ascend.

    `keys` and `spare` are room for m keys.
    """
    m = len(rows)
    low = high = ranks[rows[0]]
    for j in range(m):
        rank = ranks[rows[j]]
        low, high = min(low, rank), max(high, rank)
        keys[j] = np.uint64(rank) << np.uint64(32) | np.uint64(j)
    base = np.uint64(low) << np.uint64(32)
    for j in range(m):
        keys[j] -= base
    bits = 0
    while (high - low) >> bits:
        bits += 1
    in_order = radix_sort(keys, spare, m, bits)
    for j in range(m):
        order[j] = in_order[j] & 0xFFFFFFFF


@njit(cache=True, nogil=True)
def radix_sort(keys, spare, m, bits):
    """Sort the first m keys by their upper halves, which have `bits` bits in use.

    From the lowest eight bits to the highest, each pass counts how often a digit occurs and puts
    every key behind those with a smaller digit; equal digits keep their order. The sorted keys are
    in `keys` or in `spare`; the one that holds them is returned.
    """
    if m <= _FEW:
        for j in range(1, m):
            key = keys[j]
            k = j
            while k > 0 and keys[k - 1] > key:
                keys[k] = keys[k - 1]
                k -= 1
            keys[k] = key
        return keys
    start = np.empty(256, np.int64)
    for shift in range(32, 32 + bits, 8):
        digit = np.uint64(shift)
        start[:] = 0
        for j in range(m):
            start[(keys[j] >> digit) & np.uint64(255)] += 1
        place = 0
        for b in range(256):
            count = start[b]
            start[b] = place
            place += count
        for j in range(m):
            key = keys[j]
            b = (key >> digit) & np.uint64(255)
            spare[start[b]] = key
            start[b] += 1
        keys, spare = spare, keys
    return keys
