import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from groundwork.errors import UsageError
from groundwork.execution import execute
from groundwork.records import make_record
from groundwork.site import build
from groundwork.terminal import number
from groundwork.workspace import Workspace

HOSTILE = "<script>alert(1)</script> & more"


class Links(HTMLParser):
    """Collects what a page links to and loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.loaded: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        targets = [value for key, value in attributes if key in ("href", "src") and value]
        self.found += targets
        self.loaded += targets if tag != "a" else []
        self.scripts += tag == "script"


@pytest.fixture
def site(workspace: Workspace) -> Path:
    """A site of two labs, one of them with a record whose words are hostile."""
    lab = workspace.lab("small-demo/draw-line")
    text = lab.path.read_text()
    paragraph = f"Draw {HOSTILE}.\n\n![spy](https://example.org/spy.png)"
    lab.path.write_text(text.replace("Draw a line.", paragraph))
    lab.path.write_text(lab.path.read_text().replace("A line | and a bar", HOSTILE))
    for name in ("draw-line", "count"):
        execute(workspace.lab(f"small-demo/{name}"), preset="smoke")
        make_record(workspace, workspace.lab(f"small-demo/{name}"))
    return build(workspace, workspace.root / "site")


def parsed(page: Path) -> Links:
    links = Links()
    links.feed(page.read_text())
    return links


def test_there_is_a_page_for_each_lab_and_plan(site: Path) -> None:
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    plans = ["ml-150-days", "ds-365-days", "genai-52-weeks", "project-curriculum"]
    assert pages == {
        "index.html",
        "packages.html",
        "roadmap.html",
        "labs/small-demo/count.html",
        "labs/small-demo/draw-line.html",
        *(f"plans/{name}.html" for name in [*plans, "practical-100-days"]),
    }


def test_every_link_and_file_is_there_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        links = parsed(page)
        for target in links.loaded:
            assert not re.match(r"[a-z]+:|//|/", target), f"{page.name} loads {target}"
        for target in links.found:
            if not target.startswith(("#", "https://")):
                assert (page.parent / target).resolve().is_file(), f"{page.name}: {target}"


def test_the_numbers_are_the_records(site: Path, workspace: Workspace) -> None:
    import json

    record = json.loads(
        (workspace.member("small-demo").results / "count/smoke/record.json").read_text()
    )
    text = html.unescape((site / "labs/small-demo/count.html").read_text())
    for name, metric in record["metrics"].items():
        assert re.search(
            rf"<code>{name}</code></td><td class=\"n\">{number(metric['value'])}<", text
        )
    assert "± std</th>" in text
    assert ">3</td>" in text
    assert record["commit"] is None
    assert "unknown" in text
    assert "--preset smoke" in text


def test_hostile_words_are_shown_as_words(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert "<script>alert" not in page.read_text()
        assert parsed(page).scripts == 2
    assert html.escape(HOSTILE) in (site / "labs/small-demo/draw-line.html").read_text()


def test_no_path_of_this_machine_is_told(site: Path, workspace: Workspace) -> None:
    for page in site.rglob("*.html"):
        assert str(workspace.root) not in page.read_text()


def test_a_second_build_replaces_the_first_and_other_folders_are_left_alone(
    site: Path, workspace: Workspace
) -> None:
    (site / "stale.html").write_text("")
    build(workspace, site)
    assert not (site / "stale.html").exists()
    other = workspace.root / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="other files"):
        build(workspace, other)
    assert (other / "thesis.txt").read_text() == "years of work"
