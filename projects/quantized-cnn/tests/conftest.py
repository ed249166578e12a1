"""Small networks with batch norms that have seen something."""

import pytest
import torch
from torch import nn

from quantized_cnn.networks import make_network


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def images():
    """48 images (1, 8, 8)."""
    return torch.randn(48, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=["resnet", "mobilenet"])
def model(request, images):
    """A network whose batch norms differ from channel to channel, in evaluation mode."""
    torch.manual_seed(0)
    network = make_network(request.param, 10, 1, small=True)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.3, 2.0)
            nn.init.normal_(module.bias)
    network.train()
    with torch.no_grad():
        for _ in range(20):
            network(images)
    return network.eval()
