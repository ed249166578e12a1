r"""Quantization-aware training: let the network feel the integers while it learns.

In the forward pass weights and activations are quantized and brought back, so that the loss is that
of the quantized network. Rounding has a derivative of 0 almost everywhere; the *straight-through
estimator* lets the gradient pass as if it were not there, within the range:

$$\hat x = s\,\mathrm{clip}(\lfloor x / s \rceil + z) - s z, \qquad
\frac{\partial \hat x}{\partial x} \approx [\,q_{\min} \le x / s + z \le q_{\max}\,].$$

*Learnt steps* (LSQ). The same rule gives the derivative by the scale,

$$\frac{\partial \hat x}{\partial s} =
\begin{cases}
\lfloor x / s \rceil - x / s & \text{within the range}\\
q_{\min} - z \text{ or } q_{\max} - z & \text{beyond,}
\end{cases}$$

which moves the range to where rounding and clipping weigh the same. It is scaled by
$1 / \sqrt{N q_{\max}}$, N values having one scale, so that scales and weights learn at like pace.

Batch norms stay apart while the network learns. Afterwards their factors go into the weights'
scales, and their constants into the biases: no integer changes.

Source: Steven Esser and others, *Learned step size quantization*, 2020; Yoshua Bengio, Nicholas
Léonard and Aaron Courville, *Estimating or propagating gradients through stochastic neurons for
conditional computation*, 2013.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from quantized_cnn.affine import SMALLEST_SCALE, Quantizer, Scheme
from quantized_cnn.calibration import calibrate
from quantized_cnn.graph import Graph, Node, fold_norms
from quantized_cnn.images import Images
from quantized_cnn.observers import ObserverName
from quantized_cnn.quantized import QuantizedGraph, quantize, quantized_points
from quantized_cnn.training import fit


class _FakeQuantize(torch.autograd.Function):
    """x̂ and its straight-through derivatives, in as few passes over the values as can be."""

    @staticmethod
    def forward(
        context: Any, x: Tensor, scale: Tensor, zero: Tensor, low: int, high: int, share: float
    ) -> Tensor:
        """`scale` and `zero` broadcast against x; `share` of the scale's gradient arrives."""
        t = x / scale
        if zero.any():
            q = torch.round(t).add_(zero).clamp_(low, high).sub_(zero)
        else:
            q = torch.round(t).clamp_(low, high)
        context.save_for_backward(t, q, zero)
        context.share, context.shape, context.range = share, scale.shape, (low, high)
        return q * scale

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """By x and by the scale."""
        (gradient,) = gradients
        t, q, zero = context.saved_tensors
        low, high = context.range
        if zero.numel() == 1:
            # What was not clipped was moved by half a step at most.
            ends = low - int(zero) - 0.5, high - int(zero) + 0.5

            def within(values: Tensor) -> Tensor:
                return torch.ops.aten.hardtanh_backward(values, t, *ends)
        else:
            clipped = (q - t).abs() > 0.5

            def within(values: Tensor) -> Tensor:
                return values.masked_fill(clipped, 0.0)

        by_scale = None
        if context.needs_input_grad[1]:
            total = (q - within(t)).mul_(gradient)
            by_scale = total.sum_to_size(context.shape) * context.share
        return within(gradient), by_scale, None, None, None, None


class FakeQuantizer(nn.Module):
    """Quantize and bring back, with a scale that may be learnt."""

    def __init__(self, quantizer: Quantizer, learn: bool) -> None:
        super().__init__()
        self.scheme = quantizer.scheme
        self.scale = nn.Parameter(quantizer.scale.clone(), requires_grad=learn)
        self.register_buffer("zero_point", quantizer.zero_point.clone())

    def forward(self, x: Tensor) -> Tensor:
        """x as its integers say it."""
        shape = [1] * x.ndim
        if self.scheme.axis is not None:
            shape[self.scheme.axis] = -1
        values = x.numel() / self.scale.numel()
        share = (values * self.scheme.high) ** -0.5
        scale = self.scale.clamp(min=SMALLEST_SCALE).view(shape)
        return _FakeQuantize.apply(
            x, scale, self.zero_point.view(shape), self.scheme.low, self.scheme.high, share
        )

    @property
    def quantizer(self) -> Quantizer:
        """What was learnt."""
        scale = self.scale.detach().clamp(min=SMALLEST_SCALE)
        return Quantizer(self.scheme, scale, self.zero_point)


