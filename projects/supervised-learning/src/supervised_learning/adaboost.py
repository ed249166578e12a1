r"""AdaBoost: a committee of weak learners, each trained on what those before it got wrong.

Every row has a weight, at first the same. A round fits a learner $h$ to the weighted rows, gives it
a say by how well it did, and makes the rows that it got wrong weigh more. For $K$ classes, with
the weighted share $\epsilon$ of wrong rows and the learning rate $\nu$ (SAMME):

$$\alpha = \nu \left( \log \frac{1 - \epsilon}{\epsilon} + \log (K - 1) \right), \qquad
w_i \leftarrow w_i\, e^{\alpha [h(x_i) \ne y_i]}, \qquad
H(x) = \arg\max_k \sum_t \alpha_t [h_t(x) = k].$$

A learner only has to be better than a guess, $\epsilon < 1 - 1/K$. With two classes this is a
descent on $\sum_i e^{-y_i F(x_i)}$ with $y_i = \pm 1$: the best step along $h$ is half of
$\alpha$, and the weights are the terms of the sum. So the loss falls by the factor
$2 \sqrt{\epsilon (1 - \epsilon)}$ a round (at $\nu = 1$), and it bounds the share of wrong rows.

For values (AdaBoost.R2) a round draws a sample by weight and fits $h$ to it; with the loss
$L_i \in [0, 1]$, the distance to $y_i$ as a share of the largest, and its weighted mean $\bar L$:
$\beta = \bar L / (1 - \bar L)$, $w_i \leftarrow w_i\, \beta^{\nu (1 - L_i)}$, $\alpha = \nu \log
(1 / \beta)$. The committee's answer is the median of its members', weighted by $\alpha$.

A stump on $n$ rows and $d$ columns needs them in order. Sorting them in every round takes
$O(T d\,n \log n)$; the order does not depend on the weights, so that one sort is enough for all
(see `adaboost_rounds`).

References: Y. Freund, R. Schapire, *A Decision-Theoretic Generalization of On-Line Learning and an
Application to Boosting*, 1997; J. Zhu, H. Zou, S. Rosset, T. Hastie, *Multi-class AdaBoost*, 2009;
H. Drucker, *Improving Regressors using Boosting Techniques*, 1997.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from supervised_learning.adaboost_rounds import BaseAdaBoost, Round, Rows
from supervised_learning.tree.estimators import DecisionTreeClassifier, DecisionTreeRegressor
from supervised_learning.tree.structure import Tree


class AdaBoostClassifier(ClassifierMixin, BaseAdaBoost):
    """AdaBoost for classes (SAMME).

    Parameters
    ----------
    estimator : classifier or None
        The weak learner, one whose `fit` takes `sample_weight`; None: a tree of depth 1, a stump.
    n_estimators : int
        The most rounds; they end before where a learner makes no error, or is no better than a
        guess.
    learning_rate : float
        The share of its say that each learner gets.
    random_state : int, RandomState or None
        Of the learners.

    Attributes
    ----------
    estimators_ : list of the fitted learners; estimator_ : the learner that they are copies of.
    estimator_weights_ : (n_estimators,), the learners' say; 0 after the last.
    estimator_errors_ : (n_estimators,), their weighted share of wrong rows; 1 after the last.
    classes_ : (k,), sorted. n_classes_ : int, their number.
    feature_importances_ : (d,), the mean of the learners', by their say.
    n_features_in_ : int. feature_names_in_ : where X is a frame.

    Raises
    ------
    ValueError
        For X or y that do not fit, parameters out of range, a learner that takes no weights, or one
        that is no better than a guess in the first round.

    References
    ----------
    Y. Freund, R. Schapire, *A Decision-Theoretic Generalization of On-Line Learning and an
    Application to Boosting*, 1997; J. Zhu, H. Zou, S. Rosset, T. Hastie, *Multi-class AdaBoost*,
    2009.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = AdaBoostClassifier(n_estimators=20, random_state=0).fit(X, y)
    >>> model.predict(X[[0, 60, 120]])
    array([0, 1, 2])
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_estimators: int = 50,
        learning_rate: float = 1.0,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.random_state = random_state

    _tree = DecisionTreeClassifier

    def _default(self) -> DecisionTreeClassifier:
        return DecisionTreeClassifier(max_depth=1)

    @_fit_context(prefer_skip_nested_validation=False)  # it is for the learner to validate itself
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Boost on X (n, d) and the classes y (n,), with weights (n,) where given."""
        X, y = self._check(X, y)
        check_classification_targets(y)
        if self.estimator is not None and not has_fit_parameter(self.estimator, "sample_weight"):
            raise ValueError(
                f"{type(self.estimator).__name__} doesn't support sample_weight; "
                "boosting needs a learner whose fit does"
            )
        self.classes_, codes = np.unique(y, return_inverse=True)
        self.n_classes_ = len(self.classes_)
        self._boost(X, codes.astype(np.int32), sample_weight)
        return self

    def _round(
        self, estimator: Any, rows: Rows, weight: NDArray[np.float64], random_state: Any
    ) -> Round | None:
        wrong = self._fitted_codes(estimator, rows, weight) != rows.y
        error = float(weight[wrong].sum() / weight.sum())
        if error <= 0.0:
            return weight, 1.0, 0.0
        if error >= 1.0 - 1.0 / self.n_classes_:
            if not self.estimators_:
                raise ValueError(
                    f"{type(estimator).__name__} is no better than a guess in the first round "
                    f"(error {error:.3g}, {self.n_classes_} classes); take a stronger estimator"
                )
            return None
        say = self.learning_rate * (np.log((1.0 - error) / error) + np.log(self.n_classes_ - 1.0))
        wrong &= weight > 0
        with np.errstate(over="ignore"):  # told of where the weights are summed
            weight[wrong] *= np.exp(say)
        return weight, float(say), error

    def _fitted_codes(
        self, estimator: Any, rows: Rows, weight: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Fit a learner to the codes of the rows' classes; the codes (n,) that it gives them."""
        if rows.columns is None:
            estimator.fit(rows.X, self.classes_[rows.y], sample_weight=weight)
            return self._codes(estimator, rows.X)
        estimator.classes_, estimator.n_classes_ = self.classes_, self.n_classes_
        # A stump divides no list of rows further, so that the sorted ones serve as they are.
        once = estimator.max_depth == 1
        leaves = estimator.grow(rows.columns, rows.y, weight, self.n_classes_, once=once)
        return estimator.tree_.value.argmax(axis=1)[leaves]

    def _codes(self, learner: Any, X: Any) -> NDArray[np.int64]:
        return np.searchsorted(self.classes_, learner.predict(X))

    def _staged_votes(self, X: Any) -> Iterator[tuple[NDArray[np.float64], float]]:
        """The sum of the votes (n, k), the same array every time, and of the says so far.

        For two classes the sum is (n, 1): twice the votes for the second less those for the first.
        """
        k, total = self.n_classes_, 0.0
        if k < 3:
            table = np.array([[-2.0], [2.0]])[:k] * (k - 1)
        else:
            table = np.where(np.eye(k, dtype=bool), 1.0, -1.0 / (k - 1))
        votes = np.zeros((X.shape[0], table.shape[1]))
        for learner, say in zip(self.estimators_, self.estimator_weights_, strict=False):
            if type(learner) is self._tree:
                tree: Tree = learner.tree_
                tree.add_values(X, say * table[tree.value.argmax(axis=1)], votes)
            else:
                votes += say * table[self._codes(learner, X)]
            total += say
            yield votes, total

    def staged_decision_function(self, X: ArrayLike) -> Iterator[NDArray[np.float64]]:
        """The decision function after each round."""
        check_is_fitted(self)
        for votes, total in self._staged_votes(self._check(X)):
            yield (votes[:, 0] if self.n_classes_ == 2 else votes) / total

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """The mean vote for the classes for each row of X (n, d): (n,) for two, else (n, k)."""
        check_is_fitted(self)
        *_, (votes, total) = self._staged_votes(self._check(X))
        return (votes[:, 0] if self.n_classes_ == 2 else votes) / total

    def predict(self, X: ArrayLike) -> NDArray:
        """The class that gets most votes for each row of X (n, d): (n,)."""
        return self._decide(self.decision_function(X))

    def staged_predict(self, X: ArrayLike) -> Iterator[NDArray]:
        """The same after each round."""
        for decision in self.staged_decision_function(X):
            yield self._decide(decision)

    def _decide(self, decision: NDArray[np.float64]) -> NDArray:
        if self.n_classes_ == 2:
            return self.classes_[(decision > 0).astype(int)]
        return self.classes_[decision.argmax(axis=1)]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probabilities of the classes (n, k): a softmax of the votes."""
        return self._probabilities(self.decision_function(X))

    def staged_predict_proba(self, X: ArrayLike) -> Iterator[NDArray[np.float64]]:
        """The same after each round."""
        for decision in self.staged_decision_function(X):
            yield self._probabilities(decision)

    def _probabilities(self, decision: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.n_classes_ == 2:
            return np.column_stack([expit(-decision), expit(decision)])
        return softmax(decision / max(1, self.n_classes_ - 1), axis=1)

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """The logarithms of the probabilities (n, k)."""
        return np.log(self.predict_proba(X))

    def staged_score(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Iterator[float]:
        """The accuracy on X (n, d) and y (n,) after each round."""
        for predicted in self.staged_predict(X):
            yield float(accuracy_score(y, predicted, sample_weight=sample_weight))


class AdaBoostRegressor(RegressorMixin, BaseAdaBoost):
    """AdaBoost for values (AdaBoost.R2).

    Parameters
    ----------
    estimator : regressor or None
        The weak learner; None: a tree of depth 3.
    n_estimators : int
        The most rounds; they end before where a learner makes no error, or its mean loss is a half.
    learning_rate : float
        The share of its say that each learner gets.
    loss : {"linear", "square", "exponential"}
        What a distance counts, as a share of the largest: itself, its square, or 1 - exp(-itself).
    random_state : int, RandomState or None
        Of the drawn rows and the learners.

    Attributes
    ----------
    estimators_ : list of the fitted learners; estimator_ : the learner that they are copies of.
    estimator_weights_ : (n_estimators,), the learners' say; 0 after the last.
    estimator_errors_ : (n_estimators,), their weighted mean loss; 1 after the last.
    feature_importances_ : (d,), the mean of the learners', by their say.
    n_features_in_ : int. feature_names_in_ : where X is a frame.

    Raises
    ------
    ValueError
        For X or y that do not fit, or parameters out of range.

    References
    ----------
    H. Drucker, *Improving Regressors using Boosting Techniques*, 1997.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = AdaBoostRegressor(random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.5)
    True
    """

    _tree = DecisionTreeRegressor

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseAdaBoost._parameter_constraints,
        "loss": [StrOptions({"linear", "square", "exponential"})],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_estimators: int = 50,
        learning_rate: float = 1.0,
        loss: str = "linear",
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.loss = loss
        self.random_state = random_state

    def _default(self) -> DecisionTreeRegressor:
        return DecisionTreeRegressor(max_depth=3)

    @_fit_context(prefer_skip_nested_validation=False)  # it is for the learner to validate itself
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Boost on X (n, d) and the values y (n,); rows are drawn by `sample_weight` at first."""
        X, y = self._check(X, y)
        self._boost(X, y.astype(np.float64, copy=False), sample_weight)
        return self

    def _round(
        self, estimator: Any, rows: Rows, weight: NDArray[np.float64], random_state: Any
    ) -> Round | None:
        n = len(rows.y)
        drawn = random_state.choice(n, size=n, p=weight)
        if rows.columns is None:
            predicted = estimator.fit(rows.X[drawn], rows.y[drawn]).predict(rows.X)
        else:
            estimator.grow(rows.columns, rows.y, None, times=np.bincount(drawn, minlength=n))
            predicted = estimator.tree_.value[:, 0][estimator.tree_.apply(rows.X)]
        has_weight = weight > 0
        loss = np.abs(predicted - rows.y)[has_weight]
        loss /= loss.max() or 1.0
        if self.loss == "square":
            loss **= 2
        elif self.loss == "exponential":
            loss = 1.0 - np.exp(-loss)
        error = float((weight[has_weight] * loss).sum())
        if error <= 0.0:
            return weight, 1.0, 0.0
        if error >= 0.5:
            return None
        beta = error / (1.0 - error)
        weight[has_weight] *= beta ** ((1.0 - loss) * self.learning_rate)
        return weight, self.learning_rate * float(np.log(1.0 / beta)), error

    def _predictions(self, X: ArrayLike) -> NDArray[np.float64]:
        """What every learner predicts for the rows of X (n, d): (rounds, n)."""
        check_is_fitted(self)
        X = self._check(X)
        predictions = np.zeros((len(self.estimators_), X.shape[0]))
        for learner, row in zip(self.estimators_, predictions, strict=True):
            if type(learner) is self._tree:
                learner.tree_.add_values(X, learner.tree_.value, row[:, np.newaxis])
            else:
                row[:] = learner.predict(X)
        return predictions

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """The weighted median of the learners' predictions for each row of X (n, d): (n,)."""
        predictions = self._predictions(X)
        return weighted_medians(predictions, self.estimator_weights_[: len(predictions)])

    def staged_predict(self, X: ArrayLike) -> Iterator[NDArray[np.float64]]:
        """The same after each round."""
        predictions = self._predictions(X)
        for t in range(1, len(predictions) + 1):
            yield weighted_medians(predictions[:t], self.estimator_weights_[:t])

    def staged_score(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Iterator[float]:
        """R² on X (n, d) and y (n,) after each round."""
        for predicted in self.staged_predict(X):
            yield float(r2_score(y, predicted, sample_weight=sample_weight))


@njit(cache=True, nogil=True)
def weighted_medians(values, weights):
    """The median of each column of `values` (m, n), whose rows have `weights` (m,).

    It is the smallest value below which, itself included, lies half of the weight. The values of a
    column are few, so that putting each in its place among those before it is quick.
    """
    m, n = values.shape
    medians = np.empty(n)
    ordered, their_weights = np.empty(m), np.empty(m)
    for i in range(n):
        for t in range(m):
            value, place = values[t, i], t
            while place > 0 and ordered[place - 1] > value:
                ordered[place] = ordered[place - 1]
                their_weights[place] = their_weights[place - 1]
                place -= 1
            ordered[place], their_weights[place] = value, weights[t]
        total = 0.0
        for t in range(m):
            total += their_weights[t]
        place, passed = 0, their_weights[0]
        while passed < 0.5 * total:
            place += 1
            passed += their_weights[place]
        medians[i] = ordered[place]
    return medians
