import numpy as np
import pytest

from rossmann_embeddings.tables import split_by_time, split_last, split_shuffled


def test_a_split_by_time_judges_by_the_last_dates_only(table):
    split = split_by_time(table, 0.1)
    when = table.frame["date"].to_numpy()
    assert when[split.train].max() < when[split.test].min()
    assert len(np.unique(when[split.test])) == 9
    assert len(split.train) + len(split.test) == len(when)


def test_the_inner_split_lies_within_the_rows_to_learn_from(table):
    outer = split_by_time(table, 0.1)
    inner = split_last(table, 9, within=outer.train)
    assert np.isin(inner.test, outer.train).all()
    assert not np.isin(inner.test, inner.train).any()
    assert len(inner.train) + len(inner.test) == len(outer.train)


def test_a_shuffled_split_parts_all_rows_and_follows_its_seed(table):
    one, same, other = (split_shuffled(table, 0.1, seed) for seed in (0, 0, 1))
    every = np.sort(np.concatenate([one.train, one.test]))
    np.testing.assert_array_equal(every, np.arange(len(table.frame)))
    np.testing.assert_array_equal(one.test, same.test)
    assert not np.array_equal(one.test, other.test)
    assert one.name == "shuffled"


def test_a_part_without_rows_is_refused(table):
    with pytest.raises(ValueError, match="90 of 90 dates"):
        split_last(table, 90)
    with pytest.raises(ValueError, match="leaves a part empty"):
        split_shuffled(table, 0.0)
