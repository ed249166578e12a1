import numpy as np
import pytest
import torch

from mnist_labs.idx import IdxError, write_idx
from mnist_labs.loading import (
    BalancedSampler,
    IdxDataset,
    MemoryBatches,
    OrderedSampler,
    ShuffledSampler,
    make_loader,
)


def files(folder, images=None, labels=None):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (23, 4, 5)).astype(np.uint8) if images is None else images
    labels = (np.arange(23) % 3).astype(np.uint8) if labels is None else labels
    write_idx(folder / "images", images)
    write_idx(folder / "labels", labels)
    return folder / "images", folder / "labels"


@pytest.fixture
def dataset(tmp_path):
    return IdxDataset(*files(tmp_path))


def test_an_item_is_a_scaled_image_and_its_label(dataset):
    image, label = dataset[4]
    assert image.shape == (1, 4, 5)
    assert torch.equal(image[0], dataset.images[4].float() / 255)
    assert label == 1
    dataset.transform = lambda x: x + 1
    assert torch.equal(dataset[4][0], image + 1)


@pytest.mark.parametrize("batch_size", [1, 4, 23, 40])
def test_batcher_and_loader_give_the_same_batches_in_every_epoch(dataset, batch_size):
    batcher = MemoryBatches(dataset, batch_size, ShuffledSampler(23, seed=5))
    loader = make_loader(dataset, batch_size, ShuffledSampler(23, seed=5))
    for _ in range(2):
        pairs = list(zip(batcher, loader, strict=True))
        assert len(pairs) == len(batcher)
        for (images, labels), (loader_images, loader_labels) in pairs:
            assert torch.equal(images, loader_images)
            assert torch.equal(labels, loader_labels)


def test_a_batch_may_be_changed_without_changing_the_data(dataset):
    batcher = MemoryBatches(dataset, 23, OrderedSampler(23))
    before = next(iter(batcher))[0].clone()
    next(iter(batcher))[0].zero_()
    assert torch.equal(next(iter(batcher))[0], before)


def test_augment_sees_whole_batches(dataset):
    batcher = MemoryBatches(dataset, 10, OrderedSampler(23), augment=lambda x: x * len(x))
    plain = MemoryBatches(dataset, 10, OrderedSampler(23))
    for (changed, _), (images, _) in zip(batcher, plain, strict=True):
        assert torch.equal(changed, images * len(images))


def test_shuffled_orders_are_permutations_decided_by_the_seed_and_new_each_epoch():
    first, again, other = (ShuffledSampler(50, seed) for seed in (1, 1, 2))
    epochs = [list(first) for _ in range(2)]
    assert [list(again) for _ in range(2)] == epochs
    assert epochs[0] != epochs[1]
    assert list(other) != epochs[0]
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert list(OrderedSampler(4)) == [0, 1, 2, 3]


def test_balanced_draws_have_each_class_equally_often_and_no_row_twice():
    labels = torch.tensor([0] * 30 + [1] * 4 + [2] * 11)
    sampler = BalancedSampler(labels, seed=3)
    drawn = list(sampler)
    assert len(drawn) == len(sampler) == len(set(drawn)) == 12
    assert torch.bincount(labels[drawn]).tolist() == [4, 4, 4]
    assert labels[drawn].tolist() != sorted(labels[drawn].tolist())
    assert list(sampler) != drawn


@pytest.mark.parametrize(
    "images, labels, says",
    [
        (np.zeros((4, 2, 2), np.uint8), np.zeros(3, np.uint8), "4 images"),
        (np.zeros((4, 2), np.uint8), np.zeros(4, np.uint8), "three and one dimensions"),
        (np.zeros((4, 2, 2), np.float32), np.zeros(4, np.uint8), "unsigned bytes"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(tmp_path, images, labels, says):
    with pytest.raises(IdxError, match=says):
        IdxDataset(*files(tmp_path, images, labels))


def test_a_batcher_refuses_what_it_would_ignore(dataset):
    with pytest.raises(ValueError, match="batch_size 0"):
        MemoryBatches(dataset, 0, OrderedSampler(23))
    dataset.transform = torch.neg
    with pytest.raises(ValueError, match="augment"):
        MemoryBatches(dataset, 4, OrderedSampler(23))
