r"""Observers: look at the values that pass, and say which range the integers shall cover.

A range that holds every value wastes integers on the rarest; a tight one clips. The observers here
differ in what they hold against what:

- `MinMax` clips nothing. One outlier widens the steps of all.
- `MovingAverage` averages the ends over the batches, so that no single batch decides.
- `Percentile` clips a given share at either end.
- `MeanSquare` tries clipped ranges and takes the one whose error, rounding and clipping together,
  has the least mean square.
- `Entropy` takes the range whose quantized histogram tells least apart from the true one, by the
  Kullback-Leibler divergence.

The last three keep a histogram. Its range doubles when a value falls outside, bins being merged
pairwise, so that one pass over the data is enough and nothing is kept but the counts.

Source: Szymon Migacz, *8-bit inference with TensorRT*, 2017 (entropy); Ron Banner, Yury Nahshan and
Daniel Soudry, *Post training 4-bit quantization of convolutional networks for rapid-deployment*,
2019 (least squares).
"""

from typing import Literal, Protocol

import torch
from torch import Tensor

from quantized_cnn.affine import Quantizer, Scheme

ObserverName = Literal["min-max", "moving-average", "percentile", "mean-square", "entropy"]

#: Bins of a histogram; even.
BINS = 2048
#: How many clipped ranges are tried.
TRIALS = 128


class Observer(Protocol):
    """Sees batches, then gives a range."""

    def observe(self, x: Tensor) -> None:
        """Look at the values of a batch."""

    def range(self, scheme: Scheme) -> tuple[Tensor, Tensor]:
        """The ends of the range for this scheme."""


def make_observer(name: ObserverName) -> Observer:
    """The observer of this name, with its usual setting."""
    made = {
        "min-max": MinMax,
        "moving-average": MovingAverage,
        "percentile": Percentile,
        "mean-square": MeanSquare,
        "entropy": Entropy,
    }
    if name not in made:
        raise ValueError(f"observer {name!r}; one of {', '.join(made)} is taken")
    return made[name]()


def quantizer(observer: Observer, scheme: Scheme) -> Quantizer:
    """The quantizer for the range that was observed."""
    return Quantizer.of_range(scheme, *observer.range(scheme))


