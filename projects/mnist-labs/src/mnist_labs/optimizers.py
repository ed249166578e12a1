"""Optimizers written by hand on `torch.optim.Optimizer`: momentum, Adam, Lion, and one of ours.

Each keeps the contract of PyTorch's own: parameter groups with options of their own, a closure, and
a state that survives `state_dict` and `load_state_dict`.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class _ByHand(Optimizer):
    """What the rules share: checks, the closure, and the walk over groups and parameters."""

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group after checking its options; ValueError names the one that is not taken."""
        options = {**self.defaults, **param_group}
        for name in ("lr", "weight_decay", "eps"):
            if name in options and not options[name] >= 0:
                raise ValueError(f"{name}={options[name]}: a number of at least 0 is taken")
        betas = options.get("betas", (options.get("momentum", 0.0),))
        for beta in betas:
            if not 0 <= beta < 1:
                raise ValueError(f"momentum or beta {beta}: at least 0 and less than 1 is taken")
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; returns what `closure` returns, when one is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, self.state[parameter], group)
        return loss

    def _update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        raise NotImplementedError


class Momentum(_ByHand):
    """Gradient descent with momentum (Polyak, 1964; in the form of Sutskever et al., 2013).

    m ← μ m + g,  p ← p - lr m.
    """

    def __init__(self, params: Iterable[Any], lr: float = 0.1, momentum: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    def _update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state["m"] = torch.zeros_like(p)
        m = state["m"].mul_(group["momentum"]).add_(g)
        p.sub_(m, alpha=group["lr"])


class Adam(_ByHand):
    """Adam (Kingma, Ba, 2015).

    m ← β₁ m + (1 - β₁) g,  v ← β₂ v + (1 - β₂) g²,
    p ← p - lr (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + ε).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    def _update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
        state["t"] += 1
        first, second = group["betas"]
        m = state["m"].lerp_(g, 1 - first)
        v = state["v"].mul_(second).addcmul_(g, g, value=1 - second)
        scale = (v.sqrt() / (1 - second ** state["t"]) ** 0.5).add_(group["eps"])
        p.addcdiv_(m, scale, value=-group["lr"] / (1 - first ** state["t"]))


class Lion(_ByHand):
    """Lion, the sign of an interpolated momentum (Chen et al., 2023).

    p ← p - lr (sign(β₁ m + (1 - β₁) g) + λ p),  m ← β₂ m + (1 - β₂) g.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 3e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    def _update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state["m"] = torch.zeros_like(p)
        first, second = group["betas"]
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.sub_(state["m"].lerp(g, 1 - first).sign_(), alpha=group["lr"])
        state["m"].lerp_(g, 1 - second)


class Concord(_ByHand):
    """Concord: Adam that looks ahead, and that listens to whether gradients agree. Our own rule.

    Three changes to Adam, each for a reason:

    1. *Look ahead.* The direction is what the momentum will be after one more gradient like this
       one, β₁ m + (1 - β₁) g with m already updated, as in Nesterov's method (Dozat, 2016).
    2. *Agreement.* A weight whose new gradient has the sign of its momentum has found a slope; one
       whose gradient has turned is stepping across a valley. The first keeps its step, the second
       has it cut to a share `patience` of it (a soft form of the masks of Liang et al., 2024), and
       what was cut is given to the others of its tensor, so that the whole step keeps its size.
    3. *Shared scale.* The denominator is the geometric mean of a weight's own √v and that of the
       row it belongs to. A weight with a rare gradient is not thrown by its first large one.

    Each piece has been seen elsewhere; their combination, and the geometric mean, are what this
    lab tries. It costs a few more passes over the parameters than Adam.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        patience: float = 0.25,
    ) -> None:
        if not 0 <= patience <= 1:
            raise ValueError(f"patience={patience}: 0 to 1 is taken")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "patience": patience})

    def _update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
        state["t"] += 1
        first, second = group["betas"]
        m = state["m"].lerp_(g, 1 - first)
        v = state["v"].mul_(second).addcmul_(g, g, value=1 - second)
        own = v.sqrt().div_((1 - second ** state["t"]) ** 0.5)
        shared = own.mean(-1, keepdim=True) if p.ndim > 1 else own.mean()
        scale = (own * shared).sqrt_().add_(group["eps"])
        direction = m.lerp(g, 1 - first).div_(scale * (1 - first ** (state["t"] + 1)))
        keep = torch.where(direction * g > 0, 1.0, group["patience"])
        step = direction * keep
        size = direction.norm() / step.norm().clamp(min=torch.finfo(p.dtype).tiny)
        p.sub_(step * size, alpha=group["lr"])
