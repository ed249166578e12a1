"""Images as tensors: 8×8 digits, Fashion-MNIST, CIFAR-10.

The digits travel with scikit-learn, so that a lab's quick presets need no download. Of CIFAR-10 the
registry has a fixed part, 10,000 images to learn from and 2,000 to test on.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.nn import functional

from groundwork import Run

DataName = Literal["digits", "fashion_mnist", "cifar10_subset"]


@dataclass(frozen=True)
class Images:
    """Images to learn from and to test on, normalized: mean 0 and variance 1 in training.

    x_train, x_test : float32 (n, channels, height, width).
    y_train, y_test : int64 (n,).
    mirror : whether an image and its mirror image are of the same class.
    """

    name: str
    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    mirror: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.x_train.shape[1:]
        return channels, height, width

    @property
    def small(self) -> bool:
        """Whether the images are the 8×8 digits: few, and for the small networks."""
        return self.x_train.shape[-1] < 16

    @property
    def batch_size(self) -> int:
        """How many images a step of training takes."""
        return 32 if self.small else 128

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return self.x_train.shape[1]

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.y_train.max()) + 1

    def first(self, train: int | None, test: int | None = None) -> "Images":
        """The first images of each part; None: all."""
        return replace(
            self,
            x_train=self.x_train[:train],
            y_train=self.y_train[:train],
            x_test=self.x_test[:test],
            y_test=self.y_test[:test],
        )

    def augment(self, x: Tensor, generator: Generator) -> Tensor:
        """A batch moved by some pixels and, where that is allowed, mirrored, each image its own."""
        n, _, height, width = x.shape
        reach = max(1, height // 8)
        if self.mirror:
            mirrored = torch.rand(n, generator=generator) < 0.5
            x = torch.where(mirrored.view(-1, 1, 1, 1), x.flip(3), x)
        padded = functional.pad(x, (reach, reach, reach, reach))
        top, left = torch.randint(0, 2 * reach + 1, (2, n), generator=generator)
        rows = (top[:, None] + torch.arange(height)).view(n, 1, height, 1)
        columns = (left[:, None] + torch.arange(width)).view(n, 1, 1, width)
        channel = torch.arange(x.shape[1]).view(1, -1, 1, 1)
        return padded[torch.arange(n).view(-1, 1, 1, 1), channel, rows, columns]


def load_images(run: Run, name: DataName) -> Images:
    """Load a data set through the run, so that its checksum is part of the record."""
    loaded = run.data(name)
    if name == "digits":
        return _split_digits(loaded["x"], loaded["y"])
    if name == "fashion_mnist":
        parts = [loaded[key][:, None] for key in ("x_train", "x_test")]
    else:
        loaded = loaded["arrays"]
        parts = [loaded[key].transpose(0, 3, 1, 2) for key in ("x_train", "x_test")]
    return _images(name, parts[0], loaded["y_train"], parts[1], loaded["y_test"], mirror=True)


def _split_digits(x: NDArray, y: NDArray) -> Images:
    """A fifth of the digits, drawn with a fixed seed, for the test."""
    order = np.random.default_rng(0).permutation(len(x))
    held = len(x) // 5
    test, train = order[:held], order[held:]
    return _images("digits", x[train][:, None], y[train], x[test][:, None], y[test], mirror=False)


def _images(
    name: str, x_train: NDArray, y_train: NDArray, x_test: NDArray, y_test: NDArray, mirror: bool
) -> Images:
    first, second = (torch.from_numpy(np.array(x, np.float32)) for x in (x_train, x_test))
    mean = first.mean((0, 2, 3), keepdim=True)
    deviation = first.std((0, 2, 3), keepdim=True)
    return Images(
        name,
        (first - mean) / deviation,
        torch.from_numpy(np.asarray(y_train, np.int64)),
        (second - mean) / deviation,
        torch.from_numpy(np.asarray(y_test, np.int64)),
        mirror,
    )
