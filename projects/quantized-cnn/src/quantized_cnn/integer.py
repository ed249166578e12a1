"""A quantized graph by NumPy, on integers from the image's pixels to the last layer's sums.

Nothing here is quick; it is the meaning of the quantized graph, one operation after the other, and
what other runtimes are held against. A convolution is a sum over the kernel's places: at each, the
image is shifted and multiplied with that place's weights.
"""

import numpy as np
from numpy.typing import NDArray

from quantized_cnn.fixed_point import rescale
from quantized_cnn.quantized import ADDITION_SHIFT, QuantizedGraph, Step, factors_of


def run(graph: QuantizedGraph, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The outputs (n, classes) for images x (n, channels, height, width)."""
    values: dict[str, NDArray] = {}
    for step in graph.steps:
        if step.node.op == "input":
            values[step.name] = _pixels(step, x)
            continue
        inputs = [values[name] for name in step.inputs]
        terms = [q - zero for q, zero in zip(inputs, step.zero, strict=True)]
        if step.node.op == "add":
            values[step.name] = _add(step, terms)
            continue
        sums = _sums(step, terms[0])
        if step.scale is not None:
            return (sums * step.scale).astype(np.float32)
        values[step.name] = _clip(step, rescale(sums, factors_of(step, terms[0].shape, sums.ndim)))
    return values[graph.steps[-1].name].astype(np.float32)


def _pixels(step: Step, x: NDArray[np.float32]) -> NDArray[np.int64]:
    assert step.output is not None
    scale, zero = np.float32(step.output.scale), int(step.output.zero_point)
    q = np.rint(x / scale).astype(np.int64) + zero
    return np.clip(q, step.output.scheme.low, step.output.scheme.high)


def _add(step: Step, terms: list[NDArray]) -> NDArray[np.int64]:
    assert step.factors is not None
    total = terms[0] * step.factors.multiplier[0] + terms[1] * step.factors.multiplier[1]
    return _clip(step, (total + (1 << (ADDITION_SHIFT - 1))) >> ADDITION_SHIFT)


def _sums(step: Step, q: NDArray[np.int64]) -> NDArray[np.int64]:
    """The 32-bit sums of a convolution, a linear map, or a mean; ArithmeticError past 32 bits."""
    sums: NDArray[np.int64]
    if step.node.op == "mean":
        sums = q.sum((2, 3))
    else:
        assert step.weight is not None
        assert step.bias is not None
        multiply = _multiply if step.node.op == "linear" else _convolve
        sums = multiply(step, q, step.weight.astype(np.int64)) << step.guard
        sums += step.bias.reshape((-1,) + (1,) * (sums.ndim - 2))
    if np.abs(sums).max() >= 2**31:
        raise ArithmeticError(f"a sum of {step.name} does not fit in 32 bits")
    return sums


def _multiply(step: Step, q: NDArray[np.int64], weight: NDArray[np.int64]) -> NDArray[np.int64]:
    return q @ weight.T


def _convolve(step: Step, q: NDArray[np.int64], weight: NDArray[np.int64]) -> NDArray[np.int64]:
    node = step.node
    (top, left), (down, right) = node.padding, node.stride
    q = np.pad(q, ((0, 0), (0, 0), (top, top), (left, left)))
    n, channels = q.shape[:2]
    outputs, _depth, kernel_height, kernel_width = weight.shape
    height = (q.shape[2] - kernel_height) // down + 1
    width = (q.shape[3] - kernel_width) // right + 1
    weight = weight.reshape(node.groups, outputs // node.groups, *weight.shape[1:])
    sums = np.zeros((n, node.groups, outputs // node.groups, height * width), np.int64)
    for i in range(kernel_height):
        for j in range(kernel_width):
            seen = q[:, :, i : i + down * height : down, j : j + right * width : right]
            seen = seen.reshape(n, node.groups, channels // node.groups, height * width)
            sums += weight[:, :, :, i, j] @ seen
    return sums.reshape(n, outputs, height, width)


def _clip(step: Step, q: NDArray[np.int64]) -> NDArray[np.int64]:
    assert step.output is not None
    return np.clip(q + int(step.output.zero_point), step.low, step.high)
