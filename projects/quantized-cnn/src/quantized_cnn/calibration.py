"""Post-training quantization: find the ranges on some images, and write the network in integers.

No training and no labels: a few hundred images go through the folded network, an observer at each
point says what range its integers shall cover, and the weights are rounded to the nearest. What
makes hard networks ready for it is in `equalization` (before) and `rounding` (instead of rounding
to the nearest).
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from quantized_cnn.affine import ACTIVATIONS, WEIGHTS, Quantizer, Scheme
from quantized_cnn.graph import Graph, Node
from quantized_cnn.observers import ObserverName, make_observer, quantizer
from quantized_cnn.quantized import QuantizedGraph, quantize, quantized_points


@torch.no_grad()
def calibrate(
    graph: Graph,
    batches: Iterable[Tensor],
    observer: ObserverName = "min-max",
    scheme: Scheme = ACTIVATIONS,
) -> dict[str, Quantizer]:
    """A quantizer for each point of a folded graph whose value is kept as an integer.

    Parameters
    ----------
    batches : images as the network takes them; a few hundred are enough.

    Raises ValueError where there are no images, or where all of them are one constant: nothing
    could be learnt about ranges from them.
    """
    graph.eval()
    observers = {name: make_observer(observer) for name in quantized_points(graph)}
    seen, low, high = 0, float("inf"), float("-inf")

    def see(node: Node, value: Tensor) -> None:
        if node.name in observers:
            observers[node.name].observe(value)

    for batch in batches:
        seen += len(batch)
        low, high = min(low, float(batch.min())), max(high, float(batch.max()))
        graph.run(batch, see)
    if not seen:
        raise ValueError("no images to calibrate with; give some hundred")
    if low == high:
        raise ValueError(
            f"all {seen} images to calibrate with are the constant {low:g}; give real ones"
        )
    return {name: quantizer(watcher, scheme) for name, watcher in observers.items()}


def post_training(
    graph: Graph,
    images: Tensor,
    observer: ObserverName = "min-max",
    weights: Scheme = WEIGHTS,
    activations: Scheme = ACTIVATIONS,
    batch_size: int = 100,
) -> QuantizedGraph:
    """Calibrate a folded graph on images (n, channels, height, width), and quantize it."""
    ranges = calibrate(graph, images.split(batch_size), observer, activations)
    return quantize(graph, ranges, weights)
