"""The same networks in torch-geometric, in the two forms that it takes a graph in."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from graph_nets.edges import csr_tensor
from graph_nets.exchange import geometric_layers, to_geometric
from graph_nets.graph import Graph
from graph_nets.networks import NodeClassifier

Form = Literal["edges", "matrix"]


def geometric_forward(network: NodeClassifier, graph: Graph, form: Form) -> Callable[[], Tensor]:
    """A call that computes all logits with torch-geometric's layers.

    form : `edges` gathers and scatters (what a graph is by default); `matrix` multiplies by a
        sparse tensor in rows, whose normalization GCN's layers keep after the first call.
    """
    layers = [to_geometric(layer) for layer in network.layers]
    for layer in layers:
        if isinstance(layer, geometric_layers().GCNConv):
            layer.cached = True
    edges = graph.edges
    given = edges.index
    if form == "matrix":
        given = csr_tensor(edges.pointers, edges.source, torch.ones(len(edges)), (graph.n, graph.n))

    @torch.no_grad()
    def forward() -> Tensor:
        h = graph.x
        for layer in layers[:-1]:
            h = network.nonlinearity(layer(h, given))
        answer: Tensor = layers[-1](h, given)
        return answer

    return forward
