import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.testing import AWKWARD, awkward_families, parity
from supervised_learning.linear import LinearRegression
from supervised_learning.ridge import Ridge, ridge_path


@parametrize_with_checks(
    [
        LinearRegression(),
        LinearRegression(solver="normal"),
        LinearRegression(solver="gradient"),
        LinearRegression(fit_intercept=False),
        Ridge(),
        Ridge(solver="svd"),
        Ridge(solver="cholesky", fit_intercept=False),
    ]
)
def test_contract(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        check(estimator)


def target(x, columns=1):
    """Targets that depend on the columns, with noise, the same for equal x."""
    rng = np.random.default_rng(7)
    spread = np.asarray(x, dtype=float)
    spread = (spread - spread.mean(axis=0)) / np.maximum(spread.std(axis=0), 1e-9)
    y = spread @ rng.standard_normal((x.shape[1], columns)) + rng.standard_normal((len(x), columns))
    return y[:, 0] if columns == 1 else y


def fitted(estimator, columns=1, weighted=False):
    """x → the coefficients, intercept and predictions after a fit."""

    def call(x):
        weight = np.random.default_rng(3).integers(1, 4, len(x)) * 1.0 if weighted else None
        model = estimator.fit(x, target(x, columns), weight)
        return {"coef": model.coef_, "intercept": model.intercept_, "y": model.predict(x)}

    return call


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_qr_gives_the_references_answer_on_every_awkward_matrix(columns, weighted, fit_intercept):
    parity(
        fitted(LinearRegression(fit_intercept=fit_intercept), columns, weighted),
        fitted(linear_model.LinearRegression(fit_intercept=fit_intercept), columns, weighted),
        AWKWARD,
        rtol=1e-6,
        atol=1e-8,
    )


@pytest.mark.parametrize(
    "solver,left_out",
    [
        ("normal", ("huge and tiny",)),  # their squares are farther apart than a number is long
        ("gradient", ("huge and tiny", "far from 0", "float32")),
    ],
)
def test_other_solvers_give_the_shortest_solution_too(solver, left_out):
    tol = {"normal": 1e-6, "gradient": 1e-13}[solver]
    parity(
        fitted(LinearRegression(solver=solver, tol=tol)),
        fitted(linear_model.LinearRegression()),
        awkward_families(leave_out=left_out),
        rtol=1e-6,
        atol=1e-8,
    )


def test_rank_and_singular_values_are_the_references():
    for name, make in AWKWARD.items():
        x = make(np.random.default_rng(0)).astype(float)
        ours = LinearRegression().fit(x, target(x))
        reference = linear_model.LinearRegression().fit(x, target(x))
        assert ours.rank_ == reference.rank_, name
        scale = max(reference.singular_[0], 1.0)
        np.testing.assert_allclose(ours.singular_, reference.singular_, atol=1e-9 * scale)


@pytest.mark.parametrize("name", ["diabetes", "friedman1"])
@pytest.mark.parametrize("solver", ["qr", "normal", "gradient"])
def test_real_tables_give_the_references_coefficients(name, solver):
    x, y = tables.matrix(name, standardize=True)
    tol = 1e-12 if solver == "gradient" else 1e-6
    ours = LinearRegression(solver=solver, tol=tol).fit(x, y)
    reference = linear_model.LinearRegression().fit(x, y)
    np.testing.assert_allclose(ours.coef_, reference.coef_, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("kappa", [1e1, 1e3, 1e5])
def test_qr_keeps_its_digits_as_the_columns_become_dependent(kappa):
    rng = np.random.default_rng(0)
    U = np.linalg.qr(rng.standard_normal((400, 6)))[0]
    V = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    x = U * np.geomspace(1, 1 / kappa, 6) @ V.T
    w = rng.standard_normal(6)
    ours = LinearRegression(fit_intercept=False).fit(x, x @ w)
    assert np.linalg.norm(ours.coef_ - w) <= 1e-13 * max(kappa, 1e3) * np.linalg.norm(w)


def test_far_columns_lose_no_digits():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5000, 3))
    y = x @ [1.0, -2.0, 0.5] + rng.standard_normal(5000)
    near = LinearRegression().fit(x, y)
    far = LinearRegression().fit(x + 2.0**20, y)
    np.testing.assert_allclose(far.coef_, near.coef_, rtol=1e-8)


def test_gradient_descent_warns_where_it_does_not_arrive():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 2)) * [1.0, 1e4]
    with pytest.warns(ConvergenceWarning, match="Scale the columns"):
        LinearRegression(solver="gradient", tol=1e-12, max_iter=20).fit(x, x.sum(axis=1))


def test_gradient_descent_takes_steps_in_proportion_to_the_condition_number():
    rng = np.random.default_rng(0)
    U = np.linalg.qr(rng.standard_normal((200, 5)))[0]
    steps = []
    for kappa in (10, 1000):
        x = U * np.geomspace(1, 1 / kappa, 5)
        model = LinearRegression(solver="gradient", tol=1e-10, fit_intercept=False, max_iter=10**6)
        steps.append(model.fit(x, x @ np.ones(5)).n_iter_)
    assert steps[1] / steps[0] < 300  # plain descent would take 10,000 times as many


