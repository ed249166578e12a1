import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import decomposition as reference
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.testing import awkward_families, parity
from unsupervised_learning.pca import PCA, mean_and_covariance

SOLVERS = ("covariance_eigh", "full", "randomized")
TABLES = (load_iris, load_wine, load_breast_cancer, load_digits)


@parametrize_with_checks(
    [PCA(), PCA(1, whiten=True, svd_solver="full"), PCA(1, svd_solver="randomized", random_state=0)]
)
def test_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("load", TABLES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_components_are_those_of_the_reference(load, solver):
    X = StandardScaler().fit_transform(load(return_X_y=True)[0])
    k = 3
    ours = PCA(k, svd_solver=solver, random_state=0, iterated_power=30).fit(X)
    theirs = reference.PCA(k, svd_solver="full").fit(X)
    signs = np.sign((ours.components_ * theirs.components_).sum(axis=1))
    assert np.allclose(ours.components_ * signs[:, None], theirs.components_, atol=1e-5)
    assert np.allclose(ours.explained_variance_, theirs.explained_variance_, rtol=1e-6)
    assert np.allclose(ours.explained_variance_ratio_, theirs.explained_variance_ratio_, rtol=1e-6)
    assert np.allclose(ours.singular_values_, theirs.singular_values_, rtol=1e-6)
    assert ours.noise_variance_ == pytest.approx(theirs.noise_variance_, rel=1e-6)
    assert np.allclose(ours.transform(X) * signs, theirs.transform(X), atol=1e-4)


@pytest.mark.parametrize("solver", ["covariance_eigh", "full"])
def test_variances_of_awkward_rows_are_those_of_the_reference(solver):
    def shares(model, X):
        X = np.asarray(X, dtype=float)
        scale = max(float(X.var(axis=0).max()), 1e-300)
        return np.maximum(model.fit(X).explained_variance_ / scale, 0.0)

    parity(
        lambda X: shares(PCA(svd_solver=solver), X),
        lambda X: shares(reference.PCA(svd_solver="full"), X),
        # Of no variance at all the library makes NaN.
        awkward_families(leave_out=("float32", "one row", "all zero")),
        rtol=1e-6,
        atol=1e-9,
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(arrays(np.float64, (30, 4), elements=st.floats(-100, 100, width=32)))
def test_components_are_orthonormal_and_the_rows_come_back(X):
    model = PCA().fit(X)
    assert np.allclose(model.components_ @ model.components_.T, np.eye(4), atol=1e-9)
    assert np.allclose(model.inverse_transform(model.transform(X)), X, atol=1e-9 * 100)
    assert (np.diff(model.explained_variance_) <= 1e-9 * (1 + model.explained_variance_[0])).all()
    total = X.var(axis=0, ddof=1).sum()
    assert model.explained_variance_.sum() == pytest.approx(total, rel=1e-9, abs=1e-12)


def test_no_plane_is_nearer_to_the_rows():
    X = load_wine(return_X_y=True)[0]
    model = PCA(2).fit(X)
    error = np.square(model.inverse_transform(model.transform(X)) - X).sum()
    lost = model.noise_variance_ * (X.shape[1] - 2) * (len(X) - 1)
    assert error == pytest.approx(lost, rel=1e-6)
    rng = np.random.default_rng(0)
    for _ in range(20):
        plane, _ = np.linalg.qr(model.components_.T + 0.05 * rng.standard_normal((13, 2)))
        centered = X - X.mean(axis=0)
        assert np.square(centered - centered @ plane @ plane.T).sum() > error


def test_a_fraction_keeps_as_many_components_as_explain_it():
    X = load_digits(return_X_y=True)[0]
    for share in (0.5, 0.9, 0.99):
        ours, theirs = PCA(share).fit(X), reference.PCA(share, svd_solver="full").fit(X)
        assert ours.n_components_ == theirs.n_components_
        assert ours.explained_variance_ratio_.sum() > share


@pytest.mark.parametrize("solver", SOLVERS)
def test_whitened_projections_have_unit_variance_and_come_back(solver):
    X = load_iris(return_X_y=True)[0]
    model = PCA(3, whiten=True, svd_solver=solver, random_state=0).fit(X)
    projected = model.transform(X)
    assert np.allclose(np.cov(projected.T), np.eye(3), atol=1e-6)
    plain = PCA(3, svd_solver="full").fit(X)
    expected = plain.inverse_transform(plain.transform(X))
    assert np.allclose(model.inverse_transform(projected), expected, atol=1e-6)


def test_far_from_the_origin_no_digits_are_lost():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((5000, 3)) * [3.0, 2.0, 1.0]
    _, near = mean_and_covariance(X)
    mean, far = mean_and_covariance(X + 1e6)
    assert np.allclose(far, near, rtol=1e-7, atol=1e-7)
    assert np.allclose(mean, X.mean(axis=0) + 1e6, rtol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
def test_float32_rows_stay_so(solver):
    X = load_iris(return_X_y=True)[0]
    model = PCA(2, svd_solver=solver, random_state=0).fit(X.astype(np.float32))
    assert model.components_.dtype == np.float32
    assert model.transform(X.astype(np.float32)).dtype == np.float32
    exact = PCA(2, svd_solver="full").fit(X)
    assert np.allclose(model.components_, exact.components_, atol=1e-4)


def test_constant_rows_have_no_variance_and_finite_answers():
    model = PCA().fit(np.ones((5, 3)))
    assert np.array_equal(model.explained_variance_, np.zeros(3))
    assert np.array_equal(model.explained_variance_ratio_, np.zeros(3))
    assert np.isfinite(model.components_).all()
    assert np.array_equal(model.transform(np.ones((2, 3))), np.zeros((2, 3)))


def test_frames_pipelines_and_searches_take_it():
    X, y = load_wine(return_X_y=True, as_frame=True)
    model = PCA(2).set_output(transform="pandas")
    projected = model.fit_transform(X)
    assert isinstance(projected, pd.DataFrame)
    assert list(projected.columns) == ["pca0", "pca1"]
    pipeline = make_pipeline(StandardScaler(), PCA(), LogisticRegression())
    search = GridSearchCV(pipeline, {"pca__n_components": [1, 2, 5]}, cv=3).fit(X, y)
    assert search.best_score_ > 0.95


@pytest.mark.parametrize(
    "options, word",
    [
        ({"n_components": 0}, "n_components"),
        ({"n_components": 5}, r"min\(n_samples, n_features\)=4"),
        ({"n_components": 1.5}, "n_components"),
        ({"svd_solver": "qr"}, "svd_solver"),
        ({"n_components": 0.5, "svd_solver": "randomized"}, "number of components"),
        ({"n_oversamples": 0}, "n_oversamples"),
    ],
)
def test_parameters_out_of_range_are_named(options, word):
    with pytest.raises(ValueError, match=word):
        PCA(**options).fit(load_iris(return_X_y=True)[0])


def test_bad_input_is_told():
    with pytest.raises(NotFittedError):
        PCA().transform([[0.0]])
    with pytest.raises(ValueError, match="NaN"):
        PCA().fit([[np.nan], [1.0]])
    with pytest.raises(ValueError, match="minimum of 2"):
        PCA().fit([[1.0, 2.0]])
    model = PCA(2).fit(load_iris(return_X_y=True)[0])
    with pytest.raises(ValueError, match=r"\(3, 3\): \(n_samples, 2\)"):
        model.inverse_transform(np.zeros((3, 3)))
