"""Let a network learn among integers, until four bits do the work of thirty-two.

Where rounding after training costs accuracy, the network is trained on for some epochs with weights
and activations quantized in every forward pass. Rounding has no derivative; the straight-through
estimator passes the gradient as if it were not there. With *learnt steps* the scales get gradients
of their own from the same rule.

The first panel follows the accuracy from the rounded network back up, with fixed and with learnt
steps. The second shows one layer's 4-bit weights before and after: the weights stay spread, and
what counts is the integer that each falls on. The third shows where learning moved the scales. At
four bits they have little to mend: fixed steps, fitted to the weights, come out within three images
in two thousand of learnt ones, so that no claim is made for learning them. What leaves the lab is
the network in integers, whose answers are those of training.

Steven Esser and others, Learned step size quantization, 2020; Benoit Jacob and others, Quantization
and training of neural networks for efficient integer-arithmetic-only inference, 2018.
"""

import copy
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge
from torch import nn

from groundwork import Claim, Run, plots
from quantized_cnn.affine import Scheme
from quantized_cnn.calibration import post_training
from quantized_cnn.graph import Graph, fold_norms, trace
from quantized_cnn.images import DataName, Images, load_images
from quantized_cnn.networks import NetworkName
from quantized_cnn.pretrained import pretrained
from quantized_cnn.qat import QuantizationAware, train_aware
from quantized_cnn.references import pt2e_aware
from quantized_cnn.training import accuracy, fit

PRESETS = {
    "smoke": {"epochs": 4, "passes": 2, "seeds": 1, "library": False},
    "default": {},
    "full": {"data": "cifar10_subset", "epochs": 20, "passes": 4, "bf16": True},
}
CLAIMS = [
    Claim("converted_difference", "<=", 0.5),
    Claim("lost.8-bits", "<=", 0.2, presets=("full",)),
    Claim("lost.4-bits", "<=", 2.0, presets=("full",)),
    Claim("behind_library", "<=", 0.3, presets=("full",)),
]


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the images"] = "digits",
    network: Annotated[NetworkName, "the network"] = "resnet",
    epochs: Annotated[int, Ge(1), "passes that the network was trained for"] = 15,
    passes: Annotated[int, Ge(1), "passes of training with integers"] = 6,
    library: Annotated[bool, "train by torchao as well"] = True,
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
    bf16: Annotated[bool, "the first training in bfloat16"] = False,
) -> None:
    """Train with 8 and with 4 bits, and hold the result against the library's."""
    images = load_images(run, data)
    store = run.checkpoint("results")
    rows: list[dict[str, Any]] = store.load() or []
    curves: dict[str, list[float]] = {}
    for seed in run.seeds(seeds):
        if any(row["seed"] == seed for row in rows):
            continue
        model = pretrained(run, network, images, epochs=epochs, seed=seed, bf16=bf16)
        found, curves, aware = train(run, images, model, passes, seed, library)
        rows += [{"seed": seed, "way": way, "points": value} for way, value in found.items()]
        store.save(rows)
    tell(run, rows)
    # The last seed's network, for the figure.
    model = pretrained(run, network, images, epochs=epochs, seed=run.seeds(seeds)[-1], bf16=bf16)
    if not curves:
        _, curves, aware = train(run, images, model, passes, run.seeds(seeds)[-1], False)
    draw(run, trace(model), aware, curves)


def train(
    run: Run, images: Images, model: nn.Module, passes: int, seed: int, library: bool
) -> tuple[dict[str, float], dict[str, list[float]], QuantizationAware]:
    """Each way's accuracy in points, the curves of the 4-bit ways, and the 4-bit network."""
    graph = trace(model)
    folded = fold_norms(copy.deepcopy(graph))

    def score(net: Any) -> float:
        return accuracy(net, images.x_test, images.y_test)

    found = {"fp32": score(model)}
    curves: dict[str, list[float]] = {}
    for bits, learn in ((8, True), (4, False), (4, True)):
        weights = Scheme(bits, signed=True, symmetric=True, axis=0, narrow=True)
        rounded = post_training(folded, images.x_train[:500], "mean-square", weights, Scheme(bits))
        way = f"{bits}-bits" + ("" if learn else "-fixed-steps")
        found[f"{bits}-bits-rounded"] = score(rounded)
        aware, curve = follow(run, graph, images, bits, learn, passes, seed)
        curves[way] = [found[f"{bits}-bits-rounded"], *curve]
        converted = aware.convert()
        found[way] = score(converted)
        found[f"{way}-in-training"] = score(aware)
    if library:
        theirs = pt2e_aware(
            copy.deepcopy(model),
            images.x_train,
            lambda prepared: fit(
                prepared,
                images.x_train,
                images.y_train,
                epochs=passes,
                learning_rate=0.02,
                batch_size=images.batch_size,
                weight_decay=1e-4,
                seed=seed,
                augment=images.augment,
                progress=lambda steps: run.progress(steps, label=f"torchao, seed {seed}"),
            ),
        )
        found["torchao"] = score(theirs)
    return found, curves, aware


