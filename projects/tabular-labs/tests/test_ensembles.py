import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from tabular_labs.ensembles import Averaged, Blend, Stacked, takes_groups

RNG = np.random.default_rng(0)
X = pd.DataFrame(RNG.standard_normal((240, 3)), columns=list("abc"))
Y = (X["a"] + 0.8 * RNG.standard_normal(240) > 0).to_numpy(np.int64)


class Watching(DecisionTreeClassifier):
    """Remembers which rows it was fitted on."""

    seen: list = []  # noqa: RUF012

    def fit(self, X, y, groups=None):
        Watching.seen.append((X.index.to_numpy(), groups))
        return super().fit(X, y)


def test_the_mean_is_the_mean_of_what_each_says():
    models = {"line": LogisticRegression(), "all": DummyClassifier()}
    both = Averaged(models).fit(X, Y)
    each = [model.fit(X, Y).predict_proba(X) for model in models.values()]
    np.testing.assert_allclose(both.predict_proba(X), np.mean(each, axis=0))
    np.testing.assert_allclose(both.parts(X).mean(1), both.predict_proba(X)[:, 1])
    assert set(both.predict(X)) == {0, 1}


def test_a_stack_trusts_the_model_that_holds_out_and_not_the_one_that_remembers():
    memory = DecisionTreeClassifier(random_state=0)
    stack = Stacked({"line": LogisticRegression(), "memory": memory}).fit(X, Y)
    assert stack.weights_["line"] > 5 * abs(stack.weights_["memory"])
    assert np.mean(stack.predict(X) == Y) < 0.95
    np.testing.assert_allclose(stack.predict_proba(X).sum(1), 1)


def test_groups_stay_whole_and_are_handed_on():
    Watching.seen.clear()
    groups = np.repeat(np.arange(60), 4)
    Stacked({"one": Watching(random_state=0)}, folds=3).fit(X, Y, groups)
    *inner, last = Watching.seen
    assert len(inner) == 3
    assert len(last[0]) == 240
    for rows, handed in inner:
        np.testing.assert_array_equal(handed, groups[rows])
        assert not set(groups[rows]) & set(np.delete(groups, rows))
    assert takes_groups(Watching())
    assert not takes_groups(LogisticRegression())


def test_a_stack_of_three_classes_is_refused():
    with pytest.raises(ValueError, match="3 classes"):
        Stacked({"line": LogisticRegression()}).fit(X.iloc[:3], np.array([0, 1, 2]))


def test_a_blend_of_numbers_is_their_mean_and_tells_its_parts():
    y = 2 * X["a"].to_numpy()
    blend = Blend({"line": LinearRegression(), "mean": DummyRegressor()}).fit(X, y)
    parts = blend.parts(X)
    np.testing.assert_allclose(parts[:, 0], y, atol=1e-9)
    np.testing.assert_allclose(blend.predict(X), parts.mean(1))
