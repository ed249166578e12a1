"""The small network that takes the large one's place.

What makes it quick is not the count of multiplications alone. A stem with a stride halves the
pixels before anything dear happens, so that few layers see many of them; the channels are multiples
of 16, which is how many of them the integer kernels of today's processors compute at once; and it
is shallow, since each layer costs a runtime some microseconds however small it is.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from quantized_cnn.networks import ResidualBlock


class Student(nn.Module):
    """A shallow residual network behind a strided stem.

    Parameters
    ----------
    classes, channels : of the output, and of the image.
    stem : channels of the first convolution.
    widths, blocks : channels and number of blocks of each stage; each stage but the first halves
        the pixels.
    stride : of the stem; `stem_stride` has the usual one.
    """

    def __init__(
        self,
        classes: int,
        channels: int,
        stem: int = 32,
        widths: Sequence[int] = (32, 64),
        blocks: Sequence[int] = (1, 1),
        stride: int = 2,
    ) -> None:
        super().__init__()
        kernel = 3 if stride == 1 else 2 * stride
        self.conv = nn.Conv2d(
            channels, stem, kernel, stride, (kernel - stride + 1) // 2, bias=False
        )
        self.norm = nn.BatchNorm2d(stem)
        stages: list[nn.Module] = []
        inputs = stem
        for number, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for k in range(count):
                step = 2 if number > 0 and k == 0 else 1
                stages.append(ResidualBlock(inputs, width, width, step))
                inputs = width
        self.stages = nn.Sequential(*stages)
        self.linear = nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) → logits (n, classes)."""
        x = torch.relu(self.norm(self.conv(x)))
        return self.linear(self.stages(x).mean((2, 3)))


def stem_stride(height: int) -> int:
    """The stride that leaves about 16 rows of the image: 1 for 8, 2 for 32, 4 for 64, 8 for 128."""
    stride = 1
    while height // (2 * stride) >= 16:
        stride *= 2
    return stride
