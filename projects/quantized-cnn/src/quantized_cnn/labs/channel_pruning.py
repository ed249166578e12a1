"""Take half of the multiplications out of a network for good, by whole channels.

Single zeros save no time in a dense kernel; a channel that is gone does. What one layer puts out,
others take in, add and filter, so that a channel is removed from all of them together. The first
panel follows the accuracy as multiplications go, by three ways to tell which channels matter,
before and after some passes of training. The second compares taking all at once with taking a few,
training, and taking more. The third shows the network that is left: how wide each group of channels
is.

The time is measured: the pruned network's over the whole one's, and what fewer multiplications
alone would give.

Pavlo Molchanov and others, Importance estimation for neural network pruning, 2019; Zhuang Liu and
others, Learning efficient convolutional networks through network slimming, 2017; Gongfan Fang and
others, DepGraph: towards any structural pruning, 2023.
"""

import copy
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt

from groundwork import Claim, Run, plots
from quantized_cnn.channels import (
    Criterion,
    channel_groups,
    multiplications,
    prune_channels,
)
from quantized_cnn.graph import Graph, fold_norms, trace
from quantized_cnn.images import DataName, Images, load_images
from quantized_cnn.networks import NetworkName
from quantized_cnn.pretrained import pretrained
from quantized_cnn.training import accuracy, fit

CRITERIA: tuple[Criterion, ...] = ("size", "scale", "taylor")
#: Shares of the multiplications that are taken out for the first panel.
SHARES = (0.15, 0.3, 0.5, 0.7)

PRESETS = {
    "smoke": {"epochs": 4, "passes": 2, "seeds": 1, "rounds": 2},
    "default": {},
    "full": {"data": "cifar10_subset", "epochs": 20, "passes": 8, "bf16": True},
}
CLAIMS = [
    Claim("multiplications_left", "<=", 0.5),
    Claim("lost.gradual", "<=", 1.0, presets=("full",)),
    Claim("ratio.pruned", "<=", 0.8, presets=("full",)),
    Claim("taylor_over_size_untrained", ">=", 0.0, presets=("full",)),
]


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the images"] = "digits",
    network: Annotated[NetworkName, "the network"] = "resnet",
    epochs: Annotated[int, Ge(1), "passes that the network was trained for"] = 15,
    share: Annotated[float, Gt(0), Lt(1), "multiplications to take out"] = 0.5,
    passes: Annotated[int, Ge(1), "passes of training after pruning"] = 6,
    rounds: Annotated[int, Ge(1), "rounds of gradual pruning, in the same passes"] = 3,
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
    bf16: Annotated[bool, "convolutions in bfloat16 in training"] = False,
) -> None:
    """Prune by each criterion, at once and gradually, and time what is left."""
    images = load_images(run, data)
    store = run.checkpoint("results")
    state: dict[str, Any] = store.load() or {"rows": [], "done": []}
    for seed in run.seeds(seeds):
        if seed in state["done"]:
            continue
        model = pretrained(run, network, images, epochs=epochs, seed=seed, bf16=bf16)
        found, pruned = prune_all(run, trace(model), images, share, passes, rounds, seed, bf16)
        state["rows"] += [{"seed": seed} | row for row in found]
        state["done"].append(seed)
        state["graphs"] = trace(model), pruned
        store.save(state)
    whole, pruned = state["graphs"]
    tell(run, state["rows"], share)
    shape = images.shape
    before, after = (sum(multiplications(g, shape).values()) for g in (whole, pruned))
    run.metric("multiplications_left", after / before)
    time_both(run, whole, pruned, images)
    draw(run, state["rows"], whole, pruned, share)


