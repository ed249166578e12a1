r"""The parts of t-SNE: the probabilities in the data, the attraction, the step, the divergence.

The bandwidth $\beta$ of a point is found by bisection. With $p_j = e^{-\beta d_j^2} / S$ the
entropy is

$$H = \log S + \beta \sum_j p_j d_j^2,$$

which falls as $\beta$ grows, from the logarithm of the number of neighbors to that of the number of
nearest ones. All distances may lose the nearest one's, which changes no p and keeps S from 0.

Maps are stored an axis after the other, (n_components, n): the loops over neighbors then run over
plain arrays. The mathematics of the rest is in `unsupervised_learning.tsne`.

Source: L. van der Maaten and G. Hinton, "Visualizing Data Using t-SNE", Journal of Machine Learning
Research 9 (2008).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unsupervised_learning.barnes_hut import REORDER
from unsupervised_learning.pca import PCA


def joint_probabilities(neighbors: NDArray, distances: NDArray, perplexity: float) -> csr_array:
    """The symmetric P as a sparse matrix (n, n), of sum 1.

    Parameters
    ----------
    neighbors, distances : (n, k), each point's neighbors and how far they are.
    perplexity : the soft number of neighbors.
    """
    n, k = neighbors.shape
    conditional = conditional_probabilities(distances.astype(np.float64), perplexity)
    P = csr_array(
        (
            conditional.ravel(),
            neighbors.ravel().astype(np.int32),
            np.arange(0, n * k + 1, k, dtype=np.int32),
        ),
        shape=(n, n),
    )
    P = (P + P.T).tocsr()
    P.data = (P.data / P.data.sum()).astype(np.float32)
    return P


@njit(cache=True, nogil=True)
def conditional_probabilities(distances: NDArray, perplexity: float) -> NDArray:
    """p(j | i) for the neighbors j of each i at these distances (n, k), each row of sum 1."""
    n, k = distances.shape
    P = np.empty((n, k))
    square = np.empty(k)
    wanted = np.log(perplexity)
    for i in range(n):
        nearest = distances[i].min()
        for j in range(k):  # a common factor of p changes nothing, and keeps it from vanishing
            square[j] = (distances[i, j] - nearest) * (distances[i, j] + nearest)
        beta, low, high = 1.0, 0.0, np.inf
        mean = square.mean()
        if mean > 0:
            beta = 1.0 / mean
        for _ in range(100):
            total = weighted = 0.0
            for j in range(k):
                P[i, j] = np.exp(-beta * square[j])
                total += P[i, j]
                weighted += P[i, j] * square[j]
            surplus = np.log(total) + beta * weighted / total - wanted  # of entropy
            if abs(surplus) < 1e-5:
                break
            if surplus > 0:
                low = beta
                beta = beta * 2.0 if high == np.inf else 0.5 * (low + high)
            else:
                high = beta
                beta = 0.5 * (low + high)
        P[i] /= total
    return P


def degrees_of_freedom(n_components: int) -> int:
    """ν of the map's t-distribution.

    L. van der Maaten, "Learning a Parametric Embedding by Preserving Local Structure" (2009).
    """
    return max(n_components - 1, 1)


def principal_scores(X: NDArray, k: int) -> NDArray[np.float64]:
    """The first k principal components (n, k) of X, or all if there are fewer."""
    centered = X - X.mean(axis=0, dtype=np.float64)
    return PCA(min(k, *X.shape), random_state=0).fit_transform(centered)


@njit(cache=True, nogil=True, fastmath=REORDER, error_model="numpy")
def attraction(indptr: NDArray, indices: NDArray, weights: NDArray, Y: NDArray) -> NDArray:
    """Σ_j p_ij t_ij (y_i - y_j) for each point: (n_components, n)."""
    d, n = Y.shape
    nu = np.float32(max(d - 1, 1))
    force = np.empty((d, n), np.float32)
    longest = 0
    for i in range(n):
        longest = max(longest, indptr[i + 1] - indptr[i])
    near = np.empty(longest, np.float32)
    apart = np.empty((d, longest), np.float32)
    for i in range(n):
        first, size = indptr[i], indptr[i + 1] - indptr[i]
        near[:size] = 1.0
        for axis in range(d):
            own, there, gap = Y[axis, i], Y[axis], apart[axis]
            for k in range(size):
                gap[k] = own - there[indices[first + k]]
                near[k] += gap[k] * gap[k] / nu
        for k in range(size):
            near[k] = weights[first + k] / near[k]
        for axis in range(d):
            gap = apart[axis]
            total = np.float32(0.0)
            for k in range(size):
                total += near[k] * gap[k]
            force[axis, i] = total
    return force


@njit(cache=True, nogil=True)
def divergence(indptr: NDArray, indices: NDArray, weights: NDArray, Y: NDArray, Z: float) -> float:
    """KL(P‖Q) = Σ p (log p - log w + log Z)."""
    d, n = Y.shape
    nu = max(d - 1, 1)
    total = 0.0
    for i in range(n):
        for k in range(indptr[i], indptr[i + 1]):
            p = float(weights[k])
            if p <= 0:
                continue
            square = 0.0
            for axis in range(d):
                gap = Y[axis, i] - Y[axis, indices[k]]
                square += gap * gap
            log_w = -0.5 * (nu + 1) * np.log1p(square / nu)
            total += p * (np.log(p) - log_w + np.log(Z))
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def update(
    Y: NDArray,
    gradient: NDArray,
    force: NDArray,
    total: float,
    velocity: NDArray,
    gains: NDArray,
    learning_rate: float,
    momentum: float,
) -> float:
    """One step of Y, in place; returns the norm of the gradient with its gains."""
    d, n = Y.shape
    nu = max(d - 1, 1)
    factor = np.float32(2.0 * (nu + 1.0) / nu)
    inverse, rate = np.float32(1.0 / total), np.float32(learning_rate)
    inertia = np.float32(momentum)
    norm = 0.0
    for axis in range(d):
        for i in range(n):
            slope = factor * (gradient[axis, i] - force[axis, i] * inverse)
            gain = gains[axis, i]
            if velocity[axis, i] * slope < 0:
                gain += np.float32(0.2)
            else:
                gain = max(gain * np.float32(0.8), np.float32(0.01))
            gains[axis, i] = gain
            slope *= gain
            norm += slope * slope
            velocity[axis, i] = inertia * velocity[axis, i] - rate * slope
            Y[axis, i] += velocity[axis, i]
    return np.sqrt(norm)
