r"""Isolation forest: what few random cuts set apart from the rest is an outlier.

An isolation tree cuts a small sample with random splits: a feature at random among those that vary,
a threshold uniform between its smallest and largest value, until every point is alone or the tree
is $\lceil \log_2 \psi \rceil$ deep, where $\psi$ is the size of the sample. A point far from the
others falls alone after a few cuts; one inside a crowd needs many. The number of cuts $h(x)$, the
path length, is compared with that of an unsuccessful search in a binary tree of $n$ keys,

$$c(n) = 2 (\ln(n - 1) + \gamma) - 2 (n - 1) / n, \qquad c(2) = 1, \quad c(1) = 0,$$

which also stands in for the cuts that a leaf with $n > 1$ points has left undone. The anomaly score
is $s(x) = 2^{-E[h(x)] / c(\psi)}$, the mean taken over the trees: near 1 for outliers, about 0.5
where nothing stands out.

A forest is a handful of flat arrays. The children of node i are `child[i]` and `child[i] + 1`, and
a leaf is its own child with a threshold that nothing exceeds. So every row makes the same number of
steps, no branch is there to be predicted, and the rows of a block walk in step while the tree stays
in the fastest cache.

Source: F. T. Liu, K. M. Ting and Z.-H. Zhou, "Isolation Forest", ICDM 2008.
"""

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

_BLOCK = 256  # rows that walk through a tree together


