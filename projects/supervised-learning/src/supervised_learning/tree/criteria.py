r"""How impure a node is, and which split of a column makes its children purest.

A node with weight $w$ holds the classes in shares $p_k$, or values with mean $\mu$. Its impurity is

- Gini: $1 - \sum_k p_k^2$, the chance that two draws differ in class;
- entropy: $-\sum_k p_k \log_2 p_k$, the bits that it takes to tell a draw's class;
- squared error: $\frac1w \sum_i w_i (y_i - \mu)^2$, the variance.

A split into left and right gains $w I - w_l I_l - w_r I_r$. The node's own part is the same for
all of its splits, so it is enough to compare the children's. In the class weights $c = w p$ and the
sums $s = \sum_i w_i y_i$, one child's part $-w I$ is

- Gini: $\sum_k c_k^2 / w - w$;
- entropy: $\sum_k c_k \log_2 (c_k / w)$;
- squared error: $s^2 / w$, less a sum of squares that all splits share.

Walking a column in ascending order moves one row at a time from the right to the left, and these
sums follow: for a row of class $k$ and weight $\omega$, $\sum_k c_{lk}^2$ grows by
$\omega (2 c_{lk} + \omega)$. One walk of $m$ steps tries all $m - 1$ splits. Entropy is added up
anew for each, as logarithms do not follow; where all weights are whole numbers they are read from
a table.

References: L. Breiman, J. Friedman, R. Olshen, C. Stone, *Classification and Regression Trees*,
1984; J. R. Quinlan, *Induction of Decision Trees*, 1986.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from supervised_learning.tree.columns import CLOSE

GINI, ENTROPY, SQUARED_ERROR = 0, 1, 2

#: The criteria by their names in the estimators' parameters.
CRITERIA = {
    "gini": GINI,
    "entropy": ENTROPY,
    "log_loss": ENTROPY,
    "squared_error": SQUARED_ERROR,
}

#: Tables of logarithms are made up to this length.
_LARGEST_TABLE = 2**20


@njit(cache=True, nogil=True)
def gini(counts):
    """The Gini impurity of class weights (k,): 0 where one class has all, at most 1 - 1/k."""
    total = counts.sum()
    return 1.0 - ((counts / total) ** 2).sum()


@njit(cache=True, nogil=True)
def entropy(counts):
    """The entropy in bits of class weights (k,): 0 where one class has all, at most log2 k."""
    total = counts.sum()
    bits = 0.0
    for count in counts:
        if count > 0:
            bits -= count / total * math.log2(count / total)
    return bits


def impurity(y: ArrayLike, criterion: str) -> float:
    """The impurity of classes, or of values for `squared_error`, all of the same weight (n,)."""
    y = np.asarray(y)
    if criterion == "squared_error":
        return float(y.var())
    counts = np.unique(y, return_counts=True)[1].astype(float)
    return float(gini(counts) if criterion == "gini" else entropy(counts))


def trace_splits(x: ArrayLike, y: ArrayLike, criterion: str) -> list[dict[str, float]]:
    """Every split of one column, as the definition says: one row for each threshold, ascending.

    Each row holds the `threshold`, the number of rows on the `left` and on the `right`, the
    children's impurities and the `gain`: the node's impurity less the mean of the children's,
    weighted with their rows. It is what the walks below find in one pass, for reading and testing.

    Parameters
    ----------
    x : numbers (n,). y : classes or values (n,). criterion : a name in `CRITERIA`.
    """
    x, y = np.asarray(x), np.asarray(y)
    values = np.unique(x)
    before = impurity(y, criterion)
    trace = []
    for threshold in (values[:-1] + values[1:]) / 2:
        left, right = y[x <= threshold], y[x > threshold]
        parts = impurity(left, criterion), impurity(right, criterion)
        after = (len(left) * parts[0] + len(right) * parts[1]) / len(y)
        trace.append(
            {
                "threshold": float(threshold),
                "left": len(left),
                "right": len(right),
                "impurity_left": parts[0],
                "impurity_right": parts[1],
                "gain": before - after,
            }
        )
    return trace


@njit(cache=True, nogil=True)
def scan_gini(x, rows, label, weight, total, left, w_total, min_leaf, min_weight):
    """The best split of a column by Gini: (score, how many rows go left), or (-inf, 0).

    The score is what is left of the impurity, times the weight and taken negative.

    Parameters
    ----------
    x : float32 (m,), the node's values in ascending order; rows : int32 (m,), whose they are.
    label, weight : the rows' classes and weights; no weights (0,) stand for 1 each.
    total : the node's class weights (k,); left : room for the left child's (k,).
    w_total : the node's weight. min_leaf, min_weight : the least that a child may hold.
    """
    m, weighted = len(x), len(weight) > 0
    best, position = -np.inf, 0
    left[:] = 0.0
    w_left, squares_left, squares_right = 0.0, 0.0, (total**2).sum()
    for j in range(1, m):
        i = rows[j - 1]
        k = label[i]
        w = weight[i] if weighted else 1.0
        squares_left += w * (2.0 * left[k] + w)
        squares_right -= w * (2.0 * (total[k] - left[k]) - w)
        left[k] += w
        w_left += w
        if x[j] <= x[j - 1] + CLOSE or j < min_leaf or m - j < min_leaf:
            continue
        w_right = w_total - w_left
        if w_left < min_weight or w_right < min_weight:
            continue
        gini_left = 1.0 - squares_left / (w_left * w_left)
        gini_right = 1.0 - squares_right / (w_right * w_right)
        score = -w_left * gini_left - w_right * gini_right
        if score > best:
            best, position = score, j
    return best, position


@njit(cache=True, nogil=True)
def scan_entropy(x, rows, label, weight, total, left, w_total, min_leaf, min_weight, table):
    """The best split of a column by entropy; see `scan_gini`, and `table_of_log2`."""
    m, weighted = len(x), len(weight) > 0
    best, position = -np.inf, 0
    left[:] = 0.0
    w_left = 0.0
    for j in range(1, m):
        i = rows[j - 1]
        w = weight[i] if weighted else 1.0
        left[label[i]] += w
        w_left += w
        if x[j] <= x[j - 1] + CLOSE or j < min_leaf or m - j < min_leaf:
            continue
        w_right = w_total - w_left
        if w_left < min_weight or w_right < min_weight:
            continue
        part_left, part_right = 0.0, 0.0
        for k in range(len(total)):
            part_left += times_log_share(left[k], w_left, table)
            part_right += times_log_share(total[k] - left[k], w_right, table)
        score = part_left + part_right
        if score > best:
            best, position = score, j
    return best, position


@njit(cache=True, nogil=True)
def times_log_share(part, whole, table):
    """c log2(c / w) for a part c of w, and 0 at 0; with a table of logarithms, from there."""
    if len(table):
        return part * (table[int(part)] - table[int(whole)])
    return part * math.log2(part / whole) if part > 0.0 else 0.0


def table_of_log2(weight: NDArray[np.float64] | None, n: int) -> NDArray[np.float64]:
    """log2 of 0 (as 0), 1, 2, … up to the sum of n weights; empty where these are not whole."""
    if weight is not None and not (weight == np.floor(weight)).all():
        return np.empty(0)
    total = n if weight is None else weight.sum()
    if total > _LARGEST_TABLE:
        return np.empty(0)
    return np.log2(np.maximum(np.arange(total + 1.0), 1.0))


@njit(cache=True, nogil=True)
def scan_squared_error(x, rows, target, weight, s_total, w_total, min_leaf, min_weight):
    """The best split of a column by squared error; see `scan_gini`.

    `target` holds the rows' values times their weights, and `s_total` is the node's sum of them.
    The score is how much of that sum's square over the weight the children keep.
    """
    m, weighted = len(x), len(weight) > 0
    best, position = -np.inf, 0
    w_left, s_left = 0.0, 0.0
    for j in range(1, m):
        i = rows[j - 1]
        w_left += weight[i] if weighted else 1.0
        s_left += target[i]
        if x[j] <= x[j - 1] + CLOSE or j < min_leaf or m - j < min_leaf:
            continue
        w_right = w_total - w_left
        if w_left < min_weight or w_right < min_weight:
            continue
        s_right = s_total - s_left
        score = s_left * s_left / w_left + s_right * s_right / w_right
        if score > best:
            best, position = score, j
    return best, position
