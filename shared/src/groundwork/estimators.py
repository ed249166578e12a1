"""Hold an estimator against the library's: scores on real tables, time, growth, memory.

A `Pair` names two estimators that solve the same problem. `study` measures it in four ways and
tells the run under names that READMEs and claims share:

- `score.NAME`, `score_reference.NAME`: the mean over tables and seeds, in points (accuracy or R²
  times 100, unless the pair brings its own score). `behind.NAME`: how far ours lies behind on the
  table where it is worst, in the mean over the seeds; `apart.NAME`: the largest difference either
  way.
- comparisons `fit.NAME` and `predict.NAME`: at `rows` made rows, 20 columns.
- `exponent.NAME`, `exponent_reference.NAME` and their difference `exponent_excess.NAME`: the slope
  of log time against log n over the upper half of the sizes, where fixed costs no longer rule.
- `memory.NAME`, `memory_reference.NAME` in MB, `memory_ratio.NAME`: the peak of a fit in a fresh
  process beyond what the process held before it. Below 8 MB a peak counts as 8: there the
  allocator speaks, not the algorithm.

`coefficient_error` is for linear models: `coefficient_error.NAME`.
"""

import gc
import multiprocessing
import pickle
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from groundwork.data import tables
from groundwork.measure import thread_limit
from groundwork.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Score = Callable[[Any, NDArray, Any], float]
Make = Callable[[int, int], tuple[NDArray, Any]]

# The parameters that the labs of estimators have in common.
Sets = Annotated[tuple[str, ...], "tables to score on"]
Seeds = Annotated[int, Ge(1), "splits and random states of each score"]
Rows = Annotated[int, Ge(0), "rows of the timed fits; 0 times nothing"]
Largest = Annotated[int, Ge(0), "largest n of the growth curve; 0 draws none"]
Memory = Annotated[bool, "measure the peak memory of a fit"]

#: So many rows are made, of which a timing takes the first ones.
_DRAWN = 100_000

#: Peaks below this many bytes are not told apart.
_SMALL = 8 * 2**20


@dataclass(frozen=True)
class Pair:
    """An estimator and the reference that solves the same problem.

    Parameters
    ----------
    name : how it is called in metrics and tables; the class's name.
    ours, reference : unfitted estimators, set to the same stopping rule. Where they have a
        `random_state`, each seed sets it.
    library : the reference's distribution.
    sets : the names of the tables to score on (`groundwork.data.tables`); `study` has a default.
    score : (fitted estimator, X, y) → points, for what has no `score` method; it is given the held
        out part, or everything where `holdout` is false.
    holdout : whether to score on a quarter of the rows that the fit has not seen.
    make : (n, seed) → X, y for timing; by default 20 columns with noise, of the estimator's kind.
    apply : the method timed as `predict.NAME`: `predict`, `transform`, …; "" times none.
    prepare : X → X for the tables, where the method takes a special kind (counts, 0 and 1).
    """

    name: str
    ours: Any
    reference: Any
    library: str = "scikit-learn"
    sets: Sequence[str] | None = None
    score: Score | None = None
    holdout: bool = True
    make: Make | None = None
    apply: str = "predict"
    prepare: Callable[[NDArray], NDArray] | None = None


@dataclass
class Growth:
    """Seconds of a fit against n, ours and the reference's."""

    sizes: list[int] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    reference: list[float] = field(default_factory=list)


