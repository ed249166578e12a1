"""OpenVINO for many requests at once, and its cache of compiled models."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from inference_backends.backends.base import Batch, Precision
from inference_backends.backends.open_vino import compile_graph


def stream_compile(
    graph: Any, precision: Precision, threads: int, hint: str, requests: int = 0
) -> Any:
    """A compiled graph for `LATENCY` or `THROUGHPUT`; `requests` at a time, 0: as it thinks best.

    Raises ValueError for another hint.
    """
    if hint not in ("LATENCY", "THROUGHPUT"):
        raise ValueError(f"hint {hint!r}; LATENCY and THROUGHPUT are taken")
    options: dict[str, Any] = {"PERFORMANCE_HINT": hint}
    if requests:
        options["PERFORMANCE_HINT_NUM_REQUESTS"] = requests
    return compile_graph(graph, precision, threads, **options)


def answer_all(compiled: Any, batches: list[Batch]) -> tuple[Batch, list[float], float]:
    """Put all batches into a queue of requests, as many at a time as the model was compiled for.

    Returns the logits of all images in order, the seconds that each batch took from when its
    request was free, and the seconds of all. Raises ValueError for no batch.
    """
    if not batches:
        raise ValueError("no batch; one or more are taken")
    import openvino

    logits: list[Any] = [None] * len(batches)
    begun, taken = [0.0] * len(batches), [0.0] * len(batches)

    def done(request: Any, number: int) -> None:
        taken[number] = time.perf_counter() - begun[number]
        logits[number] = request.get_output_tensor().data.copy()

    queue = openvino.AsyncInferQueue(
        compiled, compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    )
    queue.set_callback(done)
    start = time.perf_counter()
    for number, batch in enumerate(batches):
        queue.get_idle_request_id()  # waits for a free one
        begun[number] = time.perf_counter()
        queue.start_async([batch], number)
    queue.wait_all()
    return np.concatenate(logits), taken, time.perf_counter() - start


def compile_with_cache(
    graph: Any, precision: Precision, threads: int, folder: Path
) -> tuple[Any, float]:
    """A compiled graph and the seconds that it took; what the folder has is not made anew."""
    start = time.perf_counter()
    compiled = compile_graph(graph, precision, threads, CACHE_DIR=str(folder))
    return compiled, time.perf_counter() - start


def from_cache(compiled: Any) -> bool:
    """Whether the model was read from a cache."""
    return bool(compiled.get_property("LOADED_FROM_CACHE"))
