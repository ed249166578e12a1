import networkx
import numpy as np
import pytest
import torch

from graph_nets.graph import Graph
from groundwork import data


def test_planetoid_graphs_come_with_the_papers_split():
    loaded = generated()
    graph = Graph.from_planetoid(loaded)
    assert graph.n == 6
    assert graph.classes == 2
    assert graph.split["test"].tolist() == [4, 5]


def generated():
    """In the form of the registry's citation graphs."""
    from scipy import sparse

    return data.Bunch(
        x=sparse.csr_matrix(np.eye(6, 4, dtype=np.float32)),
        y=np.array([0, 1, 0, 1, -1, 0]),
        edges=np.array([[0, 1, 2, 3], [1, 0, 3, 2]]),
        train=np.array([0, 1]),
        validation=np.array([2, 3]),
        test=np.array([4, 5]),
    )


def test_a_geometric_graph_there_and_back():
    graph = Graph.from_planetoid(generated())
    again = Graph.from_geometric(graph.to_geometric())
    assert torch.equal(again.x, graph.x)
    assert torch.equal(again.index, graph.index)
    assert torch.equal(again.y, graph.y)
    assert {k: v.tolist() for k, v in again.split.items()} == {
        k: v.tolist() for k, v in graph.split.items()
    }


def test_a_geometric_graph_without_features_is_refused_by_name():
    from graph_nets.exchange import geometric_data

    with pytest.raises(ValueError, match="no x"):
        Graph.from_geometric(geometric_data()(edge_index=torch.zeros(2, 0, dtype=torch.int64)))


def test_networkx_edges_go_both_ways_and_a_loop_once():
    source = networkx.Graph([("a", "b"), ("b", "c"), ("c", "c")])
    graph = Graph.from_networkx(source)
    assert graph.names == ["a", "b", "c"]
    found = sorted(zip(*graph.index.tolist(), strict=True))
    assert found == [(0, 1), (1, 0), (1, 2), (2, 1), (2, 2)]
    assert graph.x.tolist() == [[1], [2], [2]]  # their degrees
    directed = Graph.from_networkx(networkx.DiGraph([(0, 1), (1, 2)]))
    assert directed.index.tolist() == [[0, 1], [1, 2]]
    assert directed.names is None


def test_networkx_features_and_classes_are_taken():
    source = networkx.path_graph(3)
    for node in source:
        source.nodes[node].update(x=[node, 1.0], y="even" if node % 2 == 0 else "odd")
    graph = Graph.from_networkx(source)
    assert graph.x.tolist() == [[0, 1], [1, 1], [2, 1]]
    assert graph.y.tolist() == [0, 1, 0]
    source.nodes[1]["x"] = [1.0]
    with pytest.raises(ValueError, match="node 1 has 1 features, others 2"):
        Graph.from_networkx(source)


@pytest.fixture
def files(tmp_path):
    def write(edges, features=None):
        (tmp_path / "edges.csv").write_text(edges)
        if features is None:
            return (tmp_path / "edges.csv",)
        (tmp_path / "nodes.csv").write_text(features)
        return tmp_path / "edges.csv", tmp_path / "nodes.csv"

    return write


def test_edge_lists_are_read(files):
    graph = Graph.from_csv(*files("from,to\n10,2\n2,3\n"))
    assert graph.names == ["2", "3", "10"]
    assert sorted(zip(*graph.index.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 0), (2, 0)]
    graph = Graph.from_csv(
        *files("from,to\nu,v\n", "node,age,class\nu,3,red\nv,4.5,\nw,1,blue\n"), directed=True
    )
    assert graph.x.tolist() == [[3], [4.5], [1]]
    assert graph.y.tolist() == [1, -1, 0]
    assert graph.index.tolist() == [[0], [1]]


@pytest.mark.parametrize(
    "edges, features, words",
    [
        ("a,b\n1,2,3\n", None, "line 2: 3 cells; the header has 2"),
        ("a,b,c\n1,2,3\n", None, "3 columns; a source and a target"),
        ("", None, "is empty"),
        ("a,b\n1,9\n", "node,x\n1,0\n2,0\n", "line 2: node '9' is not in"),
        ("a,b\n1,2\n", "node,x\n1,0\n2\n", "line 3: 1 cells; the header has 2"),
        ("a,b\n1,2\n", "node,x\n1,0\n2,big\n", "node 2: could not convert"),
        ("a,b\n1,2\n", "node,x\n1,0\n1,1\n", "node '1' twice"),
        ("a,b\n1,2\n", "node,x\n1,nan\n2,1\n", "node 0 has a feature that is not a finite"),
    ],
)
def test_a_broken_file_is_refused_by_line(files, edges, features, words):
    with pytest.raises(ValueError, match=words):
        Graph.from_csv(*files(edges, features))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        Graph.from_csv(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"x": torch.zeros(3)}, r"features of shape \(3,\)"),
        ({"x": torch.zeros(3, 2).double()}, "float64"),
        ({"index": torch.tensor([[0], [3]])}, "target is node 3; 0 to 2"),
        ({"y": torch.zeros(2, dtype=torch.int64)}, "2 classes for 3 nodes"),
        ({"split": {"train": torch.tensor([5])}}, "train has node 5; 0 to 2"),
        ({"split": {"val": torch.tensor([1])}}, "called 'val'; train, validation, test"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, words):
    parts = {"x": torch.zeros(3, 2), "index": torch.zeros(2, 1, dtype=torch.int64)}
    with pytest.raises(ValueError, match=words):
        Graph(**(parts | changes))


def test_a_random_split_takes_as_many_of_each_class_and_no_node_twice():
    y = torch.tensor([0] * 10 + [1] * 20 + [-1] * 5)
    graph = Graph(torch.ones(35, 1), torch.zeros(2, 0, dtype=torch.int64), y)
    split = graph.split_at_random(per_class=4, validation=8, test=6, seed=0).split
    assert torch.bincount(y[split["train"]]).tolist() == [4, 4]
    everyone = torch.cat(list(split.values()))
    assert len(everyone.unique()) == 8 + 8 + 6
    assert (y[everyone] >= 0).all()
    again = graph.split_at_random(per_class=4, validation=8, test=6, seed=1).split
    assert not torch.equal(split["test"], again["test"])
    with pytest.raises(ValueError, match="11 nodes of each class; class 0 has 10"):
        graph.split_at_random(per_class=11, validation=1, test=1, seed=0)
    with pytest.raises(ValueError, match="22 are left"):
        graph.split_at_random(per_class=4, validation=20, test=6, seed=0)


def test_features_below_0_are_kept_by_normalizing():
    graph = Graph(torch.tensor([[-1.0, -3.0], [2.0, -2.0]]), torch.zeros(2, 0, dtype=torch.int64))
    assert graph.row_normalized().x.tolist() == [[-0.25, -0.75], [0.5, -0.5]]


def test_rows_are_normalized_and_empty_ones_stay_empty():
    graph = Graph(torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.zeros(2, 0, dtype=torch.int64))
    assert graph.row_normalized().x.tolist() == [[0.25, 0.75], [0, 0]]
