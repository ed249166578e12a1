"""NVIDIA TensorRT: an engine compiled for one GPU, with kernels chosen by timing them there.

The network is strongly typed (TensorRT 11 has nothing else; 10 is asked for it): fp16 is a model in
half precision, int8 one with Q/DQ pairs (`inference_backends.explicit_quantization`). The engine
takes any number of images up to `MAX_BATCH` at a time; more are run in parts. Times of kernels are
kept in the user's cache, so that the second engine is built sooner.

Written for TensorRT 10.9 and later from its documentation; TensorRT's wheels are NVIDIA's own, and
no other package here needs them: `pip install tensorrt` on a machine with an NVIDIA GPU.
"""

import importlib.util
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from groundwork import files
from groundwork.data import fetch
from inference_backends.backends.base import (
    Backend,
    Batch,
    Precision,
    Session,
    SessionInfo,
    UnsupportedError,
)
from inference_backends.explicit_quantization import halved, symmetric_qdq, violations
from inference_backends.exporting import INPUT, OUTPUT, to_onnx

#: The largest batch that an engine takes at once, and the one that its kernels are timed for.
MAX_BATCH, TIMED_BATCH = 128, 64


class TensorRt(Backend):
    """TensorRT's engines on the first CUDA device."""

    name = "tensorrt"
    precisions = ("fp32", "fp16", "int8")

    def absent(self) -> str | None:
        """The library, or the device."""
        return absent_reason(
            importlib.util.find_spec("tensorrt") is not None, torch.cuda.is_available()
        )

    def _compile(
        self,
        model: nn.Module,
        example: Batch,
        precision: Precision,
        threads: int,
        elapsed: Callable[[], float],
    ) -> Session:
        import tensorrt as trt

        graph = typed_model(model, example, precision)
        plan = build_plan(graph.SerializeToString(), example.shape[1:])
        engine = trt.Runtime(logger()).deserialize_cuda_engine(plan)
        if engine is None:
            raise RuntimeError("tensorrt could not read the engine that it built")
        inspector = engine.create_engine_inspector()
        described = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
        info = SessionInfo(
            self.name,
            trt.__version__,
            precision,
            precision_of(described),
            threads,
            len(plan),
            elapsed(),
        )
        return TensorRtSession(engine, example.shape[1:], info)


def absent_reason(library: bool, device: bool) -> str | None:
    """Why TensorRT cannot be used, given what is there; None where it can."""
    lacking = [
        *([] if library else ["the package tensorrt is not installed"]),
        *([] if device else ["PyTorch finds no CUDA device"]),
    ]
    return " and ".join(lacking) or None


def typed_model(model: nn.Module, example: Batch, precision: Precision) -> Any:
    """The ONNX model that TensorRT is given: what it says is what TensorRT computes.

    Raises UnsupportedError where TensorRT would refuse it, with the first reason.
    """
    graph = to_onnx(model, example)
    if precision == "int8":
        graph = symmetric_qdq(graph, example)
    elif precision == "fp16":
        graph = halved(graph)
    faults = violations(graph)
    if faults:
        raise UnsupportedError(f"tensorrt does not take {faults[0]}; eager and onnxruntime may")
    return graph


