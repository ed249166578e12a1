"""What boosted estimators have in common: checked input, classes, and prediction from raw sums."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from supervised_learning.boosting_threads import use_threads
from supervised_learning.histogram.losses import LogLoss, Loss, Softmax, SquaredError
from supervised_learning.histogram.predictor import Scorer


class BoostedTrees(BaseEstimator):
    """Checks input, and sums trees.

    A fit sets `_loss`, `_start`, the constant raw prediction (n_outputs,), and `_scorer`.
    """

    _loss: Loss
    _start: NDArray[np.float64]
    _scorer: Scorer

    def _checked(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[NDArray, NDArray[np.float64], NDArray[np.float64] | None]:
        """X float (n, n_features), y float64 (n,) with classes numbered, the weights or None."""
        X, y = validate_data(
            self,
            X,
            y,
            dtype=[np.float64, np.float32],
            order="C",
            ensure_all_finite=False,
            ensure_min_samples=2,
            y_numeric=isinstance(self, RegressorMixin),
        )
        if np.isinf(X).any():  # NaN is a value that is missing; infinity is a mistake
            raise ValueError("X contains infinity; boosting takes finite numbers and NaN")
        check_consistent_length(X, y)
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        return X, *self._target(y, weight)

    def _target(
        self, y: NDArray, weight: NDArray | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        raise NotImplementedError

    def _raw(self, X: ArrayLike) -> NDArray[np.float64]:
        """The raw prediction (n_outputs, n)."""
        check_is_fitted(self)
        X = validate_data(
            self,
            X,
            dtype=[np.float64, np.float32],
            order="C",
            ensure_all_finite=False,
            reset=False,
        )
        raw = np.repeat(self._start[:, None], len(X), axis=1)
        with use_threads(None, X.size):
            self._scorer.add(X, raw)
        return raw

    def __sklearn_tags__(self) -> Any:
        """NaN is taken as a missing value."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class BoostedClassifier(ClassifierMixin, BoostedTrees):
    """Boosting with the log loss of two or more classes."""

    classes_: NDArray
    class_weight: Any

    def _target(
        self, y: NDArray, weight: NDArray | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if self.class_weight is not None:
            by_class = compute_sample_weight(self.class_weight, y)
            weight = by_class if weight is None else weight * by_class
        return codes.astype(np.float64), weight

    def _log_loss(self, hessian_factor: float = 1.0) -> Loss:
        n_classes = len(self.classes_)
        return LogLoss() if n_classes <= 2 else Softmax(n_classes, hessian_factor)

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """The log odds of the second class (n,), or with more classes one sum each (n, n_classes).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        """
        raw = self._raw(X)
        return raw[0] if len(raw) == 1 else raw.T

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probability of each class, (n_samples, n_classes), in the order of `classes_`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        """
        raw = self._raw(X)
        return self._loss.predict(raw)[:, : len(self.classes_)]

    def predict(self, X: ArrayLike) -> NDArray:
        """The most probable class, (n_samples,).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        """
        raw = self._raw(X)
        codes = (raw[0] > 0).astype(np.intp) if len(raw) == 1 else raw.argmax(axis=0)
        return self.classes_[codes]


class BoostedRegressor(RegressorMixin, BoostedTrees):
    """Boosting with the squared error."""

    def _target(
        self, y: NDArray, weight: NDArray | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        self._loss = SquaredError()
        return y.astype(np.float64, copy=False), weight

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """The expected target, (n_samples,).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        """
        raw = self._raw(X)
        return self._loss.predict(raw)
