r"""A custom operator for TensorRT: where a residual block's two branches meet, in integers.

With int8 tensors $a$, $b$ of scales $s_a$, $s_b$, and an output of scale $s_y$,

$$y = \mathrm{clamp}(\mathrm{round}(k_a a + k_b b), 0, 127), \qquad
k_a = s_a / s_y, \quad k_b = s_b / s_y,$$

is their sum, ReLU and requantization at once: 3 bytes an element move, against 35 where each of
the five operations reads and writes its own tensor. `junction.h` says what a thread does, once, for
the GPU's compiler and for a C compiler; `kernel` compiles it for either, `network` puts it into
TensorRT networks by its plugin interface of version 3.
"""

from inference_backends.tensorrt_plugin.kernel import (
    CudaCode,
    compile_for_cpu,
    compile_for_gpu,
    instruction_counts,
    kernel_facts,
)
from inference_backends.tensorrt_plugin.reference import (
    BYTES_FUSED,
    BYTES_SEPARATE,
    factors,
    join,
    join_as_onnx,
)

__all__ = [
    "BYTES_FUSED",
    "BYTES_SEPARATE",
    "CudaCode",
    "compile_for_cpu",
    "compile_for_gpu",
    "factors",
    "instruction_counts",
    "join",
    "join_as_onnx",
    "kernel_facts",
]
