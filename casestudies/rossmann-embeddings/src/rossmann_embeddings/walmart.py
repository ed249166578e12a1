"""Walmart's weekly sales of 45 stores and their departments, from the data registry.

The competition of 2014 forecasts the weeks after 2012-10-26. Its table of features goes on until
2013-07-26, so that the weeks ahead are planned: holidays, markdowns, temperature. Weeks end on a
Friday; a week with one of four holidays weighs five times as much as another. Negative sales are
returns: they stay in the errors, and are learnt as sales of 0. Amounts of the markdowns are known
from November 2011 on. They drift, as do prices and unemployment, which go one way in these years,
and the weather: two summers teach little of how the third one's differs.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from rossmann_embeddings.tables import SalesTable

HOLIDAYS = {2: "Super Bowl", 9: "Labor Day", 11: "Thanksgiving", 12: "Christmas"}
MARKDOWNS = [f"MarkDown{i}" for i in range(1, 6)]
DRIFTING = (
    "temperature", "fuel_price", "cpi", "unemployment", *(name.lower() for name in MARKDOWNS),
)  # fmt: skip
HOLIDAY_WEIGHT = 5.0


def make_walmart(parts: Mapping[str, Any]) -> SalesTable:
    """The table from the registry's parts `train`, `features` and `stores`."""
    sales, weeks, stores = (parts[name] for name in ("train", "features", "stores"))
    weeks = weeks.merge(stores, on="Store", how="left", validate="many_to_one")
    dates = pd.to_datetime(weeks["Date"], format="%Y-%m-%d")
    flagged = weeks["IsHoliday"].astype(bool)
    known = pd.DataFrame(
        {
            "store": weeks["Store"].astype(np.int64),
            "date": dates,
            "weight": np.where(flagged, HOLIDAY_WEIGHT, 1.0),
            "holiday": dates.dt.month.map(HOLIDAYS).where(flagged, "none"),
            "type": weeks["Type"],
            "size": np.log(weeks["Size"].astype(np.float64)),
            "temperature": weeks["Temperature"].astype(np.float64),
            "fuel_price": weeks["Fuel_Price"].astype(np.float64),
            "cpi": weeks["CPI"].astype(np.float64),
            "unemployment": weeks["Unemployment"].astype(np.float64),
        }
    )
    for name in MARKDOWNS:
        known[name.lower()] = np.log1p(weeks[name].astype(np.float64).clip(lower=0))
    sold = pd.DataFrame(
        {
            "store": sales["Store"].astype(np.int64),
            "department": sales["Dept"].astype(np.int64),
            "date": pd.to_datetime(sales["Date"], format="%Y-%m-%d"),
            "sales": sales["Weekly_Sales"].astype(np.float64),
        }
    )
    frame = sold.merge(known, on=["store", "date"], how="left", validate="many_to_one")
    last = frame["date"].max()
    # A department is planned where it sold in the last quarter of a year.
    active = frame.loc[frame["date"] > last - pd.Timedelta(weeks=13), ["store", "department"]]
    plan = known[known["date"] > last].merge(active.drop_duplicates(), on="store")
    order = ["date", "store", "department"]
    return SalesTable(
        name="Walmart",
        frame=frame.sort_values(order, ignore_index=True),
        plan=plan.sort_values(order, ignore_index=True),
        keys=("store", "department"),
        step=7,
        categories=("type", "holiday"),
        numbers=("size", *DRIFTING),
        drifting=DRIFTING,
        floor=100.0,
        note="Walmart's weekly sales, competition of 2014",
    )
