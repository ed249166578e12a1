r"""Histograms of gradients: what a node has to know about its rows, bin by bin.

Let $g_i$ and $h_i$ be the first and second derivative of the loss of row $i$ at its present
prediction. All that a split search wants to know of a node's rows $I$ is, for each bin $b$ of each
column,

$$G_b = \sum_{i \in I,\, x_i \in b} g_i, \qquad H_b = \sum_{i \in I,\, x_i \in b} h_i,
\qquad n_b = \#\{i \in I : x_i \in b\}.$$

One pass over the node's codes gives them: $|I| \cdot d$ additions, which is where boosting spends
its time. Two things keep them few and quick.

- *Sibling subtraction.* A parent's histogram is the sum of its children's. So only the child with
  fewer rows is counted, and the other one is a difference; no row is counted in more than half of
  the levels above it.
- *Row order.* The codes of a row lie side by side, so that the row's derivatives are loaded once
  and one cache line brings all columns. Neighboring additions go to different columns, hence to
  different memory, and need not wait for one another, however few bins a column has.

The columns' histograms lie end to end in one array, column f from `offsets[f]` (`binning.Bins`).
Threads share the columns, not the rows: nothing has to be merged, and the sums come out the same
for every number of threads.

Source: Guolin Ke and others, *LightGBM: A highly efficient gradient boosting decision tree*, 2017.
"""

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

#: One bin: the sums of both derivatives and the number of rows.
BIN = np.dtype([("gradient", "f8"), ("hessian", "f8"), ("count", "u4")], align=True)


def empty_histograms(nodes: int, offsets: NDArray[np.uint32]) -> NDArray:
    """Room for the histograms of some nodes, `BIN` (nodes, offsets[-1]), not yet filled."""
    return np.empty((nodes, int(offsets[-1])), dtype=BIN)


@njit(cache=True, nogil=True)
def add_rows(
    codes: NDArray,
    rows: NDArray,
    gradients: NDArray,
    hessians: NDArray,
    offsets: NDArray,
    first: np.uint64,
    last: np.uint64,
    histogram: NDArray,
) -> None:
    """Count rows into the columns `first` ≤ f < `last` of a histogram, which is emptied before.

    Parameters
    ----------
    codes : uint8 (n, n_features), C order.
    rows : the node's rows, uint32, ascending for the sake of the cache. Unsigned numbers spare
        the test for a negative index.
    gradients, hessians : float32 (n,).
    offsets : uint32 (n_features + 1,), see `binning.Bins`.
    histogram : `BIN` (offsets[-1],).
    """
    for k in range(offsets[first], offsets[last]):
        histogram[k].gradient = 0.0
        histogram[k].hessian = 0.0
        histogram[k].count = 0
    for i in range(rows.size):
        row = rows[i]
        gradient, hessian = np.float64(gradients[row]), np.float64(hessians[row])
        for f in range(first, last):
            k = offsets[f] + codes[row, f]
            histogram[k].gradient += gradient
            histogram[k].hessian += hessian
            histogram[k].count += np.uint32(1)


@njit(cache=True, nogil=True)
def subtract_columns(
    parent: NDArray,
    child: NDArray,
    offsets: NDArray,
    first: np.uint64,
    last: np.uint64,
    sibling: NDArray,
) -> None:
    """`sibling` = `parent` - `child` in the columns `first` ≤ f < `last`; it may be `parent`."""
    for k in range(offsets[first], offsets[last]):
        sibling[k].gradient = parent[k].gradient - child[k].gradient
        sibling[k].hessian = parent[k].hessian - child[k].hessian
        sibling[k].count = parent[k].count - child[k].count


@njit(cache=True, nogil=True, parallel=True)
def build_histogram(
    codes: NDArray,
    rows: NDArray,
    gradients: NDArray,
    hessians: NDArray,
    offsets: NDArray,
    histogram: NDArray,
    threads: int,
) -> None:
    """Count a node's rows into a histogram of all columns; the threads share the columns.

    Parameters are those of `add_rows`, and `threads`: `numba.get_num_threads()`. The former content
    of `histogram` is lost.
    """
    n_features = codes.shape[1]
    blocks = min(threads, n_features)
    for block in prange(blocks):
        first = np.uint64(block * n_features // blocks)
        last = np.uint64((block + 1) * n_features // blocks)
        add_rows(codes, rows, gradients, hessians, offsets, first, last, histogram)


@njit(cache=True, nogil=True)
def subtract_histogram(parent: NDArray, child: NDArray, offsets: NDArray, sibling: NDArray) -> None:
    """`sibling` = `parent` - `child`, all columns; it may be written over `parent`."""
    n_features = np.uint64(len(offsets) - 1)
    subtract_columns(parent, child, offsets, np.uint64(0), n_features, sibling)
