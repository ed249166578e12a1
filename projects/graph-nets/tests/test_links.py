"""Splits without leaks, negatives that are uniform, scores as networkx has them."""

import networkx
import numpy as np
import pytest
import torch

from graph_nets import links
from graph_nets.edges import Edges
from graph_nets.generators import citations
from graph_nets.geometric import geometric_twin


def pairs_of(array):
    return {tuple(pair) for pair in array.tolist()}


@pytest.fixture(scope="module")
def graph():
    return citations(n=300, seed=1)


@pytest.fixture(scope="module")
def split(graph):
    return links.split_links(graph.index, graph.n, np.random.default_rng(0))


def test_each_edge_is_in_one_part_and_no_hidden_one_passes_messages(graph, split):
    parts = [pairs_of(part) for part in (split.train, split.validation, split.test)]
    everything = pairs_of(links.undirected(graph.index))
    assert set.union(*parts) == everything
    assert sum(len(part) for part in parts) == len(everything)
    assert [len(part) for part in parts[1:]] == [
        int(0.05 * len(everything)),
        int(0.1 * len(everything)),
    ]
    seen = {(min(a, b), max(a, b)) for a, b in split.edges.index.T.tolist()}
    assert seen == parts[0]
    assert len(split.edges) == 2 * len(parts[0])


def test_what_is_judged_has_as_many_pairs_that_are_no_edges(graph, split):
    edges = pairs_of(links.undirected(graph.index))
    drawn = np.concatenate([split.no_validation, split.no_test])
    assert len(pairs_of(drawn)) == len(drawn)
    assert not pairs_of(drawn) & edges
    assert (drawn[:, 0] < drawn[:, 1]).all()
    pairs, truth = split.judged("test")
    assert truth.mean() == 0.5
    assert all((tuple(p) in edges) == bool(t) for p, t in zip(pairs.tolist(), truth, strict=True))


def test_an_edge_given_both_ways_twice_or_as_a_loop_is_one_or_none():
    index = torch.tensor([[2, 0, 1, 0, 3], [0, 2, 0, 1, 3]])
    assert links.undirected(index).tolist() == [[0, 1], [0, 2]]


@pytest.mark.parametrize("seed", range(3))
def test_all_pairs_that_are_no_edges_can_be_drawn_and_no_others(seed):
    drawn = networkx.gnp_random_graph(25, 0.2 + 0.3 * seed, seed=seed)
    edges = np.array(drawn.edges)
    free = 25 * 24 // 2 - len(edges)
    found = links.draw_negatives(free, 25, edges[:, ::-1], np.random.default_rng(seed))
    wanted = {(min(e), max(e)) for e in networkx.complement(drawn).edges}
    assert pairs_of(found) == wanted


def test_negatives_are_uniform():
    edges = np.array([[0, 1], [1, 2], [2, 3]])
    rng = np.random.default_rng(0)
    drawn = np.concatenate([links.draw_negatives(1, 5, edges, rng) for _ in range(7000)])
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(counts) == 7
    assert (np.abs(counts - 1000) < 150).all()  # five standard deviations


def test_pairs_are_numbered_without_rounding_where_nodes_are_many():
    last = 3_000_000
    pairs = np.array([[0, last], [last - 1, last], [0, last - 1], [last - 2, last - 1], [0, 1]])
    assert links._pair(links._number(pairs)).tolist() == pairs.tolist()


def test_scores_are_those_of_networkx(graph):
    known = networkx.from_edgelist(links.undirected(graph.index).tolist())
    known.add_nodes_from(range(graph.n))
    lonely = [node for node in known if known.degree(node) == 0][:2]
    assert len(lonely) == 2
    rng = np.random.default_rng(3)
    pairs = np.concatenate(
        [rng.integers(graph.n, size=(400, 2)), links.undirected(graph.index)[:100]]
    )
    pairs = np.concatenate([pairs[pairs[:, 0] != pairs[:, 1]], [lonely]])
    near = links.Neighborhoods(graph.n, links.undirected(graph.index))
    asked = [tuple(pair) for pair in pairs.tolist()]
    common = [len(list(networkx.common_neighbors(known, a, b))) for a, b in asked]
    assert max(common) > 0
    np.testing.assert_array_equal(near.common_neighbors(pairs), common)
    for ours, theirs in (
        (near.adamic_adar, networkx.adamic_adar_index),
        (near.jaccard, networkx.jaccard_coefficient),
        (near.preferential_attachment, networkx.preferential_attachment),
    ):
        wanted = [score for _, _, score in theirs(known, asked)]
        np.testing.assert_allclose(ours(pairs), wanted, rtol=1e-12)


def test_cosine_similarity_of_features_is_0_for_an_empty_row():
    x = torch.tensor([[1.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    found = links.cosine_similarity(x, np.array([[0, 1], [0, 2], [0, 0]]))
    np.testing.assert_allclose(found, [0.5**0.5, 0.0, 1.0], rtol=1e-6)


def test_the_encoder_is_torch_geometrics(graph, split):
    encoder = links.make_encoder(graph.x.shape[1], 8, 4, seed=0)
    for parameter in encoder.parameters():  # biases, too, are not 0
        torch.nn.init.normal_(parameter, std=0.3)
    wanted = geometric_twin(encoder).eval()(graph.x, split.edges.index)
    found = encoder(graph.x, split.edges)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_the_loss_is_binary_cross_entropy_of_products():
    z = torch.tensor([[1.0, 2.0], [0.5, -1.0], [0.0, 3.0]])
    loss = links.link_loss(z, np.array([[0, 2]]), np.array([[0, 1], [1, 2]]))
    logits = np.array([6.0, -1.5, -3.0])
    wanted = np.mean(np.log1p(np.exp(np.array([-1, 1, 1]) * logits)))
    np.testing.assert_allclose(float(loss), wanted, rtol=1e-6)


def test_training_finds_hidden_edges_and_the_same_seed_finds_the_same(graph, split):
    def train():
        encoder = links.make_encoder(graph.x.shape[1], 16, 8, seed=0)
        return links.fit_links(encoder, graph.x, split, np.random.default_rng(0), epochs=40)

    done = train()
    assert done.losses[-1] < done.losses[0] - 0.05
    pairs, truth = split.judged("validation")
    scores = links.embedding_scores(done.encoder, graph.x, split.edges, pairs)
    assert links.judge(scores, truth)[0] == max(done.validation) > 60  # the best epoch's weights
    assert train().losses == done.losses


@pytest.mark.parametrize("shares", [(0.0, 0.1), (0.05, -0.1), (0.5, 0.5)])
def test_shares_that_leave_no_part_are_refused(graph, shares):
    with pytest.raises(ValueError, match="positive shares that sum to less than 1"):
        links.split_links(
            graph.index, graph.n, np.random.default_rng(0), validation=shares[0], test=shares[1]
        )


def test_what_cannot_be_split_or_drawn_is_refused(split):
    rng = np.random.default_rng(0)
    few = Edges(torch.tensor([[0, 1], [1, 2]]), 3)
    with pytest.raises(ValueError, match="2 undirected edges; too few"):
        links.split_links(few.index, 3, rng)
    with pytest.raises(ValueError, match="2 pairs that are no edges; the graph has 1"):
        links.draw_negatives(2, 3, np.array([[0, 1], [1, 2]]), rng)
    with pytest.raises(ValueError, match="part 'train'"):
        split.judged("train")
