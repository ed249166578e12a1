r"""Where k-means begins: k-means++, rows drawn far from each other.

The first center is drawn from all rows; each next one with probability proportional to
$w_i D(x_i)^2$, where $D(x)$ is the distance to the nearest center so far. The sum of squares $J$
that this seeding gives is in expectation within a factor $8 (\ln k + 2)$ of the least there is: a
cluster that has no center yet is likely to get one, as its rows hold most of the sum, and a lone
outlier is unlikely to, as it is only one row.

The greedy form used here draws $2 + \lfloor \ln k \rfloor$ candidates for each center and keeps
the one that lowers $J$ most. Squared distances come from one product a block of rows,
$\lVert x - c \rVert^2 = \lVert x \rVert^2 - 2 x^T c + \lVert c \rVert^2$.

D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding" (2007).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def rows_in_cache(n: int, d: int, k: int) -> int:
    """How many of n rows of d numbers, with k results each, stay in a second-level cache."""
    return min(n, max(64, 2**14 // (d + k)))


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _try_candidates(
    X: NDArray,
    norms: NDArray,
    weight: NDArray,
    candidates: NDArray,
    closest: NDArray,
    trial: NDArray,
) -> int:
    """trial[t, i] = the squared distance of row i to the nearest center if candidate t were one.

    Returns the candidate with the least weighted sum.
    """
    (n, d), trials = X.shape, len(candidates)
    rows = rows_in_cache(n, d, trials)
    columns, chosen_norms = np.ascontiguousarray(X[candidates].T), norms[candidates]
    scores = np.empty(trials * rows, X.dtype)
    potential = np.zeros(trials)
    for begin in range(0, n, rows):
        end = min(begin + rows, n)
        products = scores[: trials * (end - begin)].reshape((end - begin, trials))
        np.dot(X[begin:end], columns, products)
        for t in range(trials):
            total = 0.0
            for i in range(begin, end):
                distance = norms[i] - 2 * products[i - begin, t] + chosen_norms[t]
                distance = distance if distance < closest[i] else closest[i]
                distance = distance if distance > 0 else X.dtype.type(0)
                trial[t, i] = distance
                total += weight[i] * distance
            potential[t] += total
    return int(np.argmin(potential))


def kmeans_plusplus(
    X: NDArray,
    n_clusters: int,
    *,
    sample_weight: NDArray,
    random_state: np.random.RandomState,
    n_local_trials: int | None = None,
) -> tuple[NDArray, NDArray]:
    """Choose rows as the first centers by greedy k-means++.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float, C order
    n_clusters : how many are chosen.
    sample_weight : ndarray of shape (n_samples,), of X's dtype
    random_state : the generator that the rows are drawn with.
    n_local_trials : candidates for each center; None: 2 + ln(n_clusters), rounded down.

    Returns
    -------
    centers : ndarray of shape (n_clusters, n_features)
    indices : ndarray of shape (n_clusters,), the rows' numbers in X.

    Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding" (2007).
    """
    n = len(X)
    trials = n_local_trials or 2 + int(np.log(n_clusters))
    norms = np.einsum("ij,ij->i", X, X)
    indices = np.empty(n_clusters, dtype=np.intp)
    indices[0] = random_state.choice(n, p=sample_weight / sample_weight.sum())
    trial = np.empty((max(trials, 1), n), X.dtype)
    closest = np.full(n, np.inf, X.dtype)
    _try_candidates(X, norms, sample_weight, indices[:1], closest, trial[:1])
    closest[:] = trial[0]
    for cluster in range(1, n_clusters):
        cumulative = np.cumsum(sample_weight * closest)
        drawn = random_state.uniform(size=trials) * cumulative[-1]
        candidates = np.minimum(np.searchsorted(cumulative, drawn), n - 1)
        best = _try_candidates(X, norms, sample_weight, candidates, closest, trial)
        indices[cluster] = candidates[best]
        closest[:] = trial[best]
    return X[indices], indices
