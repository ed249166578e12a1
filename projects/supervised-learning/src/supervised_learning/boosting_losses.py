r"""The losses of gradient boosting: where to begin, the residuals to fit, and the step in a leaf.

Each loss works on `raw` (K, n), the sums of the trees, with K = 1 but for three classes and more.

| loss | residual $r$ | step in a leaf |
| --- | --- | --- |
| squared | $y - F$ | the mean of $y - F$ |
| absolute | $\mathrm{sign}(y - F)$ | the median of $y - F$ |
| quantile $\alpha$ | $\alpha$ above, $\alpha - 1$ below | the $\alpha$ quantile of $y - F$ |
| Huber | $y - F$, clipped at $\pm\delta$ | the median, and the mean of the rest, clipped |
| log loss | $y - p$ | $\sum r / \sum p (1 - p)$, a Newton step |
| exponential | $\pm e^{\mp F}$ | $\sum r / \sum \lvert r \rvert$, a Newton step |

Reference: J. Friedman, *Greedy Function Approximation: A Gradient Boosting Machine*, 2001.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import expit, logit, logsumexp, softmax

from supervised_learning.tree.structure import Tree

#: A Newton step with less curvature than this is not taken.
_FLAT = 1e-150

#: Shares of classes are kept this far from 0 and 1 before the logarithm is taken.
_SHARE = float(np.finfo(np.float64).eps)

Array = NDArray[np.float64]
Leaves = NDArray[np.int32]
Weight = Array | None


class SquaredLoss:
    """$(y - F)^2$; and what the losses of values share."""

    quantile = 0.5

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def start(self, y: NDArray, weight: Weight) -> Array:
        """The best constants to begin with (K,)."""
        return np.array([np.average(y, weights=weight)])

    def link(self, prediction: NDArray) -> Array:
        """What a model's predictions (n,) are as a sum of trees: (1, n)."""
        return np.array(prediction, dtype=np.float64, ndmin=2)

    def residuals(self, y: NDArray, raw: Array, weight: Weight) -> Array:
        """The negative gradient (K, n)."""
        return y - raw

    def value(self, y: NDArray, raw: Array, weight: Weight) -> float:
        """The weighted mean of the loss."""
        return float(np.average((y - raw[0]) ** 2, weights=weight))

    def steps(
        self, tree: Tree, leaves: Leaves, y: NDArray, raw: Array, residual: Array, weight: Weight
    ) -> Array:
        """The tree's values (nodes, 1) with the best step in each leaf.

        `leaves` (n,) are the rows' leaves; `raw` (n,) and `residual` (n,) belong to this tree. Rows
        of weight 0 have no say.
        """
        return tree.value  # the tree has fitted the residuals by their means


class QuantileLoss(SquaredLoss):
    r"""$\alpha (y - F)$ above $F$, $(\alpha - 1)(y - F)$ below; a quantile is its best constant."""

    def __init__(self, alpha: float) -> None:
        super().__init__(alpha)
        self.quantile = alpha

    def start(self, y: NDArray, weight: Weight) -> Array:
        """The quantile of y; without weights, it lies between two of the values."""
        if weight is None:
            return np.array([np.quantile(y, self.quantile)])
        return leaf_quantiles(y, np.zeros(len(y), np.int32), weight, 1, self.quantile)

    def residuals(self, y: NDArray, raw: Array, weight: Weight) -> Array:
        """The two slopes of the loss."""
        return np.where(y >= raw, self.quantile, self.quantile - 1.0)

    def value(self, y: NDArray, raw: Array, weight: Weight) -> float:
        """The weighted mean of the loss."""
        rest = y - raw[0]
        loss = np.maximum(self.quantile * rest, (self.quantile - 1.0) * rest)
        return float(np.average(loss, weights=weight))

    def steps(
        self, tree: Tree, leaves: Leaves, y: NDArray, raw: Array, residual: Array, weight: Weight
    ) -> Array:
        """The quantile of y - F in each leaf."""
        step = leaf_quantiles(y - raw, leaves, weight, tree.node_count, self.quantile)
        return step[:, np.newaxis]


