"""Make one network small in every way, and put all of them on one map: accuracy, bytes, time.

The same trained network is quantized, pruned, narrowed, replaced by a student, and all of these one
after the other. What is compared is what counts when it is shipped: the accuracy on images that no
step has seen, the bytes of the file after packing (`zlib`, which is where zeros and few distinct
values pay), the multiplications, and the time of a batch in ONNX Runtime, which takes each network
in the form that it is best at.

Single zeros shrink the packed file and leave the time as it was; eight bits shrink both. Channels
that go one by one, wherever they are missed least, shrink the file and half the multiplications,
and ONNX Runtime takes as long as before: what is left no longer fills its vectors. Whoever wants
the time as well takes them out in blocks, as the capstone does. What saves different things
multiplies: with zeros and eight bits a tenth of the file is left.

Song Han, Huizi Mao and William Dally, Deep compression, 2016; Tejalal Choudhary and others, A
comprehensive survey on model compression and acceleration, 2020.
"""

import copy
import time
import zlib
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge
from matplotlib.ticker import NullFormatter
from torch import Tensor, nn

from groundwork import Claim, Run, plots
from quantized_cnn.calibration import post_training
from quantized_cnn.channels import multiplications, prune_channels
from quantized_cnn.distillation import Distillation
from quantized_cnn.graph import Graph, fold_norms, trace
from quantized_cnn.images import DataName, Images, load_images
from quantized_cnn.networks import ResNet
from quantized_cnn.onnx_graph import RuntimeSession, quantize_by_runtime, to_onnx
from quantized_cnn.pretrained import pretrained
from quantized_cnn.pruning import apply_masks, magnitude, masks_of
from quantized_cnn.qat import train_aware
from quantized_cnn.quantized import QuantizedGraph
from quantized_cnn.training import accuracy, fit

PRESETS = {
    "smoke": {"epochs": 4, "passes": 2, "student_epochs": 4, "seeds": 1},
    "default": {},
    "full": {
        "data": "cifar10_subset",
        "epochs": 20,
        "passes": 3,
        "student_epochs": 10,
        "bf16": True,
    },
}
CLAIMS = [
    Claim("bytes_share.int8", "<=", 0.45),
    Claim("bytes_share.int4", "<=", 0.25),
    Claim("bytes_share.narrowed-int8", "<=", 0.3),
    Claim("lost.int8", "<=", 0.5, presets=("full",)),
    Claim("lost.narrowed-int8", "<=", 1.5, presets=("full",)),
    Claim("time_share.int8", "<=", 0.6, presets=("full",)),
    Claim("time_share.sparse", ">=", 0.8, presets=("full",)),
]


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the images"] = "digits",
    epochs: Annotated[int, Ge(1), "passes that the network was trained for"] = 15,
    passes: Annotated[int, Ge(1), "passes after each change"] = 5,
    student_epochs: Annotated[int, Ge(1), "passes of the student"] = 15,
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
    bf16: Annotated[bool, "convolutions in bfloat16 in training"] = False,
) -> None:
    """Compress in every way, and measure all of them alike."""
    images = load_images(run, data)
    store = run.checkpoint("results")
    rows: list[dict[str, Any]] = store.load() or []
    for seed in run.seeds(seeds):
        if any(row["seed"] == seed for row in rows):
            continue
        model = pretrained(run, "resnet", images, epochs=epochs, seed=seed, bf16=bf16)
        found = compress(run, model, images, passes, student_epochs, seed, bf16)
        rows += [{"seed": seed} | row for row in found]
        store.save(rows)
    tell(run, rows)
    draw(run, rows)


