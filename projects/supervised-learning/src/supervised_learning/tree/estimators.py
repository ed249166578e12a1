"""Decision trees as estimators: what scikit-learn's take and give, on top of `builder.grow`."""

from math import ceil
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from supervised_learning.tree.builder import Limits, grow
from supervised_learning.tree.columns import Columns
from supervised_learning.tree.pruning import best_first, prune, weakest_links
from supervised_learning.tree.structure import Tree

MAX_SEED = np.iinfo(np.int32).max


class BaseTree(BaseEstimator):
    """What trees for classes and for values share; `n_classes` is 0 for values."""

    tree_: Tree

    _parameter_constraints: ClassVar[dict] = {
        "max_depth": [Interval(Integral, 1, None, closed="left"), None],
        "min_samples_split": [
            Interval(Integral, 2, None, closed="left"),
            Interval(RealNotInt, 0.0, 1.0, closed="right"),
        ],
        "min_samples_leaf": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0.0, 1.0, closed="neither"),
        ],
        "min_weight_fraction_leaf": [Interval(Real, 0.0, 0.5, closed="both")],
        "max_features": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0.0, 1.0, closed="right"),
            StrOptions({"sqrt", "log2"}),
            None,
        ],
        "random_state": ["random_state"],
        "max_leaf_nodes": [Interval(Integral, 2, None, closed="left"), None],
        "min_impurity_decrease": [Interval(Real, 0.0, None, closed="left")],
        "ccp_alpha": [Interval(Real, 0.0, None, closed="left")],
    }

    def grow(
        self,
        columns: Columns,
        y: NDArray,
        weight: NDArray | None,
        n_classes: int = 0,
        **options: Any,
    ) -> NDArray[np.int32]:
        """Set `tree_` from columns and an encoded target; gives the leaf of each row (n,).

        `options` are those of `builder.grow`. Ensembles call this: they sort the columns once.
        """
        d, n = columns.values.shape
        total = n if weight is None else weight.sum()
        self.n_features_in_ = d
        self.max_features_ = number_of_features(self.max_features, d)
        min_leaf = _rows(self.min_samples_leaf, n)
        max_depth = 2**31 - 1 if self.max_depth is None else self.max_depth
        if self.max_leaf_nodes is not None:
            max_depth = min(max_depth, self.max_leaf_nodes - 1)
        tree, leaves = grow(
            columns,
            y,
            weight,
            criterion=self.criterion,
            n_classes=n_classes,
            max_features=self.max_features_,
            limits=Limits(
                max_depth,
                max(2, _rows(self.min_samples_split, n), 2 * min_leaf),
                min_leaf,
                self.min_weight_fraction_leaf * total,
                self.min_impurity_decrease,
            ),
            seed=int(check_random_state(self.random_state).randint(MAX_SEED)),
            **options,
        )
        if self.max_leaf_nodes is not None:
            tree, number = best_first(tree, self.max_leaf_nodes)
            leaves = number[leaves].astype(np.int32)
        if self.ccp_alpha > 0:
            tree, number = prune(tree, self.ccp_alpha)
            leaves = number[leaves].astype(np.int32)
        self.tree_ = tree
        return leaves

    def _rows_to_walk(self, X: ArrayLike) -> NDArray[np.float32]:
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float32, order="C", reset=False)

    def apply(self, X: ArrayLike) -> NDArray[np.int32]:
        """The number of the leaf in which each row of X (n, d) ends: (n,)."""
        rows = self._rows_to_walk(X)
        return self.tree_.apply(rows)

    def get_depth(self) -> int:
        """The depth of the deepest leaf; 0 for a tree that is one leaf."""
        check_is_fitted(self)
        return self.tree_.max_depth

    def get_n_leaves(self) -> int:
        """The number of leaves."""
        check_is_fitted(self)
        return self.tree_.n_leaves

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """How much of the tree's gain each column brings (d,); they add up to 1."""
        check_is_fitted(self)
        return self.tree_.feature_importances()

    def cost_complexity_pruning_path(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Bunch:
        """The values of `ccp_alpha` at which the tree for X and y loses a branch.

        Returns `ccp_alphas` (k,), ascending from 0, and `impurities` (k,), the sum of the impurity
        of the leaves of the tree that each of them leaves.
        """
        uncut = type(self)(**{**self.get_params(deep=False), "ccp_alpha": 0.0})
        _, alphas, impurities = weakest_links(uncut.fit(X, y, sample_weight).tree_)
        return Bunch(ccp_alphas=alphas, impurities=impurities)


class DecisionTreeClassifier(ClassifierMixin, BaseTree):
    """A decision tree for classes, grown by the impurity of its nodes.

    The splits are scikit-learn's: the same columns, and thresholds midway between two values.
    Between equally good ones `random_state` decides, in the same way, so that only rounding can
    tell the trees apart. (With `max_leaf_nodes` the columns are looked at in another order.)

    Parameters
    ----------
    criterion : {"gini", "entropy", "log_loss"}
        The impurity; the last two are the same.
    max_depth : int or None
        The greatest depth of a leaf; None: as deep as it takes to make every leaf pure.
    min_samples_split, min_samples_leaf : int or float
        A node with fewer rows is not split; a child holds at least so many. A float is a share of
        the rows of X.
    min_weight_fraction_leaf : float
        The least share of the weight that a leaf holds.
    max_features : int, float, {"sqrt", "log2"} or None
        How many columns a node looks at, drawn anew for each node; None: all.
    random_state : int, RandomState or None
        Of the order in which columns are looked at.
    max_leaf_nodes : int or None
        Grow best first to this number of leaves.
    min_impurity_decrease : float
        A split gains at least this, as a share of the tree's weight.
    class_weight : dict, "balanced" or None
        Weights of the classes; "balanced": n / (k n_class).
    ccp_alpha : float
        The price of a leaf in minimal cost-complexity pruning; see `pruning`.

    Attributes
    ----------
    classes_ : (k,), sorted. n_classes_ : int, their number.
    tree_ : `Tree`, the nodes as arrays.
    feature_importances_ : (d,), each column's share in the gains.
    max_features_, n_features_in_ : int. feature_names_in_ : where X is a frame.

    Raises
    ------
    ValueError
        For X or y that do not fit, NaN, infinity, or parameters out of range.

    References
    ----------
    L. Breiman, J. Friedman, R. Olshen, C. Stone, *Classification and Regression Trees*, 1984.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> tree = DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, y)
    >>> tree.predict(X[[0, 60, 120]])
    array([0, 1, 2])
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseTree._parameter_constraints,
        "criterion": [StrOptions({"gini", "entropy", "log_loss"})],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        *,
        criterion: str = "gini",
        max_depth: int | None = None,
        min_samples_split: float = 2,
        min_samples_leaf: float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: float | str | None = None,
        random_state: Any = None,
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        class_weight: Any = None,
        ccp_alpha: float = 0.0,
    ) -> None:
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.random_state = random_state
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.class_weight = class_weight
        self.ccp_alpha = ccp_alpha

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Grow the tree on X (n, d) and the classes y (n,), with weights (n,) where given."""
        X, y, weight = check_training_data(self, X, y, sample_weight, classes=True)
        self.classes_, encoded = np.unique(y, return_inverse=True)
        weight = weigh_classes(self.class_weight, y, encoded, weight)
        self.n_classes_ = len(self.classes_)
        self.grow(Columns.of(X), encoded.astype(np.int32), weight, self.n_classes_, once=True)
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """The shares of the classes in the leaf of each row of X (n, d): (n, k)."""
        leaves = self.apply(X)
        return self.tree_.value[leaves]

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Their logarithms (n, k); -inf where a class is absent."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: ArrayLike) -> NDArray:
        """The most frequent class in the leaf of each row of X (n, d): (n,)."""
        leaves = self.apply(X)
        return self.classes_[self.tree_.value.argmax(axis=1)][leaves]


class DecisionTreeRegressor(RegressorMixin, BaseTree):
    """A decision tree for values, grown by the squared error in its nodes.

    A leaf predicts the mean of its rows. The splits are scikit-learn's; see
    `DecisionTreeClassifier`.

    Parameters
    ----------
    criterion : {"squared_error"}
        The impurity.
    max_depth, min_samples_split, min_samples_leaf, min_weight_fraction_leaf, max_features, \
random_state, max_leaf_nodes, min_impurity_decrease, ccp_alpha :
        As in `DecisionTreeClassifier`.

    Attributes
    ----------
    tree_ : `Tree`, the nodes as arrays.
    feature_importances_ : (d,), each column's share in the gains.
    max_features_, n_features_in_ : int. feature_names_in_ : where X is a frame.

    Raises
    ------
    ValueError
        For X or y that do not fit, NaN, infinity, or parameters out of range.

    References
    ----------
    L. Breiman, J. Friedman, R. Olshen, C. Stone, *Classification and Regression Trees*, 1984.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(6.0)[:, None]
    >>> DecisionTreeRegressor(max_depth=1).fit(X, [1, 1, 1, 5, 5, 8]).predict([[0], [9]])
    array([1., 6.])
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseTree._parameter_constraints,
        "criterion": [StrOptions({"squared_error"})],
    }

    def __init__(
        self,
        *,
        criterion: str = "squared_error",
        max_depth: int | None = None,
        min_samples_split: float = 2,
        min_samples_leaf: float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: float | str | None = None,
        random_state: Any = None,
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        ccp_alpha: float = 0.0,
    ) -> None:
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.random_state = random_state
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.ccp_alpha = ccp_alpha

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Grow the tree on X (n, d) and the values y (n,), with weights (n,) where given."""
        X, y, weight = check_training_data(self, X, y, sample_weight, classes=False)
        self.grow(Columns.of(X), y, weight, once=True)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """The mean of the leaf of each row of X (n, d): (n,)."""
        leaves = self.apply(X)
        return self.tree_.value[leaves, 0]


def check_training_data(
    estimator: Any, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, *, classes: bool
) -> tuple[NDArray[np.float32], NDArray, NDArray[np.float64] | None]:
    """X float32 (n, d), y (n,) as classes or float64, and the weights (n,) or None, all valid."""
    X, y = validate_data(
        estimator, X, y, dtype=np.float32, order="C", multi_output=False, y_numeric=not classes
    )
    if classes:
        check_classification_targets(y)
    else:
        y = y.astype(np.float64, copy=False)
    weight = None
    if sample_weight is not None:
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    return X, column_or_1d(y), weight


def weigh_classes(
    class_weight: Any, y: NDArray, encoded: NDArray, weight: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """The rows' weights (n,) times those of their classes; None where neither is given.

    "balanced" gives each class the same sum of weights, and a class without weight none.
    """
    if class_weight is None:
        return weight
    if class_weight != "balanced":
        by_class = compute_sample_weight(class_weight, y)
    else:
        in_class = np.bincount(encoded, weight)
        present = in_class > 0
        of_class = np.zeros(len(in_class))
        of_class[present] = in_class.sum() / np.count_nonzero(present) / in_class[present]
        by_class = of_class[encoded]
    return by_class if weight is None else weight * by_class


def number_of_features(max_features: float | str | None, d: int) -> int:
    """`max_features` as a number of the d columns, at least 1."""
    if max_features is None:
        return d
    if max_features == "sqrt":
        return max(1, int(np.sqrt(d)))
    if max_features == "log2":
        return max(1, int(np.log2(d)))
    if isinstance(max_features, Integral):
        return min(int(max_features), d)
    return max(1, int(float(max_features) * d))


def _rows(bound: float, n: int) -> int:
    """A number of rows, given as one or as a share of n."""
    return int(bound) if isinstance(bound, Integral) else ceil(bound * n)
