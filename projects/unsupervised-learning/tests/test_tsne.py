import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import manifold
from sklearn.manifold import trustworthiness
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.testing import awkward_families
from unsupervised_learning.barnes_hut import build_tree, exact_repulsion, repulsion
from unsupervised_learning.tsne import TSNE
from unsupervised_learning.tsne_steps import (
    attraction,
    conditional_probabilities,
    divergence,
    joint_probabilities,
)


@parametrize_with_checks([TSNE(perplexity=2), TSNE(1, perplexity=2, method="exact")])
def test_contract(estimator, check):
    check(estimator)


def pairs_sum(Y: NDArray, nu: int) -> tuple[NDArray, float]:
    """F and Z of the definition; Y is (d, n)."""
    gaps = Y[:, :, None].astype(float) - Y[:, None, :]
    t = 1.0 / (1.0 + (gaps**2).sum(axis=0) / nu)
    w = t ** ((nu + 1) / 2)
    return (w * t * gaps).sum(axis=2), w.sum() - len(w)


def cloud(d: int, n: int = 600, seed: int = 0) -> NDArray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(d, n)) + 8 * rng.integers(0, 3, n)).astype(np.float32)


@pytest.mark.parametrize("d, nu", [(1, 1), (2, 1), (3, 2), (5, 4)])
def test_exact_repulsion_is_the_sum_over_pairs(d: int, nu: int) -> None:
    Y = cloud(d)
    force, total = pairs_sum(Y, nu)
    got, got_total = exact_repulsion(Y, nu)
    assert got_total == pytest.approx(total, rel=1e-5)
    np.testing.assert_allclose(got, force, atol=1e-5 * np.abs(force).max())


@pytest.mark.parametrize("d, nu", [(1, 1), (2, 1), (3, 2)])
def test_the_tree_gives_nearly_the_sum_over_pairs(d: int, nu: int) -> None:
    Y = cloud(d)
    force, total = pairs_sum(Y, nu)
    for theta, allowed in ((0.0, 1e-5), (0.5, 0.01), (1.0, 0.15)):
        got, got_total = repulsion(Y, theta, nu)
        assert got_total == pytest.approx(total, rel=allowed)
        assert np.linalg.norm(got - force) <= allowed * np.linalg.norm(force)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_tree_holds_every_point_once(d: int) -> None:
    Y = cloud(d, 500)
    tree = build_tree(Y)
    leaves = tree.skip == np.arange(len(tree.skip)) + 1
    assert sorted(tree.order) == list(range(500))
    assert (tree.end - tree.start)[leaves].sum() == 500
    assert (tree.end - tree.start)[leaves].max() <= 32
    for cell in range(len(tree.start)):
        inside = Y[:, tree.order[tree.start[cell] : tree.end[cell]]]
        np.testing.assert_array_equal(tree.low[:, cell], inside.min(axis=1))
        np.testing.assert_array_equal(tree.high[:, cell], inside.max(axis=1))
        np.testing.assert_allclose(tree.center[:, cell], inside.mean(axis=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 1.0, np.inf, np.nan])
def test_a_tree_of_points_that_cannot_be_parted_ends(value: float) -> None:
    Y = np.full((2, 100), value, np.float32)
    assert len(build_tree(Y).start) == 1
    Y[0, ::2] = np.nextafter(np.float32(value), np.float32(2.0))
    assert len(build_tree(Y).start) in (1, 3)


def test_each_row_of_probabilities_has_the_perplexity() -> None:
    X = tables.matrix("wine", standardize=True)[0]
    distances = NearestNeighbors(n_neighbors=91).fit(X).kneighbors()[0]
    for scale in (1.0, 1e-6, 1e6):
        P = conditional_probabilities(scale * distances, 30.0)
        entropy = -(P * np.log(np.maximum(P, 1e-300))).sum(axis=1)
        np.testing.assert_allclose(P.sum(axis=1), 1.0, rtol=1e-12)
        np.testing.assert_allclose(np.exp(entropy), 30.0, rtol=1e-4)


def test_duplicates_share_the_probability() -> None:
    np.testing.assert_allclose(conditional_probabilities(np.zeros((3, 8)), 5.0), 1 / 8)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_forces_are_the_gradient_of_the_divergence(d: int) -> None:
    X = tables.matrix("iris")[0][::5]
    distances, neighbors = NearestNeighbors(n_neighbors=12).fit(X).kneighbors()
    P = joint_probabilities(neighbors, distances, 4.0)
    assert P.sum() == pytest.approx(1.0, rel=1e-6)
    assert abs(P - P.T).max() == 0
    nu = max(d - 1, 1)
    Y = np.random.default_rng(0).normal(size=(d, len(X)))
    single = Y.astype(np.float32)
    force, total = exact_repulsion(single, nu)
    pull = attraction(P.indptr, P.indices, P.data, single)
    gradient = 2.0 * (nu + 1) / nu * (pull - force / total)

    def value(Y: NDArray) -> float:
        return divergence(P.indptr, P.indices, P.data, Y, pairs_sum(Y, nu)[1])

    for axis in range(d):
        for i in range(0, len(X), 7):
            step = np.zeros_like(Y)
            step[axis, i] = 1e-4
            slope = (value(Y + step) - value(Y - step)) / 2e-4
            assert gradient[axis, i] == pytest.approx(slope, abs=1e-5)


