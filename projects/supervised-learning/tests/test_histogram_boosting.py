import numpy as np
import pandas as pd
import pytest
from sklearn import ensemble
from sklearn.base import is_classifier
from sklearn.datasets import load_diabetes, load_wine, make_classification
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundwork.testing import AWKWARD, parity
from supervised_learning.histogram.binning import find_bins
from supervised_learning.histogram.histograms import (
    build_histogram,
    empty_histograms,
    subtract_histogram,
)
from supervised_learning.histogram.losses import LogLoss, Softmax, SquaredError
from supervised_learning.histogram_boosting import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)

# Derivatives are float32: w times a rounded one is not w rounded ones. The reference fails it, too.
NOT_EQUIVALENT = {
    "check_sample_weight_equivalence_on_dense_data": "equal up to the rounding of float32 only"
}


@parametrize_with_checks(
    [
        HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=1),
        HistGradientBoostingClassifier(
            max_iter=5, min_samples_leaf=5, early_stopping=True, validation_fraction=0.3
        ),
        HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=1, max_leaf_nodes=None),
    ],
    expected_failed_checks=lambda estimator: NOT_EQUIVALENT if is_classifier(estimator) else {},
)
def test_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("options", [{}, {"max_leaf_nodes": None, "max_depth": 3}])
def test_tables_get_the_references_values(options: dict) -> None:
    X, y = load_diabetes(return_X_y=True)
    options = {"max_iter": 20, **options}
    ours = HistGradientBoostingRegressor(**options).fit(X, y)
    theirs = ensemble.HistGradientBoostingRegressor(**options).fit(X, y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_classes_get_the_references_probabilities(n_classes: int) -> None:
    X, y = make_classification(
        3000, 8, n_informative=6, n_classes=n_classes, flip_y=0.2, random_state=0
    )
    ours = HistGradientBoostingClassifier(max_iter=10).fit(X, y)
    theirs = ensemble.HistGradientBoostingClassifier(max_iter=10).fit(X, y)
    apart = np.abs(ours.predict_proba(X) - theirs.predict_proba(X)).max(axis=1)
    assert np.quantile(apart, 0.9) < 1e-5  # a tie between two cuts may be broken the other way
    assert (ours.predict(X) == theirs.predict(X)).mean() > 0.99


def test_missing_values_take_the_references_side() -> None:
    X, y = load_diabetes(return_X_y=True)
    X = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
    ours = HistGradientBoostingRegressor(max_iter=20).fit(X, y)
    theirs = ensemble.HistGradientBoostingRegressor(max_iter=20).fit(X, y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-5)


def test_awkward_inputs_give_the_references_values() -> None:
    def values(model, X):
        y = np.arange(len(X)) % 5 + np.asarray(X, dtype=float)[:, 0].clip(-3, 3)
        return model.fit(X, y).predict(X)

    parity(
        lambda X: values(HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=2), X),
        lambda X: values(ensemble.HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=2), X),
        {name: make for name, make in AWKWARD.items() if name != "one row"},
        rtol=1e-5,
        examples=1,
    )


def test_weight_is_repetition() -> None:
    X, y = load_diabetes(return_X_y=True)
    weight = np.arange(len(y)) % 3
    options = {"max_iter": 10, "min_samples_leaf": 1}
    weighted = HistGradientBoostingRegressor(**options).fit(X, y, sample_weight=weight)
    repeated = HistGradientBoostingRegressor(**options).fit(
        np.repeat(X, weight, axis=0), np.repeat(y, weight)
    )
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-5)


def test_balanced_weights_lift_the_rare_class() -> None:
    X, y = make_classification(1000, 5, weights=[0.95], flip_y=0.1, random_state=0)
    plain = HistGradientBoostingClassifier(max_iter=10).fit(X, y)
    even = HistGradientBoostingClassifier(max_iter=10, class_weight="balanced").fit(X, y)
    assert even.predict(X).mean() > 2 * plain.predict(X).mean()


def test_early_stopping_ends_once_the_score_stalls() -> None:
    X, y = make_classification(500, 10, flip_y=0.3, random_state=0)
    model = HistGradientBoostingClassifier(
        max_iter=200, early_stopping=True, n_iter_no_change=3, random_state=0
    ).fit(X, y)
    assert model.do_early_stopping_
    assert model.n_iter_ < 100
    assert len(model.validation_score_) == len(model.train_score_) == model.n_iter_ + 1
    assert max(model.validation_score_[-3:]) <= model.validation_score_[-4] + model.tol
    on_train = HistGradientBoostingClassifier(
        max_iter=7, early_stopping=True, validation_fraction=None
    ).fit(X, y)
    assert (np.diff(on_train.train_score_) > 0).all()
    assert on_train.validation_score_.size == 0


