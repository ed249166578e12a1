"""Find the citations that were taken out of a graph, from features and the citations that are left.

A tenth of the edges is hidden, and for each a pair is drawn that is no edge: which is which? A
graph convolution embeds the nodes, and two nodes are linked where their embeddings agree. Beside it
stand scores without any learning: what both neighborhoods share, and how alike the features are.

The first panel has the ROC curves, the second the area under them for each split. The third shows
why counting common neighbors cannot do better: most of the hidden edges have none, just as the
pairs that are no edges. The fourth judges those alone: two convolutions and a product reach nodes
up to four steps apart, and features reach any.

David Liben-Nowell and Jon Kleinberg, The link-prediction problem for social networks, 2007; Thomas
Kipf and Max Welling, Variational graph auto-encoders, 2016.
"""

from functools import partial
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray
from sklearn.metrics import roc_curve
from torch import nn

from graph_nets import links
from graph_nets.datasets import DataName, load_graph
from graph_nets.geometric import geometric_twin
from graph_nets.graph import Graph
from graph_nets.training import features_of
from groundwork import Claim, Run, plots
from groundwork.errors import UsageError

PRESETS = {
    "smoke": {"seeds": 2, "epochs": 60, "reference": False},
    "default": {},
    "full": {"data": ("cora", "citeseer"), "seeds": 20},
}
CLAIMS = [
    Claim("auc.over_common_neighbors.generated", ">=", 10.0, presets=("smoke", "default")),
    Claim("auc.network.cora", ">=", 90.0, presets=("full",)),
    Claim("ap.network.cora", ">=", 90.0, presets=("full",)),
    Claim("auc.over_common_neighbors.cora", ">=", 15.0, presets=("full",)),
    Claim("ap.over_common_neighbors.cora", ">=", 15.0, presets=("full",)),
    Claim("auc.over_common_neighbors.citeseer", ">=", 15.0, presets=("full",)),
    Claim("ap.over_common_neighbors.citeseer", ">=", 15.0, presets=("full",)),
    Claim("encoder_difference", "<=", 1e-5, presets=("default", "full")),
    Claim("ratio.step", "<=", 1.0, presets=("full",)),
]
#: The scores, by what the figure calls them.
NAMES = {
    "network": "GCN",
    "features": "features",
    "common_neighbors": "common neighbors",
    "adamic_adar": "Adamic-Adar",
    "jaccard": "Jaccard",
    "preferential_attachment": "product of degrees",
}
#: Kipf and Welling (2016), table 1, GAE with features: AUC and average precision.
PAPER = {"cora": (91.0, 92.0), "citeseer": (89.5, 89.9)}
#: Where the ROC curves are read, to be averaged over splits.
GRID = np.linspace(0, 1, 101)


def main(
    run: Run,
    *,
    data: Annotated[tuple[DataName, ...], "the graphs, one after the other"] = ("generated",),
    seeds: Annotated[int, Ge(1), "splits, each with a network of its own"] = 3,
    epochs: Annotated[int, Ge(1), "steps of training"] = 300,
    hidden: Annotated[int, Ge(1), "features after the first convolution"] = 32,
    size: Annotated[int, Ge(1), "features of the embedding"] = 16,
    drop: Annotated[float, Ge(0), Lt(1), "share of inputs dropped in training"] = 0.5,
    validation: Annotated[float, Gt(0), Lt(1), "share of the edges to choose the epoch by"] = 0.05,
    test: Annotated[float, Gt(0), Lt(1), "share of the edges to judge by"] = 0.1,
    reference: Annotated[bool, "hold the network against torch-geometric's"] = True,
) -> None:
    """Split, train and judge, a seed at a time."""
    if not data or len(set(data)) < len(data):
        raise UsageError(f"data={','.join(data)}: one or more graphs are taken, each once")
    if validation + test >= 1:
        raise UsageError(f"validation={validation} and test={test} leave no edge to train on")
    store = run.checkpoint("results")
    rows: list[dict[str, Any]] = store.load() or []
    differences: list[float] = []
    for name in data:
        graph = load_graph(run, name)
        x = features_of(graph)
        for seed in run.seeds(seeds):
            if any((row["set"], row["seed"]) == (name, seed) for row in rows):
                continue
            rng = np.random.default_rng(seed)
            parts = links.split_links(graph.index, graph.n, rng, validation=validation, test=test)
            encoder = links.make_encoder(graph.x.shape[1], hidden, size, seed, drop)
            links.fit_links(
                encoder,
                x,
                parts,
                rng,
                epochs=epochs,
                progress=partial(run.progress, label=f"{name}, seed {seed}"),
            )
            pairs, truth = parts.judged("test")
            learnt = links.embedding_scores(encoder, x, parts.edges, pairs)
            scores = {"network": learnt} | links.baseline_scores(graph.x, parts, pairs)
            rows.append({"set": name, "seed": seed} | judge_all(truth, scores))
            store.save(rows)
        if reference:
            differences.append(hold_against(run, graph, hidden, size, name == data[0]))
    if differences:
        run.metric("encoder_difference", max(differences))
    for name in data:
        tell(run, name, [row for row in rows if row["set"] == name])
    table(run, data, rows)
    draw(run, data, rows)


