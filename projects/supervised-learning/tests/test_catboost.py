import pickle

import catboost
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
    make_friedman1,
)
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.testing import AWKWARD
from supervised_learning.catboost import CatBoostClassifier, CatBoostRegressor
from supervised_learning.oblivious_trees import Rules, grow
from supervised_learning.ordered_boosting import segments, threshold
from supervised_learning.target_statistics import (
    CategoryEncoder,
    greedy_statistics,
    ordered_statistics,
)

SETS = {
    "iris": load_iris,
    "wine": load_wine,
    "breast_cancer": load_breast_cancer,
    "digits": load_digits,
    "diabetes": load_diabetes,
    "friedman1": lambda return_X_y: make_friedman1(600, random_state=0),
}
NUMBERS = ("diabetes", "friedman1")
QUIET = {"bootstrap_type": "No", "random_strength": 0.0}


def load(name, rows=600):
    X, y = SETS[name](return_X_y=True)
    chosen = np.random.default_rng(0).permutation(len(y))[:rows]
    return X[chosen].astype(np.float64), y[chosen]


def both(name, **parameters):
    """Our estimator and the library's, set alike."""
    ours, theirs = (
        (CatBoostRegressor, catboost.CatBoostRegressor)
        if name in NUMBERS
        else (CatBoostClassifier, catboost.CatBoostClassifier)
    )
    return ours(**parameters), theirs(**parameters, **still())


def still():
    return {"verbose": 0, "allow_writing_files": False, "thread_count": 1}


def margins(model, X):
    if isinstance(model, catboost.CatBoost):
        return np.asarray(model.predict(X, prediction_type="RawFormulaVal"))
    if isinstance(model, CatBoostClassifier):
        return model.decision_function(X)
    return model.predict(X)


def made_categories(n, levels, seed=0):
    """A frame whose `who` has an effect on y for each level, and one column that has none."""
    rng = np.random.default_rng(seed)
    who = rng.integers(levels, size=n)
    effect = np.random.default_rng(99).normal(0, 1.5, levels)
    x = rng.standard_normal(n)
    y = (rng.random(n) < 1 / (1 + np.exp(-effect[who] - x))).astype(int)
    frame = pd.DataFrame(
        {"who": [f"w{i}" for i in who], "x": x, "noise": [f"n{i}" for i in rng.integers(9, size=n)]}
    )
    return frame, y


def expected_to_fail(estimator):
    """What scikit-learn's own boosters do not pass either."""
    if estimator.bootstrap_type == "No":
        return {}
    reason = "rows are drawn, and a repeated row is drawn twice"
    return {"check_sample_weight_equivalence_on_dense_data": reason}


@parametrize_with_checks(
    [
        CatBoostClassifier(iterations=20),
        CatBoostClassifier(iterations=20, **QUIET),
        CatBoostClassifier(iterations=20, boosting_type="Ordered"),
        CatBoostRegressor(iterations=50),
        CatBoostRegressor(iterations=20, **QUIET),
    ],
    expected_failed_checks=expected_to_fail,
)
def test_contract(estimator, check):
    check(estimator)


# The library's own predictions


@pytest.mark.parametrize("score", ["Cosine", "L2"])
@pytest.mark.parametrize("name", ["breast_cancer", "diabetes", "friedman1"])
def test_on_few_distinct_values_the_trees_are_the_librarys_own(name, score):
    X, y = load(name)
    X = np.round(20 * (X - X.min(axis=0)) / np.ptp(X, axis=0))
    parameters = {"iterations": 10, "depth": 3, "score_function": score, "learning_rate": 0.1}
    ours, theirs = both(name, **parameters, **QUIET)
    np.testing.assert_allclose(
        margins(ours.fit(X, y), X), margins(theirs.fit(X, y), X), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    "name, boosting_type",
    [*((name, "Plain") for name in SETS), ("wine", "Ordered"), ("friedman1", "Ordered")],
)
def test_scores_are_the_librarys(name, boosting_type):
    X, y = load(name, rows=400)
    gaps = []
    for seed in range(3):
        Xt, Xv, yt, yv = train_test_split(X, y, random_state=seed)
        ours, theirs = both(
            name, iterations=40, depth=3, learning_rate=0.15, boosting_type=boosting_type,
            random_state=seed,
        )  # fmt: skip
        gaps.append(theirs.fit(Xt, yt).score(Xv, yv) - ours.fit(Xt, yt).score(Xv, yv))
    assert np.mean(gaps) < (0.03 if name in NUMBERS else 0.015)  # R² is the noisier score


