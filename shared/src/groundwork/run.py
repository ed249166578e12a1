"""What a lab's `main` is given: generators, metrics, comparisons, figures, checkpoints, data."""

import math
import pickle
import re
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from groundwork import files
from groundwork.measure import Comparison, compare

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from groundwork.terminal import Terminal

T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+=-]*")


class Checkpoint:
    """A place for the state of unfinished work, written whole or not at all."""

    def __init__(self, path: Path, saved: Callable[[], None]) -> None:
        self._path = path
        self._saved = saved

    def load(self) -> Any | None:
        """The state that was saved last, or None on a fresh start."""
        if not self._path.exists():
            return None
        with open(self._path, "rb") as file:
            return pickle.load(file)

    def save(self, state: object) -> None:
        """Replace the saved state; a kill in the middle leaves the former one."""
        files.write_bytes(self._path, pickle.dumps(state, protocol=pickle.HIGHEST_PROTOCOL))
        self._saved()


class Run:
    """One execution of a lab.

    A lab receives it as the first argument of `main` and tells it what was measured. All that is
    told is kept in the run's folder; the numbers end in `run.json`.
    """

    def __init__(self, folder: Path, *, seed: int, terminal: "Terminal") -> None:
        self.folder = folder
        self.seed = seed
        self.metrics: dict[str, dict[str, Any]] = {}
        self.comparisons: dict[str, dict[str, Any]] = {}
        self.files: list[dict[str, str]] = []
        self.data_used: dict[str, str] = {}
        self._terminal = terminal
        self._rng: np.random.Generator | None = None
        self._on_checkpoint: Callable[[], None] = lambda: None

    # Randomness

    @property
    def rng(self) -> "np.random.Generator":
        """A NumPy generator seeded with the run's seed."""
        if self._rng is None:
            import numpy as np

            self._rng = np.random.default_rng(self.seed)
        return self._rng

    def seeds(self, count: int) -> list[int]:
        """`count` seeds for independent repetitions: the run's seed and those that follow it."""
        return [self.seed + i for i in range(count)]

    # Numbers

    def metric(self, name: str, value: float | Sequence[float], unit: str = "") -> float:
        """Record a number, or one number a seed; returns the number or the mean.

        For a sequence the mean is the metric's value, with `std` (one degree of freedom taken) and
        `n` beside it. Raises ValueError for a value that is not finite.
        """
        _check_name("metric", name)
        entry: dict[str, Any]
        if isinstance(value, Iterable):
            values = [float(item) for item in value]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            mean = statistics.fmean(values)
            entry = {"value": mean, "unit": unit, "std": spread, "n": len(values)}
        else:
            entry = {"value": float(value), "unit": unit}
        if not math.isfinite(entry["value"]):
            raise ValueError(f"metric {name} is {entry['value']}; a finite number is taken")
        self.metrics[name] = entry
        return float(entry["value"])

    def compare(
        self,
        name: str,
        ours: Callable[[], object],
        reference: Callable[[], object],
        *,
        library: str,
        pairs: int = 9,
        warmup: int = 1,
        threads: int | None = None,
        min_time: float = 0.02,
    ) -> Comparison:
        """Time ours and the reference in turns; see `groundwork.measure.compare`."""
        _check_name("comparison", name)
        result = compare(
            ours,
            reference,
            library=library,
            pairs=pairs,
            warmup=warmup,
            threads=threads,
            min_time=min_time,
        )
        self.comparisons[name] = result.to_json()
        return result

    # Files

    def table(
        self,
        name: str,
        rows: Iterable[Mapping[str, Any] | Sequence[Any]],
        columns: Sequence[str] | None = None,
        caption: str = "",
    ) -> None:
        """Keep a table: rows as mappings, or as sequences with `columns`."""
        _check_name("table", name)
        listed = list(rows)
        if columns is None:
            columns = list(listed[0]) if listed and isinstance(listed[0], Mapping) else []
        cells = [
            [_cell(row.get(column) if isinstance(row, Mapping) else row[i])
             for i, column in enumerate(columns)]
            for row in listed
        ]  # fmt: skip
        content = {"columns": list(columns), "rows": cells, "caption": caption}
        files.write_json(self.folder / f"{name}.json", content)
        self._add_file(f"{name}.json", "table", caption)

    def figure(self, name: str, figure: "Figure", caption: str = "", format: str = "svg") -> Path:
        """Save a matplotlib figure as SVG (drawings) or PNG (images); returns its path."""
        from groundwork import plots

        _check_name("figure", name)
        path = self.folder / f"{name}.{format}"
        files.write_bytes(path, plots.render(figure, format))
        self._add_file(path.name, "figure", caption)
        return path

    def artifact(self, name: str) -> Path:
        """A path in the run's folder for any other file; it is not part of a record."""
        _check_name("artifact", name)
        self._add_file(name, "artifact", "")
        return self.folder / name

    def _add_file(self, path: str, kind: str, caption: str) -> None:
        self.files = [entry for entry in self.files if entry["path"] != path]
        self.files.append({"path": path, "kind": kind, "caption": caption})

    # Long work

    def progress(
        self, iterable: Iterable[T], total: int | None = None, label: str = ""
    ) -> Iterator[T]:
        """Yield the items; in a terminal, with a bar that shows the rate and the time left."""
        return self._terminal.progress(iterable, total, label)

    def checkpoint(self, name: str = "state") -> Checkpoint:
        """A named place for the state of unfinished work; an interrupted run finds it again."""
        _check_name("checkpoint", name)
        return Checkpoint(self.folder / "checkpoints" / f"{name}.pickle", self._on_checkpoint)

    def log(self, text: str) -> None:
        """Print one line."""
        self._terminal.line(text)

    # Data and device

    def data(self, name: str, **options: Any) -> Any:
        """A data set of the registry; its checksum becomes part of the run."""
        from groundwork import data

        loaded = data.load(name, **options)
        self.data_used[name] = _one_checksum(data.checksums(name, **options))
        return loaded

    def data_files(self, name: str) -> dict[str, Path]:
        """The local, verified files of a data set, by their names at the public address."""
        from groundwork import data

        found = data.files(name)
        self.data_used[name] = _one_checksum(data.checksums(name))
        return found

    @property
    def device(self) -> str:
        """The best device that torch can use here: `cuda`, `mps` or `cpu`."""
        import torch

        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"


class Stopwatch:
    """Seconds of wall-clock time since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._start


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{what} name {name!r}: letters, digits and ._@+=- are taken")


def _one_checksum(checksums: Mapping[str, str]) -> str:
    """The checksum of a data set: of its file, or of the list of its files' checksums."""
    import hashlib

    if len(checksums) == 1:
        return next(iter(checksums.values()))
    lines = "".join(f"{value}  {name}\n" for name, value in sorted(checksums.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
