r"""Let a convolution do the work of what follows it: batch norm, residual sum, activation.

*Batch norm.* At inference it maps channel $c$ by $y \mapsto \gamma_c (y - \mu_c) / \sqrt{\sigma_c^2
+ \epsilon} + \beta_c$. A convolution with weights $W$ and bias $b$ before it takes that over:

$$W'_c = \frac{\gamma_c}{\sqrt{\sigma_c^2 + \epsilon}} W_c, \qquad
b'_c = \beta_c + \frac{\gamma_c}{\sqrt{\sigma_c^2 + \epsilon}} (b_c - \mu_c).$$

The new weights are computed in double precision and rounded once.

*Sum and activation.* ONNX's Conv cannot do them, so the result is ONNX Runtime's operator
`com.microsoft.FusedConv`, which reads

$$y = f(W * x + b + z).$$

It adds $z$ and applies $f$ while the block that it has just computed is in the cache, so that each
saves a pass over memory. The model runs on ONNX Runtime alone from then on; whoever wants a model
for all runtimes leaves these two passes out (`PORTABLE`).

Source: Benoit Jacob and others, *Quantization and training of neural networks for efficient
integer-arithmetic-only inference*, 2018, section 3.2; the operator, ONNX Runtime's list of
contributed operators.
"""

import numpy as np
from onnxscript import ir

from inference_backends.passes.rewriting import (
    Array,
    Pass,
    attribute,
    constant,
    fresh,
    given,
    initializer,
    nodes,
    only_user,
    opset,
    substitute,
)

#: The domain of ONNX Runtime's own operators.
RUNTIME = "com.microsoft"


class FuseBatchNorm(Pass):
    """Conv → BatchNormalization becomes Conv, by the formula above.

    The norm must be at inference and the convolution's only user, and all parameters constant. A
    norm that comes before its convolution (as in DenseNet) cannot be folded where the convolution
    pads: the padding's zeros would need to be another number.
    """

    name = "conv + batch norm"

    def apply(self, model: ir.Model) -> int:
        """Fuse them all; returns how many batch norms went."""
        count = 0
        for graph, norm in nodes(model, "BatchNormalization"):
            conv = norm.inputs[0].producer() if norm.inputs[0] else None
            if (
                conv is None
                or (conv.domain, conv.op_type) != ("", "Conv")
                or conv.graph is not graph
                or only_user(conv.outputs[0]) is not norm
                or not self._at_inference(norm, opset(model))
            ):
                continue
            known = [constant(value) for value in (conv.inputs[1], *norm.inputs[1:5])]
            bias = given(conv, 2)
            shift = constant(bias) if bias is not None else np.zeros(1, np.float32)
            if shift is None or any(array is None for array in known):
                continue
            weight, gamma, beta, mean, variance = (np.asarray(a) for a in known)
            deviation = np.sqrt(variance.astype(np.float64) + attribute(norm, "epsilon", 1e-5))
            factor = gamma / deviation
            folded = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
            name = conv.inputs[1].name if conv.inputs[1] else "weight"
            new = ir.node(
                "Conv",
                [
                    conv.inputs[0],
                    initializer(graph, fresh(model, f"{name}.folded"), folded.astype(weight.dtype)),
                    initializer(
                        graph,
                        fresh(model, f"{name}.bias"),
                        (beta + factor * (shift - mean.astype(np.float64))).astype(weight.dtype),
                    ),
                ],
                {name: attr.value for name, attr in conv.attributes.items()},
                name=conv.name,
            )
            substitute(graph, [conv, norm], new)
            count += 1
        return count

    @staticmethod
    def _at_inference(norm: ir.Node, version: int) -> bool:
        if attribute(norm, "training_mode", 0) or not attribute(norm, "spatial", 1):
            return False
        if version < 7 and not attribute(norm, "is_test", 0):
            return False
        return not any(value.uses() or value.is_graph_output() for value in norm.outputs[1:])


class FuseScale(Pass):
    """Conv → Mul or Conv → Add by one constant a channel becomes Conv.

    Older exporters write a batch norm's scale and shift so. The convolution's bias and weights take
    it over as they take over a batch norm.
    """

    name = "conv + scale"

    def apply(self, model: ir.Model) -> int:
        """Fuse them all; returns how many scales and shifts went."""
        count = 0
        for graph, node in nodes(model, "Mul", "Add"):
            for index in (0, 1):
                value = node.inputs[index]
                conv = value.producer() if value is not None else None
                if (
                    value is None
                    or conv is None
                    or (conv.domain, conv.op_type) != ("", "Conv")
                    or conv.graph is not graph
                    or only_user(value) is not node
                    or node.attributes
                ):
                    continue
                weight, bias = constant(conv.inputs[1]), given(conv, 2)
                shift = constant(bias) if bias is not None else np.zeros(1, np.float32)
                other = constant(node.inputs[1 - index])
                if weight is None or shift is None or other is None:
                    continue
                by_channel = per_channel(other, weight.ndim, len(weight))
                if by_channel is None:
                    continue
                if node.op_type == "Mul":
                    weight = weight * by_channel.reshape(-1, *[1] * (weight.ndim - 1))
                    shift = shift * by_channel
                else:
                    shift = shift + by_channel
                name = conv.inputs[1].name if conv.inputs[1] else "weight"
                new = ir.node(
                    "Conv",
                    [
                        conv.inputs[0],
                        initializer(graph, fresh(model, f"{name}.scaled"), weight),
                        initializer(
                            graph, fresh(model, f"{name}.shift"), shift.astype(weight.dtype)
                        ),
                    ],
                    {name: attr.value for name, attr in conv.attributes.items()},
                    name=conv.name,
                )
                substitute(graph, [conv, node], new)
                count += 1
                break
        return count


