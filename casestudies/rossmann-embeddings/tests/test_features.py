import numpy as np
import pandas as pd
import pytest

from rossmann_embeddings.features import (
    ANCHOR,
    Encoder,
    Features,
    log_sales,
    make_features,
    with_past,
)
from rossmann_embeddings.festivals import days_to, easter, thanksgiving

HORIZON = 9


def test_no_row_changes_when_sales_within_the_horizon_or_later_do(table, rng):
    before = make_features(table, HORIZON, history=True)
    when = table.frame["date"].to_numpy()
    cut = table.dates[70]
    sales = np.where(when > cut, rng.uniform(1, 1e6, len(when)), table.sales)
    after = make_features(table.with_sales(sales), HORIZON, history=True)
    early = when <= cut + np.timedelta64(7 * HORIZON, "D")
    pd.testing.assert_frame_equal(before.numbers[early], after.numbers[early])
    pd.testing.assert_frame_equal(before.categories, after.categories)
    assert not before.numbers[~early].equals(after.numbers[~early])


def test_the_latest_sales_seen_lie_just_a_horizon_before(table):
    when = table.frame["date"].to_numpy()
    cut = table.dates[70]
    sales = np.where(when == cut, table.sales * 2, table.sales)
    before, after = (
        make_features(t, HORIZON, history=True).numbers for t in (table, table.with_sales(sales))
    )
    same = (before == after) | (before.isna() & after.isna())
    changed = np.unique(when[~same.all(axis=1).to_numpy()])
    assert changed[0] == cut + np.timedelta64(7 * HORIZON, "D")


def test_past_columns_are_those_of_a_plain_loop(table):
    numbers = make_features(table, HORIZON, history=True).numbers
    frame = table.frame.assign(log=log_sales(table.sales))
    series = {
        key: part.set_index("date")["log"] for key, part in frame.groupby(["store", "department"])
    }
    week = pd.Timedelta(weeks=1)

    def mean_of(store, department, last, steps):
        past = series[store, department]
        found = [past[d] for d in (last - k * week for k in range(steps)) if d in past.index]
        return np.mean(found) if found else np.nan

    some = np.random.default_rng(0).choice(np.flatnonzero(frame["date"] >= table.dates[60]), 40)
    for i in some:
        store, department, date = frame.loc[i, ["store", "department", "date"]]
        year_ago = mean_of(store, department, date - 52 * week, 1)
        near = mean_of(store, department, date - 50 * week, 5)
        recent = mean_of(store, department, date - HORIZON * week, 4)
        quarter = mean_of(store, department, date - HORIZON * week, 13)
        anchor = next((v for v in (year_ago, near, quarter, recent) if np.isfinite(v)), np.nan)
        row = numbers.loc[i]
        assert row[ANCHOR] == pytest.approx(anchor, nan_ok=True, rel=1e-5)
        assert row["recent_over"] == pytest.approx(recent - anchor, nan_ok=True, abs=1e-5)
        assert row["quarter_over"] == pytest.approx(quarter - anchor, nan_ok=True, abs=1e-5)
        before = mean_of(store, department, date - (52 + HORIZON) * week, 13)
        assert row["growth"] == pytest.approx(quarter - before, nan_ok=True, abs=1e-5)


def test_without_history_there_are_categories_only(table):
    features = make_features(table, HORIZON, history=False)
    assert list(features.categories) == [
        "store", "department", "holiday", "promotion", "week", "month", "year",
    ]  # fmt: skip
    assert features.numbers.shape == (len(table.frame), 0)
    rows = np.arange(len(table.frame))
    assert with_past(features, rows) is rows


def test_planned_rows_follow_and_see_the_past(table):
    features = make_features(table, 12, history=True, plan=True)
    assert len(features.numbers) == len(table.frame) + len(table.plan)
    ahead = features.numbers.iloc[len(table.frame) :]
    assert ahead[ANCHOR].notna().all()


@pytest.mark.parametrize("horizon", [0, 51])
def test_a_horizon_that_a_year_ago_does_not_reach_is_refused(table, horizon):
    with pytest.raises(ValueError, match="1 to 50 steps"):
        make_features(table, horizon, history=True)


def simple(categories, numbers):
    return Features(
        pd.DataFrame({"kind": categories}), pd.DataFrame({"x": numbers}, dtype=np.float32)
    )


def test_the_encoder_learns_from_the_given_rows_only():
    features = simple(["b", "a", "b", "new"], [1.0, 3.0, np.nan, 1e9])
    encoder = Encoder().fit(features, np.array([0, 1, 2]))
    assert encoder.cardinalities_ == [3]
    encoded = encoder.transform(features)
    assert encoded.codes[:, 0].tolist() == [2, 1, 2, 0]
    assert encoder.mean_ == pytest.approx([2.0])
    scaled = encoder.scaled(encoded)
    np.testing.assert_allclose(scaled[:3], [[-1, 0], [1, 0], [0, 1]], atol=1e-6)
    np.testing.assert_allclose(scaled[3], [1, 0], atol=1e-6)  # held at the highest that was seen


def test_a_number_is_held_within_what_was_seen():
    learnt = np.append(np.zeros(99), 1e6)
    features = simple(["a"] * 102, np.append(learnt, [-5.0, np.nan]))
    encoder = Encoder().fit(features, np.arange(100))
    scaled = encoder.scaled(encoder.transform(features))
    assert scaled[99, 0] == 6  # what was seen, but is far out, is cut off
    assert scaled[100, 0] == scaled[0, 0]
    assert scaled[101, 0] == 0


def test_a_number_that_was_never_seen_tells_nothing():
    features = simple(["a", "b", "a"], [np.nan, np.nan, 7.0])
    encoder = Encoder().fit(features, np.array([0, 1]))
    scaled = encoder.scaled(encoder.transform(features))
    np.testing.assert_array_equal(scaled, [[0, 1], [0, 1], [0, 0]])


def test_an_encoder_needs_rows():
    with pytest.raises(ValueError, match="no rows"):
        Encoder().fit(simple(["a"], [1.0]), np.array([], np.int64))


def test_festivals_are_on_their_days():
    assert [str(easter(year)) for year in (2011, 2012, 2024, 2038)] == [
        "2011-04-24", "2012-04-08", "2024-03-31", "2038-04-25",
    ]  # fmt: skip
    assert [thanksgiving(year).day for year in (2010, 2011, 2012)] == [25, 24, 22]
    dates = np.array(["2010-12-24", "2010-12-31", "2011-07-01", "2012-01-01"], "datetime64[D]")
    assert days_to("christmas", dates).tolist() == [1, -6, 35, -7]
