"""Credit-card customers whose probability of default is known, with the columns of the real table.

Each has a habit (pays all, pays some, falls behind), which decides bills, payments and delays of
six months. The probability of default depends on what the table shows, not on the habit itself:
on delays, on a high balance only with a small payment, on the limit only where the customer is
late, and on age at both of its ends.
"""

import numpy as np
import pandas as pd

from tabular_labs.generated import Known


def cards(n: int, seed: int) -> Known:
    """A table with the columns of `credit.RAW` and the two derived ones; about a fifth default."""
    rng = np.random.default_rng(seed)
    limit = np.clip(np.exp(rng.normal(11.7, 0.8, n)), 1e4, 8e5).round(-4)
    habit = rng.normal(0, 1, n)
    pays_all = rng.random(n) < _sigmoid(-0.4 - habit)
    share_used = _sigmoid(-0.6 + 0.9 * habit + rng.normal(0, 0.8, n))
    idle = rng.random(n) < 0.06
    late = np.zeros(n)
    balance, payment, status = {}, {}, {}
    bill = np.zeros(n)
    for k in range(6, 0, -1):
        missed = rng.random(n) < _sigmoid(-2.7 + 1.0 * habit + 2.0 * (late > 0))
        late = np.where(missed & ~idle, np.minimum(late + 1, 8), 0)
        paid = np.where(pays_all, bill, bill * rng.uniform(0.03, 0.12, n))
        payment[k] = np.where(missed | idle, 0, paid).round()
        bill = limit * share_used * np.exp(rng.normal(0, 0.12, n))
        bill = np.where(idle, 0, np.where(pays_all, 0.4 * bill, bill)).round()
        balance[k] = bill
        settled = np.select([idle, pays_all], ["m-2", "m-1"], "m+0")
        status[k] = np.where(late > 0, np.char.add("m+", late.astype(int).astype(str)), settled)
    late_months = sum(np.char.startswith(status[k], "m+") & (status[k] != "m+0") for k in status)
    used = balance[1] / limit
    age = rng.integers(21, 70, n).astype(float)
    little = payment[1] < 0.06 * balance[2]
    score = (
        -2.9
        + 1.0 * (late >= 1)
        + 0.4 * np.minimum(late, 3)
        + 0.2 * late_months
        + 1.6 * (used > 0.45) * little
        - 0.5 * np.log(limit / 1.2e5) * (late >= 1)
        + 1.2 * ((age - 45) / 17) ** 2
    )
    probability = _sigmoid(score)
    X = pd.DataFrame(
        {
            "credit_limit": limit,
            "gender": rng.choice(["female", "male"], n, p=[0.6, 0.4]),
            "education": rng.choice(["grad", "hs", "uni", "other1"], n, p=[0.35, 0.16, 0.47, 0.02]),
            "marital_status": rng.choice(["married", "single"], n),
            "age": age,
            **{f"timeliness_{k}": status[k] for k in range(1, 7)},
            **{f"balance_{k}": balance[k] for k in range(1, 7)},
            **{f"payment_{k}": payment[k] for k in range(1, 7)},
        }
    )
    for what in ("balance", "payment"):
        X[f"avg_{what}"] = X[[f"{what}_{k}" for k in range(1, 7)]].mean(axis=1)
    return Known(X, (rng.random(n) < probability).astype(np.int64), probability)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))
