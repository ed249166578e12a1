import pytest
import torch
from scipy import stats

from graph_nets.attention import (
    LookupNetwork,
    distinct_favorites,
    entropy_share,
    learn_lookup,
    make_lookup,
    with_uniform_attention,
)
from graph_nets.edges import Edges
from graph_nets.gat import DynamicGraphAttention, GraphAttention
from graph_nets.generators import citations
from graph_nets.networks import make_network

KINDS = [GraphAttention, DynamicGraphAttention]


def test_entropy_is_that_of_scipy_over_the_uniform_one():
    edges = Edges(torch.tensor([[0, 1, 2, 0, 1, 0], [0, 0, 0, 1, 1, 2]]), 4)
    shares = torch.tensor([[0.2, 1.0], [0.3, 0.0], [0.5, 0.0], [0.5, 0.9], [0.5, 0.1], [1.0, 1.0]])
    found = entropy_share(shares, edges)
    for node, degree in ((0, 3), (1, 2)):
        part = shares[edges.target == node].numpy()
        wanted = stats.entropy(part) / stats.entropy([1 / degree] * degree)
        assert found[node].tolist() == pytest.approx(wanted.tolist(), abs=1e-6)
    assert found[1, 0] == pytest.approx(1.0)  # even shares
    assert found[0, 1] == 0.0  # one neighbor has all
    assert found[2:].isnan().all()  # no choice


@pytest.mark.parametrize("name", ["gat", "gatv2"])
def test_uniform_attention_shares_alike_and_leaves_the_network_alone(name):
    graph = citations(n=330, seed=0)
    network = make_network(name, 300, 5, seed=0).eval()
    before = network(graph.x, graph.edges)
    plain = with_uniform_attention(network)
    loops = graph.edges.with_loops
    for head in plain.layers[0].attention(graph.x, graph.edges).T:
        torch.testing.assert_close(head, 1 / loops.degree[loops.target].float())
    assert torch.equal(network(graph.x, graph.edges), before)
    assert not torch.allclose(plain(graph.x, graph.edges), before)


def test_uniform_attention_wants_attention():
    with pytest.raises(TypeError, match="GraphConvolution"):
        with_uniform_attention(make_network("gcn", 3, 2, seed=0))


def test_a_lookups_class_is_the_value_of_the_key_of_the_same_name():
    k, graphs = 4, 3
    lookup = make_lookup(k, graphs, torch.Generator().manual_seed(1))
    for query, label in zip(lookup.queries.tolist(), lookup.y.tolist(), strict=True):
        keys = lookup.edges.source[lookup.edges.target == query]
        assert len(keys) == k
        assert lookup.value[query] == k  # a query does not know
        match = keys[lookup.name[keys] == lookup.name[query]]
        assert lookup.value[match].tolist() == [label]
        assert sorted(lookup.value[keys].tolist()) == list(range(k))
    assert len(lookup.queries) == k * graphs
    with pytest.raises(ValueError, match="1 keys in 3 graphs"):
        make_lookup(1, 3, torch.Generator())


def ranks(layer, x, edges):
    """The order in which each of 5 queries prefers 5 keys, in each head."""
    shares = layer.attention(x, edges)
    loops = edges.with_loops
    return shares[loops.source != loops.target].view(5, 5, -1).argsort(1)


def test_static_attention_ranks_alike_for_all_and_dynamic_attention_does_not():
    torch.manual_seed(0)
    index = torch.stack([torch.arange(5).repeat(5), torch.arange(5, 10).repeat_interleave(5)])
    edges, x = Edges(index, 10), torch.randn(10, 6, dtype=torch.float64)
    same = ranks(GraphAttention(6, 8, heads=3).double(), x, edges)
    assert (same == same[:1]).all()
    different = ranks(DynamicGraphAttention(6, 8, heads=3).double(), x, edges)
    assert (different != different[:1]).any()


def test_favorites_are_counted():
    """By hand: a layer in which each query prefers the key of its own name."""

    class Matching(torch.nn.Module):
        def attention(self, x, edges):
            loops = edges.with_loops
            names = lookup.name
            return (names[loops.source] == names[loops.target]).float().view(-1, 1)

    k = 4
    lookup = make_lookup(k, 5, torch.Generator().manual_seed(0))
    network = LookupNetwork(k, GraphAttention)
    assert distinct_favorites(network, k, 0, graphs=5) == pytest.approx(1.0)
    network.layer = Matching()
    assert distinct_favorites(network, k, 0, graphs=5) == pytest.approx(k)


def test_lookup_is_learnt_by_dynamic_attention_alone():
    found = [
        learn_lookup(LookupNetwork(4, kind, width=64, seed=0), 4, 0, steps=120, learning_rate=0.005)
        for kind in KINDS
    ]
    assert found[0] < 70.0 < 95.0 < found[1]
