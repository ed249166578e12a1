r"""Sequential minimal optimization: the dual of a support vector machine, two variables at a time.

Classification and regression have one dual. With $\beta_t$ the signed multiplier of point $t$ and
$K$ the kernel matrix it is

$$\min_\beta \tfrac12 \beta^\top K \beta - z^\top \beta + \varepsilon \|\beta\|_1
  \quad\text{with}\quad \textstyle\sum_t \beta_t = 0, \; l_t \le \beta_t \le u_t.$$

A classifier has $z = y \in \{-1, 1\}$, $\varepsilon = 0$ and $0 \le y_t \beta_t \le C_t$
($\beta_t = y_t \alpha_t$ in the usual letters), a regressor the targets $z$, its tube's width
$\varepsilon$ and $|\beta_t| \le C_t$. The sum keeps its value when one $\beta_i$ goes up by what
another $\beta_j$ goes down. Let $F = z - K \beta$, the downhill slope of the smooth part. Along $i$
upwards the objective falls with the slope $F_i - \varepsilon$ ($F_i + \varepsilon$ while
$\beta_i < 0$), along $j$ downwards it rises with $F_j - \varepsilon$ ($F_j + \varepsilon$ once
$\beta_j \le 0$). So $\beta$ is optimal when

$$m(\beta) = \max_{i:\, \beta_i < u_i} (F_i \mp \varepsilon) \;\le\;
  M(\beta) = \min_{j:\, \beta_j > l_j} (F_j \mp \varepsilon),$$

and a pair that violates this most is where to go on. The *second-order* choice takes $i$ with the
largest $F_i$, and $j$ such that the step along the pair gains most: the objective is a parabola
there with the curvature $\eta_{ij} = K_{ii} + K_{jj} - 2 K_{ij}$, and falls by
$(F_i - F_j)^2 / 2 \eta_{ij}$. A step changes $F$ by a multiple of two rows of $K$; no other rows
are needed, and those that come up again are kept in a cache.

*Shrinking*: a variable at a bound (or at 0 within the tube) whose $F$ lies beyond $m$ and $M$ by
now will most likely stay there. It is left out, and all are looked at again near the end; then its
$F$ is brought up to date, for which the rows of those are needed whose $\beta$ has changed since.

Rows are kept in single precision, which is twice as quick and leaves the answer at the usual
tolerance as it is. A tolerance below 1e-5 gets double precision.

J. C. Platt, "Fast training of support vector machines using sequential minimal optimization", 1998.
S. S. Keerthi et al., "Improvements to Platt's SMO algorithm for SVM classifier design", 2001.
R.-E. Fan, P.-H. Chen, C.-J. Lin, "Working set selection using second order information for training
support vector machines", Journal of Machine Learning Research, 2005.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervised_learning.svm.kernels import (
    PRECOMPUTED,
    Kernel,
    fill_row,
    kernel_diagonal,
    squared_norms,
)

_STRIP = 512
_FLAT = 1e-12  # the least curvature: where K is singular, or not positive semidefinite at all
_HUGE = 1e37
_STEPS = 10_000_000  # what "no limit" means, or 100 for each variable
_SINGLE = 1e-5  # the least tolerance for rows in single precision


class _Variables(NamedTuple):
    """What belongs to a variable, each array of length n.

    `columns` and `norms` are what `fill_row` takes; `slack` is F. `up` and `down` are what is added
    to F for its value upwards and downwards: the slope of the kink, and infinity at a bound.
    """

    columns: NDArray
    norms: NDArray
    diagonal: NDArray
    z: NDArray
    lower: NDArray
    upper: NDArray
    beta: NDArray
    slack: NDArray
    up: NDArray
    down: NDArray


class _Cache(NamedTuple):
    """Rows of the kernel matrix, the least recently used of which makes room for a new one."""

    rows: NDArray  # (capacity, n)
    filled: NDArray  # (capacity,) how many entries of the row are known
    owner: NDArray  # (capacity,) the variable whose row it is
    used: NDArray  # (capacity,) when it was used last
    slot: NDArray  # (n,) where a variable's row lies, or -1
    counts: NDArray  # (2,) the time, and the number of rows in use


@dataclass(frozen=True)
class DualSolution:
    r"""What the solver found.

    `beta` (n,) are the signed multipliers, `slack` (n,) is $F = z - K \beta$, `intercept` the
    constant b of the decision function, `objective` the dual's value (to be minimized),
    `iterations` the number of steps, and `converged` whether the tolerance was reached.
    """

    beta: NDArray[np.float64]
    slack: NDArray[np.float64]
    intercept: float
    objective: float
    iterations: int
    converged: bool


def solve_smo(
    X: NDArray[np.float64],
    z: NDArray[np.float64],
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
    kernel: Kernel,
    *,
    epsilon: float = 0.0,
    tol: float = 1e-3,
    max_iter: int = -1,
    cache_mb: float = 200.0,
    shrinking: bool = True,
) -> DualSolution:
    """Minimize the dual over beta, from 0.

    Parameters
    ----------
    X : points of shape (n, d), or a precomputed kernel (n, n).
    z, lower, upper : shape (n,), lower ≤ 0 ≤ upper.
    epsilon : the weight of the absolute values.
    tol : the violation m - M that is left.
    max_iter : the most steps; -1: ten million, or 100 for each variable if that is more.
    cache_mb : memory for rows of the kernel matrix, in MB of 2^20 bytes.
    shrinking : whether to leave variables out on the way.

    Raises ValueError where the kernel's values are not finite.
    """
    precision = np.dtype(np.float32 if tol >= _SINGLE else np.float64)
    search = _Search(X, z, lower, upper, kernel, epsilon, cache_mb, precision)
    limit = max_iter if max_iter >= 0 else max(_STEPS, 100 * len(z))
    period = min(len(z), 1000) if shrinking else limit
    near = False
    while True:
        before = search.iterations
        search.run(tol, min(period, limit - before))
        if search.gap > tol:
            if search.iterations in (before, limit):
                break
            if not near and search.gap <= 10.0 * tol:
                near = True
                search.restore()
                search.run(tol, 0)  # m and M of all
            search.shrink()
        elif search.active < len(z):
            search.restore()
        else:
            break
    search.restore()
    return search.solution(tol)


class _Search:
    """The state of a search. Variables are reordered so that the active ones come first."""

    def __init__(
        self,
        X: NDArray,
        z: NDArray,
        lower: NDArray,
        upper: NDArray,
        kernel: Kernel,
        epsilon: float,
        cache_mb: float,
        precision: np.dtype,
    ) -> None:
        n = len(z)
        diagonal = kernel_diagonal(X, kernel)
        if not np.abs(diagonal).max() < _HUGE:
            raise ValueError(
                "the kernel's values are not finite, or too large for single precision; bring the "
                "columns to one scale, or choose a lower degree"
            )
        self.kernel, self.epsilon = kernel, epsilon
        self.order = np.arange(n)
        self.active = n
        # Who was left out together (from where to where), and beta at that time, by point.
        self.left_out: list[tuple[int, int, NDArray[np.float64]]] = []
        self.iterations = 0
        self.gap = np.inf
        self.variables = _Variables(
            columns=X if kernel.kind == PRECOMPUTED else np.ascontiguousarray(X.T),
            norms=np.arange(n, dtype=np.float64)
            if kernel.kind == PRECOMPUTED
            else squared_norms(X),
            diagonal=diagonal,
            z=z.copy(),
            lower=lower.copy(),
            upper=upper.copy(),
            beta=np.zeros(n),
            slack=z.copy(),
            up=np.empty(n),
            down=np.empty(n),
        )
        _set_all_shifts(self.variables, epsilon)
        capacity = min(n, max(2, int(cache_mb * 2**20 / (precision.itemsize * n))))
        self.cache = _Cache(
            rows=np.empty((capacity, n), dtype=precision),
            filled=np.zeros(capacity, dtype=np.int64),
            owner=np.zeros(capacity, dtype=np.int64),
            used=np.zeros(capacity, dtype=np.int64),
            slot=np.full(n, -1),
            counts=np.zeros(2, dtype=np.int64),
        )

    def run(self, tol: float, steps: int) -> None:
        """Take at most so many steps with the active variables, until the gap is at most tol."""
        done, self.highest, self.lowest = _optimize(
            self.variables, self.cache, self.kernel, self.epsilon, self.active, tol, steps
        )
        self.iterations += done
        self.gap = self.highest - self.lowest

    def shrink(self) -> None:
        """Leave out the variables that can be in no violating pair for now."""
        v, part = self.variables, slice(0, self.active)
        stuck = v.slack[part] + v.up[part] < self.lowest
        stuck &= v.slack[part] + v.down[part] > self.highest
        if not stuck.any():
            return
        moved = np.concatenate([np.flatnonzero(~stuck), np.flatnonzero(stuck)])
        first = 1 if self.kernel.kind == PRECOMPUTED else 0  # a finished matrix stays as it is
        for values in (*v[first:], self.order, self.cache.slot):
            values[..., part] = values[..., moved]
        cached = np.flatnonzero(self.cache.slot >= 0)
        self.cache.owner[self.cache.slot[cached]] = cached
        _reorder_rows(self.cache, moved)
        before = np.empty_like(v.beta)
        before[self.order] = v.beta
        remaining = self.active - int(stuck.sum())
        self.left_out.append((remaining, self.active, before))
        self.active = remaining

    def restore(self) -> None:
        """Take all variables back, and bring up to date the F of those that were left out."""
        for start, stop, before in self.left_out:
            change = self.variables.beta - before[self.order]
            _catch_up(self.variables, self.cache, self.kernel, change, start, stop)
        self.left_out = []
        self.active = len(self.order)

    def solution(self, tol: float) -> DualSolution:
        """The solution in the order of the points that were given."""
        v = self.variables
        free = (v.beta > v.lower) & (v.beta < v.upper)
        if self.epsilon > 0:
            free &= v.beta != 0
        if free.any():
            intercept = float((v.slack + v.up)[free].mean())
        else:
            intercept = 0.5 * (self.highest + self.lowest)
        beta, slack = np.empty_like(v.beta), np.empty_like(v.slack)
        beta[self.order], slack[self.order] = v.beta, v.slack
        # ½ βᵀKβ - zᵀβ = -½ βᵀ(F + z)
        objective = self.epsilon * float(np.abs(v.beta).sum()) - 0.5 * float(
            v.beta @ (v.slack + v.z)
        )
        return DualSolution(
            beta, slack, intercept, objective, self.iterations, bool(self.gap <= tol)
        )


@njit(cache=True, nogil=True)
def _optimize(
    v: _Variables,
    cache: _Cache,
    kernel: Kernel,
    epsilon: float,
    active: int,
    tol: float,
    steps: int,
) -> tuple[int, float, float]:
    """Take pairs until the violation is at most tol: the number of steps, m and M."""
    beta, slack, up, down, diagonal = v.beta, v.slack, v.up, v.down, v.diagonal
    rows, filled, used, slots, counts = (
        cache.rows,
        cache.filled,
        cache.used,
        cache.slot,
        cache.counts,
    )
    done = 0
    while True:
        i, highest = _highest(slack, up, active)
        slot = slots[i]
        if slot < 0 or filled[slot] < active:
            slot = _make_row(v, cache, kernel, i, active)
        row_i = rows[slot]
        counts[0] += 1
        used[slot] = counts[0]
        j, lowest = _best_partner(slack, down, diagonal, row_i, i, highest, active)
        if highest - lowest <= tol or done >= steps:
            return done, highest, lowest
        slot = slots[j]
        if slot < 0 or filled[slot] < active:
            slot = _make_row(v, cache, kernel, j, active)
        row_j = rows[slot]
        counts[0] += 1
        used[slot] = counts[0]
        # The step to the parabola's lowest point, cut short at a bound or at the kink at 0.
        ceiling = v.upper[i] if beta[i] >= 0.0 else min(v.upper[i], 0.0)
        floor = v.lower[j] if beta[j] <= 0.0 else max(v.lower[j], 0.0)
        curvature = _curvature(diagonal[i], diagonal[j], row_i[j])
        step = (highest - (slack[j] + down[j])) / curvature
        step = min(step, ceiling - beta[i], beta[j] - floor)
        if beta[i] + step == beta[i] and beta[j] - step == beta[j]:
            return done, highest, lowest  # no number lies between: rounding is all that is left
        beta[i] = ceiling if step == ceiling - beta[i] else beta[i] + step
        beta[j] = floor if step == beta[j] - floor else beta[j] - step
        _set_shifts(v, i, epsilon)
        _set_shifts(v, j, epsilon)
        for t in range(active):
            slack[t] -= step * (np.float64(row_i[t]) - np.float64(row_j[t]))
        done += 1


@njit(cache=True, nogil=True)
def _set_shifts(v: _Variables, t: int, epsilon: float) -> None:
    """What is added to F upwards and downwards, after beta has changed."""
    beta = v.beta[t]
    v.up[t] = -np.inf if beta >= v.upper[t] else (-epsilon if beta >= 0.0 else epsilon)
    v.down[t] = np.inf if beta <= v.lower[t] else (-epsilon if beta > 0.0 else epsilon)


@njit(cache=True, nogil=True)
def _set_all_shifts(v: _Variables, epsilon: float) -> None:
    for t in range(len(v.z)):
        _set_shifts(v, t, epsilon)


# The extremes below are taken over 64-bit whole numbers that have the order of the floats: of whole
# numbers a compiler makes vector instructions, of floats it does not, as one might be NaN. A strip
# is searched for its extreme, and only the best strip for the place.


@njit(cache=True, nogil=True)
def _bits(value: float) -> np.int64:
    """A whole number for each float, in the same order: the bits, reversed for negative ones."""
    bits = np.float64(value).view(np.int64)
    return bits ^ ((bits >> 63) & 0x7FFFFFFFFFFFFFFF)


@njit(cache=True, nogil=True)
def _highest(slack: NDArray, up: NDArray, active: int) -> tuple[int, float]:
    """The variable with the largest F upwards, and that F."""
    best, strip = _bits(-np.inf), 0
    for left in range(0, active, _STRIP):
        right = min(left + _STRIP, active)
        bits = _strip_highest(slack[left:right], up[left:right])
        if bits > best:
            best, strip = bits, left
    i = strip
    while i < active - 1 and _bits(slack[i] + up[i]) < best:
        i += 1
    return i, slack[i] + up[i]


@njit(cache=True, nogil=True)
def _strip_highest(slack: NDArray, up: NDArray) -> np.int64:
    best = _bits(-np.inf)
    for t in range(len(slack)):
        best = max(best, _bits(slack[t] + up[t]))
    return best


@njit(cache=True, nogil=True)
def _best_partner(
    slack: NDArray,
    down: NDArray,
    diagonal: NDArray,
    row: NDArray,
    i: int,
    highest: float,
    active: int,
) -> tuple[int, float]:
    """The variable whose step with i gains most, and the lowest F downwards of all."""
    own = diagonal[i]
    best, lowest, strip = np.int64(-1), _bits(np.inf), 0
    for left in range(0, active, _STRIP):
        right = min(left + _STRIP, active)
        gain, low = _strip_gain(
            slack[left:right],
            down[left:right],
            diagonal[left:right],
            row[left:right],
            highest,
            own,
        )
        lowest = min(lowest, low)
        if gain > best:
            best, strip = gain, left
    j = strip
    while (
        j < active - 1
        and _bits(_gain(highest - (slack[j] + down[j]), own, diagonal[j], row[j])) < best
    ):
        j += 1
    lowest = lowest ^ ((lowest >> 63) & 0x7FFFFFFFFFFFFFFF)
    return j, np.int64(lowest).view(np.float64)


@njit(cache=True, nogil=True)
def _strip_gain(
    slack: NDArray, down: NDArray, diagonal: NDArray, row: NDArray, highest: float, own: float
) -> tuple[np.int64, np.int64]:
    best, lowest = np.int64(-1), _bits(np.inf)
    for t in range(len(slack)):
        lowest = min(lowest, _bits(slack[t] + down[t]))
        gain = _gain(highest - (slack[t] + down[t]), own, diagonal[t], row[t])
        best = max(best, _bits(gain))
    return best, lowest


@njit(cache=True, nogil=True)
def _gain(violation: float, own: float, other: float, common: float) -> float:
    """Twice what the objective falls by in a full step; 0 where the pair violates nothing."""
    violation = max(violation, 0.0)
    return violation * violation / _curvature(own, other, common)


@njit(cache=True, nogil=True)
def _curvature(own: float, other: float, common: float) -> float:
    return max(own + other - 2.0 * np.float64(common), _FLAT)


@njit(cache=True, nogil=True)
def _make_row(v: _Variables, cache: _Cache, kernel: Kernel, i: int, length: int) -> int:
    """Where the kernel of variable i lies, after the first `length` entries have been filled in."""
    slot = cache.slot[i]
    if slot < 0:
        slot = cache.counts[1]
        if slot < len(cache.owner):
            cache.counts[1] += 1
        else:
            slot = int(np.argmin(cache.used))
            cache.slot[cache.owner[slot]] = -1
        cache.owner[slot], cache.slot[i], cache.filled[slot] = i, slot, 0
    cache.used[slot] = cache.counts[0]
    if cache.filled[slot] < length:
        fill_row(v.columns, v.norms, i, cache.filled[slot], length, kernel, cache.rows[slot])
        cache.filled[slot] = length
    return slot


@njit(cache=True, nogil=True)
def _reorder_rows(cache: _Cache, moved: NDArray) -> None:
    """Put the first entries of every row into the order `moved`."""
    active = len(moved)
    copy = np.empty(active, cache.rows.dtype)
    for slot in range(cache.counts[1]):
        if cache.filled[slot] < active:
            cache.filled[slot] = 0
            continue
        row = cache.rows[slot]
        copy[:] = row[:active]
        for t in range(active):
            row[t] = copy[moved[t]]


@njit(cache=True, nogil=True)
def _catch_up(
    v: _Variables, cache: _Cache, kernel: Kernel, change: NDArray, start: int, stop: int
) -> None:
    """Bring F from start to stop up to date with the change of beta (n,) since it was left."""
    made = np.empty(stop, cache.rows.dtype)
    for s in range(len(change)):
        if change[s] == 0.0:
            continue
        slot = cache.slot[s]
        if slot >= 0 and cache.filled[slot] >= stop:
            row = cache.rows[slot]
        else:
            fill_row(v.columns, v.norms, s, start, stop, kernel, made)
            row = made
        for t in range(start, stop):
            v.slack[t] -= change[s] * row[t]
