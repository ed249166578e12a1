"""Make a trained graph network small: int8 numbers, and weights that are zero.

GCN and GraphSAGE with the mean are trained, and then compressed after the fact: weights and
activations as int8 with ranges from a calibration run, or half and nine tenths of the weights
taken out by magnitude and the others trained on for some epochs, or both. So few labels teach the
rest little: training on at the full rate costs a point, so it is a tenth of that. The products of
the int8 network are of integers, that with the graph too.

The first panel has the accuracy of each form on every seed, the second sets it against the bytes.
The third shows what makes int8 on graphs its own subject: the sum of GCN grows with a node's
degree, so that a few hubs set the range of all activations, and most nodes share a third of the
levels. A mean does not grow with the degree.

A sparsity of 50 % gives no speed in a dense product: zeros are multiplied like other numbers. It
saves bytes alone. SciPy's sparse product has no int8, so that int8 is not faster here either; the
times are of the whole way forward, the rounding of the features included.

Benoit Jacob and others, Quantization and training of neural networks for efficient
integer-arithmetic-only inference, 2018; Shyam Tailor, Javier Fernandez-Marques and Nicholas Lane,
Degree-Quant: quantization-aware training for graph neural networks, 2021.
"""

from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray
from torch import Tensor

from graph_nets.compression import (
    Scope,
    masked,
    quantize,
    row_ranges,
    scipy_features,
    stored,
    stored_bytes,
    unmasked,
    zero_share,
)
from graph_nets.datasets import DataName, load_graph
from graph_nets.edges import SparseMatrix
from graph_nets.graph import Graph
from graph_nets.networks import SETTINGS, NodeClassifier
from graph_nets.pretrained import pretrained
from graph_nets.training import features_of, fit, percent_right
from groundwork import Claim, Run, plots

NETWORKS = ("gcn", "graphsage")
FORMS = ("fp32", "int8", "pruned_50", "pruned_90", "pruned_50_int8")
LABELS = ("fp32", "int8", "50 %", "90 %", "50 % + int8")

PRESETS = {
    "smoke": {"epochs": 80, "tuning": 20, "seeds": 2},
    "default": {},
    "full": {"data": "cora", "epochs": 500, "seeds": 20},
}
CLAIMS = [
    Claim("integer_steps", "<=", 1.0),
    Claim("lost.int8.gcn", "<=", 1.0),
    Claim("lost.int8.graphsage", "<=", 1.0),
    Claim("lost.pruned_50.gcn", "<=", 1.0),
    Claim("lost.pruned_50.graphsage", "<=", 1.0),
    Claim("size.int8.gcn", "<=", 0.3),
    Claim("size.int8.graphsage", "<=", 0.3),
]


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the graph"] = "generated",
    epochs: Annotated[int, Ge(1), "at most, of each training"] = 200,
    tuning: Annotated[int, Ge(1), "epochs of training after pruning"] = 50,
    tuning_rate: Annotated[float, Gt(0), "its learning rate, as a share of the training's"] = 0.1,
    scope: Annotated[Scope, "the smallest weights of the whole network, or of each layer"] = (
        "global"
    ),
    coverage: Annotated[float, Gt(0), Le(1), "share of the nodes that ranges are to hold"] = 1.0,
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
) -> None:
    """Train, compress in four ways, and measure accuracy, bytes and time."""
    graph = load_graph(run, data)
    x = features_of(graph)
    store = run.checkpoint("results")
    state: dict[str, Any] = store.load() or {"rows": [], "networks": {}}
    for name in NETWORKS:
        for seed in run.progress(run.seeds(seeds), label=name):
            if any((row["network"], row["seed"]) == (name, seed) for row in state["rows"]):
                continue
            rows, networks = compress_all(
                run, data, graph, x, name, seed, epochs, tuning, tuning_rate, scope, coverage
            )
            state["rows"] += rows
            state["networks"].setdefault(name, networks)
            store.save(state)
    tell(run, state["rows"])
    for name in NETWORKS:
        time_all(run, graph, x, name, state["networks"][name], coverage)
    draw(run, graph, x, state["rows"], state["networks"])


