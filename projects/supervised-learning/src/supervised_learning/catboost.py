r"""Boosting that is not biased by its own training rows, with categories.

The model is a sum of oblivious trees (`oblivious_trees`), fitted one after the other to the
gradients of a loss. Two places of plain boosting let a training row see its own target: the mean
target that stands for a category, and the predictions that the gradients are taken at. Both shift
the model, since a new row sees nothing of its target. Both are cured by the same trick, an order of
the rows in which each row learns only from those before it: ordered target statistics
(`target_statistics`) and ordered boosting (`ordered_boosting`).

Source: Liudmila Prokhorenkova and others, *CatBoost: unbiased boosting with categorical features*,
2018.
"""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from supervised_learning.boosting_threads import use_threads
from supervised_learning.histogram.binning import column_cuts, find_bins, join_cuts
from supervised_learning.histogram.losses import LogLoss, Loss, Softmax, SquaredError
from supervised_learning.oblivious_trees import Rules, predict
from supervised_learning.ordered_boosting import Boosted, Fold, Options, boost
from supervised_learning.target_statistics import CategoryEncoder


class _Rate(NamedTuple):
    """The library's learning rate: exp(a log n + b) (iterations / 1000)^c, at most 0.5."""

    a: float
    b: float
    c: float

    def __call__(self, n: float, iterations: int) -> float:
        return float(min(np.exp(self.a * np.log(n) + self.b) * (iterations / 1000) ** self.c, 0.5))


