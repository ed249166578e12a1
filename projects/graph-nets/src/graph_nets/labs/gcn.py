r"""Classify papers by who cites whom: a graph convolutional network, written out and held up.

A layer is $\hat A H W$: each node takes the normalized mean of its neighborhood, and all share one
linear map. On a citation graph 20 papers of each field are labelled; the others get their class
from their words and from what they cite. How much the citations add is seen against the same
network without them ($\hat A = I$), and how many layers are too many from its depth: each product
with $\hat A$ makes neighbors more alike, until all nodes of a component are the same.

The first panel is the graph as the network sees it: the hidden features of all nodes, two principal
directions of t-SNE, coloured by class. The second has the accuracy of every seed with and without
the graph. The third follows the accuracy over the
depth, and how different the rows still are after as many products with the graph.

Thomas Kipf and Max Welling, Semi-supervised classification with graph convolutional networks, 2017;
Qimai Li, Zhichao Han and Xiao-Ming Wu, Deeper insights into graph convolutional networks, 2018.
"""

from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor

from graph_nets.datasets import DataName, load_graph
from graph_nets.edges import SparseMatrix
from graph_nets.gcn import GraphConvolution
from graph_nets.geometric import geometric_twin
from graph_nets.graph import Graph
from graph_nets.networks import SETTINGS, NodeClassifier
from graph_nets.pretrained import pretrained
from graph_nets.training import Fit, features_of, fit, train_network
from groundwork import Claim, Run, plots

PRESETS = {
    "smoke": {"epochs": 60, "seeds": 1, "depths": (2, 8)},
    "default": {},
    "full": {"data": ("cora", "citeseer"), "epochs": 500, "seeds": 20},
}
CLAIMS = [
    Claim("difference", "<=", 1e-5),
    Claim("accuracy.generated", ">=", 75.0, presets=("smoke", "default")),
    Claim("gained_by_graph.generated", ">=", 5.0, presets=("smoke", "default")),
    Claim("accuracy.cora", ">=", 81.0, presets=("full",)),
    Claim("accuracy.citeseer", ">=", 70.0, presets=("full",)),
    Claim("gained_by_graph.cora", ">=", 15.0, presets=("full",)),
    Claim("ratio.forward", "<=", 1.0, presets=("full",)),
]
#: The paper's accuracy in percent, on the same fixed split, with the mean of 100 random starts.
PAPER = {"cora": 81.5, "citeseer": 70.3}


def main(
    run: Run,
    *,
    data: Annotated[tuple[DataName, ...], "the graphs, one after the other"] = ("generated",),
    epochs: Annotated[int, Ge(1), "at most, of each training"] = 200,
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
    depths: Annotated[tuple[int, ...], Ge(1), "numbers of layers to try, on the first graph"] = (
        1, 2, 3, 4, 6, 8,
    ),
) -> None:  # fmt: skip
    """Train with and without the graph, compare with torch-geometric, and look at the depth."""
    store = run.checkpoint("results")
    state: dict[str, Any] = store.load() or {"points": {}, "depth": {}}
    graphs = {name: load_graph(run, name) for name in data}
    for name, graph in graphs.items():
        alone = without_edges(graph)
        features = features_of(graph)
        for seed in run.progress(run.seeds(seeds), label=name):
            if (name, "graph", seed) not in state["points"]:
                done = pretrained(run, "gcn", name, graph, seed, x=features, epochs=epochs)
                state["points"][name, "graph", seed] = done.test
                done = train_network("gcn", alone, seed, x=features, epochs=epochs)
                state["points"][name, "words alone", seed] = done.test
                store.save(state)
    first, graph = next(iter(graphs.items()))
    features = features_of(graph)
    for depth in run.progress(depths, label="depth"):
        for seed in run.seeds(min(seeds, 5)):
            if (depth, seed) not in state["depth"]:
                state["depth"][depth, seed] = deep(graph, features, depth, epochs, seed).test
                store.save(state)
    trained = pretrained(run, "gcn", first, graph, run.seed, x=features, epochs=epochs).network
    tell(run, state["points"], data, seeds)
    hold(run, trained, graph)
    draw(run, first, graph, trained.embed(features, graph.edges).detach(), state, seeds, depths)


def without_edges(graph: Graph) -> Graph:
    """The same nodes alone: every layer then sees the node's own row."""
    return Graph(graph.x, graph.index[:, :0], graph.y, graph.split)


def deep(graph: Graph, x: Tensor | SparseMatrix, depth: int, epochs: int, seed: int) -> Fit:
    """A network of so many layers, trained."""
    told = SETTINGS["gcn"]
    torch.manual_seed(seed)
    sizes = [graph.x.shape[1], *[told.hidden] * (depth - 1), graph.classes]
    layers = [GraphConvolution(a, b) for a, b in pairwise(sizes)]
    return fit(
        NodeClassifier(list(layers), told.drop),
        graph,
        x,
        epochs=epochs,
        learning_rate=told.learning_rate,
        weight_decay=told.weight_decay,
        decay_all=told.decay_all,
    )


