"""Houses of Ames: one table in two spellings, grades as numbers, and what is made of them.

De Cock's table and Kaggle's halves of it name the same columns `Gr Liv Area` and `GrLivArea`.
Kaggle's training part, as it is had here, has 0 where a frontage or a garage's year is not known,
and its other part a gap: a model would tell the parts apart, and learn from the one what the other
does not have. `features` makes both alike. It works on one row at a time; nothing is learnt here.

Dean De Cock, Ames, Iowa: alternative to the Boston housing data as an end of semester regression
project, 2011.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tabular_labs.schema import Schema

#: Houses above this living area (square feet) are left out of training, as the table's author asks.
LARGEST = 4000.0
#: Columns that name a row, and the answer.
NOT_FEATURES = ("Order", "PID", "Id", "SalePrice")

_QUALITY = ("Po", "Fa", "TA", "Gd", "Ex")
_FINISH = ("Unf", "LwQ", "Rec", "BLQ", "ALQ", "GLQ")
_GRADES: dict[str, tuple[str, ...]] = {
    "ExterQual": _QUALITY, "ExterCond": _QUALITY, "BsmtQual": _QUALITY, "BsmtCond": _QUALITY,
    "HeatingQC": _QUALITY, "KitchenQual": _QUALITY, "FireplaceQu": _QUALITY,
    "GarageQual": _QUALITY, "GarageCond": _QUALITY, "PoolQC": _QUALITY,
    "BsmtExposure": ("No", "Mn", "Av", "Gd"),
    "BsmtFinType1": _FINISH, "BsmtFinType2": _FINISH,
    "Functional": ("Sal", "Sev", "Maj2", "Maj1", "Mod", "Min2", "Min1", "Typ"),
    "GarageFinish": ("Unf", "RFn", "Fin"),
    "PavedDrive": ("N", "P", "Y"),
    "CentralAir": ("N", "Y"),
    "Fence": ("MnWw", "GdWo", "MnPrv", "GdPrv"),
    "LotShape": ("IR3", "IR2", "IR1", "Reg"),
    "LandSlope": ("Sev", "Mod", "Gtl"),
}  # fmt: skip
#: Numbers whose 0 says that nobody knows, and numbers whose gap says that there is nothing.
_UNKNOWN_AS_ZERO = ("LotFrontage", "GarageYrBlt")
_NOTHING_AS_GAP = (
    "MasVnrArea", "BsmtFinSF1", "BsmtFinSF2", "BsmtUnfSF", "TotalBsmtSF", "BsmtFullBath",
    "BsmtHalfBath", "GarageCars", "GarageArea",
)  # fmt: skip
#: Columns that together name a house in both spellings.
_SAME_HOUSE = (
    "LotArea", "YearBuilt", "1stFlrSF", "GrLivArea", "GarageArea", "BsmtUnfSF", "OpenPorchSF",
    "WoodDeckSF", "MoSold", "YrSold", "Neighborhood",
)  # fmt: skip


def kaggle_names(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table, its columns named as Kaggle does: without blanks and strokes."""
    return frame.rename(columns=lambda name: str(name).replace(" ", "").replace("/", ""))


def features(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that models take, from either spelling; those that are not there are left out.

    Grades become numbers, 0 for what the house does not have; the building's class is a category;
    areas, baths and ages are added up.
    """
    table = kaggle_names(frame)
    made: dict[str, Any] = {}
    for name in table:
        values = table[name]
        if name in NOT_FEATURES:
            continue
        if name in _GRADES:
            codes = {grade: float(k + 1) for k, grade in enumerate(_GRADES[name])}
            made[name] = values.map(codes).astype(np.float64).fillna(0.0)
        elif name == "MSSubClass":
            made[name] = values.map(lambda code: None if pd.isna(code) else f"{float(code):g}")
        elif pd.api.types.is_numeric_dtype(values):
            made[name] = values.astype(np.float64)
        else:
            made[name] = values.map(lambda text: text.strip() if isinstance(text, str) else None)
    for name in _UNKNOWN_AS_ZERO:
        if name in made:
            made[name] = made[name].where(made[name] > 0)
    for name in _NOTHING_AS_GAP:
        if name in made:
            made[name] = made[name].fillna(0.0)
    done = pd.DataFrame(made, index=table.index)
    return pd.concat([done, _sums(done)], axis=1)


def _sums(done: pd.DataFrame) -> pd.DataFrame:
    """Columns made of several others, where those are there."""

    def of(name: str) -> Any:
        return done[name] if name in done else pd.Series(0.0, index=done.index)

    made = {
        "area": of("GrLivArea") + of("TotalBsmtSF"),
        "baths": of("FullBath") + of("BsmtFullBath") + 0.5 * (of("HalfBath") + of("BsmtHalfBath")),
        "age": (of("YrSold") - of("YearBuilt")).clip(lower=0),
        "since_works": (of("YrSold") - of("YearRemodAdd")).clip(lower=0),
        "porches": sum(
            of(name) for name in ("OpenPorchSF", "EnclosedPorch", "3SsnPorch", "ScreenPorch")
        ),
        "quality_area": of("OverallQual") * (of("GrLivArea") + of("TotalBsmtSF")),
    }
    return pd.DataFrame(made, index=done.index)


def same_houses(frame: pd.DataFrame, other: pd.DataFrame) -> NDArray[np.int64]:
    """For each row of `frame` the place of the one row of `other` that is the same house (n,).

    -1 where there is none or more than one.
    """
    places: dict[tuple[object, ...], int] = {}
    for i, key in enumerate(_house_keys(other)):
        places[key] = -1 if key in places else i
    return np.array([places.get(key, -1) for key in _house_keys(frame)], np.int64)


def _house_keys(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    table = kaggle_names(frame)[list(_SAME_HOUSE)]
    table = table.fillna(0.0)
    return list(table.itertuples(index=False, name=None))


class Priced:
    """A fitted model of log prices as one of prices, from the raw table."""

    def __init__(self, model: Any, schema: Schema) -> None:
        self.model, self.schema = model, schema

    def predict(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Prices (n,)."""
        inputs = self.schema.conform(features(frame))
        return np.exp(np.asarray(self.model.predict(inputs), np.float64))


def submission(numbers: pd.Series, prices: NDArray[np.float64]) -> pd.DataFrame:
    """Kaggle's form: `Id,SalePrice`, one line a house.

    Raises ValueError for another length, a price that is none, or a number that stands there twice.
    """
    if len(numbers) != len(prices):
        raise ValueError(f"{len(numbers)} houses and {len(prices)} prices")
    if not (np.isfinite(prices) & (prices > 0)).all():
        raise ValueError("a price is not a number above 0")
    if numbers.duplicated().any():
        raise ValueError(f"house {numbers[numbers.duplicated()].iloc[0]} stands there twice")
    return pd.DataFrame({"Id": numbers.to_numpy(np.int64), "SalePrice": prices.round(2)})
