from pathlib import Path

import pytest

from groundwork.labs import Lab
from groundwork.testing import assert_lab_is_whole, run_lab
from groundwork.workspace import Workspace

MEMBER = Workspace.find(Path(__file__).parent).member("mnist-labs")


@pytest.mark.parametrize("lab", MEMBER.labs(), ids=lambda lab: lab.name)
def test_every_lab_is_whole(lab: Lab) -> None:
    assert_lab_is_whole(lab)


def test_the_labs_of_the_curriculum_are_here() -> None:
    from groundwork.roadmap import TITLES, labs_of_plan

    named = set().union(*(labs_of_plan(plan) for plan in TITLES))
    wanted = {lab for package, lab in named if package == "mnist-labs"}
    assert wanted == {lab.name for lab in MEMBER.labs()}


def test_the_seed_decides_a_labs_numbers(tmp_path: Path) -> None:
    values = []
    for i, seed in enumerate((0, 0, 1)):
        run = run_lab("mnist-labs/tiny-model", tmp_path / str(i), seed=seed, epochs=1)
        values.append(run.value("test_accuracy"))
    assert values[0] == values[1] != values[2]
