r"""Some layers of a network in few bits, the others in float32: which ones, and what it costs.

A layer in a narrow type gets both of its operands rounded to that type; products are summed in
float32, as the processors' own instructions for such types do. bf16 and fp16 round each number;
with `int` types the input has one scale, found on calibration images, and the weights one for each
output channel.

*Sensitivity* of a layer is the error of the logits when only this layer is narrow. A plan keeps
the most sensitive layers in float32 and makes the others narrow. Errors of different layers add up
about independently while they are small, so that an order by single errors is a good one, though
not the best for each number of layers: Zhen Dong and others, *HAWQ: Hessian aware quantization of
neural networks with mixed-precision*, 2019, order by a second derivative in its place.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from quantized_cnn.affine import Quantizer, Scheme
from quantized_cnn.calibration import calibrate
from quantized_cnn.graph import Graph

Rounder = Callable[[Tensor], Tensor]
FLOATS = {"bf16": torch.bfloat16, "fp16": torch.float16}
BITS = {"int8": 8, "int4": 4}
#: The types that a layer can be narrowed to.
KINDS = (*FLOATS, *BITS)


@dataclass(frozen=True)
class Narrowed:
    """What a layer becomes: how its input is rounded, and its rounded weights."""

    source: Rounder
    weight: Tensor


def narrowed_layers(graph: Graph, kind: str, images: Tensor) -> dict[str, Narrowed]:
    """Every layer of a folded graph in a narrow type, by name.

    Parameters
    ----------
    kind : one of `KINDS`.
    images : (n, channels, height, width), to find the ranges of integers with.

    Raises ValueError for another kind; for integers also where the images are all constant.
    """
    if kind in FLOATS:
        dtype = FLOATS[kind]

        def cast(x: Tensor) -> Tensor:
            return x.to(dtype).float()

        return {
            node.name: Narrowed(cast, cast(graph.weights[node.name].detach()))
            for node in graph.layers()
        }
    if kind not in BITS:
        raise ValueError(f"kind {kind!r}; {', '.join(KINDS)} are taken")
    bits = BITS[kind]
    scheme = Scheme(bits, signed=True, symmetric=True, axis=0, narrow=True)
    ranges = calibrate(graph, images.split(100), "mean-square", Scheme(bits))
    found = {}
    for node in graph.layers():
        weight = graph.weights[node.name].detach()
        rounded = Quantizer.of_values(scheme, weight)(weight)
        found[node.name] = Narrowed(ranges[node.inputs[0]], rounded)
    return found


@torch.inference_mode()
def run_mixed(graph: Graph, x: Tensor, narrow: Mapping[str, Narrowed]) -> Tensor:
    """Logits (n, classes) with these layers narrow and the others as they are."""
    weights = dict(graph.weights) | {name: layer.weight for name, layer in narrow.items()}
    parts = []
    for batch in x.split(50):  # few enough to stay in the cache
        values: dict[str, Tensor] = {}
        for node in graph.nodes:
            if node.op == "input":
                values[node.name] = batch
                continue
            taken = {name: values[name] for name in node.inputs}
            if node.name in narrow:
                taken = {name: narrow[node.name].source(value) for name, value in taken.items()}
            values[node.name] = graph.apply_node(node, taken, weights)
        parts.append(values[graph.nodes[-1].name])
    return torch.cat(parts)


def logit_error(found: Tensor, expected: Tensor) -> float:
    """Root of the mean squared difference, relative to the expected logits' own."""
    found, expected = found.detach(), expected.detach()
    return float((found - expected).square().mean().sqrt() / expected.square().mean().sqrt())


def sensitivities(graph: Graph, layers: Mapping[str, Narrowed], x: Tensor) -> dict[str, float]:
    """The error of the logits with each layer narrow alone, in the layers' order."""
    expected = run_mixed(graph, x, {})
    return {
        name: logit_error(run_mixed(graph, x, {name: layer}), expected)
        for name, layer in layers.items()
    }


def keep_high(layers: Mapping[str, Narrowed], high: Collection[str]) -> dict[str, Narrowed]:
    """The layers that become narrow when these stay in float32.

    Raises ValueError for a name that is no layer's.
    """
    unknown = sorted(set(high) - set(layers))
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no such layer; there are {', '.join(layers)}")
    return {name: layer for name, layer in layers.items() if name not in high}
