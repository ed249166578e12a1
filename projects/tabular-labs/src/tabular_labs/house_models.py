"""The models of house prices, and the scores that leave large houses out."""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.dummy import DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from supervised_learning import GradientBoostingRegressor, Ridge
from tabular_labs import ames
from tabular_labs.encoding import Coded, dense
from tabular_labs.ensembles import Blend
from tabular_labs.evaluation import number
from tabular_labs.folds import rmsle
from tabular_labs.schema import Schema
from tabular_labs.tuning import Library, TunedBooster


def house_models(schema: Schema, trees: int, trials: int, rounds: int, seed: int) -> dict[str, Any]:
    """Of log prices: one number, ridge, our boosting; the mean of three tuned ones and ridge."""
    amounts = tuple(
        name for name in schema.numbers if name.endswith(("Area", "SF")) or name == "area"
    )
    ours = GradientBoostingRegressor(
        n_estimators=trees, learning_rate=min(0.2, 16 / trees), max_depth=4, subsample=0.7,
        max_features=0.3, min_samples_leaf=5, random_state=seed,
    )  # fmt: skip
    boosters = {
        library: TunedBooster(
            schema, library, regression=True, trials=trials, rounds=rounds, seed=seed
        )
        for library in get_args(Library)
    }
    ridge = make_pipeline(dense(schema, log=amounts), Ridge(alpha=20.0))
    return {
        "baseline": DummyRegressor(),
        "ridge": ridge,
        "boosting": make_pipeline(
            Coded(schema, by_target=True), SimpleImputer(strategy="constant", fill_value=-1), ours
        ),
        "strong": Blend({**boosters, "ridge": ridge}),
    }


def say(model: Any, X: pd.DataFrame) -> NDArray[np.float64]:
    """Columns: what is predicted, 1 for a house that is left out, and the parts of a blend."""
    large = (X["GrLivArea"].to_numpy() > ames.LARGEST).astype(np.float64)
    if not isinstance(model, Blend):
        return np.column_stack([number(model, X), large])
    parts = model.parts(X)
    return np.column_stack([parts.mean(1), large, parts])


def score(column: int, all_rows: bool = False) -> Callable[[NDArray[Any], NDArray[Any]], float]:
    """RMSLE of one of the columns that `say` gives; of the first where there is no such."""

    def measure(y: NDArray[Any], said: NDArray[np.float64]) -> float:
        kept = np.ones(len(y), bool) if all_rows else said[:, 1] == 0
        return rmsle(y[kept], said[kept, column if column < said.shape[1] else 0])

    return measure
