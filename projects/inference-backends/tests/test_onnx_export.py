"""What is exported is valid, takes any number of images, and gives PyTorch's values."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from inference_backends.backends.base import UnsupportedError
from inference_backends.custom_operator import SquashLayer, export_with_squash, squash
from inference_backends.exporting import to_onnx
from inference_backends.labs.onnx_export import Branch, Cond
from inference_backends.passes import operators
from inference_backends.passes.samples import run, torchscript


def values(model, x):
    with torch.no_grad():
        return model(torch.from_numpy(x)).numpy()


def close(found, wanted):
    return np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.fixture(scope="module")
def exports(network, images):
    return {
        "dynamo": to_onnx(network, images),
        "torchscript": torchscript(network, images, folded=True),
        "unfolded": torchscript(network, images, folded=False),
    }


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript", "unfolded"])
@pytest.mark.parametrize("size", [1, 3, 64])
def test_logits_are_pytorchs_for_any_number_of_images(exports, network, images, exporter, size):
    x = images[:size]
    assert close(run(exports[exporter], {"images": x})[0], values(network, x))


def test_every_export_is_valid_and_its_batch_is_symbolic(exports):
    for model in exports.values():
        onnx.checker.check_model(model, full_check=True)
        assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param


def test_batch_norms_are_folded_unless_it_is_told_not_to(exports):
    counts = {name: operators(model)["BatchNormalization"] for name, model in exports.items()}
    assert counts == {"dynamo": 0, "torchscript": 0, "unfolded": 6}


def test_the_network_is_not_changed_by_its_export(network, images):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torchscript(network, images, folded=True)
    torchscript(network, images, folded=False)
    assert not network.training
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())


def test_a_traced_branch_is_wrong_for_the_other_side_and_cond_is_right(images):
    positive, negative = np.abs(images[:4]) + 1, -np.abs(images[:4]) - 1
    traced, cond = torchscript(Branch(), positive, folded=True), to_onnx(Cond(), positive)
    assert close(run(traced, {"images": positive})[0], values(Branch(), positive))
    assert not close(run(traced, {"images": negative})[0], values(Branch(), negative))
    for x in (positive, negative):
        assert close(run(cond, {"images": x})[0], values(Branch(), x))


def test_a_branch_in_python_is_refused_by_its_layers_name(images):
    with pytest.raises(UnsupportedError, match="Branch"):
        to_onnx(nn.Sequential(nn.Identity(), Branch()), images[:2])


def test_a_custom_operator_is_written_in_onnx_operators(images):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), SquashLayer(4), nn.Conv2d(4, 2, 3)).eval()
    exported = export_with_squash(model, images)
    onnx.checker.check_model(exported, full_check=True)
    assert operators(exported)["Softsign"] == 1
    assert {node.domain for node in exported.graph.node} == {""}
    for size in (1, 5):
        x = images[:size]
        assert close(run(exported, {"images": x})[0], values(model, x))


def test_the_custom_operator_is_a_scaled_softsign():
    x, factor = torch.randn(2, 3, 4, 4), torch.tensor([0.5, 1.0, -2.0])
    wanted = factor.view(3, 1, 1) * nn.functional.softsign(x)
    torch.testing.assert_close(squash()(x, factor), wanted)
    torch.library.opcheck(squash(), (x, factor))
