"""Take nine weights in ten out of a network, and see which ones it can do without.

Pruned at once by size, a network falls apart at some point; trained on for a few passes, it comes
back. *Gradual* takes the weights out little by little while it trains. The second panel asks what
the surviving weights owe their value to: set back to where they began and trained again (the
*lottery ticket*), against the same places with other first values, and against places drawn at
random. The third shows what survives, layer by layer: the first and the narrow layers keep most.

Weights are ranked by their size among those of their layer. *Movement* ranks them by where training
takes them, and is made for networks that learn something new; here nothing is new, and it comes out
behind.

Zeros in a dense weight save no time by themselves: the metric `time_of_zeros` measures a
convolution with nine zeros in ten against the same one without. What saves time is a pattern that
the kernel knows (2:4, on hardware that has it), or whole channels (`channel-pruning`).

Song Han and others, Learning both weights and connections, 2015; Michael Zhu and Suyog Gupta, To
prune, or not to prune, 2017; Jonathan Frankle and Michael Carbin, The lottery ticket hypothesis,
2019; Victor Sanh, Thomas Wolf and Alexander Rush, Movement pruning, 2020.
"""

import copy
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from torch import nn

from groundwork import Claim, Run, plots
from quantized_cnn.images import DataName, Images, load_images
from quantized_cnn.networks import NetworkName, make_network
from quantized_cnn.pretrained import pretrained
from quantized_cnn.pruning import (
    Masks,
    Movement,
    apply_masks,
    cubic,
    layer_adapted,
    magnitude,
    masks_of,
    n_of_m,
    prunable,
)
from quantized_cnn.training import accuracy, fit

PRESETS = {
    "smoke": {"epochs": 4, "passes": 2, "seeds": 1, "sparsities": (0.8,)},
    "default": {},
    "full": {
        "data": "fashion_mnist",
        "images": 6_000,
        "epochs": 8,
        "passes": 3,
        "bf16": True,
    },
}
CLAIMS = [
    Claim("time_of_zeros", ">=", 0.8, presets=("full",)),
    Claim("lost.gradual@80", "<=", 1.0, presets=("full",)),
    Claim("gained_by_training_on@80", ">=", 1.0),
    Claim("ticket_over_random_places", ">=", 0.0, presets=("full",)),
]


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the images"] = "digits",
    network: Annotated[NetworkName, "the network"] = "resnet",
    images: Annotated[int | None, "train on so many; all for None"] = None,
    epochs: Annotated[int, Ge(1), "passes that the network was trained for"] = 15,
    passes: Annotated[int, Ge(1), "passes after pruning"] = 4,
    sparsities: Annotated[tuple[float, ...], Gt(0), Lt(1), "shares of weights to take out"] = (
        0.5,
        0.8,
        0.9,
        0.95,
    ),
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
    bf16: Annotated[bool, "convolutions in bfloat16 in training"] = False,
) -> None:
    """Prune in every way at every share, and draw what is left."""
    loaded = load_images(run, data).first(images)
    store = run.checkpoint("results")
    rows: list[dict[str, Any]] = store.load() or []
    model = make_network(network, 10, 1)
    for seed in run.seeds(seeds):
        model = pretrained(run, network, loaded, epochs=epochs, seed=seed, bf16=bf16)
        if any(row["seed"] == seed for row in rows):
            continue
        found = prune_all(run, model, loaded, network, epochs, passes, sparsities, seed, bf16)
        rows += [{"seed": seed} | row for row in found]
        store.save(rows)
    tell(run, rows, sparsities)
    time_zeros(run)
    draw(run, model, rows, sparsities)


