r"""Sparse message passing for inference, in one pass over the graph for each layer.

A layer of GCN or of GraphSAGE with the mean is $H' = \mathrm{relu}(s \odot A (H W) + \ldots)$, with
a factor $s_i$ for each node. Done operator by operator it stores a message for each edge, which for
a million edges and 64 features is 256 MB written and read. Here

- *the factors leave the edges*: $\tilde D^{-1/2} A \tilde D^{-1/2} Z$ is a sum of rows, each with
  one factor before and one after; an edge costs four bytes and the row that it points to;
- *the sum stays in the core*: a node's row is summed up in the first-level cache, gets its bias and
  its nonlinearity there, and is *multiplied by the next layer's weights there*, so that the hidden
  features of the graph never stand in memory; only the shorter rows that follow do;
- *rows are as short as may be*: the map comes before the sum where it makes them shorter. In 16
  bits, each row in steps of $2^{-15}$ of its largest number, rows are half as long, and the sum is
  that of float32 to four digits and more; in int8 they are a quarter as long, 64 features one cache
  line, and the sum is near;
- *work is cut by edges*, not by nodes: a thread's part holds as many edges as another's, however
  the degrees are distributed;
- *rows are asked for before they are needed*: where the next neighbor lies is known long before,
  but not to the processor, which would wait for one row after the other;
- *nodes may be put in order of their degree*: what is read most lies together, but rows are no
  longer read in the order in which they lie. It has to be measured; at a million nodes it costs.

What the sum must move is the roof: $4 m$ bytes of indices and, where no row stays in a cache, the
row of each edge: see `traffic.fused_bytes`.
"""

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from graph_nets.intrinsics import LANES, add_sixteen, prefetch

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]
#: Rows that neighbors send, (n, features): float32, or int16 with a factor for each row.
Rows = Any

#: Parts for each thread: few enough to cost nothing, enough to even out what caches do.
PARTS = 16
#: Nodes whose hidden rows stand in the first-level cache until they are mapped.
BLOCK = 64
#: Multiply-adds of a product that the library does not share among threads of its own.
ALONE = 1 << 18
#: How far ahead rows are fetched, and what the memory brings at once.
AHEAD_BYTES, LINE_BYTES = 2048, 64
#: The largest number of float32: neither NaN nor infinity is at most that.
LARGEST = np.finfo(np.float32).max


def parts_of(pointers: Integers, threads: int) -> NDArray[np.int64]:
    """Rows that begin each part, so that all parts have about as many edges (and rows)."""
    work = pointers.astype(np.int64) + np.arange(len(pointers))
    wanted = np.linspace(0, work[-1], PARTS * threads + 1)
    return np.searchsorted(work, wanted).astype(np.int64)


