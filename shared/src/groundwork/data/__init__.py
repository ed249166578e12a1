"""The data registry: named data sets, pinned by checksum, decoded to arrays and frames.

`load("mnist")` finds the files (in the folders of `GROUNDWORK_DATA`, in the user's cache, at the
public address), checks them, and gives a `Bunch` of documented parts. What needs no download is
there too: the sets that scikit-learn carries, and generators with a seed.
"""

import hashlib
from pathlib import Path
from typing import Any

from groundwork.data.embedded import EMBEDDED, generate
from groundwork.data.registry import Bunch, DataError, DataFile, DataSet, registry
from groundwork.suggest import unknown

__all__ = [
    "Bunch",
    "DataError",
    "DataFile",
    "DataSet",
    "checksums",
    "files",
    "info",
    "load",
    "names",
]


def names() -> list[str]:
    """The names of all data sets."""
    return sorted([*registry(), *EMBEDDED])


def info(name: str) -> DataSet:
    """What the registry knows of a data set; a DataError names the nearest ones."""
    if name in registry():
        return registry()[name]
    if name in EMBEDDED:
        entry = EMBEDDED[name]
        return DataSet(name, **entry.about, files=(), kind=entry.kind)
    raise DataError(unknown("data set", name, names()))


def load(name: str, **options: Any) -> Bunch:
    """Load a data set as a `Bunch` of its parts.

    `info(name).parts()` says what each part is: an array with its shape, a frame, lists, or text;
    for a set without files `info(name).notes` does.
    Options are those of a generator, such as `load("moons", n=500, noise=0.1, seed=0)`. Raises
    DataError when a file is not to be had, or is not what the registry says.
    """
    if name in EMBEDDED:
        return generate(name, options)
    data_set = info(name)
    if options:
        raise DataError(f"{name} takes no options; {', '.join(options)} was given")
    from groundwork.data.decoders import decode

    found = files(name)
    parts = Bunch({file.part: decode(file, found[file.name], name) for file in data_set.files})
    if not data_set.loader:
        return parts
    from groundwork.data.graphs import LOADERS

    return LOADERS[data_set.loader](parts)


def files(name: str) -> dict[str, Path]:
    """The verified local files of a data set, by their names at the public address."""
    from groundwork.data.fetch import locate

    data_set = info(name)
    return {file.name: locate(data_set, file) for file in data_set.files}


def checksums(name: str, **options: Any) -> dict[str, str]:
    """The sha256 of each file; of an embedded set, of each part's bytes."""
    if name not in EMBEDDED:
        return {file.name: file.sha256 for file in info(name).files}
    import numpy as np

    sums = {}
    for part, value in generate(name, options).items():
        array = np.ascontiguousarray(value)
        text = f"{array.dtype.str}{array.shape}".encode()
        plain = array.astype(str) if array.dtype == object else array
        sums[part] = hashlib.sha256(text + plain.tobytes()).hexdigest()
    return sums
