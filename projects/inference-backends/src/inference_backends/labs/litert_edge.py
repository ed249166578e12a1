"""Make of a network the file that a phone or a small board would get, in four precisions.

LiteRT runs a flatbuffer: the weights and a list of operators, mapped into memory and run as it is.
Four files are made of one trained network: float32; weights kept as float16; weights kept as int8,
with activations that are rounded as they come; and integers from end to end, whose activations'
ranges were found on some training images.

Look at what each buys. Keeping weights small shrinks the file alone; integers from end to end
shrink the activations too, and are what makes it quick. The last panel shows what they cost: each
logit beside PyTorch's. The memory is counted from the operators of the file: the largest sum of the
activations of one image that are wanted at the same time. `delegates` is into how many pieces
XNNPACK's kernels take the network over: 1 is whole.

Benoit Jacob and others, Quantization and training of neural networks for efficient
integer-arithmetic-only inference, 2018.
"""

from functools import partial
from typing import Annotated, Any, get_args

import numpy as np
import torch
from annotated_types import Ge, Le

from groundwork import Claim, Run, plots
from groundwork.errors import UsageError
from inference_backends import litert
from inference_backends.backends.lite_rt import LiteRtSession, open_session
from quantized_cnn.images import DataName, Images, load_images
from quantized_cnn.pretrained import pretrained

SCHEMES: tuple[litert.Scheme, ...] = get_args(litert.Scheme)

PRESETS = {
    "smoke": {"epochs": 4, "seeds": 1, "calibration": 100},
    "default": {},
    "full": {"data": "cifar10_subset", "epochs": 20, "bf16": True},
}
CLAIMS = [
    Claim("not_finite", "<=", 0),
    Claim("difference.fp32", "<=", 1e-4),
    Claim("agreement.int8", ">=", 95.0),
    Claim("delegates.fp32", "==", 1),
    Claim("delegates.int8", "==", 1),
    Claim("lost.int8", "<=", 0.5, presets=("full",)),
    Claim("smaller.int8", ">=", 3.5, presets=("full",)),
    Claim("ratio.int8.1-thread", "<=", 0.25, presets=("full",)),
]


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the images"] = "digits",
    epochs: Annotated[int, Ge(1), "passes that the network was trained for"] = 15,
    calibration: Annotated[int, Ge(10), Le(5000), "training images to find the ranges on"] = 256,
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
    bf16: Annotated[bool, "convolutions in bfloat16 in training"] = False,
) -> None:
    """Convert each seed's network by each scheme, run the test images, time one image."""
    reason = litert.absent()
    if reason:
        raise UsageError(f"litert: {reason}")
    images = load_images(run, data)
    example = images.x_train[:calibration].numpy()
    rows: list[dict[str, Any]] = []
    for seed in run.progress(run.seeds(seeds), label="networks"):
        model = pretrained(run, "resnet", images, epochs=epochs, seed=seed, bf16=bf16)
        with torch.inference_mode():
            wanted = model(images.x_test).numpy()
        files = {scheme: litert.convert(model, example, scheme) for scheme in SCHEMES}
        found = {
            scheme: open_session(content, images.shape, "fp32", 1).run(images.x_test.numpy())
            for scheme, content in files.items()
        }
        labels = images.y_test.numpy()
        rows.append({"seed": seed, "scheme": "PyTorch"} | score(wanted, wanted, labels))
        for scheme, logits in found.items():
            rows.append({"seed": seed, "scheme": scheme} | score(logits, wanted, labels))
    sizes = {scheme: len(content) for scheme, content in files.items()}
    tell(run, rows, sizes)
    describe(run, files)
    with torch.inference_mode():
        times = time_one(run, model, files, images)
    draw(run, files, times, wanted, found["int8"])


