r"""Colors as numbers: sRGB, linear light, CIE XYZ, CIELAB, OKLab, and how different two look.

A screen's sRGB value is light to a power of about 1/2.4, and equal steps of it are not equally
visible. CIELAB and OKLab are spaces in which distance is closer to what the eye sees; CIEDE2000
corrects CIELAB's distance for lightness, chroma and hue, and is what industry measures with. A
difference of 1 is about the least that is noticed, side by side.

All functions take arrays (…, 3), float64, and give the same shape. sRGB and linear light are 0 to
1, XYZ has the white at Y = 1, the white is D65.

IEC 61966-2-1 (sRGB), 1999; CIE 15, Colorimetry, 2004 (CIELAB); M. R. Luo, G. Cui and B. Rigg, The
development of the CIE 2000 colour-difference formula, 2001; G. Sharma, W. Wu and E. N. Dalal, The
CIEDE2000 color-difference formula: implementation notes, 2005; B. Ottosson, A perceptual color
space for image processing, 2020 (OKLab).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Colors = NDArray[np.float64]

#: Linear sRGB to XYZ, from the primaries and the white of the standard.
_TO_XYZ = np.array(
    [
        [0.4123907992659595, 0.357584339383878, 0.1804807884018343],
        [0.2126390058715104, 0.715168678767756, 0.0721923153607337],
        [0.0193308187155918, 0.119194779794626, 0.9505321522496608],
    ]
)
_TO_RGB = np.linalg.inv(_TO_XYZ)
_WHITE = _TO_XYZ.sum(axis=1)
_KNEE = 6 / 29
#: Linear sRGB to the three cones of OKLab, and from their cube roots to L, a, b.
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def _colors(values: ArrayLike) -> Colors:
    found = np.asarray(values, np.float64)
    if found.ndim == 0 or found.shape[-1] != 3:
        raise ValueError(f"colors have three numbers each, shape (…, 3); got {found.shape}")
    return found


def srgb_to_linear(srgb: ArrayLike) -> Colors:
    """The light of sRGB values; below 0 and above 1 the curve goes on, odd about 0."""
    c = _colors(srgb)
    size = np.abs(c)
    return np.sign(c) * np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(linear: ArrayLike) -> Colors:
    """The sRGB values of light."""
    c = _colors(linear)
    size = np.abs(c)
    low = 0.04045 / 12.92
    return np.sign(c) * np.where(size <= low, 12.92 * size, 1.055 * size ** (1 / 2.4) - 0.055)


def linear_to_xyz(linear: ArrayLike) -> Colors:
    """The tristimulus values of light of the sRGB primaries."""
    return _colors(linear) @ _TO_XYZ.T


def xyz_to_linear(xyz: ArrayLike) -> Colors:
    """The light of the sRGB primaries; below 0 or above 1 where sRGB has no such color."""
    return _colors(xyz) @ _TO_RGB.T


def xyz_to_lab(xyz: ArrayLike) -> Colors:
    """CIELAB: L* from 0 to 100, a* from green to red, b* from blue to yellow."""
    t = _colors(xyz) / _WHITE
    f = np.where(t > _KNEE**3, np.cbrt(t), t / (3 * _KNEE**2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lab_to_xyz(lab: ArrayLike) -> Colors:
    """The tristimulus values of CIELAB."""
    lightness, a, b = np.moveaxis(_colors(lab), -1, 0)
    y = (lightness + 16) / 116
    f = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    return np.where(f > _KNEE, f**3, 3 * _KNEE**2 * (f - 4 / 29)) * _WHITE


def srgb_to_lab(srgb: ArrayLike) -> Colors:
    """CIELAB of sRGB."""
    return xyz_to_lab(linear_to_xyz(srgb_to_linear(srgb)))


def lab_to_srgb(lab: ArrayLike) -> Colors:
    """SRGB of CIELAB; outside of 0 to 1 where a screen has no such color."""
    return linear_to_srgb(xyz_to_linear(lab_to_xyz(lab)))


def srgb_to_oklab(srgb: ArrayLike) -> Colors:
    """OKLab of sRGB: L from 0 to 1, a from green to red, b from blue to yellow."""
    return np.cbrt(srgb_to_linear(srgb) @ _TO_CONES.T) @ _TO_OKLAB.T


def oklab_to_srgb(oklab: ArrayLike) -> Colors:
    """SRGB of OKLab; outside of 0 to 1 where a screen has no such color."""
    cones = (_colors(oklab) @ np.linalg.inv(_TO_OKLAB).T) ** 3
    return linear_to_srgb(cones @ np.linalg.inv(_TO_CONES).T)


#: A name, and the ways from sRGB and back.
SPACES: dict[str, tuple[Callable[[ArrayLike], Colors], Callable[[ArrayLike], Colors]]] = {
    "srgb": (_colors, _colors),
    "linear": (srgb_to_linear, linear_to_srgb),
    "lab": (srgb_to_lab, lab_to_srgb),
    "oklab": (srgb_to_oklab, oklab_to_srgb),
}


def ciede2000(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """The CIEDE2000 difference of colors in CIELAB: shape (…,), by NumPy's broadcasting.

    With the reference conditions, in which all weights are 1.
    """
    l1, a1, b1 = np.moveaxis(_colors(first), -1, 0)
    l2, a2, b2 = np.moveaxis(_colors(second), -1, 0)
    stretch = _stretch((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2)
    c1, h1 = _polar(a1 * stretch, b1)
    c2, h2 = _polar(a2 * stretch, b2)
    both = (c1 * c2) > 0  # a grey has no hue
    turn = h2 - h1
    turn = np.where(turn > 180, turn - 360, np.where(turn < -180, turn + 360, turn))
    turn = np.where(both, turn, 0.0)
    hue_sum = h1 + h2
    far = np.abs(h1 - h2) > 180
    mean = np.where(far, np.where(hue_sum < 360, hue_sum + 360, hue_sum - 360), hue_sum) / 2
    mean = np.where(both, mean, hue_sum)
    d_lightness, d_chroma = l2 - l1, c2 - c1
    d_hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    s_lightness, s_chroma, s_hue, rotation = _weights((l1 + l2) / 2, (c1 + c2) / 2, mean)
    x, y, z = d_lightness / s_lightness, d_chroma / s_chroma, d_hue / s_hue
    return np.asarray(np.sqrt(np.maximum(x * x + y * y + z * z + rotation * y * z, 0.0)))


def _stretch(chroma: NDArray) -> NDArray:
    """By how much CIEDE2000 stretches a*: half as much again near grey."""
    return 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))


def _polar(a: NDArray, b: NDArray) -> tuple[NDArray, NDArray]:
    """Chroma, and hue in degrees from 0 to 360."""
    return np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360


def _weights(lightness: NDArray, chroma: NDArray, hue: NDArray) -> tuple[NDArray, ...]:
    """How much of lightness, chroma and hue goes unnoticed there, and the rotation in the blues."""
    off = (lightness - 50) ** 2
    s_lightness = 1 + 0.015 * off / np.sqrt(20 + off)
    s_chroma = 1 + 0.045 * chroma
    wave = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    s_hue = 1 + 0.015 * chroma * wave
    angle = 30 * np.exp(-(((hue - 275) / 25) ** 2))
    chroma7 = chroma**7
    rotation = -np.sin(np.radians(2 * angle)) * 2 * np.sqrt(chroma7 / (chroma7 + 25.0**7))
    return s_lightness, s_chroma, s_hue, rotation


def jitter(rng: np.random.Generator, lab: ArrayLike, size: float) -> Colors:
    """Colors that differ from those given by normal noise of about `size` in CIEDE2000.

    Lightness, chroma and hue vary independently, each by its weight at that color; the least of
    them is what the eye confuses, an ellipsoid that grows with chroma. `lab` and the result are
    CIELAB, (…, 3).
    """
    lightness, a, b = np.moveaxis(_colors(lab), -1, 0)
    stretch = _stretch(np.hypot(a, b))
    chroma, hue = _polar(a * stretch, b)
    s_lightness, s_chroma, s_hue, _ = _weights(lightness, chroma, hue)
    # The root of the mean square of three such steps is `size`.
    steps = rng.standard_normal((3, *lightness.shape)) * size / np.sqrt(3)
    radial, tangential = steps[1] * s_chroma, steps[2] * s_hue
    cosine, sine = np.cos(np.radians(hue)), np.sin(np.radians(hue))
    return np.stack(
        [
            lightness + steps[0] * s_lightness,
            a + (radial * cosine - tangential * sine) / stretch,
            b + radial * sine + tangential * cosine,
        ],
        axis=-1,
    )


def in_gamut(srgb: ArrayLike) -> NDArray[np.bool_]:
    """Whether a screen has the color: shape (…,)."""
    c = _colors(srgb)
    return np.asarray(((c >= 0) & (c <= 1)).all(axis=-1))
