r"""Remove conversions between layouts: transposes that undo each other, wherever they stand.

A model from a channels-last framework has Transpose around each operator that wants channels first.
Two in a row are one, with composed permutations, and none where they undo each other. But mostly
something stands between them. Elementwise operators do the same in any layout,

$$f(P x) = P f(x), \qquad P x + P y = P (x + y), \qquad P x + c = P (x + P^{-1} c),$$

so that a transpose moves behind them until it meets the next one. Each move goes towards the
outputs, so that there is an end.
"""

from onnxscript import ir

from inference_backends.passes.rewriting import (
    Pass,
    attribute,
    constant,
    fresh,
    initializer,
    nodes,
    only_user,
    replace,
    replaceable,
    substitute,
)

#: One tensor in, one of the same shape out, each element by itself.
UNARY = frozenset(
    {"Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish",
     "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign",
     "Sin", "Softplus", "Softsign", "Sqrt", "Tanh", "Identity", "Cast", "Clip"}
)  # fmt: skip
#: Two in; shapes are broadcast from the right.
BINARY = frozenset({"Add", "Sub", "Mul", "Div", "Pow", "PRelu", "Min", "Max"})


class CancelTransposes(Pass):
    """Two transposes in a row become one, or none; one that changes nothing goes."""

    name = "transposes"

    def apply(self, model: ir.Model) -> int:
        """Cancel them all; returns how many times."""
        count = 0
        for graph, node in nodes(model, "Transpose"):
            source = node.inputs[0]
            order = permutation(node)
            if source is None or order is None:
                continue
            if order == sorted(order) and replaceable(node.outputs[0], source):
                replace(node.outputs[0], source)
                graph.remove(node, safe=True)
                count += 1
                continue
            before = source.producer()
            first = permutation(before) if is_transpose(before) and before else None
            if first is None or before is None or before.graph is not graph:
                continue
            new = ir.node("Transpose", [before.inputs[0]], {"perm": [first[k] for k in order]})
            substitute(graph, [node], new)
            count += 1
        return count


class SinkTransposes(Pass):
    """Move a transpose behind the elementwise operator that is its only user."""

    name = "layout"

    def apply(self, model: ir.Model) -> int:
        """Move each one step; returns how many moved."""
        count = 0
        for graph, node in nodes(model, *UNARY, *BINARY):
            if node.op_type in UNARY:
                count += self._behind_unary(model, graph, node)
            elif len(node.inputs) == 2 and not node.attributes:  # before opset 7: axis, broadcast
                count += self._behind_binary(model, graph, node)
        return count

    @staticmethod
    def _behind_unary(model: ir.Model, graph: ir.Graph, node: ir.Node) -> int:
        before = sinkable(node.inputs[0], node, graph)
        order = permutation(before) if before else None
        if before is None or order is None:
            return 0
        _sink(model, graph, node, [before.inputs[0], *node.inputs[1:]], order)
        graph.remove(before, safe=True)
        return 1

    @staticmethod
    def _behind_binary(model: ir.Model, graph: ir.Graph, node: ir.Node) -> int:
        befores = [sinkable(value, node, graph) for value in node.inputs]
        orders = [permutation(before) if before else None for before in befores]
        order = orders[0] or orders[1]
        if order is None:
            return 0
        inputs: list[ir.Value | None] = []
        for value, before, own in zip(node.inputs, befores, orders, strict=True):
            if before is not None and own == order:
                inputs.append(before.inputs[0])
                continue
            array = constant(value)
            if value is None or array is None or array.ndim > len(order):
                return 0
            full = array.reshape([1] * (len(order) - array.ndim) + list(array.shape))
            back = [order.index(k) for k in range(len(order))]
            moved = full.transpose(back)
            inputs.append(
                value
                if array.ndim == 0
                else initializer(graph, fresh(model, f"{value.name}.t"), moved)
            )
        _sink(model, graph, node, inputs, order)
        graph.remove([before for before in befores if before is not None], safe=True)
        return 1


def _sink(
    model: ir.Model, graph: ir.Graph, node: ir.Node, inputs: list[ir.Value | None], order: list[int]
) -> None:
    """Let the node work on `inputs`, and a transpose after it restore the order."""
    result = node.outputs[0]
    attributes = {name: attr.value for name, attr in node.attributes.items()}
    new = ir.node(node.op_type, inputs, attributes, name=node.name)
    inner = new.outputs[0]
    inner.name = fresh(model, f"{result.name}.moved")
    inner.type = result.type
    if result.shape is not None and len(result.shape) == len(order):
        inner.shape = ir.Shape([result.shape[order.index(k)] for k in range(len(order))])
    graph.insert_before(node, new)
    substitute(graph, [node], ir.node("Transpose", [inner], {"perm": order}))


def is_transpose(node: ir.Node | None) -> bool:
    """Whether a node is a Transpose."""
    return node is not None and (node.domain, node.op_type) == ("", "Transpose")


def permutation(node: ir.Node) -> list[int] | None:
    """A Transpose's order of axes; None where it is the default and the rank is not known."""
    order = attribute(node, "perm")
    if order is not None:
        return list(order)
    value = node.inputs[0]
    if value is None or value.shape is None:
        return None
    return list(range(len(value.shape)))[::-1]


def sinkable(value: ir.Value | None, user: ir.Node, graph: ir.Graph) -> ir.Node | None:
    """The transpose that makes a value for this user alone."""
    before = value.producer() if value is not None else None
    if value is None or before is None or not is_transpose(before) or before.graph is not graph:
        return None
    return before if only_user(value) is user else None