def compress(
    run: Run,
    model: nn.Module,
    images: Images,
    passes: int,
    student_epochs: int,
    seed: int,
    bf16: bool,
) -> list[dict[str, Any]]:
    """A row for each way."""
    small = images.small
    seen = images.x_train[:500]
    shape = images.shape
    graph = trace(model)
    rows = [measure("whole", graph, images)]
    rows.append(measure("int8", graph, images, eight_bits=True))
    aware = train_aware(graph, images, bits=4, epochs=passes, **named(run, "int4", seed))
    rows.append(measure_integers("int4", aware.convert(), graph, images, bits=4))

    sparse = copy.deepcopy(model)
    masks = masks_of(magnitude(sparse), 0.8)
    apply_masks(sparse, masks)
    fit(
        sparse,
        images.x_train,
        images.y_train,
        epochs=passes,
        learning_rate=0.05,
        after_step=lambda step: apply_masks(sparse, masks),
        augment=images.augment,
        batch_size=images.batch_size,
        bf16=bf16,
        **named(run, "sparse", seed),
    )
    rows.append(measure("sparse", trace(sparse), images))
    rows.append(measure("sparse-int8", trace(sparse), images, eight_bits=True))

    batches = [
        (images.x_train[k : k + 128], images.y_train[k : k + 128]) for k in range(0, 1024, 128)
    ]
    narrow = prune_channels(copy.deepcopy(graph), 0.5, shape, "taylor", batches)
    fit(
        narrow,
        images.x_train,
        images.y_train,
        epochs=passes,
        learning_rate=0.05,
        augment=images.augment,
        batch_size=images.batch_size,
        bf16=bf16,
        **named(run, "narrowed", seed),
    )
    rows.append(measure("narrowed", narrow, images))
    rows.append(measure("narrowed-int8", narrow, images, eight_bits=True))

    torch.manual_seed(1000 + seed)
    student: nn.Module = (
        ResNet(images.classes, images.channels, (4, 8), (1, 1))
        if small
        else ResNet(images.classes, images.channels, (8, 16, 32), (3, 3, 3))
    ).to(memory_format=torch.channels_last)
    distillation = Distillation(student, model, seen)
    fit(
        distillation,
        images.x_train,
        images.y_train,
        epochs=student_epochs,
        learning_rate=0.1 if small else 0.2,
        loss=distillation.loss,
        augment=images.augment,
        batch_size=images.batch_size,
        bf16=bf16,
        **named(run, "student", seed),
    )
    student = distillation.close()
    rows.append(measure("student", trace(student), images))
    rows.append(measure("student-int8", trace(student), images, eight_bits=True))
    return rows


def named(run: Run, way: str, seed: int) -> dict[str, Any]:
    """The seed of a training, and a bar that names it."""
    label = f"{way}, seed {seed}"
    return {"seed": seed, "progress": lambda steps: run.progress(steps, label=label)}


def measure(way: str, graph: Graph, images: Images, eight_bits: bool = False) -> dict[str, Any]:
    """Accuracy, packed bytes, multiplications, and seconds of 64 images in ONNX Runtime."""
    graph = fold_norms(copy.deepcopy(graph).eval())
    shape, seen = images.shape, images.x_train[:500]
    model = to_onnx(graph, shape)
    if eight_bits:
        quantized = post_training(graph, seen, "mean-square")
        row = measure_integers(way, quantized, graph, images, bits=8)
        model = quantize_by_runtime(model, seen)
    else:
        row = {
            "way": way,
            "points": accuracy(graph, images.x_test, images.y_test),
            "bytes": packed([p.detach().numpy() for p in graph.parameters()]),
            "multiplications": sum(multiplications(graph, shape).values()),
        }
    return row | {"seconds": seconds_of(RuntimeSession(model), images.x_test[:64])}


