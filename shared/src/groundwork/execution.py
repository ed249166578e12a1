"""Execute a lab in this process, and keep a folder that tells the truth whatever happens.

`run.json` says `running` from the first moment; then `finished`, `interrupted` or `failed`. A lock
that the operating system drops with the process tells a running run from one that was killed.
"""

import datetime
import importlib
import json
import os
import secrets
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from groundwork import files, machine
from groundwork.claims import check_claims
from groundwork.errors import UnmetError, UsageError
from groundwork.labs import Lab
from groundwork.parameters import plain, resolve
from groundwork.run import Run, Stopwatch
from groundwork.terminal import Terminal
from groundwork.workspace import Workspace

SCHEMA = 1
STATUSES = ("running", "finished", "interrupted", "failed")


class LabError(Exception):
    """A lab raised an error; its run is marked failed and holds the traceback."""

    def __init__(self, folder: Path, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.folder = folder


def execute(
    lab: Lab,
    *,
    preset: str = "default",
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    resume: bool = False,
    terminal: Terminal | None = None,
) -> dict[str, Any]:
    """Run a lab and return the content of its `run.json`, with the `folder` that holds it.

    Parameters
    ----------
    lab : the lab; its package has to be importable here.
    preset, seed, overrides : which parameters; overrides may be text as typed.
    folder : where the run is kept; None makes a new folder under the workspace's `runs`.
    resume : go on with the latest unfinished run of the same lab, preset, seed and overrides.
    terminal : where progress and log lines go; None is silent.

    Raises UsageError for bad input, LabError when the lab fails, KeyboardInterrupt when it is
    interrupted; in the last two cases the folder says so. A lab that ends with an UnmetError is
    finished, and the content has its text under `unmet`.
    """
    main = _load_main(lab)
    parameters = resolve(main, lab.preset(preset), overrides or {})
    identity = {
        "package": lab.package,
        "lab": lab.name,
        "preset": preset,
        "parameters": {name: plain(value) for name, value in parameters.items()},
        "overrides": sorted(overrides or {}),
        "seed": seed,
    }
    workspace = Workspace.find(lab.path)
    former: dict[str, Any] = {}
    if resume:
        folder, former = _unfinished(workspace, identity)
    elif folder is None:
        folder = _new_folder(workspace, lab, preset, seed)
    folder.mkdir(parents=True, exist_ok=True)
    commit, dirty = machine.commit(workspace.root)
    content: dict[str, Any] = {
        "schema": SCHEMA,
        **identity,
        "status": "running",
        "started": former.get("started") or _now(),
        "duration_s": 0.0,
        "resumed": former.get("resumed", 0) + resume,
        "commit": commit,
        "dirty": dirty,
        "source": lab.source_digest(preset),
    }
    if resume and former.get("source") not in (None, content["source"]):
        raise UsageError(
            f"the code of {lab.address} has changed since the run {folder.name} began; "
            f"start a new one without --resume"
        )
    watch = Stopwatch()
    before_s = float(former.get("duration_s", 0.0))
    run = Run(folder, seed=seed, terminal=terminal or Terminal.silent())

    def save(**changes: Any) -> None:
        content.update(changes)
        content["duration_s"] = round(before_s + watch.seconds, 3)
        files.write_json(folder / "run.json", content)

    run._on_checkpoint = save
    with _lock(folder), _terminate_is_interrupt():
        save()
        unmet: dict[str, str] = {}
        try:
            main(run, **parameters)
        except UnmetError as error:
            unmet = {"unmet": str(error)}
        except KeyboardInterrupt:
            save(status="interrupted")
            raise
        except UsageError as error:
            save(status="failed", error=str(error))
            raise
        except Exception as error:
            save(status="failed", error=_traceback(error))
            raise LabError(folder, error) from error
        save(
            status="finished",
            peak_memory_mb=round(machine.peak_memory_mb(), 1),
            machine=machine.describe_machine(),
            versions=machine.imported_versions(),
            data=run.data_used,
            metrics=run.metrics,
            comparisons=run.comparisons,
            claims=check_claims(lab.claims, preset, run.metrics, run.comparisons),
            files=run.files,
            **unmet,
        )
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return {**content, "folder": str(folder)}


def find_runs(workspace: Workspace, package: str, lab: str) -> list[tuple[Path, dict[str, Any]]]:
    """The runs of a lab, the oldest first: folder and content of `run.json`.

    A run that says `running` but whose process is gone is given as `interrupted`.
    """
    found = []
    for path in sorted((workspace.runs / package / lab).glob("*/run.json")):
        content = json.loads(path.read_text("utf-8"))
        if content["status"] == "running" and not _is_locked(path.parent):
            content["status"] = "interrupted"
        found.append((path.parent, content))
    return found


def _load_main(lab: Lab) -> Any:
    try:
        module = importlib.import_module(lab.module)
    except ModuleNotFoundError as error:
        package = lab.module.partition(".")[0]
        if error.name != package:
            raise
        raise UsageError(
            f"the package {lab.package} is not installed in this environment; "
            f"run it with: uv run groundwork run {lab.address}"
        ) from error
    if not hasattr(module, "main"):
        raise UsageError(f"{lab.address} has no function main(run, *, …)")
    return module.main


def _unfinished(workspace: Workspace, identity: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
    runs = find_runs(workspace, identity["package"], identity["lab"])
    for folder, content in reversed(runs):
        same = all(content.get(key) == value for key, value in identity.items())
        if same and content["status"] in ("interrupted", "failed"):
            return folder, content
    raise UsageError(
        f"{identity['package']}/{identity['lab']} has no interrupted run with these parameters; "
        f"start one without --resume"
    )


def _new_folder(workspace: Workspace, lab: Lab, preset: str, seed: int) -> Path:
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    name = f"{stamp}-{preset}-seed{seed}-{secrets.token_hex(2)}"
    folder = workspace.runs / lab.package / lab.name / name
    folder.mkdir(parents=True)
    return folder


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _traceback(error: BaseException) -> str:
    """The traceback, with file names in place of paths."""
    lines = traceback.format_exception(error)
    return "".join(lines).replace(str(Path(sys.prefix).parent) + os.sep, "")


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold the run's lock; a UsageError when another process holds it."""
    with open(folder / ".lock", "w") as file:
        if not _try_lock(file):
            raise UsageError(f"the run {folder.name} is still going on in another process")
        yield
    (folder / ".lock").unlink(missing_ok=True)


def _is_locked(folder: Path) -> bool:
    if not (folder / ".lock").exists():
        return False
    with open(folder / ".lock", "a") as file:
        return not _try_lock(file)


def _try_lock(file: Any) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: no way to ask, so a run counts as gone
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def _terminate_is_interrupt() -> Iterator[None]:
    """Treat a request to terminate as Ctrl-C, so that the run is marked in either case."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
