r"""Fixed-point factors: multiply an integer by a real number with integers alone.

A positive factor is written as $m = m_0\,2^{-k}$ with an integer $2^{30} \le m_0 < 2^{31}$, which
is off by less than one part in $2^{30}$. Then $a\,m$ is the product $a\,m_0$ in 64 bits, shifted to
the right by $k$ bits, half an output step being added before: halves are rounded upwards. Below
$2^{-32}$, where the product of any sum is less than half a step anyway, $k$ stays at 62 and $m_0$
grows small.

Source: Benoit Jacob and others, *Quantization and training of neural networks for efficient
integer-arithmetic-only inference*, 2018, section 2.2; here the rounding is done once.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Factors(NamedTuple):
    """m = `multiplier` · 2^-`shift`, int64 arrays of one shape."""

    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]


def fixed_point(factors: NDArray[np.float64]) -> Factors:
    """The factors, not negative, as integers and shifts.

    Raises ValueError for factors that are negative, not finite, or 2^30 and more.
    """
    factors = np.asarray(factors, np.float64)
    if not ((factors >= 0.0) & (factors < 2.0**30)).all():
        raise ValueError(f"a factor is not in [0, 2^30): {factors.min()} to {factors.max()}")
    shift = np.minimum(31 - np.frexp(factors)[1].astype(np.int64), 62)
    multiplier = np.rint(factors * 2.0**shift).astype(np.int64)
    doubled = multiplier == 2**31  # rounded up to the next power of two
    return Factors(np.where(doubled, 2**30, multiplier), shift - doubled)


def rescale(sums: NDArray[np.int64], factors: Factors) -> NDArray[np.int64]:
    """sums · m, rounded to the nearest integer, halves upwards; |sums| < 2^31."""
    half = np.int64(1) << (factors.shift - 1)
    return (sums * factors.multiplier + half) >> factors.shift
