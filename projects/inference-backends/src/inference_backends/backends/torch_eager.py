"""PyTorch as it comes: each layer called in turn. The base line of all comparisons."""

import copy
from collections.abc import Callable

import torch
from torch import nn

from inference_backends.backends.base import Backend, Batch, Precision, Session, SessionInfo
from inference_backends.backends.torch_session import DTYPES, TorchSession, state_bytes
from inference_backends.exporting import check_fits


class TorchEager(Backend):
    """PyTorch's module.

    fp32 is a contiguous module as everybody calls it; bf16 and fp16 are copies of that type with
    the channels last, which is quicker for them.
    """

    name = "eager"
    precisions = ("fp32", "bf16", "fp16")

    def absent(self) -> str | None:
        """None: the package cannot be imported without PyTorch."""
        return None

    def _compile(
        self,
        model: nn.Module,
        example: Batch,
        precision: Precision,
        threads: int,
        elapsed: Callable[[], float],
    ) -> Session:
        check_fits(model, example)
        dtype = DTYPES[precision]
        copied = copy.deepcopy(model).to(dtype)
        last = precision != "fp32"
        if last:
            copied = copied.to(memory_format=torch.channels_last)
        used = {v: k for k, v in DTYPES.items()}[next(copied.parameters()).dtype]
        info = SessionInfo(
            self.name, torch.__version__, precision, used, threads, state_bytes(copied), elapsed()
        )
        return TorchSession(torch.inference_mode()(copied), example.shape[1:], info, dtype, last)
