"""Networks as flatbuffers for LiteRT: the converter's environment, its cache, the interpreter.

The converter (`litert_convert.py`) wants an older PyTorch than this package, so it runs in an
environment of its own, which uv makes from a lock the first time that it is wanted and keeps in its
cache. A converted network is kept as well: its key is made of the network's graph and weights, of
the images that its ranges are found on, and of the converter's source and lock.

LiteRT was TensorFlow Lite; its integer scheme is that of Benoit Jacob and others, *Quantization and
training of neural networks for efficient integer-arithmetic-only inference*, 2018.
"""

import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from groundwork import files
from groundwork.data import fetch
from inference_backends.backends.base import AbsentError, Batch, UnsupportedError
from inference_backends.exporting import export_program
from inference_backends.quiet import quiet

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

#: What a flatbuffer computes in: float32; float32 from weights kept as float16, or as int8 (which
#: meet activations that are rounded as they come); integers from end to end.
Scheme = Literal["fp32", "fp16-weights", "int8-weights", "int8"]

SCRIPT = Path(__file__).with_name("litert_convert.py")
LOCK = SCRIPT.with_name("litert_convert.py.lock")
#: Variables that would send uv to another environment, or keep Python's byte code from being kept.
_FOREIGN = (
    "PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH", "UV_FROZEN", "UV_LOCKED", "UV_NO_SYNC",
    "UV_PROJECT", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "VIRTUAL_ENV",
)  # fmt: skip


def absent() -> str | None:
    """None where networks can be converted and run, otherwise why not.

    Takes a fraction of a second where the converter's environment is there, and some where the
    package index has to be asked whether it could be made.
    """
    if importlib.util.find_spec("ai_edge_litert") is None:
        return "ai-edge-litert is not installed"
    return _converter_absent()


@functools.cache
def _converter_absent() -> str | None:
    if shutil.which("uv") is None:
        return "its converter needs uv, which is not on the path (pip install uv)"
    if _uv("sync", "--script", str(SCRIPT), "--frozen", "--offline", "--check").returncode == 0:
        return None
    # Does the index answer? To resolve with one package asked for anew, keeping nothing, is to ask.
    # Whether the lock would be written alike today does not matter: it is installed as it is.
    asked = _uv("lock", "--script", str(SCRIPT), "--dry-run", "--refresh-package", "litert-torch")
    if asked.returncode == 0:
        return None
    return f"its converter's environment is not made yet, and cannot be now ({_reason(asked)})"


def convert(model: nn.Module, example: Batch, scheme: Scheme = "fp32") -> bytes:
    """The network as a flatbuffer that takes images (n, channels, height, width), float32.

    `example` gives the images' shape, and for `int8` the ranges of the activations. The number of
    images is 1 until an interpreter is told another. The answers are not checked here.

    Raises UnsupportedError for a network that the converter does not take, AbsentError where the
    converter's environment cannot be made.
    """
    program = export_program(model, example)
    source = _cached((_digest(program),), lambda folder: _convert(program, folder))
    if scheme == "fp32":
        return source
    images = example if scheme == "int8" else example[:0]
    key = (hashlib.sha256(source).hexdigest(), scheme, hashlib.sha256(images.tobytes()).hexdigest())
    return _cached(key, lambda folder: _quantize(source, scheme, images, folder))


def _convert(program: torch.export.ExportedProgram, folder: Path) -> bytes:
    with quiet():
        torch.export.save(program, folder / "network.pt2")
    return _call("convert", folder / "network.pt2", target=folder / "float.tflite")


def _quantize(source: bytes, scheme: str, images: Batch, folder: Path) -> bytes:
    float_file, images_file = folder / "float.tflite", folder / "images.npy"
    float_file.write_bytes(source)
    np.save(images_file, images)
    words = ("quantize", float_file, scheme)
    return _call(*words, target=folder / "small.tflite", last=images_file)


def _call(*words: object, target: Path, last: Path | None = None) -> bytes:
    """Start the converter, and give the file that it wrote."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    line = [*map(str, words), str(target), *([str(last)] if last else [])]
    done = _uv("run", "--frozen", "--quiet", "--python", python, "--script", str(SCRIPT), *line)
    if done.returncode == 3:
        raise UnsupportedError(
            f"the converter to LiteRT does not take the network ({_reason(done)}); "
            "eager, compile and aot-inductor take it"
        )
    if done.returncode != 0 or not target.is_file():
        raise AbsentError(f"litert: its converter did not run ({_reason(done)})")
    return target.read_bytes()


def _uv(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in _FOREIGN}
    return subprocess.run(["uv", *words], env=environment, capture_output=True, text=True)


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """The line of a program's words that says what is wrong."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("error")]
    return (told or lines[-1:] or [f"status {done.returncode}"])[0]


