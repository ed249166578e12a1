"""Run one trained network on every runtime and precision in turns: who is quick, and still right.

All sessions live in one process and are timed in rounds, each for a short slice, in an order drawn
anew for every round, so that the machine's drift hits them alike. Beside each time stands what it
costs: the accuracy, the largest difference of a logit from PyTorch's, the file, the seconds and the
memory of compiling, seen in a fresh process. A runtime that cannot be had here is listed with the
reason; one that fails gets a row with its error, and the run goes on.

TVM is as quick as its tuning log: for a number of images and of threads that `tvm-tuning` has not
searched for, its loops run as they stand, tens of times slower than a library's.

In the figure, look left at the front: what lies right of and above the line is beaten by something
quicker that is as close to PyTorch. The middle shows which runtimes gain by batches. Right is the
roof, measured on the same cores: matrix products in each precision, and a large copy. Points far
below it have room left.

Samuel Williams and others, Roofline: an insightful visual performance model for multicore
architectures, 2009; Vijay Janapa Reddi and others, MLPerf inference benchmark, 2020 (accuracy is
checked in the mode that is timed).
"""

from functools import partial
from typing import Annotated, Any, cast

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from torch import nn

from groundwork import Claim, Run
from groundwork.errors import UsageError
from inference_backends.backends import (
    NAMES,
    PRECISIONS,
    Batch,
    Precision,
    Session,
    make_backend,
)
from inference_backends.benchmark_figures import draw
from inference_backends.benchmark_tables import Combination, tell
from inference_backends.benchmarking import (
    Peaks,
    Row,
    count_work,
    logit_error,
    machine_peaks,
    measure,
    one_line,
)
from inference_backends.footprints import footprint
from quantized_cnn.images import DataName, Images, load_images
from quantized_cnn.pretrained import pretrained

PRESETS = {
    "smoke": {
        "epochs": 4,
        "seeds": 1,
        "backends": ("eager", "onnxruntime", "openvino"),
        "batches": (1, 8),
        "seconds_each": 0.03,
    },
    "default": {},
    "full": {
        "data": "cifar10_subset",
        "epochs": 20,
        "bf16": True,
        "seeds": 3,
        "calibration": 500,
        "batches": (1, 2, 4, 8, 16, 32, 64, 128),
        "threads": (1, 2),
        "seconds_each": 1.0,
        "footprints": True,
    },
}
CLAIMS = [
    Claim("not_measured", "<=", 0.0),
    Claim("disagreeing", "<=", 0.0),
    Claim("lost.int8", "<=", 0.5, presets=("full",)),
]


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the images"] = "digits",
    epochs: Annotated[int, Ge(1), "passes that the network was trained for"] = 15,
    bf16: Annotated[bool, "train with convolutions in bfloat16"] = False,
    seeds: Annotated[int, Ge(1), "networks that the accuracy is measured on"] = 1,
    backends: Annotated[tuple[str, ...], "the runtimes"] = NAMES,
    precisions: Annotated[tuple[str, ...], "the precisions"] = PRECISIONS,
    threads: Annotated[tuple[int, ...], "numbers of threads, one after the other"] = (1,),
    batches: Annotated[tuple[int, ...], "images a call"] = (1, 8, 64),
    seconds_each: Annotated[float, Gt(0), "seconds for a session and a batch"] = 0.1,
    calibration: Annotated[int, Ge(10), "images to find the ranges with"] = 300,
    footprints: Annotated[bool, "compile each again in a fresh process: memory, seconds"] = False,
) -> None:
    """Compile, check and time every combination; then tell."""
    if min(batches, default=0) < 1 or min(threads, default=0) < 1:
        raise UsageError(f"batches {batches}, threads {threads}: each takes numbers of 1 or more")
    combinations, absent = choose(backends, precisions)
    images = load_images(run, data)
    example = images.x_train[:calibration].numpy()
    store = run.checkpoint("results")
    state: dict[str, dict[Any, Any]] = store.load() or {
        "quality": {}, "rows": {}, "peaks": {}, "costs": {},
    }  # fmt: skip
    for seed in run.seeds(seeds):
        model = pretrained(run, "resnet", images, epochs=epochs, seed=seed, bf16=bf16)
        if seed == run.seed:
            first = model
        for count in threads if seed == run.seed else threads[-1:]:
            if (seed, count) in state["quality"]:
                continue
            label = f"seed {seed}, {count} threads"
            sessions, found = build(run, model, images, example, combinations, count, label)
            if seed == run.seed:
                bars = partial(run.progress, label="batches")
                x = images.x_test.numpy()
                timed = (
                    measure(sessions, batches, seconds_each, run.rng, x, bars) if sessions else []
                )
                state["rows"][count] = [row.to_json() for row in timed]
                state["peaks"][count] = machine_peaks(count)  # while the machine is as it was
            state["quality"][seed, count] = found
            store.save(state)
    for name, precision in run.progress(combinations if footprints else [], label="footprints"):
        if (name, precision) not in state["costs"]:
            try:
                cost = footprint(name, first, example, precision, threads[-1])
                state["costs"][name, precision] = {
                    "compiled anew in (s)": cost.compile_s,
                    "peak memory (MB)": cost.peak_bytes / 1e6,
                    "memory held (MB)": cost.held_bytes / 1e6,
                }
            except RuntimeError as error:
                state["costs"][name, precision] = {"failed": one_line(error)}
            store.save(state)
    tell(run, combinations, absent, state, threads)
    show(run, first, images, state, threads[-1])


