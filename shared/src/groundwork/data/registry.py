"""The registry file, read once: what there is, where it comes from, what its bytes have to be."""

import functools
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundwork.errors import UsageError
from groundwork.suggest import unknown


class DataError(UsageError):
    """A data set is unknown, not to be had, or not what it should be."""


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
    """A data set: its names, its rights, its files."""

    name: str
    title: str
    task: str
    rows: str
    licence: str
    citation: str
    files: tuple[DataFile, ...]
    notes: str = ""

    def parts(self) -> dict[str, str]:
        """What each part of the loaded `Bunch` is, in words."""
        from groundwork.data.decoders import DESCRIPTIONS

        return {file.part: DESCRIPTIONS[file.format] for file in self.files}


@functools.cache
def registry() -> dict[str, DataSet]:
    """Every data set that has files, by name."""
    text = (Path(__file__).parent / "registry.toml").read_text("utf-8")
    return {name: _data_set(name, entry) for name, entry in tomllib.loads(text).items()}


def find(name: str) -> DataSet:
    """The data set of that name."""
    if name in registry():
        return registry()[name]
    from groundwork.data.embedded import EMBEDDED

    if name in EMBEDDED:
        return DataSet(name, **EMBEDDED[name].about, files=())
    raise DataError(unknown("data set", name, [*registry(), *EMBEDDED]))


def _data_set(name: str, entry: dict[str, Any]) -> DataSet:
    listed = []
    for given in entry.pop("files"):
        url = given.pop("url")
        listed.append(DataFile(urls=(url,) if isinstance(url, str) else tuple(url), **given))
    return DataSet(name, files=tuple(listed), **entry)
