import numpy as np
import pandas as pd
import pytest

from tabular_labs.schema import Schema
from tabular_labs.sensors import (
    ACTIVITIES,
    WindowModel,
    beside_the_users_others,
    engineered,
    make_recordings,
    nearest_is_own,
    window_features,
)


@pytest.fixture(scope="module")
def recordings():
    return make_recordings(np.random.default_rng(0), users=4, windows=3)


def wave(period_ms: float, size: float = 2.0) -> np.ndarray:
    time = np.arange(200) / 20
    signal = np.zeros((1, 200, 3))
    signal[0, :, 1] = 9.8 + size * np.sin(2 * np.pi * time * 1000 / period_ms)
    signal[0, :, 0] = 1.0
    return signal


def test_features_of_a_known_wave():
    row = window_features(wave(1000.0)).iloc[0]
    assert row["XAVG"] == 1.0
    assert row["YAVG"] == pytest.approx(9.8, abs=0.01)
    assert row["YSTANDDEV"] == pytest.approx(2 / np.sqrt(2), abs=0.02)
    assert row["YABSOLDEV"] == pytest.approx(4 / np.pi, abs=0.02)
    assert row["YPEAK"] == pytest.approx(1000, abs=30)
    assert np.isnan(row["XPEAK"])  # a constant has no peaks
    assert row[[f"Y{b}" for b in range(10)]].sum() == pytest.approx(1.0, abs=0.05)
    assert row["Y0"] > row["Y4"]  # a sine is longest at its ends
    assert row["RESULTANT"] == pytest.approx(np.hypot(9.8, 1.0), abs=0.15)


def test_spreads_in_order_do_not_ask_which_axis_is_which():
    signal = wave(800.0)
    one, other = (engineered(window_features(s)) for s in (signal, signal[:, :, [1, 0, 2]]))
    names = ["least spread", "middle spread", "largest spread", "spread"]
    assert one[names].to_numpy() == pytest.approx(other[names].to_numpy())


def test_ranks_are_among_the_users_own_windows(recordings):
    X, _ = recordings
    plain = engineered(X.drop(columns="user"))
    found = beside_the_users_others(plain, X["user"])
    mine = (X["user"] == "u01").to_numpy()
    alone = beside_the_users_others(plain[mine], X["user"][mine])
    pd.testing.assert_frame_equal(found[mine], alone)
    assert found["spread, rank"].between(0, 1).all()
    scaled = plain.assign(spread=plain["spread"] * np.where(mine, 3.0, 1.0))
    again = beside_the_users_others(scaled, X["user"])
    assert np.array_equal(again["spread, rank"], found["spread, rank"])


def test_made_users_do_every_activity_and_look_like_themselves(recordings):
    X, y = recordings
    assert len(X) == len(y)
    assert X["user"].nunique() == 4
    assert set(y) == set(range(len(ACTIVITIES)))
    still = np.isin(y, [4, 5])
    assert X["YSTANDDEV"][still].max() < X["YSTANDDEV"][~still].min()
    assert not X.isna().drop(columns=["XPEAK", "YPEAK", "ZPEAK"]).to_numpy().any()


def test_a_model_is_given_what_the_users_other_windows_say_only_if_told_so(recordings):
    X, y = recordings
    seen: list[list[str]] = []

    def make(schema: Schema):
        from sklearn.dummy import DummyClassifier

        seen.append(schema.names)
        return DummyClassifier()

    for relative in (False, True):
        model = WindowModel(make, relative).fit(X, y)
        assert model.predict_proba(X).shape == (len(X), 6)
        assert "user" not in seen[-1]
    assert set(seen[1]) - set(seen[0])
    assert all(name.endswith((", rank", ", off")) for name in set(seen[1]) - set(seen[0]))


def test_the_nearest_window_tells_whether_users_are_on_both_sides(rng):
    user = np.repeat(["a", "b", "c"], 40)
    X = 10 * np.repeat(np.eye(3), 40, axis=0) + rng.standard_normal((120, 3))
    order = rng.permutation(120)
    assert nearest_is_own(X, user, order[:80], order[80:]) > 0.95
    assert nearest_is_own(X, user, np.arange(80), np.arange(80, 120)) == 0.0
