r"""Run a trained graph network in one pass over the graph, and count what the pass must move.

A layer that is written edge by edge stores a message for each edge: at a million edges and 64
features it writes and reads 256 MB to keep 26 MB. The kernels here sum up a node's neighborhood in
the first-level cache, put the bias and the nonlinearity on it there, and multiply it by the next
layer's weights before anything is stored (`kernels.py`). Rows are sent in 16 bits, each in steps of
its largest number, which halves what is gathered and leaves the logits the same to 1e-4; in int8 a
row of 64 features is one cache line, and the logits are near. Both are held against
torch-geometric, edge by edge and as a sparse product, on the same threads: the quicker of the two
counts.

The first panel has the time of the whole network against the size of the graph: edges follow a
power law, ten for each node, 128 features. The second takes one graph and shows what each idea is
worth. Where rows no longer fit into a cache, the memory sets the pace: the third panel has the
bytes a second that each graph's pass would need if no row were ever found in a cache, beside what
the memory gives in a plain stream.

Matthias Fey and Jan Eric Lenssen, Fast graph representation learning with PyTorch Geometric, 2019;
Hengrui Zhang and others, Understanding GNN computational graph, 2022.
"""

import time
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge
from scipy.sparse import csr_matrix
from torch import nn

from graph_nets.datasets import load_graph
from graph_nets.generators import power_law
from graph_nets.geometric import geometric_forward
from graph_nets.graph import Graph
from graph_nets.inference import FusedNetwork
from graph_nets.networks import NETWORKS, NodeClassifier, Settings, make_network
from graph_nets.traffic import fused_bytes, peak_bandwidth, peak_memory
from groundwork import Claim, Run, plots
from groundwork.errors import UsageError
from groundwork.measure import Comparison, thread_limit

PRESETS = {
    "smoke": {"sizes": (500, 2_000), "features": 32, "pairs": 5},
    "default": {},
    "full": {"sizes": (1_000, 10_000, 100_000, 1_000_000), "cora": True, "threads": 2, "pairs": 7},
}
CLAIMS = [
    Claim("difference", "<=", 1e-4),
    Claim("difference.int8", "<=", 0.05),
    Claim("memory_share", "<=", 1.0, presets=("default", "full")),
    Claim("speedup.gcn.cora", ">=", 2.0, presets=("full",)),
    Claim("speedup.graphsage.cora", ">=", 2.0, presets=("full",)),
    Claim("speedup.gcn.100000", ">=", 2.0, presets=("full",)),
    Claim("speedup.graphsage.100000", ">=", 2.0, presets=("full",)),
    Claim("speedup.gcn.1000000", ">=", 2.0, presets=("full",)),
    Claim("speedup.graphsage.1000000", ">=", 2.0, presets=("full",)),
]
KINDS = ("gcn", "graphsage")
DEGREE = 10