@pytest.mark.parametrize("n, iterations", [(100, 500), (3000, 1000), (3000, 30)])
@pytest.mark.parametrize("classes", [0, 2, 3])
def test_the_learning_rate_is_the_librarys(classes, n, iterations):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (n, 1)).astype(float)
    y = rng.integers(0, classes, n) if classes else rng.standard_normal(n)
    ours, theirs = both("iris" if classes else "diabetes", iterations=iterations, depth=1)
    expected = theirs.fit(X, y).get_all_params()["learning_rate"]
    ours = ours.fit(X, y)
    np.testing.assert_allclose(ours.learning_rate_, expected, rtol=3e-3)


def test_importances_are_the_librarys():
    X, y = load("friedman1")
    X = np.round(20 * X)
    ours, theirs = both("friedman1", iterations=20, depth=3, learning_rate=0.2, **QUIET)
    np.testing.assert_allclose(
        ours.fit(X, y).feature_importances_, theirs.fit(X, y).feature_importances_, atol=0.1
    )


@pytest.mark.parametrize("family", list(AWKWARD))
def test_awkward_tables_give_the_librarys_answer(family):
    X = AWKWARD[family](np.random.default_rng(0))
    y = np.random.default_rng(1).standard_normal(len(X))
    ours, theirs = both("diabetes", iterations=5, depth=2, learning_rate=0.3, **QUIET)
    got = ours.fit(X, y).predict(X)
    assert np.isfinite(got).all()
    if np.ptp(X, axis=0).any():
        expected = theirs.fit(np.asarray(X), y).predict(np.asarray(X))
        assert np.mean((got - y) ** 2) <= 1.05 * np.mean((expected - y) ** 2) + 1e-9


# Trees


def test_prediction_walks_by_the_answers():
    X, y = load("diabetes")
    model = CatBoostRegressor(iterations=5, depth=3, random_state=0).fit(X, y)
    raw = np.full(len(X), y.mean())
    for feature, threshold_, values in zip(
        model.split_features_, model.split_thresholds_, model.leaf_values_[:, 0], strict=True
    ):
        bits = X[:, feature].astype(np.float32) > threshold_
        raw += values[bits @ (1 << np.arange(3))]
    np.testing.assert_allclose(model.predict(X), raw, rtol=1e-6)


