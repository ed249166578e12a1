r"""Logistic and softmax regression: the likelihood of the classes, made as high as can be.

Two classes, $y \in \{0, 1\}$: $p(y = 1 \mid x) = \sigma(z) = 1 / (1 + e^{-z})$ with
$z = w^\top x + b$. The negative log-likelihood of a row is $\log(1 + e^z) - y z$, its derivative
with respect to $z$ is $\sigma(z) - y$, the second one $\sigma(z)(1 - \sigma(z)) > 0$: convex.

$K$ classes: $p_k = e^{z_k} / \sum_j e^{z_j}$; the loss is $\log \sum_j e^{z_j} - z_y$, its
derivatives are $p_k - [k = y]$ and $p_k ([k = j] - p_j)$. The scores of all classes can move
together without a change of $p$; the penalty picks one of these answers.

The penalty is that of the field, $\frac{1}{C} ((1 - \rho) \frac12 \|w\|^2 + \rho \|w\|_1)$ on the
sum of the losses, never on $b$. What is minimized is divided by the sum of the weights, so that
`tol` means the same for few rows and many. Three ways down:

- `lbfgs`: quasi-Newton; OWL-QN where $\rho > 0$ (both in `lbfgs.py`).
- `newton-cg`: each Newton system $H d = -g$ by conjugate gradients, which ask only for products
  $H v$ and stop early while the answer is far off (Dembo and Steihaug, 1983).

D. R. Cox, *The regression analysis of binary sequences*, 1958.
"""

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions

from supervised_learning.lbfgs import lbfgs, owlqn
from supervised_learning.linear_classifier import LinearClassifier


@njit(cache=True, nogil=True)
def _sigmoid_losses(z, y, weight):
    """The summed loss of scores z (n,); z becomes the derivative of the loss by the score."""
    total = 0.0
    for i in range(z.shape[0]):
        e = np.exp(-abs(z[i]))  # never overflows
        p = (1.0 if z[i] >= 0 else e) / (1.0 + e)
        total += weight[i] * (np.log1p(e) + max(z[i], 0.0) - y[i] * z[i])
        z[i] = weight[i] * (p - y[i])
    return total


@njit(cache=True, nogil=True)
def _softmax_losses(z, y, weight):
    """The summed loss of scores z (n, k); z becomes the derivatives of the loss by the scores."""
    total = 0.0
    for i in range(z.shape[0]):
        row = z[i]
        target = y[i]
        highest = row[0]
        for k in range(1, row.shape[0]):
            highest = max(highest, row[k])
        own = row[target] - highest
        whole = 0.0
        for k in range(row.shape[0]):
            row[k] = np.exp(row[k] - highest)
            whole += row[k]
        total += weight[i] * (np.log(whole) - own)
        for k in range(row.shape[0]):
            row[k] *= weight[i] / whole
        row[target] -= weight[i]
    return total


class _Likelihood:
    """The penalized loss of a flat parameter vector: coefficients row by row, then intercepts."""

    def __init__(
        self, X: NDArray, y: NDArray, weight: NDArray | None, k: int, l2: float, intercept: bool
    ) -> None:
        self.X, self.y = X, y
        self.weight = np.ones(len(X), X.dtype) if weight is None else weight
        self.total = float(self.weight.sum(dtype=np.float64))
        self.k, self.d = (1 if k == 2 else k), X.shape[1]
        self.l2, self.intercept = l2 / self.total, intercept
        self.size = self.k * (self.d + intercept)

    def split(self, theta: NDArray) -> tuple[NDArray, NDArray]:
        """Coefficients (k, d) and intercepts (k,)."""
        cut = self.k * self.d
        return theta[:cut].reshape(self.k, self.d), theta[cut:]

    def scores(self, theta: NDArray) -> NDArray:
        """X·wᵀ + b: shape (n,) for two classes, else (n, k)."""
        w, b = self.split(theta.astype(self.X.dtype, copy=False))
        z = self.X @ (w[0] if self.k == 1 else w.T)
        if self.intercept:
            z += b
        return z

    def pull_back(self, r: NDArray) -> NDArray:
        """From derivatives by the scores to derivatives by the parameters, per unit of weight."""
        parts = [np.asarray(r.T @ self.X, dtype=np.float64).ravel()]
        if self.intercept:
            parts.append(np.atleast_1d(r.sum(axis=0, dtype=np.float64)))
        return np.concatenate(parts) / self.total

    def __call__(self, theta: NDArray) -> tuple[float, NDArray]:
        r = self.scores(theta)
        loss = (_sigmoid_losses if self.k == 1 else _softmax_losses)(r, self.y, self.weight)
        gradient = self.pull_back(r)
        w = theta[: self.k * self.d]
        gradient[: w.size] += self.l2 * w
        return loss / self.total + 0.5 * self.l2 * float(w @ w), gradient

    def hessian(self, theta: NDArray) -> Callable[[NDArray], NDArray]:
        """The function v → H v at theta."""
        z = self.scores(theta)
        p = sigmoid(z) if self.k == 1 else softmax(z)

        def product(v: NDArray) -> NDArray:
            r = self.scores(v)
            if self.k == 1:
                r *= p * (1 - p)
            else:
                r = p * (r - (p * r).sum(axis=1, keepdims=True))
            r *= self.weight if self.k == 1 else self.weight[:, None]
            out = self.pull_back(r)
            out[: self.k * self.d] += self.l2 * v[: self.k * self.d]
            return out

        return product


