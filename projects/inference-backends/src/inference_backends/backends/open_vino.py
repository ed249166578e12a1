"""OpenVINO on the CPU, with the hint for latency.

Its own choice of precision on many processors is bfloat16, so that each one is asked for by name.
int8 is NNCF's quantization of OpenVINO's graph, calibrated on the example.
"""

import importlib.util
import logging
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from inference_backends.backends.base import (
    Backend,
    Batch,
    Precision,
    Session,
    SessionInfo,
    UnsupportedError,
)
from inference_backends.exporting import to_onnx
from inference_backends.quiet import quiet

#: What the runtime calls the types of numbers.
TYPES: dict[str, Precision] = {"f32": "fp32", "bf16": "bf16", "f16": "fp16"}
HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}


class OpenVino(Backend):
    """OpenVINO's CPU plugin."""

    name = "openvino"
    precisions = ("fp32", "bf16", "fp16", "int8")
    #: NNCF's normal settings end a range at the mean of the images' extremes: outliers are clipped,
    #: which moves single logits far and the answers hardly.
    tolerance: ClassVar[dict[Precision, float]] = Backend.tolerance | {"int8": 0.5}

    def absent(self) -> str | None:
        """The runtime, the exporter's libraries, and NNCF for int8."""
        for library in ("openvino", "onnx", "onnxscript", "nncf"):
            if importlib.util.find_spec(library) is None:
                return f"{library} is not installed"
        return None

    def _compile(
        self,
        model: nn.Module,
        example: Batch,
        precision: Precision,
        threads: int,
        elapsed: Callable[[], float],
    ) -> Session:
        return open_graph(read_graph(model, example), example, precision, threads, elapsed)


class OpenVinoSession(Session):
    """A compiled model and one request to it."""

    def __init__(self, compiled: Any, shape: tuple[int, ...], info: SessionInfo) -> None:
        super().__init__(shape, info)
        self._compiled = compiled
        self._request = compiled.create_infer_request()

    def _run(self, batch: Batch) -> Batch:
        found = self._request.infer([batch], share_inputs=True)
        logits: Batch = found[0].copy()
        return logits


def open_graph(
    graph: Any,
    example: Batch,
    precision: Precision,
    threads: int,
    elapsed: Callable[[], float],
) -> OpenVinoSession:
    """A session for a graph, which is left as it is; in int8 it is quantized first."""
    import openvino

    graph = graph.clone()
    if precision == "int8":
        graph = quantize(graph, example)
    compiled = compile_graph(graph, precision, threads)
    info = SessionInfo(
        OpenVino.name,
        openvino.__version__.split("-")[0],
        precision,
        precision_used(compiled),
        compiled.get_property("INFERENCE_NUM_THREADS"),
        graph_bytes(graph),
        elapsed(),
    )
    return OpenVinoSession(compiled, example.shape[1:], info)


def read_graph(model: nn.Module, example: Batch) -> Any:
    """The module as OpenVINO's graph, for any number of images.

    Raises as `to_onnx`, and UnsupportedError for what OpenVINO has no operation for.
    """
    import openvino

    content = to_onnx(model, example).SerializeToString()
    try:
        with quiet():
            return openvino.Core().read_model(content)
    except Exception as error:
        line = str(error).strip().splitlines()[-1]
        raise UnsupportedError(
            f"openvino cannot read the network ({line}); eager, compile and aot-inductor take it"
        ) from error


def quantize(graph: Any, example: Batch) -> Any:
    """NNCF's post-training quantization of an OpenVINO graph, on all of the images."""
    with quiet():
        import nncf

        nncf.set_log_level(logging.ERROR)
        data = nncf.Dataset([example[i : i + 1] for i in range(len(example))])
        return nncf.quantize(graph, data, subset_size=len(example))


def compile_graph(graph: Any, precision: Precision, threads: int, **options: Any) -> Any:
    """A graph compiled for the CPU and for latency; other options are the runtime's properties."""
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
    } | options
    try:
        with quiet():
            return openvino.Core().compile_model(graph, "CPU", settings)
    except Exception as error:
        line = str(error).strip().splitlines()[-1]
        raise UnsupportedError(
            f"openvino cannot compile the network ({line}); eager, compile and aot-inductor take it"
        ) from error


def precision_used(compiled: Any) -> Precision:
    """The type of numbers that most convolutions and matrix products are computed in."""
    kinds: Counter[str] = Counter()
    for node in compiled.get_runtime_model().get_ordered_ops():
        told = node.get_rt_info()
        if "layerType" in told and told["layerType"].astype(str) in LAYERS:
            kinds[told["runtimePrecision"].astype(str)] += 1
    used = kinds.most_common(1)[0][0] if kinds else ""
    if used in ("i8", "u8"):
        return "int8"
    return TYPES.get(used, TYPES[compiled.get_property("INFERENCE_PRECISION_HINT").to_string()])


#: What the runtime's graph calls the layers with weights.
LAYERS = ("Convolution", "FullyConnected", "MatMul", "GroupConvolution")


def graph_bytes(graph: Any) -> int:
    """Bytes of the two files of the graph: its description and its weights."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        openvino.save_model(graph, Path(folder) / "network.xml", compress_to_fp16=False)
        return sum(path.stat().st_size for path in Path(folder).iterdir())
