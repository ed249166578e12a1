"""Compile the operator: by NVRTC for a GPU that need not be there, by a C compiler for the CPU.

NVRTC, NVIDIA's run-time compiler, comes with PyTorch's CUDA wheels and needs no driver. It gives
PTX, which TensorRT takes, and a cubin, the program of one architecture; its assembler tells
registers and spills.
"""

import ctypes
import ctypes.util
import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from groundwork import files
from groundwork.data import fetch
from inference_backends.backends.base import AbsentError
from inference_backends.tensorrt_plugin.reference import Integers

HERE = Path(__file__).parent
#: The kernel's name; threads of a block, elements of a thread: as in `junction.h`.
KERNEL, PER_BLOCK, PER_THREAD = "junction", 256, 16


def blocks_for(count: int) -> int:
    """How many blocks so many elements need."""
    return -(-count // (PER_BLOCK * PER_THREAD))


@dataclass(frozen=True)
class CudaCode:
    """A compiled kernel: `ptx` text, `cubin` for `architecture`, and the assembler's `log`."""

    architecture: str
    version: str
    ptx: str
    cubin: bytes
    log: str


def nvrtc_absent() -> str | None:
    """Why NVRTC cannot be used here, in one line; None where it can."""
    if _nvrtc_path() is None:
        return "NVRTC is not there; it comes with PyTorch's CUDA wheels (nvidia-cuda-nvrtc)"
    return None


def compile_for_gpu(architecture: str = "sm_90") -> CudaCode:
    """The kernel for a GPU; sm_90 is Hopper.

    Raises AbsentError without NVRTC, ValueError with the compiler's words for an architecture or a
    source that it does not take.
    """
    path = _nvrtc_path()
    if path is None:
        raise AbsentError(str(nvrtc_absent()))
    library = ctypes.CDLL(str(path))
    major, minor = ctypes.c_int(), ctypes.c_int()
    library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    program = ctypes.c_void_p()
    header = ctypes.c_char_p((HERE / "junction.h").read_bytes())
    name = ctypes.c_char_p(b"junction.h")
    code = library.nvrtcCreateProgram(
        ctypes.byref(program),
        (HERE / "junction.cu").read_bytes(),
        b"junction.cu",
        1,
        ctypes.byref(header),
        ctypes.byref(name),
    )
    if code:
        raise RuntimeError(f"NVRTC could not make a program: error {code}")
    options = [f"--gpu-architecture={architecture}", "--fmad=false", "--ptxas-options=-v"]
    encoded = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    try:
        code = library.nvrtcCompileProgram(program, len(options), encoded)
        log = _text(library, program, "ProgramLog").decode(errors="replace").strip("\0\n ")
        if code:
            raise ValueError(f"NVRTC does not compile the kernel for {architecture}: {log}")
        ptx = _text(library, program, "PTX").rstrip(b"\0").decode()
        cubin = _text(library, program, "CUBIN")
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))
    return CudaCode(architecture, f"{major.value}.{minor.value}", ptx, cubin, log)


def kernel_facts(code: CudaCode) -> dict[str, int]:
    """What the design promises of the kernel, counted in its PTX and the assembler's log.

    128-bit loads and stores, conversions between integers and floats, fused multiply-adds (which
    the CPU's side would not round alike), registers a thread, bytes spilled or on the stack.
    """
    log = code.log

    def told(pattern: str) -> int:
        found = re.search(pattern, log)
        if found is None:
            raise ValueError(f"the assembler's log does not tell {pattern!r}: {log[:200]}")
        return int(found[1])

    def count(pattern: str) -> int:
        return len(re.findall(pattern, code.ptx))

    return {
        "loads_128": count(r"\bld\.global(\.\w+)*\.v4\.[ubsf]32"),
        "stores_128": count(r"\bst\.global(\.\w+)*\.v4\.[ubsf]32"),
        "conversions": count(r"\bcvt(\.\w+)*\.f32\.[us]\d+|\bcvt(\.\w+)*\.[us]\d+\.f32"),
        "fused": count(r"\bfma\."),
        "local": count(r"\.local\b"),
        "registers": told(r"Used (\d+) registers"),
        "stack": told(r"(\d+) bytes stack frame"),
        "spilled": told(r"(\d+) bytes spill stores") + told(r"(\d+) bytes spill loads"),
    }


