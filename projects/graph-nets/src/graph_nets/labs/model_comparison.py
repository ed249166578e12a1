r"""Ask which graph network is best on the citation graphs, and whether it is more than luck.

Four networks on the papers' fixed split, twenty random starts each: the mean over the neighborhood
(GCN), the mean beside the node's own row (GraphSAGE), and attention, static (GAT) and dynamic
(GATv2). Each has its own settings, from its paper where there is one. A start is a seed, and the
same seeds serve all networks, so that a difference can be taken seed by seed.

The first panel has every seed's accuracy. The second is why many public numbers cannot be put
beside these: the same GCN on random splits of the same size; a split moves the accuracy more than
the choice of the network does. The third sets the accuracy against the seconds of an epoch.

Oleksandr Shchur and others, Pitfalls of graph neural network evaluation, 2018; Zhilin Yang, William
Cohen and Ruslan Salakhutdinov, Revisiting semi-supervised learning with graph embeddings, 2016.
"""

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge

from graph_nets.datasets import DataName, load_graph
from graph_nets.networks import NETWORKS, NetworkName, make_network
from graph_nets.pretrained import pretrained
from graph_nets.training import features_of, train_network
from groundwork import Claim, Run, plots
from groundwork.errors import UsageError

PRESETS = {
    "smoke": {"networks": ("gcn", "graphsage"), "epochs": 40, "seeds": 1},
    "default": {},
    "full": {"data": ("cora", "citeseer"), "epochs": 500, "seeds": 20},
}
CLAIMS = [
    Claim("accuracy.gcn.generated", ">=", 75.0, presets=("smoke", "default")),
    Claim("accuracy.gcn.cora", ">=", 81.0, presets=("full",)),
    Claim("accuracy.gat.cora", ">=", 82.5, presets=("full",)),
    Claim("accuracy.graphsage.cora", ">=", 80.0, presets=("full",)),
    Claim("spread_of_splits_over_starts.cora", ">=", 1.5, presets=("full",)),
]
#: The papers' accuracy in percent; whether it is comparable, and why not.
PAPERS: dict[tuple[str, str], tuple[float, str]] = {
    ("gcn", "cora"): (81.5, "yes: the fixed split, 100 starts"),
    ("gcn", "citeseer"): (70.3, "yes: the fixed split, 100 starts"),
    ("gat", "cora"): (83.0, "yes: the fixed split, 100 starts"),
    ("gat", "citeseer"): (72.5, "yes: the fixed split, 100 starts"),
}
#: Epochs whose median time is told.
TIMED = 30
NO_NUMBER = "no: the paper has other graphs"


def main(
    run: Run,
    *,
    data: Annotated[tuple[DataName, ...], "the graphs"] = ("generated",),
    networks: Annotated[tuple[NetworkName, ...], "what is compared"] = NETWORKS,
    epochs: Annotated[int, Ge(1), "at most, of each training"] = 100,
    seeds: Annotated[int, Ge(1), "independent starts"] = 3,
) -> None:
    """Train all, seed by seed; then tell."""
    if not networks or not data:
        raise UsageError(f"no networks or no data given; of networks {', '.join(NETWORKS)} taken")
    store = run.checkpoint("results")
    state: dict[str, dict[Any, Any]] = store.load() or {"points": {}, "splits": {}, "seconds": {}}
    for name in data:
        graph = load_graph(run, name)
        x = features_of(graph)
        work = [(network, seed) for seed in run.seeds(seeds) for network in networks]
        for network, seed in run.progress(work, label=name):
            if (network, name, seed) in state["points"]:
                continue
            done = pretrained(run, network, name, graph, seed, x=x, epochs=epochs)
            state["points"][network, name, seed] = done.test
            store.save(state)
        for network in networks:
            if (network, name) not in state["seconds"]:
                timed = train_network(network, graph, run.seed, x=x, epochs=min(epochs, TIMED))
                state["seconds"][network, name] = timed.epoch_s
                store.save(state)
        for seed in run.progress(run.seeds(seeds), label=f"{name}, random splits"):
            if (name, seed) not in state["splits"]:
                mixed = graph.split_at_random(
                    len(graph.split["train"]) // graph.classes,
                    len(graph.split["validation"]), len(graph.split["test"]), seed,
                )  # fmt: skip
                done = train_network("gcn", mixed, seed, x=x, epochs=epochs)
                state["splits"][name, seed] = done.test
                store.save(state)
        if name == data[0]:
            sizes: dict[str, int] = {
                network: sum(
                    parameter.numel()
                    for parameter in make_network(
                        network, graph.x.shape[1], graph.classes, run.seed
                    ).parameters()
                )
                for network in networks
            }
    tell(run, state, data, networks, run.seeds(seeds), sizes)
    draw(run, state, data, networks, run.seeds(seeds))


