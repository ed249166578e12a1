import lightgbm
import numpy as np
import pandas as pd
import pytest
from sklearn.base import is_classifier
from sklearn.datasets import load_diabetes, load_wine, make_classification, make_regression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.testing import AWKWARD
from supervised_learning.lightgbm import LGBMClassifier, LGBMRegressor, _sample_one_side

SAMPLED = {"check_sample_weight_equivalence_on_dense_data": "the draw of rows is another one"}
ROUNDED = {
    "check_sample_weight_equivalence_on_dense_data": "equal up to the rounding of float32 only"
}


def not_equivalent(estimator) -> dict[str, str]:
    if estimator.data_sample_strategy == "goss":
        return SAMPLED
    return ROUNDED if is_classifier(estimator) else {}


@parametrize_with_checks(
    [
        LGBMClassifier(n_estimators=5, min_child_samples=1),
        LGBMClassifier(n_estimators=5, min_child_samples=1, num_leaves=4, max_depth=2),
        LGBMRegressor(n_estimators=5, min_child_samples=1),
        LGBMRegressor(
            n_estimators=10, min_child_samples=1, data_sample_strategy="goss", learning_rate=0.3
        ),
    ],
    expected_failed_checks=not_equivalent,
)
def test_contract(estimator, check):
    check(estimator)


