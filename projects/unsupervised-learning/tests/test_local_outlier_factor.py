import numpy as np
import pytest
from scipy import sparse
from sklearn import neighbors as reference
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.metrics import pairwise_distances
from sklearn.utils.estimator_checks import parametrize_with_checks

from unsupervised_learning.local_outlier_factor import LocalOutlierFactor


@pytest.mark.filterwarnings("ignore:some rows have more than")  # the checks' rows do
@parametrize_with_checks(
    [LocalOutlierFactor(n_neighbors=5), LocalOutlierFactor(n_neighbors=5, novelty=True)]
)
def test_contract(estimator, check):
    check(estimator)


def factors(X, k):
    """The definition, point by point."""
    d = pairwise_distances(X)
    np.fill_diagonal(d, np.inf)
    order = np.argsort(d, axis=1, kind="stable")[:, :k]
    far = np.take_along_axis(d, order, axis=1)[:, -1]
    density = np.array([1 / np.maximum(far[o], d[p, o]).mean() for p, o in enumerate(order)])
    return np.array([density[o].mean() / density[p] for p, o in enumerate(order)])


def test_factors_are_those_of_the_definition():
    X = np.random.default_rng(0).standard_normal((200, 3))
    model = LocalOutlierFactor(n_neighbors=9).fit(X)
    assert np.allclose(-model.negative_outlier_factor_, factors(X, 9), rtol=1e-7)


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer, load_digits])
def test_answers_are_those_of_the_reference(load):
    X = load(return_X_y=True)[0]
    X = X + 1e-6 * np.random.default_rng(0).standard_normal(X.shape)  # no duplicates
    for contamination in ("auto", 0.1):
        ours = LocalOutlierFactor(contamination=contamination)
        theirs = reference.LocalOutlierFactor(contamination=contamination)
        assert np.array_equal(ours.fit_predict(X), theirs.fit_predict(X))
        assert np.allclose(ours.negative_outlier_factor_, theirs.negative_outlier_factor_)
        assert ours.offset_ == pytest.approx(theirs.offset_)


def test_new_rows_are_scored_as_by_the_reference():
    X = load_wine(return_X_y=True)[0]
    ours = LocalOutlierFactor(novelty=True).fit(X[:120])
    theirs = reference.LocalOutlierFactor(novelty=True).fit(X[:120])
    assert np.allclose(ours.score_samples(X[120:]), theirs.score_samples(X[120:]))
    assert np.array_equal(ours.predict(X[120:]), theirs.predict(X[120:]))


def test_density_is_local():
    rng = np.random.default_rng(0)
    dense, sparse_ = 0.01 * rng.standard_normal((100, 2)), 10 + rng.standard_normal((100, 2))
    X = np.vstack([dense, sparse_, [[0.3, 0.3]]])
    labels = LocalOutlierFactor(n_neighbors=10, contamination=1 / 201).fit_predict(X)
    assert labels[-1] == -1  # though rows of the sparse cluster lie farther apart
    assert (labels[:-1] == 1).all()


def test_distances_and_sparse_rows_give_the_same_answer():
    X = load_iris(return_X_y=True)[0] + 1e-6 * np.random.default_rng(0).standard_normal((150, 4))
    expected = LocalOutlierFactor().fit(X).negative_outlier_factor_
    given = LocalOutlierFactor(metric="precomputed").fit(pairwise_distances(X))
    assert np.allclose(given.negative_outlier_factor_, expected)
    from_sparse = LocalOutlierFactor().fit(sparse.csr_matrix(X))
    assert np.allclose(from_sparse.negative_outlier_factor_, expected)


def test_duplicates_are_told_and_finite():
    X = np.vstack([np.zeros((30, 2)), np.random.default_rng(0).standard_normal((70, 2))])
    with pytest.warns(UserWarning, match="duplicates"):
        model = LocalOutlierFactor(n_neighbors=5).fit(X)
    assert np.isfinite(model.negative_outlier_factor_).all()


def test_float32_rows_stay_so():
    X = load_iris(return_X_y=True)[0].astype(np.float32)
    assert LocalOutlierFactor().fit(X).negative_outlier_factor_.dtype == np.float32


def test_methods_belong_to_the_kind_of_use():
    X = load_iris(return_X_y=True)[0]
    with pytest.raises(AttributeError) as told:
        LocalOutlierFactor().fit(X).predict(X)
    assert "novelty=True" in str(told.value.__cause__)
    with pytest.raises(AttributeError) as told:
        LocalOutlierFactor(novelty=True).fit_predict(X)
    assert "novelty=False" in str(told.value.__cause__)


@pytest.mark.parametrize(
    "options, word",
    [
        ({"n_neighbors": 0}, "n_neighbors"),
        ({"algorithm": "tree"}, "algorithm"),
        ({"contamination": 0.7}, "contamination"),
        ({"novelty": "yes"}, "novelty"),
    ],
)
def test_parameters_out_of_range_are_named(options, word):
    with pytest.raises(ValueError, match=word):
        LocalOutlierFactor(**options).fit(load_iris(return_X_y=True)[0])


def test_bad_input_is_told():
    with pytest.raises(NotFittedError):
        LocalOutlierFactor(novelty=True).predict([[0.0]])
    with pytest.raises(ValueError, match="NaN"):
        LocalOutlierFactor().fit([[np.nan], [1.0]])
    with pytest.raises(ValueError, match="minimum of 2"):
        LocalOutlierFactor().fit([[1.0]])
    with pytest.warns(UserWarning, match="more than the 3 rows"):
        LocalOutlierFactor(n_neighbors=10).fit([[0.0], [1.0], [3.0]])
