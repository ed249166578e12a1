"""Where a data set's file is: a folder of the user's, the cache, or the public address.

Nothing is taken for whole that is not: each file is checked against its sha256 before use. A file
in the cache that fails is kept aside and fetched again; one in the user's folder is never touched.
"""

import contextlib
import gzip
import hashlib
import os
import secrets
import sys
import zlib
from pathlib import Path

from groundwork import files
from groundwork.data.registry import DataError, DataFile, DataSet


def folders() -> list[Path]:
    """The folders of `GROUNDWORK_DATA`, in order."""
    text = os.environ.get("GROUNDWORK_DATA", "")
    return [Path(part).expanduser() for part in text.split(os.pathsep) if part]


def cache() -> Path:
    """The folder that keeps what was fetched; `GROUNDWORK_CACHE` names another one."""
    if chosen := os.environ.get("GROUNDWORK_CACHE"):
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("groundwork"))


def locate(data_set: DataSet, file: DataFile) -> Path:
    """A verified local copy of the file, fetched where there is none.

    The copy has the bytes of the public original; for a file of the form `columns` it may be the
    local form instead, which decodes to the same frame. Raises DataError.
    """
    try:
        return _locate(data_set, file)
    except OSError as error:  # a folder that may not be read or written, a full disk
        raise DataError(f"{data_set.name}: {file.name} could not be kept: {error}") from error


def at_hand(data_set: DataSet, file: DataFile) -> bool:
    """Whether there is a local copy, good or bad, so that nothing has to be fetched."""
    cached = cache() / data_set.name / file.name
    places = [place for folder in folders() for place in _places(folder, data_set, file)]
    return any(place.is_file() for place in [*places, cached, _reduced(cached)])


def _locate(data_set: DataSet, file: DataFile) -> Path:
    for folder in folders():
        found = _from_folder(folder, data_set, file)
        if found:
            return found
    cached = cache() / data_set.name / file.name
    for wanted, path in ((file.sha256, cached), (file.local_sha256, _reduced(cached))):
        if wanted and path.is_file():
            if sha256(path) == wanted:
                return path
            _say(f"{_keep_aside(path)}, and it is fetched again")
    if file.made:
        raise DataError(
            f"{data_set.name}: {file.name} is made from {file.urls[0]} ({file.made}); put it at "
            f"{cached}, or name a folder that holds {file.local} in GROUNDWORK_DATA"
        )
    _fetch(data_set, file, cached)
    return cached


def sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _places(folder: Path, data_set: DataSet, file: DataFile) -> tuple[Path, Path]:
    return folder / file.local, folder / data_set.name / file.name


def _from_folder(folder: Path, data_set: DataSet, file: DataFile) -> Path | None:
    """The file from a folder of the user's: at its registered place or under its own name."""
    cached = cache() / data_set.name / file.name
    for path in _places(folder, data_set, file):
        if not path.is_file():
            continue
        if path == folder / file.local and file.form:
            unpacked = cached if file.form == "gzip" else _reduced(cached)
            wanted = file.sha256 if file.form == "gzip" else file.local_sha256
            if file.form == "columns":
                if sha256(path) == wanted:
                    return path
            elif unpacked.is_file() and sha256(unpacked) == wanted:
                return unpacked
            elif hashlib.sha256(content := _inflate(path)).hexdigest() == wanted:
                if unpacked.is_file():
                    _say(f"{_keep_aside(unpacked)}, and {path} is unpacked again")
                files.write_bytes(unpacked, content)
                return unpacked
        elif sha256(path) == file.sha256:
            return path
        _say(f"{path} is not the {file.name} of {data_set.name} (its sha256 differs); left alone")
    return None


def _inflate(path: Path) -> bytes:
    """The bytes inside; nothing, which has another checksum, where it is no whole gzip."""
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error):
        return b""


def _reduced(cached: Path) -> Path:
    return cached.with_name(f"{cached.name}.columns.gz")


def _keep_aside(path: Path) -> str:
    """Rename a broken file of the cache; returns what to say of it."""
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    with contextlib.suppress(FileNotFoundError):  # another process was quicker
        path.rename(aside)
    return f"{path} was corrupt or cut short; it is kept aside as {aside.name}"


def _fetch(data_set: DataSet, file: DataFile, target: Path) -> None:
    """Download under a name of its own, check, and move into place in one step."""
    import pooch

    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    troubles = []
    for url in file.urls:
        bar = _Bar(file.name) if sys.stderr.isatty() else None
        try:
            pooch.HTTPDownloader(progressbar=bar or False, timeout=30)(url, str(part), None)
            found = sha256(part)
            if found == file.sha256:
                os.replace(part, target)
                return
            troubles.append(f"{url}: sha256 {found[:12]}…, expected {file.sha256[:12]}…")
        except (OSError, ValueError) as error:  # requests' own errors are OSErrors
            troubles.append(f"{url}: {type(error).__name__}")
        finally:
            part.unlink(missing_ok=True)
            if bar:
                bar.close()
    raise DataError(
        f"{data_set.name}: {file.name} could not be had from {'; '.join(troubles)}. To go on "
        f"offline, get it elsewhere and put it at {target}, or name a folder that holds "
        f"{file.local} in GROUNDWORK_DATA"
    )


class _Bar:
    """A progress bar with the few methods that pooch calls, on the terminal's error stream."""

    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self.total = 0
        self._name = name
        self._progress = Progress(console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(name)
        self._progress.start()

    def update(self, size: int) -> None:
        """Advance by `size` bytes."""
        self._progress.update(self._task, total=self.total, advance=size)

    def reset(self) -> None:
        """Go back to the start."""
        self._progress.reset(self._task, total=self.total)

    def close(self) -> None:
        """End the display."""
        self._progress.stop()


def _say(text: str) -> None:
    print(text, file=sys.stderr)
