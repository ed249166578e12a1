import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.testing import AWKWARD, awkward_families, parity
from supervised_learning.coordinate_descent import (
    ElasticNet,
    Lasso,
    enet_path,
    lasso_path,
    soft_threshold,
)


@parametrize_with_checks(
    [
        Lasso(),
        Lasso(precompute=False),
        ElasticNet(),
        ElasticNet(0.1, l1_ratio=0.2, fit_intercept=False, warm_start=True),
    ]
)
def test_contract(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        check(estimator)


def fitted(estimator, columns=1, weighted=False):
    """x → the coefficients, intercept and predictions after a fit."""

    def call(x):
        rng = np.random.default_rng(7)
        spread = np.asarray(x, dtype=float) - np.mean(x, axis=0)
        spread /= np.maximum(spread.std(axis=0), 1e-9)
        y = 3 * spread @ rng.standard_normal((x.shape[1], columns))
        y = y + rng.standard_normal((len(x), columns))
        weight = rng.integers(1, 4, len(x)) * 1.0 if weighted else None
        model = estimator.fit(x, y[:, 0] if columns == 1 else y, weight)
        return {"coef": model.coef_, "intercept": model.intercept_, "y": model.predict(x)}

    return call


@pytest.mark.parametrize("l1_ratio", [1.0, 0.6])
@pytest.mark.parametrize("precompute", ["auto", True, False])
@pytest.mark.parametrize("columns,weighted", [(1, False), (2, True)])
def test_answers_are_the_references_on_every_awkward_matrix(
    l1_ratio, precompute, columns, weighted
):
    coarse = ("huge and tiny", "float32")  # rounding alone makes a gap above 1e-10 there
    for tol, rtol, families in (
        (1e-10, 1e-5, awkward_families(leave_out=coarse)),
        (1e-6, 1e-3, {name: AWKWARD[name] for name in coarse}),
    ):
        common = {"alpha": 0.3, "l1_ratio": l1_ratio, "tol": tol, "max_iter": 100_000}
        parity(
            fitted(ElasticNet(precompute=precompute, **common), columns, weighted),
            fitted(linear_model.ElasticNet(**common), columns, weighted),
            families,
            rtol=rtol,
            atol=1e-7,
        )


@pytest.mark.parametrize("name", ["diabetes", "friedman1"])
@pytest.mark.parametrize("alpha", [0.01, 0.5])
@pytest.mark.parametrize("tol", [1e-4, 1e-9])
def test_rounds_and_gaps_are_the_references_on_real_tables(name, alpha, tol):
    x, y = tables.matrix(name, standardize=True)
    ours = Lasso(alpha, tol=tol).fit(x, y)
    reference = linear_model.Lasso(alpha, tol=tol).fit(x, y)
    np.testing.assert_allclose(ours.coef_, reference.coef_, rtol=1e-7, atol=1e-9)
    assert ours.n_iter_ == reference.n_iter_
    assert ours.dual_gap_ == pytest.approx(reference.dual_gap_, rel=1e-3, abs=1e-9)


def test_wide_data_are_screened_to_the_references_answer():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 400))
    y = x[:, :5] @ [3.0, -2.0, 2.0, 1.0, -1.0] + 0.1 * rng.standard_normal(60)
    for l1_ratio in (1.0, 0.7):
        common = {"alpha": 0.05, "l1_ratio": l1_ratio, "tol": 1e-10, "max_iter": 10_000}
        ours = ElasticNet(**common).fit(x, y)
        reference = linear_model.ElasticNet(**common).fit(x, y)
        np.testing.assert_allclose(ours.coef_, reference.coef_, atol=1e-7)
        np.testing.assert_array_equal(ours.coef_ == 0, reference.coef_ == 0)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    n=st.integers(2, 25),
    d=st.integers(1, 30),
    alpha=st.floats(1e-3, 2),
    l1_ratio=st.floats(0.05, 1),
    seed=st.integers(0, 10**6),
)
def test_the_optimality_conditions_hold(n, d, alpha, l1_ratio, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    options = {"tol": 1e-10, "max_iter": 10**6}
    model = ElasticNet(alpha, l1_ratio=l1_ratio, **options).fit(x, y)
    w = model.coef_
    gradient = x.T @ (y - model.predict(x)) / n - alpha * (1 - l1_ratio) * w
    limit = alpha * l1_ratio
    assert np.abs(gradient).max() <= limit + 1e-4
    np.testing.assert_allclose(gradient[w != 0], limit * np.sign(w[w != 0]), atol=1e-4)


def test_the_duality_gap_bounds_how_far_the_objective_is_above_its_minimum():
    x, y = tables.matrix("diabetes", standardize=True)
    y = y - y.mean()

    def objective(w):
        return ((y - x @ w) ** 2).mean() / 2 + 0.2 * np.abs(w).sum()

    best = objective(Lasso(0.2, tol=1e-13, max_iter=10**5).fit(x, y).coef_)
    for tol in (1e-1, 1e-2, 1e-3, 1e-5):
        model = Lasso(0.2, tol=tol).fit(x, y)
        assert -1e-9 <= objective(model.coef_) - best <= model.dual_gap_
        assert model.dual_gap_ <= tol * (y @ y) / len(y)


@pytest.mark.parametrize("shape", [(80, 12), (30, 70)])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.4])
def test_paths_are_the_references(shape, l1_ratio):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal(shape), rng.standard_normal(shape[0])
    common = {"l1_ratio": l1_ratio, "alphas": 20, "eps": 1e-2, "tol": 1e-9, "max_iter": 10**5}
    ours, reference = enet_path(x, y, **common), linear_model.enet_path(x, y, **common)
    np.testing.assert_allclose(ours[0], reference[0])
    np.testing.assert_allclose(ours[1], reference[1], atol=1e-6)
    assert not ours[1][:, 0].any()  # the first penalty is the least that leaves nothing


