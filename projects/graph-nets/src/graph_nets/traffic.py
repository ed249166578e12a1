"""What a forward pass must move, what the memory can, and how much of it is taken."""

import ctypes
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from graph_nets import kernels
from graph_nets.inference import FusedNetwork
from groundwork.measure import thread_limit


def fused_bytes(plan: FusedNetwork, inputs: int) -> float:
    """Bytes of a forward pass where no gathered row is found in a cache.

    The features are read; rows of the first map are written, and read once for each edge with their
    factor; so are those of the second; indices are read twice, the logits written. In 16 bits the
    first map's rows go by way of float32, in a cache.
    """
    edges, n = len(plan.sources), plan.n
    hidden, columns = len(plan.first.bias), plan.first.both.shape[1]
    classes, mapped = len(plan.last.bias), plan.last.both.shape[1]
    number = 2 if plan.short else 4
    rows = number * (edges * (hidden + classes) + n * (2 * columns - hidden + 2 * mapped - classes))
    return float(rows + 4 * (n * (inputs + classes + 4) + 4 * edges))


def peak_bandwidth(threads: int, size: int = 1 << 24, repeats: int = 5) -> float:
    """Bytes a second of a = b + 3 c over arrays that fit in no cache; the best of some."""
    b, c = np.ones(size, np.float32), np.ones(size, np.float32)
    a = np.empty_like(b)
    best = np.inf
    with thread_limit(threads):
        kernels.triad(a, b, c)
        for _ in range(repeats):
            start = time.perf_counter()
            kernels.triad(a, b, c)
            best = min(best, time.perf_counter() - start)
    return 12.0 * size / best


def peak_memory(call: Callable[[], object]) -> int:
    """Bytes by which the resident memory grows at most during a call.

    Linux keeps the highest value itself; elsewhere it is looked at a thousand times a second.
    """
    process = psutil.Process()
    reset = Path("/proc/self/clear_refs")
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim:
        trim(0)  # glibc keeps what was freed, and the call would be served from it unseen
    before = process.memory_info().rss
    if reset.exists():
        reset.write_text("5")
        call()
        lines = Path("/proc/self/status").read_text().splitlines()
        highest = 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
        return max(0, highest - before)
    highest, done = before, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.wait(0.001):
            highest = max(highest, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        call()
    finally:
        done.set()
        watcher.join()
    return highest - before
