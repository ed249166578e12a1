import numpy as np
import pytest
from scipy import stats
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.testing import AWKWARD, parity
from supervised_learning.bayesian import BayesianRidge


@parametrize_with_checks([BayesianRidge(), BayesianRidge(compute_score=True, fit_intercept=False)])
def test_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_posterior_and_predictions_are_the_references_on_awkward_matrices(weighted, fit_intercept):
    def fitted(estimator):
        def call(x):
            rng = np.random.default_rng(7)
            spread = (x - np.mean(x, axis=0)) / np.maximum(np.std(x, axis=0), 1e-9)
            y = spread @ rng.standard_normal(x.shape[1]) + rng.standard_normal(len(x)) + 2
            weight = rng.integers(1, 4, len(x)) * 1.0 if weighted else None
            model = estimator.fit(x, y, weight)
            mean, std = model.predict(x, return_std=True)
            return {"coef": model.coef_, "mean": mean, "std": std, "noise": model.alpha_,
                    "prior": model.lambda_, "sigma": model.sigma_}  # fmt: skip

        return call

    parity(
        fitted(BayesianRidge(fit_intercept=fit_intercept)),
        fitted(linear_model.BayesianRidge(fit_intercept=fit_intercept)),
        AWKWARD,
        rtol=1e-5,
        atol=1e-7,
    )


@pytest.mark.parametrize("name", ["diabetes", "friedman1"])
def test_updates_and_evidence_are_the_references_on_real_tables(name):
    x, y = tables.matrix(name, standardize=True)
    ours = BayesianRidge(compute_score=True, tol=1e-9).fit(x, y)
    reference = linear_model.BayesianRidge(compute_score=True, tol=1e-9).fit(x, y)
    assert ours.n_iter_ == reference.n_iter_
    np.testing.assert_allclose(ours.scores_, reference.scores_, rtol=1e-10)
    np.testing.assert_allclose(ours.coef_, reference.coef_, rtol=1e-7)
    np.testing.assert_allclose(ours.sigma_, reference.sigma_, rtol=1e-6, atol=1e-12)


def test_priors_and_starting_points_are_used_as_the_reference_uses_them():
    x, y = tables.matrix("diabetes", standardize=True)
    options = {"alpha_1": 2.0, "alpha_2": 3.0, "lambda_1": 4.0, "lambda_2": 5.0,
               "alpha_init": 0.1, "lambda_init": 7.0, "max_iter": 300}  # fmt: skip
    ours = BayesianRidge(compute_score=True, **options).fit(x, y)
    reference = linear_model.BayesianRidge(compute_score=True, **options).fit(x, y)
    assert ours.alpha_ == pytest.approx(reference.alpha_)
    assert ours.lambda_ == pytest.approx(reference.lambda_)
    np.testing.assert_allclose(ours.scores_, reference.scores_)


def test_the_evidence_is_the_density_of_the_targets_with_the_weights_integrated_out():
    rng = np.random.default_rng(0)
    for n, d in ((12, 3), (4, 9)):
        x, y = rng.standard_normal((n, d)), rng.standard_normal(n)
        zero = dict.fromkeys(("alpha_1", "alpha_2", "lambda_1", "lambda_2"), 0.0)
        model = BayesianRidge(compute_score=True, fit_intercept=False, **zero).fit(x, y)
        covariance = np.eye(n) / model.alpha_ + x @ x.T / model.lambda_
        density = stats.multivariate_normal(np.zeros(n), covariance).logpdf(y)
        assert model.scores_[-1] == pytest.approx(density)


def test_the_posterior_is_the_one_of_the_textbook():
    rng = np.random.default_rng(0)
    for n, d in ((30, 4), (5, 8)):
        x, y = rng.standard_normal((n, d)), rng.standard_normal(n)
        model = BayesianRidge().fit(x, y)
        centered = x - x.mean(axis=0)
        precision = model.lambda_ * np.eye(d) + model.alpha_ * centered.T @ centered
        np.testing.assert_allclose(model.sigma_, np.linalg.inv(precision), atol=1e-12)
        mean = model.alpha_ * model.sigma_ @ centered.T @ (y - y.mean())
        np.testing.assert_allclose(model.coef_, mean, atol=1e-12)


def test_predictive_intervals_cover_new_rows_as_often_as_they_say():
    rng = np.random.default_rng(0)
    w = rng.standard_normal(10)
    hits = []
    for _ in range(60):
        x = rng.standard_normal((80, 10))
        y = x @ w + rng.standard_normal(80)
        mean, std = BayesianRidge().fit(x[:40], y[:40]).predict(x[40:], return_std=True)
        hits += list(np.abs(y[40:] - mean) < 1.645 * std)
    assert 0.88 < np.mean(hits) < 0.92


def test_a_weight_is_a_repetition():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 5)), rng.standard_normal(40)
    weight = rng.integers(0, 4, 40)
    # The variance of y that the updates start from is the same, too.
    weighted = BayesianRidge(tol=1e-12).fit(x, y, weight)
    repeated = BayesianRidge(tol=1e-12).fit(np.repeat(x, weight, axis=0), np.repeat(y, weight))
    assert weighted.n_iter_ == repeated.n_iter_
    np.testing.assert_allclose(weighted.sigma_, repeated.sigma_, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-8)


def test_a_perfect_fit_leaves_next_to_no_noise():
    x = np.random.default_rng(0).standard_normal((50, 3))
    model = BayesianRidge().fit(x, x @ [1.0, 2.0, 3.0] + 4)
    reference = linear_model.BayesianRidge().fit(x, x @ [1.0, 2.0, 3.0] + 4)
    assert model.alpha_ == pytest.approx(reference.alpha_, rel=1e-3)
    assert model.intercept_ == pytest.approx(4)


def test_a_column_of_zeros_keeps_its_prior():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.standard_normal(30), np.zeros(30)])
    model = BayesianRidge().fit(x, x[:, 0] + 0.1 * rng.standard_normal(30))
    assert model.coef_[1] == 0
    assert model.sigma_[1, 1] == pytest.approx(1 / model.lambda_)


def test_float32_stays():
    x = np.random.default_rng(0).standard_normal((30, 3)).astype(np.float32)
    model = BayesianRidge().fit(x, x[:, 0])
    mean, std = model.predict(x, return_std=True)
    assert {a.dtype for a in (model.coef_, model.sigma_, mean, std)} == {np.dtype(np.float32)}


def test_too_few_updates_are_told():
    x, y = tables.matrix("diabetes")
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        BayesianRidge(max_iter=1).fit(x, y)


def test_bad_input_is_refused_with_a_message():
    x, y = np.ones((4, 2)), np.arange(4.0)
    with pytest.raises(ValueError, match="1d array"):
        BayesianRidge().fit(x, np.ones((4, 2)))
    with pytest.raises(ValueError, match="tol"):
        BayesianRidge(tol=0).fit(x, y)
    with pytest.raises(ValueError, match="lambda_1"):
        BayesianRidge(lambda_1=-1).fit(x, y)
