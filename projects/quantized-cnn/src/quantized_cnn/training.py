"""Train a network by mini-batches, so that a stop in the middle changes nothing."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


class Store(Protocol):
    """Where unfinished training is kept, such as `run.checkpoint(name)`."""

    def load(self) -> Any | None:
        """The state that was saved last, or None."""

    def save(self, state: object) -> None:
        """Replace the saved state."""


def classification_loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The cross-entropy of a batch."""
    return cross_entropy(model(x), y)


def fit(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    epochs: int,
    learning_rate: float,
    seed: int,
    batch_size: int = 128,
    weight_decay: float = 5e-4,
    loss: Loss = classification_loss,
    augment: Callable[[Tensor, Generator], Tensor] | None = None,
    after_step: Callable[[int], None] | None = None,
    bf16: bool = False,
    checkpoint: Store | None = None,
    progress: Callable[[Iterable[int]], Iterable[int]] = lambda epochs: epochs,
) -> list[float]:
    """Train `model` in place; returns the mean loss of each epoch.

    Gradient descent with momentum 0.9, its rate rising over the first fifth of the steps and then
    falling to nothing (one cycle).

    Parameters
    ----------
    x, y : images (n, channels, height, width) and classes (n,).
    learning_rate : the top of the cycle.
    weight_decay : of all that has more than one dimension; norms, biases and scales have none.
    seed : decides the order of the images, and what `augment` draws.
    after_step : called with the number of the step that was made; to hold masks, say.
    bf16 : convolutions in bfloat16; the weights stay in float32.
    checkpoint : with one, a second call continues after the last whole epoch, and ends with the
        same numbers as if it had never stopped.

    Raises FloatingPointError when the loss is no longer finite.
    """
    decays = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    optimizer = torch.optim.SGD(
        [{"params": decays, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=learning_rate,
        momentum=0.9,
        nesterov=True,
    )
    steps = max(1, len(x) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=epochs * steps, pct_start=0.2, cycle_momentum=False
    )
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    generator = Generator().manual_seed(seed)
    losses: list[float] = []
    saved = checkpoint.load() if checkpoint else None
    if saved:
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        generator.set_state(saved["generator"])
        losses = saved["losses"]
    for epoch in progress(range(len(losses), epochs)):
        model.train()
        order = torch.randperm(len(x), generator=generator)
        total = torch.zeros(())
        for step in range(steps):
            rows = order[step * batch_size : (step + 1) * batch_size]
            batch = augment(x[rows], generator) if augment else x[rows]
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                value = loss(model, batch, y[rows])
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            schedule.step()
            total += value.detach()
            if after_step:
                after_step(epoch * steps + step + 1)
        losses.append(float(total) / steps)
        if not torch.isfinite(total):
            raise FloatingPointError(f"the loss is {losses[-1]} in epoch {epoch + 1}")
        if checkpoint:
            state = {name: part.state_dict() for name, part in parts.items()}
            checkpoint.save(state | {"generator": generator.get_state(), "losses": losses})
    model.eval()
    return losses


@torch.inference_mode()
def predict(model: Callable[[Tensor], Tensor], x: Tensor, batch_size: int = 500) -> Tensor:
    """The outputs (n, classes) for images x."""
    if isinstance(model, nn.Module):
        model.eval()
    return torch.cat([model(batch) for batch in x.split(batch_size)])


def accuracy(model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> float:
    """The share of images whose largest output is that of their class, in percent."""
    return 100.0 * float((predict(model, x).argmax(1) == y).double().mean())
