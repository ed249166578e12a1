"""What the passes share: what is constant, who uses a value, how another takes its place.

The graphs are those of `onnxscript.ir`: nodes that hold values, values that know the node that
makes them and all nodes that use them, also those within the bodies of If and Loop.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from onnxscript import ir

Array = NDArray[Any]


class Pass(ABC):
    """A rule that rewrites a model and leaves what it computes as it was."""

    #: As it is named in reports.
    name: ClassVar[str]

    @abstractmethod
    def apply(self, model: ir.Model) -> int:
        """Rewrite wherever the rule applies; returns how often it did, 0 when nothing is left."""


def nodes(model: ir.Model, *kinds: str) -> Iterator[tuple[ir.Graph, ir.Node]]:
    """Nodes of ONNX's own operators of these kinds (none named: of all), with their graphs.

    The bodies of If, Loop and Scan are graphs like the main one. Nodes may be removed and added
    while this goes on.
    """
    for graph in list(model.graphs()):
        for node in list(graph):
            if node.graph is graph and node.domain == "" and (not kinds or node.op_type in kinds):
                yield graph, node


def opset(model: ir.Model) -> int:
    """The version of ONNX's own operators."""
    return model.opset_imports.get("", 1)


def constant(value: ir.Value | None) -> Array | None:
    """What the value always is; None where a run decides.

    An initializer that is also an input is a default only: who runs the model may give another.
    """
    if value is None or value.is_graph_input():
        return None
    tensor = ir.convenience.get_const_tensor(value)
    if tensor is None or tensor.dtype == ir.DataType.STRING:
        return None
    return tensor.numpy()


def only_user(value: ir.Value) -> Any:
    """The one node that uses a value; None where several do, none does, or the caller gets it."""
    uses = value.uses()
    if len(uses) != 1 or value.is_graph_output():
        return None
    return uses[0][0]


def attribute(node: ir.Node, name: str, default: Any = None) -> Any:
    """An attribute's value."""
    found = node.attributes.get(name)
    return default if found is None else found.value


def given(node: ir.Node, index: int) -> ir.Value | None:
    """An input that may be left out: None where it was."""
    return node.inputs[index] if index < len(node.inputs) else None


def replaceable(old: ir.Value, new: ir.Value) -> bool:
    """Whether `replace(old, new)` can be done.

    An output of a graph must be made by a node of that graph, and once; a value that is an input,
    a constant or an output already cannot stand in for it.
    """
    if not old.is_graph_output():
        return True
    maker = new.producer()
    return maker is not None and maker.graph is old.graph and not new.is_graph_output()


def replace(old: ir.Value, new: ir.Value) -> None:
    """Let `new` be used wherever `old` was.

    It takes `old`'s name where it has none of its own, or where the name is an output's.
    """
    output = old.is_graph_output()
    new.shape, new.type = new.shape or old.shape, new.type or old.type
    old.replace_all_uses_with(new, replace_graph_outputs=output)
    if output:
        new.shape, new.type = old.shape, old.type
    if output or not new.name:
        name, old.name = old.name, None
        new.name = name


def substitute(graph: ir.Graph, old: Sequence[ir.Node], new: ir.Node) -> None:
    """Put a node with one output where the last of `old` was, and take `old` away.

    `old` is a chain: each but the last is used by the next one alone.
    """
    graph.insert_before(old[-1], new)
    replace(old[-1].outputs[0], new.outputs[0])
    graph.remove(list(old), safe=True)


def initializer(graph: ir.Graph, name: str, array: Array) -> ir.Value:
    """A new constant of a graph; the name must be free."""
    tensor = ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=name)
    value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype))
    value.const_value = tensor
    graph.register_initializer(value)
    return value


def fresh(model: ir.Model, name: str) -> str:
    """A name that no value of the model has: `name`, numbered where it is taken.

    Names within the body of an If or a Loop count too, since a body sees what is around it.
    """
    taken: set[str | None] = set()
    for graph in model.graphs():
        taken.update(value.name for value in (*graph.inputs, *graph.initializers.values()))
        taken.update(value.name for node in graph for value in node.outputs)
    if name not in taken:
        return name
    return next(n for k in range(1, len(taken) + 2) if (n := f"{name}.{k}") not in taken)
