import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression

from groundwork.data import tables
from supervised_learning.linear_diagnostics import (
    breusch_pagan,
    durbin_watson,
    infer,
    jarque_bera,
    ramsey_reset,
    variance_inflation,
)


def problem(n=60, d=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) * [1.0, 10.0, 0.1][:d] + 5
    return x, x @ [2.0, -0.3, 0.0][:d] + 1 + rng.standard_normal(n)


def test_one_column_gives_scipys_regression_line():
    x, y = problem(d=1)
    ours, reference = infer(x, y), stats.linregress(x[:, 0], y)
    assert ours.coef == pytest.approx([reference.intercept, reference.slope])
    assert ours.standard_error == pytest.approx([reference.intercept_stderr, reference.stderr])
    assert ours.p_value[1] == pytest.approx(reference.pvalue)
    assert ours.r_squared == pytest.approx(reference.rvalue**2)


def test_standard_errors_and_leverage_follow_from_the_design_matrix():
    x, y = problem()
    design = np.column_stack([np.ones(len(x)), x])
    ours = infer(x, y)
    inverse = np.linalg.inv(design.T @ design)
    assert ours.leverage == pytest.approx(np.diag(design @ inverse @ design.T))
    assert ours.leverage.sum() == pytest.approx(4)
    e = y - design @ (inverse @ design.T @ y)
    assert ours.residual == pytest.approx(e)
    assert ours.standard_error == pytest.approx(np.sqrt(e @ e / 56 * np.diag(inverse)))


def test_longley_gives_the_published_numbers():
    # Longley, "An appraisal of least squares programs", 1967; certified values: NIST StRD.
    rows = """60323 83.0 234289 2356 1590 107608 1947
    61122 88.5 259426 2325 1456 108632 1948
    60171 88.2 258054 3682 1616 109773 1949
    61187 89.5 284599 3351 1650 110929 1950
    63221 96.2 328975 2099 3099 112075 1951
    63639 98.1 346999 1932 3594 113270 1952
    64989 99.0 365385 1870 3547 115094 1953
    63761 100.0 363112 3578 3350 116219 1954
    66019 101.2 397469 2904 3048 117388 1955
    67857 104.6 419180 2822 2857 118734 1956
    68169 108.4 442769 2936 2798 120445 1957
    66513 110.8 444546 4681 2637 121950 1958
    68655 112.6 482704 3813 2552 123366 1959
    69564 114.2 502601 3931 2514 125368 1960
    69331 115.7 518173 4806 2572 127852 1961
    70551 116.9 554894 4007 2827 130081 1962"""
    table = np.array(rows.split(), dtype=float).reshape(16, 7)
    ours = infer(table[:, 1:], table[:, 0])
    coef = [-3482258.63459582, 15.0618722713733, -0.358191792925910e-1, -2.02022980381683,
            -1.03322686717359, -0.511041056535807e-1, 1829.15146461355]  # fmt: skip
    error = [890420.383607373, 84.9149257747669, 0.334910077722432e-1, 0.488399681651699,
             0.214274163161675, 0.226073200069370, 455.478499142212]  # fmt: skip
    np.testing.assert_allclose(ours.coef, coef, rtol=1e-8)
    np.testing.assert_allclose(ours.standard_error, error, rtol=1e-8)
    assert ours.r_squared == pytest.approx(0.995479004577296)
    assert np.sqrt(ours.variance) == pytest.approx(304.854073561965)
    assert ours.f_value == pytest.approx(330.285339234588)


def test_cooks_distance_is_what_leaving_the_row_out_changes():
    x, y = problem(n=25)
    ours = infer(x, y)
    full = LinearRegression().fit(x, y).predict(x)
    for i in range(0, 25, 6):
        keep = np.arange(25) != i
        without = LinearRegression().fit(x[keep], y[keep]).predict(x)
        assert ours.cooks_distance[i] == pytest.approx(
            ((full - without) ** 2).sum() / (4 * ours.variance)
        )


def test_deleted_studentized_residuals_take_the_variance_of_the_other_rows():
    x, y = problem(n=25)
    ours = infer(x, y)
    keep = np.arange(25) != 3
    others = infer(x[keep], y[keep]).variance
    expected = ours.residual[3] / np.sqrt(others * (1 - ours.leverage[3]))
    assert ours.deleted_studentized[3] == pytest.approx(expected)


