r"""Hard and soft margin as quadratic programs: the primal, the dual, and an interior-point solver.

A quadratic program is

$$\min_x \tfrac12 x^\top P x + q^\top x \quad\text{with}\quad A x = b, \; G x \le h.$$

With multipliers $\nu$ for the equations and $\lambda \ge 0$ for the inequalities, and the slack
$s = h - G x \ge 0$, $x$ is optimal when (Karush, Kuhn and Tucker)

$$P x + q + A^\top \nu + G^\top \lambda = 0, \quad A x = b, \quad G x + s = h, \quad
  \lambda_i s_i = 0.$$

The last line is what makes it hard: which inequalities bind? An interior-point method asks for
$\lambda_i s_i = \mu$ instead, keeps $\lambda, s > 0$, takes Newton steps on the four equations, and
lets $\mu$ fall to 0. Mehrotra's rule does each step twice: a first one straight for $\mu = 0$ tells
how far one could go, and with that how small a $\mu$ to aim at, and what the linearization misses.

The margin problems are such programs. *Primal*: $x = (w, b)$, or $(w, b, \xi)$ where points may be
short of the margin. *Dual*: $x = \alpha$ with $P_{st} = y_s y_t K(x_s, x_t)$, $q = -1$,
$y^\top \alpha = 0$ and $0 \le \alpha \le C$; without an upper bound for a hard margin. Both have
the same optimal value, and $\nu$ of the dual's equation is the primal's intercept. The work grows
with $n^3$: this is for few points; `smo.py` is for many.

S. Mehrotra, "On the implementation of a primal-dual interior point method", 1992;
S. Boyd, L. Vandenberghe, *Convex Optimization*, 2004, chapter 11.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg


@dataclass(frozen=True)
class QPSolution:
    """A quadratic program's solution: x, the multipliers of A x = b and of G x ≤ h, the value."""

    x: NDArray[np.float64]
    equality: NDArray[np.float64]
    inequality: NDArray[np.float64]
    value: float
    iterations: int


@dataclass(frozen=True)
class Margin:
    """A linear classifier sign(w·x + b) as its quadratic program found it.

    `alpha` (n,) are the multipliers of the points, `slack` (n,) how far each is short of the
    margin, `value` ½‖w‖² + C Σ slack.
    """

    w: NDArray[np.float64]
    b: float
    alpha: NDArray[np.float64]
    slack: NDArray[np.float64]
    value: float

    @property
    def width(self) -> float:
        """The distance between the lines w·x + b = 1 and -1."""
        return 2.0 / float(np.linalg.norm(self.w))


def solve_qp(
    P: NDArray,
    q: NDArray,
    A: NDArray,
    b: NDArray,
    G: NDArray,
    h: NDArray,
    *,
    tol: float = 1e-10,
    max_iter: int = 100,
) -> QPSolution:
    """Minimize ½ xᵀP x + qᵀx with A x = b and G x ≤ h.

    Parameters
    ----------
    P : positive semidefinite, shape (n, n); q (n,).
    A, b : shapes (p, n), (p,), linearly independent rows. G, h : shapes (m, n), (m,).
    tol : the largest residual that is left, as a share of the largest entry of q, b and h.

    Raises ValueError where it finds no solution: no x fulfills the constraints, or the value has no
    lower bound.
    """
    n, p, m = len(q), len(b), len(h)
    scale = max(1.0, *(float(np.abs(v).max(initial=0.0)) for v in (q, b, h)))
    x, nu, lam, s = np.zeros(n), np.zeros(p), np.full(m, scale), np.full(m, scale)
    matrix = np.zeros((n + p + m, n + p + m))  # of the Newton steps in x, ν and λ
    matrix[:n, :n] = P
    matrix[n : n + p, :n], matrix[:n, n : n + p] = A, A.T
    matrix[n + p :, :n], matrix[:n, n + p :] = G, G.T
    corner = np.arange(n + p, n + p + m)
    for iteration in range(max_iter):
        dual = P @ x + q + A.T @ nu + G.T @ lam
        equal, unequal = A @ x - b, G @ x + s - h
        gap = float(lam @ s) / m
        worst = max(float(np.abs(v).max(initial=0.0)) for v in (dual, equal, unequal))
        if max(worst, gap) <= tol * scale:
            return QPSolution(x, nu, lam, float(0.5 * x @ P @ x + q @ x), iteration)
        matrix[corner, corner] = -s / lam
        factors = linalg.lu_factor(matrix, check_finite=False)
        residuals = (dual, equal, unequal)
        _, _, dlam, ds = _newton_step(factors, residuals, lam, s, lam * s)
        share = min(_to_border(lam, dlam), _to_border(s, ds))
        after = float((lam + share * dlam) @ (s + share * ds)) / m
        target = gap * (after / gap) ** 3
        product = lam * s + dlam * ds - target
        dx, dnu, dlam, ds = _newton_step(factors, residuals, lam, s, product)
        share = min(1.0, 0.99 * _to_border(lam, dlam), 0.99 * _to_border(s, ds))
        x, nu, lam, s = x + share * dx, nu + share * dnu, lam + share * dlam, s + share * ds
        if not np.isfinite(x).all() or float(np.abs(lam).max()) > 1e14 * scale:
            break
    raise ValueError(
        "the quadratic program has no solution that could be found: do the constraints contradict "
        "each other, or has the value no lower bound?"
    )


