import itertools

import numpy as np
import pytest
from scipy.stats import chi2
from sklearn import covariance as reference
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from unsupervised_learning.robust_covariance import EllipticEnvelope, MinCovDet


@parametrize_with_checks([MinCovDet(random_state=0), EllipticEnvelope(random_state=0)])
def test_contract(estimator, check):
    check(estimator)


def spoiled(n, d, share, seed=0, far=20.0):
    """Normal rows of a known covariance, a share of which is replaced by a far heap."""
    rng = np.random.default_rng(seed)
    root = np.tril(rng.standard_normal((d, d))) + 3 * np.eye(d)
    X = rng.standard_normal((n, d)) @ root.T
    bad = int(share * n)
    X[:bad] = far * root.sum(axis=0) + rng.standard_normal((bad, d)) @ root.T
    return X, root @ root.T, bad


def test_the_half_is_the_best_of_all_halves():
    X = np.random.default_rng(0).standard_normal((12, 2))
    X[:3] += 8
    h = (12 + 2 + 1) // 2 + 1
    determinants = [
        np.linalg.det(np.cov(X[list(rows)].T, bias=True))
        for rows in itertools.combinations(range(12), h)
    ]
    model = MinCovDet(random_state=0).fit(X)
    assert model.raw_support_.sum() == h
    assert np.linalg.det(model.raw_covariance_) == pytest.approx(min(determinants))


def test_in_one_dimension_the_half_is_the_tightest_window():
    x = np.concatenate([np.random.default_rng(0).standard_normal(60), 100.0 + np.arange(40.0)])
    model = MinCovDet(random_state=0).fit(x[:, None])
    h, ordered = model.raw_support_.sum(), np.sort(x)
    best = min(np.var(ordered[i : i + h]) for i in range(len(x) - h + 1))
    assert model.raw_covariance_[0, 0] == pytest.approx(best)
    assert abs(model.location_[0]) < 0.5


@pytest.mark.parametrize("d", [2, 5, 10])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.4])
def test_outliers_do_not_move_it(d, share):
    X, truth, bad = spoiled(600, d, share)
    model = MinCovDet(random_state=0).fit(X)
    assert not model.support_[:bad].any()
    assert model.support_[bad:].mean() > 0.9
    error = np.linalg.norm(model.covariance_ - truth) / np.linalg.norm(truth)
    assert error < 0.35
    assert np.linalg.norm(np.cov(X.T) - truth) / np.linalg.norm(truth) > 10


def test_it_is_consistent_at_normal_rows():
    X, truth, _ = spoiled(20_000, 3, 0.0)
    model = MinCovDet(random_state=0).fit(X)
    assert np.allclose(model.covariance_, truth, atol=0.03 * np.abs(truth).max())
    assert np.mean(model.dist_ > chi2.isf(0.1, 3)) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer])
def test_the_determinant_is_not_above_the_reference(load):
    X = load(return_X_y=True)[0][:, :8]
    ours = MinCovDet(random_state=0).fit(X)
    theirs = reference.MinCovDet(random_state=0).fit(X)
    rows = X[theirs.raw_support_]
    expected = np.linalg.slogdet(np.cov(rows.T, bias=True))[1]
    assert ours.raw_support_.sum() <= len(rows)
    assert np.linalg.slogdet(ours.raw_covariance_)[1] <= expected + 1e-6


def test_units_and_axes_do_not_matter():
    X, _, _ = spoiled(300, 4, 0.2)
    rng = np.random.default_rng(1)
    change = rng.standard_normal((4, 4)) @ np.diag([1e-4, 1.0, 1.0, 1e4])
    plain = MinCovDet(random_state=0).fit(X)
    turned = MinCovDet(random_state=0).fit(X @ change)
    assert np.array_equal(plain.support_, turned.support_)
    assert np.allclose(plain.dist_, turned.dist_, rtol=1e-5)
    assert np.allclose(change.T @ plain.covariance_ @ change, turned.covariance_, rtol=1e-5)


def test_columns_that_depend_on_others_are_told_and_do_no_harm():
    X, _, _ = spoiled(300, 3, 0.2)
    doubled = np.column_stack([X, X[:, 0] + X[:, 1], np.ones(300)])
    with pytest.warns(UserWarning, match="3 directions only"):
        model = MinCovDet(random_state=0).fit(doubled)
    plain = MinCovDet(random_state=0).fit(X)
    assert np.array_equal(model.support_, plain.support_)
    assert np.allclose(model.dist_, plain.dist_, rtol=1e-6)


def test_rows_more_than_half_of_which_are_equal_are_refused():
    X = np.random.default_rng(0).standard_normal((50, 2))
    X[:40] = 1.0
    with pytest.raises(ValueError, match="are the same"):
        MinCovDet(random_state=0).fit(X)


def test_the_precision_is_the_inverse_kept_or_not():
    X, _, _ = spoiled(300, 3, 0.1)
    kept = MinCovDet(random_state=0).fit(X)
    left = MinCovDet(random_state=0, store_precision=False).fit(X)
    assert np.allclose(kept.precision_ @ kept.covariance_, np.eye(3), atol=1e-8)
    assert left.precision_ is None
    assert np.allclose(left.get_precision(), kept.precision_)


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_the_envelope_marks_the_share_that_was_asked_for(share):
    X, _, bad = spoiled(400, 3, 0.05)
    model = EllipticEnvelope(contamination=share, random_state=0).fit(X)
    labels = model.predict(X)
    assert np.mean(labels == -1) == pytest.approx(share, abs=0.005)
    assert (labels[:bad] == -1).all()
    theirs = reference.EllipticEnvelope(contamination=share, random_state=0).fit(X).predict(X)
    assert np.mean(labels == theirs) > 0.97
    assert model.score(X, theirs) == np.mean(labels == theirs)


@pytest.mark.parametrize(
    "options, word",
    [
        ({"support_fraction": 1.5}, "support_fraction"),
        ({"contamination": 0.0}, "contamination"),
        ({"assume_centered": "no"}, "assume_centered"),
    ],
)
def test_parameters_out_of_range_are_named(options, word):
    with pytest.raises(ValueError, match=word):
        EllipticEnvelope(**options).fit(load_iris(return_X_y=True)[0])


def test_bad_input_is_told():
    with pytest.raises(NotFittedError):
        MinCovDet().mahalanobis([[0.0]])
    with pytest.raises(ValueError, match="NaN"):
        MinCovDet().fit([[np.nan], [1.0]])
    with pytest.raises(ValueError, match="minimum of 2"):
        MinCovDet().fit([[1.0, 2.0]])
