r"""Minkowski distances, in the reduced form that a search compares.

The distance of order $p \ge 1$ is $d_p(x, y) = (\sum_f |x_f - y_f|^p)^{1/p}$: $p = 1$ is the
Manhattan distance, $p = 2$ the Euclidean one and $p = \infty$ the Chebyshev distance
$\max_f |x_f - y_f|$. The root changes no order, so a search compares the sums, the *reduced*
distances, and takes the root of the k results only.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: The order p of each metric that goes by a name of its own.
ORDERS = {"manhattan": 1.0, "euclidean": 2.0, "chebyshev": np.inf}


@njit(cache=True, nogil=True)
def add_term(total: float, difference: float, p: float) -> float:
    """The reduced distance so far, and one more feature with this difference."""
    if p == 2.0:
        return total + difference * difference
    if p == 1.0:
        return total + abs(difference)
    if p == np.inf:
        return max(total, abs(difference))
    return total + abs(difference) ** p


@njit(cache=True, nogil=True)
def reduced_distance(x: NDArray, y: NDArray, p: float) -> float:
    """The reduced distance of two points (d,), summed in float64 from the first feature on."""
    total = 0.0
    for f in range(len(x)):
        total = add_term(total, np.float64(x[f]) - np.float64(y[f]), p)
    return total


@njit(cache=True, nogil=True)
def root(reduced: float, p: float) -> float:
    """The distance that belongs to a reduced distance."""
    if p == 2.0:
        return np.sqrt(reduced)
    if p == 1.0 or p == np.inf:
        return reduced
    return reduced ** (1.0 / p)


@njit(cache=True, nogil=True)
def power(distance: float, p: float) -> float:
    """The reduced distance that belongs to a distance."""
    if p == 2.0:
        return distance * distance
    if p == 1.0 or p == np.inf:
        return distance
    return distance**p


@njit(cache=True, nogil=True)
def take_roots(reduced: NDArray, p: float) -> None:
    """Turn reduced distances (m, k) into distances, in place."""
    for i in range(reduced.shape[0]):
        for j in range(reduced.shape[1]):
            reduced[i, j] = root(reduced[i, j], p)