def main(
    run: Run,
    *,
    sizes: Annotated[tuple[int, ...], Ge(100), "nodes of the generated graphs"] = (
        1_000, 10_000, 50_000,
    ),
    features: Annotated[int, Ge(1), "of each node"] = 128,
    hidden: Annotated[int, Ge(1), "features between the two layers"] = 64,
    classes: Annotated[int, Ge(2), "outputs"] = 16,
    cora: Annotated[bool, "Cora beside them"] = False,
    threads: Annotated[int, Ge(1), "for ours and for theirs"] = 1,
    pairs: Annotated[int, Ge(5), "of timings in each comparison"] = 7,
) -> None:  # fmt: skip
    """Compile, check and time both networks on every graph."""
    if not sizes:
        raise UsageError("sizes names no graph; numbers of nodes are taken, such as 1000 10000")
    bandwidth = peak_bandwidth(threads)
    run.metric("peak_bandwidth", bandwidth / 1e9, "GB/s")
    rows: list[dict[str, Any]] = []
    names = [*(["cora"] if cora else []), *map(str, sorted(sizes))]
    for name in run.progress(names, label="graphs"):
        graph = load_graph(run, "cora") if name == "cora" else power_law(
            int(name), DEGREE * int(name), features, run.seed
        )  # fmt: skip
        if name == "cora":
            graph = graph.row_normalized()
        outputs = graph.classes or classes
        for kind in KINDS:
            network = build(kind, graph.x.shape[1], hidden, outputs, run.seed)
            rows.append(measure(run, kind, name, network, graph, threads, pairs, bandwidth))
        if name == names[-1]:
            steps = ablation(network, graph, threads)
        del graph
    run.metric("difference", max(row["difference"] for row in rows))
    run.metric("difference.int8", max(row["difference, int8"] for row in rows))
    run.metric("memory_share", max(row["memory, share of the allowed"] for row in rows))
    run.table("graphs", rows, caption=f"Whole networks, {threads} threads; milliseconds")
    run.table("steps", steps, caption=f"What each idea is worth: GraphSAGE, {names[-1]} nodes")
    draw(run, rows, steps, bandwidth)


