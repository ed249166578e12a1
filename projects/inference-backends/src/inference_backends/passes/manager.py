"""Run passes until none finds anything, and say what each did."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx
from onnxscript import ir

from inference_backends.passes.cleanup import RemoveDeadCode, RemoveIdentities
from inference_backends.passes.convolution import (
    FuseActivation,
    FuseBatchNorm,
    FuseResidualAdd,
    FuseScale,
)
from inference_backends.passes.folding import FoldConstants
from inference_backends.passes.layout import CancelTransposes, SinkTransposes
from inference_backends.passes.rewriting import Pass

#: The result is ONNX that every runtime takes.
PORTABLE: tuple[Pass, ...] = (
    RemoveIdentities(),
    FoldConstants(),
    SinkTransposes(),
    CancelTransposes(),
    FuseBatchNorm(),
    FuseScale(),
    RemoveDeadCode(),
)
#: The result has operators that only ONNX Runtime has.
FUSING: tuple[Pass, ...] = (*PORTABLE, FuseResidualAdd(), FuseActivation(), RemoveDeadCode())


@dataclass(frozen=True)
class Step:
    """A pass that changed something.

    round : from 1; name : the pass's; rewrites : how often it applied; seconds : its own time.
    nodes : the operators of the main graph after it, by kind.
    """

    round: int
    name: str
    rewrites: int
    seconds: float
    nodes: Counter[str]


def optimize(
    model: onnx.ModelProto,
    passes: Sequence[Pass] = FUSING,
    *,
    see: Callable[[Step, onnx.ModelProto], None] | None = None,
    rounds: int = 100,
) -> tuple[onnx.ModelProto, list[Step]]:
    """Apply the passes in turn, again and again, until a round changes nothing.

    Parameters
    ----------
    model : is not changed.
    passes : in their order; each may make work for another.
    see : is shown each step with the model after it.
    rounds : more than these mean that two passes undo each other.

    Returns the new model, which ONNX's checker accepted after every step, and the steps. Raises
    onnx.checker.ValidationError where the model given, or a pass's result, is not valid, and
    RuntimeError where there is no end.
    """
    onnx.checker.check_model(model)
    current, steps = freeze_defaults(model), []
    graph = ir.from_proto(infer_shapes(current))
    for turn in range(1, rounds + 1):
        changed = False
        for step in passes:
            start = time.perf_counter()
            rewrites = step.apply(graph)
            spent = time.perf_counter() - start
            if not rewrites:
                continue
            changed = True
            current = ir.to_proto(graph)
            graph = ir.from_proto(infer_shapes(current))  # what is new has no shape yet
            onnx.checker.check_model(current, full_check=True)
            steps.append(Step(turn, step.name, rewrites, spent, operators(current)))
            if see is not None:
                see(steps[-1], current)
        if not changed:
            return current, steps
    raise RuntimeError(f"after {rounds} rounds the passes still find work: two undo each other")


def infer_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the shapes of what lies between, as far as ONNX can tell."""
    return onnx.shape_inference.infer_shapes(model)


def operators(model: onnx.ModelProto) -> Counter[str]:
    """The nodes of the main graph, by kind."""
    return Counter(node.op_type for node in model.graph.node)


def freeze_defaults(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which initializers are constants, for models from before 2019.

    Until version 3 of the format every initializer had to be listed among the inputs, so that it
    looked like a default that a caller may replace. Nobody meant that, and runtimes take them as
    constants; a model of a later version that lists one does mean it, and stays as it is.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if copy.ir_version >= 4:
        return copy
    constants = {tensor.name for tensor in copy.graph.initializer}
    inputs = [value for value in copy.graph.input if value.name not in constants]
    del copy.graph.input[:]
    copy.graph.input.extend(inputs)
    copy.ir_version = 4
    return copy