def _cached(key: tuple[str, ...], make: Any) -> bytes:
    """The file of this key, made in a temporary folder where it is not kept yet."""
    digest = hashlib.sha256("\n".join(key).encode())
    for path in (SCRIPT, LOCK):
        digest.update(path.read_bytes())
    place = fetch.cache() / "litert" / f"{digest.hexdigest()[:32]}.tflite"
    if place.is_file():
        return place.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        content: bytes = make(Path(folder))
    files.write_bytes(place, content)
    return content


def _digest(program: torch.export.ExportedProgram) -> str:
    """A checksum of what an exported program computes: its operations and its numbers."""
    digest = hashlib.sha256(program.graph_module.code.encode())
    for name, value in sorted({**program.state_dict, **program.constants}.items()):
        digest.update(name.encode())
        if isinstance(value, torch.Tensor):
            flat = value.detach().contiguous()
            digest.update(f"{flat.dtype} {tuple(flat.shape)}".encode())
            digest.update(flat.flatten().view(torch.uint8).numpy())
    shapes = [tuple(x.shape) for x in program.example_inputs[0]]
    digest.update(repr(shapes).encode())
    return digest.hexdigest()


def open_interpreter(content: bytes, threads: int, size: int = 1) -> "Interpreter":
    """An interpreter for so many images at a time, its memory laid out.

    Raises UnsupportedError for a network that takes another number of images than that.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=threads)
    (entry,) = interpreter.get_input_details()
    try:
        if size != entry["shape"][0]:
            interpreter.resize_tensor_input(entry["index"], (size, *entry["shape"][1:]))
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        line = str(error).strip().splitlines()[0]
        raise UnsupportedError(f"LiteRT does not run it for {size} images: {line}") from error
    return interpreter


@dataclass(frozen=True)
class Contents:
    """What a flatbuffer is made of.

    Parameters
    ----------
    operators : how many there are of each kind.
    weights_bytes : of all constants.
    peak_bytes : the most that the activations of one image take at a moment, when each is kept
        from the operator that writes it to the last that reads it.
    delegates : into how many parts XNNPACK takes the operators over; 1 is all in one piece.
    """

    operators: dict[str, int]
    weights_bytes: int
    peak_bytes: int
    delegates: int

    @property
    def integer(self) -> bool:
        """Whether all but the ends is computed among integers: they are quantized once."""
        return self.operators.get("QUANTIZE", 0) > 0


def contents(content: bytes) -> Contents:
    """Read what a flatbuffer is made of, from an interpreter for one image."""
    interpreter = open_interpreter(content, threads=1)
    steps = interpreter._get_ops_details()
    plain = [step for step in steps if step["op_name"] != "DELEGATE"]
    delegates = [step for step in steps if step["op_name"] == "DELEGATE"]
    ends = {entry["index"] for entry in interpreter.get_output_details()}
    written = {int(t) for step in plain for t in step["outputs"]}
    first = {int(entry["index"]) for entry in interpreter.get_input_details()}
    size: dict[int, int] = {}
    for entry in interpreter.get_tensor_details():
        item = np.dtype(entry["dtype"]).itemsize
        size[entry["index"]] = int(np.prod(entry["shape"], dtype=np.int64)) * item
    constants = {int(t) for step in plain for t in step["inputs"] if t >= 0} - written - first
    # Weights that are widened before use are no activations: XNNPACK does it once, as it loads.
    widened = {
        int(t)
        for step in plain
        for t in step["outputs"]
        if {int(source) for source in step["inputs"]} <= constants
    }
    last = {int(t): k for k, step in enumerate(plain) for t in step["inputs"] if t >= 0}
    alive, peak = set(first), 0
    for k, step in enumerate(plain):
        alive |= {int(t) for t in step["outputs"]} - widened
        peak = max(peak, sum(size[t] for t in alive))
        alive = {t for t in alive if t in ends or last.get(t, -1) > k}
    return Contents(
        dict(Counter(step["op_name"] for step in plain)),
        sum(size[t] for t in constants),
        peak,
        len(delegates),
    )
