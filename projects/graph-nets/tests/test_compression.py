"""int8 networks against their simulation and PyTorch's quantizers; masks; what is stored."""

import numpy as np
import pytest
import torch
from scipy import sparse

from graph_nets import compression
from graph_nets.edges import SparseMatrix
from graph_nets.generators import citations
from graph_nets.networks import make_network
from graph_nets.training import features_of, fit


@pytest.fixture(scope="module")
def graph():
    return citations(n=400, seed=2)


def network_for(graph, name, seed=0):
    network = make_network(name, graph.x.shape[1], graph.classes, seed)
    for parameter in network.parameters():
        if parameter.ndim == 1:  # biases, too, are not 0
            torch.nn.init.normal_(parameter, std=0.1)
    return network


@pytest.mark.parametrize("name", ["gcn", "graphsage"])
@pytest.mark.parametrize("dense", [False, True])
def test_integers_compute_what_rounded_floats_do(graph, name, dense):
    network = network_for(graph, name)
    x = graph.row_normalized().x if dense else features_of(graph)
    assert dense or isinstance(x, SparseMatrix)
    integers = compression.quantize(network, x, graph.edges)
    given = compression.scipy_features(x)
    found, wanted = integers.run(given), integers.simulate(given)
    for ours, theirs in zip(found.integers, wanted.integers, strict=True):
        assert ours.dtype == np.int8
        assert np.abs(ours.astype(int) - theirs).max() <= 1
        assert np.mean(ours != theirs) < 1e-3  # ties, which float32 breaks in another way
    reach = np.abs(wanted.logits).max()
    np.testing.assert_allclose(found.logits, wanted.logits, atol=0.01 * reach)
    assert np.abs(found.logits - wanted.logits).mean() < 1e-4 * reach


@pytest.mark.parametrize("name", ["gcn", "graphsage"])
def test_int8_is_near_the_network_that_it_was_made_of(graph, name):
    network, x = network_for(graph, name).eval(), features_of(graph)
    with torch.no_grad():
        whole = network(x, graph.edges).numpy()
    integers = compression.quantize(network, x, graph.edges)
    found = integers.run(compression.scipy_features(x)).logits
    assert np.abs(found - whole).max() < 0.05 * np.abs(whole).max()
    cut = compression.quantize(network, x, graph.edges, coverage=0.5)
    less = cut.run(compression.scipy_features(x)).logits
    assert np.abs(less - whole).max() > 2 * np.abs(found - whole).max()


def test_duplicated_edges_and_lonely_nodes_are_counted(graph):
    index = torch.tensor([[1, 1, 2, 0, 3, 3], [0, 0, 0, 1, 3, 3]])  # node 4 has no edge
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    from graph_nets.edges import Edges

    edges = Edges(index, 5)
    for name in ("gcn", "graphsage"):
        network = make_network(name, 6, 3, 0).eval()
        with torch.no_grad():
            whole = network(x, edges).numpy()
        found = compression.quantize(network, x, edges).run(x.numpy()).logits
        np.testing.assert_allclose(found, whole, atol=0.05 * np.abs(whole).max())


def test_weights_are_rounded_as_pytorch_rounds_them():
    weight = torch.randn(20, 7, generator=torch.Generator().manual_seed(0))
    weight[:, 3] = 0.0
    ours = compression.IntegerWeights.of(weight)
    theirs = torch.fake_quantize_per_channel_affine(
        weight, torch.from_numpy(ours.step), torch.zeros(7), 1, -127, 127
    )
    np.testing.assert_allclose(ours.real(), theirs.numpy(), rtol=1e-6, atol=1e-9)
    assert (np.abs(ours.values).max(axis=0) == [127, 127, 127, 0, 127, 127, 127]).all()
    assert (np.abs(ours.real() - weight.numpy()) <= ours.step * 0.5001).all()


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_integer_products_are_exact_where_int8_alone_would_overflow(form):
    rng = np.random.default_rng(0)
    x = rng.integers(-127, 128, (50, 300)).astype(np.int8)
    weight = rng.integers(-127, 128, (300, 9)).astype(np.int8)
    x[0], weight[:, 0] = 127, 127
    found = compression.integer_product(form(x), weight)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, x.astype(np.int64) @ weight.astype(np.int64))


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("name", ["gcn", "graphsage"])
def test_the_smallest_weights_are_masked_and_stay_zero_in_training(graph, name, scope):
    network = network_for(graph, name)
    before = [h.weight.detach().clone() for h in compression.weight_holders(network)]
    pruned = compression.masked(network, 0.5, scope)
    assert compression.zero_share(pruned) == pytest.approx(0.5, abs=1e-3)
    masks = [h.parametrizations.weight[0].mask for h in compression.weight_holders(pruned)]
    groups = zip(before, masks, strict=True)
    if scope == "global":
        groups = [
            (torch.cat([w.flatten() for w in before]), torch.cat([m.flatten() for m in masks]))
        ]
    for weight, mask in groups:
        assert weight[mask == 0].abs().max() <= weight[mask == 1].abs().min()
    fit(pruned, graph, features_of(graph), epochs=3)
    compression.unmasked(pruned)
    for old, mask, holder in zip(before, masks, compression.weight_holders(pruned), strict=True):
        assert (holder.weight[mask == 0] == 0).all()
        assert not torch.equal(holder.weight, old * mask)  # the others were trained on
    for old, holder in zip(before, compression.weight_holders(network), strict=True):
        assert torch.equal(holder.weight, old)  # a copy was pruned