def spread(graph: Graph, depth: int) -> float:
    r"""How different the rows of $\hat A^{d} X$ still are: $1 - |\bar r|^2$, rows at length 1."""
    rows = graph.x
    for _ in range(depth):
        rows = graph.edges.normalized @ rows
    return 1.0 - float(torch.nn.functional.normalize(rows, dim=1).mean(0).square().sum())


def points_of(points: dict[Any, float], name: str, way: str, seeds: list[int]) -> np.ndarray:
    """One number a seed."""
    return np.array([points[name, way, seed] for seed in seeds])


def tell(run: Run, points: dict[Any, float], data: tuple[str, ...], seeds: int) -> None:
    """The metrics, and the papers' numbers beside ours."""
    rows = []
    for name in data:
        with_graph = points_of(points, name, "graph", run.seeds(seeds))
        alone = points_of(points, name, "words alone", run.seeds(seeds))
        run.metric(f"accuracy.{name}", list(with_graph), "points")
        run.metric(f"accuracy_without_graph.{name}", list(alone), "points")
        run.metric(f"gained_by_graph.{name}", list(with_graph - alone), "points")
        rows.append(
            {
                "graph": name,
                "ours": with_graph.mean(),
                "std": with_graph.std(ddof=1) if seeds > 1 else None,
                "words alone": alone.mean(),
                "the paper's": PAPER.get(name),
                "comparable": "yes: the fixed split" if name in PAPER else "no: a graph of our own",
            }
        )
    run.table("accuracy", rows, caption="Accuracy on the test nodes in percent")


def hold(run: Run, trained: NodeClassifier, graph: Graph) -> None:
    """The trained network in torch-geometric's layers: the same logits, and its time."""
    x, edges = graph.row_normalized().x, graph.edges
    theirs = geometric_twin(trained)

    @torch.no_grad()
    def reference() -> Tensor:
        answer: Tensor = theirs(x, edges.index)
        return answer

    @torch.no_grad()
    def ours() -> Tensor:
        answer: Tensor = trained(x, edges)
        return answer

    run.metric("difference", float((ours() - reference()).abs().max()))
    run.compare("forward", ours, reference, library="torch-geometric", threads=1)


def draw(
    run: Run,
    name: str,
    graph: Graph,
    hidden: Tensor,
    state: dict[str, Any],
    seeds: int,
    depths: tuple[int, ...],
) -> None:
    """The nodes as the network sees them; the seeds; the depth."""
    from sklearn.manifold import TSNE

    figure, axes = plots.figure(1, 3, width=11.5, height=3.5)
    place = TSNE(random_state=0, init="pca", perplexity=30.0).fit_transform(hidden.numpy())
    assert graph.y is not None
    for label in range(graph.classes):
        of = (graph.y == label).numpy()
        color = plots.PALETTE[label % len(plots.PALETTE)]
        axes[0].plot(*place[of].T, ".", markersize=2, color=color, rasterized=True)
    axes[0].set(title=f"Hidden features, {name}", xticks=[], yticks=[])
    axes[0].grid(visible=False)
    jitter = np.linspace(-0.12, 0.12, seeds) if seeds > 1 else np.zeros(1)
    names = list(dict.fromkeys(key[0] for key in state["points"]))
    for k, graph_name in enumerate(names):
        for shift, way in ((-0.18, "words alone"), (0.18, "graph")):
            values = points_of(state["points"], graph_name, way, run.seeds(seeds))
            color = plots.PALETTE[0 if way == "graph" else 7]
            axes[1].plot(
                k + shift + jitter, values, "o", markersize=3, alpha=0.7, color=color,
                label=way if k == 0 else None,
            )  # fmt: skip
    axes[1].set(title="Every seed", ylabel="accuracy (%)", xticks=range(len(names)))
    axes[1].set_xticklabels(names)
    axes[1].set_xlim(-0.5, len(names) - 0.5)
    axes[1].legend()
    some = run.seeds(min(seeds, 5))
    found = np.array([[state["depth"][d, s] for s in some] for d in depths])
    axes[2].plot(depths, found.mean(1), "o-", color=plots.PALETTE[0], label="accuracy")
    axes[2].plot(
        depths, [100 * spread(graph, d) for d in depths], "s--", color=plots.PALETTE[1],
        label="spread of the features",
    )  # fmt: skip
    axes[2].set(title="Too many layers", xlabel="layers", ylabel="%", ylim=(0, 100))
    axes[2].set(xticks=depths)
    axes[2].legend()
    run.figure(
        "gcn",
        figure,
        "The hidden features of all nodes by t-SNE, coloured by class; the accuracy of each seed "
        "with the citations and by the words alone; accuracy against the number of layers, and "
        "how different the features' rows still are after as many products with the graph.",
    )
