"""Cross-entropy with label smoothing as an autograd function of its own.

For logits z of one row, class y, K classes and smoothing s, the target is
t = (1 - s) onehot(y) + s / K and the loss is

    L = -Σⱼ tⱼ log pⱼ,   log pⱼ = zⱼ - m - log Σₖ exp(zₖ - m),   m = max z.

Taking the maximum out leaves p as it is and keeps exp below 1, so that logits of ±10⁴ are as good
as any. As Σ t = 1, L = log Σₖ exp(zₖ) - Σⱼ tⱼ zⱼ, and with ∂/∂zⱼ log Σₖ exp(zₖ) = pⱼ the gradient
is

    ∂L/∂zⱼ = pⱼ - tⱼ.

The forward pass has p at hand, so it makes the gradient at once, in the array that held p. The
backward pass is then one multiplication by the gradient that comes from above. (Bridle, "Training
Stochastic Model Recognition Algorithms as Networks", 1990; smoothing: Szegedy et al., 2016.)
"""

from typing import Any

import torch
from torch import Tensor


class _CrossEntropy(torch.autograd.Function):
    """The loss (n,) of each row; its gradient is ready before it is asked for."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, smoothing: float) -> Tensor:
        classes = logits.shape[1]
        column = target.unsqueeze(1)
        shifted = logits - logits.amax(1, keepdim=True)
        chosen = shifted.gather(1, column).squeeze(1)
        mean = shifted.mean(1) if smoothing else None
        p = shifted.exp_()
        total = p.sum(1, keepdim=True)
        loss = total.squeeze(1).log() - (1 - smoothing) * chosen
        if mean is not None:
            loss -= smoothing * mean
        if ctx.needs_input_grad[0]:
            gradient = p.div_(total)
            if smoothing:
                gradient -= smoothing / classes
            gradient.scatter_add_(1, column, gradient.new_full(column.shape, smoothing - 1))
            ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream.unsqueeze(1), None, None


def cross_entropy(
    logits: Tensor, target: Tensor, *, smoothing: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """The cross-entropy of logits with class targets.

    Parameters
    ----------
    logits : float tensor (n, classes).
    target : int64 tensor (n,), each from 0 to classes - 1.
    smoothing : the share s of the target that is spread over all classes, 0 ≤ s < 1.
    reduction : `mean`, `sum`, or `none` for the loss of each row, shape (n,).

    Raises ValueError for shapes, targets, smoothing or reductions that are not taken.
    """
    if logits.ndim != 2 or target.shape != logits.shape[:1]:
        raise ValueError(
            f"logits {tuple(logits.shape)} and target {tuple(target.shape)}: "
            f"(n, classes) and (n,) are taken"
        )
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing={smoothing}: at least 0 and less than 1 is taken")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction={reduction!r}: mean, sum or none is taken")
    if len(target) and not (int(target.min()) >= 0 and int(target.max()) < logits.shape[1]):
        raise ValueError(
            f"targets from {int(target.min())} to {int(target.max())}: "
            f"0 to {logits.shape[1] - 1} are taken"
        )
    loss = _CrossEntropy.apply(logits, target, smoothing)
    return loss if reduction == "none" else getattr(loss, reduction)()
