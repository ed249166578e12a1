"""Where the time of a forward pass goes, and how near each part is to the machine's limit."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from graph_nets.edges import Edges, gather_scatter
from graph_nets.inference import FusedNetwork


@dataclass(frozen=True)
class Operator:
    """One kind of operator in a profile: seconds of its own, not of what it calls, and calls."""

    name: str
    seconds: float
    calls: int


def profile(call: Callable[[], object], trace: Path | None = None) -> tuple[list[Operator], float]:
    """The operators of one call by PyTorch's profiler, the dearest first, and the call's seconds.

    trace : where to write the events for a browser's trace viewer.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it complains of a GPU that is not there
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as recorder

    call()
    with recorder(activities=[ProfilerActivity.CPU]):
        call()  # the first profile of a process pays for the profiler
    with recorder(activities=[ProfilerActivity.CPU]) as record:
        start = time.perf_counter()
        call()
        seconds = time.perf_counter() - start
    found = [
        Operator(event.key, 1e-6 * event.self_cpu_time_total, event.count)
        for event in record.key_averages()
    ]
    if trace is not None:
        record.export_chrome_trace(str(trace))
    return sorted(found, key=lambda operator: -operator.seconds), seconds


@dataclass(frozen=True)
class Part:
    """A part of a layer with what it needs at least.

    flops : multiplications and additions. bytes : of its inputs and outputs, a gathered row counted
    for each edge. call : does it.
    """

    name: str
    flops: float
    bytes: float
    call: Callable[[], object]

    @property
    def intensity(self) -> float:
        """FLOP for each byte."""
        return self.flops / self.bytes

    def roof(self, peak_flops: float, peak_bytes: float) -> float:
        """The FLOP a second that the machine allows: Williams, Waterman and Patterson, 2009."""
        return min(peak_flops, peak_bytes * self.intensity)


def parts_of_layer(
    x: torch.Tensor, edges: Edges, weight: torch.Tensor, plan: FusedNetwork
) -> list[Part]:
    """The first layer's two products, the sum over neighbors done in two ways, and fused.

    x : (n, inputs). weight : (inputs, outputs). plan : a GCN on the same graph whose first layer
    has the same shape.
    """
    from graph_nets import kernels

    n, inputs = x.shape
    outputs, classes = weight.shape[1], plan.last.both.shape[1]
    looped = edges.with_loops
    matrix = edges.normalized
    m = len(looped)
    h = (x @ weight).contiguous()
    rows = h.numpy()
    mapped, factor = np.empty((n, classes), np.float32), np.empty(n, np.float32)
    weights = matrix.weights

    def fused() -> None:
        kernels.propagate_and_map(
            plan.pointers, plan.sources, plan.parts, rows, plan.before, plan.scale,
            plan.first.bias, plan.last.both, plan.before, False, mapped, factor,
        )  # fmt: skip

    dense = n * inputs + inputs * outputs + n * outputs
    return [
        Part("dense product", 2.0 * n * inputs * outputs, 4.0 * dense, lambda: x @ weight),
        # Messages are written, read and written again with their weights, read to be summed up.
        Part(
            "edge by edge",
            2.0 * m * outputs,
            4.0 * (5 * m * outputs + n * outputs) + 20.0 * m,
            lambda: gather_scatter(h, looped, weights),
        ),
        Part(
            "sparse product",
            2.0 * m * outputs,
            4.0 * (m * outputs + n * outputs) + 12.0 * m,
            lambda: matrix @ h,
        ),
        Part(
            "fused, with the next map",
            2.0 * m * outputs + 2.0 * n * outputs * classes,
            4.0 * (m * outputs + n * classes + 2 * m),
            fused,
        ),
    ]


def median_seconds(call: Callable[[], object], repeats: int = 7) -> float:
    """The median of some calls after one that is not timed."""
    call()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def peak_flops(threads: int, size: int = 1024) -> float:
    """FLOP a second of PyTorch's dense product in float32."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        a, b = torch.randn(size, size), torch.randn(size, size)
        seconds = min(median_seconds(lambda: a @ b, 3) for _ in range(3))
    finally:
        torch.set_num_threads(before)
    return 2.0 * size**3 / seconds
