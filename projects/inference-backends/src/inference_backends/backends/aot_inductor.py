"""PyTorch's compiler ahead of time: a package with a shared library, loaded without Python code."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

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
from inference_backends.backends.torch_session import DTYPES, TorchSession, torch_threads
from inference_backends.exporting import export_program
from inference_backends.quiet import quiet


class AotInductor(Backend):
    """AOTInductor: one package for any number of images."""

    name = "aot-inductor"
    precisions = ("fp32", "bf16")

    def absent(self) -> str | None:
        """A C++ compiler builds the package."""
        if not (shutil.which("g++") or shutil.which("clang++")):
            return "no C++ compiler: g++ or clang++ is needed"
        return None

    def _compile(
        self,
        model: nn.Module,
        example: Batch,
        precision: Precision,
        threads: int,
        elapsed: Callable[[], float],
    ) -> Session:
        program = export_program(model, example, DTYPES[precision])
        try:
            with (
                quiet(),
                torch_threads(threads),
                torch.no_grad(),
                tempfile.TemporaryDirectory() as folder,
            ):
                package = torch._inductor.aoti_compile_and_package(
                    program,
                    package_path=str(Path(folder) / "network.pt2"),
                    inductor_configs={"freezing": True},
                )
                size = Path(package).stat().st_size
                loaded = torch._inductor.aoti_load_package(package)
        except Exception as error:
            line = str(error).strip().splitlines()[0]
            raise UnsupportedError(
                f"aot-inductor cannot compile the network ({line}); eager takes it"
            ) from error
        info = SessionInfo(
            self.name, torch.__version__, precision, precision, threads, size, elapsed()
        )
        return TorchSession(loaded, example.shape[1:], info)
