r"""Baskets: what itemset miners read, and the frame of itemsets they give.

A basket is a set of items. It may be given as a row of a one-hot table, or as a collection of
names. Both become the same thing here: for each basket, the ascending numbers of its items, end to
end in one array, so that memory is what is in the baskets, however many items a shop has.

The *support* of an itemset is the share of the baskets that hold all of it. An itemset is
*frequent* where its support reaches a given minimum.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: The frequent itemsets of one size k: item numbers int64 (m, k), ascending, and counts (m,).
Level = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Baskets:
    """Baskets laid end to end.

    Attributes
    ----------
    items : the items of all baskets, int32, ascending and unique within a basket.
    starts : basket i holds `items[starts[i]:starts[i + 1]]`; int64 (n + 1,).
    names : what each item is called.
    """

    items: NDArray[np.int32]
    starts: NDArray[np.int64]
    names: NDArray[Any]

    def __len__(self) -> int:
        """The number of baskets."""
        return len(self.starts) - 1


def read_baskets(data: Any, use_colnames: bool = False) -> Baskets:
    """Baskets from a one-hot frame or array (n, n_items), or from a list of collections of names.

    Parameters
    ----------
    data : True or 1 where a basket has an item; or one collection of hashable names a basket, in
        which a name may be repeated.
    use_colnames : whether items of a frame are called by its columns, else by their numbers. Items
        of a list keep their names.

    Raises TypeError for what is neither, ValueError for values other than True, False, 0 and 1, for
    missing values, and for no baskets.
    """
    if isinstance(data, pd.DataFrame | np.ndarray):
        table = np.asarray(data)
        if table.ndim != 2:
            raise ValueError(f"an array of shape {table.shape}: baskets are a table, one row each")
        names = data.columns if use_colnames and isinstance(data, pd.DataFrame) else None
        baskets = _from_table(table, names)
    elif isinstance(data, Sequence) and not isinstance(data, str):
        baskets = _from_lists(data)
    else:
        raise TypeError(
            f"baskets are a one-hot frame or array, or a list of collections of names; "
            f"this is a {type(data).__name__}"
        )
    if len(baskets) == 0:
        raise ValueError("there are no baskets: give one row or collection at least")
    return baskets


def _from_table(table: NDArray, columns: Any) -> Baskets:
    if table.dtype != np.bool_:
        try:
            numbers = table.astype(np.float64)
        except (TypeError, ValueError):
            numbers = np.full(table.shape, np.nan)
        wrong = ~((numbers == 0) | (numbers == 1))
        if wrong.any():
            value = table[tuple(where[0] for where in np.nonzero(wrong))]
            raise ValueError(
                f"a one-hot table holds True, False, 0 and 1, and here is {value!r}; "
                "missing values are not taken"
            )
        table = numbers == 1
    width = table.shape[1]
    places = np.flatnonzero(np.ascontiguousarray(table))
    rows = places // max(width, 1)
    names = np.empty(width, dtype=object)
    names[:] = list(range(width) if columns is None else columns)
    starts = np.searchsorted(rows, np.arange(len(table) + 1))
    return Baskets((places - rows * width).astype(np.int32), starts, names)


def _from_lists(lists: Sequence[Any]) -> Baskets:
    for basket in lists[:1]:
        if isinstance(basket, str) or not hasattr(basket, "__iter__"):
            raise TypeError(f"a basket is a collection of names; this is {basket!r}")
    number = {name: i for i, name in enumerate(dict.fromkeys(chain.from_iterable(lists)))}
    names = np.empty(len(number), dtype=object)
    try:
        names[:] = sorted(number)
        number = {name: i for i, name in enumerate(names)}
    except TypeError:  # names of several kinds have no order: they stay as they came
        names[:] = list(number)
    numbers = [sorted({number[name] for name in basket}) for basket in lists]
    starts = np.cumsum([0] + [len(basket) for basket in numbers])
    items = np.fromiter(chain.from_iterable(numbers), np.int32, int(starts[-1]))
    return Baskets(items, starts, names)


def least_count(min_support: float, n: int) -> int:
    """The smallest count c of n baskets with c / n ≥ min_support, at least 1.

    Raises ValueError where min_support is not above 0 and at most 1.
    """
    if not isinstance(min_support, Real) or not 0 < min_support <= 1:
        raise ValueError(
            f"min_support={min_support!r}: give a share of the baskets above 0, at most 1"
        )
    count = max(1, math.ceil(min_support * n))
    while count > 1 and (count - 1) / n >= min_support:
        count -= 1
    return count if count / n >= min_support else count + 1


def largest_size(max_len: int | None, n_items: int) -> int:
    """The most items of an itemset. Raises ValueError where max_len is not None or at least 1."""
    if max_len is None:
        return n_items
    if not isinstance(max_len, Integral) or max_len < 1:
        raise ValueError(f"max_len={max_len!r}: give a number of items from 1 up, or None")
    return min(int(max_len), n_items)


def to_frame(levels: Sequence[Level], baskets: Baskets) -> pd.DataFrame:
    """The frame of itemsets: `support` (float) and `itemsets` (frozenset), small sets first."""
    sets: list[frozenset] = []
    for members, _ in levels:
        sets += map(frozenset, baskets.names[members].tolist())
    counts = np.concatenate([np.empty(0, np.int64), *(count for _, count in levels)])
    column = np.empty(len(sets), dtype=object)
    column[:] = sets
    return pd.DataFrame({"support": counts / len(baskets), "itemsets": column})


def make_baskets(
    n: int, n_items: int = 100, n_patterns: int = 12, *, rng: np.random.Generator
) -> pd.DataFrame:
    """Made baskets with planted patterns: a one-hot frame, bool (n, n_items).

    A pattern is a set of three to five items. Each basket holds each pattern with a probability of
    its own, between 2 % and 10 %; each item of a pattern is then left out with a probability of
    10 %. Single items come on top, the popular ones more often (as 1 / rank).

    After Rakesh Agrawal and Ramakrishnan Srikant, *Fast algorithms for mining association rules*,
    1994.
    """
    chance = 0.3 / np.arange(1, n_items + 1)
    table = rng.random((n, n_items)) < chance
    for _ in range(n_patterns):
        pattern = rng.choice(n_items, rng.integers(3, 6), replace=False)
        holders = np.flatnonzero(rng.random(n) < rng.uniform(0.02, 0.1))
        kept = rng.random((len(holders), len(pattern))) < 0.9
        table[np.ix_(holders, pattern)] |= kept
    return pd.DataFrame(table, columns=[f"item {i}" for i in range(n_items)])
