"""What a table has to look like, and CSV files as people have them.

A schema is learnt from the table that a model is trained on: which columns, which of them are
numbers, which levels a category has. Another table is then read against it. Columns may stand in
any order and others may be among them; the separator is found out; a decimal comma is understood
where the separator is a semicolon. What cannot be handled is refused with the file, the line and
the column. Rows are read in pieces, so that memory does not grow with the file.
"""

import csv
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from groundwork.errors import UsageError

#: Texts that stand for a missing value, written small.
MISSING = frozenset(["", "?", "na", "n/a", "nan", "null", "none", "-"])
SEPARATORS = ",;\t|"
ENCODINGS = ("utf-8-sig", "cp1252")


@dataclass(frozen=True)
class Column:
    """One column: its name, its kind, and for a category the levels that were seen.

    A text is like a category, but every row may have its own: names, tickets.
    """

    name: str
    kind: Literal["number", "category", "text"]
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Schema:
    """The columns that a model was trained on, in their order."""

    columns: tuple[Column, ...]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> "Schema":
        """The schema of a frame: columns of numbers are numbers, all others categories."""
        found = []
        for name in frame:
            values = frame[name]
            if pd.api.types.is_numeric_dtype(values):
                found.append(Column(str(name), "number"))
            else:
                levels = sorted(values.dropna().astype(str).unique())
                found.append(Column(str(name), "category", tuple(levels)))
        return cls(tuple(found))

    @property
    def names(self) -> list[str]:
        """Of all columns."""
        return [column.name for column in self.columns]

    @property
    def numbers(self) -> list[str]:
        """The names of the columns of numbers."""
        return [column.name for column in self.columns if column.kind == "number"]

    @property
    def categories(self) -> list[str]:
        """The names of the categories."""
        return [column.name for column in self.columns if column.kind == "category"]

    def conform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A frame with these columns in this order, numbers as float64 and categories as text.

        Raises ValueError for a column that is not there, or a text where a number has to be.
        """
        missing = [name for name in self.names if name not in frame]
        if missing:
            raise ValueError(f"no column {missing[0]!r}; {', '.join(self.names)} are needed")
        made = {}
        for column in self.columns:
            values = frame[column.name]
            if column.kind == "number":
                made[column.name] = pd.to_numeric(values).astype(np.float64)
            else:
                made[column.name] = values.astype(object).where(values.notna(), None)
        return pd.DataFrame(made, index=frame.index)


@dataclass
class Reading:
    """What was noticed while a file was read: rows, and unseen levels of each category."""

    rows: int
    unseen: dict[str, dict[str, int]]

    def told(self) -> list[str]:
        """A line for each category that has levels which the model never saw."""
        lines = []
        for name, levels in self.unseen.items():
            most = ", ".join(f"{level!r} ({count}×)" for level, count in list(levels.items())[:3])
            more = f" and {len(levels) - 3} more" if len(levels) > 3 else ""
            lines.append(
                f"{name}: levels never seen in training, taken as none of them: {most}{more}"
            )
        return lines


def read_csv(
    path: str | Path,
    schema: Schema,
    reading: Reading | None = None,
    rows: int = 50_000,
) -> Iterator[pd.DataFrame]:
    """The table in pieces of at most so many rows, as the schema wants it.

    reading : what is noticed is added to it.

    Raises UsageError for a file that is not there or not text, a column that is not there, a row
    with too many or too few fields, or a text where a number has to be.
    """
    place = Path(path)
    encoding, separator = _look(place)
    comma = separator == ";"
    with place.open(encoding=encoding, newline="") as file:
        reader = csv.reader(file, delimiter=separator)
        header = [name.strip() for name in next(reader)]
        at = _places(place, header, schema)
        piece: list[list[str]] = []
        lines: list[int] = []
        for fields in reader:
            if not any(fields):
                continue
            if len(fields) != len(header):
                raise UsageError(
                    f"{place}, line {reader.line_num}: {len(fields)} fields; the header has "
                    f"{len(header)}"
                )
            piece.append(fields)
            lines.append(reader.line_num)
            if len(piece) == rows:
                yield _convert(place, piece, lines, at, schema, comma, reading)
                piece, lines = [], []
        if piece:
            yield _convert(place, piece, lines, at, schema, comma, reading)


def _look(place: Path) -> tuple[str, str]:
    """The encoding and the separator, from the file's beginning."""
    try:
        with place.open("rb") as file:
            start = file.read(1 << 16)
    except OSError as error:
        raise UsageError(f"{place}: {error.strerror or error}; a CSV file is taken") from error
    if b"\0" in start:
        raise UsageError(f"{place} is not text; a CSV file is taken")
    if not start.strip():
        raise UsageError(f"{place} is empty; a CSV file with a header is taken")
    for encoding in ENCODINGS:
        try:
            text = start[: start.rfind(b"\n") + 1 or None].decode(encoding)
        except UnicodeDecodeError:
            continue
        break
    else:
        raise UsageError(f"{place} is neither UTF-8 nor Windows-1252 text")
    header = next(iter(text.splitlines()), "")
    counts = {separator: header.count(separator) for separator in SEPARATORS}
    return encoding, max(counts, key=lambda separator: counts[separator])


def _places(place: Path, header: list[str], schema: Schema) -> dict[str, int]:
    """Where each column of the schema stands in the header."""
    for name in schema.names:
        if header.count(name) > 1:
            raise UsageError(f"{place}, line 1: column {name!r} stands there twice")
        if name not in header:
            near = difflib.get_close_matches(name, header, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                f"{place}, line 1: no column {name!r} among {len(header)}{hint} "
                f"Needed are: {', '.join(schema.names)}"
            )
    return {name: header.index(name) for name in schema.names}


def _convert(
    place: Path,
    piece: list[list[str]],
    lines: list[int],
    at: dict[str, int],
    schema: Schema,
    comma: bool,
    reading: Reading | None,
) -> pd.DataFrame:
    made: dict[str, object] = {}
    for column in schema.columns:
        texts = [fields[at[column.name]].strip() for fields in piece]
        if column.kind == "number":
            made[column.name] = _numbers(place, column, texts, lines, comma)
            continue
        known = set(column.levels)
        values = [_level(text, known) for text in texts]
        made[column.name] = pd.Series(values, dtype=object)
        if reading is not None and column.kind == "category":
            for value in values:
                if value is not None and value not in known:
                    counts = reading.unseen.setdefault(column.name, {})
                    counts[value] = counts.get(value, 0) + 1
    if reading is not None:
        reading.rows += len(piece)
    return pd.DataFrame(made)


def _level(text: str, known: set[str]) -> str | None:
    """A level, or None; a level named like a missing value stays one where the schema has it."""
    return None if text.lower() in MISSING and text not in known else text


def _numbers(
    place: Path, column: Column, texts: list[str], lines: list[int], comma: bool
) -> np.ndarray:
    out = np.empty(len(texts))
    for i, text in enumerate(texts):
        if text.lower() in MISSING:
            out[i] = np.nan
            continue
        try:
            out[i] = float(text.replace(",", ".") if comma else text)
        except ValueError:
            out[i] = np.inf
        if not np.isfinite(out[i]):
            raise UsageError(
                f"{place}, line {lines[i]}, column {column.name!r}: {text!r} is not a number"
            )
    return out
