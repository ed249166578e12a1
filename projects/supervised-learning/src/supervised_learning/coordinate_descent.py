r"""Lasso and elastic net by coordinate descent.

$$\min_w \; P(w) = \tfrac12 \|y - Xw\|^2 + \lambda \|w\|_1 + \tfrac{\mu}{2} \|w\|^2, \qquad
\lambda = n\,\alpha\,\rho, \quad \mu = n\,\alpha\,(1 - \rho)$$

over centered data; $\rho$ is `l1_ratio`, and 1 for the lasso. The corner of $|w_j|$ at 0 makes
coefficients exactly 0. Seen as probabilities, $w$ is the most likely one under normal noise and a
prior $\propto \exp(-\lambda |w_j| - \mu w_j^2 / 2)$ (Laplace for the lasso, normal for ridge).

**One coordinate.** With all others held, $P$ is a parabola plus $\lambda |w_j|$; with the residual
$r = y - Xw$ and $z = x_j^\top r + \|x_j\|^2 w_j$ its minimum is

$$w_j = \frac{S(z, \lambda)}{\|x_j\|^2 + \mu}, \qquad
S(z, \lambda) = \operatorname{sign}(z) \max(|z| - \lambda, 0)$$

(soft thresholding). Going round the coordinates converges, as the part with corners is a sum over
them. Two forms of the same round: keep $r$ and spend $O(n)$ a coordinate, or keep
$g = X^\top r$ with the matrix $X^\top X$ made once, and spend $O(d)$ where $w_j$ moves.

**When to stop.** The elastic net is a lasso on data with the rows $\sqrt\mu I$ added, whose
residual has $\|\tilde r\|^2 = \|r\|^2 + \mu \|w\|^2$ and
$\tilde X^\top \tilde r = X^\top r - \mu w$. A residual shrunk by $s$ until no entry of
$s \tilde X^\top \tilde r$ is above $\lambda$ is feasible for the dual, so the optimum is not more
than

$$G = \tfrac12 (1 + s^2) \|\tilde r\|^2 + \lambda \|w\|_1 - s\, y^\top r, \qquad
s = \min(1, \lambda / \|\tilde X^\top \tilde r\|_\infty)$$

below $P(w)$. The descent ends at $G \le$ `tol` $\|y\|^2$.

**What to leave out.** The dual optimum lies within $\sqrt{2G}$ of that point. A column with
$s\,|\tilde x_j^\top \tilde r| + \sqrt{2G}\, \|\tilde x_j\| < \lambda$ has the coefficient 0 at the
optimum, for sure (gap safe screening): it is not visited again.

Tibshirani, "Regression shrinkage and selection via the lasso", 1996. Zou and Hastie,
"Regularization and variable selection via the elastic net", 2005. Friedman, Hastie and Tibshirani,
"Regularization paths for generalized linear models via coordinate descent", 2010. Fercoq, Gramfort
and Salmon, "Mind the duality gap: safer rules for the lasso", 2015.
"""

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from sklearn.base import MultiOutputMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_array, check_X_y

from supervised_learning.least_squares import (
    Array,
    LinearPredictor,
    centered_rows,
    moments,
)

#: Below this `tol` the gap is smaller than the rounding in ‖r‖² made from X'X, X'y and ‖y‖².
_FINEST_GRAM_TOL = 1e-12


