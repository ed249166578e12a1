"""Find which layers must stay in high precision, and what the others gain from a low one.

A network can be run in bfloat16, float16 or int8 as a whole: the first panel shows what PyTorch,
its compiler and OpenVINO make of that, in speed and in the error of the logits. What the processor
has no instructions for is done in another type; the table says which.

It can also be mixed. The second panel makes one layer narrow at a time and shows the error that
this layer alone brings. The third keeps the most sensitive layers in float32, one more at each
step to the left, against layers drawn by chance: the error falls sooner when the right ones are
kept. The fourth shows the same in accuracy, also with four bits, where it is needed.

Zhen Dong and others, *HAWQ: Hessian aware quantization of neural networks with mixed-precision*,
2019; Paulius Micikevicius and others, *Mixed precision training*, 2018.
"""

import math
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray

from groundwork import Claim, Run, plots
from groundwork.errors import UsageError
from inference_backends.backends import NAMES, Session, make_backend
from inference_backends.benchmarking import Row, measure
from inference_backends.mixed import (
    keep_high,
    logit_error,
    narrowed_layers,
    run_mixed,
    sensitivities,
)
from quantized_cnn.channels import multiplications
from quantized_cnn.graph import Graph, fold_norms, trace
from quantized_cnn.images import DataName, Images, load_images
from quantized_cnn.pretrained import pretrained

PRESETS = {
    "smoke": {"epochs": 4, "seeds": 1, "backends": ("eager",), "seconds": 0.02},
    "default": {},
    "full": {
        "data": "cifar10_subset",
        "epochs": 20,
        "bf16": True,
        "backends": ("eager", "compile", "openvino"),
        "seconds": 1.0,
    },
}
CLAIMS = [
    Claim("error.mixed_over_uniform", "<=", 1.0),
    Claim("error.mixed_over_random", "<=", 1.0),
    Claim("lost.bf16", "<=", 0.2, presets=("full",)),
]
#: Layers that become narrow: whole eighths in the curves.
STEPS = 8


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the images"] = "digits",
    epochs: Annotated[int, Ge(1), "passes that the network was trained for"] = 15,
    calibration: Annotated[int, Ge(10), "images for ranges and sensitivities"] = 300,
    backends: Annotated[tuple[str, ...], "that run the whole network"] = ("eager", "openvino"),
    kept: Annotated[float, Gt(0), Lt(1), "share of the layers that the plan keeps high"] = 0.25,
    seeds: Annotated[int, Ge(1), "networks"] = 3,
    seconds: Annotated[float, Ge(0.01), "seconds to time each precision"] = 0.2,
    bf16: Annotated[bool, "train with convolutions in bfloat16"] = False,
) -> None:
    """Run all precisions whole, then mix integers and float32 by the layers' sensitivity."""
    unknown = set(backends) - set(NAMES)
    if unknown:
        raise UsageError(f"backends {', '.join(sorted(unknown))}; {', '.join(NAMES)} are taken")
    images = load_images(run, data)
    seen = images.x_train[:calibration]
    whole: list[dict[str, Any]] = []
    plans: list[dict[str, Any]] = []
    single: dict[str, dict[str, float]] = {}
    for seed in run.progress(run.seeds(seeds), label="networks"):
        model = pretrained(run, "resnet", images, epochs=epochs, seed=seed, bf16=bf16)
        sessions = compile_all(run, model, seen.numpy(), backends)
        whole += [{"seed": seed} | row for row in judge(sessions, model, images)]
        graph = fold_norms(trace(model))
        for kind in ("int8", "int4"):
            found, rows = plan(run, graph, images, calibration, kind, kept)
            single[kind] = found
            plans += [{"seed": seed, "kind": kind} | row for row in rows]
    timed = measure(sessions, (64,), seconds, run.rng, images.x_test.numpy())
    tell(run, whole, plans, timed, single)
    draw(run, whole, plans, timed, single)


