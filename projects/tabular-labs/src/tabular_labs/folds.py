"""Folds that keep equal rows together.

A row whose twin was trained on is no new row: a model that remembers has its answer. Small tables
have such rows for good reasons, flowers of one size and couples of one mind, so they are not thrown
out; they stay in one fold.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import StratifiedGroupKFold

Split = tuple[NDArray[np.int64], NDArray[np.int64]]


def twin_groups(X: pd.DataFrame) -> NDArray[np.int64]:
    """A number for each row (n,): equal rows have the same, gaps are equal to gaps."""
    groups = X.groupby(list(X.columns), dropna=False, sort=False).ngroup()
    return np.asarray(groups, np.int64)


def repeated_folds(
    y: NDArray[Any], groups: NDArray[np.int64], folds: int, seeds: Sequence[int]
) -> list[list[Split]]:
    """For each seed a cross-validation with the classes' shares in each fold and groups whole.

    Raises ValueError where a class has fewer rows than there are folds.
    """
    smallest = int(np.unique(y, return_counts=True)[1].min())
    if smallest < folds:
        raise ValueError(f"{folds} folds, but a class has {smallest} rows")
    rows = np.zeros(len(y))
    return [
        list(StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(rows, y, groups))
        for seed in seeds
    ]


def accuracy(y: NDArray[Any], said: NDArray[np.float64]) -> float:
    """The share that is right: the more probable of two classes (n,), the most probable (n, k)."""
    told = said.argmax(1) if said.ndim == 2 else (said >= 0.5).astype(np.int64)
    return float(np.mean(told == y))


def rmsle(y: NDArray[np.float64], said: NDArray[np.float64]) -> float:
    """The root of the mean squared error of logarithms; y and said are logarithms already."""
    return float(root_mean_squared_error(y, said))
