"""The same networks in torch-geometric, in the two forms that it takes a graph in."""

import copy
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from graph_nets.edges import csr_tensor
from graph_nets.exchange import geometric_layers, to_geometric
from graph_nets.graph import Graph
from graph_nets.networks import NodeClassifier

Form = Literal["edges", "matrix"]


def geometric_twin(network: NodeClassifier) -> NodeClassifier:
    """A copy with torch-geometric's layers and the same weights, called with edges (2, m).

    GCN's layers keep the normalized edges of their first call (`cached`), as ours do.
    """
    twin = copy.deepcopy(network)
    twin.layers = nn.ModuleList(to_geometric(layer) for layer in network.layers)
    for layer in twin.layers:
        if isinstance(layer, geometric_layers().GCNConv):
            layer.cached = True
    return twin


def geometric_forward(network: NodeClassifier, graph: Graph, form: Form) -> Callable[[], Tensor]:
    """A call that computes all logits with torch-geometric's layers.

    form : `edges` gathers and scatters (what a graph is by default); `matrix` multiplies by a
        sparse tensor in rows.
    """
    twin, edges = geometric_twin(network), graph.edges
    given = edges.index
    if form == "matrix":
        given = csr_tensor(edges.pointers, edges.source, torch.ones(len(edges)), (graph.n, graph.n))

    @torch.no_grad()
    def forward() -> Tensor:
        answer: Tensor = twin(graph.x, given)
        return answer

    return forward
