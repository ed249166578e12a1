r"""Linear regression by least squares, three ways: QR, the normal equations, gradient descent.

The model is $y = Xw + b + \text{noise}$; the fit minimizes $f(w) = \tfrac12\|Xw - y\|^2$ over the
centered data, and $b = \bar y - \bar x^\top w$ follows. Setting the gradient to 0 gives the

**normal equations** $X^\top X\, w = X^\top y$. One symmetric $d \times d$ system, made in one pass;
its condition number is the square of that of $X$, so about half of the digits can be lost.

**QR.** With $X = QR$ they become $Rw = Q^\top y$, where nothing was squared. The singular values of
$R$ are those of $X$: with $R = U \Sigma V^\top$ the solution is $w = V \Sigma^{+} U^\top Q^\top y$.
Where singular values (nearly) vanish, many $w$ fit equally well, and leaving these directions out
takes the shortest one. `least_squares.reduce_rows` makes the $R$.

**Gradient descent** needs products with $X^\top X$ only. $\nabla f(w) = X^\top X w - X^\top y$
changes no faster than $L = \lambda_{\max}(X^\top X)$ times the step, so
$f(w - \nabla f(w)/L) \le f(w) - \|\nabla f(w)\|^2 / 2L$: a step of $1/L$ always descends. The error
along an eigenvector of value $\lambda$ shrinks by $1 - \lambda/L$ a step, which takes of the order
of $\kappa(X)^2$ steps. Nesterov's momentum takes the step from a point ahead on the way and needs
of the order of $\kappa(X)$; it starts anew whenever it points uphill. From $w = 0$ every
step is a combination of the rows, so the limit is the shortest solution here, too.

Gauss, *Theoria combinationis observationum*, 1823. Golub, "Numerical methods for solving linear
least squares problems", 1965. Nesterov, "A method of solving a convex programming problem with
convergence rate O(1/k²)", 1983. O'Donoghue and Candès, "Adaptive restart for accelerated gradient
schemes", 2015.
"""

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import MultiOutputMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions

from supervised_learning.least_squares import (
    Array,
    LinearPredictor,
    centered_rows,
    moments,
    reduce_rows,
)


class LinearRegression(MultiOutputMixin, LinearPredictor):
    """Ordinary least squares, with the shortest solution where many fit equally well.

    Parameters
    ----------
    fit_intercept : bool, default=True
        Whether to fit a constant; False takes the data as centered.
    tol : float, default=1e-6
        "qr", "normal": singular values below `tol` times the largest count as 0. "gradient": the
        descent ends when the gradient is below `tol` times the gradient at 0.
    solver : {"qr", "normal", "gradient"}, default="qr"
        "qr" is accurate on any data; "normal" loses digits on nearly dependent columns; "gradient"
        is for columns of about the same scale.
    max_iter : int, default=10000
        The most steps of the descent.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        The coefficients.
    intercept_ : float or ndarray of shape (n_targets,)
        The constant; 0.0 with `fit_intercept=False`.
    rank_ : int
        The number of singular values that count ("qr", "normal").
    singular_ : ndarray of shape (min(n_samples, n_features),)
        The singular values of the centered X ("qr", "normal").
    n_iter_ : int
        The steps taken; 1 where the system is solved at once.
    n_features_in_ : int
        The number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X has names.

    Notes
    -----
    A constant column gets the coefficient 0. Columns that depend on each other share the effect so
    that the sum of squares of their coefficients is least.

    Examples
    --------
    >>> from supervised_learning.linear import LinearRegression
    >>> model = LinearRegression().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> model.coef_.round(6), model.intercept_.round(6)
    (array([2.]), np.float64(1.0))
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "fit_intercept": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "solver": [StrOptions({"qr", "normal", "gradient"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        fit_intercept: bool = True,
        tol: float = 1e-6,
        solver: str = "qr",
        max_iter: int = 10_000,
    ) -> None:
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.solver = solver
        self.max_iter = max_iter

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
        self : LinearRegression
        """
        X, Y, sample_weight, flat = self._validated(X, y, sample_weight)
        data = (X, Y, sample_weight, self.fit_intercept)
        self.n_iter_ = 1
        if self.solver == "qr":
            reduced = reduce_rows(*data)
            W, self.singular_, self.rank_ = shortest_solution(reduced.R, reduced.Z, self.tol)
            return self._keep(W, reduced.x_mean, reduced.y_mean, X.dtype, flat)
        if self.solver == "normal":
            products = moments(*data)
            k = min(X.shape)
            W, self.singular_, self.rank_ = solve_normal(products.gram, products.cross, k, self.tol)
            return self._keep(W, products.x_mean, products.y_mean, X.dtype, flat)
        if X.shape[0] >= X.shape[1]:
            products = moments(*data)
            gram, cross, x_mean, y_mean = (
                products.gram, products.cross, products.x_mean, products.y_mean
            )  # fmt: skip
            lipschitz = float(np.linalg.norm(gram, 2))
            W, self.n_iter_ = accelerated_descent(
                lambda W: gram @ W - cross, np.zeros_like(cross), lipschitz, self.tol, self.max_iter
            )
        else:  # X'X would be larger than X
            rows, x_mean, y_mean, _ = centered_rows(*data)
            A, B = rows[:, : X.shape[1]], rows[:, X.shape[1] :]
            lipschitz = float(np.linalg.norm(A @ A.T, 2))
            W, self.n_iter_ = accelerated_descent(
                lambda W: A.T @ (A @ W - B),
                np.zeros((A.shape[1], B.shape[1])),
                lipschitz,
                self.tol,
                self.max_iter,
            )
        return self._keep(W, x_mean, y_mean, X.dtype, flat)


