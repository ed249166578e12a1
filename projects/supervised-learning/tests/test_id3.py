import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import tree as reference
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.data import tables
from groundwork.testing import AWKWARD, parity
from supervised_learning.id3 import ID3Classifier, information_gains
from supervised_learning.tree.drawing import as_text

#: Quinlan's fourteen mornings: outlook, temperature, humidity, windy; played or not.
MORNINGS = [
    line.split()
    for line in """\
sunny hot high no N
sunny hot high yes N
overcast hot high no P
rain mild high no P
rain cool normal no P
rain cool normal yes N
overcast cool normal yes P
sunny mild high no N
sunny cool normal no P
rain mild normal no P
sunny mild normal yes P
overcast mild high yes P
overcast hot normal no P
rain mild high yes N""".splitlines()
]
X = pd.DataFrame([row[:4] for row in MORNINGS], columns=["outlook", "temp", "humidity", "windy"])
y = np.array([row[4] for row in MORNINGS])


@parametrize_with_checks([ID3Classifier(), ID3Classifier(criterion="gain_ratio", max_depth=3)])
def test_contract(estimator, check):
    check(estimator)


def test_the_gains_of_the_mornings_are_those_of_the_paper() -> None:
    np.testing.assert_allclose(information_gains(X, y), [0.246, 0.029, 0.151, 0.048], atol=1e-3)


def test_the_tree_of_the_mornings_is_that_of_the_paper() -> None:
    model = ID3Classifier().fit(X, y)
    assert (model.predict(X) == y).all()
    assert model.tree_.node_count == 8
    text = as_text(model.outline())
    assert text.startswith("outlook, 0.247 bits")
    assert "sunny: humidity, 0.971 bits" in text
    assert "rain: windy, 0.971 bits" in text
    assert "overcast: P 100%" in text
    assert "temp" not in text


def test_the_gain_ratio_prefers_the_question_with_fewer_answers() -> None:
    rng = np.random.default_rng(0)
    two = rng.integers(0, 2, 200)
    labels = np.where(rng.random(200) < 0.1, 1 - two, two)
    many = two + 2 * rng.integers(0, 10, 200)  # tells the same, and something by chance
    codes = np.column_stack([many, two, rng.integers(0, 2, (200, 3))])
    assert ID3Classifier().fit(codes, labels).tree_.column[0] == 0
    assert ID3Classifier(criterion="gain_ratio").fit(codes, labels).tree_.column[0] == 1


