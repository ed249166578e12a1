r"""A small chain of stores that is made up, so that what is learnt can be held against the truth.

The logarithm of the expected sales of department $d$ of store $s$ in week $t$ is

$$\mu_{sdt} = m + a_s + b_d + u_s^\top v_d + \sum_k c_{r(s)k}\, g_{dk}\, h_k(t)
  + e_d\,\text{holiday}_t + f_d\,\text{promotion}_{st} + q_s t,$$

with the store's size $a_s$, taste $u_s$ and region $r(s)$, the department's level $b_d$, its
share $g_{dk}$ of each season $h_k$ (Christmas, spring, back to school), and how much the region
has of that season, $c_{rk}$. Sales vary around it by a log-normal factor. A model is told the
names of store and department, the promotion and the calendar. Regions and groups of departments
are for it to find: two stores are near each other in truth where they would sell alike in every
department and week.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rossmann_embeddings.festivals import days_to
from rossmann_embeddings.tables import SalesTable

REGIONS = ("north", "middle", "south")
GROUPS = ("grocery", "gifts", "garden", "school")
#: The seasons: week of the year of the peak, and width in weeks.
SEASONS = ((50.0, 2.5), (19.0, 4.0), (33.0, 2.5))
#: Weeks after the last sales that are planned.
PLANNED = 12


@dataclass(frozen=True)
class Truth:
    """What a generated chain was made from.

    region : of each store (stores,). group : of each department (departments,).
    store_distance, department_distance : how differently two of them sell, as the root of the mean
        squared difference of the expected log sales, over all weeks and all of the other kind.
    """

    region: NDArray[np.int64]
    group: NDArray[np.int64]
    store_distance: NDArray[np.float64]
    department_distance: NDArray[np.float64]


def generate_chain(
    stores: int = 30, departments: int = 20, weeks: int = 156, noise: float = 0.1, seed: int = 0
) -> tuple[SalesTable, Truth]:
    """A table of weekly sales with a plan of twelve weeks more, and the truth.

    Raises ValueError for fewer than 3 stores, 4 departments or 8 weeks, or a negative noise.
    """
    if stores < 3 or departments < 4 or weeks < 8 or noise < 0:
        raise ValueError(
            f"{stores} stores, {departments} departments, {weeks} weeks, noise {noise}: "
            "at least 3, 4, 8 and 0 are taken"
        )
    rng = np.random.default_rng([seed, 20160422])
    dates = np.datetime64("2021-01-08") + 7 * np.arange(weeks + PLANNED)
    region, group = np.arange(stores) % len(REGIONS), np.arange(departments) % len(GROUPS)
    week = (dates - dates.astype("datetime64[Y]")).astype(np.float64) / 7
    profile = _profile(rng, region, group, week)  # (stores, departments, weeks)
    holiday = _holidays(dates)
    festive = np.where(group == 1, 0.5, 0.1) + 0.05 * rng.standard_normal(departments)
    lift = np.abs(0.25 + 0.12 * rng.standard_normal(departments))
    promotion = rng.random((stores, len(dates))) < 0.25
    growth = 0.08 * rng.standard_normal(stores)
    log_sales = (
        profile
        + festive[None, :, None] * (holiday != "none")
        + lift[None, :, None] * promotion[:, None, :]
        + (growth[:, None] * np.arange(len(dates)) / 52)[:, None, :]
        + noise * rng.standard_normal(profile.shape)
    )
    offered = rng.random((stores, departments)) > 0.05
    offered[np.arange(stores), np.arange(stores) % departments] = True
    offered[np.arange(departments) % stores, np.arange(departments)] = True
    opened = np.where(rng.random((stores, departments)) < 0.1, weeks // 3, 0)
    there = offered[:, :, None] & (np.arange(len(dates)) >= opened[:, :, None])
    s, d, t = (axis.astype(np.int64) for axis in np.nonzero(there))
    climate = np.array([-6.0, 0.0, 7.0])[region]
    warm = 12 - 11 * np.cos(2 * np.pi * (week - 4) / 52)
    whole = pd.DataFrame(
        {
            "date": dates[t],
            "store": s + 1,
            "department": d + 1,
            "sales": np.round(np.exp(log_sales[s, d, t]), 2),
            "weight": np.where(holiday[t] == "none", 1.0, 5.0),
            "holiday": holiday[t],
            "promotion": promotion[s, t].astype(np.int64),
            "temperature": (climate[:, None] + warm + 2 * rng.standard_normal(promotion.shape))[
                s, t
            ],
        }
    ).sort_values(["date", "store", "department"], ignore_index=True)
    ahead = whole["date"].to_numpy() >= dates[weeks]
    table = SalesTable(
        name="generated",
        frame=whole[~ahead].reset_index(drop=True),
        plan=whole[ahead].drop(columns="sales").reset_index(drop=True),
        keys=("store", "department"),
        step=7,
        categories=("holiday", "promotion"),
        numbers=("temperature",),
        note=f"a generated chain of {stores} stores and {departments} departments, seed {seed}",
    )
    within = profile[:, :, :weeks]
    return table, Truth(region, group, _distances(within), _distances(within.transpose(1, 0, 2)))


def _profile(
    rng: np.random.Generator,
    region: NDArray[np.int64],
    group: NDArray[np.int64],
    week: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Expected log sales without holidays, promotions and growth (stores, departments, weeks)."""
    stores, departments = len(region), len(group)
    level = 9 + 0.4 * rng.standard_normal(stores)[:, None] + rng.standard_normal(departments)
    # Tastes: the stores of a region are alike, and so are the departments of a group.
    taste = np.array([[1.0, 0.0], [-0.5, 0.87], [-0.5, -0.87]])[region]
    taste = 0.5 * taste + 0.12 * rng.standard_normal((stores, 2))
    appeal = np.array([[0.2, 0.1], [0.8, 0.3], [-0.7, 0.6], [0.0, -0.9]])[group]
    appeal = appeal + 0.15 * rng.standard_normal((departments, 2))
    share = np.array([[0.1, 0, 0.05], [1.0, 0, 0], [0, 1.0, 0], [0.2, 0, 0.9]])[group]
    share = share * (1 + 0.2 * rng.standard_normal(share.shape))
    has = np.array([[1.2, 0.5, 1.0], [1.0, 1.0, 1.0], [0.8, 1.4, 1.0]])[region]
    peaks = np.stack(
        [np.exp(-0.5 * (((week - peak + 26) % 52 - 26) / width) ** 2) for peak, width in SEASONS]
    )
    seasonal = np.einsum("sk,dk,kt->sdt", has, share, peaks)
    return (level + taste @ appeal.T)[:, :, None] + seasonal


def _holidays(dates: NDArray[np.datetime64]) -> NDArray[np.str_]:
    """The holiday within the seven days that end on each date, or none."""
    found = np.full(len(dates), "none", dtype="<U12")
    for name in ("thanksgiving", "christmas"):
        away = days_to(name, dates)
        found[(away <= 0) & (away > -7)] = name
    return found


def _distances(profile: NDArray[np.float64]) -> NDArray[np.float64]:
    """Root mean squared differences between the slices along the first axis: (n, n)."""
    flat = profile.reshape(len(profile), -1)
    squared = np.square(flat[:, None, :] - flat[None, :, :]).mean(axis=2)
    return np.sqrt(squared)
