import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from groundwork.testing import gradcheck
from mnist_labs.numpy_network import Adam, Network, batches, train_epoch


def table(rows: int = 12, features: int = 6, classes: int = 3) -> tuple[NDArray, NDArray]:
    rng = np.random.default_rng(1)
    return rng.standard_normal((rows, features)), rng.integers(0, classes, rows)


def network(*sizes: int, dtype: type = np.float64) -> Network:
    return Network(sizes, np.random.default_rng(0), dtype)


@pytest.mark.parametrize("sizes", [(6, 3), (6, 5, 3), (6, 7, 5, 3)])
def test_the_gradient_by_central_differences(sizes: tuple[int, ...]) -> None:
    x, y = table()
    net = network(*sizes)
    net.parameters += 0.1  # biases other than 0

    def loss(parameters: NDArray) -> float:
        net.parameters[:] = parameters
        return net.loss_and_gradient(x, y)

    def gradient(parameters: NDArray) -> NDArray:
        loss(parameters)
        return net.gradient.copy()

    gradcheck(loss, gradient, net.parameters.copy())


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_loss_and_gradient_are_autograds(scale: float) -> None:
    x, y = table()
    x *= scale
    net = network(6, 5, 3)
    leaves = [
        torch.from_numpy(part.copy()).requires_grad_()
        for pair in zip(net.weights, net.biases, strict=True)
        for part in pair
    ]
    hidden = torch.relu(torch.from_numpy(x) @ leaves[0] + leaves[1])
    expected = cross_entropy(hidden @ leaves[2] + leaves[3], torch.from_numpy(y))
    expected.backward()
    assert net.loss_and_gradient(x, y) == pytest.approx(float(expected.detach()), rel=1e-10)
    theirs = np.concatenate([leaf.grad.numpy().ravel() for leaf in leaves])
    assert np.allclose(net.gradient, theirs, rtol=1e-8, atol=1e-10 * scale)


def test_adam_takes_torchs_steps_block_by_block() -> None:
    rng = np.random.default_rng(0)
    start = rng.standard_normal(1000)
    ours = start.copy()
    optimizer = Adam(ours, block=64)  # the last block is an incomplete one
    theirs = torch.from_numpy(start.copy()).requires_grad_()
    reference = torch.optim.Adam([theirs], lr=0.01)
    for _ in range(100):
        gradient = rng.standard_normal(1000) * 10.0 ** rng.integers(-4, 4)
        optimizer.step(gradient, 0.01)
        theirs.grad = torch.from_numpy(gradient)
        reference.step()
    assert np.allclose(ours, theirs.detach().numpy(), rtol=0, atol=1e-10)


def test_batches_of_different_sizes_do_not_disturb_each_other() -> None:
    x, y = table()
    net = network(6, 5, 3)
    whole = net.forward(x).copy()
    parts = [net.forward(x[i : i + 5]).copy() for i in (0, 5, 10)]
    assert np.allclose(np.concatenate(parts), whole)
    right = float((whole.argmax(1) == y).mean())
    assert net.accuracy(x, y, rows=5) == net.accuracy(x, y) == right


def test_an_epoch_visits_every_row_once_in_a_new_order() -> None:
    x = np.arange(12.0).reshape(12, 1)
    y = np.arange(12)
    rng = np.random.default_rng(0)
    epochs = []
    for _ in range(2):
        seen = []
        for x_batch, y_batch in batches(x, y, 4, rng):
            assert (x_batch[:, 0] == y_batch).all()
            seen += y_batch.tolist()
        epochs.append(seen)
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(12))
    assert epochs[0] != epochs[1]


def test_it_learns_and_the_seed_decides(tiny_classes: tuple[NDArray, NDArray]) -> None:
    x, y = tiny_classes
    finals = []
    for seed in (0, 0, 1):
        rng = np.random.default_rng(seed)
        net = Network((4, 16, 3), rng)
        optimizer = Adam(net.parameters)
        for _ in range(60):
            train_epoch(
                net, optimizer, x.astype(np.float32), y,
                batch_size=20, learning_rate=0.01, rng=rng,
            )  # fmt: skip
        assert net.accuracy(x.astype(np.float32), y) > 0.9
        finals.append(net.parameters.copy())
    assert (finals[0] == finals[1]).all()
    assert (finals[0] != finals[2]).any()


@pytest.mark.parametrize("sizes", [(3,), (), (3, 0, 2)])
def test_sizes_that_are_not_taken_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two or more positive"):
        Network(sizes, np.random.default_rng(0))
