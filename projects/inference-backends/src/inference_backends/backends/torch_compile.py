"""PyTorch's own compiler: `torch.compile` with the weights frozen into the graph.

int8 is PyTorch's post-training quantization (PT2E, by torchao): ranges by histograms, weights per
channel, with the integer kernels of oneDNN.
"""

import importlib.util
import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from inference_backends.backends.base import (
    Backend,
    Batch,
    Precision,
    Session,
    SessionInfo,
    UnsupportedError,
)
from inference_backends.backends.torch_session import (
    DTYPES,
    TorchSession,
    state_bytes,
    torch_threads,
)
from inference_backends.exporting import export_program
from inference_backends.quiet import quiet

#: How many numbers of images an int8 session takes in its life.
MOST_SIZES = 256


class TorchCompile(Backend):
    """`torch.compile`: one code for many images, others for few and for a single one.

    In int8 each number of images has its own: with a symbolic one the compiler takes the integer
    convolutions' outputs for laid out otherwise than they are, and its own check stops the run.
    """

    name = "compile"
    precisions = ("fp32", "bf16", "int8")

    def absent(self) -> str | None:
        """Inductor builds its kernels with a C++ compiler; int8 is torchao's."""
        if not (shutil.which("g++") or shutil.which("clang++")):
            return "no C++ compiler: g++ or clang++ is needed"
        if importlib.util.find_spec("torchao") is None:
            return "torchao is not installed"
        return None

    def _compile(
        self,
        model: nn.Module,
        example: Batch,
        precision: Precision,
        threads: int,
        elapsed: Callable[[], float],
    ) -> Session:
        # An exported module has a code object of its own; the compiler's limit of compilations
        # is one for each code object, and would soon be met by many sessions of the same class.
        program = export_program(model, example, DTYPES.get(precision, torch.float32))
        module: Any = program.module(check_guards=False)
        if precision == "int8":
            module = quantized_program(module, example)
        call = Frozen(torch.compile(module, dynamic=precision != "int8", fullgraph=True))
        info = SessionInfo(
            self.name, torch.__version__, precision, precision, threads, state_bytes(module), 0.0
        )
        session = TorchSession(call, example.shape[1:], info)
        try:
            with quiet():
                session.prepare(64)
        except Exception as error:
            line = str(error).strip().splitlines()[0]
            raise UnsupportedError(
                f"compile cannot compile the network ({line}); eager takes it"
            ) from error
        return session.told(compile_s=elapsed())


class Frozen:
    """A compiled function whose weights are constants of the code that is made for it.

    The setting must hold while code is made, which is when a number of images is seen first; an
    option of `torch.compile` reaches only one of the two compilers that have to know.
    """

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self._sizes: set[int] = set()

    def __call__(self, x: torch.Tensor) -> Any:
        """Images → logits."""
        if len(x) in self._sizes:
            return self._call(x)
        with (
            torch._inductor.config.patch(freezing=True),
            torch._dynamo.config.patch(recompile_limit=MOST_SIZES),
            quiet(),
        ):
            logits = self._call(x)
        self._sizes.add(len(x))
        return logits


def quantized_program(module: nn.Module, example: Batch) -> nn.Module:
    """An exported module in int8, calibrated on the images; computes as before compilation."""
    with quiet():
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

        quantizer = x86.X86InductorQuantizer()
        quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
        prepared = prepare_pt2e(module, quantizer)
        with torch_threads(1), torch.no_grad():
            for images in torch.from_numpy(example).split(100):
                prepared(images)
        return convert_pt2e(prepared)
