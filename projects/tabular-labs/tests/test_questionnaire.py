import numpy as np
import pandas as pd
import pytest

from tabular_labs.questionnaire import TopQuestions, couples


def test_a_copy_is_ranked_next_but_not_picked_when_picks_have_to_differ():
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 400))
    y = (first + 0.7 * second > 0).astype(np.int64)
    X = pd.DataFrame({"noise": rng.standard_normal(400), "first": first})
    X["copy"] = first + 0.01 * rng.standard_normal(400)
    X["second"] = second
    assert set(TopQuestions(2, apart=0.0).fit(X, y).names_) == {"first", "copy"}
    apart = TopQuestions(2, apart=0.5).fit(X, y).names_
    assert apart[1] == "second"
    assert list(TopQuestions(2).fit(X, y).transform(X)) == apart


def test_all_columns_are_kept_where_there_are_fewer_and_a_constant_one_comes_last():
    X = pd.DataFrame({"same": np.ones(6), "tells": [0.0, 0, 0, 1, 1, 1]})
    y = np.array([0, 0, 0, 1, 1, 1])
    assert TopQuestions(9).fit(X, y).names_ == ["tells", "same"]


def test_no_question_at_all_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        TopQuestions(0).fit(pd.DataFrame({"a": [0.0, 1.0]}), np.array([0, 1]))


def test_generated_answers_are_whole_alike_and_point_both_ways_but_for_the_last():
    known = couples(600, seed=0, questions=12)
    values = known.X.to_numpy()
    assert set(np.unique(values)) == {0, 1, 2, 3, 4}
    like = np.corrcoef(values.T)
    assert like[0, 3] > 0.5
    assert like[0, 1] < -0.5
    assert np.abs(like[-1, :-1]).max() < 0.15
    assert known.y.mean() == pytest.approx(known.probability.mean(), abs=0.05)
