r"""Oblivious trees: every node of a level asks the same question.

A tree of depth $D$ is $D$ questions $x_{f_l} > t_l$ and $2^D$ values. The leaf of a row is the
number whose bit $l$ is the answer to question $l$, so that no row ever branches: a block of rows
is compared with a threshold at once, and the bits are shifted together. Such trees are weak and
alike everywhere, which holds back the model, and are the quickest of all to evaluate.

Growing asks, level by level, which cut of which column suits all leaves together. Let $G_v$ and
$W_v$ be the sums of the gradients and of the weights in the leaf $v$ of the tree that a cut would
make. The leaf's mean, shrunk, is $a_v = G_v / (W_v + \lambda)$. They fit the gradients by

$$\mathrm{L2} = \sum_v a_v G_v, \qquad
\mathrm{Cosine} = \frac{\sum_v a_v G_v}{\sqrt{\sum_v a_v^2 W_v}},$$

the second one up to a constant factor the cosine of the angle between prediction and gradients.

*Ordered* boosting (`ordered_boosting`) takes the means $a_v$ from the rows of a segment's body and
fits them to the rows of its tail: nothing is scored on the rows that it was made from. A plain tree
is the case of one segment whose tail is its body.

A column at a time is counted, bins times leaves, and its cuts are scored while the counts are in
the cache. Threads share the columns.

Source: Liudmila Prokhorenkova and others, *CatBoost: unbiased boosting with categorical features*,
2018; Andrey Gulin and others, *Winning the transfer learning track of Yahoo!'s Learning to Rank
Challenge with YetiRank*, 2011 (oblivious trees).
"""

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

#: Rows that are sent through the trees together.
ROWS_AT_ONCE = 256

#: Keeps an empty leaf's mean at 0 where nothing else does.
TINY = 1e-20


class Structure(NamedTuple):
    """The questions of a tree: code of column `feature[l]` > `cut[l]`, both int64 (depth,)."""

    feature: NDArray[np.int64]
    cut: NDArray[np.int64]


class Rules(NamedTuple):
    """How cuts are scored: λ, Cosine or L2, and the threads that share the columns."""

    l2: float
    cosine: bool
    threads: int


@njit(cache=True, nogil=True)
def grow(
    codes: NDArray,
    gradients: NDArray,
    weights: NDArray,
    segments: NDArray,
    starts: NDArray,
    noise: NDArray,
    rules: Rules,
) -> Structure:
    """Choose the cuts of a tree, one a level.

    Parameters
    ----------
    codes : the bins of the rows, uint8 (n_columns, n).
    gradients : float32 (n_outputs, n_virtual); weights : float32 (n_virtual,). The segments lie end
        to end; each has the first rows once more, with gradients of its own.
    segments : int64 (n_segments, 3): where a segment begins, how many of the first rows are its
        body, and how many are body and tail. One segment whose numbers are equal: a plain tree.
    starts : column f has the cuts `starts[f]` to `starts[f + 1]`.
    noise : what is added to the scores, (depth, n_cuts).
    """
    n = codes.shape[1]
    depth = len(noise)
    structure = Structure(np.zeros(depth, np.int64), np.zeros(depth, np.int64))
    leaf = np.zeros(n, np.uint16)
    for level in range(depth):
        best, cut = search(
            codes, leaf, 2**level, gradients, weights, segments, starts, noise[level], rules
        )
        feature = np.argmax(best)
        structure.feature[level], structure.cut[level] = feature, cut[feature]
        answer(codes[feature], cut[feature], level, leaf)
    return structure


