"""Houses whose true worth is known, under the names of the Ames table's columns.

The logarithm of a price is a sum of what makes houses dear, some of it only together, and normal
noise. The noise is all that a perfect model would miss, so that its size is the lowest error.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Houses:
    """The table, the logarithms of the prices, and of what the houses are worth (n,)."""

    X: pd.DataFrame
    y: NDArray[np.float64]
    worth: NDArray[np.float64]


def houses(n: int, seed: int, noise: float = 0.09) -> Houses:
    """Houses in twelve neighborhoods; about one in 500 is huge and sold unfinished, for little."""
    rng = np.random.default_rng(seed)
    place = rng.integers(0, 12, n)
    dear = np.linspace(-0.25, 0.3, 12)[place]
    built = np.clip(rng.normal(1972 + 60 * dear, 25, n), 1890, 2009).round()
    sold = rng.integers(2006, 2011, n).astype(float)
    quality = np.clip((5.6 + 4 * dear + 0.02 * (built - 1972) + rng.normal(0, 1, n)).round(), 1, 10)
    living = np.exp(rng.normal(7.2 + 0.08 * (quality - 6), 0.28, n)).round()
    cellar = (living * rng.uniform(0.4, 0.9, n)).round() * (rng.random(n) > 0.03)
    huge = rng.random(n) < 0.002
    living = np.where(huge, rng.uniform(4200, 5600, n).round(), np.minimum(living, 3900))
    lot = np.exp(rng.normal(9.1, 0.4, n)).round()
    cars = np.clip((1.2 + 0.25 * (quality - 5) + rng.normal(0, 0.6, n)).round(), 0, 3)
    baths = np.clip((living / 1000 + rng.normal(0, 0.4, n)).round(), 1, 4)
    kitchen = np.clip((quality / 2 + rng.normal(0, 0.6, n)).round(), 1, 5).astype(int)
    air = rng.random(n) < 0.93
    worth = (
        8.0
        + 0.42 * np.log(living)
        + 0.08 * quality
        + 0.00012 * cellar * (quality / 6)
        + dear
        + 0.1 * np.log(lot / 9000)
        + 0.06 * cars
        + 0.03 * kitchen
        + 0.05 * air
        - 0.0022 * (sold - built)
        - 0.35 * huge
    )
    grades = np.array(["", "Po", "Fa", "TA", "Gd", "Ex"])
    X = pd.DataFrame(
        {
            "MSSubClass": rng.choice([20.0, 60.0, 120.0], n),
            "LotFrontage": np.where(rng.random(n) < 0.17, np.nan, (np.sqrt(lot) * 0.7).round()),
            "LotArea": lot,
            "Neighborhood": np.array([f"N{k:02d}" for k in range(12)])[place],
            "OverallQual": quality,
            "OverallCond": rng.integers(3, 9, n).astype(float),
            "YearBuilt": built,
            "YearRemodAdd": np.minimum(built + rng.integers(0, 30, n), 2010),
            "TotalBsmtSF": cellar,
            "GrLivArea": living,
            "FullBath": baths,
            "HalfBath": rng.integers(0, 2, n).astype(float),
            "KitchenQual": grades[kitchen],
            "CentralAir": np.where(air, "Y", "N"),
            "GarageCars": cars,
            "SaleCondition": np.where(huge, "Partial", rng.choice(["Normal", "Abnorml"], n)),
            "YrSold": sold,
        }
    )
    return Houses(X, worth + rng.normal(0, noise, n), worth)
