"""The checks: `nox` for all, `nox -s "tests(mnist-labs)"` for one, `nox -l` for what there is.

Members are found in the folders. Each has an environment of its own under `.nox/envs`, which holds
only what that member declares; its tests and its labs share it. uv makes the environments from the
lock (`UV_PYTHON` chooses the Python), so nox makes none of its own.
"""

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "tests", "labs", "docs", "browser"]

ROOT = Path(__file__).parent
GROUPS = ("shared", "projects", "casestudies", "capstones")


def find_members() -> dict[str, Path]:
    """Every member of the workspace: name → folder."""
    shared = ROOT / "shared"
    folders = [
        path.parent for group in GROUPS[1:] for path in (ROOT / group).glob("*/pyproject.toml")
    ]
    return {"groundwork": shared} | {folder.name: folder for folder in sorted(folders)}


MEMBERS = find_members()


def has_labs(name: str) -> bool:
    return any(MEMBERS[name].glob("src/*/labs/[!_]*.py"))


def declared(name: str) -> set[str]:
    """The members that a member depends on, directly or through its test group."""
    settings = tomllib.loads((MEMBERS[name] / "pyproject.toml").read_text("utf-8"))
    project = settings["project"]
    lines = list(project.get("dependencies", []))
    for extra in project.get("optional-dependencies", {}).values():
        lines += extra
    for group in settings.get("dependency-groups", {}).values():
        lines += [line for line in group if isinstance(line, str)]
    found = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines)
    return {match.group() for match in found if match} & set(MEMBERS) - {name}


def environment(session: nox.Session, name: str) -> dict[str, str | None]:
    """Bring a member's environment up to date; returns the variables that select it."""
    folder = ROOT / ".nox" / "envs" / name
    variables: dict[str, str | None] = {
        "UV_PROJECT_ENVIRONMENT": str(folder),
        "VIRTUAL_ENV": None,
        # Byte code is kept, or every import of torch would compile it anew.
        "PYTHONDONTWRITEBYTECODE": None,
    }
    words = ["uv", "sync", "--locked", "--quiet", "--package", name, "--group", "test"]
    session.run(*words, env=variables, external=True)
    return variables


@nox.session
@nox.parametrize("member", [nox.param(name, id=name) for name in MEMBERS])
def tests(session: nox.Session, member: str) -> None:
    """A member's tests, in an environment that holds only what it declares."""
    folder = MEMBERS[member]
    if not list(folder.glob("tests/**/test_*.py")):
        session.error(f"{member} has no tests")
    variables = environment(session, member)
    where = str((folder / "tests").relative_to(ROOT))
    # pytest's status 5, nothing collected, fails the session like any other.
    words = ["uv", "run", "--no-sync", "python", "-m", "pytest", where, "--ignore-glob=*/browser/*"]
    session.run(*words, *session.posargs, env=variables, external=True)


