"""Let a compiler search for its loops, keep what it found, and send the network to another machine.

TVM compiles a convolution as seven plain loops. MetaSchedule measures other orders of them, cut
into tiles, vectors and threads, and learns from each measurement where to look next. The first
panel follows the search: the best speed so far of every distinct convolution, under the speed that
a matrix product reaches on this machine. The second shows the whole network as TVM compiles it
without a search, with the layers fused, with the few schedules that TVM has for CPUs by rule
(`dlight`), and tuned, beside PyTorch and ONNX Runtime.

"Untuned" is `tvm.compile(network, target)` with its default passes, batch norms folded: each
operation a loop nest of its own, no schedule, one number at a time on one thread. The log of the
search is kept: compiling once more measures nothing. At the end the tuned network goes through a
tracker and a server of TVM's RPC on 127.0.0.1, in processes of their own, as to an edge device.

Tianqi Chen and others, TVM: an automated end-to-end optimizing compiler for deep learning, 2018;
Junru Shao and others, Tensor program optimization with probabilistic programs, 2022.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge
from torch import nn

from groundwork import Claim, Run, plots
from inference_backends import tvm_compiling as compiling
from inference_backends import tvm_tuning as tuning
from inference_backends.backends.base import Batch
from inference_backends.backends.onnx_runtime import OnnxRuntime
from inference_backends.backends.torch_eager import TorchEager
from inference_backends.backends.tvm_llvm import default_database
from inference_backends.benchmarking import logit_error, machine_peaks
from quantized_cnn.images import DataName, load_images
from quantized_cnn.pretrained import pretrained

#: Without a search: the name in the figure, and how it is compiled.
UNTUNED: dict[str, compiling.Pipeline] = {
    "untuned": "default",
    "fused": "fused",
    "rules": "rules",
}

PRESETS = {
    "smoke": {"network": "convolution", "threads": 1, "trials": 8, "population": 8, "seeds": 1},
    "default": {},
    "full": {
        "data": "cifar10_subset",
        "epochs": 20,
        "bf16": True,
        "batch": 1,
        "trials": 48,
        "population": 64,
    },
}
CLAIMS = [
    Claim("speedup", ">=", 3.0, presets=("smoke",)),
    Claim("speedup", ">=", 10.0, presets=("default", "full")),
    Claim("difference", "<=", 1e-4),
    Claim("rpc_difference", "==", 0.0),
    Claim("reused_share", "==", 1.0),
    Claim("second_compile_share", "<=", 0.5, presets=("smoke",)),
    Claim("second_compile_share", "<=", 0.2, presets=("default", "full")),
]


def main(
    run: Run,
    *,
    network: Annotated[
        Literal["resnet", "convolution"], "a trained network, or one convolution"
    ] = "resnet",
    data: Annotated[DataName, "the images"] = "digits",
    epochs: Annotated[int, Ge(1), "passes that the network was trained for"] = 15,
    bf16: Annotated[bool, "convolutions in bfloat16 in training"] = False,
    batch: Annotated[int, Ge(1), "images at a time"] = 64,
    threads: Annotated[int, Ge(1), "threads of everything that is timed"] = 2,
    trials: Annotated[int, Ge(1), "schedules to measure for each convolution"] = 12,
    population: Annotated[int, Ge(4), "schedules in a generation of the search"] = 32,
    seeds: Annotated[int, Ge(1), "independent searches"] = 3,
) -> None:
    """Search, compile from the log twice, compare, and run on the far side of a socket."""
    with tuning.Workers(threads) as workers:
        if network == "convolution":
            model, x = one_convolution(run, batch)
        else:
            images = load_images(run, data)
            model = pretrained(run, "resnet", images, epochs=epochs, seed=run.seed, bf16=bf16)
            x = np.ascontiguousarray(np.resize(images.x_test, (batch, *images.shape)), np.float32)
        target = compiling.cpu_target(threads)
        graph = compiling.import_network(model, x)
        bound = compiling.bind_batch(graph, batch)
        nests = compiling.fuse_layers(compiling.last_channels(bound), target)
        tasks = tuning.find_tasks(nests, target)
        logs, first_s = [], []
        for seed in run.seeds(seeds):
            log = run.artifact(f"tuning-{seed}")
            begun = time.perf_counter()
            tuning.tune(
                tasks,
                target,
                log,
                trials,
                seed=seed,
                workers=workers,
                population=population,
                progress=partial(run.progress, label=f"search, seed {seed}"),
            )
            compiling.build_tuned(nests, target, log)
            first_s.append(time.perf_counter() - begun)
            logs.append(log)
        begun = time.perf_counter()
        again = tuning.tune(tasks, target, logs[0], trials, seed=run.seed, workers=workers)
        tuned = [compiling.build_tuned(nests, target, log) for log in logs]
        second_s = (time.perf_counter() - begun) / seeds
    for log in logs:
        tuning.publish(log, tasks, target, default_database(threads))
    known = sum(np.isfinite(tuning.trials_of(logs[0], task)).any() for task in tasks)
    run.metric("tasks", len(tasks))
    run.metric("measured_again", again, "schedules")
    run.metric("reused_share", known / len(tasks) if again == 0 else 0.0)
    run.metric("tune_and_compile_s", first_s, "s")
    run.metric("second_compile_s", second_s, "s")
    run.metric("second_compile_share", second_s / float(np.mean(first_s)))

    with torch.no_grad():
        expected = model(torch.from_numpy(x)).numpy()
    calls = {f"tuned.{k}": compiling.caller(made, threads) for k, made in enumerate(tuned)}
    run.metric("difference", max(logit_error(call(x), expected) for call in calls.values()))
    send(run, tuned[0], calls["tuned.0"](x), x, threads)
    for name, pipeline in UNTUNED.items():
        calls[name] = compiling.caller(compiling.build(bound, target, pipeline), threads)
    for name, backend in (("eager", TorchEager()), ("onnxruntime", OnnxRuntime())):
        calls[name] = backend.compile(model, x, threads=threads).run
    seconds = time_in_turns(calls, x)
    tell(run, tasks, logs, seconds, threads)
    run.compare(
        "tuned",
        lambda: calls["tuned.0"](x),
        lambda: calls["onnxruntime"](x),
        library="onnxruntime",
        threads=threads,
    )
    draw(run, tasks, logs, seconds, 2 * machine_peaks(threads).fp32_macs)


def one_convolution(run: Run, batch: int) -> tuple[nn.Module, Batch]:
    """A 3×3 convolution of 16 to 32 channels with a ReLU, and random inputs of 8×8 pixels."""
    torch.manual_seed(run.seed)
    model = nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU())
    return model.eval(), run.rng.standard_normal((batch, 16, 8, 8), dtype=np.float32)


def send(run: Run, executable: Any, here: Batch, x: Batch, threads: int) -> None:
    """Upload the tuned network to a device behind a tracker, and run it there."""
    with tuning.device(threads) as there:
        answer = there(executable, x, Path(run.artifact("network.so")))
    run.metric("rpc_difference", float(np.abs(answer.logits - here).max()))
    run.metric("rpc_ms", 1e3 * answer.seconds, "ms")


def time_in_turns(
    calls: dict[str, Callable[[Batch], Batch]], x: Batch, rounds: int = 9, least_s: float = 0.02
) -> dict[str, float]:
    """Median seconds of a call by name; each round times every one of them.

    Calls that are not timed come first: the threads of the runtime before go on waiting in a loop
    for a while, on the cores that this one needs.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            _call_for(call, x, least_s)
            begun, count = time.perf_counter(), _call_for(call, x, least_s)
            if number:  # the first round warms up
                seconds[name].append((time.perf_counter() - begun) / count)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def _call_for(call: Callable[[Batch], Batch], x: Batch, seconds: float) -> int:
    """Call for so long; returns how often."""
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        call(x)
        count += 1
    return count


