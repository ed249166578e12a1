r"""Histogram gradient boosting: the additive model, one leaf-wise tree after the other.

Boosting fits $F(x) = F_0 + \eta \sum_t f_t(x)$ step by step. Tree $f_t$ is grown on the first and
second derivatives of the loss at $F_{t-1}$, so that adding it is a Newton step in the space of
functions, shortened by the learning rate $\eta$. Four parts, each in a module of its own, make a
step cost $O(n d)$ byte-sized reads, whatever the values:

1. `histogram.binning` maps the columns to codes, once;
2. `histogram.losses` gives the derivatives;
3. `histogram.grower` grows a tree on them, with the histograms of `histogram.histograms`;
4. `histogram.predictor` sums the trees for new rows.

The loss on rows that were held out tells when to stop.

Source: Jerome Friedman, *Greedy function approximation: a gradient boosting machine*, 2001; Guolin
Ke and others, *LightGBM: A highly efficient gradient boosting decision tree*, 2017.
"""

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from supervised_learning.boosting_threads import use_threads
from supervised_learning.histogram.binning import find_bins
from supervised_learning.histogram.estimators import (
    BoostedClassifier,
    BoostedRegressor,
    BoostedTrees,
)
from supervised_learning.histogram.grower import Grower, Rules
from supervised_learning.histogram.losses import Loss
from supervised_learning.histogram.predictor import Scorer

_MIN_HESSIAN = 1e-3
NO_LIMIT = 2**31 - 1
_MANY_ROWS = 10_000  # early_stopping="auto" begins here


