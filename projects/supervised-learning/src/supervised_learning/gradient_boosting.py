r"""Gradient boosting: trees that follow the gradient of a loss, one small step each.

A model $F$ is a sum of trees. Let $L(y, F)$ be a loss. Its negative gradient at each row,
$r_i = -\partial L(y_i, F(x_i)) / \partial F(x_i)$, says where the prediction of that row should go;
for the squared error it is just the residual $y_i - F(x_i)$. One round

1. fits a regression tree to the $r_i$, which finds regions of rows with a common direction;
2. looks in each leaf for the best step, $\gamma = \arg\min_\gamma \sum_{i \in leaf} L(y_i, F(x_i) +
   \gamma)$: the mean or the quantile of the residuals, or one Newton step for the log loss,
   $\gamma = \sum r_i / \sum p_i (1 - p_i)$;
3. adds the tree, times a learning rate $\nu$, to $F$.

For $K > 2$ classes there are $K$ models and $K$ trees a round, and the residuals are
$r_{ik} = 1[y_i = k] - p_{ik}$ with $p = \mathrm{softmax}(F)$.

All trees are grown on the same columns, which are sorted once. The splits are exact: every
threshold between two values of a column is tried. The rounds are in `boosting_rounds`, the losses
in `boosting_losses`.

References: J. Friedman, *Greedy Function Approximation: A Gradient Boosting Machine*, 2001, and
*Stochastic Gradient Boosting*, 2002.
"""

from collections.abc import Iterator
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from supervised_learning.boosting_losses import (
    LOSSES,
    ExponentialLoss,
    LogLoss,
    MulticlassLogLoss,
)
from supervised_learning.boosting_rounds import BaseGradientBoosting
from supervised_learning.tree.estimators import check_training_data


class GradientBoostingClassifier(ClassifierMixin, BaseGradientBoosting):
    """Gradient boosting for classes; one tree a round for two classes, else one for each class.

    Parameters
    ----------
    loss : {"log_loss", "exponential"}
        The loss; "exponential" is AdaBoost's, for two classes.
    learning_rate : float
        How much of each tree's step is taken.
    n_estimators : int
        The number of rounds.
    subsample : float
        The share of the rows, drawn without replacement, that a round's trees are grown on.
    min_samples_split, min_samples_leaf, min_weight_fraction_leaf, max_depth, \
min_impurity_decrease, max_features, max_leaf_nodes, ccp_alpha :
        Of each tree, as in `DecisionTreeRegressor`.
    init : estimator, "zero" or None
        What the sum begins with: a classifier with `predict_proba`, 0, or the classes' shares.
    random_state : int, RandomState or None
        Of the drawn rows and the trees.
    validation_fraction, n_iter_no_change, tol :
        Where `n_iter_no_change` is a number, a share of the rows is held out, and boosting ends
        when its loss is no better by `tol` than any of that many rounds before.

    Attributes
    ----------
    classes_ : (k,), sorted. n_classes_ : int, their number.
    estimators_ : (rounds, K) of `DecisionTreeRegressor`; n_estimators_ : int, the rounds.
    start_ : (K,), what the sum begins with where there is no `init`: the log odds.
    init_ : the fitted `init`, where it is an estimator, else None.
    train_score_ : (rounds,), the loss of the round's rows; the log loss of two classes twice.
    oob_scores_ : (rounds,), the loss of the rows that the round has not seen, where `subsample` is
        below 1; oob_score_ : float, the last of them; oob_improvement_ : (rounds,), how much lower
        each is than the one before.
    feature_importances_ : (d,), each column's share in the gains.
    max_features_, n_features_in_ : int. feature_names_in_ : where X is a frame.

    Raises
    ------
    ValueError
        For X or y that do not fit, one class, NaN, infinity, or parameters out of range.

    References
    ----------
    J. Friedman, *Greedy Function Approximation: A Gradient Boosting Machine*, 2001.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = GradientBoostingClassifier(n_estimators=20, random_state=0).fit(X, y)
    >>> model.predict(X[[0, 60, 120]])
    array([0, 1, 2])
    """

    _loss: LogLoss

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseGradientBoosting._parameter_constraints,
        "loss": [StrOptions({"log_loss", "exponential"})],
        "init": [StrOptions({"zero"}), HasMethods(["fit", "predict_proba"]), None],
    }

    def __init__(
        self,
        *,
        loss: str = "log_loss",
        learning_rate: float = 0.1,
        n_estimators: int = 100,
        subsample: float = 1.0,
        min_samples_split: float = 2,
        min_samples_leaf: float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_depth: int | None = 3,
        min_impurity_decrease: float = 0.0,
        init: Any = None,
        random_state: Any = None,
        max_features: float | str | None = None,
        max_leaf_nodes: int | None = None,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | None = None,
        tol: float = 1e-4,
        ccp_alpha: float = 0.0,
    ) -> None:
        self.loss = loss
        self.learning_rate = learning_rate
        self.n_estimators = n_estimators
        self.subsample = subsample
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_depth = max_depth
        self.min_impurity_decrease = min_impurity_decrease
        self.init = init
        self.random_state = random_state
        self.max_features = max_features
        self.max_leaf_nodes = max_leaf_nodes
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.ccp_alpha = ccp_alpha

    @_fit_context(prefer_skip_nested_validation=False)  # it is for `init` to validate itself
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Boost on X (n, d) and the classes y (n,), with weights (n,) where given."""
        X, y, weight = check_training_data(self, X, y, sample_weight, classes=True)
        self.classes_, encoded = np.unique(y, return_inverse=True)
        self.n_classes_ = len(self.classes_)
        present = encoded if weight is None else encoded[weight > 0]
        if (k := len(np.unique(present))) < 2:
            raise ValueError(f"y has {k} class with a weight above 0; boosting needs 2 or more")
        if self.loss == "exponential" and self.n_classes_ > 2:
            raise ValueError(
                f"loss='exponential' is for two classes, y has {self.n_classes_}; take 'log_loss'"
            )
        if self.n_classes_ > 2:
            loss: LogLoss = MulticlassLogLoss(self.n_classes_)
        else:
            loss = LogLoss() if self.loss == "log_loss" else ExponentialLoss()
        self._boost(loss, X, encoded, weight)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """The sum of the trees for each row of X (n, d): (n,) for two classes, else (n, k)."""
        return self._shaped(self._raw(X))

    def staged_decision_function(self, X: ArrayLike) -> Iterator[NDArray[np.float64]]:
        """The same after each round."""
        for raw in self._staged_raw(X):
            yield self._shaped(raw).copy()

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probabilities of the classes (n, k)."""
        raw = self._raw(X)  # first: an unfitted model has no loss
        return self._loss.probabilities(raw)

    def staged_predict_proba(self, X: ArrayLike) -> Iterator[NDArray[np.float64]]:
        """The same after each round."""
        for raw in self._staged_raw(X):
            yield self._loss.probabilities(raw)

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """The logarithms of the probabilities (n, k)."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: ArrayLike) -> NDArray:
        """The most probable class of each row of X (n, d): (n,)."""
        return self._classes_of(self._raw(X))

    def staged_predict(self, X: ArrayLike) -> Iterator[NDArray]:
        """The same after each round."""
        for raw in self._staged_raw(X):
            yield self._classes_of(raw)

    @staticmethod
    def _shaped(raw: NDArray) -> NDArray:
        return raw[0] if len(raw) == 1 else raw.T

    def _classes_of(self, raw: NDArray) -> NDArray:
        return self.classes_[(raw[0] >= 0).astype(int) if len(raw) == 1 else raw.argmax(axis=0)]


class GradientBoostingRegressor(RegressorMixin, BaseGradientBoosting):
    """Gradient boosting for values.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "huber", "quantile"}
        Huber's loss is quadratic up to the `alpha` quantile of the absolute residuals, and linear
        beyond; the last one predicts the `alpha` quantile.
    learning_rate, n_estimators, subsample, min_samples_split, min_samples_leaf, \
