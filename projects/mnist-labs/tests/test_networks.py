import pytest
import torch
from torch import Generator

from mnist_labs.augmentation import random_affine, random_flip, random_shift
from mnist_labs.deep import REPAIRS, DeepNet, gradient_norms
from mnist_labs.models import SmallCNN, TinyNet, count_parameters


@pytest.mark.parametrize("size", [8, 28])
@pytest.mark.parametrize("model", [TinyNet(16, 7), SmallCNN(8, 7)], ids=["tiny", "small"])
def test_a_network_gives_logits_for_either_size(model: torch.nn.Module, size: int) -> None:
    model.eval()
    x = torch.rand(3, 1, size, size)
    assert model(x).shape == (3, 7)
    assert torch.allclose(model(x)[:1], model(x[:1]), atol=1e-5)


def test_the_tiny_network_is_tiny() -> None:
    assert count_parameters(TinyNet(16)) <= 10_000
    frozen = TinyNet(16)
    frozen.head.requires_grad_(False)
    assert count_parameters(frozen) == count_parameters(TinyNet(16)) - 32 * 10 - 10


class TestAugmentation:
    x = torch.rand(6, 1, 8, 8, generator=Generator().manual_seed(0))

    def test_no_change_is_no_change(self) -> None:
        same = random_affine(self.x, Generator(), degrees=0, scale=0, shear=0, shift=0)
        assert torch.allclose(same, self.x, atol=1e-5)
        assert torch.equal(random_shift(self.x, Generator(), pixels=0), self.x)

    @pytest.mark.parametrize("change", [random_affine, random_shift, random_flip])
    def test_the_generator_decides_and_the_shape_stays(self, change: object) -> None:
        assert callable(change)
        a, b = (change(self.x, Generator().manual_seed(1)) for _ in range(2))
        assert torch.equal(a, b)
        assert a.shape == self.x.shape

    def test_a_shift_moves_pixels_and_fills_with_zero(self) -> None:
        x = torch.zeros(1, 1, 5, 5)
        x[0, 0, 2, 2] = 1
        generator = Generator().manual_seed(0)
        places = {
            tuple(random_shift(x, generator, pixels=1)[0, 0].nonzero()[0].tolist())
            for _ in range(200)
        }
        assert places == {(i, j) for i in (1, 2, 3) for j in (1, 2, 3)}

    def test_an_affine_change_keeps_most_of_the_ink_where_it_was(self) -> None:
        x = torch.zeros(64, 1, 28, 28)
        x[:, :, 10:18, 10:18] = 1
        changed = random_affine(x, Generator().manual_seed(0))
        ink = changed.sum((1, 2, 3)) / 64
        assert 0.6 < ink.min() <= ink.max() < 1.6
        assert changed[:, :, :4].sum() == 0
        assert len(ink.unique()) > 30  # each image has a change of its own

    def test_a_flip_mirrors_about_half(self) -> None:
        x = torch.zeros(400, 1, 2, 2)
        x[:, :, :, 0] = 1
        mirrored = random_flip(x, Generator().manual_seed(0))[:, 0, 0, 1].sum()
        assert 160 < mirrored < 240


class TestDeepNet:
    def norms(self, name: str) -> list[float]:
        he, normalise, residual = REPAIRS[name]
        torch.manual_seed(0)
        model = DeepNet(16, depth=20, width=32, he=he, normalise=normalise, residual=residual)
        x, y = torch.rand(32, 1, 4, 4), torch.arange(32) % 10
        return gradient_norms(model, x, y)

    def test_it_has_the_layers_it_says(self) -> None:
        model = DeepNet(16, depth=20, width=32)
        assert len(list(model.layers())) == 20
        assert len(self.norms("plain")) == 20

    def test_the_plain_gradient_vanishes_by_a_factor_each_layer(self) -> None:
        norms = self.norms("plain")
        assert norms[0] < 1e-5 * norms[-1]

    def test_he_initialisation_keeps_the_gradients_size(self) -> None:
        norms = self.norms("initialisation")
        assert 0.01 < norms[0] / norms[-1] < 100

    def test_asking_for_the_gradient_leaves_none_behind(self) -> None:
        model = DeepNet(16, depth=4, width=8)
        gradient_norms(model, torch.rand(8, 1, 4, 4), torch.arange(8))
        assert all(p.grad is None for p in model.parameters())
