"""The workspace: its root, its members, and their labs, read from the folders alone."""

import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from groundwork.claims import Claim
from groundwork.errors import UsageError
from groundwork.labs import Lab, kebab, package_claims
from groundwork.suggest import unknown

GROUPS = ("shared", "projects", "casestudies", "capstones")


@dataclass(frozen=True)
class Member:
    """One installable package of the workspace."""

    name: str
    group: str
    path: Path

    @cached_property
    def project(self) -> dict[str, object]:
        """The `[project]` table of its `pyproject.toml`."""
        with open(self.path / "pyproject.toml", "rb") as file:
            table: dict[str, object] = tomllib.load(file)["project"]
        return table

    @property
    def description(self) -> str:
        """Its one-line description."""
        return str(self.project.get("description", ""))

    @property
    def import_name(self) -> str:
        """The name that Python imports."""
        return self.name.replace("-", "_")

    @property
    def source(self) -> Path:
        """The folder of the importable package."""
        return self.path / "src" / self.import_name

    @property
    def readme(self) -> Path:
        """Its README."""
        return self.path / "README.md"

    @property
    def results(self) -> Path:
        """The folder of its records."""
        return self.path / "results"

    @property
    def requires(self) -> set[str]:
        """The names of the distributions it declares as dependencies."""
        declared = self.project.get("dependencies", [])
        assert isinstance(declared, list)
        found = (re.match(r"[A-Za-z0-9._-]+", line) for line in declared)
        return {match.group().lower() for match in found if match}

    def labs(self) -> list[Lab]:
        """Its labs in alphabetical order: one for each file of the `labs` folder."""
        return [
            Lab(self.name, kebab(path.stem), path)
            for path in sorted((self.source / "labs").glob("[!_.]*.py"))
        ]

    def claims(self) -> list[Claim]:
        """What it claims of its labs as a whole; see `groundwork.summary`."""
        return package_claims(self.source / "labs")

    def lab(self, name: str) -> Lab:
        """The lab of that name; a UsageError names the nearest ones."""
        labs = {lab.name: lab for lab in self.labs()}
        if name not in labs:
            raise UsageError(unknown(f"lab of {self.name} called", name, labs))
        return labs[name]


@dataclass(frozen=True)
class Workspace:
    """A checkout: the folder whose `pyproject.toml` holds `[tool.uv.workspace]`."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> "Workspace":
        """The workspace around `start`, else around the current folder, else around this file.

        Raises UsageError where there is none.
        """
        places = [start] if start else [Path.cwd(), Path(__file__).parent]
        for place in places:
            for folder in [place.resolve(), *place.resolve().parents]:
                settings = folder / "pyproject.toml"
                if settings.is_file() and "[tool.uv.workspace]" in settings.read_text("utf-8"):
                    return cls(folder)
        raise UsageError(
            f"{places[0]} is not inside a Groundwork workspace; go into a checkout and try again"
        )

    @property
    def runs(self) -> Path:
        """Where runs are kept; `GROUNDWORK_RUNS` names another folder."""
        return Path(os.environ.get("GROUNDWORK_RUNS") or self.root / "runs")

    def members(self) -> list[Member]:
        """All members: shared first, then each group in alphabetical order."""
        return list(self._members())

    def _members(self) -> Iterator[Member]:
        for group in GROUPS:
            folder = self.root / group
            if group == "shared":
                if (folder / "pyproject.toml").is_file():
                    yield Member("groundwork", group, folder)
                continue
            for settings in sorted(folder.glob("*/pyproject.toml")):
                yield Member(settings.parent.name, group, settings.parent)

    def member(self, name: str) -> Member:
        """The member of that name; a UsageError names the nearest ones."""
        members = {member.name: member for member in self.members()}
        if name not in members:
            raise UsageError(unknown("package", name, members))
        return members[name]

    def lab(self, address: str) -> Lab:
        """The lab at `PACKAGE/LAB`; a UsageError says what is wrong with the address."""
        package, slash, name = address.partition("/")
        if not slash or not name:
            self.member(package)
            raise UsageError(
                f"“{address}” names no lab; PACKAGE/LAB is taken, such as "
                f"{package}/{next((lab.name for lab in self.member(package).labs()), 'LAB')}"
            )
        return self.member(package).lab(name)

    def labs(self) -> list[Lab]:
        """Every lab of every member."""
        return [lab for member in self.members() for lab in member.labs()]
