import numpy as np
import pytest
import torch
from PIL import Image

from cnn_inference_pipeline.dataset import check_calibration, hold_out
from cnn_inference_pipeline.image_folder import read_folder
from cnn_inference_pipeline.model_source import check_model, load_model
from groundwork.errors import UsageError


def test_a_folder_gives_each_class_a_fifth_to_the_test(folder):
    data = read_folder(folder)
    assert data.labels == ["left", "right"]
    assert (len(data.x_train), len(data.x_choice), len(data.x_test)) == (44, 4, 12)
    assert data.shape == (1, 8, 8)
    assert np.bincount(data.y_test).tolist() == [6, 6]
    again = read_folder(folder)
    np.testing.assert_array_equal(data.x_test, again.x_test)
    assert data.digest == again.digest


def test_no_image_is_both_learnt_from_and_judged_by(folder):
    data = read_folder(folder)
    parts = [{x.tobytes() for x in part} for part in (data.x_train, data.x_choice, data.x_test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 60


def test_folders_that_are_split_already_stay_so(folder, tmp_path):
    root = tmp_path / "split"
    for part in ("train", "test"):
        for name in ("left", "right"):
            place = root / part / name
            place.mkdir(parents=True)
            for path in sorted((folder / name).iterdir())[:: 1 if part == "train" else 5]:
                Image.open(path).convert("RGB").save(place / path.name)
    data = read_folder(root)
    assert len(data.x_test) == 12
    assert data.shape == (3, 8, 8)


def break_one_class(root):
    for path in (root / "right").iterdir():
        path.unlink()
    (root / "right").rmdir()


def break_images(root):
    for path in sorted((root / "left").iterdir())[:5]:
        path.write_bytes(b"no image")


def cut_images(root):
    path = root / "left" / "000.png"
    path.write_bytes(path.read_bytes()[:60])


def mix_sizes(root):
    Image.new("L", (9, 8)).save(root / "right" / "999.png")


def empty(root):
    for path in [*root.rglob("*.png")]:
        path.unlink()


def few(root):
    for path in sorted((root / "left").iterdir())[3:]:
        path.unlink()


def constant(root):
    for path in root.rglob("*.png"):
        Image.new("L", (8, 8), 7).save(path)


@pytest.mark.parametrize(
    "spoil, tells",
    [
        (break_one_class, r"one class only \(left\)"),
        (break_images, r"5 of 60 images cannot be read: .*000\.png, .* and 2 more"),
        (cut_images, r"1 of 60 images cannot be read: .*000\.png"),
        (mix_sizes, r"different sizes: 000\.png is 8×8, 999\.png is 9×8"),
        (empty, "holds no images"),
        (few, "class left has 3 images; 5 or more"),
        (constant, "images to calibrate with are constant"),
    ],
)
def test_a_folder_that_cannot_be_learnt_from_is_told_in_one_line(folder, spoil, tells):
    spoil(folder)
    with pytest.raises(UsageError, match=tells) as caught:
        read_folder(folder)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_no_folder_lists_the_built_in_data():
    with pytest.raises(UsageError, match="no folder, and not one of digits, cifar10_subset"):
        read_folder("nowhere")


def test_images_constant_each_but_different_are_no_calibration_either():
    x = np.repeat(np.arange(10, dtype=np.uint8), 64).reshape(10, 1, 8, 8)
    with pytest.raises(UsageError, match="all 10 images to calibrate with are constant"):
        check_calibration(x)


def test_normalized_images_have_mean_zero_and_variance_one(dataset, squares):
    x = dataset.images.x_train
    torch.testing.assert_close(x.mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(), torch.tensor(1.0), atol=1e-3, rtol=0)
    other = hold_out("squares", dataset.labels, *squares(88, seed=5), *squares(40), False)
    assert other.digest != dataset.digest


MODEL = """
import torch

def make(classes, channels):
    return torch.nn.Sequential(
        torch.nn.Conv2d(channels, 4, 3, 1, 1), torch.nn.GELU(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, classes),
    )

def fixed():
    return make(7, 1)

def no_module():
    return 3

def broken():
    raise RuntimeError("no weights here")
"""


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(MODEL)
    return path


def test_a_users_factory_is_called_with_what_it_takes(model_file):
    source = load_model(f"{model_file}:make")
    assert source.name == "net:make"
    check_model(source.name, source.make(5, 3), (3, 8, 8), 5)
    before = source.digest
    model_file.write_text(MODEL + "# changed")
    assert load_model(f"{model_file}:make").digest != before


@pytest.mark.parametrize(
    "function, tells",
    [
        ("nothing", "has no function nothing"),
        ("no_module", "gives a int; a torch module is taken"),
        ("broken", "cannot be made: RuntimeError: no weights here"),
        ("fixed", r"gives \(2, 7\) for 2 images; \(2, 5\) is taken"),
    ],
)
def test_a_factory_that_does_not_fit_is_told_in_one_line(model_file, function, tells):
    with pytest.raises(UsageError, match=tells):
        check_model("net", load_model(f"{model_file}:{function}").make(5, 1), (1, 8, 8), 5)


@pytest.mark.parametrize(
    "name, tells",
    [
        ("resnet99", "resnet20, resnet6 or FILE.py:factory is"),
        ("nowhere.py:make", "there is no file nowhere"),
    ],
)
def test_another_name_is_refused(name, tells):
    with pytest.raises(UsageError, match=tells):
        load_model(name)


def test_a_file_that_cannot_be_run_says_why(tmp_path):
    (tmp_path / "bad.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(UsageError, match="cannot be run: ModuleNotFoundError"):
        load_model(f"{tmp_path / 'bad.py'}:make")
