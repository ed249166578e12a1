"""Quantize a trained network with some hundred images and no training, and lose nothing.

Eight bits are enough for weights and activations, if the integers are laid where the values are.
The first panel shows one activation's values and where five observers end the range; the second,
the weights' ranges of a depthwise layer, whose channels differ by orders of magnitude: one scale
for all of them (*per tensor*) is too coarse for most, until the channels are equalized or have a
scale each. The third shows what is left of the accuracy as the bits go down, and what equalization,
bias correction and learnt rounding bring back.

The network in integers is run twice: by PyTorch, and by NumPy on integers alone. They agree in each
bit. ONNX Runtime's, NNCF's and PyTorch's own quantizers get the same network and images.

Benoit Jacob and others, Quantization and training of neural networks for efficient
integer-arithmetic-only inference, 2018; Markus Nagel and others, Data-free quantization through
weight equalization and bias correction, 2019; Up or down? Adaptive rounding, 2020.
"""

import copy
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from torch import Tensor

from groundwork import Claim, Run, plots
from quantized_cnn import integer
from quantized_cnn.affine import WEIGHTS, Quantizer, Scheme
from quantized_cnn.calibration import calibrate, post_training
from quantized_cnn.equalization import correct_biases, equalize, linearize
from quantized_cnn.graph import Graph, fold_norms, trace
from quantized_cnn.images import DataName, Images, load_images
from quantized_cnn.networks import NetworkName
from quantized_cnn.observers import ObserverName, make_observer
from quantized_cnn.onnx_graph import quantize_by_runtime, scales, to_onnx
from quantized_cnn.pretrained import pretrained
from quantized_cnn.quantized import quantize
from quantized_cnn.references import nncf_static, onnxruntime_static, pt2e_static
from quantized_cnn.rounding import adaround
from quantized_cnn.training import accuracy

OBSERVERS: tuple[ObserverName, ...] = (
    "min-max",
    "moving-average",
    "percentile",
    "mean-square",
    "entropy",
)
#: All weights of a layer with one scale.
PER_TENSOR = Scheme(signed=True, symmetric=True, narrow=True)

PRESETS = {
    "smoke": {"epochs": 4, "seeds": 1, "rounding_steps": 50},
    "default": {},
    "full": {
        "data": "cifar10_subset",
        "epochs": 20,
        "calibration": 500,
        "rounding_steps": 150,
        "bf16": True,
    },
}
CLAIMS = [
    Claim("integer_difference", "<=", 0.0),
    Claim("weight_scale_difference_ulp", "<=", 1.0),
    Claim("lost.resnet", "<=", 0.5, presets=("full",)),
    Claim("lost.mobilenet", "<=", 0.5, presets=("full",)),
    Claim("behind_best_reference.resnet", "<=", 0.3, presets=("full",)),
    Claim("behind_best_reference.mobilenet", "<=", 0.3, presets=("full",)),
    Claim("equalization_gain", ">=", 0.0, presets=("full",)),
    Claim("rounding_gain", ">=", 1.0, presets=("full",)),
]


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the images"] = "digits",
    epochs: Annotated[int, Ge(1), "passes that the network was trained for"] = 15,
    calibration: Annotated[int, Ge(10), "images to find the ranges with"] = 300,
    rounding_steps: Annotated[int, Ge(1), "steps a layer of learnt rounding"] = 300,
    seeds: Annotated[int, Ge(1), "networks of each kind"] = 3,
    bf16: Annotated[bool, "train with convolutions in bfloat16"] = False,
) -> None:
    """Quantize both networks in every way, and hold them against the libraries."""
    images = load_images(run, data)
    seen = images.x_train[:calibration]
    networks: tuple[NetworkName, ...] = ("resnet", "mobilenet")
    rows: list[dict[str, Any]] = []
    for name in networks:
        for seed in run.seeds(seeds):
            model = pretrained(run, name, images, epochs=epochs, seed=seed, bf16=bf16)
            graph = fold_norms(trace(model))
            found = points(images, graph, model, seen, rounding_steps, seed)
            rows += [
                {"network": name, "seed": seed, "way": k, "points": v} for k, v in found.items()
            ]
        tell(run, name, [row for row in rows if row["network"] == name])
    run.table("accuracy", summary(rows), caption="Accuracy in points, the mean over the seeds")
    check_integers(run, graph, images, seen)
    check_scales(run, graph, images, seen)
    figure, axes = plots.figure(1, 3, width=12.0, height=3.4)
    draw_ranges(axes[0], graph, seen)
    draw_channels(axes[1], graph)
    draw_bits(axes[2], rows)
    run.figure(
        "quantization",
        figure,
        "One activation's values and the ranges of five observers; the weights' ranges of a "
        "depthwise layer's channels before and after equalization; accuracy against bits.",
    )


