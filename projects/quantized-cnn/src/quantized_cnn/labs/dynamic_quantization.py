"""Quantize at run time: ranges from the input at hand, nothing to calibrate, nothing clipped.

A static range is fixed by the calibration images. The first panel makes the test images brighter by
a growing factor, and asks how often a network in integers says what the whole one says: past the
range that was calibrated the static network clips, and is another network; the dynamic one takes
each row's own range, and stays with the whole one, right or wrong. (It need not be worse to clip:
what clips bright images dims them, and the whole network errs on them too. The table has both.) The
second panel shows the ranges that the rows of one batch ask for, beside the one that calibration
chose. The third has what the pass over the input costs: a linear layer in integers against the same
in float32, by the layer's size.

PyTorch's own dynamic quantization gets the same network. For convolutions there is no gain in it: a
small kernel's product is too cheap to pay for finding a range each time.

Aishwarya Bhandare and others, Efficient 8-bit quantization of transformer neural machine language
translation model, 2019.
"""

from functools import partial
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor, nn

from groundwork import Claim, Run, plots
from quantized_cnn.calibration import calibrate, post_training
from quantized_cnn.dynamic import DynamicLinear, bytes_of, quantize_dynamically
from quantized_cnn.graph import Graph, trace
from quantized_cnn.images import DataName, Images, load_images
from quantized_cnn.references import torch_dynamic
from quantized_cnn.training import fit, predict

PRESETS = {
    "smoke": {"epochs": 4, "seeds": 1, "sizes": (64, 256)},
    "default": {},
    "full": {"data": "fashion_mnist", "epochs": 8, "width": 512},
}
CLAIMS = [
    Claim("bytes_share", "<=", 0.3),
    Claim("lost.dynamic", "<=", 0.5),
    Claim("behind_library", "<=", 0.3),
    Claim("faithful_in_bright_light", ">=", 1.0, presets=("default", "full")),
]
FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the images"] = "digits",
    epochs: Annotated[int, Ge(1), "passes of training"] = 15,
    width: Annotated[int, Ge(8), "units of each hidden layer"] = 128,
    sizes: Annotated[tuple[int, ...], "square layers to time"] = (64, 128, 256, 512, 1024),
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
) -> None:
    """Train a dense network, quantize it in both ways, brighten the images, time the layers."""
    images = load_images(run, data)
    rows: list[dict[str, Any]] = []
    for seed in run.seeds(seeds):
        model = train(run, images, width, epochs, seed)
        rows += [{"seed": seed} | row for row in brighten(images, model)]
    points, same = (by_way(rows, key) for key in ("points", "same"))
    whole = points["fp32"][:, 0]
    run.metric("accuracy", list(whole), "points")
    for way in ("dynamic", "static", "library"):
        run.metric(f"lost.{way}", list(whole - points[way][:, 0]), "points")
    run.metric("behind_library", list(points["library"][:, 0] - points["dynamic"][:, 0]), "points")
    gap = same["dynamic"][:, -1] - same["static"][:, -1]
    run.metric("faithful_in_bright_light", list(gap), "points")
    run.metric("bytes_share", bytes_of(quantize_dynamically(model)) / bytes_of(model))
    table = [
        {"way": way, "brightness": f, "accuracy": p, "as the whole network": q}
        for way in points
        for f, p, q in zip(FACTORS, points[way].mean(0), same[way].mean(0), strict=True)
    ]
    run.table("brightness", table, caption="Points against the brightness of the test images")
    times = time_layers(run, sizes)
    draw(run, images, trace(model), same, times)


def train(run: Run, images: Images, width: int, epochs: int, seed: int) -> nn.Module:
    """A dense network with two hidden layers."""
    torch.manual_seed(seed)
    inputs = images.x_train[0].numel()
    model = nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, images.classes),
    )  # fmt: skip
    fit(
        model,
        images.x_train.flatten(1),
        images.y_train,
        epochs=epochs,
        learning_rate=0.1,
        batch_size=images.batch_size,
        seed=seed,
        checkpoint=run.checkpoint(f"dense-{seed}"),
        progress=lambda passes: run.progress(passes, label=f"seed {seed}"),
    )
    return model


