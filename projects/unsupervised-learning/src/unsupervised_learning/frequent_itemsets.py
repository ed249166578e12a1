r"""Apriori: frequent itemsets, size by size.

Of $d$ items there are $2^d$ itemsets, and no shop can count them all. Apriori rests on one
observation: a basket that holds a set holds each of its subsets, so

$$A \subseteq B \implies \operatorname{support}(A) \ge \operatorname{support}(B),$$

and a set with an infrequent subset cannot be frequent. It goes by size. From the frequent sets
$L_{k-1}$, in lexicographic order:

1. *join*: two sets that share their first $k - 2$ items give a candidate of $k$ items;
2. *prune*: the candidate is dropped unless all its subsets of $k - 1$ items are in $L_{k-1}$;
3. *count*: what is left is counted, and the frequent ones are $L_k$.

Counting is where the time goes. Here an item is a row of bits, one for each basket. The baskets
that hold a set are the AND of its rows, and its count is their number of ones: 64 baskets a step.
All candidates of a join share their prefix, whose AND is formed once.

Source: Rakesh Agrawal and Ramakrishnan Srikant, *Fast algorithms for mining association rules*,
1994; Mohammed Zaki, *Scalable algorithms for association mining*, 2000 (counting by baskets).
"""

from typing import Any

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


def apriori(
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
    sets of one size in the order of their items.

    Raises
    ------
    TypeError, ValueError : for what are no baskets, no support and no length; see the messages.

    References
    ----------
    Rakesh Agrawal and Ramakrishnan Srikant, *Fast algorithms for mining association rules*, 1994.

    Examples
    --------
    >>> baskets = [["bread", "milk"], ["bread", "butter", "milk"], ["butter"]]
    >>> apriori(baskets, min_support=0.6)["itemsets"].map(sorted).tolist()
    [['bread'], ['butter'], ['milk'], ['bread', 'milk']]
    """
    baskets = read_baskets(data, use_colnames)
    most = largest_size(max_len, len(baskets.names))
    counts = np.bincount(baskets.items, minlength=len(baskets.names))
    least = least_count(min_support, len(baskets))
    frequent = np.flatnonzero(counts >= least)
    levels: list[Level] = [(frequent[:, None], counts[frequent])]
    bits = _bits(baskets, frequent)
    members = np.arange(len(frequent))[:, None]  # numbers among the frequent items
    while len(members) > 1 and members.shape[1] < most:
        members, counts = _next_level(members, bits, least)
        levels.append((frequent[members], counts))
    return to_frame(levels, baskets)


def _bits(baskets: Baskets, frequent: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A row of bits for each frequent item, uint64 (n_frequent, words); bit i is basket i."""
    row_of = np.full(len(baskets.names), -1)
    row_of[frequent] = np.arange(len(frequent))
    bits = np.zeros((len(frequent), -(-len(baskets) // 64)), np.uint64)
    _set_bits(baskets.items, baskets.starts, row_of, bits)
    return bits


@njit(cache=True, nogil=True)
def _set_bits(items: NDArray, starts: NDArray, row_of: NDArray, bits: NDArray) -> None:
    for basket in range(len(starts) - 1):
        bit = np.uint64(1) << np.uint64(basket & 63)
        for k in range(starts[basket], starts[basket + 1]):
            row = row_of[items[k]]
            if row >= 0:
                bits[row, basket >> 6] |= bit


@njit(cache=True, nogil=True)
def _next_level(members: NDArray, bits: NDArray, least: int) -> tuple[NDArray, NDArray]:
    """Join, prune and count: the frequent sets of one item more, and their counts.

    `members` (m, k) are the frequent sets of k items, in lexicographic order.
    """
    m, k = members.shape
    words = bits.shape[1]
    with_first = np.empty(words, np.uint64)
    found, counts = [], []
    start = 0
    while start < m:  # a stretch of sets that share all items but the last
        end = start + 1
        while end < m and _same(members[start], members[end], k - 1):
            end += 1
        for a in range(start, end - 1):
            with_first[:] = bits[members[a, 0]]
            for j in range(1, k):
                with_first &= bits[members[a, j]]
            for b in range(a + 1, end):
                last = members[b, k - 1]
                if k > 1 and not _subsets_are_frequent(members, a, last):
                    continue
                count = _ones_in_both(with_first, bits[last])
                if count >= least:
                    found.append((a, last))
                    counts.append(count)
        start = end
    larger = np.empty((len(found), k + 1), np.int64)
    for i, (a, last) in enumerate(found):
        larger[i, :k] = members[a]
        larger[i, k] = last
    return larger, np.array([np.int64(count) for count in counts], dtype=np.int64)


@njit(cache=True, nogil=True)
def _same(a: NDArray, b: NDArray, length: int) -> bool:
    j = 0
    while j < length and a[j] == b[j]:
        j += 1
    return j == length


@njit(cache=True, nogil=True)
def _subsets_are_frequent(members: NDArray, a: int, last: int) -> bool:
    """Whether set `a` with `last` is in the list whichever of a's items is left out.

    Leaving out the last item of either gives one of the two sets that were joined.
    """
    k = members.shape[1]
    subset = np.empty(k, np.int64)
    for out in range(k - 1):
        for j in range(k - 1):
            subset[j] = members[a, j if j < out else j + 1]
        subset[k - 1] = last
        low, high = 0, len(members)
        while low < high:
            middle = (low + high) // 2
            if _is_less(members[middle], subset):
                low = middle + 1
            else:
                high = middle
        if low == len(members) or not _same(members[low], subset, k):
            return False
    return True


@njit(cache=True, nogil=True)
def _is_less(a: NDArray, b: NDArray) -> bool:
    for j in range(len(a)):
        if a[j] != b[j]:
            return a[j] < b[j]
    return False


@njit(cache=True, nogil=True)
def _ones_in_both(a: NDArray, b: NDArray) -> int:
    """The number of bits that are set in both; sums of 2, 4 and 8 neighboring bits, then all."""
    total = np.uint64(0)
    for i in range(len(a)):
        x = a[i] & b[i]
        x -= (x >> np.uint64(1)) & np.uint64(0x5555555555555555)
        x = (x & np.uint64(0x3333333333333333)) + (
            (x >> np.uint64(2)) & np.uint64(0x3333333333333333)
        )
        x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
        total += (x * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return int(total)
