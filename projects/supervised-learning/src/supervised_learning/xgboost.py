r"""Second-order boosting with regularized trees.

The model is a sum of trees, grown one after the other. Round $t$ looks for the tree $f$ that
lowers most

$$\sum_i \ell(y_i, \hat y_i + f(x_i)) + \gamma T + \tfrac12 \lambda \sum_{j=1}^T w_j^2
+ \alpha \sum_{j=1}^T |w_j|,$$

$T$ leaves with the weights $w_j$, where $\hat y_i$ is the sum so far. Taylor's formula to the
second order turns the loss into $g_i f(x_i) + \tfrac12 h_i f(x_i)^2$ plus a constant, for any loss
with two derivatives. Then the best weights, and what a split is worth, are known in closed form
(`xgboost_trees`): Newton's step, held back by $\lambda$. Shrinkage (the learning rate) and drawing
rows and columns anew for each tree hold the model back further.

Source: Tianqi Chen and Carlos Guestrin, *XGBoost: A scalable tree boosting system*, 2016.
"""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from supervised_learning.boosting_threads import use_threads
from supervised_learning.histogram.losses import LogLoss, Loss, Softmax, SquaredError
from supervised_learning.xgboost_exact import ExactGrower
from supervised_learning.xgboost_trees import (
    Forest,
    HistogramGrower,
    Penalty,
    Sampling,
    Tree,
    predict,
    sample,
)

EvalSet = Sequence[tuple[ArrayLike, ArrayLike]]


