r"""Ordered boosting: a row's gradient comes from a model that has not seen the row.

Gradient boosting fits each tree to the gradients at the present predictions of the training rows.
The trees before were fitted to the same rows, so that these predictions are closer to the targets
than those of new rows are: the gradients are biased, and so is every tree that follows
(*prediction shift*). A model $M_i$ for each row, trained on the rows before it in a permutation,
would be free of that, and too dear. Models for the first $b, 2b, 4b, \dots$ rows are enough:

| segment | body (the model learns from) | tail (it has not seen) |
| --- | --- | --- |
| $M_0$ | the first $b$ rows | the next $b$ |
| $M_1$ | the first $2b$ | the next $2b$ |
| … | | |

All of them share the structure of each tree, and each has its own leaf values. A structure is
chosen on one permutation, drawn anew for each tree: the leaves' means come from the bodies, and are
scored on the tails (`oblivious_trees`). The model that is kept in the end has the same structures,
with leaf values from all rows.

*Plain* boosting is the case of one segment that is its own tail.

Source: Liudmila Prokhorenkova and others, *CatBoost: unbiased boosting with categorical features*,
2018, section 4 and algorithm 2; Bulat Ibragimov and Gleb Gusev, *Minimal variance sampling in
stochastic gradient boosting*, 2019.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervised_learning.histogram.losses import Loss
from supervised_learning.oblivious_trees import (
    Rules,
    Structure,
    add_values,
    grow,
    leaf_numbers,
    newton_steps,
)


class Options(NamedTuple):
    """How trees are fitted."""

    iterations: int
    learning_rate: float
    depth: int
    leaf_iterations: int
    random_strength: float
    bootstrap: str
    bagging_temperature: float
    subsample: float
    rules: Rules


class Fold:
    """The training rows in the order of a permutation, and what the segments' models say of them.

    Attributes
    ----------
    codes : the bins, uint8 (n_columns, n).
    segments : see `oblivious_trees.grow`.
    y, weight, raw : the targets (n_virtual,), weights or None, and raw predictions (n_outputs,
        n_virtual), segment after segment.
    gradients, hessians : float32, as `raw`.
    """

    def __init__(
        self,
        codes: NDArray[np.uint8],
        y: NDArray,
        weight: NDArray | None,
        start: NDArray[np.float64],
        ordered: bool,
    ) -> None:
        n = len(y)
        self.codes = codes
        self.segments = segments(n) if ordered else np.array([[0, n, n]])
        rows = np.concatenate([np.arange(end) for end in self.segments[:, 2]]) if ordered else ...
        self.y = y[rows]
        self.weight = None if weight is None else weight[rows]
        self.raw = np.repeat(start[:, None], len(self.y), axis=1)
        self.gradients, self.hessians = np.empty((2, *self.raw.shape), np.float32)

    def values(self, leaf: NDArray[np.uint16], loss: Loss, options: Options) -> NDArray[np.float64]:
        """The leaves' best values in each segment, (n_segments, n_outputs, 2 ** depth)."""
        leaves = 2**options.depth
        values = np.zeros((len(self.segments), len(self.raw), leaves))
        raw = self.raw
        for left in range(options.leaf_iterations - 1, -1, -1):
            loss.derivatives(self.y, raw, self.weight, self.gradients, self.hessians)
            steps = newton_steps(
                leaf, self.segments, self.gradients, self.hessians, options.rules.l2, leaves
            )
            values += steps
            if left:
                raw = raw.copy() if raw is self.raw else raw
                add_values(leaf, self.segments, steps, raw)
        return values

    def update(
        self, structure: Structure, loss: Loss, options: Options
    ) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
        """Add a tree; returns what it adds (n_segments, n_outputs, 2 ** depth), and the leaves."""
        leaf = leaf_numbers(self.codes, structure)
        values = options.learning_rate * self.values(leaf, loss, options)
        add_values(leaf, self.segments, values, self.raw)
        return values, leaf