@pytest.mark.parametrize("leaves", [31, None], ids=["64 leaves or fewer", "more"])
def test_prediction_finds_the_leaves_that_growth_found(leaves: int | None) -> None:
    X, y = make_classification(2000, 6, random_state=0)
    X[::7, 2] = np.nan
    model = HistGradientBoostingClassifier(
        max_iter=5,
        max_leaf_nodes=leaves,
        min_samples_leaf=1,
        early_stopping=True,
        validation_fraction=None,
    ).fit(X, y)
    loss = -np.log(model.predict_proba(X)[np.arange(len(y)), y]).mean()
    assert model.train_score_[-1] == pytest.approx(-loss, rel=1e-6)
    assert (len(model._scorer.nodes) > 5 * 127) == (leaves is None)


def test_a_constant_table_gives_the_mean() -> None:
    y = np.arange(50.0)
    model = HistGradientBoostingRegressor(max_iter=3).fit(np.ones((50, 2)), y)
    np.testing.assert_allclose(model.predict(np.zeros((2, 2))), y.mean())


def test_bins_hold_about_equal_weight() -> None:
    x = np.random.default_rng(0).normal(size=(5000, 1))
    bins = find_bins(x, 16)
    counts = np.bincount(bins.transform(x)[:, 0])
    assert len(counts) == 16
    assert np.ptp(counts) <= 2
    assert (bins.transform(np.array([[np.nan]])) == 16).all()


def test_a_sibling_is_a_difference() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    bins = find_bins(X, 8)
    codes = bins.transform(X)
    g, h = rng.normal(size=(2, 300)).astype(np.float32)
    rows = np.arange(300, dtype=np.uint32)
    whole, part, rest, other = empty_histograms(4, bins.offsets)
    for own, histogram in ((rows, whole), (rows[:100], part), (rows[100:], other)):
        build_histogram(codes, own, g, h, bins.offsets, histogram, 1)
    subtract_histogram(whole, part, bins.offsets, rest)
    assert (rest["count"] == other["count"]).all()
    np.testing.assert_allclose(rest["gradient"], other["gradient"], atol=1e-6)
    column = whole[bins.offsets[1] : bins.offsets[2]]["gradient"]
    np.testing.assert_allclose(column, np.bincount(codes[:, 1], g, len(column)), atol=1e-6)


@pytest.mark.parametrize("loss", [SquaredError(), LogLoss(), Softmax(3)], ids=["²", "log", "soft"])
def test_derivatives_are_those_of_the_loss(loss) -> None:
    rng = np.random.default_rng(0)
    n = 6
    y = rng.integers(0, max(loss.n_outputs, 2), n).astype(float)
    raw = rng.normal(size=(loss.n_outputs, n))
    gradients, hessians = np.empty((2, *raw.shape), np.float32)
    loss.derivatives(y, raw, None, gradients, hessians)
    step = 1e-4
    for k in range(loss.n_outputs):
        for i in range(n):
            losses = []
            for move in (-step, 0.0, step):
                moved = raw.copy()
                moved[k, i] += move
                losses.append(n * loss.mean(y, moved, None))
            assert gradients[k, i] == pytest.approx((losses[2] - losses[0]) / (2 * step), abs=1e-5)
            curvature = (losses[2] - 2 * losses[1] + losses[0]) / step**2
            assert hessians[k, i] == pytest.approx(curvature, abs=1e-4)


def test_frames_pipelines_and_searches_take_it() -> None:
    X, y = load_wine(return_X_y=True)
    frame = pd.DataFrame(X, columns=[f"c{i}" for i in range(X.shape[1])])
    pipeline = make_pipeline(
        StandardScaler().set_output(transform="pandas"),
        *[HistGradientBoostingClassifier(max_iter=5)],
    )
    search = GridSearchCV(
        pipeline, {"histgradientboostingclassifier__max_leaf_nodes": [2, 8]}, cv=2
    ).fit(frame, y)
    assert search.best_estimator_[-1].feature_names_in_[0] == "c0"
    assert search.score(frame, y) > 0.9


@pytest.mark.parametrize(
    "X, options, message",
    [
        ([[1.0], [np.inf]], {}, "infinity; boosting takes finite numbers and NaN"),
        ([["a"], ["b"]], {}, "could not convert"),
        ([[1.0], [2.0], [3.0]], {}, "inconsistent numbers of samples"),
        ([[1.0], [2.0]], {"learning_rate": 0.0}, "learning_rate"),
        ([[1.0], [2.0]], {"max_bins": 256}, "max_bins"),
        ([[1.0], [2.0]], {"max_leaf_nodes": 1}, "max_leaf_nodes"),
    ],
)
def test_bad_input_is_refused(X, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HistGradientBoostingRegressor(**options).fit(X, [0.0, 1.0])
