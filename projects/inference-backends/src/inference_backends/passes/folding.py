"""Compute beforehand what does not depend on the inputs."""

import math
import warnings

import numpy as np
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnxscript import ir

from inference_backends.passes.rewriting import (
    Array,
    Pass,
    attribute,
    constant,
    initializer,
    nodes,
    opset,
    replace,
)

#: Operators that give another value each time.
RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial",
     "Bernoulli", "Dropout"}
)  # fmt: skip


class FoldConstants(Pass):
    """Replace a node whose inputs are all constant by its value, as ONNX's reference computes it.

    Going through the graph once in order folds whole constant subgraphs, since what was folded is
    constant for those behind it. The shape of a tensor counts as constant where it is declared in
    full. Left alone are random operators, those with bodies (If, Loop, Scan), what is not a tensor
    of numbers, values above `limit` bytes (they would swell the file), and what the reference does
    not implement.
    """

    name = "constants"

    def __init__(self, limit: int = 1 << 24) -> None:
        self.limit = limit

    def apply(self, model: ir.Model) -> int:
        """Fold them all; returns how many nodes went."""
        count = 0
        for graph, node in nodes(model):
            lone = node.op_type == "Constant" and node.outputs[0].is_graph_output()
            values = None if lone else self._values(node, opset(model))
            if values is None:
                continue
            for output, value in zip(node.outputs, values, strict=True):
                if output.is_graph_output():  # a node must make it: let it be a Constant
                    tensor = ir.tensor(value, name=output.name)
                    maker = ir.node("Constant", [], {"value": tensor})
                    graph.insert_before(node, maker)
                    replace(output, maker.outputs[0])
                else:
                    name, output.name = str(output.name), None
                    replace(output, initializer(graph, name, value))
            graph.remove(node, safe=True)
            count += 1
        return count

    def _values(self, node: ir.Node, version: int) -> list[Array] | None:
        """What the outputs always are; None where that is not known."""
        if node.op_type in RANDOM or any(
            attr.is_ref() or attr.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
            for attr in node.attributes.values()
        ):
            return None
        if node.op_type == "Shape":
            return self._shape(node)
        feeds: dict[str, Array] = {}
        for value in node.inputs:
            if value is None:
                continue
            known = constant(value)
            if known is None or not value.name:
                return None
            feeds[value.name] = known
        if self._declared_size(node) > self.limit:
            return None
        found = evaluate(node, feeds, version)
        if found is None or sum(array.nbytes for array in found) > self.limit:
            return None
        return found

    @staticmethod
    def _declared_size(node: ir.Node) -> float:
        """Bytes of the outputs, as far as their shapes are known."""
        return math.fsum(
            math.prod(d for d in value.shape if isinstance(d, int)) * value.dtype.itemsize
            for value in node.outputs
            if value.shape is not None and value.dtype is not None
        )

    @staticmethod
    def _shape(node: ir.Node) -> list[Array] | None:
        source = node.inputs[0]
        if source is None or source.shape is None:
            return None
        part = source.shape[attribute(node, "start", 0) : attribute(node, "end")]
        if not all(isinstance(size, int) for size in part):
            return None
        return [np.array(part, np.int64)]


def evaluate(node: ir.Node, feeds: dict[str, Array], version: int) -> list[Array] | None:
    """A node's outputs by ONNX's reference evaluator; None where it cannot tell."""
    proto = ir.to_proto(node)
    names = [name for name in proto.output if name]
    graph = helper.make_graph(
        [proto],
        "constant",
        [helper.make_empty_tensor_value_info(name) for name in feeds],
        [helper.make_empty_tensor_value_info(name) for name in names],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)])
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = ReferenceEvaluator(model).run(None, feeds)
        except Exception:  # whatever it raises, it means that it has no answer
            return None
    if len(names) != len(node.outputs) or not all(isinstance(a, np.ndarray) for a in found):
        return None
    for output, array in zip(node.outputs, found, strict=True):
        if array.dtype.kind in "OSUT":
            return None
        if output.dtype is not None and ir.tensor(array).dtype != output.dtype:
            return None
        # A branch that is never taken may hold what makes no sense, such as 5 split into 4 parts:
        # there shape inference and the evaluator disagree.
        if output.shape is not None and (
            len(output.shape) != array.ndim
            or any(
                isinstance(size, int) and size != length
                for size, length in zip(output.shape, array.shape, strict=True)
            )
        ):
            return None
    return list(found)
