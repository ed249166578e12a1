r"""AdaRound: which weights to round up, and which down.

Rounding each weight to the nearest is best for the weights, and not for the layer's output: errors
in one direction add up. AdaRound gives each weight a share $h(v) \in [0, 1]$ of the step from its
floor, with the stretched sigmoid $h(v) = \mathrm{clip}(1.2\,\sigma(v) - 0.1,\, 0,\, 1)$, and
minimizes

$$\bigl\|f(W x) - f(\hat W(v)\,\hat x)\bigr\|^2 +
\lambda \sum \bigl(1 - |2 h(v) - 1|^\beta\bigr),$$

layer after layer, where $x$ is the input in the true network, $\hat x$ that in the quantized one,
and $f$ the ReLU that follows. The second term drives every share to 0 or 1 as $\beta$ falls.

Source: Markus Nagel and others, *Up or down? Adaptive rounding for post-training quantization*,
2020.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from quantized_cnn.affine import Quantizer, Scheme
from quantized_cnn.graph import Graph, Node
from quantized_cnn.quantized import groups

#: How far the sigmoid is stretched beyond [0, 1], so that the ends can be reached.
STRETCH = 0.1


def share(v: Tensor) -> Tensor:
    """h(v)."""
    return (torch.sigmoid(v) * (1 + 2 * STRETCH) - STRETCH).clamp(0, 1)


def adaround(
    graph: Graph,
    images: Tensor,
    quantizers: Mapping[str, Quantizer],
    scheme: Scheme,
    *,
    steps: int = 1000,
    batch_size: int = 32,
    strength: float = 0.01,
    seed: int = 0,
) -> dict[str, tuple[Tensor, Quantizer]]:
    """The integers and the quantizer of each layer of a folded graph.

    Parameters
    ----------
    images : some hundred, as the network takes them.
    quantizers : of the activations, as `calibrate` finds them.
    scheme : of the weights.
    steps : of Adam, for each layer.
    strength : λ.

    What is returned is what `quantize` takes as `weights`.
    """
    generator = torch.Generator().manual_seed(seed)
    kept = {node.name: last for node, last in groups(graph)}
    chosen: dict[str, tuple[Tensor, Quantizer]] = {}
    true = _inputs_and_outputs(graph, images)
    rounded: dict[str, Tensor] = {}

    # One pass through the network; each layer is rounded when its quantized input has come.
    values: dict[str, Tensor] = {}
    for node in graph.nodes:
        if node.op == "input":
            value = images
        elif node.op in ("conv", "linear"):
            x = values[node.inputs[0]]
            chosen[node.name] = _round_layer(
                graph, node, x, true[node.name], kept[node.name], scheme,
                steps, batch_size, strength, generator,
            )  # fmt: skip
            integers, quantizer = chosen[node.name]
            rounded[node.name] = quantizer.dequantize(integers)
            with torch.no_grad():
                value = _apply(graph, node, x, rounded[node.name])
        else:
            with torch.no_grad():
                value = graph.apply_node(node, values)
        if node.name in quantizers:
            value = quantizers[node.name](value)
        values[node.name] = value
    return chosen


@torch.no_grad()
def _inputs_and_outputs(graph: Graph, images: Tensor) -> dict[str, Tensor]:
    """Each layer's true output."""
    outputs: dict[str, Tensor] = {}

    def see(node: Node, value: Tensor) -> None:
        if node.op in ("conv", "linear"):
            outputs[node.name] = value

    graph.run(images, see)
    return outputs


def _apply(graph: Graph, node: Node, x: Tensor, weight: Tensor) -> Tensor:
    return graph.apply_node(node, {node.inputs[0]: x}, {node.name: weight})


def _round_layer(
    graph: Graph,
    node: Node,
    x: Tensor,
    target: Tensor,
    kept: Node,
    scheme: Scheme,
    steps: int,
    batch_size: int,
    strength: float,
    generator: torch.Generator,
) -> tuple[Tensor, Quantizer]:
    weight = graph.weights[node.name].detach()
    quantizer = Quantizer.of_values(scheme, weight)
    scale = (
        quantizer.scale.view((-1,) + (1,) * (weight.ndim - 1))
        if scheme.axis == 0
        else (quantizer.scale)
    )
    floor = torch.floor(weight / scale)
    rest = (weight / scale - floor).clamp(0.001, 0.999)
    # The share begins at what is left of the weight: nothing is rounded yet.
    v = -torch.log((1 + 2 * STRETCH) / (rest + STRETCH) - 1)
    v.requires_grad_(True)
    optimizer = torch.optim.Adam([v], lr=0.01)
    bend = _bend(kept)
    target = bend(target)
    for step in range(steps):
        rows = torch.randint(len(x), (min(batch_size, len(x)),), generator=generator)
        h = share(v)
        integers = (floor + h).clamp(scheme.low, scheme.high)
        error = bend(_apply(graph, node, x[rows], integers * scale)) - target[rows]
        loss = error.square().sum(1).mean()
        warm = 0.2 * steps
        if step >= warm:
            beta = 20.0 + (2.0 - 20.0) * (step - warm) / (steps - warm)
            loss = loss + strength * (1 - (2 * h - 1).abs() ** beta).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    up = (share(v.detach()) >= 0.5).to(weight.dtype)
    return (floor + up).clamp(scheme.low, scheme.high).to(torch.int32), quantizer


def _bend(kept: Node) -> Callable[[Tensor], Tensor]:
    """The clamp that follows a layer, or nothing."""
    if kept.op != "clamp":
        return lambda y: y
    return lambda y: y.clamp(0.0, kept.high)
