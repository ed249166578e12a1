import numpy as np
import pytest
from scipy.cluster import hierarchy
from sklearn import cluster as reference
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.metrics import pairwise_distances
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork import plots
from groundwork.data import tables
from groundwork.testing import awkward_families, parity
from unsupervised_learning.dendrogram import arrange, draw_dendrogram
from unsupervised_learning.hierarchical import AgglomerativeClustering, linkage_matrix

LINKAGES = ["ward", "complete", "average", "single"]


@parametrize_with_checks(
    [
        AgglomerativeClustering(),
        AgglomerativeClustering(linkage="single", metric="manhattan"),
        AgglomerativeClustering(linkage="average", compute_distances=True),
    ]
)
def test_contract(estimator, check):
    check(estimator)


def outcome(estimator, X):
    estimator.fit(X)
    return estimator.children_, estimator.distances_, estimator.labels_, estimator.n_clusters_


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_merges_and_labels_are_the_references(linkage: str, metric: str) -> None:
    if linkage == "ward" and metric != "euclidean":
        return
    options = {"linkage": linkage, "metric": metric, "compute_distances": True, "n_clusters": 3}
    parity(
        lambda X: outcome(AgglomerativeClustering(**options), X),
        lambda X: outcome(reference.AgglomerativeClustering(**options), X),
        awkward_families(leave_out=["one row"]),
        rtol=1e-12,
    )


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("table", ["iris", "wine", "breast_cancer", "digits"])
def test_real_tables_get_the_references_tree(table: str, linkage: str) -> None:
    X, _ = tables.matrix(table)  # whole numbers and copies: ties in plenty
    options = {"linkage": linkage, "compute_distances": True, "n_clusters": 12}
    ours = outcome(AgglomerativeClustering(**options), X)
    theirs = outcome(reference.AgglomerativeClustering(**options), X)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("linkage", LINKAGES)