def build(kind: str, inputs: int, hidden: int, classes: int, seed: int) -> NodeClassifier:
    """A network of two layers whose biases are not 0."""
    assert kind in NETWORKS
    network = make_network(kind, inputs, classes, seed, Settings(hidden, 0.0, 0.01, 0.0)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                nn.init.normal_(parameter, std=0.1)
    return network


def measure(
    run: Run,
    kind: str,
    name: str,
    network: NodeClassifier,
    graph: Graph,
    threads: int,
    pairs: int,
    bandwidth: float,
) -> dict[str, Any]:
    """One network on one graph: the same logits, the times, the bytes."""
    dense = graph.x.numpy()
    # Word indicators are mostly 0, and so is what the first map must do for them.
    x = csr_matrix(dense) if np.mean(dense != 0) < 0.1 else dense
    plan = FusedNetwork(network, graph.edges, threads, short=True)
    small = FusedNetwork(network, graph.edges, threads, calibration=dense)
    edges, matrix = (geometric_forward(network, graph, form) for form in ("edges", "matrix"))
    wanted = edges().numpy()
    top = np.abs(wanted).max()
    found = plan.run(x)
    difference = float(np.abs(found - wanted).max() / top)
    in_int8 = float(np.abs(small.run(dense) - wanted).max() / top)
    timed: dict[str, Comparison] = {
        label: run.compare(
            f"{kind}.{name}.{label}", lambda: plan.run(x), theirs, library="torch-geometric",
            pairs=pairs, threads=threads,
        )
        for label, theirs in (("edges", edges), ("matrix", matrix))
    }  # fmt: skip
    less = run.compare(
        f"int8.{kind}.{name}", lambda: small.run(dense), lambda: plan.run(x),
        library="the fused network in 16 bits", pairs=pairs, threads=threads,
    )  # fmt: skip
    speedup = 1.0 / max(comparison.ratio for comparison in timed.values())
    run.metric(f"speedup.{kind}.{name}", speedup)
    allowed = plan.graph_bytes + 2.0 * dense.nbytes
    taken = plan.graph_bytes + plan.kept_bytes + peak_memory(lambda: plan.run(x))
    seconds = timed["edges"].ours_s
    moved = fused_bytes(plan, x.shape[1])
    run.metric(f"bandwidth_share.{kind}.{name}", moved / seconds / bandwidth)
    return {
        "network": kind,
        "graph": name,
        "nodes": graph.n,
        "edges": len(graph.edges),
        "fused, 16 bits": 1e3 * seconds,
        "fused, int8": 1e3 * less.ours_s,
        "torch-geometric, edges": 1e3 * timed["edges"].reference_s,
        "torch-geometric, matrix": 1e3 * timed["matrix"].reference_s,
        "times as quick": speedup,
        "difference": difference,
        "difference, int8": in_int8,
        "GB/s, nothing cached": moved / seconds / 1e9,
        "memory, share of the allowed": taken / allowed,
        "memory of theirs (MB)": peak_memory(edges) / 1e6,
    }


def ablation(network: NodeClassifier, graph: Graph, threads: int) -> list[dict[str, Any]]:
    """The largest graph with one idea more in each line."""
    x = graph.x.numpy()

    @torch.no_grad()
    def layers(product: bool) -> None:
        for layer in network.layers:
            layer.product = product
        network(graph.x, graph.edges)

    fused = FusedNetwork(network, graph.edges, threads)
    short = FusedNetwork(network, graph.edges, threads, short=True)
    by_degree = FusedNetwork(network, graph.edges, threads, by_degree=True, short=True)
    in_int8 = FusedNetwork(network, graph.edges, threads, calibration=x)
    calls: dict[str, Callable[[], object]] = {
        "edge by edge": lambda: layers(False),
        "as a sparse product": lambda: layers(True),
        "fused": lambda: fused.run(x),
        "fused, 16 bits": lambda: short.run(x),
        "fused, 16 bits, by degree": lambda: by_degree.run(x),
        "fused, int8": lambda: in_int8.run(x),
    }
    rows = []
    with thread_limit(threads):
        for label, call in calls.items():
            taken = []
            for _ in range(6):
                start = time.perf_counter()
                call()
                taken.append(time.perf_counter() - start)
            rows.append({"step": label, "ms": 1e3 * float(np.median(taken[1:]))})
    return rows


def draw(
    run: Run, rows: list[dict[str, Any]], steps: list[dict[str, Any]], bandwidth: float
) -> None:
    """Time against size; the steps; the bytes."""
    figure, axes = plots.figure(1, 3, width=11.5, height=3.4)
    sage = [row for row in rows if row["network"] == "graphsage" and row["graph"] != "cora"]
    for key, color, style in (
        ("torch-geometric, edges", 7, "s--"),
        ("torch-geometric, matrix", 1, "s--"),
        ("fused, 16 bits", 0, "o-"),
        ("fused, int8", 2, "o-"),
    ):
        axes[0].loglog(
            [row["nodes"] for row in sage], [row[key] for row in sage], style, markersize=4,
            color=plots.PALETTE[color], label=key,
        )  # fmt: skip
    axes[0].set(title="GraphSAGE, whole network", xlabel="nodes", ylabel="ms")
    axes[0].legend()
    labels = [row["step"] for row in steps]
    axes[1].barh(labels, [row["ms"] for row in steps], color=plots.PALETTE[0], height=0.6)
    axes[1].invert_yaxis()
    axes[1].set(title="What each idea is worth", xlabel="ms")
    axes[1].grid(visible=False, axis="y")
    for kind, shade in zip(KINDS, plots.PALETTE, strict=False):
        of = [row for row in rows if row["network"] == kind and row["graph"] != "cora"]
        axes[2].semilogx(
            [row["nodes"] for row in of], [row["GB/s, nothing cached"] for row in of], "o-",
            markersize=4, color=shade, label=kind,
        )  # fmt: skip
    axes[2].axhline(bandwidth / 1e9, color="#20242c", linewidth=1, linestyle=":")
    axes[2].annotate(
        "memory, in a stream", (0.02, bandwidth / 1e9), xycoords=("axes fraction", "data"),
        xytext=(0, 3), textcoords="offset points", fontsize=8.5,
    )  # fmt: skip
    axes[2].set(title="Bytes, if nothing were cached", xlabel="nodes", ylabel="GB/s")
    axes[2].set_ylim(0)
    axes[2].legend()
    run.figure(
        "sparse",
        figure,
        "Median time of the whole network against the number of nodes, ten edges each; the largest "
        "graph with one idea more in each bar; the bytes a second that the fused pass would need "
        "without any cache, and what the memory gives.",
    )