def score(logits: np.ndarray, wanted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy and agreement in points, the largest relative difference, values not finite."""
    return {
        "points": 100 * float(np.mean(logits.argmax(1) == labels)),
        "agreement": 100 * float(np.mean(logits.argmax(1) == wanted.argmax(1))),
        "difference": float(np.abs(logits - wanted).max() / np.abs(wanted).max()),
        "not finite": float(np.count_nonzero(~np.isfinite(logits))),
    }


def tell(run: Run, rows: list[dict[str, Any]], sizes: dict[litert.Scheme, int]) -> None:
    """The metrics, one number a seed."""

    def of(scheme: str, key: str) -> np.ndarray:
        return np.array([row[key] for row in rows if row["scheme"] == scheme])

    run.metric("accuracy", list(of("PyTorch", "points")), "points")
    for scheme in SCHEMES:
        lost = of("PyTorch", "points") - of(scheme, "points")
        run.metric(f"lost.{scheme}", list(lost), "points")
        run.metric(f"agreement.{scheme}", list(of(scheme, "agreement")), "points")
        run.metric(f"difference.{scheme}", list(of(scheme, "difference")))
        run.metric(f"bytes.{scheme}", sizes[scheme], "B")
        run.metric(f"smaller.{scheme}", sizes["fp32"] / sizes[scheme])
    run.metric("not_finite", sum(row["not finite"] for row in rows))


def describe(run: Run, files: dict[litert.Scheme, bytes]) -> None:
    """What each file is made of: a table of operators, and the memory."""
    read = {scheme: litert.contents(content) for scheme, content in files.items()}
    kinds = dict.fromkeys(kind for made in read.values() for kind in made.operators)
    run.table(
        "operators",
        [
            {"operator": kind} | {s: made.operators.get(kind, 0) for s, made in read.items()}
            for kind in kinds
        ],
        caption="Operators in each file",
    )
    for scheme, made in read.items():
        run.metric(f"activation_bytes.{scheme}", made.peak_bytes, "B")
        run.metric(f"delegates.{scheme}", made.delegates)


def time_one(
    run: Run, model: torch.nn.Module, files: dict[litert.Scheme, bytes], images: Images
) -> dict[int, dict[str, float]]:
    """Microseconds for one image: threads → scheme → time; PyTorch in turns with each."""
    x = images.x_test[:1]
    batch = x.numpy()
    times: dict[int, dict[str, float]] = {}
    for threads in (1, 2):
        eager = []
        times[threads] = {}
        word = "thread" if threads == 1 else "threads"
        for scheme, content in files.items():
            session: LiteRtSession = open_session(content, images.shape, "fp32", threads)
            session.prepare(1)
            made = run.compare(
                f"{scheme}.{threads}-{word}",
                partial(session.run, batch),
                partial(model, x),
                library="torch",
                threads=threads,
            )
            times[threads][scheme] = 1e6 * made.ours_s
            eager.append(1e6 * made.reference_s)
        times[threads]["PyTorch"] = float(np.median(eager))
    return times


def draw(
    run: Run,
    files: dict[litert.Scheme, bytes],
    times: dict[int, dict[str, float]],
    wanted: np.ndarray,
    found: np.ndarray,
) -> None:
    """Sizes, times, and the integers' logits beside PyTorch's."""
    figure, axes = plots.figure(1, 3, width=12.0, height=3.4)
    names = [scheme.replace("-", "\n") for scheme in SCHEMES]
    read = [litert.contents(files[scheme]) for scheme in SCHEMES]
    at = np.arange(len(SCHEMES))
    weights = np.array([made.weights_bytes for made in read]) / 1024
    whole = np.array([len(files[scheme]) for scheme in SCHEMES]) / 1024
    axes[0].bar(at - 0.2, weights, 0.36, label="file: weights")
    axes[0].bar(at - 0.2, whole - weights, 0.36, bottom=weights, label="file: the rest")
    memory = [made.peak_bytes / 1024 for made in read]
    axes[0].bar(at + 0.2, memory, 0.36, color=plots.PALETTE[2], label="activations, at most")
    axes[0].set(title="Size", ylabel="KiB", xticks=at, xticklabels=names)
    axes[0].legend(fontsize=8)
    ways = ["PyTorch", *SCHEMES]
    for k, (threads, row) in enumerate(times.items()):
        places = np.arange(len(ways)) + 0.38 * (k - 0.5)
        label = "1 thread" if threads == 1 else f"{threads} threads"
        axes[1].bar(places, [row[way] for way in ways], 0.36, label=label)
    axes[1].set(title="One image", ylabel="time (µs)", yscale="log")
    axes[1].set(xticks=range(len(ways)), xticklabels=["PyTorch", *names])
    axes[1].legend(fontsize=8)
    for place in axes[:2]:
        place.grid(axis="x", visible=False)
        place.tick_params(axis="x", labelsize=8.5)
    ends = [float(wanted.min()), float(wanted.max())]
    shown = np.linspace(0, wanted.size - 1, min(1500, wanted.size)).astype(int)
    axes[2].plot(ends, ends, color=plots.PALETTE[7], linewidth=1)
    axes[2].plot(
        wanted.flat[shown], found.flat[shown], ".", markersize=2.5, alpha=0.5, rasterized=True
    )
    axes[2].set(title="Logits in int8", xlabel="PyTorch, float32", ylabel="LiteRT, int8")
    run.figure(
        "edge",
        figure,
        "The file's size, and the most that the activations of one image take; the time of one "
        "image on one and two threads; logits of the network in integers beside PyTorch's.",
    )
