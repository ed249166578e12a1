"""Round a trained network or train a rounded one: what each costs, and where the first is enough.

From eight bits down to two, weights and activations alike, a network is quantized in three ways:
every weight to the nearest integer; by learnt rounding, layer after layer, from some hundred
images; and by training all of it for some passes among integers. The first panel has the accuracy
against the bits, the second against the seconds that it took: down to five or six bits there is
nothing to gain by training, below it there is no way around it.

`cheapest` in the table is the quickest way that stays within the allowed loss, for each number of
bits. The first and the last layer keep eight bits in training, as is usual; in the other two ways
they have them too, so that nothing else differs.

Raghuraman Krishnamoorthi, Quantizing deep convolutional networks for efficient inference: a
whitepaper, 2018; Markus Nagel and others, A white paper on neural network quantization, 2021.
"""

import copy
import time
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le

from groundwork import Claim, Run, plots
from quantized_cnn.affine import ACTIVATIONS, Quantizer, Scheme
from quantized_cnn.calibration import calibrate
from quantized_cnn.graph import Graph, fold_norms, trace
from quantized_cnn.images import DataName, Images, load_images
from quantized_cnn.networks import NetworkName
from quantized_cnn.pretrained import pretrained
from quantized_cnn.qat import train_aware
from quantized_cnn.quantized import quantize, quantized_points
from quantized_cnn.rounding import adaround
from quantized_cnn.training import accuracy

WAYS = ("nearest", "learnt rounding", "training")

PRESETS = {
    "smoke": {"epochs": 4, "passes": 2, "seeds": 1, "bits": (8, 2), "rounding_steps": 50},
    "default": {},
    "full": {
        "data": "cifar10_subset",
        "epochs": 20,
        "passes": 2,
        "bits": (8, 6, 4, 3, 2),
        "rounding_steps": 150,
        "bf16": True,
    },
}
CLAIMS = [
    Claim("lost.nearest@8", "<=", 0.5, presets=("default", "full")),
    Claim("lost.training@4", "<=", 2.0, presets=("default", "full")),
    Claim("training_over_nearest@3", ">=", 1.0, presets=("default", "full")),
    Claim("training_over_nearest@2", ">=", 5.0),
    Claim("training_over_rounding@2", ">=", 1.0, presets=("default", "full")),
]


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the images"] = "digits",
    network: Annotated[NetworkName, "the network"] = "resnet",
    epochs: Annotated[int, Ge(1), "passes that the network was trained for"] = 15,
    bits: Annotated[tuple[int, ...], Ge(2), Le(8), "of weights and activations"] = (8, 6, 4, 3, 2),
    passes: Annotated[int, Ge(1), "passes of training with integers"] = 5,
    rounding_steps: Annotated[int, Ge(1), "steps a layer of learnt rounding"] = 300,
    allowed: Annotated[float, Ge(0), "loss in points that is allowed"] = 0.5,
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
    bf16: Annotated[bool, "the first training in bfloat16"] = False,
) -> None:
    """Quantize with every number of bits in the three ways."""
    images = load_images(run, data)
    store = run.checkpoint("results")
    rows: list[dict[str, Any]] = store.load() or []
    for seed in run.seeds(seeds):
        model = pretrained(run, network, images, epochs=epochs, seed=seed, bf16=bf16)
        whole = accuracy(model, images.x_test, images.y_test)
        for b in bits:
            if any((row["seed"], row["bits"]) == (seed, b) for row in rows):
                continue
            for way, (points, seconds) in quantize_all(
                run, trace(model), images, b, passes, rounding_steps, seed
            ).items():
                rows.append(
                    {"seed": seed, "bits": b, "way": way, "points": points, "seconds": seconds}
                    | {"whole": whole}
                )
            store.save(rows)
    tell(run, rows, bits, allowed)
    draw(run, rows, bits, allowed)


