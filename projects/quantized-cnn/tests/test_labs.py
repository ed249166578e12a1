from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import quantized_cnn
from groundwork import Run
from groundwork.data import fetch
from groundwork.terminal import Terminal
from groundwork.testing import assert_lab_is_whole
from groundwork.workspace import Workspace
from quantized_cnn.dynamic import DynamicLinear, quantize_dynamically
from quantized_cnn.images import load_images
from quantized_cnn.pretrained import pretrained
from quantized_cnn.references import onnxruntime_static, torch_dynamic

MEMBER = Workspace.find(Path(__file__).parent).member("quantized-cnn")


@pytest.mark.parametrize("lab", MEMBER.labs(), ids=lambda lab: lab.name)
def test_every_lab_is_whole(lab: object) -> None:
    assert_lab_is_whole(lab)


def test_every_public_name_is_there() -> None:
    for name in quantized_cnn.__all__:
        assert getattr(quantized_cnn, name).__module__.startswith("quantized_cnn")
    with pytest.raises(AttributeError, match="nothing"):
        _ = quantized_cnn.nothing


def test_a_network_is_trained_once(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "cache", lambda: tmp_path / "cache")
    networks = []
    for name in ("first", "second"):
        run = Run(tmp_path / name, seed=0, terminal=Terminal(None))
        images = load_images(run, "digits").first(64)
        networks.append(pretrained(run, "resnet", images, epochs=1, seed=0))
    assert len(list((tmp_path / "cache" / "networks").iterdir())) == 1
    assert not (tmp_path / "second" / "checkpoints").exists()
    x = images.x_test[:5]
    torch.testing.assert_close(networks[0](x), networks[1](x), rtol=1e-4, atol=1e-5)
    run = Run(tmp_path / "third", seed=0, terminal=Terminal(None))
    images = load_images(run, "digits").first(64)
    pretrained(run, "resnet", images, epochs=2, seed=0)
    assert len(list((tmp_path / "cache" / "networks").iterdir())) == 2


def test_the_digits_are_split_once_and_moved_images_keep_their_pixels(tmp_path):
    run = Run(tmp_path, seed=0, terminal=Terminal(None))
    images = load_images(run, "digits")
    assert (len(images.x_train), len(images.x_test)) == (1438, 359)
    assert images.classes == 10
    torch.testing.assert_close(images.x_train.mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
    x = torch.arange(2 * 64.0).view(2, 1, 8, 8) + 1
    moved = images.augment(x, torch.Generator().manual_seed(0))
    assert moved.shape == x.shape
    for before, after in zip(x, moved, strict=True):
        kept = after[after > 0]
        assert len(kept) >= 36
        assert np.isin(kept.numpy(), before.numpy()).all()
        assert (kept.diff() > 0).all()  # in their order: moved, not mirrored


def test_a_row_brings_its_own_range():
    torch.manual_seed(0)
    layer = nn.Linear(64, 32)
    quantized = DynamicLinear(layer)
    x = torch.randn(20, 64)
    got, expected = quantized(x), layer(x).detach()
    assert (got - expected).norm() < 0.02 * expected.norm()
    large = quantized(1000 * x) - quantized.bias
    torch.testing.assert_close(large, 1000 * (got - quantized.bias), rtol=1e-3, atol=1e-2)
    assert torch.isfinite(quantized(torch.zeros(17, 64))).all()


def test_dynamic_networks_agree_with_pytorchs_own():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)).eval()
    x = torch.randn(50, 64)
    ours, theirs, exact = quantize_dynamically(model)(x), torch_dynamic(model)(x), model(x).detach()
    assert (ours - exact).norm() < 0.02 * exact.norm()
    assert (ours - exact).norm() < 1.5 * (theirs - exact).norm()
    assert isinstance(model[0], nn.Linear)


def test_ours_lies_as_near_as_the_runtimes_own_quantizer(model, images):
    graph = quantized_cnn.fold_norms(quantized_cnn.trace(model))
    expected = graph(images).detach()
    ours = quantized_cnn.post_training(graph, images)(images)
    theirs = onnxruntime_static(graph, images)(images)
    assert (ours - expected).norm() < 1.3 * (theirs - expected).norm()