def test_a_threshold_cuts_as_the_reference_does(linkage: str) -> None:
    X, _ = tables.matrix("iris")
    for threshold in (0.0, 0.3, 1.0, 1e9):
        options = {"linkage": linkage, "distance_threshold": threshold, "n_clusters": None}
        ours = outcome(AgglomerativeClustering(**options), X)
        theirs = outcome(reference.AgglomerativeClustering(**options), X)
        for a, b in zip(ours[2:], theirs[2:], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("linkage", LINKAGES)
def test_the_linkage_matrix_is_scipys(linkage: str) -> None:
    X, _ = make_blobs(700, 4, centers=9, random_state=0)
    model = AgglomerativeClustering(linkage=linkage, compute_distances=True).fit(X)
    ours, theirs = linkage_matrix(model), hierarchy.linkage(X, linkage)
    ours[:, :2].sort(axis=1)
    np.testing.assert_allclose(ours, theirs, rtol=1e-13)
    assert hierarchy.is_valid_linkage(ours)


@pytest.mark.parametrize("linkage", ["complete", "average", "single"])
def test_precomputed_distances_give_the_tree_of_the_points(linkage: str) -> None:
    X = np.random.default_rng(0).standard_normal((200, 3))
    options = {"linkage": linkage, "compute_distances": True, "n_clusters": 5}
    distances = pairwise_distances(X, metric="cityblock")
    kept = distances.copy()
    ours = outcome(AgglomerativeClustering(metric="precomputed", **options), distances)
    again = outcome(AgglomerativeClustering(metric="manhattan", **options), X)
    np.testing.assert_array_equal(ours[0], again[0])
    np.testing.assert_allclose(ours[1], again[1], rtol=1e-12)
    np.testing.assert_array_equal(ours[2], again[2])
    np.testing.assert_array_equal(distances, kept)


def test_each_merge_is_of_the_two_nearest_clusters() -> None:
    # By the definition: all pairs of clusters are compared before every merge.
    X = np.random.default_rng(3).standard_normal((30, 2))
    apart = pairwise_distances(X)
    between = {
        "single": lambda a, b: apart[np.ix_(a, b)].min(),
        "complete": lambda a, b: apart[np.ix_(a, b)].max(),
        "average": lambda a, b: apart[np.ix_(a, b)].mean(),
        "ward": lambda a, b: (
            np.sqrt(2 * len(a) * len(b) / (len(a) + len(b)))
            * np.linalg.norm(X[a].mean(axis=0) - X[b].mean(axis=0))
        ),
    }
    for linkage, distance in between.items():
        model = AgglomerativeClustering(linkage=linkage, compute_distances=True).fit(X)
        clusters = {i: [i] for i in range(30)}
        for merge, (a, b) in enumerate(model.children_):
            names = list(clusters)
            nearest = min(distance(clusters[p], clusters[q]) for p in names for q in names if p < q)
            assert distance(clusters[a], clusters[b]) == pytest.approx(nearest)
            assert model.distances_[merge] == pytest.approx(nearest)
            clusters[30 + merge] = clusters.pop(a) + clusters.pop(b)


@pytest.mark.parametrize("linkage", LINKAGES)
def test_copies_of_one_row_merge_at_once(linkage: str) -> None:
    X = np.repeat([[0.0, 0.0], [5.0, 5.0]], 40, axis=0)
    model = AgglomerativeClustering(linkage=linkage, compute_distances=True).fit(X)
    assert (model.distances_[:-1] == 0).all()
    assert model.distances_[-1] > 7
    assert len(set(model.labels_[:40])) == len(set(model.labels_[40:])) == 1


@pytest.mark.parametrize(
    "setting, X, message",
    [
        ({"n_clusters": 0}, [[0.0], [1.0]], "'n_clusters' parameter"),
        ({"n_clusters": 3}, [[0.0], [1.0]], "more than the 2 rows"),
        ({"n_clusters": None}, [[0.0], [1.0]], "Exactly one of n_clusters and distance_threshold"),
        ({"distance_threshold": 1.0}, [[0.0], [1.0]], "Exactly one of n_clusters"),
        ({"linkage": "centroid"}, [[0.0], [1.0]], "'linkage' parameter"),
        ({"metric": "manhattan"}, [[0.0], [1.0]], "Ward"),
        ({}, [[0.0], [np.nan]], "NaN"),
        ({}, [[0.0]], "minimum of 2"),
        ({}, [[-1e200], [1e200]], "too large"),
        ({"linkage": "single"}, [[-1e200], [1e200]], "too large"),
        ({"linkage": "single", "metric": "precomputed"}, [[0.0, 1.0]] * 3, "square matrix"),
        ({"linkage": "single", "metric": "precomputed"}, [[0.0, 1.0], [2.0, 0.0]], "symmetric"),
    ],
)
def test_bad_input_is_refused(setting: dict, X: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AgglomerativeClustering(**setting).fit(X)


def test_a_linkage_matrix_takes_a_fitted_model_with_distances() -> None:
    with pytest.raises(NotFittedError):
        linkage_matrix(AgglomerativeClustering())
    with pytest.raises(ValueError, match="compute_distances=True"):
        linkage_matrix(AgglomerativeClustering().fit([[0.0], [1.0]]))


@pytest.fixture(scope="module")
def tree():
    X, _ = make_blobs(60, 2, centers=[[0, 0], [9, 9], [0, 30]], random_state=0)
    model = AgglomerativeClustering(compute_distances=True).fit(X)
    return linkage_matrix(model)


def test_the_brackets_stand_where_scipy_puts_them(tree) -> None:
    drawn = arrange(tree)
    theirs = hierarchy.dendrogram(tree, no_plot=True)
    np.testing.assert_array_equal(drawn.leaves, theirs["leaves"])
    ours = np.hstack([10 * drawn.x + 5, drawn.y])
    expected = np.hstack([theirs["icoord"], theirs["dcoord"]])
    np.testing.assert_allclose(
        ours[np.lexsort(ours.T)], expected[np.lexsort(expected.T)], rtol=1e-12
    )


def test_few_leaves_show_the_last_merges_and_all_rows(tree) -> None:
    drawn = arrange(tree, leaves=8)
    assert len(drawn.leaves) == 8
    assert drawn.size.sum() == 60
    np.testing.assert_array_equal(drawn.y[:, 1], tree[-7:, 2])
    assert len(arrange(tree, leaves=1000).leaves) == 60


def test_clusters_below_the_threshold_have_their_own_color(tree) -> None:
    _, axes = plots.figure()
    draw_dendrogram(axes, tree, leaves=12, threshold=(tree[-3, 2] + tree[-2, 2]) / 2)
    colors = {line.get_color() for line in axes.lines}
    assert {"C0", "C1", "C2"} <= colors
    assert "C3" not in colors
    assert len(axes.get_xticklabels()) == 12


@pytest.mark.parametrize(
    "linkage, leaves, message",
    [(np.zeros((3, 2)), None, r"shape \(3, 2\)"), (np.zeros((3, 4)), 1, "at least 2")],
)
def test_what_is_no_tree_is_not_drawn(linkage, leaves, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        arrange(linkage, leaves)
