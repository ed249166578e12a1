r"""Mini-batch k-means: the means of k-means followed from small samples, at a fraction of the time.

Each step draws a batch of rows, labels them by the nearest center, and moves every center to the
mean of all rows it has been given so far:

$$ c_j \leftarrow \frac{n_j c_j + \sum_{i: a_i = j} w_i x_i}{n_j + \sum_{i: a_i = j} w_i} $$

after which $n_j$ grows by the batch's weight. A center's step is thus $1/n_j$ long: stochastic
gradient descent on the sum of squares with a rate for each center, which falls as $1/t$. The result
lies a little above Lloyd's; the time of a step does not depend on the number of rows.

Two rules that practice has added. A center with few rows beside the largest one's ($n_j$ below
`reassignment_ratio` times the largest) is put on a row of the batch: it was begun in an empty
place. And the iteration ends where the batches' sum of squares, averaged with exponentially falling
weights, has not reached a new low for `max_no_improvement` steps.

D. Sculley, "Web-scale k-means clustering" (2010).
"""

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, validate_data

from unsupervised_learning.blas_threads import one_blas_thread
from unsupervised_learning.kmeans import CentersMixin
from unsupervised_learning.kmeans_steps import (
    half_norms_of,
    inertia,
    labels_and_inertia,
    lloyd_pass,
)


