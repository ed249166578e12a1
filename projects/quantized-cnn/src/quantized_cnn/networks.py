"""The networks that are made small: ResNet-20, and one like MobileNet.

There are small ones of both kinds for 8×8 digits.

Kaiming He and others, *Deep residual learning for image recognition*, 2016 (the CIFAR networks of
section 4.2); Mark Sandler and others, *MobileNetV2: inverted residuals and linear bottlenecks*,
2018. Widths and depths are arguments, so that a student or a pruned network is the same class.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

NetworkName = Literal["resnet", "mobilenet"]


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a short cut; where the shape changes, the short cut is 1×1."""

    def __init__(self, inputs: int, middle: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, middle, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) → (n, outputs, h / stride, w / stride)."""
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """A residual network for small images: stages of blocks, each with half the pixels.

    Parameters
    ----------
    classes, channels : of the output, and of the image.
    widths : channels of each stage; blocks : how many blocks each stage has. (16, 32, 64) and
        (3, 3, 3) is ResNet-20.
    """

    def __init__(
        self,
        classes: int = 10,
        channels: int = 3,
        widths: Sequence[int] = (16, 32, 64),
        blocks: Sequence[int] = (3, 3, 3),
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(widths[0])
        stages, inputs = [], widths[0]
        for number, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for k in range(count):
                stride = 2 if number > 0 and k == 0 else 1
                stages.append(ResidualBlock(inputs, width, width, stride))
                inputs = width
        self.stages = nn.Sequential(*stages)
        self.linear = nn.Linear(inputs, classes)
        _draw_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) → logits (n, classes)."""
        x = torch.relu(self.norm(self.conv(x)))
        return self.linear(self.stages(x).mean((2, 3)))


class InvertedResidual(nn.Module):
    """Widen by a 1×1 convolution, filter each channel alone by a 3×3 one, narrow without a bend."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.expand = nn.Conv2d(inputs, middle, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(middle)
        self.depthwise = nn.Conv2d(middle, middle, 3, stride, 1, groups=middle, bias=False)
        self.norm2 = nn.BatchNorm2d(middle)
        self.project = nn.Conv2d(middle, outputs, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) → (n, outputs, h / stride, w / stride)."""
        y = torch.nn.functional.relu6(self.norm1(self.expand(x)))
        y = torch.nn.functional.relu6(self.norm2(self.depthwise(y)))
        y = self.norm3(self.project(y))
        return x + y if self.residual else y


class MobileNet(nn.Module):
    """Inverted residuals for small images.

    Parameters
    ----------
    classes, channels : of the output, and of the image.
    widths, blocks : as in `ResNet`; expansion : how much wider a block is inside;
        stride : of the first convolution.
    """

    def __init__(
        self,
        classes: int = 10,
        channels: int = 3,
        widths: Sequence[int] = (16, 24, 40),
        blocks: Sequence[int] = (1, 2, 2),
        expansion: int = 4,
        stride: int = 2,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, widths[0], 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(widths[0])
        stages, inputs = [], widths[0]
        for number, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for k in range(count):
                step = 2 if number > 0 and k == 0 else 1
                stages.append(InvertedResidual(inputs, width, step, expansion))
                inputs = width
        self.stages = nn.Sequential(*stages)
        self.head = nn.Conv2d(inputs, 4 * inputs, 1, bias=False)
        self.norm_head = nn.BatchNorm2d(4 * inputs)
        self.linear = nn.Linear(4 * inputs, classes)
        _draw_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) → logits (n, classes)."""
        x = torch.nn.functional.relu6(self.norm(self.conv(x)))
        x = torch.nn.functional.relu6(self.norm_head(self.head(self.stages(x))))
        return self.linear(x.mean((2, 3)))


def make_network(name: NetworkName, classes: int, channels: int, small: bool = False) -> nn.Module:
    """ResNet-20 or the MobileNet-like network; `small` ones are for 8×8 images."""
    if name == "resnet":
        if small:
            return ResNet(classes, channels, (8, 16), (1, 1))
        return ResNet(classes, channels)
    if name == "mobilenet":
        if small:
            return MobileNet(classes, channels, (8, 16), (1, 1), stride=1)
        return MobileNet(classes, channels)
    raise ValueError(f"network {name!r}; resnet or mobilenet is taken")


def count_parameters(model: nn.Module) -> int:
    """The number of trainable numbers."""
    return sum(p.numel() for p in model.parameters())


def _draw_weights(model: nn.Module) -> None:
    """He's initialization for convolutions."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
