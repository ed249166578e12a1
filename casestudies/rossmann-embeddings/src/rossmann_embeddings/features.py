"""What is known of a row when its sales are forecast, and how models take it.

Two sets of features. *Categories* are the paper's: names of the series, attributes, and the parts
of the calendar; nothing of past sales. *History* adds numbers: attributes, days to the festivals,
and past sales, of which a row at date t sees none after t minus the horizon. With a horizon as long
as the part that judges, all of it could have been forecast at its beginning.

`Encoder` is the only thing that is fitted, on the rows to learn from: which categories there are,
and the mean and spread of each number.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rossmann_embeddings.festivals import FESTIVALS, days_to
from rossmann_embeddings.tables import SalesTable

#: Weeks in a year, so that weekdays and most holidays fall on each other.
YEAR = 52
SHORT, LONG = 4, 13
#: The column that a forecast starts from: log sales a year ago, else the latest that is known.
ANCHOR = "anchor"
#: Columns of other levels, told as distances from the anchor.
OVER_ANCHOR = ("near_year_ago_over", "recent_over", "quarter_over")
#: A series that hardly sells is told in shares of so much.
LEAST_LEVEL = 20.0


@dataclass(frozen=True)
class Features:
    """Columns of categories and of numbers, a row for each row of a table; nothing is fitted."""

    categories: pd.DataFrame
    numbers: pd.DataFrame

    def without(self, names: Iterable[str]) -> "Features":
        """The same without some of the numbers."""
        return Features(self.categories, self.numbers.drop(columns=list(names)))


def log_sales(sales: NDArray[np.float64]) -> NDArray[np.float64]:
    """log(1 + sales), of returns 0."""
    return np.log1p(np.maximum(sales, 0.0))


def sales_of(logarithm: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sales of a log(1 + sales), 0 or more; an absurd logarithm is cut off."""
    return np.maximum(np.expm1(np.minimum(logarithm, 30.0)), 0.0)


def anchor_of(features: Features, rows: NDArray[np.int64], otherwise: float) -> NDArray[np.float64]:
    """The anchor of some rows (n,); `otherwise` where there is none, as without history."""
    if ANCHOR not in features.numbers:
        return np.full(len(rows), otherwise)
    anchor = features.numbers[ANCHOR].to_numpy(np.float64)[rows]
    return np.where(np.isfinite(anchor), anchor, otherwise)


