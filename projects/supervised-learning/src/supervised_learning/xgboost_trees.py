r"""Grow and evaluate the trees of second-order boosting.

A round has, for every row, the gradient $g_i$ and the hessian $h_i$ of the loss at the present
margin. Let a leaf hold the rows $I$, and let $G = \sum_I g_i$ and $H = \sum_I h_i$. Its weight $w$
changes the objective by $G w + \tfrac12 (H + \lambda) w^2 + \alpha |w|$, which is least at

$$w^* = -\frac{S_\alpha(G)}{H + \lambda}, \qquad
S_\alpha(G) = \mathrm{sign}(G) \max(|G| - \alpha, 0),$$

and is $-\tfrac12 S_\alpha(G)^2 / (H + \lambda)$ there. So splitting a node into L and R is worth

$$\frac{S_\alpha(G_L)^2}{H_L + \lambda} + \frac{S_\alpha(G_R)^2}{H_R + \lambda}
- \frac{S_\alpha(G)^2}{H + \lambda},$$

twice the drop of the objective, and it has to be worth $\gamma$. Rows whose value is missing go to
one side together; a split is tried with either side, and the better one is its default direction.

This module grows a tree level by level on bins: the sums of a node, bin by bin, are its histogram;
the smaller child's is counted, the larger one's is the parent's less the smaller one's. The tree
that tries every threshold is in `xgboost_exact`.

Source: Tianqi Chen and Carlos Guestrin, *XGBoost: A scalable tree boosting system*, 2016.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from supervised_learning.histogram.binning import Bins, column_cuts, find_bins, join_cuts
from supervised_learning.histogram.histograms import BIN, add_rows, subtract_columns

#: A node; the right child follows the left one. A leaf leads to itself and takes every number to
#: the left, so that all rows walk equally many steps. Unsigned numbers spare the test for a
#: negative index.
NODE = np.dtype(
    [("left", "u4"), ("feature", "u4"), ("threshold", "f4"), ("missing_left", "u4")], align=True
)
#: The best split of a node: values in the bins up to `bin` go left.
SPLIT = np.dtype(
    [
        ("gain", "f8"),
        ("left_g", "f8"),  # the sums of the left child
        ("left_h", "f8"),
        ("feature", "u4"),
        ("bin", "u4"),
        ("missing_left", "u4"),
    ],
    align=True,
)

#: A gain below this is rounding.
LEAST_GAIN = 1e-6

#: Rows that walk down a tree together: their values stay in the nearest cache.
ROWS_AT_ONCE = 64


class Penalty(NamedTuple):
    """What holds a tree back."""

    max_depth: int
    learning_rate: float
    gamma: float
    min_child_weight: float
    alpha: float
    lambda_: float


class Sampling(NamedTuple):
    """The share of the columns that each level may use, and of these each node."""

    bylevel: float
    bynode: float


class Tree(NamedTuple):
    """A regression tree: nodes in breadth-first order, and what the fit knew of each.

    `nodes` has the type `NODE`. `value` is the weight times the learning rate, `gain` what the
    split was worth (0 in a leaf), `cover` the sum of hessians; float32 (n_nodes,) each.
    """

    nodes: NDArray
    value: NDArray
    gain: NDArray
    cover: NDArray
    depth: int


@njit(cache=True, nogil=True)
def score(g: float, h: float, penalty: Penalty) -> float:
    """Twice what the best weight gains in a leaf with the sums g and h."""
    if h <= 0.0:
        return 0.0
    g = max(abs(g) - penalty.alpha, 0.0)
    return g * g / (h + penalty.lambda_)


@njit(cache=True, nogil=True)
def weight(g: float, h: float, penalty: Penalty) -> np.float32:
    """The best weight of a leaf with the sums g and h, times the learning rate, as float32."""
    if h < penalty.min_child_weight or h <= 0.0:
        return np.float32(0.0)
    best = -np.sign(g) * max(abs(g) - penalty.alpha, 0.0) / (h + penalty.lambda_)
    return np.float32(best) * np.float32(penalty.learning_rate)


@njit(cache=True, nogil=True)
def new_tree(n: int, max_depth: int) -> Tree:
    """A root that is a leaf, with room for all the nodes that n rows and the depth allow."""
    size = 2 * n if max_depth > 30 else min(2 * n, 2 ** (max_depth + 1))
    nodes = np.empty(size, NODE)
    for i in range(size):
        make_leaf(nodes, i)
    zeros = np.zeros((3, size), np.float32)
    return Tree(nodes, zeros[0], zeros[1], zeros[2], 0)


@njit(cache=True, nogil=True)
def make_leaf(nodes: NDArray, node: int) -> None:
    """Let a node lead to itself."""
    nodes[node].left = node
    nodes[node].feature = 0
    nodes[node].threshold = np.inf
    nodes[node].missing_left = 1


@njit(cache=True, nogil=True)
def keep(tree: Tree, kept: NDArray) -> Tree:
    """The tree of the nodes that are kept (a whole tree), numbered anew; bool (n_nodes,)."""
    number = np.cumsum(kept) - 1
    chosen = np.flatnonzero(kept)
    nodes = tree.nodes[chosen]
    level = np.zeros(len(nodes), np.int64)
    for node in range(len(nodes)):
        nodes[node].left = number[nodes[node].left]
        if nodes[node].left > node:
            level[nodes[node].left : nodes[node].left + 2] = level[node] + 1
    return Tree(nodes, tree.value[chosen], tree.gain[chosen], tree.cover[chosen], level[-1])


@njit(cache=True, nogil=True)
def sample(columns: NDArray, share: float, rng: np.random.Generator) -> NDArray:
    """Keep a share of the columns that are True, at least one: bool (n_features,)."""
    if share == 1.0:
        return columns
    left = columns.sum()
    wanted = max(1, int(share * left))
    kept = np.zeros_like(columns)
    for j in np.flatnonzero(columns):
        if rng.random() * left < wanted:
            kept[j] = True
            wanted -= 1
        left -= 1
    return kept


class HistogramGrower:
    """Grows trees on the bins of X, float32 (n, d).

    With `approximate` the bins are found anew for every tree, such that each holds an equal part of
    the hessians: where the loss bends most, the cuts lie closest. Else they hold equal parts of the
    rows' weights, and are found once.
    """

    def __init__(
        self,
        X: NDArray[np.float32],
        sample_weight: NDArray | None,
        penalty: Penalty,
        sampling: Sampling,
        max_bin: int,
        approximate: bool,
        threads: int,
    ) -> None:
        self.X, self.penalty, self.sampling = X, penalty, sampling
        self.max_bin, self.approximate, self.threads = max_bin, approximate, threads
        if approximate:
            self.order = np.argsort(X, axis=0, kind="stable").T
            self.values = np.take_along_axis(X.T, self.order, axis=1)
        else:
            self.bins = find_bins(X, max_bin, sample_weight=sample_weight)
            self.codes = self.bins.transform(X)
        self.room = np.empty((0, 0), BIN), np.empty((0, 0), BIN)

    def __call__(
        self,
        gradients: NDArray[np.float32],
        hessians: NDArray[np.float32],
        columns: NDArray[np.bool_],
        rng: np.random.Generator,
        raw: NDArray[np.float64],
    ) -> Tree:
        """Grow a tree on some columns and add its values to the margins (n,)."""
        chosen = np.flatnonzero(columns)
        some = len(chosen) < len(columns)
        if self.approximate:
            part = self.X[:, chosen]
            bins = join_cuts(
                [column_cuts(self.values[f], self.max_bin, hessians[self.order[f]]) for f in chosen]
            )
            codes = bins.transform(part)
        elif some:
            bins = join_cuts([self.bins.of(int(f)) for f in chosen])
            codes = self.codes[:, chosen]
        else:
            bins, codes = self.bins, self.codes
        tree, self.room = grow(
            codes, thresholds(bins), bins.starts, bins.offsets, gradients, hessians,
            self.penalty, self.sampling, rng, self.threads, self.room, raw,
        )  # fmt: skip
        if some:
            tree.nodes["feature"] = chosen[tree.nodes["feature"]]
        return tree


def thresholds(bins: Bins) -> NDArray[np.float32]:
    """The smallest float32 above each cut: a float32 is less than it where it is not above."""
    nearest = bins.thresholds.astype(np.float32)
    above = np.nextafter(nearest, np.float32(np.inf))
    return np.where(nearest > bins.thresholds, nearest, above)


@njit(cache=True, nogil=True)
def grow(
    codes: NDArray,
    thresholds: NDArray,
    starts: NDArray,
    offsets: NDArray,
    gradients: NDArray,
    hessians: NDArray,
    penalty: Penalty,
    sampling: Sampling,
    rng: np.random.Generator,
    threads: int,
    room: tuple[NDArray, NDArray],
    raw: NDArray,
) -> tuple[Tree, tuple[NDArray, NDArray]]:
    """Grow one tree on binned columns and add its values to the margins.

    Parameters
    ----------
    codes, starts, offsets : the bins, see `histogram.binning.Bins`.
    thresholds : float32; what is less than a cut's threshold goes left.
    gradients, hessians : float32 (n,).
    room : two arrays for histograms, `BIN` (some nodes, offsets[-1]).
    raw : the margins (n,), changed in place.

    Returns the tree and the room, which may have grown.
    """
    n, d = codes.shape
    tree = new_tree(n, penalty.max_depth)
    size = len(tree.nodes)
    sums = np.zeros((size, 2))  # G and H of each node
    sums[0, 0] = gradients.astype(np.float64).sum()
    sums[0, 1] = hessians.astype(np.float64).sum()
    span = np.zeros((size, 2), np.int64)  # a node's rows are rows[span[0]:span[1]]
    rows, spare = np.arange(n).astype(np.uint32), np.empty(n, np.uint32)
    span[0, 1] = n
    parent = np.zeros(size, np.int64)  # the place in the level above
    above, here = room
    first, last, depth = 0, 1, 0
    while first < last and depth < penalty.max_depth:
        if len(here) < last - first or here.shape[1] != offsets[-1]:
            here = np.empty((last - first, offsets[-1]), BIN)
        columns = np.empty((last - first, d), np.bool_)
        level = sample(np.ones(d, np.bool_), sampling.bylevel, rng)
        for i in range(last - first):
            columns[i] = sample(level, sampling.bynode, rng)
        splits = search(
            codes, gradients, hessians, offsets, columns, penalty, threads,
            rows, span[first:last], sums[first:last], parent[first:last], above, here,
        )  # fmt: skip
        end = last
        for node in range(first, last):
            split = splits[node - first]
            if split.gain <= LEAST_GAIN or split.gain < penalty.gamma:
                continue
            f = split.feature
            cut = starts[f] + split.bin
            tree.nodes[node].left = end
            tree.nodes[node].feature = f
            tree.nodes[node].threshold = thresholds[cut] if cut < starts[f + 1] else np.inf
            tree.nodes[node].missing_left = split.missing_left
            tree.gain[node] = split.gain
            missing = offsets[f + 1] - offsets[f] - 1
            middle = divide(codes, split, missing, rows[span[node, 0] : span[node, 1]], spare)
            span[end] = span[node, 0], span[node, 0] + middle
            span[end + 1] = span[node, 0] + middle, span[node, 1]
            sums[end] = split.left_g, split.left_h
            sums[end + 1] = sums[node, 0] - split.left_g, sums[node, 1] - split.left_h
            parent[end : end + 2] = node - first
            end += 2
        first, last = last, end
        above, here = here, above
        depth += 1
    for node in range(last):
        tree.cover[node] = sums[node, 1]
        tree.value[node] = weight(sums[node, 0], sums[node, 1], penalty)
        if tree.nodes[node].left == node:
            for i in rows[span[node, 0] : span[node, 1]]:
                raw[i] += tree.value[node]
    return keep(tree, np.ones(last, np.bool_)), (above, here)


@njit(cache=True, nogil=True, parallel=True)
def search(
    codes: NDArray,
    gradients: NDArray,
    hessians: NDArray,
    offsets: NDArray,
    columns: NDArray,
    penalty: Penalty,
    threads: int,
    rows: NDArray,
    span: NDArray,
    sums: NDArray,
    parent: NDArray,
    above: NDArray,
    here: NDArray,
) -> NDArray:
    """The best split of every node of a level, `SPLIT` (nodes,); fills the level's histograms.

    Each thread has a block of columns, in all the nodes.
    """
    nodes, d = columns.shape
    blocks = min(threads, d)
    found = np.empty((blocks, nodes), SPLIT)
    for block in prange(blocks):
        search_columns(
            np.uint64(block * d // blocks), np.uint64((block + 1) * d // blocks),
            codes, gradients, hessians, offsets, columns, penalty,
            rows, span, sums, parent, above, here, found[block],
        )  # fmt: skip
    best = found[0]
    for block in range(1, blocks):
        for node in range(nodes):
            if found[block, node].gain > best[node].gain:
                best[node] = found[block, node]
    return best


@njit(cache=True, nogil=True)
def search_columns(
    begin: int,
    end: int,
    codes: NDArray,
    gradients: NDArray,
    hessians: NDArray,
    offsets: NDArray,
    columns: NDArray,
    penalty: Penalty,
    rows: NDArray,
    span: NDArray,
    sums: NDArray,
    parent: NDArray,
    above: NDArray,
    here: NDArray,
    found: NDArray,
) -> None:
    """The same for the columns `begin` ≤ f < `end`; fills `found`."""
    nodes = len(span)
    if nodes == 1:
        add_rows(codes, rows, gradients, hessians, offsets, begin, end, here[0])
    for left in range(0, nodes - 1, 2):
        small = left + (span[left, 1] - span[left, 0] > span[left + 1, 1] - span[left + 1, 0])
        large = 2 * left + 1 - small
        small_rows = rows[span[small, 0] : span[small, 1]]
        add_rows(codes, small_rows, gradients, hessians, offsets, begin, end, here[small])
        subtract_columns(above[parent[left]], here[small], offsets, begin, end, here[large])
    for node in range(nodes):
        found[node].gain = 0.0
        for f in range(begin, end):
            if columns[node, f]:
                histogram = here[node, offsets[f] : offsets[f + 1]]
                scan(histogram, f, sums[node, 0], sums[node, 1], penalty, found[node:])


@njit(cache=True, nogil=True)
def scan(
    histogram: NDArray, feature: int, g: float, h: float, penalty: Penalty, best: NDArray
) -> None:
    """Try each cut of a column, with the missing values right and left; betters `best[0]`."""
    missing = histogram[-1]
    bins = len(histogram) - 1
    parent = score(g, h, penalty)
    for missing_left in range(2 if missing.count > 0 else 1):
        left_g, left_h = 0.0, 0.0
        if missing_left:
            left_g, left_h = missing.gradient, missing.hessian
        # With the missing values right, even "there or missing" is a split: the last bin's cut.
        for b in range(bins if missing.count > 0 and not missing_left else bins - 1):
            left_g += histogram[b].gradient
            left_h += histogram[b].hessian
            right_h = h - left_h
            if left_h < penalty.min_child_weight or right_h < penalty.min_child_weight:
                continue
            gain = score(left_g, left_h, penalty) + score(g - left_g, right_h, penalty) - parent
            if gain > best[0].gain:
                best[0].gain = gain
                best[0].left_g, best[0].left_h = left_g, left_h
                best[0].feature = feature
                best[0].bin = b
                best[0].missing_left = missing_left


@njit(cache=True, nogil=True)
def divide(codes: NDArray, split: Any, missing: int, rows: NDArray, spare: NDArray) -> int:
    """Put the rows that go left before the others, both in order; returns how many go left."""
    left = right = 0
    for i in rows:
        code = codes[i, split.feature]
        goes_left = split.missing_left if code == missing else code <= split.bin
        rows[left] = i
        spare[right] = i
        left += goes_left
        right += 1 - goes_left
    rows[left:] = spare[:right]
    return left


class Forest(NamedTuple):
    """Trees end to end, for prediction; tree t belongs to the output t modulo their number."""

    nodes: NDArray
    value: NDArray
    starts: NDArray[np.int64]
    depths: NDArray[np.int64]

    @classmethod
    def of(cls, trees: Sequence[Tree]) -> "Forest":
        """Lay out the trees."""
        sizes = [len(tree.nodes) for tree in trees]
        return cls(
            np.concatenate([tree.nodes for tree in trees]),
            np.concatenate([tree.value for tree in trees]),
            np.cumsum([0, *sizes[:-1]]),
            np.array([tree.depth for tree in trees]),
        )


@njit(cache=True, nogil=True, parallel=True)
def predict(X: NDArray, forest: Forest, missing: bool, raw: NDArray) -> None:
    """Add the values of the trees to the margins raw (n_outputs, n); X is float32 (n, d).

    `missing` says whether X holds any NaN.
    """
    for part in prange(-(-len(X) // ROWS_AT_ONCE)):
        begin, end = part * ROWS_AT_ONCE, (part + 1) * ROWS_AT_ONCE
        walk(X[begin:end], forest, missing, raw[:, begin:end])


@njit(cache=True, nogil=True)
def walk(X: NDArray, forest: Forest, missing: bool, raw: NDArray) -> None:
    """Walk a few rows together down tree after tree."""
    n = len(X)
    at = np.empty(n, np.uint32)
    for t in range(len(forest.starts)):
        start = forest.starts[t]
        tree, weights = forest.nodes[start:], forest.value[start:]
        at[:] = 0
        for _ in range(forest.depths[t]):
            for i in range(n):
                node = tree[at[i]]
                right = not X[i, node.feature] < node.threshold
                if missing and np.isnan(X[i, node.feature]):
                    right = node.missing_left == 0
                at[i] = node.left + np.uint32(right)
        out = raw[t % len(raw)]
        for i in range(n):
            out[i] += weights[at[i]]
