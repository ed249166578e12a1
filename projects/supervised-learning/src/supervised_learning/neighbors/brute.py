r"""Nearest neighbors by looking at every point.

All $m n$ distances cost $O(m n d)$, but they come as one matrix product. With the points centered,

$$\|q - x\|^2 = \|q\|^2 + 2 s, \qquad s = \tfrac12 \|x\|^2 - q \cdot x,$$

and BLAS computes a block of the scores $s$ at nearly the speed of the hardware, in single precision
twice as fast again. Differences of large numbers lose digits, so the scores do not decide. They
only rule out. With $u = 2^{-24}$, the unit of float32, rounding the points and the product of
$d + 1$ terms changes $\|q - x\|^2$ by at most $(d + 5) u (\|q\| + \|x\|)^2$ to first order. That is
at most $\delta (\|q\|^2 + \|x\|^2)$ with $\delta = 2.1 (d + 6) u$, so with both norms shrunk by
$1 - \delta$ the score gives a lower bound of the squared distance. A point whose bound lies above
the k-th best distance so far is passed over; for one that remains (about $k \log(n / k)$ a query)
the distance is computed from the differences in double precision. The result is exact, ties
included.

N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, section 3.1 (the bound on
inner products).
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from supervised_learning.neighbors.heap import before, empty_heaps, replace_root, sort_heaps
from supervised_learning.neighbors.metrics import add_term, reduced_distance, take_roots

_QUERIES = 256  # a block of scores is 256 × 2048 float32: 2 MB, which stays in the cache
_POINTS = 2048
_STRIP = 32
_FEW_QUERIES = 8  # the points are not worth preparing for fewer


def brute_kneighbors(X: NDArray, Q: NDArray, k: int, p: float) -> tuple[NDArray, NDArray]:
    """The k nearest points of X (n, d) to each query of Q (m, d) in the Minkowski distance p.

    Returns distances float64 and indices int64, both of shape (m, k), nearest first; points at the
    same distance come in the order of X. k is at most n.
    """
    distances, indices = empty_heaps(len(Q), k, len(X))
    scale = np.nan
    if p == 2.0 and len(Q) >= _FEW_QUERIES:
        with np.errstate(over="ignore", invalid="ignore"):
            center = X.mean(axis=0, dtype=np.float64)
            scale = max(_largest_norm(X, center), _largest_norm(Q, center)) or 1.0
    if np.isfinite(scale):
        _filter(X, Q, center, scale, distances, indices)
    else:
        columns = np.ascontiguousarray(X.T)
        _scan(columns, Q, float(p), distances, indices)
    sort_heaps(distances, indices)
    take_roots(distances, float(p))
    return distances, indices


def _largest_norm(X: NDArray, center: NDArray) -> float:
    return float(np.sqrt(_squared_norms(X, center).max()))


@njit(cache=True, nogil=True)
def _squared_norms(X: NDArray, center: NDArray) -> NDArray:
    norms = np.zeros(X.shape[0])
    for i in range(X.shape[0]):
        norms[i] = reduced_distance(X[i], center, 2.0)
    return norms


def _filter(
    X: NDArray, Q: NDArray, center: NDArray, scale: float, distances: NDArray, indices: NDArray
) -> None:
    """Fill the heaps: scores of blocks rule points out, exact distances decide on the others.

    Blocks of queries are shared out among as many threads as BLAS has, which then gets one each:
    the products are too small to be split.
    """
    n, d = X.shape
    delta = 2.1 * (d + 6) * 2.0**-24
    points = _round(X, center, scale)
    norms = np.einsum("ij,ij->i", points[:, :d], points[:, :d], dtype=np.float64)
    points[:, d] = 0.5 * (1.0 - delta) * norms
    points[:, :d] *= -1.0

    def search(first: int) -> None:
        rows = slice(first, min(first + _QUERIES, len(Q)))
        q = _round(Q[rows], center, scale)
        lengths = np.einsum("ij,ij->i", q[:, :d], q[:, :d], dtype=np.float64) * (1.0 - delta)
        scores = np.empty((len(q), min(_POINTS, n)), dtype=np.float32)
        for start in range(0, n, _POINTS):
            block = scores[:, : min(_POINTS, n - start)]
            np.matmul(q, points[start : start + _POINTS].T, out=block)
            _decide(block, start, X, Q[rows], lengths, scale, distances[rows], indices[rows])

    controller = _thread_controller()
    workers = max((pool["num_threads"] for pool in controller.info()), default=1)
    with controller.limit(limits=1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(search, range(0, len(Q), _QUERIES)):
            pass


@cache
def _thread_controller() -> ThreadpoolController:
    """The BLAS libraries of this process; looking for them takes milliseconds."""
    return ThreadpoolController().select(user_api="blas")


def _round(X: NDArray, center: NDArray, scale: float) -> NDArray[np.float32]:
    """The points relative to center and scale in single precision, and a column of 1."""
    rounded = np.ones((len(X), X.shape[1] + 1), dtype=np.float32)
    for start in range(0, len(X), 4096):
        part = slice(start, start + 4096)
        rounded[part, :-1] = (X[part] - center) / scale
    return rounded


@njit(cache=True, nogil=True)
def _decide(
    scores: NDArray,
    start: int,
    X: NDArray,
    Q: NDArray,
    lengths: NDArray,
    scale: float,
    distances: NDArray,
    indices: NDArray,
) -> None:
    """Take into the heaps what a block of scores (m, b) does not rule out."""
    n_queries, width = scores.shape
    k = distances.shape[1]
    for row in range(n_queries):
        score, distance, index = scores[row], distances[row], indices[row]
        limit = _limit(distance[0], lengths[row], scale)
        for left in range(0, width, _STRIP):
            right = min(left + _STRIP, width)
            if right - left == _STRIP and _lowest(score, left) > limit:
                continue
            for j in range(left, right):
                if score[j] > limit:
                    continue
                exact = reduced_distance(X[start + j], Q[row], 2.0)
                if before(exact, start + j, distance[0], index[0]):
                    replace_root(distance, index, k, exact, start + j)
                    limit = _limit(distance[0], lengths[row], scale)


@njit(cache=True, nogil=True)
def _limit(distance: float, length: float, scale: float) -> np.float32:
    """The score above which a point is farther away than the squared distance; rounded up."""
    limit = 0.5 * (distance / scale / scale - length)
    return np.float32(limit + 1e-6 * abs(limit) + 1e-30)


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _lowest(score: NDArray, left: int) -> float:
    """The lowest score of a strip: one vector instruction for many points."""
    lowest = score[left]
    for j in range(left + 1, left + _STRIP):
        lowest = score[j] if score[j] < lowest else lowest
    return lowest


@njit(cache=True, nogil=True)
def _scan(columns: NDArray, Q: NDArray, p: float, distances: NDArray, indices: NDArray) -> None:
    """Fill the heaps with exact distances; `columns` is X transposed (d, n).

    A strip of points goes through one feature after the other, which vector instructions do for
    several points at once.
    """
    d, n = columns.shape
    k = distances.shape[1]
    strip = np.empty(128)
    for row in range(Q.shape[0]):
        for start in range(0, n, len(strip)):
            width = min(len(strip), n - start)
            strip[:] = 0.0
            for f in range(d):
                value = np.float64(Q[row, f])
                column = columns[f, start : start + width]
                if p == 2.0:
                    for j in range(width):
                        strip[j] = add_term(strip[j], column[j] - value, 2.0)
                elif p == 1.0:
                    for j in range(width):
                        strip[j] = add_term(strip[j], column[j] - value, 1.0)
                else:
                    for j in range(width):
                        strip[j] = add_term(strip[j], column[j] - value, p)
            for j in range(width):
                if before(strip[j], start + j, distances[row, 0], indices[row, 0]):
                    replace_root(distances[row], indices[row], k, strip[j], start + j)
