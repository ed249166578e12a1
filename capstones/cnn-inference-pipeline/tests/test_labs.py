from pathlib import Path

import pytest

import cnn_inference_pipeline
from groundwork.testing import assert_lab_is_whole
from groundwork.workspace import Workspace

MEMBER = Workspace.find(Path(__file__).parent).member("cnn-inference-pipeline")


@pytest.mark.parametrize("lab", MEMBER.labs(), ids=lambda lab: lab.name)
def test_every_lab_is_whole(lab: object) -> None:
    assert_lab_is_whole(lab)


def test_every_public_name_is_there() -> None:
    for name in cnn_inference_pipeline.__all__:
        assert getattr(cnn_inference_pipeline, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = cnn_inference_pipeline.nothing
