r"""Predict from the k nearest training points.

A classifier lets the neighbors vote, a regressor takes the mean of their targets; with
`weights="distance"` a neighbor counts $1 / d$. Nothing is learned beforehand but where the points
lie. With $k \to \infty$ and $k / n \to 0$ the error of the vote tends to the best that any rule can
have, and already with $k = 1$ it tends to at most twice that.

T. M. Cover, P. E. Hart, "Nearest neighbor pattern classification", IEEE Transactions on Information
Theory, 1967.
"""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from supervised_learning.neighbors.ball_tree import BallTree
from supervised_learning.neighbors.brute import brute_kneighbors
from supervised_learning.neighbors.kd_tree import KDTree
from supervised_learning.neighbors.metrics import ORDERS

Weights = str | Callable[[NDArray], NDArray] | None

_TREE_FEATURES = 15  # in more dimensions than this a scan beats a tree


class _KNeighbors(BaseEstimator):
    """The search that classifier and regressor share."""

    _parameter_constraints: ClassVar[dict] = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "weights": [StrOptions({"uniform", "distance"}), callable, None],
        "algorithm": [StrOptions({"auto", "brute", "kd_tree", "ball_tree"})],
        "leaf_size": [Interval(Integral, 1, None, closed="left")],
        "p": [Interval(Real, 1, None, closed="both")],
        "metric": [StrOptions({"minkowski", *ORDERS})],
    }

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        weights: Weights = "uniform",
        algorithm: str = "auto",
        leaf_size: int = 30,
        p: float = 2,
        metric: str = "minkowski",
    ) -> None:
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.algorithm = algorithm
        self.leaf_size = leaf_size
        self.p = p
        self.metric = metric

    def _fit_points(self, X: NDArray) -> None:
        """Keep the points, in a tree where that pays."""
        order = float(self.p) if self.metric == "minkowski" else ORDERS[self.metric]
        algorithm = self.algorithm
        if algorithm == "auto":
            few = X.shape[1] <= _TREE_FEATURES and self.n_neighbors < len(X) // 2
            algorithm = "kd_tree" if few else "brute"
        self._tree: KDTree | BallTree | None = None
        if algorithm != "brute":
            self._tree = (KDTree if algorithm == "kd_tree" else BallTree)(X, self.leaf_size, order)
        self._points = X
        self._order = order
        self.n_samples_fit_ = len(X)

    def kneighbors(
        self,
        X: ArrayLike | None = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,
    ) -> tuple[NDArray, NDArray] | NDArray:
        """The nearest training points, nearest first; of equally near ones the earlier first.

        Parameters
        ----------
        X : array of shape (n_queries, n_features); None asks for each training point's neighbors
            but itself.
        n_neighbors : how many; None takes the estimator's number.
        return_distance : whether to return the distances too.

        Returns
        -------
        distances : float64 ndarray of shape (n_queries, n_neighbors), if asked for
        indices : int64 ndarray of shape (n_queries, n_neighbors)

        Raises
        ------
        NotFittedError, TypeError or ValueError for a number that is not from 1 to the number of
        training points (one less with X=None), ValueError for X that does not fit.
        """
        check_is_fitted(self)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        if not isinstance(k, Integral):
            raise TypeError(f"n_neighbors is {k!r} ({type(k).__name__}); a whole number is taken")
        others = self.n_samples_fit_ - (X is None)
        if not 1 <= k <= others:
            raise ValueError(
                f"Expected 1 <= n_neighbors <= n_samples_fit, but n_neighbors = {k}, "
                f"n_samples_fit = {self.n_samples_fit_}: there are {others} points to choose from"
            )
        if X is None:
            queries = self._points
        else:
            queries = validate_data(self, X, dtype=[np.float64, np.float32], order="C", reset=False)
        wanted = int(k) + (X is None)
        if self._tree is not None:
            distances, indices = self._tree.query(queries, wanted)
        else:
            distances, indices = brute_kneighbors(self._points, queries, wanted, self._order)
        if X is None:
            distances, indices = _without_self(distances, indices)
        return (distances, indices) if return_distance else indices

    def _weighted_neighbors(self, X: ArrayLike | None) -> tuple[NDArray, NDArray | None]:
        """Indices (m, k) and the weights (m, k) of their say; None where all are equal."""
        distances, indices = self.kneighbors(X)
        if self.weights in ("uniform", None):
            return indices, None
        if callable(self.weights):
            weights = np.asarray(self.weights(distances), dtype=np.float64)
            if weights.shape != distances.shape:
                raise ValueError(
                    f"weights returned the shape {weights.shape} for distances of the shape "
                    f"{distances.shape}; it has to keep the shape"
                )
        else:
            # A query that lies on training points listens to them alone.
            with np.errstate(divide="ignore", over="ignore"):
                weights = 1.0 / distances
            infinite = np.isinf(weights)
            rows = infinite.any(axis=1)
            weights[rows] = infinite[rows]
        if not (weights.sum(axis=1) > 0).all():
            raise ValueError(
                "the weights of all neighbors of a sample add up to 0; choose weights that leave "
                "every sample a neighbor"
            )
        return indices, weights


