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

A column at a time is summed, bins times leaves, and its cuts are scored while the sums are in the
cache. Of the two answers to a question only the rarer one's rows are summed: the other's sums are
what the level before has more. Threads share the columns.

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

#: What is left of a weight by subtraction, as a share of it, where nothing is left but rounding.
EMPTY = 1e-9


class Structure(NamedTuple):
    """The questions of a tree: code of column `feature[l]` > `cut[l]`, both int64 (depth,)."""

    feature: NDArray[np.int64]
    cut: NDArray[np.int64]


class Rules(NamedTuple):
    """How cuts are scored: λ, Cosine or L2, and the threads that share the columns."""

    l2: float
    cosine: bool
    threads: int


class Parts(NamedTuple):
    """The bodies and tails whose sums are taken apart.

    Attributes
    ----------
    rows : int64 (n_parts, 3): the first row of a part, the row after its last, and what is added to
        a row's number to find its gradient. A body is at 2 s, its tail, which may be empty, after.
    levels : int64 (n_parts,): of so many levels the sums are kept for the next.
    places : int64 (n_parts,): where a part's sums begin in a column's; there are `size` in all.
    """

    rows: NDArray[np.int64]
    levels: NDArray[np.int64]
    places: NDArray[np.int64]
    size: int


class Counted(NamedTuple):
    """The rows that a level looks at, part after part; `leaf` is that of the level before.

    Part p has those from `begin[p]` to `begin[p + 1]`. They gave the answer `side[p]`: the sums of
    the other rows are what the level before has more. A side of -1: they are all rows.
    """

    begin: NDArray[np.int64]
    side: NDArray[np.int64]
    row: NDArray[np.uint32]
    leaf: NDArray[np.uint32]
    gradients: NDArray[np.float32]
    weights: NDArray[np.float32]


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
    d, n = codes.shape
    depth = len(noise)
    structure = Structure(np.zeros(depth, np.int64), np.zeros(depth, np.int64))
    parts = divide(segments, (np.diff(starts).max() + 1) * len(gradients), depth)
    sums = np.empty((d, parts.size, 2))
    leaf = np.zeros(n, np.uint16)
    for level in range(depth):
        counted = choose_rows(parts, leaf, level, gradients, weights)
        best, cut = search(codes, counted, level, parts, sums, starts, noise[level], rules)
        feature = np.argmax(best)
        structure.feature[level], structure.cut[level] = feature, cut[feature]
        answer(codes[feature], cut[feature], level, leaf)
    return structure


@njit(cache=True, nogil=True)
def divide(segments: NDArray, slots: int, depth: int) -> Parts:
    """Say which parts there are, and for how long their sums are kept.

    A leaf has `slots` sums. They are kept while they are fewer than half of the part's rows: then
    they are quicker to subtract than the rows are to count, and take little memory.
    """
    n_parts = 2 * len(segments)
    parts = Parts(
        np.zeros((n_parts, 3), np.int64),
        np.zeros(n_parts, np.int64),
        np.zeros(n_parts, np.int64),
        0,
    )
    size = 0
    for s in range(len(segments)):
        start, middle, end = segments[s]
        parts.rows[2 * s] = 0, middle, start
        parts.rows[2 * s + 1] = middle, end, start
        for p in (2 * s, 2 * s + 1):
            rows = parts.rows[p, 1] - parts.rows[p, 0]
            while parts.levels[p] < depth and 2 * slots << parts.levels[p] <= rows:
                parts.levels[p] += 1
            parts.places[p] = size
            if parts.levels[p]:
                size += slots << (parts.levels[p] - 1)
    return Parts(parts.rows, parts.levels, parts.places, size)


@njit(cache=True, nogil=True)
def choose_rows(
    parts: Parts, leaf: NDArray, level: int, gradients: NDArray, weights: NDArray
) -> Counted:
    """Choose the rows to count, without those of no weight: the rarer answer's, or all."""
    n_parts, size = len(parts.rows), weights.size
    counted = Counted(
        np.zeros(n_parts + 1, np.int64),
        np.full(n_parts, -1),
        np.empty(size, np.uint32),
        np.empty(size, np.uint32),
        np.empty((len(gradients), size), np.float32),
        np.empty(size, np.float32),
    )
    j = 0
    for p in range(n_parts):
        first, end, shift = parts.rows[p]
        here, w, g = leaf[first:end], weights[shift:][first:end], gradients[:, shift:][:, first:end]
        side, mask, answer = -1, np.uint16(0), np.uint16(0)
        if 0 < level < parts.levels[p]:
            mask = np.uint16(1 << (level - 1))
            ones = total = 0
            for i in range(len(w)):
                total += w[i] > 0.0
                ones += (w[i] > 0.0) & (here[i] & mask > 0)
            side = np.int64(2 * ones <= total)
            answer = mask if side == 1 else answer
        row = counted.row[j:]
        rows = 0
        for i in range(len(w)):
            row[rows] = i
            rows += (here[i] & mask == answer) & (w[i] > 0.0)
        for i in row[:rows]:
            counted.row[j] = first + i
            counted.leaf[j] = here[i] & ~mask
            counted.weights[j] = w[i]
            for k in range(len(g)):
                counted.gradients[k, j] = g[k, i]
            j += 1
        counted.side[p], counted.begin[p + 1] = side, j
    return counted