@pytest.mark.parametrize("table", ["breast_cancer", "diabetes"])
def test_maps_are_as_trustworthy_as_the_references(table: str) -> None:
    X = tables.matrix(table, standardize=True)[0]
    scores = {
        model: np.mean(
            [
                trustworthiness(X, model(init="random", random_state=seed).fit_transform(X))
                for seed in range(2)
            ]
        )
        for model in (TSNE, manifold.TSNE)
    }
    assert scores[TSNE] >= scores[manifold.TSNE] - 0.01  # a run's own spread is 0.003


def test_the_divergence_of_a_larger_set_is_the_references_or_lower() -> None:
    X = tables.matrix("digits")[0][:600]
    ours, theirs = TSNE().fit(X), manifold.TSNE(random_state=0).fit(X)
    assert ours.kl_divergence_ <= theirs.kl_divergence_ + 0.01
    assert trustworthiness(X, ours.embedding_) >= trustworthiness(X, theirs.embedding_) - 0.005
    assert ours.learning_rate_ == theirs.learning_rate_


def test_the_tree_and_the_sum_over_pairs_lead_to_maps_of_the_same_quality() -> None:
    X = tables.matrix("wine", standardize=True)[0]
    maps = [TSNE(method=method).fit_transform(X) for method in ("barnes_hut", "exact")]
    assert abs(trustworthiness(X, maps[0]) - trustworthiness(X, maps[1])) < 0.015


@pytest.mark.parametrize("family", awkward_families(leave_out=["one row"]))
def test_awkward_input_gives_a_finite_map(family: str) -> None:
    X = awkward_families(leave_out=["one row"])[family](np.random.default_rng(0))
    Y = TSNE(perplexity=2, max_iter=300, random_state=0).fit_transform(X)
    assert Y.shape == (len(X), 2)
    assert Y.dtype == np.float32
    assert np.isfinite(Y).all()


def test_distances_and_features_give_the_same_map() -> None:
    X = np.random.default_rng(1).normal(size=(50, 4))
    start = 1e-4 * np.random.default_rng(0).normal(size=(len(X), 2))
    kept = start.copy()
    features = TSNE(perplexity=8, init=start, max_iter=260).fit_transform(X)
    distances = pairwise_distances(X)
    given = TSNE(perplexity=8, init=start, max_iter=260, metric="precomputed")
    np.testing.assert_allclose(given.fit_transform(distances), features, atol=1e-2)
    np.testing.assert_array_equal(start, kept)


def test_three_dimensions_hold_more_than_two() -> None:
    X = tables.matrix("digits")[0][:400]
    kept = [trustworthiness(X, TSNE(k).fit_transform(X)) for k in (1, 2, 3)]
    assert kept[0] < kept[1] < kept[2]


def test_the_descent_ends_early_when_it_has_arrived() -> None:
    X = tables.matrix("iris")[0][:40]
    assert TSNE(perplexity=5, min_grad_norm=10.0).fit(X).n_iter_ == 50
    patient = TSNE(perplexity=5, max_iter=3000, n_iter_without_progress=0).fit(X)
    assert 250 < patient.n_iter_ < 3000


def test_a_seed_decides_and_the_principal_start_needs_none() -> None:
    X = tables.matrix("iris")[0][:60]
    first, second = (TSNE(max_iter=250, perplexity=9).fit_transform(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    random = [TSNE(max_iter=250, perplexity=9, init="random", random_state=s) for s in (0, 0, 1)]
    maps = [model.fit_transform(X) for model in random]
    np.testing.assert_array_equal(maps[0], maps[1])
    assert np.abs(maps[0] - maps[2]).max() > 0.1


def test_it_ends_a_pipeline_with_names() -> None:
    frame, _ = tables.frame("iris")
    pipeline = make_pipeline(StandardScaler(), TSNE(max_iter=250)).set_output(transform="pandas")
    result = pipeline.fit_transform(frame)
    assert list(result.columns) == ["tsne0", "tsne1"]
    assert result.index.equals(frame.index)


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"perplexity": 20}, r"perplexity \(20\) must be less than n_samples \(20\)"),
        ({"perplexity": 0}, "perplexity"),
        ({"max_iter": 100}, "max_iter"),
        ({"n_components": 4}, "use method='exact'"),
        ({"init": np.zeros((3, 2))}, r"init has the shape \(3, 2\), the map is \(20, 2\)"),
        ({"metric": "precomputed"}, "init='random'"),
        ({"metric": "precomputed", "init": "random"}, "distances are square"),
        ({"angle": 2}, "angle"),
        ({"learning_rate": 1e30}, "take a lower one"),
    ],
)
def test_a_bad_parameter_is_named(parameters: dict[str, object], words: str) -> None:
    X = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match=words):
        TSNE(**{"perplexity": 5, **parameters}).fit(X)


def test_negative_distances_are_refused() -> None:
    model = TSNE(perplexity=2, metric="precomputed", init="random")
    with pytest.raises(ValueError, match="Negative values"):
        model.fit(-np.ones((6, 6)))