def compress_all(
    run: Run,
    data: DataName,
    graph: Graph,
    x: Tensor | SparseMatrix,
    name: str,
    seed: int,
    epochs: int,
    tuning: int,
    tuning_rate: float,
    scope: Scope,
    coverage: float,
) -> tuple[list[dict[str, Any]], dict[str, NodeClassifier]]:
    """A row for each form; the network and its pruned forms."""
    told = SETTINGS[name]
    networks = {"fp32": pretrained(run, name, data, graph, seed, x=x, epochs=epochs).network}
    untrained = {}
    for share in (50, 90):
        pruned = masked(networks["fp32"], share / 100, scope)
        untrained[f"pruned_{share}"] = points_of(graph, forward(pruned, graph, x))
        fit(
            pruned,
            graph,
            x,
            epochs=tuning,
            learning_rate=tuning_rate * told.learning_rate,
            weight_decay=told.weight_decay,
            decay_all=told.decay_all,
        )
        networks[f"pruned_{share}"] = unmasked(pruned)
    rows = []
    for form in FORMS:
        row: dict[str, Any] = {"network": name, "seed": seed, "form": form}
        network = networks[form.removesuffix("_int8") if form != "int8" else "fp32"]
        if form.endswith("int8"):
            integers = quantize(network, x, graph.edges, coverage)
            found, simulated = (run(scipy_features(x)) for run in (integers.run, integers.simulate))
            logits = torch.from_numpy(found.logits)
            pairs = list(zip(found.integers, simulated.integers, strict=True))
            row["steps"] = max(int(np.abs(a.astype(int) - b).max()) for a, b in pairs)
            row["unequal"] = 100.0 * float(np.mean([np.mean(a != b) for a, b in pairs]))
            row["bytes"] = stored_bytes(stored(integers))
        else:
            logits = forward(network, graph, x)
            row["bytes"] = stored_bytes(stored(network))
        row["zeros"] = 100.0 * zero_share(network)
        row["points"] = points_of(graph, logits)
        row["untrained"] = untrained.get(form, row["points"])
        rows.append(row)
    return rows, networks


@torch.inference_mode()
def forward(network: NodeClassifier, graph: Graph, x: Tensor | SparseMatrix) -> Tensor:
    """Logits of all nodes in float32."""
    network.eval()
    logits: Tensor = network(x, graph.edges)
    return logits


def points_of(graph: Graph, logits: Tensor) -> float:
    """Accuracy on the test nodes, in percent."""
    assert graph.y is not None
    test = graph.split["test"]
    return percent_right(logits[test], graph.y[test])


def of(rows: list[dict[str, Any]], network: str, form: str, what: str) -> NDArray[np.float64]:
    """One number a seed."""
    return np.array([r[what] for r in rows if (r["network"], r["form"]) == (network, form)])


def tell(run: Run, rows: list[dict[str, Any]]) -> None:
    """The metrics, one number a seed, and a table of all forms."""
    lines = []
    for network in NETWORKS:
        whole, most = (of(rows, network, "fp32", what) for what in ("points", "bytes"))
        for form, label in zip(FORMS, LABELS, strict=True):
            points, size = (of(rows, network, form, what) for what in ("points", "bytes"))
            run.metric(f"accuracy.{form}.{network}", list(points), "%")
            run.metric(f"bytes.{form}.{network}", list(size), "B")
            if form != "fp32":
                run.metric(f"lost.{form}.{network}", list(whole - points), "points")
                if form in ("pruned_50", "pruned_90"):
                    untrained = of(rows, network, form, "untrained")
                    run.metric(
                        f"lost_untrained.{form}.{network}", list(whole - untrained), "points"
                    )
                run.metric(f"size.{form}.{network}", list(size / most))
            lines.append(
                {
                    "network": network,
                    "form": label,
                    "accuracy": points.mean(),
                    "std": points.std(ddof=1) if len(points) > 1 else 0.0,
                    "lost": (whole - points).mean(),
                    "zeros (%)": of(rows, network, form, "zeros").mean(),
                    "KB": size.mean() / 1000,
                }
            )
    run.table("forms", lines, caption="Accuracy on the test nodes in percent, and size as stored")
    integers = [row for row in rows if "steps" in row]
    run.metric("integer_steps", max(row["steps"] for row in integers), "steps")
    run.metric("integers_unequal", float(np.mean([row["unequal"] for row in integers])), "%")


