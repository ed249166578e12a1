import pickle

import numpy as np
import pytest
from sklearn import cluster as reference
from sklearn.datasets import make_blobs, make_moons
from sklearn.metrics import adjusted_rand_score, pairwise_distances
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.testing import parity
from unsupervised_learning.hdbscan import HDBSCAN
from unsupervised_learning.neighbor_search import EUCLIDEAN, MANHATTAN, PRECOMPUTED
from unsupervised_learning.spanning_tree import merge_edges, prim


@parametrize_with_checks(
    [HDBSCAN(min_samples=1), HDBSCAN(3, metric="manhattan", cluster_selection_method="leaf")]
)
def test_contract(estimator, check):
    check(estimator)


def outcome(estimator, X):
    estimator.fit(X)
    return estimator.labels_, estimator.probabilities_


SETTINGS = [
    {},
    {"min_cluster_size": 3, "min_samples": 2},
    {"min_cluster_size": 15, "allow_single_cluster": True},
    {"cluster_selection_method": "leaf", "metric": "manhattan"},
    {"max_cluster_size": 30, "min_samples": 1},
]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
@pytest.mark.parametrize("table", ["iris", "wine", "breast_cancer", "digits"])
@pytest.mark.parametrize("standardize", [False, True])
def test_real_tables_get_the_references_labels_and_probabilities(
    table: str, setting: dict, standardize: bool
) -> None:
    X, _ = tables.matrix(table, standardize=standardize)
    ours = outcome(HDBSCAN(**setting), X)
    theirs = outcome(reference.HDBSCAN(copy=True, **setting), X)
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-12)


@pytest.mark.parametrize(
    "setting", [{"min_cluster_size": 2}, {"min_cluster_size": 3, "min_samples": 1}], ids=str
)
def test_awkward_rows_get_the_references_labels(setting: dict) -> None:
    parity(
        lambda X: outcome(HDBSCAN(**setting), X),
        lambda X: outcome(reference.HDBSCAN(copy=True, **setting), X),
        rtol=1e-10,
    )


@pytest.mark.parametrize("columns", [2, 12])
def test_many_rows_get_the_references_labels(columns: int) -> None:
    X, _ = make_blobs(2500, columns, centers=10, cluster_std=1.5, random_state=1)
    ours = outcome(HDBSCAN(10), X)
    theirs = outcome(reference.HDBSCAN(10, copy=True), X)
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-12)
    assert ours[0].max() >= 5


def test_precomputed_distances_give_the_clusters_of_the_points() -> None:
    X, _ = make_moons(400, noise=0.05, random_state=0)
    distances = pairwise_distances(X)
    kept = distances.copy()
    labels = HDBSCAN(10, metric="precomputed").fit_predict(distances)
    assert adjusted_rand_score(labels, HDBSCAN(10).fit_predict(X)) > 0.99
    np.testing.assert_array_equal(distances, kept)
    apart = np.where(np.add.outer(np.arange(400) % 2, np.arange(400) % 2) == 1, np.inf, distances)
    halves = HDBSCAN(10, metric="precomputed").fit_predict(apart)
    assert not set(halves[::2]) & set(halves[1::2]) - {-1}


def test_clusters_of_very_different_density_are_all_found() -> None:
    X, y = make_blobs(
        [200, 200, 200],
        centers=[[0, 0], [1, 0], [12, 0]],
        cluster_std=[0.1, 0.1, 2],
        random_state=0,
    )
    labels = HDBSCAN(15).fit_predict(X)
    assert labels.max() == 2
    inside = labels >= 0
    assert inside.mean() > 0.8
    assert adjusted_rand_score(labels[inside], y[inside]) == pytest.approx(1.0)


def test_rows_without_a_value_are_set_apart() -> None:
    X, _ = make_blobs(120, 2, centers=[[0, 0], [20, 20]], random_state=0)
    whole = HDBSCAN().fit(X)
    holes = np.insert(X, [0, 60, 120], [[np.nan, 1], [np.inf, 1], [np.inf, np.nan]], axis=0)
    ours, theirs = HDBSCAN().fit(holes), reference.HDBSCAN(copy=True).fit(holes)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    np.testing.assert_array_equal(ours.probabilities_, theirs.probabilities_)
    assert ours.labels_[[0, 61, 122]].tolist() == [-3, -2, -3]
    np.testing.assert_array_equal(np.delete(ours.labels_, [0, 61, 122]), whole.labels_)


