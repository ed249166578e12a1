import numpy as np
import pandas as pd

from tabular_labs.schema import Schema
from tabular_labs.slices import worst_slices


def test_the_part_that_is_wrong_more_often_comes_first():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"kind": rng.choice(["a", "b", "c"], 3000), "size": rng.uniform(0, 100, 3000)})
    X.loc[:99, "size"] = np.nan
    losses = rng.normal(1, 0.3, 3000) + 0.2 * (X["size"] > 80).to_numpy()
    found = worst_slices(X, losses, Schema.of(X), share=0.02)
    assert found[0]["slice"].startswith("size = 79.7")
    assert found[0]["loss"] - found[0]["elsewhere"] > 0.15
    assert found[0]["standard errors"] > 8
    assert all(row["standard errors"] < 4 for row in found[1:])


def test_small_slices_are_left_out_and_gaps_are_one():
    X = pd.DataFrame({"kind": ["rare"] + ["usual"] * 60 + [None] * 39})
    losses = np.array([100.0] + [1.0, 1.1] * 30 + [2.0, 2.1, 2.2] * 13)
    names = [row["slice"] for row in worst_slices(X, losses, Schema.of(X), share=0.02)]
    assert names[0] == "kind = missing"
    assert "kind = rare" not in names
