"""Gradients checked by central differences."""

from collections.abc import Callable
from typing import Any

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
    f: Callable[[NDArray], Any],
    gradient: Callable[[NDArray], ArrayLike],
    x: ArrayLike,
    *,
    cotangent: ArrayLike | None = None,
    step: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-7,
) -> None:
    """Assert that `gradient(x)` is the gradient of the function `f` at x.

    A function whose output is an array takes a `cotangent` of the output's shape, and the gradient
    is that of the sum of their products. Raises ValueError where x is empty or the cotangent does
    not fit, and AssertionError with the entry that is furthest off, what was given, and what the
    differences say.
    """
    x = np.array(x, dtype=float)
    if not x.size:
        raise ValueError(f"x is empty (shape {x.shape}), so there is no gradient to check")
    weights = np.ones(()) if cotangent is None else np.array(cotangent, dtype=float)

    def scalar(point: NDArray) -> float:
        output = _array(f(point))
        if output.shape != weights.shape:
            raise ValueError(
                f"f gives the shape {output.shape}, the cotangent has {weights.shape}; "
                f"give a cotangent of the output's shape"
            )
        return float((output * weights).sum())

    analytic = _array(gradient(x.copy()))
    numeric = numerical_gradient(scalar, x, step=step)
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


def _array(value: Any) -> NDArray:
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, dtype=float)
