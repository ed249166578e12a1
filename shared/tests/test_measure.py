import math
import random
import statistics

import pytest

from groundwork.measure import Comparison, compare, median_interval, thread_limit, with_version


class Machine:
    """A clock whose machine drifts and stutters: work of one unit takes about 10 ms."""

    def __init__(self, seed: int, noise: float = 0.05) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self.noise = noise
        self.calls: list[str] = []

    def work(self, name: str, units: float) -> None:
        drift = 1 + 0.5 * math.sin(self.now)
        self.now += 0.01 * units * drift * math.exp(self.random.gauss(0, self.noise))
        self.calls.append(name)

    def compare(self, ours: float, reference: float, **options: int) -> Comparison:
        return compare(
            lambda: self.work("ours", ours),
            lambda: self.work("reference", reference),
            library="a reference",
            min_time=0.0,
            clock=lambda: self.now,
            **options,
        )


def test_identical_work_gives_an_interval_that_holds_one() -> None:
    results = [Machine(seed).compare(1, 1) for seed in range(100)]
    held = sum(result.low <= 1 <= result.high for result in results)
    assert held >= 90  # the interval promises 96 %
    assert statistics.median(result.ratio for result in results) == pytest.approx(1, abs=0.01)


def test_twice_the_work_gives_about_two() -> None:
    results = [Machine(seed).compare(2, 1) for seed in range(20)]
    for result in results:
        assert result.ratio == pytest.approx(2, rel=0.15)
        assert result.low > 1.5


def test_identical_callables_on_the_real_clock() -> None:
    def work() -> int:
        return sum(range(20_000))

    result = compare(work, work, library="itself", pairs=15)
    assert result.low * 0.9 <= 1 <= result.high * 1.1


def test_twice_the_work_on_the_real_clock() -> None:
    result = compare(
        lambda: sum(range(40_000)), lambda: sum(range(20_000)), library="half", pairs=15
    )
    assert 1.5 < result.ratio < 2.7


def test_the_two_run_in_turns_and_each_leads_half_of_the_pairs() -> None:
    machine = Machine(0)
    machine.compare(1, 1, pairs=6)
    timed = machine.calls[-12:]
    pairs = [tuple(timed[i : i + 2]) for i in range(0, 12, 2)]
    assert pairs[0::2] == [("ours", "reference")] * 3
    assert pairs[1::2] == [("reference", "ours")] * 3


def test_compilation_in_the_first_call_is_told_apart() -> None:
    machine = Machine(1)
    calls = iter([300.0] + [1.0] * 1000)
    result = compare(
        lambda: machine.work("ours", next(calls)),
        lambda: machine.work("reference", 1),
        library="eager",
        min_time=0.0,
        clock=lambda: machine.now,
    )
    assert result.compile_s == pytest.approx(3.0, rel=0.6)
    assert result.ratio == pytest.approx(1, rel=0.2)


def test_short_calls_are_repeated_within_a_measurement() -> None:
    calls = 0

    def tiny() -> None:
        nonlocal calls
        calls += 1

    compare(tiny, tiny, library="itself", pairs=5, min_time=0.001)
    assert calls > 1000


@pytest.mark.parametrize("count, coverage", [(6, 0.95), (9, 0.95), (15, 0.95), (31, 0.95)])
def test_the_median_interval_covers_as_promised(count: int, coverage: float) -> None:
    generator = random.Random(count)
    hits = 0
    for _ in range(2000):
        low, high = median_interval([generator.expovariate(1) for _ in range(count)])
        hits += low <= math.log(2) <= high
    assert hits / 2000 >= coverage - 0.015


def test_the_median_interval_is_narrower_than_the_range_where_it_can_be() -> None:
    assert median_interval(list(range(9))) == (1, 7)
    assert median_interval([3.0, 1.0, 2.0]) == (1.0, 3.0)


@pytest.mark.parametrize("options", [{"pairs": 4}, {"warmup": 0}])
def test_too_few_pairs_or_no_warmup_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        Machine(0).compare(1, 1, **options)


def test_threads_are_limited_for_both_and_restored() -> None:
    import numpy as np
    import threadpoolctl

    np.ones((2, 2)) @ np.ones((2, 2))
    before = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
    seen = []
    with thread_limit(1) as count:
        assert count == 1
        seen = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
    assert set(seen) <= {1}
    assert [pool["num_threads"] for pool in threadpoolctl.threadpool_info()] == before


def test_a_library_is_named_with_its_version() -> None:
    import numpy as np

    assert with_version("numpy") == f"numpy {np.__version__}"
    assert with_version("numpy SVD") == f"numpy {np.__version__} SVD"
    assert with_version("the textbook") == "the textbook"
