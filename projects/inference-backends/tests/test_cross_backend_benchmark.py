import json

import pytest

from groundwork.errors import UsageError
from groundwork.testing import run_lab
from inference_backends.backends.onnx_runtime import OnnxRuntime
from inference_backends.labs import cross_backend_benchmark as lab

QUICK = {
    "epochs": 4,
    "backends": ("eager", "onnxruntime", "tensorrt"),
    "precisions": ("fp32",),
    "batches": (1,),
    "seconds_each": 0.01,
}


def test_a_backend_that_fails_is_a_row_and_a_claim_that_fails(monkeypatch, tmp_path):
    def fails(*_):
        raise RuntimeError("no luck today")

    monkeypatch.setattr(OnnxRuntime, "_compile", fails)
    result = run_lab("inference-backends/cross-backend-benchmark", tmp_path, **QUICK)
    rows = json.loads((result.folder / "backends.json").read_text())
    errors = {row[0]: row[rows["columns"].index("error")] for row in rows["rows"]}
    assert errors["onnxruntime"] == "RuntimeError: no luck today"
    assert errors["eager"] is None
    claims = {claim["name"]: claim["holds"] for claim in result.claims}
    assert claims["not_measured"] is False


def test_what_is_absent_is_listed_with_the_reason():
    combinations, absent = lab.choose(("eager", "tensorrt"), ("fp32", "int8"))
    if "tensorrt" not in absent:
        pytest.skip("TensorRT is here: nothing is absent")
    assert combinations == [("eager", "fp32")]
    assert "tensorrt" in absent["tensorrt"] or "CUDA" in absent["tensorrt"]


@pytest.mark.parametrize(
    "backends, precisions, text",
    [
        (("eager", "caffe"), ("fp32",), "backend caffe; eager, compile"),
        (("eager",), ("fp8",), "precision fp8; fp32"),
        ((), ("fp32",), r"backend \(none\)"),
    ],
)
def test_names_that_are_none_are_refused_with_those_that_are(backends, precisions, text):
    with pytest.raises(UsageError, match=text):
        lab.choose(backends, precisions)
