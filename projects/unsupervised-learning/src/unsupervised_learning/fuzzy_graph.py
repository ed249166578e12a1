r"""The fuzzy graph of UMAP: each point's neighbors, measured with the point's own ruler.

With $\rho_i$ the distance of point i to its nearest neighbor, an edge to j belongs to the graph
with the strength

$$a_{ij} = \exp(-\max(0, d_{ij} - \rho_i) / \sigma_i),$$

so that every point is fully tied to at least one other, and $\sigma_i$ is found by bisection, so
that the strengths of its k neighbors sum to $\log_2 k$: the ruler is short in a dense place and
long in a sparse one. The two ends see an edge with different strengths. The graph has it if either
has: with the strengths as probabilities, $W = A + A^\top - A \circ A^\top$, the union of fuzzy
sets.

Source: L. McInnes, J. Healy and J. Melville, "UMAP: Uniform Manifold Approximation and Projection
for Dimension Reduction", arXiv:1802.03426 (2018), algorithms 2 and 3.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import csr_array


@njit(cache=True, nogil=True)
def membership_strengths(distances: NDArray, wanted: float, connectivity: float) -> NDArray:
    """exp(-max(0, d - ρ) / σ) with the σ that makes each row sum to `wanted`.

    Parameters
    ----------
    distances : (n, k), sorted, of each point's neighbors.
    wanted : the sum of a row, log2 of the number of neighbors.
    connectivity : ρ is the distance to this nearest neighbor that is not a duplicate; between whole
        numbers it is interpolated, and 0 makes ρ = 0.
    """
    n, k = distances.shape
    strengths = np.empty((n, k), np.float32)
    overall = distances.mean()
    for i in range(n):
        row = distances[i]
        duplicates = 0
        while duplicates < k and row[duplicates] <= 0:
            duplicates += 1
        rho, whole = 0.0, int(connectivity)
        if duplicates < k and connectivity > 0:
            place = duplicates + whole  # of the neighbor after
            after = row[min(place, k - 1)]
            before = row[min(place - 1, k - 1)] if whole > 0 else 0.0
            rho = before + (connectivity - whole) * (after - before)
        sigma, low, high = 1.0, 0.0, np.inf
        for _ in range(64):
            total = 0.0
            for j in range(k):
                total += np.exp(-max(row[j] - rho, 0.0) / sigma)
            if abs(total - wanted) < 1e-5:
                break
            if total > wanted:
                high = sigma
                sigma = 0.5 * (low + high)
            else:
                low = sigma
                sigma = sigma * 2.0 if high == np.inf else 0.5 * (low + high)
        usual = row.mean() if rho > 0 else overall
        sigma = max(sigma, 1e-3 * usual, 1e-30)
        for j in range(k):
            strengths[i, j] = np.exp(-max(row[j] - rho, 0.0) / sigma)
    return strengths


def fuzzy_union(neighbors: NDArray, strengths: NDArray, mix: float = 1.0) -> csr_array:
    """The symmetric graph W (n, n) of the edges i → neighbors[i] of these strengths (n, k).

    `mix` goes from 0, the intersection (both ends see the edge), to 1, the union (either does).
    """
    n, k = neighbors.shape
    A = csr_array(
        (
            strengths.ravel(),
            neighbors.ravel().astype(np.int32),
            np.arange(0, n * k + 1, k, dtype=np.int32),
        ),
        shape=(n, n),
    )
    both = A.multiply(A.T)
    W = (mix * (A + A.T - both) + (1.0 - mix) * both).tocsr()
    W.eliminate_zeros()
    return W
