"""Channel pruning in blocks: take sixteen channels at once, so that the runtimes gain by it.

An integer kernel computes a fixed number of channels together; 49 channels cost what 64 do. So the
channels of a group go in whole blocks: those that matter least by the Taylor criterion, together,
and first from the group where a block's importance is least for each multiplication that it saves.

Source: Pavlo Molchanov and others, *Importance estimation for neural network pruning*, 2019, for
the criterion; `quantized_cnn.channels` for which channels hang together.
"""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from quantized_cnn.channels import (
    channel_groups,
    importance,
    multiplications,
    remove_channels,
)
from quantized_cnn.graph import Graph, Node


def narrow(
    graph: Graph,
    share: float,
    shape: tuple[int, int, int],
    batches: Iterable[tuple[Tensor, Tensor]],
    block: int = 16,
) -> Graph:
    """Take out blocks of channels until a share of the multiplications is gone; changes the graph.

    Parameters
    ----------
    share : of the multiplications, that goes at least; it may be a block's worth more.
    shape : of an image.
    batches : images and classes, that the importance is measured on.
    block : channels that go together; each group keeps one block at least.

    Raises ValueError where so much cannot go.
    """
    whole = sum(multiplications(graph, shape).values())
    listed = list(batches)
    while sum(multiplications(graph, shape).values()) > (1.0 - share) * whole:
        groups = [group for group in channel_groups(graph) if group.size > block]
        if not groups:
            raise ValueError(
                f"{share:.0%} of the multiplications cannot go in blocks of {block} channels: "
                "every group is down to one block"
            )
        counts = multiplications(graph, shape)
        best: tuple[float, int, Tensor] | None = None
        for k, (group, scores) in enumerate(
            zip(groups, importance(graph, groups, "taylor", listed), strict=True)
        ):
            gone = group.size % block or block
            order = scores.argsort()
            layers = {*group.producers, *group.consumers}
            saved = sum(counts[name] for name in layers) * gone / group.size
            price = float(scores[order[:gone]].sum()) / saved
            if best is None or price < best[0]:
                best = price, k, order[gone:].sort().values
        assert best is not None
        remove_channels(graph, groups[best[1]], best[2])
    return graph


def graph_state(graph: Graph) -> dict[str, Any]:
    """A graph as plain mappings of tensors, numbers and text, to be kept in a file."""
    nodes = [
        {
            "name": node.name,
            "op": node.op,
            "inputs": list(node.inputs),
            "stride": list(node.stride),
            "padding": list(node.padding),
            "groups": node.groups,
            "high": node.high,
            "norm": [node.norm.num_features, node.norm.eps, node.norm.momentum]
            if node.norm is not None
            else [],
        }
        for node in graph.nodes
    ]
    layers = [node.name for node in graph.layers()]
    return {"nodes": nodes, "layers": layers, "state": dict(graph.state_dict())}


def graph_of(kept: dict[str, Any]) -> Graph:
    """The graph that `graph_state` wrote down, in evaluation mode."""
    nodes = []
    for entry in kept["nodes"]:
        norm = nn.BatchNorm2d(*entry["norm"]) if entry["norm"] else None
        nodes.append(
            Node(
                entry["name"],
                entry["op"],
                tuple(entry["inputs"]),
                tuple(entry["stride"]),
                tuple(entry["padding"]),
                entry["groups"],
                entry["high"],
                norm,
            )
        )
    graph = Graph(nodes)
    for name in kept["layers"]:
        for table, part in ((graph.weights, "weights"), (graph.biases, "biases")):
            table[name] = nn.Parameter(kept["state"][f"{part}.{name}"].clone())
    graph.load_state_dict(kept["state"])
    return graph.eval()
