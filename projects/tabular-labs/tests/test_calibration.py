import numpy as np
import pytest

from tabular_labs.calibration import calibration_error, reliability


def test_true_probabilities_are_calibrated_and_squeezed_ones_are_not():
    rng = np.random.default_rng(0)
    p = rng.uniform(size=20_000)
    y = rng.random(20_000) < p
    assert calibration_error(y, p) < 0.02
    # p / 2 is wrong by p / 2, a quarter in the mean.
    assert calibration_error(y, p / 2) == pytest.approx(0.25, abs=0.01)


def test_bins_are_of_like_size_and_equal_probabilities_stay_together():
    said = np.array([0.1] * 5 + [0.6] * 3 + [0.9] * 2)
    y = np.array([0, 0, 0, 0, 1, 1, 1, 0, 1, 1])
    told, true, rows = reliability(y, said, bins=5)
    assert rows.tolist() == [5, 3, 2]
    np.testing.assert_allclose(told, [0.1, 0.6, 0.9])
    np.testing.assert_allclose(true, [0.2, 2 / 3, 1.0])


def test_one_probability_for_all_is_one_bin():
    y = np.array([0, 1, 1, 1])
    assert calibration_error(y, np.full(4, 0.75)) == 0.0
