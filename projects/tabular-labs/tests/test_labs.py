from pathlib import Path

import pytest

from groundwork.testing import assert_lab_is_whole
from groundwork.workspace import Workspace

MEMBER = Workspace.find(Path(__file__).parent).member("tabular-labs")


@pytest.mark.parametrize("lab", MEMBER.labs(), ids=lambda lab: lab.name)
def test_every_lab_is_whole(lab: object) -> None:
    assert_lab_is_whole(lab)
