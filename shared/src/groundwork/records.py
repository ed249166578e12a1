"""Records: the runs that a package has committed, under `results/<lab>/<preset>/`.

What was measured stays as it was; it is held against the claims that the lab makes today, so that a
bar that is raised shows at once in every record that misses it.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundwork import files
from groundwork.claims import check_claims
from groundwork.errors import UsageError
from groundwork.execution import find_runs
from groundwork.labs import Lab
from groundwork.terminal import number
from groundwork.workspace import Member, Workspace

MAX_BYTES = 500_000
_KEPT = ("figure", "table")
_NOT_RECORDED = ("error", "overrides", "resumed")


@dataclass(frozen=True)
class Record:
    """A committed run: where it lies, what it says, and the lab that it is of."""

    member: Member
    lab_name: str
    folder: Path
    data: dict[str, Any]

    @property
    def package(self) -> str:
        """The package's name."""
        return self.member.name

    @property
    def lab(self) -> str:
        """The lab's name."""
        return self.lab_name

    @property
    def preset(self) -> str:
        """The preset that was run."""
        return str(self.data["preset"])

    @property
    def holds(self) -> bool:
        """Whether every claim holds."""
        return all(claim["holds"] for claim in self.data["claims"])

    @property
    def stale(self) -> bool:
        """Whether the code that decides the numbers has changed since, or is gone."""
        labs = {lab.name: lab for lab in self.member.labs()}
        lab = labs.get(self.lab_name)
        return lab is None or self.data.get("source") != lab.source_digest(self.preset)

    @property
    def state(self) -> str:
        """`holds`, `fails` or `stale`."""
        if self.stale:
            return "stale"
        return "holds" if self.holds else "fails"


def find_records(workspace: Workspace) -> list[Record]:
    """Every record of the workspace, by member, lab and preset (`full` first)."""
    return [record for member in workspace.members() for record in member_records(member)]


def member_records(member: Member) -> list[Record]:
    """The records of one package."""
    return sorted(_records(member), key=lambda record: (record.lab, _rank(record.preset)))


def _records(member: Member) -> Iterator[Record]:
    labs = {lab.name: lab for lab in member.labs()}
    for path in member.results.glob("*/[!.]*/record.json"):
        content = json.loads(path.read_text("utf-8"))
        lab = labs.get(path.parents[1].name)
        yield Record(
            member, path.parents[1].name, path.parent, judge(lab, content) if lab else content
        )


def judge(lab: Lab, run: dict[str, Any]) -> dict[str, Any]:
    """A finished run or a record with the verdicts on the lab's claims of today."""
    verdicts = check_claims(lab.claims, run["preset"], run["metrics"], run["comparisons"])
    return {**run, "claims": verdicts}


def write_verdicts(workspace: Workspace, *, check: bool = False) -> list[Path]:
    """Bring the verdicts in every record up to date; returns the files that changed (or would)."""
    changed = []
    for record in find_records(workspace):
        path = record.folder / "record.json"
        if json.loads(path.read_text("utf-8"))["claims"] != record.data["claims"]:
            changed.append(path)
            if not check:
                files.write_json(path, record.data)
    return changed


def _rank(preset: str) -> tuple[int, str]:
    order = ("full", "gpu", "default", "smoke")
    return (order.index(preset) if preset in order else len(order), preset)


def make_record(
    workspace: Workspace, lab: Lab, *, preset: str | None = None, failing: bool = False
) -> Path:
    """Make the last good run of a lab its record; returns the record's folder.

    A good run is finished, with the parameters of its preset, measured on today's code, and all its
    claims hold; `failing` takes one whose claims do not all hold, so that the record shows it.
    The former record is replaced whole or not at all. Raises UsageError when there is no such run,
    naming what the last one lacks.
    """
    if preset is not None:
        lab.preset(preset)
    reason = "it has no run"
    for folder, run in reversed(find_runs(workspace, lab.package, lab.name)):
        if preset is not None and run["preset"] != preset:
            continue
        lack = _lacks(lab, run, failing)
        if lack is None:
            run = judge(lab, run)
            return _write(workspace.member(lab.package), lab, folder, run)
        if reason == "it has no run":
            reason = f"its last run {lack}"
    wanted = f" with the preset {preset}" if preset else ""
    raise UsageError(f"{lab.address} has no run{wanted} to record: {reason}")


def _lacks(lab: Lab, run: dict[str, Any], failing: bool) -> str | None:
    if run["status"] != "finished":
        return f"is {run['status']}"
    if run["overrides"]:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in run["overrides"])
        return f"has parameters other than its preset's ({options})"
    if run["source"] != lab.source_digest(run["preset"]):
        return "was measured on other code than today's"
    missed = [claim["name"] for claim in judge(lab, run)["claims"] if not claim["holds"]]
    if missed and not failing:
        return f"misses a claim ({', '.join(missed)}); --failing records it all the same"
    return None


def _write(member: Member, lab: Lab, folder: Path, run: dict[str, Any]) -> Path:
    target = member.results / lab.name / run["preset"]
    target.parent.mkdir(parents=True, exist_ok=True)
    kept = [entry for entry in run["files"] if entry["kind"] in _KEPT]
    content = {key: value for key, value in run.items() if key not in _NOT_RECORDED}
    content["files"] = kept
    fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        for entry in kept:
            files.write_bytes(fresh / entry["path"], (folder / entry["path"]).read_bytes())
        files.write_json(fresh / "record.json", content)
        size = sum(path.stat().st_size for path in fresh.iterdir())
        if size > MAX_BYTES:
            raise UsageError(
                f"the record of {lab.address} takes {number(size)} bytes; at most "
                f"{number(MAX_BYTES)} are taken, so make its figures smaller"
            )
        fresh.chmod(0o755)
        old = target.with_name(f".{target.name}-old")
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        try:
            fresh.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target