@njit(cache=True, nogil=True, parallel=True)
def search(
    codes: NDArray,
    leaf: NDArray,
    leaves: int,
    gradients: NDArray,
    weights: NDArray,
    segments: NDArray,
    starts: NDArray,
    noise: NDArray,
    rules: Rules,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Every column's best score and the cut that has it; each thread has a block of columns."""
    d = len(codes)
    best, cut = np.empty(d), np.empty(d, np.int64)
    blocks = min(rules.threads, d)
    for block in prange(blocks):
        search_columns(
            np.int64(block) * d // blocks, (np.int64(block) + 1) * d // blocks, leaves,
            codes, leaf, gradients, weights, segments, starts, noise, rules, best, cut,
        )  # fmt: skip
    return best, cut


@njit(cache=True, nogil=True)
def search_columns(
    begin: int,
    end: int,
    leaves: int,
    codes: NDArray,
    leaf: NDArray,
    gradients: NDArray,
    weights: NDArray,
    segments: NDArray,
    starts: NDArray,
    noise: NDArray,
    rules: Rules,
    best: NDArray,
    cut: NDArray,
) -> None:
    """The best score and cut of each of the columns `begin` ≤ f < `end`; fills `best` and `cut`."""
    widest = 1
    for f in range(begin, end):
        widest = max(widest, starts[f + 1] - starts[f] + 1)
    body, tail = np.empty((leaves * widest, 2)), np.empty((leaves * widest, 2))
    fit, length = np.empty(widest), np.empty(widest)
    for f in range(begin, end):
        cuts = starts[f + 1] - starts[f]
        best[f], cut[f] = -np.inf, 0
        fit[:] = 0.0
        length[:] = 0.0
        score_column(
            codes[f], leaf, leaves, gradients, weights, segments, rules.l2,
            body, tail, fit[:cuts], length[:cuts],
        )  # fmt: skip
        for c in range(cuts):
            score = fit[c] / np.sqrt(max(length[c], 1e-100)) if rules.cosine else fit[c]
            score += noise[starts[f] + c]
            if score > best[f]:
                best[f], cut[f] = score, c


@njit(cache=True, nogil=True)
def score_column(
    codes: NDArray,
    leaf: NDArray,
    leaves: int,
    gradients: NDArray,
    weights: NDArray,
    segments: NDArray,
    l2: float,
    body: NDArray,
    tail: NDArray,
    fit: NDArray,
    length: NDArray,
) -> None:
    """Add up, for every cut of a column, Σ a G and Σ a² W over leaves, segments and outputs.

    `body` and `tail` are room for the sums of every bin of every leaf.
    """
    bins = len(fit) + 1
    for start, middle, end in segments:
        for k in range(len(gradients)):
            g, w = gradients[k, start : start + end], weights[start : start + end]
            count(codes[:middle], leaf[:middle], g[:middle], w[:middle], bins, leaves, body)
            other = body
            if end > middle:
                rest = slice(middle, end)
                count(codes[rest], leaf[rest], g[rest], w[rest], bins, leaves, tail)
                other = tail
            for v in range(leaves):
                place = slice(v * bins, (v + 1) * bins)
                score_leaf(body[place], other[place], l2, fit, length)


@njit(cache=True, nogil=True)
def count(
    codes: NDArray,
    leaf: NDArray,
    gradients: NDArray,
    weights: NDArray,
    bins: int,
    leaves: int,
    sums: NDArray,
) -> None:
    """Sum gradients and weights by leaf and bin."""
    sums[: leaves * bins] = 0.0
    width = np.uint32(bins)
    for i in range(len(codes)):
        k = leaf[i] * width + codes[i]
        sums[k, 0] += gradients[i]
        sums[k, 1] += weights[i]


@njit(cache=True, nogil=True)
def score_leaf(body: NDArray, tail: NDArray, l2: float, fit: NDArray, length: NDArray) -> None:
    """Add what every cut makes of one leaf: the body's means on the tail's gradients."""
    all_g = all_w = rest_g = rest_w = 0.0
    for b in range(len(body)):
        all_g += body[b, 0]
        all_w += body[b, 1]
        rest_g += tail[b, 0]
        rest_w += tail[b, 1]
    if all_w == 0.0:
        return
    least = max(l2, TINY)
    left_g = left_w = g = w = 0.0
    for c in range(len(fit)):
        left_g += body[c, 0]
        left_w += body[c, 1]
        g += tail[c, 0]
        w += tail[c, 1]
        left = left_g / (left_w + least)
        right = (all_g - left_g) / (max(all_w - left_w, 0.0) + least)
        fit[c] += left * g + right * (rest_g - g)
        length[c] += left * left * w + right * right * (rest_w - w)


@njit(cache=True, nogil=True)
def answer(codes: NDArray, cut: int, level: int, leaf: NDArray) -> None:
    """Write the answers to a level's question into the leaves' numbers."""
    for i in range(len(codes)):
        leaf[i] |= np.uint16(codes[i] > cut) << np.uint16(level)


@njit(cache=True, nogil=True)
def leaf_numbers(codes: NDArray, structure: Structure) -> NDArray[np.uint16]:
    """The leaf of every row, (n,)."""
    leaf = np.zeros(codes.shape[1], np.uint16)
    for level in range(len(structure.cut)):
        answer(codes[structure.feature[level]], structure.cut[level], level, leaf)
    return leaf


@njit(cache=True, nogil=True)
def newton_steps(
    leaf: NDArray,
    segments: NDArray,
    gradients: NDArray,
    hessians: NDArray,
    l2: float,
    leaves: int,
) -> NDArray[np.float64]:
    """A Newton step for each leaf from the bodies' rows: (n_segments, n_outputs, leaves)."""
    steps = np.zeros((len(segments), len(gradients), leaves))
    for s in range(len(segments)):
        start, body = segments[s, 0], segments[s, 1]
        for k in range(len(gradients)):
            g, h = gradients[k, start : start + body], hessians[k, start : start + body]
            sums = np.zeros((leaves, 2))
            for i in range(body):
                sums[leaf[i], 0] += g[i]
                sums[leaf[i], 1] += h[i]
            for v in range(leaves):
                steps[s, k, v] = -sums[v, 0] / (sums[v, 1] + max(l2, TINY))
    return steps


@njit(cache=True, nogil=True)
def add_values(leaf: NDArray, segments: NDArray, values: NDArray, raw: NDArray) -> None:
    """Add the leaves' values of each segment to its rows: raw (n_outputs, n_virtual)."""
    for s in range(len(segments)):
        start, end = segments[s, 0], segments[s, 2]
        for k in range(len(raw)):
            out, value = raw[k, start : start + end], values[s, k]
            for i in range(end):
                out[i] += value[leaf[i]]


@njit(cache=True, nogil=True, parallel=True)
def predict(
    X: NDArray, features: NDArray, thresholds: NDArray, values: NDArray, raw: NDArray
) -> None:
    """Add what the trees say to raw (n_outputs, n).

    Parameters
    ----------
    X : float32 (n, n_columns); a missing value is greater than nothing.
    features : uint32 (n_trees, depth); thresholds : float32, the same shape.
    values : float64 (n_trees, n_outputs, 2 ** depth).
    """
    n, d = X.shape
    for part in prange(-(-n // ROWS_AT_ONCE)):
        begin = part * ROWS_AT_ONCE
        rows = min(ROWS_AT_ONCE, n - begin)
        columns = np.empty((d, rows), np.float32)
        for i in range(rows):
            for f in range(d):
                columns[f, i] = X[begin + i, f]
        leaf = np.empty(rows, np.uint32)
        for t in range(len(features)):
            leaf[:] = 0
            for level in range(features.shape[1]):
                column, threshold = columns[features[t, level]], thresholds[t, level]
                for i in range(rows):
                    leaf[i] |= np.uint32(column[i] > threshold) << np.uint32(level)
            for k in range(len(raw)):
                out, value = raw[k, begin : begin + rows], values[t, k]
                for i in range(rows):
                    out[i] += value[leaf[i]]