def _newton_step(
    factors: tuple[NDArray, NDArray],
    residuals: tuple[NDArray, NDArray, NDArray],
    lam: NDArray,
    s: NDArray,
    product: NDArray,
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """The steps of x, ν, λ, s that make the residuals 0 and lower λ·s by `product`.

    λ ds + s dλ = -product gives ds, and leaves three equations for the rest.
    """
    dual, equal, unequal = residuals
    right = np.concatenate([-dual, -equal, -unequal + product / lam])
    step = linalg.lu_solve(factors, right, check_finite=False)
    dx, dnu, dlam = np.split(step, [len(dual), len(dual) + len(equal)])
    return dx, dnu, dlam, (-product - s * dlam) / lam


def _to_border(values: NDArray, step: NDArray) -> float:
    """The share of a step, at most 1, after which the first positive value would be 0."""
    falling = step < 0
    return float(np.min(-values[falling] / step[falling], initial=1.0))


def margin_primal(X: NDArray, y: NDArray, C: float = np.inf) -> Margin:
    """The widest margin from its definition; X (n, d), y (n,) of -1 and 1.

    C is the price of a point that is short of the margin; infinity forbids it: a hard margin.
    Raises ValueError where a hard margin does not exist.
    """
    n, d = X.shape
    soft = n if np.isfinite(C) else 0
    P = np.zeros((d + 1 + soft, d + 1 + soft))
    P[range(d), range(d)] = 1.0
    q = np.zeros(len(P))
    G, h = np.zeros((n + soft, len(P))), np.zeros(n + soft)
    G[:n, :d], G[:n, d], h[:n] = -y[:, None] * X, -y, -1.0
    if soft:
        q[d + 1 :] = C
        G[:n, d + 1 :] = G[n:, d + 1 :] = -np.eye(n)
    solution = solve_qp(P, q, np.zeros((0, len(P))), np.zeros(0), G, h)
    slack = solution.x[d + 1 :] if soft else np.zeros(n)
    return Margin(
        solution.x[:d], float(solution.x[d]), solution.inequality[:n], slack, solution.value
    )


def margin_dual(X: NDArray, y: NDArray, C: float = np.inf) -> Margin:
    """The widest margin from its dual; parameters, result and errors as for `margin_primal`."""
    solution = solve_dual(X @ X.T, y, C)
    alpha, b = solution.x, float(solution.equality[0])
    w = (alpha * y) @ X
    slack = np.maximum(0.0, 1.0 - y * (X @ w + b))
    return Margin(w, b, alpha, slack if np.isfinite(C) else np.zeros(len(y)), -solution.value)


def solve_dual(K: NDArray, y: NDArray, C: float = np.inf) -> QPSolution:
    """The dual for a kernel matrix K (n, n): x is alpha (n,), `equality[0]` the intercept b."""
    n = len(y)
    eye = np.eye(n)
    G, h = -eye, np.zeros(n)
    if np.isfinite(C):
        G, h = np.vstack([G, eye]), np.concatenate([h, np.full(n, C)])
    return solve_qp(np.outer(y, y) * K, -np.ones(n), y[None, :], np.zeros(1), G, h)
