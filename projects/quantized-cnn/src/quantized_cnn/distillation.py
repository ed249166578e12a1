r"""Distillation: a small network learns from a large one, not from the labels alone.

- *Logits*: the teacher's probabilities at a temperature $T$ say which wrong classes are nearly
  right. With $p_T = \mathrm{softmax}(z / T)$ the loss is
  $(1 - \alpha)\,\mathrm{CE}(z, y) + \alpha\, T^2\, \mathrm{KL}(p_T^{\text{teacher}} \| p_T)$; the
  factor $T^2$ makes up for the gradient's $1 / T^2$.
- *Features*: what the student has in the middle shall be the teacher's up to a linear map, which is
  learnt with it (hints).
- *Attention*: where both look. The map of a layer is the sum of its squared channels, as a unit
  vector over the pixels; the loss is the squared distance of the two.

Source: Geoffrey Hinton, Oriol Vinyals and Jeff Dean, *Distilling the knowledge in a neural
network*, 2015; Adriana Romero and others, *FitNets: hints for thin deep nets*, 2015; Sergey
Zagoruyko and Nikos Komodakis, *Paying more attention to attention*, 2017.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def logits_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² KL(teacher ‖ student) of logits (n, classes), the mean over the batch."""
    return temperature**2 * functional.kl_div(
        functional.log_softmax(student / temperature, 1),
        functional.log_softmax(teacher / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )


def attention_map(features: Tensor) -> Tensor:
    """Where a layer looks: (n, channels, h, w) → unit vectors (n, h · w)."""
    return functional.normalize(features.square().mean(1).flatten(1))


def attention_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """The squared distance of the maps of two layers with the same pixels, mean over the batch."""
    return (attention_map(student) - attention_map(teacher)).square().sum(1).mean()


class Taps:
    """Keeps what some modules of a network put out, by their names; `close` ends it."""

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        self.values: dict[str, Tensor] = {}
        modules = dict(model.named_modules())
        missing = [name for name in names if name not in modules]
        if missing:
            raise ValueError(f"the network has no module {missing[0]!r}")
        self._hooks = [modules[name].register_forward_hook(self._keeper(name)) for name in names]

    def _keeper(self, name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.values[name] = output

        return keep

    def close(self) -> None:
        """Stop keeping."""
        for hook in self._hooks:
            hook.remove()


class Distillation(nn.Module):
    """The loss of a student, for `training.fit`; also a module, for the maps of the features.

    Parameters
    ----------
    teacher : in evaluation mode; it does not learn.
    temperature, alpha : see the module's docstring.
    layers : pairs of names (student's, teacher's) of modules with the same number of pixels.
    features, attention : the weights of these two losses over all pairs.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        example: Tensor,
        *,
        temperature: float = 4.0,
        alpha: float = 0.9,
        layers: Sequence[tuple[str, str]] = (),
        features: float = 0.0,
        attention: float = 0.0,
    ) -> None:
        super().__init__()
        self.student = student
        self._teacher = [teacher.eval().requires_grad_(False)]  # in a list: not a part of this one
        self.temperature, self.alpha = temperature, alpha
        self.features, self.attention = features, attention
        self._layers = list(layers)
        self._taps = [
            Taps(student, [a for a, _ in self._layers]),
            Taps(teacher, [b for _, b in self._layers]),
        ]
        with torch.no_grad():
            student(example[:2])
            teacher(example[:2])
        self.maps = nn.ModuleList()
        if features:
            for a, b in self._layers:
                mine, theirs = self._taps[0].values[a], self._taps[1].values[b]
                self.maps.append(nn.Conv2d(mine.shape[1], theirs.shape[1], 1))

    def forward(self, x: Tensor) -> Tensor:
        """The student's logits."""
        return self.student(x)

    def loss(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """The loss of a batch."""
        with torch.no_grad():
            theirs = self._teacher[0](x)
        mine = model(x)
        total = (1 - self.alpha) * functional.cross_entropy(mine, y)
        total = total + self.alpha * logits_loss(mine, theirs, self.temperature)
        for k, (a, b) in enumerate(self._layers):
            inner, outer = self._taps[0].values[a], self._taps[1].values[b]
            if self.features:
                total = total + self.features * functional.mse_loss(self.maps[k](inner), outer)
            if self.attention:
                total = total + self.attention * attention_loss(inner, outer)
        return total

    def close(self) -> nn.Module:
        """Take the hooks off; returns the student."""
        for taps in self._taps:
            taps.close()
        return self.student
