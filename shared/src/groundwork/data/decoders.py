"""From a data set's file to arrays, frames, lists and text: one function a format."""

import gzip
import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from groundwork.data.registry import DataError, DataFile


def decode(file: DataFile, path: Path, name: str) -> Any:
    """Decode a verified file to what `registry.DESCRIPTIONS` says; DataError names the file."""
    try:
        if file.format == "zip":
            return Archive(path, file.options)
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        return _DECODERS[file.format](content, **file.options)
    except ModuleNotFoundError as error:
        raise DataError(f"{name} needs the package {error.name}, which is not installed") from error


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
) -> Any:
    """A frame; without a header the columns are `names`, or c0, c1, … and last."""
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
    )
    if not header and not names:
        frame.columns = [*(f"c{i}" for i in range(frame.shape[1] - 1)), "target"]
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


def decode_qrels(content: bytes) -> Any:
    """The first two columns: query and document."""
    import numpy as np

    rows = [line.split()[:2] for line in _text(content).splitlines() if line.strip()]
    return np.array(rows, dtype=np.int64)


def decode_integers(content: bytes) -> Any:
    """One whole number a line."""
    import numpy as np

    return np.array(content.split(), dtype=np.int64)


class _OldModules(pickle.Unpickler):
    """Reads pickles of Python 2: only NumPy arrays, SciPy matrices and plain containers."""

    def find_class(self, module: str, name: str) -> Any:
        moved = {
            "scipy.sparse.csr": "scipy.sparse",
            "numpy.core.multiarray": "numpy._core.multiarray",
        }
        allowed = {
            ("scipy.sparse.csr", "csr_matrix"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("collections", "defaultdict"),
            ("__builtin__", "list"),
        }
        if (module, name) not in allowed:
            raise DataError(f"a pickle that asks for {module}.{name} is not read")
        return super().find_class(moved.get(module, module), name)


def decode_pickle(content: bytes) -> Any:
    """A part of the Planetoid graphs."""
    return _OldModules(io.BytesIO(content), encoding="latin1").load()


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

    Images become uint8 arrays of shape (height, width) or (height, width, 3), csv files frames,
    JSON its value, text a string.
    """

    def __init__(self, path: Path, options: dict[str, Any]) -> None:
        self._path = path
        self._columns = options.get("names")
        with zipfile.ZipFile(path) as archive:
            self._names = [name for name in archive.namelist() if not name.endswith("/")]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, name: str) -> Any:
        with zipfile.ZipFile(self._path) as archive:
            content = archive.read(name)
        ending = name.rpartition(".")[2].lower()
        if ending in ("png", "jpg", "jpeg", "pgm"):
            import numpy as np
            from PIL import Image

            return np.asarray(Image.open(io.BytesIO(content)))
        if ending == "csv":
            return decode_csv(content, names=self._columns)
        if ending in ("json", "txt", "xml"):
            return json.loads(content) if ending == "json" else _text(content)
        return content