def follow(
    run: Run,
    graph: Graph,
    images: Images,
    bits: int,
    learn: bool,
    passes: int,
    seed: int,
) -> tuple[QuantizationAware, list[float]]:
    """Train, and note the accuracy after every pass."""
    curve: list[float] = []
    steps = max(1, len(images.x_train) // images.batch_size)
    holder: list[QuantizationAware] = []

    def note(step: int) -> None:
        if step % steps == 0:
            curve.append(accuracy(holder[0], images.x_test, images.y_test))
            holder[0].train()

    label = f"{bits} bits, {'learnt' if learn else 'fixed'} steps, seed {seed}"
    aware = train_aware(
        graph,
        images,
        bits=bits,
        epochs=passes,
        seed=seed,
        learn=learn,
        after_step=note,
        begin=holder.append,
        progress=lambda epochs: run.progress(epochs, label=label),
    )
    return aware, curve


def tell(run: Run, rows: list[dict[str, Any]]) -> None:
    """The metrics, one number a seed."""
    of = {
        way: np.array([row["points"] for row in rows if row["way"] == way])
        for way in dict.fromkeys(row["way"] for row in rows)
    }
    run.table(
        "accuracy",
        [{"way": way, "points": values.mean()} for way, values in of.items()],
        caption="Accuracy in points, the mean over the seeds",
    )
    run.metric("accuracy", list(of["fp32"]), "points")
    for way in ("8-bits", "8-bits-rounded", "4-bits", "4-bits-fixed-steps", "4-bits-rounded"):
        run.metric(f"lost.{way}", list(of["fp32"] - of[way]), "points")
    run.metric("gained_by_learning_steps", list(of["4-bits"] - of["4-bits-fixed-steps"]), "points")
    apart = [np.abs(of[way] - of[f"{way}-in-training"]).max() for way in ("8-bits", "4-bits")]
    run.metric("converted_difference", float(max(apart)), "points")
    if "torchao" in of:
        run.metric("lost.torchao", list(of["fp32"] - of["torchao"]), "points")
        run.metric("behind_library", list(of["torchao"] - of["8-bits"]), "points")


def draw(run: Run, graph: Graph, aware: QuantizationAware, curves: dict[str, list[float]]) -> None:
    """The accuracy pass by pass; a layer's weights; the scales."""
    figure, axes = plots.figure(1, 3, width=11.5, height=3.2)
    for way, curve in curves.items():
        axes[0].plot(range(len(curve)), curve, "o-", markersize=3, label=way.replace("-", " "))
    axes[0].set(title="Back up", xlabel="passes", ylabel="accuracy (points)")
    axes[0].legend()
    name = [node.name for node in graph.layers()][len(list(graph.layers())) // 2]
    quantizer = aware.weights[name].quantizer
    for label, owner in (("before", graph), ("after", aware.graph)):
        weight = owner.weights[name].detach()
        steps = (weight / quantizer.scale.view(-1, 1, 1, 1)).flatten().numpy()
        axes[1].hist(steps, bins=np.linspace(-9, 9, 145), alpha=0.55, label=label)
    axes[1].set(title="A layer's 4-bit weights", xlabel="weight / scale", ylabel="count")
    axes[1].set(xticks=range(-8, 9, 2))
    axes[1].legend()
    begun = QuantizationAware(graph, torch.randn(8, *_shape(graph)), quantizer.scheme, Scheme(4))
    moved = [
        float((fake.scale / begun.weights[key].scale).detach().log2().mean())
        for key, fake in aware.weights.items()
    ]
    axes[2].bar(range(len(moved)), 2.0 ** np.array(moved) - 1, bottom=1.0)
    axes[2].set(title="Where the steps went", xlabel="layer", ylabel="learnt scale / first scale")
    run.figure(
        "training",
        figure,
        "Accuracy pass by pass; a layer's weights in steps of their scale, before and after; the "
        "weights' learnt scales over those that they began with.",
    )


def _shape(graph: Graph) -> tuple[int, int, int]:
    first = next(iter(graph.layers()))
    return graph.weights[first.name].shape[1], 16, 16
