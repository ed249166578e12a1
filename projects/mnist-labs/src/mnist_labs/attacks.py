"""Adversarial examples: the smallest changes of an image that change a network's answer.

An attack of size ε may move every pixel by at most ε (the L∞ ball around the image) and keeps the
image an image, values in [0, 1]. References: Goodfellow, Shlens, Szegedy, "Explaining and
Harnessing Adversarial Examples", 2015 (the fast gradient sign method); Madry et al., "Towards Deep
Learning Models Resistant to Adversarial Attacks", 2018 (projected gradient descent, and training on
its examples).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy


def small_network(size: int, classes: int = 10) -> nn.Sequential:
    """Two strided convolutions and two dense layers for grey images of size×size pixels.

    Takes (n, 1, size, size) and gives logits of shape (n, classes). `size` is a multiple of 4.
    """
    if size < 4 or size % 4:
        raise ValueError(f"size {size}: a positive multiple of 4 is taken")
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * (size // 4) ** 2, 100),
        nn.ReLU(),
        nn.Linear(100, classes),
    )


def logits_and_gradient(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The model's logits, and the gradient of each image's own loss with respect to its pixels.

    x : shape (n, ...), y : class of each image, shape (n,). The gradient has x's shape. Gradients
    of the model's parameters are neither computed nor changed.
    """
    leaf = x.detach().requires_grad_()
    logits = model(leaf)
    (gradient,) = torch.autograd.grad(cross_entropy(logits, y, reduction="sum"), leaf)
    return logits.detach(), gradient


def project(candidate: Tensor, x: Tensor, epsilon: float) -> Tensor:
    """The nearest point to `candidate` in the L∞ ball of radius ε around x and in [0, 1]."""
    low, high = (x - epsilon).clamp(min=0), (x + epsilon).clamp(max=1)
    return torch.minimum(torch.maximum(candidate, low), high)


def random_start(x: Tensor, epsilon: float, generator: Generator) -> Tensor:
    """A uniformly random point of the ball around x, cut to [0, 1]."""
    noise = torch.rand(x.shape, generator=generator) * (2 * epsilon) - epsilon
    return (x + noise).clamp(0, 1)


def fgsm(
    model: nn.Module, x: Tensor, y: Tensor, epsilon: float, *, batch_size: int = 500
) -> Tensor:
    """One step of size ε along the sign of the gradient (Goodfellow et al., 2015).

    For a model whose loss grows with a linear function of the pixels it is the worst change of
    that size; for a deep network it is a first-order guess. Returns images of x's shape.
    """
    _check(x, epsilon)
    parts = [logits_and_gradient(model, *part)[1] for part in _batches(x, y, batch_size)]
    return project(x + epsilon * torch.cat(parts).sign(), x, epsilon)


def pgd(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    epsilon: float,
    *,
    step: float,
    steps: int,
    generator: Generator,
) -> Tensor:
    """Projected gradient ascent on the loss from a random start (Madry et al., 2018).

    step : how far each pixel moves in one of the `steps` steps. Returns images of x's shape.
    """
    _check(x, epsilon, step, steps)
    candidate = random_start(x, epsilon, generator)
    for _ in range(steps):
        _, gradient = logits_and_gradient(model, candidate, y)
        candidate = project(candidate + step * gradient.sign(), x, epsilon)
    return candidate


def withstands_pgd(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    epsilon: float,
    *,
    step: float,
    steps: int,
    generator: Generator,
    restarts: int = 1,
    batch_size: int = 500,
) -> Tensor:
    """Which images keep their right answer through all of the attack; bool, shape (n,).

    An image is lost as soon as any iterate of any of the random `restarts` is misclassified, or
    the image itself is. So this counts no more survivors than a look at the last iterates does,
    and lost images cost no further steps.
    """
    _check(x, epsilon, step, steps)
    if restarts < 1:
        raise ValueError(f"restarts {restarts}: one or more are taken")
    stands = torch.cat([_right(model, *part) for part in _batches(x, y, batch_size)])
    for _ in range(restarts):
        rows = stands.nonzero().squeeze(1)
        for part in rows.split(batch_size):
            stands[part] = _one_attack(model, x[part], y[part], epsilon, step, steps, generator)
    return stands


def _one_attack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    epsilon: float,
    step: float,
    steps: int,
    generator: Generator,
) -> Tensor:
    """Run one attack and give up each image that is fooled on the way; bool, shape (n,)."""
    left = torch.arange(len(x))
    candidate = random_start(x, epsilon, generator)
    for _ in range(steps):
        logits, gradient = logits_and_gradient(model, candidate, y[left])
        right = logits.argmax(1) == y[left]
        left = left[right]
        if not len(left):
            break
        moved = candidate[right] + step * gradient[right].sign()
        candidate = project(moved, x[left], epsilon)
    else:
        left = left[_right(model, candidate, y[left])]
    stands = torch.zeros(len(x), dtype=torch.bool)
    stands[left] = True
    return stands


@dataclass
class AdversarialBatches:
    """Replaces each training batch by its PGD examples: `fit(..., perturb=AdversarialBatches(…))`.

    epsilon : the radius to train for.
    steps, reach : each attack takes `steps` steps of `reach` · ε / `steps` (a `reach` of more than
        1 lets it cross the ball).
    warmup : the radius grows linearly from 0 over that many batches. With the whole radius from
        the first batch, a network on MNIST learns to answer one class and never recovers.
    clock : tells the number of batches done, such as `lambda: schedule.last_epoch`; asked rather
        than counted here, so that resumed training goes on at the right radius.
    """

    epsilon: float
    steps: int
    warmup: int
    clock: Callable[[], int]
    reach: float = 1.5

    def radius(self) -> float:
        """The radius for the next batch."""
        if not self.warmup:
            return self.epsilon
        return self.epsilon * min(1.0, (self.clock() + 1) / self.warmup)

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator) -> Tensor:
        """PGD examples of the batch, shape (n, ...) as x, against the model as it is now."""
        radius = self.radius()
        step = self.reach * radius / self.steps
        return pgd(model, x, y, radius, step=step, steps=self.steps, generator=generator)


@torch.no_grad()
def _right(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return model(x).argmax(1) == y


def _batches(x: Tensor, y: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    return list(zip(x.split(size), y.split(size), strict=True))


def _check(x: Tensor, epsilon: float, step: float = 1.0, steps: int = 1) -> None:
    if not epsilon >= 0:
        raise ValueError(f"epsilon {epsilon}: zero or more is taken")
    if not step >= 0 or steps < 1:
        raise ValueError(f"step {step}, steps {steps}: a step of zero or more, one step or more")
    if len(x) and not (float(x.min()) >= 0 and float(x.max()) <= 1):
        low, high = float(x.min()), float(x.max())
        raise ValueError(f"x has values from {low:g} to {high:g}; images in [0, 1] are taken")