def numbers(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of few distinct values: every library makes the same bins of them."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 30, (3000, 5)).astype(float)
    return X, np.sin(X[:, 0] / 5) + X[:, 1] * X[:, 2] / 300 + 0.3 * rng.normal(size=3000)


@pytest.mark.parametrize(
    "options",
    [{}, {"num_leaves": 8, "reg_lambda": 3.0, "min_child_samples": 50}, {"max_depth": 3}],
    ids=["default", "regularized", "shallow"],
)
def test_the_same_bins_get_the_references_values(options: dict) -> None:
    X, y = numbers()
    ours = LGBMRegressor(n_estimators=20, **options).fit(X, y)
    theirs = lightgbm.LGBMRegressor(n_estimators=20, verbose=-1, n_jobs=1, **options).fit(X, y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_same_bins_get_the_references_probabilities(n_classes: int) -> None:
    X, y = numbers()
    classes = np.digitize(y, np.quantile(y, np.arange(1, n_classes) / n_classes))
    # The reference guesses the rows of a bin from its hessian; so leave only the hessian to count.
    options = {"n_estimators": 10, "min_child_samples": 1, "min_child_weight": 5.0}
    ours = LGBMClassifier(**options).fit(X, classes)
    theirs = lightgbm.LGBMClassifier(verbose=-1, n_jobs=1, **options).fit(X, classes)
    apart = np.abs(ours.predict_proba(X) - theirs.predict_proba(X)).max(axis=1)
    assert np.quantile(apart, 0.9) < 1e-4
    assert (ours.predict(X) == theirs.predict(X)).mean() > 0.99


def test_missing_values_take_the_references_side() -> None:
    X, y = numbers()
    y = y + (X[:, 3] > 20)
    X[X[:, 3] > 20, 0] = np.nan
    ours = LGBMRegressor(n_estimators=20).fit(X, y)
    theirs = lightgbm.LGBMRegressor(n_estimators=20, verbose=-1, n_jobs=1).fit(X, y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-5)


def categories(k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    effect = rng.normal(size=k)
    c = rng.integers(0, k, 6000)
    X = np.column_stack([c, rng.integers(0, 20, (6000, 2))]).astype(float)
    return X, effect[c] + X[:, 1] / 20 + 0.5 * rng.normal(size=6000)


@pytest.mark.parametrize("k", [3, 20, 100], ids="{} categories".format)
def test_categories_get_the_references_values(k: int) -> None:
    X, y = categories(k)
    ours = LGBMRegressor(n_estimators=20, categorical_feature=[0]).fit(X, y)
    theirs = lightgbm.LGBMRegressor(n_estimators=20, verbose=-1, n_jobs=1)
    theirs.fit(X, y, categorical_feature=[0])
    assert abs(ours.score(X, y) - theirs.score(X, y)) < 0.003
    assert np.corrcoef(ours.predict(X), theirs.predict(X))[0, 1] > 0.995


def test_categories_need_fewer_splits_than_their_numbers() -> None:
    X, y = categories(60)
    train, test, y_train, y_test = train_test_split(X, y, random_state=0)
    options = {"n_estimators": 20, "num_leaves": 8}
    known = LGBMRegressor(categorical_feature=[0], **options).fit(train, y_train)
    plain = LGBMRegressor(**options).fit(train, y_train)
    assert known.score(test, y_test) > plain.score(test, y_test) + 0.1


def test_a_frames_categories_are_found_by_their_names() -> None:
    X, y = categories(20)
    names = np.array([f"shop {chr(97 + i)}" for i in range(20)])
    frame = pd.DataFrame(X, columns=["shop", "a", "b"])
    frame["shop"] = pd.Categorical(names[X[:, 0].astype(int)])
    ours = LGBMRegressor(n_estimators=10).fit(frame, y)
    coded = LGBMRegressor(n_estimators=10, categorical_feature=["shop"]).fit(
        frame.assign(shop=X[:, 0]), y
    )
    np.testing.assert_allclose(ours.predict(frame), coded.predict(frame.assign(shop=X[:, 0])))
    part = frame[frame["shop"].isin(["shop c", "shop q"])].copy()
    part["shop"] = part["shop"].cat.remove_unused_categories()  # other codes, the same names
    np.testing.assert_array_equal(ours.predict(part), ours.predict(frame.loc[part.index]))


def test_a_category_never_seen_is_a_missing_one() -> None:
    X, y = categories(20)
    model = LGBMRegressor(n_estimators=10, categorical_feature=[0]).fit(X, y)
    unseen, missing = X[:50].copy(), X[:50].copy()
    unseen[:, 0], missing[:, 0] = 777.5, np.nan
    np.testing.assert_array_equal(model.predict(unseen), model.predict(missing))


@pytest.mark.parametrize("leaves", [31, 200], ids=["64 leaves or fewer", "more"])
def test_prediction_finds_the_leaves_that_growth_found(leaves: int) -> None:
    X, y = categories(100)
    options = {"n_estimators": 1, "learning_rate": 1.0, "num_leaves": leaves, "cat_l2": 0.0}
    model = LGBMRegressor(categorical_feature=[0], **options).fit(X, y)
    p = model.predict(X)
    assert len(np.unique(p)) <= leaves
    for value in np.unique(p):  # a leaf of a first tree holds the mean of its rows
        assert y[p == value].mean() == pytest.approx(value, abs=1e-4)


def test_goss_keeps_large_gradients_and_weighs_up_the_others() -> None:
    rng = np.random.default_rng(0)
    g = rng.standard_cauchy((1, 10_000)).astype(np.float32)
    h = np.ones_like(g)
    before = g.copy()
    rows = _sample_one_side(g, h, 0.2, 0.1, rng)
    assert len(rows) == 3000
    assert (np.diff(rows.astype(int)) > 0).all()
    largest = np.argsort(-np.abs(before[0]))[:2000]
    assert np.isin(largest, rows).all()
    np.testing.assert_array_equal(g[0, largest], before[0, largest])
    assert h[0, rows].sum() == pytest.approx(10_000)


def test_goss_estimates_the_sum_without_bias() -> None:
    true = np.abs(np.random.default_rng(0).normal(size=500)).astype(np.float32)
    sums = []
    for seed in range(400):
        g, h = true[None].copy(), np.ones((1, 500), np.float32)
        rows = _sample_one_side(g, h, 0.2, 0.1, np.random.default_rng(seed))
        sums.append(g[0, rows].sum())
    error = np.std(sums) / np.sqrt(len(sums))
    assert abs(np.mean(sums) - true.sum()) < 4 * error


@pytest.mark.parametrize(
    "options",
    [{"data_sample_strategy": "goss"}, {"subsample": 0.5, "subsample_freq": 1}],
    ids=["goss", "bagging"],
)
def test_samples_of_rows_learn_as_well_as_the_references(options: dict) -> None:
    X, y = make_regression(3000, 8, n_informative=6, noise=20.0, random_state=0)
    train, test, y_train, y_test = train_test_split(X, y, random_state=0)
    ours, theirs = [], []
    for seed in range(3):
        kind = {"random_state": seed, "n_estimators": 60, **options}
        ours.append(LGBMRegressor(**kind).fit(train, y_train).score(test, y_test))
        reference = lightgbm.LGBMRegressor(verbose=-1, n_jobs=1, **kind).fit(train, y_train)
        theirs.append(reference.score(test, y_test))
    assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=0.01)
    assert np.ptp(ours) > 0


def test_a_sample_is_the_same_for_the_same_random_state() -> None:
    X, y = load_diabetes(return_X_y=True)
    options = {"boosting_type": "goss", "n_estimators": 20, "learning_rate": 0.2}
    first, again, other = (
        LGBMRegressor(random_state=seed, **options).fit(X, y).predict(X) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_awkward_inputs_give_finite_values_of_the_right_size() -> None:
    for name, make in AWKWARD.items():
        if name == "one row":
            continue
        X = make(np.random.default_rng(0))
        y = np.arange(len(X)) % 3
        p = LGBMClassifier(n_estimators=3, min_child_samples=2).fit(X, y).predict_proba(X)
        np.testing.assert_allclose(p.sum(axis=1), 1.0, err_msg=name)
        q = LGBMRegressor(n_estimators=3, min_child_samples=2).fit(X, y).predict(X)
        assert ((q >= 0) & (q <= 2)).all(), name


def test_weight_is_repetition() -> None:
    X, y = load_diabetes(return_X_y=True)
    weight = np.arange(len(y)) % 3
    options = {"n_estimators": 10, "min_child_samples": 1}
    weighted = LGBMRegressor(**options).fit(X, y, sample_weight=weight)
    repeated = LGBMRegressor(**options).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-5)


def test_importance_is_with_the_columns_that_matter() -> None:
    X, y = make_classification(
        1000, 6, n_informative=2, n_redundant=0, shuffle=False, random_state=0
    )
    split = LGBMClassifier(n_estimators=10).fit(X, y)
    gain = LGBMClassifier(n_estimators=10, importance_type="gain").fit(X, y)
    assert split.feature_importances_.sum() <= 10 * 30
    assert gain.feature_importances_[:2].sum() > 0.8 * gain.feature_importances_.sum()


def test_frames_pipelines_and_searches_take_it() -> None:
    X, y = load_wine(return_X_y=True)
    frame = pd.DataFrame(X, columns=[f"c{i}" for i in range(X.shape[1])])
    scale = StandardScaler().set_output(transform="pandas")
    search = GridSearchCV(
        make_pipeline(scale, LGBMClassifier(n_estimators=5)),
        {"lgbmclassifier__num_leaves": [2, 8]},
        cv=2,
    ).fit(frame, y)
    assert search.score(frame, y) > 0.9
    assert search.best_estimator_[-1].n_classes_ == 3


@pytest.mark.parametrize(
    "X, options, message",
    [
        ([[1.0], [np.inf]], {}, "infinity; boosting takes finite numbers and NaN"),
        ([["a"], ["b"]], {}, "could not convert"),
        ([[1.0], [2.0]], {"categorical_feature": [3]}, "names 3, which is no column.*0 to 0"),
        ([[1.0], [2.0]], {"categorical_feature": ["shop"]}, "names 'shop', which is no column"),
        (
            [[1.0], [2.0]],
            {"data_sample_strategy": "goss", "top_rate": 0.9, "other_rate": 0.3},
            "sum is at most 1",
        ),
        ([[1.0], [2.0]], {"num_leaves": 1}, "num_leaves"),
        ([[1.0], [2.0]], {"n_jobs": 0}, "n_jobs=0"),
    ],
)
def test_bad_input_is_refused(X, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LGBMRegressor(**options).fit(X, [0.0, 1.0])
