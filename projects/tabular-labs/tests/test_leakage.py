import numpy as np
import pandas as pd
import pytest

from tabular_labs import generated, leakage
from tabular_labs.schema import Schema


@pytest.fixture(scope="module")
def known():
    return generated.customers(1500, seed=0)


def test_an_honest_table_passes(known):
    schema = Schema.of(known.X)
    rows = np.arange(1500)
    found = leakage.check(known.X, known.y, schema, train=rows[:1000], test=rows[1000:])
    assert [row["worth a look"] for row in found] == ["no"] * 5


def test_each_kind_of_leak_is_found(known):
    X = known.X.assign(
        answer=np.where(known.y == 1, "left", "stayed"),
        name=[f"customer {i}" for i in range(1500)],
        day=np.arange(1500.0),
    )
    X = pd.concat([X, X.iloc[:300]], ignore_index=True)
    y = np.concatenate([known.y, 1 - known.y[:300]])
    schema, rows = Schema.of(X), np.arange(1800)
    found = leakage.check(X, y, schema, train=rows[:1000], test=rows[1000:1500])
    told = {row["question"]: row for row in found}
    assert told["rows with a twin"]["found"] == f"{600 / 1800:.2%}"
    assert told["twins of different targets"]["worth a look"] == "yes"
    assert "name" in told["columns that name rows"]["found"]
    assert told["training rows told from test rows"]["worth a look"] == "yes"


def test_a_column_that_is_the_answer_is_the_strongest(known):
    X = known.X.assign(answer=np.where(known.y == 1, "left", "stayed"))
    strengths = leakage.column_strengths(X, known.y, Schema.of(X))
    assert next(iter(strengths)) == "answer"
    assert strengths["answer"] == 1.0
    assert strengths["region"] < 0.55


def test_strengths_for_numbers_are_shares_of_the_variance():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=2000), "noise": rng.normal(size=2000)})
    y = 2 * np.sign(X["x"].to_numpy()) + rng.normal(size=2000)
    strengths = leakage.column_strengths(X, y, Schema.of(X), regression=True)
    assert strengths["x"] == pytest.approx(0.8, abs=0.03)
    assert strengths["noise"] < 0.05