def gradient_descent(
    X: NDArray, y: NDArray, *, l2: float = 0.0, steps: int = 1000
) -> tuple[NDArray, float, list[float]]:
    """The shortest trainer: plain gradient descent on the mean loss of two classes.

    The second derivative of a row's loss by its score is at most ¼, so the gradient changes no
    faster than L = ¼ λ_max(XᵀX / n) + l2, and a step of 1 / L never overshoots.

    Parameters
    ----------
    X : array of shape (n, d)
    y : array of shape (n,), 0 or 1.
    l2 : the weight of ½‖w‖² beside the mean loss.

    Returns
    -------
    w of shape (d,), b, and the loss before each step.
    """
    n = len(X)
    rows = np.column_stack([X, np.ones(n)])
    step = 1 / (0.25 * np.linalg.eigvalsh(rows.T @ rows / n)[-1] + l2)
    w, b = np.zeros(X.shape[1]), 0.0
    losses = []
    for _ in range(steps):
        z = X @ w + b
        losses.append(float(np.mean(np.logaddexp(0, z) - y * z) + 0.5 * l2 * w @ w))
        r = sigmoid(z) - y
        w -= step * (X.T @ r / n + l2 * w)
        b -= step * r.mean()
    return w, b, losses


def newton_cg(
    objective: _Likelihood, theta: NDArray, *, tol: float, max_iter: int
) -> tuple[NDArray, int, bool]:
    """Newton's method with truncated conjugate gradients; parameters and result as for `lbfgs`."""
    value, gradient = objective(theta)
    for iteration in range(max_iter):
        size = float(np.abs(gradient).max())
        if size <= tol:
            return theta, iteration, True
        hessian = objective.hessian(theta)
        # Far from the minimum a rough direction will do; close by, it has to be exact.
        accuracy = min(0.5, np.sqrt(np.linalg.norm(gradient))) * np.linalg.norm(gradient)
        direction = _conjugate_gradients(hessian, -gradient, accuracy)
        slope, step = float(gradient @ direction), 1.0
        slack = 1e-15 * abs(value)
        for _ in range(40):
            trial = theta + step * direction
            value_new, gradient_new = objective(trial)
            if value_new <= value + 1e-4 * step * slope + slack:
                break
            step /= 2
        else:
            return theta, iteration, False
        theta, value, gradient = trial, value_new, gradient_new
    return theta, max_iter, bool(np.abs(gradient).max() <= tol)


def _conjugate_gradients(
    product: Callable[[NDArray], NDArray], b: NDArray, accuracy: float
) -> NDArray:
    """Solve H x = b for a positive (semi-)definite H until the residual's norm is `accuracy`."""
    x, r = np.zeros_like(b), b.copy()
    p, rr = r.copy(), float(r @ r)
    for _ in range(20 * len(b)):
        if np.sqrt(rr) <= accuracy:
            break
        hp = product(p)
        curvature = float(p @ hp)
        if curvature <= 1e-16 * float(p @ p):  # a flat direction: the softmax's common shift
            break
        x += rr / curvature * p
        r -= rr / curvature * hp
        rr, former = float(r @ r), rr
        p = r + rr / former * p
    return x if x.any() else b


