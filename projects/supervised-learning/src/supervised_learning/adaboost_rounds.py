"""The rounds of AdaBoost, for classes and for values: fit a learner, weigh it, weigh the rows anew.

`adaboost` has the mathematics. Any learner is fitted by its `fit`. Where it is one of our own trees
the table is turned into sorted columns once, and every round grows its tree on these.
"""

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, get_tags
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from supervised_learning.tree.columns import Columns
from supervised_learning.tree.estimators import MAX_SEED

#: A row that has a weight keeps at least this share of it.
_LEAST = float(np.finfo(np.float64).eps)

Round = tuple[NDArray[np.float64], float, float]


@dataclass
class Rows:
    """What learners are trained on: X (n, d), y (n,), and the columns for our own trees."""

    X: Any
    y: NDArray
    columns: Columns | None


class BaseAdaBoost(ABC, BaseEstimator):
    """What boosting for classes and for values shares: the rounds and their weights."""

    #: The kind of our own trees, which are grown on columns that are sorted once.
    _tree: ClassVar[Any]

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": [HasMethods(["fit", "predict"]), None],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0.0, None, closed="neither")],
        "random_state": ["random_state"],
    }

    @abstractmethod
    def _default(self) -> Any:
        """The learner that is boosted where none is given."""

    @abstractmethod
    def _round(
        self, estimator: Any, rows: Rows, weight: NDArray[np.float64], random_state: Any
    ) -> Round | None:
        """Fit one learner: the rows' new weights (n,), its say and its error.

        None where it is too bad to have a say; an error of 0 ends the rounds.
        """

    def _check(self, X: ArrayLike, *y: Any) -> Any:
        """X as the learners take it, with y where there is one to fit."""
        if y:
            self.estimator_ = self._default() if self.estimator is None else clone(self.estimator)
        # Our own trees take float32; others see to X for themselves.
        options: dict[str, Any] = {"dtype": None, "accept_sparse": ["csr", "csc"]}
        if type(self.estimator_) is self._tree:
            options = {"dtype": np.float32, "order": "C"}
        if y:
            return validate_data(self, X, *y, y_numeric=isinstance(self, RegressorMixin), **options)
        return validate_data(self, X, reset=False, **options)

    def _boost(self, X: Any, y: NDArray, sample_weight: ArrayLike | None) -> None:
        """Run the rounds on X (n, d), y (n,) and the weights (n,)."""
        weight = _check_sample_weight(
            sample_weight, X, dtype=np.float64, copy=True, ensure_non_negative=True
        )
        self.estimators_: list[Any] = []
        self.estimator_weights_ = np.zeros(self.n_estimators)
        self.estimator_errors_ = np.ones(self.n_estimators)
        random_state = check_random_state(self.random_state)
        own = type(self.estimator_) is self._tree
        if own and getattr(self.estimator_, "class_weight", None) is None:
            rows = Rows(X, y, Columns.of(X))
        else:
            rows = Rows(X, y, None)
        has_weight = weight > 0
        for t in range(self.n_estimators):
            total = weight.sum()
            if not 0.0 < total < np.inf:
                warnings.warn(
                    f"the weights of the rows add up to {total} after {t} rounds, which ended the "
                    "fit; lower the learning_rate",
                    ConvergenceWarning,
                    stacklevel=3,
                )
                break
            weight /= total
            weight[has_weight] = weight[has_weight].clip(_LEAST)
            estimator = _with_random_state(clone(self.estimator_), random_state)
            result = self._round(estimator, rows, weight, random_state)
            if result is None and self.estimators_:
                break
            self.estimators_.append(estimator)
            if result is None:
                break
            weight, self.estimator_weights_[t], self.estimator_errors_[t] = result
            if self.estimator_errors_[t] == 0.0:
                break

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """The mean of the learners' feature importances (d,), weighted by their say."""
        check_is_fitted(self)
        if not hasattr(self.estimators_[0], "feature_importances_"):
            raise AttributeError(
                f"{type(self.estimators_[0]).__name__} has no feature_importances_; boost trees"
            )
        says = self.estimator_weights_[: len(self.estimators_)]
        if not says.any():  # one learner, too bad to have a say
            says = np.ones(1)
        parts = np.array([learner.feature_importances_ for learner in self.estimators_])
        return says @ parts / says.sum()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if self.estimator is not None:
            tags.input_tags.sparse = get_tags(self.estimator).input_tags.sparse
        return tags


def _with_random_state(estimator: Any, random_state: np.random.RandomState) -> Any:
    """The estimator with a drawn seed for each parameter that takes one, in their names' order."""
    names = sorted(estimator.get_params())
    seeds = [name for name in names if name.split("__")[-1] == "random_state"]
    return estimator.set_params(**{name: random_state.randint(MAX_SEED) for name in seeds})
