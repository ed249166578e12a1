r"""Measure sessions side by side: latency, throughput, and the machine's own limits.

*In turns.* The machine's speed drifts, and the drift must not decide between two runtimes. So the
sessions are timed in rounds, each for a short slice, in an order that is drawn anew for each round.
A slice begins with calls that are not timed: they fill the caches again, and the former runtime's
threads, which spin for a while after their last call, go to sleep meanwhile.

*The roof.* With $m$ multiplications a batch and $b$ bytes that must move for it, no program on a
machine with $P$ multiplications and $B$ bytes a second is quicker than

$$\max\left(\frac{m}{P}, \frac{b}{B}\right),$$

so that multiplications a second lie below $\min(P, B \, m / b)$: a roof over the arithmetic
intensity $m / b$. Source: Samuel Williams, Andrew Waterman and David Patterson, *Roofline: an
insightful visual performance model for multicore architectures*, 2009.
"""

import gc
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from torch import nn

from groundwork.measure import thread_limit
from inference_backends.backends.base import Batch, Precision, Session
from quantized_cnn.channels import multiplications
from quantized_cnn.graph import Graph, Node, fold_norms, trace

T = TypeVar("T")

#: Bytes of a number.
WIDTHS: dict[Precision, int] = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}
#: How many slices a session's time is cut into, and how many calls are timed at least.
ROUNDS, MIN_CALLS = 8, 3
#: Seconds of calls before a slice that are not timed.
SETTLE_S = 0.004


@dataclass(frozen=True)
class Row:
    """How long one session takes for batches of one size.

    Parameters
    ----------
    name : of the session; batch : images a call.
    p50_s, p95_s, p99_s : seconds of a call that half, 95 % and 99 % of the calls stay below; not
        a number where the session failed.
    images_per_s : images over the sum of all calls' seconds.
    calls : how many were timed; with fewer than a hundred, p99 is near the longest.
    error : what the session raised, in one line; None where it did not.
    """

    name: str
    batch: int
    p50_s: float
    p95_s: float
    p99_s: float
    images_per_s: float
    calls: int
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The row as a mapping."""
        return asdict(self)


def measure(
    sessions: Mapping[str, Session],
    batches: Sequence[int],
    seconds_each: float,
    rng: Generator,
    images: Batch | None = None,
    progress: Callable[[list[int]], Iterable[int]] = iter,
) -> list[Row]:
    """Time all sessions in turns; see the module's docstring for the method.

    Parameters
    ----------
    sessions : by the names that the rows get.
    batches : how many images a call takes; each size is measured after the other.
    seconds_each : seconds for a session and a size, about; a call that lasts longer than its share
        is still timed three times.
    rng : draws the order of each round, and the images where none are given.
    images : (n, channels, height, width), float32, that the batches are cut from, repeated where
        they are too few.
    progress : wraps the list of sizes, to show how far it is.

    A session that raises gets rows with the error, and the others go on. Raises ValueError for no
    session, a size below 1 or no time.
    """
    if not sessions:
        raise ValueError("no session; one or more are taken")
    if not batches or min(batches) < 1:
        raise ValueError(f"batches = {list(batches)}; sizes of 1 or more are taken")
    if not seconds_each > 0:
        raise ValueError(f"seconds_each = {seconds_each}; more than 0 is taken")
    rows: list[Row] = []
    collecting = gc.isenabled()
    try:
        for batch in progress(list(batches)):
            gc.collect()
            gc.disable()
            rows += _measure_batch(sessions, batch, seconds_each, rng, images)
            if collecting:
                gc.enable()
    finally:
        if collecting:
            gc.enable()
    return rows


def _measure_batch(
    sessions: Mapping[str, Session],
    batch: int,
    seconds_each: float,
    rng: Generator,
    images: Batch | None,
) -> list[Row]:
    """A row for each session, at one size."""
    times: dict[str, list[float]] = {}
    errors: dict[str, str] = {}
    inputs: dict[str, Batch] = {}
    for name, session in sessions.items():
        inputs[name] = _batch_for(session, batch, images, rng)
        try:
            session.prepare(batch)
            times[name] = []
        except Exception as error:  # any runtime, any fault: it becomes this session's row
            errors[name] = one_line(error)
    waiting = list(times)
    while waiting:
        for name in rng.permutation(waiting):
            try:
                _slice(sessions[name], inputs[name], times[name], seconds_each / ROUNDS)
            except Exception as error:
                errors[name] = one_line(error)
        waiting = [
            name
            for name in waiting
            if name not in errors
            and (sum(times[name]) < seconds_each or len(times[name]) < MIN_CALLS)
        ]
    return [
        _failed(name, batch, errors[name]) if name in errors else _row(name, batch, times[name])
        for name in sessions
    ]


def _slice(session: Session, x: Batch, times: list[float], seconds: float) -> None:
    """Time calls one by one for so many seconds, one call at least."""
    start = time.perf_counter()
    while True:
        session.run(x)
        if time.perf_counter() - start >= SETTLE_S:
            break
    begun = time.perf_counter()
    while True:
        start = time.perf_counter()
        session.run(x)
        end = time.perf_counter()
        times.append(end - start)
        if end - begun >= seconds:
            return


def _batch_for(session: Session, batch: int, images: Batch | None, rng: Generator) -> Batch:
    if images is None:
        return rng.standard_normal((batch, *session.shape), dtype=np.float32)
    return np.ascontiguousarray(np.resize(images, (batch, *images.shape[1:])))


def _row(name: str, batch: int, times: list[float]) -> Row:
    p50, p95, p99 = (float(q) for q in np.quantile(times, [0.5, 0.95, 0.99]))
    return Row(name, batch, p50, p95, p99, batch * len(times) / sum(times), len(times))


def _failed(name: str, batch: int, error: str) -> Row:
    return Row(name, batch, math.nan, math.nan, math.nan, 0.0, 0, error)


def one_line(error: BaseException) -> str:
    """An error's kind and the first line of its text, at most 120 characters."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:120]


