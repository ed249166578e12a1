from itertools import pairwise

import pytest
import torch

from graph_nets.edges import SparseMatrix
from graph_nets.gcn import GraphConvolution
from graph_nets.generators import citations
from graph_nets.graph import Graph
from graph_nets.networks import NodeClassifier, make_network
from graph_nets.pretrained import pretrained
from graph_nets.training import features_of, fit, train_network
from groundwork.data import fetch
from groundwork.run import Run
from groundwork.terminal import Terminal


def test_the_seed_decides_the_network_and_the_graph_helps():
    graph = citations(300, seed=1)
    first, again, other = (train_network("gcn", graph, seed, epochs=30) for seed in (0, 0, 1))
    assert first.losses == again.losses
    assert first.losses != other.losses
    assert first.test > 60
    assert first.losses[-1] < first.losses[0]


@pytest.mark.parametrize("layers", [1, 3])
def test_any_number_of_layers_takes_sparse_features_as_dense_ones(layers):
    graph = citations(200, seed=2)
    sizes = [graph.x.shape[1], *[8] * (layers - 1), graph.classes]
    made = [GraphConvolution(a, b) for a, b in pairwise(sizes)]
    network = NodeClassifier(list(made), 0.5).eval()
    x = features_of(graph)
    assert isinstance(x, SparseMatrix)
    torch.testing.assert_close(
        network(x, graph.edges), network(graph.row_normalized().x, graph.edges)
    )


def test_a_graph_without_a_split_is_refused():
    graph = Graph(torch.ones(3, 2), torch.zeros(2, 0, dtype=torch.int64), torch.tensor([0, 1, 0]))
    with pytest.raises(ValueError, match="no split"):
        fit(make_network("gcn", 2, 2, seed=0), graph, graph.x)


def test_other_networks_are_refused_by_name():
    with pytest.raises(ValueError, match="'gin'; gcn, graphsage"):
        make_network("gin", 2, 2, seed=0)


def test_a_network_is_trained_once_and_then_taken_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "cache", lambda: tmp_path / "cache")
    run = Run(tmp_path / "run", seed=0, terminal=Terminal(None))
    graph = citations(200, seed=3)
    done = pretrained(run, "gcn", "generated", graph, 0, epochs=5)
    again = pretrained(run, "gcn", "generated", graph, 0, epochs=5)
    assert len(list((tmp_path / "cache").rglob("*.pt"))) == 1
    assert (again.test, again.losses, again.validation) == (done.test, done.losses, done.validation)
    for a, b in zip(done.network.parameters(), again.network.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert not again.network.training
    pretrained(run, "gcn", "generated", graph, 1, epochs=5)
    pretrained(run, "gcn", "generated", graph, 0, epochs=6)
    assert len(list((tmp_path / "cache").rglob("*.pt"))) == 3
