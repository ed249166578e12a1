import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn import ensemble as reference
from sklearn.base import clone
from sklearn.datasets import make_classification, make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier as ReferenceTree
from sklearn.tree import DecisionTreeRegressor as ReferenceRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.testing import awkward_families, parity
from supervised_learning.adaboost import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    weighted_medians,
)
from supervised_learning.tree import DecisionTreeClassifier, DecisionTreeRegressor

REASON = "rows are drawn at random, and rounding decides between equal splits; so in scikit-learn"


@parametrize_with_checks(
    [
        AdaBoostClassifier(n_estimators=5),
        AdaBoostRegressor(n_estimators=5),
        AdaBoostClassifier(LogisticRegression(), n_estimators=5),
        AdaBoostRegressor(LinearRegression(), n_estimators=5, loss="square"),
    ],
    expected_failed_checks=lambda estimator: {
        "check_sample_weight_equivalence_on_dense_data": REASON,
        "check_sample_weight_equivalence_on_sparse_data": REASON,
    },
    xfail_strict=False,
)
def test_contract(estimator, check):
    check(estimator)


def weights(n: int) -> NDArray:
    return np.random.default_rng(0).uniform(0.1, 3.0, n)


def assert_same_classes(ours, theirs, X: NDArray, y: NDArray, weight: NDArray | None) -> None:
    ours.fit(X, y, sample_weight=weight)
    theirs.fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(ours.estimator_weights_, theirs.estimator_weights_, rtol=1e-9)
    np.testing.assert_allclose(ours.estimator_errors_, theirs.estimator_errors_, rtol=1e-9)
    np.testing.assert_allclose(
        ours.feature_importances_, theirs.feature_importances_, rtol=1e-9, atol=1e-12
    )
    for method in ("decision_function", "predict_proba", "predict_log_proba"):
        got, expected = getattr(ours, method)(X), getattr(theirs, method)(X)
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
    for method in ("staged_predict", "staged_decision_function", "staged_predict_proba"):
        stages = zip(getattr(ours, method)(X), getattr(theirs, method)(X), strict=True)
        for got, expected in stages:
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
    assert list(ours.staged_score(X, y)) == list(theirs.staged_score(X, y))
    assert (ours.predict(X) == theirs.predict(X)).all()
    assert len(ours.estimators_) == len(theirs.estimators_)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("learning_rate", [1.0, 0.3])
@pytest.mark.parametrize("table", ["wine", "breast_cancer", "digits"])
def test_stumps_follow_the_reference_round_by_round(
    table: str, learning_rate: float, weighted: bool
) -> None:
    X, y = tables.matrix(table)
    common = {"n_estimators": 30, "learning_rate": learning_rate, "random_state": 0}
    assert_same_classes(
        AdaBoostClassifier(**common),
        reference.AdaBoostClassifier(**common),
        X,
        y,
        weights(len(y)) if weighted else None,
    )


@pytest.mark.parametrize("k", [2, 4])
def test_deeper_trees_follow_the_reference(k: int) -> None:
    X, y = make_classification(1000, 8, n_informative=6, n_redundant=0, n_classes=k, random_state=0)
    leaves = {"max_depth": 3, "min_samples_leaf": 25}  # so large that no two columns divide alike
    assert_same_classes(
        AdaBoostClassifier(DecisionTreeClassifier(**leaves), n_estimators=20),
        reference.AdaBoostClassifier(ReferenceTree(**leaves), n_estimators=20),
        X,
        y,
        weights(len(y)),
    )


def test_any_learner_with_weights_is_boosted_as_by_the_reference() -> None:
    X, y = tables.matrix("wine")
    names = np.array(["a", "b", "c"])[y.astype(int)]
    for learner in (ReferenceTree(max_depth=1), LogisticRegression(C=1e-3, max_iter=5000)):
        ours = AdaBoostClassifier(learner, n_estimators=10, random_state=0).fit(X, names)
        theirs = reference.AdaBoostClassifier(learner, n_estimators=10, random_state=0)
        theirs.fit(X, names)
        np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X))
        assert (ours.predict(X) == theirs.predict(X)).all()