@nox.session
@nox.parametrize("member", [nox.param(name, id=name) for name in MEMBERS if has_labs(name)])
def labs(session: nox.Session, member: str) -> None:
    """The smoke preset of a member's labs, with its claims."""
    variables = environment(session, member) | {"UV_NO_SYNC": "1"}
    words = ["uv", "run", "groundwork", "verify", member, "--preset", "smoke"]
    session.run(*words, env=variables, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Format, lint, types, the direction of imports, and the workflows against their schemas."""
    sources = [str(path) for folder in MEMBERS.values() for path in folder.glob("src")]
    variables = _group(session, "lint") | {
        "MYPYPATH": os.pathsep.join(sources),
        "PYTHONPATH": os.pathsep.join(sources),
    }

    def run(*words: str) -> None:
        session.run("uv", "run", "--no-sync", *words, env=variables, external=True)

    run("ruff", "format", "--check", ".")
    run("ruff", "check", ".")
    packages = [path.name for source in sources for path in Path(source).glob("[!_.]*")]
    run("mypy", *(word for name in packages for word in ("-p", name)))
    run("lint-imports", "--config", str(_write_import_contracts()), "--no-cache")
    github = ROOT / ".github"
    for schema, files in {
        "vendor.github-workflows": sorted(github.glob("workflows/*.yml")),
        "vendor.dependabot": [github / "dependabot.yml"],
        "vendor.github-issue-forms": sorted(github.glob("ISSUE_TEMPLATE/[!c]*.yml")),
        "vendor.github-issue-config": [github / "ISSUE_TEMPLATE" / "config.yml"],
    }.items():
        run("check-jsonschema", "--builtin-schema", schema, *map(str, files))


@nox.session
def docs(session: nox.Session) -> None:
    """The READMEs' results, the roadmap's pages and the site are what the records say."""
    variables = _group(session, "browser")
    for words in (["pages", "--check"], ["site", "--target", str(ROOT / ".nox" / "site")]):
        session.run("uv", "run", "--no-sync", "groundwork", *words, env=variables, external=True)


@nox.session
def browser(session: nox.Session) -> None:
    """The site in headless Chromium, at two widths."""
    names = ("chromium", "chromium-browser", "google-chrome")
    if not (os.environ.get("CHROMIUM") or any(map(shutil.which, names))):
        needed = "no Chromium here; install it, or name it in CHROMIUM"
        if os.environ.get("CI"):
            session.error(needed)
        session.skip(needed)
    variables = _group(session, "browser")
    words = ["uv", "run", "--no-sync", "python", "-m", "pytest", "shared/tests/browser"]
    session.run(*words, env=variables, external=True)


@nox.session
def changed(session: nox.Session) -> None:
    """Lint, and tests and labs of what a change touches and of all that depends on it.

    The change is what differs from the merge base with `origin/main` (or with the revision given:
    `nox -s changed -- REVISION`), uncommitted work counted in.
    """
    names, reason = affected(session.posargs[0] if session.posargs else None)
    session.log(f"{reason}: {', '.join(names) or 'no member'}")
    left_out = [name for name in MEMBERS if name not in names]
    session.log(f"left out: {', '.join(left_out) or 'none'}")
    session.notify("lint")
    for name in names:
        session.notify(f"tests({name})", posargs=[])
        if has_labs(name):
            session.notify(f"labs({name})", posargs=[])
    session.notify("docs")


@nox.session
def matrix(session: nox.Session) -> None:
    """Print, as JSON, the members to test: all, or with `-- REVISION` those a change affects."""
    names = affected(session.posargs[0])[0] if session.posargs else list(MEMBERS)
    print(json.dumps({"tests": names, "labs": [name for name in names if has_labs(name)]}))


def affected(revision: str | None) -> tuple[list[str], str]:
    """The members that the change since `revision` affects, and why these."""
    base = _git("merge-base", "HEAD", revision or "origin/main")
    if base is None:
        return list(MEMBERS), "nothing to compare with, so everything"
    paths = (_git("diff", "--name-only", base) or "").splitlines()
    paths += (_git("ls-files", "--others", "--exclude-standard") or "").splitlines()
    touched: set[str] = set()
    for path in paths:
        owners = [n for n, folder in MEMBERS.items() if (ROOT / path).is_relative_to(folder)]
        if not owners and path in ("pyproject.toml", "uv.lock", "noxfile.py"):
            return list(MEMBERS), f"{path} has changed, so everything"
        touched.update(owners)
    growing = True
    while growing:
        more = {name for name in MEMBERS if declared(name) & touched} - touched
        touched |= more
        growing = bool(more)
    return [name for name in MEMBERS if name in touched], f"changed since {base[:10]}"


def _git(*words: str) -> str | None:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def _group(session: nox.Session, group: str) -> dict[str, str | None]:
    """An environment for the workspace's own tools."""
    variables: dict[str, str | None] = {
        "UV_PROJECT_ENVIRONMENT": str(ROOT / ".nox" / "envs" / f"_{group}"),
        "VIRTUAL_ENV": None,
        "PYTHONDONTWRITEBYTECODE": None,
    }
    words = ["uv", "sync", "--locked", "--quiet", "--no-default-groups", "--group", group]
    session.run(*words, env=variables, external=True)
    return variables


def _write_import_contracts() -> Path:
    """Write the import-linter contracts that the workspace's folders and declarations imply."""
    modules = {name: name.replace("-", "_") for name in MEMBERS}
    lines = ["[importlinter]", "root_packages ="]
    lines += [f"    {module}" for module in modules.values()]
    lines += ["include_external_packages = False"]
    for name, module in modules.items():
        allowed = declared(name) | {name}
        forbidden = [modules[other] for other in MEMBERS if other not in allowed]
        if forbidden:
            lines += ["", f"[importlinter:contract:{name}-declared]"]
            lines += [f"name = {name} imports only the members that it declares"]
            lines += ["type = forbidden", "source_modules =", f"    {module}"]
            lines += ["forbidden_modules =", *(f"    {other}" for other in forbidden)]
            lines += ["allow_indirect_imports = True"]
    for name in MEMBERS:
        module = modules[name]
        files = sorted(MEMBERS[name].glob("src/*/labs/[!_]*.py"))
        library = sorted(
            {path.stem for path in MEMBERS[name].glob(f"src/{module}/[!_]*.py")}
            | {path.parent.name for path in MEMBERS[name].glob(f"src/{module}/*/__init__.py")}
        )
        library = [stem for stem in library if stem != "labs"]
        if len(files) > 1:
            lines += ["", f"[importlinter:contract:{name}-labs]"]
            lines += [f"name = no lab of {name} imports another lab", "type = independence"]
            lines += ["modules =", *(f"    {module}.labs.{path.stem}" for path in files)]
        if files and library:
            lines += ["", f"[importlinter:contract:{name}-library]"]
            lines += [f"name = the library of {name} does not import its labs", "type = forbidden"]
            lines += ["source_modules =", *(f"    {module}.{stem}" for stem in library)]
            lines += ["forbidden_modules =", f"    {module}.labs"]
    for lower, higher in (
        ("projects", ("casestudies", "capstones")),
        ("casestudies", ("capstones",)),
    ):
        for name, folder in MEMBERS.items():
            wrong = [o for o in declared(name) if MEMBERS[o].parent.name in higher]
            if folder.parent.name == lower and wrong:
                raise SystemExit(f"{name} is one of the {lower} and depends on {', '.join(wrong)}")
    target = ROOT / ".nox" / "importlinter.ini"
    target.parent.mkdir(exist_ok=True)
    target.write_text("\n".join(lines) + "\n", "utf-8")
    return target