class IsolationTree(NamedTuple):
    """One tree as flat arrays of shape (n_nodes,); node 0 is the root.

    A row goes from node i to `child[i]`, or to `child[i] + 1` where its `feature[i]` is above
    `threshold[i]`. A leaf has `child[i] == i`; there `length[i]` is the path's length, with the
    cuts that were left undone.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[Any]
    child: NDArray[np.int32]
    length: NDArray[np.float64]
    depth: int


class IsolationForest(OutlierMixin, BaseEstimator):
    """Outliers by the path length in random trees.

    Parameters
    ----------
    n_estimators : int, default=100
        The number of trees.
    max_samples : "auto", int or float, default="auto"
        The rows that a tree is grown on: a number, or a share of the rows; "auto" is
        min(256, n_samples).
    contamination : "auto" or float in (0, 0.5], default="auto"
        The share of outliers, which sets the threshold of `predict`; "auto" is the score of 0.5.
    max_features : int or float, default=1.0
        The features that a tree may cut: a number, or a share of them.
    bootstrap : bool, default=False
        Whether a tree's rows are drawn with replacement.
    random_state : int, RandomState instance or None, default=None
        The source of the rows, features and thresholds.

    Attributes
    ----------
    estimators_ : list of IsolationTree
        The trees.
    estimators_samples_ : list of ndarray of shape (max_samples_,)
        The rows that each tree was grown on.
    estimators_features_ : list of ndarray
        The features that each tree may cut.
    max_samples_ : int
        The number of rows that each tree was grown on.
    offset_ : float
        `decision_function` is `score_samples` minus this.
    n_features_in_ : int
        The number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X is a frame with names.

    Raises
    ------
    ValueError
        For NaN or infinity in X, parameters out of range, or weights that are all 0.

    References
    ----------
    F. T. Liu, K. M. Ting and Z.-H. Zhou, "Isolation Forest", ICDM 2008.

    Examples
    --------
    >>> from unsupervised_learning.isolation_forest import IsolationForest
    >>> forest = IsolationForest(random_state=0).fit([[-1.1], [0.3], [0.5], [100.0]])
    >>> forest.predict([[0.1], [0.0], [90.0]])
    array([ 1,  1, -1])
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "max_samples": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="right"),
        ],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "max_features": [Integral, Interval(Real, 0, 1, closed="right")],
        "bootstrap": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        n_estimators: int = 100,
        max_samples: str | float = "auto",
        contamination: str | float = "auto",
        max_features: float = 1.0,
        bootstrap: bool = False,
        random_state: Any = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.max_samples = max_samples
        self.contamination = contamination
        self.max_features = max_features
        self.bootstrap = bootstrap
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.
        y : ignored
            For the interface's sake.
        sample_weight : array-like of shape (n_samples,), default=None
            Rows are drawn in proportion to their weight; one of weight 0 is in no tree.

        Returns
        -------
        self : IsolationForest
        """
        X = validate_data(self, X, dtype=(np.float64, np.float32))
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        n, d = X.shape
        self.max_samples_ = self._sample_size(n, weight)
        features = self._feature_count(d)
        deepest = int(np.ceil(np.log2(max(self.max_samples_, 2))))
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))

        self.estimators_: list[IsolationTree] = []
        self.estimators_samples_: list[NDArray[np.intp]] = []
        self.estimators_features_: list[NDArray[np.intp]] = []
        for _ in range(self.n_estimators):
            rows = _draw(rng, n, self.max_samples_, weight, self.bootstrap)
            columns = np.arange(d) if features == d else rng.permutation(d)[:features]
            sample = X[rows].T if features == d else X[np.ix_(rows, columns)].T
            tree = IsolationTree(*_grow(np.ascontiguousarray(sample), deepest, rng))
            if features < d:
                tree = tree._replace(feature=columns[tree.feature].astype(np.int32))
            self.estimators_.append(tree)
            self.estimators_samples_.append(rows)
            self.estimators_features_.append(columns)
        self._forest = _flatten(self.estimators_)

        self.offset_ = -0.5
        if not isinstance(self.contamination, str):
            self.offset_ = float(np.percentile(self._scores(X), 100.0 * self.contamination))
        return self

    def path_length(self, X: ArrayLike) -> NDArray[np.float64]:
        """The mean number of cuts that set each row apart.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        length : ndarray of shape (n_samples,)
            E[h(x)]; short for outliers.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        return _mean_length(X, *self._forest)

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        r"""The negative of the anomaly score: near -1 for outliers, towards 0 for inliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            $-2^{-E[h(x)] / c(\psi)}$.
        """
        check_is_fitted(self)
        return self._scores(validate_data(self, X, dtype=(np.float64, np.float32), reset=False))

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """`score_samples` minus `offset_`: negative for outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Which rows are outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            -1 for outliers, 1 for inliers.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _scores(self, X: NDArray) -> NDArray[np.float64]:
        usual = average_path_length(self.max_samples_)
        if usual == 0:  # trees of one row tell nothing
            return np.full(len(X), -0.5)
        return -np.exp2(_mean_length(X, *self._forest) / -usual)

    def _sample_size(self, n: int, weight: NDArray | None) -> int:
        size: int
        if self.max_samples == "auto":
            size = min(256, n)
        elif isinstance(self.max_samples, Integral):
            if self.max_samples > n:
                warnings.warn(
                    f"max_samples={self.max_samples} is more than the {n} rows; all are taken",
                    stacklevel=4,
                )
            size = int(min(self.max_samples, n))
        else:
            size = max(1, int(float(self.max_samples) * n))
        if weight is not None and not self.bootstrap:
            size = min(size, int(np.count_nonzero(weight)))
        return size

    def _feature_count(self, d: int) -> int:
        if not isinstance(self.max_features, Integral):
            return max(1, int(self.max_features * d))
        if not 1 <= self.max_features <= d:
            raise ValueError(f"max_features={self.max_features} is not between 1 and {d} features")
        return int(self.max_features)


@njit(cache=True, nogil=True)
def average_path_length(n: int) -> float:
    """c(n): the mean path length of an unsuccessful search in a binary tree of n keys."""
    if n <= 1:
        return 0.0
    if n == 2:
        return 1.0
    return 2.0 * (np.log(n - 1.0) + np.euler_gamma) - 2.0 * (n - 1.0) / n


def _draw(
    rng: np.random.Generator, n: int, size: int, weight: NDArray | None, bootstrap: bool
) -> NDArray[np.intp]:
    if weight is not None:
        return rng.choice(n, size, replace=bootstrap, p=weight / weight.sum())
    return rng.integers(n, size=size) if bootstrap else rng.choice(n, size, replace=False)


@njit(cache=True, nogil=True)
def _grow(
    sample: NDArray, deepest: int, rng: np.random.Generator
) -> tuple[NDArray, NDArray, NDArray, NDArray, int]:
    """Grow a tree on `sample`, one row a feature: (n_features, n_samples)."""
    d, n = sample.shape
    feature = np.zeros(2 * n - 1, np.int32)
    threshold = np.full(2 * n - 1, np.inf, sample.dtype)
    child = np.arange(2 * n - 1).astype(np.int32)
    length = np.zeros(2 * n - 1)
    points = np.arange(n)  # those of a node lie between its start and its end
    columns = np.arange(d)
    stack = np.empty((deepest + 2, 4), np.int64)  # node, start, end, depth
    stack[0] = 0, 0, n, 0
    waiting, nodes, reached = 1, 1, 0
    while waiting:
        waiting -= 1
        node, start, end, depth = stack[waiting]
        reached = max(reached, depth)
        left_to_try = d if depth < deepest and end - start > 1 else 0
        low = high = sample[0, 0]
        column = 0
        while left_to_try:  # a feature at random, until one varies
            pick = rng.integers(0, left_to_try)
            left_to_try -= 1
            column = columns[pick]
            columns[pick], columns[left_to_try] = columns[left_to_try], column
            values = sample[column]
            low = high = values[points[start]]
            for i in range(start + 1, end):
                value = values[points[i]]
                low, high = min(low, value), max(high, value)
            if low < high:
                break
        if not low < high:
            length[node] = depth + average_path_length(end - start)
            continue
        # The two halves of low + u (high - low): high - low may overflow. A threshold that is
        # rounded up to `high` would leave the right side empty.
        u = rng.random()
        cut = sample.dtype.type(low * (1.0 - u) + high * u)
        if not low <= cut < high:
            cut = low
        values = sample[column]
        middle, last = start, end - 1
        while middle <= last:
            if values[points[middle]] <= cut:
                middle += 1
            else:
                points[middle], points[last] = points[last], points[middle]
                last -= 1
        feature[node], threshold[node], child[node] = column, cut, nodes
        stack[waiting] = nodes + 1, middle, end, depth + 1
        stack[waiting + 1] = nodes, start, middle, depth + 1
        waiting += 2
        nodes += 2
    return (
        feature[:nodes].copy(),
        threshold[:nodes].copy(),
        child[:nodes].copy(),
        length[:nodes].copy(),
        reached,
    )


def _flatten(trees: list[IsolationTree]) -> tuple[NDArray, ...]:
    """The trees one after the other: roots, depths, and the arrays of all nodes."""
    sizes = [len(tree.child) for tree in trees]
    roots = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return (
        roots,
        np.array([tree.depth for tree in trees]),
        np.concatenate([tree.feature for tree in trees]),
        np.concatenate([tree.threshold for tree in trees]),
        np.concatenate([tree.child for tree in trees]),
        np.concatenate([tree.length for tree in trees]),
    )


@njit(cache=True, nogil=True)
def _mean_length(
    X: NDArray,
    roots: NDArray,
    depths: NDArray,
    feature: NDArray,
    threshold: NDArray,
    child: NDArray,
    length: NDArray,
) -> NDArray:
    """The mean path length of each row of X (n, d)."""
    n, trees = len(X), len(depths)
    total = np.zeros(n)
    node = np.empty(_BLOCK, np.int32)
    for first in range(0, n, _BLOCK):
        rows = min(_BLOCK, n - first)
        for tree in range(trees):
            here = slice(roots[tree], roots[tree + 1])
            features, thresholds, children = feature[here], threshold[here], child[here]
            lengths = length[here]
            node[:rows] = 0
            for _ in range(depths[tree]):
                for i in range(rows):
                    at = node[i]
                    above = X[first + i, features[at]] > thresholds[at]
                    node[i] = children[at] + above
            for i in range(rows):
                total[first + i] += lengths[node[i]]
    return total / trees
