"""One shape for the sales of a chain, whatever file they came from, and its splits.

A table has one row for each series and day or week: a drug store's days, or the weeks of a
department of a store. What is planned or known before (holidays, promotions, attributes of the
store) is told apart from what is to be forecast.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class SalesTable:
    """Sales with what is known beforehand.

    Parameters
    ----------
    name : of the chain, for reports.
    frame : a row for each series and date, sorted by date: `date`, the `keys`, `sales`, `weight`
        (of the row's error), and the columns in `categories` and `numbers`.
    plan : the same columns but `sales`, for the dates that follow, as far as they are planned.
    keys : the columns that name a series.
    step : days from a row of a series to the next: 7 or 1.
    categories, numbers : what is known of a row before it, besides the keys and the calendar.
    drifting : those of the numbers whose values ahead lie where few or none were learnt from.
    floor : errors as a share are told for sales above it.
    note : a line on where the table is from.
    """

    name: str
    frame: pd.DataFrame
    plan: pd.DataFrame
    keys: tuple[str, ...]
    step: int
    categories: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    drifting: tuple[str, ...] = ()
    floor: float = 0.0
    note: str = ""

    def __post_init__(self) -> None:
        wanted = ["date", *self.keys, "weight", *self.categories, *self.numbers]
        for part, columns in ((self.frame, [*wanted, "sales"]), (self.plan, wanted)):
            absent = [name for name in columns if name not in part]
            if absent:
                raise ValueError(f"the table {self.name} lacks {', '.join(absent)}")
        if not len(self.frame):
            raise ValueError(f"the table {self.name} has no rows")

    @property
    def sales(self) -> NDArray[np.float64]:
        """Of each row (n,)."""
        return self.frame["sales"].to_numpy(np.float64)

    @property
    def weight(self) -> NDArray[np.float64]:
        """Of each row's error (n,)."""
        return self.frame["weight"].to_numpy(np.float64)

    @property
    def dates(self) -> NDArray[np.datetime64]:
        """The different dates, in order."""
        return np.unique(self.frame["date"].to_numpy())

    def with_sales(self, sales: NDArray[np.float64]) -> "SalesTable":
        """The same table with other sales (n,)."""
        return replace(self, frame=self.frame.assign(sales=sales))


@dataclass(frozen=True)
class Split:
    """Rows to learn from and rows to judge by, as places in a table; and what the split is."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    name: str


def split_by_time(table: SalesTable, share: float = 0.1) -> Split:
    """The last `share` of the dates judge, all dates before are learnt from.

    Raises ValueError where a part would have no date.
    """
    return split_last(table, dates_in(table, share))


def split_last(table: SalesTable, last: int, within: NDArray[np.int64] | None = None) -> Split:
    """The last dates judge: so many of them, among the rows `within` (by default all).

    Raises ValueError where a part would have no date.
    """
    rows = np.arange(len(table.frame)) if within is None else within
    dates = table.frame["date"].to_numpy()[rows]
    found = np.unique(dates)
    if not 0 < last < len(found):
        raise ValueError(f"{last} of {len(found)} dates to judge by; 1 to {len(found) - 1}")
    late = dates >= found[-last]
    return Split(rows[~late], rows[late], "time")


def split_shuffled(table: SalesTable, share: float = 0.1, seed: int = 0) -> Split:
    """A `share` of the rows, drawn at random, judges.

    It is the paper's second split. It is no forecast: the weeks before and after a row that is
    judged are learnt from.
    """
    order = np.random.default_rng(seed).permutation(len(table.frame))
    count = round(share * len(order))
    if not 0 < count < len(order):
        raise ValueError(f"share={share} of {len(order)} rows leaves a part empty")
    return Split(np.sort(order[count:]), np.sort(order[:count]), "shuffled")


def dates_in(table: SalesTable, share: float) -> int:
    """How many dates are the last `share` of all."""
    return max(1, round(share * len(table.dates)))
