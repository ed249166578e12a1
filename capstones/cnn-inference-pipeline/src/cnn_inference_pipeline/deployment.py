"""Networks as the files that are shipped, and the sessions that are opened from them.

Each runtime here has a file format of its own, so that what is measured is what is shipped: `build`
writes the int8 file, `open` makes a session of it, on this machine or another. In a bundle the file
lies packed (LZMA): weights of four to seven bits stand in int8 tensors, and packing takes the
unused bits out again.
"""

import importlib.util
import io
import lzma
import tempfile
import zipfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import torch

from inference_backends.backends import Precision, Session, SessionInfo, make_backend
from inference_backends.backends.base import Batch
from quantized_cnn.graph import Graph, fold_norms
from quantized_cnn.onnx_graph import quantize_by_runtime, to_onnx


class Runtime(ABC):
    """A runtime that a bundle can be made for."""

    #: As the backend of the same name.
    name: ClassVar[str]
    #: Of the file.
    suffix: ClassVar[str]
    #: What a machine needs to open the file.
    libraries: ClassVar[tuple[str, ...]]

    def absent(self) -> str | None:
        """None where files can be made and opened; otherwise why not, in one line."""
        return make_backend(self.name).absent()

    @abstractmethod
    def build(self, graph: Graph, example: Batch, precision: Precision) -> bytes:
        """The file of a folded graph; its ranges, for int8, are found on the example."""

    @abstractmethod
    def open(
        self, content: bytes, shape: tuple[int, ...], precision: Precision, threads: int
    ) -> Session:
        """A session of a file, for images of this shape."""

    def check_libraries(self) -> None:
        """Raise ImportError, saying what to install, where the file cannot be opened."""
        for library in self.libraries:
            if importlib.util.find_spec(library) is None:
                raise ImportError(
                    f"the bundle runs on {self.name}; install {library.replace('_', '-')}"
                )

    def _info(self, content: bytes, precision: Precision, threads: int) -> SessionInfo:
        module = importlib.import_module(self.libraries[0])
        version = str(getattr(module, "__version__", "")).split("-")[0]
        size = len(pack(content))
        return SessionInfo(self.name, version, precision, precision, threads, size, 0.0)


class OnnxRuntime(Runtime):
    """ONNX Runtime; the file is an ONNX model."""

    name, suffix, libraries = "onnxruntime", ".onnx", ("onnxruntime",)

    def build(self, graph: Graph, example: Batch, precision: Precision) -> bytes:
        """See `Runtime.build`."""
        model = to_onnx(graph, _shape(example))
        if precision == "int8":
            model = quantize_by_runtime(model, torch.from_numpy(example))
        content: bytes = model.SerializeToString()
        return content

    def open(
        self, content: bytes, shape: tuple[int, ...], precision: Precision, threads: int
    ) -> Session:
        """See `Runtime.open`."""
        from inference_backends.backends.onnx_runtime import OnnxRuntimeSession, open_session

        info = self._info(content, precision, threads)
        return OnnxRuntimeSession(open_session(content, threads), shape, info)


class OpenVino(Runtime):
    """OpenVINO; the file is an archive of its description and its weights."""

    name, suffix, libraries = "openvino", ".zip", ("openvino",)

    def build(self, graph: Graph, example: Batch, precision: Precision) -> bytes:
        """See `Runtime.build`."""
        import openvino

        from inference_backends.backends.open_vino import quantize

        content = to_onnx(graph, _shape(example)).SerializeToString()
        made = openvino.Core().read_model(content)
        if precision == "int8":
            made = quantize(made, example)
        buffer = io.BytesIO()
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(buffer, "w") as archive:
            openvino.save_model(made, Path(folder) / "network.xml", compress_to_fp16=False)
            for path in sorted(Path(folder).iterdir()):
                entry = zipfile.ZipInfo(path.name)  # without the time, so that equal is equal
                archive.writestr(entry, path.read_bytes())
        return buffer.getvalue()

    def open(
        self, content: bytes, shape: tuple[int, ...], precision: Precision, threads: int
    ) -> Session:
        """See `Runtime.open`."""
        import openvino

        from inference_backends.backends.open_vino import OpenVinoSession, compile_graph

        with tempfile.TemporaryDirectory() as folder:
            for name in ("network.xml", "network.bin"):
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    (Path(folder) / name).write_bytes(archive.read(name))
            made = openvino.Core().read_model(Path(folder) / "network.xml")
            compiled = compile_graph(made, precision, threads)
        return OpenVinoSession(compiled, shape, self._info(content, precision, threads))


class LiteRt(Runtime):
    """LiteRT; the file is a flatbuffer."""

    name, suffix, libraries = "litert", ".tflite", ("ai_edge_litert",)

    def build(self, graph: Graph, example: Batch, precision: Precision) -> bytes:
        """See `Runtime.build`."""
        from inference_backends import litert

        return litert.convert(graph, example, "int8" if precision == "int8" else "fp32")

    def open(
        self, content: bytes, shape: tuple[int, ...], precision: Precision, threads: int
    ) -> Session:
        """See `Runtime.open`."""
        from inference_backends.backends.lite_rt import LiteRtSession

        return LiteRtSession(content, shape, self._info(content, precision, threads))


#: All that a bundle can be made for, by name.
RUNTIMES: dict[str, Runtime] = {kind.name: kind() for kind in (LiteRt, OnnxRuntime, OpenVino)}


def deployable(graph: Graph) -> Graph:
    """A folded copy of a graph, in evaluation mode."""
    import copy

    return fold_norms(copy.deepcopy(graph).eval()).requires_grad_(False)


def pack(content: bytes) -> bytes:
    """The file as it lies in a bundle."""
    return lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)


def unpack(content: bytes) -> bytes:
    """The file as the runtime reads it. Raises ValueError where it is damaged."""
    try:
        return lzma.decompress(content)
    except (lzma.LZMAError, EOFError) as error:
        raise ValueError(f"the packed model is damaged: {error}") from error


def _shape(example: Batch) -> tuple[int, int, int]:
    channels, height, width = example.shape[1:]
    return channels, height, width