class AbsoluteLoss(QuantileLoss):
    """$|y - F|$: twice the quantile loss of the median."""

    def __init__(self, alpha: float) -> None:
        super().__init__(0.5)

    def residuals(self, y: NDArray, raw: Array, weight: Weight) -> Array:
        """The sign of y - F."""
        return 2.0 * super().residuals(y, raw, weight)

    def value(self, y: NDArray, raw: Array, weight: Weight) -> float:
        """The weighted mean of the loss."""
        return 2.0 * super().value(y, raw, weight)


class HuberLoss(AbsoluteLoss):
    r"""$(y - F)^2 / 2$ up to $|y - F| = \delta$, and linear beyond.

    In each round $\delta$ is the $\alpha$ quantile of the absolute residuals.
    """

    def __init__(self, alpha: float) -> None:
        super().__init__(alpha)
        self.alpha = alpha
        self.delta = 1.0

    def residuals(self, y: NDArray, raw: Array, weight: Weight) -> Array:
        """Set delta for the round; y - F, clipped there."""
        rest = y - raw
        everyone = np.zeros(len(y), np.int32)
        self.delta = float(leaf_quantiles(np.abs(rest[0]), everyone, weight, 1, self.alpha)[0])
        return rest.clip(-self.delta, self.delta)

    def value(self, y: NDArray, raw: Array, weight: Weight) -> float:
        """The weighted mean of the loss with the round's delta."""
        far = np.abs(y - raw[0])
        loss = np.where(far <= self.delta, far**2 / 2, self.delta * (far - self.delta / 2))
        return float(np.average(loss, weights=weight))

    def steps(
        self, tree: Tree, leaves: Leaves, y: NDArray, raw: Array, residual: Array, weight: Weight
    ) -> Array:
        """The median of y - F in each leaf, moved by the mean of what is left of it, clipped."""
        median = super().steps(tree, leaves, y, raw, residual, weight)
        rest = (y - raw - median[leaves, 0]).clip(-self.delta, self.delta)
        weight = np.ones(len(y)) if weight is None else weight
        return median + _ratios(leaves, weight * rest, weight, tree.node_count)


class LogLoss:
    r"""$\log(1 + e^F) - y F$ for $y \in \{0, 1\}$; the value is the deviance, twice that."""

    def start(self, y: NDArray, weight: Weight) -> Array:
        """The best constants to begin with (K,): the log odds."""
        share = np.average(y, weights=weight)
        return self.link(np.array([[1.0 - share, share]]))[:, 0]

    def link(self, p: NDArray) -> Array:
        """What probabilities (n, k) are as sums of trees: (K, n)."""
        return logit(np.clip(p[:, 1], _SHARE, 1.0 - _SHARE, dtype=np.float64))[np.newaxis]

    def residuals(self, y: NDArray, raw: Array, weight: Weight) -> Array:
        """The negative gradient (K, n): y less the probability, to the last digit near 0 too."""
        sign = 2.0 * y - 1.0
        return sign * expit(-sign * raw)

    def curvature(self, residual: Array) -> Array:
        """The second derivative at each row (n,): p (1 - p)."""
        distance = np.abs(residual)  # 1 - p or p
        return distance * (1.0 - distance)

    def value(self, y: NDArray, raw: Array, weight: Weight) -> float:
        """The weighted mean of the loss."""
        return 2.0 * float(np.average(np.logaddexp(0.0, raw[0]) - y * raw[0], weights=weight))

    def steps(
        self, tree: Tree, leaves: Leaves, y: NDArray, raw: Array, residual: Array, weight: Weight
    ) -> Array:
        """A Newton step in each leaf: (nodes, 1)."""
        curvature = self.curvature(residual)
        if weight is not None:
            residual, curvature = residual * weight, curvature * weight
        return _ratios(leaves, residual, curvature, tree.node_count)

    def probabilities(self, raw: Array) -> Array:
        """The probabilities of the classes (n, k)."""
        positive = expit(raw[0])
        return np.column_stack([1.0 - positive, positive])