def study(
    run: Run,
    pairs: Sequence[Pair],
    *,
    sets: Sequence[str] = (),
    score_rows: int | None = 5000,
    seeds: int = 5,
    rows: int = 20_000,
    largest: int = 0,
    limit_s: float = 60.0,
    timing_pairs: int = 5,
    threads: int | None = None,
    memory: bool = False,
) -> dict[str, Growth]:
    """Measure every pair; tells the run the metrics and comparisons that the module lists.

    Keeps a table `scores`, and with `largest` a table and a figure `growth`. A run that was
    interrupted goes on after the last pair that was finished.

    Parameters
    ----------
    sets : the tables to score on, for the pairs that name none.
    score_rows : use at most this many rows of a table; None: all.
    seeds : how many splits (and random states) each table is scored with.
    rows : the size of the timed fit and prediction; 0 times nothing.
    largest : the largest n of the growth curve, from 1,000 up; 0 draws none.
    limit_s : the curve ends before a fit that would take longer.
    timing_pairs : the number of timed pairs, at least 5.
    threads : the thread count of both sides; None: all cores.
    memory : whether to measure the peak memory at `rows`.

    Returns the growth curves by the pair's name.
    """
    store = run.checkpoint("study")
    done: dict[str, dict[str, Any]] = store.load() or {}
    for pair in run.progress(pairs, len(pairs), "pairs"):
        if pair.name in done:
            continue
        entry: dict[str, Any] = {"scores": _scores(run, pair, sets, score_rows, seeds)}
        if rows:
            entry["times"] = _times(run, pair, rows, timing_pairs, threads)
        if largest:
            entry["growth"] = measure_growth(pair, largest, limit_s, run.seed, threads)
        if memory and rows:
            entry["memory"] = measure_memory(pair, rows, run.seed)
        done[pair.name] = entry
        store.save(done)
    curves = {}
    table: list[dict[str, Any]] = []
    for pair in pairs:
        entry = done[pair.name]
        _tell_scores(run, pair.name, entry["scores"])
        table += entry["scores"]
        run.comparisons.update(entry.get("times", {}))
        if "growth" in entry:
            curves[pair.name] = entry["growth"]
            _tell_exponents(run, pair.name, entry["growth"])
        if entry.get("memory"):
            _tell_memory(run, pair.name, *entry["memory"])
    if table:
        run.table(
            "scores",
            [{key: value for key, value in row.items() if key != "gaps"} for row in table],
            caption="Points of ours and of the reference, mean over the seeds",
        )
    if curves:
        run.table(
            "growth",
            [
                {"estimator": name, "n": n, "ours_s": ours, "reference_s": reference}
                for name, curve in curves.items()
                for n, ours, reference in zip(curve.sizes, curve.ours, curve.reference, strict=True)
            ],
            caption="Seconds of a fit against n",
        )
        run.figure(
            "growth",
            draw_growth(curves),
            "Seconds of a fit against the number of rows, ours and the reference's.",
        )
    return curves


def coefficient_error(
    run: Run, name: str, ours: Any, reference: Any, sets: Sequence[str], rows: int = 2000
) -> float:
    """Tell the run how far the coefficients of two linear models lie apart, at their worst.

    Both are fitted to each (standardized) table, so give them a tight tolerance. The metric
    `coefficient_error.NAME` is the largest difference of an entry of `coef_` or `intercept_`,
    relative to the largest entry of the reference's where that is above 1.
    """
    worst = 0.0
    for table in sets:
        x, y = tables.matrix(table, run.data, rows=rows, seed=run.seed, standardize=True)
        fits = [_fit(_seeded(estimator, run.seed), x, y) for estimator in (ours, reference)]
        for attribute in ("coef_", "intercept_"):
            a, b = (np.asarray(getattr(fitted, attribute)) for fitted in fits)
            scale = max(1.0, float(np.abs(b).max()))
            worst = max(worst, float(np.abs(a - b).max()) / scale)
    return run.metric(f"coefficient_error.{name}", worst)


def _scores(
    run: Run, pair: Pair, sets: Sequence[str], rows: int | None, seeds: int
) -> list[dict[str, Any]]:
    result = []
    for name in pair.sets if pair.sets is not None else sets:
        x, y = tables.matrix(name, run.data, rows=rows, seed=run.seed, standardize=True)
        if pair.prepare is not None:
            x = pair.prepare(x)
        ours: list[float] = []
        theirs: list[float] = []
        for seed in run.seeds(seeds):
            train, test = _split(y, seed, pair.holdout, tables.is_regression(name))
            fits = [
                _fit(_seeded(estimator, seed), x[train], y[train])
                for estimator in (pair.ours, pair.reference)
            ]
            for points, fitted in zip((ours, theirs), fits, strict=True):
                points.append(_points(pair, fitted, x[test], y[test]))
        result.append(
            {
                "estimator": pair.name,
                "table": name,
                "rows": len(y),
                "ours": statistics.fmean(ours),
                "reference": statistics.fmean(theirs),
                "behind": statistics.fmean(theirs) - statistics.fmean(ours),
                "gaps": [b - a for a, b in zip(ours, theirs, strict=True)],
            }
        )
    return result