@given(l2=st.floats(0, 50), depth=st.integers(1, 4), seed=st.integers(0, 9))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_every_leaf_holds_the_shrunk_mean(l2, depth, seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((80, 3)), rng.standard_normal(80)
    model = CatBoostRegressor(
        iterations=1, learning_rate=1.0, l2_leaf_reg=l2, depth=depth, random_state=seed
    ).fit(X, y)
    rest, prediction = y - y.mean(), model.predict(X) - y.mean()
    for value in np.unique(prediction):
        inside = prediction == value
        np.testing.assert_allclose(value, rest[inside].sum() / (inside.sum() + l2), atol=1e-5)
    assert model.leaf_weights_.sum() == len(y)


def test_threads_do_not_change_the_trees():
    X, y = make_friedman1(3000, random_state=0)
    one, two = (
        CatBoostRegressor(iterations=10, thread_count=t, random_state=0).fit(X, y).predict(X)
        for t in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


def test_missing_values_lie_below_all_numbers():
    x = np.r_[np.zeros(50), np.ones(50), np.full(50, np.nan)][:, None]
    y = np.r_[np.zeros(50), np.ones(50), np.full(50, 5.0)]
    model = CatBoostRegressor(
        iterations=40, depth=2, learning_rate=0.5, l2_leaf_reg=0.0, **QUIET
    ).fit(x, y)
    np.testing.assert_allclose(model.predict([[0.0], [1.0], [np.nan]]), [0, 1, 5], atol=1e-3)
    unseen = CatBoostRegressor(iterations=5, random_state=0).fit(x[:100], y[:100])
    assert unseen.predict([[np.nan]]) == unseen.predict([[-9.0]])


# Ordered boosting


@given(n=st.integers(1, 5000))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_segments_cover_every_row_but_the_first_once_by_a_tail(n):
    parts = segments(n)
    seen = np.zeros(n, int)
    for _, body, end in parts:
        assert body <= end <= max(2 * body, 1)
        seen[body:end] += 1
    if n > 1:
        first = parts[0, 1]
        assert (seen[first:] == 1).all()
        assert (seen[:first] == 0).all()
        np.testing.assert_array_equal(parts[:, 0], np.r_[0, np.cumsum(parts[:-1, 2])])


@given(size=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=50), share=st.floats(0.05, 0.99))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_minimal_variance_sampling_keeps_the_share_that_it_is_told(size, share):
    size = np.array(size)
    kept = np.minimum(size / threshold(size, share), 1.0)
    np.testing.assert_allclose(kept.sum(), share * len(size), rtol=1e-3)


def slow_tree(codes, gradients, weights, segments, starts, l2, depth):
    """The cuts of a tree by the formulas, every sum taken anew."""
    leaf, chosen = np.zeros(codes.shape[1], int), []
    for level in range(depth):
        best = (-np.inf, 0, 0)
        for f, column in enumerate(codes):
            for cut in range(starts[f + 1] - starts[f]):
                child = leaf | (column > cut) << level
                fit = length = 0.0
                for start, body, end in segments:
                    tail = slice(body, end) if end > body else slice(0, body)
                    for g in gradients:
                        g, w = g[start : start + end], weights[start : start + end]
                        for v in np.unique(child[:body]):
                            mine = child[:body] == v
                            weight = w[:body][mine].sum()
                            if weight:
                                mean = g[:body][mine].sum() / (weight + l2)
                                other = child[tail] == v
                                fit += mean * g[tail][other].sum()
                                length += mean**2 * w[tail][other].sum()
                best = max(best, (fit / np.sqrt(max(length, 1e-100)), -f, -cut))
        chosen.append((-best[1], -best[2]))
        leaf |= (codes[chosen[-1][0]] > chosen[-1][1]) << level
    return chosen


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_sums_by_subtraction_choose_the_cuts_that_the_formulas_do(seed, ordered, n_outputs):
    rng = np.random.default_rng(seed)
    n, cuts = 400, np.array([3, 1, 5, 2])
    codes = np.array([rng.integers(0, k + 1, n) for k in cuts], np.uint8)
    parts = segments(n) if ordered else np.array([[0, n, n]])
    size = parts[:, 2].sum()
    g = rng.standard_normal((n_outputs, size)) + codes[2, np.arange(size) % n]
    weights = np.where(rng.random(size) < 0.7, rng.random(size) + 0.5, 0.0).astype(np.float32)
    g = (g * (weights > 0)).astype(np.float32)
    starts = np.cumsum([0, *cuts])
    noise = np.zeros((4, starts[-1]))
    got = grow(codes, g, weights, parts, starts, noise, Rules(0.0 if seed else 2.0, True, 2))
    g, weights = g.astype(float), weights.astype(float)
    expected = slow_tree(codes, g, weights, parts, starts, 0.0 if seed else 2.0, 4)
    assert list(zip(got.feature, got.cut, strict=True)) == expected


# Categories


def test_an_ordered_statistic_sees_only_earlier_rows():
    rng = np.random.default_rng(0)
    codes, y, order = rng.integers(4, size=60), rng.random(60), rng.permutation(60)
    weight = rng.random(60) + 0.5
    got = ordered_statistics(codes, 4, y, weight, order, 0.3)
    for place, row in enumerate(order):
        past = order[:place][codes[order[:place]] == codes[row]]
        expected = (weight[past] @ y[past] + 0.3) / (weight[past].sum() + 1)
        assert got[place] == pytest.approx(expected, rel=1e-6)


def test_a_greedy_statistic_leaks_the_target_and_an_ordered_one_does_not():
    rng = np.random.default_rng(0)
    n = 2000
    codes, y = np.arange(n) // 2, rng.integers(0, 2, n).astype(float)
    greedy = greedy_statistics(codes, n, y, np.ones(n), 0.5)[codes]
    order = rng.permutation(n)
    ordered = ordered_statistics(codes, n, y, np.ones(n), order, 0.5)
    assert np.corrcoef(greedy, y)[0, 1] > 0.6
    assert abs(np.corrcoef(ordered, y[order])[0, 1]) < 0.1


def test_a_new_row_gets_what_all_training_rows_say_and_an_unknown_one_the_prior():
    column = np.array(["a", "b", "a", None, np.nan, "c"], object)[:, None]
    y = np.array([[1.0, 0, 0, 1, 1, 0]])
    encoder = CategoryEncoder(column, y, np.ones(6), one_hot_max_size=2)
    got = encoder.of_new_rows(np.array(["a", None, "never"], object)[:, None])
    np.testing.assert_allclose(got[0], [(1 + 0.5) / 3, (2 + 0.5) / 3, 0.5])
    np.testing.assert_allclose(got[1], [2 / 6, 2 / 6, 0.0], rtol=1e-6)
    np.testing.assert_array_equal(encoder.source, [0, 0])


@pytest.mark.parametrize("boosting_type", ["Plain", "Ordered"])
def test_categories_are_learnt_as_well_as_by_the_library(boosting_type):
    X, y = made_categories(2000, 40)
    Xv, yv = made_categories(2000, 40, seed=1)
    parameters = {"iterations": 60, "depth": 4, "learning_rate": 0.1, "random_state": 0}
    parameters |= {"cat_features": ["who", "noise"], "boosting_type": boosting_type}
    ours = CatBoostClassifier(**parameters).fit(X, y)
    theirs = catboost.CatBoostClassifier(**parameters, **still()).fit(X, y)
    without = CatBoostClassifier(iterations=60, depth=4).fit(X[["x"]], y)
    assert ours.score(Xv, yv) > theirs.score(Xv, yv) - 0.01
    assert ours.score(Xv, yv) > without.score(Xv[["x"]], yv) + 0.05
    assert ours.feature_importances_.argmax() == 0
    assert ours.feature_importances_.sum() == pytest.approx(100)


def test_a_column_of_names_does_not_fool_the_model():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"name": [f"id{i}" for i in range(1000)], "x": rng.standard_normal(1000)})
    y = (frame["x"] + rng.standard_normal(1000) > 0).astype(int).to_numpy()
    new = pd.DataFrame({"name": [f"new{i}" for i in range(1000)], "x": rng.standard_normal(1000)})
    model = CatBoostClassifier(iterations=50, cat_features=["name"], random_state=0).fit(frame, y)
    assert ((new["x"] > 0).astype(int) == model.predict(new)).mean() > 0.85


