"""A PyTorch module as a graph that other runtimes read, for any number of images at a time.

`export_program` is PyTorch's own export; `to_onnx` writes an ONNX model. What cannot be written
down is told with the layer's name and with the backends that run it all the same.

PyTorch's documentation of `torch.export` and of the exporter to ONNX, 2.9 and later.
"""

import contextlib
import copy
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from inference_backends.backends.base import Batch, UnsupportedError
from inference_backends.quiet import quiet

if TYPE_CHECKING:
    import onnx

#: Names of the input and the output of every ONNX model that is made here.
INPUT, OUTPUT = "images", "logits"


def two_images(example: Batch) -> Tensor:
    """Two images (2, channels, height, width): a graph traced with one would take no other."""
    return torch.from_numpy(np.resize(example, (2, *example.shape[1:])))


def check_fits(model: nn.Module, example: Batch) -> None:
    """Raise ValueError where the network does not take images of this shape."""
    try:
        with torch.no_grad():
            model(two_images(example))
    except Exception as error:
        shape = ", ".join(map(str, example.shape[1:]))
        raise ValueError(f"the network does not take images ({shape}): {_line(error)}") from error


class Narrow(nn.Module):
    """A network that computes in a narrower type than what it takes and gives, float32."""

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.model = model.to(dtype)
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        """Images → logits, both float32."""
        logits: Tensor = self.model(x.to(self.dtype)).float()
        return logits


def export_program(
    model: nn.Module, example: Batch, dtype: torch.dtype = torch.float32
) -> torch.export.ExportedProgram:
    """PyTorch's graph of a copy of the module, with a symbolic number of images.

    The copy computes in `dtype`; images and logits are float32.

    Raises ValueError where the network does not take the example's shape; UnsupportedError, with
    the layer's name, where it computes something that depends on the values.
    """
    check_fits(model, example)
    model = copy.deepcopy(model)
    if dtype != torch.float32:
        model = Narrow(model, dtype)
    try:
        return _export(model, example)
    except Exception as error:
        raise UnsupportedError(
            f"{_layer_at_fault(model, example)} cannot be written as a graph "
            f"({_line(error)}); eager takes it"
        ) from error


def to_onnx(model: nn.Module, example: Batch) -> "onnx.ModelProto":
    """The module as an ONNX model: input `images` (n, channels, height, width), output `logits`.

    Batch norms are folded into the convolutions before them. Raises as `export_program`, and
    UnsupportedError for an operation that ONNX has not, by the name of its layer.
    """
    program = export_program(model, example)
    try:
        with quiet():
            exported = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: "n"},),
            )
    except Exception as error:
        raise UnsupportedError(
            f"{_layer_of_operation(program, error)} has no form in ONNX; "
            "eager, compile and aot-inductor take it"
        ) from error
    assert exported is not None
    return exported.model_proto


def _export(model: nn.Module, example: Batch) -> torch.export.ExportedProgram:
    count = torch.export.Dim("n", min=1)
    with quiet(), torch.no_grad():
        return torch.export.export(model, (two_images(example),), dynamic_shapes=({0: count},))


def _layer_at_fault(model: nn.Module, example: Batch) -> str:
    """The innermost layer that is at work when the export fails."""
    at_work: list[str] = []
    for name, module in model.named_modules():
        told = f"{name or 'the network'} ({type(module).__name__})"
        module.register_forward_pre_hook(lambda *_, told=told: at_work.append(told))
        module.register_forward_hook(lambda *_: at_work.pop() and None)
    with contextlib.suppress(Exception):
        _export(model, example)
    return at_work[-1] if at_work else "the network"


def _layer_of_operation(program: torch.export.ExportedProgram, error: Exception) -> str:
    """The layer that the operation named in the exporter's error belongs to, and the operation."""
    told = re.search(r"No ONNX function found for <OpOverload\(op='\w+\.(\w+)'", str(error))
    for node in program.graph.nodes:
        if told and node.op == "call_function" and told[1] in str(node.target):
            stack: dict[str, Any] = node.meta.get("nn_module_stack") or {}
            path, kind = list(stack.values())[-1] if stack else ("", "")
            name = str(path).removeprefix("L['self'].") or "the network"
            return f"{name} ({str(kind).rsplit('.', 1)[-1]}), {told[1]},"
    return f"the network ({_line(error)})"


def _line(error: BaseException) -> str:
    """The first line of an error's text."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(" .")
