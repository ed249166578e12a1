"""Load MNIST from its files, and feed a network from memory five times as fast as a DataLoader.

The idx parser is in `mnist_labs.idx`; data set, samplers, collation and the in-memory batcher are
in `mnist_labs.loading`. The lab reads the files (scikit-learn's digits are first written as idx,
so that the quick presets need no download), compares the parser with the registry's own, and times
an epoch of batches three ways: PyTorch's `DataLoader` in this process, the same with two workers,
and the batcher. All three give the same batches in the same order, to the bit. The batcher scales
the pixels once, before the first epoch; `batcher_setup_seconds` is that cost, which no epoch
repeats.

Look at the bars: the loader's time goes into 60,000 small tensors. Workers spread that work and add
the cost of carrying each batch between processes.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor
from torch.utils.data import DataLoader

from groundwork import Claim, Run, plots
from groundwork.run import Stopwatch
from mnist_labs.augmentation import random_affine
from mnist_labs.idx import read_idx, write_idx
from mnist_labs.loading import IdxDataset, MemoryBatches, ShuffledSampler, make_loader

PRESETS = {"smoke": {"workers": 0}, "default": {}, "full": {"data": "mnist"}}
CLAIMS = [
    Claim("same_batches", "==", 1),
    Claim("same_batches.workers", "==", 1, presets=("default", "full")),
    Claim("same_as_registry", "==", 1),
    Claim("ratio.epoch", "<=", 0.2, presets=("full",)),
    Claim("load_seconds", "<=", 0.5, presets=("full",)),
]


def main(
    run: Run,
    *,
    data: Annotated[Literal["digits", "mnist"], "the data set"] = "digits",
    batch_size: Annotated[int, Ge(1), "images a batch"] = 128,
    workers: Annotated[int, Ge(0), "processes of the second DataLoader; 0 leaves it out"] = 2,
) -> None:
    """Read, compare, time; see the module's docstring."""
    images, labels = files(run, data)
    run.data(data)  # once before the clock starts, so that the copies are verified and at hand
    parsing, loading = [], []
    for _ in range(5):
        watch = Stopwatch()
        dataset = IdxDataset(images, labels)
        parsing.append(watch.seconds)
        watch = Stopwatch()
        run.data(data)
        loading.append(watch.seconds)
    run.metric("parse_seconds", parsing, unit="s")
    run.metric("load_seconds", loading, unit="s")
    run.metric("same_as_registry", float(equals_registry(run, data, dataset)))

    def loader(workers: int = 0) -> DataLoader[tuple[Tensor, Tensor]]:
        sampler = ShuffledSampler(len(dataset), run.seed)
        return make_loader(dataset, batch_size, sampler, workers=workers, seed=run.seed)

    watch = Stopwatch()
    batcher = MemoryBatches(dataset, batch_size, ShuffledSampler(len(dataset), run.seed))
    run.metric("batcher_setup_seconds", watch.seconds, unit="s")  # once, not in the epochs below
    run.metric("same_batches", float(same(loader(), batcher)))

    rates = {}
    pair = run.compare(
        "epoch", lambda: consume(batcher), lambda: consume(loader()), library="torch DataLoader"
    )
    rates["in memory"] = len(dataset) / pair.ours_s
    rates["DataLoader"] = len(dataset) / pair.reference_s
    if workers:
        again = MemoryBatches(dataset, batch_size, ShuffledSampler(len(dataset), run.seed))
        run.metric("same_batches.workers", float(same(loader(workers), again)))
        pair = run.compare(
            "epoch_with_workers",
            lambda: consume(batcher),
            lambda: consume(loader(workers)),
            library=f"torch DataLoader, {workers} workers",
            pairs=5,
        )
        rates[f"DataLoader, {workers} workers"] = len(dataset) / pair.reference_s
    for name, rate in rates.items():
        run.metric(f"images_per_second.{name.lower().replace(', ', '-').replace(' ', '-')}", rate)
    draw(run, dataset, rates)


def files(run: Run, data: str) -> tuple[Path, Path]:
    """The idx files of the training images and labels."""
    if data == "mnist":
        found = run.data_files("mnist")
        return found["train-images-idx3-ubyte.gz"], found["train-labels-idx1-ubyte.gz"]
    digits = run.data("digits")
    images, labels = run.artifact("images-idx3-ubyte.gz"), run.artifact("labels-idx1-ubyte.gz")
    write_idx(images, (digits["x"] * 15).astype(np.uint8))
    write_idx(labels, digits["y"].astype(np.uint8))
    assert read_idx(images).shape == digits["x"].shape
    return images, labels


def equals_registry(run: Run, data: str, dataset: IdxDataset) -> bool:
    """Whether the parser read what the registry's own decoder reads."""
    loaded = run.data(data)
    x, y = (
        (loaded["x_train"], loaded["y_train"])
        if data == "mnist"
        else (loaded["x"] * 15, loaded["y"])
    )
    return bool((dataset.images.numpy() == x).all() and (dataset.labels.numpy() == y).all())


def same(first: DataLoader[tuple[Tensor, Tensor]], second: MemoryBatches) -> bool:
    """Whether two sources give the same batches in the same order, to the bit."""
    pairs = zip(first, second, strict=True)
    return all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in pairs)


def consume(source: DataLoader[tuple[Tensor, Tensor]] | MemoryBatches) -> int:
    """Take every batch; returns the number of images."""
    return sum(len(labels) for _, labels in source)


def draw(run: Run, dataset: IdxDataset, rates: dict[str, float]) -> None:
    """A batch before and after augmentation, and images a second by source."""
    batcher = MemoryBatches(dataset, 8, ShuffledSampler(len(dataset), run.seed))
    images, _ = next(iter(batcher))
    changed = random_affine(images, torch.Generator().manual_seed(run.seed))
    pictures = [*images.squeeze(1).numpy(), *changed.squeeze(1).numpy()]
    run.figure(
        "batch",
        plots.image_grid(pictures, columns=8),
        caption="A batch as it is read (above) and augmented as a whole (below)",
        format="png",
    )
    figure, axes = plots.figure(width=6, height=2.2)
    thousands = [rate / 1000 for rate in rates.values()]
    bars = axes.barh(list(rates), thousands, color=plots.PALETTE[: len(rates)])
    axes.bar_label(bars, fmt="{:,.0f}", padding=3)
    axes.set(xlabel="thousand images a second", xlim=(0, 1.2 * max(thousands)))
    axes.invert_yaxis()
    run.figure(
        "rates", figure, caption="Images a second: one gather a batch, or one item at a time"
    )
