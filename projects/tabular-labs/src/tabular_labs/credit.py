"""Credit cards: what six monthly statements say of whether the next one is paid.

A month has a balance (the bill), a payment, and a status: `m-2` nothing was used, `m-1` paid in
full, `m+0` the least amount paid, `m+k` the payment is k months late. Number 1 is the latest month.
A payment settles the bill of the month before it, so that payment 1 belongs to balance 2.
All columns are made from one row at a time; nothing is learnt here.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MONTHS = range(1, 7)
#: What a table must have.
RAW = (
    "credit_limit", "gender", "education", "marital_status", "age",
    *(f"timeliness_{k}" for k in MONTHS),
    *(f"balance_{k}" for k in MONTHS),
    *(f"payment_{k}" for k in MONTHS),
)  # fmt: skip
#: Columns of the table that are means of others, and say nothing more.
DERIVED = {"avg_balance": "balance", "avg_payment": "payment"}
#: Categories that a linear map needs, and trees have as a number.
STATUS = tuple(f"timeliness_{k}" for k in MONTHS)
#: Amounts whose logarithm is nearer to a bell.
AMOUNTS = ("credit_limit", *(f"{what}_{k}" for what in ("balance", "payment") for k in MONTHS))


def features(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that models take, from a table that has those of `RAW`.

    Delays as numbers (not readable ones as gaps), the months that were late and the worst of them,
    each balance over the limit and where that goes, each payment over the bill that it settles.
    """
    limit = frame["credit_limit"].to_numpy(np.float64)
    limit = np.where(limit > 0, limit, np.nan)
    made: dict[str, object] = {name: frame[name] for name in RAW}
    delays = np.column_stack([delay(frame[name]) for name in STATUS])
    used = np.column_stack([frame[f"balance_{k}"].to_numpy(np.float64) / limit for k in MONTHS])
    made |= {f"delay_{k}": delays[:, k - 1] for k in MONTHS}
    made["late_months"] = (delays >= 1).sum(1).astype(np.float64)
    made["worst_delay"] = np.nan_to_num(delays, nan=-2.0).max(1)
    made |= {f"used_{k}": used[:, k - 1] for k in MONTHS}
    made["used_more"] = used[:, 0] - used[:, 5]
    for k in range(1, 6):
        bill = frame[f"balance_{k + 1}"].to_numpy(np.float64)
        paid = frame[f"payment_{k}"].to_numpy(np.float64)
        share = paid / np.where(bill > 0, bill, 1.0)
        made[f"paid_{k}"] = np.where(bill > 0, np.clip(share, 0, 2), np.where(bill <= 0, 1, np.nan))
    return pd.DataFrame(made, index=frame.index)


def delay(status: pd.Series) -> NDArray[np.float64]:
    """From `m+2` to 2.0 (n,); NaN for a gap or what is no status."""
    found = status.astype("string").str.extract(r"^m([+-]\d+)$", expand=False)
    return pd.to_numeric(found, errors="coerce").to_numpy(np.float64, na_value=np.nan)


def derived_error(frame: pd.DataFrame) -> float:
    """How far the derived columns lie from the means that they are, at most, as a share.

    0 says that they hold nothing new; a table without them gives 0 too.
    """
    worst = 0.0
    for name, what in DERIVED.items():
        if name in frame:
            mean = frame[[f"{what}_{k}" for k in MONTHS]].mean(axis=1)
            apart = (frame[name] - mean).abs() / mean.abs().clip(lower=1.0)
            worst = max(worst, float(apart.max()))
    return worst
