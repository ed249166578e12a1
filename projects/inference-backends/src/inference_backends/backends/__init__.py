"""All backends by name; a runtime is imported when it is asked for."""

from inference_backends.backends.base import (
    PRECISIONS,
    AbsentError,
    Backend,
    Batch,
    Precision,
    Session,
    SessionInfo,
    UnsupportedError,
)

#: In the order of the tables.
NAMES = (
    "eager",
    "compile",
    "aot-inductor",
    "onnxruntime",
    "openvino",
    "tvm",
    "litert",
    "tensorrt",
)

__all__ = [
    "NAMES",
    "PRECISIONS",
    "AbsentError",
    "Backend",
    "Batch",
    "Precision",
    "Session",
    "SessionInfo",
    "UnsupportedError",
    "absent_backends",
    "available_backends",
    "make_backend",
]


def make_backend(name: str) -> Backend:
    """The backend of this name, whether or not it can be used here.

    Raises ValueError for another name.
    """
    match name:
        case "eager":
            from inference_backends.backends.torch_eager import TorchEager

            return TorchEager()
        case "compile":
            from inference_backends.backends.torch_compile import TorchCompile

            return TorchCompile()
        case "aot-inductor":
            from inference_backends.backends.aot_inductor import AotInductor

            return AotInductor()
        case "onnxruntime":
            from inference_backends.backends.onnx_runtime import OnnxRuntime

            return OnnxRuntime()
        case "openvino":
            from inference_backends.backends.open_vino import OpenVino

            return OpenVino()
        case "tvm":
            from inference_backends.backends.tvm_llvm import Tvm

            return Tvm()
        case "litert":
            from inference_backends.backends.lite_rt import LiteRt

            return LiteRt()
        case "tensorrt":
            from inference_backends.backends.tensor_rt import TensorRt

            return TensorRt()
    raise ValueError(f"backend {name!r}; {', '.join(NAMES)} are taken")


def available_backends() -> list[Backend]:
    """Those that can be used on this machine."""
    return [backend for backend in map(make_backend, NAMES) if backend.absent() is None]


def absent_backends() -> dict[str, str]:
    """Why each of the others cannot, in one line: name → reason."""
    reasons = {name: make_backend(name).absent() for name in NAMES}
    return {name: reason for name, reason in reasons.items() if reason}
