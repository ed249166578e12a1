"""Images as tensors: scikit-learn's 8×8 digits, MNIST, Fashion-MNIST.

The digits travel with scikit-learn, so a lab's quick presets need no download; the other two come
from the data registry.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from groundwork import Run

DataName = Literal["digits", "mnist", "fashion_mnist"]

FASHION_CLASSES = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


@dataclass(frozen=True)
class Images:
    """A data set of grey images, split into a training and a test part.

    x_train, x_test : float32 tensors of shape (n, 1, height, width), values in [0, 1].
    y_train, y_test : int64 tensors of shape (n,), the class of each image.
    classes : the name of each class.
    """

    name: str
    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    classes: tuple[str, ...]

    @property
    def size(self) -> int:
        """The height (and width) of an image in pixels."""
        return self.x_train.shape[-1]

    def first(self, train: int, test: int | None = None) -> "Images":
        """The first `train` training and `test` test images (all of them for None)."""
        return replace(
            self,
            x_train=self.x_train[:train],
            y_train=self.y_train[:train],
            x_test=self.x_test[:test],
            y_test=self.y_test[:test],
        )

    def validation_split(self, share: float, seed: int) -> "Images":
        """Hold back a share of the training part, drawn with `seed`, as the test part."""
        order = torch.randperm(len(self.x_train), generator=torch.Generator().manual_seed(seed))
        held = int(len(order) * share)
        test, train = order[:held], order[held:]
        return replace(
            self,
            x_train=self.x_train[train],
            y_train=self.y_train[train],
            x_test=self.x_train[test],
            y_test=self.y_train[test],
        )


def load_images(run: Run, name: DataName) -> Images:
    """Load a data set through the run, so that its checksum is part of the record.

    `digits` has 1,437 training and 360 test images of 8×8 pixels (a fixed split, the same share of
    each class in both parts); `mnist` and `fashion_mnist` have 60,000 and 10,000 of 28×28.
    """
    loaded = run.data(name)
    if name == "digits":
        return _split_digits(loaded["x"], loaded["y"])
    digits = tuple(str(digit) for digit in range(10))
    return Images(
        name,
        _to_unit(loaded["x_train"], 255),
        torch.from_numpy(loaded["y_train"].astype(np.int64)),
        _to_unit(loaded["x_test"], 255),
        torch.from_numpy(loaded["y_test"].astype(np.int64)),
        FASHION_CLASSES if name == "fashion_mnist" else digits,
    )


def _split_digits(x: np.ndarray, y: np.ndarray) -> Images:
    """A fifth of each class for the test, chosen with a fixed seed."""
    order = np.random.default_rng(0).permutation(len(x))
    test = np.zeros(len(x), dtype=bool)
    for label in range(10):
        members = order[y[order] == label]
        test[members[: round(len(members) / 5)]] = True
    train = order[~test[order]]
    held = order[test[order]]
    return Images(
        "digits",
        _to_unit(x[train], 16),
        torch.from_numpy(y[train].astype(np.int64)),
        _to_unit(x[held], 16),
        torch.from_numpy(y[held].astype(np.int64)),
        tuple(str(digit) for digit in range(10)),
    )


def _to_unit(images: np.ndarray, largest: float) -> Tensor:
    """Pixels 0…largest of shape (n, h, w) → float32 of shape (n, 1, h, w) in [0, 1]."""
    unit = torch.from_numpy(np.ascontiguousarray(images)).to(torch.float32)
    return unit.div_(largest).unsqueeze(1)
