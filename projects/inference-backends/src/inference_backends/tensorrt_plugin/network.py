"""The operator on a GPU: launched by the driver, and as a plugin in TensorRT networks.

TensorRT's plugin interface of version 3, by the decorators of `tensorrt.plugin` (10.7 and later):
one function says the output's type and shape, another hands over PTX and the launch's numbers at
build time ("ahead of time"). The engine holds the kernel itself: no Python runs at inference, and
the engine's file needs nothing but TensorRT.

NVIDIA's documentation: *Writing custom operators with TensorRT Python plugins*.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inference_backends.backends.tensor_rt import build, logger
from inference_backends.tensorrt_plugin.kernel import (
    KERNEL,
    PER_BLOCK,
    PER_THREAD,
    CudaCode,
    blocks_for,
    compile_for_gpu,
    float_bits,
)
from inference_backends.tensorrt_plugin.reference import factors


def architecture() -> str:
    """The first CUDA device's, as compilers name it."""
    major, minor = torch.cuda.get_device_capability(0)
    return f"sm_{major}{minor}"


def load(code: CudaCode) -> Callable[[Tensor, Tensor, Tensor, np.float32, np.float32], None]:
    """The kernel as a function of CUDA tensors a, b, y of int8, on PyTorch's current stream.

    Raises RuntimeError with the driver's number where it refuses.
    """
    torch.zeros(1, device="cuda")  # makes the context that the driver loads into
    driver = ctypes.CDLL("libcuda.so.1")

    def check(status: int, what: str) -> None:
        if status:
            raise RuntimeError(f"the CUDA driver could not {what}: error {status}")

    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    check(driver.cuModuleLoadData(ctypes.byref(module), code.cubin), "load the kernel")
    check(
        driver.cuModuleGetFunction(ctypes.byref(function), module, KERNEL.encode()),
        "find the kernel",
    )

    def launch(a: Tensor, b: Tensor, y: Tensor, ka: np.float32, kb: np.float32) -> None:
        numbers = (a.numel(), float_bits(ka), float_bits(kb))
        values: list[Any] = [ctypes.c_void_p(tensor.data_ptr()) for tensor in (a, b)]
        values += [ctypes.c_int(number) for number in numbers]
        values.append(ctypes.c_void_p(y.data_ptr()))
        pointers = (ctypes.c_void_p * len(values))(
            *(ctypes.cast(ctypes.byref(value), ctypes.c_void_p) for value in values)
        )
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        status = driver.cuLaunchKernel(
            function, blocks_for(a.numel()), 1, 1, PER_BLOCK, 1, 1, 0, stream, pointers, None
        )
        check(status, "launch the kernel")

    return launch


@cache
def register() -> Any:
    """Make the operator known to TensorRT as `groundwork::junction`; gives its constructor.

    Raises RuntimeError where TensorRT is too old for kernels handed over at build time.
    """
    import tensorrt as trt
    import tensorrt.plugin as trtp

    if not hasattr(trtp, "aot_impl"):
        raise RuntimeError(f"tensorrt {trt.__version__} takes no PTX; 10.9 or later is wanted")

    @trtp.register("groundwork::junction")
    def describe(
        a: trtp.TensorDesc, b: trtp.TensorDesc, ka_bits: int, kb_bits: int
    ) -> trtp.TensorDesc:
        return a.like()

    @trtp.autotune("groundwork::junction")
    def choose(a, b, ka_bits, kb_bits, outputs):  # type: ignore[no-untyped-def]
        return [trtp.AutoTuneCombination("INT8, INT8, INT8", "LINEAR")]

    # TensorRT reads the annotation of what is returned, and asks for one.
    @trtp.aot_impl("groundwork::junction")
    def hand_over(  # type: ignore[no-untyped-def]
        a, b, ka_bits, kb_bits, outputs, tactic
    ) -> tuple[str | bytes, str | bytes, trtp.KernelLaunchParams, trtp.SymIntExprs]:
        count = a.shape_expr.numel()
        launch = trtp.KernelLaunchParams()
        launch.grid_x = trtp.cdiv(count, PER_BLOCK * PER_THREAD)
        launch.block_x = PER_BLOCK
        numbers = [trtp.SymInt32(number) for number in (count, ka_bits, kb_bits)]
        ptx = compile_for_gpu(architecture()).ptx
        return KERNEL.encode(), ptx.encode(), launch, trtp.SymIntExprs.from_tuple(numbers)

    return trtp.op.groundwork.junction


def junction_plan(shape: tuple[int, ...], scales: tuple[float, float, float], own: bool) -> bytes:
    """An engine of the operator alone, int8 in and out: by the plugin, or by TensorRT's own layers.

    shape : of both inputs, `a` and `b`; scales : of a, b and the output `y`.
    """
    import tensorrt as trt

    builder = trt.Builder(logger())
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    a, b = (network.add_input(name, trt.int8, shape) for name in "ab")
    if own:
        ka, kb = factors(*scales)
        made = register()(a, b, ka_bits=float_bits(ka), kb_bits=float_bits(kb))
        y = network.add_plugin(made, aot=True).get_output(0)
    else:
        keep = [np.array(scale, np.float32) for scale in scales]
        sa, sb, sy = (network.add_constant((), value).get_output(0) for value in keep)
        real = [
            network.add_dequantize(tensor, scale, trt.float32).get_output(0)
            for tensor, scale in ((a, sa), (b, sb))
        ]
        total = network.add_elementwise(*real, trt.ElementWiseOperation.SUM).get_output(0)
        above = network.add_activation(total, trt.ActivationType.RELU).get_output(0)
        y = network.add_quantize(above, sy, trt.int8).get_output(0)
    y.name = "y"
    network.mark_output(y)
    return build(builder, network, builder.create_builder_config())


def engine_call(plan: bytes, tensors: dict[str, Tensor]) -> Callable[[], None]:
    """A function that starts an engine on CUDA tensors, by their names, on the current stream."""
    import tensorrt as trt

    engine = trt.Runtime(logger()).deserialize_cuda_engine(plan)
    context = engine.create_execution_context()
    for name, tensor in tensors.items():
        context.set_tensor_address(name, tensor.data_ptr())

    def start() -> None:
        if not context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
            raise RuntimeError("tensorrt could not start the engine; its log says why")
        _ = engine, tensors  # both must outlive the calls

    return start
