"""A small workspace of the tests' own, with one package that holds a few labs."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundwork.workspace import Workspace

COUNT_LAB = '''"""Count to a number, slowly enough to be interrupted.

The idea in a paragraph.
"""

import time
from typing import Annotated, Literal

from annotated_types import Ge, Lt

from groundwork import Claim, Run
from groundwork.errors import UnmetError

PRESETS = {"smoke": {"steps": 2}, "default": {}, "full": {"steps": 9}}
CLAIMS = [
    Claim("total", ">=", 1.0),
    Claim("total", ">=", 1e6, presets=("full",)),
]


def main(
    run: Run,
    *,
    steps: Annotated[int, Ge(1), "how far to count"] = 3,
    rate: Annotated[float, Ge(0), Lt(1)] = 0.5,
    pause: Annotated[float, Ge(0)] = 0.0,
    kind: Literal["up", "down"] = "up",
    sizes: tuple[int, ...] = (1, 2),
    label: str | None = None,
    fail: bool = False,
    target: float = 0.0,
) -> None:
    store = run.checkpoint()
    state = store.load() or {"done": 0, "total": 0.0, "rng": run.rng.bit_generator.state}
    run.rng.bit_generator.state = state["rng"]
    for step in run.progress(range(state["done"], steps)):
        state["total"] += 1 + float(run.rng.random())
        state["done"] = step + 1
        state["rng"] = run.rng.bit_generator.state
        store.save(state)
        time.sleep(pause)
    if fail:
        raise ArithmeticError("told to fail")
    run.metric("total", state["total"], unit="steps")
    run.metric("repeated", [1.0, 2.0, 3.0])
    run.table("sizes", [{"size": size, "rate": rate} for size in sizes], caption="Sizes")
    if state["total"] < target:
        raise UnmetError(f"the total stays below the target, {target:g}")
'''

FIGURE_LAB = '''"""Draw a line."""

from groundwork import Claim, Run, plots

PRESETS = {"smoke": {}, "default": {}}
CLAIMS = [Claim("points", "==", 3)]


def main(run: Run) -> None:
    figure, axes = plots.figure()
    axes.plot([1, 2, 3])
    run.figure("line", figure, caption="A line | and a bar")
    run.metric("points", 3)
'''


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace in a temporary folder whose package `small-demo` is importable."""
    (tmp_path / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["projects/*"]\n')
    home = tmp_path / "projects" / "small-demo"
    labs = home / "src" / "small_demo" / "labs"
    labs.mkdir(parents=True)
    (home / "pyproject.toml").write_text(
        '[project]\nname = "small-demo"\ndescription = "A demo"\ndependencies = ["groundwork"]\n'
    )
    (home / "README.md").write_text(
        "# small-demo\n\n<!-- results:start -->\nold\n<!-- results:end -->\n\nAfter.\n"
    )
    (labs.parent / "__init__.py").write_text("")
    (labs / "__init__.py").write_text("")
    (labs / "count.py").write_text(COUNT_LAB)
    (labs / "draw_line.py").write_text(FIGURE_LAB)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(home / "src"))
    monkeypatch.setenv("PYTHONPATH", str(home / "src"))
    monkeypatch.delenv("GROUNDWORK_RUNS", raising=False)
    before = set(sys.modules)
    yield Workspace.find()
    for name in set(sys.modules) - before:
        if name.startswith("small_demo"):
            del sys.modules[name]
