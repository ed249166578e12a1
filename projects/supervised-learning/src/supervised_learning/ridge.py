r"""Ridge regression: least squares with a price on the size of the coefficients.

$$\min_w \; \|y - Xw\|^2 + \alpha \|w\|^2$$

over centered data, so that the intercept is free. The gradient vanishes where
$(X^\top X + \alpha I)\, w = X^\top y$, which has one solution for every $\alpha > 0$, even where
$X^\top X$ is singular.

**Cholesky.** The matrix is symmetric and positive definite. With more columns than rows,
$(X^\top X + \alpha I)^{-1} X^\top = X^\top (X X^\top + \alpha I)^{-1}$ gives the same $w$ from an
$n \times n$ system (the dual problem).

**SVD.** With $X = U \Sigma V^\top$,

$$w = \sum_i v_i \, \frac{\sigma_i}{\sigma_i^2 + \alpha} \, u_i^\top y :$$

each direction of the least-squares answer is shrunk by $\sigma_i^2 / (\sigma_i^2 + \alpha)$, and
most where the data vary least. One SVD serves every $\alpha$: a whole path costs little more than
one fit. The SVD is that of the small factor $R$ of $X = QR$.

Seen as probabilities, $w$ is the most likely one where the noise has variance $s^2$ and each
coefficient is drawn from a normal distribution with variance $s^2 / \alpha$.

Hoerl and Kennard, "Ridge regression: biased estimation for nonorthogonal problems", 1970. Saunders,
Gammerman and Vovk, "Ridge regression learning algorithm in dual variables", 1998.
"""

from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_triangular
from sklearn.base import MultiOutputMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_array, check_X_y

from supervised_learning.least_squares import (
    Array,
    LinearPredictor,
    centered_rows,
    moments,
    reduce_rows,
    triangular_factor,
)

#: A Cholesky factor is trusted where the reciprocal condition number is at least this.
_TRUSTED = 1e-10


class Ridge(MultiOutputMixin, LinearPredictor):
    """Linear least squares with a penalty on the squares of the coefficients.

    Parameters
    ----------
    alpha : float or array-like of shape (n_targets,), default=1.0
        The weight of the penalty, not negative; an array gives each target its own.
    fit_intercept : bool, default=True
        Whether to fit a constant, which is not penalized.
    solver : {"auto", "cholesky", "svd"}, default="auto"
        "cholesky" is the quickest for one `alpha`; "svd" is accurate on any data. "auto" is
        "cholesky". Where its system is too close to singular, "svd" takes over.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        The coefficients.
    intercept_ : float or ndarray of shape (n_targets,)
        The constant; 0.0 with `fit_intercept=False`.
    solver_ : str
        The solver that found them.
    n_features_in_ : int
        The number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X has names.

    Notes
    -----
    A constant column gets the coefficient 0; equal columns get equal coefficients. `alpha=0` is
    least squares, with the shortest solution where many fit equally well.

    Examples
    --------
    >>> from supervised_learning.ridge import Ridge
    >>> Ridge(alpha=2.0).fit([[-1.0], [1.0]], [-2.0, 2.0]).coef_
    array([1.])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "alpha": [Interval(Real, 0, None, closed="left"), "array-like"],
        "fit_intercept": ["boolean"],
        "solver": [StrOptions({"auto", "cholesky", "svd"})],
    }

    def __init__(
        self,
        alpha: float | ArrayLike = 1.0,
        *,
        fit_intercept: bool = True,
        solver: str = "auto",
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.solver = solver

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the coefficients.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            The targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Not negative; a weight of 2 counts as the row twice.

        Returns
        -------
        self : Ridge

        Raises
        ------
        ValueError
            Where `alpha` has neither one entry nor one a target, or a negative one.
        """
        X, Y, sample_weight, flat = self._validated(X, y, sample_weight)
        alphas = _penalties(self.alpha, Y.shape[1])
        data = (X, Y, sample_weight, self.fit_intercept)
        if self.solver != "svd":
            solve = _solve_primal if X.shape[0] >= X.shape[1] else _solve_dual
            solution = solve(*data, alphas)
            if solution is not None:
                self.solver_ = "cholesky"
                return self._keep(*solution, X.dtype, flat)
        self.solver_ = "svd"
        reduced = reduce_rows(*data)
        W = shrunken(reduced.R, reduced.Z, alphas)
        return self._keep(W, reduced.x_mean, reduced.y_mean, X.dtype, flat)


