import numpy as np
import pytest
import torch

from groundwork import UsageError
from mnist_labs.idx import IdxError, write_idx
from mnist_labs.letters import NAMES, load_letters


def write(folder, ending=".gz", **changed):
    """EMNIST's four files: three training and two test images of 4×4 pixels."""
    upright = {}
    for part, count in (("train", 3), ("test", 2)):
        pixels = np.arange(count * 16).reshape(count, 4, 4).astype(np.uint8)
        labels = changed.get(part, np.array([1, 26, 5][:count])).astype(np.uint8)
        image_name, label_name = NAMES[part]
        write_idx(folder / (image_name + ending), pixels.transpose(0, 2, 1))
        write_idx(folder / (label_name + ending), labels)
        upright[part] = pixels
    return upright


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_images_are_set_upright_and_labels_count_from_zero(tmp_path, ending):
    upright = write(tmp_path, ending)
    letters = load_letters(tmp_path)
    assert letters.x_train.shape == (3, 1, 4, 4)
    assert letters.x_train.is_contiguous()
    assert torch.equal(letters.x_train[:, 0], torch.from_numpy(upright["train"]).float() / 255)
    assert torch.equal(letters.x_test[:, 0], torch.from_numpy(upright["test"]).float() / 255)
    assert letters.y_train.tolist() == [0, 25, 4]
    assert [letters.classes[label] for label in letters.y_test] == ["A", "Z"]


@pytest.mark.parametrize("name", [name for pair in NAMES.values() for name in pair])
def test_a_missing_file_is_named_with_all_that_are_wanted(tmp_path, name):
    write(tmp_path)
    (tmp_path / f"{name}.gz").unlink()
    with pytest.raises(UsageError, match=f"holds no {name}") as caught:
        load_letters(tmp_path)
    assert all(each in str(caught.value) for pair in NAMES.values() for each in pair)
    assert "NIST" in str(caught.value)


@pytest.mark.parametrize(
    "labels, says",
    [
        (np.array([1, 2]), "3 images and 2 labels"),
        (np.array([0, 1, 2]), "labels from 0 to 2"),
        (np.array([1, 2, 27]), "labels from 1 to 27"),
        (np.array([[1, 2, 3]]), "dimensions"),
    ],
)
def test_labels_that_cannot_be_right_are_refused(tmp_path, labels, says):
    write(tmp_path, train=labels)
    with pytest.raises(IdxError, match=says):
        load_letters(tmp_path)
