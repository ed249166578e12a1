r"""Kernels: inner products in a space that is never entered.

A kernel $K(x, z) = \langle \phi(x), \phi(z) \rangle$ is the inner product of the images of two
points under some map $\phi$. A method that uses points only through inner products can work in the
image space at the price of evaluating $K$. Here:

- linear, $\langle x, z \rangle$;
- polynomial, $(\gamma \langle x, z \rangle + c_0)^p$: all monomials up to degree $p$;
- radial, $\exp(-\gamma \|x - z\|^2)$: a space of infinite dimension;
- sigmoid, $\tanh(\gamma \langle x, z \rangle + c_0)$: not positive semidefinite for every choice.

Each is a function of $\langle x, z \rangle$ and the norms, so a block of a kernel matrix is one
matrix product and one pass over it. A kernel of another kind comes as a finished matrix.

B. Schölkopf, A. J. Smola, *Learning with Kernels*, 2002, chapter 2.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

KINDS = ("linear", "poly", "rbf", "sigmoid", "precomputed")
LINEAR, POLY, RBF, SIGMOID, PRECOMPUTED = range(5)
_STRIP = 256
_FEW = 32  # columns up to which one pass keeps up with BLAS, whose threads such thin products idle


class Kernel(NamedTuple):
    """A kernel and its parameters; `kind` is a position in `KINDS`."""

    kind: int
    gamma: float
    coef0: float
    degree: int


def squared_norms(X: NDArray) -> NDArray[np.float64]:
    """The squared length of each row of X (n, d): shape (n,)."""
    return np.einsum("ij,ij->i", X, X)


def kernel_matrix(X: NDArray, Z: NDArray, kernel: Kernel) -> NDArray[np.float64]:
    r"""The kernel of each pair of points of X (n, d) and Z (m, d): float64 (n, m).

    The radial kernel takes $\|x - z\|^2$ from norms and inner products. That loses digits where the
    points lie far from 0 compared with their distances, so points should be centered.
    """
    norms = squared_norms(X), squared_norms(Z)
    if X.shape[1] > _FEW or kernel.kind == LINEAR:
        values = X @ Z.T
        _finish_rows(values, *norms, kernel)
    else:
        values = np.empty((len(X), len(Z)))
        _make_rows(X, np.ascontiguousarray(Z.T), *norms, kernel, values)
    return values


def kernel_diagonal(X: NDArray, kernel: Kernel) -> NDArray[np.float64]:
    """The kernel of each point of X (n, d) with itself: float64 (n,)."""
    if kernel.kind == PRECOMPUTED:
        return np.diagonal(X).copy()
    if kernel.kind == RBF:
        return np.ones(len(X))
    norms, values = squared_norms(X), np.empty(len(X))
    _finish(norms.copy(), 0.0, norms, kernel, values)
    return values


@njit(cache=True, nogil=True)
def fill_row(
    columns: NDArray,
    norms: NDArray,
    i: int,
    start: int,
    stop: int,
    kernel: Kernel,
    row: NDArray,
) -> None:
    """Write the kernel of point i with the points from start to stop into row[start:stop].

    `columns` (d, n) holds the points as columns, `norms` (n,) their squared norms. A precomputed
    kernel has the matrix (n, n) for `columns`, and in `norms` each point's place in it.
    """
    if kernel.kind == PRECOMPUTED:
        known = columns[int(norms[i])]
        for j in range(start, stop):
            row[j] = known[int(norms[j])]
        return
    point = columns[:, i].copy()
    strip = np.empty(_STRIP)
    for left in range(start, stop, _STRIP):
        right = min(left + _STRIP, stop)
        dot = strip[: right - left]
        _inner_products(point, columns, left, right, dot)
        _finish(dot, norms[i], norms[left:right], kernel, row[left:right])


@njit(cache=True, nogil=True, fastmath={"contract"})
def _inner_products(point: NDArray, columns: NDArray, left: int, right: int, dot: NDArray) -> None:
    """The inner products of a point (d,) with a strip of points, four features at a time.

    The strip is short enough to stay in the fast cache while features are added.
    """
    d = columns.shape[0]
    dot[:] = 0.0
    f = 0
    while f + 4 <= d:
        v0, v1, v2, v3 = point[f], point[f + 1], point[f + 2], point[f + 3]
        x0, x1 = columns[f, left:right], columns[f + 1, left:right]
        x2, x3 = columns[f + 2, left:right], columns[f + 3, left:right]
        for j in range(len(dot)):
            dot[j] += v0 * x0[j] + v1 * x1[j] + v2 * x2[j] + v3 * x3[j]
        f += 4
    while f < d:
        v, x = point[f], columns[f, left:right]
        for j in range(len(dot)):
            dot[j] += v * x[j]
        f += 1


@njit(cache=True, nogil=True)
def _make_rows(
    X: NDArray, columns: NDArray, own: NDArray, others: NDArray, kernel: Kernel, values: NDArray
) -> None:
    """Write the kernels of X (n, d) with the points in `columns` (d, m) into values (n, m)."""
    strip = np.empty(_STRIP)
    for i in range(len(X)):
        for left in range(0, len(others), _STRIP):
            right = min(left + _STRIP, len(others))
            dot = strip[: right - left]
            _inner_products(X[i], columns, left, right, dot)
            _finish(dot, own[i], others[left:right], kernel, values[i, left:right])


@njit(cache=True, nogil=True)
def _finish_rows(values: NDArray, own: NDArray, others: NDArray, kernel: Kernel) -> None:
    """Turn inner products (n, m) into kernels in place; own (n,), others (m,) are the norms."""
    if kernel.kind == LINEAR:
        return
    strip = np.empty(_STRIP)
    for i in range(len(values)):
        for left in range(0, len(others), _STRIP):
            right = min(left + _STRIP, len(others))
            dot, out = strip[: right - left], values[i, left:right]
            dot[:] = out
            _finish(dot, own[i], others[left:right], kernel, out)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _finish(dot: NDArray, own: float, others: NDArray, kernel: Kernel, out: NDArray) -> None:
    """Turn inner products of one point into kernels; `dot` is used up, and is not `out`."""
    gamma, coef0 = kernel.gamma, kernel.coef0
    if kernel.kind == LINEAR:
        for j in range(len(dot)):
            out[j] = dot[j]
    elif kernel.kind == RBF:
        for j in range(len(dot)):
            out[j] = exponential(-gamma * max(own + others[j] - 2.0 * dot[j], 0.0))
    elif kernel.kind == SIGMOID:
        for j in range(len(dot)):
            t = gamma * dot[j] + coef0
            e = exponential(-2.0 * abs(t))
            tanh = (1.0 - e) / (1.0 + e)
            out[j] = tanh if t > 0.0 else -tanh
    else:
        power = np.ones(len(dot))
        for j in range(len(dot)):
            dot[j] = gamma * dot[j] + coef0
        exponent = kernel.degree
        while exponent > 0:
            if exponent & 1:
                for j in range(len(dot)):
                    power[j] *= dot[j]
            for j in range(len(dot)):
                dot[j] *= dot[j]
            exponent >>= 1
        for j in range(len(dot)):
            out[j] = power[j]


@njit(cache=True, nogil=True)
def exponential(x: float) -> float:
    r"""$e^x$ for $x \le 0$ with a relative error below 1e-15, in a form that vectorizes.

    $e^x = 2^k e^r$ with $k$ the whole number next to $x / \ln 2$. Adding $1.5 \cdot 2^{52}$ rounds,
    and leaves $k$ in the lowest bits, from where a shift moves it into the exponent. $|r| \le
    \tfrac12 \ln 2$, so thirteen terms of the series are enough. (J. M. Muller, *Elementary
    Functions*, 2016, chapter 11.)
    """
    rounder = 6755399441055744.0
    x = max(x, -700.0)
    shifted = x * 1.4426950408889634 + rounder
    k = shifted - rounder
    r = (x - k * 6.93145751953125e-1) - k * 1.42860682030941723e-6  # ln 2 in two parts
    series = 1 / 39916800 + r * (1 / 479001600)
    series = 1 / 362880 + r * (1 / 3628800 + r * series)
    series = 1 / 5040 + r * (1 / 40320 + r * series)
    series = 1 / 120 + r * (1 / 720 + r * series)
    series = 1 / 6 + r * (1 / 24 + r * series)
    series = 1.0 + r * (1.0 + r * (1 / 2 + r * series))
    exponent = np.float64(shifted).view(np.int64) << 52
    return np.int64(np.float64(series).view(np.int64) + exponent).view(np.float64)
