"""Labs as tests: run one in a folder of the test's own, and check that it is whole."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundwork.execution import execute
from groundwork.labs import Lab
from groundwork.parameters import read_parameters, resolve
from groundwork.workspace import Workspace


@dataclass(frozen=True)
class RunResult:
    """A finished run: its folder and the content of its `run.json`."""

    folder: Path
    content: dict[str, Any]

    def value(self, name: str) -> float:
        """The value of a metric (the mean, where there are several seeds)."""
        return float(self.content["metrics"][name]["value"])

    @property
    def status(self) -> str:
        """How the run ended: `finished`."""
        return str(self.content["status"])

    @property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """Every metric by name: value, unit, and over several seeds std and n."""
        return dict(self.content["metrics"])

    @property
    def comparisons(self) -> dict[str, dict[str, Any]]:
        """Every comparison by name."""
        return dict(self.content["comparisons"])

    @property
    def claims(self) -> list[dict[str, Any]]:
        """Every claim with its verdict."""
        return list(self.content["claims"])


def run_lab(
    address: str, folder: Path, *, preset: str = "smoke", seed: int = 0, **parameters: Any
) -> RunResult:
    """Run the lab at `PACKAGE/LAB` in this process and keep its run in `folder`.

    `parameters` override the preset's. What the lab raises is raised here.
    """
    lab = Workspace.find().lab(address)
    content = execute(lab, preset=preset, seed=seed, overrides=parameters, folder=folder)
    return RunResult(folder, content)


def assert_claims(result: RunResult) -> None:
    """Assert that every claim of a run holds, and that there is one."""
    assert result.claims, "the lab claims nothing for this preset"
    for claim in result.claims:
        words = f"{claim['name']} {claim['op']} {claim['bound']}"
        assert claim["holds"], f"{words} does not hold: it is {claim['value']}"


def assert_lab_is_whole(lab: Lab) -> None:
    """Assert what every lab has: words, presets, claims, and parameters that explain themselves."""
    assert lab.summary.endswith("."), f"{lab.address}: the docstring's first line is a sentence"
    assert len(lab.docstring.splitlines()) > 2, f"{lab.address}: the docstring tells the idea"
    presets = lab.presets
    assert {"smoke", "default"} <= set(presets), f"{lab.address}: presets smoke and default"
    main = importlib.import_module(lab.module).main
    for parameter in read_parameters(main).values():
        assert parameter.help, f"{lab.address}: {parameter.option} has no line of help"
    for name, values in presets.items():
        resolve(main, values, {})
        made = [claim for claim in lab.claims if claim.applies(name)]
        assert made, f"{lab.address}: nothing is claimed for the preset {name}"
