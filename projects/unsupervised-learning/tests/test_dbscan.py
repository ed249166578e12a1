import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import cluster as reference
from sklearn.datasets import make_blobs, make_moons
from sklearn.metrics import pairwise_distances
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.testing import parity
from unsupervised_learning.dbscan import DBSCAN


@parametrize_with_checks([DBSCAN(), DBSCAN(metric="manhattan")])
def test_contract(estimator, check):
    check(estimator)


def parts(estimator, X, weight=None):
    estimator.fit(X, sample_weight=weight)
    return estimator.labels_, estimator.core_sample_indices_, estimator.components_


SETTINGS = [
    {"eps": 0.5, "min_samples": 3},
    {"eps": 2.0, "min_samples": 2},
    {"eps": 2.0, "min_samples": 1},
    {"eps": 3.0, "min_samples": 6, "metric": "manhattan"},
]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_labels_and_core_points_are_the_references(setting: dict, weighted: bool) -> None:
    def fitted(estimator):
        def fit(X):
            return parts(estimator, X, np.arange(len(X)) % 3 if weighted else None)

        return fit

    parity(fitted(DBSCAN(**setting)), fitted(reference.DBSCAN(**setting)))


@pytest.mark.parametrize(
    "table, eps", [("iris", 0.5), ("wine", 2.3), ("breast_cancer", 3.0), ("digits", 4.0)]
)
def test_real_tables_get_the_references_labels(table: str, eps: float) -> None:
    X, _ = tables.matrix(table, standardize=True)
    ours, theirs = (parts(make(eps=eps), X) for make in (DBSCAN, reference.DBSCAN))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
    assert 0 < (ours[0] >= 0).mean() < 1


@pytest.mark.parametrize("columns, eps", [(2, 0.3), (5, 1.0), (20, 4.5)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_many_leaves_give_what_few_points_give(columns: int, eps: float, dtype: type) -> None:
    X = make_blobs(3000, columns, centers=12, random_state=0)[0].astype(dtype)
    ours, theirs = (parts(make(eps=eps), X) for make in (DBSCAN, reference.DBSCAN))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
    assert ours[2].dtype == dtype
    assert 0 < (ours[0] < 0).mean() < 0.9


def test_a_radius_on_the_edge_counts_in_many_columns_too() -> None:
    # Corners of a cube: all distances are roots of whole numbers, and the radius is one of them.
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (600, 16)).astype(float)
    labels, core, _ = parts(DBSCAN(eps=2.0, min_samples=4), X)
    near = pairwise_distances(X, metric="sqeuclidean").round() <= 4
    np.testing.assert_array_equal(core, np.flatnonzero(near.sum(axis=1) >= 4))
    assert ((labels < 0) == ~near[:, core].any(axis=1)).all()


def test_precomputed_distances_give_the_labels_of_the_points() -> None:
    X, _ = make_moons(500, noise=0.05, random_state=0)
    distances = pairwise_distances(X)
    labels = DBSCAN(eps=0.2, metric="precomputed").fit_predict(distances)
    np.testing.assert_array_equal(labels, DBSCAN(eps=0.2).fit_predict(X))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**16), st.integers(1, 5), st.sampled_from([0.5, 1.0, 2.0]), st.integers(1, 60)
)
def test_the_definition_holds(seed: int, min_samples: int, eps: float, n: int) -> None:
    X = np.random.default_rng(seed).integers(0, 9, (n, 2)).astype(float)
    labels, core, _ = parts(DBSCAN(eps=eps, min_samples=min_samples), X)
    near = pairwise_distances(X) <= eps + 1e-9
    is_core = near.sum(axis=1) >= min_samples
    np.testing.assert_array_equal(core, np.flatnonzero(is_core))
    # A row is noise where no core point is near; neighboring core points share a cluster, and
    # a border point has the smallest label around it.
    reach = near & is_core
    np.testing.assert_array_equal(labels < 0, ~reach.any(axis=1))
    for i in np.flatnonzero(labels >= 0):
        around = labels[reach[i]]
        assert labels[i] == around.min()
        assert not is_core[i] or (around == labels[i]).all()
    firsts = [np.flatnonzero(is_core & (labels == c))[0] for c in range(labels.max() + 1)]
    assert firsts == sorted(firsts)


def test_a_weight_stands_for_that_many_rows() -> None:
    rng = np.random.default_rng(0)
    X, weight = rng.standard_normal((150, 2)), rng.integers(1, 4, 150)
    model = DBSCAN(eps=0.25, min_samples=8)
    labels, core, _ = parts(model, X, weight)
    again, again_core, _ = parts(model, np.repeat(X, weight, axis=0))
    np.testing.assert_array_equal(np.repeat(labels, weight), again)
    is_core = np.isin(np.arange(150), core)
    np.testing.assert_array_equal(np.flatnonzero(np.repeat(is_core, weight)), again_core)
    assert len(set(again)) > 2


def test_a_negative_weight_keeps_its_neighbors_from_the_core() -> None:
    X = [[0.0], [0.1], [0.2], [5.0], [5.1]]
    for weight in ([1, 1, -1, 1, 1], [2, -5, 9, 1, 1]):
        ours = parts(DBSCAN(min_samples=2), X, weight)
        theirs = parts(reference.DBSCAN(min_samples=2), X, weight)
        for a, b in zip(ours[:2], theirs[:2], strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_dense_cloud_does_not_keep_its_pairs() -> None:
    # All 2,000² pairs are neighbors; only the first few of each point are ever stored.
    from unsupervised_learning.dbscan import _meet_neighbors
    from unsupervised_learning.neighbor_search import build_tree

    X = np.random.default_rng(0).random((2000, 2)) * 1e-3
    _, _, kept = _meet_neighbors(build_tree(X), 1.0, 5.0, np.ones(2000))
    assert len(kept) <= 4 * 2000


@pytest.mark.parametrize(
    "setting, X, message",
    [
        ({"eps": 0.0}, [[0.0], [1.0]], "'eps' parameter"),
        ({"min_samples": 0}, [[0.0], [1.0]], "'min_samples' parameter"),
        ({"metric": "chebyshev"}, [[0.0], [1.0]], "'metric' parameter"),
        ({}, [[0.0], [np.nan]], "NaN"),
        ({}, [[0.0], [np.inf]], "infinity"),
        ({"metric": "precomputed"}, [[0.0, 1.0]], "square matrix"),
        ({"metric": "precomputed"}, [[0.0, 1.0], [2.0, 0.0]], "not symmetric"),
    ],
)
def test_bad_input_is_refused(setting: dict, X: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DBSCAN(**setting).fit(X)


def test_values_too_large_to_square_give_noise_and_no_error() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert DBSCAN().fit_predict([[1e200], [-1e200], [3e200]]).tolist() == [-1, -1, -1]
