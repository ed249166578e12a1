"""A ship's list whose every passenger's chance is known, with the columns of the real one.

Families, friends on one ticket and people alone; women, children and the first class are saved
more often; and each party has its own luck, which nobody sees but in what became of its members.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_NAMES = ("Abel", "Berg", "Chan", "Diaz", "Egan", "Fox", "Gray", "Hall", "Ivers", "Jansen", "Kent")


@dataclass(frozen=True)
class Ship:
    """The list, who lived, and each one's chance, the party's luck counted in (n,)."""

    X: pd.DataFrame
    y: NDArray[np.int64]
    chance: NDArray[np.float64]


def ship(n: int, seed: int, luck: float = 1.5) -> Ship:
    """About n passengers (whole parties), in a random order.

    luck : the standard deviation of a party's luck, in log odds.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    chances: list[float] = []
    party = 0
    while len(rows) < n:
        party += 1
        kind = rng.choice(["alone", "friends", "family"], p=[0.62, 0.13, 0.25])
        level = int(rng.choice([1, 2, 3], p=[0.25, 0.2, 0.55]))
        fate = rng.normal(0, luck)
        name = f"{rng.choice(_NAMES)}{party}"
        size = 1 if kind == "alone" else int(rng.integers(2, 4 if kind == "friends" else 7))
        ticket, port = f"{100000 + party}", rng.choice(["C", "Q", "S"], p=[0.2, 0.1, 0.7])
        fare = float(np.round(size * 10.0 * np.exp(1.3 * (3 - level)) ** 0.8, 2))
        deck = f"{rng.choice(list('ABCDE'))}{party}" if level == 1 and rng.random() < 0.8 else None
        for k in range(size):
            child = kind == "family" and k >= 2
            woman = bool(rng.random() < 0.36) if kind != "family" or k >= 2 else k == 1
            age = float(rng.integers(1, 14) if child else rng.integers(17, 65))
            called = ("Miss" if woman else "Master") if child else ("Mrs" if woman else "Mr")
            last = name if kind != "friends" else f"{name}x{k}"
            parents = min(2, size) if child else (size - 2 if kind == "family" and size > 2 else 0)
            siblings = (size - 3 if child else 1) if kind == "family" else 0
            odds = -1.9 + 3.4 * woman + 2.4 * child * (not woman) + 1.2 * (2 - level) + fate
            chances.append(float(1 / (1 + np.exp(-odds))))
            rows.append(
                {
                    "Pclass": level, "Name": f"{last}, {called}. {k + 1}",
                    "Sex": "female" if woman else "male",
                    "Age": age if rng.random() < 0.8 else np.nan,
                    "SibSp": siblings, "Parch": parents, "Ticket": ticket, "Fare": fare,
                    "Cabin": deck, "Embarked": port,
                }
            )  # fmt: skip
    order = rng.permutation(len(rows))
    chance = np.array(chances)[order]
    X = pd.DataFrame(rows).iloc[order].reset_index(drop=True)
    return Ship(X, (rng.random(len(chance)) < chance).astype(np.int64), chance)
