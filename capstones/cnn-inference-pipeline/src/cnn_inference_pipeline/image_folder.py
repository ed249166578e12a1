"""A user's data: a folder with a folder of images for each class.

Either `FOLDER/CLASS/image.png`, where a fifth of each class becomes the test, or
`FOLDER/train/CLASS/…` and `FOLDER/test/CLASS/…`. PNG and JPEG are read, all of one size. If all are
grey the network gets one channel, otherwise three.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnn_inference_pipeline.dataset import BUILT_IN, Dataset, hold_out
from groundwork.errors import UsageError

SUFFIXES = (".png", ".jpg", ".jpeg")
#: The least images of a class: a fifth is for the test, and one for choices.
LEAST = 5


def read_folder(folder: str | Path, mirror: bool = True) -> Dataset:
    """Read the images.

    Parameters
    ----------
    folder : as the module's docstring says.
    mirror : whether an image and its mirror image are of the same class.

    Raises UsageError for a folder that is not there or empty, fewer than two classes, a class with
    fewer than five images, files that are no images, and images of different sizes.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise UsageError(f"data {str(folder)!r} is no folder, and not one of {', '.join(BUILT_IN)}")
    parts = [root / "train", root / "test"]
    split = all(part.is_dir() for part in parts)
    train = list_classes(parts[0] if split else root)
    test = list_classes(parts[1]) if split else {}
    check_classes(root, train, test, LEAST if not split else 2)
    labels = sorted(train)
    gray = all_gray([path for files in (*train.values(), *test.values()) for path in files])
    if split:
        first, second = (decode(part, labels, gray) for part in (train, test))
        if first[0].shape[1:] != second[0].shape[1:]:
            raise UsageError(
                f"the images in train are {size(first[0])}, those in test {size(second[0])}; "
                "one size is taken"
            )
    else:
        first, second = divide(*decode(train, labels, gray))
    return hold_out(root.name, labels, *first, *second, mirror)


def list_classes(folder: Path) -> dict[str, list[Path]]:
    """The image files of each class, by name."""
    return {
        entry.name: sorted(p for p in entry.rglob("*") if p.suffix.lower() in SUFFIXES)
        for entry in sorted(folder.iterdir())
        if entry.is_dir() and not entry.name.startswith(".")
    }


def check_classes(
    root: Path, train: dict[str, list[Path]], test: dict[str, list[Path]], least: int
) -> None:
    """Raise UsageError where nothing could be learnt."""
    if not any(train.values()):
        raise UsageError(
            f"{root} holds no images; PNG or JPEG files are taken, in one folder for each class"
        )
    if len(train) < 2:
        raise UsageError(
            f"{root} has one class only ({next(iter(train))}); two or more are taken, "
            "one folder each"
        )
    for name, found in train.items():
        if len(found) < least:
            raise UsageError(f"class {name} has {len(found)} images; {least} or more are taken")
    unknown = sorted(set(test) - set(train))
    if unknown:
        raise UsageError(f"{root / 'test'} has a class {unknown[0]} that train has not")
    if test and not any(test.values()):
        raise UsageError(f"{root / 'test'} holds no images")


def all_gray(paths: list[Path]) -> bool:
    """Whether no image has colours; files that cannot be read are named later."""
    for path in paths:
        try:
            with Image.open(path) as image:
                if image.mode not in ("L", "1", "LA", "I", "I;16"):
                    return False
        except OSError:
            continue
    return True


def decode(
    classes: dict[str, list[Path]], labels: list[str], gray: bool
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images uint8 (n, channels, height, width) and classes (n,)."""
    pixels: list[NDArray[np.uint8]] = []
    y: list[int] = []
    broken: list[Path] = []
    first: Path | None = None
    for name, paths in classes.items():
        for path in paths:
            try:
                found = read_image(path, gray)
            except (OSError, SyntaxError, ValueError):
                broken.append(path)
                continue
            first = first or path
            if pixels and found.shape != pixels[0].shape:
                raise UsageError(
                    f"images of different sizes: {first.name} is {size(pixels[0])}, "
                    f"{path.name} is {size(found)}; one size is taken, so scale them first"
                )
            pixels.append(found)
            y.append(labels.index(name))
    if broken:
        named = ", ".join(str(path) for path in broken[:3])
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise UsageError(
            f"{len(broken)} of {len(broken) + len(pixels)} images cannot be read: {named}{more}; "
            "mend or remove them"
        )
    return np.stack(pixels), np.array(y, np.int64)


def read_image(path: Path, gray: bool) -> NDArray[np.uint8]:
    """An image file as uint8 (channels, height, width), channels 1 or 3.

    Raises OSError, SyntaxError or ValueError for a file that is none.
    """
    with Image.open(path) as image:
        array = np.asarray(image.convert("L" if gray else "RGB"), np.uint8)
    return np.ascontiguousarray(array[None] if gray else array.transpose(2, 0, 1))


def size(array: NDArray[np.uint8]) -> str:
    """Width × height."""
    return f"{array.shape[-1]}×{array.shape[-2]}"


Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def divide(x: NDArray[np.uint8], y: NDArray[np.int64]) -> tuple[Part, Part]:
    """To learn from and to test on: a fifth of each class, drawn with a fixed seed."""
    rng = np.random.default_rng(0)
    tested = np.zeros(len(y), bool)
    for k in np.unique(y):
        own = rng.permutation(np.flatnonzero(y == k))
        tested[own[: max(1, len(own) // 5)]] = True
    return (x[~tested], y[~tested]), (x[tested], y[tested])
