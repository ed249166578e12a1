"""Real tables as a problem to learn: the features, the target, and what is not to be seen.

`frame("adult")` gives a pandas frame and its target, `matrix("adult")` the same as numbers. Columns
that name a row, or that are known only after the fact, are left out, and each is listed here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from groundwork.data.registry import Bunch, DataError
from groundwork.suggest import unknown

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Table:
    """Where a problem lies: the data set's part, the target's column, the columns left out."""

    target: str
    left_out: tuple[str, ...] = ()
    regression: bool = False
    part: str = "frame"


#: The problems by the name of their data set.
TABLES: dict[str, Table] = {
    "adult": Table("income", part="train"),
    "ames_full": Table("SalePrice", ("Order", "PID"), regression=True),
    "california_housing": Table("median_house_value", regression=True),
    "concrete": Table("strength", regression=True),
    "creditcard_fraud_sample": Table("Class"),
    "diamonds": Table("price", regression=True),
    "insurance": Table("charges", regression=True),
    "jb_abalone": Table("target", regression=True),
    "jb_banknote_authentication": Table("target"),
    "jb_german": Table("target"),
    "jb_glass": Table("target"),
    "jb_ionosphere": Table("target"),
    "jb_pima_indians_diabetes": Table("target"),
    "jb_sonar": Table("target"),
    "jb_wheat_seeds": Table("target"),
    "jb_winequality_red": Table("target", regression=True),
    "jb_winequality_white": Table("target", regression=True),
    "letter": Table("letter"),
    "lightgbm_binary": Table("target", part="train"),
    "mushrooms": Table("type"),
    "otto": Table("target", ("id",)),
    "penguins": Table("species"),
    "rubix_credit": Table("default"),
    "rubix_dota2": Table("outcome"),
    "student_mat": Table("G3", regression=True),
    "telco_churn": Table("Churn", ("customerID",)),
    "titanic": Table("Survived", ("PassengerId", "Name", "Ticket", "Cabin"), part="train"),
    "wisdm_har": Table("class", ("UNIQUE_ID", "user")),
}

#: The embedded sets that are tables already: name → whether the target is a number.
EMBEDDED_TABLES = {
    "breast_cancer": False,
    "diabetes": True,
    "digits": False,
    "friedman1": True,
    "iris": False,
    "wine": False,
}

Loader = Callable[[str], Bunch]


def is_regression(name: str) -> bool:
    """Whether the target of a table is a number."""
    return EMBEDDED_TABLES[name] if name in EMBEDDED_TABLES else _table(name).regression


def frame(name: str, load: Loader | None = None) -> "tuple[pd.DataFrame, NDArray[Any]]":
    """The features as a frame (n, columns), categories as text, and the target (n,).

    Classes are numbered from 0 in sorted order. Rows without a target are left out. `load` is the
    function that loads a data set by name: a lab gives `run.data`. Raises DataError for a name
    that is no table.
    """
    import pandas as pd

    if load is None:
        from groundwork.data import load as load_set

        load = load_set
    if name in EMBEDDED_TABLES:
        bunch = load(name)
        y = np.asarray(bunch["y"])
        x = np.asarray(bunch["x"])
        x = x.reshape(len(x), -1)
        names = bunch.get("features")
        columns = [f"x{i}" for i in range(x.shape[1])] if names is None else list(names)
        return pd.DataFrame(x, columns=columns), y
    table = _table(name)
    whole = load(name)[table.part]
    whole = whole[whole[table.target].notna()].reset_index(drop=True)
    features = whole.drop(columns=[table.target, *table.left_out])
    target = whole[table.target].to_numpy()
    if table.regression:
        return features, target.astype(np.float64)
    return features, np.unique(target.astype(str), return_inverse=True)[1].astype(np.int64)


def matrix(
    name: str,
    load: Loader | None = None,
    *,
    rows: int | None = None,
    seed: int = 0,
    standardize: bool = False,
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """A table as numbers: X float64 (n, d) and y (n,).

    A missing number becomes the column's median; a category becomes one column of 0 and 1 for each
    of its values but the first (missing is a value too), where it has at most 30 of them, and
    otherwise the number of rows that share it.

    Parameters
    ----------
    rows : take this many rows, drawn without replacement; None takes all.
    seed : the seed of that draw.
    standardize : take off each column's mean and divide by its standard deviation.
    """
    import pandas as pd

    features, y = frame(name, load)
    if rows is not None and rows < len(y):
        chosen = np.sort(np.random.default_rng(seed).permutation(len(y))[:rows])
        features, y = features.iloc[chosen], y[chosen]
    columns: list[NDArray[np.float64]] = []
    for column in features:
        values = features[column]
        if pd.api.types.is_numeric_dtype(values.dtype):
            numbers = values.astype(np.float64)
            columns.append(numbers.fillna(numbers.median()).fillna(0.0).to_numpy())
            continue
        text = values.astype(object).where(values.notna(), "missing").astype(str)
        if text.nunique() <= 30:
            columns += [(text == value).to_numpy(np.float64) for value in sorted(set(text))[1:]]
        else:
            columns.append(text.map(text.value_counts()).to_numpy(np.float64))
    x = np.column_stack(columns)
    if standardize:
        x = x - x.mean(axis=0)
        spread = x.std(axis=0)
        x /= np.where(spread > 0, spread, 1.0)
    return np.ascontiguousarray(x), y


def _table(name: str) -> Table:
    if name not in TABLES:
        raise DataError(unknown("table", name, sorted({*TABLES, *EMBEDDED_TABLES})))
    return TABLES[name]