def tell(
    run: Run,
    state: dict[str, dict[Any, Any]],
    data: tuple[str, ...],
    networks: tuple[str, ...],
    seeds: list[int],
    sizes: dict[str, int],
) -> None:
    """The metrics; the papers' numbers beside ours; the differences, seed by seed."""
    rows, gaps = [], []
    for name in data:
        of = {n: np.array([state["points"][n, name, seed] for seed in seeds]) for n in networks}
        for network, values in of.items():
            run.metric(f"accuracy.{network}.{name}", list(values), "points")
            paper, comparable = PAPERS.get((network, name), (None, NO_NUMBER))
            rows.append(
                {
                    "graph": name,
                    "network": network,
                    "accuracy": values.mean(),
                    "std": values.std(ddof=1) if len(seeds) > 1 else None,
                    "the paper's": paper,
                    "comparable": "no: a graph of our own" if name == "generated" else comparable,
                    "parameters": sizes[network] if name == data[0] else None,
                    "ms an epoch": 1e3 * state["seconds"][network, name],
                }
            )
        for a, b in [(a, b) for i, a in enumerate(networks) for b in networks[i + 1 :]]:
            apart = of[b] - of[a]
            gaps.append(
                {
                    "graph": name,
                    "of": b,
                    "over": a,
                    "points": apart.mean(),
                    "std": apart.std(ddof=1) if len(seeds) > 1 else None,
                    "better in": f"{int((apart > 0).sum())} of {len(seeds)}",
                }
            )
        splits = [state["splits"][name, seed] for seed in seeds]
        run.metric(f"accuracy_random_splits.{name}", splits, "points")
        if "gcn" in of and len(seeds) > 2:
            spread = float(np.std(splits, ddof=1) / max(of["gcn"].std(ddof=1), 1e-9))
            run.metric(f"spread_of_splits_over_starts.{name}", spread)
    run.table("accuracy", rows, caption="Accuracy on the test nodes in percent, fixed split")
    run.table("differences", gaps, caption="The same seeds, network against network")


def draw(
    run: Run,
    state: dict[str, dict[Any, Any]],
    data: tuple[str, ...],
    networks: tuple[str, ...],
    seeds: list[int],
) -> None:
    """Every seed; random splits; accuracy against seconds."""
    figure, axes = plots.figure(1, 3, width=11.5, height=3.4)
    jitter = np.linspace(-0.1, 0.1, len(seeds)) if len(seeds) > 1 else np.zeros(1)
    for k, name in enumerate(data):
        color = plots.PALETTE[k]
        shift = 0.3 * (k - (len(data) - 1) / 2)
        for place, network in enumerate(networks):
            values = np.array([state["points"][network, name, seed] for seed in seeds])
            ms = 1e3 * state["seconds"][network, name]
            axes[0].plot(
                place + shift + jitter, values, "o", markersize=3, alpha=0.6, color=color,
                label=name if place == 0 else None,
            )  # fmt: skip
            axes[0].plot(
                [place + shift - 0.13, place + shift + 0.13], [values.mean()] * 2, color="#20242c",
                linewidth=1.2,
            )  # fmt: skip
            axes[2].errorbar(ms, values.mean(), values.std(), fmt="o", markersize=4, color=color)
            axes[2].annotate(
                network, (ms, values.mean()), xytext=(5, 4), textcoords="offset points",
                fontsize=8.5,
            )  # fmt: skip
        if "gcn" in networks:
            fixed = np.array([state["points"]["gcn", name, seed] for seed in seeds])
            axes[1].plot(shift + jitter, fixed, "o", markersize=3, alpha=0.6, color=color)
        splits = np.array([state["splits"][name, seed] for seed in seeds])
        axes[1].plot(1 + shift + jitter, splits, "o", markersize=3, alpha=0.6, color=color)
    axes[0].set(title="Every start", ylabel="accuracy (%)", xticks=range(len(networks)))
    axes[0].set_xticklabels(networks)
    axes[0].legend()
    axes[1].set(title="GCN: starts, and splits", xticks=(0, 1), xlim=(-0.6, 1.6))
    axes[1].set_xticklabels(("fixed split", "random splits"))
    axes[2].set(title="What an epoch costs", xlabel="ms an epoch", ylabel="accuracy (%)")
    axes[2].margins(x=0.2)
    run.figure(
        "comparison",
        figure,
        "The accuracy of every seed and its mean; GCN on the fixed split and on random splits of "
        "the same size; the mean accuracy with its standard deviation against the time of an "
        "epoch.",
    )
