"""Learning digits from their sums: a network that never sees the label of a single digit.

An image holds k digits side by side and the only label is their sum. One network reads every digit
with the same weights and gives log p(d), d = 0…9. The digits being independent given the image, the
sum's distribution is the convolution of theirs,

    p(s) = Σ p₁(d₁) ⋯ p_k(d_k) over all d₁ + … + d_k = s,

and the loss is −log p(s) of the true sum, differentiable all the way to each digit. The task is
"MNIST addition" of Manhaeve et al., "DeepProbLog: Neural Probabilistic Logic Programming", 2018.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import pad


@dataclass(frozen=True)
class SumImages:
    """Images of several digits side by side.

    x : float32, shape (n, 1, h, k·w).
    y : the sum of each image's digits, int64, shape (n,).
    digits : the digits themselves, int64, shape (n, k); for scoring only.
    """

    x: Tensor
    y: Tensor
    digits: Tensor


def side_by_side(
    x: Tensor, y: Tensor, count: int, *, generator: Generator, rounds: int = 1
) -> SumImages:
    """Join single digits, shape (n, 1, h, w) with labels (n,), into images of `count` digits.

    Every digit is used once a round, in a fresh random order each; what does not fill an image is
    left out. Raises ValueError when there are fewer digits than one image needs.
    """
    if count < 1 or rounds < 1:
        raise ValueError(f"count {count}, rounds {rounds}: one or more are taken")
    if len(x) != len(y) or len(x) < count:
        raise ValueError(f"{len(x)} images, {len(y)} labels: as many of each, at least {count}")
    whole = len(x) // count * count
    orders = [torch.randperm(len(x), generator=generator)[:whole] for _ in range(rounds)]
    rows = torch.cat(orders).view(-1, count)
    images = torch.cat([x[rows[:, place]] for place in range(count)], dim=3)
    return SumImages(images, y[rows].sum(1), y[rows])


def log_sum_distribution(log_digits: Tensor) -> Tensor:
    """log p of the sum of k independent digits, from log p of each.

    log_digits : shape (n, k, 10). Returns shape (n, 9k + 1): entry s is the log-probability of
    the sum s. The convolution is done in logarithms, so that a digit that is nearly ruled out
    still has a gradient.
    """
    if log_digits.ndim != 3 or not log_digits.shape[1]:
        raise ValueError(f"log_digits has shape {tuple(log_digits.shape)}; (n, k, digits) is taken")
    values = log_digits.shape[2]
    total = log_digits[:, 0]
    for place in range(1, log_digits.shape[1]):
        terms = [
            pad(total, (value, values - 1 - value), value=-torch.inf)
            + log_digits[:, place, value : value + 1]
            for value in range(values)
        ]
        total = torch.logsumexp(torch.stack(terms), dim=0)
    return total


class SumNetwork(nn.Module):
    """Reads `count` digits side by side with shared weights; its output is log p of their sum.

    Takes images of shape (n, 1, size, count·size) and gives (n, 9·count + 1): for `nll_loss`.
    `size` is a multiple of 4. `count` may be changed after training: the network of a single digit
    stays. With a count of 1 it is a usual classifier.
    """

    def __init__(self, size: int, count: int) -> None:
        super().__init__()
        if size < 4 or size % 4:
            raise ValueError(f"size {size}: a positive multiple of 4 is taken")
        self.size = size
        self.count = count
        self.digit = nn.Sequential(
            nn.Conv2d(1, 16, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * (size // 4) ** 2, 100),
            nn.ReLU(),
            nn.Linear(100, 10),
        )

    def log_digits(self, x: Tensor) -> Tensor:
        """log p of each digit, shape (n, count, 10)."""
        if x.shape[1:] != (1, self.size, self.count * self.size):
            taken = (1, self.size, self.count * self.size)
            raise ValueError(f"images of shape {tuple(x.shape[1:])}; {taken} is taken")
        tiles = x.view(-1, self.size, self.count, self.size).transpose(1, 2)
        logits = self.digit(tiles.reshape(-1, 1, self.size, self.size))
        return logits.log_softmax(1).view(-1, self.count, 10)

    def forward(self, x: Tensor) -> Tensor:
        """log p of the sum, shape (n, 9·count + 1)."""
        return log_sum_distribution(self.log_digits(x))

    @torch.no_grad()
    def read(self, x: Tensor, batch_size: int = 1000) -> Tensor:
        """The likeliest digit at each place, int64 of shape (n, count)."""
        return torch.cat([self.log_digits(part).argmax(2) for part in x.split(batch_size)])
