"""LiteRT, which was TensorFlow Lite: the runtime of phones and small boards, on XNNPACK kernels.

int8 is full-integer: signed 8-bit activations with a zero point, by their least and greatest value
on the example, symmetric signed weights per channel. The network takes and gives float32; its first
operator quantizes, its last one goes back.
"""

from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from inference_backends import litert
from inference_backends.backends.base import Backend, Batch, Precision, Session, SessionInfo

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

#: How far the answers may be from PyTorch's, root mean square over that of the logits.
_ALLOWED: dict[Precision, float] = {"fp32": 1e-3, "int8": 0.5}


class LiteRt(Backend):
    """LiteRT's interpreter on the CPU."""

    name = "litert"
    precisions = ("fp32", "int8")

    def absent(self) -> str | None:
        """The runtime, and the environment of the converter."""
        return litert.absent()

    def _compile(
        self,
        model: nn.Module,
        example: Batch,
        precision: Precision,
        threads: int,
        elapsed: Callable[[], float],
    ) -> Session:
        content = litert.convert(model, example, "int8" if precision == "int8" else "fp32")
        session = open_session(content, example.shape[1:], precision, threads)
        _check(session, model, example[:16], _ALLOWED[precision])
        return session.after(elapsed())


def open_session(
    content: bytes, shape: tuple[int, ...], asked: Precision, threads: int
) -> "LiteRtSession":
    """A session for a flatbuffer whose images are of this shape; it says what is truly used."""
    used: Precision = "int8" if litert.contents(content).integer else "fp32"
    version = metadata.version("ai-edge-litert")
    info = SessionInfo(LiteRt.name, version, asked, used, threads, len(content), 0.0)
    return LiteRtSession(content, shape, info)


class LiteRtSession(Session):
    """One interpreter for each number of images, made when it is first wanted."""

    def __init__(self, content: bytes, shape: tuple[int, ...], info: SessionInfo) -> None:
        super().__init__(shape, info)
        self.content = content
        self._interpreters: dict[int, tuple[Interpreter, int, int]] = {}

    def after(self, seconds: float) -> "LiteRtSession":
        """Itself, made in so many seconds."""
        self._info = replace(self._info, compile_s=seconds)
        return self

    def _run(self, batch: Batch) -> Batch:
        interpreter, entry, exit = self._interpreter(len(batch))
        interpreter.set_tensor(entry, batch)
        interpreter.invoke()
        logits: Batch = interpreter.get_tensor(exit)
        return logits

    def _interpreter(self, size: int) -> "tuple[Interpreter, int, int]":
        if size not in self._interpreters:
            made = litert.open_interpreter(self.content, self._info.threads, size)
            ends = made.get_input_details()[0]["index"], made.get_output_details()[0]["index"]
            self._interpreters[size] = (made, *ends)
        return self._interpreters[size]


def _check(session: Session, model: nn.Module, images: Batch, allowed: float) -> None:
    """Raise RuntimeError where a converted network does not answer as PyTorch does."""
    with torch.inference_mode():
        wanted = model(torch.from_numpy(images)).numpy()
    for found in (session.run(images), session.run(images[:1])):
        part = wanted[: len(found)]
        scale = float(np.sqrt(np.mean(wanted**2))) or 1.0
        off = float(np.sqrt(np.mean((found - part) ** 2))) / scale
        if not off <= allowed:  # NaN is not
            raise RuntimeError(
                f"LiteRT's answers are {off:.2g} of the logits' size away from PyTorch's, more "
                f"than {allowed:g}; the converted network is not used"
            )
