import io
from pathlib import Path

import pytest
from rich.console import Console

from groundwork import roadmap
from groundwork.errors import UsageError
from groundwork.execution import execute
from groundwork.records import make_record
from groundwork.workspace import Workspace

ROWS = (
    ("day 1", "Draws", "build", "small-demo", "draw-line"),
    ("day 2", "Counts", "build", "small-demo", "count"),
    ("day 3", "Is missing", "build", "nowhere", "nothing"),
    ("day 4", "To read | and think", "study", "reading", "a-guide"),
    ("day 5", "Not written", "study", "reading", "no-guide"),
)


@pytest.fixture
def small(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The tests' workspace with a curriculum of five topics."""
    keys = ("plan", "position", "topic", "kind", "package", "lab")
    rows = tuple(dict(zip(keys, ("ml-150-days", *row), strict=True)) for row in ROWS)
    monkeypatch.setattr(roadmap, "_curriculum", lambda: rows)
    monkeypatch.setattr(roadmap, "TITLES", {"ml-150-days": "Machine learning"})
    guides = workspace.root / "docs" / "guides"
    guides.mkdir(parents=True)
    (guides / "a-guide.md").write_text("# A guide\n")
    return workspace


def states(workspace: Workspace) -> list[str]:
    (plan,) = roadmap.plans(workspace)
    assert [topic.position for topic in plan.topics] == [row[0] for row in ROWS]
    return [topic.state for topic in plan.topics]


def test_every_state_a_topic_can_be_in(small: Workspace) -> None:
    assert states(small) == ["unrecorded", "unrecorded", "missing", "holds", "missing"]
    draw, count = small.lab("small-demo/draw-line"), small.lab("small-demo/count")
    execute(draw, preset="smoke")
    make_record(small, draw)
    execute(count, preset="full")
    make_record(small, count, failing=True)
    assert states(small)[:2] == ["holds", "fails"]
    draw.path.write_text(draw.path.read_text().replace("[1, 2, 3]", "[3, 2, 1]"))
    assert states(small)[:2] == ["stale", "fails"]


def test_the_fullest_record_decides(small: Workspace) -> None:
    count = small.lab("small-demo/count")
    for preset, failing in (("smoke", False), ("full", True)):
        execute(count, preset=preset)
        make_record(small, count, preset=preset, failing=failing)
    assert states(small)[1] == "fails"


def test_the_pages_link_to_the_code_and_are_rewritten_only_when_old(small: Workspace) -> None:
    written = roadmap.write_roadmap_pages(small)
    page = small.root / "docs" / "roadmap" / "ml-150-days.md"
    assert set(written) == {page, page.with_name("README.md")}
    text = page.read_text()
    link = "../../projects/small-demo/src/small_demo/labs/draw_line.py"
    assert f"[small-demo/draw-line]({link})" in text
    assert (page.parent / link).resolve().is_file()
    assert "[a-guide](../guides/a-guide.md)" in text
    assert "To read \\| and think" in text
    assert roadmap.write_roadmap_pages(small, check=True) == []
    page.write_text("other")
    assert roadmap.write_roadmap_pages(small, check=True) == [page]
    assert page.read_text() == "other"


def test_the_terminal_shows_a_plans_topics_and_refuses_unknown_plans(small: Workspace) -> None:
    console = Console(width=200, file=io.StringIO())
    roadmap.render_terminal(console, roadmap.plans(small))
    roadmap.render_terminal(console, roadmap.plans(small), only="ml-150-days")
    text = console.file.getvalue()
    assert "guide a-guide" in text
    assert "small-demo/count" in text
    with pytest.raises(UsageError, match="ml-150-days"):
        roadmap.render_terminal(console, roadmap.plans(small), only="ml-150")


def test_the_real_curriculum_holds_five_plans_in_order() -> None:
    every = roadmap.plans(Workspace.find(Path(__file__).parent))
    sizes = {plan.name: len(plan.topics) for plan in every}
    assert sizes == {
        "ml-150-days": 153,
        "ds-365-days": 310,
        "genai-52-weeks": 275,
        "project-curriculum": 451,
        "practical-100-days": 133,
    }
    assert [topic.position for topic in every[0].topics][:3] == ["day 1", "day 2a", "day 2b"]
    assert ("mnist-labs", "digit-sum") in roadmap.labs_of_plan("project-curriculum")
