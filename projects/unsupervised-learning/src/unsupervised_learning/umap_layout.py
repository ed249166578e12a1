r"""The map of UMAP: where it starts, the forces, and the stochastic descent.

In the map the strength of an edge of length r is $v(r) = (1 + a r^{2b})^{-1}$, with a and b fitted
to a curve that is 1 up to `min_dist` and then falls exponentially at the scale `spread`. The
descent lowers the cross-entropy between the graph W and these, an edge at a time. With $s = r^2$
the gradients of $\log v$ and $\log(1 - v)$ give the forces along $y_i - y_j$

$$f_+(s) = \frac{-2 a b s^{b - 1}}{1 + a s^b}, \qquad
  f_-(s) = \frac{2 \gamma b}{(\epsilon + s)(1 + a s^b)},$$

with $\epsilon$ = 0.001 against the pole. An edge is drawn in proportion to its strength and its
ends attract each other; for each draw, a few points picked at random repel the edge's head. It
begins at the eigenvectors of the graph's Laplacian, which place the large parts. New points are
drawn to their neighbors among the old ones, which stay.

Computing powers would take half of the time, so both forces are read from tables: straight lines
over the cells of a grid with 32 cells an octave of s, off by less than a thousandth. The bits of s
tell which cell that is: a float32 begins with its exponent.

Sources: L. McInnes, J. Healy and J. Melville, "UMAP: Uniform Manifold Approximation and Projection
for Dimension Reduction", arXiv:1802.03426 (2018), algorithms 4 and 5. Repulsion by a few random
points: T. Mikolov et al., "Distributed Representations of Words and Phrases and Their
Compositionality", NeurIPS 2013.
"""

import warnings

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from scipy.sparse import csr_array, diags_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackError, eigsh
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NearestNeighbors

from unsupervised_learning.nn_descent import random_below, random_bits
from unsupervised_learning.tsne_steps import principal_scores

_LIMIT = 4.0  # no coordinate moves farther than this times the learning rate
_BITS = 5  # of the mantissa: 2^5 cells an octave
_FIRST, _LAST = -32, 20  # the octaves of the table


def fit_curve(min_dist: float, spread: float) -> tuple[float, float]:
    """a and b for which 1 / (1 + a r^2b) is nearest to 1 up to min_dist, then exponential."""
    r = np.linspace(0, 3 * spread, 300)
    wanted = np.where(r < min_dist, 1.0, np.exp(-(r - min_dist) / spread))
    (a, b), _ = curve_fit(lambda r, a, b: 1.0 / (1.0 + a * r ** (2 * b)), r, wanted)
    return float(a), float(b)


def force_tables(a: float, b: float, gamma: float) -> tuple[NDArray, NDArray]:
    """Attraction and repulsion as lines c + m s over cells of s: (cells, 2) float32 each.

    The last cell, for all s beyond the grid, has m = 0.
    """
    octaves = np.exp2(np.arange(_FIRST, _LAST))[:, None]
    edges = np.append((octaves * (1.0 + np.arange(2**_BITS) / 2**_BITS)).ravel(), 2.0**_LAST)
    power = edges**b
    tables = []
    for force in (
        -2.0 * a * b * power / (edges * (1.0 + a * power)),
        2.0 * gamma * b / ((0.001 + edges) * (1.0 + a * power)),
    ):
        slope = np.append(np.diff(force) / np.diff(edges), 0.0)
        tables.append(np.column_stack([force - slope * edges, slope]).astype(np.float32))
    return tables[0], tables[1]


@njit(cache=True, nogil=True, inline="always")
def _force(table: NDArray, square: np.float32) -> np.float32:
    """The force at the squared distance s."""
    cell = int(np.float32(square).view(np.int32) >> (23 - _BITS)) - ((127 + _FIRST) << _BITS)
    cell = min(max(cell, 0), len(table) - 1)
    return table[cell, 0] + table[cell, 1] * square


@njit(cache=True, nogil=True, error_model="numpy")
def descend(
    Y: NDArray,
    heads: NDArray,
    tails: NDArray,
    period: NDArray,
    epochs: int,
    attraction: NDArray,
    repulsion: NDArray,
    rate: float,
    negatives: int,
    state: NDArray,
) -> None:
    """Move Y, float32 (n, d), in place.

    Parameters
    ----------
    heads, tails, period : edge e is drawn every `period[e]` epochs.
    attraction, repulsion : from `force_tables`.
    rate : of the first epoch; it falls to 0 on a line.
    negatives : how many random points repel the head for each draw.
    state : of the random numbers.
    """
    n, d = Y.shape
    due = period.copy()
    gap = np.empty(d, np.float32)
    for epoch in range(epochs):
        step = rate * np.float32(1.0 - epoch / epochs)
        for e in range(len(heads)):
            if due[e] > epoch:
                continue
            due[e] += period[e]
            i, j = heads[e], tails[e]
            pull = _force(attraction, _gap(Y, i, Y, j, gap))
            for axis in range(d):
                move = step * _clip(pull * gap[axis])
                Y[i, axis] += move
                Y[j, axis] -= move
            for _ in range(negatives):
                push = _force(repulsion, _gap(Y, i, Y, random_below(state, n), gap))
                for axis in range(d):
                    Y[i, axis] += step * _clip(push * gap[axis])