class _CatBoost(BaseEstimator):
    """What the classifier and the regressor share."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "iterations": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), None],
        "depth": [Interval(Integral, 1, 12, closed="both")],
        "l2_leaf_reg": [Interval(Real, 0, None, closed="left")],
        "boosting_type": [StrOptions({"Plain", "Ordered"})],
        "score_function": [StrOptions({"Cosine", "L2"})],
        "bootstrap_type": [StrOptions({"MVS", "Bayesian", "No"}), None],
        "subsample": [Interval(Real, 0, 1, closed="right")],
        "bagging_temperature": [Interval(Real, 0, None, closed="left")],
        "random_strength": [Interval(Real, 0, None, closed="left")],
        "leaf_estimation_iterations": [Interval(Integral, 1, None, closed="left"), None],
        "border_count": [Interval(Integral, 1, 254, closed="both")],
        "cat_features": ["array-like", None],
        "one_hot_max_size": [Interval(Integral, 1, None, closed="left")],
        "ctr_border_count": [Interval(Integral, 1, 254, closed="both")],
        "permutation_count": [Interval(Integral, 2, None, closed="left")],
        "thread_count": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        iterations: int = 1000,
        *,
        learning_rate: float | None = None,
        depth: int = 6,
        l2_leaf_reg: float = 3.0,
        boosting_type: str = "Plain",
        score_function: str = "Cosine",
        bootstrap_type: str | None = None,
        subsample: float = 0.8,
        bagging_temperature: float = 1.0,
        random_strength: float = 1.0,
        leaf_estimation_iterations: int | None = None,
        border_count: int = 254,
        cat_features: Sequence[int | str] | None = None,
        one_hot_max_size: int = 2,
        ctr_border_count: int = 15,
        permutation_count: int = 4,
        thread_count: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.iterations = iterations
        self.learning_rate = learning_rate
        self.depth = depth
        self.l2_leaf_reg = l2_leaf_reg
        self.boosting_type = boosting_type
        self.score_function = score_function
        self.bootstrap_type = bootstrap_type
        self.subsample = subsample
        self.bagging_temperature = bagging_temperature
        self.random_strength = random_strength
        self.leaf_estimation_iterations = leaf_estimation_iterations
        self.border_count = border_count
        self.cat_features = cat_features
        self.one_hot_max_size = one_hot_max_size
        self.ctr_border_count = ctr_border_count
        self.permutation_count = permutation_count
        self.thread_count = thread_count
        self.random_state = random_state

    def _read(self, X: ArrayLike, **check: Any) -> tuple[NDArray[np.float32], NDArray, NDArray]:
        """Numbers, float32 (n, ·), and categories, object (n, ·), of X; y, empty if not given."""
        named = [] if self.cat_features is None else list(self.cat_features)
        kind = {"dtype": np.float32, "order": "C", "ensure_all_finite": "allow-nan"}
        if named:
            kind = {"dtype": object, "ensure_all_finite": False}
        checked = validate_data(self, X, **kind, **check)
        X, y = checked if "y" in check else (checked, np.empty(0))
        if "y" in check:
            self._categorical = np.zeros(X.shape[1], np.bool_)
            for column in named:
                self._categorical[self._place(column)] = True
        if not named:
            return X, np.empty((len(X), 0), object), y
        try:
            numbers = np.ascontiguousarray(X[:, ~self._categorical], np.float32)
        except (TypeError, ValueError) as error:
            raise ValueError(f"a column of text is not in cat_features: {error}") from None
        if np.isinf(numbers).any():
            raise ValueError("X contains infinity or a value too large for float32")
        return numbers, X[:, self._categorical], y

    def _weights(
        self, sample_weight: ArrayLike | None, numbers: NDArray
    ) -> NDArray[np.float64] | None:
        if sample_weight is None:
            return None
        return _check_sample_weight(
            sample_weight, numbers, dtype=np.float64, ensure_non_negative=True
        )

    def _place(self, column: int | str) -> int:
        """The number of a column that is named or numbered."""
        names = list(getattr(self, "feature_names_in_", ()))
        place = names.index(column) if column in names else column
        if isinstance(place, Integral) and 0 <= place < self.n_features_in_:
            return int(place)
        raise ValueError(f"cat_features names {column!r}, which is no column of X")

    def _boost(
        self,
        numbers: NDArray[np.float32],
        categories: NDArray,
        y: NDArray[np.float64],
        weight: NDArray[np.float64] | None,
        loss: Loss,
        rate: _Rate,
    ) -> Self:
        """Fit the trees to a target (n,) in the loss's terms."""
        if weight is not None and not weight.all():
            seen = weight > 0
            numbers, categories, y, weight = numbers[seen], categories[seen], y[seen], weight[seen]
        n, outputs = len(y), loss.n_outputs
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        ones = np.ones(n) if weight is None else weight
        self.learning_rate_ = self.learning_rate or rate(ones.sum(), self.iterations)
        start = loss.start(y, weight) if isinstance(loss, SquaredError) else np.zeros(outputs)
        with use_threads(self.thread_count, numbers.size + categories.size) as threads:
            options = self._options(outputs, threads)
            ordered = self.boosting_type == "Ordered"
            encoder = None
            if categories.shape[1]:
                targets = y[None] if outputs == 1 else (y == np.arange(outputs)[:, None]) * 1.0
                encoder = CategoryEncoder(categories, targets, ones, self.one_hot_max_size)
            orders = [rng.permutation(n) for _ in range(self.permutation_count)]
            codes, cuts = bin_numbers(numbers, self.border_count, weight)
            if encoder is None and not ordered:
                final = Fold(codes, y, weight, start, False)
                folds = [final]
            else:
                if encoder is not None:
                    encoded = encoder.of_training_rows(orders[0])
                    most = self.ctr_border_count + 1
                    cuts += [column_cuts(column, most) for column in encoded]
                folds = [
                    self._fold(codes, cuts, encoder, order, y, weight, start, ordered and k > 0)
                    for k, order in enumerate(orders)
                ]
                final, *folds = folds
            starts = np.cumsum([0, *(len(cut) for cut in cuts)])
            model = boost(folds, final, starts, loss, options, rng)
        if encoder is not None:
            encoder.forget_rows()
        self._encoder = encoder
        self._start = start
        self._keep(model, cuts, starts)
        return self

    def _options(self, outputs: int, threads: int) -> Options:
        iterations = self.leaf_estimation_iterations
        if iterations is None:
            iterations = 10 if outputs == 1 and isinstance(self, ClassifierMixin) else 1
        return Options(
            int(self.iterations),
            float(self.learning_rate_),
            int(self.depth),
            int(iterations),
            float(self.random_strength),
            self.bootstrap_type or ("MVS" if outputs == 1 else "Bayesian"),
            float(self.bagging_temperature),
            float(self.subsample),
            Rules(float(self.l2_leaf_reg), self.score_function == "Cosine", threads),
        )

    def _fold(
        self,
        codes: NDArray[np.uint8],
        cuts: list[NDArray],
        encoder: CategoryEncoder | None,
        order: NDArray[np.int64],
        y: NDArray,
        weight: NDArray | None,
        start: NDArray,
        ordered: bool,
    ) -> Fold:
        """The rows in the order of a permutation, their categories encoded by it."""
        codes = codes[:, order]
        if encoder is not None:
            bins = join_cuts(cuts[len(codes) :])
            encoded = bins.transform(np.ascontiguousarray(encoder.of_training_rows(order).T))
            codes = np.concatenate([codes, encoded.T])
        some = None if weight is None else weight[order]
        return Fold(codes, y[order], some, start, ordered)

    def _keep(self, model: Boosted, cuts: list[NDArray], starts: NDArray[np.int64]) -> None:
        """Turn columns' cuts into thresholds, in the layout that prediction wants."""
        # A float32 is above the cut where it is above the largest float32 that is not.
        exact = np.concatenate([*cuts, [np.inf]])
        below = exact.astype(np.float32)
        below = np.where(below > exact, np.nextafter(below, np.float32(-np.inf)), below)
        place = np.where(starts[model.feature + 1] > starts[model.feature], 0, len(exact) - 1)
        place = np.maximum(place, np.minimum(starts[model.feature] + model.cut, len(exact) - 1))
        self.split_features_ = model.feature.astype(np.uint32)
        self.split_thresholds_ = below[place]
        self.leaf_values_ = model.values
        self.leaf_weights_ = model.cover

    def _raw(self, X: ArrayLike) -> NDArray[np.float64]:
        """The sums of the trees (n_outputs, n)."""
        check_is_fitted(self)
        numbers, categories, _ = self._read(X, reset=False)
        if self._encoder is not None:
            numbers = np.column_stack([numbers, self._encoder.of_new_rows(categories).T])
        raw = np.repeat(self._start[:, None], len(numbers), axis=1)
        with use_threads(self.thread_count, numbers.size):
            predict(numbers, self.split_features_, self.split_thresholds_, self.leaf_values_, raw)
        return raw

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """How much the prediction changes with a column, on average, (n_features,); sums to 100."""
        check_is_fitted(self)
        source = np.flatnonzero(~self._categorical)
        if self._encoder is not None:
            source = np.r_[source, np.flatnonzero(self._categorical)[self._encoder.source]]
        importance = np.zeros(self.n_features_in_)
        depth = self.split_features_.shape[1]
        for level in range(depth):
            # Leaves whose numbers differ in one bit differ in one answer.
            shape = (len(self.leaf_weights_), -1, 2 ** (depth - 1 - level), 2, 2**level)
            left, right = np.moveaxis(self.leaf_values_.reshape(shape), 3, 0)
            low, high = np.moveaxis(self.leaf_weights_.reshape(shape), 3, 0)
            both = low * high / np.maximum(low + high, 1e-300)
            change = (both * (left - right) ** 2).sum(axis=(1, 2, 3))
            np.add.at(importance, source[self.split_features_[:, level]], change)
        return 100.0 * importance / (importance.sum() or 1.0)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def bin_numbers(
    X: NDArray[np.float32], border_count: int, weight: NDArray | None
) -> tuple[NDArray[np.uint8], list[NDArray[np.float64]]]:
    """The bins of numeric columns, uint8 (n_columns, n), and the cuts of each.

    A missing value lies below every number: in a column that has any, the first cut is -∞.
    """
    if X.shape[1] == 0:
        return np.empty((0, len(X)), np.uint8), []
    bins = find_bins(X, border_count + 1, sample_weight=weight)
    codes = np.ascontiguousarray(bins.transform(X).T)
    cuts = [bins.of(f) for f in range(X.shape[1])]
    for f in np.flatnonzero(np.isnan(X).any(axis=0)):
        missing = len(cuts[f]) + 1
        codes[f] = np.where(codes[f] == missing, 0, codes[f] + 1)
        cuts[f] = np.r_[-np.inf, cuts[f]]
    return codes, cuts


