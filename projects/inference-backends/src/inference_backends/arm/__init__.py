"""Two integer kernels for 64-bit ARM, studied without a board: built, emulated, predicted.

`build` compiles them, `emulate` runs them and counts their instructions, `predict` gives the cycles
that a real core would take for their inner loops.
"""

from inference_backends.arm.building import BUILDS, KERNELS, Build, Kernel, build, build_flags
from inference_backends.arm.emulating import Trace, emulate, reference, trace
from inference_backends.arm.predicting import (
    CORES,
    Core,
    Loop,
    Prediction,
    hot_loop,
    peak,
    predict,
    scheduling_model,
)
from inference_backends.arm.tools import Tools, find_tools

__all__ = [
    "BUILDS",
    "CORES",
    "KERNELS",
    "Build",
    "Core",
    "Kernel",
    "Loop",
    "Prediction",
    "Tools",
    "Trace",
    "build",
    "build_flags",
    "emulate",
    "find_tools",
    "hot_loop",
    "peak",
    "predict",
    "reference",
    "scheduling_model",
    "trace",
]