class QuantizationAware(nn.Module):
    """A graph, its batch norms not folded, that is quantized in every forward pass.

    Parameters
    ----------
    graph : what to train; the module has a copy.
    images : to begin the ranges with, as the network takes them.
    weights, activations : the schemes. The first and the last layer have 8 bits.
    learn : whether the scales are learnt.
    """

    def __init__(
        self,
        graph: Graph,
        images: Tensor,
        weights: Scheme,
        activations: Scheme,
        observer: ObserverName = "mean-square",
        learn: bool = True,
    ) -> None:
        super().__init__()
        self.graph = copy.deepcopy(graph)
        layers = [node.name for node in self.graph.layers()]
        ends = (layers[0], layers[-1])
        self.weights = nn.ModuleDict()
        for name in layers:
            scheme = _eight_bits(weights) if name in ends else weights
            quantizer = _fitted(scheme, self.graph.weights[name].detach())
            self.weights[name] = FakeQuantizer(quantizer, learn)
        ranges = calibrate(self.graph, images.split(100), observer, activations)
        if activations.bits < 8:
            wide = calibrate(self.graph, images.split(100), observer, _eight_bits(activations))
            points = quantized_points(self.graph)
            ranges |= {name: wide[name] for name in (points[0], points[-1])}
        self.values = nn.ModuleDict({k: FakeQuantizer(q, learn) for k, q in ranges.items()})

    def forward(self, x: Tensor) -> Tensor:
        """The outputs (n, classes), as the quantized network would say them."""
        exact = {node.name: self.graph.weights[node.name] for node in self.graph.layers()}
        quantized = {name: self.weights[name](weight) for name, weight in exact.items()}

        def see(node: Node, value: Tensor) -> Tensor | None:
            return self.values[node.name](value) if node.name in self.values else None

        return self.graph.run(x, see, quantized)

    @torch.no_grad()
    def convert(self) -> QuantizedGraph:
        """The network in integers: those that training ended with."""
        folded = copy.deepcopy(self.graph)
        chosen: dict[str, tuple[Tensor, Quantizer]] = {}
        for node in self.graph.layers():
            quantizer = self.weights[node.name].quantizer
            integers = quantizer.quantize(self.graph.weights[node.name])
            users = self.graph.users(node.name)
            if users and users[0].op == "norm":
                norm = self.graph.norms[users[0].name]
                factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
                integers = integers * factor.sign().view(-1, 1, 1, 1).int()
                scale = (quantizer.scale * factor.abs()).clamp(min=SMALLEST_SCALE)
                quantizer = Quantizer(
                    quantizer.scheme, scale, quantizer.zero_point.expand(len(scale))
                )
            chosen[node.name] = integers, quantizer
        ranges = {name: fake.quantizer for name, fake in self.values.items()}
        fold_norms(folded)
        kept = dict(zip(quantized_points(self.graph), quantized_points(folded), strict=True))
        return quantize(folded, {kept[name]: q for name, q in ranges.items()}, weights=chosen)


def _eight_bits(scheme: Scheme) -> Scheme:
    return Scheme(8, scheme.signed, scheme.symmetric, scheme.axis, scheme.narrow)


def _fitted(scheme: Scheme, weight: Tensor) -> Quantizer:
    """The symmetric quantizer of a weight whose error has the least mean square, each channel."""
    full = Quantizer.of_values(scheme, weight)
    if scheme.bits == 8:
        return full
    best, least = full.scale.clone(), torch.full_like(full.scale, torch.inf)
    for share in torch.linspace(1.0, 0.3, 50):
        tried = Quantizer(scheme, full.scale * share, full.zero_point)
        error = (
            (weight - tried(weight)).flatten(1).square().sum(1)
            if scheme.axis == 0
            else ((weight - tried(weight)).square().sum())
        )
        better = error < least
        best, least = torch.where(better, tried.scale, best), torch.minimum(least, error)
    return Quantizer(scheme, best, full.zero_point)


def train_aware(
    graph: Graph,
    images: Images,
    *,
    bits: int,
    epochs: int,
    seed: int,
    learn: bool = True,
    learning_rate: float | None = None,
    begin: Callable[[QuantizationAware], object] = lambda aware: None,
    **options: Any,
) -> QuantizationAware:
    """Fine-tune a trained graph, batch norms and all, with weights and activations of so many bits.

    learning_rate : None takes 0.02, and a tenth of that for eight bits: their scales are small, and
        there is little to mend.
    begin : is given the module before it is trained.
    options : further ones of `training.fit`, such as `checkpoint` and `progress`.
    """
    torch.manual_seed(seed)
    scheme = Scheme(bits, signed=True, symmetric=True, axis=0, narrow=True)
    aware = QuantizationAware(graph, images.x_train[:500], scheme, Scheme(bits), learn=learn)
    begin(aware)
    fit(
        aware,
        images.x_train,
        images.y_train,
        epochs=epochs,
        learning_rate=learning_rate or (0.002 if bits == 8 else 0.02),
        batch_size=images.batch_size,
        weight_decay=1e-4,
        seed=seed,
        augment=images.augment,
        **options,
    )
    return aware