def compile_all(
    run: Run, model: torch.nn.Module, seen: NDArray[np.float32], backends: tuple[str, ...]
) -> dict[str, Session]:
    """A session for each backend that is here and each of its precisions, one thread."""
    found = {}
    for name in backends:
        backend = make_backend(name)
        reason = backend.absent()
        if reason:
            run.log(f"{name} is absent: {reason}")
            continue
        for precision in backend.precisions:
            found[f"{name} {precision}"] = backend.compile(model, seen, precision)
    return found


def judge(
    sessions: dict[str, Session], model: torch.nn.Module, images: Images
) -> list[dict[str, Any]]:
    """Accuracy and error of each session on the test images."""
    with torch.inference_mode():
        expected = model(images.x_test)
    x = images.x_test.numpy()
    rows = []
    for name, session in sessions.items():
        # Blocks of one size, as some runtimes make code for each; the last is a smaller one.
        parts = [session.run(x[i : i + 64]) for i in range(0, len(x), 64)]
        logits = torch.from_numpy(np.concatenate(parts))
        rows.append(
            {
                "way": name,
                "asked": session.info().asked,
                "used": session.info().precision,
                "points": points(logits, images),
                "lost": points(expected, images) - points(logits, images),
                "error": logit_error(logits, expected),
            }
        )
    return rows


def points(logits: torch.Tensor, images: Images) -> float:
    """Test images that are classified right, in points."""
    return 100 * float((logits.argmax(1) == images.y_test).float().mean())