class ElasticNet(MultiOutputMixin, LinearPredictor):
    """Linear regression with a mixed penalty: absolute values and squares of the coefficients.

    Minimizes ||y - Xw||² / (2 n) + alpha l1_ratio ||w||₁ + alpha (1 - l1_ratio) ||w||² / 2.

    Parameters
    ----------
    alpha : float, default=1.0
        The weight of the penalty. For 0, `LinearRegression` is the better choice.
    l1_ratio : float, default=0.5
        The share of the absolute values, from 0 (ridge) to 1 (lasso).
    fit_intercept : bool, default=True
        Whether to fit a constant, which is not penalized.
    precompute : {"auto"} or bool, default="auto"
        Whether to make X'X once and descend on it. "auto" does where X has at least as many rows as
        columns and `tol` leaves room for the rounding.
    max_iter : int, default=1000
        The most rounds over the coordinates.
    tol : float, default=1e-4
        The descent ends at a duality gap of `tol` times the (centered) targets' sum of squares; it
        is looked at when no coordinate moved by more than `tol` times the largest.
    warm_start : bool, default=False
        Whether to start from the coefficients of the fit before.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        The coefficients.
    intercept_ : float or ndarray of shape (n_targets,)
        The constant; 0.0 with `fit_intercept=False`.
    dual_gap_ : float or ndarray of shape (n_targets,)
        How far the objective can be above its minimum.
    n_iter_ : int or list of int
        Rounds over the coordinates; a list for several targets.
    n_features_in_ : int
        The number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X has names.

    Notes
    -----
    A constant column gets the coefficient 0. Among equal columns the lasso has no single answer:
    the first one that is visited takes the effect; with `l1_ratio < 1` they share it.

    Examples
    --------
    >>> from supervised_learning.coordinate_descent import ElasticNet
    >>> model = ElasticNet(alpha=0.1).fit([[0.0, 1.0], [1.0, -1.0], [2.0, 0.0]], [1.0, 3.0, 5.0])
    >>> model.coef_.round(2)
    array([ 1.77, -0.04])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "fit_intercept": ["boolean"],
        "precompute": [StrOptions({"auto"}), "boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
    }

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        precompute: bool | str = "auto",
        max_iter: int = 1000,
        tol: float = 1e-4,
        warm_start: bool = False,
    ) -> None:
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.precompute = precompute
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the coefficients, those of each target on its own.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            The targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Not negative; a weight of 2 counts as the row twice. Only their proportions matter.

        Returns
        -------
        self : ElasticNet
        """
        if self.alpha == 0:
            warnings.warn(
                "alpha=0 leaves no penalty, and coordinate descent is slow without one; take "
                "LinearRegression.",
                stacklevel=2,
            )
        X, Y, sample_weight, flat = self._validated(X, y, sample_weight)
        problem = _Problem(X, Y, sample_weight, self.fit_intercept, self.precompute, self.tol)
        W = np.zeros((X.shape[1], Y.shape[1]))
        if self.warm_start and hasattr(self, "coef_"):
            W[:] = np.atleast_2d(self.coef_).T
        outcomes = [
            problem.descend(W, k, self.alpha, self.l1_ratio, self.tol, self.max_iter)
            for k in range(Y.shape[1])
        ]
        gaps, rounds = zip(*outcomes, strict=True)
        self.dual_gap_ = gaps[0] if len(gaps) == 1 else np.array(gaps)
        self.n_iter_ = rounds[0] if len(rounds) == 1 else list(rounds)
        return self._keep(W, problem.x_mean, problem.y_mean, X.dtype, flat)


