r"""An operator that neither ONNX nor PyTorch has, exported with its meaning.

PyTorch is given it by `torch.library`: a name, a computation, and the shape of the result. The
exporter is given it as an onnxscript function, whose body says the same in ONNX's operators. It
writes the body into the graph in place of the operator, so that every runtime takes the model.

The operator is $x \mapsto x / (1 + \lvert x \rvert)$ times a learnt factor a channel.
"""

from functools import cache
from typing import Any

import onnx
import torch
from onnxscript import opset18 as op
from onnxscript import script, values
from onnxscript.onnx_types import FLOAT
from torch import Tensor, nn

from inference_backends.backends.base import Batch
from inference_backends.exporting import INPUT, OUTPUT, two_images
from inference_backends.quiet import quiet

#: The domain of the operator, in PyTorch and in ONNX.
DOMAIN = "groundwork"


@script(values.Opset(DOMAIN, 1))
def Squash(x: FLOAT, factor: FLOAT) -> FLOAT:  # noqa: N802
    """The operator in ONNX's own."""
    axes = op.Constant(value_ints=[1, 2])
    return op.Mul(op.Unsqueeze(factor, axes), op.Softsign(x))


@cache
def squash() -> Any:
    """PyTorch's operator: (n, channels, height, width), (channels,) → the first one's shape."""

    @torch.library.custom_op(f"{DOMAIN}::squash", mutates_args=())
    def operator(x: Tensor, factor: Tensor) -> Tensor:
        return factor.view(-1, 1, 1) * x / (1 + x.abs())

    @operator.register_fake
    def _(x: Tensor, factor: Tensor) -> Tensor:
        return torch.empty_like(x)

    return operator


class SquashLayer(nn.Module):
    """A layer of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.linspace(0.5, 2.0, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) → the same shape."""
        result: Tensor = squash()(x, self.factor)
        return result


def export_with_squash(model: nn.Module, example: Batch) -> onnx.ModelProto:
    """A module with such layers as an ONNX model of ONNX's own operators."""
    kernel = squash()  # registers the operator
    with quiet():
        exported = torch.onnx.export(
            model,
            (two_images(example),),
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: "n"},),
            custom_translation_table={kernel._opoverload: Squash},
        )
    assert exported is not None
    return exported.model_proto