def segments(n: int) -> NDArray[np.int64]:
    """Bodies of b, 2b, 4b, … rows, each with a tail as long (the last one's ends with the rows)."""
    body, start = max(1, min(100, n // 50)), 0
    parts = []
    while body < n:
        end = min(2 * body, n)
        parts.append((start, body, end))
        start, body = start + end, end
    return np.array(parts or [(0, n, n)], np.int64)


class Boosted(NamedTuple):
    """The trees: questions by the number of column and cut, values, and the rows' weight in leaves.

    `feature` and `cut` int64 (n_trees, depth), `values` float64 (n_trees, n_outputs, 2 ** depth),
    `cover` float64 (n_trees, 2 ** depth).
    """

    feature: NDArray[np.int64]
    cut: NDArray[np.int64]
    values: NDArray[np.float64]
    cover: NDArray[np.float64]


def boost(
    folds: list[Fold],
    final: Fold,
    starts: NDArray[np.int64],
    loss: Loss,
    options: Options,
    rng: np.random.Generator,
) -> Boosted:
    """Add tree after tree.

    Parameters
    ----------
    folds : the permutations that structures are chosen on.
    final : the rows that give the kept leaf values; it may be the only one of the folds.
    starts : column f has the cuts `starts[f]` to `starts[f + 1]`.
    """
    n, leaves = final.codes.shape[1], 2**options.depth
    others = [fold for fold in folds if fold is not final]
    model = Boosted(
        np.zeros((options.iterations, options.depth), np.int64),
        np.zeros((options.iterations, options.depth), np.int64),
        np.zeros((options.iterations, len(final.raw), leaves)),
        np.zeros((options.iterations, leaves)),
    )
    for t in range(options.iterations):
        fold = folds[rng.integers(len(folds))]
        loss.derivatives(fold.y, fold.raw, fold.weight, fold.gradients, fold.hessians)
        spread = np.sqrt(np.vdot(fold.gradients, fold.gradients) / len(fold.y))
        weights = draw_weights(fold, options, rng)
        noise = np.zeros((options.depth, starts[-1]))
        if options.random_strength:
            # The noise fades as the model grows.
            left = n * np.exp(-t * options.learning_rate)
            rng.standard_normal(out=noise)
            noise *= options.random_strength * spread * left / (1.0 + left)
        structure = grow(
            fold.codes, fold.gradients, weights, fold.segments, starts, noise, options.rules
        )
        for other in others:
            other.update(structure, loss, options)
        values, leaf = final.update(structure, loss, options)
        model.feature[t], model.cut[t] = structure
        model.values[t] = values[0]
        model.cover[t] = np.bincount(leaf, final.weight, leaves)
    return model


def draw_weights(fold: Fold, options: Options, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the rows' weights for a tree (n_virtual,), and multiply the gradients by them."""
    n = len(fold.y)
    if options.bootstrap == "MVS" and options.subsample < 1.0:
        size = np.sqrt(np.einsum("kn,kn->n", fold.gradients, fold.gradients))
        size = np.sqrt(size**2 + size.mean() ** 2)
        kept = np.minimum(size / threshold(size, options.subsample), 1.0)
        drawn = np.where(rng.random(n, np.float32) < kept, 1.0 / kept, 0.0).astype(np.float32)
    elif options.bootstrap == "Bayesian" and options.bagging_temperature > 0.0:
        drawn = rng.standard_exponential(n, np.float32) ** np.float32(options.bagging_temperature)
    else:
        drawn = None
    if drawn is not None:
        for start, body, end in fold.segments:
            if body < end:  # the means are taken from all rows of the body, and scored on a draw
                drawn[start : start + body] = 1.0
        fold.gradients *= drawn
    if fold.weight is not None:
        weights = fold.weight.astype(np.float32)
        return weights if drawn is None else weights * drawn
    return np.ones(n, np.float32) if drawn is None else drawn


@njit(cache=True, nogil=True)
def threshold(size: NDArray, share: float) -> float:
    """The μ for which Σ min(1, size / μ) is a share of the rows (minimal variance sampling).

    Rows above μ are always kept; leaving them out and dividing again converges from below.
    """
    total, wanted = 0.0, share * len(size)
    for x in size:
        total += x
    mu = total / wanted
    for _ in range(100):
        rest, certain = 0.0, 0
        for x in size:
            if x < mu:
                rest += x
            else:
                certain += 1
        if rest <= 0.0 or certain >= wanted:
            break
        again = rest / (wanted - certain)
        if abs(again - mu) <= 1e-6 * mu:
            break
        mu = again
    return max(mu, 1e-30)
