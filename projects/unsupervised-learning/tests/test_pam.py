import itertools
import warnings

import kmedoids
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import pairwise_distances
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.testing import awkward_families, parity
from unsupervised_learning.distance_matrix import euclidean_matrix
from unsupervised_learning.pam import KMedoids, build

FEATURES = "the check gives rows of features where dissimilarities are asked for"
NOT_SQUARE = (
    "check_clustering",
    "check_clustering(readonly_memmap=True)",
    "check_positive_only_tag_during_fit",
)


def expected_failures(estimator: KMedoids) -> dict[str, str]:
    return dict.fromkeys(NOT_SQUARE, FEATURES) if estimator.metric == "precomputed" else {}


@parametrize_with_checks(
    [
        KMedoids(),
        KMedoids(3, metric="manhattan", method="pam", init="k-medoids++"),
        KMedoids(2, init="random"),
        KMedoids(2, metric="precomputed"),
    ],
    expected_failed_checks=expected_failures,
)
def test_contract(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        check(estimator)


def distances(table: str, rows: int = 600) -> NDArray:
    return pairwise_distances(tables.matrix(table, rows=rows, standardize=True)[0])


TABLES = ["iris", "wine", "breast_cancer", "digits"]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("k", [2, 7])
def test_build_chooses_the_references_medoids(table: str, k: int) -> None:
    D = distances(table)
    np.testing.assert_array_equal(build(D, k), kmedoids.pam_build(D, k).medoids)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("method", ["fasterpam", "pam"])
def test_the_same_start_ends_at_the_references_medoids(table: str, method: str) -> None:
    D = distances(table, rows=300)
    for seed in range(5):
        start = np.random.default_rng(seed).choice(len(D), 6, replace=False)
        ours = KMedoids(6, metric="precomputed", method=method, init=start).fit(D)
        options = {"n_cpu": 1} if method == "fasterpam" else {}
        theirs = getattr(kmedoids, method)(D, start.astype(np.uint64), 300, **options)
        np.testing.assert_array_equal(ours.medoid_indices_, theirs.medoids)
        np.testing.assert_array_equal(ours.labels_, theirs.labels)
        assert ours.inertia_ == pytest.approx(theirs.loss, rel=1e-12)


def test_awkward_rows_get_the_references_loss() -> None:
    def ours(X: NDArray) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return KMedoids(3, metric="manhattan").fit(X).inertia_

    def theirs(X: NDArray) -> float:
        D = pairwise_distances(X, metric="manhattan")
        return kmedoids.fasterpam(D, 3, 300, "build", n_cpu=1).loss

    parity(ours, theirs, awkward_families(leave_out=["one row"]))


def test_no_set_of_medoids_is_better_on_small_data() -> None:
    # a local minimum in general; with clear clusters it is the global one
    X = make_blobs(24, 2, centers=3, cluster_std=0.6, random_state=4)[0]
    D = pairwise_distances(X)
    best = min(D[list(chosen)].min(axis=0).sum() for chosen in itertools.combinations(range(24), 3))
    for init in ("build", "k-medoids++"):
        assert KMedoids(3, init=init, random_state=0).fit(X).inertia_ == pytest.approx(best)


@pytest.mark.parametrize("method", ["fasterpam", "pam"])
def test_no_single_swap_would_lower_the_loss(method: str) -> None:
    D = distances("wine")
    model = KMedoids(4, metric="precomputed", method=method, init="random", random_state=1).fit(D)
    assert model.inertia_ == pytest.approx(D[model.medoid_indices_].min(axis=0).sum())
    for c, row in itertools.product(range(4), range(len(D))):
        other = model.medoid_indices_.copy()
        other[c] = row
        assert D[other].min(axis=0).sum() >= model.inertia_ * (1 - 1e-12)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine", "minkowski"])
def test_labels_are_the_nearest_medoids_in_any_metric(metric: str) -> None:
    X = tables.matrix("digits", rows=400)[0]
    params = {"p": 3} if metric == "minkowski" else None
    model = KMedoids(10, metric=metric, metric_params=params).fit(X)
    np.testing.assert_array_equal(model.labels_, model.predict(X))
    np.testing.assert_array_equal(model.labels_, model.transform(X).argmin(axis=1))
    np.testing.assert_array_equal(model.cluster_centers_, X[model.medoid_indices_])
    expected = pairwise_distances(X, X[model.medoid_indices_], metric=metric, **(params or {}))
    assert model.inertia_ == pytest.approx(expected.min(axis=1).sum())


def test_a_matrix_of_dissimilarities_gives_what_its_rows_give() -> None:
    X = tables.matrix("iris")[0]
    D = pairwise_distances(X)
    ours, given = KMedoids(3).fit(X[:100]), KMedoids(3, metric="precomputed").fit(D[:100, :100])
    np.testing.assert_array_equal(ours.medoid_indices_, given.medoid_indices_)
    np.testing.assert_array_equal(ours.predict(X[100:]), given.predict(D[100:, :100]))
    np.testing.assert_allclose(ours.transform(X[100:]), given.transform(D[100:, :100]), atol=1e-12)
    assert given.cluster_centers_ is None


def test_all_distances_are_the_references() -> None:
    parity(
        euclidean_matrix,
        pairwise_distances,
        awkward_families(leave_out=["far from 0", "whole numbers"]),
        atol=1e-6,
    )
    far = np.random.default_rng(0).standard_normal((700, 3)) + 1e6
    np.testing.assert_allclose(euclidean_matrix(far), cdist(far, far), atol=1e-7)


def test_one_cluster_has_the_row_with_the_least_sum() -> None:
    X = np.array([[0.0], [1.0], [2.0], [3.0], [100.0]])
    assert KMedoids(1, init="random", random_state=0).fit(X).cluster_centers_[0, 0] == 2.0


def test_single_precision_is_kept() -> None:
    X = tables.matrix("iris")[0]
    single, double = KMedoids(3).fit(X.astype(np.float32)), KMedoids(3).fit(X)
    np.testing.assert_array_equal(single.medoid_indices_, double.medoid_indices_)
    assert single.transform(X.astype(np.float32)).dtype == np.float32
    assert single.inertia_ == pytest.approx(double.inertia_, rel=1e-4)


def test_a_drawn_start_spreads_over_far_clusters() -> None:
    X = np.concatenate([np.zeros((500, 1)), [[50.0], [50.1], [90.0]]])
    for seed in range(5):
        model = KMedoids(3, init="k-medoids++", max_iter=300, random_state=seed)
        assert sorted(model._first_medoids(pairwise_distances(X)) >= 500) == [False, True, True]


def test_an_end_before_convergence_and_too_few_rows_are_told() -> None:
    X = tables.matrix("digits", rows=300)[0]
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        KMedoids(10, init="random", max_iter=1, random_state=0).fit(X)
    twice = np.repeat([[0.0], [1.0]], 4, axis=0)
    for init in ("build", "k-medoids++"):
        with pytest.warns(ConvergenceWarning, match="only 2 of n_clusters=3"):
            model = KMedoids(3, init=init, random_state=0).fit(twice)
        assert model.inertia_ == 0
        assert len(set(model.medoid_indices_)) == 3


def test_bad_input_is_refused() -> None:
    X = np.arange(12.0).reshape(6, 2)
    with pytest.raises(ValueError, match="n_samples=6 should be >= n_clusters=8"):
        KMedoids().fit(X)
    with pytest.raises(ValueError, match="not symmetric"):
        KMedoids(2, metric="precomputed").fit(np.triu(np.ones((5, 5)), 1))
    with pytest.raises(ValueError, match=r"shape|square"):
        KMedoids(2, metric="precomputed").fit(X)
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        KMedoids(2, metric="precomputed").fit(-pairwise_distances(X))
    for wrong in ([0], [0, 0], [0, 6], [-1, 2]):
        with pytest.raises(ValueError, match="2 different row numbers below 6"):
            KMedoids(2, init=wrong).fit(X)
    for options in ({"metric": "far"}, {"method": "clara"}, {"init": "first"}, {"max_iter": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            KMedoids(2, **options).fit(X)
    with pytest.raises(NotFittedError):
        KMedoids(2).predict(X)


def test_it_works_in_a_pipeline_under_a_search_with_frames() -> None:
    X, y = tables.matrix("wine")
    pipeline = make_pipeline(StandardScaler(), KMedoids())
    search = GridSearchCV(
        pipeline, {"kmedoids__n_clusters": [2, 3, 6]}, scoring="adjusted_rand_score", cv=3
    )
    assert search.fit(X, y).best_params_ == {"kmedoids__n_clusters": 3}
    frame = KMedoids(2).set_output(transform="pandas").fit_transform(X)
    assert list(frame.columns) == ["kmedoids0", "kmedoids1"]
