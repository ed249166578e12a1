"""CSV files with columns that must be there and mean what they say; refused by file, line, column.

A file is read in pieces of some hundred thousand rows as text, and each column is turned into its
type at once, so that a file of any length needs the memory of its numbers only. A first value that
does not fit is told with its line.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from groundwork.errors import UsageError
from groundwork.suggest import nearest

ROWS_AT_ONCE = 250_000

Convert = Callable[[pd.Series], pd.Series]


@dataclass(frozen=True)
class Column:
    """What a column takes: its converter gives NaN (NaT, None) for a text that does not fit.

    Parameters
    ----------
    convert : texts (n,) → values (n,).
    takes : the same in words, for the error.
    optional : whether an empty cell is taken, as a missing value.
    """

    convert: Convert
    takes: str
    optional: bool = False


def whole(low: int, high: int | None = None, optional: bool = False) -> Column:
    """A whole number from `low` to `high`."""

    def convert(texts: pd.Series) -> pd.Series:
        values = pd.to_numeric(texts, errors="coerce")
        fits = (values >= low) & (values == np.floor(values))
        return values.where(fits & (values <= (np.inf if high is None else high)))

    top = "or more" if high is None else f"to {high}"
    return Column(convert, f"a whole number, {low} {top}", optional)


def number(low: float = -np.inf, optional: bool = False) -> Column:
    """A finite number of `low` or more."""

    def convert(texts: pd.Series) -> pd.Series:
        values = pd.to_numeric(texts, errors="coerce").astype(np.float64)
        return values.where(np.isfinite(values) & (values >= low))

    return Column(convert, "a number" + (f", {low:g} or more" if low > -np.inf else ""), optional)


def day() -> Column:
    """A date as YYYY-MM-DD."""

    def convert(texts: pd.Series) -> pd.Series:
        return pd.to_datetime(texts, format="%Y-%m-%d", errors="coerce")

    return Column(convert, "a date as YYYY-MM-DD")


def one_of(*values: str, optional: bool = False) -> Column:
    """One of these words."""

    def convert(texts: pd.Series) -> pd.Series:
        return texts.where(texts.isin(values))

    return Column(convert, "one of " + ", ".join(values), optional)


def text(optional: bool = False) -> Column:
    """Any text that is not empty."""
    return Column(lambda texts: texts.where(texts != ""), "a text", optional)


def read(path: Path, columns: Mapping[str, Column]) -> pd.DataFrame:
    """The columns of a CSV file, in their types, and `line`, the line of each row in the file.

    Other columns are passed over. Raises UsageError, in one line that names the file, the line and
    the column, for a file that is not there or empty, a column that is missing and a value that is
    not taken.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    parts = [_convert(path, part, columns) for part in _pieces(path, columns)]
    if not parts or not sum(map(len, parts)):
        raise UsageError(f"{path} has a header and no rows")
    return pd.concat(parts, ignore_index=True)


def _pieces(path: Path, columns: Mapping[str, Column]) -> Iterator[pd.DataFrame]:
    """The file as frames of text with the wanted columns."""
    try:
        header = pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not read as CSV: {error}") from None
    for name in columns:
        if name not in header:
            raise UsageError(
                f"{path}, line 1: no column {name}; it has {', '.join(map(str, header))} "
                f"(near it: {nearest(name, map(str, header))}), separated by commas"
            )
    try:
        yield from pd.read_csv(
            path,
            usecols=list(columns),
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,
            encoding="utf-8-sig",
            chunksize=ROWS_AT_ONCE,
        )
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not read as CSV: {error}") from None


def _convert(path: Path, part: pd.DataFrame, columns: Mapping[str, Column]) -> pd.DataFrame:
    lines = pd.Series(part.index.to_numpy() + 2, index=part.index)
    converted: dict[str, pd.Series] = {"line": lines}
    for name, column in columns.items():
        texts = part[name].str.strip()
        values = column.convert(texts)
        missing = texts.isin(["", "NA"])
        bad = values.isna() & ~(missing & column.optional)
        if bad.any():
            first = bad.idxmax()
            raise UsageError(
                f"{path}, line {lines[first]}, column {name}: {texts[first]!r} is not taken; "
                f"it takes {column.takes}"
            )
        converted[name] = values
    return pd.DataFrame(converted)
