"""Choose among models by cross-validation inside the training rows.

What wins there is fitted on all training rows. The rows that judge the choice are not among them,
so that a choice costs nothing in honesty; it costs a few fits. With enough rows the chosen model
does as well as the best of the candidates would have. Small tables are where that matters: boosted
trees, which win on large ones, have little to split in a hundred rows.

Mark van der Laan, Eric Polley and Alan Hubbard, Super learner, 2007.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.metrics import log_loss

from tabular_labs.folds import repeated_folds, twin_groups


class Chosen(ClassifierMixin, BaseEstimator):
    """The classifier among some that has the least held-out loss in the training rows.

    Equal rows stay in one fold. The first candidate wins a tie.

    Parameters
    ----------
    candidates : classifiers with `predict_proba`, by name.
    by : "log_loss", or "error" for the share of wrong classes.
    folds, repetitions : of the inner cross-validation.
    seed : of its folds.

    Attributes
    ----------
    losses_ : the mean loss of each candidate.
    name_ : of the one that was chosen.
    model_ : it, fitted on all training rows.
    """

    def __init__(
        self,
        candidates: Mapping[str, Any],
        *,
        by: str = "log_loss",
        folds: int = 5,
        repetitions: int = 1,
        seed: int = 0,
    ) -> None:
        self.candidates, self.by = candidates, by
        self.folds, self.repetitions, self.seed = folds, repetitions, seed

    def fit(self, X: pd.DataFrame, y: NDArray[Any]) -> "Chosen":
        """Judge the candidates and fit the best; X is a frame (n, columns), y (n,).

        Raises ValueError for no candidates or an unknown loss.
        """
        if not self.candidates:
            raise ValueError("no candidates to choose from")
        if self.by not in ("log_loss", "error"):
            raise ValueError(f"by={self.by!r}; log_loss and error are taken")
        self.classes_ = np.unique(y)
        seeds = range(self.seed, self.seed + self.repetitions)
        losses: dict[str, list[float]] = {name: [] for name in self.candidates}
        for splits in repeated_folds(y, twin_groups(X), self.folds, seeds):
            for train, test in splits:
                for name, model in self.candidates.items():
                    fitted = clone(model).fit(X.iloc[train], y[train])
                    losses[name].append(self._loss(y[test], fitted.predict_proba(X.iloc[test])))
        self.losses_ = {name: float(np.mean(values)) for name, values in losses.items()}
        self.name_ = min(self.losses_, key=lambda name: self.losses_[name])
        self.model_ = clone(self.candidates[self.name_]).fit(X, y)
        return self

    def _loss(self, y: NDArray[Any], shares: NDArray[np.float64]) -> float:
        if self.by == "error":
            return float(np.mean(self.classes_[shares.argmax(1)] != y))
        return float(log_loss(y, shares, labels=self.classes_))

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Probabilities (n, classes)."""
        return np.asarray(self.model_.predict_proba(X), np.float64)

    def predict(self, X: pd.DataFrame) -> NDArray[Any]:
        """The most probable class (n,)."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(1)])