def pareto_front(rows: Sequence[T], *costs: Callable[[T], float]) -> list[T]:
    """The rows that no other row beats, by the first cost from the least.

    A row beats another where none of its costs is higher and one is lower. Rows with a cost that
    is not finite are never on the front; of equal rows all are.

    >>> pareto_front([(1, 5), (2, 2), (3, 3)], lambda r: r[0], lambda r: r[1])
    [(1, 5), (2, 2)]
    """
    if not costs:
        raise ValueError("no costs; one function or more is taken")
    table = np.array([[float(cost(row)) for cost in costs] for row in rows]).reshape(-1, len(costs))
    kept = [
        k
        for k, own in enumerate(table)
        if np.isfinite(own).all() and not ((table <= own).all(1) & (table < own).any(1)).any()
    ]
    return [rows[k] for k in sorted(kept, key=lambda k: tuple(table[k]))]


@dataclass(frozen=True)
class Peaks:
    """What a machine can do at most, measured: multiply-adds and bytes a second."""

    threads: int
    fp32_macs: float
    bf16_macs: float
    int8_macs: float
    bytes_per_s: float

    def macs(self, precision: Precision) -> float:
        """The peak for a precision; half precision is counted as bfloat16."""
        return {
            "fp32": self.fp32_macs,
            "bf16": self.bf16_macs,
            "fp16": self.bf16_macs,
            "int8": self.int8_macs,
        }[precision]

    def roof(self, precision: Precision, intensity: ArrayLike) -> NDArray[np.float64]:
        """The most multiply-adds a second at so many multiply-adds a byte."""
        return np.minimum(self.macs(precision), self.bytes_per_s * np.asarray(intensity, float))


def machine_peaks(threads: int, size: int = 512, seconds: float = 0.5) -> Peaks:
    """Measure the peaks that the roof is made of.

    Matrix products by PyTorch's libraries, size × size, in float32, bfloat16 and int8 with 32-bit
    sums; a copy of 128 MiB, much more than the caches hold, of which both reading and writing
    count. The best of the calls within `seconds` stands for what the machine can do. Raises
    ValueError for fewer than 1 thread.
    """
    if threads < 1:
        raise ValueError(f"threads = {threads}; 1 or more is taken")
    draw = torch.Generator().manual_seed(0)
    a, b = (torch.randn(size, size, generator=draw) for _ in range(2))
    p, q = (torch.randint(-127, 128, (size, size), generator=draw).to(torch.int8) for _ in range(2))
    half_a, half_b = a.bfloat16(), b.bfloat16()
    source = torch.ones(32 << 20)
    target = torch.empty_like(source)
    with thread_limit(threads), torch.inference_mode():
        fp32, bf16, int8, copied = (
            _best(call, seconds)
            for call in (
                lambda: torch.mm(a, b),
                lambda: torch.mm(half_a, half_b),
                lambda: torch._int_mm(p, q),
                lambda: target.copy_(source),
            )
        )
    products = size**3
    return Peaks(
        threads, products / fp32, products / bf16, products / int8, 2 * source.nbytes / copied
    )


def _best(call: Callable[[], object], seconds: float) -> float:
    """The least seconds of a call."""
    call()
    best, begun = math.inf, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


@dataclass(frozen=True)
class Work:
    """What a batch costs at least: multiply-adds, and bytes that must move."""

    macs: int
    bytes: int

    @property
    def intensity(self) -> float:
        """Multiply-adds a byte."""
        return self.macs / self.bytes


def count_work(
    model: nn.Module, shape: tuple[int, int, int], batch: int, precision: Precision
) -> Work:
    """Count a batch's multiply-adds and bytes, with activations fused into the layers before.

    Each layer reads its inputs and weights and writes its output once; a ReLU, and an addition
    after a convolution, pass through registers (the addition reads its other input). A runtime
    that keeps all in its caches moves less than this, one that fuses less moves more.
    """
    graph = model if isinstance(model, Graph) else fold_norms(trace(model))
    sizes: dict[str, int] = {}

    def see(node: Node, value: torch.Tensor) -> None:
        sizes[node.name] = value[0].numel()

    with torch.no_grad():
        graph.run(torch.zeros(1, *shape), see)
    moved, weights = 0, sum(p.numel() for p in graph.parameters())
    for node in graph.nodes:
        if node.op in ("conv", "linear"):
            moved += sizes[node.inputs[0]] + sizes[node.name]
        elif node.op == "add":
            moved += min(sizes[name] for name in node.inputs)
        elif node.op == "mean":
            moved += sizes[node.inputs[0]] + sizes[node.name]
    macs = sum(multiplications(graph, shape).values())
    return Work(batch * macs, WIDTHS[precision] * (batch * moved + weights))


def top1(session: Session, x: Batch, y: NDArray[np.int64], batch: int = 200) -> float:
    """The share of images x (n, …) whose largest logit is that of the label y (n,), in points."""
    found = [session.run(x[k : k + batch]).argmax(1) for k in range(0, len(x), batch)]
    return 100.0 * float(np.mean(np.concatenate(found) == y))


def logit_error(logits: Batch, reference: Batch) -> float:
    """The largest difference of a logit, relative to the reference's largest; infinite for NaN."""
    if logits.shape != reference.shape:
        raise ValueError(f"logits of shape {logits.shape}; {reference.shape} is wanted")
    error = float(np.abs(logits - reference).max() / np.abs(reference).max())
    return error if math.isfinite(error) else math.inf