def test_epsilon_joins_the_clusters_that_are_born_below_it() -> None:
    # Four tight pairs of clusters: 1 apart within a pair, 20 apart between the pairs.
    centers = [[20 * i, j] for i in range(4) for j in (0, 1)]
    X, y = make_blobs(400, centers=centers, cluster_std=0.08, random_state=0)
    assert HDBSCAN(10).fit_predict(X).max() == 7
    for method in ("eom", "leaf"):
        labels = HDBSCAN(
            10, cluster_selection_epsilon=3.0, cluster_selection_method=method
        ).fit_predict(X)
        assert labels.max() == 3
        assert adjusted_rand_score(labels, y // 2) == pytest.approx(1.0)
    # Beyond every distance, what stays is the split nearest to the root, or the root itself.
    wide = HDBSCAN(10, cluster_selection_epsilon=1e3)
    assert wide.fit_predict(X).max() in (1, 2)
    assert set(wide.set_params(allow_single_cluster=True).fit_predict(X)) <= {-1, 0}


def test_the_condensed_tree_adds_up() -> None:
    X, _ = tables.matrix("digits")
    model = HDBSCAN(8).fit(X)
    tree = model.condensed_tree_
    k = len(tree.parent)
    assert tree.parent[0] == -1
    assert (tree.parent[1:] < np.arange(1, k)).all()
    assert (tree.birth <= tree.death).all()
    # Every point ends in one cluster; a cluster holds its own points and its children's.
    held = np.bincount(tree.point_cluster, minlength=k)
    for c in range(k - 1, 0, -1):
        held[tree.parent[c]] += held[c]
    np.testing.assert_array_equal(held, tree.size)
    # The stability by its definition: a point leaves with the child that takes it along.
    stability = np.zeros(k)
    for point, cluster in enumerate(tree.point_cluster):
        until, c = tree.point_density[point], cluster
        while c >= 0:
            stability[c] += until - tree.birth[c]
            until, c = tree.birth[c], tree.parent[c]
    np.testing.assert_allclose(stability, tree.stability, rtol=1e-10)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.condensed_tree_.stability, tree.stability)


@pytest.mark.parametrize("metric", [EUCLIDEAN, MANHATTAN, PRECOMPUTED])
def test_prims_tree_is_a_minimum_spanning_tree(metric: int) -> None:
    from scipy.sparse.csgraph import minimum_spanning_tree

    rng = np.random.default_rng(0)
    X, core = rng.standard_normal((700, 3)), rng.random(700)
    name = "cityblock" if metric == MANHATTAN else "sqeuclidean"
    distances = pairwise_distances(X, metric=name)
    reach = np.maximum(np.maximum(distances, core), core[:, None])
    np.fill_diagonal(reach, 0)
    visited, source, weight = prim(distances if metric == PRECOMPUTED else X, core, metric)
    np.testing.assert_allclose(np.sort(weight), np.sort(minimum_spanning_tree(reach).data))
    np.testing.assert_allclose(reach[source, visited[1:]], weight)
    assert sorted(visited) == list(range(700))
    order = np.argsort(weight)
    _, size = merge_edges(source[order], visited[1:][order])
    assert size[-1] == 700


@pytest.mark.parametrize(
    "setting, X, message",
    [
        ({"min_cluster_size": 1}, [[0.0], [1.0]], "'min_cluster_size' parameter"),
        ({"min_samples": 0}, [[0.0], [1.0]], "'min_samples' parameter"),
        ({"cluster_selection_method": "best"}, [[0.0], [1.0]], "'cluster_selection_method'"),
        ({}, [[0.0], [1.0]], "min_cluster_size=5 is more than the 2 rows"),
        ({"min_samples": 3}, [[0.0], [1.0]], "min_samples=3 is more than the 2 rows"),
        ({}, [[0.0]], "n_samples=1"),
        ({}, [[np.nan], [np.inf], [1.0]], "n_samples=1"),
        ({"metric": "precomputed"}, [[0.0, np.nan], [np.nan, 0.0]], "no NaN"),
        ({"metric": "precomputed"}, [[0.0, 1.0]], "square matrix"),
        ({"metric": "precomputed"}, [[0.0, 1.0], [2.0, 0.0]], "not symmetric"),
    ],
)
def test_bad_input_is_refused(setting: dict, X: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HDBSCAN(**setting).fit(X)


def test_values_too_large_to_square_give_noise_and_no_error() -> None:
    X = np.array([[1e200], [-1e200], [3e200], [0.0]])
    assert HDBSCAN(2).fit_predict(X).tolist() == [-1, -1, -1, -1]
