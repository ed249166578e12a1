r"""Pruning single weights: which ones a network can lose, and how it gets over it.

- *Magnitude*: the smallest go. All layers together, or each on its own.
- *Layer-adapted magnitude* (LAMP): a weight's square over the sum of those that are not smaller in
  its layer. Behind a batch norm the size of a whole layer means nothing, and training changes it;
  this score compares layers all the same, and leaves at least one weight in each.
- *Movement*: those that training moves towards 0 go. A weight's score is $S = -\sum_t w_t\,
  \partial L / \partial w_t$: it grows while the weight grows away from 0. While a pretrained
  network learns something new, this says more than the size it came with.
- *N:M*: of every M weights in a row that enter one output, N stay: a pattern that hardware can
  skip.
- *Lottery ticket*: prune a trained network, set what is left back to the values that it began with,
  train again. The claim is that such a *winning ticket* learns as well as the whole network, and
  that the same mask on other initial values does not.

A mask is held by multiplying the weights with it after every step. The share that is pruned rises
along a cubic, fast first, while there is much to spare:
$s_t = s\,\bigl(1 - (1 - t / T)^3\bigr)$.

Source: Song Han and others, *Learning both weights and connections for efficient neural networks*,
2015; Michael Zhu and Suyog Gupta, *To prune, or not to prune*, 2017; Jonathan Frankle and Michael
Carbin, *The lottery ticket hypothesis*, 2019; Victor Sanh, Thomas Wolf and Alexander Rush,
*Movement pruning*, 2020; Aojun Zhou and others, *Learning N:M fine-grained structured sparse neural
networks from scratch*, 2021; Jaeho Lee and others, *Layer-adaptive sparsity for the magnitude-based
pruning*, 2021.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

Masks = dict[str, Tensor]


def prunable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights of convolutions and linear maps, by name."""
    return {
        f"{name}.weight": module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }


def masks_of(
    scores: Mapping[str, Tensor], sparsity: float, scope: Literal["global", "layer"] = "global"
) -> Masks:
    """Keep all but a share `sparsity` of the weights, those with the lowest scores.

    Raises ValueError for a share that is not in [0, 1).
    """
    if not 0.0 <= sparsity < 1.0:
        raise ValueError(f"sparsity is {sparsity}; from 0 up to, not with, 1 is taken")
    if scope == "layer":
        return {name: _highest(score, sparsity) for name, score in scores.items()}
    flat = torch.cat([score.flatten() for score in scores.values()])
    kept = _highest(flat, sparsity).split([score.numel() for score in scores.values()])
    return {
        name: part.view_as(score) for (name, score), part in zip(scores.items(), kept, strict=True)
    }


def _highest(score: Tensor, sparsity: float) -> Tensor:
    """True for all but a share of the entries, the lowest; exactly so many, also among equals."""
    lost = round(sparsity * score.numel())
    mask = torch.ones(score.numel(), dtype=torch.bool)
    mask[score.flatten().argsort(stable=True)[:lost]] = False
    return mask.view_as(score)


def magnitude(model: nn.Module) -> dict[str, Tensor]:
    """The absolute values of the weights."""
    return {name: weight.detach().abs() for name, weight in prunable(model).items()}


def layer_adapted(model: nn.Module) -> dict[str, Tensor]:
    """The squares of the weights over the sum of those that are not smaller in their layer."""
    scores = {}
    for name, weight in prunable(model).items():
        squares, order = weight.detach().flatten().square().sort()
        rest = squares.flip(0).cumsum(0).flip(0)
        score = torch.empty_like(squares).scatter_(0, order, squares / rest.clamp(min=1e-30))
        scores[name] = score.view_as(weight)
    return scores


class Movement:
    """Adds up the movement scores while a model trains; `close` ends it."""

    def __init__(self, model: nn.Module) -> None:
        weights = prunable(model)
        self.scores = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        self._hooks = [
            weight.register_post_accumulate_grad_hook(self._adder(name))
            for name, weight in weights.items()
        ]

    def _adder(self, name: str) -> Callable[[Tensor], None]:
        def add(weight: Tensor) -> None:
            assert weight.grad is not None
            self.scores[name] -= weight.detach() * weight.grad

        return add

    def close(self) -> None:
        """Stop adding up."""
        for hook in self._hooks:
            hook.remove()


def n_of_m(weight: Tensor, n: int, m: int) -> Tensor:
    """The mask that keeps the n largest of every m neighbors along the inputs, bool.

    weight : (outputs, inputs, …); where the number of inputs is no multiple of m, all stay.
    """
    if not 0 < n <= m:
        raise ValueError(f"{n}:{m} is no pattern; 0 < n <= m is taken")
    rows = weight.detach().abs().movedim(1, -1)
    if rows.shape[-1] % m:
        return torch.ones_like(weight, dtype=torch.bool)
    groups = rows.reshape(*rows.shape[:-1], -1, m)
    kept = groups.argsort(dim=-1, descending=True, stable=True)[..., :n]
    mask = torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, kept, True)
    return mask.reshape(rows.shape).movedim(-1, 1)


@torch.no_grad()
def apply_masks(model: nn.Module, masks: Masks) -> None:
    """Set what the masks leave out to 0."""
    for name, weight in prunable(model).items():
        if name in masks:
            weight *= masks[name]


def cubic(step: int, steps: int, sparsity: float) -> float:
    """The share that is pruned after so many of the steps."""
    return sparsity * (1.0 - (1.0 - min(step / steps, 1.0)) ** 3)


def sparsity_of(model: nn.Module) -> float:
    """The share of prunable weights that are 0."""
    weights = list(prunable(model).values())
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)
