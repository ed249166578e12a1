"""Several models as one: the mean of what they say, or a second model that weighs it.

The mean takes errors off that models do not share. A stack learns how far to trust each, from what
they said of training rows that they were not fitted on; fitted on what they say of their own rows,
it would trust the one that remembers best.

David Wolpert, Stacked generalization, 1992; Leo Breiman, Stacked regressions, 1996.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.model_selection import StratifiedGroupKFold

from supervised_learning import LogisticRegression


class Averaged(ClassifierMixin, BaseEstimator):
    """The mean of the probabilities of some classifiers, by name."""

    def __init__(self, models: Mapping[str, Any]) -> None:
        self.models = models

    def fit(
        self, X: pd.DataFrame, y: NDArray[Any], groups: NDArray[Any] | None = None
    ) -> "Averaged":
        """Fit each; `groups` goes to those that take it."""
        self.classes_ = np.unique(y)
        self.models_ = {name: _fit(model, X, y, groups) for name, model in self.models.items()}
        return self

    def parts(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """The probability of the last class that each model gives (n, models)."""
        return np.column_stack([model.predict_proba(X)[:, -1] for model in self.models_.values()])

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Probabilities (n, classes)."""
        return np.mean([model.predict_proba(X) for model in self.models_.values()], axis=0)

    def predict(self, X: pd.DataFrame) -> NDArray[Any]:
        """The most probable class."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(1)])


class Stacked(ClassifierMixin, BaseEstimator):
    """Logistic regression on the log odds that some classifiers give, for two classes.

    Parameters
    ----------
    models : by name.
    folds : of the training rows, from which the second model learns.
    seed : of the folds.

    Attributes
    ----------
    weights_ : of each model's log odds.
    """

    def __init__(self, models: Mapping[str, Any], *, folds: int = 5, seed: int = 0) -> None:
        self.models, self.folds, self.seed = models, folds, seed

    def fit(
        self, X: pd.DataFrame, y: NDArray[Any], groups: NDArray[Any] | None = None
    ) -> "Stacked":
        """Fit the second model on held-out odds, and each classifier on all rows.

        groups : (n,), whose rows stay in one fold. Raises ValueError for other than two classes.
        """
        self.classes_ = np.unique(y)
        if len(self.classes_) != 2:
            raise ValueError(f"{len(self.classes_)} classes; a stack takes two")
        kept = np.arange(len(y)) if groups is None else groups
        odds = np.zeros((len(y), len(self.models)))
        folds = StratifiedGroupKFold(self.folds, shuffle=True, random_state=self.seed)
        for train, test in folds.split(X, y, kept):
            inside = None if groups is None else groups[train]
            for k, model in enumerate(self.models.values()):
                fitted = _fit(model, X.iloc[train], y[train], inside)
                odds[test, k] = _odds(fitted, X.iloc[test])
        self.second_ = LogisticRegression().fit(odds, y)
        self.weights_ = dict(zip(self.models, self.second_.coef_[0].tolist(), strict=True))
        self.models_ = {name: _fit(model, X, y, groups) for name, model in self.models.items()}
        return self

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Probabilities (n, 2)."""
        odds = np.column_stack([_odds(model, X) for model in self.models_.values()])
        return np.asarray(self.second_.predict_proba(odds), np.float64)

    def predict(self, X: pd.DataFrame) -> NDArray[Any]:
        """The more probable class."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(1)])


def takes_groups(model: Any) -> bool:
    """Whether a model's `fit` has a parameter `groups`."""
    return "groups" in inspect.signature(type(model).fit).parameters


def _fit(model: Any, X: pd.DataFrame, y: NDArray[Any], groups: NDArray[Any] | None) -> Any:
    told = {"groups": groups} if groups is not None and takes_groups(model) else {}
    return clone(model).fit(X, y, **told)


def _odds(model: Any, X: pd.DataFrame) -> NDArray[np.float64]:
    share = np.clip(np.asarray(model.predict_proba(X), np.float64)[:, 1], 1e-3, 1 - 1e-3)
    return np.log(share / (1 - share))


class Blend(RegressorMixin, BaseEstimator):
    """The mean of the numbers that some models predict, by name."""

    def __init__(self, models: Mapping[str, Any]) -> None:
        self.models = models

    def fit(self, X: pd.DataFrame, y: NDArray[Any]) -> "Blend":
        """Fit each on X (n, columns) and y (n,)."""
        self.models_ = {name: clone(model).fit(X, y) for name, model in self.models.items()}
        return self

    def parts(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """What each model predicts (n, models)."""
        return np.column_stack([model.predict(X) for model in self.models_.values()])

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """The mean (n,)."""
        return np.asarray(self.parts(X).mean(1), np.float64)
