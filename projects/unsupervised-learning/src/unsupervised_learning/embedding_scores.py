r"""How true a map is to the data: neighbors that were invented, lost or kept, and distances.

A map in two dimensions cannot keep everything, so it is scored for what it did. Let $r(i, j)$ be
the rank of j among the neighbors of i in the data (1 is the nearest), $\hat r(i, j)$ that in the
map, and $N_k$, $\hat N_k$ the k nearest. Then

$$T = 1 - \frac{2}{n k (2 n - 3 k - 1)} \sum_i \sum_{j \in \hat N_k(i)} \max(0, r(i, j) - k)$$

is the trustworthiness: are the neighbors in the map real ones? The continuity is the same with data
and map exchanged: have real neighbors stayed together? The k-neighbor preservation is the share
$|N_k(i) \cap \hat N_k(i)| / k$. All three look at neighborhoods; the Shepard correlation,
Spearman's rank correlation of the distances in the data and in the map, looks at the whole.

A rank needs no sorting: it is one more than the number of points that lie nearer. So a block of
distances is counted against k thresholds and thrown away, and no (n, n) array is made. Points at
the same distance share the better rank.

Sources: J. Venna and S. Kaski, "Neighborhood Preservation in Nonlinear Projection Methods: An
Experimental Study", ICANN 2001. R. N. Shepard, "The Analysis of Proximities: Multidimensional
Scaling with an Unknown Distance Function", Psychometrika 27 (1962).
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_array, check_random_state

_BLOCK_BYTES = 2**24  # of distances at a time


def trustworthiness(
    X: ArrayLike, X_embedded: ArrayLike, *, n_neighbors: int = 5, metric: str = "euclidean"
) -> float:
    """Whether neighbors in the map are neighbors in the data.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features), or (n_samples, n_samples) for "precomputed"
        The data.
    X_embedded : array-like of shape (n_samples, n_components)
        The map.
    n_neighbors : int, default=5
        k, below n_samples / 2.
    metric : str, default="euclidean"
        The distance in the data; "precomputed" takes X as distances.

    Returns
    -------
    trustworthiness : float
        1 where no neighbor is invented; about 0.5 for a random map.

    Raises
    ------
    ValueError
        For NaN, different numbers of rows, or n_neighbors out of range.

    References
    ----------
    J. Venna and S. Kaski, "Neighborhood Preservation in Nonlinear Projection Methods: An
    Experimental Study", ICANN 2001.
    """
    data, embedded = _both(X, X_embedded, n_neighbors)
    return _kept_ranks(data, _nearest(embedded, n_neighbors), metric)


def continuity(X: ArrayLike, X_embedded: ArrayLike, *, n_neighbors: int = 5) -> float:
    """Whether neighbors in the data are neighbors in the map.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The data.
    X_embedded : array-like of shape (n_samples, n_components)
        The map.
    n_neighbors : int, default=5
        k, below n_samples / 2.

    Returns
    -------
    continuity : float
        1 where no neighbor is lost; about 0.5 for a random map.

    Raises
    ------
    ValueError
        For NaN, different numbers of rows, or n_neighbors out of range.

    References
    ----------
    J. Venna and S. Kaski, "Neighborhood Preservation in Nonlinear Projection Methods: An
    Experimental Study", ICANN 2001.
    """
    data, embedded = _both(X, X_embedded, n_neighbors)
    return _kept_ranks(embedded, _nearest(data, n_neighbors), "euclidean")


def neighbor_preservation(X: ArrayLike, X_embedded: ArrayLike, *, n_neighbors: int = 5) -> float:
    """The share of the k nearest neighbors in the data that are so in the map.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The data.
    X_embedded : array-like of shape (n_samples, n_components)
        The map.
    n_neighbors : int, default=5
        k, below n_samples / 2.

    Returns
    -------
    share : float
        Between 0 and 1; about k / n_samples for a random map.

    Raises
    ------
    ValueError
        For NaN, different numbers of rows, or n_neighbors out of range.
    """
    data, embedded = _both(X, X_embedded, n_neighbors)
    return _overlap(_nearest(data, n_neighbors), _nearest(embedded, n_neighbors))


def shepard_correlation(
    X: ArrayLike, X_embedded: ArrayLike, *, n_pairs: int = 200_000, random_state: Any = 0
) -> float:
    """Spearman's rank correlation of the distances in the data and in the map.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The data.
    X_embedded : array-like of shape (n_samples, n_components)
        The map.
    n_pairs : int, default=200_000
        Where there are more pairs of rows than this, so many are drawn.
    random_state : int, RandomState instance or None, default=0
        The source of the draw.

    Returns
    -------
    correlation : float
        1 where the order of the distances is kept.

    Raises
    ------
    ValueError
        For NaN, different numbers of rows, or fewer than three of them.

    References
    ----------
    R. N. Shepard, "The Analysis of Proximities: Multidimensional Scaling with an Unknown Distance
    Function", Psychometrika 27 (1962).
    """
    data, embedded = _both(X, X_embedded, 1)
    n = len(data)
    if n * (n - 1) // 2 <= n_pairs:
        first, second = np.triu_indices(n, 1)
    else:
        random = check_random_state(random_state)
        first = random.randint(n, size=n_pairs)
        second = (first + random.randint(1, n, size=n_pairs)) % n
    distances = [_pair_distances(space, first, second) for space in (data, embedded)]
    return float(spearmanr(*distances).statistic)


def _both(X: ArrayLike, X_embedded: ArrayLike, k: int) -> tuple[NDArray, NDArray]:
    data = check_array(X, dtype=np.float64, ensure_min_samples=3)
    embedded = check_array(X_embedded, dtype=np.float64, input_name="X_embedded")
    if len(data) != len(embedded):
        raise ValueError(f"the data has {len(data)} rows and the map {len(embedded)}")
    if not 1 <= k < len(data) / 2:
        raise ValueError(
            f"n_neighbors={k} should be at least 1 and less than n_samples / 2 = {len(data) / 2}"
        )
    return data, embedded


def _nearest(X: NDArray, k: int) -> NDArray[np.intp]:
    """The k nearest neighbors of each row, without itself: (n, k)."""
    return NearestNeighbors(n_neighbors=k).fit(X).kneighbors(return_distance=False)


def _kept_ranks(X: NDArray, neighbors: NDArray[np.intp], metric: str) -> float:
    """T: 1 for neighbors (n, k) that are the k nearest in X, less for higher ranks."""
    n, k = neighbors.shape
    block = max(1, _BLOCK_BYTES // (8 * n))
    excess = 0.0
    for first in range(0, n, block):
        rows = slice(first, first + block)
        if metric == "precomputed":
            distances = X[rows]
        else:
            distances = pairwise_distances(X[rows], X, metric=metric)
        excess += _excess_ranks(distances, neighbors[rows], first)
    return 1.0 - 2.0 * excess / (n * k * (2.0 * n - 3.0 * k - 1.0))


@njit(cache=True, nogil=True)
def _excess_ranks(distances: NDArray, neighbors: NDArray, first: int) -> float:
    """The sum of max(0, rank - k) over the neighbors; row i of the block is point first + i."""
    k = neighbors.shape[1]
    total = 0
    for i in range(len(neighbors)):
        row = distances[i]
        own = row[first + i]
        for j in neighbors[i]:
            limit = row[j]
            nearer = 0
            for other in range(len(row)):
                nearer += row[other] < limit
            nearer -= own < limit
            total += max(0, nearer + 1 - k)
    return total


@njit(cache=True, nogil=True)
def _overlap(a: NDArray, b: NDArray) -> float:
    """The mean share of a row's entries in `a` (n, k) that its row in `b` holds too."""
    n, k = a.shape
    common = 0
    for i in range(n):
        for j in a[i]:
            for other in b[i]:
                if j == other:
                    common += 1
                    break
    return common / (n * k)


@njit(cache=True, nogil=True)
def _pair_distances(X: NDArray, first: NDArray, second: NDArray) -> NDArray:
    """The Euclidean distances of pairs of rows."""
    result = np.empty(len(first))
    for pair in range(len(first)):
        total = 0.0
        for column in range(X.shape[1]):
            difference = X[first[pair], column] - X[second[pair], column]
            total += difference * difference
        result[pair] = np.sqrt(total)
    return result
