import warnings
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import cluster as reference
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.measure import thread_limit
from groundwork.testing import awkward_families, parity
from unsupervised_learning.kmeans import KMeans
from unsupervised_learning.kmeans_seeding import kmeans_plusplus
from unsupervised_learning.minibatch_kmeans import MiniBatchKMeans

RANDOM = "rows are drawn: a repeated row takes other numbers of the generator than a weight does"


@parametrize_with_checks(
    [KMeans(), KMeans(algorithm="elkan"), MiniBatchKMeans()],
    expected_failed_checks=lambda _: {"check_sample_weight_equivalence_on_dense_data": RANDOM},
)
def test_contract(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the checks set max_iter to 5
        check(estimator)


def outcome(model, X: NDArray, k: int, **options) -> tuple[NDArray, NDArray, float, int]:
    start = X[np.linspace(0, len(X) - 1, k).astype(int)]
    model = model(k, init=start, n_init=1, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, sample_weight=1.0 + np.arange(len(X)) % 3)
    return model.labels_, model.cluster_centers_, model.inertia_, model.n_iter_


@pytest.mark.parametrize("algorithm", ["lloyd", "elkan"])
def test_the_same_start_gives_the_references_labels_and_centers(algorithm: str) -> None:
    def fit(model):
        return lambda X: outcome(model, X, 3, algorithm=algorithm)

    families = awkward_families(leave_out=["one row"])
    parity(fit(KMeans), fit(reference.KMeans), families, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("algorithm", ["lloyd", "elkan"])
@pytest.mark.parametrize("table", ["iris", "wine", "breast_cancer", "digits"])
def test_real_tables_get_the_references_clusters(table: str, algorithm: str) -> None:
    X = tables.matrix(table, standardize=True)[0]
    ours = outcome(KMeans, X, 6, algorithm=algorithm, tol=0)
    theirs = outcome(reference.KMeans, X, 6, algorithm=algorithm, tol=0)
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-10, atol=1e-12)
    assert ours[2] == pytest.approx(theirs[2], rel=1e-12)
    assert ours[3] == theirs[3]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_same_seed_gives_the_references_run(dtype: type) -> None:
    X = tables.matrix("digits")[0].astype(dtype)
    ours = KMeans(10, n_init=3, random_state=0).fit(X)
    theirs = reference.KMeans(10, n_init=3, random_state=0).fit(X)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, atol=1e-4)
    assert ours.cluster_centers_.dtype == dtype
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(ours.transform(X), theirs.transform(X), atol=1e-3)
    assert ours.score(X) == pytest.approx(theirs.score(X), rel=1e-5)


def test_a_cluster_that_loses_its_rows_gets_the_farthest_one() -> None:
    X = np.array([[0.0], [1.0], [2.0], [50.0], [53.0]])
    start = np.array([[1.0], [50.0], [1000.0]])
    ours = KMeans(3, init=start).fit(X)
    theirs = reference.KMeans(3, init=start).fit(X)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    assert sorted(ours.cluster_centers_.ravel()) == [1.0, 50.0, 53.0]


def test_a_weight_counts_as_repeated_rows() -> None:
    X, _ = tables.matrix("iris")
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    weight[:3] = 1
    weighted = KMeans(3, init=X[:3]).fit(X, sample_weight=weight)
    repeated = KMeans(3, init=X[:3]).fit(np.repeat(X, weight, axis=0))
    assert weighted.inertia_ == pytest.approx(repeated.inertia_)
    np.testing.assert_allclose(weighted.cluster_centers_, repeated.cluster_centers_)


def test_no_iteration_raises_the_inertia() -> None:
    X = tables.matrix("digits")[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        inertia = [
            KMeans(10, init=X[:10], max_iter=steps, tol=0).fit(X).inertia_ for steps in range(1, 25)
        ]
    assert all(b <= a for a, b in pairwise(inertia))
    assert inertia[-1] < 0.9 * inertia[0]


def test_threads_do_not_change_a_bit() -> None:
    X = np.random.default_rng(0).standard_normal((30_000, 8))
    options = {"max_iter": 20, "tol": 0, "random_state": 0}
    inertia = []
    for threads in (1, 2):
        with thread_limit(threads), pytest.warns(ConvergenceWarning):
            inertia.append(KMeans(30, **options).fit(X).inertia_)
    assert inertia[0] == inertia[1]
    theirs = reference.KMeans(30, **options).fit(X).inertia_
    assert inertia[0] == pytest.approx(theirs, rel=1e-9)


def test_labels_are_the_prediction_even_when_stopped_early() -> None:
    X = tables.matrix("digits")[0]
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        model = KMeans(10, max_iter=2, random_state=0).fit(X)
    np.testing.assert_array_equal(model.labels_, model.predict(X))


def test_fewer_distinct_rows_than_clusters_is_told() -> None:
    X = np.repeat([[0.0, 1.0], [2.0, 3.0]], 5, axis=0)
    with pytest.warns(ConvergenceWarning, match="only 2 of n_clusters=3"):
        model = KMeans(3, random_state=0).fit(X)
    assert model.inertia_ == 0
    assert np.isfinite(model.cluster_centers_).all()


@pytest.mark.parametrize("trials", [None, 1])
def test_seeding_draws_the_references_rows(trials: int | None) -> None:
    X = np.ascontiguousarray(tables.matrix("digits")[0])
    weight = 1.0 + np.arange(len(X)) % 2
    options = {"sample_weight": weight, "n_local_trials": trials}
    _, ours = kmeans_plusplus(X, 12, random_state=np.random.RandomState(3), **options)
    _, theirs = reference.kmeans_plusplus(X, 12, random_state=3, **options)
    np.testing.assert_array_equal(ours, theirs)


def test_seeding_never_takes_a_row_of_weight_0() -> None:
    X = np.arange(20.0)[:, None]
    weight = (np.arange(20) % 4 == 0).astype(float)
    for seed in range(10):
        generator = np.random.RandomState(seed)
        _, rows = kmeans_plusplus(X, 5, sample_weight=weight, random_state=generator)
        assert set(rows) == {0, 4, 8, 12, 16}


@pytest.mark.parametrize("start", ["random", lambda X, k, random_state: X[:k].copy()])
def test_other_first_centers_are_the_references(start) -> None:
    X = tables.matrix("wine", standardize=True)[0]
    ours = KMeans(3, init=start, random_state=1).fit(X)
    theirs = reference.KMeans(3, init=start, random_state=1).fit(X)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)


