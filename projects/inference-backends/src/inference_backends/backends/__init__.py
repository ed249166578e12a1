"""All backends by name; a runtime is imported when it is asked for."""

from importlib import import_module

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

#: Name → module and class.
_HOMES = {
    "eager": "torch_eager:TorchEager",
    "compile": "torch_compile:TorchCompile",
    "aot-inductor": "aot_inductor:AotInductor",
    "onnxruntime": "onnx_runtime:OnnxRuntime",
    "openvino": "open_vino:OpenVino",
    "tvm": "tvm_llvm:Tvm",
    "litert": "lite_rt:LiteRt",
    "tensorrt": "tensor_rt:TensorRt",
}
NAMES = tuple(_HOMES)

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
    if name not in _HOMES:
        raise ValueError(f"backend {name!r}; {', '.join(NAMES)} are taken")
    module, _, class_ = _HOMES[name].partition(":")
    made: Backend = getattr(import_module(f"{__name__}.{module}"), class_)()
    return made


def available_backends() -> list[Backend]:
    """Those that can be used on this machine."""
    return [backend for backend in map(make_backend, NAMES) if backend.absent() is None]


def absent_backends() -> dict[str, str]:
    """Why each of the others cannot, in one line: name → reason."""
    reasons = {name: make_backend(name).absent() for name in NAMES}
    return {name: reason for name, reason in reasons.items() if reason}
