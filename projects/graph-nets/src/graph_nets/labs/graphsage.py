r"""Judge papers by a few sampled neighbors, and papers that came after the training.

GraphSAGE aggregates a sample of each neighborhood, so that a step costs the same on any graph. The
first panel says what sampling does: a sampled mean scatters about the neighborhood's without bias,
as far as the theory says, while the largest value of a sample is too small however many samples are
averaged. The second compares three aggregators, trained on whole neighborhoods and on sampled ones,
both judged on whole ones. The LSTM reads a hub's neighbors one after the other, which sampling
bounds. The third takes the test papers and their citations out of the graph for the training: the
network has no parameter for any node, and judges them when they come.

The mean's network takes the words as they are; where aggregators are compared, all three get them
reduced by a learnt linear map, since an LSTM over thousands of words is out of reach.

William Hamilton, Rex Ying and Jure Leskovec, Inductive representation learning on large graphs,
2017.
"""

import time
from functools import partial
from typing import Annotated, Any, get_args

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from graph_nets.datasets import DataName, load_graph
from graph_nets.drawing import dots
from graph_nets.geometric import geometric_twin
from graph_nets.graph import Graph
from graph_nets.networks import NodeClassifier
from graph_nets.pretrained import pretrained
from graph_nets.sage import Aggregator
from graph_nets.sampled_training import SageNetwork, fit_sampled
from graph_nets.sampling import NeighborSampler, sampling_errors, without_nodes
from graph_nets.training import features_of, fit, percent_right, train_network
from groundwork import Claim, Run, plots
from groundwork.errors import UsageError

AGGREGATORS: tuple[Aggregator, ...] = get_args(Aggregator)
WAYS = ("whole", "sampled")
#: Fan-outs at which the sampled mean is held against the whole one.
TRIED = (1, 2, 3, 5, 10, 20)

PRESETS = {
    "smoke": {"epochs": 60, "seeds": 1, "compared": 1, "passes": 4, "draws": 40},
    "default": {},
    "full": {
        "data": ("cora", "citeseer"),
        "epochs": 500,
        "seeds": 20,
        "compared": 5,
        "passes": 60,
        "draws": 100,
    },
}
CLAIMS = [
    Claim("difference", "<=", 1e-5),
    Claim("mean_bias_ratio", "<=", 1.3),
    Claim("theory_error", "<=", 0.1),
    Claim("accuracy.generated", ">=", 70.0, presets=("smoke", "default")),
    Claim("accuracy_inductive.generated", ">=", 70.0, presets=("smoke", "default")),
    Claim("accuracy.cora", ">=", 80.0, presets=("full",)),
    Claim("lost_inductive.cora", "<=", 3.0, presets=("full",)),
    Claim("lost_sampled.mean", "<=", 3.0, presets=("full",)),
    Claim("ratio.step", "<=", 1.0, presets=("full",)),
    Claim("ratio.forward", "<=", 1.0, presets=("full",)),
]


def main(
    run: Run,
    *,
    data: Annotated[tuple[DataName, ...], "the graphs, one after the other"] = ("generated",),
    epochs: Annotated[int, Ge(1), "at most, of each training on the whole graph"] = 200,
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
    fanouts: Annotated[tuple[int, ...], Ge(1), "neighbors of a node, a layer each"] = (10, 10),
    batch_size: Annotated[int, Ge(1), "training nodes of a step"] = 64,
    compared: Annotated[int, Ge(1), "repetitions for each aggregator"] = 3,
    passes: Annotated[int, Ge(1), "over the training nodes, for each aggregator"] = 30,
    draws: Annotated[int, Ge(10), "samples at each fan-out"] = 60,
) -> None:
    """Train on the whole graph, on samples, and without the test nodes."""
    if len(fanouts) != 2:
        raise UsageError(f"fanouts has {len(fanouts)} numbers; two are taken, one for each layer")
    store = run.checkpoint("results")
    state: dict[str, Any] = store.load() or {"points": {}, "compared": {}}
    graphs = {name: load_graph(run, name) for name in data}
    for name, graph in graphs.items():
        for seed in run.progress(run.seeds(seeds), label=name):
            if (name, seed) not in state["points"]:
                state["points"][name, seed] = both_ways(run, name, graph, epochs, seed)
                store.save(state)
    first, graph = next(iter(graphs.items()))
    tasks = [(a, way, seed) for a in AGGREGATORS for way in WAYS for seed in run.seeds(compared)]
    for task in run.progress(tasks, label="aggregators"):
        if task not in state["compared"]:
            state["compared"][task] = learn(graph, *task, fanouts, batch_size, passes)
            store.save(state)
    points = {
        name: np.array([state["points"][name, seed] for seed in run.seeds(seeds)]) for name in data
    }
    found = {
        (a, way): np.array([state["compared"][a, way, seed] for seed in run.seeds(compared)])
        for a in AGGREGATORS
        for way in WAYS
    }
    tell(run, points, found)
    trained = pretrained(run, "graphsage", first, graph, run.seed, epochs=epochs).network
    errors = sample_means(run, graph, trained, draws)
    hold(run, trained, graph)
    draw(run, errors, found, points)