@njit(cache=True, nogil=True, error_model="numpy")
def place(
    fixed: NDArray,
    known: NDArray,
    neighbors: NDArray,
    strengths: NDArray,
    epochs: int,
    attraction: NDArray,
    repulsion: NDArray,
    rate: float,
    negatives: int,
    seed: int,
) -> NDArray:
    """Places (m, d) for new points in the map `fixed` (n, d) of the old ones.

    `neighbors` and `strengths` (m, k) are the edges to old points; `known` (m,) is the old point
    that the new one is the same as, or -1. Each has a stream of random numbers of its own, so that
    its place depends on no other.
    """
    m, k = neighbors.shape
    n, d = fixed.shape
    Y = np.zeros((m, d), np.float32)
    gap, due = np.empty(d, np.float32), np.empty(k, np.float32)
    state = np.empty(1, np.uint64)
    for i in range(m):
        if known[i] >= 0:
            Y[i] = fixed[known[i]]
            continue
        total, strongest = strengths[i].sum(), strengths[i].max()
        for slot in range(k):
            Y[i] += strengths[i, slot] / total * fixed[neighbors[i, slot]]
        due[:] = 0
        state[0] = np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(neighbors[i, 0])
        random_bits(state)
        for epoch in range(epochs):
            step = rate * np.float32(1.0 - epoch / epochs)
            for slot in range(k):
                if due[slot] > epoch or strengths[i, slot] * epochs < strongest:
                    continue
                due[slot] += strongest / strengths[i, slot]
                pull = _force(attraction, _gap(Y, i, fixed, neighbors[i, slot], gap))
                for axis in range(d):
                    Y[i, axis] += step * _clip(pull * gap[axis])
                for _ in range(negatives):
                    push = _force(repulsion, _gap(Y, i, fixed, random_below(state, n), gap))
                    for axis in range(d):
                        Y[i, axis] += step * _clip(push * gap[axis])
    return Y


@njit(cache=True, nogil=True, inline="always")
def _gap(Y: NDArray, i: int, other: NDArray, j: int, gap: NDArray) -> np.float32:
    """The way from point j of `other` to point i of Y, into `gap`; returns its squared length."""
    square = np.float32(0.0)
    for axis in range(len(gap)):
        gap[axis] = Y[i, axis] - other[j, axis]
        square += gap[axis] * gap[axis]
    return square


@njit(cache=True, nogil=True, inline="always")
def _clip(value: np.float32) -> np.float32:
    return min(max(value, np.float32(-_LIMIT)), np.float32(_LIMIT))


def spectral_layout(
    graph: csr_array, X: NDArray, d: int, random: np.random.RandomState
) -> NDArray[np.float64]:
    """The first eigenvectors of the graph's normalized Laplacian, but the constant: (n, d).

    Each connected part is laid out alone, at the place of its mean in the first principal
    components of the parts' means, and made small enough to leave the others room.
    """
    parts, labels = connected_components(graph, directed=False)
    if parts == 1:
        return _laplacian_eigenvectors(graph, d, random)
    means = np.array([X[labels == part].mean(axis=0) for part in range(parts)], dtype=np.float64)
    scores = principal_scores(means, d)
    centers = np.zeros((parts, d))
    centers[:, : scores.shape[1]] = scores
    if (largest := np.abs(centers).max()) > 0:
        centers /= largest
    centers += random.normal(scale=0.1, size=centers.shape)
    gaps = NearestNeighbors(n_neighbors=1).fit(centers).kneighbors()[0][:, 0]
    result = np.empty((len(X), d))
    for part in range(parts):
        here = np.flatnonzero(labels == part)
        layout = _laplacian_eigenvectors(graph[here][:, here], d, random)
        result[here] = centers[part] + 0.5 * gaps[part] * layout / np.abs(layout).max()
    return result


def _laplacian_eigenvectors(
    graph: csr_array, d: int, random: np.random.RandomState
) -> NDArray[np.float64]:
    """Those of D^-1/2 W D^-1/2 with the largest eigenvalues below 1; random for a few rows."""
    n = graph.shape[0]
    if n <= 2 * d + 2:
        return random.uniform(-1, 1, (n, d))
    root = np.sqrt(graph.sum(axis=0))
    scale = diags_array(1.0 / root)
    affinity = (scale @ graph @ scale).astype(np.float64)
    try:
        values, vectors = eigsh(
            affinity,
            k=d + 1,
            which="LA",
            ncv=min(n, max(2 * d + 3, int(np.sqrt(n)))),
            tol=1e-4,
            v0=random.uniform(size=n),
            maxiter=5 * n,
        )
    except ArpackError:
        warnings.warn(
            "the eigenvectors of the graph were not found, and the map starts at random places; "
            "init='pca' needs none",
            ConvergenceWarning,
            stacklevel=2,
        )
        return random.uniform(-1, 1, (n, d))
    return vectors[:, np.argsort(-values)[1:]]
