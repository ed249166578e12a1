r"""What attention learns: how far from uniform it is, and a problem that needs it to be dynamic.

The *dictionary lookup* has $k$ keys and $k$ queries, and an edge from every key to every query. A
key's node carries its name and a value, a query's node a name alone; the values are drawn anew for
each graph. A query's class is the value of the key of its own name, so it must tell that key apart.
GAT's score is a target's part plus a source's part, under a monotone function: whatever the query,
the same key has the largest score, and with one head at most one query in $k$ is served but by
luck. In GATv2 the two meet before the nonlinearity, and the order may differ from query to query.

Source: Shaked Brody, Uri Alon and Eran Yahav, *How attentive are graph attention networks?*, 2022.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from graph_nets.edges import Edges
from graph_nets.gat import DynamicGraphAttention, GraphAttention
from graph_nets.networks import NodeClassifier


def entropy_share(shares: Tensor, edges: Edges) -> Tensor:
    r"""$-\sum_j \alpha_{ij} \ln \alpha_{ij} / \ln d_i$, (n, heads): 1 uniform, 0 on one neighbor.

    shares : attention coefficients (m, heads) of these edges, which sum to 1 at each target. A
        node with fewer than two edges has no choice: nan.
    """
    terms = -torch.special.xlogy(shares, shares)
    entropy = shares.new_zeros(edges.n, shares.shape[1]).index_add_(0, edges.target, terms)
    degree = edges.degree.to(shares.dtype).view(-1, 1)
    return torch.where(degree > 1, entropy / degree.clamp(min=2).log(), torch.nan)


def with_uniform_attention(network: NodeClassifier) -> NodeClassifier:
    """A copy whose layers attend to all neighbors alike, with the same maps of their features.

    Raises TypeError for a layer without attention.
    """
    plain = copy.deepcopy(network)
    for layer in plain.layers:
        if isinstance(layer, GraphAttention):
            nn.init.zeros_(layer.by_source)
            nn.init.zeros_(layer.by_target)
        elif isinstance(layer, DynamicGraphAttention):
            nn.init.zeros_(layer.score)
        else:
            raise TypeError(f"{type(layer).__name__}; a layer with attention is taken")
    return plain


@dataclass(frozen=True)
class Lookup:
    """Some graphs of the problem, side by side; see the module's docstring.

    name, value : int64 (n,), a value of k where a query has none.
    edges : from the keys of each graph to its queries.
    queries : int64 (graphs · k,), the nodes to classify. y : their classes, 0 to k - 1.
    """

    name: Tensor
    value: Tensor
    edges: Edges
    queries: Tensor
    y: Tensor


def make_lookup(k: int, graphs: int, draw: torch.Generator) -> Lookup:
    """Graphs with k keys and k queries each, the values a random order of 0 to k - 1.

    Raises ValueError for fewer than two keys, or no graph.
    """
    if k < 2 or graphs < 1:
        raise ValueError(f"{k} keys in {graphs} graphs; 2 and above in 1 and above are taken")
    values = torch.rand(graphs, k, generator=draw).argsort(1)
    names = torch.arange(k).repeat(graphs, 2)  # keys, then queries
    first = 2 * k * torch.arange(graphs).view(-1, 1, 1)
    source = first + torch.arange(k).view(1, 1, -1).expand(graphs, k, k)
    target = first + k + torch.arange(k).view(1, -1, 1).expand(graphs, k, k)
    return Lookup(
        names.flatten(),
        torch.cat([values, torch.full_like(values, k)], 1).flatten(),
        Edges(torch.stack([source.flatten(), target.flatten()]), 2 * k * graphs),
        (first.flatten().view(-1, 1) + k + torch.arange(k)).flatten(),
        values.flatten(),
    )


class LookupNetwork(nn.Module):
    """Learnt vectors of names and values, one layer of attention, and a linear map to classes.

    Parameters
    ----------
    k : keys. kind : the layer. heads : of `width` features together. seed : of the weights.
    """

    def __init__(
        self,
        k: int,
        kind: type[GraphAttention] | type[DynamicGraphAttention],
        *,
        heads: int = 1,
        width: int = 64,
        seed: int = 0,
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.names, self.values = nn.Embedding(k, width), nn.Embedding(k + 1, width)
        self.layer = kind(width, width // heads, heads)
        self.classes = nn.Linear(width, k)

    def forward(self, lookup: Lookup) -> Tensor:
        """Logits (queries, k)."""
        h = self.layer(self.rows(lookup), lookup.edges)
        logits: Tensor = self.classes(h[lookup.queries])
        return logits

    def rows(self, lookup: Lookup) -> Tensor:
        """What the layer takes, (n, width)."""
        rows: Tensor = self.names(lookup.name) + self.values(lookup.value)
        return rows


def learn_lookup(
    network: LookupNetwork,
    k: int,
    seed: int,
    *,
    steps: int = 300,
    graphs: int = 32,
    learning_rate: float = 0.01,
    progress: Callable[[Iterable[int]], Iterable[int]] = lambda steps: steps,
) -> float:
    """Train on graphs that are drawn anew at each step; accuracy on 200 others, in percent."""
    draw = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    for _ in progress(range(steps)):
        lookup = make_lookup(k, graphs, draw)
        optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(network(lookup), lookup.y)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        lookup = make_lookup(k, 200, draw)
        return 100.0 * float((network(lookup).argmax(1) == lookup.y).double().mean())


@torch.no_grad()
def distinct_favorites(network: LookupNetwork, k: int, seed: int, graphs: int = 50) -> float:
    """How many of a graph's keys get the most attention of a query, the mean of graphs and heads.

    With static attention that is 1. Dynamic attention may have k; it need not, since a network can
    also learn from whom it turns away.
    """
    lookup = make_lookup(k, graphs, torch.Generator().manual_seed(seed))
    edges = lookup.edges.with_loops
    shares = network.layer.attention(network.rows(lookup), lookup.edges)
    of = edges.source != edges.target  # each query's k keys, one after the other
    best = shares[of].view(graphs, k, k, -1).argmax(2)
    ticked = torch.zeros(graphs, k, best.shape[-1]).scatter_(1, best, 1.0)
    return float(ticked.sum(1).mean())
