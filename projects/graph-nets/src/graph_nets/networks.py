"""Layers stacked to networks that classify nodes, with the papers' settings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, elu, relu

from graph_nets.edges import Edges, SparseMatrix
from graph_nets.gat import DynamicGraphAttention, GraphAttention
from graph_nets.gcn import GraphConvolution
from graph_nets.sage import SageLayer

NetworkName = Literal["gcn", "graphsage", "gat", "gatv2"]
NETWORKS: tuple[NetworkName, ...] = get_args(NetworkName)


@dataclass(frozen=True)
class Settings:
    """How a network is built and trained on the citation graphs.

    Parameters
    ----------
    hidden : features of a node between the layers, of each head for attention.
    heads : of the first layer, and of the last.
    drop : the share of a layer's inputs that is dropped in training; attention drops as much.
    learning_rate, weight_decay : of Adam. decay_all : of all layers, or of the first alone.
    """

    hidden: int
    drop: float
    learning_rate: float
    weight_decay: float
    heads: tuple[int, int] = (1, 1)
    decay_all: bool = True


#: GCN's and GAT's are the papers'; GraphSAGE's were chosen on Cora's validation nodes.
SETTINGS: dict[str, Settings] = {
    "gcn": Settings(16, 0.5, 0.01, 5e-4, decay_all=False),
    "graphsage": Settings(64, 0.6, 0.01, 5e-3),
    "gat": Settings(8, 0.6, 0.005, 5e-4, heads=(8, 1)),
    "gatv2": Settings(8, 0.6, 0.005, 5e-4, heads=(8, 1)),
}


class NodeClassifier(nn.Module):
    """Layers one after the other, with dropout before each and a nonlinearity between them."""

    def __init__(
        self, layers: list[nn.Module], drop: float, nonlinearity: Callable[[Tensor], Tensor] = relu
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.drop, self.nonlinearity = drop, nonlinearity

    def forward(self, x: Tensor | SparseMatrix, edges: Edges) -> Tensor:
        """Logits (n, classes) for features x (n, inputs), sparse or not."""
        logits: Tensor = self.layers[-1](self._dropped(self._before_last(x, edges)), edges)
        return logits

    def embed(self, x: Tensor | SparseMatrix, edges: Edges) -> Tensor:
        """What the last of two or more layers gets, (n, hidden)."""
        h = self._before_last(x, edges)
        assert isinstance(h, Tensor)
        return h

    def _before_last(self, x: Tensor | SparseMatrix, edges: Edges) -> Tensor | SparseMatrix:
        h = x
        for layer in self.layers[:-1]:
            h = self.nonlinearity(layer(self._dropped(h), edges))
        return h

    def _dropped(self, x: Tensor | SparseMatrix) -> Tensor | SparseMatrix:
        if not self.training or self.drop == 0:
            return x
        return x.dropout(self.drop) if isinstance(x, SparseMatrix) else dropout(x, self.drop)


def make_network(
    name: str, inputs: int, classes: int, seed: int, settings: Settings | None = None
) -> NodeClassifier:
    """A network of two layers, its weights drawn from the seed.

    Raises ValueError for another name.
    """
    if name not in NETWORKS:
        raise ValueError(f"network {name!r}; {', '.join(NETWORKS)} are taken")
    told = settings or SETTINGS[name]
    torch.manual_seed(seed)
    if name == "gcn":
        return NodeClassifier(
            [GraphConvolution(inputs, told.hidden), GraphConvolution(told.hidden, classes)],
            told.drop,
        )
    if name == "graphsage":
        return NodeClassifier(
            [SageLayer(inputs, told.hidden), SageLayer(told.hidden, classes)], told.drop
        )
    kind = GraphAttention if name == "gat" else DynamicGraphAttention
    first, last = told.heads
    return NodeClassifier(
        [
            kind(inputs, told.hidden, first, drop=told.drop),
            kind(first * told.hidden, classes, last, concatenate=False, drop=told.drop),
        ],
        told.drop,
        elu,
    )