def _ends(x: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the greatest value; ValueError where they are not finite."""
    low, high = torch.aminmax(x.detach())
    if not (torch.isfinite(low) and torch.isfinite(high)):
        raise ValueError("NaN or infinity was observed; a range takes finite values")
    return low, high


class MinMax:
    """All values."""

    def __init__(self) -> None:
        self.low, self.high = torch.tensor(torch.inf), torch.tensor(-torch.inf)

    def observe(self, x: Tensor) -> None:
        """Widen the range to the batch's ends."""
        low, high = _ends(x)
        self.low, self.high = torch.minimum(self.low, low), torch.maximum(self.high, high)

    def range(self, scheme: Scheme) -> tuple[Tensor, Tensor]:
        """The least and the greatest value so far; ValueError where nothing was seen."""
        if self.low > self.high:
            raise ValueError("nothing was observed: calibrate with at least one batch")
        return self.low, self.high


class MovingAverage(MinMax):
    """The average of the batches' ends, the later ones weighing more: `momentum` for the newest."""

    def __init__(self, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum = momentum

    def observe(self, x: Tensor) -> None:
        """Move the range towards the batch's."""
        low, high = _ends(x)
        if self.low > self.high:
            self.low, self.high = low, high
        self.low = self.low + self.momentum * (low - self.low)
        self.high = self.high + self.momentum * (high - self.high)


class Histogram:
    """Counts of the values, in bins of equal width over a range around 0 that grows.

    counts : float64 (BINS,), over [-limit, limit]; zeros : how many of the values were 0.
    """

    def __init__(self) -> None:
        self.counts = torch.zeros(BINS, dtype=torch.float64)
        self.limit, self.zeros = 0.0, 0
        self.low, self.high = torch.inf, -torch.inf

    def observe(self, x: Tensor) -> None:
        """Count the values of a batch."""
        low, high = (float(end) for end in _ends(x))
        self.low, self.high = min(self.low, low), max(self.high, high)
        largest = max(-low, high)
        if self.limit == 0.0:
            self.limit = max(largest, 1e-12)
        while self.limit < largest:
            # Two bins become one, in the middle of the new range.
            merged = self.counts.view(-1, 2).sum(1)
            self.counts = torch.zeros_like(self.counts)
            self.counts[BINS // 4 : BINS // 4 + BINS // 2] = merged
            self.limit *= 2
        self.zeros += int((x == 0).sum())
        self.counts += torch.histc(x.detach().float(), BINS, -self.limit, self.limit).double()

    @property
    def centers(self) -> Tensor:
        """The middle of each bin, float64 (BINS,)."""
        width = 2 * self.limit / BINS
        return -self.limit + width * (torch.arange(BINS, dtype=torch.float64) + 0.5)

    def trials(self, scheme: Scheme) -> list[tuple[Tensor, Tensor]]:
        """Ranges to try: all values, then those no larger than a falling limit."""
        if not self.counts.sum():
            raise ValueError("nothing was observed: calibrate with at least one batch")
        low, high = torch.tensor(min(self.low, 0.0)), torch.tensor(max(self.high, 0.0))
        limits = torch.maximum(-low, high) * torch.linspace(1.0, 1.0 / TRIALS, TRIALS)
        return [(torch.maximum(low, -limit), torch.minimum(high, limit)) for limit in limits]


class Percentile(Histogram):
    """All but a share of the values at either end, `clipped` percent together."""

    def __init__(self, clipped: float = 0.01) -> None:
        super().__init__()
        self.clipped = clipped

    def range(self, scheme: Scheme) -> tuple[Tensor, Tensor]:
        """The values that half of the clipped share lies beyond, at either end."""
        below = torch.cumsum(self.counts, 0) / self.counts.sum()
        if not torch.isfinite(below).all():
            raise ValueError("nothing was observed: calibrate with at least one batch")
        cut = self.clipped / 200.0
        width = 2 * self.limit / BINS
        first = int(torch.searchsorted(below, cut, right=True))
        last = int(torch.searchsorted(below, 1.0 - cut))
        low = max(self.low, -self.limit + width * first)
        high = min(self.high, -self.limit + width * (min(last, BINS - 1) + 1))
        return torch.tensor(low), torch.tensor(max(low, high))


class MeanSquare(Histogram):
    """The range with the least mean square of the error."""

    def range(self, scheme: Scheme) -> tuple[Tensor, Tensor]:
        """Try every clipped range on the histogram."""
        x = self.centers

        def loss(ends: tuple[Tensor, Tensor]) -> float:
            error = x - Quantizer.of_range(scheme, *ends)(x).double()
            return float((self.counts * error**2).sum())

        return min(self.trials(scheme), key=loss)


class Entropy(Histogram):
    """The range after whose quantization the histogram has lost the least information.

    Zeros are left out: they have an integer of their own, and after a ReLU there are so many that
    nothing else would count.
    """

    def range(self, scheme: Scheme) -> tuple[Tensor, Tensor]:
        """Try every clipped range on the histogram that has at least as many bins as integers."""
        x, width = self.centers, 2 * self.limit / BINS
        counts = self.counts.clone()
        counts[BINS // 2] -= self.zeros
        trials = self.trials(scheme)
        if not counts.sum():
            return trials[0]

        def divergence(ends: tuple[Tensor, Tensor]) -> float:
            # The true distribution within the range, what is clipped counted at its ends, against
            # the one that is left when all bins of an integer share their count.
            q = Quantizer.of_range(scheme, *ends).quantize(x).long() - scheme.low
            touched = (x > ends[0] - width / 2) & (x < ends[1] + width / 2)
            place = (touched & (counts > 0)).nonzero().squeeze(1)
            if not len(place):
                return torch.inf
            sizes = torch.bincount(q[place], minlength=2**scheme.bits)
            sums = torch.bincount(q[place], counts[place], minlength=2**scheme.bits)
            shared = (sums / sizes.clamp(min=1))[q[place]]
            p = counts[place]
            p[0] += counts[: place[0]].sum()
            p[-1] += counts[place[-1] + 1 :].sum()
            p, shared = p / p.sum(), shared / shared.sum()
            return float((p * torch.log(p / shared)).sum())

        wide = [ends for ends in trials if ends[1] - ends[0] >= width * 2**scheme.bits]
        return min(wide or trials[:1], key=divergence)
