import pytest

from groundwork.errors import UsageError
from groundwork.sweep import parse_sweep, run_sweep
from groundwork.terminal import Terminal
from groundwork.workspace import Workspace


def test_several_axes_make_a_grid() -> None:
    assert parse_sweep(["lr=0.1,0.01", "seed=0,1"]) == [
        {"lr": "0.1", "seed": "0"},
        {"lr": "0.1", "seed": "1"},
        {"lr": "0.01", "seed": "0"},
        {"lr": "0.01", "seed": "1"},
    ]
    assert parse_sweep(["sizes=1,2;3,4"]) == [{"sizes": "1,2"}, {"sizes": "3,4"}]


@pytest.mark.parametrize("word", ["lr", "lr=", "=1,2", "lr=1,,2"])
def test_a_sweep_that_cannot_be_read_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="--sweep"):
        parse_sweep([word])


@pytest.mark.parametrize("on_ray", [False, True])
def test_each_point_is_a_run_and_a_failing_one_spoils_no_other(
    workspace: Workspace, on_ray: bool
) -> None:
    points = parse_sweep(["seed=0,1", "fail=false,true"])
    runs = run_sweep(
        workspace.lab("small-demo/count"),
        points,
        preset="smoke",
        seed=0,
        overrides={"steps": "4"},
        terminal=Terminal.silent(),
        on_ray=on_ray,
    )
    assert [run["status"] for run in runs] == ["finished", "failed"] * 2
    assert "told to fail" in runs[1]["error"]
    assert [run.get("seed") for run in runs[0::2]] == [0, 1]
    assert runs[0]["parameters"]["steps"] == 4
    assert runs[0]["metrics"]["total"] != runs[2]["metrics"]["total"]
    assert len(list(workspace.runs.glob("small-demo/count/*/run.json"))) == 4


@pytest.mark.parametrize("on_ray", [False, True])
def test_a_value_out_of_range_is_refused(workspace: Workspace, on_ray: bool) -> None:
    with pytest.raises(UsageError, match="--steps"):
        run_sweep(
            workspace.lab("small-demo/count"),
            parse_sweep(["steps=0,1"]),
            preset="smoke",
            seed=0,
            overrides={},
            terminal=Terminal.silent(),
            on_ray=on_ray,
        )
