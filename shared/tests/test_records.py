import json
from pathlib import Path

import pytest

from groundwork import files
from groundwork.errors import UsageError
from groundwork.execution import execute
from groundwork.readme import write_readmes
from groundwork.records import find_records, make_record, write_verdicts
from groundwork.workspace import Workspace


def run(workspace: Workspace, name: str = "draw-line", preset: str = "smoke") -> str:
    return str(execute(workspace.lab(f"small-demo/{name}"), preset=preset)["folder"])


def test_a_record_is_the_run_with_its_figures_and_nothing_of_this_machine(
    workspace: Workspace,
) -> None:
    folder = Path(run(workspace))
    target = make_record(workspace, workspace.lab("small-demo/draw-line"))
    assert sorted(path.name for path in target.iterdir()) == ["line.svg", "record.json"]
    text = (target / "record.json").read_text()
    assert str(workspace.root) not in text
    kept, was = json.loads(text), json.loads((folder / "run.json").read_text())
    assert {key: was[key] for key in kept} == kept
    (record,) = find_records(workspace)
    assert (record.package, record.lab, record.preset) == ("small-demo", "draw-line", "smoke")
    assert record.state == "holds"


def test_a_changed_lab_makes_its_record_stale(workspace: Workspace) -> None:
    run(workspace)
    lab = workspace.lab("small-demo/draw-line")
    make_record(workspace, lab)
    lab.path.write_text(lab.path.read_text().replace("[1, 2, 3]", "[1, 2, 4]"))
    assert find_records(workspace)[0].state == "stale"


def test_the_last_good_run_is_taken_not_a_later_bad_one(workspace: Workspace) -> None:
    lab = workspace.lab("small-demo/count")
    execute(lab, preset="default", seed=7)
    execute(lab, preset="default", seed=8, overrides={"steps": 1})
    execute(lab, preset="full")
    record = json.loads((make_record(workspace, lab) / "record.json").read_text())
    assert (record["seed"], record["parameters"]["steps"]) == (7, 3)


@pytest.mark.parametrize(
    "preset, overrides, words",
    [
        ("default", {"steps": 1}, "--steps"),
        ("full", {}, "misses a claim"),
    ],
)
def test_what_the_last_run_lacks_is_said(
    workspace: Workspace, preset: str, overrides: dict[str, int], words: str
) -> None:
    lab = workspace.lab("small-demo/count")
    with pytest.raises(UsageError, match="it has no run"):
        make_record(workspace, lab)
    execute(lab, preset=preset, overrides=overrides)
    with pytest.raises(UsageError, match=words):
        make_record(workspace, lab)


def test_a_failing_claim_is_recorded_only_when_asked_and_shows_as_failing(
    workspace: Workspace,
) -> None:
    lab = workspace.lab("small-demo/count")
    execute(lab, preset="full")
    make_record(workspace, lab, failing=True)
    assert find_records(workspace)[0].state == "fails"
    write_readmes(workspace)
    assert "❌" in workspace.member("small-demo").readme.read_text()


def test_a_bar_that_is_raised_shows_in_the_record_that_misses_it(workspace: Workspace) -> None:
    lab = workspace.lab("small-demo/count")
    execute(lab, preset="default")
    path = make_record(workspace, lab) / "record.json"
    assert write_verdicts(workspace) == []
    lab.path.write_text(lab.path.read_text().replace('"total", ">=", 1.0', '"total", ">=", 1e9'))
    (record,) = find_records(Workspace.find(workspace.root))
    assert record.state == "fails"
    before = json.loads(path.read_text())
    assert write_verdicts(Workspace.find(workspace.root), check=True) == [path]
    assert json.loads(path.read_text()) == before
    assert write_verdicts(Workspace.find(workspace.root)) == [path]
    after = json.loads(path.read_text())
    assert [claim["bound"] for claim in after["claims"] if claim["name"] == "total"] == [1e9]
    assert {**after, "claims": before["claims"]} == before


def test_a_full_disk_leaves_the_former_record(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = workspace.lab("small-demo/draw-line")
    run(workspace)
    target = make_record(workspace, lab)
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    run(workspace)

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        make_record(workspace, lab)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert [path.name for path in target.parent.iterdir()] == ["smoke"]


def test_a_record_too_large_is_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(workspace)
    monkeypatch.setattr("groundwork.records.MAX_BYTES", 1000)
    with pytest.raises(UsageError, match="smaller"):
        make_record(workspace, workspace.lab("small-demo/draw-line"))
    assert find_records(workspace) == []


class TestReadme:
    """The part between the markers."""

    def test_it_is_written_from_the_record_and_the_rest_is_kept(self, workspace: Workspace) -> None:
        run(workspace)
        make_record(workspace, workspace.lab("small-demo/draw-line"))
        readme = workspace.member("small-demo").readme
        assert write_readmes(workspace, check=True) == [readme]
        assert "old" in readme.read_text()
        assert write_readmes(workspace) == [readme]
        text = readme.read_text()
        assert text.startswith("# small-demo\n")
        assert text.endswith("\nAfter.\n")
        assert "\nold\n" not in text
        assert "| `points` | 3 | ✅ == 3 |" in text
        assert "](results/draw-line/smoke/line.svg)" in text
        assert "A line \\| and a bar" in text
        assert "not recorded yet" in text
        assert write_readmes(workspace) == []

    def test_it_opens_with_the_first_labs_tables_where_it_has_room_for_them(
        self, workspace: Workspace
    ) -> None:
        readme = workspace.member("small-demo").readme
        readme.write_text("<!-- opening:start --><!-- opening:end -->\n" + readme.read_text())
        write_readmes(workspace)
        assert "Not recorded yet." in readme.read_text()
        run(workspace, "count")
        make_record(workspace, workspace.lab("small-demo/count"))
        write_readmes(workspace)
        opening = readme.read_text().split("<!-- opening:end -->")[0]
        assert "| size | rate |\n| ---: | ---: |\n| 1 | 0.5 |\n| 2 | 0.5 |" in opening
        assert "Sizes; preset `smoke`" in opening
        lab = workspace.lab("small-demo/count")
        lab.path.unlink()  # the lab with a figure is the first one now
        run(workspace)
        make_record(workspace, workspace.lab("small-demo/draw-line"))
        write_readmes(workspace)
        opening = readme.read_text().split("<!-- opening:end -->")[0]
        assert "](results/draw-line/smoke/line.svg)" in opening

    def test_a_readme_without_markers_is_refused(self, workspace: Workspace) -> None:
        workspace.member("small-demo").readme.write_text("# nothing\n")
        with pytest.raises(UsageError, match="results:start"):
            write_readmes(workspace)