min_weight_fraction_leaf, max_depth, min_impurity_decrease, random_state, max_features, \
max_leaf_nodes, validation_fraction, n_iter_no_change, tol, ccp_alpha :
        As in `GradientBoostingClassifier`.
    init : estimator, "zero" or None
        What the sum begins with: a regressor, 0, or the best constant.
    alpha : float
        The quantile of the losses "huber" and "quantile".

    Attributes
    ----------
    estimators_ : (rounds, 1) of `DecisionTreeRegressor`; n_estimators_ : int, the rounds.
    start_ : (1,), what the sum begins with where there is no `init`: the mean or the quantile of y.
    train_score_ : (rounds,), the loss of the round's rows.
    init_, oob_scores_, oob_score_, oob_improvement_, feature_importances_, max_features_, \
n_features_in_, feature_names_in_ :
        As in `GradientBoostingClassifier`.

    Raises
    ------
    ValueError
        For X or y that do not fit, NaN, infinity, or parameters out of range.

    References
    ----------
    J. Friedman, *Greedy Function Approximation: A Gradient Boosting Machine*, 2001.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = GradientBoostingRegressor(n_estimators=50, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.6)
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseGradientBoosting._parameter_constraints,
        "loss": [StrOptions(set(LOSSES))],
        "init": [StrOptions({"zero"}), HasMethods(["fit", "predict"]), None],
        "alpha": [Interval(Real, 0.0, 1.0, closed="neither")],
    }

    def __init__(
        self,
        *,
        loss: str = "squared_error",
        learning_rate: float = 0.1,
        n_estimators: int = 100,
        subsample: float = 1.0,
        min_samples_split: float = 2,
        min_samples_leaf: float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_depth: int | None = 3,
        min_impurity_decrease: float = 0.0,
        init: Any = None,
        random_state: Any = None,
        max_features: float | str | None = None,
        alpha: float = 0.9,
        max_leaf_nodes: int | None = None,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | None = None,
        tol: float = 1e-4,
        ccp_alpha: float = 0.0,
    ) -> None:
        self.loss = loss
        self.learning_rate = learning_rate
        self.n_estimators = n_estimators
        self.subsample = subsample
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_depth = max_depth
        self.min_impurity_decrease = min_impurity_decrease
        self.init = init
        self.random_state = random_state
        self.max_features = max_features
        self.alpha = alpha
        self.max_leaf_nodes = max_leaf_nodes
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.ccp_alpha = ccp_alpha

    @_fit_context(prefer_skip_nested_validation=False)  # it is for `init` to validate itself
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Boost on X (n, d) and the values y (n,), with weights (n,) where given."""
        X, y, weight = check_training_data(self, X, y, sample_weight, classes=False)
        self._boost(LOSSES[self.loss](self.alpha), X, y, weight)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """The sum of the trees for each row of X (n, d): (n,)."""
        return self._raw(X)[0]

    def staged_predict(self, X: ArrayLike) -> Iterator[NDArray[np.float64]]:
        """The same after each round."""
        for raw in self._staged_raw(X):
            yield raw[0].copy()