@given(st.integers(0, 10_000), st.integers(2, 5))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_each_node_asks_for_the_column_that_gains_most(seed: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    codes, labels = rng.integers(0, values, (30, 3)), rng.integers(0, 3, 30)
    model = ID3Classifier().fit(codes, labels)
    tree = model.tree_
    rows = {0: np.arange(30)}
    for node in range(tree.node_count):
        mine = rows[node]
        if tree.column[node] < 0:
            same = len(np.unique(codes[mine], axis=0)) == 1
            assert same or len(np.unique(labels[mine])) == 1
            continue
        gains = information_gains(codes[mine], labels[mine])
        assert tree.gain[node] == pytest.approx(gains.max(), abs=1e-9)
        assert gains[tree.column[node]] == pytest.approx(gains.max(), abs=1e-9)
        first = tree.first_child[node]
        for child in range(first, first + tree.n_children[node]):
            value = model.categories_[tree.column[node]][tree.code[child]]
            rows[child] = mine[codes[mine, tree.column[node]] == value]
            assert len(rows[child]) == tree.weight[child]


@pytest.mark.parametrize("table", ["iris", "wine", "breast_cancer", "digits"])
def test_on_columns_of_two_values_it_splits_as_well_as_the_references_tree(table: str) -> None:
    features, labels = tables.matrix(table)
    two = features > np.median(features, axis=0)
    theirs = reference.DecisionTreeClassifier(criterion="entropy", max_depth=1).fit(two, labels)
    ours = ID3Classifier(max_depth=1).fit(two, labels)
    left = theirs.tree_.impurity[1:] @ theirs.tree_.weighted_n_node_samples[1:]
    assert ours.tree_.impurity[1:] @ ours.tree_.weight[1:] == pytest.approx(left)
    deep = reference.DecisionTreeClassifier(criterion="entropy").fit(two, labels)
    assert ID3Classifier().fit(two, labels).score(two, labels) == deep.score(two, labels)


def test_awkward_matrices_are_told_apart_as_well_as_by_the_references_tree() -> None:
    def accuracy(estimator):
        def fit(matrix):
            labels = np.arange(len(matrix)) % 2
            return estimator.fit(matrix.round(3), labels).score(matrix.round(3), labels)

        return fit

    # Columns that lie closer than the reference tells apart are no categories to it.
    families = {name: make for name, make in AWKWARD.items() if name != "huge and tiny"}
    parity(accuracy(ID3Classifier()), accuracy(reference.DecisionTreeClassifier()), families)


def test_whole_weights_are_repetitions() -> None:
    rng = np.random.default_rng(0)
    codes, labels = rng.integers(0, 4, (60, 4)), rng.integers(0, 3, 60)
    weight = rng.integers(0, 3, 60)
    weighted = ID3Classifier().fit(codes, labels, sample_weight=weight)
    repeated = ID3Classifier().fit(codes.repeat(weight, axis=0), labels.repeat(weight))
    np.testing.assert_array_equal(weighted.tree_.column, repeated.tree_.column)
    np.testing.assert_allclose(weighted.predict_proba(codes), repeated.predict_proba(codes))


def test_a_value_never_met_gets_the_classes_of_the_node_that_asks() -> None:
    model = ID3Classifier().fit(X, y)
    p = model.predict_proba(pd.DataFrame([["snow", "hot", "high", "no"]], columns=X.columns))
    np.testing.assert_allclose(p, [[5 / 14, 9 / 14]])


def test_depth_and_size_limit_the_questions() -> None:
    assert ID3Classifier(max_depth=1).fit(X, y).tree_.node_count == 4
    assert ID3Classifier(min_samples_split=6).fit(X, y).tree_.node_count == 4
    assert ID3Classifier(min_samples_split=15).fit(X, y).tree_.node_count == 1


def test_a_checkerboard_is_learned_though_no_first_question_gains() -> None:
    cells = [["a", "a"], ["a", "b"], ["b", "a"], ["b", "b"]]
    assert ID3Classifier().fit(cells, [0, 1, 1, 0]).score(cells, [0, 1, 1, 0]) == 1.0


def test_importances_add_up_and_a_grid_and_a_pickle_work() -> None:
    model = ID3Classifier().fit(X, y)
    assert model.feature_importances_.sum() == pytest.approx(1)
    assert model.feature_importances_[1] == 0
    assert list(pickle.loads(pickle.dumps(model)).predict(X)) == list(y)
    search = GridSearchCV(ID3Classifier(), {"max_depth": [1, 2]}, cv=2).fit(X, y)
    assert search.best_params_["max_depth"] in (1, 2)


def test_bad_input_is_refused_with_what_to_do() -> None:
    with pytest.raises(NotFittedError):
        ID3Classifier().predict(X)
    with pytest.raises(ValueError, match="criterion"):
        ID3Classifier(criterion="luck").fit(X, y)
    with pytest.raises(ValueError, match="column 0 has missing values"):
        ID3Classifier().fit(np.array([[None], ["a"]], dtype=object), [0, 1])
    with pytest.raises(TypeError, match=r"column 0 mixes values.*all text"):
        ID3Classifier().fit(np.array([[1], ["a"]], dtype=object), [0, 1])
    with pytest.raises(ValueError, match="NaN"):
        ID3Classifier().fit([[np.nan], [1.0]], [0, 1])
    with pytest.raises(ValueError, match="expecting 4 features"):
        ID3Classifier().fit(X.to_numpy(), y).predict(X.to_numpy()[:, :2])
