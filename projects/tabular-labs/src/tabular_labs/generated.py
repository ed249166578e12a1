"""Tables with known structure: what decides the target is written down here.

Since the probability of each row is known, so is the best score that any model can reach, and a
model can be held against it instead of against a guess.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Known:
    """A table, its classes 0 and 1, and the probability of class 1 that they were drawn with."""

    X: pd.DataFrame
    y: NDArray[np.int64]
    probability: NDArray[np.float64]


def customers(n: int, seed: int) -> Known:
    """Customers of a telephone company, of whom about a quarter leave.

    Who pays month by month leaves more often, the more so on the fast line and in the first year;
    support holds people. Two columns say the same, one says nothing, and charges have gaps.
    """
    rng = np.random.default_rng(seed)
    contract = rng.choice(["monthly", "one year", "two years"], n, p=[0.55, 0.21, 0.24])
    line = rng.choice(["none", "slow", "fast"], n, p=[0.22, 0.34, 0.44])
    payment = rng.choice(["card", "check", "mail", "transfer"], n)
    support = np.where(line == "none", "no line", rng.choice(["no", "yes"], n, p=[0.62, 0.38]))
    longer = np.select([contract == "monthly", contract == "one year"], [1.0, 2.0], 3.0)
    months = np.minimum(rng.exponential(15 * longer), 72).round()
    price = 20 + 25 * (line == "slow") + 50 * (line == "fast") + rng.normal(0, 8, n)
    price = np.maximum(price, 5)
    senior = rng.random(n) < 0.16
    score = (
        -2.2
        + 1.5 * (contract == "monthly")
        - 1.0 * (contract == "two years")
        + 0.9 * (line == "fast")
        + 0.9 * ((line == "fast") & (contract == "monthly") & (months < 12))
        - 0.7 * (line == "none")
        - 0.8 * (support == "yes")
        + 0.5 * (payment == "check")
        + 0.3 * senior
        - 0.03 * months
        + 0.012 * (price - 60)
    )
    probability = 1 / (1 + np.exp(-score))
    charges = months * price * rng.normal(1, 0.02, n)
    charges[rng.random(n) < 0.02] = np.nan
    X = pd.DataFrame(
        {
            "contract": contract,
            "line": line,
            "payment": payment,
            "support": support,
            "senior": np.where(senior, "yes", "no"),
            "months": months,
            "price": price.round(2),
            "charges": charges.round(2),
            "region": rng.choice(["east", "north", "south", "west"], n),
        }
    )
    return Known(X, _draw(rng, probability), probability)


def _draw(rng: np.random.Generator, probability: Any) -> NDArray[np.int64]:
    return (rng.random(len(probability)) < probability).astype(np.int64)
