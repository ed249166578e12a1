"""Train GraphSAGE on sampled neighborhoods, and let it judge with whole ones.

A step sees a few training nodes and a sample of what is around them (`graph_nets.sampling`).
Whoever wants the accuracy runs the same weights over all edges: there the mean over a neighborhood
is what the samples' means scatter about, and nothing is random.

Aggregators with a map for each neighbor, above all the LSTM, are too dear for thousands of words:
the words are first reduced by a linear map that is learnt along.

Source: William Hamilton, Rex Ying and Jure Leskovec, *Inductive representation learning on large
graphs*, 2017.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from graph_nets.edges import Edges, SparseMatrix
from graph_nets.graph import Graph
from graph_nets.networks import NodeClassifier
from graph_nets.sage import Aggregator, SageLayer
from graph_nets.sampling import NeighborSampler
from graph_nets.training import Fit, fit


class SageNetwork(NodeClassifier):
    """GraphSAGE in two layers with any aggregator, on a graph's edges or on sampled blocks.

    Parameters
    ----------
    inputs, classes : features of a node, and classes.
    aggregator : of both layers.
    width : the features that the inputs are reduced to, and those between the layers.
    drop : the share of inputs that is dropped in training, everywhere.
    seed : of the weights.
    """

    def __init__(
        self,
        inputs: int,
        classes: int,
        aggregator: Aggregator,
        *,
        width: int = 64,
        drop: float = 0.6,
        seed: int = 0,
    ) -> None:
        torch.manual_seed(seed)
        super().__init__(
            [SageLayer(width, width, aggregator), SageLayer(width, classes, aggregator)], drop
        )
        self.reduction = nn.Parameter(torch.empty(inputs, width))
        nn.init.xavier_uniform_(self.reduction)

    def forward(self, x: Tensor | SparseMatrix, edges: Edges | Sequence[Edges]) -> Tensor:
        """Logits (targets of the last block, classes) for x (sources of the first, inputs)."""
        blocks = [edges] * len(self.layers) if isinstance(edges, Edges) else edges
        h = self._dropped(x) @ self.reduction
        for layer, block in zip(self.layers[:-1], blocks[:-1], strict=True):
            h = self.nonlinearity(layer(self._dropped(h), block))
        logits: Tensor = self.layers[-1](self._dropped(h), blocks[-1])
        return logits


def fit_sampled(
    network: SageNetwork,
    graph: Graph,
    x: Tensor,
    sampler: NeighborSampler,
    *,
    batch_size: int = 64,
    epochs: int = 200,
    patience: int = 50,
    learning_rate: float = 0.01,
    weight_decay: float = 5e-4,
    progress: Callable[[Iterable[int]], Iterable[int]] = lambda epochs: epochs,
) -> Fit:
    """Train in place on batches of training nodes with sampled neighborhoods.

    An epoch shows every training node once; its weights are judged on whole neighborhoods, and the
    best are kept by the rule of `training.fit`.

    Raises ValueError for other fan-outs than one a layer, or a graph without classes or split.
    """
    if len(sampler.fanouts) != len(network.layers):
        raise ValueError(f"{len(sampler.fanouts)} fan-outs for {len(network.layers)} layers")

    def epoch(optimizer: torch.optim.Optimizer) -> float:
        losses = []
        assert graph.y is not None
        for batch in sampler.batches(graph.split["train"], batch_size):
            optimizer.zero_grad(set_to_none=True)
            logits = network(x[batch.nodes], batch.blocks)
            loss = cross_entropy(logits, graph.y[batch.targets])
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    return fit(
        network,
        graph,
        x,
        epochs=epochs,
        patience=patience,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        epoch=epoch,
        progress=progress,
    )
