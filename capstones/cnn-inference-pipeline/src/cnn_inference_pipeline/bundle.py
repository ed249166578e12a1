"""What is deployed: a folder with the model, what it needs to be told, and a card for its readers.

    model.tflite.xz   the network for one runtime, packed (or .onnx.xz, .zip.xz)
    config.json       the runtime, the image's shape, mean and deviation, a checksum
    labels.json       the classes' names
    README.md         the model card
    predict.py        classifies image files by itself, without this package

`Bundle.open(folder).predict(images)` is all that a program needs; on the command line it is
`cnn-inference-pipeline predict BUNDLE IMAGE…`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnn_inference_pipeline import standalone
from cnn_inference_pipeline.dataset import Dataset, normalize
from cnn_inference_pipeline.deployment import RUNTIMES, pack, unpack
from groundwork import files
from groundwork.errors import UsageError
from inference_backends.backends import Session

FORMAT = 1


@dataclass
class Bundle:
    """A network ready to classify.

    labels : names of the classes; mean, deviation : (channels,); session : runs the network.
    """

    labels: list[str]
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    session: Session
    config: dict[str, Any]

    @classmethod
    def open(cls, folder: str | Path, threads: int | None = None) -> "Bundle":
        """Open a bundle with so many threads; None: as many as it was measured best with.

        Raises UsageError for a folder that is no bundle, or is damaged, and ImportError where the
        runtime's library is not installed.
        """
        root = Path(folder)
        try:
            config = json.loads((root / "config.json").read_text("utf-8"))
            labels = json.loads((root / "labels.json").read_text("utf-8"))
            packed = (root / config["model"]).read_bytes()
        except (OSError, ValueError, KeyError) as error:
            raise UsageError(f"{root} is no bundle: {error}") from error
        if config.get("format") != FORMAT:
            raise UsageError(
                f"{root} is a bundle of format {config.get('format')}; {FORMAT} is taken"
            )
        if hashlib.sha256(packed).hexdigest() != config["sha256"]:
            raise UsageError(f"{root / config['model']} is damaged: its checksum is another")
        runtime = RUNTIMES[config["runtime"]]
        runtime.check_libraries()
        session = runtime.open(
            unpack(packed), tuple(config["shape"]), config["precision"],
            threads or config["threads"],
        )  # fmt: skip
        mean, deviation = (np.array(config[key], np.float32) for key in ("mean", "deviation"))
        return cls(labels, mean, deviation, session, config)

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (n, classes) for images uint8 (n, channels, height, width)."""
        return self.session.run(normalize(images, self.mean, self.deviation))

    def predict(self, images: NDArray[np.uint8]) -> list[dict[str, float]]:
        """For each image the probability of each label, the most probable first."""
        logits = self.logits(images).astype(np.float64)
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        return [
            {self.labels[k]: float(row[k]) for k in np.argsort(-row, kind="stable")}
            for row in shares
        ]

    def read(self, path: Path) -> NDArray[np.uint8]:
        """An image file as the bundle takes it, uint8 (channels, height, width).

        Raises UsageError for a file that is no image, or is of another size.
        """
        from cnn_inference_pipeline.image_folder import read_image, size

        channels, height, width = self.config["shape"]
        try:
            image = read_image(path, gray=channels == 1)
        except (OSError, SyntaxError, ValueError) as error:
            raise UsageError(f"{path} cannot be read as an image: {error}") from error
        if image.shape != (channels, height, width):
            raise UsageError(
                f"{path} is {size(image)}; the bundle takes {width}×{height}, so scale it first"
            )
        return image


def write_bundle(
    folder: Path,
    data: Dataset,
    content: bytes,
    *,
    runtime: str,
    precision: str,
    threads: int,
    card: str,
    measured: Mapping[str, Any],
) -> Path:
    """Write a bundle; returns its folder."""
    packed = pack(content)
    name = f"model{RUNTIMES[runtime].suffix}.xz"
    files.write_bytes(folder / name, packed)
    files.write_json(
        folder / "config.json",
        {
            "format": FORMAT,
            "model": name,
            "sha256": hashlib.sha256(packed).hexdigest(),
            "runtime": runtime,
            "precision": precision,
            "threads": threads,
            "shape": list(data.shape),
            "mean": [float(v) for v in data.mean],
            "deviation": [float(v) for v in data.deviation],
            "measured": dict(measured),
        },
    )
    files.write_json(folder / "labels.json", data.labels)
    files.write_text(folder / "README.md", card)
    files.write_text(folder / "predict.py", Path(str(standalone.__file__)).read_text("utf-8"))
    return folder


def predict_command(words: Sequence[str]) -> None:
    """`predict BUNDLE IMAGE… [--top N] [--json]`: one line for each image."""
    places, top, as_json = _parse(words)
    bundle = Bundle.open(places[0])
    images = np.stack([bundle.read(Path(place)) for place in places[1:]])
    for place, found in zip(places[1:], bundle.predict(images), strict=True):
        best = dict(list(found.items())[:top])
        if as_json:
            print(json.dumps({"image": place, "labels": best}, ensure_ascii=False))
        else:
            told = ", ".join(f"{label} {100 * share:.1f} %" for label, share in best.items())
            print(f"{place}: {told}")


def _parse(words: Sequence[str]) -> tuple[list[str], int, bool]:
    places: list[str] = []
    top, as_json = 1, False
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if word == "--json":
            as_json = True
        elif word == "--top":
            count = queue.pop(0) if queue else ""
            if not count.isdigit() or int(count) < 1:
                raise UsageError(f"--top {count!r} is not taken; it takes a number of 1 or more")
            top = int(count)
        elif word.startswith("--"):
            raise UsageError(f"{word} is not an option of predict; --top N and --json are")
        else:
            places.append(word)
    if len(places) < 2:
        raise UsageError("Usage: cnn-inference-pipeline predict BUNDLE IMAGE… [--top N] [--json]")
    return places, top, as_json
