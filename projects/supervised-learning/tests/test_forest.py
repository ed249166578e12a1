import pickle

import numpy as np
import pytest
from sklearn import ensemble as reference
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.testing import AWKWARD, parity
from supervised_learning.forest import RandomForestClassifier, RandomForestRegressor
from supervised_learning.tree import DecisionTreeClassifier

CLASSES = ("iris", "wine", "breast_cancer", "digits")
NUMBERS = ("diabetes", "friedman1")


def expected_failures(estimator) -> dict[str, str]:
    """A weighted bootstrap equals a repetition only in the mean, as in scikit-learn's forests."""
    reason = "rows are drawn at random in proportion to their weights"
    return {"check_sample_weight_equivalence_on_dense_data": reason}


@parametrize_with_checks(
    [
        RandomForestClassifier(n_estimators=5),
        RandomForestClassifier(n_estimators=5, class_weight="balanced_subsample", max_samples=0.7),
        RandomForestRegressor(n_estimators=5),
    ],
    expected_failed_checks=expected_failures,
)
def test_contract(estimator, check):
    check(estimator)


def both(name: str, **parameters):
    """Our forest and the reference's for a table, set alike."""
    parameters = {"n_estimators": 8, "random_state": 0, **parameters}
    if name in NUMBERS:
        return RandomForestRegressor(**parameters), reference.RandomForestRegressor(**parameters)
    return RandomForestClassifier(**parameters), reference.RandomForestClassifier(**parameters)


def outputs(model, X):
    return model.predict_proba(X) if is_classifier(model) else model.predict(X)


# The reference's own forests


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"max_features": 1.0, "min_samples_leaf": 3},
        {"max_samples": 0.5, "max_depth": 6},
        {"bootstrap": False, "max_features": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("table", CLASSES + NUMBERS)
def test_forests_are_the_references_tree_by_tree(table: str, parameters: dict) -> None:
    X, y = tables.matrix(table)
    y = np.round(y).astype(y.dtype)  # so that sums are exact, and ties are ties
    ours, theirs = (model.fit(X[::2], y[::2]) for model in both(table, **parameters))
    sizes = [[tree.tree_.node_count for tree in model.estimators_] for model in (ours, theirs)]
    assert sizes[0] == sizes[1]
    np.testing.assert_allclose(outputs(ours, X), outputs(theirs, X), rtol=1e-9)
    np.testing.assert_allclose(ours.feature_importances_, theirs.feature_importances_, atol=1e-9)


def test_awkward_matrices_give_the_references_predictions() -> None:
    def predictions(Forest):
        def fit(X):
            y = np.arange(len(X)) % 3
            return outputs(Forest(n_estimators=4, random_state=0).fit(X, y), X)

        return fit

    for ours, theirs in (
        (RandomForestClassifier, reference.RandomForestClassifier),
        (RandomForestRegressor, reference.RandomForestRegressor),
    ):
        parity(predictions(ours), predictions(theirs), AWKWARD, examples=15)


def test_weights_and_balanced_classes_draw_the_references_samples() -> None:
    X, y = tables.matrix("wine")
    weight = np.random.default_rng(0).integers(0, 4, len(y))
    for parameters in ({}, {"class_weight": "balanced"}, {"class_weight": {0: 5.0, 2: 0.5}}):
        ours, theirs = both("wine", **parameters)
        ours.fit(X, y, sample_weight=weight)
        theirs.fit(X, y, sample_weight=weight)
        np.testing.assert_allclose(outputs(ours, X), outputs(theirs, X), rtol=1e-9)
        for ours_rows, rows in zip(
            ours.estimators_samples_, theirs.estimators_samples_, strict=True
        ):
            np.testing.assert_array_equal(ours_rows, rows)


@pytest.mark.parametrize("table", ["breast_cancer", "diabetes"])
def test_the_out_of_bag_score_is_the_references(table: str) -> None:
    X, y = tables.matrix(table)
    ours, theirs = (model.fit(X, y) for model in both(table, n_estimators=40, oob_score=True))
    assert ours.oob_score_ == pytest.approx(theirs.oob_score_, abs=1e-9)
    name = "oob_prediction_" if table in NUMBERS else "oob_decision_function_"
    np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-9)


# What a forest is


def test_out_of_bag_votes_come_from_the_trees_that_have_not_seen_the_row() -> None:
    X, y = tables.matrix("iris")
    forest = RandomForestClassifier(30, oob_score=True, random_state=0).fit(X, y)
    row = 7
    unseen = [
        tree
        for tree, rows in zip(forest.estimators_, forest.estimators_samples_, strict=True)
        if row not in rows
    ]
    assert 0 < len(unseen) < 30
    votes = np.mean([tree.predict_proba(X[[row]])[0] for tree in unseen], axis=0)
    np.testing.assert_allclose(forest.oob_decision_function_[row], votes)


