"""Graph passes on ONNX models: each a rule small enough to be read, run to a fixed point.

>>> small, steps = optimize(model)              # for ONNX Runtime
>>> small, steps = optimize(model, PORTABLE)    # for every runtime
"""

from inference_backends.passes.cleanup import RemoveDeadCode, RemoveIdentities
from inference_backends.passes.convolution import (
    FuseActivation,
    FuseBatchNorm,
    FuseResidualAdd,
    FuseScale,
)
from inference_backends.passes.folding import FoldConstants
from inference_backends.passes.layout import CancelTransposes, SinkTransposes
from inference_backends.passes.manager import FUSING, PORTABLE, Step, operators, optimize
from inference_backends.passes.rewriting import Pass

__all__ = [
    "FUSING",
    "PORTABLE",
    "CancelTransposes",
    "FoldConstants",
    "FuseActivation",
    "FuseBatchNorm",
    "FuseResidualAdd",
    "FuseScale",
    "Pass",
    "RemoveDeadCode",
    "RemoveIdentities",
    "SinkTransposes",
    "Step",
    "operators",
    "optimize",
]