def instruction_counts(code: CudaCode) -> dict[str, int]:
    """How many instructions of each kind the kernel's PTX has, its tail's included."""
    kinds = {
        "pick bytes": r"\bprmt\.",
        "multiply": r"\bmul(\.\w+)*\.f32",
        "add": r"\badd(\.\w+)*\.f32",
        "clamp": r"\b(min|max)\.f32",
        "flip signs": r"\bxor\.b32",
        "128-bit access": r"\b(ld|st)\.global(\.\w+)*\.v4",
        "convert": r"\bcvt(\.\w+)*\.f32\.[us]\d+|\bcvt(\.\w+)*\.[us]\d+\.f32",
    }
    return {kind: len(re.findall(pattern, code.ptx)) for kind, pattern in kinds.items()}


def compile_for_cpu() -> Callable[[Integers, Integers, np.float32, np.float32], Integers]:
    """The kernel's threads as a function of arrays, built by a C compiler.

    The system's one, else Zig's, which is a Python package. Built once for a source, then taken
    from the user's cache. Raises RuntimeError with the compiler's words where it fails. The
    function raises TypeError for arrays that are not contiguous int8, ValueError for two shapes.
    """
    path = _cpu_library()
    function = ctypes.CDLL(str(path)).junction
    pointer = ctypes.c_void_p
    function.argtypes = [pointer, pointer, *[ctypes.c_int] * 3, pointer, ctypes.c_int]
    function.restype = None

    def run(a: Integers, b: Integers, ka: np.float32, kb: np.float32) -> Integers:
        for array in (a, b):
            if array.dtype != np.int8 or not array.flags.c_contiguous:
                raise TypeError(f"an array of {array.dtype}; a contiguous one of int8 is taken")
        if a.shape != b.shape:
            raise ValueError(f"shapes {a.shape} and {b.shape}; one shape is taken")
        y = np.empty_like(a)
        function(
            a.ctypes.data, b.ctypes.data, a.size, float_bits(ka), float_bits(kb), y.ctypes.data,
            blocks_for(a.size),
        )  # fmt: skip
        return y

    return run


def float_bits(value: np.float32) -> int:
    """A float32's bits as a whole number: how TensorRT's kernels get real ones."""
    return int(np.float32(value).view(np.int32))


def _cpu_library() -> Path:
    """The shared library; built where it is not in the cache."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    command = [compiler] if compiler else [sys.executable, "-m", "ziglang", "cc"]
    options = ["-O2", "-ffp-contract=off", "-fno-strict-aliasing", "-shared", "-fPIC"]
    if not compiler:
        options.append("-fno-sanitize=undefined")
    sources = b"".join((HERE / name).read_bytes() for name in ("junction.h", "junction.c"))
    told = repr([command, options, sys.platform]).encode()
    digest = hashlib.sha256(sources + told).hexdigest()[:16]
    place = fetch.cache() / "kernels" / f"junction-{digest}.so"
    if not place.is_file():
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "junction.so"
            done = subprocess.run(
                [*command, *options, str(HERE / "junction.c"), "-o", str(made)],
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise RuntimeError(f"{command[0]} does not compile junction.c: {done.stderr[:400]}")
            files.write_bytes(place, made.read_bytes())
    return place


@cache
def _nvrtc_path() -> Path | None:
    """The library in NVIDIA's wheels, or the system's."""
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for found in sorted(Path(folder).glob("*/lib/libnvrtc.so*")):
            if "builtins" not in found.name:
                return found
    system = ctypes.util.find_library("nvrtc")
    return Path(system) if system else None


def _text(library: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(library, f"nvrtcGet{what}")(program, buffer)
    return buffer.raw