class MiniBatchKMeans(CentersMixin):
    """K-means clustering whose centers follow the means of small random batches.

    Parameters
    ----------
    n_clusters : how many clusters, 1 or more.
    init : "k-means++", "random" (distinct rows), a function (X, n_clusters, random_state=…) →
        centers, or the centers themselves, array-like of shape (n_clusters, n_features).
    max_iter : the most passes over the data: `max_iter` times n_samples rows are drawn at most.
    batch_size : the rows of a batch.
    compute_labels : whether `fit` ends with labels and inertia of all rows.
    random_state : int, RandomState or None; the source of the first centers and the batches.
    tol : a run ends where the squared shifts of the centers sum to at most `tol` times the mean of
        the columns' variances; 0 turns this rule off.
    max_no_improvement : a run ends after so many steps without a new least average of the batches'
        inertia; None turns this rule off.
    init_size : the first centers are chosen from so many rows, drawn at random; None: three times
        the batch, or three times n_clusters where that is more.
    n_init : how many first centers are tried; those with the least inertia on one sample are kept.
        "auto" is 1 with "k-means++" or given centers, else 3.
    reassignment_ratio : a center whose count falls below this share of the largest is put on a row
        of the batch; 0 never does.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
    labels_ : ndarray of shape (n_samples,), int32; only with `compute_labels`.
    inertia_ : the weighted sum of squared distances to the nearest centers; without
        `compute_labels`, the batches' average scaled to all rows (none after `partial_fit`).
    n_steps_ : how many batches were used.
    n_iter_ : the passes over the data that these batches amount to, rounded up.
    n_features_in_, feature_names_in_ : as everywhere in scikit-learn.

    Raises ValueError for fewer rows than clusters.

    D. Sculley, "Web-scale k-means clustering" (2010).

    Examples
    --------
    >>> import numpy as np
    >>> from unsupervised_learning.minibatch_kmeans import MiniBatchKMeans
    >>> X = np.repeat([[0.0, 0.0], [5.0, 5.0]], 50, axis=0)
    >>> MiniBatchKMeans(2, batch_size=20, random_state=0).fit(X).inertia_
    0.0
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"k-means++", "random"}), callable, "array-like"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "compute_labels": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_no_improvement": [Interval(Integral, 0, None, closed="left"), None],
        "init_size": [Interval(Integral, 1, None, closed="left"), None],
        "n_init": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "reassignment_ratio": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        max_iter: int = 100,
        batch_size: int = 1024,
        compute_labels: bool = True,
        random_state: Any = None,
        tol: float = 0.0,
        max_no_improvement: int | None = 10,
        init_size: int | None = None,
        n_init: int | str = "auto",
        reassignment_ratio: float = 0.01,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.compute_labels = compute_labels
        self.random_state = random_state
        self.tol = tol
        self.max_no_improvement = max_no_improvement
        self.init_size = init_size
        self.n_init = n_init
        self.reassignment_ratio = reassignment_ratio

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Find the centers from random batches.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored.
        sample_weight : array-like of shape (n_samples,), 0 or more; None: all 1. Rows are drawn
            with probability proportional to their weights.
        """
        data = validate_data(self, X, dtype=[np.float64, np.float32], order="C")
        weight = _check_sample_weight(
            sample_weight, data, dtype=data.dtype, ensure_non_negative=True
        )
        self._check_rows(data)
        random_state = check_random_state(self.random_state)
        n, batch = len(data), min(self.batch_size, len(data))
        tol = self.tol * float(data.var(axis=0).mean()) if self.tol else 0.0
        self._counts = np.zeros(self.n_clusters)
        self._since_reassigned = 0
        cumulative = np.cumsum(weight, dtype=np.float64)
        cumulative /= cumulative[-1]
        unit = np.ones(batch, data.dtype)
        forget = min(1.0, 2.0 * batch / (n + 1))
        average = least = np.inf
        without = 0
        with one_blas_thread():
            centers = self._best_start(data, weight, random_state)
            for step in range(self.max_iter * n // batch):
                rows = np.searchsorted(cumulative, random_state.random_sample(batch), side="right")
                new, batch_inertia = self._step(data[rows], unit, centers, random_state)
                shift = float(((new - centers) ** 2).sum()) if tol else np.inf
                centers, each = new, batch_inertia / batch
                if step == 0:  # tells of the first centers only
                    continue
                average = each if average == np.inf else (1 - forget) * average + forget * each
                without = 0 if average < least else without + 1
                least = min(least, average)
                if shift <= tol or (
                    self.max_no_improvement is not None and without >= self.max_no_improvement
                ):
                    break
        self.cluster_centers_ = centers
        self.n_steps_ = step + 1
        self.n_iter_ = -(-self.n_steps_ * batch // n)
        if self.compute_labels:
            self._label(data, weight)
        else:
            self.inertia_ = float(min(average, each) * weight.sum())
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Take one step with these rows as the batch.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features); the first batch has n_clusters rows or
            more, as the first centers are chosen from it.
        y : ignored.
        sample_weight : array-like of shape (n_samples,), 0 or more; None: all 1.
        """
        first = not hasattr(self, "cluster_centers_")
        data = validate_data(self, X, dtype=[np.float64, np.float32], order="C", reset=first)
        weight = _check_sample_weight(
            sample_weight, data, dtype=data.dtype, ensure_non_negative=True
        )
        if first or not hasattr(self, "_random_state"):
            self._random_state = check_random_state(self.random_state)
        if first:
            self._check_rows(data)
            given = self._given_centers(data)
            self.cluster_centers_ = (
                self._drawn_start(data, weight, self._random_state) if given is None else given
            )
            self._counts = np.zeros(self.n_clusters)
            self._since_reassigned = 0
            self.n_steps_ = 0
        data = data.astype(self.cluster_centers_.dtype, copy=False)
        weight = weight.astype(data.dtype, copy=False)
        with one_blas_thread():
            self.cluster_centers_, _ = self._step(
                data, weight, self.cluster_centers_, self._random_state
            )
        self.n_steps_ += 1
        if self.compute_labels:
            self._label(data, weight)
        return self

    def _best_start(
        self, X: NDArray, weight: NDArray, random_state: np.random.RandomState
    ) -> NDArray:
        """The first centers: of `n_init` tries those with the least inertia on one sample."""
        rows = random_state.randint(0, len(X), self._start_size(X))
        given = self._given_centers(X)
        if given is not None:
            return given
        sample, sample_weight = X[rows], weight[rows]
        starts = [
            self._drawn_start(X, weight, random_state) for _ in range(self._runs(from_random=3))
        ]
        totals = [labels_and_inertia(sample, sample_weight, centers)[1] for centers in starts]
        return starts[int(np.argmin(totals))]

    def _drawn_start(
        self, X: NDArray, weight: NDArray, random_state: np.random.RandomState
    ) -> NDArray:
        size = self._start_size(X)
        if size < len(X):
            rows = random_state.randint(0, len(X), size)
            X, weight = X[rows], weight[rows]
        return self._first_centers(X, weight, random_state)

    def _start_size(self, X: NDArray) -> int:
        size = self.init_size or 3 * min(self.batch_size, len(X))
        if size < self.n_clusters:
            size = 3 * self.n_clusters
        return min(size, len(X))

    def _step(
        self, X: NDArray, weight: NDArray, centers: NDArray, random_state: np.random.RandomState
    ) -> tuple[NDArray, float]:
        """The centers after the batch X, and the batch's inertia before."""
        labels = np.full(len(X), -1, dtype=np.int32)
        sums, counts = np.zeros(centers.shape), np.zeros(len(centers))
        lloyd_pass(X, weight, centers, half_norms_of(centers), labels, sums, counts)
        batch_inertia = inertia(X, weight, centers, labels)
        self._since_reassigned += len(X)
        due = self._since_reassigned >= 10 * len(centers) or bool((self._counts == 0).any())
        new = centers.copy()
        met = counts > 0
        seen, added = self._counts[met, None], counts[met, None]
        new[met] = (seen * centers[met] + sums[met]) / (seen + added)
        self._counts += counts
        if due:
            self._since_reassigned = 0
            self._reassign(new, X, random_state)
        return new, batch_inertia

    def _reassign(self, centers: NDArray, X: NDArray, random_state: np.random.RandomState) -> None:
        """Put the centers that have seen few rows on rows of the batch."""
        few = self._counts < self.reassignment_ratio * self._counts.max()
        most = len(X) // 2  # the batch must still tell something of the others
        if few.sum() > most:
            few[np.argsort(self._counts)[most:]] = False
        if not few.any():
            return
        centers[few] = X[random_state.choice(len(X), size=few.sum(), replace=False)]
        # the least count of the others: not so few that the center is moved again at once
        self._counts[few] = self._counts[~few].min()

    def _label(self, X: NDArray, weight: NDArray) -> None:
        self.labels_, self.inertia_ = labels_and_inertia(X, weight, self.cluster_centers_)
