r"""Quasi-Newton minimization: L-BFGS, and OWL-QN where an L1 norm is added.

Newton's direction $-H^{-1}g$ needs the Hessian. BFGS builds an inverse from what it sees on the
way: a step $s = x_{k+1} - x_k$ changed the gradient by $y = g_{k+1} - g_k$, so the inverse must map
$y$ to $s$. The limited-memory form keeps the last $m$ pairs only and applies the product of their
updates to a vector in $4md$ operations (the two-loop recursion; Liu and Nocedal, *On the limited
memory BFGS method for large scale optimization*, 1989). A step has to fulfil the weak Wolfe
conditions: enough decrease, and a slope that has flattened, which makes $s^\top y > 0$.

For $f(x) + \sum_i \lambda_i |x_i|$ the gradient does not exist where $x_i = 0$. OWL-QN (Andrew and
Gao, *Scalable training of L1-regularized log-linear models*, 2007) takes the one-sided derivative
of least size there, keeps the direction within the half-space of descent of each coordinate, and
stops a step at the border of its orthant: crossing coordinates become exactly 0.
"""

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Objective = Callable[[NDArray], tuple[float, NDArray]]

_DECREASE, _CURVATURE = 1e-4, 0.9
_ROUNDING = 10 * np.finfo(np.float64).eps


def lbfgs(
    objective: Objective,
    x: NDArray,
    *,
    tol: float,
    max_iter: int,
    memory: int = 10,
) -> tuple[NDArray, int, bool]:
    """Minimize a smooth function.

    Parameters
    ----------
    objective : x → the value and the gradient (d,).
    x : where to start, shape (d,).
    tol : stop when no entry of the gradient is larger.
    memory : how many pairs (s, y) are kept.

    Returns
    -------
    x, the number of iterations, and whether the gradient is small enough.
    """
    pairs: deque[tuple[NDArray, NDArray, float]] = deque(maxlen=memory)
    value, gradient = objective(x)
    for iteration in range(max_iter):
        if np.abs(gradient).max() <= tol:
            return x, iteration, True
        direction = -_inverse_times(gradient, pairs)
        first = 1.0 if pairs else min(1.0, 1.0 / np.abs(gradient).sum())
        found = _wolfe_step(objective, x, value, gradient, direction, first)
        if found is None:  # rounding: no lower value can be seen in this direction
            return x, iteration, False
        x_new, value, gradient_new = found
        s, y = x_new - x, gradient_new - gradient
        if (curvature := float(s @ y)) > 0:
            pairs.append((s, y, curvature))
        x, gradient = x_new, gradient_new
    return x, max_iter, bool(np.abs(gradient).max() <= tol)


def _inverse_times(gradient: NDArray, pairs: deque[tuple[NDArray, NDArray, float]]) -> NDArray:
    """The two-loop recursion: the approximate inverse Hessian times a vector."""
    q = gradient.copy()
    shares = []
    for s, y, curvature in reversed(pairs):
        share = float(s @ q) / curvature
        q -= share * y
        shares.append(share)
    if pairs:
        _, y, curvature = pairs[-1]
        q *= curvature / float(y @ y)
    for (s, y, curvature), share in zip(pairs, reversed(shares), strict=True):
        q += (share - float(y @ q) / curvature) * s
    return q


def _wolfe_step(
    objective: Objective,
    x: NDArray,
    value: float,
    gradient: NDArray,
    direction: NDArray,
    step: float,
) -> tuple[NDArray, float, NDArray] | None:
    """A point along the direction that fulfils the weak Wolfe conditions, found by bisection."""
    slope = float(gradient @ direction)
    slack = _ROUNDING * abs(value)
    low, high = 0.0, np.inf
    for _ in range(40):
        x_new = x + step * direction
        value_new, gradient_new = objective(x_new)
        if not value_new <= value + _DECREASE * step * slope + slack:
            high = step
        elif float(gradient_new @ direction) < _CURVATURE * slope:
            low = step
        else:
            return x_new, value_new, gradient_new
        step = 2 * low if high == np.inf else (low + high) / 2
    return None


def owlqn(
    objective: Objective,
    x: NDArray,
    *,
    l1: NDArray,
    tol: float,
    max_iter: int,
    memory: int = 10,
) -> tuple[NDArray, int, bool]:
    """Minimize a smooth function plus `sum(l1 * |x|)`; parameters and result as for `lbfgs`.

    `l1` holds one weight for each entry of x, 0 where there is no penalty; `tol` bounds the
    one-sided gradient of least size.
    """
    pairs: deque[tuple[NDArray, NDArray, float]] = deque(maxlen=memory)
    smooth, gradient = objective(x)
    value = smooth + float(l1 @ np.abs(x))
    for iteration in range(max_iter):
        steepest = _least_gradient(x, gradient, l1)
        if np.abs(steepest).max() <= tol:
            return x, iteration, True
        direction = -_inverse_times(steepest, pairs)
        direction[direction * steepest >= 0] = 0.0  # every coordinate descends
        orthant = np.where(x != 0, np.sign(x), -np.sign(steepest))
        step = 1.0 if pairs else min(1.0, 1.0 / np.abs(steepest).sum())
        slack = _ROUNDING * abs(value)
        for _ in range(40):
            x_new = x + step * direction
            x_new[(x_new * orthant < 0) & (l1 > 0)] = 0.0
            smooth, gradient_new = objective(x_new)
            value_new = smooth + float(l1 @ np.abs(x_new))
            if value_new <= value + _DECREASE * float(steepest @ (x_new - x)) + slack:
                break
            step /= 2
        else:
            return x, iteration, False
        s, y = x_new - x, gradient_new - gradient
        if (curvature := float(s @ y)) > 0:
            pairs.append((s, y, curvature))
        x, value, gradient = x_new, value_new, gradient_new
    return x, max_iter, bool(np.abs(_least_gradient(x, gradient, l1)).max() <= tol)


def _least_gradient(x: NDArray, gradient: NDArray, l1: NDArray) -> NDArray:
    """The element of least size of the subdifferential of the whole objective."""
    at_zero = np.sign(gradient) * np.maximum(np.abs(gradient) - l1, 0.0)
    return np.where(x != 0, gradient + l1 * np.sign(x), at_zero)