class CatBoostRegressor(RegressorMixin, _CatBoost):
    """Boosted oblivious trees for the squared error.

    Parameters
    ----------
    iterations : int, the number of trees.
    learning_rate : float, what each tree's values are multiplied by; None: the library's choice
        for the number of rows and of trees, `learning_rate_`.
    depth : int from 1 to 12: a tree has 2 ** depth leaves.
    l2_leaf_reg : float, the λ that holds back the leaves' values.
    boosting_type : "Plain", or "Ordered": gradients from models that have not seen the row.
    score_function : "Cosine" or "L2", what cuts are chosen by.
    bootstrap_type : "MVS" keeps about a share `subsample` of the rows, those with large gradients
        more often, and weighs them up; "Bayesian" draws each row's weight, an exponential variable
        to the power `bagging_temperature`; "No"; None: "MVS" with one output, "Bayesian" with more.
    random_strength : float, how much noise is added to the cuts' scores at first.
    leaf_estimation_iterations : int, Newton steps for the leaves' values; None: 10 with the log
        loss of two classes, else 1.
    border_count : int from 1 to 254, the most cuts of a numeric column.
    cat_features : the columns of categories, by number or, in a frame, by name.
    one_hot_max_size : int, a column with at most so many categories is not encoded by the target.
    ctr_border_count : int, the most cuts of a column of target statistics.
    permutation_count : int, at least 2: one for the leaves' values, the others for structures. Used
        with categories or "Ordered".
    thread_count : int, the threads; None: as many as Numba has.
    random_state : int, RandomState or None.

    Attributes
    ----------
    learning_rate_ : float.
    split_features_, split_thresholds_ : ndarrays (n_trees, depth). A row's leaf has bit l where its
        value of column `split_features_[t, l]` is above the threshold. The columns are the numeric
        ones, then the encoded categories.
    leaf_values_ : ndarray (n_trees, n_outputs, 2 ** depth).
    leaf_weights_ : ndarray (n_trees, 2 ** depth), the training rows' weight in each leaf.
    feature_importances_ : ndarray (n_features,), sums to 100.
    n_features_in_, feature_names_in_

    Notes
    -----
    Numbers are float32; a missing one is NaN, and lies below all others. Left out of the library's
    method: combinations of categories, and statistics with several priors.

    References
    ----------
    Liudmila Prokhorenkova and others, *CatBoost: unbiased boosting with categorical features*,
    2018.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from supervised_learning.catboost import CatBoostRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> CatBoostRegressor(iterations=50, depth=3).fit(X, y).predict(X[:2]).shape
    (2,)
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to X (n, d) and numbers y (n,).

        Parameters
        ----------
        sample_weight : (n,), not negative; a row of weight w counts as w rows.

        Raises ValueError for columns of text that `cat_features` does not name, for infinite
        numbers, and for parameters out of range.
        """
        numbers, categories, y = self._read(X, y=y, y_numeric=True)
        weight = self._weights(sample_weight, numbers)
        if np.abs(y).max() > np.finfo(np.float32).max:
            raise ValueError("y has a number that is too large for float32; scale it")
        rate = _Rate(0.158, -4.287, -0.813)
        return self._boost(numbers, categories, y.astype(np.float64), weight, SquaredError(), rate)

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """The predicted numbers (n,)."""
        return self._raw(X)[0]


