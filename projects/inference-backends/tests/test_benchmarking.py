import math

import numpy as np
import pytest
import torch

from inference_backends import benchmarking
from inference_backends.backends import Session, SessionInfo
from inference_backends.benchmarking import (
    Peaks,
    count_work,
    logit_error,
    machine_peaks,
    measure,
    one_line,
    pareto_front,
    top1,
)
from inference_backends.footprints import footprint
from quantized_cnn.networks import make_network


class Spin(Session):
    """Takes so many seconds an image; fails on its n-th call, where one is given."""

    def __init__(self, clock, seconds, fails_at=None):
        super().__init__((1, 2, 2), SessionInfo("spin", "1", "fp32", "fp32", 1, 0, 0.0))
        self.clock, self.seconds, self.fails_at, self.calls = clock, seconds, fails_at, 0

    def _run(self, batch):
        self.calls += 1
        if self.calls == self.fails_at:
            raise RuntimeError("out of luck\nsecond line")
        self.clock.log.append(self)
        self.clock.now += self.seconds * len(batch)
        return batch.reshape(len(batch), -1)


class Clock:
    """Stands for the module `time`: advances only by what the sessions take."""

    def __init__(self):
        self.now, self.log = 0.0, []

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(benchmarking, "time", made)
    return made


def test_rows_hold_each_sessions_time_and_throughput(clock):
    sessions = {"quick": Spin(clock, 0.01), "slow": Spin(clock, 0.03)}
    rows = measure(sessions, [1, 4], 1.0, np.random.default_rng(0))
    assert [(row.name, row.batch) for row in rows] == [
        ("quick", 1),
        ("slow", 1),
        ("quick", 4),
        ("slow", 4),
    ]
    assert rows[0].p50_s == pytest.approx(0.01)
    assert rows[3].p99_s == pytest.approx(0.12)
    assert rows[3].images_per_s == pytest.approx(1 / 0.03)
    assert all(row.error is None for row in rows)


def test_sessions_take_turns_in_orders_that_change(clock):
    sessions = {name: Spin(clock, 0.01) for name in "abc"}
    names = {id(session): name for name, session in sessions.items()}
    measure(sessions, [1], 1.0, np.random.default_rng(0))
    turns = [names[id(session)] for session in clock.log]
    turns = [name for k, name in enumerate(turns) if not k or turns[k - 1] != name]
    assert len(turns) > 2 * benchmarking.ROUNDS
    assert len({tuple(turns[k : k + 3]) for k in range(0, len(turns) - 3, 3)}) > 2


def test_a_call_longer_than_the_time_is_still_timed_three_times(clock):
    (row,) = measure({"slow": Spin(clock, 9.0)}, [1], 0.1, np.random.default_rng(0))
    assert row.calls == 3


@pytest.mark.parametrize("fails_at", [1, 7])
def test_a_session_that_fails_gets_its_error_and_the_others_go_on(clock, fails_at):
    sessions = {"bad": Spin(clock, 0.01, fails_at), "good": Spin(clock, 0.01)}
    bad, good = measure(sessions, [1], 1.0, np.random.default_rng(0))
    assert bad.error == "RuntimeError: out of luck"
    assert math.isnan(bad.p50_s)
    assert bad.calls == 0
    assert good.error is None
    assert good.calls > 10


def test_batches_are_cut_from_the_images_and_repeat_them(clock):
    seen = []

    class Keeps(Spin):
        def _run(self, batch):
            seen.append(batch)
            return super()._run(batch)

    images = np.arange(12, dtype=np.float32).reshape(3, 1, 2, 2)
    measure({"a": Keeps(clock, 0.1)}, [5], 0.1, np.random.default_rng(0), images)
    np.testing.assert_array_equal(seen[-1][3:], images[:2])


@pytest.mark.parametrize(
    "sessions, batches, seconds, text",
    [
        ({}, [1], 1.0, "no session"),
        ({"a": None}, [], 1.0, "sizes of 1"),
        ({"a": None}, [4, 0], 1.0, "sizes of 1"),
        ({"a": None}, [1], 0.0, "seconds_each = 0"),
    ],
)
def test_measure_refuses_what_it_cannot_time(sessions, batches, seconds, text):
    with pytest.raises(ValueError, match=text):
        measure(sessions, batches, seconds, np.random.default_rng(0))


