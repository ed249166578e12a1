"""The data of a pipeline: the digits, CIFAR-10's part, or a user's folder of images.

The pixels stay bytes, as they lie in image files, with the mean and deviation that normalize them,
so that a bundle can do the same to an image that it is given.

Part of the training images is held out of all training. Whatever the pipeline has to choose (how
narrow, how many bits, which runtime), it chooses on these; the test images are looked at for the
report alone.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from groundwork import Run
from groundwork.errors import UsageError
from quantized_cnn.images import Images

#: The built-in data sets.
BUILT_IN = ("digits", "cifar10_subset")
#: Images held out for choices: a tenth of those to learn from, at most so many.
MOST_HELD_OUT = 500
CIFAR_LABELS = [
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
]  # fmt: skip


@dataclass(frozen=True)
class Dataset:
    """Images as bytes with their labels.

    x_train, x_choice, x_test : uint8 (n, channels, height, width): to learn from, to choose by, to
        judge by; y_… : int64 (n,).
    labels : the classes' names.
    mirror : whether an image and its mirror image are of the same class.
    """

    name: str
    labels: list[str]
    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_choice: NDArray[np.uint8]
    y_choice: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]
    mirror: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.x_train.shape[1:]
        return channels, height, width

    @cached_property
    def digest(self) -> str:
        """Of all that training sees; part of the stages' keys."""
        digest = hashlib.sha256(f"{self.labels} {self.mirror} {self.x_train.shape}".encode())
        for array in (self.x_train, self.y_train, self.x_choice, self.y_choice):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def mean(self) -> NDArray[np.float32]:
        """Of each channel in training, (channels,)."""
        return self.x_train.mean((0, 2, 3), dtype=np.float64).astype(np.float32)

    @cached_property
    def deviation(self) -> NDArray[np.float32]:
        """Of each channel in training, (channels,); 1 where a channel is constant."""
        found = self.x_train.std((0, 2, 3), dtype=np.float64).astype(np.float32)
        return np.where(found > 0, found, np.float32(1))

    def normalized(self, x: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Images as the networks take them."""
        return normalize(x, self.mean, self.deviation)

    @cached_property
    def images(self) -> Images:
        """The images to learn from and to test on, as tensors."""
        return Images(
            self.name,
            torch.from_numpy(self.normalized(self.x_train)),
            torch.from_numpy(self.y_train),
            torch.from_numpy(self.normalized(self.x_test)),
            torch.from_numpy(self.y_test),
            self.mirror,
        )

    @cached_property
    def calibration(self) -> NDArray[np.float32]:
        """Images that ranges are found on: the first of those to learn from, at most 300."""
        return self.normalized(self.x_train[:300])


def normalize(
    x: NDArray[np.uint8], mean: NDArray[np.float32], deviation: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Images (n, channels, height, width) with mean 0 and variance 1 for each channel."""
    place = (1, -1, 1, 1)
    result = (x.astype(np.float32) - mean.reshape(place)) / deviation.reshape(place)
    return np.ascontiguousarray(result, np.float32)


def check_calibration(x: NDArray[np.uint8]) -> None:
    """Raise UsageError where each image to calibrate with is one constant."""
    flat = x.reshape(len(x), -1)
    if (flat.max(1) == flat.min(1)).all():
        raise UsageError(
            f"all {len(x)} images to calibrate with are constant: no range can be learnt from "
            "them; give real images"
        )


def load_dataset(run: Run, data: str, mirror: bool) -> Dataset:
    """The built-in data set of this name, or the folder's images.

    Raises UsageError for what is neither, or a folder that cannot be learnt from.
    """
    if data == "digits":
        loaded = run.data("digits")
        order = np.random.default_rng(0).permutation(len(loaded["x"]))
        x = np.rint(loaded["x"] * (255.0 / 16.0)).astype(np.uint8)[:, None]
        held = len(x) // 5
        test, train = order[:held], order[held:]
        y = loaded["y"].astype(np.int64)
        names = [str(k) for k in range(10)]
        return hold_out("digits", names, x[train], y[train], x[test], y[test], False)
    if data == "cifar10_subset":
        arrays = run.data("cifar10_subset")["arrays"]
        x_train, x_test = (arrays[key].transpose(0, 3, 1, 2) for key in ("x_train", "x_test"))
        y_train, y_test = (arrays[key].astype(np.int64) for key in ("y_train", "y_test"))
        return hold_out("cifar10_subset", CIFAR_LABELS, x_train, y_train, x_test, y_test, True)
    from cnn_inference_pipeline.image_folder import read_folder

    return read_folder(data, mirror)


def hold_out(
    name: str,
    labels: list[str],
    x_train: NDArray[np.uint8],
    y_train: NDArray[np.int64],
    x_test: NDArray[np.uint8],
    y_test: NDArray[np.int64],
    mirror: bool,
) -> Dataset:
    """A data set whose choices are made on images drawn from those to learn from."""
    order = np.random.default_rng(1).permutation(len(x_train))
    held = max(1, min(MOST_HELD_OUT, len(order) // 10))
    choice, train = np.sort(order[:held]), order[held:]
    check_calibration(x_train[train][:300])
    return Dataset(
        name,
        list(labels),
        np.ascontiguousarray(x_train[train]),
        y_train[train],
        np.ascontiguousarray(x_train[choice]),
        y_train[choice],
        np.ascontiguousarray(x_test),
        y_test,
        mirror,
    )