def prune_all(
    run: Run,
    model: nn.Module,
    images: Images,
    network: NetworkName,
    epochs: int,
    passes: int,
    sparsities: tuple[float, ...],
    seed: int,
    bf16: bool,
) -> list[dict[str, Any]]:
    """Rows of way, sparsity and accuracy in points."""

    def score(net: nn.Module) -> float:
        return accuracy(net, images.x_test, images.y_test)

    def train(
        net: nn.Module, masks: Callable[[int], Masks], count: int, rate: float, label: str
    ) -> nn.Module:
        net.to(memory_format=torch.channels_last)
        fit(
            net,
            images.x_train,
            images.y_train,
            epochs=count,
            learning_rate=rate,
            batch_size=images.batch_size,
            seed=seed,
            augment=images.augment,
            after_step=lambda step: apply_masks(net, masks(step)),
            bf16=bf16,
            progress=lambda steps: run.progress(steps, label=label),
        )
        return net

    rows = [{"way": "whole", "sparsity": 0.0, "points": score(model)}]
    steps = passes * max(1, len(images.x_train) // images.batch_size)
    for sparsity in sparsities:
        label = f"{sparsity:.0%}, seed {seed}"
        masks = masks_of(layer_adapted(model), sparsity)
        once = copy.deepcopy(model)
        apply_masks(once, masks)
        rows.append({"way": "at once", "sparsity": sparsity, "points": score(once)})
        train(once, constant(masks), passes, 0.05, f"at once, {label}")
        rows.append({"way": "trained on", "sparsity": sparsity, "points": score(once)})

        gradual = copy.deepcopy(model)
        current: list[Masks] = [{}]

        def rising(
            step: int, net: nn.Module = gradual, kept: list[Masks] = current, end: float = sparsity
        ) -> Masks:
            rises = step <= steps // 2 and (step % 10 == 0 or step == steps // 2)
            if rises or not kept[0]:
                kept[0] = masks_of(layer_adapted(net), cubic(step, steps // 2, end))
            return kept[0]

        train(gradual, rising, passes, 0.05, f"gradual, {label}")
        rows.append({"way": "gradual", "sparsity": sparsity, "points": score(gradual)})
    rows += tickets(model, network, images, train, score, epochs, seed)
    rows += others(model, train, score, passes)
    return rows


def constant(masks: Masks) -> Callable[[int], Masks]:
    """The same masks at every step."""
    return lambda step: masks


def tickets(
    model: nn.Module,
    network: NetworkName,
    images: Images,
    train: Callable[..., nn.Module],
    score: Callable[[nn.Module], float],
    epochs: int,
    seed: int,
    sparsity: float = 0.8,
) -> list[dict[str, Any]]:
    """Train from the beginning: the ticket, its places with other values, random places."""

    def fresh(number: int) -> nn.Module:
        torch.manual_seed(number)
        return make_network(network, images.classes, images.channels, images.small)

    places = masks_of(layer_adapted(model), sparsity)
    generator = torch.Generator().manual_seed(seed)
    drawn = masks_of(
        {name: torch.rand(w.shape, generator=generator) for name, w in prunable(model).items()},
        sparsity,
    )
    ways = {
        "ticket": (fresh(seed), places),
        "other values": (fresh(seed + 1000), places),
        "random places": (fresh(seed), drawn),
    }
    rows = []
    for way, (net, masks) in ways.items():
        apply_masks(net, masks)
        rate = 0.1 if images.small else 0.2
        train(net, constant(masks), epochs, rate, f"{way}, seed {seed}")
        rows.append({"way": way, "sparsity": sparsity, "points": score(net)})
    return rows


def others(
    model: nn.Module,
    train: Callable[..., nn.Module],
    score: Callable[[nn.Module], float],
    passes: int,
) -> list[dict[str, Any]]:
    """Movement at 80 %, and two of every four."""
    rows = []
    net = copy.deepcopy(model)
    watcher = Movement(net)
    train(net, lambda step: {}, 1, 0.02, "movement")
    watcher.close()
    masks = masks_of(watcher.scores, 0.8)
    apply_masks(net, masks)
    train(net, lambda step: masks, passes, 0.05, "movement")
    rows.append({"way": "movement", "sparsity": 0.8, "points": score(net)})
    net = copy.deepcopy(model)
    pattern = {name: n_of_m(weight, 2, 4) for name, weight in prunable(net).items()}
    apply_masks(net, pattern)
    train(net, lambda step: pattern, passes, 0.05, "2:4")
    rows.append({"way": "2:4", "sparsity": 0.5, "points": score(net)})
    return rows


def tell(run: Run, rows: list[dict[str, Any]], sparsities: tuple[float, ...]) -> None:
    """The metrics, one number a seed."""

    def of(way: str, sparsity: float) -> np.ndarray:
        return np.array(
            [row["points"] for row in rows if (row["way"], row["sparsity"]) == (way, sparsity)]
        )

    keys = dict.fromkeys((row["way"], row["sparsity"]) for row in rows)
    run.table(
        "accuracy",
        [{"way": way, "sparsity": share, "points": of(way, share).mean()} for way, share in keys],
        caption="Accuracy in points, the mean over the seeds",
    )
    whole = of("whole", 0.0)
    run.metric("accuracy", list(whole), "points")
    for share in sparsities:
        name = f"{100 * share:.0f}"
        for way in ("at once", "trained on", "gradual"):
            run.metric(
                f"lost.{way.replace(' ', '-')}@{name}", list(whole - of(way, share)), "points"
            )
        gained = of("trained on", share) - of("at once", share)
        run.metric(f"gained_by_training_on@{name}", list(gained), "points")
    for way, share in (("ticket", 0.8), ("movement", 0.8), ("2:4", 0.5)):
        run.metric(f"lost.{way.replace(':', '-of-')}", list(whole - of(way, share)), "points")
    for way in ("other values", "random places"):
        name = f"ticket_over_{way.replace(' ', '_')}"
        run.metric(name, list(of("ticket", 0.8) - of(way, 0.8)), "points")


def time_zeros(run: Run) -> None:
    """A convolution with nine zeros in ten against the same one without."""
    layer = nn.Conv2d(64, 64, 3, padding=1)
    sparse = copy.deepcopy(layer)
    apply_masks(nn.Sequential(sparse), masks_of({"0.weight": layer.weight.detach().abs()}, 0.9))
    x = torch.randn(8, 64, 32, 32)
    with torch.inference_mode():
        found = run.compare(
            "zeros", lambda: sparse(x), lambda: layer(x), library="torch", threads=1
        )
    run.metric("time_of_zeros", found.ratio)


def draw(
    run: Run, model: nn.Module, rows: list[dict[str, Any]], sparsities: tuple[float, ...]
) -> None:
    """Accuracy against sparsity; the tickets; what survives where."""
    figure, axes = plots.figure(1, 3, width=11.5, height=3.2)

    def values(way: str, share: float) -> list[float]:
        return [row["points"] for row in rows if (row["way"], row["sparsity"]) == (way, share)]

    shares = [100 * share for share in sparsities]
    for way in ("at once", "trained on", "gradual"):
        means = [np.mean(values(way, share)) for share in sparsities]
        axes[0].plot(shares, means, "o-", markersize=3, label=way)
    axes[0].axhline(np.mean(values("whole", 0.0)), color=plots.PALETTE[7], linestyle=":")
    axes[0].set(title="Fewer weights", xlabel="weights taken out (%)", ylabel="accuracy (points)")
    axes[0].legend()
    names = ["ticket", "other values", "random places", "movement"]
    found = [values(name, 0.8) for name in names]
    axes[1].bar(names, [np.mean(v) for v in found], yerr=[np.std(v) for v in found])
    axes[1].set(title="80 % taken out", ylabel="accuracy (points)")
    axes[1].set(ylim=(min(min(v) for v in found) - 2, max(max(v) for v in found) + 1))
    axes[1].tick_params(axis="x", rotation=20)
    for k, (name, scores) in enumerate((("size", magnitude), ("layer-adapted", layer_adapted))):
        kept = masks_of(scores(model), 0.8).values()
        places = np.arange(len(kept)) + 0.4 * k
        axes[2].bar(places, [100 * float(mask.double().mean()) for mask in kept], 0.4, label=name)
    axes[2].legend()
    axes[2].axhline(20, color=plots.PALETTE[7], linestyle=":")
    axes[2].set(title="What stays, layer by layer", xlabel="layer", ylabel="weights kept (%)")
    run.figure(
        "pruning",
        figure,
        "Accuracy against the share of weights taken out; four ways at 80 %; the share that each "
        "layer keeps when 80 % go.",
    )
