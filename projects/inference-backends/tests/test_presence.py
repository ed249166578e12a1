"""Other tests are skipped, by name, where a runtime or a tool is absent: not where CI runs."""

import os
import sys

import pytest

from inference_backends import absent_backends, arm
from inference_backends.tensorrt_plugin import kernel


@pytest.mark.skipif(
    not (os.environ.get("CI") and sys.platform == "linux"),
    reason="not in CI on Linux, where every runtime but TensorRT must be there",
)
def test_in_ci_only_tensorrt_is_absent():
    assert set(absent_backends()) <= {"tensorrt"}, absent_backends()
    assert kernel.nvrtc_absent() is None
    arm.find_tools()  # raises an error that names what lacks