def prune_all(
    run: Run,
    graph: Graph,
    images: Images,
    share: float,
    passes: int,
    rounds: int,
    seed: int,
    bf16: bool,
) -> tuple[list[dict[str, Any]], Graph]:
    """Rows of way, share and accuracy in points; and the gradually pruned graph."""
    shape = images.shape
    order = torch.randperm(len(images.x_train), generator=torch.Generator().manual_seed(seed))
    seen = [(images.x_train[part], images.y_train[part]) for part in order[:1024].split(128)]

    def score(net: Graph) -> float:
        return accuracy(net, images.x_test, images.y_test)

    def train(net: Graph, count: int, label: str) -> Graph:
        fit(
            net,
            images.x_train,
            images.y_train,
            epochs=count,
            learning_rate=0.05,
            batch_size=images.batch_size,
            seed=seed,
            augment=images.augment,
            bf16=bf16,
            progress=lambda steps: run.progress(steps, label=f"{label}, seed {seed}"),
        )
        return net

    rows = [{"way": "whole", "share": 0.0, "points": score(graph)}]
    for criterion in CRITERIA:
        for part in SHARES:
            net = prune_channels(copy.deepcopy(graph), part, shape, criterion, seen)
            rows.append({"way": f"{criterion}, untrained", "share": part, "points": score(net)})
        net = prune_channels(copy.deepcopy(graph), share, shape, criterion, seen)
        train(net, passes, criterion)
        rows.append({"way": criterion, "share": share, "points": score(net)})
    net = copy.deepcopy(graph)
    whole = sum(multiplications(net, shape).values())
    for k in range(rounds):
        budget = int(whole * (1 - share) ** ((k + 1) / rounds))
        prune_channels(net, share, shape, "taylor", seen, budget=budget)
        turn = passes * (k + 1) // rounds - passes * k // rounds
        if turn:
            train(net, turn, f"gradual, round {k + 1}")
    rows.append({"way": "gradual", "share": share, "points": score(net)})
    return rows, net


def tell(run: Run, rows: list[dict[str, Any]], share: float) -> None:
    """The metrics, one number a seed."""
    keys = dict.fromkeys((row["way"], row["share"]) for row in rows)

    def of(way: str, part: float) -> np.ndarray:
        return np.array(
            [row["points"] for row in rows if (row["way"], row["share"]) == (way, part)]
        )

    run.table(
        "accuracy",
        [{"way": way, "share": part, "points": of(way, part).mean()} for way, part in keys],
        caption="Accuracy in points against the share of multiplications taken out",
    )
    whole = of("whole", 0.0)
    run.metric("accuracy", list(whole), "points")
    for way in (*CRITERIA, "gradual"):
        run.metric(f"lost.{way}", list(whole - of(way, share)), "points")
    gaps = [of("taylor, untrained", s) - of("size, untrained", s) for s in SHARES]
    run.metric("taylor_over_size_untrained", list(np.mean(gaps, axis=0)), "points")


def time_both(run: Run, whole: Graph, pruned: Graph, images: Images) -> None:
    """Batches of 64, one thread, batch norms folded."""
    x = images.x_test[:64].contiguous(memory_format=torch.channels_last)
    ours, theirs = (
        fold_norms(copy.deepcopy(g).eval()).to(memory_format=torch.channels_last)
        for g in (pruned, whole)
    )
    with torch.inference_mode():
        run.compare("pruned", lambda: ours(x), lambda: theirs(x), library="torch", threads=1)


def draw(run: Run, rows: list[dict[str, Any]], whole: Graph, pruned: Graph, share: float) -> None:
    """Accuracy against multiplications; the ways after training; the widths."""
    figure, axes = plots.figure(1, 3, width=11.5, height=3.2)

    def values(way: str, part: float) -> list[float]:
        return [row["points"] for row in rows if (row["way"], row["share"]) == (way, part)]

    top = float(np.mean(values("whole", 0.0)))
    for criterion in CRITERIA:
        means = [top, *(np.mean(values(f"{criterion}, untrained", s)) for s in SHARES)]
        axes[0].plot([0, *(100 * s for s in SHARES)], means, "o-", markersize=3, label=criterion)
    axes[0].set(title="At once, untrained", xlabel="multiplications out (%)")
    axes[0].set(ylabel="accuracy (points)")
    axes[0].legend()
    names = [*CRITERIA, "gradual"]
    found = [values(name, share) for name in names]
    axes[1].bar(names, [np.mean(v) for v in found], yerr=[np.std(v) for v in found])
    axes[1].axhline(top, color=plots.PALETTE[7], linestyle=":")
    axes[1].set(title=f"{share:.0%} out, trained on", ylabel="accuracy (points)")
    axes[1].set(ylim=(min(min(v) for v in found) - 2, max(top, max(max(v) for v in found)) + 1))
    for label, graph in (("whole", whole), ("pruned", pruned)):
        sizes = [group.size for group in channel_groups(graph)]
        axes[2].bar(range(len(sizes)), sizes, alpha=0.6, label=label)
    axes[2].set(title="What is left", xlabel="group of channels", ylabel="channels")
    axes[2].legend()
    run.figure(
        "channels",
        figure,
        "Accuracy against multiplications taken out, before training; after training, by the way "
        "that channels were chosen; the widths of the groups of channels.",
    )
