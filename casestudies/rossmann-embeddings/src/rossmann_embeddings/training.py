r"""Train a network so that its errors in money are small.

The loss is the absolute error of a target $z$ (`rossmann_embeddings.targets`): it asks for the
median, the forecast of the least absolute error. With history $z$ is the distance from a year ago
as a share of the row's level $l$, so that an error of $\delta$ is one of $l\,\delta$ in money, and
a row's weight times $l$ would make the loss the weighted absolute error in money. Powers of $l$
from 0.5 to 1 forecast about as well.

Batches are gathered by index from whole tensors. The learning rate rises and falls once (L. Smith,
A disciplined approach to neural network hyper-parameters, 2018), and the weights that are kept are
their running mean over the last steps (P. Izmailov and others, Averaging weights leads to wider
optima and better generalization, 2018).
"""

import copy
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rossmann_embeddings.embedding_network import EmbeddingNetwork, OneHotNetwork
from rossmann_embeddings.features import Encoded, Encoder, Features
from rossmann_embeddings.targets import Target, target_for

Network = EmbeddingNetwork | OneHotNetwork
Progress = Callable[[Iterable[int]], Iterator[int]]


@dataclass(frozen=True)
class Recipe:
    """How a network is made and trained; the fields are what may be tuned.

    money : the power of a row's size in its weight: 0 counts errors as shares, 1 as money.
    averaged : share of the steps, at the end, whose weights are averaged.
    members : networks that share the embeddings; the forecast is their mean.
    """

    hidden: tuple[int, ...] = (256, 128)
    epochs: int = 10
    batch_size: int = 1024
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    money: float = 1.0
    averaged: float = 0.2
    members: int = 1
    one_hot: bool = False


#: For networks that see history: chosen on three spans of Walmart's weeks, all before those that
#: judge; `money` lies between 0.5 and 1, each of which is better on some of them.
INFORMED = Recipe(epochs=5, money=0.75, members=4)


@dataclass
class History:
    """What training saw: the loss of each epoch, the validation's error, and seconds."""

    loss: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    seconds: float = 0.0


class Forecaster:
    """Features → sales, through an encoder, a target and its scale, and a network.

    Attributes after `fit`: `encoder_`, `network_`, `target_`, its mean distance `spread_` from 0,
    and `history_`.
    """

    encoder_: Encoder
    network_: Network
    target_: Target
    spread_: float
    history_: History

    def __init__(self, recipe: Recipe | None = None, seed: int = 0) -> None:
        self.recipe = recipe or Recipe()
        self.seed = seed

    def fit(
        self,
        features: Features,
        sales: NDArray[np.float64],
        rows: NDArray[np.int64],
        weight: NDArray[np.float64] | None = None,
        *,
        watch: Callable[["Forecaster"], float] | None = None,
        progress: Progress = iter,
    ) -> "Forecaster":
        """Learn from some rows.

        Parameters
        ----------
        sales : of all rows of the features (n,). rows : places of those to learn from.
        weight : of each row's error (n,); by default 1.
        watch : called after each epoch with the averaged network so far; its value is kept as the
            error of the epoch, for a learning curve. It changes nothing.
        progress : wraps the epochs.

        Raises ValueError where there are fewer than two rows.
        """
        if len(rows) < 2:
            raise ValueError(f"{len(rows)} rows to learn from; at least 2 are taken")
        recipe, start = self.recipe, time.perf_counter()
        self.encoder_ = Encoder().fit(features, rows)
        self.target_ = target_for(features).fit(features, rows, sales)
        each = np.ones(len(rows)) if weight is None else weight[rows].astype(np.float64)
        each = each * self.target_.size(features, rows, sales) ** recipe.money
        each = np.minimum(each / each.mean(), 30.0)
        away = self.target_.of(features, rows, sales)
        self.spread_ = float(np.average(np.abs(away), weights=each)) or 1.0
        target = torch.from_numpy((away / self.spread_).astype(np.float32))
        codes, numbers = self._tensors(features, rows)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.network_ = self._make(numbers.shape[1])
            each_row = torch.from_numpy(each.astype(np.float32))
            self._train(codes, numbers, target, each_row, watch, progress)
        self.history_.seconds = time.perf_counter() - start - self._watched
        return self

    def _make(self, numbers: int) -> Network:
        recipe, cardinalities = self.recipe, self.encoder_.cardinalities_
        if recipe.one_hot:
            return OneHotNetwork(cardinalities, numbers, hidden=recipe.hidden)
        return EmbeddingNetwork(
            cardinalities, numbers, hidden=recipe.hidden, members=recipe.members
        )

    def _tensors(self, features: Features, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        encoded: Encoded = self.encoder_.transform(features, rows)
        numbers = self.encoder_.scaled(encoded)
        return torch.from_numpy(encoded.codes), torch.from_numpy(numbers)

    def _train(
        self,
        codes: Tensor,
        numbers: Tensor,
        target: Tensor,
        weight: Tensor,
        watch: Callable[["Forecaster"], float] | None,
        progress: Progress,
    ) -> None:
        recipe, network = self.recipe, self.network_
        self.history_, self._watched = History(), 0.0
        size = min(recipe.batch_size, len(target))
        steps = max(1, len(target) // size)
        optimizer = torch.optim.AdamW(
            _groups(network, recipe.weight_decay), lr=recipe.learning_rate, fused=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.learning_rate, total_steps=recipe.epochs * steps, pct_start=0.15
        )
        mean = copy.deepcopy(network)
        first = int((1 - recipe.averaged) * recipe.epochs * steps)
        step = 0
        for _ in progress(range(recipe.epochs)):
            network.train()
            total = 0.0
            order = torch.randperm(len(target))
            for batch in order[: steps * size].split(size):
                optimizer.zero_grad(set_to_none=True)
                found = network.each(codes[batch], numbers[batch])
                loss = (weight[batch] * (found - target[batch]).abs()).mean()
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                total += float(loss.detach())
                step += 1
                if step > first:
                    _average(mean, network, 1 / (step - first))
            self.history_.loss.append(total / steps)
            if watch is not None:
                began = time.perf_counter()
                self.network_ = mean if step > first else network
                self.history_.error.append(watch(self))
                self._watched += time.perf_counter() - began
        self.network_ = (mean if step > first else network).eval()

    @torch.no_grad()
    def predict(self, features: Features, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The sales of some rows (n,), 0 or more."""
        codes, numbers = self._tensors(features, rows)
        network = self.network_.eval()
        parts = [
            network(codes[part], numbers[part]) for part in torch.arange(len(rows)).split(16384)
        ]
        z = torch.cat(parts).numpy().astype(np.float64)
        return self.target_.sales(features, rows, z * self.spread_)

    def embedding(self, name: str) -> NDArray[np.float32]:
        """The vectors of a category's values, in the order of the encoder's levels (k, width)."""
        if not isinstance(self.network_, EmbeddingNetwork):
            raise TypeError("a network with one-hot columns has no embeddings")
        return self.network_.vectors(self.encoder_.names_.index(name))


@torch.no_grad()
def _average(mean: nn.Module, network: nn.Module, share: float) -> None:
    """Move the mean's weights a share of the way to the network's."""
    torch._foreach_lerp_(list(mean.parameters()), list(network.parameters()), share)


def _groups(network: nn.Module, weight_decay: float) -> list[dict]:
    """Weights decay, biases do not."""
    biases = {id(p) for name, p in network.named_parameters() if name.endswith("bias")}
    decayed = [p for p in network.parameters() if id(p) not in biases]
    others = [p for p in network.parameters() if id(p) in biases]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
