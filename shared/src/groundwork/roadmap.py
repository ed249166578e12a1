"""The five study plans: their topics in order, the lab that answers each, and how it stands."""

import csv
import functools
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from groundwork import files
from groundwork.errors import UsageError
from groundwork.suggest import unknown
from groundwork.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

TITLES = {
    "ml-150-days": "Machine learning in 150 days, up to optimised inference",
    "ds-365-days": "Data science in 365 days",
    "genai-52-weeks": "Machine learning and generative AI in 52 weeks",
    "project-curriculum": "Project curriculum and its case studies",
    "practical-100-days": "100 days of practical machine learning",
}

#: How a topic can stand → the words for it and the mark on GitHub, the best first.
STATES = {
    "holds": ("recorded, every claim holds", "✅"),
    "fails": ("recorded, a claim fails", "❌"),
    "stale": ("recorded, the code has changed since", "🕓"),
    "unrecorded": ("there, not recorded", "◻️"),
    "missing": ("not there yet", "·"),
}


@dataclass(frozen=True)
class Topic:
    """One line of a plan; `kind` is `build` or `study`, `state` one of `STATES`."""

    position: str
    topic: str
    kind: str
    package: str
    lab: str
    state: str


@dataclass(frozen=True)
class Plan:
    """A study plan: its name, its title, and its topics in order."""

    name: str
    title: str
    topics: tuple[Topic, ...]

    @property
    def counts(self) -> Counter[str]:
        """How many topics are in each state."""
        return Counter(topic.state for topic in self.topics)

    @property
    def share(self) -> float:
        """The share of its topics whose record holds."""
        return self.counts["holds"] / len(self.topics)


@functools.cache
def _curriculum() -> tuple[dict[str, str], ...]:
    path = Path(__file__).with_name("curriculum.csv")
    with open(path, encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def labs_of_plan(plan: str) -> set[tuple[str, str]]:
    """The (package, lab) pairs that a plan names; a UsageError for an unknown plan."""
    _check(plan)
    return {(row["package"], row["lab"]) for row in _curriculum() if row["plan"] == plan}


def plans(workspace: Workspace) -> list[Plan]:
    """The five plans as they stand in this workspace."""
    from groundwork.records import find_records

    states: dict[tuple[str, str], str] = {}
    for lab in workspace.labs():
        states[lab.package, lab.name] = "unrecorded"
    recorded: set[tuple[str, str]] = set()
    for record in find_records(workspace):
        key = (record.package, record.lab)
        if key in states and key not in recorded:  # the first is the fullest
            recorded.add(key)
            states[key] = record.state
    guides = {path.stem for path in (workspace.root / "docs" / "guides").glob("*.md")}

    def topic(row: dict[str, str]) -> Topic:
        state = states.get((row["package"], row["lab"]), "missing")
        if row["kind"] == "study" and row["lab"] in guides:
            state = "holds"
        fields = {key: row[key] for key in ("position", "topic", "kind", "package", "lab")}
        return Topic(**fields, state=state)

    return [
        Plan(name, title, tuple(topic(row) for row in _curriculum() if row["plan"] == name))
        for name, title in TITLES.items()
    ]


def render_terminal(console: "Console", every: Sequence[Plan], only: str | None = None) -> None:
    """Show the plans with their progress, or the topics of the plan named `only`."""
    from rich.table import Table
    from rich.text import Text

    if only is None:
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for column in ("plan", "", "holds", "other records", "not recorded", "not there yet"):
            table.add_column(column, justify="left" if column in ("plan", "") else "right")
        for plan in every:
            counts = plan.counts
            filled = round(24 * plan.share)
            bar = Text("━" * filled, style="green") + Text("╌" * (24 - filled), style="dim")
            others = counts["fails"] + counts["stale"]
            numbers = (counts["holds"], others, counts["unrecorded"], counts["missing"])
            table.add_row(plan.name, bar, *map(str, numbers))
        console.print(table)
        console.print("\nA plan's topics: groundwork roadmap PLAN", style="dim")
        return
    _check(only)
    plan = next(plan for plan in every if plan.name == only)
    console.print(f"{plan.title}\n", style="bold", highlight=False)
    styles = {"holds": "green", "fails": "red", "stale": "yellow", "missing": "dim"}
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("", "topic", "lab", "state"):
        table.add_column(column)
    for topic in plan.topics:
        style = styles.get(topic.state, "")
        where = f"guide {topic.lab}" if topic.kind == "study" else f"{topic.package}/{topic.lab}"
        words = map(Text, (topic.position, topic.topic, where))  # never read as markup
        table.add_row(*words, Text(topic.state, style=style))
    console.print(table)


def write_roadmap_pages(workspace: Workspace, *, check: bool = False) -> list[Path]:
    """Write `docs/roadmap/`, a page a plan and an index; returns the pages that changed.

    With `check` nothing is written, and the pages that are out of date are returned.
    """
    every = plans(workspace)
    folder = workspace.root / "docs" / "roadmap"
    pages = {folder / f"{plan.name}.md": _page(workspace, folder, plan) for plan in every}
    pages[folder / "README.md"] = _index(every)
    changed = []
    for path, text in pages.items():
        if not path.is_file() or path.read_text("utf-8") != text:
            changed.append(path)
            if not check:
                files.write_text(path, text)
    return changed


def _index(every: Sequence[Plan]) -> str:
    lines = ["# The five plans", "", "| plan | topics | " + " | ".join(STATES) + " |"]
    lines.append("| --- | ---: |" + " ---: |" * len(STATES))
    for plan in every:
        numbers = " | ".join(str(plan.counts[state]) for state in STATES)
        lines.append(f"| [{plan.title}]({plan.name}.md) | {len(plan.topics)} | {numbers} |")
    lines += ["", *(f"- {mark} *{state}*: {words}" for state, (words, mark) in STATES.items())]
    return "\n".join([*lines, "", "Written by `groundwork pages`.", ""])


def _page(workspace: Workspace, folder: Path, plan: Plan) -> str:
    labs = {(lab.package, lab.name): lab.path for lab in workspace.labs()}
    lines = [f"# {plan.title}", "", "[All plans](README.md)", ""]
    lines += ["| | topic | lab | |", "| --- | --- | --- | --- |"]
    for topic in plan.topics:
        name = topic.lab if topic.kind == "study" else f"{topic.package}/{topic.lab}"
        path = labs.get((topic.package, topic.lab))
        guide = workspace.root / "docs" / "guides" / f"{topic.lab}.md"
        if topic.kind == "study" and guide.is_file():
            path = guide
        if path is not None:
            name = f"[{name}]({Path(os.path.relpath(path, folder)).as_posix()})"
        text = topic.topic.replace("|", "\\|")
        lines.append(f"| {topic.position} | {text} | {name} | {STATES[topic.state][1]} |")
    return "\n".join([*lines, ""])


def _check(plan: str) -> None:
    if plan not in TITLES:
        raise UsageError(unknown("plan", plan, TITLES, most=5))