def _split(y: NDArray, seed: int, holdout: bool, regression: bool) -> tuple[NDArray, NDArray]:
    everything = np.arange(len(y))
    if not holdout:
        return everything, everything
    from sklearn.model_selection import train_test_split

    rare = not regression and np.unique(y, return_counts=True)[1].min() < 2
    stratify = None if regression or rare else y
    train, test = train_test_split(everything, test_size=0.25, random_state=seed, stratify=stratify)
    return train, test


def _seeded(estimator: Any, seed: int) -> Any:
    from sklearn.base import clone

    fresh = clone(estimator)
    names = [name for name in fresh.get_params() if name.split("__")[-1] == "random_state"]
    return fresh.set_params(**dict.fromkeys(names, seed))


def _fit(estimator: Any, x: NDArray, y: Any) -> Any:
    return estimator.fit(x) if y is None else estimator.fit(x, y)


def _points(pair: Pair, fitted: Any, x: NDArray, y: Any) -> float:
    return pair.score(fitted, x, y) if pair.score else 100.0 * float(fitted.score(x, y))


def _tell_scores(run: Run, name: str, scores: Sequence[Mapping[str, Any]]) -> None:
    if not scores:
        return
    run.metric(f"score.{name}", statistics.fmean(row["ours"] for row in scores), "points")
    run.metric(
        f"score_reference.{name}", statistics.fmean(row["reference"] for row in scores), "points"
    )
    for metric, worst in (
        ("behind", max(scores, key=lambda row: row["behind"])),
        ("apart", max(scores, key=lambda row: abs(row["behind"]))),
    ):
        gaps = worst["gaps"]
        if metric == "apart" and statistics.fmean(gaps) < 0:
            gaps = [-gap for gap in gaps]
        run.metric(f"{metric}.{name}", gaps, "points")


def make_rows(pair: Pair, n: int, seed: int, columns: int = 20) -> tuple[NDArray, Any]:
    """Made rows for a pair's timing: X float64 (n, columns) and y (n,)."""
    if pair.make is not None:
        return pair.make(n, seed)
    from sklearn.base import is_regressor
    from sklearn.datasets import make_classification, make_regression

    # The first rows of one large set: with n the sample grows, and the problem stays the same.
    drawn = max(n, _DRAWN)
    if is_regressor(pair.reference):
        x, y = make_regression(drawn, columns, n_informative=10, noise=10.0, random_state=seed)
    else:
        x, y = make_classification(
            drawn, columns, n_informative=10, n_redundant=4, flip_y=0.05, random_state=seed
        )
    return x[:n].copy(), y[:n].copy()


def _times(
    run: Run, pair: Pair, rows: int, timing_pairs: int, threads: int | None
) -> dict[str, dict[str, Any]]:
    x, y = make_rows(pair, rows, run.seed)
    ours, theirs = _seeded(pair.ours, run.seed), _seeded(pair.reference, run.seed)
    names = [f"fit.{pair.name}"]
    common: dict[str, Any] = {"library": pair.library, "pairs": timing_pairs, "threads": threads}
    run.compare(names[0], lambda: _fit(ours, x, y), lambda: _fit(theirs, x, y), **common)
    if pair.apply:
        names.append(f"predict.{pair.name}")
        run.compare(
            names[1],
            lambda: getattr(ours, pair.apply)(x),
            lambda: getattr(theirs, pair.apply)(x),
            **common,
        )
    return {name: run.comparisons[name] for name in names}


def measure_growth(
    pair: Pair, largest: int, limit_s: float, seed: int, threads: int | None = None
) -> Growth:
    """Time fits of both at 1,000, 2,000, 5,000, 10,000, … rows, up to `largest`.

    Each time is the shortest of one to fifteen, taken in turns. The curve ends before the size
    where either would be expected to take longer than `limit_s` seconds.
    """
    curve = Growth()
    steps = (1, 2, 3, 5, 7) if largest <= 20_000 else (1, 2, 5)  # a slope needs some points
    sizes = [m * 10**k for k in range(3, 7) for m in steps if m * 10**k <= largest]
    with thread_limit(threads):
        _fit(_seeded(pair.ours, seed), *make_rows(pair, 500, seed))  # compiles
        for n in sizes:
            if curve.sizes:
                step = (n / curve.sizes[-1]) ** 2
                if max(curve.ours[-1], curve.reference[-1]) * step > 4 * limit_s:
                    break
            x, y = make_rows(pair, n, seed)
            times = _shortest((pair.ours, pair.reference), seed, x, y)
            curve.sizes.append(n)
            curve.ours.append(times[0])
            curve.reference.append(times[1])
            if max(times) > limit_s:
                break
    return curve


