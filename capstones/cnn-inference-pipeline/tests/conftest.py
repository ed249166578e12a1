"""A small data set of images that can be told apart, and one thread."""

import numpy as np
import pytest
import torch
from PIL import Image

from cnn_inference_pipeline.dataset import hold_out


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def draw(count, seed=0, size=8, channels=1):
    """Noise with a bright square, left in class 0 and right in class 1."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 2
    x = rng.integers(0, 90, (count, channels, size, size)).astype(np.uint8)
    half = size // 2
    for image, side in zip(x, y, strict=True):
        image[:, 2 : size - 2, half * side : half * side + half] += 120
    return x, y.astype(np.int64)


@pytest.fixture
def squares():
    """A function (count, seed, size, channels) → images and classes."""
    return draw


@pytest.fixture
def dataset():
    """80 images to learn from, 8 held out, 40 to test on, (1, 8, 8), two classes."""
    return hold_out("squares", ["left", "right"], *draw(88), *draw(40, seed=1), False)


@pytest.fixture
def folder(tmp_path):
    """The same as a folder of PNG files, 30 of each class."""
    root = tmp_path / "squares"
    x, y = draw(60)
    for k, (image, label) in enumerate(zip(x, y, strict=True)):
        place = root / ("left", "right")[label] / f"{k:03d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(place)
    return root
