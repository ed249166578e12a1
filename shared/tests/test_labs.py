import subprocess
import sys
from pathlib import Path

import pytest

from groundwork.errors import UsageError
from groundwork.labs import Lab
from groundwork.workspace import Workspace


def test_labs_are_found_from_the_folder_and_read_without_import(workspace: Workspace) -> None:
    lab = workspace.lab("small-demo/count")
    assert [lab.address for lab in workspace.labs()] == ["small-demo/count", "small-demo/draw-line"]
    assert lab.summary == "Count to a number, slowly enough to be interrupted."
    assert lab.presets["full"] == {"steps": 9}
    assert [claim.bound for claim in lab.claims] == [1.0, 1e6]
    assert "small_demo.labs.count" not in sys.modules


@pytest.mark.parametrize(
    "top, summary",
    [
        ('"""One line."""\n', "One line."),
        ('r"""Raw $\\alpha$.\n\nMore."""', "Raw $\\alpha$."),
        ('# a comment\n"""After it."""', "After it."),
        ('"""\nOn the next line.\n"""', "On the next line."),
        ("x = 1\n", ""),
    ],
)
def test_the_summary_is_the_first_line_of_the_docstring(
    tmp_path: Path, top: str, summary: str
) -> None:
    path = tmp_path / "a.py"
    path.write_text(top)
    assert Lab("p", "a", path).summary == summary


@pytest.mark.parametrize(
    "address, words",
    [
        ("small-dmo/count", "small-demo"),
        ("small-demo/cout", "count"),
        ("small-demo", "small-demo/count"),
    ],
)
def test_a_wrong_address_names_the_nearest_right_one(
    workspace: Workspace, address: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        workspace.lab(address)


def test_a_wrong_preset_names_those_there_are(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="smoke"):
        workspace.lab("small-demo/count").preset("smok")


class TestSourceDigest:
    """What makes a record stale."""

    def digest(self, workspace: Workspace, preset: str = "smoke") -> str:
        return workspace.lab("small-demo/count").source_digest(preset)

    def edit(self, workspace: Workspace, old: str, new: str) -> None:
        path = workspace.lab("small-demo/count").path
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def test_words_for_people_do_not_matter(self, workspace: Workspace) -> None:
        before = self.digest(workspace)
        self.edit(workspace, "The idea in a paragraph.", "Other words.")
        self.edit(workspace, "    store = run", "    # a remark\n\n    store = run")
        assert self.digest(workspace) == before

    def test_code_matters(self, workspace: Workspace) -> None:
        before = self.digest(workspace)
        self.edit(workspace, "= 1 + float", "= 2 + float")
        assert self.digest(workspace) != before

    def test_claims_do_not_matter(self, workspace: Workspace) -> None:
        before = self.digest(workspace)
        self.edit(workspace, '"total", ">=", 1.0', '"total", ">=", 0.5')
        assert self.digest(workspace) == before

    def test_only_its_own_preset_matters(self, workspace: Workspace) -> None:
        smoke, full = self.digest(workspace), self.digest(workspace, "full")
        self.edit(workspace, '"full": {"steps": 9}', '"full": {"steps": 10}')
        assert self.digest(workspace) == smoke
        assert self.digest(workspace, "full") != full

    def test_a_library_module_that_it_imports_through_another_matters(
        self, workspace: Workspace
    ) -> None:
        library = workspace.member("small-demo").source
        (library / "outer.py").write_text("from small_demo.inner import f\n")
        (library / "inner.py").write_text("def f():\n    return 1\n")
        (library / "unused.py").write_text("x = 1\n")
        self.edit(workspace, "import time\n", "import time\n\nimport small_demo.outer\n")
        before = self.digest(workspace)
        (library / "unused.py").write_text("x = 2\n")
        assert self.digest(workspace) == before
        (library / "inner.py").write_text("def f():\n    return 2\n")
        assert self.digest(workspace) != before

    def test_a_module_of_another_package_matters(self, workspace: Workspace) -> None:
        other = workspace.root / "projects" / "other-demo" / "src" / "other_demo"
        other.mkdir(parents=True)
        (other / "__init__.py").write_text("")
        (other / "outer.py").write_text("from other_demo import inner\n")
        (other / "inner.py").write_text("x = 1\n")
        (other / "unused.py").write_text("x = 1\n")
        self.edit(workspace, "import time\n", "import time\n\nfrom other_demo import outer\n")
        before = self.digest(workspace)
        (other / "unused.py").write_text("x = 2\n")
        assert self.digest(workspace) == before
        (other / "inner.py").write_text("x = 2\n")
        assert self.digest(workspace) != before


def test_importing_groundwork_and_listing_labs_load_nothing_heavy() -> None:
    heavy = "{'numpy', 'torch', 'pandas', 'matplotlib', 'sklearn', 'rich', 'ray', 'jinja2'}"
    code = (
        "import sys; from groundwork import Run, Claim; from groundwork.workspace import Workspace;"
        "[lab.summary for lab in Workspace.find().labs()];"
        f"found = {heavy} & set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
