"""Two runs (or records) side by side."""

import json
from pathlib import Path
from typing import Any

from rich.text import Text

from groundwork.errors import UsageError
from groundwork.terminal import Terminal, number
from groundwork.workspace import Workspace


def load_run(workspace: Workspace, name: str) -> dict[str, Any]:
    """A run by its folder's path or its folder's name, or a record by its folder's path."""
    folders = [Path(name), *sorted(workspace.runs.glob(f"*/*/{name}"))]
    for folder in folders:
        for file in ("run.json", "record.json"):
            if (folder / file).is_file():
                content: dict[str, Any] = json.loads((folder / file).read_text("utf-8"))
                return content
    raise UsageError(
        f"“{name}” is no run: the folder of a run or of a record is taken, "
        f"as `groundwork run` prints it last"
    )


def show_side_by_side(a: dict[str, Any], b: dict[str, Any], terminal: Terminal) -> None:
    """What differs in parameters, then every metric and comparison of either, with the change."""
    settings: list[tuple[str, Any, Any]] = [
        ("lab", f"{a['package']}/{a['lab']}", f"{b['package']}/{b['lab']}")
    ]
    settings += [(key, a.get(key), b.get(key)) for key in ("preset", "seed", "status", "commit")]
    for name in {**a["parameters"], **b["parameters"]}:
        settings.append((name, a["parameters"].get(name), b["parameters"].get(name)))
    differing = [(k, _text(x), _text(y)) for k, x, y in settings if x != y]
    terminal.table("Settings that differ", ["setting", "A", "B"], differing)
    rows = []
    names = [*a.get("metrics", {}), *(n for n in b.get("metrics", {}) if n not in a["metrics"])]
    for name in names:
        rows.append(_row(name, a.get("metrics", {}).get(name), b.get("metrics", {}).get(name)))
    both = {**a.get("comparisons", {}), **b.get("comparisons", {})}
    for name in both:
        sides = [run.get("comparisons", {}).get(name) for run in (a, b)]
        values = [{"value": side["ratio"]} if side else None for side in sides]
        rows.append(_row(f"ratio.{name}", *values))
    rows.append(_row("duration_s", {"value": a["duration_s"]}, {"value": b["duration_s"]}))
    terminal.table("Numbers", ["number", "A", "B", "change"], rows)


def _row(name: str, a: dict[str, Any] | None, b: dict[str, Any] | None) -> list[Any]:
    change = ""
    if a and b and a["value"]:
        change = f"{(b['value'] / a['value'] - 1) * 100:+.1f} %"
    return [name, _measured(a), _measured(b), Text(change, justify="right")]


def _measured(entry: dict[str, Any] | None) -> Text:
    if entry is None:
        return Text("–", justify="right")
    spread = f" ± {number(entry['std'])}" if "std" in entry else ""
    return Text(number(entry["value"]) + spread, justify="right")


def _text(value: Any) -> str:
    return "–" if value is None else str(value)
