"""From a table's columns to what a model takes; all of it is fitted on training rows alone.

Two encodings serve the two kinds of models. Distances and linear maps want numbers of one scale
without gaps: `dense`. Trees want nothing scaled and can ask whether a value is missing: `coded`.
Categories that training never saw become none of the known levels in both.
"""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from tabular_labs.schema import Schema


def dense(schema: Schema, *, log: tuple[str, ...] = ()) -> ColumnTransformer:
    """Numbers with gaps filled by the median and standardized, categories as indicators.

    A gap is told by an indicator besides. log : columns of amounts, which go through
    sign(x) log(1 + |x|) first.
    """
    plain = [name for name in schema.numbers if name not in log]
    parts: list[tuple[str, Any, list[str]]] = []
    if plain:
        parts.append(("numbers", _scaled(), plain))
    if log:
        shrink = FunctionTransformer(_signed_log, feature_names_out="one-to-one")
        parts.append(("amounts", Pipeline([("log", shrink), ("scale", _scaled())]), list(log)))
    if schema.categories:
        levels = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float64)
        parts.append(("categories", make_pipeline(Filled(), levels), schema.categories))
    return ColumnTransformer(parts)


def _scaled() -> Pipeline:
    return make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())


def _signed_log(x: Any) -> Any:
    return np.sign(x) * np.log1p(np.abs(x))


class Filled(TransformerMixin, BaseEstimator):
    """Missing categories as a level of their own, named by an empty text."""

    def fit(self, X: pd.DataFrame, y: object = None) -> "Filled":
        """Nothing is learnt but the columns' names."""
        self.columns_ = list(X.columns)
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """Texts (n, columns)."""
        return X.astype(object).where(X.notna(), "").to_numpy(dtype=object)

    def get_feature_names_out(self, names: object = None) -> np.ndarray:
        """The columns' names."""
        return np.array(self.columns_, dtype=object)


class Coded(TransformerMixin, BaseEstimator):
    """Numbers as they are; categories as their levels' numbers; NaN for gaps and unseen levels.

    The levels' order is their mean target in the training rows where `by_target` is told, which
    trees split better than the order of the alphabet; otherwise the alphabet's.

    Attributes
    ----------
    categories_ : the places of the categories among the columns.
    """

    def __init__(self, schema: Schema, by_target: bool = False) -> None:
        self.schema, self.by_target = schema, by_target

    def fit(self, X: pd.DataFrame, y: Any = None) -> "Coded":
        """Learn the levels of each category from the training rows."""
        self.codes_: dict[str, dict[str, int]] = {}
        for name in self.schema.categories:
            values = X[name]
            if self.by_target:
                means = pd.Series(np.asarray(y, float), index=X.index).groupby(values).mean()
                levels = list(means.sort_values(kind="stable").index)
            else:
                levels = sorted(values.dropna().unique())
            self.codes_[name] = {level: code for code, level in enumerate(levels)}
        self.categories_ = [self.schema.names.index(name) for name in self.schema.categories]
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """float64 (n, columns), in the schema's order."""
        columns = [
            X[name].map(self.codes_[name]) if name in self.codes_ else X[name]
            for name in self.schema.names
        ]
        return np.column_stack([np.asarray(column, np.float64) for column in columns])


class Binned(TransformerMixin, BaseEstimator):
    """Every column as a small whole number: numbers by quantiles, categories by level.

    A gap and an unseen level have the number 0. What naive Bayes over categories takes.

    Parameters
    ----------
    schema : the columns.
    bins : of a number; fewer where quantiles fall together.

    Attributes
    ----------
    sizes_ : how many numbers each column takes.
    """

    def __init__(self, schema: Schema, bins: int = 8) -> None:
        self.schema, self.bins = schema, bins

    def fit(self, X: pd.DataFrame, y: object = None) -> "Binned":
        """Learn the quantiles and the levels from the training rows."""
        self.edges_: dict[str, np.ndarray] = {}
        self.levels_: dict[str, dict[str, int]] = {}
        for name in self.schema.numbers:
            values = X[name].to_numpy(np.float64)
            shares = np.linspace(0, 1, self.bins + 1)[1:-1]
            known = values[~np.isnan(values)]
            self.edges_[name] = np.unique(np.quantile(known, shares)) if len(known) else known
        for name in self.schema.categories:
            levels = sorted(X[name].dropna().unique())
            self.levels_[name] = {level: 1 + code for code, level in enumerate(levels)}
        self.sizes_ = [
            len(self.edges_[name]) + 2 if name in self.edges_ else len(self.levels_[name]) + 1
            for name in self.schema.names
        ]
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """int64 (n, columns), in the schema's order."""
        columns = []
        for name in self.schema.names:
            if name in self.edges_:
                values = X[name].to_numpy(np.float64)
                places = 1 + np.searchsorted(self.edges_[name], values, side="right")
                columns.append(np.where(np.isnan(values), 0, places))
            else:
                columns.append(X[name].map(self.levels_[name]).fillna(0).to_numpy(np.int64))
        return np.column_stack(columns).astype(np.int64)
