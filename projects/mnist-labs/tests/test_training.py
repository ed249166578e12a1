from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from mnist_labs.training import accuracy, fit, predict


class Store:
    """A checkpoint in memory that can be told to fail after so many saves."""

    def __init__(self, fail_after: int | None = None) -> None:
        self.state: Any = None
        self.saves = 0
        self.fail_after = fail_after

    def load(self) -> Any:
        return self.state

    def save(self, state: Any) -> None:
        import copy

        self.state = copy.deepcopy(state)
        self.saves += 1
        if self.saves == self.fail_after:
            raise KeyboardInterrupt


def data() -> tuple[Tensor, Tensor]:
    generator = Generator().manual_seed(0)
    x = torch.randn(64, 5, generator=generator)
    return x, (x[:, 0] > 0).long()


def noise(x: Tensor, generator: Generator) -> Tensor:
    return x + 0.1 * torch.randn(x.shape, generator=generator)


def train(store: Store | None = None, epochs: int = 6) -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    x, y = data()
    history = fit(
        model,
        x,
        y,
        epochs=epochs,
        batch_size=16,
        optimizer=optimizer,
        schedule=torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps=6 * 4),
        augment=noise,
        seed=3,
        checkpoint=store,
        on_epoch=lambda epoch: accuracy(model, x, y),
    )
    return model, history


def test_training_learns() -> None:
    model, history = train()
    assert len(history.losses) == len(history.seconds) == len(history.notes) == 6
    assert history.losses[-1] < history.losses[0]
    assert accuracy(model, *data()) > 0.85
    assert not model.training


@pytest.mark.parametrize("epoch", [1, 3, 5])
def test_stopped_training_goes_on_to_the_same_weights(epoch: int) -> None:
    whole, expected = train()
    store = Store(fail_after=epoch)
    with pytest.raises(KeyboardInterrupt):
        train(store)
    torch.manual_seed(99)  # another process has drawn other numbers in between
    torch.rand(7)
    store.fail_after = None
    resumed, history = train(store)
    assert history.losses == expected.losses
    assert history.notes == expected.notes
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_finished_training_is_not_done_again() -> None:
    store = Store()
    train(store)
    saves = store.saves
    train(store)
    assert store.saves == saves


def test_every_image_is_seen_once_an_epoch() -> None:
    seen: list[Tensor] = []

    def watch(x: Tensor, generator: Generator) -> Tensor:
        seen.append(x[:, 0].clone())
        return x

    x = torch.arange(12.0).unsqueeze(1).repeat(1, 2)
    model = nn.Linear(2, 2)
    fit(
        model,
        x,
        torch.zeros(12, dtype=torch.int64),
        epochs=2,
        batch_size=4,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.0),
        seed=0,
        augment=watch,
    )
    first, second = torch.cat(seen[:3]), torch.cat(seen[3:])
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(12))
    assert first.tolist() != second.tolist()


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    model = nn.Linear(5, 2)
    x, y = data()
    with pytest.raises(FloatingPointError, match="epoch 1"):
        fit(
            model,
            x * float("inf"),
            y,
            epochs=1,
            batch_size=16,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
            seed=0,
        )


def test_inputs_and_targets_of_different_lengths_are_refused() -> None:
    model = nn.Linear(5, 2)
    x, y = data()
    with pytest.raises(ValueError, match="64 rows and y has 63"):
        fit(
            model,
            x,
            y[:-1],
            epochs=1,
            batch_size=4,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
            seed=0,
        )


def test_prediction_does_not_depend_on_the_batch_size() -> None:
    model, _ = train()
    x, y = data()
    assert torch.allclose(predict(model, x, 7), predict(model, x, 64), atol=1e-6)
    assert accuracy(model, x, y, 7) == accuracy(model, x, y, 64)