def time_all(
    run: Run,
    graph: Graph,
    x: Tensor | SparseMatrix,
    name: str,
    networks: dict[str, NodeClassifier],
    coverage: float,
) -> None:
    """The way forward over the whole graph, one thread, beside the float32 network's."""
    given = scipy_features(x)
    integers = quantize(networks["fp32"], x, graph.edges, coverage)
    ways = {
        "int8": lambda: integers.run(given),
        "pruned_50": lambda: forward(networks["pruned_50"], graph, x),
        "pruned_90": lambda: forward(networks["pruned_90"], graph, x),
    }
    for form, way in ways.items():
        timed = run.compare(
            f"{form}.{name}",
            way,
            lambda: forward(networks["fp32"], graph, x),
            library="torch float32, the same network",
            threads=1,
        )
        run.metric(f"latency.{form}.{name}", 1e3 * timed.ours_s, "ms")
    run.metric(f"latency.fp32.{name}", 1e3 * timed.reference_s, "ms")


def draw(
    run: Run,
    graph: Graph,
    x: Tensor | SparseMatrix,
    rows: list[dict[str, Any]],
    networks: dict[str, dict[str, NodeClassifier]],
) -> None:
    """Accuracy by form; against bytes; the range of activations by degree."""
    figure, axes = plots.figure(1, 3, width=12.5, height=3.7, width_ratios=(1.15, 1, 1))
    degree = graph.edges.degree.numpy()
    for k, name in enumerate(NETWORKS):
        color = plots.PALETTE[k]
        means = []
        for place, form in enumerate(FORMS):
            points, size = (of(rows, name, form, what) for what in ("points", "bytes"))
            across = place + (k - 0.5) * 0.4 + np.linspace(-0.11, 0.11, len(points))
            axes[0].plot(across, points, "o", color=color, markersize=3, alpha=0.6, mew=0)
            middle = place + (k - 0.5) * 0.4
            axes[0].plot([middle - 0.16, middle + 0.16], [points.mean()] * 2, "k", lw=1.2)
            means.append((size.mean() / 1000, points.mean()))
        for (size, points), marker, label in zip(means, "osD^v", LABELS, strict=True):
            axes[1].plot(size, points, marker, color=color, markersize=6)
            if k == 0:  # what a marker means
                axes[1].plot([], [], marker, color=plots.PALETTE[7], label=label)
        axes[0].plot([], [], "o", color=color, markersize=4, label=name)
        with torch.no_grad():
            ranges = row_ranges(networks[name]["fp32"].eval().embed(x, graph.edges))
        used = 100.0 * ranges / ranges.max()
        most = float(np.quantile(used, 0.99))
        run.metric(f"range_of_99.{name}", most, "%")
        jitter = np.exp(run.rng.normal(0, 0.04, len(degree)))
        axes[2].plot(
            np.maximum(degree, 1) * jitter, used, "o", color=color, markersize=2.5,
            alpha=0.35, mew=0, rasterized=True, zorder=3 - k,
        )  # fmt: skip
        axes[2].axhline(most, color=color, linestyle="--", linewidth=1)
        axes[2].plot([], [], "--", color=color, lw=1, label=f"99 % of nodes, {name}")
    axes[0].set_xticks(range(len(FORMS)), LABELS)
    axes[0].set(title="Each seed", ylabel="test accuracy (%)")
    axes[0].margins(y=0.16)
    axes[0].legend(fontsize=8, markerscale=1.5, ncols=2, loc="upper right")
    axes[1].set(title="Bytes", xscale="log", xlabel="size as stored (KB)")
    axes[1].set(ylabel="mean accuracy (%)")
    axes[1].legend(fontsize=8)
    axes[2].set(title="Who needs the range", xscale="log", xlabel="edges of a node")
    axes[2].set(ylabel="largest hidden feature (% of the range)", ylim=(0, 104))
    axes[2].legend(fontsize=8)
    run.figure(
        "compression",
        figure,
        "Accuracy of each form for each seed, a line at the mean; the mean against the bytes; the "
        "largest hidden feature of each node against its degree, and how much of the int8 range "
        "holds 99 % of the nodes: the rest is there for a few hubs.",
    )