def both_ways(
    run: Run, name: DataName, graph: Graph, epochs: int, seed: int
) -> tuple[float, float]:
    """Accuracy where the test nodes were in the graph, and where they came later, in percent."""
    whole = pretrained(run, "graphsage", name, graph, seed, epochs=epochs)
    unseen = without_nodes(graph, graph.split["test"])
    network = train_network("graphsage", unseen, seed, epochs=epochs).network
    test, y = graph.split["test"], graph.y
    assert y is not None
    with torch.no_grad():
        logits = network(features_of(graph), graph.edges)
    return whole.test, percent_right(logits[test], y[test])


def learn(
    graph: Graph,
    aggregator: Aggregator,
    way: str,
    seed: int,
    fanouts: tuple[int, ...],
    batch_size: int,
    passes: int,
) -> tuple[float, float]:
    """Accuracy in percent on whole neighborhoods, and the median seconds of a step.

    Both ways take as many steps.
    """
    network = SageNetwork(graph.x.shape[1], graph.classes, aggregator, seed=seed)
    x, y, train = graph.row_normalized().x, graph.y, graph.split["train"]
    sampler = NeighborSampler(graph.edges, fanouts, np.random.default_rng(seed))
    if way == "sampled":
        done = fit_sampled(
            network, graph, x, sampler, batch_size=batch_size, epochs=passes, weight_decay=5e-4
        )
    else:
        steps = passes * -(-len(train) // batch_size)
        done = fit(network, graph, features_of(graph), epochs=steps, patience=50)
    assert y is not None
    network.train()
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        if way == "sampled":
            batch = next(sampler.batches(train, batch_size))
            loss = cross_entropy(network(x[batch.nodes], batch.blocks), y[batch.targets])
        else:
            loss = cross_entropy(network(x, graph.edges)[train], y[train])
        loss.backward()
        seconds.append(time.perf_counter() - start)
    return done.test, float(np.median(seconds))


@torch.no_grad()
def sample_means(
    run: Run, graph: Graph, trained: NodeClassifier, draws: int
) -> dict[str, list[float]]:
    """Errors of sampled means and maxima of the trained network's hidden features."""
    h = trained.embed(features_of(graph), graph.edges)
    rows: list[dict[str, float]] = []
    for fanout in run.progress(TRIED, label="fan-outs"):
        rng = np.random.default_rng(run.seed)
        rows.append({"fan-out": fanout, **sampling_errors(h, graph.edges, fanout, draws, rng)})
    run.table(
        "sampling",
        rows,
        caption=f"Root mean square errors over that of the mean itself: of one sample, by the "
        f"theory, of the average of {draws} samples, and of the average of {draws} maxima",
    )
    found = {key: [row[key] for row in rows] for key in rows[0]}
    one, theory, average = (np.array(found[key]) for key in ("one", "theory", "average"))
    run.metric("theory_error", float(np.max(np.abs(one / theory - 1))))
    run.metric("mean_bias_ratio", float(np.max(average * draws**0.5 / one)))
    run.metric("error@10", found["one"][TRIED.index(10)])
    return found


def tell(run: Run, points: dict[DataName, np.ndarray], found: dict[Any, np.ndarray]) -> None:
    """The metrics, one number a seed, and what the paper has."""
    for name, values in points.items():
        run.metric(f"accuracy.{name}", list(values[:, 0]), "points")
        run.metric(f"accuracy_inductive.{name}", list(values[:, 1]), "points")
        run.metric(f"lost_inductive.{name}", list(values[:, 0] - values[:, 1]), "points")
    for a in AGGREGATORS:
        for way in WAYS:
            run.metric(f"accuracy.{a}.{way}", list(found[a, way][:, 0]), "points")
            run.metric(f"step_s.{a}.{way}", float(np.median(found[a, way][:, 1])), "s")
        lost = found[a, "whole"][:, 0] - found[a, "sampled"][:, 0]
        run.metric(f"lost_sampled.{a}", list(lost), "points")
    run.table(
        "accuracy",
        [
            {
                "graph": name,
                "ours": values[:, 0].mean(),
                "std": values[:, 0].std(ddof=1) if len(values) > 1 else None,
                "inductive": values[:, 1].mean(),
                "the paper's": "none",
                "comparable": "no: the paper measures F1 on Reddit, PPI and Web of Science",
            }
            for name, values in points.items()
        ],
        caption="Accuracy on the test nodes in percent, mean aggregator on whole neighborhoods",
    )


def hold(run: Run, trained: NodeClassifier, graph: Graph) -> None:
    """The trained network in torch-geometric's layers: the same logits, and the times of both."""
    x, y, train, edges = graph.row_normalized().x, graph.y, graph.split["train"], graph.edges
    assert y is not None
    theirs = geometric_twin(trained)

    def forward(network: nn.Module, graph_edges: Any) -> Tensor:
        with torch.no_grad():
            logits: Tensor = network(x, graph_edges)
        return logits

    def step(network: nn.Module, graph_edges: Any) -> None:
        network.zero_grad()
        cross_entropy(network(x, graph_edges)[train], y[train]).backward()

    difference = (forward(trained, edges) - forward(theirs, edges.index)).abs().max()
    run.metric("difference", float(difference))
    for name, work in (("forward", forward), ("step", step)):
        for network in (trained, theirs):
            network.train(name == "step")
        run.compare(
            name,
            partial(work, trained, edges),
            partial(work, theirs, edges.index),
            library="torch-geometric",
            threads=1,
        )


def draw(
    run: Run,
    errors: dict[str, list[float]],
    found: dict[Any, np.ndarray],
    points: dict[DataName, np.ndarray],
) -> None:
    """The error of a sample; the aggregators; nodes that came later."""
    figure, axes = plots.figure(1, 3, width=11.5, height=3.5)
    blue, orange, _, red, *_, grey = plots.PALETTE
    axes[0].plot(TRIED, errors["theory"], color=grey, label="theory")
    axes[0].plot(TRIED, errors["one"], "o", color=blue, label="a sampled mean")
    axes[0].plot(TRIED, errors["average"], "o--", markersize=3, color=blue, label="many averaged")
    axes[0].plot(
        TRIED, errors["maximum"], "s--", markersize=3, color=red,
        label="maxima averaged",
    )  # fmt: skip
    axes[0].set(title="What sampling costs", xlabel="fan-out", ylabel="relative error")
    axes[0].set(xscale="log", yscale="log", xticks=TRIED)
    axes[0].set_xticks([], minor=True)
    axes[0].set_xticklabels([str(k) for k in TRIED])
    axes[0].legend(fontsize=8)
    for i, a in enumerate(AGGREGATORS):
        for shift, way, color in ((-0.14, "whole", blue), (0.14, "sampled", orange)):
            dots(axes[1], i + shift, found[a, way][:, 0], color, way if i == 0 else None)
    axes[1].set(title="Trained on", ylabel="accuracy (%)", xticks=range(3), xlim=(-0.5, 2.5))
    axes[1].set_xticklabels(AGGREGATORS)
    axes[1].legend(title="neighborhoods", fontsize=8, title_fontsize=8)
    for i, values in enumerate(points.values()):
        dots(axes[2], i - 0.14, values[:, 0], blue, "there from the start" if i == 0 else None)
        dots(axes[2], i + 0.14, values[:, 1], orange, "came later" if i == 0 else None)
    axes[2].set(title="Test nodes", ylabel="accuracy (%)", xticks=range(len(points)))
    axes[2].set(xlim=(-0.5, len(points) - 0.5))
    axes[2].set_xticklabels(list(points))
    axes[2].legend(fontsize=8)
    run.figure(
        "graphsage",
        figure,
        "Error of sampled neighborhoods against the fan-out; accuracy of each seed by aggregator, "
        "trained on whole and on sampled neighborhoods; accuracy on test nodes that were in the "
        "graph in training, and on test nodes that were not.",
    )
