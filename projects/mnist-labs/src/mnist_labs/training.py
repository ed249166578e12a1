"""The training loop that the labs share: batches from memory, exact continuation after a stop."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

Loss = Callable[[Tensor, Tensor], Tensor]
Augment = Callable[[Tensor, Generator], Tensor]
Perturb = Callable[[nn.Module, Tensor, Tensor, Generator], Tensor]


class Store(Protocol):
    """Where unfinished training is kept, such as `run.checkpoint(name)`."""

    def load(self) -> Any | None:
        """The state that was saved last, or None."""

    def save(self, state: object) -> None:
        """Replace the saved state."""


@dataclass
class History:
    """What training told: one entry an epoch.

    losses : the mean training loss of each epoch.
    seconds : the wall-clock seconds of training at each epoch's end, `on_epoch` left out.
    notes : what `on_epoch` returned.
    """

    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    notes: list[Any] = field(default_factory=list)


def fit(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    epochs: int,
    batch_size: int,
    optimizer: torch.optim.Optimizer,
    seed: int,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    loss: Loss = cross_entropy,
    augment: Augment | None = None,
    perturb: Perturb | None = None,
    precision: torch.dtype = torch.float32,
    checkpoint: Store | None = None,
    progress: Callable[[Iterable[int]], Iterable[int]] = lambda epochs: epochs,
    on_epoch: Callable[[int], Any] | None = None,
) -> History:
    """Train `model` in place by mini-batches and return its history.

    Parameters
    ----------
    x, y : inputs and targets, shape (n, ...) each; every epoch visits a fresh permutation and
        leaves out the last incomplete batch (unless there is only that one).
    seed : decides the order of the batches and what `augment` and `perturb` draw.
    schedule : stepped after every batch.
    augment : `augment(x_batch, generator)` gives the batch to train on.
    perturb : `perturb(model, x_batch, y_batch, generator)`, after `augment`; for attacks.
    precision : bfloat16 runs the forward pass and its convolutions in that type (autocast); the
        weights and the optimizer stay in float32.
    checkpoint : with one, the state is saved after every epoch, and a second call continues after
        the last whole epoch with the same numbers as if it had never stopped.
    on_epoch : called with the number of epochs done, in evaluation mode; its result is noted.

    Raises ValueError when x and y differ in length, and FloatingPointError when the loss is no
    longer finite.
    """
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} rows and y has {len(y)}; both take the same number")
    generator = Generator().manual_seed(seed)
    history = History()
    saved = checkpoint.load() if checkpoint else None
    if saved:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        if schedule:
            schedule.load_state_dict(saved["schedule"])
        generator.set_state(saved["generator"])
        torch.set_rng_state(saved["global_generator"])
        history = saved["history"]
    done = len(history.losses)
    for epoch in progress(range(done, epochs)):
        start = time.perf_counter()
        model.train()
        mean_loss = _train_one_epoch(
            model,
            x,
            y,
            batch_size,
            optimizer,
            schedule,
            loss,
            augment,
            perturb,
            precision,
            generator,
        )
        elapsed = time.perf_counter() - start
        if not torch.isfinite(torch.tensor(mean_loss)):
            raise FloatingPointError(f"the training loss is {mean_loss} in epoch {epoch + 1}")
        history.losses.append(mean_loss)
        history.seconds.append(elapsed + (history.seconds[-1] if history.seconds else 0.0))
        if on_epoch:
            model.eval()
            history.notes.append(on_epoch(epoch + 1))
        if checkpoint:
            checkpoint.save(
                {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "schedule": schedule.state_dict() if schedule else None,
                    "generator": generator.get_state(),
                    "global_generator": torch.get_rng_state(),
                    "history": history,
                }
            )
    model.eval()
    return history


def _train_one_epoch(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    batch_size: int,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler | None,
    loss: Loss,
    augment: Augment | None,
    perturb: Perturb | None,
    precision: torch.dtype,
    generator: Generator,
) -> float:
    order = torch.randperm(len(x), generator=generator)
    steps = max(1, len(x) // batch_size)
    total = torch.zeros(())
    for step in range(steps):
        rows = order[step * batch_size : (step + 1) * batch_size]
        x_batch, y_batch = x[rows], y[rows]
        if augment:
            x_batch = augment(x_batch, generator)
        if perturb:
            x_batch = perturb(model, x_batch, y_batch, generator)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            value = loss(model(x_batch), y_batch)
        value.backward()
        optimizer.step()
        if schedule:
            schedule.step()
        total += value.detach()
    return float(total) / steps


@torch.inference_mode()
def predict(model: nn.Module, x: Tensor, batch_size: int = 1000) -> Tensor:
    """The model's outputs for x, shape (n, classes), in evaluation mode."""
    model.eval()
    return torch.cat([model(batch) for batch in x.split(batch_size)])


def accuracy(model: nn.Module, x: Tensor, y: Tensor, batch_size: int = 1000) -> float:
    """The share of x whose largest output is at y, between 0 and 1."""
    return float((predict(model, x, batch_size).argmax(1) == y).double().mean())
