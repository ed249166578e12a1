from pathlib import Path

import pytest

from groundwork.errors import UsageError
from groundwork.readme import write_readmes
from groundwork.scaffold import create
from groundwork.testing import assert_claims, assert_lab_is_whole, run_lab
from groundwork.workspace import Workspace


@pytest.mark.parametrize(
    "kind, folder",
    [("project", "projects"), ("casestudy", "casestudies"), ("capstone", "capstones")],
)
def test_a_new_package_has_every_room(workspace: Workspace, kind: str, folder: str) -> None:
    made = create(workspace.root, kind, "new-demo")
    home = workspace.root / folder / "new-demo"
    names = {path.relative_to(home).as_posix() for path in made}
    assert {
        "README.md",
        "pyproject.toml",
        "src/new_demo/__init__.py",
        "src/new_demo/py.typed",
        "src/new_demo/labs/running_moments.py",
        "tests/test_streaming.py",
    } <= names
    assert "$" not in "".join(path.read_text() for path in made)
    assert [path.name for path in home.parent.iterdir() if path.name.startswith(".")] == []


def test_its_readme_says_what_the_tool_would_write(workspace: Workspace) -> None:
    create(workspace.root, "project", "new-demo")
    readme = workspace.member("new-demo").readme
    assert readme not in write_readmes(workspace, check=True)


def test_its_lab_is_whole_and_its_claims_hold(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(workspace.root, "project", "other-demo")
    monkeypatch.syspath_prepend(str(workspace.member("other-demo").path / "src"))
    assert_lab_is_whole(workspace.lab("other-demo/running-moments"))
    assert_claims(run_lab("other-demo/running-moments", tmp_path / "run"))


@pytest.mark.parametrize("name", ["a-first", "x", "zeta-last", "n" * 40])
def test_its_imports_are_sorted_and_its_lines_are_short(workspace: Workspace, name: str) -> None:
    for path in create(workspace.root, "project", name):
        if path.suffix != ".py":
            continue
        lines = path.read_text("utf-8").splitlines()
        assert max(map(len, lines), default=0) <= 100
        own = ("from groundwork", f"from {name.replace('-', '_')}")
        imports = [line for line in lines if line.startswith(own)]
        assert imports == sorted(imports)


@pytest.mark.parametrize(
    "name, words",
    [
        ("Demo", "small letters"),
        ("demo_x", "small letters"),
        ("3d", "a letter first"),
        ("../evil", "small letters"),
        ("small-demo", "already"),
        ("statistics", "hide Python's own"),
        ("class", "hide Python's own"),
        ("numpy", "hide the library"),
        ("locked-lib", "hide the library"),
        ("n" * 41, "at most 40"),
        ("notes", "is there already"),
    ],
)
def test_a_name_that_is_not_taken_gets_one_line_and_makes_nothing(
    workspace: Workspace, name: str, words: str
) -> None:
    (workspace.root / "uv.lock").write_text('[[package]]\nname = "locked-lib"\n')
    (workspace.root / "projects" / "notes").mkdir()
    before = sorted(workspace.root.rglob("*"))
    with pytest.raises(UsageError, match=words) as caught:
        create(workspace.root, "project", name)
    assert "\n" not in str(caught.value)
    assert sorted(workspace.root.rglob("*")) == before
