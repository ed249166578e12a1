"""Train a classifier of nodes on a fixed split, the way the papers do.

All nodes are there from the start; only the training nodes' classes are shown. The weights that are
kept are those of the last epoch with both the best accuracy and the lowest loss on the validation
nodes so far, and training ends where neither got better for a hundred epochs (the rule of the
authors of GAT). The test nodes are looked at once, with those weights.
"""

import copy
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from graph_nets.edges import SparseMatrix
from graph_nets.graph import Graph
from graph_nets.networks import SETTINGS, NodeClassifier, Settings, make_network


@dataclass(frozen=True)
class Fit:
    """A trained network and how it got there.

    network : with the weights of the best epoch. test : its accuracy there, in percent.
    losses : of training, an epoch each. validation : accuracy in percent, an epoch each.
    epoch_s : the median epoch's seconds, looking at the validation nodes counted in.
    """

    network: NodeClassifier
    test: float
    losses: list[float]
    validation: list[float]
    epoch_s: float


def features_of(graph: Graph) -> Tensor | SparseMatrix:
    """Rows that sum to 1, sparse where most entries are 0."""
    x = graph.row_normalized().x
    return SparseMatrix.of(x) if (x != 0).float().mean() < 0.1 else x


def fit(
    network: NodeClassifier,
    graph: Graph,
    x: Tensor | SparseMatrix,
    *,
    epochs: int = 500,
    patience: int = 100,
    learning_rate: float = 0.01,
    weight_decay: float = 5e-4,
    decay_all: bool = True,
    epoch: Callable[[torch.optim.Optimizer], float] | None = None,
    progress: Callable[[Iterable[int]], Iterable[int]] = lambda epochs: epochs,
) -> Fit:
    """Train in place, at most so many epochs, or `patience` beyond the last that was better.

    decay_all : the weight decay is for all layers, or for the first alone.
    epoch : takes the steps of an epoch and gives its loss; None: one step on all training nodes.

    Raises ValueError for a graph without classes or without a split.
    """
    if graph.y is None or set(graph.split) != {"train", "validation", "test"}:
        raise ValueError("the graph has no classes or no split; train, validation and test needed")
    y = graph.y
    train, validation, test = (graph.split[name] for name in ("train", "validation", "test"))
    decayed = network.parameters() if decay_all else network.layers[0].parameters()
    decayed = list(decayed)
    others = [p for p in network.parameters() if not any(p is q for q in decayed)]
    optimizer = torch.optim.Adam(
        [{"params": decayed, "weight_decay": weight_decay}, {"params": others}], lr=learning_rate
    )

    def logits() -> Tensor:
        answer: Tensor = network(x, graph.edges)
        return answer

    def whole(optimizer: torch.optim.Optimizer) -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(logits()[train], y[train])
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    most, least, kept, waited = -1.0, torch.inf, copy.deepcopy(network.state_dict()), 0
    losses, curve, seconds = [], [], []
    for _ in progress(range(epochs)):
        start = time.perf_counter()
        network.train()
        losses.append((epoch or whole)(optimizer))
        network.eval()
        with torch.no_grad():
            said = logits()[validation]
        right = percent_right(said, y[validation])
        wrong = float(cross_entropy(said, y[validation]))
        curve.append(right)
        seconds.append(time.perf_counter() - start)
        waited = 0 if right >= most or wrong <= least else waited + 1
        if right >= most and wrong <= least:
            kept = copy.deepcopy(network.state_dict())
        most, least = max(most, right), min(least, wrong)
        if waited >= patience:
            break
    network.load_state_dict(kept)
    network.eval()
    with torch.no_grad():
        points = percent_right(logits()[test], y[test])
    return Fit(network, points, losses, curve, statistics.median(seconds))


def train_network(
    name: str,
    graph: Graph,
    seed: int,
    *,
    x: Tensor | SparseMatrix | None = None,
    epochs: int = 500,
    settings: Settings | None = None,
    progress: Callable[[Iterable[int]], Iterable[int]] = lambda epochs: epochs,
) -> Fit:
    """A network by its name, trained with its own settings; see `networks.SETTINGS`."""
    told = settings or SETTINGS[name]
    network = make_network(name, graph.x.shape[1], graph.classes, seed, told)
    return fit(
        network,
        graph,
        features_of(graph) if x is None else x,
        epochs=epochs,
        learning_rate=told.learning_rate,
        weight_decay=told.weight_decay,
        decay_all=told.decay_all,
        progress=progress,
    )


def percent_right(logits: Tensor, y: Tensor) -> float:
    """The share of rows whose largest logit is the class's, in percent."""
    return 100.0 * float((logits.argmax(1) == y).double().mean())
