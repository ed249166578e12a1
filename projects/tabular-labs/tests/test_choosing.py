import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from tabular_labs.choosing import Chosen
from tabular_labs.folds import accuracy, repeated_folds, rmsle, twin_groups


def slanted(n, seed):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.standard_normal((n, 2)), columns=["a", "b"])
    return X, (X["a"] + X["b"] + 0.3 * rng.standard_normal(n) > 0).to_numpy(np.int64)


X, Y = slanted(160, 0)
MODELS = {
    "none": DummyClassifier(),
    "line": LogisticRegression(),
    "steps": DecisionTreeClassifier(max_depth=2, random_state=0),
}


@pytest.mark.parametrize("by", ["log_loss", "error"])
def test_the_candidate_that_holds_out_best_is_chosen_and_fitted_on_all_rows(by):
    chosen = Chosen(MODELS, by=by).fit(X, Y)
    assert chosen.name_ == "line"
    assert chosen.losses_["line"] == min(chosen.losses_.values())
    alone = LogisticRegression().fit(X, Y)
    np.testing.assert_array_equal(chosen.predict_proba(X), alone.predict_proba(X))
    assert set(chosen.predict(X)) == {0, 1}


def test_a_model_that_remembers_twins_is_not_preferred_for_it():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.standard_normal((60, 3)), columns=list("abc"))
    doubled = pd.concat([rows, rows], ignore_index=True)
    y = np.tile((rng.random(60) < 0.25).astype(np.int64), 2)  # noise: the share of all is best
    models = {"memory": DecisionTreeClassifier(random_state=0), "none": DummyClassifier()}
    assert Chosen(models, by="error").fit(doubled, y).name_ == "none"


def test_what_cannot_be_chosen_from_is_refused():
    with pytest.raises(ValueError, match="no candidates"):
        Chosen({}).fit(X, Y)
    with pytest.raises(ValueError, match="auc"):
        Chosen(MODELS, by="auc").fit(X, Y)
    with pytest.raises(ValueError, match="5 folds, but a class has 2 rows"):
        Chosen(MODELS).fit(X.iloc[:12], np.array([1, 1] + [0] * 10))


def test_twins_have_one_number_and_gaps_are_equal():
    frame = pd.DataFrame({"a": [1.0, np.nan, 1.0, np.nan], "b": ["x", None, "x", "y"]})
    groups = twin_groups(frame)
    assert groups[0] == groups[2]
    assert len(set(groups)) == 3


def test_folds_hold_every_row_once_and_never_part_a_group():
    groups = np.repeat(np.arange(80), 2)
    for splits in repeated_folds(Y, groups, 4, [0, 1]):
        tested = np.concatenate([test for _, test in splits])
        assert sorted(tested) == list(range(160))
        for train, test in splits:
            assert not set(groups[train]) & set(groups[test])


def test_accuracy_is_that_of_the_more_probable_class():
    assert accuracy(np.array([0, 1, 1]), np.array([0.4, 0.5, 0.2])) == pytest.approx(2 / 3)
    assert accuracy(np.array([2, 0]), np.array([[0.1, 0.2, 0.7], [0.3, 0.4, 0.3]])) == 0.5


def test_rmsle_of_logarithms_is_their_root_mean_square():
    assert rmsle(np.log([100.0, 100.0]), np.log([110.0, 100.0])) == pytest.approx(
        np.log(1.1) / np.sqrt(2)
    )
