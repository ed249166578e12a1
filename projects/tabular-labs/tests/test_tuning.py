import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from tabular_labs import generated
from tabular_labs.schema import Schema
from tabular_labs.tuning import TunedBooster

KNOWN = generated.customers(1600, seed=0)
SCHEMA = Schema.of(KNOWN.X)
X = SCHEMA.conform(KNOWN.X)
TRAIN, TEST = np.arange(1000), np.arange(1000, 1600)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "catboost"])
def test_each_library_learns_the_structure_from_numbers_and_categories(library):
    model = TunedBooster(SCHEMA, library, trials=2, folds=2, rounds=80).fit(
        X.iloc[TRAIN], KNOWN.y[TRAIN]
    )
    said = model.predict_proba(X.iloc[TEST])
    np.testing.assert_allclose(said.sum(1), 1, atol=1e-6)
    reached = roc_auc_score(KNOWN.y[TEST], said[:, 1])
    best = roc_auc_score(KNOWN.y[TEST], KNOWN.probability[TEST])
    assert best - reached < 0.06
    assert sum(model.importances_.values()) == pytest.approx(1)
    assert next(iter(model.importances_)) in ("contract", "months", "line", "price")
    unseen = X.iloc[TEST].assign(contract="for life")
    assert np.isfinite(model.predict_proba(unseen)).all()


def test_the_first_trial_is_the_librarys_own_setting_and_the_best_one_is_kept():
    model = TunedBooster(SCHEMA, trials=5, folds=2, rounds=60)
    model.fit(X.iloc[TRAIN], KNOWN.y[TRAIN])
    assert len(model.losses_) == 5
    assert model.loss_ == min(model.losses_)
    one = clone(model).set_params(trials=1).fit(X.iloc[TRAIN], KNOWN.y[TRAIN])
    assert one.losses_[0] == model.losses_[0]
    assert one.settings_["num_leaves"] == 31


def test_the_seed_decides_the_model():
    said = [
        TunedBooster(SCHEMA, trials=2, folds=2, rounds=40, seed=seed)
        .fit(X.iloc[TRAIN], KNOWN.y[TRAIN])
        .predict_proba(X.iloc[TEST])
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(said[0], said[1])
    assert np.abs(said[0] - said[2]).max() > 1e-3


def test_a_number_is_predicted_where_it_is_asked_for():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=600), "kind": rng.choice(["a", "b"], 600)})
    schema = Schema.of(frame)
    y = 3 * frame["x"].to_numpy() + 2 * (frame["kind"] == "a").to_numpy()
    model = TunedBooster(schema, regression=True, trials=2, folds=2, rounds=200)
    said = model.fit(frame.iloc[:400], y[:400]).predict(frame.iloc[400:])
    assert np.sqrt(np.mean((said - y[400:]) ** 2)) < 0.8


def test_groups_are_never_divided_between_folds(monkeypatch):
    model = TunedBooster(SCHEMA, trials=1, folds=3, rounds=20)
    groups = np.repeat(np.arange(100), 10)
    for train, test in model._splits(X.iloc[TRAIN], KNOWN.y[TRAIN], groups):
        assert not set(groups[train]) & set(groups[test])


def test_an_unknown_library_is_refused_by_name():
    with pytest.raises(ValueError, match="'sklearn'"):
        TunedBooster(SCHEMA, "sklearn").fit(X, KNOWN.y)