def sigmoid(z: NDArray) -> NDArray:
    """1 / (1 + e^-z), entry by entry, without overflow."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


def softmax(z: NDArray) -> NDArray:
    """e^z over its row's sum, shape (n, k), without overflow."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    e /= e.sum(axis=1, keepdims=True)
    return e


class LogisticRegression(LinearClassifier):
    """Logistic regression for two classes, softmax regression for more.

    Parameters
    ----------
    C : float
        The inverse strength of the penalty; `np.inf` for none.
    l1_ratio : float from 0 to 1
        The share of the L1 norm: 0 is ridge, 1 is lasso. Above 0 only with `lbfgs`.
    tol : float
        No entry of the (one-sided) gradient of the mean loss is larger at the end.
    fit_intercept : bool
    class_weight : dict, "balanced" or None
    solver : "lbfgs" or "newton-cg"
    max_iter : int

    Attributes
    ----------
    coef_, intercept_, classes_ : see `LinearClassifier`.
    n_iter_ : array of shape (1,)

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> float(LogisticRegression(max_iter=1000).fit(X, y).score(X, y)) > 0.95
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "C": [Interval(Real, 0, None, closed="right")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "fit_intercept": ["boolean"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "solver": [StrOptions({"lbfgs", "newton-cg"})],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        C: float = 1.0,
        l1_ratio: float = 0.0,
        tol: float = 1e-4,
        fit_intercept: bool = True,
        class_weight: Any = None,
        solver: str = "lbfgs",
        max_iter: int = 100,
    ) -> None:
        self.C = C
        self.l1_ratio = l1_ratio
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.solver = solver
        self.max_iter = max_iter

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from X (n, d) and the classes y (n,), with weights (n,) for the rows.

        Warns with ConvergenceWarning when `max_iter` iterations do not reach `tol`.
        """
        if self.solver == "newton-cg" and self.l1_ratio > 0:
            raise ValueError(
                f"solver='newton-cg' takes l1_ratio=0 only, got {self.l1_ratio}; "
                "use solver='lbfgs' for an L1 penalty"
            )
        X, codes, weight = self._read(X, y, sample_weight)
        k = len(self.classes_)
        strength = 0.0 if np.isinf(self.C) else 1.0 / self.C
        loss = _Likelihood(
            X, codes, weight, k, strength * (1 - self.l1_ratio), bool(self.fit_intercept)
        )
        theta = np.zeros(loss.size)
        limits: dict[str, Any] = {"tol": self.tol, "max_iter": self.max_iter}
        if self.l1_ratio > 0 and strength > 0:
            l1 = np.zeros(loss.size)
            l1[: loss.k * loss.d] = strength * self.l1_ratio / loss.total
            theta, n_iter, converged = owlqn(loss, theta, l1=l1, **limits)
        elif self.solver == "newton-cg":
            theta, n_iter, converged = newton_cg(loss, theta, **limits)
        else:
            theta, n_iter, converged = lbfgs(loss, theta, **limits)
        if not converged:
            warnings.warn(
                f"{self.solver} stopped after {n_iter} iterations before the gradient fell to "
                f"tol={self.tol}; raise max_iter, or bring the columns to one scale",
                ConvergenceWarning,
                stacklevel=2,
            )
        w, b = loss.split(theta.astype(X.dtype))
        self.coef_ = w.copy()
        self.intercept_ = b.copy() if self.fit_intercept else np.zeros(loss.k, X.dtype)
        self.n_iter_ = np.array([n_iter], dtype=np.int32)
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """The probabilities of the classes: shape (n, n_classes), rows sum to 1."""
        z = self.decision_function(X)
        if z.ndim == 1:
            p = sigmoid(z)
            return np.column_stack([1 - p, p])
        return softmax(z)

    def predict_log_proba(self, X: ArrayLike) -> NDArray:
        """The logarithms of `predict_proba`."""
        return np.log(self.predict_proba(X))