def weights(bits: int) -> Scheme:
    """Weights of so many bits, per channel."""
    return Scheme(bits, signed=True, symmetric=True, axis=0, narrow=True)


def points(
    images: Images, graph: Graph, model: Any, seen: Tensor, rounding_steps: int, seed: int
) -> dict[str, float]:
    """The accuracy of each way to quantize a network, in points."""

    def score(network: Any) -> float:
        return accuracy(network, images.x_test, images.y_test)

    found = {"fp32": score(model)}
    for observer in OBSERVERS:
        found[observer] = score(post_training(graph, seen, observer))
    even = equalize(linearize(copy.deepcopy(graph)))
    corrected = correct_biases(copy.deepcopy(even), seen, PER_TENSOR)
    for name, prepared in (("", graph), (" equalized", even), (" corrected", corrected)):
        found[f"per tensor{name}"] = score(post_training(prepared, seen, "mean-square", PER_TENSOR))
    ranges = calibrate(graph, seen.split(100), "mean-square")
    for bits in (6, 5, 4, 3):
        found[f"{bits}-bit weights"] = score(quantize(graph, ranges, weights(bits)))
        if bits > 4:
            continue
        learnt = adaround(graph, seen, ranges, weights(bits), steps=rounding_steps, seed=seed)
        found[f"{bits}-bit weights, rounding learnt"] = score(
            quantize(graph, ranges, weights(bits), learnt)
        )
    found["ONNX Runtime"] = score(onnxruntime_static(graph, seen))
    found["NNCF"] = score(nncf_static(graph, seen))
    found["PT2E"] = score(pt2e_static(model, seen))
    return found


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mean over the seeds of each network and way."""
    keys = dict.fromkeys((row["network"], row["way"]) for row in rows)
    return [
        {"network": network, "way": way, "points": float(np.mean(values_of(rows, network, way)))}
        for network, way in keys
    ]


def values_of(rows: list[dict[str, Any]], network: str, way: str) -> list[float]:
    """One number a seed."""
    return [row["points"] for row in rows if (row["network"], row["way"]) == (network, way)]


def tell(run: Run, name: str, rows: list[dict[str, Any]]) -> None:
    """The metrics of a network."""
    of = {row["way"]: np.array(values_of(rows, name, row["way"])) for row in rows}
    run.metric(f"accuracy.{name}", list(of["fp32"]), "points")
    run.metric(f"lost.{name}", list(of["fp32"] - of["mean-square"]), "points")
    references = {key: of[key] for key in ("ONNX Runtime", "NNCF", "PT2E")}
    for key, values in references.items():
        run.metric(f"lost.{name}.{key.replace(' ', '-')}", list(of["fp32"] - values), "points")
    best = max(references.values(), key=lambda values: values.mean())
    run.metric(f"behind_best_reference.{name}", list(best - of["mean-square"]), "points")
    if name == "mobilenet":
        gained = of["per tensor equalized"] - of["per tensor"]
        run.metric("equalization_gain", list(gained), "points")
    if name == "resnet":
        gained = of["3-bit weights, rounding learnt"] - of["3-bit weights"]
        run.metric("rounding_gain", list(gained), "points")


def check_integers(run: Run, graph: Graph, images: Images, seen: Tensor) -> None:
    """PyTorch's answers and NumPy's on integers: the largest difference."""
    quantized = post_training(graph, seen, "mean-square")
    x = images.x_test[:50]
    run.metric(
        "integer_difference",
        float(np.abs(integer.run(quantized, x.numpy()) - quantized(x).numpy()).max()),
    )
    run.metric("bytes_share", quantized.bytes / sum(4 * p.numel() for p in graph.parameters()))


def check_scales(run: Run, graph: Graph, images: Images, seen: Tensor) -> None:
    """The largest difference of a weight's scale from the runtime's, in units in the last place."""
    theirs = scales(quantize_by_runtime(to_onnx(graph, images.shape), seen))
    worst = 0.0
    for node in graph.layers():
        ours = Quantizer.of_values(WEIGHTS, graph.weights[node.name]).scale.numpy()
        other = theirs[f"{node.name}.weight"]
        worst = max(worst, float((np.abs(ours - other) / np.spacing(other)).max()))
    run.metric("weight_scale_difference_ulp", worst)


def draw_ranges(axes: Any, graph: Graph, seen: Tensor) -> None:
    """The values of the widest activation, and where the observers end its range."""
    values: dict[str, Tensor] = {}

    def see(node: Any, value: Tensor) -> None:
        if node.op in ("add", "clamp"):
            values[node.name] = value.detach()

    graph.run(seen, see)
    name = max(values, key=lambda key: float(values[key].abs().max() / values[key].std()))
    axes.hist(values[name].flatten().numpy(), bins=120, log=True, color=plots.PALETTE[7], alpha=0.5)
    for k, observer in enumerate(OBSERVERS):
        watcher = make_observer(observer)
        for batch in values[name].split(50):
            watcher.observe(batch)
        low, high = watcher.range(Scheme())
        axes.plot([float(low), float(high)], [10 ** (0.4 * k + 0.3)] * 2, "|-", label=observer)
    axes.set(title="Where to end the range", xlabel="an activation's value", ylabel="count")
    axes.legend(fontsize=7)


def draw_channels(axes: Any, graph: Graph) -> None:
    """The largest weight of each channel of the most uneven depthwise layer, before and after."""
    even = equalize(linearize(copy.deepcopy(graph)))
    depthwise = [node.name for node in graph.layers() if node.groups > 1]

    def ranges(owner: Graph, name: str) -> Any:
        return owner.weights[name].detach().abs().amax((1, 2, 3)).numpy()

    name = max(depthwise, key=lambda key: ranges(graph, key).max() / np.median(ranges(graph, key)))
    order = np.argsort(-ranges(graph, name))
    for label, owner in (("as trained", graph), ("equalized", even)):
        share = ranges(owner, name)[order] / ranges(owner, name).max()
        axes.semilogy(share, ".-", markersize=3, label=label)
    axes.axhline(1 / 127, color=plots.PALETTE[7], linestyle=":", label="one 8-bit step")
    axes.set(
        title="A depthwise layer", xlabel="channel, by size", ylabel="largest weight, relative"
    )
    axes.legend(fontsize=7)


def draw_bits(axes: Any, rows: list[dict[str, Any]]) -> None:
    """Accuracy against the weights' bits."""
    for k, network in enumerate(dict.fromkeys(row["network"] for row in rows)):
        for label, style, ending in (("nearest", "o--", ""), ("learnt", "o-", ", rounding learnt")):
            bits = (4, 3) if ending else (6, 5, 4, 3)
            means = [np.mean(values_of(rows, network, f"{b}-bit weights{ending}")) for b in bits]
            axes.plot(bits, means, style, color=plots.PALETTE[k], label=f"{network}, {label}")
        axes.axhline(
            np.mean(values_of(rows, network, "fp32")), color=plots.PALETTE[k], linestyle=":"
        )
    axes.invert_xaxis()
    axes.set(
        title="Fewer bits",
        xlabel="bits of a weight",
        ylabel="accuracy (points)",
        xticks=(6, 5, 4, 3),
    )
    axes.legend(fontsize=7)
