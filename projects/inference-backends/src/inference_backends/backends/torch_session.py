"""What the three backends that PyTorch itself runs have in common."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from inference_backends.backends.base import Batch, Precision, Session, SessionInfo

DTYPES: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let PyTorch use so many threads for what the calling thread does; then as many as before."""
    before = torch.get_num_threads()
    if before != count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if before != count:
            torch.set_num_threads(before)


class TorchSession(Session):
    """Tensors in, tensors out, under the session's own number of threads.

    Parameters
    ----------
    call : images → logits.
    dtype, channels_last : in which form it takes the images.
    """

    def __init__(
        self,
        call: Callable[[Tensor], Tensor],
        shape: tuple[int, ...],
        info: SessionInfo,
        dtype: torch.dtype = torch.float32,
        channels_last: bool = False,
    ) -> None:
        super().__init__(shape, info)
        self._call = call
        self._dtype = dtype
        self._format = torch.channels_last if channels_last else torch.contiguous_format

    def told(self, **changes: Any) -> Self:
        """Itself, with what is only known once it has run."""
        self._info = replace(self._info, **changes)
        return self

    def _run(self, batch: Batch) -> Batch:
        # PyTorch warns of an array that may not be written to.
        x = torch.from_numpy(batch if batch.flags.writeable else batch.copy())
        with torch_threads(self._info.threads), torch.no_grad():
            x = x.to(self._dtype, memory_format=self._format)
            logits: Batch = self._call(x).float().numpy()
        return logits


def state_bytes(model: nn.Module) -> int:
    """Bytes of the file that `torch.save` makes of the module's numbers."""
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.tell()
