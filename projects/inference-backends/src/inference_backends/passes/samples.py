"""Models with work for the passes still to do, and sessions that leave it to them."""

import io
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import helper
from torch import nn

from inference_backends.backends.base import Batch
from inference_backends.exporting import INPUT, OUTPUT, two_images
from inference_backends.passes.rewriting import Array
from inference_backends.quiet import quiet


def torchscript(model: nn.Module, example: Batch, *, folded: bool) -> onnx.ModelProto:
    """The module as PyTorch's older exporter writes it, by tracing.

    The input is `images` (n, channels, height, width), the output `logits`.

    folded : whether batch norms go into convolutions and constants are computed beforehand, as the
        exporter does unless it is told not to.
    """
    file = io.BytesIO()
    mode = torch.onnx.TrainingMode
    with quiet():
        torch.onnx.export(
            model,
            (two_images(example),),
            file,
            dynamo=False,
            training=mode.EVAL if folded else mode.PRESERVE,
            do_constant_folding=folded,
            opset_version=18,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "n"}, OUTPUT: {0: "n"}},
        )
    return onnx.load_from_string(file.getvalue())


def unfolded(model: nn.Module, example: Batch) -> onnx.ModelProto:
    """The module with its batch norms and constants as they stand in it; see `torchscript`."""
    return torchscript(model, example, folded=False)


def channels_last(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model as a framework that keeps channels last would write it.

    Each convolution and batch norm stands between two transposes, and what is elementwise works on
    (n, height, width, channels). What is neither gets channels first.

    model : its first input is (n, channels, height, width).
    """
    last, first = [0, 2, 3, 1], [0, 3, 1, 2]
    nodes: list[onnx.NodeProto] = []
    turned: dict[str, str] = {}  # the name of a tensor with channels first, and with channels last

    def transpose(name: str, order: list[int], to: str) -> str:
        nodes.append(helper.make_node("Transpose", [name], [to], perm=order))
        return to

    image = model.graph.input[0].name
    turned[image] = transpose(image, last, f"{image}.last")
    for old in model.graph.node:
        node = onnx.NodeProto()
        node.CopyFrom(old)
        images = [k for k, name in enumerate(old.input) if name in turned]
        elementwise = old.op_type in ("Relu", "Clip", "Add", "Identity")
        for k in images:
            name = turned[old.input[k]]
            node.input[k] = (
                name if elementwise else transpose(name, first, f"{name}.to.{len(nodes)}")
            )
        nodes.append(node)
        result = old.output[0]
        if images and elementwise:
            node.output[0] = turned[result] = f"{result}.last"
        elif images and old.op_type in ("Conv", "BatchNormalization"):
            turned[result] = transpose(result, last, f"{result}.last")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:], copy.graph.value_info[:]
    copy.graph.node.extend(nodes)
    onnx.checker.check_model(copy, full_check=True)
    return copy


def run(model: onnx.ModelProto, feeds: dict[str, Any], level: str = "off") -> list[Array]:
    """A model's outputs by ONNX Runtime, with its own optimization at this level."""
    return list(session(model, level).run(None, feeds))


def session(model: onnx.ModelProto, level: str = "off", path: Path | None = None) -> Any:
    """A session of ONNX Runtime, one thread.

    level : of its own optimization: off, basic, extended or all. path : where it writes the model
    as it was after that.
    """
    import onnxruntime

    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = {
        "off": levels.ORT_DISABLE_ALL,
        "basic": levels.ORT_ENABLE_BASIC,
        "extended": levels.ORT_ENABLE_EXTENDED,
        "all": levels.ORT_ENABLE_ALL,
    }[level]
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if path is not None:
        options.optimized_model_filepath = str(path)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
