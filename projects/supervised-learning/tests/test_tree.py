import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import tree as reference
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork import plots
from groundwork.data import tables
from groundwork.testing import AWKWARD, parity
from supervised_learning.tree import DecisionTreeClassifier, DecisionTreeRegressor
from supervised_learning.tree.columns import Columns
from supervised_learning.tree.criteria import impurity, trace_splits
from supervised_learning.tree.drawing import as_text, draw, outline

CLASSES = ("iris", "wine", "breast_cancer", "digits")
NUMBERS = ("diabetes", "friedman1")
PARAMETERS = [
    {},
    {"max_depth": 3},
    {"min_samples_split": 0.1, "min_samples_leaf": 4},
    {"min_weight_fraction_leaf": 0.05},
    {"max_features": 2},
    {"min_impurity_decrease": 0.02},
]


@parametrize_with_checks(
    [
        DecisionTreeClassifier(),
        DecisionTreeClassifier(criterion="entropy", max_features=1),
        DecisionTreeRegressor(),
        DecisionTreeRegressor(max_leaf_nodes=6, ccp_alpha=0.01),
    ]
)
def test_contract(estimator, check):
    check(estimator)


def both(name: str, **parameters):
    """Our tree and the reference's for a table, set alike."""
    kind = "DecisionTreeRegressor" if name in NUMBERS else "DecisionTreeClassifier"
    parameters.setdefault("random_state", 0)
    ours = DecisionTreeRegressor if name in NUMBERS else DecisionTreeClassifier
    return ours(**parameters), getattr(reference, kind)(**parameters)


def nodes(estimator) -> dict[str, NDArray]:
    """What a fitted tree consists of."""
    tree = estimator.tree_
    value = tree.value.reshape(tree.node_count, -1)
    arrays = {
        "feature": tree.feature,
        "threshold": tree.threshold,
        "left": tree.children_left,
        "right": tree.children_right,
        "rows": tree.n_node_samples,
        "weight": tree.weighted_n_node_samples,
        "value": value,
    }
    return {key: np.asarray(array, dtype=float) for key, array in arrays.items()}


# The reference's own trees


@pytest.mark.parametrize("parameters", PARAMETERS, ids=str)
@pytest.mark.parametrize("table", CLASSES + NUMBERS)
def test_trees_are_the_references_node_by_node(table: str, parameters: dict) -> None:
    X, y = tables.matrix(table)
    y = np.round(y).astype(y.dtype)  # so that sums are exact, and ties are ties
    ours, theirs = (model.fit(X, y) for model in both(table, **parameters))
    expected = nodes(theirs)
    for name, array in nodes(ours).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(
        ours.tree_.impurity, theirs.tree_.impurity, atol=1e-9 * max(1.0, y.var())
    )
    np.testing.assert_allclose(ours.feature_importances_, theirs.feature_importances_, atol=1e-9)


def test_awkward_matrices_give_the_references_predictions() -> None:
    def predictions(Tree):
        def fit(X):
            y = np.arange(len(X)) % 3
            weight = 1.0 + np.arange(len(X)) % 2
            model = Tree(random_state=0, min_samples_leaf=2).fit(X, y, sample_weight=weight)
            return model.predict_proba(X) if is_classifier(model) else model.predict(X)

        return fit

    for ours, theirs in (
        (DecisionTreeClassifier, reference.DecisionTreeClassifier),
        (DecisionTreeRegressor, reference.DecisionTreeRegressor),
    ):
        parity(predictions(ours), predictions(theirs), AWKWARD, examples=60)


def test_awkward_matrices_lose_as_many_bits_to_a_split_as_the_references() -> None:
    def bits(Tree):
        def fit(X):
            y = np.arange(len(X)) % 3
            weight = 0.1 + np.arange(len(X)) % 2
            model = Tree(criterion="entropy", max_depth=1).fit(X, y, sample_weight=weight)
            return model.tree_.impurity[1:] @ model.tree_.weighted_n_node_samples[1:]

        return fit

    ours, theirs = DecisionTreeClassifier, reference.DecisionTreeClassifier
    parity(bits(ours), bits(theirs), AWKWARD, examples=60)


