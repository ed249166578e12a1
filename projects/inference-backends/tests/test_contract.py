"""What every backend must do, at each precision that it has: one suite for all of them.

Sessions are compiled once, and run with 1, 33 and 64 images: some make code for each size. Those of
fp32 have two threads and the others one, so that both counts are measured without compiling
anything twice.
"""

import copy
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from inference_backends import (
    NAMES,
    PRECISIONS,
    Backend,
    Precision,
    Session,
    UnsupportedError,
    make_backend,
)

CASES = [(name, precision) for name in NAMES for precision in make_backend(name).precisions]
of_each_backend = pytest.mark.parametrize("name", NAMES)
of_each_case = pytest.mark.parametrize(
    "name, precision", CASES, ids=[f"{name}-{precision}" for name, precision in CASES]
)


@dataclass
class Made:
    """A compiled network, and whether the module was left as it was."""

    session: Session
    threads: int
    unchanged: bool


def present(name: str) -> Backend:
    """The backend; the test is skipped where it is absent."""
    backend = make_backend(name)
    reason = backend.absent()
    if reason:
        pytest.skip(f"{name} is absent: {reason}")
    return backend


@pytest.fixture(scope="session")
def made(network, images) -> Callable[[str, Precision], Made]:
    """Compiles each case when it is asked for first."""
    kept: dict[tuple[str, Precision], Made] = {}

    def make(name: str, precision: Precision) -> Made:
        backend = present(name)
        if (name, precision) not in kept:
            threads = 2 if precision == "fp32" else 1
            model = copy.deepcopy(network)
            session = backend.compile(model, images, precision, threads)
            after = model.state_dict()
            unchanged = not model.training and all(
                torch.equal(value, after[key]) for key, value in network.state_dict().items()
            )
            kept[name, precision] = Made(session, threads, unchanged)
        return kept[name, precision]

    return make


@pytest.fixture(scope="session")
def logits(network, images):
    """PyTorch's answers in float32."""
    with torch.inference_mode():
        return network(torch.from_numpy(images)).numpy()


@of_each_case
def test_logits_are_pytorchs_within_the_stated_tolerance(name, precision, made, images, logits):
    found = made(name, precision).session.run(images[:64])
    logits = logits[:64]
    assert found.dtype == np.float32
    assert found.shape == logits.shape
    difference = np.abs(found - logits).max() / np.abs(logits).max()
    assert difference <= make_backend(name).tolerance[precision]


@of_each_case
def test_an_images_answer_does_not_depend_on_the_batch(name, precision, made, images):
    session = made(name, precision).session
    whole = session.run(images[:64])
    allowed = make_backend(name).tolerance[precision] / 4 * np.abs(whole).max()
    for first, size in ((0, 1), (5, 1), (3, 33), (0, 64)):
        part = session.run(images[first : first + size])
        assert part.shape == (size, 10)
        np.testing.assert_allclose(part, whole[first : first + size], rtol=0, atol=allowed)


@of_each_case
def test_a_later_run_leaves_earlier_logits_alone(name, precision, made, images):
    session = made(name, precision).session
    first = session.run(images[:64])
    before = first.copy()
    session.run(images[20:84])
    np.testing.assert_array_equal(first, before)


