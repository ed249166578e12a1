"""EMNIST's letters from the user's idx files (Cohen, Afshar, Tapson, van Schaik, 2017)."""

from pathlib import Path

import numpy as np
import torch

from groundwork import UsageError
from mnist_labs.idx import IdxError, read_idx
from mnist_labs.images import Images

NAMES = {
    part: tuple(f"emnist-letters-{part}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
    for part in ("train", "test")
}


def load_letters(folder: Path) -> Images:
    """Load the letters split from a folder.

    The files are `emnist-letters-{train,test}-{images-idx3,labels-idx1}-ubyte`, each plain or with
    `.gz`. Their images lie on their side (rows and columns exchanged) and their labels count from
    1; both are set right here. Raises UsageError when a file is missing, IdxError when one is
    broken or two do not belong together.
    """
    parts = {}
    for part, (image_name, label_name) in NAMES.items():
        images = read_idx(_find(folder, image_name))
        labels = read_idx(_find(folder, label_name)).astype(np.int64)
        if images.ndim != 3 or images.dtype != np.uint8 or labels.ndim != 1:
            raise IdxError(
                f"{folder}: {images.dtype} images of {images.ndim} and labels of {labels.ndim} "
                f"dimensions in the {part} part; unsigned bytes of three and one are taken"
            )
        if len(images) != len(labels):
            raise IdxError(
                f"{folder}: {len(images)} images and {len(labels)} labels of the {part} part; "
                f"as many of each are taken"
            )
        if len(labels) and not 1 <= labels.min() <= labels.max() <= 26:
            raise IdxError(
                f"{folder}: labels from {labels.min()} to {labels.max()} in the {part} part; "
                f"1 to 26 are taken"
            )
        upright = np.ascontiguousarray(images.transpose(0, 2, 1))
        x = torch.from_numpy(upright).to(torch.float32).div_(255).unsqueeze(1)
        parts[part] = (x, torch.from_numpy(labels - 1))
    classes = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return Images("emnist-letters", *parts["train"], *parts["test"], classes)


def wanted_files() -> list[str]:
    """The names of the four files, as a person should look for them."""
    return [f"{name}[.gz]" for pair in NAMES.values() for name in pair]


def _find(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise UsageError(
        f"{folder} holds no {name}[.gz]; the letters split of EMNIST (published by NIST) has four "
        f"files: {', '.join(wanted_files())}"
    )