@njit(inline="always")
def ask_for(z: Rows, i: int, width: int) -> None:
    """Ask for row i, line by line."""
    line = LINE_BYTES // z.itemsize
    for k in range((width + line - 1) // line):
        prefetch(z, i, k * line)


@njit(inline="always")
def add_units(
    z: NDArray[np.int8], sources: Integers, begin: int, end: int, total: Integers
) -> None:
    """Add the rows of the edges from `begin` to `end` to `total`, as far as it is long.

    While one row is added, a later one is asked for.
    """
    width, last = len(total), len(sources) - 1
    ahead = max(8, AHEAD_BYTES // (width * z.itemsize))
    for e in range(begin, end):
        ask_for(z, sources[min(e + ahead, last)], width)
        row = z[sources[e]]
        for f in range(width):
            total[f] += row[f]


@njit(inline="always")
def add_rows(
    z: Rows, factor: Floats, sources: Integers, begin: int, end: int, total: Floats
) -> None:
    """The same with a factor for each row."""
    width, last = len(total), len(sources) - 1
    whole = width - width % LANES
    ahead = max(8, AHEAD_BYTES // (width * z.itemsize))
    for e in range(begin, end):
        ask_for(z, sources[min(e + ahead, last)], width)
        source = sources[e]
        times = factor[source]
        for f in range(0, whole, LANES):
            add_sixteen(total, f, z, source, times)
        for f in range(whole, width):
            total[f] += times * np.float32(z[source, f])


@njit(inline="always")
def write_row(
    row: Floats, times: np.float32, short: bool, out: Rows, factor: Floats, i: int
) -> None:
    """`times` row as row i of `out`, of the factor i; `short`: in steps of the largest number.

    No step tells a NaN or an infinity: a short row that holds one has the factor NaN.
    """
    if short:
        largest, spoilt = np.float32(1e-30), 0
        for f in range(len(row)):
            largest = max(largest, abs(row[f]))
            spoilt |= not abs(row[f]) <= LARGEST
        steps = np.float32(32767.0) / largest
        for f in range(len(row)):
            out[i, f] = np.rint(row[f] * steps)
        factor[i] = np.float32(np.nan) if spoilt else times / steps
    else:
        for f in range(len(row)):
            out[i, f] = row[f]
        factor[i] = times


@njit(parallel=True, cache=True)
def write_rows(rows: Floats, times: Floats, short: bool, out: Rows, factor: Floats) -> None:
    """All rows (n, features), each with its own factor (n,)."""
    for i in prange(len(rows)):
        write_row(rows[i], times[i], short, out, factor, i)


@njit(parallel=True, cache=True)
def map_rows(
    parts: NDArray[np.int64],
    x: Floats,
    weight: Floats,
    times: Floats,
    short: bool,
    out: Rows,
    factor: Floats,
) -> None:
    """Rows of x (n, inputs) times `weight` (inputs, outputs), each with its own factor (n,).

    The products are small enough that the library makes each on the thread that asks for it.
    """
    inputs, outputs = weight.shape
    block = max(1, min(BLOCK, ALONE // (inputs * outputs)))
    for part in prange(len(parts) - 1):
        mapped = np.empty((block, outputs), np.float32)
        for first in range(parts[part], parts[part + 1], block):
            count = min(block, parts[part + 1] - first)
            np.dot(x[first : first + count], weight, mapped[:count])
            for r in range(count):
                write_row(mapped[r], times[first + r], short, out, factor, first + r)


@njit(parallel=True, cache=True)
def propagate(
    pointers: Integers,
    sources: Integers,
    parts: NDArray[np.int64],
    z: Rows,
    factor: Floats,
    scale: Floats,
    bias: Floats,
    out: Floats,
) -> None:
    r"""$s_i \sum_j z_j + \text{own}_i + b$ into `out` (n, features).

    z : (n, features), or (n, 2 · features), whose second half is each node's own part; in float32
        or in int16, each row times its `factor` (n,).
    """
    width = len(bias)
    own = z.shape[1] > width
    for part in prange(len(parts) - 1):
        total = np.empty(width, np.float32)
        for i in range(parts[part], parts[part + 1]):
            total[:] = 0.0
            add_rows(z, factor, sources, pointers[i], pointers[i + 1], total)
            for f in range(width):
                out[i, f] = total[f] * scale[i] + bias[f]
            if own:
                for f in range(width):
                    out[i, f] += factor[i] * np.float32(z[i, width + f])


@njit(parallel=True, cache=True)
def propagate_and_map(
    pointers: Integers,
    sources: Integers,
    parts: NDArray[np.int64],
    z: Rows,
    factor: Floats,
    scale: Floats,
    bias: Floats,
    weight: Floats,
    after: Floats,
    short: bool,
    out: Rows,
    out_factor: Floats,
) -> None:
    r"""$t_i\,\mathrm{relu}(s_i \sum_j z_j + \text{own}_i + b)\,W$ into `out` (n, outputs).

    z, factor : as for `propagate`. weight : (features, outputs). after : t, (n,). short : whether
    `out` is int16; its rows are to be taken times `out_factor` (n,).
    """
    width, outputs = weight.shape
    own = z.shape[1] > width
    for part in prange(len(parts) - 1):
        hidden = np.empty((BLOCK, width), np.float32)
        mapped = np.empty((BLOCK, outputs), np.float32)
        for first in range(parts[part], parts[part + 1], BLOCK):
            count = min(BLOCK, parts[part + 1] - first)
            for r in range(count):
                i, total = first + r, hidden[r]
                total[:] = 0.0
                add_rows(z, factor, sources, pointers[i], pointers[i + 1], total)
                for f in range(width):
                    total[f] = total[f] * scale[i] + bias[f]
                if own:
                    for f in range(width):
                        total[f] += factor[i] * np.float32(z[i, width + f])
                for f in range(width):
                    total[f] = max(total[f], np.float32(0.0))
            np.dot(hidden[:count], weight, mapped[:count])
            for r in range(count):
                write_row(mapped[r], after[first + r], short, out, out_factor, first + r)


@njit(parallel=True, cache=True)
def propagate_and_map_int8(
    pointers: Integers,
    sources: Integers,
    parts: NDArray[np.int64],
    z: NDArray[np.int8],
    scale: Floats,
    step: Floats,
    bias: Floats,
    weight: Floats,
    after: Floats,
    out_step: np.float32,
    out: NDArray[np.int8],
) -> None:
    r"""The same with rows in int8, summed in int32; `out` is rounded to int8.

    step : what a unit of each column of z is worth. out_step : of `out`.
    """
    width, outputs = weight.shape
    own = z.shape[1] > width
    for part in prange(len(parts) - 1):
        total = np.empty(width, np.int32)
        hidden = np.empty((BLOCK, width), np.float32)
        mapped = np.empty((BLOCK, outputs), np.float32)
        for first in range(parts[part], parts[part + 1], BLOCK):
            count = min(BLOCK, parts[part + 1] - first)
            for r in range(count):
                i, value = first + r, hidden[r]
                total[:] = 0
                add_units(z, sources, pointers[i], pointers[i + 1], total)
                for f in range(width):
                    value[f] = np.float32(total[f]) * (scale[i] * step[f]) + bias[f]
                if own:
                    for f in range(width):
                        value[f] += np.float32(z[i, width + f]) * step[width + f]
                factor = after[i] / out_step
                for f in range(width):
                    value[f] = max(value[f], np.float32(0.0)) * factor
            np.dot(hidden[:count], weight, mapped[:count])
            for r in range(count):
                for k in range(outputs):
                    unit = min(max(np.rint(mapped[r, k]), np.float32(-127.0)), np.float32(127.0))
                    out[first + r, k] = np.int8(unit)


@njit(parallel=True, cache=True)
def propagate_int8(
    pointers: Integers,
    sources: Integers,
    parts: NDArray[np.int64],
    z: NDArray[np.int8],
    scale: Floats,
    step: np.float32,
    bias: Floats,
    out: Floats,
) -> None:
    """The last layer of the int8 network: sums in int32, logits in float32."""
    width = len(bias)
    own = z.shape[1] > width
    for part in prange(len(parts) - 1):
        total = np.empty(width, np.int32)
        for i in range(parts[part], parts[part + 1]):
            total[:] = 0
            add_units(z, sources, pointers[i], pointers[i + 1], total)
            for f in range(width):
                out[i, f] = np.float32(total[f]) * (scale[i] * step) + bias[f]
            if own:
                for f in range(width):
                    out[i, f] += np.float32(z[i, width + f]) * step


@njit(parallel=True, cache=True)
def map_sparse(
    pointers: Integers,
    columns: Integers,
    values: Floats,
    weight: Floats,
    out: Floats,
) -> None:
    """Rows of a sparse matrix times `weight` (inputs, outputs)."""
    for i in prange(len(pointers) - 1):
        row = out[i]
        row[:] = 0.0
        for e in range(pointers[i], pointers[i + 1]):
            value, source = values[e], columns[e]
            for k in range(weight.shape[1]):
                row[k] += value * weight[source, k]


@njit(parallel=True, cache=True)
def triad(a: Floats, b: Floats, c: Floats) -> None:
    """a = b + 3 c: twelve bytes an element, and hardly any work; the memory's own speed."""
    for i in prange(len(a)):
        a[i] = b[i] + np.float32(3.0) * c[i]


@njit(parallel=True, cache=True)
def round_rows(z: Any, scale: Floats, step: Floats, out: NDArray[np.int8]) -> None:
    """Row i of z times its factor, in units of `step` (features,), as int8."""
    for i in prange(z.shape[0]):
        for f in range(z.shape[1]):
            value = np.rint(np.float32(z[i, f]) * (scale[i] / step[f]))
            out[i, f] = np.int8(min(max(value, np.float32(-127.0)), np.float32(127.0)))
