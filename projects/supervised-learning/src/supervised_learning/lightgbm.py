r"""LightGBM: leaf-wise trees on histograms, with fewer rows, and with categories as they are.

The core is that of `histogram_boosting`: bins, leaf-wise growth, sibling subtraction. Two ideas are
added.

*Gradient-based one-side sampling (GOSS).* A row with a small gradient is learned already, and says
little about where to split. Leaving such rows out altogether would shift the distribution, so: keep
the share $a$ of the rows with the largest $|g h|$, draw the share $b$ of all rows from the others,
and multiply the derivatives of the drawn ones by $(1 - a) / b$. For rows $A$ kept and $B$ drawn, a
side $L$ of a split then has the sum

$$\hat G_L = \sum_{i \in A \cap L} g_i + \frac{1 - a}{b} \sum_{i \in B \cap L} g_i, \qquad
\mathbb E\, \hat G_L = G_L.$$

Its variance comes from small gradients only. A tree is grown on $(a + b) n$ rows in place of $n$.
The first $1 / \eta$ trees see all rows: before there is a model, no gradient says much.

*Categories.* A column of categories is not unrolled into columns of 0 and 1, of which each split
could take only one. The categories are sorted by their gradient statistics in the node at hand, and
a split names a set of them (`histogram.categories`).

Source: Guolin Ke and others, *LightGBM: A highly efficient gradient boosting decision tree*, 2017.
"""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from supervised_learning.boosting_threads import use_threads
from supervised_learning.histogram.binning import find_bins, join_cuts
from supervised_learning.histogram.estimators import (
    BoostedClassifier,
    BoostedRegressor,
    BoostedTrees,
)
from supervised_learning.histogram.grower import Grower, Rules
from supervised_learning.histogram.predictor import Scorer

_NO_LIMIT = 2**31 - 1