def ridge_path(
    X: ArrayLike, y: ArrayLike, alphas: ArrayLike, *, fit_intercept: bool = True
) -> tuple[Array, Array]:
    """The ridge coefficients for many penalties, through one SVD.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    alphas : array-like of shape (n_alphas,)
        The penalties, not negative.
    fit_intercept : bool, default=True
        Whether to center X and y first.

    Returns
    -------
    coefs : ndarray of shape (n_features, n_alphas)
        A column of coefficients a penalty, as `Ridge(alpha).fit(X, y).coef_`.
    intercepts : ndarray of shape (n_alphas,)

    Raises
    ------
    ValueError
        For a negative or missing penalty.
    """
    X, y = check_X_y(X, y, dtype=np.float64, y_numeric=True)
    penalties = _penalties(alphas, None)
    reduced = reduce_rows(X, y[:, None], None, fit_intercept)
    coefs = shrunken(reduced.R, np.repeat(reduced.Z, len(penalties), axis=1), penalties)
    return coefs, reduced.y_mean - reduced.x_mean @ coefs


def shrunken(R: Array, Z: Array, alphas: Array) -> Array:
    """The W (d, t) that minimizes ||RW - Z||² + alphas ||W||², column by column, by the SVD of R.

    R is (k, d), Z (k, t), alphas (t,). Without a penalty, directions that R does not reach get 0.
    """
    U, s, Vt = np.linalg.svd(R, full_matrices=False)
    denominator = s[:, None] ** 2 + alphas
    rounding = max(R.shape) * np.finfo(np.float64).eps * s[0]
    factor = np.zeros_like(denominator)
    np.divide(s[:, None], denominator, out=factor, where=denominator > rounding**2)
    return Vt.T @ (factor * (U.T @ Z))


def _solve_primal(
    X: NDArray, Y: NDArray, sample_weight: NDArray | None, fit_intercept: bool, alphas: Array
) -> tuple[Array, Array, Array] | None:
    """(X'X + alpha) W = X'Y: W (d, t) and the means; None where it is too close to singular."""
    products = moments(X, Y, sample_weight, fit_intercept)
    W = _solve_shifted(products.gram, products.cross, alphas)
    return None if W is None else (W, products.x_mean, products.y_mean)


def _solve_dual(
    X: NDArray, Y: NDArray, sample_weight: NDArray | None, fit_intercept: bool, alphas: Array
) -> tuple[Array, Array, Array] | None:
    """W = X'C with (XX' + alpha) C = Y: W (d, t) and the means; None as in the primal problem."""
    rows, x_mean, y_mean, _ = centered_rows(X, Y, sample_weight, fit_intercept)
    A, B = rows[:, : X.shape[1]], rows[:, X.shape[1] :]
    C = _solve_shifted(A @ A.T, B, alphas)
    return None if C is None else (A.T @ C, x_mean, y_mean)


def _solve_shifted(A: Array, B: Array, alphas: Array) -> Array | None:
    """The solution W (m, t) of (A + alpha I) W = B, where each column of B has its alpha."""
    W = np.empty_like(B)
    for alpha in np.unique(alphas):
        columns = alphas == alpha
        shifted = A.copy()
        shifted.flat[:: len(A) + 1] += alpha
        R = triangular_factor(shifted, _TRUSTED)
        if R is None:
            return None
        half = solve_triangular(R, B[:, columns], trans="T", check_finite=False)
        W[:, columns] = solve_triangular(R, half, check_finite=False)
    return W


def _penalties(alpha: Any, targets: int | None) -> Array:
    """The penalties as an array: one a target, or as many as there are where `targets` is None."""
    alphas = check_array(
        np.atleast_1d(alpha), ensure_2d=False, dtype=np.float64, input_name="alpha"
    )
    if alphas.min() < 0:
        raise ValueError(f"alpha holds {alphas.min():g}; a penalty is not negative.")
    if targets is None or alphas.shape == (targets,):
        return alphas
    if alphas.shape != (1,):
        raise ValueError(
            f"alpha has shape {alphas.shape} and y has {targets} targets; give one penalty, or one "
            "a target."
        )
    return np.repeat(alphas, targets)
