"""Turn ONNX Runtime's knobs one at a time and see what each is worth on a small network.

The runtime takes a model of separate operators, and rewrites it when it is loaded. *Basic* folds
constants; *extended* lets a convolution take over the addition and the ReLU that follow it; *all*
moves the channels into blocks of a vector's length, so that a kernel reads them in one piece. The
first panel shows what the levels are worth for one image and for many; the second, from the
runtime's own profile, which operators the time goes to, before and after, and in int8. The third
shows how many images a second are done as the batch grows, with one thread and with two.

What is quicker counts only with its answers beside it: the logits at all levels are compared, and
the accuracy in int8.

Documentation of ONNX Runtime, *Graph optimizations* and *Thread management*; Jiecao Yu and others,
*Optimizing CNN model inference on CPUs*, 2019 (on blocks of channels).
"""

from typing import Annotated, Any, get_args

import numpy as np
import torch
from annotated_types import Ge
from numpy.typing import NDArray

from groundwork import Claim, Run, plots
from groundwork.errors import UsageError
from inference_backends.benchmarking import measure
from inference_backends.exporting import to_onnx
from inference_backends.ort_settings import Level, Setting, make_session, operator_times
from inference_backends.quiet import quiet
from quantized_cnn.images import DataName, Images, load_images
from quantized_cnn.onnx_graph import quantize_by_runtime
from quantized_cnn.pretrained import pretrained

PRESETS = {
    "smoke": {"epochs": 4, "seeds": 1, "calls": 5, "seconds": 0.02, "sizes": (1, 16, 64)},
    "default": {},
    "full": {
        "data": "cifar10_subset",
        "epochs": 20,
        "bf16": True,
        "calibration": 500,
        "calls": 20,
        "seconds": 1.0,
        "sizes": (1, 4, 16, 64, 128),
    },
}
CLAIMS = [
    Claim("level_difference", "<=", 1e-4),
    Claim("setting_difference", "<=", 1e-4),
    Claim("lost.int8", "<=", 0.5, presets=("full",)),
    Claim("ratio.optimized", "<=", 1.05, presets=("full",)),
]

LEVELS: tuple[Level, ...] = get_args(Level)
SHOWN = 6


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the images"] = "digits",
    epochs: Annotated[int, Ge(1), "passes that the network was trained for"] = 15,
    calibration: Annotated[int, Ge(10), "images to find the ranges with"] = 300,
    seeds: Annotated[int, Ge(1), "networks"] = 3,
    calls: Annotated[int, Ge(1), "calls in the profile"] = 10,
    seconds: Annotated[float, Ge(0.01), "seconds to time each setting and size"] = 0.1,
    sizes: Annotated[tuple[int, ...], "images a call"] = (1, 8, 64),
    bf16: Annotated[bool, "train with convolutions in bfloat16"] = False,
) -> None:
    """Measure every setting, and the answers under each."""
    if not sizes or min(sizes) < 1:
        raise UsageError(f"sizes = {sizes}; one or more sizes of at least 1 are taken")
    images = load_images(run, data)
    seen = images.x_train[:calibration]
    x = images.x_test.numpy()
    points: list[dict[str, float]] = []
    differences: list[dict[str, float]] = []
    for seed in run.seeds(seeds):
        model = pretrained(run, "resnet", images, epochs=epochs, seed=seed, bf16=bf16)
        graph = to_onnx(model, x)
        with quiet():
            small = quantize_by_runtime(graph, seen)
        contents = {"fp32": graph.SerializeToString(), "int8": small.SerializeToString()}
        points.append(accuracies(contents, images))
        with torch.inference_mode():
            expected = model(images.x_test[:64]).numpy()
        opened = {k: make_session(contents["fp32"], images.shape, v) for k, v in settings().items()}
        found = {k: relative(session.run(x[:64]), expected) for k, session in opened.items()}
        differences.append(found)
    run.metric("level_difference", max(each[k] for each in differences for k in LEVELS))
    run.metric("setting_difference", max(v for each in differences for v in each.values()))
    for name in ("fp32", "int8"):
        run.metric(f"accuracy.{name}", [each[name] for each in points], "points")
    run.metric("lost.int8", [each["fp32"] - each["int8"] for each in points], "points")
    run.metric("bytes_share.int8", len(contents["int8"]) / len(contents["fp32"]))
    rows = time_settings(run, contents, images, seconds, sizes)
    profiles = profile(contents, x[: max(sizes)], calls)
    tell(run, rows, profiles)
    best, plain = (
        make_session(contents["fp32"], images.shape, Setting(level)) for level in ("all", "off")
    )
    run.compare(
        "optimized",
        lambda: best.run(x[:64]),
        lambda: plain.run(x[:64]),
        library="onnxruntime without optimization",
        threads=1,
    )
    draw(run, rows, profiles, sizes)


def settings() -> dict[str, Setting]:
    """One knob turned at a time."""
    return {level: Setting(level) for level in LEVELS} | {
        "no arena": Setting(arena=False),
        "two threads": Setting(threads=2),
        "two threads, no spinning": Setting(threads=2, spinning=False),
    }


def accuracies(contents: dict[str, bytes], images: Images) -> dict[str, float]:
    """Points right on the test images, in fp32 and int8."""
    x, y = images.x_test.numpy(), images.y_test.numpy()
    found = {}
    for name, content in contents.items():
        session = make_session(content, images.shape, Setting())
        logits = np.concatenate([session.run(x[i : i + 500]) for i in range(0, len(x), 500)])
        found[name] = 100 * float((logits.argmax(1) == y).mean())
    return found


