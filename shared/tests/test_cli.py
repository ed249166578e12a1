import json
import subprocess
import sys
from pathlib import Path

import pytest

from groundwork import cli, verifying
from groundwork.errors import UsageError
from groundwork.execution import execute
from groundwork.workspace import Workspace


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    """Run a command in this process; returns status, output and errors."""
    monkeypatch.setattr(sys, "argv", ["groundwork", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, captured.out, captured.err


@pytest.mark.parametrize(
    "words, tells",
    [
        (["lst"], "list"),
        (["run", "small-dmo/count"], "small-demo"),
        (["run", "small-demo/cout"], "count"),
        (["run", "small-demo"], "PACKAGE/LAB"),
        (["run", "small-demo/count", "--preset", "smoek"], "smoke"),
        (["run", "small-demo/count", "--seed", "-1"], "greater than or equal to 0"),
        (["run", "small-demo/count", "--on", "mars", "--sweep", "seed=0"], "ray"),
        (["run", "small-demo/count", "--on", "ray"], "--sweep"),
        (["verify", "small-demo", "--preset", "gpu"], "smoke"),
        (["verify", "small-demo", "--prest", "smoke"], "--preset"),
        (["record", "small-demo/draw-line"], "no run"),
        (["compare", "a", "b"], "is no run"),
        (["roadmap", "ml-150"], "ml-150-days"),
        (["list", "--plan", "ml-150"], "ml-150-days"),
        (["list", "--package", "small"], "small-demo"),
        (["new", "projct", "demo"], "project"),
        (["new", "project", "Demo"], "small letters"),
        (["demo"], "inference-platform"),
    ],
)
def test_bad_input_gets_one_clear_line_and_status_2(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    tells: str,
) -> None:
    status, _, errors = run(monkeypatch, capsys, *words)
    assert status == 2
    assert tells in errors
    assert errors.count("\n") == 1


def test_list_has_a_line_for_each_lab(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text, _ = run(monkeypatch, capsys, "list")
    assert status == 0
    assert [line.split()[0] for line in text.splitlines()] == [
        "small-demo/count",
        "small-demo/draw-line",
    ]
    _, text, _ = run(monkeypatch, capsys, "list", "--json", "--package", "small-demo")
    assert json.loads(text)[1] == {
        "package": "small-demo",
        "lab": "draw-line",
        "summary": "Draw a line.",
    }
    _, text, _ = run(monkeypatch, capsys, "list", "--plan", "ml-150-days")
    assert text == "no labs here yet\n"


def package(workspace: Workspace, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the package's own command in a process of its own."""
    code = "from groundwork.cli import package_command; package_command('small-demo')()"
    return subprocess.run(
        [sys.executable, "-c", code, *words], cwd=workspace.root, capture_output=True, text=True
    )


def test_a_packages_command_runs_a_lab_and_ends_with_the_runs_folder(workspace: Workspace) -> None:
    done = package(workspace, "count", "--preset", "smoke", "--sizes", "7,8", "--rate=0.25")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("Run: runs/small-demo/count/")
    content = json.loads(
        (workspace.root / lines[-1].removeprefix("Run: ") / "run.json").read_text()
    )
    assert content["parameters"]["sizes"] == [7, 8]
    assert content["overrides"] == ["rate", "sizes"]
    assert "\x1b" not in done.stdout
    assert "✓ holds" in done.stdout


@pytest.mark.parametrize(
    "words, status, tells",
    [
        (["cout"], 2, "count"),
        (["count", "--steps", "0"], 2, "at least 1"),
        (["count", "--stepps", "3"], 2, "--steps"),
        (["count", "steps"], 2, "not an option"),
        (["count", "--resume"], 2, "no interrupted run"),
        (["count", "--fail"], 1, "told to fail"),
        (["count", "--target", "1e6"], 3, "below the target, 1e+06"),
        (["count", "--sweep", "fail=true,false"], 1, ""),
    ],
)
def test_a_packages_command_says_what_is_wrong(
    workspace: Workspace, words: list[str], status: int, tells: str
) -> None:
    done = package(workspace, *words)
    assert done.returncode == status
    assert tells in done.stderr
    assert "Traceback" not in done.stderr


def test_a_packages_command_has_commands_of_its_own(workspace: Workspace) -> None:
    code = (
        "from groundwork.cli import package_command\n"
        "def greet(words):\n    'Say hello.'\n    print('hello', *words)\n"
        "package_command('small-demo', {'greet': greet})()"
    )
    for words, tells in ((["greet", "you", "--now"], "hello you --now"), ([], "Say hello.")):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], cwd=workspace.root, capture_output=True, text=True
        )
        assert done.returncode == 0
        assert tells in done.stdout


def test_help_shows_a_labs_options_with_their_bounds(workspace: Workspace) -> None:
    text = package(workspace, "count", "--help").stdout
    assert "--steps" in text
    assert "how far to count; a whole number, at least 1 [3]" in text


def test_verify_checks_claims_in_processes_of_their_own(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    script = "from groundwork.cli import package_command; package_command('small-demo')()"
    words = [sys.executable, "-c", script]
    monkeypatch.setattr("groundwork.verifying.package_words", lambda package: words)
    for preset, expected, verdict in (("smoke", 0, "✓ holds"), ("full", 1, "✗ fails")):
        status, text, _ = run(monkeypatch, capfd, "verify", "small-demo/count", "--preset", preset)
        assert status == expected
        assert verdict in text
    lab = workspace.lab("small-demo/count")
    lab.path.write_text(lab.path.read_text().replace("fail: bool = False", "fail: bool = True"))
    status, text, _ = run(monkeypatch, capfd, "verify", "small-demo", "--preset", "smoke")
    assert status == 1
    assert "ArithmeticError: told to fail" in text


def test_verify_resume_runs_nothing_twice(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(workspace.lab("small-demo/count"), preset="smoke")
    monkeypatch.setattr("groundwork.verifying.run_process", lambda words: pytest.fail("ran again"))
    status, text, _ = run(
        monkeypatch, capsys, "verify", "small-demo/count", "--preset", "smoke", "--resume"
    )
    assert status == 0
    assert "1 of 1 claims hold" in text


def test_verify_takes_several_addresses_and_runs_each_lab_once(workspace: Workspace) -> None:
    chosen, others = verifying.select(workspace, ["small-demo/count", "small-demo"], "smoke")
    names = [lab.address for lab in chosen]
    assert names == ["small-demo/count", "small-demo/draw-line"]
    assert others == []
    every, _ = verifying.select(workspace, [], "smoke")
    assert [lab.address for lab in every] == names
    with pytest.raises(UsageError, match="small-demo"):
        verifying.select(workspace, ["small-demo", "smal-demo"], "smoke")


def test_compare_shows_two_runs_side_by_side(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = workspace.lab("small-demo/count")
    a = execute(lab, preset="smoke")["folder"]
    b = execute(lab, preset="smoke", overrides={"steps": 4})["folder"]
    status, text, _ = run(monkeypatch, capsys, "compare", a, Path(b).name)
    assert status == 0
    assert "steps" in text
    assert "%" in text


def test_record_writes_the_readme_and_the_roadmap(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(workspace.lab("small-demo/draw-line"), preset="smoke")
    assert run(monkeypatch, capsys, "pages", "--check")[0] == 1
    assert run(monkeypatch, capsys, "record", "small-demo/draw-line")[0] == 0
    assert "✅" in workspace.member("small-demo").readme.read_text()
    assert (workspace.root / "docs" / "roadmap" / "ml-150-days.md").is_file()
    assert run(monkeypatch, capsys, "pages", "--check")[0] == 0