@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge(), Ridge(solver="svd")])
def test_a_weight_is_a_repetition(estimator):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 5)), rng.standard_normal((60, 2))
    weight = rng.integers(0, 4, 60)
    weighted = estimator.fit(x, y, weight).predict(x)
    repeated = estimator.fit(np.repeat(x, weight, axis=0), np.repeat(y, weight, axis=0)).predict(x)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-9, atol=1e-12)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    n=st.integers(2, 30),
    d=st.integers(1, 12),
    scale=st.floats(0.01, 100),
    seed=st.integers(0, 10**6),
)
def test_residuals_are_orthogonal_to_the_columns(n, d, scale, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, d)) * scale, rng.standard_normal(n)
    residual = y - LinearRegression().fit(x, y).predict(x)
    assert abs(residual.sum()) < 1e-9
    assert np.abs(x.T @ residual).max() < 1e-8 * scale * n


@pytest.mark.parametrize("alpha", [1e-6, 1.0, 1e4])
@pytest.mark.parametrize("solver", ["cholesky", "svd"])
@pytest.mark.parametrize("weighted", [False, True])
def test_ridge_gives_the_references_answer_on_every_awkward_matrix(alpha, solver, weighted):
    parity(
        fitted(Ridge(alpha, solver=solver), 2, weighted),
        fitted(linear_model.Ridge(alpha, solver="svd"), 2, weighted),
        AWKWARD,
        rtol=1e-6,
        atol=1e-7,
    )


def test_ridge_without_a_penalty_is_the_shortest_solution():
    families = awkward_families(leave_out=("huge and tiny",))
    for solver in ("cholesky", "svd"):
        parity(
            fitted(Ridge(0.0, solver=solver)), fitted(linear_model.LinearRegression()), families,
            rtol=1e-5, atol=1e-7,
        )  # fmt: skip


def test_ridge_takes_a_penalty_for_each_target():
    rng = np.random.default_rng(0)
    for n, d in ((50, 4), (10, 30)):
        x, y = rng.standard_normal((n, d)), rng.standard_normal((n, 3))
        for solver in ("cholesky", "svd"):
            ours = Ridge([0.1, 1.0, 10.0], solver=solver).fit(x, y)
            reference = linear_model.Ridge([0.1, 1.0, 10.0]).fit(x, y)
            np.testing.assert_allclose(ours.coef_, reference.coef_, rtol=1e-8)
            assert ours.solver_ == solver


def test_ridge_falls_back_to_the_svd_and_says_so():
    x = np.repeat(np.arange(6.0)[:, None], 2, axis=1)
    model = Ridge(0.0, solver="cholesky").fit(x, np.arange(6.0))
    assert model.solver_ == "svd"
    np.testing.assert_allclose(model.coef_, [0.5, 0.5])


def test_ridge_path_is_ridge_at_each_penalty_and_shrinks():
    x, y = tables.matrix("diabetes", standardize=True)
    alphas = np.geomspace(1e-3, 1e5, 9)
    coefs, intercepts = ridge_path(x, y, alphas)
    for alpha, coef, intercept in zip(alphas, coefs.T, intercepts, strict=True):
        model = linear_model.Ridge(alpha).fit(x, y)
        np.testing.assert_allclose(coef, model.coef_, rtol=1e-7, atol=1e-9)
        assert intercept == pytest.approx(model.intercept_)
    assert (np.diff(np.linalg.norm(coefs, axis=0)) < 0).all()


def test_estimators_work_in_a_pipeline_under_a_search_with_a_frame():
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, as_frame=True)
    grid = {"ridge__alpha": [1e-3, 10, 1e4]}
    search = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), grid).fit(x, y)
    reference = GridSearchCV(make_pipeline(StandardScaler(), linear_model.Ridge()), grid).fit(x, y)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], reference.cv_results_["mean_test_score"], rtol=1e-9
    )
    best = search.best_estimator_
    assert list(best[0].feature_names_in_) == list(x.columns)
    again = pickle.loads(pickle.dumps(best))
    np.testing.assert_array_equal(again.predict(x), best.predict(x))


@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge()])
def test_float32_stays_and_is_as_accurate_as_it_can_be(estimator):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((500, 4)) + 50).astype(np.float32)
    y = (x @ np.array([1, 2, 3, 4], dtype=np.float32) + rng.standard_normal(500)).astype(np.float32)
    single = estimator.fit(x, y)
    assert single.coef_.dtype == single.predict(x).dtype == np.float32
    coef = single.coef_
    double = estimator.fit(x.astype(float), y.astype(float))
    np.testing.assert_allclose(coef, double.coef_, rtol=1e-6)


@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge()])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_prediction_refuses_what_is_not_finite(estimator, bad):
    x = np.random.default_rng(0).standard_normal((30, 3))
    model = estimator.fit(x, x.sum(axis=1))
    x[4, 2] = bad
    with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
        model.predict(x)
    model.coef_[2] = 0.0
    with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
        model.predict(x)


def test_bad_input_is_refused_with_a_message():
    x, y = np.ones((4, 2)), np.ones(4)
    with pytest.raises(NotFittedError):
        LinearRegression().predict(x)
    with pytest.raises(ValueError, match="solver"):
        LinearRegression(solver="lu").fit(x, y)
    with pytest.raises(ValueError, match="alpha"):
        Ridge(-1.0).fit(x, y)
    with pytest.raises(ValueError, match="a penalty is not negative"):
        Ridge([1.0, -1.0]).fit(x, np.ones((4, 2)))
    with pytest.raises(ValueError, match="one penalty, or one a target"):
        Ridge([1.0, 2.0, 3.0]).fit(x, np.ones((4, 2)))
    with pytest.raises(ValueError, match="at least one non-zero"):
        LinearRegression().fit(x, y, np.zeros(4))
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        LinearRegression().fit(x, y, [1, 1, -1, 1])
    with pytest.raises(ValueError, match="inconsistent"):
        LinearRegression().fit(x, np.ones(3))