def profile_shapes(
    shape: tuple[int, ...], timed: int = TIMED_BATCH, largest: int = MAX_BATCH
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Least, timed and largest shape of the input, for images of this shape.

    Raises ValueError unless 1 <= timed <= largest.
    """
    if not 1 <= timed <= largest:
        raise ValueError(f"timed = {timed}, largest = {largest}; 1 <= timed <= largest is taken")
    return (1, *shape), (timed, *shape), (largest, *shape)


def parts(count: int, largest: int = MAX_BATCH) -> Iterator[slice]:
    """Where to cut so many images, so that no part is larger than the engine takes."""
    return (slice(k, min(k + largest, count)) for k in range(0, count, largest))


def precision_of(described: str) -> Precision:
    """The lowest precision that an engine's layers read, from its inspector's JSON.

    TensorRT 10 says an input's type in `Format/Datatype`, 11 in `DataType` beside `Format`. Copies
    that only change a format do not count. Raises ValueError where no layer tells its types: the
    engine was built without detailed profiling.
    """
    seen: set[Precision] = set()
    for layer in json.loads(described).get("Layers", []):
        if not isinstance(layer, dict) or layer.get("LayerType") in ("Reformat", "NoOp"):
            continue
        for tensor in layer.get("Inputs", []):
            seen |= set(_precisions(tensor))
    for precision in ("int8", "fp16", "fp32"):
        if precision in seen:
            return precision
    raise ValueError("the engine's layers do not tell their types; build it with details")


def _precisions(tensor: dict[str, Any]) -> Iterator[Precision]:
    told = " ".join(
        str(value).lower()
        for key, value in tensor.items()
        if key.lower().startswith("format") or key.lower() == "datatype"
    )
    words: tuple[tuple[str, Precision], ...] = (
        ("int8", "int8"),
        ("fp16", "fp16"),
        ("half", "fp16"),
        ("fp32", "fp32"),
        ("float", "fp32"),
    )
    return (precision for word, precision in words if word in told)


@cache
def logger() -> Any:
    """TensorRT's logger: one for all that is made; it tells errors only."""
    import tensorrt as trt

    return trt.Logger(trt.Logger.ERROR)


def build_plan(
    content: bytes, shape: tuple[int, ...], timed: int = TIMED_BATCH, largest: int = MAX_BATCH
) -> bytes:
    """The engine's file for an ONNX model whose input is `images` (n, *shape).

    Raises UnsupportedError with the parser's first complaint, RuntimeError where no engine could
    be built.
    """
    import tensorrt as trt

    builder = trt.Builder(logger())
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, logger())
    if not parser.parse(content):
        told = parser.get_error(0).desc() if parser.num_errors else "no reason given"
        raise UnsupportedError(f"tensorrt's parser refuses the network: {told.splitlines()[0]}")
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    # Products of 10-bit mantissas are not float32.
    config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    profile.set_shape(INPUT, *profile_shapes(shape, timed, largest))
    config.add_optimization_profile(profile)
    return build(builder, network, config)


def build(builder: Any, network: Any, config: Any) -> bytes:
    """The engine's file for a network, with the kernels' times of earlier builds on this GPU.

    Raises RuntimeError where no engine could be built.
    """
    place = timing_cache_path()
    known = place.read_bytes() if place.is_file() else b""
    config.set_timing_cache(config.create_timing_cache(known), ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeError("tensorrt could not build an engine; its log says why")
    files.write_bytes(place, bytes(memoryview(config.get_timing_cache().serialize())))
    return bytes(memoryview(plan))


def timing_cache_path() -> Path:
    """Where the kernels' times are kept, for this version and GPU."""
    import tensorrt as trt

    device = "".join(c if c.isalnum() else "-" for c in torch.cuda.get_device_name(0))
    return fetch.cache() / "tensorrt" / f"{trt.__version__}-{device}.timing"


class TensorRtSession(Session):
    """An engine with a context, a stream and buffers of its own."""

    def __init__(self, engine: Any, shape: tuple[int, ...], info: SessionInfo) -> None:
        super().__init__(shape, info)
        self._engine = engine
        self._context = engine.create_execution_context()
        if self._context is None:
            raise RuntimeError("tensorrt could not make an execution context; the GPU may be full")
        self._largest = engine.get_tensor_profile_shape(INPUT, 0)[2][0]
        classes = engine.get_tensor_shape(OUTPUT)[1]
        self._stream = torch.cuda.Stream()
        self._images = torch.empty(self._largest, *shape, device="cuda")
        self._logits = torch.empty(self._largest, classes, device="cuda")
        self._context.set_tensor_address(INPUT, self._images.data_ptr())
        self._context.set_tensor_address(OUTPUT, self._logits.data_ptr())
        self._stream.wait_stream(torch.cuda.current_stream())

    def enqueue(self, count: int) -> Tensor:
        """Start the engine on what lies in its first `count` images; gives the logits' buffer.

        Nothing is copied and nothing is waited for: this is what a loop on the GPU would call.
        """
        if not self._context.set_input_shape(INPUT, (count, *self.shape)):
            raise RuntimeError(f"tensorrt does not take {count} images at once")
        if not self._context.execute_async_v3(self._stream.cuda_stream):
            raise RuntimeError("tensorrt could not start the engine; its log says why")
        return self._logits[:count]

    def synchronize(self) -> None:
        """Wait until all that was started is done."""
        self._stream.synchronize()

    def _run(self, batch: Batch) -> Batch:
        logits = np.empty((len(batch), self._logits.shape[1]), np.float32)
        with torch.cuda.stream(self._stream):
            for part in parts(len(batch), self._largest):
                count = part.stop - part.start
                source = batch[part]
                source = source if source.flags.writeable else source.copy()
                self._images[:count].copy_(torch.from_numpy(source))
                logits[part] = self.enqueue(count).cpu().numpy()
        return logits
