"""Classify image files with the bundle that this file lies in: `python predict.py IMAGE…`.

It needs NumPy, Pillow and the bundle's runtime, and nothing of the pipeline that made the bundle.
"""

import hashlib
import io
import json
import lzma
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def load(folder: Path) -> tuple[dict[str, Any], list[str], bytes]:
    """The configuration, the labels and the unpacked model. Raises SystemExit for damage."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    labels = json.loads((folder / "labels.json").read_text("utf-8"))
    packed = (folder / config["model"]).read_bytes()
    if hashlib.sha256(packed).hexdigest() != config["sha256"]:
        raise SystemExit(f"{config['model']} is damaged: its checksum is another")
    return config, labels, lzma.decompress(packed)


def open_model(config: dict[str, Any], content: bytes) -> Callable[[Any], Any]:
    """A function from one image (1, channels, height, width), float32, to logits (1, classes)."""
    if config["runtime"] == "litert":
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=content, num_threads=config["threads"])
        interpreter.allocate_tensors()
        (entry,), (exit,) = interpreter.get_input_details(), interpreter.get_output_details()

        def run(x: Any) -> Any:
            interpreter.set_tensor(entry["index"], x)
            interpreter.invoke()
            return interpreter.get_tensor(exit["index"])

        return run
    if config["runtime"] == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = config["threads"]
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda x: session.run(None, {name: x})[0]
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            archive.extractall(folder)
        settings = {
            "INFERENCE_NUM_THREADS": config["threads"],
            "INFERENCE_PRECISION_HINT": "f32",  # of what is not int8
        }
        compiled = openvino.Core().compile_model(f"{folder}/network.xml", "CPU", settings)
    return lambda x: compiled([x])[0]


def read(path: str, config: dict[str, Any]) -> Any:
    """An image file as the network takes it. Raises SystemExit for another size, or no image."""
    from PIL import Image

    channels, height, width = config["shape"]
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"), np.float32)
    except (OSError, SyntaxError, ValueError) as error:
        raise SystemExit(f"{path} cannot be read as an image: {error}") from error
    if pixels.shape[:2] != (height, width):
        raise SystemExit(f"{path} is {pixels.shape[1]}×{pixels.shape[0]}, not {width}×{height}")
    x = pixels.reshape(height, width, channels).transpose(2, 0, 1)[None]
    mean, deviation = (
        np.array(config[key], np.float32).reshape(1, -1, 1, 1) for key in ("mean", "deviation")
    )
    return np.ascontiguousarray((x - mean) / deviation, np.float32)


def main(words: list[str]) -> None:
    """One line for each image: its path, the label, the probability."""
    if not words:
        raise SystemExit("Usage: python predict.py IMAGE…")
    config, labels, content = load(Path(__file__).parent)
    run = open_model(config, content)
    for path in words:
        logits = run(read(path, config))[0].astype(np.float64)
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        best = int(shares.argmax())
        print(f"{path}: {labels[best]} {100 * shares[best]:.1f} %")


if __name__ == "__main__":
    main(sys.argv[1:])
