"""Run the kernels' programs in an emulator of the processor, and count what they execute.

The emulator (QEMU, in user mode) does what the instructions say; it says nothing of time.
"""

import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference_backends.arm.building import KERNELS, Kernel
from inference_backends.arm.tools import Tools, run

Bytes = NDArray[np.int8]
Sums = NDArray[np.int32]


@dataclass(frozen=True)
class Trace:
    """How often each instruction of a kernel was executed: address → count."""

    counts: dict[int, int]

    @property
    def instructions(self) -> int:
        """All of them."""
        return sum(self.counts.values())


def reference(kernel: Kernel, values: Bytes, weights: Bytes) -> Sums:
    """The right sums, by NumPy.

    `dot`: values (count, n), weights (n) → (count). `depthwise`: an image with its border
    (height + 2, width + 2, channels), weights (3, 3, channels) → (height, width, channels).
    """
    a, b = values.astype(np.int32), weights.astype(np.int32)
    if kernel == "dot":
        return a @ b
    height, width = a.shape[0] - 2, a.shape[1] - 2
    sums = np.zeros((height, width, a.shape[2]), np.int32)
    for i in range(3):
        for j in range(3):
            sums += a[i : i + height, j : j + width] * b[i, j]
    return sums


def emulate(
    tools: Tools,
    program: Path,
    kernel: Kernel,
    values: Bytes,
    weights: Bytes,
    core: str = "max",
) -> Sums:
    """The sums that a built kernel gives; shapes as for `reference`.

    `core` is the emulated one, for instance `cortex-a53`; `max` has every extension. Raises
    ValueError for other types or shapes, RuntimeError where the program ends badly (an instruction
    that the core has not got, for instance).
    """
    given, shape = _input(kernel, values, weights)
    return _run([*tools.emulator, "-cpu", core, str(program)], given, shape)


def trace(tools: Tools, program: Path, kernel: Kernel, values: Bytes, weights: Bytes) -> Trace:
    """Run a kernel one instruction at a time, and count each.

    The emulator writes a line for every instruction: keep the sizes small.
    """
    start, size = symbol(tools, program, kernel)
    options = run([*tools.emulator, "-help"])
    single = "-one-insn-per-tb" if "one-insn-per-tb" in options else "-singlestep"
    given, shape = _input(kernel, values, weights)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        words = [single, "-d", "exec,nochain", "-dfilter", f"{start:#x}+{size:#x}", "-D", str(log)]
        _run([*tools.emulator, *words, str(program)], given, shape)
        found = re.findall(r"^Trace .*?\[[^/\]]*/([0-9a-f]+)/", log.read_text(), re.MULTILINE)
    return Trace(dict(Counter(int(address, 16) for address in found)))


def symbol(tools: Tools, program: Path, name: str) -> tuple[int, int]:
    """Address and size in bytes of a function."""
    table = run([*tools.disassembler, "--syms", str(program)])
    found = re.search(rf"^([0-9a-f]+) .*\s([0-9a-f]+) {re.escape(name)}$", table, re.MULTILINE)
    if not found:
        raise RuntimeError(f"{program.name} has no function {name}")
    return int(found[1], 16), int(found[2], 16)


def _input(kernel: Kernel, values: Bytes, weights: Bytes) -> tuple[bytes, tuple[int, ...]]:
    """What the program reads, and the shape of what it writes."""
    if values.dtype != np.int8 or weights.dtype != np.int8:
        raise ValueError(f"{values.dtype} and {weights.dtype}; int8 is taken for both")
    if weights.size and int(weights.min()) < -127:
        raise ValueError("a weight of -128; -127 to 127 are taken, as symmetric quantizers give")
    shape: tuple[int, ...]
    if kernel == "dot":
        if values.ndim != 2 or weights.shape != values.shape[1:] or not values.size:
            raise ValueError(f"{values.shape} and {weights.shape}; (count, n) and (n) are taken")
        shape, sizes = (len(values),), (*values.shape, 0)
    else:
        if (
            values.ndim != 3
            or min(values.shape[:2]) < 3
            or weights.shape != (3, 3, values.shape[2])
        ):
            raise ValueError(
                f"{values.shape} and {weights.shape}; an image (height + 2, width + 2, channels) "
                "and weights (3, 3, channels) are taken"
            )
        if values.shape[2] % 16 or not values.shape[2]:
            raise ValueError(f"{values.shape[2]} channels; a multiple of 16 is taken")
        shape = sizes = values.shape[0] - 2, values.shape[1] - 2, values.shape[2]
    head = np.array([KERNELS.index(kernel), *sizes], np.int32)
    return head.tobytes() + values.tobytes() + weights.tobytes(), shape


def _run(words: list[str], given: bytes, shape: tuple[int, ...]) -> Sums:
    done = subprocess.run(words, input=given, capture_output=True)
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no word"]
        raise RuntimeError(f"the emulated program ended with {done.returncode}: {lines[0]}")
    return np.frombuffer(done.stdout, np.int32).reshape(shape)