class _LGBM(BoostedTrees):
    """The loop that the classifier and the regressor share."""

    boosting_type: str
    num_leaves: int
    max_depth: int
    learning_rate: float
    n_estimators: int
    subsample_for_bin: int
    min_split_gain: float
    min_child_weight: float
    min_child_samples: int
    subsample: float
    subsample_freq: int
    reg_lambda: float
    random_state: Any
    n_jobs: int | None
    importance_type: str
    data_sample_strategy: str
    top_rate: float
    other_rate: float
    max_bin: int
    categorical_feature: str | Sequence[int | str]
    max_cat_to_onehot: int
    max_cat_threshold: int
    cat_l2: float
    cat_smooth: float
    min_data_per_group: int

    _parameter_constraints: ClassVar[dict] = {
        "boosting_type": [StrOptions({"gbdt", "goss"})],
        "num_leaves": [Interval(Integral, 2, None, closed="left")],
        "max_depth": [Interval(Integral, None, None, closed="neither")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "subsample_for_bin": [Interval(Integral, 1, None, closed="left")],
        "min_split_gain": [Interval(Real, 0, None, closed="left")],
        "min_child_weight": [Interval(Real, 0, None, closed="left")],
        "min_child_samples": [Interval(Integral, 1, None, closed="left")],
        "subsample": [Interval(Real, 0, 1, closed="right")],
        "subsample_freq": [Interval(Integral, 0, None, closed="left")],
        "reg_lambda": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "importance_type": [StrOptions({"split", "gain"})],
        "data_sample_strategy": [StrOptions({"bagging", "goss"})],
        "top_rate": [Interval(Real, 0, 1, closed="neither")],
        "other_rate": [Interval(Real, 0, 1, closed="neither")],
        "max_bin": [Interval(Integral, 2, 255, closed="both")],
        "categorical_feature": [StrOptions({"auto"}), "array-like"],
        "max_cat_to_onehot": [Interval(Integral, 1, None, closed="left")],
        "max_cat_threshold": [Interval(Integral, 1, None, closed="left")],
        "cat_l2": [Interval(Real, 0, None, closed="left")],
        "cat_smooth": [Interval(Real, 0, None, closed="left")],
        "min_data_per_group": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        boosting_type: str = "gbdt",
        num_leaves: int = 31,
        max_depth: int = -1,
        learning_rate: float = 0.1,
        n_estimators: int = 100,
        subsample_for_bin: int = 200_000,
        min_split_gain: float = 0.0,
        min_child_weight: float = 1e-3,
        min_child_samples: int = 20,
        subsample: float = 1.0,
        subsample_freq: int = 0,
        reg_lambda: float = 0.0,
        random_state: Any = None,
        n_jobs: int | None = None,
        importance_type: str = "split",
        *,
        data_sample_strategy: str = "bagging",
        top_rate: float = 0.2,
        other_rate: float = 0.1,
        max_bin: int = 255,
        categorical_feature: str | Sequence[int | str] = "auto",
        max_cat_to_onehot: int = 4,
        max_cat_threshold: int = 32,
        cat_l2: float = 10.0,
        cat_smooth: float = 10.0,
        min_data_per_group: int = 100,
    ) -> None:
        self.boosting_type = boosting_type
        self.num_leaves = num_leaves
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.n_estimators = n_estimators
        self.subsample_for_bin = subsample_for_bin
        self.min_split_gain = min_split_gain
        self.min_child_weight = min_child_weight
        self.min_child_samples = min_child_samples
        self.subsample = subsample
        self.subsample_freq = subsample_freq
        self.reg_lambda = reg_lambda
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.importance_type = importance_type
        self.data_sample_strategy = data_sample_strategy
        self.top_rate = top_rate
        self.other_rate = other_rate
        self.max_bin = max_bin
        self.categorical_feature = categorical_feature
        self.max_cat_to_onehot = max_cat_to_onehot
        self.max_cat_threshold = max_cat_threshold
        self.cat_l2 = cat_l2
        self.cat_smooth = cat_smooth
        self.min_data_per_group = min_data_per_group

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """How often each column is split, or what its splits gain in all, (n_features,)."""
        check_is_fitted(self)
        inner = self._scorer.nodes[self._scorer.nodes["left"] != 0]
        weights = inner["gain"] if self.importance_type == "gain" else None
        return np.bincount(inner["feature"], weights, self.n_features_in_).astype(np.float64)

    def _checked(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[NDArray, NDArray[np.float64], NDArray[np.float64] | None]:
        self._levels = _levels(X)
        return super()._checked(_number_levels(X, self._levels), y, sample_weight)

    def _raw(self, X: ArrayLike) -> NDArray[np.float64]:
        check_is_fitted(self)
        X = validate_data(
            self,
            _number_levels(X, self._levels),
            dtype=[np.float64, np.float32],
            order="C",
            ensure_all_finite=False,
            reset=False,
        )
        X = _number_categories(X, self._categories)
        raw = np.repeat(self._start[:, None], len(X), axis=1)
        with use_threads(self.n_jobs, X.size):
            self._scorer.add(X, raw)
        return raw

    def _boost(self, X: NDArray, y: NDArray, weight: NDArray | None) -> None:
        """Fit the start and the trees. y is float64, and `_loss` is set."""
        goss = "goss" in (self.boosting_type, self.data_sample_strategy)
        if goss and self.top_rate + self.other_rate > 1.0:
            raise ValueError(
                f"top_rate={self.top_rate} and other_rate={self.other_rate} are more than all "
                "rows together; give shares whose sum is at most 1"
            )
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        self._categories = {
            f: _frequent(X[:, f], self.max_bin) for f in self._categorical_columns()
        }
        X = _number_categories(X, self._categories)
        loss = self._loss
        with use_threads(self.n_jobs, X.size) as threads:
            grower = self._make_grower(X, weight, rng, threads)
            self._start = loss.start(y, weight)
            raw = np.repeat(self._start[:, None], len(X), axis=1)
            gradients, hessians = np.empty((2, *raw.shape), np.float32)
            trees: list[NDArray] = []
            rows = None
            for iteration in range(self.n_estimators):
                loss.derivatives(y, raw, weight, gradients, hessians)
                if goss:
                    if iteration >= int(1 / self.learning_rate):
                        rows = _sample_one_side(
                            gradients, hessians, self.top_rate, self.other_rate, rng
                        )
                elif self.subsample_freq and iteration % self.subsample_freq == 0:
                    rows = _sample(len(X), self.subsample, rng)
                for k in range(loss.n_outputs):
                    tree = grower.grow(gradients[k], hessians[k], rows)
                    tree["value"] *= self.learning_rate
                    if rows is None:
                        grower.add_values(tree, raw[k])
                    else:  # the tree has to find the other rows, too
                        grower.add_values_to_all(tree, raw[k])
                    trees.append(tree)
        self._scorer = Scorer.of(trees, loss.n_outputs)
        self.n_estimators_ = self.n_iter_ = len(trees) // loss.n_outputs

    def _categorical_columns(self) -> list[int]:
        """The numbers of the columns that hold categories."""
        names = list(getattr(self, "feature_names_in_", []))
        if isinstance(self.categorical_feature, str):
            return [names.index(name) for name in self._levels]
        columns = set()
        for column in self.categorical_feature:
            if isinstance(column, str) and column in names:
                columns.add(names.index(column))
            elif isinstance(column, Integral) and 0 <= column < self.n_features_in_:
                columns.add(int(column))
            else:
                raise ValueError(
                    f"categorical_feature names {column!r}, which is no column: give names of the "
                    f"frame's columns, or numbers from 0 to {self.n_features_in_ - 1}"
                )
        return sorted(columns | {names.index(name) for name in self._levels})

    def _make_grower(
        self, X: NDArray, weight: NDArray | None, rng: np.random.Generator, threads: int
    ) -> Grower:
        bins = find_bins(
            X, self.max_bin, sample_weight=weight, subsample=self.subsample_for_bin, rng=rng
        )
        if self._categories:  # a category's code is its number, whatever rows the bins saw
            cuts: list[NDArray] = [bins.of(f) for f in range(bins.n_features)]
            for f, values in self._categories.items():
                cuts[f] = np.arange(len(values) - 1) + 0.5
            bins = join_cuts(cuts)
        rules = Rules(
            l2=float(self.reg_lambda),
            min_samples=self.min_child_samples,
            min_hessian=float(self.min_child_weight),
            min_gain=float(self.min_split_gain),
            max_leaves=self.num_leaves,
            max_depth=self.max_depth if self.max_depth > 0 else _NO_LIMIT,
            cat_l2=float(self.cat_l2),
            cat_smooth=float(self.cat_smooth),
            max_cat_threshold=self.max_cat_threshold,
            max_cat_to_onehot=self.max_cat_to_onehot,
            min_data_per_group=self.min_data_per_group,
        )
        categorical = np.isin(np.arange(X.shape[1]), list(self._categories))
        return Grower(bins.transform(X), bins, rules, threads, categorical)


def _sample_one_side(
    gradients: NDArray, hessians: NDArray, a: float, b: float, rng: np.random.Generator
) -> NDArray[np.uint32] | None:
    """GOSS: the rows to grow on, ascending; None: all. Weighs up those that stand for others."""
    n = gradients.shape[1]
    top, drawn = max(1, int(a * n)), max(1, int(b * n))
    if top + drawn >= n:
        return None
    size = np.abs(gradients[0] * hessians[0])
    for k in range(1, len(gradients)):
        size += np.abs(gradients[k] * hessians[k])
    threshold = np.partition(size, n - top)[n - top]
    weight = np.float32((n - top) / drawn)
    return _draw(size, threshold, top, drawn, rng.random(n), weight, gradients, hessians)


@njit(cache=True, nogil=True)
def _draw(
    size: NDArray,
    threshold: float,
    top: int,
    drawn: int,
    uniform: NDArray,
    weight: float,
    gradients: NDArray,
    hessians: NDArray,
) -> NDArray:
    """Keep the `top` largest, and each other row with the share that is still to be drawn."""
    n = len(size)
    rows = np.empty(top + drawn, np.uint32)
    ties = top
    for i in range(n):
        ties -= size[i] > threshold
    kept, others, needed = 0, n - top, drawn
    for i in range(n):
        large = size[i] > threshold
        if size[i] == threshold and ties > 0:
            large = True
            ties -= 1
        if not large:
            taken = uniform[i] * others < needed
            others -= 1
            if not taken:
                continue
            needed -= 1
            for k in range(len(gradients)):
                gradients[k, i] *= weight
                hessians[k, i] *= weight
        rows[kept] = i
        kept += 1
    return rows


def _sample(n: int, share: float, rng: np.random.Generator) -> NDArray[np.uint32] | None:
    """A share of n rows drawn without replacement, ascending; None: all."""
    size = max(1, int(share * n))
    if size >= n:
        return None
    return np.sort(rng.choice(n, size, replace=False, shuffle=False)).astype(np.uint32)


def _levels(X: Any) -> dict[str, Any]:
    """The categories of the columns of a pandas frame that are of type `category`."""
    if not hasattr(X, "dtypes") or not hasattr(X, "columns"):
        return {}
    return {
        name: X[name].cat.categories
        for name in X.columns
        if getattr(X[name].dtype, "name", "") == "category"
    }


def _number_levels(X: Any, levels: dict[str, Any]) -> Any:
    """Number the values of such columns in the order of `levels`; NaN for one that is not there."""
    if not levels or not hasattr(X, "columns"):
        return X
    codes = {}
    for name in levels:
        if name in X.columns:
            code = np.asarray(levels[name].get_indexer(X[name]), dtype=np.float64)
            codes[name] = np.where(code < 0, np.nan, code)
    return X.assign(**codes)


def _frequent(column: NDArray, most: int) -> NDArray:
    """The most frequent values of a column, ascending."""
    values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    return np.sort(values[np.argsort(-counts, kind="stable")[:most]])


def _number_categories(X: NDArray, categories: dict[int, NDArray]) -> NDArray:
    """A copy of X with each category's number in place of it; NaN where it has none."""
    if not categories:
        return X
    X = X.copy()
    for f, values in categories.items():
        column = X[:, f]
        code = np.minimum(np.searchsorted(values, column), max(len(values) - 1, 0))
        known = values[code] == column if len(values) else np.zeros(len(X), np.bool_)
        X[:, f] = np.where(known, code, np.nan)
    return X


class LGBMClassifier(BoostedClassifier, _LGBM):
    """Classification by leaf-wise trees on histograms, with one-side sampling and categories.

    Parameters
    ----------
    boosting_type : "gbdt", or "goss", an older name of `data_sample_strategy="goss"`.
    num_leaves : the most leaves of a tree, at least 2.
    max_depth : the most splits between the root and a leaf; 0 or less: no limit.
    learning_rate : what a tree's values are multiplied by, above 0.
    n_estimators : the iterations; each adds one tree, or with more than two classes one a class.
    subsample_for_bin : the bins are made from this many rows, where there are more.
    class_weight : weights of the classes: a dict, "balanced", or None.
    min_split_gain : a split has to gain more.
    min_child_weight : the smallest sum of hessians of a leaf.
    min_child_samples : the fewest rows of a leaf.
    subsample, subsample_freq : grow on this share of the rows, drawn anew every `subsample_freq`
        iterations; 0: on all.
    reg_lambda : the penalty on leaf values.
    random_state : draws the rows of a sample, and those of the bins.
    n_jobs : threads; None: as many as Numba has at present, -1: all cores.
    importance_type : what `feature_importances_` shows: "split" or "gain".
    data_sample_strategy : "bagging" (see `subsample`) or "goss".
    top_rate, other_rate : GOSS: the share of rows with the largest gradients that is kept, and the
        share that is drawn from the others; together at most 1.
    max_bin : the most bins of a column, 2 to 255; missing values have one more.
    categorical_feature : the columns that hold categories, by number or name, beside those of type
        `category` of a frame; "auto": only those.
    max_cat_to_onehot, max_cat_threshold, cat_l2, cat_smooth, min_data_per_group : what splits of
        categories have to keep to: up to `max_cat_to_onehot` categories, each is tried against all
        others; else at most `max_cat_threshold` are named, `cat_l2` is added to the penalty,
        `cat_smooth` to the hessian for the order, and each step holds `min_data_per_group` rows.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    n_classes_ : the number of classes.
    n_estimators_, n_iter_ : the number of iterations.
    feature_importances_ : ndarray of shape (n_features,)
    n_features_in_, feature_names_in_ : the columns seen in `fit`.

    Notes
    -----
    A constant column is never split. NaN is a missing value and goes to the side where it gains; a
    column that had none in `fit` sends it with the majority. A category that is missing, was never
    seen, or is not among the `max_bin` most frequent ones goes to the right. Infinity raises
    ValueError, and so does a text column that is not of type `category`.

    References
    ----------
    Guolin Ke and others, *LightGBM: A highly efficient gradient boosting decision tree*, 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> LGBMClassifier(data_sample_strategy="goss", random_state=0).fit(X, y).score(X, y)
    1.0
    """

    _parameter_constraints: ClassVar[dict] = {
        **_LGBM._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        boosting_type: str = "gbdt",
        num_leaves: int = 31,
        max_depth: int = -1,
        learning_rate: float = 0.1,
        n_estimators: int = 100,
        subsample_for_bin: int = 200_000,
        class_weight: Any = None,
        min_split_gain: float = 0.0,
        min_child_weight: float = 1e-3,
        min_child_samples: int = 20,
        subsample: float = 1.0,
        subsample_freq: int = 0,
        reg_lambda: float = 0.0,
        random_state: Any = None,
        n_jobs: int | None = None,
        importance_type: str = "split",
        *,
        data_sample_strategy: str = "bagging",
        top_rate: float = 0.2,
        other_rate: float = 0.1,
        max_bin: int = 255,
        categorical_feature: str | Sequence[int | str] = "auto",
        max_cat_to_onehot: int = 4,
        max_cat_threshold: int = 32,
        cat_l2: float = 10.0,
        cat_smooth: float = 10.0,
        min_data_per_group: int = 100,
    ) -> None:
        super().__init__(
            boosting_type,
            num_leaves,
            max_depth,
            learning_rate,
            n_estimators,
            subsample_for_bin,
            min_split_gain,
            min_child_weight,
            min_child_samples,
            subsample,
            subsample_freq,
            reg_lambda,
            random_state,
            n_jobs,
            importance_type,
            data_sample_strategy=data_sample_strategy,
            top_rate=top_rate,
            other_rate=other_rate,
            max_bin=max_bin,
            categorical_feature=categorical_feature,
            max_cat_to_onehot=max_cat_to_onehot,
            max_cat_threshold=max_cat_threshold,
            cat_l2=cat_l2,
            cat_smooth=cat_smooth,
            min_data_per_group=min_data_per_group,
        )
        self.class_weight = class_weight

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to rows X (n_samples, n_features), classes y (n_samples,) and their weights."""
        X, y, weight = self._checked(X, y, sample_weight)
        self.n_classes_ = len(self.classes_)
        self._loss = self._log_loss(self.n_classes_ / max(self.n_classes_ - 1, 1))
        self._boost(X, y, weight)
        return self


class LGBMRegressor(BoostedRegressor, _LGBM):
    """Regression by leaf-wise trees on histograms, with one-side sampling and categories.

    Parameters
    ----------
    boosting_type, num_leaves, max_depth, learning_rate, n_estimators, subsample_for_bin,
    min_split_gain, min_child_weight, min_child_samples, subsample, subsample_freq, reg_lambda,
    random_state, n_jobs, importance_type, data_sample_strategy, top_rate, other_rate, max_bin,
    categorical_feature, max_cat_to_onehot, max_cat_threshold, cat_l2, cat_smooth,
    min_data_per_group : as of `LGBMClassifier`. The loss is half the squared error, whose hessian
        is 1: so `min_child_weight` is a number of rows (or a weight of rows).

    Attributes
    ----------
    n_estimators_, n_iter_ : the number of iterations.
    feature_importances_ : ndarray of shape (n_features,)
    n_features_in_, feature_names_in_ : the columns seen in `fit`.

    Notes
    -----
    As of `LGBMClassifier`.

    References
    ----------
    Guolin Ke and others, *LightGBM: A highly efficient gradient boosting decision tree*, 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> round(LGBMRegressor(n_estimators=30).fit(X, y).score(X, y), 1)
    0.8
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to rows X (n_samples, n_features), targets y (n_samples,) and their weights."""
        X, y, weight = self._checked(X, y, sample_weight)
        self._boost(X, y, weight)
        return self
