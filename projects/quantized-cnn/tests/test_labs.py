from pathlib import Path

import pytest

import quantized_cnn
from groundwork.testing import assert_lab_is_whole
from groundwork.workspace import Workspace

MEMBER = Workspace.find(Path(__file__).parent).member("quantized-cnn")


@pytest.mark.parametrize("lab", MEMBER.labs(), ids=lambda lab: lab.name)
def test_every_lab_is_whole(lab: object) -> None:
    assert_lab_is_whole(lab)


def test_every_public_name_is_there() -> None:
    for name in quantized_cnn.__all__:
        assert getattr(quantized_cnn, name).__module__.startswith("quantized_cnn") or name.isupper()
    with pytest.raises(AttributeError, match="nothing"):
        _ = quantized_cnn.nothing