def test_intervals_cover_the_truth_as_often_as_they_say():
    hits = []
    for seed in range(300):
        x, y = problem(n=20, seed=seed)
        interval = infer(x, y, confidence=0.9).interval[1:]
        truth = [2.0, -0.3, 0.0]
        hits += list((interval[:, 0] <= truth) & (truth <= interval[:, 1]))
    assert 0.87 < np.mean(hits) < 0.93


def test_information_criteria_are_those_of_the_normal_likelihood():
    x, y = problem()
    ours = infer(x, y)
    scale = np.sqrt(np.mean(ours.residual**2))
    likelihood = stats.norm.logpdf(ours.residual, scale=scale).sum()
    assert ours.log_likelihood == pytest.approx(likelihood)
    assert ours.aic == pytest.approx(8 - 2 * likelihood)
    assert ours.bic == pytest.approx(4 * np.log(60) - 2 * likelihood)


def test_variance_inflation_is_that_of_predicting_a_column_by_the_others():
    x, _ = tables.matrix("diabetes")
    factors = variance_inflation(x)
    for j in range(x.shape[1]):
        others = np.delete(x, j, axis=1)
        r_squared = LinearRegression().fit(others, x[:, j]).score(others, x[:, j])
        assert factors[j] == pytest.approx(1 / (1 - r_squared))


def test_variance_inflation_is_infinite_for_dependent_and_constant_columns_only():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 5))
    x[:, 2] = x[:, 0] - x[:, 1]
    x[:, 4] = 3.0
    factors = variance_inflation(x)
    assert np.isinf(factors[[0, 1, 2, 4]]).all()
    assert 1 <= factors[3] < 1.5


def test_residual_tests_tell_good_errors_from_bad():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (400, 1))
    e = rng.standard_normal(400)
    assert jarque_bera(e) == pytest.approx(tuple(stats.jarque_bera(e)))
    assert jarque_bera(e)[1] > 0.05 > jarque_bera(np.exp(e))[1]
    assert breusch_pagan(e, x)[1] > 0.05 > breusch_pagan(e * (0.1 + x[:, 0]), x)[1]
    assert durbin_watson(e) == pytest.approx(2, abs=0.2)
    assert durbin_watson(np.cumsum(e)) < 0.3
    assert ramsey_reset(x, x[:, 0] + 0.1 * e)[1] > 0.05 > ramsey_reset(x, x[:, 0] ** 2 + 0.1 * e)[1]


def test_breusch_pagan_is_rows_times_r_squared_of_the_squares():
    x, y = problem()
    e = infer(x, y).residual
    r_squared = LinearRegression().fit(x, e**2).score(x, e**2)
    assert breusch_pagan(e, x)[0] == pytest.approx(60 * r_squared)


def test_what_has_no_standard_error_is_refused():
    x, y = problem(n=4)
    with pytest.raises(ValueError, match="more rows than coefficients"):
        infer(x, y)
    x, y = problem()
    with pytest.raises(ValueError, match="depend on each other"):
        infer(np.column_stack([x, x[:, 0] * 2]), y)
    with pytest.raises(ValueError, match="depend on each other"):
        infer(np.column_stack([x, np.ones(60)]), y)
    with pytest.raises(ValueError, match="one number a row"):
        jarque_bera(x)
    with pytest.raises(ValueError, match="powers=1"):
        ramsey_reset(x, y, powers=1)


def test_constant_targets_and_perfect_fits_stay_finite():
    x, _ = problem()
    flat = infer(x, np.full(60, 2.0))
    assert flat.r_squared == 0
    assert flat.coef == pytest.approx([2, 0, 0, 0])
    assert jarque_bera(np.zeros(5)) == (0.0, 1.0)
    assert durbin_watson(np.zeros(5)) == 2.0
    perfect = infer(x, x @ [1.0, 1.0, 1.0])
    assert np.isfinite(perfect.cooks_distance).all()
    assert np.isfinite(perfect.deleted_studentized).all()