def plan(
    run: Run, graph: Graph, images: Images, calibration: int, kind: str, kept: float
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """The layers' sensitivities, and rows of error and accuracy against the share that is low."""
    seen = images.x_train[:calibration]
    layers = narrowed_layers(graph, kind, seen)
    found = sensitivities(graph, layers, seen)
    order = sorted(found, key=lambda name: -found[name])
    counts = multiplications(graph, images.shape)
    expected = run_mixed(graph, images.x_test, {})
    chosen = math.ceil(kept * len(order))
    numbers = {round(len(order) * k / STEPS) for k in range(STEPS + 1)} | {chosen}
    rows = []
    for number in sorted(numbers):
        ways = {"sensitive": order[:number]} | {
            f"random {k}": list(run.rng.permutation(order)[:number]) for k in range(3)
        }
        for way, high in ways.items():
            low = keep_high(layers, high)
            logits = run_mixed(graph, images.x_test, low)
            rows.append(
                {
                    "way": way,
                    "high": number,
                    "chosen": number == chosen,
                    "low_share": sum(counts[name] for name in low) / sum(counts.values()),
                    "points": points(logits, images),
                    "error": logit_error(logits, expected),
                }
            )
    return found, rows


def tell(
    run: Run,
    whole: list[dict[str, Any]],
    plans: list[dict[str, Any]],
    timed: list[Row],
    single: dict[str, dict[str, float]],
) -> None:
    """Tables and metrics."""
    speed = {row.name: row.images_per_s for row in timed}
    table = []
    for way in speed:
        mine = [row for row in whole if row["way"] == way]
        run.metric(f"lost.{way.replace(' ', '.')}", [row["lost"] for row in mine], "points")
        run.metric(f"error.{way.replace(' ', '.')}", [row["error"] for row in mine])
        table.append(
            {"way": way, "used": mine[0]["used"]}
            | {key: float(np.mean([row[key] for row in mine])) for key in ("points", "error")}
            | {"images_per_s": speed[way]}
        )
    run.table("precisions", table, caption="The whole network, one thread, 64 images a call")
    seeds = sorted({row["seed"] for row in plans})
    bf16 = [
        [row["lost"] for row in whole if row["way"] == way] for way in speed if way.endswith("bf16")
    ]
    if bf16:  # of the backend that loses most on average
        run.metric("lost.bf16", max(bf16, key=np.mean), "points")
    ratios: dict[str, list[float]] = {"uniform": [], "random": []}
    for seed in seeds:
        mine = [row for row in plans if (row["seed"], row["kind"]) == (seed, "int8")]
        chosen = [row for row in mine if row["chosen"]]
        mixed = next(row for row in chosen if row["way"] == "sensitive")
        chance = [row["error"] for row in chosen if row["way"] != "sensitive"]
        ratios["uniform"].append(mixed["error"] / next(r["error"] for r in mine if not r["high"]))
        ratios["random"].append(mixed["error"] / float(np.mean(chance)))
    for name, values in ratios.items():
        run.metric(f"error.mixed_over_{name}", values)
    run.metric("low_share.mixed", mixed["low_share"])
    rows = [
        {"layer": name} | {kind: found[name] for kind, found in single.items()}
        for name in single["int8"]
    ]
    run.table("sensitivities", rows, caption="Error of the logits with one layer narrow")


def draw(
    run: Run,
    whole: list[dict[str, Any]],
    plans: list[dict[str, Any]],
    timed: list[Row],
    single: dict[str, dict[str, float]],
) -> None:
    """Speed against error; sensitivities; error and accuracy against the low share."""
    figure, axes = plots.figure(1, 4, width=14.0, height=3.5)
    backends = list(dict.fromkeys(row.name.split()[0] for row in timed))
    base = next((row.images_per_s for row in timed if row.name == "eager fp32"), 1.0)
    marks = dict(zip(("fp32", "bf16", "fp16", "int8"), "osD^", strict=True))
    for row in timed:
        name, precision = row.name.split()
        errors = [other["error"] for other in whole if other["way"] == row.name]
        colour = plots.PALETTE[backends.index(name)]
        x, y = max(float(np.mean(errors)), 1e-7), row.images_per_s / base
        axes[0].plot(x, y, marks[precision], color=colour, markersize=6)
    for k, name in enumerate(backends):
        axes[0].plot([], [], "-", color=plots.PALETTE[k], label=name)
    for precision, mark in marks.items():
        axes[0].plot([], [], mark, color=plots.PALETTE[7], markersize=5, label=precision)
    axes[0].set_xscale("log")
    axes[0].set_ylim(bottom=0, top=1.6 * max(row.images_per_s for row in timed) / base)
    axes[0].set(title="The whole network", xlabel="error of the logits", ylabel="speed (× eager)")
    axes[0].legend(fontsize=7, ncols=2, loc="upper left")
    for k, (kind, found) in enumerate(single.items()):
        axes[1].plot(list(found.values()), ".-", color=plots.PALETTE[k], label=kind)
    axes[1].set_yscale("log")
    axes[1].set(title="One layer narrow", xlabel="layer", ylabel="error of the logits")
    axes[1].legend()
    last = max(row["seed"] for row in plans)
    for k, kind in enumerate(single):
        for way, style in (("sensitive", "o-"), ("random", "x:")):
            mine = [
                row
                for row in plans
                if row["kind"] == kind and row["seed"] == last and row["way"].startswith(way)
            ]
            numbers = sorted({row["high"] for row in mine})
            groups = [[row for row in mine if row["high"] == number] for number in numbers]
            share = [100 * float(np.mean([row["low_share"] for row in g])) for g in groups]
            for panel, key in ((axes[2], "error"), (axes[3], "points")):
                values = [float(np.mean([row[key] for row in g])) for g in groups]
                label = f"{kind}, {'sensitive' if way == 'sensitive' else 'random'} kept"
                panel.plot(share, values, style, color=plots.PALETTE[k], markersize=4, label=label)
    axes[2].set(title="Mixed: error", ylabel="error of the logits")
    axes[3].set(title="Mixed: accuracy", ylabel="points")
    axes[2].legend(fontsize=7)
    for panel in axes[2:]:
        panel.set_xlabel("multiplications in few bits (%)")
    run.figure(
        "mixed",
        figure,
        "Speed against the error of the logits for each precision; the error with one layer "
        "narrow; error and accuracy as more of the multiplications are in few bits, the most "
        "sensitive layers kept in float32, or as many by chance.",
    )
