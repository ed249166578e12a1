"""How far a map of embeddings may be believed, where the truth is known."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def distances(vectors: NDArray) -> NDArray[np.float64]:
    """Euclidean distances between the rows (n, width) → (n, n)."""
    points = np.asarray(vectors, np.float64)
    return np.sqrt(np.square(points[:, None, :] - points[None, :, :]).sum(axis=2))


def distance_agreement(vectors: NDArray, truth: NDArray[np.float64]) -> float:
    """Spearman's rank correlation of the distances of all pairs with the true ones, -1 to 1.

    Parameters
    ----------
    vectors : (n, width), n at least 3. truth : distances (n, n).

    Raises ValueError for shapes that do not fit.
    """
    n = len(vectors)
    if n < 3 or truth.shape != (n, n):
        raise ValueError(f"{n} vectors and truth {truth.shape}: n ≥ 3 and (n, n) are taken")
    pairs = np.triu_indices(n, 1)
    ranks = [pd.Series(apart[pairs]).rank() for apart in (distances(vectors), truth)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def neighbors_of_own_kind(vectors: NDArray, kind: NDArray[np.int64]) -> float:
    """The share of the vectors (n, width) whose nearest other vector is of the same kind (n,)."""
    apart = distances(vectors)
    np.fill_diagonal(apart, np.inf)
    return float((kind[apart.argmin(axis=1)] == kind).mean())
