r"""Local outlier factor: an outlier is a point whose neighbors live closer together than it does.

Distances alone do not tell an outlier: what is far in a dense cluster is near in a sparse one. So
the density around a point is compared with the densities around its own neighbors. With $N_k(p)$
the k nearest neighbors of p and $d_k(o)$ the distance from o to its k-th neighbor,

$$\operatorname{reach}_k(p, o) = \max(d_k(o), d(p, o)) \qquad
  \operatorname{lrd}(p) = \Big( \tfrac1k \sum_{o \in N_k(p)} \operatorname{reach}_k(p, o) \Big)^{-1}
  \qquad \operatorname{LOF}(p) = \tfrac1k \sum_{o \in N_k(p)}
  \frac{\operatorname{lrd}(o)}{\operatorname{lrd}(p)}.$$

The reachability distance flattens the differences inside a neighborhood, so that the local
reachability density lrd does not jump with chance. The factor is about 1 inside a cluster of any
density, and larger the more isolated a point is. Of neighbors at the same distance, as many are
taken as fill up k, in the order of the search; so the answer is scikit-learn's own, digit by digit.

The search for the neighbors is not this module's subject: it is scikit-learn's (a k-d tree, a ball
tree or blocked matrix products, by the number of features and the metric).

Source: M. M. Breunig, H.-P. Kriegel, R. T. Ng and J. Sander, "LOF: Identifying Density-Based Local
Outliers", SIGMOD 2000.
"""

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin, _fit_context
from sklearn.neighbors import NearestNeighbors
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

#: Added to the mean reachability distance, so that a heap of duplicates has a finite density.
_TINY = 1e-10


def _for_training_set(self: "LocalOutlierFactor") -> bool:
    if self.novelty:
        raise AttributeError(
            "fit_predict labels the rows of fit, and novelty=True is for new rows: "
            "set novelty=False, or call fit and then predict on new rows"
        )
    return True


def _for_new_rows(self: "LocalOutlierFactor") -> bool:
    if not self.novelty:
        raise AttributeError(
            "new rows are scored with novelty=True only; with novelty=False use fit_predict, "
            "or negative_outlier_factor_ for the scores of the rows of fit"
        )
    return True