@pytest.mark.parametrize("table", CLASSES)
def test_entropy_and_class_weights_predict_as_the_reference(table: str) -> None:
    X, y = tables.matrix(table)
    for parameters in ({"criterion": "log_loss"}, {"class_weight": "balanced", "max_depth": 4}):
        ours, theirs = both(table, **parameters)
        scores = [model.fit(X[::2], y[::2]).score(X[1::2], y[1::2]) for model in (ours, theirs)]
        assert abs(scores[0] - scores[1]) <= 0.01


@pytest.mark.parametrize("table", ["iris", "breast_cancer", "diabetes"])
def test_the_pruning_path_and_pruned_trees_are_the_references(table: str) -> None:
    X, y = tables.matrix(table)
    ours, theirs = both(table, max_depth=6)
    path, expected = (model.cost_complexity_pruning_path(X, y) for model in (ours, theirs))
    alphas, impurities = expected.ccp_alphas, expected.impurities
    # The reference may list an alpha twice where rounding splits a tie.
    at = np.searchsorted(path.ccp_alphas, alphas * (1 + 1e-9) + 1e-12, side="right") - 1
    np.testing.assert_allclose(path.ccp_alphas[at], alphas, rtol=1e-6, atol=1e-9)
    assert path.impurities[-1] == pytest.approx(impurities[-1])
    for alpha in (alphas[:-1] + alphas[1:])[2::4] / 2:
        pruned, reference_pruned = both(table, max_depth=6, ccp_alpha=alpha)
        assert pruned.fit(X, y).get_n_leaves() == reference_pruned.fit(X, y).get_n_leaves()
        np.testing.assert_allclose(pruned.predict(X), reference_pruned.predict(X), rtol=1e-9)


@pytest.mark.parametrize("leaves", [2, 5, 9, 30])
@pytest.mark.parametrize("table", ["digits", "diabetes"])
def test_best_first_growth_gains_what_the_references_does(table: str, leaves: int) -> None:
    X, y = tables.matrix(table)
    ours, theirs = (model.fit(X, y) for model in both(table, max_leaf_nodes=leaves))
    assert ours.get_n_leaves() == theirs.get_n_leaves() == leaves
    left = []
    for tree in (ours.tree_, theirs.tree_):
        at = tree.children_left == -1
        left.append(tree.impurity[at] @ tree.weighted_n_node_samples[at])
    assert left[0] == pytest.approx(left[1])


# What a split is