class ExponentialLoss(LogLoss):
    """$e^{-F}$ for $y = 1$, else $e^F$: the loss of AdaBoost, where F is half the log odds."""

    def link(self, p: NDArray) -> Array:
        """Half the log odds (1, n)."""
        return super().link(p) / 2

    def residuals(self, y: NDArray, raw: Array, weight: Weight) -> Array:
        """The weights that AdaBoost gives the rows, with the sign of the class."""
        sign = 2.0 * y - 1.0
        return sign * np.exp(-sign * raw)

    def curvature(self, residual: Array) -> Array:
        """The second derivative at each row (n,): the loss itself."""
        return np.abs(residual)

    def value(self, y: NDArray, raw: Array, weight: Weight) -> float:
        """The weighted mean of the loss."""
        return float(np.average(np.exp(-(2.0 * y - 1.0) * raw[0]), weights=weight))

    def probabilities(self, raw: Array) -> Array:
        """The probabilities of the two classes (n, 2)."""
        return super().probabilities(2.0 * raw)


class MulticlassLogLoss(LogLoss):
    r"""$\log \sum_k e^{F_k} - F_y$, with a tree a round for each of the K classes."""

    def __init__(self, n_classes: int) -> None:
        self.n_classes = n_classes

    def start(self, y: NDArray, weight: Weight) -> Array:
        """The logarithms of the classes' shares, less their mean."""
        shares = np.bincount(y, weight, self.n_classes).astype(float)
        return self.link(shares[np.newaxis] / shares.sum())[:, 0]

    def link(self, p: NDArray) -> Array:
        """The logarithms of the probabilities, less their mean: (K, n)."""
        logs = np.log(np.clip(p, _SHARE, 1.0 - _SHARE, dtype=np.float64)).T
        return logs - logs.mean(axis=0)

    def residuals(self, y: NDArray, raw: Array, weight: Weight) -> Array:
        """1 for the row's class, else 0, less the probabilities."""
        residuals = -softmax(raw, axis=0)
        residuals[y, np.arange(len(y))] += 1.0
        return residuals

    def value(self, y: NDArray, raw: Array, weight: Weight) -> float:
        """The weighted mean of the loss."""
        loss = logsumexp(raw, axis=0) - raw[y, np.arange(len(y))]
        return float(np.average(loss, weights=weight))

    def steps(
        self, tree: Tree, leaves: Leaves, y: NDArray, raw: Array, residual: Array, weight: Weight
    ) -> Array:
        """Friedman's step: shorter than Newton's, as of the K sums one is too many."""
        shrink = (self.n_classes - 1) / self.n_classes
        return shrink * super().steps(tree, leaves, y, raw, residual, weight)

    def probabilities(self, raw: Array) -> Array:
        """The probabilities of the classes (n, K)."""
        return softmax(raw, axis=0).T


Loss = SquaredLoss | LogLoss

#: The losses of values by their names.
LOSSES = {
    "squared_error": SquaredLoss,
    "absolute_error": AbsoluteLoss,
    "huber": HuberLoss,
    "quantile": QuantileLoss,
}


def _ratios(leaves: Leaves, above: Array, below: Array, nodes: int) -> Array:
    """The ratio of two sums in each leaf (nodes, 1); 0 where there is too little to divide by."""
    upper = np.bincount(leaves, above, nodes).astype(np.float64)
    lower = np.bincount(leaves, below, nodes).astype(np.float64)
    steep = lower > _FLAT
    return np.where(steep, upper / np.where(steep, lower, 1.0), 0.0)[:, np.newaxis]


def leaf_quantiles(values: Array, leaves: Leaves, weight: Weight, nodes: int, q: float) -> Array:
    """In each leaf the smallest value below which, itself included, lies the share q of the weight.

    values, leaves, weight : (n,). Returns (nodes,), 0 where there is no row.
    """
    order = np.lexsort((values, leaves))
    weight = np.ones(len(values)) if weight is None else weight
    share = q * np.bincount(leaves, weight, nodes)
    return _walk(values[order], leaves[order], weight[order], share)


@njit(cache=True, nogil=True)
def _walk(values, leaves, weight, share):
    result = np.zeros(len(share))
    leaf, passed, found = -1, 0.0, False
    for j in range(len(values)):
        if leaves[j] != leaf:
            leaf, passed, found = leaves[j], 0.0, False
        passed += weight[j]
        if not found and weight[j] > 0:
            result[leaf], found = values[j], passed >= share[leaf]
    return result