class KNeighborsClassifier(ClassifierMixin, _KNeighbors):
    """The class that most of the k nearest training points have.

    Parameters
    ----------
    n_neighbors : int, default=5
        How many neighbors vote.
    weights : {'uniform', 'distance'}, callable or None, default='uniform'
        Equal votes, votes of 1 / distance, or a function from distances (n_queries, n_neighbors)
        to weights of the same shape. None is 'uniform'.
    algorithm : {'auto', 'brute', 'kd_tree', 'ball_tree'}, default='auto'
        How neighbors are found; all find the same. 'auto' takes a k-d tree up to 15 features, if k
        is less than half the number of points, and otherwise looks at every point.
    leaf_size : int, default=30
        The most points in a leaf of a tree.
    p : float, default=2
        The order of the Minkowski distance, 1 or more; infinity is the Chebyshev distance.
    metric : {'minkowski', 'euclidean', 'manhattan', 'chebyshev'}, default='minkowski'
        The distance; a name other than 'minkowski' sets the order itself.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,), where X has names
    n_samples_fit_ : int

    Notes
    -----
    Of classes with equally many votes the first in `classes_` is predicted.

    References
    ----------
    T. M. Cover, P. E. Hart, "Nearest neighbor pattern classification", IEEE Transactions on
    Information Theory, 1967.

    Examples
    --------
    >>> knn = KNeighborsClassifier(n_neighbors=3)
    >>> knn.fit([[0], [1], [2], [3], [4]], ["a", "a", "a", "b", "b"]).predict([[0.4], [3.6]])
    array(['a', 'b'], dtype='<U1')
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Keep the points.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
        y : array of shape (n_samples,), the classes

        Raises ValueError for NaN or infinity, lengths that differ, or y that is not classes.
        """
        points, classes = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        check_classification_targets(classes)
        self.classes_, self._labels = np.unique(classes, return_inverse=True)
        self._fit_points(points)
        return self

    def predict_proba(self, X: ArrayLike | None) -> NDArray[np.float64]:
        """The share of each class in the vote: shape (n_queries, n_classes).

        X of shape (n_queries, n_features); None: the training points, each without itself.
        """
        indices, weights = self._weighted_neighbors(X)
        m, classes = len(indices), len(self.classes_)
        cells = self._labels[indices] + classes * np.arange(m)[:, None]
        votes = np.bincount(
            cells.ravel(), None if weights is None else weights.ravel(), minlength=m * classes
        ).reshape(m, classes)
        return votes / votes.sum(axis=1, keepdims=True)

    def predict(self, X: ArrayLike | None) -> NDArray[Any]:
        """The class that gets most votes: shape (n_queries,). X as in `predict_proba`."""
        shares = self.predict_proba(X)
        return self.classes_[shares.argmax(axis=1)]


class KNeighborsRegressor(RegressorMixin, _KNeighbors):
    """The mean of the targets of the k nearest training points.

    Parameters
    ----------
    n_neighbors : int, default=5
        How many neighbors are averaged.
    weights : {'uniform', 'distance'}, callable or None, default='uniform'
        Equal weights, weights of 1 / distance, or a function from distances
        (n_queries, n_neighbors) to weights of the same shape. None is 'uniform'.
    algorithm : {'auto', 'brute', 'kd_tree', 'ball_tree'}, default='auto'
        How neighbors are found; all find the same. 'auto' takes a k-d tree up to 15 features, if k
        is less than half the number of points, and otherwise looks at every point.
    leaf_size : int, default=30
        The most points in a leaf of a tree.
    p : float, default=2
        The order of the Minkowski distance, 1 or more; infinity is the Chebyshev distance.
    metric : {'minkowski', 'euclidean', 'manhattan', 'chebyshev'}, default='minkowski'
        The distance; a name other than 'minkowski' sets the order itself.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,), where X has names
    n_samples_fit_ : int

    References
    ----------
    N. S. Altman, "An introduction to kernel and nearest-neighbor nonparametric regression", The
    American Statistician, 1992.

    Examples
    --------
    >>> knn = KNeighborsRegressor(n_neighbors=2)
    >>> knn.fit([[0], [1], [2], [3]], [0.0, 1.0, 4.0, 9.0]).predict([[2.4]])
    array([6.5])
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Keep the points.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
        y : array of numbers of shape (n_samples,) or (n_samples, n_outputs)

        Raises ValueError for NaN or infinity, or lengths that differ.
        """
        points, targets = validate_data(
            self,
            X,
            y,
            dtype=[np.float64, np.float32],
            order="C",
            multi_output=True,
            y_numeric=True,
        )
        self._targets = targets
        self._fit_points(points)
        return self

    def predict(self, X: ArrayLike | None) -> NDArray[Any]:
        """The neighbors' mean target: shape (n_queries,) or (n_queries, n_outputs).

        X of shape (n_queries, n_features); None: the training points, each without itself.
        """
        indices, weights = self._weighted_neighbors(X)
        targets = self._targets[indices]
        if weights is None:
            return targets.mean(axis=1)
        return np.einsum("mk,mk...->m...", weights, targets) / weights.sum(axis=1).reshape(
            -1, *[1] * (targets.ndim - 2)
        )


def _without_self(distances: NDArray, indices: NDArray) -> tuple[NDArray, NDArray]:
    """Drop from each row the point that the row belongs to.

    Where more than k points coincide with it, it may not be among them; then the last one goes.
    """
    m, k = indices.shape
    own = indices == np.arange(m)[:, None]
    own[~own.any(axis=1), -1] = True
    return distances[~own].reshape(m, k - 1), indices[~own].reshape(m, k - 1)
