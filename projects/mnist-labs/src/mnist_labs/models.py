"""The networks of the convolutional labs, each built for the image size that it is given."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def count_parameters(model: nn.Module) -> int:
    """The number of trainable numbers."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


class ConvBlock(nn.Sequential):
    """Convolution 3×3, batch normalisation, ReLU: (n, c_in, h, w) → (n, c_out, h, w)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class TinyNet(nn.Module):
    """Four narrow convolutions and an average: under 10,000 parameters at width 14.

    Nearly all parameters of a small classifier sit in its dense layer. Averaging each feature map
    to one number, as in Lin, Chen, Yan, "Network in Network" (2014), leaves a dense layer of
    `2 width × classes` numbers.
    """

    def __init__(self, width: int = 14, classes: int = 10) -> None:
        super().__init__()
        self.stem = ConvBlock(1, width)
        self.first = ConvBlock(width, width)
        self.second = ConvBlock(width, 2 * width)
        self.third = nn.Sequential(
            nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width, bias=False),
            nn.Conv2d(2 * width, 2 * width, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, 1, h, w) → logits (n, classes)."""
        x = functional.max_pool2d(self.stem(x), 2)
        x = functional.max_pool2d(self.first(x), 2) if x.shape[-1] >= 8 else self.first(x)
        x = self.third(self.second(x))
        return self.head(x.mean(dim=(2, 3)))


class SmallCNN(nn.Module):
    """Five convolutions, two halvings, global pooling: a small VGG that two cores can train.

    The first convolution is 5×5 with stride 2, so that no layer works on the full image, where
    most of the time would go; the rest are pairs of 3×3 (Simonyan, Zisserman, 2015) with batch
    normalisation (Ioffe, Szegedy, 2015). Mean and maximum of each map go to the dense layer.
    """

    def __init__(self, width: int = 32, classes: int = 10, dropout: float = 0.0) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.stage1 = ConvBlock(width, width)
        self.stage2 = nn.Sequential(ConvBlock(width, 2 * width), ConvBlock(2 * width, 2 * width))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, 1, h, w) → logits (n, classes)."""
        x = functional.max_pool2d(self.stage1(self.stem(x)), 2)
        x = self.stage2(x)
        x = torch.cat([x.amax(dim=(2, 3)), x.mean(dim=(2, 3))], dim=1)
        return self.head(self.dropout(x))