def test_a_path_with_given_penalties_and_intercept_is_the_fits():
    x, y = tables.matrix("diabetes")
    options = {"tol": 1e-11, "max_iter": 10**5}
    alphas, coefs, _ = lasso_path(x, y, alphas=[0.1, 1.0, 0.01], fit_intercept=True, **options)
    assert list(alphas) == [1.0, 0.1, 0.01]
    for alpha, coef in zip(alphas, coefs.T, strict=True):
        np.testing.assert_allclose(coef, Lasso(alpha, **options).fit(x, y).coef_, atol=1e-4)


def test_ridge_is_the_elastic_net_without_absolute_values():
    x, y = tables.matrix("diabetes", standardize=True)
    net = ElasticNet(0.1, l1_ratio=0.0, tol=1e-10).fit(x, y)
    ridge = linear_model.Ridge(0.1 * len(y)).fit(x, y)
    np.testing.assert_allclose(net.coef_, ridge.coef_, rtol=1e-5)


@pytest.mark.parametrize("precompute", [True, False])
def test_a_weight_is_a_repetition(precompute):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 5)), rng.standard_normal(60)
    weight = rng.integers(0, 4, 60)
    model = ElasticNet(0.05, precompute=precompute, tol=1e-11)
    weighted = model.fit(x, y, weight).predict(x)
    repeated = model.fit(np.repeat(x, weight, axis=0), np.repeat(y, weight)).predict(x)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-6)


def test_a_warm_start_begins_at_the_last_answer():
    x, y = tables.matrix("diabetes")
    model = Lasso(0.01, tol=1e-10, max_iter=10**5, warm_start=True).fit(x, y)
    cold, coef = model.n_iter_, model.coef_
    assert model.fit(x, y).n_iter_ == 0 < cold
    np.testing.assert_array_equal(model.coef_, coef)


@pytest.mark.parametrize("precompute", [True, False])
def test_too_few_rounds_are_told(precompute):
    x, y = tables.matrix("diabetes")
    with pytest.warns(ConvergenceWarning, match="duality gap"):
        Lasso(1e-4, precompute=precompute, max_iter=2, tol=1e-8).fit(x, y)


def test_no_penalty_is_least_squares_with_a_warning():
    x, y = tables.matrix("friedman1", standardize=True)
    with pytest.warns(UserWarning, match="LinearRegression"):
        model = Lasso(0.0, tol=1e-12).fit(x, y)
    np.testing.assert_allclose(
        model.coef_, linear_model.LinearRegression().fit(x, y).coef_, atol=1e-6
    )


def test_soft_thresholding_moves_towards_zero_and_stops_there():
    assert [soft_threshold(z, 1.0) for z in (-3.0, -1.0, 0.5, 1.5)] == [-2.0, 0.0, 0.0, 0.5]


def test_bad_input_is_refused_with_a_message():
    x, y = np.random.default_rng(0).standard_normal((6, 2)), np.arange(6.0)
    with pytest.raises(ValueError, match="l1_ratio"):
        ElasticNet(l1_ratio=1.5).fit(x, y)
    with pytest.raises(ValueError, match="alpha"):
        Lasso(-1).fit(x, y)
    with pytest.raises(ValueError, match="give alphas"):
        enet_path(x, y, l1_ratio=0)
    with pytest.raises(ValueError, match="from 0 to 1"):
        enet_path(x, y, l1_ratio=-1)
    with pytest.raises(ValueError, match="a penalty is not negative"):
        lasso_path(x, y, alphas=[1.0, -1.0])
