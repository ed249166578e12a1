import warnings

import numpy as np
import pytest
from sklearn import mixture as reference
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.testing import awkward_families, parity
from unsupervised_learning.mixture import GaussianMixture

SHAPES = ["full", "tied", "diag", "spherical"]


@parametrize_with_checks(
    [GaussianMixture(covariance_type=shape) for shape in SHAPES]
    + [GaussianMixture(3, init_params="random", warm_start=True)]
)
def test_contract(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the checks set max_iter to 5
        check(estimator)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_start_gives_the_references_parameters(shape: str) -> None:
    def fit(model):
        def outcome(X):
            start = np.asarray(X[:2], dtype=float)
            estimator = model(
                2, covariance_type=shape, means_init=start, tol=1e-9, reg_covar=1e-2, max_iter=20,
                init_params="random", random_state=0,
            )  # fmt: skip
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                estimator.fit(X)
            return {
                "weights": estimator.weights_,
                "means": estimator.means_,
                "covariances": estimator.covariances_,
                "probabilities": estimator.predict_proba(X),
                "densities": estimator.score_samples(X),
            }

        return outcome

    # The reference loses digits far from 0 and beside 1e8, and rounds the densities of whole
    # numbers; those have tests of their own.
    leave_out = ["one row", "huge and tiny", "far from 0", "float32", "whole numbers"]
    families = awkward_families(leave_out=leave_out)
    parity(fit(GaussianMixture), fit(reference.GaussianMixture), families, rtol=1e-6, atol=1e-7)


# From single rows the reference's tied covariance begins with rows that no component was given.
BEGINNINGS = [
    (shape, init)
    for shape in SHAPES
    for init in ("kmeans", "random", "k-means++", "random_from_data")
    if shape != "tied" or init in ("kmeans", "random")
]


@pytest.mark.parametrize("shape, init", BEGINNINGS)
def test_the_same_seed_gives_the_references_run(shape: str, init: str) -> None:
    X = tables.matrix("wine", standardize=True)[0]
    options = {"covariance_type": shape, "init_params": init, "random_state": 0, "n_init": 2}
    ours = GaussianMixture(3, **options).fit(X)
    theirs = reference.GaussianMixture(3, **options).fit(X)
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(ours.lower_bounds_, theirs.lower_bounds_, rtol=1e-6)
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.bic(X) == pytest.approx(theirs.bic(X))
    assert ours.aic(X) == pytest.approx(theirs.aic(X))
    np.testing.assert_allclose(ours.sample(9)[0], theirs.sample(9)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("table", ["iris", "breast_cancer"])
def test_the_likelihood_never_falls(table: str, shape: str) -> None:
    X = tables.matrix(table, standardize=True)[0]
    model = GaussianMixture(
        3, covariance_type=shape, init_params="random", tol=1e-8, reg_covar=0.0, random_state=1
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        bounds = model.fit(X).lower_bounds_
    assert len(bounds) > 5
    assert np.diff(bounds).min() > -1e-10
    assert model.score(X) >= bounds[-1] - 1e-10


@pytest.mark.parametrize("shape", SHAPES)
def test_blocks_do_not_show(shape: str) -> None:
    X = np.random.default_rng(0).standard_normal((30_000, 3))
    X[:10_000] += 4
    model = GaussianMixture(2, covariance_type=shape, random_state=0).fit(X)
    parts = np.concatenate([model.score_samples(part) for part in np.array_split(X, 7)])
    np.testing.assert_allclose(model.score_samples(X), parts)
    theirs = reference.GaussianMixture(2, covariance_type=shape, random_state=0).fit(X)
    np.testing.assert_allclose(model.means_, theirs.means_, atol=1e-7)
    np.testing.assert_allclose(model.weights_, theirs.weights_, atol=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_place_of_0_does_not_matter(shape: str) -> None:
    X = tables.matrix("iris")[0]
    here = GaussianMixture(3, covariance_type=shape, random_state=0).fit(X)
    there = GaussianMixture(3, covariance_type=shape, random_state=0).fit(X + 1e6)
    np.testing.assert_allclose(there.means_ - 1e6, here.means_, atol=1e-5)
    np.testing.assert_allclose(there.covariances_, here.covariances_, rtol=1e-4, atol=1e-7)
    assert there.score(X + 1e6) == pytest.approx(here.score(X), abs=1e-5)


def test_whole_numbers_are_numbers() -> None:
    X = np.random.default_rng(0).integers(-5, 6, (60, 3))
    model = GaussianMixture(2, random_state=0).fit(X)
    np.testing.assert_array_equal(model.score_samples(X), model.score_samples(X.astype(float)))


def test_columns_of_any_scale_give_a_finite_answer() -> None:
    X = np.random.default_rng(0).standard_normal((50, 4)) * [1e8, 1.0, 1e-8, 0.0]
    for shape in SHAPES:
        model = GaussianMixture(2, covariance_type=shape, random_state=0).fit(X)
        assert np.isfinite(model.score_samples(X)).all()
        assert np.isfinite(model.precisions_).all()


def test_a_known_mixture_is_found_again() -> None:
    truth = GaussianMixture(2, random_state=0).fit(np.eye(2))
    truth.weights_ = np.array([0.3, 0.7])
    truth.means_ = np.array([[0.0, 0.0], [4.0, 1.0]])
    truth.covariances_ = np.array([[[1.0, 0.8], [0.8, 1.0]], [[0.5, -0.2], [-0.2, 0.3]]])
    X, component = truth.sample(20_000)
    model = GaussianMixture(2, tol=1e-6, random_state=0).fit(X)
    order = np.argsort(model.weights_)
    np.testing.assert_allclose(model.weights_[order], truth.weights_, atol=0.01)
    np.testing.assert_allclose(model.means_[order], truth.means_, atol=0.03)
    np.testing.assert_allclose(model.covariances_[order], truth.covariances_, atol=0.03)
    assert np.mean(order[component] == model.predict(X)) > 0.98


def test_the_criterion_finds_the_number_of_components() -> None:
    rng = np.random.default_rng(0)
    X = np.concatenate(
        [rng.standard_normal((200, 2)) + center for center in ([0, 0], [6, 0], [3, 6])]
    )
    bic = [GaussianMixture(k, n_init=3, random_state=0).fit(X).bic(X) for k in range(1, 6)]
    assert np.argmin(bic) == 2


@pytest.mark.parametrize("init", ["k-means++", "random_from_data"])
def test_a_tied_covariance_can_begin_from_single_rows(init: str) -> None:
    X = tables.matrix("wine", standardize=True)[0]
    options = {"covariance_type": "tied", "init_params": init, "n_init": 5, "random_state": 0}
    ours = GaussianMixture(3, **options).fit(X).score(X)
    assert ours >= reference.GaussianMixture(3, **options).fit(X).score(X) - 0.05


def test_one_component_is_mean_and_covariance() -> None:
    X = tables.matrix("iris")[0]
    model = GaussianMixture(1, reg_covar=0.0).fit(X)
    np.testing.assert_allclose(model.means_[0], X.mean(axis=0))
    np.testing.assert_allclose(model.covariances_[0], np.cov(X.T, bias=True), rtol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_warm_start_goes_on(shape: str) -> None:
    X = tables.matrix("wine", standardize=True)[0]
    options = {"covariance_type": shape, "tol": 0.0, "random_state": 0}
    parts = GaussianMixture(3, max_iter=4, warm_start=True, **options)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        parts.fit(X).fit(X)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        whole = GaussianMixture(3, max_iter=8, **options).fit(X)
    np.testing.assert_allclose(parts.means_, whole.means_, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_given_parameters_are_where_it_begins(shape: str) -> None:
    X = tables.matrix("iris")[0]
    first = reference.GaussianMixture(3, covariance_type=shape, random_state=0).fit(X)
    options = {
        "covariance_type": shape,
        "weights_init": first.weights_,
        "means_init": first.means_,
        "precisions_init": first.precisions_,
        "tol": 1e-5,
    }
    ours = GaussianMixture(3, **options).fit(X)
    theirs = reference.GaussianMixture(3, **options).fit(X)
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(ours.lower_bounds_, theirs.lower_bounds_, rtol=1e-7)


def test_float32_stays_and_agrees() -> None:
    X = tables.matrix("iris")[0]
    double = GaussianMixture(3, random_state=0).fit(X)
    single = GaussianMixture(3, random_state=0).fit(X.astype(np.float32))
    assert single.means_.dtype == single.covariances_.dtype == np.float32
    assert single.predict_proba(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(single.means_, double.means_, rtol=1e-3)
    np.testing.assert_array_equal(single.predict(X.astype(np.float32)), double.predict(X))


def test_a_search_by_likelihood_takes_it() -> None:
    X = tables.matrix("iris")[0]
    search = GridSearchCV(GaussianMixture(random_state=0), {"n_components": [1, 3]}, cv=3)
    order = np.random.default_rng(0).permutation(len(X))
    assert search.fit(X[order]).best_params_ == {"n_components": 3}


def test_dependent_columns_without_regularization_are_refused() -> None:
    X = np.repeat(np.arange(10.0)[:, None], 2, axis=1)
    with pytest.raises(ValueError, match=r"reg_covar=0\.0.*raise reg_covar"):
        GaussianMixture(1, reg_covar=0.0).fit(X)
    assert np.isfinite(GaussianMixture(1).fit(X).score(X))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"weights_init": [0.5, 0.6]}, "sum to 1"),
        ({"weights_init": [1.0]}, r"shape \(1,\), \(2,\) is needed"),
        ({"means_init": [[1.0], [2.0]]}, r"means_init has the shape \(2, 1\)"),
        ({"precisions_init": [np.eye(2), -np.eye(2)]}, "positive definite"),
        ({"covariance_type": "diag", "precisions_init": [[1.0, 1.0], [0.0, 1.0]]}, "positive"),
        ({"covariance_type": "round"}, "covariance_type"),
        ({"reg_covar": -1.0}, "reg_covar"),
    ],
)
def test_bad_parameters_are_refused(options: dict, message: str) -> None:
    X = np.random.default_rng(0).standard_normal((20, 2))
    with pytest.raises(ValueError, match=message):
        GaussianMixture(2, **options).fit(X)


def test_fewer_rows_than_components_and_no_rows_to_draw_are_refused() -> None:
    with pytest.raises(ValueError, match="n_components=5"):
        GaussianMixture(5).fit(np.eye(3))
    with pytest.raises(ValueError, match="n_samples=0"):
        GaussianMixture(1).fit(np.eye(3)).sample(0)
