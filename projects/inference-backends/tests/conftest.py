"""A small trained-looking network and images for it."""

import numpy as np
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


@pytest.fixture(scope="session")
def images():
    """96 images (1, 8, 8), float32."""
    return np.random.default_rng(0).standard_normal((96, 1, 8, 8), dtype=np.float32)


@pytest.fixture(scope="session")
def network(images):
    """The small residual network with batch norms that have seen something, in evaluation mode."""
    torch.manual_seed(0)
    model = make_network("resnet", 10, 1, small=True)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    model.train()
    with torch.no_grad():
        for _ in range(20):
            model(torch.from_numpy(images))
    return model.eval()
