"""A graph as an ONNX model, node by node under the same names; and ONNX Runtime's quantizer on it.

The names make it possible to hold each scale of ours against the runtime's, rather than the last
output alone.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from quantized_cnn.graph import Graph

#: The version of the operators that the models are written in.
OPSET = 18


def to_onnx(graph: Graph, shape: tuple[int, int, int]) -> onnx.ModelProto:
    """A folded graph for images of this shape, any number of them at a time."""
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, NDArray] = {}
    for node in graph.nodes:
        inputs = list(node.inputs)
        if node.op in ("conv", "linear"):
            for kind, values in (("weight", graph.weights), ("bias", graph.biases)):
                constants[f"{node.name}.{kind}"] = values[node.name].detach().numpy()
                inputs.append(f"{node.name}.{kind}")
        options: dict[str, Any] = {}
        if node.op == "conv":
            kernel = graph.weights[node.name].shape[2:]
            options = {"strides": node.stride, "pads": node.padding * 2, "group": node.groups}
            nodes.append(_make("Conv", inputs, node.name, kernel_shape=kernel, **options))
        elif node.op == "linear":
            nodes.append(_make("Gemm", inputs, node.name, transB=1))
        elif node.op == "add":
            nodes.append(_make("Add", inputs, node.name))
        elif node.op == "clamp" and node.high == float("inf"):
            nodes.append(_make("Relu", inputs, node.name))
        elif node.op == "clamp":
            high = np.array(node.high, np.float32)
            constants |= {"zero": np.array(0, np.float32), f"{node.name}.high": high}
            nodes.append(_make("Clip", [*inputs, "zero", f"{node.name}.high"], node.name))
        elif node.op == "mean":
            nodes.append(_make("GlobalAveragePool", inputs, f"{node.name}.pool"))
            nodes.append(_make("Flatten", [f"{node.name}.pool"], node.name))
        elif node.op == "norm":
            raise ValueError(f"{node.name} is a batch norm; fold it first")
    first, last = graph.nodes[0].name, graph.nodes[-1].name
    classes = graph.weights[last].shape[0]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "network",
            [helper.make_tensor_value_info(first, TensorProto.FLOAT, ["n", *shape])],
            [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["n", classes])],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=10,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _make(kind: str, inputs: list[str], name: str, **options: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [name], name=name, **options)


class _Batches:
    """Calibration images, as the runtime asks for them."""

    def __init__(self, name: str, images: Tensor) -> None:
        self._batches: Iterator[dict[str, NDArray]] = iter(
            [{name: batch.numpy()} for batch in images.split(100)]
        )

    def get_next(self) -> dict[str, NDArray] | None:
        return next(self._batches, None)


def quantize_by_runtime(model: onnx.ModelProto, images: Tensor) -> onnx.ModelProto:
    """ONNX Runtime's static quantization, calibrated on images (n, channels, height, width).

    Unsigned activations by their least and greatest value, signed weights per channel.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        before, ready, after = (str(Path(folder) / f"{name}.onnx") for name in "abc")
        onnx.save(model, before)
        quant_pre_process(before, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            after,
            _Batches(model.graph.input[0].name, images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(after)


def scales(model: onnx.ModelProto) -> dict[str, NDArray[np.float32]]:
    """The scale of each tensor of a quantized model, by the name that it had before."""
    return {
        tensor.name.removesuffix("_scale"): numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.name.endswith("_scale")
    }


class RuntimeSession:
    """A model in ONNX Runtime, called as ours are."""

    def __init__(self, model: onnx.ModelProto, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._name = self._session.get_inputs()[0].name

    def __call__(self, x: Tensor) -> Tensor:
        """The outputs (n, classes) for images x."""
        import torch

        return torch.from_numpy(self._session.run(None, {self._name: x.numpy()})[0])