@pytest.mark.parametrize("classes", [2, 3])
def test_categories_by_number_and_by_name_are_the_same_and_survive_a_pickle(classes):
    X, y = made_categories(400, 12)
    y = y if classes == 2 else np.digitize(X["x"] + y, [0.0, 1.0])
    X = X.where(np.random.default_rng(0).random(X.shape) > 0.1, other=np.nan)
    model = CatBoostClassifier(iterations=15, cat_features=["noise", "who"], random_state=0)
    named = clone(model).fit(X, y)
    numbered = clone(model).set_params(cat_features=[0, 2]).fit(X.to_numpy(object), y)
    expected = named.predict_proba(X)
    np.testing.assert_array_equal(numbered.predict_proba(X.to_numpy(object)), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(named)).predict_proba(X), expected)
    assert expected.shape == (400, classes)


def test_numbers_that_are_categories_work_for_regression():
    rng = np.random.default_rng(0)
    who = rng.integers(200, size=3000)
    effect = rng.normal(0, 3, 200)
    y = effect[who] + rng.standard_normal(3000)
    model = CatBoostRegressor(iterations=100, depth=4, cat_features=[0], random_state=0)
    model.fit(who[:2000, None], y[:2000])
    assert model.score(who[2000:, None], y[2000:]) > 0.7


# At home among other tools


def test_works_with_frames_pipelines_and_search():
    X, y = load("breast_cancer")
    frame = pd.DataFrame(X).add_prefix("c")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), CatBoostClassifier(iterations=10)),
        {"catboostclassifier__depth": [1, 3]},
        cv=3,
    ).fit(frame, np.where(y == 1, "yes", "no"))
    assert search.best_score_ > 0.9
    assert set(search.predict(frame)) == {"yes", "no"}
    assert CatBoostClassifier(iterations=2).fit(frame, y).feature_names_in_[0] == "c0"


# Bad input


@pytest.mark.parametrize(
    "parameters",
    [
        {"depth": 0},
        {"depth": 13},
        {"learning_rate": 0.0},
        {"l2_leaf_reg": -1.0},
        {"border_count": 255},
        {"bootstrap_type": "Poisson"},
        {"subsample": 0.0},
        {"permutation_count": 1},
        {"cat_features": [4]},
        {"cat_features": ["age"]},
    ],
    ids=str,
)
def test_parameters_out_of_range_are_named(parameters):
    X, y = load("iris")
    with pytest.raises(ValueError, match=next(iter(parameters))):
        CatBoostClassifier(**parameters).fit(X, y)


def test_bad_input_is_refused_in_words():
    X, y = load("breast_cancer")
    with pytest.raises(ValueError, match="one class"):
        CatBoostClassifier().fit(X, np.zeros(len(X), int))
    with pytest.raises(ValueError, match="infinity"):
        CatBoostClassifier().fit(np.where(X > 20, np.inf, X), y)
    with pytest.raises(ValueError, match="infinity"):
        CatBoostClassifier(cat_features=[0]).fit(np.where(X > 20, np.inf, X), y)
    with pytest.raises(ValueError, match="inconsistent"):
        CatBoostClassifier().fit(X, y[:-1])
    frame, target = made_categories(50, 3)
    with pytest.raises(ValueError, match="not in cat_features"):
        CatBoostClassifier(cat_features=["who"]).fit(frame, target)
    with pytest.raises(ValueError, match="too large for float32"):
        CatBoostRegressor().fit(X, y * 1e300)
    with pytest.raises(NotFittedError):
        CatBoostRegressor().predict(X)