def shortest_solution(R: Array, Z: Array, tol: float) -> tuple[Array, Array, int]:
    """The W (d, t) of least norm among those that minimize ||RW - Z||, for R (k, d) and Z (k, t).

    Singular values of R that are not above `tol` times the largest count as 0. Returns W, the
    singular values (k,) and how many of them count.
    """
    U, s, Vt = np.linalg.svd(R, full_matrices=False)
    rank = int(np.sum(s > tol * s[0]))
    W = Vt[:rank].T @ ((U[:, :rank].T @ Z) / s[:rank, None])
    return W, s, rank


def solve_normal(gram: Array, cross: Array, k: int, tol: float) -> tuple[Array, Array, int]:
    """The shortest W (d, t) with gram @ W = cross, by the eigenvectors of the gram (d, d).

    The eigenvalues are the squares of X's singular values; those that are not above `tol`² times
    the largest, or are lost in rounding, count as 0. `k` is the smaller side of X. Returns W, the
    singular values (k,) and how many of them count.
    """
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1].clip(min=0.0)[:k], vectors[:, ::-1][:, :k]
    rounding = len(gram) * np.finfo(np.float64).eps
    rank = int(np.sum(values > max(tol**2, rounding) * values[0]))
    V = vectors[:, :rank]
    return V @ ((V.T @ cross) / values[:rank, None]), np.sqrt(values), rank


def accelerated_descent(
    gradient: Callable[[Array], Array], start: Array, lipschitz: float, tol: float, max_iter: int
) -> tuple[Array, int]:
    """Nesterov's gradient descent with restarts, from `start` (d, t); returns W and the steps.

    `gradient` changes by at most `lipschitz` times the step. The descent ends when each target's
    gradient is at most `tol` times the one at the start. Warns with ConvergenceWarning where it
    does not get there in `max_iter` steps.
    """
    W = ahead = start
    momentum = 1.0
    g = gradient(start)
    enough = tol * np.linalg.norm(g, axis=0)
    for step in range(1, max_iter + 1):
        if np.all(np.linalg.norm(g, axis=0) <= enough):
            return ahead, step
        before, W = W, ahead - g / lipschitz
        if np.vdot(g, W - before) > 0:  # the momentum leads uphill
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = W + (momentum - 1) / following * (W - before)
        momentum = following
        g = gradient(ahead)
    warnings.warn(
        f"Gradient descent did not converge in {max_iter} steps. Scale the columns to the same "
        "spread, raise max_iter or tol, or take solver='qr'.",
        ConvergenceWarning,
        stacklevel=3,
    )
    return W, max_iter