class _XGBoost(BaseEstimator):
    """What the classifier and the regressor share: the parameters, the rounds, the margins."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "max_depth": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "gamma": [Interval(Real, 0, None, closed="left")],
        "min_child_weight": [Interval(Real, 0, None, closed="left")],
        "subsample": [Interval(Real, 0, 1, closed="right")],
        "colsample_bytree": [Interval(Real, 0, 1, closed="right")],
        "colsample_bylevel": [Interval(Real, 0, 1, closed="right")],
        "colsample_bynode": [Interval(Real, 0, 1, closed="right")],
        "reg_alpha": [Interval(Real, 0, None, closed="left")],
        "reg_lambda": [Interval(Real, 0, None, closed="left")],
        "base_score": [Real, None],
        "tree_method": [StrOptions({"hist", "exact", "approx"})],
        "max_bin": [Interval(Integral, 2, 255, closed="both")],
        "early_stopping_rounds": [Interval(Integral, 1, None, closed="left"), None],
        "importance_type": [StrOptions({"gain", "weight", "cover", "total_gain", "total_cover"})],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        max_depth: int = 6,
        learning_rate: float = 0.3,
        gamma: float = 0.0,
        min_child_weight: float = 1.0,
        subsample: float = 1.0,
        colsample_bytree: float = 1.0,
        colsample_bylevel: float = 1.0,
        colsample_bynode: float = 1.0,
        reg_alpha: float = 0.0,
        reg_lambda: float = 1.0,
        base_score: float | None = None,
        tree_method: str = "hist",
        max_bin: int = 255,
        early_stopping_rounds: int | None = None,
        importance_type: str = "gain",
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.gamma = gamma
        self.min_child_weight = min_child_weight
        self.subsample = subsample
        self.colsample_bytree = colsample_bytree
        self.colsample_bylevel = colsample_bylevel
        self.colsample_bynode = colsample_bynode
        self.reg_alpha = reg_alpha
        self.reg_lambda = reg_lambda
        self.base_score = base_score
        self.tree_method = tree_method
        self.max_bin = max_bin
        self.early_stopping_rounds = early_stopping_rounds
        self.importance_type = importance_type
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _boost(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.float32],
        sample_weight: ArrayLike | None,
        loss: Loss,
        base_margin: float | None,
        eval_set: EvalSet | None,
    ) -> Self:
        """Fit the trees to a target (n,) in the loss's terms."""
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
            counted = weight > 0
            if not counted.all():
                X, y, weight = X[counted], y[counted], weight[counted]
        if self.early_stopping_rounds is not None and not eval_set:
            raise ValueError("early_stopping_rounds needs rows to watch: give fit an eval_set")
        start = loss.start(y, weight)
        if base_margin is not None:
            start = np.full(loss.n_outputs, base_margin)
        start = start.astype(np.float32)
        sets = [self._check_set(*pair) for pair in eval_set or ()]
        with use_threads(self.n_jobs, X.size) as threads:
            self._run_rounds(X, y, weight, loss, start, sets, threads)
        return self

    def _check_set(self, X: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray]:
        """A set to watch as numbers: X float32 (n, d), y float32 (n,)."""
        X, y = validate_data(
            self, X, y, dtype=np.float32, order="C", ensure_all_finite="allow-nan", reset=False
        )
        return X, self._encode(y)

    def _encode(self, y: NDArray) -> NDArray[np.float32]:
        """The target in the loss's terms."""
        raise NotImplementedError

    def _run_rounds(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.float32],
        sample_weight: NDArray | None,
        loss: Loss,
        start: NDArray[np.float32],
        sets: list[tuple[NDArray, NDArray]],
        threads: int,
    ) -> None:
        """Add a tree for each output in every round, until the rounds or the patience end."""
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        grower = self._grower(X, sample_weight, threads)
        n, outputs = len(X), loss.n_outputs
        raw = np.repeat(start[:, None], n, axis=1)
        gradients, hessians = np.empty((2, outputs, n), np.float32)
        margins = [np.repeat(start[:, None], len(x), axis=1) for x, _ in sets]
        scores: list[list[float]] = [[] for _ in sets]
        every_column = np.ones(X.shape[1], np.bool_)
        trees: list[Tree] = []
        for _ in range(self.n_estimators):
            loss.derivatives(y, raw, sample_weight, gradients, hessians)
            if self.subsample < 1.0:
                left_out = rng.random(n) >= self.subsample
                gradients[:, left_out] = hessians[:, left_out] = 0.0
            for k in range(outputs):
                columns = sample(every_column, float(self.colsample_bytree), rng)
                trees.append(grower(gradients[k], hessians[k], columns, rng, raw[k]))
            for (x, target), margin, score in zip(sets, margins, scores, strict=True):
                _add(x, Forest.of(trees[-outputs:]), margin)
                score.append(loss.mean(target, margin, None))
            if self.early_stopping_rounds is not None:
                best = int(np.argmin(scores[-1]))
                if len(scores[-1]) - 1 - best >= self.early_stopping_rounds:
                    break
        if sets:
            self.evals_result_ = [np.array(score) for score in scores]
        if self.early_stopping_rounds is not None:
            self.best_iteration_ = int(np.argmin(scores[-1]))
            trees = trees[: (self.best_iteration_ + 1) * outputs]
        self.trees_ = trees
        self._forest = Forest.of(trees)
        self._start = start

    def _grower(
        self, X: NDArray[np.float32], sample_weight: NDArray | None, threads: int
    ) -> ExactGrower | HistogramGrower:
        penalty = Penalty(
            int(self.max_depth),
            float(self.learning_rate),
            float(self.gamma),
            float(self.min_child_weight),
            float(self.reg_alpha),
            float(self.reg_lambda),
        )
        sampling = Sampling(float(self.colsample_bylevel), float(self.colsample_bynode))
        if self.tree_method == "exact":
            return ExactGrower(X, penalty, sampling)
        approximate = self.tree_method == "approx"
        return HistogramGrower(
            X, sample_weight, penalty, sampling, self.max_bin, approximate, threads
        )

    def _margin(self, X: ArrayLike) -> NDArray[np.float32]:
        """The sums of the trees (n_outputs, n)."""
        check_is_fitted(self)
        X = validate_data(
            self, X, dtype=np.float32, order="C", ensure_all_finite="allow-nan", reset=False
        )
        margin = np.repeat(self._start[:, None], len(X), axis=1)
        with use_threads(self.n_jobs, X.size):
            _add(X, self._forest, margin)
        return margin

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """The columns' shares of what the splits gain (or as `importance_type` says), (d,)."""
        check_is_fitted(self)
        times, amount = np.zeros((2, self.n_features_in_))
        kind = self.importance_type.removeprefix("total_")
        for tree in self.trees_:
            inner = tree.nodes["left"] != np.arange(len(tree.nodes))
            feature = tree.nodes["feature"][inner]
            np.add.at(times, feature, 1.0)
            if kind != "weight":
                np.add.at(amount, feature, (tree.gain if kind == "gain" else tree.cover)[inner])
        if kind == "weight":
            importance = times
        elif self.importance_type == kind:
            importance = amount / np.maximum(times, 1.0)
        else:
            importance = amount
        return importance / (importance.sum() or 1.0)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _add(X: NDArray[np.float32], forest: Forest, margin: NDArray[np.float32]) -> None:
    predict(X, forest, bool(np.isnan(X).any()), margin)


