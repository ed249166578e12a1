r"""Robust covariance: the half of the rows whose covariance has the smallest determinant.

A few outliers can move a mean and a covariance anywhere, and then hide behind them. The minimum
covariance determinant (MCD) takes them from the h > n/2 rows whose covariance matrix has the
smallest determinant, the tightest half: up to n - h rows may be anything. To find it among all
subsets is hopeless, but there is a step that never loses. Given any location T and covariance S,
take the h rows of smallest Mahalanobis distance $d^2(x) = (x - T)^\top S^{-1} (x - T)$ and compute
the mean and covariance of those: the determinant has not grown, and it stays the same only where
the subset does. FAST-MCD starts such C-steps at many subsets of d + 1 rows, for one of which the
rows are likely to be clean, and spends its time where it pays:

1. two steps from each of 500 starts, in up to five groups of about 300 rows;
2. two steps from the ten best of each group, in the groups taken together;
3. steps until nothing changes, on all rows, from the ten best that differ.

The covariance of a tight half is too small for all: at normal data it is made consistent by the
factor $\alpha / P(\chi^2_{d+2} \le q_\alpha)$, where $q_\alpha$ is the quantile of $\chi^2_d$ at
$\alpha = h / n$. At last every row within the 97.5 % quantile counts again, which wins back
efficiency without letting the outliers in.

MCD does not depend on the units or axes of the features. So the search runs in coordinates where
the whole table has covariance I: features of very different sizes do no harm, and where columns
are constant or depend on each other, what is left are the directions in which the rows differ.

Sources: P. J. Rousseeuw and K. Van Driessen, "A Fast Algorithm for the Minimum Covariance
Determinant Estimator", Technometrics 41 (1999). C. Croux and G. Haesbroeck, "Influence Function and
Efficiency of the Minimum Covariance Determinant Scatter Matrix Estimator", Journal of Multivariate
Analysis 71 (1999), for the factors.
"""

import warnings
from numbers import Real
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2
from sklearn.base import OutlierMixin, _fit_context
from sklearn.covariance import EmpiricalCovariance
from sklearn.metrics import accuracy_score
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

_STARTS, _BEST = 500, 10
_GROUP, _GROUPS = 300, 5
_TOGETHER = 25  # starts that make their steps together
_BLOCK = 1024
_FLAT = 1e-12  # a variance this small beside the largest is none
_OUTSIDE = 0.025  # of normal rows, this share lies beyond the final threshold