@given(st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_first_split_gains_most_of_all_that_can_be_tried(data: st.DataObject) -> None:
    n = data.draw(st.integers(3, 25))
    whole = st.integers(-4, 4)
    X = np.array(data.draw(st.lists(st.tuples(whole, whole), min_size=n, max_size=n)), float)
    y = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    criterion = data.draw(st.sampled_from(["gini", "entropy", "squared_error"]))
    numbers = criterion == "squared_error"
    Tree = DecisionTreeRegressor if numbers else DecisionTreeClassifier
    model = Tree(criterion=criterion, max_depth=1).fit(X, y)
    gains = [split["gain"] for column in X.T for split in trace_splits(column, y, criterion)]
    assert model.tree_.impurity[0] == pytest.approx(impurity(y, criterion), abs=1e-12)
    if model.get_n_leaves() == 2:
        assert model.tree_.gains()[0] == pytest.approx(max(gains), abs=1e-9)
    else:
        assert not gains or impurity(y, criterion) == pytest.approx(0, abs=1e-12)


@given(st.integers(0, 10_000), st.sampled_from([1, 3]))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_whole_weights_are_repetitions(seed: int, max_features: int) -> None:
    rng = np.random.default_rng(seed)
    X, y = rng.integers(0, 6, (40, 3)).astype(float), rng.integers(0, 3, 40)
    weight = rng.integers(0, 4, 40)
    for model in (
        DecisionTreeClassifier(random_state=0, max_features=max_features),
        DecisionTreeClassifier(criterion="entropy", random_state=0, max_features=max_features),
        DecisionTreeRegressor(random_state=0, max_features=max_features),
    ):
        weighted = clone(model).fit(X, y, sample_weight=weight)
        repeated = clone(model).fit(X.repeat(weight, axis=0), y.repeat(weight))
        np.testing.assert_allclose(weighted.predict(X), repeated.predict(X))
        np.testing.assert_array_equal(weighted.tree_.threshold, repeated.tree_.threshold)


@pytest.mark.parametrize("criterion", ["gini", "entropy"])
def test_weights_that_are_not_whole_scale_freely(criterion: str) -> None:
    X, y = tables.matrix("wine")
    weight = np.random.default_rng(0).random(len(y))
    trees = [
        DecisionTreeClassifier(criterion=criterion, random_state=0)
        .fit(X, y, sample_weight=weight * scale)
        .tree_
        for scale in (1.0, 1024.0, 2.0**-40)
    ]
    for tree in trees[1:]:
        np.testing.assert_array_equal(tree.threshold, trees[0].threshold)


@pytest.mark.parametrize("n", [5, 60, 3000])
def test_columns_are_sorted_and_ranked(n: int) -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=n) * 1e3, rng.integers(-3, 3, n), -rng.random(n)])
    X[0] = [np.finfo(np.float32).max, -0.0, np.finfo(np.float32).tiny]
    columns = Columns.of(X)
    np.testing.assert_array_equal(columns.lists.values, np.sort(columns.values, axis=1))
    for c in range(3):
        np.testing.assert_array_equal(
            columns.values[c][columns.lists.rows[c]], columns.lists.values[c]
        )
        ranks = np.unique(columns.values[c], return_inverse=True)[1]
        np.testing.assert_array_equal(columns.ranks[c], ranks)


def test_values_far_from_zero_lose_no_digits() -> None:
    X, y = tables.matrix("friedman1")
    near = DecisionTreeRegressor(max_depth=4, random_state=0).fit(X, y)
    far = DecisionTreeRegressor(max_depth=4, random_state=0).fit(X, y + 2.0**33)
    np.testing.assert_array_equal(near.tree_.feature, far.tree_.feature)
    np.testing.assert_allclose(far.predict(X) - 2.0**33, near.predict(X), atol=1e-5)


def test_a_checkerboard_is_learned_though_no_first_split_gains() -> None:
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
    y = X.sum(axis=1) == 1
    for model in (DecisionTreeClassifier(), DecisionTreeRegressor()):
        assert (model.fit(X, 1e6 * y).predict(X) == 1e6 * y).all()


def test_a_tree_walks_rows_that_are_not_in_whole_groups() -> None:
    X, y = tables.matrix("iris")
    model = DecisionTreeClassifier(random_state=0).fit(X, y)
    one_by_one = [model.apply(row[np.newaxis])[0] for row in X]
    np.testing.assert_array_equal(model.apply(X), one_by_one)
    assert model.tree_.is_leaf[one_by_one].all()
    assert len(model.apply(X[:13])) == 13


# Drawing


def test_the_text_of_a_tree_names_columns_thresholds_and_classes() -> None:
    bunch = tables.frame("iris")
    model = DecisionTreeClassifier(max_depth=2, random_state=0).fit(*bunch)
    text = as_text(outline(model, class_names=["setosa", "versicolor", "virginica"]))
    assert text.count("\n") + 1 == model.tree_.node_count
    column = bunch[0].columns[model.tree_.feature[0]]
    assert f"{column} ≤ {model.tree_.threshold[0]:.4g}" in text
    assert "setosa" in text
    assert "versicolor" in text


