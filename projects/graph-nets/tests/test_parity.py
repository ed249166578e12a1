"""Every layer against torch-geometric's: outputs, and gradients by inputs and weights."""

import pytest
import torch
from torch import nn

from graph_nets.edges import Edges
from graph_nets.exchange import _pairs, from_geometric, geometric_layers, to_geometric
from graph_nets.gat import DynamicGraphAttention, GraphAttention
from graph_nets.gcn import GraphConvolution
from graph_nets.sage import SageLayer

LAYERS = {
    "gcn, product": lambda: GraphConvolution(6, 4),
    "gcn, edge by edge": lambda: GraphConvolution(6, 4, product=False),
    "sage mean, product": lambda: SageLayer(6, 4),
    "sage mean, edge by edge": lambda: SageLayer(6, 4, product=False),
    "sage max-pool": lambda: SageLayer(6, 4, "max-pool"),
    "sage lstm": lambda: SageLayer(6, 4, "lstm", through_padding=True),
    "gat": lambda: GraphAttention(6, 4, heads=3),
    "gat, averaged": lambda: GraphAttention(6, 4, heads=3, concatenate=False),
    "gatv2": lambda: DynamicGraphAttention(6, 4, heads=3),
    "gatv2, averaged": lambda: DynamicGraphAttention(6, 4, heads=2, concatenate=False),
}


def awkward(seed):
    """A random graph of 30 nodes with loops, duplicated edges and isolated nodes."""
    draw = torch.Generator().manual_seed(seed)
    index = torch.randint(0, 24, (2, 80), generator=draw)  # nodes 24 to 29 have no edge
    index = torch.cat([index, index[:, :15], torch.arange(5).repeat(2, 1)], 1)
    x = torch.randn(30, 6, generator=draw, dtype=torch.float64)
    return x, index


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", LAYERS)
def test_outputs_and_gradients_are_theirs(name, seed):
    torch.manual_seed(seed)
    x, index = awkward(seed)
    ours = LAYERS[name]().double()
    for parameter in ours.parameters():  # biases, too, are not 0
        nn.init.normal_(parameter, std=0.5)
    theirs = to_geometric(ours)
    edges = Edges(index, len(x))
    mine, yours = x.clone().requires_grad_(), x.clone().requires_grad_()
    found = ours(mine, edges)
    wanted = theirs(yours, edges.index)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
    pull = torch.randn(wanted.shape, dtype=torch.float64)
    (found * pull).sum().backward()
    (wanted * pull).sum().backward()
    torch.testing.assert_close(mine.grad, yours.grad, rtol=0, atol=1e-5)
    for p, q in _gradients(ours, theirs):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-5)


def _gradients(ours, theirs):
    """Their parameters' gradients beside ours: the same pairs as for the weights."""
    for module in (ours, theirs):
        for parameter in module.parameters():
            parameter.data = parameter.grad
    pairs = _pairs(ours, theirs)
    assert len(pairs) == len(list(ours.parameters()))
    return pairs


@pytest.mark.parametrize("name", LAYERS)
def test_weights_come_back_as_they_went(name):
    x, index = awkward(0)
    ours = LAYERS[name]()
    again = from_geometric(to_geometric(ours))
    edges = Edges(index, len(x))
    torch.testing.assert_close(again(x.float(), edges), ours(x.float(), edges))


def test_a_graph_without_edges_is_taken():
    edges = Edges(torch.zeros(2, 0, dtype=torch.int64), 5)
    x = torch.randn(5, 6)
    for name, make in LAYERS.items():
        assert torch.isfinite(make()(x, edges)).all(), name


def test_what_cannot_be_exchanged_is_refused():
    theirs = geometric_layers()
    with pytest.raises(TypeError, match="Linear"):
        to_geometric(nn.Linear(2, 2))
    with pytest.raises(TypeError, match="GINConv"):
        from_geometric(theirs.GINConv(nn.Linear(2, 2)))
    with pytest.raises(ValueError, match="improved"):
        from_geometric(theirs.GCNConv(2, 2, improved=True))
    with pytest.raises(ValueError, match="project=False"):
        from_geometric(theirs.SAGEConv(2, 2, aggr="max"))
    with pytest.raises(ValueError, match="last neighbor"):
        to_geometric(SageLayer(2, 2, "lstm"))


@pytest.mark.parametrize(
    "index, words",
    [
        (torch.tensor([[0, 7], [1, 1]]), "source is node 7; 0 to 4"),
        (torch.tensor([[0, 1], [1, -1]]), "target is node -1; 0 to 4"),
        (torch.zeros(3, 2, dtype=torch.int64), r"shape \(3, 2\)"),
        (torch.zeros(2, 2), "float32"),
    ],
)
def test_edges_out_of_range_are_refused(index, words):
    with pytest.raises(ValueError, match=words):
        Edges(index, 5)
