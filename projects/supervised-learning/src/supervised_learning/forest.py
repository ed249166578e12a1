r"""Random forests: many trees on resampled rows and random columns, and their mean.

The mean of $B$ predictions of variance $\sigma^2$ with pairwise correlation $\rho$ varies by
$\rho\sigma^2 + (1 - \rho)\sigma^2 / B$. A deep tree errs little in the mean and varies much, so
the second part is worth removing (bagging: each tree gets a bootstrap sample of the rows), and the
first part is worth lowering: each node looks only at a few columns, drawn at random, which makes
the trees less alike.

Where rows have weights they are drawn in proportion to them, and the trees see counts only: a row
of weight 2 is in the samples as often as two rows.

A bootstrap sample leaves out a row with probability $(1 - 1/n)^n \approx 1/e$. Each row is thus a
test row for a third of the trees; the error of their mean vote on it, the out-of-bag error,
estimates the error on new rows without any held out.

References: L. Breiman, *Bagging Predictors*, 1996; L. Breiman, *Random Forests*, 2001.
"""

from numbers import Integral
from typing import Any, ClassVar, Self
from warnings import warn

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_random_state, gen_even_slices
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted, validate_data

from supervised_learning.tree.columns import Columns
from supervised_learning.tree.estimators import (
    MAX_SEED,
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    check_training_data,
    number_of_features,
    weigh_classes,
)


class BaseForest(BaseEstimator):
    """What forests for classes and for values share: the trees, their samples and their mean."""

    _parameter_constraints: ClassVar[dict] = {
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "bootstrap": ["boolean"],
        "oob_score": ["boolean", callable],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "max_samples": [
            None,
            Interval(RealNotInt, 0.0, None, closed="neither"),
            Interval(Integral, 1, None, closed="left"),
        ],
    }

    estimators_: list

    def _fit_trees(
        self,
        kind: Any,
        X: NDArray[np.float32],
        y: NDArray,
        weight: NDArray[np.float64] | None,
        n_classes: int = 0,
    ) -> None:
        """Grow trees of a kind on X (n, d) and the encoded y (n,), in `n_jobs` threads."""
        if not self.bootstrap and self.max_samples is not None:
            raise ValueError(
                "max_samples is for bootstrap=True; leave it None with bootstrap=False"
            )
        if not self.bootstrap and self.oob_score:
            raise ValueError("oob_score needs rows that a tree has not seen: set bootstrap=True")
        columns = Columns.of(X)
        columns.prepare(number_of_features(self.max_features, X.shape[1]))
        self._n_samples = len(X)
        self._weight = weight
        random_state = check_random_state(self.random_state)
        self.estimators_ = [
            self._new_tree(kind, seed)
            for seed in random_state.randint(MAX_SEED, size=self.n_estimators)
        ]
        self._in_parallel(
            delayed(self._grow_tree)(tree, columns, y, weight, n_classes)
            for tree in self.estimators_
        )

    def _new_tree(self, kind: Any, seed: int) -> Any:
        names = set(kind().get_params()) - {"random_state", "class_weight"}
        return kind(random_state=seed, **{name: getattr(self, name) for name in names})

    def _grow_tree(
        self,
        tree: Any,
        columns: Columns,
        y: NDArray,
        weight: NDArray[np.float64] | None,
        n_classes: int,
    ) -> None:
        if self.bootstrap:
            weight = self._reweigh(y, self._counts(tree))
        tree.grow(columns, y, weight, n_classes)

    def _reweigh(self, y: NDArray, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """The weights (n,) of a tree whose sample holds each row so often."""
        return counts

    def _sample(self, tree: Any) -> NDArray[np.int64]:
        """The rows of a tree's bootstrap sample, from the tree's own seed."""
        n, weight, size = self._n_samples, self._weight, self.max_samples
        if size is None:
            size = n
        elif not isinstance(size, Integral):
            size = max(1, int(size * (n if weight is None else weight.sum())))
        random_state = check_random_state(tree.random_state)
        if weight is None:
            return random_state.randint(0, n, size)
        return random_state.choice(n, size, p=weight / weight.sum())

    def _counts(self, tree: Any) -> NDArray[np.float64]:
        """How often each row is in a tree's sample (n,)."""
        return np.bincount(self._sample(tree), minlength=self._n_samples).astype(np.float64)

    @property
    def estimators_samples_(self) -> list[NDArray[np.int64]]:
        """The rows that each tree was grown on."""
        check_is_fitted(self)
        if not self.bootstrap:
            return [np.arange(self._n_samples) for _ in self.estimators_]
        return [self._sample(tree) for tree in self.estimators_]

    def _in_parallel(self, calls: Any) -> None:
        Parallel(n_jobs=self.n_jobs, prefer="threads")(calls)

    def _mean_value(self, X: ArrayLike) -> NDArray[np.float64]:
        """The mean of the trees' leaf values for each row of X (n, d): (n, k)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, order="C", reset=False)
        trees = [estimator.tree_ for estimator in self.estimators_]
        total = np.zeros((len(X), trees[0].value.shape[1]))

        def add(part: slice) -> None:
            for tree in trees:
                tree.add_values(X[part], tree.value, total[part])

        self._in_parallel(
            delayed(add)(part) for part in gen_even_slices(len(X), effective_n_jobs(self.n_jobs))
        )
        total /= len(trees)
        return total

    def _out_of_bag_value(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """The mean over the trees that have not seen a row (n, k); NaN where all have."""
        trees = self.estimators_
        total = np.zeros((len(X), trees[0].tree_.value.shape[1]))
        votes = np.zeros((len(X), 1))
        for estimator in trees:
            unseen = np.flatnonzero(self._counts(estimator) == 0)
            part = np.zeros((len(unseen), total.shape[1]))
            estimator.tree_.add_values(X[unseen], estimator.tree_.value, part)
            total[unseen] += part
            votes[unseen] += 1
        if not votes.all():
            warn(
                "Some rows are in the sample of every tree and have no out-of-bag prediction; "
                "grow more trees",
                stacklevel=5,
            )
        with np.errstate(invalid="ignore"):
            return total / votes

    def apply(self, X: ArrayLike) -> NDArray[np.int32]:
        """The leaf in which each row of X (n, d) ends in each tree: (n, n_estimators)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, order="C", reset=False)
        return np.column_stack([estimator.tree_.apply(X) for estimator in self.estimators_])

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """The mean over the trees of each column's share in the gains (d,); they add up to 1."""
        check_is_fitted(self)
        shares = [e.tree_.feature_importances() for e in self.estimators_ if e.get_n_leaves() > 1]
        if not shares:
            return np.zeros(self.n_features_in_)
        mean = np.mean(shares, axis=0)
        return mean / mean.sum()


