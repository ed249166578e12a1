"""Run a network on OpenVINO at four precisions, for one request or for many, and from its cache.

OpenVINO picks a precision by itself; on a processor with bfloat16 that is not what the network was
trained in. Here each one is asked for by name, and read back from the compiled graph: what the
processor has no instructions for is done in another type, and the table says in which. The first
panel shows the time of each precision with its accuracy; the second, the error of the logits.

The third is about *hints*. For latency, all threads work on one request; for throughput each thread
is a *stream* with a request of its own: nobody waits for another, but each request takes longer.
The fourth: a compiled graph may be kept in a folder, so that the next process does not compile.

Documentation of OpenVINO, *Performance hints* and *Model caching*; Alexander Kozlov and others,
*Neural network compression framework for fast model inference*, 2020 (NNCF, which quantizes).
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge
from numpy.typing import NDArray

from groundwork import Claim, Run, plots
from groundwork.run import Stopwatch
from inference_backends.backends.base import PRECISIONS, Session
from inference_backends.backends.open_vino import open_graph, read_graph
from inference_backends.benchmarking import measure
from inference_backends.openvino_serving import (
    answer_all,
    compile_with_cache,
    from_cache,
    stream_compile,
)
from quantized_cnn.images import DataName, Images, load_images
from quantized_cnn.pretrained import pretrained

PRESETS = {
    "smoke": {"epochs": 4, "seeds": 1, "calibration": 50, "requests": 40, "seconds": 0.02},
    "default": {},
    "full": {
        "data": "cifar10_subset",
        "epochs": 20,
        "bf16": True,
        "requests": 1000,
        "seconds": 1.0,
    },
}
CLAIMS = [
    Claim("logit_error.fp32", "<=", 1e-4),
    Claim("hint_difference", "<=", 1e-4),
    Claim("cache_difference", "<=", 1e-6),
    Claim("lost.bf16", "<=", 0.2, presets=("full",)),
    Claim("lost.int8", "<=", 0.5, presets=("full",)),
    Claim("ratio.int8", "<=", 0.8, presets=("full",)),
]
SIZES = (1, 64)
#: Images a request, for the comparison of hints.
REQUEST = 4


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the images"] = "digits",
    epochs: Annotated[int, Ge(1), "passes that the network was trained for"] = 15,
    calibration: Annotated[int, Ge(10), "images to find the ranges of int8 with"] = 300,
    seeds: Annotated[int, Ge(1), "networks"] = 3,
    requests: Annotated[int, Ge(2), "requests for the comparison of hints"] = 200,
    threads: Annotated[int, Ge(1), "threads for the comparison of hints"] = 2,
    seconds: Annotated[float, Ge(0.01), "seconds to time each precision and size"] = 0.1,
    bf16: Annotated[bool, "train with convolutions in bfloat16"] = False,
) -> None:
    """Measure precisions, hints and the cache."""
    images = load_images(run, data)
    seen, x = images.x_train[:calibration].numpy(), images.x_test.numpy()
    rows: list[dict[str, Any]] = []
    for seed in run.progress(run.seeds(seeds), label="networks"):
        model = pretrained(run, "resnet", images, epochs=epochs, seed=seed, bf16=bf16)
        with torch.inference_mode():
            expected = model(images.x_test).numpy()
        graph = read_graph(model, x)
        sessions: dict[str, Session] = {}
        for precision in PRECISIONS:
            elapsed = partial(getattr, Stopwatch(), "seconds")
            sessions[precision] = open_graph(graph, seen, precision, 1, elapsed)
            found = np.concatenate(
                [sessions[precision].run(x[i : i + 500]) for i in range(0, len(x), 500)]
            )
            used = sessions[precision].info()
            rows.append(
                {
                    "seed": seed,
                    "asked": precision,
                    "used": used.precision,
                    "points": points(found, images),
                    "lost": points(expected, images) - points(found, images),
                    "logit_error": float(np.abs(found - expected).max() / np.abs(expected).max()),
                    "bytes": used.size_bytes,
                    "compile_s": used.compile_s,
                }
            )
    timed = measure(sessions, SIZES, seconds, run.rng, x)
    ms = {(row.name, row.batch): 1e3 * row.p50_s for row in timed}
    tell(run, rows, ms)
    run.compare(
        "int8",
        lambda: sessions["int8"].run(x[:64]),
        lambda: sessions["fp32"].run(x[:64]),
        library="openvino in float32",
        threads=1,
    )
    hints = compare_hints(run, graph, x, requests, threads)
    cache = compare_cache(run, graph, x)
    draw(run, rows, ms, hints, cache)


def points(logits: NDArray[np.float32], images: Images) -> float:
    """Test images that are classified right, in points."""
    return 100 * float((logits.argmax(1) == images.y_test.numpy()).mean())


def tell(run: Run, rows: list[dict[str, Any]], ms: dict[tuple[str, int], float]) -> None:
    """Tables and metrics of the precisions."""
    table = []
    for precision in PRECISIONS:
        mine = [row for row in rows if row["asked"] == precision]
        run.metric(f"accuracy.{precision}", [row["points"] for row in mine], "points")
        run.metric(f"lost.{precision}", [row["lost"] for row in mine], "points")
        run.metric(f"logit_error.{precision}", [row["logit_error"] for row in mine])
        entry: dict[str, Any] = {"asked": precision, "used": mine[-1]["used"]}
        for key in ("points", "logit_error", "bytes", "compile_s"):
            entry[key] = float(np.mean([row[key] for row in mine]))
        for size in SIZES:
            entry[f"ms@{size}"] = ms[precision, size]
        table.append(entry)
    run.table("precisions", table, caption="Precision asked for and used, one thread")


def compare_hints(
    run: Run, graph: Any, x: NDArray[np.float32], requests: int, threads: int
) -> dict[str, dict[str, float]]:
    """Requests of a few images under both hints: images a second, and seconds of a request."""
    batches = [np.roll(x, -k * REQUEST, 0)[:REQUEST].copy() for k in range(requests)]
    found: dict[str, dict[str, float]] = {}
    logits = {}
    for hint in ("LATENCY", "THROUGHPUT"):
        compiled = stream_compile(graph, "fp32", threads, hint)
        answer_all(compiled, batches[: max(2, requests // 10)])
        logits[hint], taken, whole = answer_all(compiled, batches)
        found[hint.lower()] = {
            "streams": compiled.get_property("NUM_STREAMS"),
            "images_per_s": REQUEST * requests / whole,
            "ms": 1e3 * float(np.median(taken)),
        }
    gap = np.abs(logits["LATENCY"] - logits["THROUGHPUT"]).max()
    run.metric("hint_difference", gap / np.abs(logits["LATENCY"]).max())
    for hint, values in found.items():
        run.metric(f"images_per_s.{hint}", values["images_per_s"], "images/s")
        run.metric(f"request_ms.{hint}", values["ms"], "ms")
        run.metric(f"streams.{hint}", values["streams"])
    return found


def compare_cache(run: Run, graph: Any, x: NDArray[np.float32]) -> dict[str, float]:
    """Seconds to compile, and to read what was compiled before; the same answers."""
    with tempfile.TemporaryDirectory() as folder:
        made, cold = compile_with_cache(graph, "fp32", 1, Path(folder))
        read, warm = compile_with_cache(graph, "fp32", 1, Path(folder))
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        if from_cache(made) or not from_cache(read):
            raise RuntimeError("OpenVINO did not use its cache")
        gap = np.abs(made([x[:64]])[0] - read([x[:64]])[0]).max()
    run.metric("cache_difference", float(gap))
    run.metric("compile_s.first", cold, "s")
    run.metric("compile_s.from_cache", warm, "s")
    run.metric("cache_bytes", size, "bytes")
    return {"first": cold, "from cache": warm}


def draw(
    run: Run,
    rows: list[dict[str, Any]],
    ms: dict[tuple[str, int], float],
    hints: dict[str, dict[str, float]],
    cache: dict[str, float],
) -> None:
    """Time, errors, hints and the cache."""
    figure, axes = plots.figure(1, 4, width=13.0, height=3.3)
    base = [ms["fp32", size] for size in SIZES]
    places = np.arange(len(PRECISIONS))
    for k, size in enumerate(SIZES):
        share = [base[k] / ms[precision, size] for precision in PRECISIONS]
        label = f"{size} image{'s' * (size > 1)}"
        axes[0].bar(places + 0.38 * (k - 0.5), share, 0.36, label=label)
    names, errors = [], []
    for precision in PRECISIONS:
        mine = [row for row in rows if row["asked"] == precision]
        score = np.mean([row["points"] for row in mine])
        used = mine[0]["used"]
        names.append(f"{precision}\n{'as ' + used if used != precision else ''}\n{score:.1f}")
        errors.append([row["logit_error"] for row in mine])
    axes[0].set_xticks(places, names)
    axes[0].set(title="Speed over fp32 (×)", xlabel="asked for, and accuracy (points)")
    axes[0].set_ylim(
        0, 1.35 * max(base[k] / ms[p, n] for k, n in enumerate(SIZES) for p in PRECISIONS)
    )
    axes[0].legend(ncols=2, fontsize=8, loc="upper left")
    for k, seen in enumerate(errors):
        axes[1].plot([k] * len(seen), np.maximum(seen, 1e-9), "o", color=plots.PALETTE[0])
    axes[1].set_yscale("log")
    axes[1].set_xticks(places, PRECISIONS)
    axes[1].set_xlim(-0.5, len(PRECISIONS) - 0.5)
    axes[1].set(title="Largest error of a logit", ylabel="relative to the largest logit")
    for k, (hint, values) in enumerate(hints.items()):
        colour = plots.PALETTE[k]
        axes[2].plot(values["ms"], values["images_per_s"], "o", markersize=9, color=colour)
        axes[2].annotate(
            f"{hint}, {values['streams']:.0f} stream{'s' * (values['streams'] > 1)}",
            (values["ms"], values["images_per_s"]),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            color=colour,
        )
    axes[2].set_xlim(0, 1.6 * max(values["ms"] for values in hints.values()))
    axes[2].set_ylim(0, 1.3 * max(values["images_per_s"] for values in hints.values()))
    axes[2].set(title="Hints", xlabel="ms a request", ylabel="images a second")
    axes[3].bar(list(cache), [1e3 * spent for spent in cache.values()], 0.6)
    axes[3].set(title="To a ready model", ylabel="ms")
    run.figure(
        "openvino",
        figure,
        "Speed over fp32 at each precision, with the accuracy; the error of the logits; images a "
        "second against the time of a request under both hints; time to compile and to read the "
        "compiled model from the cache.",
    )