def relative(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The largest difference, relative to the largest logit."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def time_settings(
    run: Run, contents: dict[str, bytes], images: Images, seconds: float, sizes: tuple[int, ...]
) -> list[dict[str, Any]]:
    """Rows of setting, images a call, milliseconds a call and images a second."""
    x = images.x_test.numpy()
    sessions = {k: make_session(contents["fp32"], images.shape, v) for k, v in settings().items()}
    for threads, words in ((1, ""), (2, ", two threads")):
        sessions[f"int8{words}"] = make_session(
            contents["int8"], images.shape, Setting(threads=threads), "int8"
        )
    rows = measure(
        sessions, sizes, seconds, run.rng, x, lambda each: run.progress(each, label="sizes")
    )
    return [
        {
            "setting": row.name,
            "images": row.batch,
            "ms": 1e3 * row.p50_s,
            "images_per_s": row.images_per_s,
        }
        for row in rows
    ]


def profile(
    contents: dict[str, bytes], x: NDArray[np.float32], calls: int
) -> dict[str, dict[str, float]]:
    """Milliseconds by operator: without and with optimization, and in int8."""
    return {
        "fp32, off": operator_times(contents["fp32"], Setting("off"), x, calls),
        "fp32, all": operator_times(contents["fp32"], Setting("all"), x, calls),
        "int8, all": operator_times(contents["int8"], Setting("all"), x, calls),
    }


def tell(
    run: Run,
    rows: list[dict[str, Any]],
    profiles: dict[str, dict[str, float]],
) -> None:
    """The tables, and the metrics of the knobs."""
    run.table("settings", rows, caption="Median milliseconds of a call, images a second")
    times = [
        {"graph": graph, "operator": kind, "ms": spent}
        for graph, kinds in profiles.items()
        for kind, spent in kinds.items()
    ]
    run.table("operators", times, caption="Milliseconds of a call by operator, the largest batch")
    least, most = (f({row["images"] for row in rows}) for f in (min, max))
    ms = {(row["setting"], row["images"]): row["ms"] for row in rows}
    for name in (*(level for level in LEVELS if level != "off"), "int8"):
        for size in (least, most):
            run.metric(f"speedup.{name}@{size}", ms["off", size] / ms[name, size], "×")
    for name, base in (
        ("no arena", "all"),
        ("two threads", "all"),
        ("two threads, no spinning", "two threads"),
    ):
        key = name.replace(", ", "-").replace(" ", "-")
        run.metric(f"speedup.{key}@{most}", ms[base, most] / ms[name, most], "×")


def draw(
    run: Run,
    rows: list[dict[str, Any]],
    profiles: dict[str, dict[str, float]],
    sizes: tuple[int, ...],
) -> None:
    """What the levels are worth; the operators' shares; images a second against the batch."""
    figure, axes = plots.figure(1, 3, width=12.0, height=3.4)
    value = {(row["setting"], row["images"]): row for row in rows}
    ends = sorted({min(sizes), max(sizes)})
    names = (*LEVELS, "int8")
    for k, size in enumerate(ends):
        gains = [value["off", size]["ms"] / value[name, size]["ms"] for name in names]
        label = f"{size} image{'s' * (size > 1)}"
        places = np.arange(len(names)) + 0.38 * (k - (len(ends) - 1) / 2)
        axes[0].bar(places, gains, 0.36, label=label)
    axes[0].set_xticks(range(len(names)), names)
    axes[0].axhline(1, color=plots.PALETTE[7], linestyle=":")
    axes[0].set(title="Optimization, one thread", ylabel="speed over off (×)")
    axes[0].legend()
    draw_operators(axes[1], profiles)
    axes[1].set(title="Where the time goes", xlabel=f"ms for {max(sizes)} images")
    for k, name in enumerate(("all", "int8")):
        for words, style in (("", "o-"), (", two threads", "o--")):
            key = {"all, two threads": "two threads"}.get(name + words, name + words)
            done = [value[key, size]["images_per_s"] for size in sizes]
            label = f"{'fp32' if name == 'all' else name}{words}"
            axes[2].plot(sizes, done, style, color=plots.PALETTE[k], markersize=4, label=label)
    axes[2].set_xscale("log", base=2)
    axes[2].set_xticks(sizes, [str(size) for size in sizes])
    axes[2].set_ylim(bottom=0)
    axes[2].set(title="Larger batches", xlabel="images a call", ylabel="images a second")
    axes[2].legend(fontsize=8)
    run.figure(
        "settings",
        figure,
        "The speed at each level of graph optimization over none; milliseconds by operator from "
        "the runtime's profile; images a second against the size of the batch.",
    )


def draw_operators(axes: Any, profiles: dict[str, dict[str, float]]) -> None:
    """A bar for each graph, cut into its operators; the small ones are one."""
    totals: dict[str, float] = {}
    for kinds in profiles.values():
        for kind, spent in kinds.items():
            totals[kind] = totals.get(kind, 0) + spent
    shown = sorted(totals, key=lambda kind: -totals[kind])[:SHOWN]
    left = np.zeros(len(profiles))
    for k, kind in enumerate([*shown, "others"]):
        parts = np.array(
            [
                sum(v for key, v in kinds.items() if key not in shown)
                if kind == "others"
                else kinds.get(kind, 0.0)
                for kinds in profiles.values()
            ]
        )
        colour = plots.PALETTE[7] if kind == "others" else plots.PALETTE[k]
        axes.barh(list(profiles), parts, 0.6, left=left, label=kind, color=colour)
        left += parts
    axes.invert_yaxis()
    axes.set_xlim(0, 1.75 * left.max())
    axes.legend(fontsize=7, loc="center right")
