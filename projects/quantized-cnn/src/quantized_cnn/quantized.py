r"""A network in integers: what a graph becomes once its ranges are known.

Every value between two operations is an 8-bit integer with a quantizer of its own (`affine`), and
every operation is one on integers. A convolution of $x = s_x (q_x - z_x)$ with $w_c = s_c q_c$ is

$$y_c = s_x s_c \Bigl(\sum (q_x - z_x)\, q_c + b_c\Bigr), \qquad
b_c = \mathrm{round}\Bigl(\frac{\text{bias}_c}{s_x s_c}\Bigr),$$

a sum in 32 bits; its integer in the output's quantizer is $z_y$ plus the sum times
$s_x s_c / s_y$, a fixed-point factor (`fixed_point`). Where the products leave some of the 32 bits
free, the sum is shifted to the left by these *guard bits*, which hold a fraction of the bias: with
few bits a step of the sum is no small thing. ReLU and ReLU6 that follow are the ends of
the range that the result is clipped to. An addition brings both terms to the output's scale before
it rounds once. The last layer's sums are given as real numbers.

`QuantizedGraph.run` computes all this by PyTorch's convolutions on floating-point numbers that hold
the sums exactly. `integer.run` does the same by NumPy on integers alone, and agrees in each bit.

Source: Benoit Jacob and others, *Quantization and training of neural networks for efficient
integer-arithmetic-only inference*, 2018.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from quantized_cnn.affine import WEIGHTS, Quantizer, Scheme
from quantized_cnn.fixed_point import Factors, fixed_point
from quantized_cnn.graph import Graph, Node

#: The shift of an addition's two factors.
ADDITION_SHIFT = 20


@dataclass
class Step:
    """An operation on integers; `node` is the one that it comes from.

    name : that of the output, where a clamp follows that of the clamp.
    weight : int8-valued int32 (outputs, inputs / groups, height, width), or (outputs, inputs).
    bias : int32-valued int64 (outputs,), `guard` bits of it after the binary point.
    reach : what no sum of products exceeds.
    guard : by how many bits the products' sum is shifted to the left.
    factors : of the sums; of an addition one for each term, with the shift `ADDITION_SHIFT`.
    ratio : of a mean: the input's scale over the output's; the pixels divide it when it runs.
    zero : the inputs' zero points.
    low, high : what the output is clipped to.
    output : the quantizer of the output; None: real numbers, by `scale` (outputs,).
    """

    node: Node
    name: str
    inputs: tuple[str, ...]
    zero: tuple[int, ...] = ()
    weight: NDArray[np.int32] | None = None
    bias: NDArray[np.int64] | None = None
    reach: int = 0
    guard: int = 0
    factors: Factors | None = None
    ratio: float = 0.0
    low: int = 0
    high: int = 0
    output: Quantizer | None = None
    scale: NDArray[np.float64] | None = None


def groups(graph: Graph) -> list[tuple[Node, Node]]:
    """Each operation with the node whose value is kept: itself, or the norm or clamp behind it."""
    last: dict[str, Node] = {}
    absorbed: set[str] = set()
    for node in graph.nodes:
        if node.name in absorbed:
            continue
        kept = node
        for op in ("norm", "clamp"):
            users = graph.users(kept.name)
            if node.op != "input" and len(users) == 1 and users[0].op == op:
                kept = users[0]
                absorbed.add(kept.name)
        last[node.name] = kept
    return [(graph[name], kept) for name, kept in last.items()]


def quantized_points(graph: Graph) -> list[str]:
    """The nodes whose values are kept as integers: all that `groups` keeps, but the output."""
    return [kept.name for _, kept in groups(graph)][:-1]


class QuantizedGraph:
    """A graph in integers; make one by `quantize`."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps

    def __call__(self, x: Tensor) -> Tensor:
        """The outputs for images x, float32 (n, channels, height, width)."""
        return self.run(x)

    @torch.inference_mode()
    def run(self, x: Tensor, batch_size: int = 50) -> Tensor:
        """The outputs, float32 (n, classes); few images at a time stay in the cache."""
        return torch.cat([self._run(batch) for batch in x.split(batch_size)])

    def _run(self, x: Tensor) -> Tensor:
        values: dict[str, Tensor] = {}
        for step in self.steps:
            values[step.name] = _integers(step, [values[name] for name in step.inputs], x)
        return values[self.steps[-1].name]

    @property
    def bytes(self) -> int:
        """Bytes of the weights, biases and factors as they would be stored."""
        total = 0
        for step in self.steps:
            if step.weight is not None and step.bias is not None:
                total += step.weight.size + 4 * step.bias.size + 5 * step.bias.size
        return total


def _integers(step: Step, inputs: list[Tensor], x: Tensor) -> Tensor:
    """A step's integers, or the outputs; float32, which holds them exactly."""
    if step.node.op == "input":
        assert step.output is not None
        return step.output.quantize(x).float()
    terms = [value - zero for value, zero in zip(inputs, step.zero, strict=True)]
    if step.node.op == "add":
        assert step.factors is not None
        first, second = (
            term.long().mul_(int(factor))
            for term, factor in zip(terms, step.factors.multiplier, strict=True)
        )
        total = first.add_(second).add_(1 << (ADDITION_SHIFT - 1))
        return _clipped(step, total.bitwise_right_shift_(ADDITION_SHIFT))
    if step.node.op == "mean":
        sums = terms[0].double().sum((2, 3)).long()
    else:
        assert step.bias is not None
        sums = _products(step, terms[0]).long().bitwise_left_shift_(step.guard)
        sums += torch.from_numpy(step.bias).view((-1,) + (1,) * (sums.ndim - 2))
    if step.scale is not None:
        return (sums.double() * torch.from_numpy(step.scale)).float()
    factors = factors_of(step, terms[0].shape, sums.ndim)
    multiplier, shift = torch.as_tensor(factors.multiplier), torch.as_tensor(factors.shift)
    # As `fixed_point.rescale`, in place.
    sums.mul_(multiplier).add_(torch.ones_like(shift) << (shift - 1)).bitwise_right_shift_(shift)
    return _clipped(step, sums)