def test_a_row_in_every_sample_has_no_out_of_bag_vote_and_is_told() -> None:
    X, y = tables.matrix("iris")
    with pytest.warns(UserWarning, match="grow more trees"):
        forest = RandomForestClassifier(2, oob_score=True, random_state=0).fit(X, y)
    assert np.isnan(forest.oob_decision_function_).any()
    assert 0.5 < forest.oob_score_ <= 1


def test_a_score_of_ones_own_is_used_out_of_bag() -> None:
    X, y = tables.matrix("breast_cancer")
    forest = RandomForestClassifier(40, oob_score=balanced_accuracy_score, random_state=0)
    plain = RandomForestClassifier(40, oob_score=True, random_state=0).fit(X, y)
    votes = plain.oob_decision_function_.argmax(axis=1)
    assert forest.fit(X, y).oob_score_ == pytest.approx(balanced_accuracy_score(y, votes))


def test_bootstrap_samples_leave_out_a_third_of_the_rows() -> None:
    X, y = tables.matrix("digits")
    forest = RandomForestClassifier(10, random_state=0).fit(X, y)
    seen = [len(np.unique(rows)) / len(X) for rows in forest.estimators_samples_]
    assert np.mean(seen) == pytest.approx(1 - 1 / np.e, abs=0.01)


def test_the_mean_of_trees_varies_less_than_a_tree() -> None:
    X, y = tables.matrix("friedman1")
    rng = np.random.default_rng(0)
    predictions = {1: [], 30: []}
    for seed in range(8):
        rows = rng.choice(len(X) // 2, len(X) // 4, replace=False)
        for trees, kept in predictions.items():
            forest = RandomForestRegressor(trees, max_features=0.4, random_state=seed)
            kept.append(forest.fit(X[rows], y[rows]).predict(X[len(X) // 2 :]))
    variance = {trees: np.var(kept, axis=0).mean() for trees, kept in predictions.items()}
    assert variance[30] < 0.4 * variance[1]


def test_one_tree_without_bootstrap_is_a_decision_tree() -> None:
    X, y = tables.matrix("wine")
    forest = RandomForestClassifier(1, bootstrap=False, max_features=None, random_state=0)
    forest.fit(X, y)
    alone = DecisionTreeClassifier(random_state=forest.estimators_[0].random_state).fit(X, y)
    np.testing.assert_array_equal(forest.predict(X), alone.predict(X))
    np.testing.assert_array_equal(forest.apply(X)[:, 0], alone.apply(X))


def test_threads_grow_and_predict_the_same() -> None:
    X, y = tables.matrix("digits")
    alone = RandomForestClassifier(6, random_state=0, n_jobs=1).fit(X, y)
    together = RandomForestClassifier(6, random_state=0, n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(alone.predict_proba(X), together.predict_proba(X))


def test_labels_grids_frames_and_pickles_work() -> None:
    X, y = tables.frame("wine")
    y = np.array(["first", "second", "third"])[y]
    search = GridSearchCV(
        make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0)),
        {"randomforestclassifier__max_depth": [1, 4]},
        cv=3,
    ).fit(X, y)
    assert search.best_score_ > 0.9
    model = RandomForestClassifier(5, random_state=0).fit(X, y)
    assert set(model.predict(X)) == {"first", "second", "third"}
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("Forest", [RandomForestClassifier, RandomForestRegressor])
@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"n_estimators": 0}, "n_estimators"),
        ({"max_samples": 0.0}, "max_samples"),
        ({"max_features": "all"}, "max_features"),
        ({"bootstrap": False, "max_samples": 0.5}, "bootstrap=True"),
        ({"bootstrap": False, "oob_score": True}, "bootstrap=True"),
    ],
)
def test_parameters_that_do_not_fit_are_named(Forest, parameters: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Forest(**parameters).fit([[0.0], [1.0]], [0, 1])


def test_bad_tables_are_refused() -> None:
    model = RandomForestClassifier(3)
    for call in (model.predict, model.apply):
        with pytest.raises(NotFittedError):
            call([[0.0]])
    with pytest.raises(ValueError, match="NaN"):
        model.fit([[np.nan], [1.0]], [0, 1])
    with pytest.raises(ValueError, match=r"(?i)zero"):
        model.fit([[0.0], [1.0]], [0, 1], sample_weight=[0, 0])
