import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from groundwork import files
from groundwork.errors import UsageError
from groundwork.execution import LabError, execute, find_runs
from groundwork.workspace import Workspace

SCHEMA_KEYS = {
    "schema", "package", "lab", "preset", "parameters", "overrides", "seed", "status", "started",
    "duration_s", "resumed", "commit", "dirty", "source", "peak_memory_mb", "machine", "versions",
    "data", "metrics", "comparisons", "claims", "files",
}  # fmt: skip


def count(workspace: Workspace, **options: Any) -> dict[str, Any]:
    return execute(workspace.lab("small-demo/count"), **options)


def read(folder: str | Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(folder) / "run.json").read_text())
    return content


def test_a_finished_run_holds_all_that_a_reader_needs(workspace: Workspace) -> None:
    content = count(workspace, preset="smoke", seed=3)
    kept = read(content["folder"])
    assert set(kept) == SCHEMA_KEYS
    assert kept["status"] == "finished"
    assert kept["parameters"]["steps"] == 2
    assert kept["metrics"]["repeated"] == {"value": 2.0, "unit": "", "std": 1.0, "n": 3}
    assert kept["claims"] == [
        {
            "name": "total",
            "op": ">=",
            "bound": 1.0,
            "value": kept["metrics"]["total"]["value"],
            "holds": True,
        }
    ]
    assert kept["machine"]["cores"] >= 1
    assert kept["peak_memory_mb"] > 10
    assert "numpy" in kept["versions"]
    assert str(workspace.root) not in json.dumps(kept)


def test_claims_of_another_preset_are_left_out_and_failing_ones_are_told(
    workspace: Workspace,
) -> None:
    assert [c["holds"] for c in count(workspace, preset="smoke")["claims"]] == [True]
    assert [c["holds"] for c in count(workspace, preset="full")["claims"]] == [True, False]


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(
    workspace: Workspace,
) -> None:
    totals = [count(workspace, seed=seed)["metrics"]["total"]["value"] for seed in (0, 0, 1)]
    assert totals[0] == totals[1] != totals[2]


def test_runs_do_not_overwrite_each_other(workspace: Workspace) -> None:
    folders = {count(workspace, preset="smoke")["folder"] for _ in range(3)}
    assert len(folders) == 3


def test_bad_input_leaves_no_run_behind(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="--steps"):
        count(workspace, overrides={"steps": "0"})
    assert find_runs(workspace, "small-demo", "count") == []


def test_a_run_that_misses_a_target_is_finished_and_says_so(workspace: Workspace) -> None:
    content = count(workspace, preset="smoke", overrides={"target": "1e6"})
    kept = read(content["folder"])
    assert kept["status"] == "finished"
    assert kept["unmet"] == "the total stays below the target, 1e+06"
    assert kept["metrics"]["total"]["value"] < 1e6
    assert kept["claims"][0]["holds"]


def test_a_failing_lab_leaves_a_run_marked_failed_with_its_traceback(
    workspace: Workspace,
) -> None:
    with pytest.raises(LabError, match="told to fail") as caught:
        count(workspace, overrides={"fail": "true"})
    kept = read(caught.value.folder)
    assert kept["status"] == "failed"
    assert "ArithmeticError: told to fail" in kept["error"]
    assert "metrics" not in kept


def test_a_metric_that_is_not_finite_fails_the_run(workspace: Workspace) -> None:
    lab = workspace.lab("small-demo/draw-line")
    text = lab.path.read_text()
    lab.path.write_text(text.replace('run.metric("points", 3)', 'run.metric("p", float("nan"))'))
    with pytest.raises(LabError, match="finite"):
        execute(lab)


def start(workspace: Workspace, *words: str) -> "subprocess.Popen[str]":
    # A shell that starts its job in the background has its children ignore the interrupt.
    code = (
        "import signal, sys; from groundwork.cli import _package_main, _guard;"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"
        "_guard(lambda: _package_main('small-demo', sys.argv[1:]))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, "count", *words],
        cwd=workspace.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_checkpoint(workspace: Workspace) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if list(workspace.runs.glob("*/*/*/checkpoints/state.pickle")):
            return
        time.sleep(0.02)
    raise TimeoutError("the run wrote no checkpoint")


LONG = ("--steps", "8", "--pause", "0.3", "--seed", "5")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_is_interrupted_and_resumes_to_the_same_numbers(
    workspace: Workspace, number: signal.Signals
) -> None:
    process = start(workspace, *LONG)
    wait_for_checkpoint(workspace)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (130 if number is not signal.SIGKILL else -signal.SIGKILL)
    if number is not signal.SIGKILL:
        assert "--resume" in errors
    (_, stopped), *_ = find_runs(workspace, "small-demo", "count")
    assert stopped["status"] == "interrupted"

    resumed = start(workspace, *LONG, "--resume")
    output, _ = resumed.communicate(timeout=60)
    assert resumed.returncode == 0, output
    ((folder, finished),) = find_runs(workspace, "small-demo", "count")
    assert finished["status"] == "finished"
    assert finished["resumed"] == 1
    whole = count(workspace, seed=5, overrides={"steps": 8, "pause": 0.0})
    assert finished["metrics"] == whole["metrics"]
    assert not (folder / "checkpoints").exists()


def test_resume_refuses_other_parameters_and_changed_code(workspace: Workspace) -> None:
    process = start(workspace, *LONG)
    wait_for_checkpoint(workspace)
    process.kill()
    process.communicate()
    with pytest.raises(UsageError, match="no interrupted run"):
        count(workspace, overrides={"steps": 9}, resume=True)
    path = workspace.lab("small-demo/count").path
    path.write_text(path.read_text().replace("= 1 + float", "= 2 + float"))
    with pytest.raises(UsageError, match="changed"):
        count(workspace, seed=5, overrides={"steps": 8, "pause": 0.3}, resume=True)


def test_a_run_that_is_still_going_on_is_not_resumed(workspace: Workspace) -> None:
    process = start(workspace, *LONG)
    wait_for_checkpoint(workspace)
    try:
        ((_, going),) = find_runs(workspace, "small-demo", "count")
        assert going["status"] == "running"
        with pytest.raises(UsageError, match="no interrupted run"):
            count(workspace, seed=5, overrides={"steps": 8, "pause": 0.3}, resume=True)
    finally:
        process.kill()
        process.communicate()


def test_a_full_disk_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "record.json"
    files.write_json(target, {"old": 1})

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_json(target, {"new": 2})
    assert json.loads(target.read_text()) == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]