@pytest.mark.parametrize("loss", ["linear", "square", "exponential"])
def test_values_follow_the_reference_round_by_round(loss: str) -> None:
    X, y = make_friedman1(1000, noise=1.0, random_state=0)
    common = {"n_estimators": 20, "loss": loss, "learning_rate": 0.8, "random_state": 3}
    leaves = {"max_depth": 3, "min_samples_leaf": 25}
    ours = AdaBoostRegressor(DecisionTreeRegressor(**leaves), **common)
    theirs = reference.AdaBoostRegressor(ReferenceRegressor(**leaves), **common)
    ours.fit(X, y, weights(len(y)))
    theirs.fit(X, y, weights(len(y)))
    np.testing.assert_allclose(ours.estimator_weights_, theirs.estimator_weights_, rtol=1e-6)
    np.testing.assert_allclose(ours.feature_importances_, theirs.feature_importances_, atol=1e-9)
    for got, expected in zip(ours.staged_predict(X), theirs.staged_predict(X), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9)
    np.testing.assert_allclose(list(ours.staged_score(X, y)), list(theirs.staged_score(X, y)))


def test_any_regressor_is_boosted_as_by_the_reference() -> None:
    X, y = tables.matrix("diabetes")
    common = {"estimator": LinearRegression(), "n_estimators": 10, "random_state": 0}
    ours = AdaBoostRegressor(**common).fit(X, y)
    theirs = reference.AdaBoostRegressor(**common).fit(X, y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X))


def test_awkward_inputs_get_the_references_probabilities() -> None:
    def fit(model):
        def run(X):
            y = np.random.default_rng(3).integers(0, 2, len(X))
            weight = np.random.default_rng(4).gamma(2.0, size=len(X))
            return clone(model).fit(X, y, sample_weight=weight).predict_proba(X)

        return run

    common = {"n_estimators": 10, "random_state": 0}
    parity(
        fit(AdaBoostClassifier(**common)),
        fit(reference.AdaBoostClassifier(**common)),
        # One class, or no split at all.
        awkward_families(leave_out=["one row", "all zero"]),
        rtol=1e-6,
        examples=45,
    )


def test_the_training_error_stays_below_its_bound() -> None:
    X, y = tables.matrix("breast_cancer")
    model = AdaBoostClassifier(n_estimators=60).fit(X, y)
    error = model.estimator_errors_
    bound = np.cumprod(2.0 * np.sqrt(error * (1.0 - error)))
    wrong = 1.0 - np.array(list(model.staged_score(X, y)))
    assert (wrong <= bound).all()
    assert bound[-1] < 0.1


def test_in_the_new_weights_the_last_learner_is_a_guess() -> None:
    X, y = tables.matrix("breast_cancer")
    first = AdaBoostClassifier(n_estimators=1).fit(X, y)
    wrong = first.predict(X) != y
    weight = np.exp(first.estimator_weights_[0] * wrong)
    assert np.average(wrong, weights=weight) == pytest.approx(0.5)
    second = AdaBoostClassifier(n_estimators=2).fit(X, y)
    restarted = AdaBoostClassifier(n_estimators=1).fit(X, y, sample_weight=weight)
    assert second.estimator_errors_[1] == pytest.approx(restarted.estimator_errors_[0])


def test_more_rounds_of_stumps_add_up_to_what_one_cannot_say() -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (500, 2))
    y = (np.abs(X[:, 0]) + np.abs(X[:, 1]) < 0.7).astype(int)
    scores = list(AdaBoostClassifier(n_estimators=200).fit(X, y).staged_score(X, y))
    assert scores[0] < 0.8
    assert scores[-1] > 0.95


def test_a_learner_without_error_ends_the_rounds() -> None:
    X, y = np.arange(6.0)[:, None], np.array([0, 0, 0, 1, 1, 1])
    model = AdaBoostClassifier().fit(X, y)
    assert len(model.estimators_) == 1
    assert model.estimator_errors_[0] == 0.0
    assert (model.predict(X) == y).all()
    exact = AdaBoostRegressor(DecisionTreeRegressor(), random_state=0).fit(X[[0] * 4], [2.0] * 4)
    assert len(exact.estimators_) == 1
    np.testing.assert_array_equal(exact.predict(X), np.full(6, 2.0))