@of_each_case
def test_any_layout_of_the_array_is_taken(name, precision, made, images):
    session = made(name, precision).session
    expected = session.run(images[:66:2].copy())
    frozen = images[:66:2].copy()
    frozen.setflags(write=False)
    turned = np.ascontiguousarray(images[:66:2].transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for batch in (images[:66:2], frozen, turned):
        np.testing.assert_array_equal(session.run(batch), expected)


@of_each_case
def test_as_many_threads_work_as_were_asked_for(name, precision, made, images):
    case = made(name, precision)
    threads = case.session.info().threads
    assert threads in {case.threads, min(case.threads, len(os.sched_getaffinity(0)))}
    case.session.prepare(64)
    before = torch.get_num_threads()
    least = 1 if name == "tvm" else threads  # its loops are split by schedules, not without
    # On a busy machine the others may do a thread's share before it gets a core: look again then.
    seen = [busy_threads(lambda: case.session.run(images[:64]))]
    while not least <= seen[-1] <= threads and len(seen) < 8:
        seen.append(busy_threads(lambda: case.session.run(images[:64])))
    assert least <= seen[-1] <= threads
    assert torch.get_num_threads() == before


@of_each_case
def test_the_module_is_not_changed(name, precision, made):
    assert made(name, precision).unchanged


@of_each_case
def test_info_says_what_was_made(name, precision, made):
    info = made(name, precision).session.info()
    assert (info.backend, info.asked) == (name, precision)
    assert info.version
    assert info.precision in PRECISIONS
    if precision in ("fp32", "int8"):
        assert info.precision == precision
    assert info.size_bytes > 1000
    assert info.compile_s > 0


@of_each_backend
def test_two_sessions_in_two_threads_agree_with_one_alone(name, made, network, images):
    backend = present(name)
    sessions = [made(name, precision).session for precision in backend.precisions[:2]]
    if len(sessions) == 1:
        sessions.append(backend.compile(network, images, backend.precisions[0]))
    alone = [session.run(images[:64]) for session in sessions]
    wrong: list[object] = []
    start = threading.Barrier(2)

    def work(session: Session, expected: np.ndarray) -> None:
        start.wait()
        try:
            for _ in range(20):
                np.testing.assert_allclose(
                    session.run(images[:64]), expected, rtol=0, atol=1e-5 * np.abs(expected).max()
                )
        except BaseException as error:
            wrong.append(error)

    workers = [
        threading.Thread(target=work, args=pair) for pair in zip(sessions, alone, strict=True)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong, wrong[0]


@of_each_backend
def test_a_wrong_batch_is_refused_by_what_was_given_and_what_is_taken(name, made, images):
    session = made(name, present(name).precisions[0]).session
    with pytest.raises(ValueError, match=r"\(2, 1, 9, 8\).*\(n, 1, 8, 8\)"):
        session.run(np.zeros((2, 1, 9, 8), np.float32))
    with pytest.raises(ValueError, match=r"\(1, 8, 8\).*\(n, 1, 8, 8\)"):
        session.run(images[0])
    with pytest.raises(ValueError, match=r"n >= 1"):
        session.run(images[:0])
    with pytest.raises(TypeError, match=r"float64.*float32"):
        session.run(images.astype(np.float64))
    with pytest.raises(TypeError, match=r"Tensor|torch.float32"):
        session.run(torch.from_numpy(images))


@of_each_backend
def test_bad_arguments_are_refused_before_anything_is_compiled(name, network, images):
    backend = present(name)
    precision = backend.precisions[0]
    started = time.perf_counter()
    with pytest.raises(ValueError, match="threads = 0"):
        backend.compile(network, images, precision, threads=0)
    with pytest.raises(UnsupportedError, match=f"{name} has no fp8; it takes .*{precision}"):
        backend.compile(network, images, "fp8")
    with pytest.raises(TypeError, match="float64"):
        backend.compile(network, images.astype(np.float64), precision)
    with pytest.raises(ValueError, match=r"\(96, 64\)"):
        backend.compile(network, images.reshape(96, 64), precision)
    with pytest.raises(ValueError, match=r"model.eval\(\)"):
        backend.compile(copy.deepcopy(network).train(), images, precision)
    if "int8" in backend.precisions:
        with pytest.raises(ValueError, match="constant"):
            backend.compile(network, np.ones_like(images), "int8")
    assert time.perf_counter() - started < 5


@of_each_backend
def test_images_that_the_network_does_not_take_are_refused(name, network):
    backend = present(name)
    with pytest.raises(ValueError, match=r"does not take images \(3, 8, 8\)"):
        backend.compile(network, np.zeros((4, 3, 8, 8), np.float32), backend.precisions[0])


class Gate(nn.Module):
    """Does one thing or another, by the values."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if x.sum() > 0 else x - 1


@of_each_backend
def test_a_layer_that_cannot_be_taken_is_named_with_who_takes_it(name, images):
    backend = present(name)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), Gate(), nn.Flatten(), nn.Linear(144, 10)).eval()
    if name == "eager":
        assert backend.compile(model, images).run(images).shape == (96, 10)
        return
    with pytest.raises(UnsupportedError, match=r"1 \(Gate\).*eager"):
        backend.compile(model, images, backend.precisions[0])


def test_an_operation_that_onnx_has_not_is_named_with_its_layer(images):
    class Bessel(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.special.bessel_j0(x)

    model = nn.Sequential(nn.Conv2d(1, 4, 3), Bessel(), nn.Flatten(), nn.Linear(144, 10)).eval()
    with pytest.raises(UnsupportedError, match=r"1 \(Bessel\).*bessel_j0.*eager, compile"):
        present("onnxruntime").compile(model, images)


def busy_threads(call: Callable[[], object], seconds: float = 0.4) -> int:
    """How many of the process's threads compute while it is called again and again.

    A thread counts that had a two-hundredth of the processor time of the busiest one: those that
    rest have none, and one that steals work may find little. Threads of other sessions may go on
    waiting in a loop for a while, so that it is called for a while first.
    """
    call_for(seconds, call)
    before = processor_times()
    call_for(seconds, call)
    gained = [spent - before.get(thread, 0) for thread, spent in processor_times().items()]
    return sum(spent > max(gained) / 200 for spent in gained)


def call_for(seconds: float, call: Callable[[], object]) -> None:
    """Call it again and again for so long."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        call()


def processor_times() -> dict[str, int]:
    """Nanoseconds on a core by thread, as Linux counts them."""
    folder = Path("/proc/self/task")
    if not folder.is_dir():
        pytest.skip("the processor time of each thread is only told by Linux")
    times = {}
    for thread in folder.iterdir():
        try:
            times[thread.name] = int((thread / "schedstat").read_text().split()[0])
        except OSError:  # it has ended
            continue
    return times
