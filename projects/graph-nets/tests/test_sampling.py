import numpy as np
import pytest
import torch

from graph_nets.edges import Edges
from graph_nets.generators import citations
from graph_nets.graph import Graph
from graph_nets.sage import SageLayer
from graph_nets.sampled_training import SageNetwork, fit_sampled
from graph_nets.sampling import (
    NeighborSampler,
    expected_error,
    sampling_errors,
    without_nodes,
)
from graph_nets.training import features_of

#: Node 0 hears 1 to 12, node 1 hears 2 and 3 and again 3, node 2 itself; the others nobody.
INDEX = torch.tensor(
    [[*range(1, 13), 2, 3, 3, 2], [*[0] * 12, 1, 1, 1, 2]],
)


def star(seed, *fanouts):
    return NeighborSampler(Edges(INDEX, 13), fanouts, np.random.default_rng(seed))


def heard(batch, layer=-1):
    """What each target of a block hears, as the graph's nodes."""
    block = batch.blocks[layer]
    return {
        int(batch.nodes[t]): batch.nodes[block.source[block.target == t]].tolist()
        for t in range(block.n)
    }


@pytest.mark.parametrize("fanout", [1, 3, 6, 7, 11])
def test_a_sample_has_as_many_different_edges_as_the_fanout(fanout):
    for seed in range(20):
        found = heard(star(seed, fanout).sample(torch.tensor([0, 5])))
        assert len(set(found[0])) == len(found[0]) == fanout
        assert set(found[0]) <= set(range(1, 13))
        assert found[5] == []


@pytest.mark.parametrize("fanout", [12, 13, 10**12])
def test_a_fanout_above_the_degree_takes_every_edge(fanout):
    found = heard(star(0, fanout).sample(torch.tensor([1, 0, 2])))
    assert sorted(found[0]) == list(range(1, 13))
    assert sorted(found[1]) == [2, 3, 3]  # an edge that is given twice counts twice
    assert found[2] == [2]


def test_all_neighbors_stay_in_the_order_of_the_edges():
    assert heard(star(0, None).sample(torch.tensor([0])))[0] == list(range(1, 13))


@pytest.mark.parametrize("fanout", [2, 5, 9])
def test_every_neighbor_is_as_likely_at_every_place(fanout):
    """Floyd's way for 2 and 5 of 12, the shuffle for 9: chi-square, 11 degrees of freedom."""
    sampler, rounds = star(3, fanout), 2400
    counts = np.zeros((fanout, 12))
    for _ in range(rounds):
        counts[np.arange(fanout), np.array(heard(sampler.sample(torch.tensor([0])))[0]) - 1] += 1
    expected = rounds / 12
    assert ((counts - expected) ** 2 / expected).sum(1).max() < 35.0  # one in 4000 by chance


def test_pairs_of_neighbors_are_drawn_alike():
    sampler, counts = star(4, 2), np.zeros((12, 12))
    for _ in range(6600):
        a, b = sorted(heard(sampler.sample(torch.tensor([0])))[0])
        counts[a - 1, b - 1] += 1
    found = counts[np.triu_indices(12, 1)]  # 66 pairs, 100 of each
    assert ((found - 100) ** 2 / 100).sum() < 110  # 65 degrees of freedom


def test_the_same_seed_gives_the_same_blocks():
    one, again, other = (star(seed, 3, 2).sample(torch.tensor([1, 0])) for seed in (5, 5, 6))
    assert torch.equal(one.nodes, again.nodes)
    assert all(torch.equal(a.index, b.index) for a, b in zip(one.blocks, again.blocks, strict=True))
    assert not torch.equal(one.nodes, other.nodes)


def test_blocks_chain_and_targets_come_first():
    graph = citations(n=400, seed=1)
    sampler = NeighborSampler(graph.edges, (5, 3, 2), np.random.default_rng(0))
    targets = torch.tensor([7, 300, 12])
    batch = sampler.sample(targets)
    assert torch.equal(batch.targets, targets)
    assert len(batch.nodes.unique()) == len(batch.nodes) == batch.blocks[0].sources
    assert batch.blocks[0].n == batch.blocks[1].sources
    assert batch.blocks[1].n == batch.blocks[2].sources
    assert [int(block.degree.max()) for block in batch.blocks] <= [2, 3, 5]
    real = set(zip(*graph.index.tolist(), strict=True))
    for block in batch.blocks:
        pairs = zip(
            batch.nodes[block.source].tolist(), batch.nodes[block.target].tolist(), strict=True
        )
        assert set(pairs) <= real