class LocalOutlierFactor(OutlierMixin, BaseEstimator):
    """Outliers by the density around a point against the densities around its neighbors.

    Parameters
    ----------
    n_neighbors : int, default=20
        k; at most n_samples - 1 are used.
    algorithm : {"auto", "ball_tree", "kd_tree", "brute"}, default="auto"
        How the neighbors are searched.
    leaf_size : int, default=30
        The leaf size of the trees.
    metric : str or callable, default="minkowski"
        The distance; "precomputed" takes X as distances.
    p : float, default=2
        The power of the Minkowski metric.
    metric_params : dict or None, default=None
        Further arguments of the metric.
    contamination : "auto" or float in (0, 0.5], default="auto"
        The share of outliers, which sets the threshold; "auto" is a factor of 1.5.
    novelty : bool, default=False
        False labels the rows of fit (`fit_predict`), True new rows (`predict`, `score_samples`,
        `decision_function`).
    n_jobs : int or None, default=None
        Parallel jobs of the search.

    Attributes
    ----------
    negative_outlier_factor_ : ndarray of shape (n_samples,)
        -LOF of the rows of fit: about -1 for inliers, lower for outliers.
    n_neighbors_ : int
        The neighbors that were used.
    offset_ : float
        Rows below it are outliers.
    effective_metric_ : str or callable
        The metric that was used.
    effective_metric_params_ : dict
        Its arguments.
    n_samples_fit_ : int
        The number of rows of fit.
    n_features_in_ : int
        The number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X is a frame with names.

    Raises
    ------
    ValueError
        For NaN or infinity in X, fewer than two rows, or parameters out of range.
    AttributeError
        For a method that this setting of `novelty` does not have.

    References
    ----------
    M. M. Breunig, H.-P. Kriegel, R. T. Ng and J. Sander, "LOF: Identifying Density-Based Local
    Outliers", SIGMOD 2000.

    Examples
    --------
    >>> from unsupervised_learning.local_outlier_factor import LocalOutlierFactor
    >>> LocalOutlierFactor(n_neighbors=2).fit_predict([[-1.1], [0.2], [101.1], [0.3]])
    array([ 1,  1, -1,  1])
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left"), None],
        "algorithm": [StrOptions({"auto", "ball_tree", "kd_tree", "brute"})],
        "leaf_size": [Interval(Integral, 1, None, closed="left")],
        "p": [Interval(Real, 0, None, closed="right"), None],
        "metric": [str, callable],
        "metric_params": [dict, None],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "novelty": ["boolean"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        n_neighbors: int = 20,
        *,
        algorithm: str = "auto",
        leaf_size: int = 30,
        metric: Any = "minkowski",
        p: float = 2,
        metric_params: dict | None = None,
        contamination: str | float = "auto",
        novelty: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.algorithm = algorithm
        self.leaf_size = leaf_size
        self.metric = metric
        self.p = p
        self.metric_params = metric_params
        self.contamination = contamination
        self.novelty = novelty
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Score the rows of X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or \
                (n_samples, n_samples) with metric="precomputed"
            The rows.
        y : ignored
            For the interface's sake.

        Returns
        -------
        self : LocalOutlierFactor
        """
        X = validate_data(
            self,
            X,
            accept_sparse="csr",
            dtype=(np.float64, np.float32),
            order="C",
            ensure_min_samples=2,
        )
        n = X.shape[0]
        if self.n_neighbors > n:
            warnings.warn(
                f"n_neighbors={self.n_neighbors} is more than the {n} rows have; {n - 1} are used",
                stacklevel=2,
            )
        self.n_neighbors_ = max(1, min(self.n_neighbors, n - 1))
        self.n_samples_fit_ = n
        self._search = NearestNeighbors(
            n_neighbors=self.n_neighbors_,
            algorithm=self.algorithm,
            leaf_size=self.leaf_size,
            metric=self.metric,
            p=self.p,
            metric_params=self.metric_params,
            n_jobs=self.n_jobs,
        ).fit(X)
        self.effective_metric_ = self._search.effective_metric_
        self.effective_metric_params_ = self._search.effective_metric_params_
        distances, neighbors = self._search.kneighbors()
        distances = distances.astype(X.dtype, copy=False)
        self._k_distance = distances[:, -1].copy()
        self._density = _local_density(distances, neighbors, self._k_distance)
        factor = _mean_ratio(self._density, neighbors, self._density)
        self.negative_outlier_factor_ = -factor

        self.offset_ = -1.5
        if not isinstance(self.contamination, str):
            self.offset_ = np.percentile(self.negative_outlier_factor_, 100.0 * self.contamination)
        if not self.novelty and factor.max() > 1e7:
            warnings.warn(
                f"some rows have more than {self.n_neighbors_} duplicates, so their density has "
                "no bound and the factors near them mean little; increase n_neighbors",
                stacklevel=2,
            )
        return self

    @available_if(_for_training_set)
    def fit_predict(self, X: ArrayLike, y: object = None) -> NDArray[np.int64]:
        """Label the rows of X; with novelty=False only.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        y : ignored
            For the interface's sake.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            -1 for outliers, 1 for inliers.
        """
        self.fit(X)
        return np.where(self.negative_outlier_factor_ < self.offset_, -1, 1)

    @available_if(_for_new_rows)
    def score_samples(self, X: ArrayLike) -> NDArray[Any]:
        """-LOF of new rows, whose neighbors are rows of fit; with novelty=True only.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            New rows: one that was in fit counts itself among its neighbors.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            About -1 for inliers, lower for outliers.
        """
        check_is_fitted(self)
        X = validate_data(
            self, X, accept_sparse="csr", dtype=(np.float64, np.float32), order="C", reset=False
        )
        distances, neighbors = self._search.kneighbors(X)
        distances = distances.astype(X.dtype, copy=False)
        density = _local_density(distances, neighbors, self._k_distance)
        return -_mean_ratio(self._density, neighbors, density)

    @available_if(_for_new_rows)
    def decision_function(self, X: ArrayLike) -> NDArray[Any]:
        """`score_samples` minus `offset_`: negative for outliers; with novelty=True only.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            New rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
        """
        return self.score_samples(X) - self.offset_

    @available_if(_for_new_rows)
    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Which new rows are outliers; with novelty=True only.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            New rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            -1 for outliers, 1 for inliers.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.pairwise = self.metric == "precomputed"
        return tags


@njit(cache=True, nogil=True)
def _local_density(distances: NDArray, neighbors: NDArray, k_distance: NDArray) -> NDArray:
    """The local reachability density of each point, from its neighbors (n, k) among the rows."""
    n, k = neighbors.shape
    density = np.empty(n, distances.dtype)
    for p in range(n):
        reach = 0.0
        for j in range(k):
            reach += max(k_distance[neighbors[p, j]], distances[p, j])
        density[p] = 1.0 / (reach / k + _TINY)
    return density


@njit(cache=True, nogil=True)
def _mean_ratio(density: NDArray, neighbors: NDArray, own: NDArray) -> NDArray:
    """The mean density of each point's neighbors over its own."""
    n, k = neighbors.shape
    factor = np.empty(n, own.dtype)
    for p in range(n):
        total = 0.0
        for j in range(k):
            total += density[neighbors[p, j]] / own[p]
        factor[p] = total / k
    return factor
