import html
import json
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from html.parser import HTMLParser
from pathlib import Path

import pytest

import groundwork
from groundwork.errors import UsageError
from groundwork.execution import execute
from groundwork.readme import packages_block
from groundwork.records import make_record
from groundwork.site import build, serve
from groundwork.terminal import number, seconds_text
from groundwork.workspace import Workspace

HOSTILE = "<script>alert(1)</script> & more"
MATHEMATICS = r"$\{x_i\}_{i=1}^n$ and $a *b* c < 2$"
COMPARISON = {
    "library": "numpy 9.8.7",
    "ours_s": 0.0123,
    "reference_s": 0.0456,
    "ratio": 0.271,
    "low": 0.262,
    "high": 0.283,
    "pairs": 9,
    "compile_s": 0.0,
}


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
    paragraph = f"Draw {HOSTILE}.\n\n![spy](https://example.org/spy.png)\n\n{MATHEMATICS}"
    text = text.replace("Draw a line.", paragraph)
    lab.path.write_text(text.replace('"""Draw', 'r"""Draw'))
    lab.path.write_text(lab.path.read_text().replace("A line | and a bar", HOSTILE))
    for name in ("draw-line", "count"):
        execute(workspace.lab(f"small-demo/{name}"), preset="smoke")
        make_record(workspace, workspace.lab(f"small-demo/{name}"))
    path = workspace.member("small-demo").results / "count" / "smoke" / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"comparisons": {"sum": COMPARISON}}))
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


def cells(page: Path) -> list[list[str]]:
    """The words of each table row of a page, cell by cell."""
    rows = re.findall(r"<tr>(.*?)</tr>", page.read_text(), re.S)
    found = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.S) for row in rows]
    return [[html.unescape(re.sub(r"<[^>]*>", "", cell)).strip() for cell in row] for row in found]


def test_every_number_is_the_records(site: Path, workspace: Workspace) -> None:
    folder = workspace.member("small-demo").results / "count" / "smoke"
    record = json.loads((folder / "record.json").read_text())
    page = site / "labs/small-demo/count.html"
    rows = cells(page)
    for name, metric in record["metrics"].items():
        spread = [number(metric.get(key)) for key in ("std", "n")]
        assert [name, number(metric["value"]), *spread, metric["unit"]] in rows
    for claim in record["claims"]:
        bound = f"≥ {number(claim['bound'])}"
        assert [claim["name"], bound, number(claim["value"]), "✓ holds"] in rows
    (row,) = (row for row in rows if row[-1] == COMPARISON["library"])
    assert row[:3] == ["sum", seconds_text(0.0123), seconds_text(0.0456)]
    assert row[3].split() == ["0.27×", "0.26", "to", "0.28"]
    (table,) = (entry for entry in record["files"] if entry["kind"] == "table")
    content = json.loads((folder / table["path"]).read_text())
    for line in [content["columns"], *content["rows"]]:
        assert [number(cell) for cell in line] in rows
    text = html.unescape(page.read_text())
    assert record["commit"] is None
    assert "unknown" in text
    assert "--preset smoke" in text


def test_the_totals_are_those_of_the_readme(site: Path, workspace: Workspace) -> None:
    # A second record of a lab, whose claim fails, counts in both.
    count = workspace.lab("small-demo/count")
    execute(count, preset="full")
    make_record(workspace, count, preset="full", failing=True)
    build(workspace, site)
    text = re.sub(r"<[^>]*>", " ", (site / "index.html").read_text())
    held = re.search(r"claims that hold\s+(\d+)\s+of (\d+)", text)
    assert held is not None
    assert f"| {held[1]} of {held[2]} |" in packages_block(workspace)
    assert re.search(r"records that hold\s+2\s+of 3\s", text)


def test_mathematics_stays_as_it_was_written(site: Path) -> None:
    text = html.unescape((site / "labs/small-demo/draw-line.html").read_text())
    for formula in MATHEMATICS.split(" and "):
        assert f">{formula}</span>" in text


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


def test_the_server_tells_its_address_also_into_a_pipe(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(groundwork.__file__).parents[1]))
    code = "import sys, pathlib, groundwork.site as s; s.serve(pathlib.Path(sys.argv[1]), 0)"
    words = [sys.executable, "-c", code, str(site)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        limit = threading.Timer(60, server.kill)  # a silent server ends the test, not the patience
        limit.start()
        try:
            assert server.stdout is not None
            address = server.stdout.readline().partition(" ")[0]
            assert address.startswith("http://127.0.0.1:")
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"{address}/index.html", timeout=20) as answer:
                assert answer.read() == (site / "index.html").read_bytes()
        finally:
            limit.cancel()
            server.kill()


def test_a_port_in_use_is_refused_in_one_line(site: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} cannot be used .*--port 0"):
            serve(site, port)
