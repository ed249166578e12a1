r"""Channel pruning: take whole channels out, so that the network is truly smaller.

A channel is not one layer's affair. What a convolution puts out passes through its batch norm and
its ReLU, is added to a short cut, filtered by a depthwise convolution, averaged, and taken in by
the layers behind: to remove channel 5 is to remove it from all of them. `channel_groups` follows
the graph and finds which channels hang together; those that an addition joins form one group, which
is pruned with one set of numbers.

How little a channel matters is told by

- *size*: the norm of its filters;
- *scale*: the factor $|\gamma|$ of its batch norm;
- *Taylor*: the first-order change of the loss if it were 0, $\bigl(\sum \gamma\,\partial L /
  \partial \gamma + \beta\,\partial L / \partial \beta\bigr)^2$ over some batches.

Channels go in the order of importance for each multiplication that they cost, until the budget is
met: at once, or in several rounds with training between (*gradual*), where later choices see what
earlier ones did.

Source: Hao Li and others, *Pruning filters for efficient ConvNets*, 2017; Zhuang Liu and others,
*Learning efficient convolutional networks through network slimming*, 2017; Pavlo Molchanov and
others, *Importance estimation for neural network pruning*, 2019; Gongfan Fang and others,
*DepGraph: towards any structural pruning*, 2023.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from quantized_cnn.graph import Graph, Node

Criterion = Literal["size", "scale", "taylor"]


@dataclass
class ChannelGroup:
    """Channels that hang together.

    size : how many there are.
    producers : convolutions that put them out (also depthwise ones, which take them in as well).
    norms : batch norms that they pass through.
    consumers : layers that take them in.
    """

    size: int
    producers: list[str] = field(default_factory=list)
    norms: list[str] = field(default_factory=list)
    consumers: list[str] = field(default_factory=list)


def channel_groups(graph: Graph) -> list[ChannelGroup]:
    """The groups of channels that can be pruned: neither the image's nor the output's.

    Raises ValueError for grouped convolutions that are not depthwise.
    """
    group: dict[str, int] = {}  # node → the number of its output's group
    joined: list[int] = []  # number → the group that it has become part of

    def root(k: int) -> int:
        while joined[k] != k:
            k = joined[k]
        return k

    for node in graph.nodes:
        fresh = node.op in ("input", "linear") or (node.op == "conv" and node.groups == 1)
        if fresh:
            group[node.name] = len(joined)
            joined.append(len(joined))
            continue
        if node.op == "conv" and node.groups != len(graph.weights[node.name]):
            raise ValueError(f"{node.name} is a grouped convolution; 1 or depthwise is taken")
        group[node.name] = root(group[node.inputs[0]])
        for name in node.inputs[1:]:
            joined[root(group[name])] = root(group[node.name])
    fixed = {root(group[graph.nodes[0].name]), root(group[graph.nodes[-1].name])}
    found: dict[int, ChannelGroup] = {}
    for node in graph.nodes:
        own = root(group[node.name])
        if node.op == "conv" and own not in fixed:
            entry = found.setdefault(own, ChannelGroup(len(graph.weights[node.name])))
            entry.producers.append(node.name)
        if node.op == "norm" and own in found:
            found[own].norms.append(node.name)
        if node.op == "linear" or (node.op == "conv" and node.groups == 1):
            taken = root(group[node.inputs[0]])
            if taken in found:
                found[taken].consumers.append(node.name)
    return list(found.values())


@torch.no_grad()
def remove_channels(graph: Graph, group: ChannelGroup, kept: Tensor) -> None:
    """Keep only some channels of a group, int64 numbers; changes the graph."""
    for name in group.producers:
        node = graph[name]
        if node.groups > 1:
            node.groups = len(kept)
        graph.weights[name] = nn.Parameter(graph.weights[name][kept])
        graph.biases[name] = nn.Parameter(graph.biases[name][kept])
    for name in group.norms:
        old = graph.norms[name]
        new = nn.BatchNorm2d(len(kept), old.eps, old.momentum).train(old.training)
        for part in ("weight", "bias", "running_mean", "running_var"):
            getattr(new, part).copy_(getattr(old, part)[kept])
        new.num_batches_tracked.copy_(old.num_batches_tracked)
        graph.norms[name] = graph[name].norm = new
    for name in group.consumers:
        graph.weights[name] = nn.Parameter(graph.weights[name][:, kept])
    group.size = len(kept)


def multiplications(graph: Graph, shape: tuple[int, int, int]) -> dict[str, int]:
    """Multiply-adds of each layer for one image of this shape (channels, height, width)."""
    counts: dict[str, int] = {}

    def see(node: Node, value: Tensor) -> None:
        if node.op in ("conv", "linear"):
            counts[node.name] = value[0].numel() * graph.weights[node.name][0].numel()

    training = graph.training
    with torch.no_grad():
        graph.eval().run(torch.zeros(1, *shape), see)
    graph.train(training)
    return counts


def importance(
    graph: Graph,
    groups: list[ChannelGroup],
    criterion: Criterion,
    batches: Iterable[tuple[Tensor, Tensor]] = (),
) -> list[Tensor]:
    """How much each channel of each group matters, (size,) each.

    batches : images and classes, for `taylor`.
    """
    if criterion == "taylor":
        return _taylor(graph, groups, batches)
    result = []
    for group in groups:
        if criterion == "scale":
            parts = [graph.norms[name].weight.detach().abs() for name in group.norms]
        else:
            weights = [graph.weights[name].detach() for name in group.producers]
            parts = [weight.flatten(1).square().mean(1) for weight in weights]
        result.append(torch.stack(parts).mean(0))
    return result


def _taylor(
    graph: Graph, groups: list[ChannelGroup], batches: Iterable[tuple[Tensor, Tensor]]
) -> list[Tensor]:
    result = [torch.zeros(group.size) for group in groups]
    graph.eval()
    for x, y in batches:
        graph.zero_grad()
        cross_entropy(graph(x), y).backward()
        for group, total in zip(groups, result, strict=True):
            for name in group.norms:
                norm = graph.norms[name]
                change = norm.weight * norm.weight.grad + norm.bias * norm.bias.grad
                total += change.detach().square()
    graph.zero_grad()
    return result


def prune_channels(
    graph: Graph,
    share: float,
    shape: tuple[int, int, int],
    criterion: Criterion = "taylor",
    batches: Iterable[tuple[Tensor, Tensor]] = (),
    least: float = 0.1,
    budget: int | None = None,
) -> Graph:
    """Take out channels until a share of the multiplications is gone; changes the graph.

    Parameters
    ----------
    share : of the multiplications that the graph has now.
    shape : of an image.
    batches : images and classes, for `taylor`.
    least : the share of each group's channels that stays in any case.
    budget : multiplications that may stay, in place of `share`.

    Raises ValueError where so much cannot go.
    """
    groups = channel_groups(graph)
    scores = importance(graph, groups, criterion, batches)
    counts = multiplications(graph, shape)
    if budget is None:
        budget = int((1.0 - share) * sum(counts.values()))
    pixels = {name: counts[name] // graph.weights[name].numel() for name in counts}
    sizes = {name: list(graph.weights[name].shape[:2]) for name in counts}
    kernels = {name: graph.weights[name][0, 0].numel() for name in counts}

    def cost() -> int:
        return sum(pixels[n] * sizes[n][0] * sizes[n][1] * kernels[n] for n in counts)

    kept = [torch.ones(group.size, dtype=torch.bool) for group in groups]
    while cost() > budget:
        best = None
        for k, group in enumerate(groups):
            left = int(kept[k].sum())
            if left <= max(1, int(least * group.size)):
                continue
            saved = sum(pixels[n] * kernels[n] * sizes[n][1] for n in group.producers) + sum(
                pixels[n] * kernels[n] * sizes[n][0] for n in group.consumers
            )
            channel = int(torch.where(kept[k], scores[k], torch.inf).argmin())
            price = float(scores[k][channel]) / saved
            if best is None or price < best[0]:
                best = price, k, channel
        if best is None:
            raise ValueError(
                f"{share:.0%} of the multiplications cannot go: every group is at its least"
            )
        _, k, channel = best
        kept[k][channel] = False
        for n in groups[k].producers:
            sizes[n][0] -= 1
        for n in groups[k].consumers:
            sizes[n][1] -= 1
    for group, mask in zip(groups, kept, strict=True):
        remove_channels(graph, group, mask.nonzero().squeeze(1))
    return graph