def tell(
    run: Run,
    tasks: list[tuning.Task],
    logs: list[Path],
    seconds: dict[str, float],
    threads: int,
) -> None:
    """Times, speed-ups and the share of the peak."""
    tuned = np.array([seconds[f"tuned.{k}"] for k in range(len(logs))])
    peak = 2 * machine_peaks(threads).fp32_macs
    flop = sum(task.calls * task.flop for task in tasks)
    run.metric("tuned_ms", list(1e3 * tuned), "ms")
    for name in (*UNTUNED, "eager", "onnxruntime"):
        run.metric(f"{name}_ms", 1e3 * seconds[name], "ms")
    run.metric("speedup", list(seconds["untuned"] / tuned))
    run.metric("over_eager", list(seconds["eager"] / tuned))
    run.metric("peak_gflops", peak / 1e9, "GFLOP/s")
    run.metric("peak_share", list(flop / tuned / peak))
    rows = []
    for task in tasks:
        found = [[s for s in tuning.trials_of(log, task) if np.isfinite(s)] for log in logs]
        best = float(np.mean([min(values) for values in found if values]))
        rows.append(
            {
                "convolution": task.label,
                "calls": task.calls,
                "MFLOP": task.flop / 1e6,
                "schedules": sum(map(len, found)),
                "best µs": 1e6 * best,
                "GFLOP/s": task.flop / best / 1e9,
                "share of the peak": task.flop / best / peak,
            }
        )
    run.table("convolutions", rows, caption="The best schedules, means over the searches")


