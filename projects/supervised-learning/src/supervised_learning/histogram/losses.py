r"""Losses: what boosting asks of them is where to begin, and two derivatives for each row.

A booster adds trees to a raw prediction $F(x)$. With $g_i = \partial \ell / \partial F$ and
$h_i = \partial^2 \ell / \partial F^2$, the loss of a leaf that adds $v$ to its rows is, up to the
third order,

$$\sum_i \left( g_i v + \tfrac12 h_i v^2 \right), \qquad \text{least at} \quad v = -G / H.$$

| loss | $\ell(y, F)$ | prediction | $g$ | $h$ |
| --- | --- | --- | --- | --- |
| squared error | $(y - F)^2 / 2$ | $F$ | $F - y$ | 1 |
| log loss | $\ln(1 + e^F) - yF$ | $p = 1 / (1 + e^{-F})$ | $p - y$ | $p (1 - p)$ |
| softmax | $\ln \sum_k e^{F_k} - F_y$ | $p_k \propto e^{F_k}$ | $p_k - [y = k]$ | $p_k (1 - p_k)$ |

Softmax grows one tree a class from the diagonal of its hessian. That is too small where the classes
move together; a factor above 1 makes up for it, and libraries choose it differently: scikit-learn
1, LightGBM $K / (K - 1)$, XGBoost 2.

A raw prediction is float64 (n_outputs, n): 1 output, or with softmax one a class. The derivatives
are float32 of the same shape, times the row's weight. Half the memory is half the time of a gather,
and a gradient is not worth more digits.

Source: Jerome Friedman, *Greedy function approximation: a gradient boosting machine*, 2001; Tianqi
Chen and Carlos Guestrin, *XGBoost: A scalable tree boosting system*, 2016.
"""

import math
from typing import Protocol

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

_RAREST = 1e-15


class Loss(Protocol):
    """What a booster asks of a loss. Targets y are float64 (n,); classes are numbered from 0."""

    n_outputs: int

    def start(self, y: NDArray, sample_weight: NDArray | None) -> NDArray[np.float64]:
        """The best constant raw prediction (n_outputs,)."""

    def derivatives(
        self,
        y: NDArray,
        raw: NDArray,
        sample_weight: NDArray | None,
        gradients: NDArray,
        hessians: NDArray,
    ) -> None:
        """Fill both derivatives, float32 (n_outputs, n), at the raw prediction of that shape."""

    def mean(self, y: NDArray, raw: NDArray, sample_weight: NDArray | None) -> float:
        """The (weighted) mean loss."""

    def predict(self, raw: NDArray) -> NDArray[np.float64]:
        """The target (n,), or probabilities (n, n_classes), from the raw prediction."""


class SquaredError:
    """Half the squared error."""

    n_outputs = 1

    def start(self, y: NDArray, sample_weight: NDArray | None) -> NDArray[np.float64]:
        """The mean."""
        return np.array([np.average(y, weights=sample_weight)])

    def derivatives(
        self,
        y: NDArray,
        raw: NDArray,
        sample_weight: NDArray | None,
        gradients: NDArray,
        hessians: NDArray,
    ) -> None:
        """F - y, and 1."""
        np.subtract(raw[0], y, out=gradients[0], casting="same_kind")
        hessians[0] = 1.0
        _weigh(sample_weight, gradients, hessians)

    def mean(self, y: NDArray, raw: NDArray, sample_weight: NDArray | None) -> float:
        """The mean of (y - F)² / 2."""
        return float(np.average((y - raw[0]) ** 2 / 2, weights=sample_weight))

    def predict(self, raw: NDArray) -> NDArray[np.float64]:
        """F itself, (n,)."""
        return raw[0]


