"""Take away what changes nothing: identities, and work whose result nobody reads."""

from onnxscript import ir

from inference_backends.passes.rewriting import (
    Pass,
    attribute,
    constant,
    given,
    nodes,
    opset,
    replace,
    replaceable,
)


class RemoveIdentities(Pass):
    """Identity, and Dropout at inference: whoever used the output takes the input.

    One stays where it carries an input of the graph, or a constant, straight to an output: the
    output needs a node that makes it.
    """

    name = "identities"

    def apply(self, model: ir.Model) -> int:
        """Remove them all; returns how many."""
        count = 0
        for graph, node in nodes(model, "Identity", "Dropout"):
            source, result = node.inputs[0], node.outputs[0]
            if source is None or not replaceable(result, source):
                continue
            if node.op_type == "Dropout" and not self._idle(node, opset(model)):
                continue
            replace(result, source)
            graph.remove(node, safe=True)
            count += 1
        return count

    @staticmethod
    def _idle(node: ir.Node, version: int) -> bool:
        """Whether a Dropout drops nothing, and nobody reads its mask."""
        if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
            return False
        if version < 7:
            return bool(attribute(node, "is_test", 0))
        mode = given(node, 2)
        if mode is None:
            return True
        training = constant(mode)
        return training is not None and not training.any()


class RemoveDeadCode(Pass):
    """Nodes from which no path leads to an output, and constants that no node takes.

    One walk from the last node to the first is enough: when a node is looked at, all that could
    have used it has been.
    """

    name = "dead code"

    def apply(self, model: ir.Model) -> int:
        """Remove them all; returns how many nodes and constants went."""
        count = 0
        for graph in reversed(list(model.graphs())):  # bodies before the graphs that hold them
            for node in reversed(list(graph)):
                if not any(value.uses() or value.is_graph_output() for value in node.outputs):
                    graph.remove(node, safe=True)
                    count += 1
            for name, value in list(graph.initializers.items()):
                if not (value.uses() or value.is_graph_output() or value.is_graph_input()):
                    del graph.initializers[name]
                    count += 1
        return count
