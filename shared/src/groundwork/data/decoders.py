"""From a data set's file to arrays, frames, lists and text: one function a format."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from groundwork.data.graphs import decode_pickle
from groundwork.data.registry import DataFile, lacking


def decode(file: DataFile, path: Path, name: str) -> Any:
    """Decode a verified file to what `registry.DESCRIPTIONS` says; DataError names the file."""
    try:
        if file.format == "zip":
            return Archive(path, **file.options)
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        return _DECODERS[file.format](content, **file.options)
    except ModuleNotFoundError as error:
        raise lacking(name, error) from error


def decode_csv(
    content: bytes,
    *,
    header: bool = True,
    names: list[str] | None = None,
    separator: str = ",",
    encoding: str = "utf-8",
    index: bool = False,
    missing: str | None = None,
    skip_blank: bool = False,
    columns: list[str] | None = None,
    quoting: bool = True,
    quote: str = '"',
    zipped: bool = False,
    thousands: str | None = None,
    strip: dict[str, str] | None = None,
    numeric: tuple[str, ...] = (),
) -> Any:
    """A frame; without a header the columns are `names`, or c0, c1, … and target for the last.

    `strip` takes characters off the end of a column's texts; the columns `numeric` are numbers,
    and missing where the file has something else.
    """
    import csv

    import pandas as pd

    frame = pd.read_csv(
        io.BytesIO(content),
        sep=separator,
        header=0 if header and not names else None,
        names=names,
        encoding=encoding,
        index_col=0 if index else None,
        na_values=missing,
        skipinitialspace=skip_blank,
        quoting=csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE,
        quotechar=quote,
        compression="zip" if zipped else None,
        low_memory=False,
        thousands=thousands,
    )
    if not header and not names:
        frame.columns = [*(f"c{i}" for i in range(frame.shape[1] - 1)), "target"]
    for column, characters in (strip or {}).items():
        frame[column] = frame[column].str.rstrip(characters)
    for column in numeric:
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    return frame[columns] if columns else frame


def decode_idx(content: bytes) -> Any:
    """An array of bytes; labels become int64."""
    import numpy as np

    dimensions = content[3]
    shape = np.frombuffer(content, ">i4", dimensions, 4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    return values.astype(np.int64) if dimensions == 1 else values.copy()


def decode_ts(content: bytes) -> Any:
    """Series of equal length: channels and the label are separated by colons."""
    import numpy as np

    from groundwork.data.registry import Bunch

    lines = content.decode().split("@data", 1)[1].split()
    rows = [line.split(":") for line in lines]
    x = np.array([[channel.split(",") for channel in row[:-1]] for row in rows], dtype=float)
    return Bunch(x=x, y=np.array([row[-1] for row in rows]))


def decode_smart(content: bytes) -> dict[int, dict[str, str]]:
    """Documents or queries in SMART markup: `.I 1`, then `.T` title, `.W` words and so on."""
    documents: dict[int, dict[str, str]] = {}
    for number, chunk in enumerate(f"\n{_text(content)}".split("\n.I")[1:], start=1):
        fields: dict[str, list[str]] = {}
        current: list[str] = []
        for line in chunk.splitlines()[1:]:
            if len(line.rstrip()) == 2 and line[0] == "." and line[1].isupper():
                current = fields.setdefault(line[1], [])
            else:
                current.append(line)
        documents[number] = {name: "\n".join(lines).strip() for name, lines in fields.items()}
    return documents


def decode_conll(content: bytes) -> list[list[list[str]]]:
    """Sentences, separated by empty lines; the marks between documents are left out."""
    sentences: list[list[list[str]]] = []
    for block in _text(content).replace("\r", "").split("\n\n"):
        rows = [line.split() for line in block.splitlines() if line.strip()]
        rows = [row for row in rows if row[0] != "-DOCSTART-"]
        if rows:
            sentences.append(rows)
    return sentences


def decode_libsvm(content: bytes) -> Any:
    """Rows `grade index:value …`; the indices are the columns."""
    from sklearn.datasets import load_svmlight_file

    from groundwork.data.registry import Bunch

    x, y = load_svmlight_file(io.BytesIO(content), zero_based=True)
    return Bunch(x=x, y=y)


def decode_npz(content: bytes) -> Any:
    """The arrays of a NumPy archive."""
    import numpy as np

    from groundwork.data.registry import Bunch

    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return Bunch({name: archive[name] for name in archive.files})


def decode_qrels(content: bytes, *, graded: bool = False) -> Any:
    """The first columns: query and document, and the grade if `graded`."""
    import numpy as np

    columns = 3 if graded else 2
    rows = [line.split()[:columns] for line in _text(content).splitlines() if line.strip()]
    return np.array(rows, dtype=np.int64)


def decode_integers(content: bytes) -> Any:
    """One whole number a line."""
    import numpy as np

    return np.array(content.split(), dtype=np.int64)


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace")


_DECODERS: dict[str, Callable[..., Any]] = {
    "baskets": lambda content: [line.split(",") for line in _text(content).splitlines()],
    "conll": decode_conll,
    "csv": decode_csv,
    "idx": decode_idx,
    "integers": decode_integers,
    "json": json.loads,
    "jsonl": lambda content: [json.loads(row) for row in content.splitlines() if row.strip()],
    "libsvm": decode_libsvm,
    "lines": lambda content: _text(content).splitlines(),
    "npz": decode_npz,
    "pickle": decode_pickle,
    "qrels": decode_qrels,
    "smart": decode_smart,
    "text": _text,
    "ts": decode_ts,
}


class Archive(Mapping[str, Any]):
    """The members of a zip file by name, decoded by their endings when asked for.

    Images become uint8 arrays of shape (height, width) or (height, width, 3), black and white ones
    with the values 0 and 255; csv files frames with the columns `names`; JSON its value; text a
    string; anything else its bytes.
    """

    def __init__(self, path: Path, names: list[str] | None = None) -> None:
        self._path = path
        self._columns = names
        # In memory (the largest has 8 MB): to open the file anew for each member would read its
        # table of contents each time, and an open file is not safe in forked processes.
        self._zip = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
        self._names = [name for name in self._zip.namelist() if not name.endswith("/")]

    def __reduce__(self) -> tuple[type["Archive"], tuple[Any, ...]]:
        return Archive, (self._path, self._columns)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __getitem__(self, name: str) -> Any:
        content = self._zip.read(name)
        ending = name.rpartition(".")[2].lower()
        try:
            if ending in ("png", "jpg", "jpeg", "pgm"):
                return _image(content)
            if ending == "csv":
                return decode_csv(content, names=self._columns)
        except ModuleNotFoundError as error:
            raise lacking(f"{self._path.name}/{name}", error) from error
        if ending == "json":
            return json.loads(content)
        return _text(content) if ending in ("txt", "xml") else content


def _image(content: bytes) -> Any:
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        return np.array(image.convert("L") if image.mode == "1" else image)