class _HistGradientBoosting(BoostedTrees):
    """The loop that the classifier and the regressor share."""

    learning_rate: float
    max_iter: int
    max_leaf_nodes: int | None
    max_depth: int | None
    min_samples_leaf: int
    l2_regularization: float
    max_bins: int
    early_stopping: bool | str
    validation_fraction: float | None
    n_iter_no_change: int
    tol: float
    random_state: Any

    _parameter_constraints: ClassVar[dict] = {
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "max_leaf_nodes": [Interval(Integral, 2, None, closed="left"), None],
        "max_depth": [Interval(Integral, 1, None, closed="left"), None],
        "min_samples_leaf": [Interval(Integral, 1, None, closed="left")],
        "l2_regularization": [Interval(Real, 0, None, closed="left")],
        "max_bins": [Interval(Integral, 2, 255, closed="both")],
        "early_stopping": [StrOptions({"auto"}), "boolean"],
        "validation_fraction": [
            Interval(Real, 0, 1, closed="neither"),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    def _boost(self, X: NDArray, y: NDArray, weight: NDArray | None) -> None:
        """Fit the start and the trees. y is float64, and `_loss` is set."""
        seed = check_random_state(self.random_state).randint(np.iinfo(np.uint32).max, dtype="u8")
        auto = self.early_stopping == "auto"
        self.do_early_stopping_ = len(X) > _MANY_ROWS if auto else bool(self.early_stopping)
        held_out = None
        if self.do_early_stopping_ and self.validation_fraction is not None:
            X, y, weight, held_out = self._hold_out(X, y, weight, seed)

        rng = np.random.default_rng(seed)
        with use_threads(None, X.size) as threads:
            bins = find_bins(X, self.max_bins, sample_weight=weight, rng=rng)
            rules = Rules(
                l2=float(self.l2_regularization),
                min_samples=self.min_samples_leaf,
                min_hessian=_MIN_HESSIAN,
                min_gain=0.0,
                max_leaves=self.max_leaf_nodes or NO_LIMIT,
                max_depth=self.max_depth or NO_LIMIT,
            )
            grower = Grower(bins.transform(X), bins, rules, threads)
            trees, history = self._grow_trees(grower, y, weight, held_out)

        self._scorer = Scorer.of(trees, self._loss.n_outputs)
        self.n_trees_per_iteration_ = self._loss.n_outputs
        self.n_iter_ = len(trees) // self._loss.n_outputs
        self.train_score_ = np.array(history.train if history else [])
        self.validation_score_ = np.array(history.validation if history else [])

    def _grow_trees(
        self, grower: Grower, y: NDArray, weight: NDArray | None, held_out: Any
    ) -> tuple[list[NDArray], "_History | None"]:
        """Boost until there are enough trees, or the score stalls."""
        loss = self._loss
        self._start = loss.start(y, weight)
        raw = np.repeat(self._start[:, None], len(y), axis=1)
        gradients, hessians = np.empty((2, *raw.shape), np.float32)
        history = _History(loss, y, raw, weight, held_out) if self.do_early_stopping_ else None
        trees: list[NDArray] = []
        for _ in range(self.max_iter):
            loss.derivatives(y, raw, weight, gradients, hessians)
            for k in range(loss.n_outputs):
                tree = grower.grow(gradients[k], hessians[k])
                tree["value"] *= self.learning_rate
                grower.add_values(tree, raw[k])
                trees.append(tree)
            if history is not None:
                history.add(trees[-loss.n_outputs :])
                if history.stalls(self.n_iter_no_change, self.tol):
                    break
        return trees, history

    def _hold_out(self, X: NDArray, y: NDArray, weight: NDArray | None, seed: int) -> Any:
        """Put some rows aside: X, y, weight and (X, y, weight) of those."""
        arrays = (X, y) if weight is None else (X, y, weight)
        parts = train_test_split(
            *arrays,
            test_size=self.validation_fraction,
            stratify=y if isinstance(self, BoostedClassifier) else None,
            random_state=seed,
        )
        kept, aside = parts[::2], parts[1::2]
        if weight is None:
            return *kept, None, (*aside, None)
        return *kept, tuple(aside)


class _History:
    """The scores (minus the mean loss) after each iteration, and whether they still rise."""

    def __init__(
        self,
        loss: Loss,
        y: NDArray,
        raw: NDArray,
        weight: NDArray | None,
        held_out: tuple[NDArray, NDArray, NDArray | None] | None,
    ) -> None:
        self.loss, self.y, self.raw, self.weight = loss, y, raw, weight
        self.train = [-loss.mean(y, raw, weight)]
        self.validation: list[float] = []
        self.held_out = held_out
        if held_out is not None:
            x_held, y_held, weight_held = held_out
            self.raw_held = np.repeat(raw[:, :1], len(x_held), axis=1)
            self.validation.append(-loss.mean(y_held, self.raw_held, weight_held))

    def add(self, trees: list[NDArray]) -> None:
        """Score anew, after `raw` has been brought up to date by these trees."""
        self.train.append(-self.loss.mean(self.y, self.raw, self.weight))
        if self.held_out is not None:
            x_held, y_held, weight_held = self.held_out
            Scorer.of(trees, len(trees)).add(x_held, self.raw_held)
            self.validation.append(-self.loss.mean(y_held, self.raw_held, weight_held))

    def stalls(self, patience: int, tol: float) -> bool:
        """Whether none of the last `patience` scores beats the one before them by `tol`."""
        scores = self.validation or self.train
        if len(scores) <= patience:
            return False
        return max(scores[-patience:]) <= scores[-patience - 1] + tol


class HistGradientBoostingClassifier(BoostedClassifier, _HistGradientBoosting):
    """Classification by leaf-wise trees on histograms, with the log loss.

    Parameters
    ----------
    learning_rate : what a tree's values are multiplied by, above 0.
    max_iter : the most iterations; each adds one tree, or with more than two classes one a class.
    max_leaf_nodes : the most leaves of a tree, at least 2; None: no limit.
    max_depth : the most splits between the root and a leaf; None: no limit.
    min_samples_leaf : the fewest rows of a leaf.
    l2_regularization : the penalty on leaf values.
    max_bins : the most bins of a column, 2 to 255; missing values have one more.
    early_stopping : whether to stop once the score stalls; "auto": with more than 10,000 rows.
    validation_fraction : the share or number of rows that are held out for that score; None: the
        score on the rows that are learned from.
    n_iter_no_change, tol : stop when the best of the last `n_iter_no_change` scores is not better
        by `tol` than the one before them.
    random_state : draws the rows that are held out, and those that the bins are made from where
        there are more than 200,000.
    class_weight : weights of the classes: a dict, "balanced", or None.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
    do_early_stopping_ : whether early stopping was on.
    n_iter_ : the number of iterations.
    n_trees_per_iteration_ : 1, or with more than two classes their number.
    train_score_, validation_score_ : minus the mean loss before the first and after each iteration;
        empty without early stopping.
    n_features_in_, feature_names_in_ : the columns seen in `fit`.

    Notes
    -----
    A constant column is never split. NaN is a missing value and goes to the side where it gains;
    a column that had none in `fit` sends it with the majority. Infinity raises ValueError.

    References
    ----------
    Guolin Ke and others, *LightGBM: A highly efficient gradient boosting decision tree*, 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> HistGradientBoostingClassifier().fit(X, y).score(X, y)
    1.0
    """

    _parameter_constraints: ClassVar[dict] = {
        **_HistGradientBoosting._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        *,
        learning_rate: float = 0.1,
        max_iter: int = 100,
        max_leaf_nodes: int | None = 31,
        max_depth: int | None = None,
        min_samples_leaf: int = 20,
        l2_regularization: float = 0.0,
        max_bins: int = 255,
        early_stopping: bool | str = "auto",
        validation_fraction: float | None = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-7,
        random_state: Any = None,
        class_weight: Any = None,
    ) -> None:
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.max_leaf_nodes = max_leaf_nodes
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
        self.max_bins = max_bins
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.random_state = random_state
        self.class_weight = class_weight

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to rows X (n_samples, n_features), classes y (n_samples,) and their weights."""
        X, y, weight = self._checked(X, y, sample_weight)
        self._loss = self._log_loss()
        self._boost(X, y, weight)
        return self


class HistGradientBoostingRegressor(BoostedRegressor, _HistGradientBoosting):
    """Regression by leaf-wise trees on histograms, with the squared error.

    Parameters
    ----------
    learning_rate : what a tree's values are multiplied by, above 0.
    max_iter : the most trees.
    max_leaf_nodes : the most leaves of a tree, at least 2; None: no limit.
    max_depth : the most splits between the root and a leaf; None: no limit.
    min_samples_leaf : the fewest rows of a leaf.
    l2_regularization : the penalty on leaf values.
    max_bins : the most bins of a column, 2 to 255; missing values have one more.
    early_stopping : whether to stop once the score stalls; "auto": with more than 10,000 rows.
    validation_fraction : the share or number of rows that are held out for that score; None: the
        score on the rows that are learned from.
    n_iter_no_change, tol : stop when the best of the last `n_iter_no_change` scores is not better
        by `tol` than the one before them.
    random_state : draws the rows that are held out, and those that the bins are made from where
        there are more than 200,000.

    Attributes
    ----------
    do_early_stopping_ : whether early stopping was on.
    n_iter_ : the number of iterations.
    n_trees_per_iteration_ : 1.
    train_score_, validation_score_ : minus half the mean squared error before the first and after
        each iteration; empty without early stopping.
    n_features_in_, feature_names_in_ : the columns seen in `fit`.

    Notes
    -----
    As of `HistGradientBoostingClassifier`.

    References
    ----------
    Guolin Ke and others, *LightGBM: A highly efficient gradient boosting decision tree*, 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> round(HistGradientBoostingRegressor(max_iter=30).fit(X, y).score(X, y), 1)
    0.8
    """

    _parameter_constraints: ClassVar[dict] = _HistGradientBoosting._parameter_constraints

    def __init__(
        self,
        *,
        learning_rate: float = 0.1,
        max_iter: int = 100,
        max_leaf_nodes: int | None = 31,
        max_depth: int | None = None,
        min_samples_leaf: int = 20,
        l2_regularization: float = 0.0,
        max_bins: int = 255,
        early_stopping: bool | str = "auto",
        validation_fraction: float | None = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-7,
        random_state: Any = None,
    ) -> None:
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.max_leaf_nodes = max_leaf_nodes
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
        self.max_bins = max_bins
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to rows X (n_samples, n_features), targets y (n_samples,) and their weights."""
        X, y, weight = self._checked(X, y, sample_weight)
        self._boost(X, y, weight)
        return self
