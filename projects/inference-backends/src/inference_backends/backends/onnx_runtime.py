"""ONNX Runtime on the CPU, with all of its graph optimizations.

int8 is its static quantization: unsigned activations by their least and greatest value on the
example, signed weights per channel, as pairs of QuantizeLinear and DequantizeLinear that the
runtime fuses into integer kernels.
"""

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
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

if TYPE_CHECKING:
    import onnxruntime


class OnnxRuntime(Backend):
    """ONNX Runtime's CPU provider."""

    name = "onnxruntime"
    precisions = ("fp32", "int8")

    def absent(self) -> str | None:
        """The runtime, ONNX, and the exporter's library."""
        for library in ("onnxruntime", "onnx", "onnxscript"):
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
        import onnxruntime

        graph = to_onnx(model, example)
        if precision == "int8":
            from quantized_cnn.onnx_graph import quantize_by_runtime

            with quiet():
                graph = quantize_by_runtime(graph, torch.from_numpy(example))
        content = graph.SerializeToString()
        try:
            session = open_session(content, threads)
        except Exception as error:
            line = str(error).strip().splitlines()[0]
            raise UnsupportedError(
                f"onnxruntime cannot load the network ({line}); "
                "eager, compile and aot-inductor take it"
            ) from error
        integer = any(node.op_type == "QuantizeLinear" for node in graph.graph.node)
        info = SessionInfo(
            self.name,
            onnxruntime.__version__,
            precision,
            "int8" if integer else "fp32",
            session.get_session_options().intra_op_num_threads,
            len(content),
            elapsed(),
        )
        return OnnxRuntimeSession(session, example.shape[1:], info)


class OnnxRuntimeSession(Session):
    """A session of the runtime."""

    def __init__(
        self, session: "onnxruntime.InferenceSession", shape: tuple[int, ...], info: SessionInfo
    ) -> None:
        super().__init__(shape, info)
        self._session = session
        self._input = session.get_inputs()[0].name

    def _run(self, batch: Batch) -> Batch:
        logits: Batch = self._session.run(None, {self._input: batch})[0]
        return logits


def open_session(
    content: bytes,
    threads: int,
    change: Callable[["onnxruntime.SessionOptions"], None] | None = None,
) -> "onnxruntime.InferenceSession":
    """A session of the CPU provider for an ONNX model; `change` may set further options."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if change:
        change(options)
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