def test_bad_first_centers_are_refused() -> None:
    X = np.arange(12.0).reshape(6, 2)
    with pytest.raises(ValueError, match=r"shape \(2, 2\).*\(3, 2\)"):
        KMeans(3, init=X[:2]).fit(X)
    with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
        KMeans(3, init=lambda X, k, random_state: X[:1]).fit(X)
    with pytest.warns(RuntimeWarning, match="one run only"):
        KMeans(2, init=X[:2], n_init=4).fit(X)


@pytest.mark.parametrize("model", [KMeans(8), MiniBatchKMeans(8)])
def test_fewer_rows_than_clusters_is_refused(model) -> None:
    with pytest.raises(ValueError, match="n_samples=3 should be >= n_clusters=8"):
        model.fit(np.eye(3))


@pytest.mark.parametrize("model", [KMeans(2), MiniBatchKMeans(2)])
def test_negative_weights_and_unknown_methods_are_refused(model) -> None:
    X = np.arange(6.0).reshape(3, 2)
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        model.fit(X, sample_weight=[1.0, -1.0, 1.0])
    with pytest.raises(ValueError, match="init"):
        type(model)(2, init="best").fit(X)


def test_a_search_over_a_pipeline_takes_it() -> None:
    X = tables.matrix("wine")[0]
    pipeline = make_pipeline(StandardScaler(), KMeans(random_state=0))
    search = GridSearchCV(pipeline, {"kmeans__n_clusters": [2, 3, 8]}, cv=3).fit(X)
    assert search.best_params_ == {"kmeans__n_clusters": 8}


def test_names_of_distances_come_with_a_frame() -> None:
    X = np.arange(8.0).reshape(4, 2)
    frame = KMeans(2, random_state=0).set_output(transform="pandas").fit_transform(X)
    assert list(frame.columns) == ["kmeans0", "kmeans1"]


# --- mini-batches --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"init": "random", "n_init": 2},
        {"batch_size": 64, "reassignment_ratio": 0.2},
        {"tol": 1e-3, "max_no_improvement": None},
        {"init_size": 30, "compute_labels": False},
    ],
    ids=str,
)
def test_the_same_seed_gives_the_references_batches(options: dict) -> None:
    X = tables.matrix("digits")[0]
    ours = MiniBatchKMeans(10, random_state=0, **options).fit(X)
    theirs = reference.MiniBatchKMeans(10, random_state=0, **options).fit(X)
    assert ours.n_steps_ == theirs.n_steps_
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=1e-9)
    assert ours.inertia_ == pytest.approx(theirs.inertia_)


def test_steps_on_given_batches_are_the_references() -> None:
    X = tables.matrix("digits")[0].astype(np.float32)
    models = [MiniBatchKMeans(5, init=X[:5]), reference.MiniBatchKMeans(5, init=X[:5])]
    for begin in range(0, 1000, 100):
        batch, weight = X[begin : begin + 100], np.arange(100.0)
        ours, theirs = (model.partial_fit(batch, sample_weight=weight) for model in models)
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=1e-4)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    assert ours.n_steps_ == theirs.n_steps_ == 10
    assert ours.cluster_centers_.dtype == np.float32


def test_a_batch_moves_a_center_to_the_mean_of_all_its_rows() -> None:
    X = np.random.default_rng(0).standard_normal((60, 3))
    model = MiniBatchKMeans(1, init=np.zeros((1, 3)))
    for begin in range(0, 60, 7):
        model.partial_fit(X[begin : begin + 7])
    np.testing.assert_allclose(model.cluster_centers_[0], X.mean(axis=0))


def test_mini_batches_come_near_to_lloyd() -> None:
    X = tables.matrix("digits")[0]
    full = np.mean([KMeans(10, random_state=seed).fit(X).inertia_ for seed in range(5)])
    quick = np.mean([MiniBatchKMeans(10, random_state=seed).fit(X).inertia_ for seed in range(5)])
    assert quick < 1.05 * full