class LogLoss:
    """The log loss of two classes, 0 and 1."""

    n_outputs = 1

    def start(self, y: NDArray, sample_weight: NDArray | None) -> NDArray[np.float64]:
        """The log odds."""
        p = np.clip(np.average(y, weights=sample_weight), _RAREST, 1 - _RAREST)
        return np.array([np.log(p / (1 - p))])

    def derivatives(
        self,
        y: NDArray,
        raw: NDArray,
        sample_weight: NDArray | None,
        gradients: NDArray,
        hessians: NDArray,
    ) -> None:
        """p - y, and p (1 - p)."""
        small = np.abs(raw[0])  # NumPy's exponential is vectorized, Numba's is not
        np.exp(np.negative(small, out=small), out=small)
        _logistic_derivatives(y, raw[0], small, gradients[0], hessians[0])
        _weigh(sample_weight, gradients, hessians)

    def mean(self, y: NDArray, raw: NDArray, sample_weight: NDArray | None) -> float:
        """The mean of log(1 + exp(F)) - y F."""
        losses = np.logaddexp(0.0, raw[0]) - y * raw[0]
        return float(np.average(losses, weights=sample_weight))

    def predict(self, raw: NDArray) -> NDArray[np.float64]:
        """The probabilities of both classes (n, 2)."""
        p = np.exp(-np.logaddexp(0.0, -raw[0]))
        return np.column_stack([1 - p, p])


class Softmax:
    """The log loss of more than two classes.

    Parameters
    ----------
    n_classes : how many.
    hessian_factor : what the diagonal of the hessian is multiplied by.
    """

    def __init__(self, n_classes: int, hessian_factor: float = 1.0) -> None:
        self.n_outputs = n_classes
        self.hessian_factor = hessian_factor

    def start(self, y: NDArray, sample_weight: NDArray | None) -> NDArray[np.float64]:
        """The logarithms of the shares, less their mean."""
        shares = np.bincount(y.astype(np.intp), sample_weight, self.n_outputs)
        logs = np.log(np.clip(shares / shares.sum(), _RAREST, 1 - _RAREST))
        return logs - logs.mean()

    def derivatives(
        self,
        y: NDArray,
        raw: NDArray,
        sample_weight: NDArray | None,
        gradients: NDArray,
        hessians: NDArray,
    ) -> None:
        """p - [y = k], and the factor times p (1 - p)."""
        _softmax_derivatives(y, raw, self.hessian_factor, gradients, hessians)
        _weigh(sample_weight, gradients, hessians)

    def mean(self, y: NDArray, raw: NDArray, sample_weight: NDArray | None) -> float:
        """The mean of log Σ exp(F_k) - F_y."""
        top = raw.max(axis=0)
        own = raw[y.astype(np.intp), np.arange(len(y))]
        losses = np.log(np.exp(raw - top).sum(axis=0)) + top - own
        return float(np.average(losses, weights=sample_weight))

    def predict(self, raw: NDArray) -> NDArray[np.float64]:
        """The probabilities (n, n_classes)."""
        p = np.exp(raw - raw.max(axis=0))
        return np.ascontiguousarray((p / p.sum(axis=0)).T)


def _weigh(sample_weight: NDArray | None, gradients: NDArray, hessians: NDArray) -> None:
    if sample_weight is not None:
        np.multiply(gradients, sample_weight, out=gradients, casting="same_kind")
        np.multiply(hessians, sample_weight, out=hessians, casting="same_kind")


@njit(cache=True, nogil=True, parallel=True, error_model="numpy")
def _logistic_derivatives(
    y: NDArray, raw: NDArray, small: NDArray, gradient: NDArray, hessian: NDArray
) -> None:
    """From exp(-|F|), which never overflows."""
    for i in prange(raw.size):
        p = (1.0 if raw[i] > 0 else small[i]) / (1.0 + small[i])
        gradient[i] = p - y[i]
        hessian[i] = p * (1.0 - p)


@njit(cache=True, nogil=True, parallel=True)
def _softmax_derivatives(
    y: NDArray, raw: NDArray, factor: float, gradients: NDArray, hessians: NDArray
) -> None:
    n_classes = raw.shape[0]
    for i in prange(raw.shape[1]):
        top = -np.inf
        for k in range(n_classes):
            top = max(top, raw[k, i])
        total = 0.0
        for k in range(n_classes):
            total += math.exp(raw[k, i] - top)
        for k in range(n_classes):
            p = math.exp(raw[k, i] - top) / total
            gradients[k, i] = p - (y[i] == k)
            hessians[k, i] = factor * p * (1.0 - p)
