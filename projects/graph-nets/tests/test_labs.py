from pathlib import Path

import pytest

import graph_nets
from groundwork.testing import assert_lab_is_whole
from groundwork.workspace import Workspace

MEMBER = Workspace.find(Path(__file__).parent).member("graph-nets")


@pytest.mark.parametrize("lab", MEMBER.labs(), ids=lambda lab: lab.name)
def test_every_lab_is_whole(lab: object) -> None:
    assert_lab_is_whole(lab)


def test_every_public_name_is_there() -> None:
    for name in graph_nets.__all__:
        assert getattr(graph_nets, name).__module__.startswith("graph_nets")
    with pytest.raises(AttributeError, match="nothing"):
        _ = graph_nets.nothing