def _shortest(
    estimators: Sequence[Any], seed: int, x: NDArray, y: Any, enough_s: float = 3.0
) -> list[float]:
    """The shortest fit of each, in turns: three at least where they are quick, one where not.

    Two where they take some seconds: the very first fit at a size may wait for memory that the
    system has to find, and the next one finds it ready.
    """
    best = [np.inf] * len(estimators)
    total, turns = 0.0, 0
    while any(
        turns < least and total < most
        for least, most in (
            (1, np.inf),
            (2, 10 * enough_s),
            (3, enough_s),
            (15, enough_s / 3),
        )
    ):
        for i, estimator in enumerate(estimators):
            fresh = _seeded(estimator, seed)
            gc.collect()
            start = time.perf_counter()
            _fit(fresh, x, y)
            seconds = time.perf_counter() - start
            best[i] = min(best[i], seconds)
            total += seconds
        turns += 1
    return best


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The slope of log seconds against log n, over the upper half of the sizes (log scale)."""
    n, s = np.asarray(sizes, dtype=float), np.asarray(seconds, dtype=float)
    upper = n >= min(np.sqrt(n[0] * n[-1]) * 0.999, n[-2])
    return float(np.polyfit(np.log(n[upper]), np.log(s[upper]), 1)[0])


def _tell_exponents(run: Run, name: str, curve: Growth) -> None:
    if len(curve.sizes) < 3:
        return
    ours, theirs = exponent(curve.sizes, curve.ours), exponent(curve.sizes, curve.reference)
    run.metric(f"exponent.{name}", ours)
    run.metric(f"exponent_reference.{name}", theirs)
    run.metric(f"exponent_excess.{name}", ours - theirs)


def draw_growth(curves: Mapping[str, Growth]) -> "Figure":
    """Time against n on logarithmic axes, a panel for each pair; the reference is dashed."""
    from groundwork import plots

    columns = min(3, len(curves))
    lines = -(-len(curves) // columns)
    figure, axes = plots.figure(lines, columns, width=3.1 * columns, height=2.5 * lines)
    panels = np.atleast_1d(np.asarray(axes)).ravel()
    for panel, (name, curve) in zip(panels, curves.items(), strict=False):
        panel.loglog(curve.sizes, curve.ours, "o-", label="ours", markersize=3)
        panel.loglog(curve.sizes, curve.reference, "s--", label="reference", markersize=3)
        panel.set(title=name, xlabel="rows", ylabel="seconds")
        panel.legend()
    for panel in panels[len(curves) :]:
        panel.set_axis_off()
    return figure


def measure_memory(pair: Pair, rows: int, seed: int) -> tuple[float, float] | None:
    """Peak bytes of a fit of ours and of the reference; None where the system does not tell."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    x, y = make_rows(pair, rows, seed)
    context = multiprocessing.get_context("spawn")
    peaks = []
    for estimator in (pair.ours, pair.reference):
        packed = pickle.dumps((_seeded(estimator, seed), x, y), protocol=5)
        with context.Pool(1) as pool:
            peaks.append(pool.apply(_peak_of_fit, (packed,)))
    return peaks[0], peaks[1]


def _peak_of_fit(packed: bytes) -> float:
    """Bytes that a fit takes at its peak beyond what the process holds before it."""
    estimator, x, y = pickle.loads(packed)
    few = min(len(x), 300)
    _fit(_seeded(estimator, 0), x[:few], None if y is None else y[:few])  # compiles and imports
    gc.collect()
    _trim()
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    _fit(estimator, x, y)
    return float(max(0, _status("VmHWM") - before))


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def _trim() -> None:
    """Give freed memory back to the system, so that what is held is what is used."""
    import ctypes

    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return


def _tell_memory(run: Run, name: str, ours: float, reference: float) -> None:
    run.metric(f"memory.{name}", ours / 2**20, "MB")
    run.metric(f"memory_reference.{name}", reference / 2**20, "MB")
    run.metric(f"memory_ratio.{name}", max(ours, _SMALL) / max(reference, _SMALL))
