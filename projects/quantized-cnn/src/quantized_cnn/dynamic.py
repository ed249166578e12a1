r"""Dynamic quantization: the weights are integers beforehand, the activations when they come.

A static range has to hold for all inputs to come. A dynamic one is taken from the input at hand:
for each row $x_i$ of a batch the scale is $s_i = \max_j |x_{ij}| / 127$, so that

$$y_{ij} \approx s_i\, s_j \sum_k q_{ik}\, w_{jk} + b_j$$

is one product of 8-bit matrices with 32-bit sums, and a factor for each row and column. Nothing is
calibrated, and no input is clipped. The price is a pass over the input before each product, which
is little beside a large linear layer and much beside a convolution's small kernels.

Source: Aishwarya Bhandare and others, *Efficient 8-bit quantization of transformer neural machine
language translation model*, 2019.
"""

import copy

import torch
from torch import Tensor, nn

from quantized_cnn.affine import SMALLEST_SCALE, WEIGHTS, Quantizer


class DynamicLinear(nn.Module):
    """A linear map with int8 weights; each row of the input brings its own scale.

    weight : int8 (inputs, outputs); scale, bias : float32 (outputs,).
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        quantizer = Quantizer.of_values(WEIGHTS, linear.weight)
        integers = quantizer.quantize(linear.weight.detach()).to(torch.int8)
        self.register_buffer("weight", integers.T)
        self.register_buffer("scale", quantizer.scale)
        bias = torch.zeros(len(integers)) if linear.bias is None else linear.bias.detach().clone()
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs) → (n, outputs), float32."""
        steps = x.abs().amax(1, keepdim=True).div_(127).clamp_(min=SMALLEST_SCALE)
        q = torch.round(x / steps).to(torch.int8)
        sums = torch._int_mm(q, self.weight)
        return torch.addcmul(self.bias, sums.to(torch.float32) * steps, self.scale)


def quantize_dynamically(model: nn.Module) -> nn.Module:
    """A copy of the model whose linear maps are `DynamicLinear`."""
    model = copy.deepcopy(model).eval()
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear):
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], DynamicLinear(module))
    return model


def bytes_of(model: nn.Module) -> int:
    """Bytes of the parameters and buffers."""
    tensors = [*model.parameters(), *model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
