import numpy as np
import pandas as pd
import pytest

from tabular_labs import credit
from tabular_labs.decisions import cost, cost_curve, threshold
from tabular_labs.generated_credit import cards


def one(**changes):
    row = dict.fromkeys(credit.RAW, 0.0) | {"credit_limit": 1000.0, "age": 30.0}
    row |= dict.fromkeys(credit.STATUS, "m+0")
    row |= {"gender": "male", "education": "uni", "marital_status": "single"}
    return pd.DataFrame([row | changes])


def test_a_status_is_read_as_months_and_what_is_none_as_a_gap():
    read = credit.delay(pd.Series(["m-2", "m+0", "m+11", "late", None]))
    np.testing.assert_array_equal(read, [-2, 0, 11, np.nan, np.nan])


def test_a_payment_is_set_against_the_bill_of_the_month_before():
    made = credit.features(one(balance_2=200.0, payment_1=50.0, balance_1=900.0)).iloc[0]
    assert made["paid_1"] == 0.25
    assert made["used_1"] == 0.9
    assert made["used_more"] == 0.9
    assert made["paid_2"] == 1  # nothing was owed


def test_delays_are_counted_and_no_limit_gives_gaps_and_no_infinity():
    made = credit.features(one(timeliness_1="m+2", timeliness_4="m+1", credit_limit=0.0)).iloc[0]
    assert made["late_months"] == 2
    assert made["worst_delay"] == 2
    assert np.isnan(made["used_1"])


def test_a_gap_in_a_bill_stays_a_gap():
    assert np.isnan(credit.features(one(balance_2=np.nan)).iloc[0]["paid_1"])


def test_derived_columns_are_found_to_say_nothing_new_and_others_are_told():
    known = cards(200, seed=0)
    assert credit.derived_error(known.X) < 1e-9
    changed = known.X.assign(avg_balance=known.X["avg_balance"] * 1.5 + 10)
    assert credit.derived_error(changed) > 0.3
    assert credit.derived_error(known.X[list(credit.RAW)]) == 0


def test_generated_customers_default_as_often_as_their_probabilities_say():
    known = cards(6000, seed=1)
    assert list(known.X)[: len(credit.RAW)] == list(credit.RAW)
    assert known.y.mean() == pytest.approx(known.probability.mean(), abs=0.02)
    late = credit.features(known.X)["late_months"] > 0
    assert known.y[late].mean() > 1.5 * known.y[~late].mean()
    assert 0.1 < known.y.mean() < 0.45


def test_the_rule_of_costs_is_the_best_threshold_where_probabilities_are_true():
    rng = np.random.default_rng(0)
    said = rng.random(20_000)
    y = (rng.random(20_000) < said).astype(int)
    cuts, costs = cost_curve(y, said, 4.0)
    assert threshold(4.0) == 0.2
    assert cuts[costs.argmin()] == pytest.approx(0.2, abs=0.04)
    assert cost(y, said, 0.2, 4.0) <= costs.min() * 1.01
    assert cost(y, said, 0.5, 4.0) > costs.min() * 1.1


def test_the_curve_has_the_cost_of_every_threshold():
    y, said = np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.4, 1.0])
    cuts, costs = cost_curve(y, said, 3.0)
    assert len(cuts) == 4
    for cut, value in zip(cuts, costs, strict=True):
        assert value == pytest.approx(cost(y, said, cut, 3.0))
    assert costs[-1] == pytest.approx(3 * 3 / 5)  # no alarm at all


@pytest.mark.parametrize("ratio", [0.0, -1.0, float("nan")])
def test_costs_that_are_none_are_refused(ratio):
    with pytest.raises(ValueError, match="above 0"):
        threshold(ratio)