def measure_integers(
    way: str, quantized: QuantizedGraph, graph: Graph, images: Images, bits: int
) -> dict[str, Any]:
    """The same of a network in integers, but for the time; weights of four bits lie in pairs."""
    arrays: list[np.ndarray] = []
    for step in quantized.steps:
        if step.weight is None or step.bias is None:
            continue
        integers = step.weight.astype(np.int8).ravel()
        first_or_last = step.scale is not None or step is quantized.steps[1]
        if bits == 4 and not first_or_last:
            nibbles = np.pad(integers & 15, (0, len(integers) % 2)).astype(np.uint8)
            integers = nibbles[::2] | (nibbles[1::2] << 4)
        arrays += [integers, step.bias.astype(np.int32)]
        if step.factors is not None:
            arrays += [
                step.factors.multiplier.astype(np.int32),
                step.factors.shift.astype(np.uint8),
            ]
        if step.scale is not None:
            arrays.append(step.scale.astype(np.float32))
    return {
        "way": way,
        "points": accuracy(quantized, images.x_test, images.y_test),
        "bytes": packed(arrays),
        "multiplications": sum(multiplications(graph, images.shape).values()),
        "seconds": float("nan"),
    }


def packed(arrays: list[np.ndarray]) -> int:
    """Bytes of the arrays after compression."""
    return len(zlib.compress(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays), 9))


def seconds_of(session: RuntimeSession, x: Tensor, turns: int = 15) -> float:
    """The shortest of some runs, one thread."""
    best = float("inf")
    for _ in range(turns):
        start = time.perf_counter()
        session(x)
        best = min(best, time.perf_counter() - start)
    return best


def tell(run: Run, rows: list[dict[str, Any]]) -> None:
    """The metrics, one number a seed, and the table."""
    ways = list(dict.fromkeys(row["way"] for row in rows))

    def of(way: str, key: str) -> np.ndarray:
        return np.array([row[key] for row in rows if row["way"] == way], float)

    table = []
    for way in ways:
        line: dict[str, Any] = {"way": way, "points": of(way, "points").mean()}
        for key, name in (("bytes", "bytes_share"), ("seconds", "time_share")):
            share = of(way, key) / of("whole", key)
            line[name] = float(share.mean())
            if way != "whole" and np.isfinite(share).all():
                run.metric(f"{name}.{way}", list(share))
        part = of(way, "multiplications") / of("whole", "multiplications")
        line["multiplications_share"] = float(part.mean())
        if way != "whole":
            run.metric(f"lost.{way}", list(of("whole", "points") - of(way, "points")), "points")
        table.append(line)
    run.metric("accuracy", list(of("whole", "points")), "points")
    run.metric("bytes", list(of("whole", "bytes")), "B")
    run.table("ways", table, caption="Accuracy in points; the rest as shares of the whole network")


def draw(run: Run, rows: list[dict[str, Any]]) -> None:
    """Accuracy against bytes, and against time."""
    figure, axes = plots.figure(1, 2, width=9.5, height=3.8)
    for k, way in enumerate(dict.fromkeys(row["way"] for row in rows)):
        mine = [row for row in rows if row["way"] == way]
        color = plots.PALETTE[k % len(plots.PALETTE)]
        marker = "os^D"[k // len(plots.PALETTE)]
        points = [row["points"] for row in mine]
        for axis, key, scale in ((axes[0], "bytes", 1e-3), (axes[1], "seconds", 1e3)):
            x = float(np.mean([row[key] for row in mine])) * scale
            if np.isfinite(x):
                axis.errorbar(
                    x, np.mean(points), np.std(points), fmt=marker, color=color, label=way
                )
                axis.annotate(
                    way, (x, np.mean(points)), xytext=(5, 3), textcoords="offset points", fontsize=7
                )
    for axis in axes:
        axis.xaxis.set_minor_formatter(NullFormatter())
    axes[0].set(title="Size", xscale="log", xlabel="kilobytes, packed", ylabel="accuracy (points)")
    axes[1].set(title="Time", xscale="log", xlabel="milliseconds for 64 images")
    run.figure(
        "map",
        figure,
        "Accuracy against the packed bytes, and against the time of 64 images in ONNX Runtime on "
        "one thread; the bars are the spread over the seeds.",
    )
