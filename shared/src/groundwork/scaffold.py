"""A new package with every room in place: `groundwork new project NAME`."""

import importlib.util
import keyword
import re
import shutil
import string
import sys
import tempfile
import tomllib
from pathlib import Path

from groundwork import files
from groundwork.errors import UsageError
from groundwork.workspace import Workspace

FOLDERS = {"project": "projects", "casestudy": "casestudies", "capstone": "capstones"}

#: The longest name that keeps every generated line within the line length.
LONGEST = 40

#: Template → its place in the new package; `IMPORT` stands for the import name.
PLACES = {
    "README.md.tmpl": "README.md",
    "pyproject.toml.tmpl": "pyproject.toml",
    "init.py.tmpl": "src/IMPORT/__init__.py",
    "main.py.tmpl": "src/IMPORT/__main__.py",
    "streaming.py.tmpl": "src/IMPORT/streaming.py",
    "labs/init.py.tmpl": "src/IMPORT/labs/__init__.py",
    "labs/running_moments.py.tmpl": "src/IMPORT/labs/running_moments.py",
    "tests/test_streaming.py.tmpl": "tests/test_streaming.py",
    "tests/test_labs.py.tmpl": "tests/test_labs.py",
}


def create(root: Path, kind: str, name: str) -> list[Path]:
    """Make the package `name` of this kind in the workspace at `root`; returns its files.

    Raises UsageError for a name that is not kebab-case, is taken, or would hide a module of
    Python's own or of an installed library. The package appears whole or not at all.
    """
    import_name = _check_name(Workspace(root), name)
    target = root / FOLDERS[kind] / name
    if target.exists():
        raise UsageError(
            f"{FOLDERS[kind]}/{name} is there already and is no package; "
            f"move it or choose another name"
        )
    target.parent.mkdir(exist_ok=True)
    words = {"name": name, "import_name": import_name, "title": name.replace("-", " ").capitalize()}
    templates = Path(__file__).with_name("templates") / "package"
    fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{name}-"))
    try:
        for template, place in PLACES.items():
            text = string.Template((templates / template).read_text("utf-8")).substitute(words)
            text = _sort_imports(text, import_name)
            files.write_text(fresh / place.replace("IMPORT", import_name), text)
        files.write_text(fresh / "src" / import_name / "py.typed", "")
        fresh.chmod(0o755)
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return sorted(path for path in target.rglob("*") if path.is_file())


def _check_name(workspace: Workspace, name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UsageError(
            f"“{name}” is no package name; small letters, digits and single hyphens are taken, "
            f"a letter first, such as linear-algebra"
        )
    if len(name) > LONGEST:
        raise UsageError(f"“{name}” has {len(name)} characters; at most {LONGEST} are taken")
    for member in workspace.members():
        if member.name == name:
            raise UsageError(f"there is a package {name} already, in {member.group}")
    import_name = name.replace("-", "_")
    if import_name in sys.stdlib_module_names or keyword.iskeyword(import_name):
        raise UsageError(f"“{name}” would hide Python's own {import_name}; choose another name")
    if name in _locked_names(workspace.root) or importlib.util.find_spec(import_name):
        raise UsageError(f"“{name}” would hide the library {import_name}; choose another name")
    return import_name


def _locked_names(root: Path) -> set[str]:
    """The distributions that the workspace has in its lock."""
    lock = root / "uv.lock"
    if not lock.is_file():
        return set()
    return {entry["name"] for entry in tomllib.loads(lock.read_text("utf-8"))["package"]}


def _sort_imports(text: str, import_name: str) -> str:
    """The imports of first-party packages in alphabetical order, whatever the package's name."""
    block = rf"(?:^from (?:groundwork|{import_name})\b.*\n)+"
    return re.sub(
        block, lambda found: "".join(sorted(found.group().splitlines(True))), text, flags=re.M
    )
