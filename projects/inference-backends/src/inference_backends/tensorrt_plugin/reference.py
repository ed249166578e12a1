"""The operator in NumPy: what the compiled kernel must equal in each bit."""

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int8]

#: Bytes that move for an element: two inputs and the output; or each of dequantize, dequantize,
#: add, ReLU and quantize by itself, with float32 between them.
BYTES_FUSED, BYTES_SEPARATE = 3, 5 + 5 + 12 + 8 + 5


def factors(a_scale: float, b_scale: float, y_scale: float) -> tuple[np.float32, np.float32]:
    """What the inputs are multiplied by, rounded to float32.

    Raises ValueError unless the scales are positive and finite, and the factors finite too.
    """
    scales = (a_scale, b_scale, y_scale)
    if not all(np.isfinite(scale) and scale > 0 for scale in scales):
        raise ValueError(f"scales {scales}; positive, finite ones are taken")
    with np.errstate(over="ignore"):
        made = np.float32(a_scale / y_scale), np.float32(b_scale / y_scale)
    if max(made) >= 1e30:
        raise ValueError(f"factors {made[0]:g} and {made[1]:g}; less than 1e30 is taken")
    return made


def join(a: Integers, b: Integers, ka: np.float32, kb: np.float32) -> Integers:
    """The operator on int8 arrays of one shape, in float32, rounded after each step."""
    total = a.astype(np.float32) * ka + b.astype(np.float32) * kb
    return np.rint(np.clip(total, np.float32(0), np.float32(127))).astype(np.int8)


def join_as_onnx(
    a: Integers, b: Integers, a_scale: float, b_scale: float, y_scale: float
) -> Integers:
    """DequantizeLinear twice, Add, Relu, QuantizeLinear, as ONNX defines them, in float32.

    It divides by the output's scale last, where `join` has it in the factors; so a sum near a half
    may be rounded to the other side.
    """
    sa, sb, sy = (np.float32(scale) for scale in (a_scale, b_scale, y_scale))
    total = np.maximum(a.astype(np.float32) * sa + b.astype(np.float32) * sb, np.float32(0))
    return np.clip(np.rint(total / sy), -128, 127).astype(np.int8)
