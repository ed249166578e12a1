"""Gradients checked by central differences."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray


def numerical_gradient(
    f: Callable[[NDArray], float], x: ArrayLike, *, step: float = 1e-6
) -> NDArray:
    """The gradient of a scalar function at x by central differences, in the shape of x.

    Each entry costs two calls. The step is scaled with the entry, and the error is of the order of
    the step's square; in float64 about 1e-9 of the values remains.
    """
    x = np.array(x, dtype=float)
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        value = x[index]
        h = step * max(1.0, abs(float(value)))
        x[index] = value + h
        above = float(f(x.copy()))
        x[index] = value - h
        below = float(f(x.copy()))
        x[index] = value
        gradient[index] = (above - below) / (2 * h)
    return gradient


def gradcheck(
    f: Callable[[NDArray], float],
    gradient: Callable[[NDArray], ArrayLike],
    x: ArrayLike,
    *,
    step: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-7,
) -> None:
    """Assert that `gradient(x)` is the gradient of the scalar function `f` at x.

    Raises AssertionError with the entry that is furthest off, what was given, and what the
    differences say.
    """
    x = np.array(x, dtype=float)
    given = gradient(x.copy())
    analytic = np.asarray(given.detach() if hasattr(given, "detach") else given, dtype=float)
    numeric = numerical_gradient(f, x, step=step)
    assert analytic.shape == numeric.shape, (
        f"the gradient has the shape {analytic.shape}, the input {numeric.shape}"
    )
    excess = np.abs(analytic - numeric) - (atol + rtol * np.abs(numeric))
    excess = np.where(np.isnan(excess), np.inf, excess)
    if excess.size and excess.max() > 0:
        worst = np.unravel_index(np.argmax(excess), excess.shape)
        index = tuple(int(i) for i in worst)
        raise AssertionError(
            f"at {index}: the gradient is {analytic[worst]:.10g}, by differences "
            f"{numeric[worst]:.10g}"
        )
