"""Networks with their types written into them, as TensorRT takes them.

TensorRT 11 chooses no precision by itself: a network is *strongly typed*, each tensor has the type
that the model gives it, and integers are asked for by pairs of QuantizeLinear and DequantizeLinear
("Q/DQ") where they shall begin and end. Its integers are symmetric: a tensor is $s q$ with a whole
number $q$ from -128 to 127 and no zero point; weights have a scale for each output channel; what
a layer adds (the bias) stays a real number. `symmetric_qdq` writes such a network, `violations`
reads one and names what TensorRT would refuse, `halved` writes one in half precision.

NVIDIA's documentation: *TensorRT 11: Working with quantized types; Migrating from 10.x to 11.x*.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference_backends.backends.base import Batch
from inference_backends.quiet import quiet

if TYPE_CHECKING:
    import onnx

#: The layers whose inputs are made integers; what is between them stays real and is fused.
QUANTIZED_LAYERS = ("Conv", "Gemm", "MatMul")
_OPERATORS = """
    Add AveragePool Cast Clip Concat Constant Conv DequantizeLinear Div Erf Exp Flatten Gather Gemm
    GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish Identity LayerNormalization LeakyRelu
    LogSoftmax MatMul Max MaxPool Min Mul Pad Pow QuantizeLinear ReduceMax ReduceMean ReduceSum Relu
    Reshape Shape Sigmoid Slice Softmax Split Sqrt Squeeze Sub Tanh Transpose Unsqueeze
"""
#: What TensorRT's ONNX parser takes of the operators that networks for images are made of.
OPERATORS = frozenset(_OPERATORS.split())


class _Batches:
    """Calibration images in batches of 100, as ONNX Runtime's calibration asks for them."""

    def __init__(self, name: str, images: Batch) -> None:
        self._left: Iterator[dict[str, Batch]] = iter(
            [{name: images[k : k + 100]} for k in range(0, len(images), 100)]
        )

    def get_next(self) -> dict[str, Batch] | None:
        return next(self._left, None)


def symmetric_qdq(model: "onnx.ModelProto", images: Batch) -> "onnx.ModelProto":
    """The model with Q/DQ pairs before its convolutions and linear maps.

    Calibrated by ONNX Runtime on images (n, channels, height, width): activations by their
    largest magnitude, weights per output channel. A ReLU's output spends half of the integers on
    values that it never has: the price of a zero point that is always 0.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with quiet(), tempfile.TemporaryDirectory() as folder:
        before, ready, after = (str(Path(folder) / f"{name}.onnx") for name in "abc")
        onnx.save(model, before)
        quant_pre_process(before, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            after,
            _Batches(model.graph.input[0].name, images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED_LAYERS),
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "QuantizeBias": False,
                "OpTypesToExcludeOutputQuantization": list(QUANTIZED_LAYERS),
            },
        )
        made: onnx.ModelProto = onnx.load(after)
    return made


def halved(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """The model with half-precision weights and activations; its input and output stay float32."""
    import copy

    from onnxruntime.transformers.float16 import convert_float_to_float16

    with quiet():
        made: onnx.ModelProto = convert_float_to_float16(copy.deepcopy(model), keep_io_types=True)
    return made


def violations(model: "onnx.ModelProto") -> list[str]:
    """What TensorRT would refuse, or not run in integers: one line each; empty where all is well.

    Looked at: operators that its parser lacks; zero points that are not 0 or not signed 8-bit;
    scales that are not positive, finite constants; scales per channel on an axis other than the
    weight's output channels, or on an activation; a bias in integers.
    """
    constants = _constants(model)
    found = [
        f"{node.name or node.op_type}: TensorRT's parser has no {node.op_type}"
        for node in model.graph.node
        if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx")
    ]
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            found += [f"{node.name}: {fault}" for fault in _pair_faults(node, constants)]
    made_by = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type in QUANTIZED_LAYERS:
            found += [f"{node.name}: {fault}" for fault in _layer_faults(node, made_by, constants)]
    return found


def quantized_layers(model: "onnx.ModelProto") -> tuple[int, int]:
    """How many convolutions and linear maps read integers on both sides, and how many there are."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    layers = [node for node in model.graph.node if node.op_type in QUANTIZED_LAYERS]
    whole = sum(
        all(
            name in made_by and made_by[name].op_type == "DequantizeLinear"
            for name in node.input[:2]
        )
        for node in layers
    )
    return whole, len(layers)


def activation_ranges(model: "onnx.ModelProto") -> dict[str, float]:
    """The scale of each quantized activation, by the name of the tensor that is quantized."""
    constants = _constants(model)
    return {
        node.input[0]: float(constants[node.input[1]])
        for node in model.graph.node
        if node.op_type == "QuantizeLinear" and node.input[1] in constants
    }


def _constants(model: "onnx.ModelProto") -> dict[str, NDArray[Any]]:
    from onnx import numpy_helper

    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _axis(node: "onnx.NodeProto") -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)


def _pair_faults(node: "onnx.NodeProto", constants: dict[str, NDArray[Any]]) -> Iterator[str]:
    """What is wrong with one QuantizeLinear or DequantizeLinear."""
    scale = constants.get(node.input[1])
    if scale is None:
        yield "its scale is not a constant"
        return
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        yield "a scale is not positive and finite"
    if len(node.input) > 2 and node.input[2]:
        zero = constants.get(node.input[2])
        if zero is None:
            yield "its zero point is not a constant"
        elif zero.dtype != np.int8:
            yield f"integers of {zero.dtype}; int8 is taken"
        elif zero.any():
            yield f"a zero point of {zero[zero != 0].flat[0]}; 0 is taken"
    elif node.op_type == "QuantizeLinear":
        yield "integers of uint8; int8 is taken"
    if scale.size > 1:
        if node.input[0] not in constants:
            yield "a scale for each channel of an activation; one scale is taken"
        elif _axis(node) != 0:
            yield f"scales along axis {_axis(node)}; those of a weight's axis 0 are taken"


def _layer_faults(
    node: "onnx.NodeProto",
    made_by: dict[str, "onnx.NodeProto"],
    constants: dict[str, NDArray[Any]],
) -> Iterator[str]:
    """What is wrong with the inputs of one layer."""
    sources = [made_by.get(name) for name in node.input]
    integer = [source is not None and source.op_type == "DequantizeLinear" for source in sources]
    if len(integer) > 2 and integer[2]:
        yield "its bias is an integer; TensorRT adds biases as real numbers"
    if integer[:2] in ([True, False], [False, True]):
        yield "one of input and weight is quantized, the other not; both or neither is taken"
    turned = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    weight = sources[1]
    if node.op_type == "Gemm" and integer[1] and not turned and weight is not None:
        scale = constants.get(weight.input[1])
        if scale is not None and scale.size > 1:
            yield "scales along a Gemm's inputs; transB=1 puts the outputs first"