def per_channel(array: Array, rank: int, channels: int) -> Array | None:
    """A constant as one number a channel (channels,); None where it differs within a channel.

    rank : of the tensor (n, channels, ...) that it is broadcast to.
    """
    if array.ndim > rank:
        return None
    full = array.reshape([1] * (rank - array.ndim) + list(array.shape))
    if full.size != full.shape[1] or full.shape[1] not in (1, channels):
        return None
    return np.broadcast_to(full.reshape(-1), (channels,))


class FuseResidualAdd(Pass):
    """Conv → Add (or Sum of two) becomes FusedConv with the other summand as its fourth input.

    The two summands must have the same shape, known by the shapes declared: the operator does not
    broadcast. Where both are convolutions, one takes the other's output.
    """

    name = "conv + residual"

    def apply(self, model: ir.Model) -> int:
        """Fuse them all; returns how many sums went."""
        count = 0
        for graph, add in nodes(model, "Add", "Sum"):
            if len(add.inputs) != 2:
                continue
            for index in (0, 1):
                value, other = add.inputs[index], add.inputs[1 - index]
                conv = value.producer() if value is not None else None
                if (
                    value is None
                    or other is None
                    or conv is None
                    or not fusable(conv, graph)
                    or len(conv.inputs) > 3
                    or only_user(value) is not add
                    or value.shape is None
                    or value.shape != other.shape
                    or any(isinstance(d, ir.SymbolicDim) and d.value is None for d in value.shape)
                ):
                    continue
                inputs = [conv.inputs[0], conv.inputs[1], given(conv, 2), other]
                substitute(graph, [conv, add], fused(model, conv, inputs))
                count += 1
                break
        return count


class FuseActivation(Pass):
    """Conv → activation becomes FusedConv, for the activations that the operator has.

    Relu, Sigmoid, Tanh, LeakyRelu, HardSigmoid, and Clip where its bounds are constant.
    """

    name = "conv + activation"

    def apply(self, model: ir.Model) -> int:
        """Fuse them all; returns how many activations went."""
        count = 0
        for graph, node in nodes(
            model, "Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid", "Clip"
        ):
            conv = node.inputs[0].producer() if node.inputs[0] else None
            if conv is None or not fusable(conv, graph) or only_user(conv.outputs[0]) is not node:
                continue
            parameters = self._parameters(node)
            if parameters is None:
                continue
            new = fused(model, conv, list(conv.inputs))
            new.attributes.add(ir.AttrString("activation", node.op_type))
            if parameters:
                new.attributes.add(ir.AttrFloat32s("activation_params", parameters))
            substitute(graph, [conv, node], new)
            count += 1
        return count

    @staticmethod
    def _parameters(node: ir.Node) -> list[float] | None:
        """The activation's parameters as FusedConv takes them; None where a run decides."""
        if node.op_type == "LeakyRelu":
            return [attribute(node, "alpha", 0.01)]
        if node.op_type == "HardSigmoid":
            return [attribute(node, "alpha", 0.2), attribute(node, "beta", 0.5)]
        if node.op_type != "Clip":
            return []
        largest = float(np.finfo(np.float32).max)
        bounds = []
        for index, name, default in ((1, "min", -largest), (2, "max", largest)):
            value = given(node, index)  # since opset 11; before, an attribute
            known = constant(value) if value is not None else attribute(node, name, default)
            if known is None:
                return None
            bounds.append(float(known))
        return bounds


def fusable(conv: ir.Node, graph: ir.Graph) -> bool:
    """Whether a node is a convolution in float32 that applies no activation yet."""
    plain = (conv.domain, conv.op_type) == ("", "Conv")
    begun = (conv.domain, conv.op_type) == (RUNTIME, "FusedConv")
    return (
        (plain or (begun and "activation" not in conv.attributes))
        and conv.graph is graph
        and conv.outputs[0].dtype == ir.DataType.FLOAT
    )


def fused(model: ir.Model, conv: ir.Node, inputs: list[ir.Value | None]) -> ir.Node:
    """A FusedConv with a convolution's attributes; the model imports the operator's domain."""
    model.opset_imports.setdefault(RUNTIME, 1)
    attributes = {name: attr.value for name, attr in conv.attributes.items()}
    return ir.node("FusedConv", inputs, attributes, domain=RUNTIME, name=conv.name)