class XGBRegressor(RegressorMixin, _XGBoost):
    """Second-order boosting of the squared error.

    Parameters
    ----------
    n_estimators : int, the rounds.
    max_depth : int, at least 1.
    learning_rate : float, what each tree's weights are multiplied by.
    gamma : float, what a split has to be worth at least.
    min_child_weight : float, the sum of hessians that a child has at least.
    subsample : float in (0, 1], the share of the rows that a tree is fitted to.
    colsample_bytree, colsample_bylevel, colsample_bynode : floats in (0, 1], the shares of the
        columns that a tree may use, of these each level, and of these each node.
    reg_alpha, reg_lambda : floats, the L1 and the L2 penalty of the weights.
    base_score : float, the prediction before the first tree; None: the target's mean.
    tree_method : "hist" tries the borders of bins that are found once, "approx" finds the bins anew
        for every tree, weighted by the hessians, "exact" tries every threshold.
    max_bin : int from 2 to 255, the bins of a column.
    early_stopping_rounds : int, stop after so many rounds in which the last set of `eval_set` did
        not get better, and keep the trees up to the best round.
    importance_type : "gain" and "cover" are means over a column's splits, "total_gain" and
        "total_cover" sums, "weight" is the number of its splits.
    n_jobs : int, the threads; None: as many as Numba has.
    random_state : int, RandomState or None, for the draws of rows and columns.

    Attributes
    ----------
    trees_ : list of `xgboost_trees.Tree`.
    feature_importances_ : ndarray of shape (n_features,), sums to 1.
    evals_result_ : list of ndarrays (n_rounds,), the root of the mean squared error of each set of
        `eval_set` after each round.
    best_iteration_ : int, the best round (with `early_stopping_rounds`).
    n_features_in_, feature_names_in_

    Notes
    -----
    X, y and the margins are float32, as in the library; a missing value is NaN. With
    tree_method="exact" the trees are the library's own, where no rows or columns are drawn.

    References
    ----------
    Tianqi Chen and Carlos Guestrin, *XGBoost: A scalable tree boosting system*, 2016.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from supervised_learning.xgboost import XGBRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = XGBRegressor(n_estimators=50, max_depth=2, learning_rate=0.1).fit(X, y)
    >>> model.predict(X[:2]).shape
    (2,)
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        eval_set: EvalSet | None = None,
    ) -> Self:
        """Fit to X (n, d) and numbers y (n,).

        Parameters
        ----------
        sample_weight : (n,), not negative; a row of weight w counts as w rows.
        eval_set : pairs (X, y) whose error is watched.

        Raises ValueError for input that is no finite or missing number, and for parameters out of
        range.
        """
        X, y = validate_data(
            self, X, y, dtype=np.float32, order="C", ensure_all_finite="allow-nan", y_numeric=True
        )
        self._boost(X, self._encode(y), sample_weight, SquaredError(), self.base_score, eval_set)
        if eval_set:
            self.evals_result_ = [np.sqrt(2.0 * halves) for halves in self.evals_result_]
        return self

    def _encode(self, y: NDArray) -> NDArray[np.float32]:
        if np.abs(y).max() > np.finfo(np.float32).max:
            raise ValueError("y has a number that is too large for float32; scale it")
        return y.astype(np.float32)

    def predict(self, X: ArrayLike) -> NDArray[np.float32]:
        """The predicted numbers (n,)."""
        return self._margin(X)[0]


class XGBClassifier(ClassifierMixin, _XGBoost):
    """Second-order boosting of the log loss: one tree a round for two classes, else one a class.

    Parameters
    ----------
    base_score : float, the prediction before the first tree: for two classes the probability of
        the second one, for more the margin of all; None: the classes' shares.
    others : as in `XGBRegressor`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,).
    evals_result_ : list of ndarrays (n_rounds,), the log loss of each set of `eval_set` after each
        round.
    others : as in `XGBRegressor`; `trees_` has the trees of a round side by side.

    References
    ----------
    Tianqi Chen and Carlos Guestrin, *XGBoost: A scalable tree boosting system*, 2016.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from supervised_learning.xgboost import XGBClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> XGBClassifier(n_estimators=10).fit(X, y).predict_proba(X[:2]).shape
    (2, 3)
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        eval_set: EvalSet | None = None,
    ) -> Self:
        """Fit to X (n, d) and classes y (n,), at least two.

        Parameters
        ----------
        sample_weight : (n,), not negative; a row of weight w counts as w rows.
        eval_set : pairs (X, y) whose log loss is watched; no classes but those of y.

        Raises ValueError for input that is no finite or missing number, for a single class, and for
        parameters out of range.
        """
        X, y = validate_data(self, X, y, dtype=np.float32, order="C", ensure_all_finite="allow-nan")
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"y has one class, {self.classes_[0]}; at least two are needed")
        loss: Loss = LogLoss()
        margin = self.base_score
        if len(self.classes_) > 2:
            loss = Softmax(len(self.classes_), hessian_factor=2.0)
        elif margin is not None:
            if not 0.0 < margin < 1.0:
                raise ValueError(f"base_score={margin}: a probability between 0 and 1 is taken")
            margin = float(np.log(margin / (1.0 - margin)))
        return self._boost(X, self._encode(y), sample_weight, loss, margin, eval_set)

    def _encode(self, y: NDArray) -> NDArray[np.float32]:
        place = np.minimum(np.searchsorted(self.classes_, y), len(self.classes_) - 1)
        strange = self.classes_[place] != y
        if strange.any():
            raise ValueError(f"eval_set has the class {y[strange][0]}, which y has not")
        return place.astype(np.float32)

    def decision_function(self, X: ArrayLike) -> NDArray[np.float32]:
        """The margins: of the second class (n,), or of every one of more (n, n_classes)."""
        margin = self._margin(X)
        return margin[0] if len(margin) == 1 else np.ascontiguousarray(margin.T)

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """The probabilities of the classes (n, n_classes)."""
        margin = self._margin(X)
        loss = LogLoss() if len(margin) == 1 else Softmax(len(margin))
        return loss.predict(margin)

    def predict(self, X: ArrayLike) -> NDArray:
        """The most probable class (n,)."""
        margin = self._margin(X)
        best = margin[0] > 0 if len(margin) == 1 else margin.argmax(axis=0)
        return self.classes_[best.astype(np.intp)]
