import numpy as np
import pytest

from rossmann_embeddings.conformal import ConformalIntervals, coverage_of


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_exchangeable_rows_are_covered_as_promised(rng, coverage):
    """Over many draws of calibration and new rows the share is that of the theory."""
    held = []
    for _ in range(300):
        forecast = rng.uniform(10, 20, 160)
        y = forecast * rng.lognormal(0, 0.3, 160)
        made = ConformalIntervals(coverage, groups=1).fit(y[:60], forecast[:60])
        held.append(coverage_of(y[60:], *made.intervals(forecast[60:])))
    promised = np.ceil(61 * coverage) / 61
    assert np.mean(held) == pytest.approx(promised, abs=0.015)


def test_groups_are_covered_each_where_errors_differ(rng):
    forecast = rng.uniform(1, 100, 20_000)
    y = forecast * rng.lognormal(0, np.where(forecast < 50, 0.8, 0.1))
    half = 10_000
    for groups, tolerance in ((1, None), (10, 0.03)):
        made = ConformalIntervals(0.9, groups).fit(y[:half], forecast[:half])
        low, high = made.intervals(forecast[half:])
        small = forecast[half:] < 50
        found = [coverage_of(y[half:][s], low[s], high[s]) for s in (small, ~small)]
        if tolerance is None:
            assert max(found) - min(found) > 0.1
        else:
            assert found == pytest.approx([0.9, 0.9], abs=tolerance)


def test_the_width_is_the_stated_order_statistic():
    y, forecast = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9]), np.zeros(9)
    made = ConformalIntervals(0.8, offset=1.0).fit(y, forecast)
    low, high = made.intervals(np.zeros(1))
    assert (low[0], high[0]) == (-8.0, 8.0)  # the 8th of 9: ceil(10 · 0.8)


def test_equal_forecasts_fall_into_one_group():
    y = np.arange(1000.0)
    made = ConformalIntervals(0.9, groups=5).fit(y, np.full(1000, 7.0))
    assert np.isfinite(made.width_[np.searchsorted(made.edges_, 7.0, side="right")])


@pytest.mark.parametrize(
    "call, tells",
    [
        (lambda: ConformalIntervals(1.0), "between 0 and 1"),
        (lambda: ConformalIntervals(0.9, groups=0), "groups=0"),
        (lambda: ConformalIntervals(0.9).fit(np.ones(8), np.ones(8)), "takes 9 or more"),
        (lambda: ConformalIntervals(0.9).fit(np.ones(20), np.ones(19)), "equal lengths"),
        (lambda: ConformalIntervals(0.9).fit(np.full(20, np.nan), np.ones(20)), "not finite"),
    ],
)
def test_what_no_interval_can_be_had_from_is_refused(call, tells):
    with pytest.raises(ValueError, match=tells):
        call()
