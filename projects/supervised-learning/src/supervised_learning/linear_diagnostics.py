r"""What a least-squares fit can be asked: how sure it is, and whether its assumptions hold.

For $y = b + Xw + e$ with independent errors of mean 0 and one variance $\sigma^2$, the estimate
$\hat w$ has the covariance $\sigma^2 (X^\top X)^{-1}$ ($X$ centered), and
$s^2 = \|y - \hat y\|^2 / (n - p)$ estimates $\sigma^2$, with $p = d + 1$ coefficients. With normal
errors $\hat w_j / \mathrm{se}_j$ follows Student's t where $w_j = 0$.

The fitted values are $\hat y = Hy$ with the projection
$H = \tfrac1n 11^\top + X (X^\top X)^{-1} X^\top$. Its diagonal is the **leverage** $h_i$: how much
a row pulls its own fitted value. It sums to $p$. A residual has the variance $\sigma^2 (1 - h_i)$,
and without row $i$ the fit would change by **Cook's distance**
$D_i = \frac{e_i^2}{p\, s^2} \cdot \frac{h_i}{(1 - h_i)^2}$.

The **variance inflation** of column $j$ is $1 / (1 - R_j^2)$ with $R_j^2$ from predicting it by the
other columns: the diagonal of the inverse correlation matrix.

Fisher, "The goodness of fit of regression formulae", 1922. Cook, "Detection of influential
observation in linear regression", 1977. Belsley, Kuh and Welsch, *Regression Diagnostics*, 1980.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.linalg import solve_triangular
from sklearn.utils.validation import check_array, check_consistent_length, check_X_y

from supervised_learning.least_squares import Array, reduce_rows

_RANK_TOL = 1e-6


@dataclass(frozen=True)
class Inference:
    """A least-squares fit with an intercept, and how sure it is; the intercept is entry 0.

    `coef`, `standard_error`, `t_value`, `p_value` (two-sided) have shape (d + 1,), `interval`
    (d + 1, 2). `f_value` and `f_p_value` test that all slopes are 0. `residual` and `leverage` have
    shape (n,). `variance` is s², `freedom` n - d - 1.
    """

    coef: Array
    standard_error: Array
    t_value: Array
    p_value: Array
    interval: Array
    r_squared: float
    adjusted_r_squared: float
    f_value: float
    f_p_value: float
    variance: float
    freedom: int
    log_likelihood: float
    aic: float
    bic: float
    residual: Array
    leverage: Array

    @property
    def studentized(self) -> Array:
        """Each residual over its standard error, s² taken from all rows, (n,)."""
        scale = np.sqrt(self.variance * (1 - self.leverage))
        return np.divide(self.residual, scale, out=np.zeros_like(scale), where=scale > 0)

    @property
    def deleted_studentized(self) -> Array:
        """Each residual over its standard error, s² taken from the other rows, (n,)."""
        r = self.studentized
        left = np.maximum(self.freedom - r**2, np.finfo(np.float64).tiny)
        return r * np.sqrt((self.freedom - 1) / left)

    @property
    def cooks_distance(self) -> Array:
        """How far the fitted values move without the row, in units of p s², (n,)."""
        h = np.minimum(self.leverage, 1 - np.finfo(np.float64).eps)
        return self.studentized**2 * h / (1 - h) / len(self.coef)


def infer(X: ArrayLike, y: ArrayLike, *, confidence: float = 0.95) -> Inference:
    """Fit least squares with an intercept; standard errors, t tests, F test, leverage.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    confidence : float, default=0.95
        The coverage of the intervals.

    Raises
    ------
    ValueError
        With no more rows than coefficients, or columns that depend on each other (or are
        constant): there is no standard error then.
    """
    X, y = check_X_y(X, y, dtype=np.float64, y_numeric=True)
    n, d = X.shape
    p = d + 1
    if n <= p:
        raise ValueError(f"{n} rows for {p} coefficients; more rows than coefficients are taken.")
    reduced = reduce_rows(X, y[:, None])
    R = reduced.R
    lengths = np.linalg.norm(R, axis=0)
    if not lengths.all() or np.linalg.cond(R / lengths) > 1 / _RANK_TOL:
        raise ValueError(
            "The columns are constant or depend on each other, so single coefficients have no "
            "standard error; leave out a column with a large variance_inflation."
        )
    w = solve_triangular(R, reduced.Z[:, 0])
    inverse = solve_triangular(R, np.eye(d))  # (X'X)⁻¹ = R⁻¹ R⁻ᵀ
    centered = X - reduced.x_mean
    residual = y - reduced.y_mean[0] - centered @ w
    squares = float(residual @ residual)
    total = float(((y - reduced.y_mean[0]) ** 2).sum())
    freedom = n - p
    variance = squares / freedom

    coef = np.concatenate([reduced.y_mean - reduced.x_mean @ w, w])
    slope_factor = (inverse**2).sum(axis=1)
    intercept_factor = 1 / n + ((reduced.x_mean @ inverse) ** 2).sum()
    error = np.sqrt(variance * np.concatenate([[intercept_factor], slope_factor]))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = coef / error
        f = float(np.float64(total - squares) / d / variance)
    half = stats.t.ppf((1 + confidence) / 2, freedom) * error
    log_likelihood = -n / 2 * (np.log(2 * np.pi * max(squares, 1e-300) / n) + 1)
    r_squared = 1 - squares / total if total else 0.0
    return Inference(
        coef=coef,
        standard_error=error,
        t_value=t,
        p_value=2 * stats.t.sf(np.abs(t), freedom),
        interval=np.column_stack([coef - half, coef + half]),
        r_squared=r_squared,
        adjusted_r_squared=1 - (1 - r_squared) * (n - 1) / freedom,
        f_value=f,
        f_p_value=float(stats.f.sf(f, d, freedom)),
        variance=variance,
        freedom=freedom,
        log_likelihood=float(log_likelihood),
        aic=float(2 * p - 2 * log_likelihood),
        bic=float(p * np.log(n) - 2 * log_likelihood),
        residual=residual,
        leverage=1 / n + ((centered @ inverse) ** 2).sum(axis=1),
    )


def variance_inflation(X: ArrayLike) -> Array:
    """How many times the other columns enlarge the variance of each coefficient, (n_features,).

    1 for a column that is uncorrelated with the others; infinite for one that depends on them, or
    is constant.
    """
    X = check_array(X, dtype=np.float64, ensure_min_samples=2)
    R = reduce_rows(X, np.zeros((len(X), 1))).R
    lengths = np.linalg.norm(R, axis=0)
    varies = lengths > _RANK_TOL * (np.abs(X).max(axis=0) + np.finfo(np.float64).tiny)
    factors = np.full(X.shape[1], np.inf)
    _, s, Vt = np.linalg.svd(R[:, varies] / lengths[varies], full_matrices=False)
    if not len(s):
        return factors
    reached = s > _RANK_TOL * s[0]
    inside = (Vt[reached] ** 2).sum(axis=0)  # below 1 where the column takes part in a dependence
    inflated = ((Vt[reached] / s[reached, None]) ** 2).sum(axis=0)
    factors[varies] = np.where(inside > 1 - _RANK_TOL, inflated, np.inf)
    return factors


def jarque_bera(residual: ArrayLike) -> tuple[float, float]:
    """Are the errors normal? Skewness and kurtosis against a normal's: statistic and p-value.

    Jarque and Bera, "A test for normality of observations and regression residuals", 1987.
    """
    e = _vector(residual)
    e = e - e.mean()
    spread = np.mean(e**2)
    if spread == 0:
        return 0.0, 1.0
    skewness, kurtosis = np.mean(e**3) / spread**1.5, np.mean(e**4) / spread**2
    statistic = len(e) / 6 * (skewness**2 + (kurtosis - 3) ** 2 / 4)
    return float(statistic), float(stats.chi2.sf(statistic, 2))


def breusch_pagan(residual: ArrayLike, X: ArrayLike) -> tuple[float, float]:
    """Have the errors one variance? n R² of their squares on the columns: statistic and p-value.

    Breusch and Pagan, "A simple test for heteroscedasticity", 1979; in the form that does without
    normal errors: Koenker, "A note on studentizing a test for heteroscedasticity", 1981.
    """
    e = _vector(residual)
    X = check_array(X, dtype=np.float64)
    check_consistent_length(e, X)
    squares = e**2
    reduced = reduce_rows(X, squares[:, None])
    U, s, _ = np.linalg.svd(reduced.R, full_matrices=False)
    reached = s > _RANK_TOL * s[0]
    total = ((squares - squares.mean()) ** 2).sum()
    explained = ((U[:, reached].T @ reduced.Z) ** 2).sum() / total if total else 0.0
    statistic = len(e) * explained
    return float(statistic), float(stats.chi2.sf(statistic, max(int(reached.sum()), 1)))


def durbin_watson(residual: ArrayLike) -> float:
    """Are neighboring errors independent? 2 where they are, towards 0 where alike, up to 4.

    Durbin and Watson, "Testing for serial correlation in least squares regression", 1950.
    """
    e = _vector(residual)
    square = float(e @ e)
    return float((np.diff(e) ** 2).sum() / square) if square else 2.0


def ramsey_reset(X: ArrayLike, y: ArrayLike, *, powers: int = 3) -> tuple[float, float]:
    """Is the relation linear? The F test of powers of the fitted values, 2 to `powers`.

    Returns the F statistic and its p-value. Raises ValueError as `infer`. Ramsey, "Tests for
    specification errors in classical linear least-squares regression analysis", 1969.
    """
    X, y = check_X_y(X, y, dtype=np.float64, y_numeric=True)
    if powers < 2:
        raise ValueError(f"powers={powers}; at least 2 is taken.")
    plain = infer(X, y)
    fitted = y - plain.residual
    spread = fitted.std()
    standard = (fitted - fitted.mean()) / spread if spread else fitted * 0
    bent = infer(np.column_stack([X, *(standard**k for k in range(2, powers + 1))]), y)
    before, after = plain.residual @ plain.residual, bent.residual @ bent.residual
    f = (before - after) / (powers - 1) / bent.variance
    return float(f), float(stats.f.sf(f, powers - 1, bent.freedom))


def _vector(values: ArrayLike) -> Array:
    vector: Array = check_array(values, ensure_2d=False, dtype=np.float64, input_name="residual")
    if vector.ndim != 1:
        raise ValueError(f"residual has shape {vector.shape}; one number a row, (n,), is taken.")
    return vector
