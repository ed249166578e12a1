r"""What the linear models share: rows reduced to a small square problem, and the prediction.

With the columns centered (and each row multiplied by the root of its weight), every model of this
family needs the data only through $X^\top X$, $X^\top Y$, or through the factor $R$ of $X = QR$:

$$\|Y - XW\|^2 = \|Q^\top Y - RW\|^2 + \text{what no } W \text{ can explain}.$$

Both have $d$ rows where the data have $n$. `moments` makes the products in one pass at the speed of
BLAS. `reduce_rows` makes $R$ and $Z = Q^\top Y$ as cheaply as the data allow:

- **Cholesky QR.** $X^\top X = R^\top R$ gives the $R$ of the QR factorization, and
  $Z = R^{-\top} X^\top Y$. It reads the data once, but squares the condition number: the error is
  $\varepsilon\,\kappa^2$. Cholesky's factor does not care how columns are scaled (van der Sluis,
  1969), so the $\kappa$ that counts is that of columns of length 1.
- **Householder QR**, where that estimate is above `CONDITION_LIMIT`: twice the arithmetic and a
  copy of the data, and an error of $\varepsilon\,\kappa$.

The means are taken off after the fact, $X^\top X - n\,\bar x \bar x^\top$, which needs no copy of
the data. That cancels where a column's mean is large beside its spread; there the products are made
again from blocks of rows that are centered first.

Golub and Van Loan, *Matrix Computations*, 4th edition, 2013, chapter 5; Chan, Golub and LeVeque,
"Algorithms for computing the sample variance", 1983.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import lapack, solve_triangular
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

Array = NDArray[np.float64]

#: Above this condition number of the scaled columns, Cholesky QR would lose more than 10 digits.
CONDITION_LIMIT = 1e3

#: Taking the means off after the fact may enlarge the rounding by this much.
CANCELLATION_LIMIT = 30.0

_BLOCK_BYTES = 2**18


@dataclass
class Moments:
    """Centered second moments: `gram` (d, d), `cross` (d, t), and what was taken off.

    `square` (t,) is the sum of squares of each centered target, `weight` the sum of the weights.
    """

    gram: Array
    cross: Array
    square: Array
    x_mean: Array
    y_mean: Array
    weight: float


@dataclass
class Reduced:
    """A problem with the solution of the full one: R (k, d) and Z (k, t), k = min(n, d)."""

    R: Array
    Z: Array
    x_mean: Array
    y_mean: Array
    weight: float


def means(
    X: NDArray, Y: NDArray, sample_weight: NDArray | None, fit_intercept: bool
) -> tuple[Array, Array, float]:
    """The weighted mean of each column of X (d,) and Y (t,), and the sum of the weights.

    Without an intercept the means are 0.
    """
    n, d = X.shape
    weight = float(n) if sample_weight is None else float(sample_weight.sum(dtype=np.float64))
    if not fit_intercept:
        return np.zeros(d), np.zeros(Y.shape[1]), weight
    rows = np.ones(n) if sample_weight is None else sample_weight.astype(np.float64, copy=False)
    if X.dtype != np.float64:  # a product would copy X; a sum in float32 would be too coarse
        x_mean = np.einsum("i,ij->j", rows, X) / weight
    else:
        x_mean = (rows @ X) / weight
    return x_mean, (rows @ Y) / weight, weight


def moments(
    X: NDArray, Y: NDArray, sample_weight: NDArray | None = None, fit_intercept: bool = True
) -> Moments:
    """Centered, weighted second moments of X (n, d) and Y (n, t), in float64 and without a copy."""
    x_mean, y_mean, weight = means(X, Y, sample_weight, fit_intercept)
    if sample_weight is None and X.dtype == np.float64:
        raw = X.T @ X
        gram = raw - weight * np.outer(x_mean, x_mean)
        if np.all(CANCELLATION_LIMIT * gram.diagonal() >= raw.diagonal()):
            centered = Y - y_mean
            cross = X.T @ centered  # the means of X meet targets that sum to 0
            return Moments(gram, cross, (centered**2).sum(axis=0), x_mean, y_mean, weight)
    d, t = X.shape[1], Y.shape[1]
    products = np.zeros((d + t, d + t))
    size = max(64, _BLOCK_BYTES // (8 * (d + t)))
    buffer = np.empty((min(size, len(X)), d + t))
    for start in range(0, len(X), size):
        rows = slice(start, start + size)
        block = _centered_block(X[rows], Y[rows], x_mean, y_mean, sample_weight, rows, buffer)
        products += block.T @ block
    gram, cross = products[:d, :d].copy(), products[:d, d:].copy()
    return Moments(gram, cross, products.diagonal()[d:].copy(), x_mean, y_mean, weight)


def _centered_block(
    X: NDArray,
    Y: NDArray,
    x_mean: Array,
    y_mean: Array,
    sample_weight: NDArray | None,
    rows: slice,
    buffer: Array,
) -> Array:
    """The rows of [X Y], centered and multiplied by the roots of their weights, in `buffer`."""
    block, d = buffer[: len(X)], X.shape[1]
    np.subtract(X, x_mean, out=block[:, :d])
    np.subtract(Y, y_mean, out=block[:, d:])
    if sample_weight is not None:
        block *= np.sqrt(sample_weight[rows].astype(np.float64))[:, None]
    return block


def centered_rows(
    X: NDArray, Y: NDArray, sample_weight: NDArray | None, fit_intercept: bool
) -> tuple[Array, Array, Array, float]:
    """A copy of [X Y] (n, d + t), centered and weighted; the means of X and Y; the weight.

    The copy lies in memory column by column.
    """
    x_mean, y_mean, weight = means(X, Y, sample_weight, fit_intercept)
    buffer = np.empty((len(X), X.shape[1] + Y.shape[1]), order="F")
    rows = _centered_block(X, Y, x_mean, y_mean, sample_weight, slice(None), buffer)
    return rows, x_mean, y_mean, weight


def reduce_rows(
    X: NDArray, Y: NDArray, sample_weight: NDArray | None = None, fit_intercept: bool = True
) -> Reduced:
    """R and Z with the same least-squares solutions as the centered, weighted X (n, d), Y (n, t).

    By Cholesky QR where the columns are independent enough, else by Householder's; data with fewer
    rows than columns are as small as they get.
    """
    n, d = X.shape
    if n >= d:
        products = moments(X, Y, sample_weight, fit_intercept)
        R = triangular_factor(products.gram, 1 / CONDITION_LIMIT**2)
        if R is not None:
            Z = solve_triangular(R, products.cross, trans="T", check_finite=False)
            return Reduced(R, Z, products.x_mean, products.y_mean, products.weight)
    rows, x_mean, y_mean, weight = centered_rows(X, Y, sample_weight, fit_intercept)
    if n > d:
        rows = np.asarray(np.linalg.qr(rows, mode="r"))[:d]
    return Reduced(rows[:, :d], rows[:, d:], x_mean, y_mean, weight)


def triangular_factor(gram: Array, smallest: float) -> Array | None:
    """The upper R with R'R = gram (d, d); None where the scaled gram is too close to singular.

    `smallest` bounds the reciprocal condition number (in the 1-norm, as LAPACK estimates it) of the
    matrix whose rows and columns are scaled so that its diagonal is 1.
    """
    diagonal = gram.diagonal()
    if not diagonal.min() > 0:
        return None
    lengths = np.sqrt(diagonal)
    scaled = gram / lengths
    scaled /= lengths[:, None]
    norm = np.abs(scaled).sum(axis=0).max()
    R, failed = lapack.dpotrf(scaled)
    if failed:
        return None
    reciprocal, _ = lapack.dpocon(R, norm)
    return R * lengths if reciprocal >= smallest else None


class LinearPredictor(RegressorMixin, BaseEstimator):
    """A regressor whose prediction is X @ coef_.T + intercept_."""

    coef_: NDArray
    intercept_: Any
    fit_intercept: bool

    def predict(self, X: ArrayLike) -> NDArray:
        """Predict the target of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_targets)
            The predicted targets, in the dtype of the coefficients or of X, the wider one.
        """
        check_is_fitted(self)
        # A NaN or an infinity in X reaches the sum unless its coefficient is 0. So the check of the
        # n sums stands for the check of the n d entries, which would take longer than the product.
        certain = bool(np.all(self.coef_))
        checked = validate_data(self, X, reset=False, ensure_all_finite=not certain)
        with np.errstate(invalid="ignore", over="ignore"):
            y: NDArray = checked @ self.coef_.T
            y += self.intercept_
        if certain and not np.isfinite(y).all():
            validate_data(self, X, reset=False)
        return y

    def _validated(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        *,
        multi_output: bool = True,
        **options: Any,
    ) -> tuple[NDArray, NDArray, NDArray | None, bool]:
        """X (n, d), the targets as (n, t), the weights (n,) or None, and whether y was 1-D."""
        X, y = validate_data(
            self,
            X,
            y,
            dtype=[np.float64, np.float32],
            multi_output=multi_output,
            y_numeric=True,
            **options,
        )
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=X.dtype, ensure_non_negative=True
            )
        flat = y.ndim == 1
        y = y.astype(np.float64, copy=False)
        return X, y[:, None] if flat else y, sample_weight, flat

    def _keep(self, W: Array, x_mean: Array, y_mean: Array, dtype: Any, flat: bool) -> Self:
        """Store the coefficients W (d, t) and the intercept that belongs to the means."""
        intercept = y_mean - x_mean @ W
        self.coef_ = np.ascontiguousarray(W.T, dtype=dtype)
        self.intercept_ = intercept.astype(dtype)
        if flat:
            self.coef_, self.intercept_ = self.coef_[0], self.intercept_[0]
        if not self.fit_intercept:
            self.intercept_ = 0.0
        return self