class CatBoostClassifier(ClassifierMixin, _CatBoost):
    """Boosted oblivious trees for the log loss; with more than two classes, a value for each.

    Parameters
    ----------
    all : as in `CatBoostRegressor`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,).
    others : as in `CatBoostRegressor`.

    References
    ----------
    Liudmila Prokhorenkova and others, *CatBoost: unbiased boosting with categorical features*,
    2018.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from supervised_learning.catboost import CatBoostClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> CatBoostClassifier(iterations=20).fit(X, y).predict_proba(X[:2]).shape
    (2, 3)
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to X (n, d) and classes y (n,), at least two.

        Parameters
        ----------
        sample_weight : (n,), not negative; a row of weight w counts as w rows.

        Raises ValueError for a single class, and as `CatBoostRegressor.fit` does.
        """
        numbers, categories, y = self._read(X, y=y)
        weight = self._weights(sample_weight, numbers)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        n_classes = len(self.classes_)
        if n_classes < 2:
            raise ValueError(f"y has one class, {self.classes_[0]}; at least two are needed")
        loss: Loss = LogLoss()
        rate = _Rate(0.427, -7.525, -0.917)
        if n_classes > 2:
            # What the classes have in common is not in the diagonal of the hessian.
            loss = Softmax(n_classes, n_classes / (n_classes - 1))
            rate = _Rate(0.051, -2.889, -0.845)
        return self._boost(numbers, categories, codes.astype(np.float64), weight, loss, rate)

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """The raw predictions: the second class's log odds (n,), or one for each (n, n_classes)."""
        raw = self._raw(X)
        return raw[0] if len(raw) == 1 else np.ascontiguousarray(raw.T)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probabilities of the classes (n, n_classes)."""
        raw = self._raw(X)
        loss = LogLoss() if len(raw) == 1 else Softmax(len(raw))
        return loss.predict(raw)

    def predict(self, X: ArrayLike) -> NDArray:
        """The most probable class (n,)."""
        raw = self._raw(X)
        best = raw[0] > 0 if len(raw) == 1 else raw.argmax(axis=0)
        return self.classes_[best.astype(np.intp)]