class RandomForestClassifier(ClassifierMixin, BaseForest):
    """A random forest for classes: the mean of the class shares in the trees' leaves.

    The same `random_state` gives the trees of scikit-learn's forest, but for splits that only
    rounding tells apart.

    Parameters
    ----------
    n_estimators : int
        The number of trees.
    criterion, max_depth, min_samples_split, min_samples_leaf, min_weight_fraction_leaf, \
max_leaf_nodes, min_impurity_decrease, ccp_alpha :
        Of each tree, as in `DecisionTreeClassifier`.
    max_features : int, float, {"sqrt", "log2"} or None
        How many columns a node looks at, drawn anew for each node.
    bootstrap : bool
        Whether each tree gets a bootstrap sample; otherwise all rows.
    oob_score : bool or callable
        Whether to estimate the accuracy (or `oob_score(y, prediction)`) from out-of-bag votes.
    n_jobs : int or None
        The number of threads.
    random_state : int, RandomState or None
        Of the samples and the trees.
    class_weight : dict, "balanced", "balanced_subsample" or None
        Weights of the classes; the third balances each tree's sample.
    max_samples : int, float or None
        The size of a bootstrap sample, or its share of n (of the sum of the weights where there
        are any); None: n.

    Attributes
    ----------
    classes_ : (k,), sorted. n_classes_ : int, their number.
    estimators_ : list of `DecisionTreeClassifier`; estimators_samples_ : their rows.
    feature_importances_ : (d,), the mean of the trees'.
    oob_score_, oob_decision_function_ : the estimate, and the mean votes (n, k), where asked for.
    n_features_in_ : int. feature_names_in_ : where X is a frame.

    Raises
    ------
    ValueError
        For X or y that do not fit, NaN, infinity, or parameters out of range.

    References
    ----------
    L. Breiman, *Random Forests*, 2001.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> forest = RandomForestClassifier(oob_score=True, random_state=0).fit(X, y)
    >>> bool(forest.oob_score_ > 0.93)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **DecisionTreeClassifier._parameter_constraints,
        **BaseForest._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced", "balanced_subsample"}), None],
    }

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str = "gini",
        max_depth: int | None = None,
        min_samples_split: float = 2,
        min_samples_leaf: float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: float | str | None = "sqrt",
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        bootstrap: bool = True,
        oob_score: Any = False,
        n_jobs: int | None = None,
        random_state: Any = None,
        class_weight: Any = None,
        ccp_alpha: float = 0.0,
        max_samples: float | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.bootstrap = bootstrap
        self.oob_score = oob_score
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.class_weight = class_weight
        self.ccp_alpha = ccp_alpha
        self.max_samples = max_samples

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Grow the trees on X (n, d) and the classes y (n,), with weights (n,) where given."""
        X, y, weight = check_training_data(self, X, y, sample_weight, classes=True)
        self.classes_, encoded = np.unique(y, return_inverse=True)
        if not (self.class_weight == "balanced_subsample" and self.bootstrap):
            weight = weigh_classes(self.class_weight, y, encoded, weight)
        k = self.n_classes_ = len(self.classes_)
        self._fit_trees(DecisionTreeClassifier, X, encoded.astype(np.int32), weight, k)
        for tree in self.estimators_:
            tree.classes_, tree.n_classes_ = np.arange(k), k
        if self.oob_score:
            self.oob_decision_function_ = self._out_of_bag_value(X)
            known = ~np.isnan(self.oob_decision_function_[:, 0])
            votes = self.classes_[self.oob_decision_function_[known].argmax(axis=1)]
            score = self.oob_score if callable(self.oob_score) else accuracy_score
            self.oob_score_ = score(y[known], votes)
        return self

    def _reweigh(self, y: NDArray, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.class_weight != "balanced_subsample":
            return counts
        in_class = np.bincount(y, counts, self.n_classes_)
        share = np.count_nonzero(in_class) / counts.sum()
        return counts / np.maximum(share * in_class, share)[y]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """The mean over the trees of the class shares in a row's leaf: (n, k)."""
        return self._mean_value(X)

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Their logarithms (n, k); -inf where a class is absent."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: ArrayLike) -> NDArray:
        """The class with the largest mean share for each row of X (n, d): (n,)."""
        shares = self._mean_value(X)
        return self.classes_[shares.argmax(axis=1)]


class RandomForestRegressor(RegressorMixin, BaseForest):
    """A random forest for values: the mean of the trees' predictions.

    Parameters
    ----------
    n_estimators : int
        The number of trees.
    criterion, max_depth, min_samples_split, min_samples_leaf, min_weight_fraction_leaf, \
max_leaf_nodes, min_impurity_decrease, ccp_alpha :
        Of each tree, as in `DecisionTreeRegressor`.
    max_features : int, float, {"sqrt", "log2"} or None
        How many columns a node looks at; 1.0 is all of them, which makes it plain bagging.
    bootstrap, oob_score, n_jobs, random_state, max_samples :
        As in `RandomForestClassifier`; the out-of-bag score is R².

    Attributes
    ----------
    estimators_ : list of `DecisionTreeRegressor`; estimators_samples_ : their rows.
    feature_importances_ : (d,), the mean of the trees'.
    oob_score_, oob_prediction_ : the estimate, and the out-of-bag means (n,), where asked for.
    n_features_in_ : int. feature_names_in_ : where X is a frame.

    Raises
    ------
    ValueError
        For X or y that do not fit, NaN, infinity, or parameters out of range.

    References
    ----------
    L. Breiman, *Bagging Predictors*, 1996; *Random Forests*, 2001.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> forest = RandomForestRegressor(oob_score=True, random_state=0).fit(X, y)
    >>> bool(forest.oob_score_ > 0.35)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **DecisionTreeRegressor._parameter_constraints,
        **BaseForest._parameter_constraints,
    }

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str = "squared_error",
        max_depth: int | None = None,
        min_samples_split: float = 2,
        min_samples_leaf: float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: float | str | None = 1.0,
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        bootstrap: bool = True,
        oob_score: Any = False,
        n_jobs: int | None = None,
        random_state: Any = None,
        ccp_alpha: float = 0.0,
        max_samples: float | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.bootstrap = bootstrap
        self.oob_score = oob_score
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.ccp_alpha = ccp_alpha
        self.max_samples = max_samples

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Grow the trees on X (n, d) and the values y (n,), with weights (n,) where given."""
        X, y, weight = check_training_data(self, X, y, sample_weight, classes=False)
        self._fit_trees(DecisionTreeRegressor, X, y, weight)
        if self.oob_score:
            self.oob_prediction_ = self._out_of_bag_value(X)[:, 0]
            known = ~np.isnan(self.oob_prediction_)
            score = self.oob_score if callable(self.oob_score) else r2_score
            self.oob_score_ = score(y[known], self.oob_prediction_[known])
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """The mean of the trees' predictions for each row of X (n, d): (n,)."""
        return self._mean_value(X)[:, 0]