def test_zeros_stay_zeros_in_int8(graph):
    pruned = compression.unmasked(compression.masked(network_for(graph, "gcn"), 0.9))
    integers = compression.quantize(pruned, features_of(graph), graph.edges)
    for layer, holder in zip(integers.layers, compression.weight_holders(pruned), strict=True):
        assert (layer.neighbors.values[holder.weight.detach().numpy() == 0] == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
@pytest.mark.parametrize(
    "share, shape, form",
    [(1.0, (40, 16), "all"), (0.4, (40, 16), "places"), (0.02, (40, 200), "columns")],
)
def test_matrices_come_back_as_they_were_stored(dtype, share, shape, form):
    rng = np.random.default_rng(0)
    weight = (rng.integers(1, 100, shape) * (rng.random(shape) < share)).astype(dtype)
    weight[3] = weight[3] * (share == 1.0)  # a row without values
    parts = compression.pack(weight)
    assert form in parts
    assert compression.stored_bytes(parts) <= weight.nbytes + 8
    again = compression.unpack(parts)
    assert again.dtype == dtype
    np.testing.assert_array_equal(again, weight)


def test_a_matrix_without_values_can_be_stored():
    zeros = np.zeros((6, 4), np.float32)
    np.testing.assert_array_equal(compression.unpack(compression.pack(zeros)), zeros)


def test_what_is_stored_is_counted_to_the_byte(graph):
    network = network_for(graph, "gcn")
    numbers = sum(p.numel() for p in network.parameters())
    shapes = 2 * 8
    assert compression.stored_bytes(compression.stored(network)) == 4 * numbers + shapes
    integers = compression.quantize(network, features_of(graph), graph.edges)
    channels = 16 + graph.classes
    weights = numbers - channels
    wanted = weights + 4 * channels + 4 * channels + 2 * 8 + shapes  # int8, steps, biases
    assert compression.stored_bytes(compression.stored(integers)) == wanted


def test_row_ranges_are_the_same_for_sparse_features(graph):
    x = graph.row_normalized().x
    np.testing.assert_array_equal(
        compression.row_ranges(SparseMatrix.of(x)), compression.row_ranges(x)
    )


def test_what_cannot_be_compressed_is_refused(graph):
    x = features_of(graph)
    attention = make_network("gat", 300, 5, 0)
    with pytest.raises(TypeError, match="GraphAttention; GraphConvolution and SageLayer"):
        compression.masked(attention, 0.5)
    with pytest.raises(TypeError, match="GraphAttention"):
        compression.quantize(attention, x, graph.edges)
    network = network_for(graph, "gcn")
    with pytest.raises(ValueError, match=r"share=1\.0"):
        compression.masked(network, 1.0)
    with pytest.raises(ValueError, match=r"coverage=0\.0"):
        compression.quantize(network, x, graph.edges, coverage=0.0)
    network.nonlinearity = torch.nn.functional.elu
    with pytest.raises(ValueError, match="not relu"):
        compression.quantize(network, x, graph.edges)
    with pytest.raises(ValueError, match="133,144"):
        compression.integer_product(np.zeros((1, 140_000), np.int8), np.zeros((1, 1), np.int8))
