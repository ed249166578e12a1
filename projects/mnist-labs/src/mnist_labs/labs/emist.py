"""Read letters with the code that read digits: EMNIST from the user's own idx files.

EMNIST (Cohen, Afshar, Tapson, van Schaik, "EMNIST: an extension of MNIST to handwritten letters",
2017) is published by NIST; its files are in MNIST's format, with two surprises that the loader in
`mnist_labs.letters` sets right: the images lie on their side, and the labels count from 1.

With `--folder` the lab trains on the letters in that folder; the preset `letters` asks for one.
Without it the lab writes a stand-in into its own run folder and reads it back through the same
code: scikit-learn's digits, laid on their side and numbered from 1 as EMNIST would have them, so
that what is tested is the loader and the pipeline, not letters.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt

from groundwork import Claim, Run, UsageError, plots
from mnist_labs.idx import write_idx
from mnist_labs.images import load_images
from mnist_labs.letters import NAMES, load_letters, wanted_files
from mnist_labs.models import SmallCNN
from mnist_labs.training import accuracy, fit, predict

PRESETS = {
    "smoke": {"epochs": 4, "width": 8, "seeds": 1},
    "default": {"epochs": 12, "width": 16},
    "letters": {"data": "letters", "batch_size": 128},
}
CLAIMS = [
    Claim("upright", "==", 1, presets=("smoke", "default")),
    Claim("classes", "==", 26, presets=("letters",)),
    Claim("test_accuracy", ">=", 0.95, presets=("default",)),
    Claim("test_accuracy", ">=", 0.9, presets=("smoke",)),
]


def main(
    run: Run,
    *,
    data: Annotated[
        Literal["stand-in", "letters"], "digits in EMNIST's layout, or the letters of --folder"
    ] = "stand-in",
    folder: Annotated[str | None, "the folder of EMNIST's four letters files"] = None,
    epochs: Annotated[int, Ge(1), "passes over the training set"] = 8,
    width: Annotated[int, Ge(1), "channels of the first convolution"] = 32,
    batch_size: Annotated[int, Ge(2), "images a step"] = 32,
    learning_rate: Annotated[float, Gt(0), "the top of the cycle"] = 0.01,
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
) -> None:
    """Load, train, test; see the module's docstring."""
    if data == "letters" and folder is None:
        raise UsageError(
            "no folder was given; --folder names the one that holds the letters split of EMNIST "
            f"(Cohen et al., 2017, published by NIST): {', '.join(wanted_files())}"
        )
    source = Path(folder).expanduser() if folder else write_stand_in(run)
    images = load_letters(source)
    run.metric("classes", len(images.y_train.unique()))
    if folder is None:
        original = load_images(run, "digits")
        same = (images.x_test - original.x_test).abs().max() < 1 / 255
        run.metric("upright", float(same and torch.equal(images.y_test, original.y_test)))

    def train(seed: int) -> SmallCNN:
        torch.manual_seed(seed)
        model = SmallCNN(width, len(images.classes)).to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
        steps = epochs * max(1, len(images.x_train) // batch_size)
        fit(
            model,
            images.x_train,
            images.y_train,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            schedule=torch.optim.lr_scheduler.OneCycleLR(
                optimizer, learning_rate, total_steps=steps
            ),
            seed=seed,
            checkpoint=run.checkpoint(f"seed-{seed}"),
            progress=lambda passes: run.progress(passes, label=f"seed {seed}"),
        )
        return model

    models = [train(seed) for seed in run.seeds(seeds)]
    model = models[-1]
    scores = [accuracy(each, images.x_test, images.y_test) for each in models]
    run.metric("test_accuracy", scores)
    read = predict(model, images.x_test[:16]).argmax(1)
    names = images.classes if folder else "0123456789" + "?" * 16  # the stand-in has digits
    titles = [
        f"{names[int(y)]}, read {names[int(p)]}"
        for y, p in zip(images.y_test[:16], read, strict=True)
    ]
    grid = plots.image_grid(list(images.x_test[:16].squeeze(1).numpy()), titles, columns=8)
    run.figure(
        "read", grid, caption="Test images set upright: the label, and what was read", format="png"
    )


def write_stand_in(run: Run) -> Path:
    """Write the digits as EMNIST would have them; returns the folder."""
    digits = load_images(run, "digits")
    parts = {"train": (digits.x_train, digits.y_train), "test": (digits.x_test, digits.y_test)}
    for part, (x, y) in parts.items():
        images, labels = (run.artifact(f"{name}.gz") for name in NAMES[part])
        pixels = (x.squeeze(1).numpy() * 255).round().astype(np.uint8)
        write_idx(images, pixels.transpose(0, 2, 1))
        write_idx(labels, (y.numpy() + 1).astype(np.uint8))
    return images.parent
