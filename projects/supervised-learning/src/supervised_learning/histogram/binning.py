r"""Bins: every column becomes a uint8 code, so that a split is one of at most 254 cuts.

A split search over sorted values looks at $n - 1$ cuts and has to sort. Between quantiles a cut
hardly moves the gain, so $B \le 255$ bins of about equal weight are enough, and the search costs
$O(B)$ after one pass over the rows. Value $x$ of a column with thresholds
$t_0 < t_1 < \dots < t_{m-1}$ gets the code

$$b(x) = \#\{j : t_j < x\}, \qquad b(x) \le j \iff x \le t_j,$$

so that a cut between the codes $j$ and $j + 1$ is the cut $x \le t_j$ on the values. A missing
value (NaN) gets the last code, $m + 1$.

The thresholds lie half way between the distinct values where there are at most $B$ of them. Else
they are the quantiles at $k / B$ of the (weighted) distribution: the smallest value up to which a
share $k / B$ of the weight lies, or the middle between it and the next one where the share is met
exactly. A row of weight $w$ counts as $w$ rows.

Source: Ping Li, Christopher Burges and Qiang Wu, *McRank: Learning to rank using multiple
classification and gradient boosting*, 2007; Guolin Ke and others, *LightGBM: A highly efficient
gradient boosting decision tree*, 2017.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

MAX_BINS = 255
_BLOCK = 1024
_LARGEST = np.finfo(np.float64).max


@dataclass(frozen=True)
class Bins:
    """The cuts of every column, laid end to end.

    Attributes
    ----------
    thresholds : the cuts of all columns, ascending within a column, float64.
    starts : column f's cuts are `thresholds[starts[f]:starts[f + 1]]`; int64 (n_features + 1,).
    offsets : where column f's part begins in a histogram that holds all columns end to end, uint32
        (n_features + 1,). A column with m cuts takes m + 2 places: m + 1 bins and, last, the
        missing values. So `offsets[-1]` is the histogram's length, and the code of a missing value
        in column f is `offsets[f + 1] - offsets[f] - 1`.
    """

    thresholds: NDArray[np.float64]
    starts: NDArray[np.int64]
    offsets: NDArray[np.uint32]

    @property
    def n_features(self) -> int:
        """The number of columns."""
        return len(self.starts) - 1

    def of(self, feature: int) -> NDArray[np.float64]:
        """The cuts of one column."""
        return self.thresholds[self.starts[feature] : self.starts[feature + 1]]

    def transform(self, X: NDArray) -> NDArray[np.uint8]:
        """The codes of a numeric array (n, n_features), row after row, uint8 of the same shape."""
        codes = np.empty(X.shape, dtype=np.uint8)
        _encode(X, self.thresholds, self.starts, codes)
        return codes


def find_bins(
    X: NDArray,
    max_bins: int = MAX_BINS,
    *,
    sample_weight: NDArray | None = None,
    subsample: int = 200_000,
    rng: np.random.Generator | np.random.RandomState | None = None,
) -> Bins:
    """Choose the cuts of every column.

    Parameters
    ----------
    X : numbers, NaN where missing (n, n_features).
    max_bins : the largest number of bins of a column, beside the one of missing values; 2 to 255.
    sample_weight : (n,); rows of weight 0 are not looked at.
    subsample : look at this many rows, drawn from `rng`, where there are more.
    rng : what they are drawn from; needed only where there are more.
    """
    if len(X) > subsample:
        rng = np.random.default_rng(0) if rng is None else rng
        chosen = np.sort(rng.choice(len(X), subsample, replace=False))
        X = X[chosen]
        sample_weight = None if sample_weight is None else sample_weight[chosen]
    return join_cuts([column_cuts(column, max_bins, sample_weight) for column in X.T])


def join_cuts(cuts: list[NDArray[np.float64]]) -> Bins:
    """Bins from the ascending cuts of each column, at most 254 of them."""
    starts = np.cumsum([0] + [len(cut) for cut in cuts])
    offsets = starts + 2 * np.arange(len(starts))
    thresholds = np.concatenate([*cuts, np.empty(0)])
    return Bins(thresholds, starts.astype(np.int64), offsets.astype(np.uint32))


def column_cuts(
    column: NDArray, max_bins: int, sample_weight: NDArray | None = None
) -> NDArray[np.float64]:
    """The ascending cuts of one column (n,), at most `max_bins` - 1 of them."""
    if sample_weight is None:
        values, weights = np.sort(column), None
        values = values[: np.searchsorted(values, np.nan)]  # NaN sorts last
    else:
        seen = (sample_weight > 0) & ~np.isnan(column)
        order = np.argsort(column[seen], kind="stable")
        values, weights = column[seen][order], sample_weight[seen][order]
    values = values.astype(np.float64, copy=False)
    distinct = (
        values[np.concatenate([[True], values[1:] != values[:-1]])] if len(values) else values
    )
    if len(distinct) <= max_bins:
        cuts = distinct[:-1] + (distinct[1:] - distinct[:-1]) / 2
    else:
        cuts = np.unique(_quantiles(values, weights, max_bins))
    return np.minimum(cuts, _LARGEST)


def _quantiles(
    values: NDArray[np.float64], weights: NDArray | None, parts: int
) -> NDArray[np.float64]:
    """The `parts` - 1 values that cut the weight into equal parts; `values` ascend."""
    counts = np.arange(1, parts)
    if weights is None:
        reached = counts * len(values) / parts
        low = np.ceil(reached).astype(np.intp) - 1
        exact = reached == low + 1
    else:
        cumulative = np.cumsum(weights, dtype=np.float64)
        reached = counts * cumulative[-1] / parts
        low = np.minimum(np.searchsorted(cumulative, reached), len(values) - 1)
        exact = cumulative[low] == reached
    high = np.minimum(low + exact, len(values) - 1)
    return (values[low] + values[high]) / 2


@njit(cache=True, nogil=True, parallel=True)
def _encode(X: NDArray, thresholds: NDArray, starts: NDArray, codes: NDArray) -> None:
    """Fill `codes` by binary search.

    The searches of a block of rows take each step together: the inner loop has no branch that
    could be mispredicted, and compiles to vector instructions.
    """
    one = np.uint64(1)  # unsigned numbers spare the test for a negative index
    for block in prange(-(-X.shape[0] // _BLOCK)):
        part = X[block * _BLOCK : (block + 1) * _BLOCK]
        below = np.empty(len(part), np.uint64)
        for f in range(X.shape[1]):
            start, length = np.uint64(starts[f]), np.uint64(starts[f + 1] - starts[f])
            missing = length + one
            below[:] = start
            while length > 0:
                half = (length + one) >> one
                for i in range(len(part)):
                    below[i] += half * np.uint64(thresholds[below[i] + half - one] < part[i, f])
                length -= half
            for i in range(len(part)):
                code = missing if np.isnan(part[i, f]) else below[i] - start
                codes[block * _BLOCK + i, f] = code
