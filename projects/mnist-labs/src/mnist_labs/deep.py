"""A very deep dense network, and the three repairs that let it train.

A signal that passes 60 layers is multiplied 60 times. With PyTorch's default initialisation a ReLU
layer of width w shrinks the mean square of its input by about 1/6 (the weights' variance is
1 / (3 w), and half of the units are cut off), so that 60 layers leave 6⁻⁶⁰ of it, and as little of
the gradient on its way back.

*Initialisation* (He, Zhang, Ren, Sun, "Delving Deep into Rectifiers", 2015): weights of variance 2
/ w keep the mean square. *Normalisation* (Ioffe, Szegedy, "Batch Normalization", 2015) restores it
after every layer, whatever the weights. *Residuals* (He et al., "Deep Residual Learning", 2016)
add a layer's output to its input, so that the gradient has a way past it.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

#: The variants: initialisation, normalisation, residuals.
REPAIRS = {
    "plain": (False, False, False),
    "initialisation": (True, False, False),
    "normalisation": (False, True, False),
    "residuals": (False, False, True),
    "all three": (True, True, True),
}


class DeepBlock(nn.Module):
    """One layer: (n, width) → (n, width)."""

    def __init__(self, width: int, *, he: bool, normalise: bool, residual: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.norm = nn.BatchNorm1d(width) if normalise else nn.Identity()
        self.residual = residual
        if he:
            nn.init.kaiming_normal_(self.linear.weight, nonlinearity="relu")
            nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output, with its input added where it is residual."""
        y = torch.relu(self.norm(self.linear(x)))
        return x + y if self.residual else y


class DeepNet(nn.Module):
    """`depth` dense layers in a row: images (n, 1, h, w) → logits (n, classes)."""

    def __init__(
        self,
        pixels: int,
        *,
        depth: int = 60,
        width: int = 64,
        classes: int = 10,
        he: bool = False,
        normalise: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.first = nn.Linear(pixels, width)
        self.blocks = nn.ModuleList(
            DeepBlock(width, he=he, normalise=normalise, residual=residual)
            for _ in range(depth - 2)
        )
        self.last = nn.Linear(width, classes)
        if he:
            nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Images → logits."""
        x = torch.relu(self.first(x.flatten(1)))
        for block in self.blocks:
            x = block(x)
        return self.last(x)

    def layers(self) -> Iterator[nn.Linear]:
        """Its dense layers from the first to the last."""
        yield self.first
        for block in self.blocks:
            yield block.linear
        yield self.last


def gradient_norms(model: DeepNet, x: Tensor, y: Tensor) -> list[float]:
    """The norm of the loss's gradient by each layer's weights, first layer first."""
    model.train()
    model.zero_grad()
    cross_entropy(model(x), y).backward()
    norms = [float(layer.weight.grad.norm()) for layer in model.layers()]
    model.zero_grad()
    return norms