def judge_all(truth: NDArray[np.int64], scores: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    """What is kept of a split: AUC and AP, on blind pairs alone too, ROC curves, shares."""
    common = scores["common_neighbors"]
    blind = common == 0
    kept: dict[str, Any] = {"auc": {}, "ap": {}, "blind": {}, "roc": {}}
    for name, score in scores.items():
        kept["auc"][name], kept["ap"][name] = links.judge(score, truth)
        kept["blind"][name] = links.judge(score[blind], truth[blind])[0]
        wrong, right, _ = roc_curve(truth, score)
        kept["roc"][name] = np.interp(GRID, wrong, right)
    kept["shares"] = [
        100.0 * np.bincount(np.minimum(common[truth == k], 3).astype(int), minlength=4)
        / np.sum(truth == k)
        for k in (1, 0)
    ]  # fmt: skip
    return kept


def hold_against(run: Run, graph: Graph, hidden: int, size: int, timed: bool) -> float:
    """The largest difference of embeddings from torch-geometric's layers with the same weights.

    A step is timed on the same pairs: theirs keeps its normalized edges (`cached`), and both get
    the features as a sparse matrix; then both get them dense, as is the custom there.
    """
    rng = np.random.default_rng(run.seed)
    parts = links.split_links(graph.index, graph.n, rng)
    edges, inputs = parts.edges, graph.x.shape[1]
    ours = links.make_encoder(inputs, hidden, size, run.seed)
    x = features_of(graph)
    dense = graph.row_normalized().x
    links.fit_links(ours, x, parts, rng, epochs=20)
    theirs = geometric_twin(ours).eval()
    with torch.no_grad():
        difference = float((ours(x, edges) - theirs(dense, edges.index)).abs().max())
    if not timed:
        return difference
    negatives = links.draw_negatives(len(parts.train), parts.n, parts.train, rng)

    def step(encoder: nn.Module, *given: Any) -> Any:
        optimizer = torch.optim.Adam(encoder.parameters(), lr=0.01)

        def once() -> None:
            encoder.train()
            optimizer.zero_grad(set_to_none=True)
            links.link_loss(encoder(*given), parts.train, negatives).backward()
            optimizer.step()

        return once

    sparse = dense.to_sparse_csr()
    for name, mine, yours in (("step", x, sparse), ("step_dense", dense, dense)):
        run.compare(
            name,
            step(ours, mine, edges),
            step(theirs, yours, edges.index),
            library="torch-geometric",
            threads=1,
        )
    return difference


def tell(run: Run, name: str, rows: list[dict[str, Any]]) -> None:
    """The metrics of a graph, one number a split."""
    for measure in ("auc", "ap"):
        for score in NAMES:
            values = [row[measure][score] for row in rows]
            run.metric(f"{measure}.{score}.{name}", values, "%")
        for score in ("common_neighbors", "features"):
            gaps = [row[measure]["network"] - row[measure][score] for row in rows]
            run.metric(f"{measure}.over_{score}.{name}", gaps, "points")
    run.metric(f"auc_blind.network.{name}", [row["blind"]["network"] for row in rows], "%")
    shares = [row["shares"][0][0] for row in rows]
    run.metric(f"edges_without_common_neighbor.{name}", shares, "%")


def table(run: Run, sets: tuple[DataName, ...], rows: list[dict[str, Any]]) -> None:
    """Ours beside the paper's."""
    lines: list[dict[str, Any]] = []
    for name in sets:
        of = [row for row in rows if row["set"] == name]
        for score, label in NAMES.items():
            auc, ap = (np.array([row[m][score] for row in of]) for m in ("auc", "ap"))
            lines.append(
                {"graph": name, "score": label, "AUC": auc.mean(), "AUC std": spread(auc),
                 "AP": ap.mean(), "AP std": spread(ap), "comparable": "ours"}
            )  # fmt: skip
        if name in PAPER:
            lines.append(
                {"graph": name, "score": "GAE, Kipf and Welling 2016", "AUC": PAPER[name][0],
                 "AP": PAPER[name][1], "comparable": "yes: 85/5/10 at random, one split"}
            )  # fmt: skip
    columns = ["graph", "score", "AUC", "AUC std", "AP", "AP std", "comparable"]
    run.table(
        "scores",
        [{column: line.get(column) for column in columns} for line in lines],
        caption="Hidden edges found, in percent: mean and standard deviation over splits",
    )


def spread(values: NDArray[np.float64]) -> float:
    """The standard deviation, with one degree of freedom taken; 0 for one value."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def draw(run: Run, sets: tuple[DataName, ...], rows: list[dict[str, Any]]) -> None:
    """ROC curves; areas for each split; common neighbors of both kinds; areas where none is."""
    figure, axes = plots.figure(1, 4, width=14.0, height=3.4, width_ratios=(1, 1.15, 1, 1))
    first = [row for row in rows if row["set"] == sets[0]]
    for score in ("network", "features", "common_neighbors", "preferential_attachment"):
        axes[0].plot(GRID, np.mean([row["roc"][score] for row in first], 0), label=NAMES[score])
    axes[0].plot([0, 1], [0, 1], ":", color=plots.PALETTE[7], linewidth=1)
    axes[0].set(title=f"ROC, {sets[0]}", xlabel="non-edges taken for edges", ylabel="edges found")
    axes[0].legend(fontsize=8, loc="lower right")
    for place, measure in ((1, "auc"), (3, "blind")):
        panel = axes[place]
        scores = list(NAMES) if place == 1 else ["network", "features", "common_neighbors"]
        for k, name in enumerate(sets):
            of = [row for row in rows if row["set"] == name]
            for y, score in enumerate(scores):
                values = [row[measure][score] for row in of]
                height = y + (k - (len(sets) - 1) / 2) * 0.36
                offset = np.linspace(-0.1, 0.1, len(values))
                panel.plot(
                    values,
                    height + offset,
                    "o",
                    color=plots.PALETTE[k],
                    markersize=3.5,
                    alpha=0.6,
                    markeredgewidth=0,
                    label=name if y == 0 else None,
                )
                panel.plot([np.mean(values)] * 2, [height - 0.16, height + 0.16], "k", lw=1.2)
        panel.set_yticks(range(len(scores)), [NAMES[score] for score in scores])
        panel.set(ylim=(len(scores) - 0.5, -0.5), xlabel="area under ROC (%)")
    axes[1].set(title="Each split")
    axes[3].set(title="No common neighbor")
    axes[3].axvline(50, linestyle=":", color=plots.PALETTE[7], linewidth=1)
    if len(sets) > 1:
        axes[3].legend(fontsize=8, loc="upper left", bbox_to_anchor=(0.06, 1), handletextpad=0.1)
    ticks = np.arange(4)
    for k, (kind, color) in enumerate((("edges", 0), ("non-edges", 7))):
        heights = np.mean([row["shares"][k] for row in first], 0)
        axes[2].bar(ticks + 0.4 * k - 0.2, heights, 0.38, color=plots.PALETTE[color], label=kind)
        for x, value in zip(ticks, heights, strict=True):
            if value >= 0.5:
                axes[2].text(x + 0.4 * k - 0.2, value + 1, f"{value:.0f}", ha="center", fontsize=8)
    axes[2].set_xticks(ticks, ["0", "1", "2", "3 or more"])
    axes[2].set(title=f"What neighbors say, {sets[0]}", xlabel="common neighbors")
    axes[2].set(ylabel="share of test pairs (%)", ylim=(0, 108))
    axes[2].legend(fontsize=8)
    run.figure(
        "links",
        figure,
        "ROC curves, the mean over splits; the area under them for each split, a line at the mean; "
        "how many common neighbors the hidden edges and the other pairs have; the area for those "
        "pairs that have none, where counting can only guess.",
    )