@pytest.mark.parametrize("aggregator", ["mean", "max-pool", "lstm"])
def test_blocks_of_all_neighbors_give_the_whole_graphs_logits(aggregator):
    graph = citations(n=300, seed=2)
    network = SageNetwork(300, 5, aggregator, width=8).eval()
    sampler = NeighborSampler(graph.edges, (None, None), np.random.default_rng(0))
    batch = sampler.sample(torch.arange(290, 240, -1))
    found = network(graph.x[batch.nodes], batch.blocks)
    wanted = network(graph.x, graph.edges)[batch.targets]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_the_lstm_reads_each_neighborhood_alone():
    """Packed across nodes, against a loop over them."""
    graph = citations(n=60, seed=3)
    layer, x = SageLayer(4, 3, "lstm"), torch.randn(60, 4)
    found = layer.aggregate(x, graph.edges)
    for node in range(60):
        rows = x[graph.edges.source[graph.edges.target == node]]
        wanted = layer.lstm(rows[None])[1][0][0, 0] if len(rows) else torch.zeros(4)
        torch.testing.assert_close(found[node], wanted)


def test_sampled_means_scatter_about_the_whole_one_as_the_theory_says():
    graph = citations(n=300, seed=4)
    x = torch.randn(300, 16)
    found = sampling_errors(x, graph.edges, 2, 200, np.random.default_rng(0))
    assert found["one"] == pytest.approx(found["theory"], rel=0.03)
    assert found["average"] == pytest.approx(found["one"] / 200**0.5, rel=0.1)
    assert found["maximum"] > 3 * found["average"]
    assert expected_error(x, graph.edges, 10**6) == 0.0


def test_every_training_node_is_in_one_batch():
    sampler = star(0, 2)
    found = [batch.targets for batch in sampler.batches(torch.tensor([9, 4, 0, 1, 2]), 2)]
    assert [len(targets) for targets in found] == [2, 2, 1]
    assert sorted(torch.cat(found).tolist()) == [0, 1, 2, 4, 9]


def test_training_on_samples_learns():
    graph = citations(n=500, alike=0.9, seed=5)
    x = graph.row_normalized().x
    network = SageNetwork(300, 5, "mean", width=32)
    sampler = NeighborSampler(graph.edges, (4, 4), np.random.default_rng(0))
    done = fit_sampled(network, graph, x, sampler, batch_size=50, epochs=25)
    assert done.test > 60.0  # of five classes
    assert done.losses[-1] < done.losses[0] / 2
    with torch.no_grad():
        assert network.eval()(features_of(graph), graph.edges).shape == (500, 5)


def test_nodes_that_are_taken_out_leave_no_edge_behind():
    graph = Graph(
        torch.arange(4.0).view(4, 1),
        torch.tensor([[0, 1, 2, 3, 1], [1, 2, 3, 0, 3]]),
        torch.tensor([0, 1, 0, 1]),
        {"train": torch.tensor([0, 3]), "test": torch.tensor([2])},
        names=["a", "b", "c", "d"],
    )
    left = without_nodes(graph, torch.tensor([2]))
    assert left.x.flatten().tolist() == [0, 1, 3]
    assert sorted(zip(*left.index.tolist(), strict=True)) == [(0, 1), (1, 2), (2, 0)]
    assert left.y.tolist() == [0, 1, 1]
    assert {name: nodes.tolist() for name, nodes in left.split.items()} == {
        "train": [0, 2],
        "test": [],
    }
    assert left.names == ["a", "b", "d"]


@pytest.mark.parametrize(
    "fanouts, words",
    [((), "no fan-outs"), ((0,), "fan-out of 0"), ((3, -1), "of -1"), ((2.5,), "of 2.5")],
)
def test_bad_fanouts_are_refused(fanouts, words):
    with pytest.raises(ValueError, match=words):
        star(0, *fanouts)


@pytest.mark.parametrize(
    "nodes, words",
    [
        (torch.tensor([0, 13]), "node 13; 0 to 12"),
        (torch.tensor([-1]), "node -1; 0 to 12"),
        (torch.tensor([3, 1, 3]), "node 3 is given twice"),
        (torch.tensor([1.0]), "float32"),
        (torch.tensor([[1]]), r"shape \(1, 1\)"),
        (torch.tensor([], dtype=torch.int64), "one or more"),
    ],
)
def test_bad_nodes_are_refused(nodes, words):
    with pytest.raises(ValueError, match=words):
        star(0, 2).sample(nodes)


def test_what_else_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="20 sources and 13 targets"):
        NeighborSampler(Edges(INDEX, 13, 20), (2,), np.random.default_rng(0))
    with pytest.raises(ValueError, match="batches of 0 nodes"):
        next(star(0, 2).batches(torch.tensor([1]), 0))
    graph = citations(n=400)
    with pytest.raises(ValueError, match="1 fan-outs for 2 layers"):
        fit_sampled(
            SageNetwork(300, 5, "mean"),
            graph,
            graph.x,
            NeighborSampler(graph.edges, (3,), np.random.default_rng(0)),
        )
