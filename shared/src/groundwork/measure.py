"""Ours and a reference, timed in turns on the same work in one process.

The machine's speed drifts: another process wakes, a core changes its clock. Timing all of A and
then all of B puts that drift into the ratio. Here the two run as pairs, A B then B A, so that both
halves of a pair see the same machine, and the result is the median of the pairwise ratios. Its
interval lies between order statistics: with `n` pairs, the k-th smallest and the k-th largest ratio
bracket the true median with probability 1 - 2 P(Binomial(n, 1/2) < k), whatever the noise looks
like. (Conover, *Practical Nonparametric Statistics*, 1999, section 3.2.)
"""

import gc
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

MIN_PAIRS = 5


@dataclass(frozen=True)
class Comparison:
    """What a comparison measured; the fields are those of `run.json`.

    `ours_s` and `reference_s` are median seconds of one call; `ratio` is the median of the pairwise
    ratios ours / reference, `low` and `high` its interval; `compile_s` is what our first call took
    beyond a later one (the compilation, where there is one).
    """

    library: str
    ours_s: float
    reference_s: float
    ratio: float
    low: float
    high: float
    pairs: int
    compile_s: float
    threads: int

    def to_json(self) -> dict[str, Any]:
        """The comparison's entry in `run.json`."""
        return asdict(self)


def compare(
    ours: Callable[[], object],
    reference: Callable[[], object],
    *,
    library: str,
    pairs: int = 9,
    warmup: int = 1,
    threads: int | None = None,
    min_time: float = 0.02,
    clock: Callable[[], float] = time.perf_counter,
) -> Comparison:
    """Time `ours` and `reference` in turns; see the module's docstring for the method.

    Parameters
    ----------
    ours, reference : callables without arguments that do the same work.
    library : the reference's distribution (its version is added), or words that name it.
    pairs : how many pairs are timed, at least 5.
    warmup : calls of each before the timing; the first one of ours counts as compilation.
    threads : the thread count that both get (BLAS, OpenMP, torch, Numba); None: as many as now.
    min_time : a measurement repeats a short call until it lasts this many seconds.
    clock : a monotonic clock in seconds.

    Raises ValueError for fewer than 5 pairs or a warm-up below 1.
    """
    if pairs < MIN_PAIRS:
        raise ValueError(f"pairs={pairs}: a comparison takes at least {MIN_PAIRS}")
    if warmup < 1:
        raise ValueError(f"warmup={warmup}: a comparison takes at least 1")
    with thread_limit(threads) as count, _no_garbage_collection():
        first = _time(ours, 1, clock)
        _time(reference, 1, clock)
        for _ in range(warmup - 1):
            _time(ours, 1, clock)
            _time(reference, 1, clock)
        ours_calls = _calls_needed(ours, min_time, clock)
        reference_calls = _calls_needed(reference, min_time, clock)
        ours_s: list[float] = []
        reference_s: list[float] = []
        for pair in range(pairs):
            if pair % 2 == 0:
                ours_s.append(_time(ours, ours_calls, clock))
                reference_s.append(_time(reference, reference_calls, clock))
            else:
                reference_s.append(_time(reference, reference_calls, clock))
                ours_s.append(_time(ours, ours_calls, clock))
    ratios = [a / b for a, b in zip(ours_s, reference_s, strict=True)]
    low, high = median_interval(ratios)
    compiled = first - statistics.median(ours_s)
    return Comparison(
        library=with_version(library),
        ours_s=statistics.median(ours_s),
        reference_s=statistics.median(reference_s),
        ratio=statistics.median(ratios),
        low=low,
        high=high,
        pairs=pairs,
        compile_s=compiled if compiled > 0.1 else 0.0,
        threads=count,
    )


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """The narrowest pair of order statistics that holds the true median with this confidence.

    With fewer than 6 values no pair reaches 95 %; then it is the smallest and the largest.
    """
    ordered = sorted(values)
    n = len(ordered)
    best = 0
    for k in range(n // 2):
        outside = 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n
        if 1 - outside >= confidence:
            best = k
    return ordered[best], ordered[n - 1 - best]


@contextmanager
def thread_limit(threads: int | None) -> Iterator[int]:
    """Give BLAS, OpenMP, torch and Numba this many threads; yields the number in force."""
    import threadpoolctl

    torch, numba = sys.modules.get("torch"), sys.modules.get("numba")
    if threads is None:
        threads = torch.get_num_threads() if torch else available_cores()
    before = (
        torch.get_num_threads() if torch else None,
        numba.get_num_threads() if numba else None,
    )
    with threadpoolctl.threadpool_limits(threads):
        if torch:
            torch.set_num_threads(threads)
        if numba:
            numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        try:
            yield threads
        finally:
            if torch:
                torch.set_num_threads(before[0])
            if numba:
                numba.set_num_threads(before[1])


def available_cores() -> int:
    """The cores that this process may use."""
    import os

    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def with_version(library: str) -> str:
    """`numpy` → `numpy 2.4.6`; words that begin with no installed distribution stay as they are."""
    name, _, rest = library.partition(" ")
    try:
        return f"{name} {metadata.version(name)}{' ' + rest if rest else ''}"
    except (metadata.PackageNotFoundError, ValueError):
        return library


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _time(call: Callable[[], object], calls: int, clock: Callable[[], float]) -> float:
    """Seconds for one call, over `calls` calls."""
    start = clock()
    for _ in range(calls):
        call()
    return (clock() - start) / calls


def _calls_needed(call: Callable[[], object], min_time: float, clock: Callable[[], float]) -> int:
    """How many calls last at least `min_time`."""
    calls = 1
    while True:
        seconds = _time(call, calls, clock) * calls
        if seconds >= min_time or calls >= 1_000_000:
            return calls
        growth = min_time / seconds * 1.2 if seconds > 0 else 10
        calls = min(1_000_000, max(calls + 1, int(calls * min(growth, 10))))