def _products(step: Step, q: Tensor) -> Tensor:
    """The sums of products of a convolution or a linear map, whole numbers as floats.

    float32 holds them exactly where none can reach 2^24, and is the quicker one.
    """
    assert step.weight is not None
    weight = torch.from_numpy(step.weight)
    kind = torch.float32 if step.reach < 2**24 else torch.float64
    q, weight = q.to(kind), weight.to(kind)
    if step.node.op == "linear":
        return functional.linear(q, weight)
    node = step.node
    return functional.conv2d(q, weight, None, node.stride, node.padding, groups=node.groups)


def factors_of(step: Step, shape: Sequence[int], dimensions: int) -> Factors:
    """The factors of a step's sums, shaped to multiply sums (n, channels, …).

    shape : that of the input; a mean is over its height times width pixels.
    """
    if step.node.op == "mean":
        return fixed_point(np.array(step.ratio / (shape[2] * shape[3])))
    assert step.factors is not None
    channels = (-1,) + (1,) * (dimensions - 2)
    return Factors(step.factors.multiplier.reshape(channels), step.factors.shift.reshape(channels))


def _clipped(step: Step, q: Tensor) -> Tensor:
    assert step.output is not None
    return q.add_(int(step.output.zero_point)).clamp_(step.low, step.high).float()


def quantize(
    graph: Graph,
    quantizers: Mapping[str, Quantizer],
    scheme: Scheme = WEIGHTS,
    weights: Mapping[str, tuple[Tensor, Quantizer]] | None = None,
) -> QuantizedGraph:
    """Write a folded graph in integers.

    Parameters
    ----------
    quantizers : for each of `quantized_points`, as calibration or training found them.
    scheme : of the weights; symmetric.
    weights : integers and quantizers of layers that are already chosen; by default the weights are
        rounded to the nearest.

    Raises ValueError where a batch norm is left, or a quantizer is missing.
    """
    for node in graph.nodes:
        if node.op == "norm":
            raise ValueError(f"{node.name} is a batch norm; fold it first")
    steps: list[Step] = []
    pairs = groups(graph)
    for node, kept in pairs:
        last = kept is pairs[-1][1]
        if not last and kept.name not in quantizers:
            raise ValueError(f"{kept.name} has no quantizer; calibrate the graph first")
        output = None if last else quantizers[kept.name]
        sources = [quantizers[name] for name in node.inputs]
        step = Step(node, kept.name, node.inputs, tuple(int(q.zero_point) for q in sources))
        step.output = output
        if output is not None:
            step.low, step.high = _ends(kept, output)
        scales = [float(source.scale) for source in sources]
        if node.op in ("conv", "linear"):
            integers, quantizer = (weights or {}).get(node.name) or _nearest(
                graph.weights[node.name], scheme
            )
            step.weight = integers.numpy().astype(np.int32)
            channel = np.broadcast_to(quantizer.scale.double().numpy(), len(integers))
            factor = scales[0] * channel
            bias = graph.biases[node.name].detach().double().numpy()
            step.reach = _reach(step.weight, sources[0])
            step.guard = _guard_bits(step.reach, bias / factor)
            factor = factor / 2.0**step.guard
            step.bias = np.clip(np.rint(bias / factor), -(2**31), 2**31 - 1).astype(np.int64)
            if output is None:
                step.scale = factor
            else:
                step.factors = fixed_point(factor / float(output.scale))
        elif node.op == "mean":
            assert output is not None
            step.ratio = scales[0] / float(output.scale)
        elif node.op == "add":
            assert output is not None
            ratios = np.array(scales) / float(output.scale) * 2.0**ADDITION_SHIFT
            step.factors = Factors(np.rint(ratios).astype(np.int64), np.zeros(2, np.int64))
        steps.append(step)
    return QuantizedGraph(steps)


def _reach(weight: NDArray[np.int32], source: Quantizer) -> int:
    """The largest sum of products that the inputs' integers can give."""
    zero, scheme = int(source.zero_point), source.scheme
    largest = max(scheme.high - zero, zero - scheme.low)
    return largest * int(np.abs(weight).reshape(len(weight), -1).sum(1).max())


def _guard_bits(reach: int, bias: NDArray[np.float64]) -> int:
    """How many of 32 bits the sums leave free, 16 at most; `bias` in steps of the sum."""
    total = reach + float(np.abs(bias).max()) + 1
    return max(0, min(16, 31 - int(np.ceil(np.log2(total)))))


def _nearest(weight: Tensor, scheme: Scheme) -> tuple[Tensor, Quantizer]:
    quantizer = Quantizer.of_values(scheme, weight)
    return quantizer.quantize(weight.detach()), quantizer


def _ends(kept: Node, output: Quantizer) -> tuple[int, int]:
    """What a step's integers are clipped to: the scheme's ends, or those of a clamp."""
    low, high = output.scheme.low, output.scheme.high
    if kept.op == "clamp":
        low = max(low, int(output.zero_point))
        if kept.high < float("inf"):
            high = min(high, int(output.quantize(torch.tensor(kept.high))))
    return low, high