class MinCovDet(EmpiricalCovariance):
    """Location and covariance that up to half of the rows cannot move, by FAST-MCD.

    Parameters
    ----------
    store_precision : bool, default=True
        Whether `precision_` is kept.
    assume_centered : bool, default=False
        Whether the location is known to be 0.
    support_fraction : float in (0, 1] or None, default=None
        The share of the rows whose determinant is made small; None: (n + d + 1) / 2 rows, which
        withstands the most outliers.
    random_state : int, RandomState instance or None, default=None
        The source of the starts.

    Attributes
    ----------
    raw_location_ : ndarray of shape (n_features,)
        The mean of the tightest half.
    raw_covariance_ : ndarray of shape (n_features, n_features)
        Its covariance, as it is.
    raw_support_ : ndarray of shape (n_samples,)
        True for the rows of that half.
    location_ : ndarray of shape (n_features,)
        The mean of all rows that are near enough.
    covariance_ : ndarray of shape (n_features, n_features)
        Their covariance, made consistent at normal data.
    precision_ : ndarray of shape (n_features, n_features)
        Its inverse; where the table has fewer directions than features, the inverse in those.
    support_ : ndarray of shape (n_samples,)
        True for the rows that are near enough.
    dist_ : ndarray of shape (n_samples,)
        The squared Mahalanobis distances of the rows of fit.
    n_features_in_ : int
        The number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X is a frame with names.

    Raises
    ------
    ValueError
        For NaN or infinity in X, fewer than two rows, or rows more than half of which are the same.

    Warns
    -----
    UserWarning
        Where the features depend on each other, or more than half of the rows do not vary in some
        direction that the others vary in.

    References
    ----------
    P. J. Rousseeuw and K. Van Driessen, "A Fast Algorithm for the Minimum Covariance Determinant
    Estimator", Technometrics 41 (1999).

    Examples
    --------
    >>> import numpy as np
    >>> from unsupervised_learning.robust_covariance import MinCovDet
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 2))
    >>> X[:40] = 50.0
    >>> float(np.abs(MinCovDet(random_state=0).fit(X).location_).max()) < 0.3
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "store_precision": ["boolean"],
        "assume_centered": ["boolean"],
        "support_fraction": [Interval(Real, 0, 1, closed="right"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        store_precision: bool = True,
        assume_centered: bool = False,
        support_fraction: float | None = None,
        random_state: Any = None,
    ) -> None:
        self.store_precision = store_precision
        self.assume_centered = assume_centered
        self.support_fraction = support_fraction
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Find the tightest half of the rows, and from it the location and covariance.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.
        y : ignored
            For the interface's sake.

        Returns
        -------
        self : MinCovDet
        """
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        n, d = X.shape
        axes = _whiten(X)
        rank = axes.shape[1]
        if rank < d:
            warnings.warn(
                f"the {n} rows differ in {rank} directions only, though there are {d} features; "
                "the covariance is singular, and distances count those directions",
                stacklevel=2,
            )
        Z = (X - X.mean(axis=0)) @ axes
        h = min(-(-(n + d + 1) // 2), n)
        if self.support_fraction is not None:
            h = max(1, int(self.support_fraction * n))
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        members = _tightest(Z, h, rng)

        self.raw_support_ = np.zeros(n, dtype=bool)
        self.raw_support_[members] = True
        self.raw_location_, self.raw_covariance_, root = self._estimate(X[members], axes)
        if h < n and not root.any():
            raise ValueError(
                f"{h} of the {n} rows are the same: their covariance is 0; increase "
                "support_fraction"
            )
        if h < n and root.shape[1] < rank:
            warnings.warn(
                f"{h} of the {n} rows do not vary in some direction that the others vary in; "
                "the distances of the first round do not count it",
                stacklevel=2,
            )
        raw = _squared_distances(X, self.raw_location_, root) / _consistency(rank, h / n)
        self.support_ = raw < chi2.isf(_OUTSIDE, max(rank, 1))

        self.location_, covariance, root = self._estimate(X[self.support_], axes)
        factor = _consistency(rank, 1 - _OUTSIDE)
        self.covariance_ = factor * covariance
        self._root = root / np.sqrt(factor)
        self.precision_ = self._root @ self._root.T if self.store_precision else None
        self.dist_ = _squared_distances(X, self.location_, self._root)
        return self

    def get_precision(self) -> NDArray[np.float64]:
        """The precision matrix, of shape (n_features, n_features), kept or not."""
        check_is_fitted(self)
        return self.precision_ if self.precision_ is not None else self._root @ self._root.T

    def mahalanobis(self, X: ArrayLike) -> NDArray[np.float64]:
        """The squared Mahalanobis distances of rows from `location_`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        dist : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return _squared_distances(X, self.location_, self._root)

    def _estimate(self, rows: NDArray, axes: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Location and covariance of some rows, and a root (d, r) of the precision.

        The covariance is inverted in the coordinates that `axes` (d, rank) make, in the directions
        in which the rows vary.
        """
        location = np.zeros(rows.shape[1]) if self.assume_centered else rows.mean(axis=0)
        centered = rows - location
        covariance = centered.T @ centered / len(rows)
        white = centered @ axes
        spread, directions = np.linalg.eigh(white.T @ white / len(rows))
        kept = spread > _FLAT * spread.max(initial=0.0)
        return location, covariance, axes @ (directions[:, kept] / np.sqrt(spread[kept]))


class EllipticEnvelope(OutlierMixin, MinCovDet):
    """Outliers by the Mahalanobis distance from a robust center, for rows of one ellipse.

    Parameters
    ----------
    store_precision : bool, default=True
        Whether `precision_` is kept.
    assume_centered : bool, default=False
        Whether the location is known to be 0.
    support_fraction : float in (0, 1] or None, default=None
        The share of the rows whose determinant is made small; None: (n + d + 1) / 2 rows.
    contamination : float in (0, 0.5], default=0.1
        The share of outliers, which sets the threshold.
    random_state : int, RandomState instance or None, default=None
        The source of the starts.

    Attributes
    ----------
    offset_ : float
        `decision_function` is `score_samples` minus this.
    location_, covariance_, precision_, support_, dist_ : ndarray
        And all others: those of `MinCovDet`.

    Raises
    ------
    ValueError
        As `MinCovDet` does.

    References
    ----------
    P. J. Rousseeuw and K. Van Driessen, "A Fast Algorithm for the Minimum Covariance Determinant
    Estimator", Technometrics 41 (1999).

    Examples
    --------
    >>> import numpy as np
    >>> from unsupervised_learning.robust_covariance import EllipticEnvelope
    >>> X = np.random.default_rng(0).standard_normal((200, 2))
    >>> EllipticEnvelope(random_state=0).fit(X).predict([[0.0, 0.0], [6.0, 6.0]])
    array([ 1, -1])
    """

    _parameter_constraints: ClassVar[dict] = {
        **MinCovDet._parameter_constraints,
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
    }

    def __init__(
        self,
        *,
        store_precision: bool = True,
        assume_centered: bool = False,
        support_fraction: float | None = None,
        contamination: float = 0.1,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            store_precision=store_precision,
            assume_centered=assume_centered,
            support_fraction=support_fraction,
            random_state=random_state,
        )
        self.contamination = contamination

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Fit the robust ellipse and the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.
        y : ignored
            For the interface's sake.

        Returns
        -------
        self : EllipticEnvelope
        """
        super().fit(X)
        self.offset_ = float(np.percentile(-self.dist_, 100.0 * self.contamination))
        return self

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """The negative of the squared Mahalanobis distances.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
        """
        return -self.mahalanobis(X)

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
        scores = self.score_samples(X)
        return scores - self.offset_

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
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The accuracy of `predict`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,)
            -1 for outliers, 1 for inliers.
        sample_weight : array-like of shape (n_samples,), default=None
            The weight of each row.

        Returns
        -------
        accuracy : float
        """
        return accuracy_score(y, self.predict(X), sample_weight=sample_weight)


class _Subsets(NamedTuple):
    """The means and covariances of m subsets of the rows."""

    members: NDArray[np.intp]  # (m, h)
    location: NDArray[np.float64]  # (m, d)
    root: NDArray[np.float64]  # (m, d, d): root · rootᵀ is the covariance's inverse
    log_det: NDArray[np.float64]  # (m,), of the covariance

    def take(self, which: Any) -> "_Subsets":
        """Some of the subsets."""
        return _Subsets(*(part[which] for part in self))


def _tightest(Z: NDArray, h: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """The h rows of Z (n, d) whose covariance has the smallest determinant that was found."""
    n, d = Z.shape
    if h >= n or d == 0:
        return np.arange(min(h, n))
    if d == 1:
        return _shortest_window(Z[:, 0], h)
    groups = 1 if n <= 2 * _GROUP else min(_GROUPS, n // _GROUP)
    size = n if groups == 1 else _GROUP
    shuffled = rng.permutation(n)
    found = []
    for group in range(groups):
        rows = Z[shuffled[group * size : (group + 1) * size]]
        candidates = []
        for _ in range(_STARTS // (groups * _TOGETHER)):
            starts = rng.random((_TOGETHER, size)).argpartition(d, axis=1)[:, : d + 1]
            subsets = _moments(rows, starts)
            for _ in range(2):
                subsets = _c_step(rows, subsets, -(-h * size // n))
            candidates.append(subsets)
        found.append(_best(_pool(candidates)))
    best = _pool(found)
    if groups > 1:
        # Members are numbered within a group; from here on only the moments count.
        rows = Z[shuffled[: groups * size]]
        part = -(-h * len(rows) // n)
        for _ in range(2):
            best = _c_step(rows, best, part)
        best = _best(_converge(rows, _best(best), part))
    converged = _converge(Z, best, h)
    return converged.members[np.argmin(converged.log_det)]


def _pool(parts: list[_Subsets]) -> _Subsets:
    return _Subsets(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _converge(Z: NDArray, subsets: _Subsets, h: int) -> _Subsets:
    """C-steps from each subset until its determinant falls no more."""
    results = []
    for i in range(len(subsets.log_det)):
        subset = _c_step(Z, subsets.take([i]), h)
        while True:
            following = _c_step(Z, subset, h)
            if not following.log_det[0] < subset.log_det[0] - 1e-12:
                break
            subset = following
        results.append(subset)
    return _pool(results)


def _c_step(Z: NDArray, subsets: _Subsets, h: int) -> _Subsets:
    """The h rows nearest to each subset's center, in the distance that its covariance makes."""
    distances = np.empty((len(subsets.log_det), len(Z)))
    centers = subsets.location[:, None] @ subsets.root
    for first in range(0, len(Z), _BLOCK):
        scores = Z[first : first + _BLOCK] @ subsets.root
        scores -= centers
        np.einsum("mnd,mnd->mn", scores, scores, out=distances[:, first : first + _BLOCK])
    return _moments(Z, np.argpartition(distances, h - 1, axis=1)[:, :h])


def _moments(Z: NDArray, members: NDArray) -> _Subsets:
    """The means and covariances of the rows `members` (m, h) of Z (n, d)."""
    h, d = members.shape[1], Z.shape[1]
    rows = Z[members]
    location = rows.mean(axis=1)
    rows -= location[:, None]
    covariance = rows.transpose(0, 2, 1) @ rows / h
    # A direction in which a subset does not vary becomes all but infinitely narrow: rows off the
    # subset's plane are far away, and the determinant is tiny.
    trace = np.trace(covariance, axis1=1, axis2=2)[:, None]
    covariance[:, range(d), range(d)] += _FLAT * trace + np.finfo(np.float64).tiny
    lower = np.linalg.cholesky(covariance)
    log_det = 2.0 * np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
    return _Subsets(members, location, np.linalg.inv(lower).transpose(0, 2, 1), log_det)


def _best(subsets: _Subsets) -> _Subsets:
    """The ten of smallest determinant, each once."""
    distinct = np.unique(subsets.log_det.round(9), return_index=True)[1]
    return subsets.take(distinct[:_BEST])


def _shortest_window(z: NDArray, h: int) -> NDArray[np.intp]:
    """In one dimension the best subset is h neighbors in a row: try all windows of sorted z.

    The running sums begin at the median, which every window of more than half the values holds. So
    far values at the ends do not swallow the digits of those in the middle.
    """
    order = np.argsort(z, kind="stable")
    middle = len(z) // 2
    values = z[order] - z[order[middle]]
    sums = []
    for terms in (values, values * values):
        up, down = np.cumsum(terms[middle:]), np.cumsum(terms[:middle][::-1])
        running = np.concatenate([-down[::-1], [0.0], up])
        sums.append((running[h:] - running[:-h]) / h)
    first = int(np.argmin(sums[1] - sums[0] ** 2))
    return order[first : first + h]


def _whiten(X: NDArray) -> NDArray:
    """Axes (d, r) in which the centered table has covariance I; r is its rank."""
    scale = X.std(axis=0)
    size = np.abs(X).max(axis=0)
    varies = scale > 10 * np.finfo(np.float64).eps * size
    unit = np.zeros_like(scale)
    unit[varies] = 1.0 / scale[varies]
    Z = (X - X.mean(axis=0)) * unit
    spread, directions = np.linalg.eigh(Z.T @ Z / len(Z))
    kept = spread > _FLAT * len(spread)
    return unit[:, None] * directions[:, kept] / np.sqrt(spread[kept])


def _consistency(d: int, share: float) -> float:
    """The factor that makes the covariance of the innermost share right at normal data."""
    if share >= 1 or d == 0:
        return 1.0
    return float(share / chi2.cdf(chi2.ppf(share, d), d + 2))


def _squared_distances(X: NDArray, location: NDArray, root: NDArray) -> NDArray[np.float64]:
    """|rootᵀ (x - location)|² for each row x, a block at a time: a block stays in the cache."""
    result = np.empty(len(X))
    for first in range(0, len(X), _BLOCK):
        scores = (X[first : first + _BLOCK] - location) @ root
        np.einsum("ij,ij->i", scores, scores, out=result[first : first + _BLOCK])
    return result