def brighten(images: Images, model: nn.Module) -> list[dict[str, Any]]:
    """Rows of way and factor: the accuracy, and how often the whole network says the same."""
    seen = images.x_train[:500].flatten(1)
    networks = {
        "fp32": model,
        "dynamic": quantize_dynamically(model),
        "static": post_training(trace(model), seen),
        "library": torch_dynamic(model),
    }
    x = images.x_test.flatten(1)
    dark = x.min()
    rows: list[dict[str, Any]] = []
    for factor in FACTORS:
        bright = dark + factor * (x - dark)
        whole = predict(model, bright).argmax(1)
        for way, network in networks.items():
            said = predict(network, bright).argmax(1)
            points, same = (
                100 * float((said == y).double().mean()) for y in (images.y_test, whole)
            )
            rows.append({"way": way, "factor": factor, "points": points, "same": same})
    return rows


def by_way(rows: list[dict[str, Any]], key: str) -> dict[str, np.ndarray]:
    """A number for each seed and factor, (seeds, factors), by the way."""
    ways = dict.fromkeys(row["way"] for row in rows)
    return {
        way: np.array(
            [[r[key] for r in rows if (r["way"], r["factor"]) == (way, f)] for f in FACTORS]
        ).T
        for way in ways
    }


def time_layers(run: Run, sizes: tuple[int, ...]) -> dict[int, float]:
    """Seconds of a square layer in integers over those in float32, 64 rows, one thread."""
    ratios = {}
    for size in sizes:
        layer = nn.Linear(size, size)
        ours = DynamicLinear(layer)
        x = torch.randn(64, size)
        with torch.inference_mode():
            found = run.compare(
                f"linear@{size}",
                partial(ours.forward, x),
                partial(layer.forward, x),
                library="torch",
                threads=1,
            )
        ratios[size] = found.ratio
    return ratios


def draw(
    run: Run, images: Images, graph: Graph, same: dict[str, np.ndarray], times: dict[int, float]
) -> None:
    """Brightness; the rows' ranges; the time."""
    figure, axes = plots.figure(1, 3, width=11.5, height=3.2)
    for way in ("dynamic", "static", "library"):
        axes[0].plot(FACTORS, same[way].mean(0), "o-", markersize=3, label=way)
    axes[0].set(title="Brighter images", xlabel="brightness")
    axes[0].set(ylabel="as the whole network (points)")
    axes[0].legend()
    values: list[Tensor] = []

    def see(node: Any, value: Tensor) -> None:
        if node.op == "clamp":
            values.append(value.detach())

    x = images.x_test[:500].flatten(1)
    graph.run(x, see)
    ranges = calibrate(graph, [images.x_train[:500].flatten(1)])
    name = next(node.name for node in graph.nodes if node.op == "clamp")
    axes[1].hist(values[0].amax(1).numpy(), bins=40, color=plots.PALETTE[7], alpha=0.6)
    top = 255 * float(ranges[name].scale)
    axes[1].axvline(top, color=plots.PALETTE[1], label="the static range's end")
    axes[1].set(title="What each row asks for", xlabel="largest hidden value", ylabel="rows")
    axes[1].legend()
    axes[2].semilogx(list(times), list(times.values()), "o-", base=2)
    axes[2].set_xticks(list(times), [str(size) for size in times])
    axes[2].minorticks_off()
    axes[2].axhline(1.0, color=plots.PALETTE[7], linestyle=":")
    axes[2].set(title="What it costs", xlabel="inputs and outputs of a layer")
    axes[2].set(ylabel="time, integers / float32")
    run.figure(
        "dynamic",
        figure,
        "How often brighter images are read as the whole network reads them; the largest hidden "
        "value of each row beside the static range's end; the time of a layer in integers over "
        "that in float32.",
    )
