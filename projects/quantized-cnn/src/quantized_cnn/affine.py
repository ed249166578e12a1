r"""Affine quantizers: real numbers as small integers times a scale.

A real number $x$ is kept as the integer

$$q = \mathrm{clip}\bigl(\mathrm{round}(x / s) + z,\; q_{\min},\; q_{\max}\bigr), \qquad
\hat x = s\,(q - z),$$

with a *scale* $s$ and a *zero point* $z$. Zero has an integer of its own, so that padding and ReLU
are exact. An *asymmetric* quantizer spreads the integers over $[\ell, h]$: $s = (h - \ell) /
(q_{\max} - q_{\min})$ and $z = q_{\min} - \mathrm{round}(\ell / s)$. A *symmetric* one has $z = 0$
and covers $[-a, a]$ with $a = \max(|\ell|, |h|)$: the products of a convolution need no correction
for the zero point, so weights are quantized that way. *Per channel* each output channel of a weight
has a scale of its own, which costs nothing at inference: a channel's sum has one factor anyway.

Within the range the error is at most $s / 2$, about uniform, of variance $s^2 / 12$; beyond it the
value is clipped. Observers (`quantized_cnn.observers`) choose the range that trades one for the
other.

Source: Benoit Jacob and others, *Quantization and training of neural networks for efficient
integer-arithmetic-only inference*, 2018; Raghuraman Krishnamoorthi, *Quantizing deep convolutional
networks for efficient inference: a whitepaper*, 2018.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

#: A range narrower than this, say of a constant 0, is widened: a scale is never 0.
SMALLEST_SCALE = float(torch.finfo(torch.float32).eps)


@dataclass(frozen=True)
class Scheme:
    """Which integers there are, and how they lie on the real line.

    Parameters
    ----------
    bits : from 2 to 8.
    signed : from -2^(bits-1), or from 0.
    symmetric : the zero point is 0 (signed only).
    axis : the axis along which each slice has a scale of its own; None: one scale for all.
    narrow : leave out the lowest integer, so that the integers themselves are symmetric.
    """

    bits: int = 8
    signed: bool = False
    symmetric: bool = False
    axis: int | None = None
    narrow: bool = False

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8:
            raise ValueError(f"bits is {self.bits}; from 2 to 8 are taken")
        if self.symmetric and not self.signed:
            raise ValueError("a symmetric scheme has a zero point of 0: it takes signed=True")
        if self.narrow and not self.signed:
            raise ValueError("narrow leaves out the lowest integer: it takes signed=True")

    @property
    def low(self) -> int:
        """The lowest integer."""
        return -(2 ** (self.bits - 1)) + self.narrow if self.signed else 0

    @property
    def high(self) -> int:
        """The highest integer."""
        return 2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1


#: Weights: symmetric, one scale for each output channel.
WEIGHTS = Scheme(signed=True, symmetric=True, axis=0, narrow=True)
#: Activations: asymmetric, unsigned.
ACTIVATIONS = Scheme()


@dataclass(frozen=True)
class Quantizer:
    """A scheme with its numbers.

    scale : float32, () or (channels,); positive.
    zero_point : int32, the same shape.
    """

    scheme: Scheme
    scale: Tensor
    zero_point: Tensor

    @classmethod
    def of_range(cls, scheme: Scheme, low: Tensor, high: Tensor) -> "Quantizer":
        """The quantizer that covers [low, high], tensors () or (channels,), and 0.

        Raises ValueError for ranges that are not finite, or upside down.
        """
        if not (torch.isfinite(low).all() and torch.isfinite(high).all()):
            raise ValueError("a range is not finite: NaN or infinity was observed")
        if (low > high).any():
            raise ValueError("a range has its low end above its high end")
        low, high = low.float().clamp(max=0.0), high.float().clamp(min=0.0)
        steps = scheme.high - scheme.low
        if scheme.symmetric:
            scale = torch.maximum(-low, high) / (steps / 2)
            scale = scale.clamp(min=SMALLEST_SCALE)
            return cls(scheme, scale, torch.zeros_like(scale, dtype=torch.int32))
        scale = ((high - low) / steps).clamp(min=SMALLEST_SCALE)
        zero = scheme.low - torch.round(low / scale).to(torch.int32)
        return cls(scheme, scale, zero.clamp(scheme.low, scheme.high))

    @classmethod
    def of_values(cls, scheme: Scheme, x: Tensor) -> "Quantizer":
        """The quantizer that clips no value of x."""
        if scheme.axis is None:
            return cls.of_range(scheme, *torch.aminmax(x.detach()))
        rows = x.detach().movedim(scheme.axis, 0).flatten(1)
        return cls.of_range(scheme, rows.amin(1), rows.amax(1))

    def quantize(self, x: Tensor) -> Tensor:
        """The integers of x, int32, the same shape. A tie goes to the even integer."""
        s, z = self._shaped(x)
        return (torch.round(x / s) + z).clamp(self.scheme.low, self.scheme.high).to(torch.int32)

    def dequantize(self, q: Tensor) -> Tensor:
        """The real numbers of integers q, float32."""
        s, z = self._shaped(q)
        return (q - z).to(torch.float32) * s

    def __call__(self, x: Tensor) -> Tensor:
        """x as its integers say it: *fake* quantization."""
        return self.dequantize(self.quantize(x))

    def _shaped(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and zero point, such that they broadcast against x."""
        if self.scheme.axis is None:
            return self.scale, self.zero_point
        shape = [1] * x.ndim
        shape[self.scheme.axis] = -1
        return self.scale.view(shape), self.zero_point.view(shape)
