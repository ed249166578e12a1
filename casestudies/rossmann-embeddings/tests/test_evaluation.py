import math

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_absolute_percentage_error

from rossmann_embeddings.evaluation import mape, rmspe, wmae


@pytest.fixture
def pair(rng):
    y = rng.uniform(1, 100, 50)
    return y, y * rng.uniform(0.5, 1.5, 50), rng.choice([1.0, 5.0], 50)


def test_the_errors_are_scikit_learns_where_it_has_them(pair):
    y, found, weight = pair
    assert mape(y, found) == pytest.approx(mean_absolute_percentage_error(y, found))
    assert wmae(y, found, weight) == pytest.approx(
        mean_absolute_error(y, found, sample_weight=weight)
    )
    assert wmae(y, found) == pytest.approx(mean_absolute_error(y, found))


def test_rmspe_is_that_of_a_plain_loop(pair):
    y, found, _ = pair
    total = sum(((a - b) / a) ** 2 for a, b in zip(y, found, strict=True))
    assert rmspe(y, found) == pytest.approx(math.sqrt(total / len(y)))


def test_a_holiday_weighs_five_times_as_much():
    assert wmae([10, 10], [8, 14], [1, 5]) == pytest.approx((2 + 5 * 4) / 6)


def test_rows_at_the_floor_or_below_are_left_out_of_shares_only():
    y, found = [-5.0, 0.0, 100.0, 200.0], [1.0, 1.0, 110.0, 200.0]
    assert mape(y, found) == pytest.approx(0.05)
    assert mape(y, found, floor=100) == 0
    assert wmae(y, found) == pytest.approx(17 / 4)


@pytest.mark.parametrize(
    "call, tells",
    [
        (lambda: wmae([1, 2], [1]), "two equal lengths"),
        (lambda: wmae([], []), "two equal lengths"),
        (lambda: wmae([1.0, np.nan], [1, 2]), "not finite"),
        (lambda: wmae([1, 2], [1, 2], [0, 0]), "weights of 0 or more"),
        (lambda: wmae([1, 2], [1, 2], [-1, 3]), "weights of 0 or more"),
        (lambda: wmae([1, 2], [1, 2], [1]), "1 weights for 2 rows"),
        (lambda: mape([0, -1], [1, 1]), "no row has sales above 0"),
        (lambda: mape([1, 1], [1, 1], floor=-1), "floor=-1"),
    ],
)
def test_what_has_no_error_is_refused(call, tells):
    with pytest.raises(ValueError, match=tells):
        call()
