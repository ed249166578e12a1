r"""All Euclidean distances between the rows of a matrix, made a tile at a time.

$\lVert x - y \rVert^2 = \lVert x \rVert^2 - 2 x^T y + \lVert y \rVert^2$ turns the work into one
matrix product. Done for all rows at once, the $n^2$ numbers travel to memory and back for the
product, for each sum, and for the root; in tiles that stay in the cache they are written once.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from unsupervised_learning.blas_threads import one_blas_thread


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _fill(X: NDArray, norms: NDArray, D: NDArray) -> None:
    n, height, width = len(X), 64, 512
    tile = np.empty(height * width)
    for top in range(0, n, height):
        rows = min(height, n - top)
        for left in range(0, n, width):
            columns = min(width, n - left)
            products = tile[: rows * columns].reshape((rows, columns))
            np.dot(X[top : top + rows], X[left : left + columns].T, products)
            for i in range(rows):
                norm, out = norms[top + i], D[top + i, left : left + columns]
                for j in range(columns):
                    squared = norm + norms[left + j] - 2 * products[i, j]
                    out[j] = np.sqrt(max(squared, 0.0))
    for i in range(n):
        D[i, i] = 0.0


def euclidean_matrix(X: NDArray) -> NDArray:
    """The distances between all rows, shape (n, n), in X's dtype; computed in float64."""
    centered = np.ascontiguousarray(X - X.mean(axis=0, dtype=np.float64))  # small: exact products
    D = np.empty((len(X), len(X)), X.dtype)
    with one_blas_thread():
        _fill(centered, np.einsum("ij,ij->i", centered, centered), D)
    return D