def quantize_all(
    run: Run,
    graph: Graph,
    images: Images,
    bits: int,
    passes: int,
    rounding_steps: int,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """Accuracy in points and seconds of each way."""
    seen = images.x_train[:500]
    weights = Scheme(bits, signed=True, symmetric=True, axis=0, narrow=True)
    folded = fold_norms(copy.deepcopy(graph))
    found: dict[str, tuple[float, float]] = {}

    def note(way: str, net: Any, start: float) -> None:
        seconds = time.perf_counter() - start
        found[way] = accuracy(net, images.x_test, images.y_test), seconds

    start = time.perf_counter()
    ranges = ranges_of(folded, seen, Scheme(bits))
    ends = ends_of(folded)
    note("nearest", quantize(folded, ranges, weights, ends), start)

    start = time.perf_counter()
    ranges = ranges_of(folded, seen, Scheme(bits))
    learnt = adaround(folded, seen, ranges, weights, steps=rounding_steps, seed=seed)
    note("learnt rounding", quantize(folded, ranges, weights, learnt | ends_of(folded)), start)

    start = time.perf_counter()
    aware = train_aware(
        graph,
        images,
        bits=bits,
        epochs=passes,
        seed=seed,
        progress=lambda epochs: run.progress(epochs, label=f"{bits} bits, seed {seed}"),
    )
    note("training", aware.convert(), start)
    return found


def ranges_of(graph: Graph, seen: Any, scheme: Scheme) -> dict[str, Quantizer]:
    """The activations' quantizers; the image and what the last layer takes have eight bits."""
    ranges = calibrate(graph, seen.split(100), "mean-square", scheme)
    wide = calibrate(graph, seen.split(100), "mean-square", ACTIVATIONS)
    points = quantized_points(graph)
    return ranges | {name: wide[name] for name in (points[0], points[-1])}


def ends_of(graph: Graph) -> dict[str, tuple[Any, Quantizer]]:
    """The first and the last layer's integers, of eight bits."""
    names = [node.name for node in graph.layers()]
    scheme = Scheme(signed=True, symmetric=True, axis=0, narrow=True)
    chosen = {}
    for name in (names[0], names[-1]):
        weight = graph.weights[name].detach()
        quantizer = Quantizer.of_values(scheme, weight)
        chosen[name] = quantizer.quantize(weight), quantizer
    return chosen


def values(rows: list[dict[str, Any]], way: str, bits: int, key: str = "points") -> np.ndarray:
    """One number a seed."""
    return np.array([row[key] for row in rows if (row["way"], row["bits"]) == (way, bits)])


def cheapest(rows: list[dict[str, Any]], bits: int, allowed: float) -> str:
    """The quickest way within the allowed loss, or none."""
    for way in WAYS:
        lost = values(rows, way, bits, "whole") - values(rows, way, bits)
        if lost.mean() <= allowed:
            return way
    return "none"


def tell(run: Run, rows: list[dict[str, Any]], bits: tuple[int, ...], allowed: float) -> None:
    """The metrics, one number a seed; the table of what to take."""
    table = []
    for b in bits:
        line: dict[str, Any] = {"bits": b}
        for way in WAYS:
            lost = values(rows, way, b, "whole") - values(rows, way, b)
            run.metric(f"lost.{way.replace(' ', '-')}@{b}", list(lost), "points")
            line |= {f"lost by {way}": lost.mean()}
        gained = values(rows, "training", b) - values(rows, "nearest", b)
        run.metric(f"training_over_nearest@{b}", list(gained), "points")
        gained = values(rows, "training", b) - values(rows, "learnt rounding", b)
        run.metric(f"training_over_rounding@{b}", list(gained), "points")
        table.append(line | {"cheapest": cheapest(rows, b, allowed)})
    run.table("lost", table, caption="Points lost, the mean over the seeds")
    for way in WAYS:
        seconds = np.concatenate([values(rows, way, b, "seconds") for b in bits])
        run.metric(f"seconds.{way.replace(' ', '-')}", float(seconds.mean()), "s")


def draw(run: Run, rows: list[dict[str, Any]], bits: tuple[int, ...], allowed: float) -> None:
    """Accuracy against bits, and against seconds."""
    figure, axes = plots.figure(1, 2, width=9.0, height=3.4)
    whole = float(np.mean([row["whole"] for row in rows]))
    for k, way in enumerate(WAYS):
        means = [values(rows, way, b).mean() for b in bits]
        spread = [values(rows, way, b).std() for b in bits]
        color = plots.PALETTE[k]
        axes[0].errorbar(bits, means, spread, fmt="o-", markersize=3, color=color, label=way)
        seconds = [values(rows, way, b, "seconds").mean() for b in bits]
        axes[1].plot(seconds, means, "o", color=color, label=way)
        for x, y, b in zip(seconds, means, bits, strict=True):
            axes[1].annotate(str(b), (x, y), xytext=(4, -3), textcoords="offset points", fontsize=7)
    for axis in axes:
        axis.axhspan(whole - allowed, whole, color=plots.PALETTE[2], alpha=0.25)
        axis.set(ylabel="accuracy (points)")
        axis.legend()
    axes[0].invert_xaxis()
    axes[0].set(title="Fewer bits", xlabel="bits of weights and activations")
    axes[1].set(title="What it takes", xlabel="seconds; the numbers are bits")
    run.figure(
        "bits",
        figure,
        "Accuracy against the bits of weights and activations, three ways; the same against the "
        "seconds that each took. The band is the loss that is allowed.",
    )
