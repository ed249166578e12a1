"""What every backend is: it compiles a network, and the session that it gives runs batches.

A *backend* is a way to run a trained PyTorch module for images: PyTorch itself, or another runtime
with its own compiler. All of them are called the same way, so that one contract suite tests them
and one benchmark measures them.

>>> backend = make_backend("onnxruntime")
>>> session = backend.compile(model, images, precision="int8", threads=2)
>>> logits = session.run(images)
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from torch import nn

Precision = Literal["fp32", "bf16", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Batch = NDArray[np.float32]


class UnsupportedError(ValueError):
    """A network or a precision that the backend does not take; the text says what it does take."""


class AbsentError(RuntimeError):
    """The backend's library is not to be had on this machine; the text says why in one line."""


@dataclass(frozen=True)
class SessionInfo:
    """What was made of a network.

    Parameters
    ----------
    backend : its name; version : of the library that runs.
    precision : the one truly used, as the runtime says; `asked` may differ.
    threads : how many the session uses.
    size_bytes : of the file that would be deployed.
    compile_s : seconds from the module to the session, calibration and tuning counted in.
    """

    backend: str
    version: str
    asked: Precision
    precision: Precision
    threads: int
    size_bytes: int
    compile_s: float


class Session(ABC):
    """A compiled network; made by `Backend.compile`, safe to be used from one thread at a time.

    Parameters
    ----------
    shape : of one image, (channels, height, width).
    info : what was made of it.
    """

    def __init__(self, shape: tuple[int, ...], info: SessionInfo) -> None:
        self.shape = shape
        self._info = info

    def run(self, batch: Batch) -> Batch:
        """Logits (n, classes), float32, for images (n, channels, height, width), float32.

        Raises TypeError for another type, ValueError for another shape or no image at all; both
        say what was given and what is taken.
        """
        if not isinstance(batch, np.ndarray) or batch.dtype != np.float32:
            given = getattr(batch, "dtype", type(batch).__name__)
            raise TypeError(f"a batch of {given}; a NumPy array of float32 is taken")
        if batch.ndim != len(self.shape) + 1 or batch.shape[1:] != self.shape or not len(batch):
            wanted = ", ".join(map(str, self.shape))
            raise ValueError(f"a batch of shape {batch.shape}; (n, {wanted}) is taken, n >= 1")
        return self._run(np.ascontiguousarray(batch))

    def info(self) -> SessionInfo:
        """What was made of the network."""
        return self._info

    def prepare(self, size: int) -> None:
        """Do all that depends on the number of images at once, so that `run` is quick at first."""
        for _ in range(2):
            self.run(np.zeros((size, *self.shape), np.float32))

    @abstractmethod
    def _run(self, batch: Batch) -> Batch:
        """`run` for a checked, contiguous batch."""


class Backend(ABC):
    """A way to run a network."""

    #: As it is named on command lines and in tables.
    name: ClassVar[str]
    #: What it can be asked for.
    precisions: ClassVar[tuple[Precision, ...]]
    #: Largest difference of a logit from PyTorch's, relative to the largest logit, by precision.
    tolerance: ClassVar[dict[Precision, float]] = {
        "fp32": 1e-4,
        "fp16": 1e-2,
        "bf16": 4e-2,
        "int8": 0.15,
    }

    @abstractmethod
    def absent(self) -> str | None:
        """None where it can be used; otherwise why not, in one line."""

    def compile(
        self,
        model: nn.Module,
        example: Batch,
        precision: Precision = "fp32",
        threads: int = 1,
    ) -> Session:
        """Make a session.

        Parameters
        ----------
        model : a module in evaluation mode that takes (n, channels, height, width); it is not
            changed.
        example : images, float32; their shape is the network's, and for int8 the ranges are found
            on them (some hundred are wanted then).
        threads : how many the session may use.

        Raises AbsentError, UnsupportedError (a precision, or a layer by name), TypeError or
        ValueError for threads below 1 or images that cannot be taken.
        """
        reason = self.absent()
        if reason:
            raise AbsentError(f"{self.name}: {reason}")
        if precision not in self.precisions:
            raise UnsupportedError(
                f"{self.name} has no {precision}; it takes {', '.join(self.precisions)}"
            )
        if threads < 1:
            raise ValueError(f"threads = {threads}; 1 or more is taken")
        if not isinstance(example, np.ndarray) or example.dtype != np.float32:
            given = getattr(example, "dtype", type(example).__name__)
            raise TypeError(f"an example of {given}; a NumPy array of float32 is taken")
        if example.ndim != 4 or not len(example):
            raise ValueError(f"an example of shape {example.shape}; (n, channels, h, w) is taken")
        if precision == "int8" and float(np.ptp(example)) == 0.0:
            raise ValueError("all calibration images are constant and equal; give real ones")
        if model.training:
            raise ValueError("the network is in training mode; call model.eval() first")
        start = time.perf_counter()
        return self._compile(
            model, example, precision, threads, lambda: time.perf_counter() - start
        )

    @abstractmethod
    def _compile(
        self,
        model: nn.Module,
        example: Batch,
        precision: Precision,
        threads: int,
        elapsed: Callable[[], float],
    ) -> Session:
        """`compile` for checked arguments; `elapsed()` gives the seconds so far."""