def draw(
    run: Run, tasks: list[tuning.Task], logs: list[Path], seconds: dict[str, float], peak: float
) -> None:
    """The searches; and the whole network by every way."""
    figure, axes = plots.figure(1, 2, width=11.0, height=4.0, width_ratios=(3, 2))
    for number, task in enumerate(tasks):
        speeds = [task.flop / np.array(tuning.trials_of(log, task)) / 1e9 for log in logs]
        length = min(map(len, speeds))
        if not length:
            continue
        best = np.mean([np.maximum.accumulate(s[:length]) for s in speeds], axis=0)
        style = "-" if number < len(plots.PALETTE) else "--"
        color = plots.PALETTE[number % len(plots.PALETTE)]
        steps = np.arange(1, length + 1)
        axes[0].plot(steps, best, style, color=color, linewidth=1.5, label=task.label)
    axes[0].axhline(peak / 1e9, color=plots.PALETTE[7], linestyle=":")
    axes[0].text(1, peak / 1e9, "a matrix product ", va="bottom", color=plots.PALETTE[7])
    axes[0].set(title="The search", xlabel="schedules measured", ylabel="best so far (GFLOP/s)")
    axes[0].set(ylim=(0, 1.12 * peak / 1e9))
    axes[0].legend(fontsize=7, ncols=2 if len(tasks) > 7 else 1)
    names = {
        "untuned": "TVM, untuned",
        "fused": "TVM, fused",
        "rules": "TVM, dlight's rules",
        "eager": "PyTorch",
        "onnxruntime": "ONNX Runtime",
    }
    tuned = [1e3 * seconds[f"tuned.{k}"] for k in range(len(logs))]
    bars = [(label, 1e3 * seconds[name]) for name, label in names.items()]
    bars.insert(3, ("TVM, tuned", float(np.mean(tuned))))
    colors = [plots.PALETTE[1 if label == "TVM, tuned" else 0] for label, _ in bars]
    places = np.arange(len(bars))
    axes[1].barh(places, [value for _, value in bars], color=colors, height=0.65)
    for place, (_, value) in zip(places, bars, strict=True):
        axes[1].text(1.08 * value, place, f"{value:.3g} ms", va="center", fontsize=8)
    low, high = (f([value for _, value in bars]) for f in (min, max))
    axes[1].set(title="The whole network", xlabel="one call (ms)", xscale="log")
    axes[1].set(yticks=places, yticklabels=[label for label, _ in bars])
    axes[1].set(xlim=(0.5 * low, 4 * high))
    axes[1].invert_yaxis()
    run.figure(
        "tuning",
        figure,
        caption="Best speed of each convolution against the schedules measured, mean over the "
        "searches; the time of the whole network, compiled in four ways by TVM and in two "
        "libraries.",
    )