def test_a_learner_no_better_than_a_guess_is_refused() -> None:
    X, y = np.ones((4, 1)), [0, 0, 1, 1]
    with pytest.raises(ValueError, match="no better than a guess in the first round"):
        AdaBoostClassifier().fit(X, y)
    hopeless = AdaBoostRegressor(random_state=0).fit(X, [0.0, 9.0, 0.0, 9.0])
    assert hopeless.estimator_weights_[0] == 0.0
    assert np.isfinite(hopeless.predict(X)).all()
    assert (hopeless.feature_importances_ == 0.0).all()


def test_a_learner_that_takes_no_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="KNeighborsClassifier doesn't support sample_weight"):
        AdaBoostClassifier(KNeighborsClassifier()).fit([[0.0], [1.0]], [0, 1])


def test_weights_that_outgrow_floating_point_end_the_rounds() -> None:
    X, y = tables.matrix("iris")
    with pytest.warns(ConvergenceWarning, match="lower the learning_rate"):
        model = AdaBoostClassifier(learning_rate=5000.0).fit(X, y)
    assert np.isfinite(model.decision_function(X)).all()


def test_rows_of_weight_zero_have_no_say() -> None:
    X, y = tables.matrix("breast_cancer")
    weight = (np.arange(len(y)) % 3 > 0).astype(float)
    common = {"n_estimators": 10, "random_state": 0}
    weighted = AdaBoostClassifier(**common).fit(X, y, sample_weight=weight)
    without = AdaBoostClassifier(**common).fit(X[weight > 0], y[weight > 0])
    np.testing.assert_allclose(weighted.estimator_errors_, without.estimator_errors_)


def test_weights_of_classes_and_few_columns_reach_the_trees() -> None:
    X, y = tables.matrix("breast_cancer")
    heavy = DecisionTreeClassifier(max_depth=1, class_weight={0: 1.0, 1: 20.0})
    plain, tilted = (
        AdaBoostClassifier(tree, n_estimators=1).fit(X, y)
        for tree in (DecisionTreeClassifier(max_depth=1), heavy)
    )
    assert tilted.predict(X).sum() > plain.predict(X).sum()
    few = DecisionTreeClassifier(max_depth=1, max_features=1)
    scattered = AdaBoostClassifier(few, n_estimators=20, random_state=0).fit(X, y)
    assert np.count_nonzero(scattered.feature_importances_) > 10


def test_learners_that_take_sparse_rows_get_them() -> None:
    X = np.random.default_rng(0).poisson(1.0, (100, 5))
    y = (X[:, 0] > X[:, 1]).astype(int)
    model = AdaBoostClassifier(MultinomialNB(), n_estimators=3)
    dense = model.fit(X, y).predict(X)
    assert (model.fit(csr_array(X), y).predict(csr_array(X)) == dense).all()
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        AdaBoostClassifier().fit(csr_array(X), y)


def test_learners_without_importances_say_so() -> None:
    X, y = tables.matrix("iris")
    model = AdaBoostClassifier(LogisticRegression(C=1e-3), n_estimators=2).fit(X, y)
    assert not hasattr(model, "feature_importances_")


def test_it_takes_frames_searches_and_pickles() -> None:
    X, y = tables.matrix("iris")
    names = np.array(["setosa", "versicolor", "virginica"])[y.astype(int)]
    frame = pd.DataFrame(X, columns=list("abcd"))
    grid = {"estimator__max_depth": [1, 2], "n_estimators": [5]}
    search = GridSearchCV(AdaBoostClassifier(DecisionTreeClassifier()), grid, cv=3)
    search.fit(frame, names)
    assert search.best_score_ > 0.9
    copy = pickle.loads(pickle.dumps(search.best_estimator_))
    assert (copy.predict(frame) == search.predict(frame)).all()
    assert list(copy.feature_names_in_) == list("abcd")


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 4)), min_size=1, max_size=8))
def test_weighted_medians_are_the_definition(pairs: list[tuple[int, int]]) -> None:
    values, weight = (np.array(part, dtype=float) for part in zip(*pairs, strict=True))
    found = weighted_medians(np.column_stack([values, values[::-1]]), weight)
    for column, median in zip((values, values[::-1]), found, strict=True):
        below = [weight[column <= v].sum() for v in np.sort(column)]
        assert median == np.sort(column)[np.argmax(np.array(below) >= weight.sum() / 2)]
