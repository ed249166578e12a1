"""A small generated chain, and Rossmann's files in small."""

import numpy as np
import pandas as pd
import pytest
import torch

from rossmann_embeddings.generator import generate_chain

DAYS = 40
STORES = 3


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def chain():
    """A table of 6 stores, 8 departments and 90 weeks, and its truth."""
    return generate_chain(stores=6, departments=8, weeks=90)


@pytest.fixture
def table(chain):
    """The table alone."""
    return chain[0]


@pytest.fixture
def rossmann(tmp_path):
    """A folder with train.csv, store.csv and test.csv in the competition's form."""
    rng = np.random.default_rng(0)
    dates = pd.date_range("2015-01-01", periods=DAYS + 14)
    rows = pd.DataFrame(
        [(store, when) for when in dates[::-1] for store in range(1, STORES + 1)],
        columns=["Store", "Date"],
    )
    rows["DayOfWeek"] = rows["Date"].dt.day_of_week + 1
    rows["Open"] = (rows["DayOfWeek"] != 7).astype(int)
    rows["Sales"] = rows["Open"] * (1000 * rows["Store"] + rng.integers(0, 500, len(rows)))
    rows["Customers"] = rows["Sales"] // 10
    rows["Promo"] = rng.integers(0, 2, len(rows))
    rows["StateHoliday"] = np.where(rows["Date"] == dates[0], "a", "0")
    rows["SchoolHoliday"] = 0
    ahead = rows["Date"] > dates[DAYS - 1]
    days = rows.assign(Date=rows["Date"].dt.strftime("%Y-%m-%d"))
    train = ["Store", "DayOfWeek", "Date", "Sales", "Customers", "Open", "Promo", "StateHoliday"]
    days.loc[~ahead, [*train, "SchoolHoliday"]].to_csv(tmp_path / "train.csv", index=False)
    plan = days[ahead].drop(columns=["Sales", "Customers"])
    plan.insert(0, "Id", range(1, len(plan) + 1))
    plan.to_csv(tmp_path / "test.csv", index=False)
    stores = pd.DataFrame(
        {
            "Store": range(1, STORES + 1),
            "StoreType": ["a", "b", "a"],
            "Assortment": ["a", "c", "a"],
            "CompetitionDistance": ["1270", "", "620"],
            "PromoInterval": ["", "Jan,Apr,Jul,Oct", ""],
        }
    )
    stores.to_csv(tmp_path / "store.csv", index=False)
    return tmp_path
