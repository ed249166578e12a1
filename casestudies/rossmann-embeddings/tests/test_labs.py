from pathlib import Path

import pytest

import rossmann_embeddings
from groundwork.testing import assert_lab_is_whole
from groundwork.workspace import Workspace

MEMBER = Workspace.find(Path(__file__).parent).member("rossmann-embeddings")


@pytest.mark.parametrize("lab", MEMBER.labs(), ids=lambda lab: lab.name)
def test_every_lab_is_whole(lab: object) -> None:
    assert_lab_is_whole(lab)


def test_every_public_name_is_there() -> None:
    for name in rossmann_embeddings.__all__:
        assert getattr(rossmann_embeddings, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = rossmann_embeddings.nothing
