import itertools

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from mnist_labs.digit_sums import SumNetwork, log_sum_distribution, side_by_side


def random_log_digits(rows: int, count: int) -> Tensor:
    generator = Generator().manual_seed(count)
    logits = 3 * torch.randn(rows, count, 10, generator=generator, dtype=torch.float64)
    return logits.log_softmax(2)


def tagged_digits(count: int) -> tuple[Tensor, Tensor]:
    """Images of 4×4 pixels that all hold their own number, and digits as labels."""
    x = torch.arange(count, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
    return x, torch.arange(count) % 10


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_sum_has_the_probability_of_all_the_ways_to_it(count: int) -> None:
    log_digits = random_log_digits(4, count)
    expected = torch.zeros(4, 9 * count + 1, dtype=torch.float64)
    for digits in itertools.product(range(10), repeat=count):
        ways = [log_digits[:, place, digit] for place, digit in enumerate(digits)]
        expected[:, sum(digits)] += torch.stack(ways).sum(0).exp()
    torch.testing.assert_close(log_sum_distribution(log_digits).exp(), expected)


def test_the_distribution_is_numpys_convolution() -> None:
    log_digits = random_log_digits(1, 4)
    product = np.ones(1)
    for probabilities in log_digits[0].exp().numpy():
        product = np.convolve(product, probabilities)
    np.testing.assert_allclose(log_sum_distribution(log_digits)[0].exp().numpy(), product)


def test_the_gradient_is_right() -> None:
    log_digits = random_log_digits(2, 2).requires_grad_()
    assert torch.autograd.gradcheck(log_sum_distribution, (log_digits,))


def test_a_sum_that_seems_impossible_still_has_a_useful_gradient() -> None:
    logits = torch.zeros(1, 2, 10)
    logits[:, :, 3] = 500.0  # both digits are surely 3, in float32 with probability 1
    logits.requires_grad_()
    loss = -log_sum_distribution(logits.log_softmax(2))[0, 18]
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == pytest.approx(1000, rel=1e-5)
    assert bool(torch.isfinite(gradient).all())
    torch.testing.assert_close(gradient[0, :, 9], torch.tensor([-1.0, -1.0]))
    torch.testing.assert_close(gradient[0, :, 3], torch.tensor([1.0, 1.0]))


def test_side_by_side_joins_each_digit_once_a_round() -> None:
    x, y = tagged_digits(23)
    joined = side_by_side(x, y, 3, generator=Generator().manual_seed(0), rounds=2)
    assert joined.x.shape == (14, 1, 4, 12)
    parts = joined.x[:, 0, 0].reshape(14, 3, 4)
    assert torch.equal(parts, parts[:, :, :1].expand_as(parts))  # no tile is torn apart
    numbers = parts[:, :, 0].long()
    assert torch.equal(joined.digits, y[numbers])
    assert torch.equal(joined.y, joined.digits.sum(1))
    for one_round in (numbers[:7], numbers[7:]):
        assert len(set(one_round.flatten().tolist())) == 21
    assert not torch.equal(numbers[:7], numbers[7:])


def test_side_by_side_is_decided_by_its_generator() -> None:
    x, y = tagged_digits(20)
    first, again, other = (
        side_by_side(x, y, 2, generator=Generator().manual_seed(seed)) for seed in (5, 5, 6)
    )
    assert torch.equal(first.x, again.x)
    assert not torch.equal(first.x, other.x)


def test_the_network_reads_every_place_with_the_same_weights() -> None:
    torch.manual_seed(0)
    network = SumNetwork(8, 3)
    x = torch.rand(5, 1, 8, 24, generator=Generator().manual_seed(0))
    turned = torch.cat([x[..., 16:], x[..., :16]], dim=3)
    torch.testing.assert_close(network(x), network(turned))
    torch.testing.assert_close(network.log_digits(turned), network.log_digits(x)[:, [2, 0, 1]])
    assert network(x).shape == (5, 28)
    torch.testing.assert_close(network(x).exp().sum(1), torch.ones(5))
    assert torch.equal(network.read(x, batch_size=2), network.log_digits(x).argmax(2))


def test_the_network_of_a_digit_serves_any_count() -> None:
    torch.manual_seed(0)
    network = SumNetwork(8, 2)
    x = torch.rand(4, 1, 8, 16, generator=Generator().manual_seed(0))
    pairs = network.log_digits(x)
    network.count = 4
    fours = network.log_digits(torch.cat([x, x], dim=3))
    torch.testing.assert_close(fours, torch.cat([pairs, pairs], dim=1))


def test_bad_input_is_refused() -> None:
    x, y = tagged_digits(5)
    with pytest.raises(ValueError, match="at least 6"):
        side_by_side(x, y, 6, generator=Generator())
    with pytest.raises(ValueError, match="5 images, 4 labels"):
        side_by_side(x, y[:4], 2, generator=Generator())
    with pytest.raises(ValueError, match="rounds 0"):
        side_by_side(x, y, 2, generator=Generator(), rounds=0)
    with pytest.raises(ValueError, match=r"shape \(4, 10\)"):
        log_sum_distribution(torch.zeros(4, 10))
    with pytest.raises(ValueError, match="multiple of 4"):
        SumNetwork(7, 2)
    with pytest.raises(ValueError, match=r"\(1, 8, 16\) is taken"):
        SumNetwork(8, 2)(torch.zeros(3, 1, 8, 24))
