import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from graph_nets.generators import citations, power_law
from graph_nets.graph import Graph
from graph_nets.inference import FusedNetwork
from graph_nets.kernels import parts_of
from graph_nets.networks import make_network
from groundwork.measure import thread_limit


def awkward():
    """Loops, duplicated edges, isolated nodes and a hub."""
    draw = torch.Generator().manual_seed(0)
    index = torch.randint(0, 50, (2, 300), generator=draw)
    hub = torch.stack([torch.arange(40), torch.full((40,), 3)])
    index = torch.cat([index, index[:, :30], hub, torch.arange(5).repeat(2, 1)], 1)
    return Graph(torch.randn(60, 9, generator=draw), index)


def network_for(name, graph, classes=4):
    network = make_network(name, graph.x.shape[1], classes, seed=1).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return network


@pytest.mark.parametrize("by_degree", [False, True])
@pytest.mark.parametrize("name", ["gcn", "graphsage"])
@pytest.mark.parametrize("graph", [awkward(), power_law(500, 4000, 9, seed=1)])
def test_the_fused_network_answers_as_the_layers(name, graph, by_degree):
    network = network_for(name, graph)
    wanted = network(graph.x, graph.edges).detach().numpy()
    for threads in (1, 2):
        plan = FusedNetwork(network, graph.edges, threads, by_degree)
        np.testing.assert_allclose(plan.run(graph.x.numpy()), wanted, atol=2e-5)


@pytest.mark.parametrize("by_degree", [False, True])
@pytest.mark.parametrize("name", ["gcn", "graphsage"])
@pytest.mark.parametrize("graph", [awkward(), power_law(500, 4000, 40, seed=1)])
def test_rows_in_16_bits_give_the_same_to_four_digits(name, graph, by_degree):
    network = network_for(name, graph, classes=17)
    wanted = network(graph.x, graph.edges).detach().numpy()
    plan = FusedNetwork(network, graph.edges, 2, by_degree, short=True)
    for x in (graph.x.numpy(), csr_matrix(graph.x.numpy())):
        error = np.abs(plan.run(x) - wanted).max() / np.abs(wanted).max()
        assert 0 < error < 1e-4


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("name", ["gcn", "graphsage"])
@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
def test_a_feature_that_is_no_number_spoils_the_nodes_that_it_reaches(name, short, spoilt):
    graph = power_law(300, 600, 9, seed=1)
    network = network_for(name, graph)
    plan = FusedNetwork(network, graph.edges, short=short)
    x = graph.x.numpy().copy()
    x[7, 2] = spoilt
    reached = ~np.isfinite(network(torch.from_numpy(x), graph.edges).detach().numpy()).all(axis=1)
    assert 0 < reached.sum() < 200
    for given in (x, csr_matrix(x)):
        found = plan.run(given)
        np.testing.assert_array_equal(~np.isfinite(found).all(axis=1), reached)
    kept = ~reached
    wanted = network(graph.x, graph.edges).detach().numpy()
    np.testing.assert_allclose(found[kept], wanted[kept], atol=1e-3)


def test_a_plan_that_was_run_answers_the_next_features_alone():
    graph = power_law(300, 2000, 9, seed=1)
    network = network_for("graphsage", graph)
    plan = FusedNetwork(network, graph.edges, short=True)
    first = plan.run(graph.x.numpy())
    kept = first.copy()
    plan.run(-graph.x.numpy())
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(plan.run(graph.x.numpy()), kept)


@pytest.mark.parametrize("by_degree", [False, True])
@pytest.mark.parametrize("name", ["gcn", "graphsage"])
def test_int8_is_near_and_says_the_same_class(name, by_degree):
    graph = citations(400, seed=2)
    x = graph.x.numpy() * np.random.default_rng(0).uniform(0.5, 1, graph.x.shape).astype(np.float32)
    network = network_for(name, graph, classes=5)
    wanted = network(torch.from_numpy(x), graph.edges).detach().numpy()
    found = FusedNetwork(network, graph.edges, 2, by_degree, calibration=x).run(x)
    error = np.abs(found - wanted).max() / np.abs(wanted).max()
    assert 0 < error < 0.05
    margin = np.sort(wanted, axis=1)[:, -1] - np.sort(wanted, axis=1)[:, -2]
    sure = margin > 0.1 * np.abs(wanted).max()
    assert sure.sum() > 20
    assert (found.argmax(1) == wanted.argmax(1))[sure].all()


@pytest.mark.parametrize("by_degree", [False, True])
@pytest.mark.parametrize("name", ["gcn", "graphsage"])
def test_sparse_features_give_the_same(name, by_degree):
    graph = citations(300, seed=3)
    network = network_for(name, graph, classes=5)
    plan = FusedNetwork(network, graph.edges, 2, by_degree)
    x = graph.x.numpy()
    np.testing.assert_allclose(plan.run(csr_matrix(x)), plan.run(x), atol=2e-5)
    small = FusedNetwork(network, graph.edges, calibration=x)
    with pytest.raises(TypeError, match="sparse features for an int8"):
        small.run(csr_matrix(x))


def test_parts_have_as_many_edges_and_leave_no_row_out():
    counts = np.r_[1000, np.zeros(50), np.full(200, 10), 500].astype(np.int64)
    pointers = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    parts = parts_of(pointers, 2)
    assert parts[0] == 0
    assert parts[-1] == len(counts)
    assert (np.diff(parts) >= 0).all()
    held = np.diff(pointers[parts])
    assert held.max() <= 1000 + 200  # the hub alone is the largest part


def test_a_graph_without_edges_is_taken():
    graph = Graph(torch.randn(7, 3), torch.zeros(2, 0, dtype=torch.int64))
    for name in ("gcn", "graphsage"):
        network = network_for(name, graph)
        wanted = network(graph.x, graph.edges).detach().numpy()
        found = FusedNetwork(network, graph.edges).run(graph.x.numpy())
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_other_layers_and_shapes_are_refused():
    graph = awkward()
    with pytest.raises(TypeError, match="GraphAttention"):
        FusedNetwork(make_network("gat", 9, 4, seed=0), graph.edges)
    plan = FusedNetwork(network_for("gcn", graph), graph.edges)
    with pytest.raises(ValueError, match=r"\(60, 8\); \(60, 9\) is taken"):
        plan.run(np.zeros((60, 8), np.float32))


def test_the_thread_count_is_put_back():
    graph = awkward()
    with thread_limit(1):
        before = torch.get_num_threads()
        FusedNetwork(network_for("gcn", graph), graph.edges, threads=2).run(graph.x.numpy())
        assert torch.get_num_threads() == before