def test_the_front_has_the_rows_that_nothing_beats():
    rows = [(3, 1), (1, 3), (2, 2), (2, 3), (math.nan, 0), (0, math.inf), (2, 2)]
    front = pareto_front(rows, lambda r: r[0], lambda r: r[1])
    assert front == [(1, 3), (2, 2), (2, 2), (3, 1)]
    assert pareto_front([], lambda r: r) == []
    with pytest.raises(ValueError, match="no costs"):
        pareto_front(rows)


def test_the_front_is_that_of_pairwise_domination_in_three_costs():
    table = np.random.default_rng(0).integers(0, 6, (60, 3))
    rows = [tuple(int(v) for v in row) for row in table]

    def beaten(row):
        return any(o != row and all(a <= b for a, b in zip(o, row, strict=True)) for o in rows)

    front = pareto_front(rows, *(lambda r, k=k: r[k] for k in range(3)))
    assert sorted(front) == sorted(row for row in rows if not beaten(row))


def test_the_machines_peaks_are_positive_and_make_a_roof():
    peaks = machine_peaks(1, size=64, seconds=0.005)
    assert min(peaks.fp32_macs, peaks.bf16_macs, peaks.int8_macs, peaks.bytes_per_s) > 0
    made = Peaks(1, 10.0, 20.0, 40.0, 2.0)
    np.testing.assert_allclose(made.roof("int8", [1, 20, 100]), [2, 40, 40])
    assert made.macs("fp16") == made.bf16_macs
    with pytest.raises(ValueError, match="threads = 0"):
        machine_peaks(0)


def test_work_of_resnet_20_is_what_its_layers_need():
    model = make_network("resnet", 10, 3).eval()
    work = count_work(model, (3, 32, 32), 1, "fp32")
    blocks = 6 * 32 * 32 * 16 * 16 * 9 + (16 * 16 * 32 * 16 + 5 * 16 * 16 * 32 * 32) * 9
    blocks += (8 * 8 * 64 * 32 + 5 * 8 * 8 * 64 * 64) * 9
    shortcuts = 16 * 16 * 32 * 16 + 8 * 8 * 64 * 32
    assert work.macs == 32 * 32 * 16 * 27 + blocks + shortcuts + 640
    many = count_work(model, (3, 32, 32), 64, "int8")
    assert many.macs == 64 * work.macs
    assert many.bytes < 16 * work.bytes
    assert many.intensity > work.intensity


def test_accuracy_and_error_are_those_of_the_logits(clock):
    session = Spin(clock, 0.0)
    x = np.eye(4, dtype=np.float32).reshape(4, 1, 2, 2)
    assert top1(session, x, np.array([0, 1, 2, 0]), batch=3) == 75.0
    assert logit_error(np.float32([[1, -4]]), np.float32([[2, -5]])) == pytest.approx(0.2)
    assert logit_error(np.float32([[np.nan, 1]]), np.float32([[2, 1]])) == math.inf
    with pytest.raises(ValueError, match="wanted"):
        logit_error(np.zeros((1, 2), np.float32), np.zeros((2, 2), np.float32))


def test_an_error_is_one_short_line():
    assert one_line(ValueError("a\nb")) == "ValueError: a"
    assert one_line(KeyError()) == "KeyError: "
    assert len(one_line(ValueError("x" * 500))) == 120


def test_a_failing_process_says_why(network, images):
    with pytest.raises(RuntimeError, match=r"own: ValueError: backend 'nowhere'"):
        footprint("nowhere", network, images[:4], "fp32", 1)
    with pytest.raises(RuntimeError, match=r"not done in 0\.01 s"):
        footprint("eager", network, images[:4], "fp32", 1, timeout_s=0.01)


def test_a_fresh_process_measures_memory_and_time(network, images):
    found = footprint("eager", network, images[:4], "fp32", 1, batch=8)
    assert found.compile_s >= 0
    assert 0 <= found.held_bytes <= found.peak_bytes < 2e9
    assert torch.get_num_threads() == 1