def level_of(
    features: Features, rows: NDArray[np.int64], otherwise: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The highest sales level that is known of some rows (n,), and the sales of the anchor (n,).

    Where nothing is known, both are those of the log sales `otherwise`.
    """
    numbers = features.numbers.iloc[rows]
    anchor = anchor_of(features, rows, otherwise)
    known = [anchor, *(anchor + numbers[name].to_numpy(np.float64) for name in OVER_ANCHOR)]
    level = np.maximum(sales_of(np.fmax.reduce(known)), LEAST_LEVEL)
    return level, sales_of(anchor)


def with_past(features: Features, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the rows that have an anchor; all of them where features have no history.

    The first weeks of a chain have no past at all, and teach nothing on how it goes on.
    """
    if ANCHOR not in features.numbers:
        return rows
    return rows[np.isfinite(features.numbers[ANCHOR].to_numpy()[rows])]


def make_features(
    table: SalesTable, horizon: int, *, history: bool, plan: bool = False
) -> Features:
    """The features of the table's rows, and after them of the planned rows where asked for.

    Parameters
    ----------
    horizon : steps (weeks or days) that lie between the last sales that a row sees and the row.
    history : the second set of the module's docstring; otherwise categories alone.
    plan : whether the planned rows follow the others.

    Raises ValueError for a horizon below 1, or so long that a year ago is not past.
    """
    per_week = 7 // table.step
    longest = (YEAR - 2) * per_week
    if not 1 <= horizon <= longest:
        raise ValueError(f"horizon={horizon}: 1 to {longest} steps are taken")
    rows = pd.concat([table.frame, table.plan], ignore_index=True) if plan else table.frame
    categories = _categories(table, rows)
    if not history:
        return Features(categories, pd.DataFrame(index=rows.index))
    dates = rows["date"].to_numpy()
    numbers = {name: rows[name].to_numpy(np.float64) for name in table.numbers}
    numbers |= {f"days_to_{name}": days_to(name, dates) for name in FESTIVALS}
    first = table.frame["date"].min()
    numbers["time"] = (rows["date"] - first).dt.days.to_numpy(np.float64)
    numbers |= _past(table, rows, horizon)
    return Features(categories, pd.DataFrame(numbers, index=rows.index).astype(np.float32))


def _categories(table: SalesTable, rows: pd.DataFrame) -> pd.DataFrame:
    calendar = rows["date"].dt.isocalendar()
    parts = {
        "week": calendar["week"].to_numpy(np.int64),
        "month": rows["date"].dt.month.to_numpy(np.int64),
        "year": rows["date"].dt.year.to_numpy(np.int64),
    }
    if table.step == 1:
        parts["weekday"] = calendar["day"].to_numpy(np.int64)
        parts["day"] = rows["date"].dt.day.to_numpy(np.int64)
    known = rows[[*table.keys, *table.categories]]
    return pd.concat([known, pd.DataFrame(parts, index=rows.index)], axis=1)


def _past(table: SalesTable, rows: pd.DataFrame, horizon: int) -> dict[str, NDArray]:
    """Columns from past log sales, NaN where there were none; see `make_features`.

    The anchor is the same week a year ago, where there is none the latest mean. What else is known
    is told as its distance from there: the weeks around a year ago, the latest 4 and 13 weeks, and
    what those 13 become if the season is that of the department in all stores, or of the store in
    all departments. Growth is that of the 13 weeks over a year.
    """
    per_week = 7 // table.step
    series = pd.MultiIndex.from_frame(rows[list(table.keys)]).factorize()[0]
    start = rows["date"].min()
    when = (rows["date"] - start).dt.days.to_numpy() // table.step
    grid = np.full((series.max() + 1, when.max() + 1), np.nan)
    sold = len(table.frame)
    grid[series[:sold], when[:sold]] = log_sales(table.sales)
    year, around = YEAR * per_week, 2 * per_week
    year_ago, near = _lagged(grid, year), _mean(grid, year - around, 2 * around + 1)
    recent = _mean(grid, horizon, SHORT * per_week)
    quarter = _mean(grid, horizon, LONG * per_week)
    anchor = year_ago.copy()
    for other in (near, quarter, recent):
        anchor = np.where(np.isfinite(anchor), anchor, other)
    growth = quarter - _lagged(quarter, year)
    season = year_ago - _lagged(quarter, year)
    columns = {
        ANCHOR: anchor,
        "year_ago": year_ago,
        "near_year_ago_over": near - anchor,
        "recent_over": recent - anchor,
        "quarter_over": quarter - anchor,
        "growth": growth,
    }
    firsts = rows.iloc[np.unique(series, return_index=True)[1]]
    for key in table.keys if len(table.keys) > 1 else ():
        groups = firsts[key].factorize()[0]
        columns[f"growth_of_{key}"] = _group_means(growth, groups)[groups]
        columns[f"season_of_{key}_over"] = quarter + _group_means(season, groups)[groups] - anchor
    return {name: values[series, when] for name, values in columns.items()}


def _lagged(grid: NDArray[np.float64], lag: int) -> NDArray[np.float64]:
    """Each series (series, steps) moved `lag` steps on."""
    moved = np.full_like(grid, np.nan)
    moved[:, lag:] = grid[:, : max(grid.shape[1] - lag, 0)]
    return moved


def _mean(grid: NDArray[np.float64], lag: int, steps: int) -> NDArray[np.float64]:
    """The mean over `steps` steps of which the last is `lag` before; NaN where nothing was sold."""
    there = np.isfinite(grid)
    total = np.cumsum(np.where(there, grid, 0.0), axis=1)
    count = np.cumsum(there, axis=1).astype(np.float64)
    total[:, steps:] = total[:, steps:] - total[:, :-steps].copy() if steps < grid.shape[1] else 0
    count[:, steps:] = count[:, steps:] - count[:, :-steps].copy() if steps < grid.shape[1] else 0
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return _lagged(mean, lag)


def _group_means(grid: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """The means of the series of each group, a step at a time: (groups, steps)."""
    there = np.isfinite(grid)
    total = np.zeros((groups.max() + 1, grid.shape[1]))
    count = np.zeros_like(total)
    np.add.at(total, groups, np.where(there, grid, 0.0))
    np.add.at(count, groups, there)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


@dataclass(frozen=True)
class Encoded:
    """Rows as models take them.

    codes : int64 (n, categories), 0 for a category that was not there to learn from.
    numbers : float32 (n, numbers), NaN where one is missing, in their own units.
    """

    codes: NDArray[np.int64]
    numbers: NDArray[np.float32]

    def take(self, rows: NDArray[np.int64]) -> "Encoded":
        """Some of the rows."""
        return Encoded(self.codes[rows], self.numbers[rows])


class Encoder:
    """Categories as codes from 1, learnt from the rows to learn from.

    Attributes
    ----------
    names_ : of the categories. levels_ : the values of each, in order; the first has code 1.
    cardinalities_ : codes of each, with the 0 for what is new.
    number_names_ : of the numbers. mean_, spread_ : of each number where it is there.
    gaps_ : places of the numbers that are missing in some row.
    """

    names_: list[str]
    levels_: list[pd.Index]
    cardinalities_: list[int]
    number_names_: list[str]
    mean_: NDArray[np.float32]
    spread_: NDArray[np.float32]
    lowest_: NDArray[np.float32]
    highest_: NDArray[np.float32]
    gaps_: NDArray[np.int64]

    def fit(self, features: Features, rows: NDArray[np.int64]) -> "Encoder":
        """Learn from some rows of the features; ValueError where there is none."""
        if not len(rows):
            raise ValueError("no rows to learn the categories from")
        known = features.categories.iloc[rows]
        self.names_ = list(known)
        self.levels_ = [pd.Index(known[name].unique()).sort_values() for name in known]
        self.cardinalities_ = [len(levels) + 1 for levels in self.levels_]
        self.number_names_ = list(features.numbers)
        values = features.numbers.iloc[rows].to_numpy(np.float32)
        there = np.isfinite(values)
        count = np.maximum(there.sum(axis=0), 1)
        self.mean_ = (np.where(there, values, 0).sum(axis=0) / count).astype(np.float32)
        squared = np.square(np.where(there, values - self.mean_, 0)).sum(axis=0) / count
        spread = np.sqrt(squared)
        self.spread_ = np.where(spread > 1e-6, spread, 1.0).astype(np.float32)
        never = ~there.any(axis=0)
        lowest = np.where(there, values, np.inf).min(axis=0)
        highest = np.where(there, values, -np.inf).max(axis=0)
        self.lowest_ = np.where(never, self.mean_, lowest).astype(np.float32)
        self.highest_ = np.where(never, self.mean_, highest).astype(np.float32)
        self.gaps_ = np.flatnonzero(~there.all(axis=0))
        return self

    def transform(self, features: Features, rows: NDArray[np.int64] | None = None) -> Encoded:
        """Some rows of the features (by default all) as codes and numbers."""
        known, numbers = features.categories, features.numbers
        if rows is not None:
            known, numbers = known.iloc[rows], numbers.iloc[rows]
        codes = np.column_stack(
            [
                levels.get_indexer(pd.Index(known[name])) + 1
                for name, levels in zip(self.names_, self.levels_, strict=True)
            ]
        ).astype(np.int64)
        return Encoded(codes, numbers.to_numpy(np.float32).reshape(len(known), -1))

    def scaled(self, encoded: Encoded) -> NDArray[np.float32]:
        """Numbers of mean 0 and spread 1, missing ones 0, and a column of 0 and 1 for each gap.

        A number beyond the ends that were seen is taken for the end: nothing was learnt of what is
        there. Time, for one, stands still when learning ends; a tree does the same by its nature.
        """
        held = np.clip(encoded.numbers, self.lowest_, self.highest_)
        values = (held - self.mean_) / self.spread_
        missing = ~np.isfinite(values)
        filled = np.where(missing, 0, np.clip(values, -6, 6))
        return np.hstack([filled, missing[:, self.gaps_]]).astype(np.float32)
