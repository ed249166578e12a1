"""K-means clustering as an estimator; the mathematics is in `kmeans_steps` and `kmeans_seeding`."""

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from unsupervised_learning.blas_threads import one_blas_thread
from unsupervised_learning.kmeans_seeding import kmeans_plusplus
from unsupervised_learning.kmeans_steps import iterate, labels_and_inertia, nearest


class CentersMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """What a clustering by nearest centers can do once it has them."""

    cluster_centers_: NDArray
    labels_: NDArray
    init: Any
    n_clusters: int
    n_init: int | str

    @property
    def _n_features_out(self) -> int:
        return len(self.cluster_centers_)

    def fit_predict(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> NDArray[np.int32]:
        """Fit, and return the label of every row, shape (n_samples,)."""
        labels: NDArray[np.int32] = self.fit(X, sample_weight=sample_weight).labels_
        return labels

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:
        """The number of the nearest center of every row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        data = self._data(X)
        return nearest(data, self.cluster_centers_.astype(data.dtype, copy=False))

    def transform(self, X: ArrayLike) -> NDArray:
        """The distance of every row to every center, shape (n_samples, n_clusters)."""
        return euclidean_distances(self._data(X), self.cluster_centers_)

    def score(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Minus the weighted sum of squared distances of the rows to their nearest centers."""
        data = self._data(X)
        weight = _check_sample_weight(sample_weight, data, dtype=data.dtype)
        centers = self.cluster_centers_.astype(data.dtype, copy=False)
        return -labels_and_inertia(data, weight, centers)[1]

    def _data(self, X: ArrayLike) -> NDArray:
        check_is_fitted(self)
        dtypes = [np.float64, np.float32]
        return validate_data(self, X, dtype=dtypes, order="C", reset=False)

    def _given_centers(self, X: NDArray) -> NDArray | None:
        """The array given as `init`, checked; None where `init` is a method."""
        if isinstance(self.init, str) or callable(self.init):
            return None
        centers = check_array(self.init, dtype=X.dtype, copy=True, order="C")
        self._check_shape(centers, X)
        if self.n_init not in ("auto", 1):
            warnings.warn(
                f"n_init={self.n_init}: with an array as init there is one run only; leave n_init "
                f"at 'auto'",
                RuntimeWarning,
                stacklevel=3,
            )
        return centers

    def _check_shape(self, centers: NDArray, X: NDArray) -> None:
        expected = (self.n_clusters, X.shape[1])
        if centers.shape != expected:
            raise ValueError(
                f"init has the shape {centers.shape}: one row for each cluster and one column for "
                f"each feature are needed, {expected}"
            )

    def _runs(self, from_random: int) -> int:
        if not isinstance(self.init, str) and not callable(self.init):
            return 1
        if self.n_init == "auto":
            return 1 if isinstance(self.init, str) and self.init == "k-means++" else from_random
        return int(self.n_init)

    def _first_centers(
        self, X: NDArray, weight: NDArray, random_state: np.random.RandomState
    ) -> NDArray:
        """Centers to begin with, by the method `init`."""
        if callable(self.init):
            centers = self.init(X, self.n_clusters, random_state=random_state)
            centers = check_array(centers, dtype=X.dtype, order="C")
            self._check_shape(centers, X)
            return centers
        if self.init == "random":
            share = weight / weight.sum()
            return X[random_state.choice(len(X), size=self.n_clusters, replace=False, p=share)]
        return kmeans_plusplus(X, self.n_clusters, sample_weight=weight, random_state=random_state)[
            0
        ]

    def _check_rows(self, X: NDArray) -> None:
        if len(X) < self.n_clusters:
            raise ValueError(
                f"n_samples={len(X)} should be >= n_clusters={self.n_clusters}: give more rows or "
                f"ask for fewer clusters"
            )


class KMeans(CentersMixin):
    """K-means clustering by Lloyd's iteration, or the same one with Elkan's bounds.

    Parameters
    ----------
    n_clusters : how many clusters, 1 or more.
    init : "k-means++", "random" (distinct rows), a function (X, n_clusters, random_state=…) →
        centers, or the centers themselves, array-like of shape (n_clusters, n_features).
    n_init : the number of runs, of which the one with the least inertia is kept; "auto" is 1 with
        "k-means++" or given centers, else 10.
    max_iter : the most iterations of a run.
    tol : a run ends where the squared shifts of the centers sum to at most `tol` times the mean
        of the columns' variances; it always ends where no label changes.
    random_state : int, RandomState or None; the source of the first centers.
    algorithm : "lloyd", or "elkan", which needs a further (n_samples, n_clusters) array and
        computes fewer distances.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
    labels_ : ndarray of shape (n_samples,), int32; the nearest center of every row.
    inertia_ : the weighted sum of squared distances to the nearest centers.
    n_iter_ : the iterations of the run that was kept.
    n_features_in_, feature_names_in_ : as everywhere in scikit-learn.

    Raises ValueError for fewer rows than clusters, `ConvergenceWarning` where the kept run reached
    `max_iter`, or where there are fewer distinct rows than clusters. A cluster that loses all its
    rows is given the row that lies farthest from its own center.

    S. P. Lloyd, "Least squares quantization in PCM" (1982). C. Elkan, "Using the triangle
    inequality to accelerate k-means" (2003).

    Examples
    --------
    >>> from unsupervised_learning.kmeans import KMeans
    >>> model = KMeans(2, random_state=0).fit([[0.0], [1.0], [9.0], [10.0]])
    >>> sorted(model.cluster_centers_.ravel().tolist())
    [0.5, 9.5]
    >>> model.inertia_
    1.0
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"k-means++", "random"}), callable, "array-like"],
        "n_init": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "algorithm": [StrOptions({"lloyd", "elkan"})],
    }

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        n_init: int | str = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        random_state: Any = None,
        algorithm: str = "lloyd",
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.algorithm = algorithm

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Find the centers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored.
        sample_weight : array-like of shape (n_samples,), 0 or more; None: all 1. A row of weight 2
            counts as two rows, also where the first centers are drawn.
        """
        data = validate_data(self, X, dtype=[np.float64, np.float32], order="C")
        self._check_rows(data)
        random_state = check_random_state(self.random_state)
        weight = _check_sample_weight(
            sample_weight, data, dtype=data.dtype, ensure_non_negative=True
        )
        given = self._given_centers(data)
        mean = data.mean(axis=0, dtype=np.float64).astype(data.dtype)
        data = data - mean
        tol = self.tol * float(np.einsum("ij,ij->", data, data)) / data.size

        def run_once() -> tuple[NDArray, NDArray, float, int, bool]:
            if given is not None:
                centers = given - mean
            else:
                centers = self._first_centers(data, weight, random_state)
            return iterate(data, weight, centers, self.max_iter, tol, self.algorithm == "elkan")

        with one_blas_thread():
            best = run_once()
            for _ in range(1, self._runs(from_random=10)):
                result = run_once()
                if result[2] < best[2] and not _same_partition(result[0], best[0]):
                    best = result
        self.labels_, centers, self.inertia_, self.n_iter_, converged = best
        self.cluster_centers_ = centers + mean
        distinct = len(np.unique(self.labels_))
        if distinct < self.n_clusters:
            warnings.warn(
                f"only {distinct} of n_clusters={self.n_clusters} clusters have rows: there may be "
                f"fewer distinct rows than clusters; ask for fewer",
                ConvergenceWarning,
                stacklevel=2,
            )
        elif not converged:
            warnings.warn(
                f"no convergence in max_iter={self.max_iter} iterations: raise max_iter or tol",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self


def _same_partition(labels: NDArray, others: NDArray) -> bool:
    """Whether the clusters are the same but for their numbers: rounding must not choose a run."""
    number = np.empty(labels.max() + 1, dtype=others.dtype)
    number[labels] = others
    return np.array_equal(number[labels], others)
