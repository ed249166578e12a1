"""Palettes, points around them, and pictures in few colors.

A made palette has entries that are told apart easily; the points around them differ by noise whose
size is stated in CIEDE2000, rounded to the 8 bits of a picture. Which entry a point came from is
known, so that clusters can be held against it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular_labs.color import (
    SPACES,
    ciede2000,
    in_gamut,
    jitter,
    lab_to_srgb,
    srgb_to_lab,
)


@dataclass(frozen=True)
class Painted:
    """Points around a palette.

    palette : CIELAB (k, 3). points : uint8 (n, 3), sRGB. labels : the entry of each point (n,).
    """

    palette: NDArray[np.float64]
    points: NDArray[np.uint8]
    labels: NDArray[np.int64]


def make_palette(rng: np.random.Generator, k: int, apart: float) -> NDArray[np.float64]:
    """`k` colors of a screen, CIELAB (k, 3), each at least `apart` in CIEDE2000 from all others.

    Raises ValueError where a thousand tries for one color find none.
    """
    chosen = np.empty((0, 3))
    tries = 0
    while len(chosen) < k:
        if tries > 1000:
            raise ValueError(f"{k} colors that are {apart:g} apart do not fit on a screen")
        new = rng.uniform([20, -80, -80], [92, 80, 90])
        tries += 1
        if not in_gamut(lab_to_srgb(new)):
            continue
        if len(chosen) and ciede2000(chosen, new).min() < apart:
            continue
        chosen, tries = np.vstack([chosen, new]), 0
    return chosen


def paint(rng: np.random.Generator, palette: NDArray[np.float64], n: int, noise: float) -> Painted:
    """`n` points of unequal shares around the palette, each off by about `noise` in CIEDE2000.

    Points that a screen does not have are drawn again.
    """
    shares = rng.dirichlet(np.full(len(palette), 5.0))
    labels = np.concatenate([np.arange(len(palette)), rng.choice(len(palette), n, p=shares)])[:n]
    lab = jitter(rng, palette[labels], noise)
    for _ in range(100):
        off = ~in_gamut(lab_to_srgb(lab))
        if not off.any():
            break
        lab[off] = jitter(rng, palette[labels[off]], noise)
    srgb = np.clip(lab_to_srgb(lab), 0, 1)
    return Painted(palette, np.round(255 * srgb).astype(np.uint8), labels.astype(np.int64))


def to_space(points: NDArray[np.uint8], space: str) -> NDArray[np.float64]:
    """8-bit sRGB (…, 3) in one of `SPACES`."""
    return SPACES[space][0](points / 255.0)


def from_space(values: NDArray[np.float64], space: str) -> NDArray[np.uint8]:
    """The nearest 8-bit sRGB of a color in one of `SPACES`."""
    return np.round(255 * np.clip(SPACES[space][1](values), 0, 1)).astype(np.uint8)


def uniform_cells(points: NDArray[np.uint8], levels: int) -> NDArray[np.int64]:
    """The cell of each point where each channel of sRGB is cut into `levels` alike: (n,)."""
    parts = points.astype(np.int64) * levels // 256
    return np.asarray(parts @ np.array([levels * levels, levels, 1]))


def quantization_error(
    picture: NDArray[np.uint8], quantized: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """The CIEDE2000 difference of each pixel, both 8-bit sRGB (…, 3)."""
    return ciede2000(srgb_to_lab(picture / 255.0), srgb_to_lab(quantized / 255.0))


def quantize(
    picture: NDArray[np.uint8], space: str, make: Callable[[], Any], sample: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A picture in the colors of a clustering's centers.

    Parameters
    ----------
    picture : uint8 (h, w, 3). space : one of `SPACES`, in which clusters are found.
    make : gives an unfitted estimator with `fit`, `predict` and `cluster_centers_`.
    sample : the numbers of the pixels to learn from.

    Returns the picture and the palette, uint8 (k, 3).
    """
    pixels = to_space(picture.reshape(-1, 3), space)
    model = make().fit(pixels[sample])
    palette = from_space(model.cluster_centers_, space)
    return palette[model.predict(pixels)].reshape(picture.shape), palette


def load_picture(path: str | Path, longest: int = 1000) -> NDArray[np.uint8]:
    """A picture of any format that Pillow reads, uint8 (h, w, 3), made smaller if need be.

    Raises ValueError for a file that is no picture, or is not there.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.thumbnail((longest, longest))
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; a PNG or JPEG picture is taken") from None
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path} is no picture that can be read ({error})") from None