def test_a_drawing_has_a_box_for_each_node_and_none_below_the_depth_asked_for() -> None:
    X, y = tables.matrix("diabetes")
    model = DecisionTreeRegressor(max_depth=4, random_state=0).fit(X, y)
    _, axes = plots.figure()
    draw(outline(model), axes)
    assert len(axes.texts) == 2 * model.tree_.node_count - 1  # a box each, a word on each way
    _, axes = plots.figure()
    draw(outline(model, max_depth=1), axes)
    assert [text.get_text() for text in axes.texts if text.get_text() in ("yes", "no")] == [
        "yes",
        "no",
    ]


def test_an_outline_asks_for_a_name_for_each_column() -> None:
    model = DecisionTreeRegressor(max_depth=1).fit([[0.0, 1.0], [1.0, 0.0]], [0, 1])
    with pytest.raises(ValueError, match="feature_names: 1 names for 2"):
        outline(model, feature_names=["only"])


# The contract's edges


@pytest.mark.parametrize("Tree", [DecisionTreeClassifier, DecisionTreeRegressor])
@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"max_depth": 0}, "max_depth"),
        ({"criterion": "guess"}, "criterion"),
        ({"min_samples_split": 1}, "min_samples_split"),
        ({"min_samples_leaf": 0}, "min_samples_leaf"),
        ({"max_features": 1.5}, "max_features"),
        ({"ccp_alpha": -1.0}, "ccp_alpha"),
        ({"max_leaf_nodes": 1}, "max_leaf_nodes"),
    ],
)
def test_parameters_out_of_range_are_named(Tree, parameters: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Tree(**parameters).fit([[0.0], [1.0]], [0, 1])


def test_bad_tables_are_refused() -> None:
    model = DecisionTreeClassifier()
    with pytest.raises(NotFittedError):
        model.predict([[0.0]])
    with pytest.raises(ValueError, match="NaN"):
        model.fit([[np.nan], [1.0]], [0, 1])
    with pytest.raises(ValueError, match="could not convert string"):
        model.fit([["red"], ["blue"]], [0, 1])
    with pytest.raises(ValueError, match="inconsistent numbers"):
        model.fit([[0.0], [1.0]], [0, 1, 1])
    with pytest.raises(ValueError, match=r"(?i)zero"):
        model.fit([[0.0], [1.0]], [0, 1], sample_weight=[0, 0])
    with pytest.raises(ValueError, match="Unknown label type"):
        model.fit([[0.0], [1.0]], [0.5, 1.5])
    model.fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(ValueError, match="expecting 1 features"):
        model.predict([[0.0, 1.0]])


def test_one_class_and_constant_columns_make_one_leaf() -> None:
    model = DecisionTreeClassifier().fit([[0.0], [1.0]], ["only", "only"])
    assert model.get_depth() == 0
    assert model.predict([[5.0]]) == ["only"]
    model = DecisionTreeClassifier().fit([[2.0], [2.0], [2.0]], [0, 1, 1])
    assert model.get_n_leaves() == 1
    np.testing.assert_allclose(model.predict_proba([[2.0]]), [[1 / 3, 2 / 3]])


def test_a_frame_a_grid_and_a_pickle_work() -> None:
    X, y = tables.frame("wine")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=0)),
        {"decisiontreeclassifier__max_depth": [1, 3]},
        cv=3,
    ).fit(X, y)
    assert search.best_params_ == {"decisiontreeclassifier__max_depth": 3}
    model = DecisionTreeClassifier(random_state=0).fit(X, y)
    assert list(model.feature_names_in_) == list(X.columns)
    again = pickle.loads(pickle.dumps(model))
    pd.testing.assert_frame_equal(
        pd.DataFrame(again.predict_proba(X)), pd.DataFrame(model.predict_proba(X))
    )