def choose(
    backends: tuple[str, ...], precisions: tuple[str, ...]
) -> tuple[list[Combination], dict[str, str]]:
    """What is measured, and why other backends are not there."""
    for given, taken, what in (
        (backends, NAMES, "backend"),
        (precisions, PRECISIONS, "precision"),
    ):
        other = [name for name in given if name not in taken]
        if other or not given:
            raise UsageError(f"{what} {', '.join(other) or '(none)'}; {', '.join(taken)} are taken")
    made = {name: make_backend(name) for name in backends}
    absent = {name: reason for name, backend in made.items() if (reason := backend.absent())}
    return [
        (name, precision)
        for name, backend in made.items()
        if name not in absent
        for precision in backend.precisions
        if precision in precisions
    ], absent


def build(
    run: Run,
    model: nn.Module,
    images: Images,
    example: np.ndarray,
    combinations: list[Combination],
    threads: int,
    label: str,
) -> tuple[dict[str, Session], dict[Combination, dict[str, Any]]]:
    """The sessions by name, and how right each is; one that fails is told with its error."""
    x, y = images.x_test.numpy(), images.y_test.numpy()
    wanted = logits_of(make_backend("eager").compile(model, example, "fp32", threads), x)
    sessions: dict[str, Session] = {}
    found: dict[Combination, dict[str, Any]] = {}
    for name, precision in run.progress(combinations, label=label):
        try:
            backend = make_backend(name)
            session = backend.compile(model, example, precision, threads)
            logits = logits_of(session, x)
            error = logit_error(logits, wanted)
            info = session.info()
            found[name, precision] = {
                "points": points(logits, y),
                "error": error,
                "agrees": error <= backend.tolerance[precision],
                "size": info.size_bytes,
                "compile_s": info.compile_s,
                "used": info.precision,
                "version": info.version,
            }
            sessions[f"{name} {precision}"] = session
        except Exception as error:  # any runtime, any fault: it becomes this row's
            found[name, precision] = {"failed": one_line(error)}
    found["eager", "fp32"] = found.get(("eager", "fp32"), {}) | {"whole": points(wanted, y)}
    return sessions, found


def logits_of(session: Session, x: Batch, batch: int = 200) -> Batch:
    """The logits of all images, so many a call."""
    return np.concatenate([session.run(x[k : k + batch]) for k in range(0, len(x), batch)])


def points(logits: Batch, y: NDArray[np.int64]) -> float:
    """The share of images whose largest logit is that of the label, in percent."""
    return 100.0 * float(np.mean(logits.argmax(1) == y))


def show(
    run: Run, model: nn.Module, images: Images, state: dict[str, dict[Any, Any]], threads: int
) -> None:
    """The roof, each session's share of it, and the figure."""
    peaks = state["peaks"][threads]
    rows = [Row(**row) for row in state["rows"][threads] if not row["error"]]
    quality = {
        f"{name} {precision}": entry
        for (name, precision), entry in state["quality"][run.seed, threads].items()
    }
    for precision in ("fp32", "bf16", "int8"):
        run.metric(f"peak.{precision}", peaks.macs(precision) / 1e9, "GMAC/s")
    run.metric("peak.bytes", peaks.bytes_per_s / 1e9, "GB/s")
    share(run, model, images, rows, peaks)
    figure = draw(rows, quality, peaks, lambda b, p: count_work(model, images.shape, b, p))
    run.figure(
        "backends",
        figure,
        f"{threads} threads. Largest difference of a logit from PyTorch's against the latency of "
        "the smallest batch, the area being the file's size and the line the front; throughput "
        "against the batch; multiply-adds a second under the measured roofs.",
    )


def share(run: Run, model: nn.Module, images: Images, rows: list[Row], peaks: Peaks) -> None:
    """How much of its precision's roof each session reaches, at its best batch."""
    for name in dict.fromkeys(row.name for row in rows):
        best = max((row for row in rows if row.name == name), key=lambda row: row.images_per_s)
        precision = cast(Precision, name.split()[1])
        work = count_work(model, images.shape, best.batch, precision)
        rate = work.macs / best.batch * best.images_per_s
        roof = float(peaks.roof(precision, work.intensity))
        run.metric(f"share_of_roof.{name.replace(' ', '-')}", rate / roof)