class Lasso(ElasticNet):
    """Linear regression with a penalty on the absolute values of the coefficients.

    Minimizes ||y - Xw||² / (2 n) + alpha ||w||₁, which makes many coefficients exactly 0.

    Parameters
    ----------
    alpha, fit_intercept, precompute, max_iter, tol, warm_start
        As in `ElasticNet`.

    Attributes
    ----------
    coef_, intercept_, dual_gap_, n_iter_, n_features_in_, feature_names_in_
        As in `ElasticNet`.

    Examples
    --------
    >>> from supervised_learning.coordinate_descent import Lasso
    >>> Lasso(alpha=0.1).fit([[0.0, 1.0], [1.0, -1.0], [2.0, 0.0]], [1.0, 3.0, 5.0]).coef_.round(2)
    array([1.85, 0.  ])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        name: taken
        for name, taken in ElasticNet._parameter_constraints.items()
        if name != "l1_ratio"
    }
    l1_ratio = 1.0

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        precompute: bool | str = "auto",
        max_iter: int = 1000,
        tol: float = 1e-4,
        warm_start: bool = False,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.precompute = precompute
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start


def enet_path(
    X: ArrayLike,
    y: ArrayLike,
    *,
    l1_ratio: float = 0.5,
    eps: float = 1e-3,
    alphas: int | ArrayLike = 100,
    fit_intercept: bool = False,
    precompute: bool | str = "auto",
    max_iter: int = 1000,
    tol: float = 1e-4,
) -> tuple[Array, Array, Array]:
    """Elastic net coefficients for many penalties, each fit starting from the one before.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    l1_ratio : float, default=0.5
        The share of the absolute values in the penalty, above 0 where `alphas` is a number.
    eps : float, default=1e-3
        The last penalty of a path over the first.
    alphas : int or array-like of shape (n_alphas,), default=100
        The penalties; or their number: a geometric sequence from the least one that makes every
        coefficient 0.
    fit_intercept : bool, default=False
        Whether to center X and y first; by default they are taken as centered.
    precompute, max_iter, tol
        As in `ElasticNet`.

    Returns
    -------
    alphas : ndarray of shape (n_alphas,)
        The penalties, from large to small.
    coefs : ndarray of shape (n_features, n_alphas)
    dual_gaps : ndarray of shape (n_alphas,)
        How far each objective can be above its minimum.

    Raises
    ------
    ValueError
        For a negative penalty, an `l1_ratio` outside of 0 to 1, or one of 0 without `alphas`.
    """
    X, y = check_X_y(X, y, dtype=np.float64, y_numeric=True)
    if not 0 <= l1_ratio <= 1:
        raise ValueError(f"l1_ratio={l1_ratio}; a number from 0 to 1 is taken.")
    problem = _Problem(X, y[:, None], None, fit_intercept, precompute, tol)
    if isinstance(alphas, Integral):
        if l1_ratio == 0:
            raise ValueError("With l1_ratio=0 no penalty makes every coefficient 0; give alphas.")
        largest = np.abs(problem.cross()).max() / (problem.weight * l1_ratio)
        penalties = max(largest, 1e-15) * np.geomspace(1, eps, int(alphas))
    else:
        penalties = np.sort(check_array(alphas, ensure_2d=False, dtype=np.float64))[::-1]
        if penalties[-1] < 0:
            raise ValueError(f"alphas hold {penalties[-1]:g}; a penalty is not negative.")
    W = np.zeros((X.shape[1], 1))
    coefs, gaps = np.empty((X.shape[1], len(penalties))), np.empty(len(penalties))
    for i, alpha in enumerate(penalties):
        gaps[i], _ = problem.descend(W, 0, alpha, l1_ratio, tol, max_iter)
        coefs[:, i] = W[:, 0]
    return penalties, coefs, gaps


def lasso_path(X: ArrayLike, y: ArrayLike, **options: Any) -> tuple[Array, Array, Array]:
    """Lasso coefficients for many penalties: `enet_path` with `l1_ratio=1`; same options."""
    return enet_path(X, y, l1_ratio=1.0, **options)


class _Problem:
    """The centered data in the form that the descent works on: X'X and X'Y, or columns."""

    def __init__(
        self,
        X: NDArray,
        Y: NDArray,
        sample_weight: NDArray | None,
        fit_intercept: bool,
        precompute: bool | str,
        tol: float,
    ) -> None:
        n, d = X.shape
        if precompute == "auto":
            precompute = n >= d and tol >= _FINEST_GRAM_TOL
        self.products = moments(X, Y, sample_weight, fit_intercept) if precompute else None
        if self.products is not None:
            self.x_mean, self.y_mean = self.products.x_mean, self.products.y_mean
            self.weight = self.products.weight
        else:
            rows, self.x_mean, self.y_mean, self.weight = centered_rows(
                X, Y, sample_weight, fit_intercept
            )
            self.columns, self.targets = rows.T[:d], rows.T[d:]

    def cross(self) -> Array:
        """X'Y, (d, t)."""
        if self.products is not None:
            return self.products.cross
        return self.columns @ self.targets.T

    def descend(
        self, W: Array, k: int, alpha: float, l1_ratio: float, tol: float, max_iter: int
    ) -> tuple[float, int]:
        """Bring W[:, k] to the optimum for target k; returns the gap by row, and the rounds."""
        l1 = alpha * l1_ratio * self.weight
        l2 = alpha * (1 - l1_ratio) * self.weight
        w = W[:, k].copy()
        if self.products is not None:
            p = self.products
            square = p.square[k]
            gap, rounds = _descend_on_gram(
                p.gram, p.cross[:, k].copy(), square, w, l1, l2, tol, max_iter
            )
        else:
            y = self.targets[k]
            square = y @ y
            gap, rounds = _descend_on_columns(self.columns, y, w, l1, l2, tol, max_iter)
        W[:, k] = w
        if gap > tol * square:
            warnings.warn(
                f"Coordinate descent did not converge in {max_iter} rounds: the duality gap is "
                f"{gap:.3g}, and {tol * square:.3g} would do. Raise max_iter, alpha or tol, or "
                "scale the columns.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return gap / self.weight, rounds


@njit(cache=True, nogil=True)
def soft_threshold(z: float, threshold: float) -> float:
    """The number z, moved towards 0 by the threshold, and 0 where it would cross."""
    if z > threshold:
        return z - threshold
    if z < -threshold:
        return z + threshold
    return 0.0


@njit(cache=True, nogil=True)
def _duality_gap(w, g, r_square, y_r, l1, l2):
    """G and the shrinking s, from g = X'r, ‖r‖² and y'r; without l1 from duals that need no s."""
    largest = 0.0  # of |X̃'r̃|
    l1_norm = 0.0
    l2_square = 0.0
    g_square = 0.0
    for j in range(len(w)):
        largest = max(largest, abs(g[j] - l2 * w[j]))
        l1_norm += abs(w[j])
        l2_square += w[j] ** 2
        g_square += g[j] ** 2
    if l1 == 0.0 and l2 == 0.0:
        return g_square, 1.0  # no dual: the gradient's square stands in
    if l1 == 0.0:
        return r_square - y_r + 0.5 * l2 * l2_square + 0.5 * g_square / l2, 1.0
    s = min(1.0, l1 / largest) if largest > 0.0 else 1.0
    gap = 0.5 * (1 + s * s) * (r_square + l2 * l2_square) + l1 * l1_norm - s * y_r
    return gap, s


@njit(cache=True, nogil=True)
def _descend_on_gram(Q, q, y_square, w, l1, l2, tol, max_iter):
    """Rounds over the coordinates of w (d,), in place, on Q = X'X and q = X'y; gap and rounds."""
    d = len(w)
    g = q - Q @ w  # X'r
    gap = np.inf
    for iteration in range(max_iter + 1):
        largest = 0.0
        largest_step = 0.0
        if iteration > 0:
            for j in range(d):
                if Q[j, j] + l2 <= 0.0:
                    continue
                old = w[j]
                w[j] = soft_threshold(g[j] + Q[j, j] * old, l1) / (Q[j, j] + l2)
                step = w[j] - old
                if step != 0.0:
                    for k in range(d):
                        g[k] -= step * Q[j, k]
                largest = max(largest, abs(w[j]))
                largest_step = max(largest_step, abs(step))
        if largest_step <= tol * largest or iteration == max_iter:
            w_q = 0.0
            w_g = 0.0
            for j in range(d):
                w_q += w[j] * q[j]
                w_g += w[j] * g[j]
            y_r = y_square - w_q
            gap, _ = _duality_gap(w, g, y_r - w_g, y_r, l1, l2)
            if gap <= tol * y_square:
                return gap, iteration
    return gap, max_iter


@njit(cache=True, nogil=True)
def _descend_on_columns(columns, y, w, l1, l2, tol, max_iter):
    """The same on the columns (d, n) and y (n,); leaves out what is 0 at the optimum for sure."""
    d = len(w)
    squares = np.empty(d)
    r = y.copy()
    for j in range(d):
        squares[j] = np.dot(columns[j], columns[j])
        if w[j] != 0.0:
            r -= w[j] * columns[j]
    g = np.empty(d)
    active = np.arange(d)
    y_square = np.dot(y, y)
    gap = np.inf
    for iteration in range(max_iter + 1):
        largest = 0.0
        largest_step = 0.0
        if iteration > 0:
            for j in active:
                if squares[j] + l2 <= 0.0:
                    continue
                x = columns[j]
                old = w[j]
                w[j] = soft_threshold(np.dot(x, r) + squares[j] * old, l1) / (squares[j] + l2)
                step = w[j] - old
                if step != 0.0:
                    for i in range(len(r)):
                        r[i] -= step * x[i]
                largest = max(largest, abs(w[j]))
                largest_step = max(largest_step, abs(step))
        if largest_step <= tol * largest or iteration == max_iter:
            for j in range(d):
                g[j] = np.dot(columns[j], r)
            gap, s = _duality_gap(w, g, np.dot(r, r), np.dot(y, r), l1, l2)
            if gap <= tol * y_square:
                return gap, iteration
            if l1 > 0.0:
                radius = np.sqrt(2 * max(gap, 0.0))
                kept = 0
                for j in active:
                    reach = s * abs(g[j] - l2 * w[j]) + radius * np.sqrt(squares[j] + l2)
                    if reach >= l1:
                        active[kept] = j
                        kept += 1
                    elif w[j] != 0.0:
                        r += w[j] * columns[j]
                        w[j] = 0.0
                active = active[:kept]
    return gap, max_iter
