r"""K-means: the partition into k clusters with the least sum of squared distances to the means.

For rows $x_i$ with weights $w_i$, centers $c_1, \dots, c_k$ and labels $a_i$ the aim is to make

$$ J(a, c) = \sum_i w_i \lVert x_i - c_{a_i} \rVert^2 $$

small. With the centers fixed, $J$ is least where each row goes to its nearest center; with the
labels fixed, where each center is the weighted mean of its rows. Lloyd's iteration takes these two
steps in turns. Neither raises $J$ and there are finitely many partitions, so it ends, in a local
minimum that depends on where it began.

**The nearest center.** In

$$ \lVert x - c \rVert^2 = \lVert x \rVert^2 - 2 (x^T c - \lVert c \rVert^2 / 2) $$

the first term is the same for all centers: the nearest one has the largest
$x^T c - \lVert c \rVert^2 / 2$. For a block of rows that is one matrix product and a running
maximum; the block stays in the cache until its rows have been added to their clusters' sums. The
columns' means are taken off first, so that the norms are no larger than the differences.

**Fewer distances.** Elkan keeps an upper bound $u \ge d(x, c_a)$ and lower bounds
$l_j \le d(x, c_j)$, and loosens them by how far each center moves. By the triangle inequality
$c_j$ cannot be nearer than $c_a$ where $u \le l_j$ or $u \le d(c_a, c_j) / 2$. The labels are those
of Lloyd's; most distances are never computed.

Where to begin is the subject of `kmeans_seeding`, samples in place of all rows that of
`minibatch_kmeans`.

References: S. P. Lloyd, "Least squares quantization in PCM" (1982). C. Elkan, "Using the triangle
inequality to accelerate k-means" (2003).
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import get_num_threads, njit
from numpy.typing import NDArray

from unsupervised_learning.blas_threads import one_blas_thread
from unsupervised_learning.kmeans_seeding import rows_in_cache

# --- the two steps of Lloyd's iteration ----------------------------------------------------------


@njit(cache=True, nogil=True)
def _label_block(
    block: NDArray, columns: NDArray, half_norms: NDArray, scores: NDArray, labels: NDArray
) -> None:
    """labels[i] = the j with the largest x_i·c_j - |c_j|²/2, the first of equal ones.

    The centers are the `columns` (d, k): BLAS is quickest with the few of them on the right.
    """
    m, k = len(block), len(half_norms)
    products = scores[: m * k].reshape((m, k))
    np.dot(block, columns, products)
    for i in range(m):
        label, best = 0, products[i, 0] - half_norms[0]
        for j in range(1, k):
            score = products[i, j] - half_norms[j]
            # selections: no branch could be foretold
            label = j if score > best else label
            best = score if score > best else best
        labels[i] = label


@njit(cache=True, nogil=True)
def _nearest(X: NDArray, centers: NDArray, half_norms: NDArray, labels: NDArray) -> None:
    """The first step: every row goes to its nearest center."""
    (n, d), k = X.shape, len(centers)
    rows = rows_in_cache(n, d, k)
    scores = np.empty(k * rows, X.dtype)
    columns = np.ascontiguousarray(centers.T)
    for begin in range(0, n, rows):
        end = min(begin + rows, n)
        _label_block(X[begin:end], columns, half_norms, scores, labels[begin:end])


@njit(cache=True, nogil=True)
def lloyd_pass(
    X: NDArray,
    weight: NDArray,
    centers: NDArray,
    half_norms: NDArray,
    labels: NDArray,
    sums: NDArray,
    counts: NDArray,
) -> int:
    """Both steps: labels, and the weighted sum and count of every cluster's rows.

    Returns how many labels have changed.
    """
    (n, d), k = X.shape, len(centers)
    rows = rows_in_cache(n, d, k)
    scores = np.empty(k * rows, X.dtype)
    columns = np.ascontiguousarray(centers.T)
    nearest = np.empty(rows, labels.dtype)
    changed = 0
    for begin in range(0, n, rows):
        end = min(begin + rows, n)
        _label_block(X[begin:end], columns, half_norms, scores, nearest[: end - begin])
        for i in range(begin, end):
            j = nearest[i - begin]
            if labels[i] != j:
                labels[i] = j
                changed += 1
            counts[j] += weight[i]
            for column in range(d):
                sums[j, column] += weight[i] * X[i, column]
    return changed


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _squared_distance(X: NDArray, i: int, centers: NDArray, j: int) -> float:
    total = X.dtype.type(0)
    for column in range(X.shape[1]):
        total += (X[i, column] - centers[j, column]) ** 2
    return total


@njit(cache=True, nogil=True)
def inertia(X: NDArray, weight: NDArray, centers: NDArray, labels: NDArray) -> float:
    """The weighted sum of squared distances of the rows to their centers."""
    total = 0.0
    for i in range(len(X)):
        total += weight[i] * _squared_distance(X, i, centers, labels[i])
    return total


# --- the same two steps with Elkan's bounds ------------------------------------------------------


@njit(cache=True, nogil=True)
def _half_between(centers: NDArray) -> NDArray:
    """Half the distance of every two centers; ∞ from itself: a row never moves to its own."""
    k = len(centers)
    half = np.full((k, k), np.inf, centers.dtype)
    for a in range(k):
        for b in range(a):
            half[a, b] = half[b, a] = 0.5 * np.sqrt(_squared_distance(centers, a, centers, b))
    return half


@njit(cache=True, nogil=True)
def elkan_pass(
    X: NDArray,
    weight: NDArray,
    centers: NDArray,
    half_between: NDArray,
    moved: NDArray,
    upper: NDArray,
    lower: NDArray,
    labels: NDArray,
    sums: NDArray,
    counts: NDArray,
) -> int:
    """What `lloyd_pass` does; `moved[j]` is how far center j has gone since the last pass.

    A label of -1 says that the row has no bounds yet.
    """
    (n, d), k = X.shape, len(centers)
    changed = 0
    for i in range(n):
        before = labels[i]
        if before < 0:
            label, distance = 0, np.sqrt(_squared_distance(X, i, centers, 0))
            lower[i, 0] = distance
            for j in range(1, k):
                if distance > half_between[label, j]:
                    lower[i, j] = np.sqrt(_squared_distance(X, i, centers, j))
                    if lower[i, j] < distance:
                        label, distance = j, lower[i, j]
            bound = distance
        else:
            label, bound = before, upper[i] + moved[before]
            in_reach = 0
            for j in range(k):  # without branches: several centers in one instruction
                lower[i, j] -= moved[j]
                in_reach += (bound > lower[i, j]) & (bound > half_between[before, j])
            if in_reach:
                bound = np.sqrt(_squared_distance(X, i, centers, before))
                lower[i, before] = bound
                for j in range(k):
                    if bound > lower[i, j] and bound > half_between[label, j]:
                        lower[i, j] = np.sqrt(_squared_distance(X, i, centers, j))
                        if lower[i, j] < bound:
                            label, bound = j, lower[i, j]
        upper[i] = bound
        if label != before:
            labels[i] = label
            changed += 1
        counts[label] += weight[i]
        for column in range(d):
            sums[label, column] += weight[i] * X[i, column]
    return changed


# --- the iteration -------------------------------------------------------------------------------


def half_norms_of(centers: NDArray) -> NDArray:
    """|c|²/2 of every center, shape (n_clusters,)."""
    return 0.5 * np.einsum("jc,jc->j", centers, centers)


def nearest(X: NDArray, centers: NDArray) -> NDArray[np.int32]:
    """The number of the nearest center of every row, the first of equally near ones."""
    labels = np.empty(len(X), dtype=np.int32)
    with one_blas_thread():
        _nearest(X, centers, half_norms_of(centers), labels)
    return labels


def iterate(
    X: NDArray, weight: NDArray, centers: NDArray, max_iter: int, tol: float, elkan: bool
) -> tuple[NDArray, NDArray, float, int, bool]:
    """Repeat the two steps until no label changes or the centers move by at most `tol`.

    Many rows are taken in parts, by as many threads as Numba has; the sums do not depend on how
    many these are.

    Returns labels, centers, inertia, the number of iterations, and whether it converged.
    """
    (n, d), k = X.shape, len(centers)
    labels = np.full(n, -1, dtype=np.int32)
    if elkan:
        upper, lower = np.empty(n, X.dtype), np.zeros((n, k), X.dtype)
        moved = np.zeros(k, X.dtype)
    work = n * (d + k if elkan else d * k)
    parts = max(1, min(16, work // 2**19))  # about half a millisecond each
    edges = np.linspace(0, n, parts + 1).astype(int)
    part_sums, part_counts = np.empty((parts, k, d)), np.empty((parts, k))

    def assign(part: int) -> int:
        rows = slice(edges[part], edges[part + 1])
        part_sums[part], part_counts[part] = 0.0, 0.0
        begin = (X[rows], weight[rows], centers)
        end = (labels[rows], part_sums[part], part_counts[part])
        if elkan:
            return elkan_pass(*begin, between, moved, upper[rows], lower[rows], *end)
        return lloyd_pass(*begin, norms, *end)

    iteration, changed, converged = 0, n, False
    threads = min(parts, get_num_threads())
    pool = ThreadPoolExecutor(threads) if threads > 1 else None
    while iteration < max_iter and not converged:
        iteration += 1
        if elkan:
            between = _half_between(centers)
        else:
            norms = half_norms_of(centers)
        changed = sum((pool.map if pool else map)(assign, range(parts)))
        sums, counts = part_sums.sum(axis=0), part_counts.sum(axis=0)
        _fill_empty(X, weight, centers, labels, sums, counts)
        new = np.divide(sums, counts[:, None], where=counts[:, None] > 0, out=sums)
        new[counts <= 0] = new[np.argmax(counts)]
        new = new.astype(X.dtype)
        shifts = ((new - centers) ** 2).sum(axis=1)
        centers = new
        if elkan:
            moved = np.sqrt(shifts)
        converged = changed == 0 or bool(shifts.sum() <= tol)
    if pool:
        pool.shutdown()
    if changed:  # the labels belong to the centers before
        labels = nearest(X, centers)
    return labels, centers, inertia(X, weight, centers, labels), iteration, converged


def labels_and_inertia(
    X: NDArray, weight: NDArray, centers: NDArray
) -> tuple[NDArray[np.int32], float]:
    """The nearest center of every row, and the weighted sum of squared distances to them."""
    labels = nearest(X, centers)
    return labels, inertia(X, weight, centers, labels)


def _fill_empty(
    X: NDArray, weight: NDArray, centers: NDArray, labels: NDArray, sums: NDArray, counts: NDArray
) -> None:
    """Give each cluster without rows the row that lies farthest from its own center."""
    empty = np.flatnonzero(counts == 0)
    if not len(empty):
        return
    distances = ((X - centers[labels]) ** 2).sum(axis=1)
    if distances.max() == 0:  # fewer distinct rows than clusters
        return
    farthest = np.argpartition(distances, -len(empty))[-len(empty) :][::-1]
    for cluster, row in zip(empty, farthest, strict=True):
        share = weight[row] * X[row]
        sums[labels[row]] -= share
        counts[labels[row]] -= weight[row]
        sums[cluster], counts[cluster] = share, weight[row]