@njit(cache=True, nogil=True, parallel=True)
def search(
    codes: NDArray,
    counted: Counted,
    level: int,
    parts: Parts,
    sums: NDArray,
    starts: NDArray,
    noise: NDArray,
    rules: Rules,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Every column's best score and the cut that has it; each thread has a block of columns."""
    d = len(codes)
    best, cut = np.empty(d), np.empty(d, np.int64)
    blocks = min(rules.threads, d)
    for block in prange(blocks):
        begin, end = np.int64(block) * d // blocks, (np.int64(block) + 1) * d // blocks
        widest = np.diff(starts[begin : end + 1]).max() + 1
        room = np.empty((2, widest << level, 2))
        for f in range(begin, end):
            best[f], cut[f] = search_column(
                codes[f], counted, level, parts, sums[f], room,
                noise[starts[f] : starts[f + 1]], rules,
            )  # fmt: skip
    return best, cut


@njit(cache=True, nogil=True)
def search_column(
    codes: NDArray,
    counted: Counted,
    level: int,
    parts: Parts,
    sums: NDArray,
    room: NDArray,
    noise: NDArray,
    rules: Rules,
) -> tuple[float, int]:
    """The best score of a column's cuts, and the cut.

    Adds up, for every cut, Σ a G and Σ a² W over leaves, segments and outputs. `sums` are the kept
    ones of the column, `room` is for those that are not kept.
    """
    bins, leaves, n_outputs = len(noise) + 1, 1 << level, len(counted.gradients)
    fit, length = np.zeros(bins - 1), np.zeros(bins - 1)
    for s in range(len(parts.rows) // 2):
        for k in range(n_outputs):
            body = sum_part(codes, counted, level, parts, 2 * s, k, bins, sums, room[0])
            tail = body
            if parts.rows[2 * s + 1, 0] < parts.rows[2 * s + 1, 1]:
                tail = sum_part(codes, counted, level, parts, 2 * s + 1, k, bins, sums, room[1])
            for v in range(leaves):
                place = slice(v * bins, (v + 1) * bins)
                score_leaf(body[place], tail[place], rules.l2, fit, length)
    best, cut = -np.inf, 0
    for c in range(bins - 1):
        score = fit[c] / np.sqrt(max(length[c], 1e-100)) if rules.cosine else fit[c]
        score += noise[c]
        if score > best:
            best, cut = score, c
    return best, cut


@njit(cache=True, nogil=True)
def sum_part(
    codes: NDArray,
    counted: Counted,
    level: int,
    parts: Parts,
    p: int,
    k: int,
    bins: int,
    sums: NDArray,
    room: NDArray,
) -> NDArray:
    """A part's sums of gradients and of weights by leaf and bin, (leaves · bins, 2)."""
    size = bins << level
    here = room[:size]
    if level < parts.levels[p]:
        place = parts.places[p] + k * (bins << (parts.levels[p] - 1))
        here = sums[place : place + size]
    rows = slice(counted.begin[p], counted.begin[p + 1])
    g, w = counted.gradients[k, rows], counted.weights[rows]
    if counted.side[p] < 0:
        count(codes, counted.row[rows], counted.leaf[rows], g, w, bins, here)
        return here
    zeros, ones = here[: size // 2], here[size // 2 :]
    count(codes, counted.row[rows], counted.leaf[rows], g, w, bins, ones)
    for i in range(size // 2):
        some_g, some_w = ones[i]
        rest_g, rest_w = zeros[i, 0] - some_g, zeros[i, 1] - some_w
        if rest_w <= EMPTY * zeros[i, 1]:
            rest_g = rest_w = 0.0
        if counted.side[p] == 1:
            zeros[i, 0], zeros[i, 1] = rest_g, rest_w
        else:
            zeros[i, 0], zeros[i, 1] = some_g, some_w
            ones[i, 0], ones[i, 1] = rest_g, rest_w
    return here


@njit(cache=True, nogil=True)
def count(
    codes: NDArray,
    rows: NDArray,
    leaf: NDArray,
    gradients: NDArray,
    weights: NDArray,
    bins: int,
    sums: NDArray,
) -> None:
    """Sum gradients and weights by leaf and bin."""
    sums[:] = 0.0
    width = np.uint32(bins)
    for j in range(len(rows)):
        b = leaf[j] * width + codes[rows[j]]
        sums[b, 0] += gradients[j]
        sums[b, 1] += weights[j]


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
