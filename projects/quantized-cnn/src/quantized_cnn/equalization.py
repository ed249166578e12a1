r"""Make a network easy to quantize without training: equalize its channels, correct its means.

*Cross-layer equalization.* Where a convolution, a ReLU and another convolution follow each other,
a channel may be divided by $s_c > 0$ in the first and multiplied in the second without a change of
the network, since $\mathrm{ReLU}(s x) = s\,\mathrm{ReLU}(x)$. With the largest weights $r_c$ of
channel $c$ in the first and $r'_c$ in the second, the choice

$$s_c = \sqrt{r_c / r'_c}$$

makes both equal to $\sqrt{r_c r'_c}$: one scale for all channels of a weight then wastes nothing on
any. A ReLU6 would have to end elsewhere in each channel; it becomes a ReLU before.

*Bias correction.* Rounded weights shift the mean of an output, $E[\hat W x] \ne E[W x]$. The shift
of each channel is measured on a few images, layer after layer, and taken off the bias.

Source: Markus Nagel and others, *Data-free quantization through weight equalization and bias
correction*, 2019.
"""

import torch
from torch import Tensor, nn

from quantized_cnn.affine import Quantizer, Scheme
from quantized_cnn.graph import Graph, Node


def linearize(graph: Graph) -> Graph:
    """Let every ReLU6 be a ReLU; changes the graph."""
    for node in graph.nodes:
        if node.op == "clamp":
            node.high = float("inf")
    return graph


def pairs(graph: Graph) -> list[tuple[Node, Node]]:
    """The convolutions with nothing but a ReLU between them, of which nobody else takes."""
    found = []
    for first in graph.layers():
        users = graph.users(first.name)
        if len(users) == 1 and users[0].op == "clamp" and users[0].high == float("inf"):
            users = graph.users(users[0].name)
        if first.op == "conv" and len(users) == 1 and users[0].op == "conv":
            found.append((first, users[0]))
    return found


@torch.no_grad()
def equalize(graph: Graph, rounds: int = 20, enough: float = 1e-4) -> Graph:
    """Equalize the channels of each pair, again and again until nothing changes; changes the graph.

    Its output stays the same, to rounding. A channel whose weights are all 0 on one side is left.
    """
    for _ in range(rounds):
        change = 0.0
        for first, second in pairs(graph):
            weight, bias = graph.weights[first.name], graph.biases[first.name]
            above = graph.weights[second.name]
            ranges = weight.abs().amax((1, 2, 3))
            # A depthwise convolution's weight has its channel in front.
            own = second.groups > 1
            later = above.abs().amax((1, 2, 3) if own else (0, 2, 3))
            factor = torch.sqrt(ranges / later)
            factor = torch.where((ranges > 0) & (later > 0), factor, 1.0)
            weight /= factor.view(-1, 1, 1, 1)
            bias /= factor
            above *= factor.view((-1, 1, 1, 1) if own else (1, -1, 1, 1))
            change = max(change, float((factor.log()).abs().max()))
        if change < enough:
            break
    return graph


@torch.no_grad()
def correct_biases(graph: Graph, images: Tensor, scheme: Scheme) -> Graph:
    """Take the shift that rounding the weights will make off the biases; changes the graph.

    The layers are corrected in order, so that each is measured behind those that are corrected.
    """
    true: dict[str, Tensor] = {}

    def remember(node: Node, value: Tensor) -> None:
        if node.op in ("conv", "linear"):
            true[node.name] = _channel_means(value)

    graph.run(images, remember)
    exact = {node.name: graph.weights[node.name].detach().clone() for node in graph.layers()}
    for node in graph.layers():
        weight = graph.weights[node.name]
        weight.copy_(Quantizer.of_values(scheme, weight)(weight))

    def correct(node: Node, value: Tensor) -> Tensor | None:
        if node.op not in ("conv", "linear"):
            return None
        shift = _channel_means(value) - true[node.name]
        graph.biases[node.name] -= shift
        return value - shift.view((-1,) + (1,) * (value.ndim - 2))

    graph.run(images, correct)
    for name, weight in exact.items():
        graph.weights[name] = nn.Parameter(weight)
    return graph


def _channel_means(value: Tensor) -> Tensor:
    return value.movedim(1, 0).flatten(1).mean(1)
