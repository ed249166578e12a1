"""What a person sees in the terminal: progress, tables, ticks; plain text in a pipe."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

T = TypeVar("T")


class _Rate(ProgressColumn):
    """Items a second, or seconds an item where that reads better."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        text = f"{speed:.3g}/s" if speed >= 1 else f"{1 / speed:.3g} s each"
        return Text(text, style="cyan")


class Terminal:
    """A console that a run writes to; `Terminal.silent()` writes nowhere."""

    def __init__(self, console: Console | None) -> None:
        self.console = console
        self._progress: Progress | None = None
        self._depth = 0

    @classmethod
    def standard(cls) -> "Terminal":
        """The process's standard output; in a pipe plain and as wide as its lines are long."""
        console = Console(highlight=False)
        if not console.is_terminal:
            console = Console(highlight=False, width=1000, color_system=None)
        return cls(console)

    @classmethod
    def silent(cls) -> "Terminal":
        """A terminal that shows nothing."""
        return cls(None)

    @property
    def plain(self) -> bool:
        """Whether this is a pipe, a file, or nothing at all."""
        return self.console is None or not self.console.is_terminal

    def line(self, text: str = "", style: str | None = None) -> None:
        """Print one line of plain text."""
        if self.console:
            self.console.print(Text(text, style=style or ""), soft_wrap=True)

    def show(self, *things: Any) -> None:
        """Print tables and other rich objects."""
        if self.console:
            self.console.print(*things)

    def progress(self, iterable: Iterable[T], total: int | None, label: str) -> Iterator[T]:
        """Yield the items, with a bar where a person watches; bars may be nested."""
        if self.plain:
            yield from iterable
            return
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description}"), BarColumn(bar_width=28), MofNCompleteColumn(),
                _Rate(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
                console=self.console, transient=True,
            )  # fmt: skip
            self._progress.start()
        self._depth += 1
        task = self._progress.add_task(escape(label) or "working", total=total)
        try:
            for item in iterable:
                yield item
                self._progress.advance(task)
        finally:
            self._progress.remove_task(task)
            self._depth -= 1
            if self._depth == 0:
                self._progress.stop()
                self._progress = None

    @property
    def _tick(self) -> dict[bool, Text]:
        encoding = self.console.encoding if self.console else "utf-8"
        unicode = encoding.lower().startswith("utf")
        return {
            True: Text("✓ holds" if unicode else "holds", style="green"),
            False: Text("✗ fails" if unicode else "FAILS", style="bold red"),
        }

    # Reports

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """A table without fuss; cells are text, numbers (aligned right) or rich Text."""
        listed = [list(row) for row in rows]
        if not listed or self.console is None:
            return
        if title:
            self.line(title, style="bold")
        grid = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for index, column in enumerate(columns):
            numeric = all(isinstance(row[index], int | float) for row in listed)
            grid.add_column(column, justify="right" if numeric else "left", overflow="fold")
        for row in listed:
            grid.add_row(*(cell if isinstance(cell, Text) else Text(number(cell)) for cell in row))
        self.show(grid)
        self.line()

    def report(self, content: Mapping[str, Any], folder: Path) -> None:
        """The report of a finished run; the run's folder comes last."""
        self.line()
        name = f"{content['package']}/{content['lab']}"
        seconds = f"{content['duration_s']:.1f} s"
        memory = f"{content['peak_memory_mb']:.0f} MB"
        self.line(f"{name} · {content['preset']} · seed {content['seed']} · {seconds} · {memory}",
                  style="bold")  # fmt: skip
        self.line()
        for entry in content["files"]:
            if entry["kind"] == "table":
                self._kept_table(folder / entry["path"])
        self.table(
            "Metrics",
            ["metric", "value", "± std", "n", "unit"],
            [
                [name, Text(number(m["value"]), justify="right"),
                 Text(number(m["std"]) if "std" in m else "", justify="right"),
                 Text(str(m.get("n", "")), justify="right"), m["unit"]]
                for name, m in content["metrics"].items()
            ],
        )  # fmt: skip
        self.table(
            "Comparisons",
            ["comparison", "ours", "reference", "ratio", "interval", "library"],
            [
                [name, seconds_text(c["ours_s"]), seconds_text(c["reference_s"]),
                 f"{c['ratio']:.2f}×", f"{c['low']:.2f} to {c['high']:.2f}", c["library"]]
                for name, c in content["comparisons"].items()
            ],
        )  # fmt: skip
        self.claims([("", claim) for claim in content["claims"]])
        for entry in content["files"]:
            if entry["kind"] == "figure":
                self.line(f"Figure: {shown_path(folder / entry['path'])}")
        self.line(f"Run: {shown_path(folder)}")

    def claims(self, claims: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Claims with ticks; the first of each pair is the lab's address, or empty."""
        rows = []
        named = False
        for address, claim in claims:
            named = named or bool(address)
            value = "not measured" if claim["value"] is None else number(claim["value"])
            bound = f"{claim['op']} {number(claim['bound'])}"
            rows.append([address, claim["name"], bound, value, self._tick[claim["holds"]]])
        columns = ["lab", "claim", "bound", "value", "verdict"]
        if not named:
            rows, columns = [row[1:] for row in rows], columns[1:]
        self.table("Claims", columns, rows)

    def _kept_table(self, path: Path) -> None:
        import json

        kept = json.loads(path.read_text("utf-8"))
        self.table(kept["caption"] or path.stem, kept["columns"], kept["rows"])


def number(value: Any) -> str:
    """A number with as many digits as a reader needs; other things as text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e12):
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.1f}"
    return f"{value:.4g}"


def seconds_text(seconds: float) -> str:
    """A duration in the unit that suits it: 1.23 s, 4.5 ms, 678 µs."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def counted(count: int, thing: str) -> str:
    """A count with its noun: 1 lab, 2 labs."""
    return f"{count} {thing}{'s' * (count != 1)}"


def shown_path(path: Path) -> str:
    """A path relative to the current folder where it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
