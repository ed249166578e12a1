"""The registry file, read once: what there is, where it comes from, what its bytes have to be."""

import functools
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundwork.errors import UsageError

#: What each format decodes to.
DESCRIPTIONS = {
    "baskets": "a list of lists of item names, one a basket",
    "conll": "a list of sentences, each a list of rows (token, part of speech, chunk, entity)",
    "csv": "a pandas frame, one row a record",
    "idx": "an array: uint8 images of shape (n, height, width), or int64 labels of shape (n,)",
    "integers": "an int64 array of shape (n,), one number a line",
    "json": "the JSON value",
    "jsonl": "a list of JSON values, one a line",
    "libsvm": "a Bunch of a float64 matrix x (scipy CSR) and grades y of shape (n,)",
    "lines": "a list of lines",
    "npz": "a Bunch of arrays, by their names in the file",
    "pickle": "a scipy CSR matrix, an int32 one-hot array, or a dict of neighbour lists",
    "qrels": "an int64 array of shape (n, 2): query, document; (n, 3) with the grade if graded",
    "smart": "a dict: number in order of the file → a dict of the SMART fields (T, A, W, …)",
    "text": "a string",
    "ts": "a Bunch of a float64 array x of shape (n, channels, length) and labels y of shape (n,)",
    "zip": "a read-only mapping from member names to decoded members, each read when asked for",
}

#: What each loader gives of the files of a set.
LOADED = {
    "planetoid": {
        "x": "a scipy CSR matrix float32 of shape (nodes, features)",
        "y": "an int64 array of shape (nodes,), -1 where there is no label",
        "edges": "an int64 array of shape (2, m), each edge in both directions",
        "train": "an int64 array of node numbers",
        "validation": "an int64 array of node numbers, the 500 after train",
        "test": "an int64 array of node numbers",
    },
}


class DataError(UsageError):
    """A data set is unknown, not to be had, or not what it should be."""


#: The packages that are asked for by other names than their modules'.
_PACKAGES = {"PIL": "pillow", "pandas": "groundwork[frames]", "sklearn": "scikit-learn"}


def lacking(name: str, error: ModuleNotFoundError) -> DataError:
    """The error for a data set or file whose decoding needs a package that is not installed."""
    module = (error.name or str(error)).partition(".")[0]
    package = _PACKAGES.get(module, module)
    return DataError(f"{name} needs {module}, which is not installed; add {package}")


class Bunch(dict[str, Any]):
    """A dictionary whose entries are attributes too: `data.x_train` is `data["x_train"]`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            known = ", ".join(self)
            raise AttributeError(f"no part {name!r}; there are {known}") from None


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    part : its key in the `Bunch`.
    name : its name at the public address.
    urls : where it can be had, the first address first.
    sha256, bytes : of the file at the address.
    local, form, local_sha256 : where and in what form a `GROUNDWORK_DATA` folder may hold it.
    made : how it was made from what lies at the address, where it is not a file there itself.
    format, options : how it is decoded.
    """

    part: str
    name: str
    urls: tuple[str, ...]
    sha256: str
    bytes: int
    local: str
    format: str
    form: str = ""
    local_sha256: str = ""
    made: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataSet:
    """A data set: its names, its rights, its files.

    loader : the function that puts its decoded files together, where they are no parts themselves.
    kind : `files`, `embedded` (carried by scikit-learn) or `generated` (with a seed).
    """

    name: str
    title: str
    task: str
    rows: str
    licence: str
    citation: str
    files: tuple[DataFile, ...]
    notes: str = ""
    loader: str = ""
    kind: str = "files"

    def parts(self) -> dict[str, str]:
        """What each part of the loaded `Bunch` is, in words; of a set without files, see notes."""
        if self.loader:
            return LOADED[self.loader]
        return {file.part: DESCRIPTIONS[file.format] for file in self.files}


@functools.cache
def registry() -> dict[str, DataSet]:
    """Every data set that has files, by name."""
    text = (Path(__file__).parent / "registry.toml").read_text("utf-8")
    return {name: _data_set(name, entry) for name, entry in tomllib.loads(text).items()}


def _data_set(name: str, entry: dict[str, Any]) -> DataSet:
    listed = []
    for given in entry.pop("files"):
        url = given.pop("url")
        listed.append(DataFile(urls=(url,) if isinstance(url, str) else tuple(url), **given))
    return DataSet(name, files=tuple(listed), **entry)
