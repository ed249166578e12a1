"""Run labs, each in a process of its own in its package's environment, and check their claims."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundwork import summary
from groundwork.errors import UsageError
from groundwork.execution import find_runs
from groundwork.labs import Lab
from groundwork.records import judge
from groundwork.terminal import Terminal, counted
from groundwork.workspace import Workspace


def package_words(package: str) -> list[str]:
    """The words that start a package's own command in its environment.

    By `uv run`, which brings the environment up to date; without uv, with this very Python.
    """
    uv = shutil.which("uv") or os.environ.get("UV")
    if uv:
        return [uv, "run", "--quiet", "--package", package, package]
    return [sys.executable, "-m", package.replace("-", "_")]


def select(
    workspace: Workspace, addresses: Sequence[str], preset: str
) -> tuple[list[Lab], list[Lab]]:
    """The labs at some addresses (labs, packages; none: all) that have the preset, and the others.

    A lab that is named itself must have it (UsageError), as must one lab of each package.
    """
    chosen: dict[str, Lab] = {}
    others: dict[str, Lab] = {}
    every: list[str | None] = [None]
    for address in addresses or every:
        if address and "/" in address:
            lab = workspace.lab(address)
            lab.preset(preset)
            chosen[lab.address] = lab
            continue
        labs = workspace.member(address).labs() if address else workspace.labs()
        if not labs:
            raise UsageError(f"{address or 'the workspace'} has no labs to verify")
        having = {lab.address: lab for lab in labs if preset in lab.presets}
        if not having:
            known = sorted({name for lab in labs for name in lab.presets})
            raise UsageError(
                f"no lab of {address or 'the workspace'} has the preset “{preset}”; "
                f"they have {', '.join(known)}"
            )
        chosen |= having
        others |= {lab.address: lab for lab in labs if preset not in lab.presets}
    return list(chosen.values()), list(others.values())


def verify(
    workspace: Workspace,
    labs: Sequence[Lab],
    *,
    preset: str,
    seed: int,
    resume: bool,
    terminal: Terminal,
) -> bool:
    """Run the labs, show every claim with its verdict; True when all of them hold.

    Where all labs of a package are among them, so are the package's own claims.
    With `resume`, a lab that has already finished on today's code is not run again, and one that
    was interrupted goes on.
    """
    claims: list[tuple[str, dict[str, Any]]] = []
    troubles: list[str] = []
    finished: dict[str, list[dict[str, Any]]] = {}
    for index, lab in enumerate(labs, start=1):
        terminal.line(f"[{index}/{len(labs)}] {lab.address} · {preset}", style="bold")
        run = _verify_one(workspace, lab, preset, seed, resume)
        if run.get("status") != "finished":
            troubles.append(f"{lab.address}: {run.get('status', 'not run')}: {_last(run)}")
            terminal.line(f"  {troubles[-1]}", style="red")
            continue
        if not run["claims"]:
            troubles.append(f"{lab.address} claims nothing for the preset {preset}")
        held = sum(claim["holds"] for claim in run["claims"])
        terminal.line(
            f"  {held} of {len(run['claims'])} claims hold · {run['duration_s']:.1f} s · "
            f"{run['peak_memory_mb']:.0f} MB"
        )
        claims += [(lab.address, claim) for claim in run["claims"]]
        finished.setdefault(lab.package, []).append(run)
    for package, runs in finished.items():
        member = workspace.member(package)
        if len(runs) == sum(preset in lab.presets for lab in member.labs()):
            verdicts = summary.check(member.claims(), preset, runs)
            claims += [(package, claim) for claim in verdicts]
    terminal.line()
    terminal.claims(claims)
    for trouble in troubles:
        terminal.line(trouble, style="red")
    held = sum(claim["holds"] for _, claim in claims)
    terminal.line(
        f"{counted(len(labs), 'lab')}, {held} of {len(claims)} claims hold",
        style="bold",
    )
    return bool(claims) and held == len(claims) and not troubles


def _verify_one(
    workspace: Workspace, lab: Lab, preset: str, seed: int, resume: bool
) -> dict[str, Any]:
    words = ["--preset", preset, "--seed", str(seed), "--brief"]
    if resume:
        digest = lab.source_digest(preset)
        for _, run in reversed(find_runs(workspace, lab.package, lab.name)):
            same = (run["preset"], run["seed"], run["source"]) == (preset, seed, digest)
            if same and not run["overrides"]:
                if run["status"] == "finished":
                    return judge(lab, run)
                words.append("--resume")
                break
    before = {folder for folder, _ in find_runs(workspace, lab.package, lab.name)}
    status = run_process([*package_words(lab.package), lab.name, *words])
    if status == 130:
        raise KeyboardInterrupt
    if status == 2:
        return {"status": "refused", "error": "the line above says why"}
    runs = find_runs(workspace, lab.package, lab.name)
    fresh = [run for folder, run in runs if folder not in before or "--resume" in words]
    return fresh[-1] if fresh else {"error": f"the command ended with status {status}"}


def run_process(words: Sequence[str], folder: Path | None = None) -> int:
    """Run a command to its end and return its status; Ctrl-C reaches it, and it is waited for."""
    process = subprocess.Popen(words, cwd=folder)
    former = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # the child got it too, and ends by itself
    finally:
        signal.signal(signal.SIGTERM, former)


def _last(run: dict[str, Any]) -> str:
    lines = str(run.get("error", "")).strip().splitlines()
    return lines[-1] if lines else "no reason is known"
