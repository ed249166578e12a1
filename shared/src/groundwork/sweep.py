"""Sweeps: one lab over a grid of seeds and parameters, here in turn or at once on a Ray cluster."""

import itertools
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from groundwork.errors import UsageError
from groundwork.execution import LabError, execute
from groundwork.labs import Lab
from groundwork.terminal import Terminal
from groundwork.workspace import Workspace

Point = dict[str, str]


def parse_sweep(words: Sequence[str]) -> list[Point]:
    """`["lr=0.1,0.01", "seed=0,1"]` → the four points of the grid, values still as text.

    Values are separated by commas; where a value is itself a list, by semicolons.
    """
    axes: dict[str, list[str]] = {}
    for word in words:
        name, equals, text = word.partition("=")
        values = [value.strip() for value in text.split(";" if ";" in text else ",")]
        if not equals or not name or not all(values):
            raise UsageError(f"--sweep “{word}” is not taken; it looks like --sweep lr=0.1,0.01")
        axes[name.strip("-").replace("-", "_")] = values
    grid = itertools.product(*axes.values())
    return [dict(zip(axes, values, strict=True)) for values in grid]


def run_sweep(
    lab: Lab,
    points: Sequence[Point],
    *,
    preset: str,
    seed: int,
    overrides: Mapping[str, Any],
    terminal: Terminal,
    on_ray: bool,
) -> list[dict[str, Any]]:
    """Run the lab at every point and return the runs' contents in the order of the points.

    A point that fails is given as `{"status": "failed", "error": …}`; the others still run.
    """
    jobs = []
    for point in points:
        own = dict(point)
        text = own.pop("seed", str(seed))
        if not text.isdigit():
            raise UsageError(f"--sweep seed={text} is not taken; a seed is a whole number from 0")
        jobs.append((preset, int(text), {**overrides, **own}))
    if on_ray:
        return _on_ray(lab, jobs, terminal)
    return [_run_point(lab, *job) for job in terminal.progress(jobs, len(jobs), "sweep")]


def sweep_table(
    points: Sequence[Point], runs: Iterable[Mapping[str, Any]], terminal: Terminal
) -> None:
    """Show one line a point: its values, and every metric that the runs measured."""
    runs = list(runs)
    names: list[str] = []
    for run in runs:
        names += [name for name in run.get("metrics", {}) if name not in names]
    rows = []
    for point, run in zip(points, runs, strict=True):
        metrics = run.get("metrics", {})
        values = [metrics[name]["value"] if name in metrics else "" for name in names]
        rows.append([*point.values(), run["status"], *values])
    terminal.table("Sweep", [*points[0], "status", *names], rows)
    for point, run in zip(points, runs, strict=True):
        if "error" in run:
            terminal.line(f"{_words(point)}: {run['error']}", style="red")


def _run_point(lab: Lab, preset: str, seed: int, overrides: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return execute(lab, preset=preset, seed=seed, overrides=overrides)
    except LabError as error:
        return {"status": "failed", "error": str(error)}


def _on_ray(
    lab: Lab, jobs: Sequence[tuple[str, int, dict[str, Any]]], terminal: Terminal
) -> list[dict[str, Any]]:
    try:
        # Workers use this process's own environment, whatever started it.
        os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
        import ray
    except ModuleNotFoundError as error:
        raise UsageError(
            "--on ray needs Ray; install it with: "
            "uv sync --inexact --package groundwork --extra ray"
        ) from error
    runs_folder = str(Workspace.find(lab.path).runs)
    ray.init(
        address=os.environ.get("RAY_ADDRESS"),
        runtime_env={"env_vars": {"GROUNDWORK_RUNS": runs_folder}},
        include_dashboard=False if "RAY_ADDRESS" not in os.environ else None,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        task = ray.remote(num_cpus=1, max_retries=0)(_run_remotely)
        pending = [task.remote(lab.package, lab.name, str(lab.path), *job) for job in jobs]
        results: list[dict[str, Any]] = []
        for reference in terminal.progress(pending, len(pending), "sweep on Ray"):
            outcome = ray.get(reference)
            if "refused" in outcome:
                raise UsageError(outcome["refused"])
            results.append(outcome)
        return results
    finally:
        ray.shutdown()


def _run_remotely(
    package: str, name: str, path: str, preset: str, seed: int, overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """One point in a worker: errors travel back as text, for they may not survive pickling."""
    try:
        return _run_point(Lab(package, name, Path(path)), preset, seed, overrides)
    except UsageError as error:
        return {"status": "failed", "refused": str(error)}


def _words(point: Point) -> str:
    return ", ".join(f"{name} {value}" for name, value in point.items())
