import numpy as np
import pandas as pd

from tabular_labs.encoding import Binned, Coded, dense
from tabular_labs.schema import Schema

TRAIN = pd.DataFrame(
    {"size": [1.0, 2.0, np.nan, 4.0, 5.0, 6.0], "kind": ["a", "b", "b", None, "c", "c"]}
)
SCHEMA = Schema.of(TRAIN)
NEW = pd.DataFrame({"size": [np.nan, 100.0], "kind": ["never seen", "a"]})


def test_dense_columns_have_no_gaps_and_one_scale():
    encoder = dense(SCHEMA).fit(TRAIN)
    made = encoder.transform(TRAIN)
    assert np.isfinite(made).all()
    np.testing.assert_allclose(made[:, 0].mean(), 0, atol=1e-12)
    # The size and its gap, and a, b, c and a gap of the kind.
    assert made.shape[1] == 6
    unseen = encoder.transform(NEW)
    assert np.all(unseen[0, 2:] == 0)
    assert unseen[1, 2:].sum() == 1


def test_amounts_go_through_the_logarithm_of_either_sign():
    frame = pd.DataFrame({"amount": [-100.0, 0.0, 100.0, 1e6]})
    made = dense(Schema.of(frame), log=("amount",)).fit_transform(frame)[:, 0]
    steps = np.diff(made)
    np.testing.assert_allclose(steps[0], steps[1])
    assert steps[2] < 3 * steps[1]


def test_codes_keep_gaps_and_make_gaps_of_unseen_levels():
    made = Coded(SCHEMA).fit(TRAIN).transform(NEW)
    assert np.isnan(made[0]).all()
    assert made[1].tolist() == [100.0, 0.0]


def test_codes_can_follow_the_target():
    y = np.array([9.0, 1.0, 1.0, 5.0, 4.0, 4.0])
    coded = Coded(SCHEMA, by_target=True).fit(TRAIN, y)
    assert coded.codes_["kind"] == {"b": 0, "c": 1, "a": 2}


def test_bins_hold_like_many_rows_and_0_is_for_what_is_not_known():
    frame = pd.DataFrame({"x": np.arange(80.0), "kind": ["a", "b"] * 40})
    binned = Binned(Schema.of(frame), bins=4).fit(frame)
    made = binned.transform(frame)
    assert np.bincount(made[:, 0]).tolist() == [0, 20, 20, 20, 20]
    assert binned.sizes_ == [5, 3]
    new = pd.DataFrame({"x": [np.nan, -1.0, 1e9], "kind": ["never", None, "b"]})
    assert binned.transform(new).tolist() == [[0, 0], [1, 0], [4, 2]]
