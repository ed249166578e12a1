import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Perceptron as Reference
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.testing import awkward_families, parity
from supervised_learning.perceptron import Perceptron

#: scikit-learn's own Perceptron is excused too: a weight makes one correction longer, and a
#: repetition asks again whether there is anything to correct.
EXCUSED = {"check_sample_weight_equivalence_on_dense_data": "a repeated row is asked again"}


@parametrize_with_checks([Perceptron()], expected_failed_checks=lambda estimator: EXCUSED)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_in_the_same_order_the_weights_are_the_references(k: int) -> None:
    def both(estimator):
        def fit(X):
            model = estimator.fit(X, np.arange(len(X)) % k)
            return model.coef_, model.intercept_

        return fit

    parity(
        both(Perceptron(shuffle=False)),
        both(Reference(shuffle=False)),
        awkward_families(leave_out=["one row", "float32"]),
        rtol=1e-12,
    )


@pytest.mark.parametrize("table", ["iris", "wine", "breast_cancer", "digits"])
def test_real_tables_get_the_references_weights(table: str) -> None:
    X, y = tables.matrix(table)
    ours, theirs = Perceptron(shuffle=False).fit(X, y), Reference(shuffle=False).fit(X, y)
    assert (ours.coef_ == theirs.coef_).all()
    assert (ours.intercept_ == theirs.intercept_).all()


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 10_000), st.floats(0.05, 1.0), st.integers(1, 6))
def test_no_more_corrections_than_novikoff_allows(seed: int, margin: float, d: int) -> None:
    rng = np.random.default_rng(seed)
    true = rng.standard_normal(d + 1)
    true /= np.linalg.norm(true)
    X = rng.uniform(-3, 3, (60, d))
    rows = np.column_stack([X, np.ones(60)])  # the intercept is the weight of a column of ones
    kept = np.abs(rows @ true) >= margin
    y = rows[kept] @ true > 0
    if len(set(y)) < 2:
        return
    model = Perceptron(tol=None, max_iter=100_000, random_state=seed).fit(X[kept], y)
    radius = np.linalg.norm(rows[kept], axis=1).max()
    assert model.converged_.all()
    assert model.n_mistakes_[0] <= (radius / margin) ** 2
    assert model.score(X[kept], y) == 1


def test_xor_is_never_learnt_and_says_so() -> None:
    X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), [0, 1, 1, 0]
    with pytest.warns(ConvergenceWarning, match="raise max_iter or tol"):
        model = Perceptron(tol=None, max_iter=200).fit(X, y)
    assert not model.converged_[0]
    assert model.score(X, y) < 1


def test_the_step_changes_no_decision(tiny_classes: tuple[NDArray, NDArray]) -> None:
    X, y = tiny_classes
    small = Perceptron(eta0=0.5, tol=None).fit(X, y)
    large = Perceptron(eta0=2.0, tol=None).fit(X, y)
    assert np.allclose(4 * small.coef_, large.coef_)
    assert (small.predict(X) == large.predict(X)).all()


@pytest.mark.parametrize("parameters", [{"eta0": 0.0}, {"max_iter": 0}, {"tol": -1.0}])
def test_a_bad_parameter_is_named(parameters: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(parameters))):
        Perceptron(**parameters).fit([[0.0], [1.0]], [0, 1])
