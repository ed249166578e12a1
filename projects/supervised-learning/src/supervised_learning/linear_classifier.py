r"""What the linear classifiers share: the classes, the scores, and the prediction from them.

A linear classifier scores a row $x$ by $s_k = w_k^\top x + b_k$ and answers with the class of the
highest score. For two classes one score is enough: its sign decides.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data


class LinearClassifier(ClassifierMixin, BaseEstimator):
    """Base of the classifiers that learn `coef_` and `intercept_`.

    Attributes
    ----------
    coef_ : array of shape (1, n_features) for two classes, else (n_classes, n_features).
    intercept_ : array of shape (1,) or (n_classes,).
    classes_ : array of shape (n_classes,), sorted.
    """

    coef_: NDArray
    intercept_: NDArray
    classes_: NDArray

    def _read(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[NDArray, NDArray, NDArray | None]:
        """Check the input, set `classes_`; X, the class numbers (n,), and the weights (n,) or None.

        The weights contain `class_weight`, where the estimator has it.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"This solver needs samples of at least 2 classes in the data, but the data "
                f"contains only one class: {self.classes_[0]!r}"
            )
        class_weight = getattr(self, "class_weight", None)
        if sample_weight is None and class_weight is None:
            return X, codes, None
        weight = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
        if class_weight is not None:
            each = compute_class_weight(
                class_weight, classes=self.classes_, y=y, sample_weight=sample_weight
            )
            weight = weight * each[codes].astype(X.dtype)
        return X, codes, weight

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from X of shape (n, d) and the classes y of shape (n,)."""
        raise NotImplementedError

    def decision_function(self, X: ArrayLike) -> NDArray:
        """The scores: shape (n,) for two classes, positive for the second; else (n, n_classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        # One column of scores is a product with a vector: quicker than one with a thin matrix.
        scores: NDArray = X @ (self.coef_[0] if len(self.coef_) == 1 else self.coef_.T)
        scores += self.intercept_
        return scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The class of the highest score for each row: shape (n,)."""
        scores = self.decision_function(X)
        best = (scores > 0).astype(np.intp) if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[best]
