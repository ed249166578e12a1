"""From files to batches: a data set, samplers, and a batcher that works on the whole of it at once.

PyTorch's `DataLoader` asks the data set for one item at a time and stacks the items into a batch.
That is right where an item is a file to read and decode. Where everything fits into memory, the
same batch is one gather of rows, and the thousands of small steps fall away.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mnist_labs.idx import IdxError, read_idx

Transform = Callable[[Tensor], Tensor]


class IdxDataset(Dataset[tuple[Tensor, int]]):
    """Images and labels from a pair of idx files.

    Item i is the image as a float32 tensor (1, h, w) in [0, 1], changed by `transform` where one is
    given, and its label. Raises IdxError where the files do not belong together.
    """

    def __init__(self, images: Path, labels: Path, transform: Transform | None = None) -> None:
        self.images = torch.from_numpy(read_idx(images))
        self.labels = torch.from_numpy(read_idx(labels).astype(np.int64))
        self.transform = transform
        if self.images.ndim != 3 or self.labels.ndim != 1:
            raise IdxError(f"{images} and {labels}: three and one dimensions are taken")
        if self.images.dtype != torch.uint8:
            raise IdxError(f"{images}: {self.images.dtype} pixels; unsigned bytes are taken")
        if len(self.images) != len(self.labels):
            raise IdxError(
                f"{images} holds {len(self.images)} images and {labels} {len(self.labels)} labels; "
                f"as many of each are taken"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index].to(torch.float32).div_(255).unsqueeze(0)
        if self.transform:
            image = self.transform(image)
        return image, int(self.labels[index])


class ShuffledSampler(Sampler[int]):
    """All indices in a random order, another one for each epoch; the seed decides them all."""

    def __init__(self, count: int, seed: int = 0) -> None:
        self.count, self.seed, self.epoch = count, seed, 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        yield from self.order().tolist()

    def order(self) -> Tensor:
        """The next epoch's order, shape (count,)."""
        generator = Generator().manual_seed(self.seed + self.epoch)
        self.epoch += 1
        return torch.randperm(self.count, generator=generator)


class OrderedSampler(ShuffledSampler):
    """All indices as they come, in each epoch."""

    def order(self) -> Tensor:
        """0 … count - 1."""
        return torch.arange(self.count)


class BalancedSampler(ShuffledSampler):
    """As many draws of each class as of the rarest, in a random order, new for each epoch."""

    def __init__(self, labels: Tensor, seed: int = 0) -> None:
        self.members = [(labels == label).nonzero().squeeze(1) for label in labels.unique()]
        self.each = min(len(rows) for rows in self.members)
        super().__init__(self.each * len(self.members), seed)

    def order(self) -> Tensor:
        """The next epoch's indices: a fresh draw of every class, shuffled together."""
        generator = Generator().manual_seed(self.seed + self.epoch)
        self.epoch += 1
        drawn = [rows[torch.randperm(len(rows), generator=generator)[: self.each]]
                 for rows in self.members]  # fmt: skip
        together = torch.cat(drawn)
        return together[torch.randperm(len(together), generator=generator)]


def collate(items: Sequence[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
    """Items (image, label) → a batch: images (n, 1, h, w) and labels (n,)."""
    images, labels = zip(*items, strict=True)
    return torch.stack(images), torch.tensor(labels)


def make_loader(
    dataset: IdxDataset, batch_size: int, sampler: Sampler[int], *, workers: int = 0, seed: int = 0
) -> DataLoader[tuple[Tensor, Tensor]]:
    """PyTorch's loader over the data set.

    `seed` decides the generator from which each worker process draws a seed of its own, so that
    random transforms differ between the workers and not between runs.
    """
    return DataLoader(
        dataset,
        batch_size,
        sampler=sampler,
        collate_fn=collate,
        num_workers=workers,
        generator=Generator().manual_seed(seed),
    )


class MemoryBatches:
    """Batches from memory: the whole data set as one tensor, each batch one gather of its rows.

    Parameters
    ----------
    dataset : its images are scaled once, to float32 in [0, 1]. One with a `transform`, which
        works on single images, is refused with a ValueError.
    batch_size : the last batch may be smaller.
    sampler : gives each epoch's order.
    augment : changes a whole batch of images at once.

    Iterating gives images (n, 1, h, w) and labels (n,), the same as a `DataLoader` over the data
    set with the same sampler gives.
    """

    def __init__(
        self,
        dataset: IdxDataset,
        batch_size: int,
        sampler: ShuffledSampler,
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        if dataset.transform:
            raise ValueError("the data set has a transform of single images; give augment instead")
        if batch_size < 1:
            raise ValueError(f"batch_size {batch_size}: at least 1 is taken")
        self.images = dataset.images.to(torch.float32).div_(255).unsqueeze(1)
        self.labels = dataset.labels
        self.batch_size, self.sampler, self.augment = batch_size, sampler, augment

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for rows in self.sampler.order().split(self.batch_size):
            images = self.images[rows]
            yield (self.augment(images) if self.augment else images), self.labels[rows]
