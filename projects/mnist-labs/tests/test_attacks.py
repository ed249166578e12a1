import itertools
import pickle
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from mnist_labs.attacks import (
    AdversarialBatches,
    fgsm,
    logits_and_gradient,
    pgd,
    project,
    small_network,
    withstands_pgd,
)
from mnist_labs.training import accuracy, fit


def linear_model(pixels: int, classes: int) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes))


def images(count: int, size: int) -> Tensor:
    """Random images, some of whose pixels are at the ends of [0, 1]."""
    noise = torch.rand(count, 1, size, size, generator=Generator().manual_seed(2))
    return (noise * 1.4 - 0.2).clamp(0, 1)


def labels(count: int, classes: int) -> Tensor:
    return torch.arange(count) % classes


def worst_losses(model: nn.Module, x: Tensor, y: Tensor, epsilon: float) -> Tensor:
    """The largest loss over all corners of each image's box: the maximum of a convex loss."""
    losses = []
    for signs in itertools.product((-1.0, 1.0), repeat=x[0].numel()):
        corner = (x + epsilon * torch.tensor(signs).view(x[0].shape)).clamp(0, 1)
        losses.append(cross_entropy(model(corner), y, reduction="none"))
    return torch.stack(losses).amax(0).detach()


def attack(name: str, model: nn.Module, x: Tensor, y: Tensor, epsilon: float) -> Tensor:
    if name == "fgsm":
        return fgsm(model, x, y, epsilon)
    generator = Generator().manual_seed(0)
    return pgd(model, x, y, epsilon, step=epsilon / 3, steps=10, generator=generator)


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_an_attack_finds_the_worst_change_for_a_linear_model_of_two_classes(name: str) -> None:
    model, x, y = linear_model(9, 2), images(20, 3), labels(20, 2)
    moved = attack(name, model, x, y, 0.2)
    found = cross_entropy(model(moved), y, reduction="none").detach()
    torch.testing.assert_close(found, worst_losses(model, x, y, 0.2))


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
@pytest.mark.parametrize("epsilon", [0.0, 0.05, 0.3, 2.0])
def test_an_attack_stays_in_the_ball_and_gives_images(name: str, epsilon: float) -> None:
    torch.manual_seed(0)
    model, x, y = small_network(8), images(12, 8), labels(12, 10)
    moved = attack(name, model, x, y, epsilon)
    assert moved.shape == x.shape
    assert float((moved - x).abs().max()) <= epsilon + 1e-6
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1
    assert not moved.requires_grad
    assert epsilon == 0 or not torch.equal(moved, x)


def test_fgsm_never_lowers_the_loss_of_a_linear_model() -> None:
    model, x, y = linear_model(16, 10), images(50, 4), labels(50, 10)
    before = cross_entropy(model(x), y, reduction="none")
    after = cross_entropy(model(fgsm(model, x, y, 0.1)), y, reduction="none")
    assert bool((after >= before).all())


def test_more_steps_find_a_larger_loss_of_a_deep_network() -> None:
    torch.manual_seed(0)
    model, x, y = small_network(8), images(40, 8), labels(40, 10)
    clean, one_step, many = (
        cross_entropy(model(moved), y).item()
        for moved in (x, fgsm(model, x, y, 0.3), attack("pgd", model, x, y, 0.3))
    )
    assert many > one_step > clean


def test_the_gradient_agrees_with_finite_differences_and_leaves_the_model_alone() -> None:
    torch.manual_seed(0)
    model = small_network(4).double()
    x, y = images(3, 4).double(), labels(3, 10)
    logits, gradient = logits_and_gradient(model, x, y)
    torch.testing.assert_close(logits, model(x).detach())
    for row, line, column in [(0, 0, 0), (1, 2, 3), (2, 3, 1)]:
        h = torch.zeros_like(x)
        h[row, 0, line, column] = 1e-5
        with torch.no_grad():
            up, down = (cross_entropy(model(x + s * h), y, reduction="sum") for s in (1, -1))
        expected = float(up - down) / 2e-5
        assert float(gradient[row, 0, line, column]) == pytest.approx(expected, rel=1e-4, abs=1e-9)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_project_gives_the_nearest_point_of_ball_and_cube() -> None:
    x = torch.tensor([0.0, 0.5, 0.9, 0.5])
    candidate = torch.tensor([-0.3, 0.9, 1.7, 0.55])
    torch.testing.assert_close(project(candidate, x, 0.2), torch.tensor([0.0, 0.7, 1.0, 0.55]))


@pytest.mark.parametrize("step, steps", [(0.02, 15), (0.3, 1)])
def test_withstands_agrees_with_the_certain_answer_for_a_linear_model(
    step: float, steps: int
) -> None:
    model, x, y = linear_model(9, 2), images(60, 3), labels(60, 2)
    # Two classes: right exactly where the loss is below log 2.
    certain = worst_losses(model, x, y, 0.1) < torch.log(torch.tensor(2.0))
    generator = Generator().manual_seed(0)
    stands = withstands_pgd(
        model, x, y, 0.1, step=step, steps=steps, generator=generator, batch_size=7
    )
    assert torch.equal(stands, certain)
    assert 0 < int(certain.sum()) < accuracy(model, x, y) * 60


def test_without_a_ball_every_right_answer_stands() -> None:
    model, x, y = linear_model(9, 10), images(60, 3), labels(60, 10)
    generator = Generator().manual_seed(0)
    stands = withstands_pgd(model, x, y, 0.0, step=0.0, steps=2, generator=generator)
    assert float(stands.double().mean()) == pytest.approx(accuracy(model, x, y))
    assert 0 < int(stands.sum()) < 60


def test_iterates_on_the_way_only_take_survivors_away() -> None:
    model, x = linear_model(9, 10), images(80, 3)
    y = model(x).argmax(1)
    options: dict[str, Any] = {"step": 0.05, "steps": 4}
    # All images fit one batch and none is lost yet: the same start as pgd's, the same iterates.
    moved = pgd(model, x, y, 0.1, generator=Generator().manual_seed(0), **options)
    last = model(moved).argmax(1) == y
    stands = withstands_pgd(model, x, y, 0.1, generator=Generator().manual_seed(0), **options)
    assert not bool((stands & ~last).any())
    assert 0 < int(stands.sum()) < 80


def test_restarts_find_images_that_one_start_missed() -> None:
    model, x = linear_model(9, 10), images(80, 3)
    y = model(x).argmax(1)
    # Steps of no length: what is found is found by the random starts alone.
    once, often = (
        withstands_pgd(
            model,
            x,
            y,
            0.1,
            step=0.0,
            steps=1,
            restarts=restarts,
            generator=Generator().manual_seed(0),
        )
        for restarts in (1, 20)
    )
    assert not bool((often & ~once).any())
    assert int(often.sum()) < int(once.sum())


def test_the_training_radius_grows_with_the_clock_and_then_stays() -> None:
    times = iter([0, 4, 9, 50])
    batches = AdversarialBatches(0.3, steps=2, warmup=10, clock=lambda: next(times))
    radii = [batches.radius() for _ in range(4)]
    assert radii == pytest.approx([0.03, 0.15, 0.3, 0.3])
    assert AdversarialBatches(0.3, steps=2, warmup=0, clock=lambda: 0).radius() == 0.3


class MemoryStore:
    def __init__(self) -> None:
        self.state: Any = None

    def load(self) -> Any:
        return self.state

    def save(self, state: object) -> None:
        self.state = pickle.loads(pickle.dumps(state))


def train(store: MemoryStore, stop_after: int = 99) -> nn.Module:
    torch.manual_seed(0)
    model = small_network(8)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=16)
    attack = AdversarialBatches(0.2, 2, warmup=12, clock=lambda: schedule.last_epoch)

    def stop(epoch: int) -> None:
        if epoch > stop_after:
            raise KeyboardInterrupt

    fit(
        model,
        images(40, 8),
        labels(40, 10),
        epochs=4,
        batch_size=10,
        optimizer=optimizer,
        schedule=schedule,
        perturb=attack,
        seed=0,
        checkpoint=store,
        on_epoch=stop,
    )
    return model


def test_resumed_adversarial_training_ends_with_the_same_weights() -> None:
    whole = train(MemoryStore())
    store = MemoryStore()
    with pytest.raises(KeyboardInterrupt):
        train(store, stop_after=2)
    resumed = train(store)
    for first, second in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"epsilon": -0.1}, "epsilon -0.1"),
        ({"epsilon": float("nan")}, "epsilon nan"),
        ({"steps": 0}, "steps 0"),
        ({"step": -1.0}, "step -1.0"),
        ({"restarts": 0}, "restarts 0"),
        ({"x": torch.full((2, 1, 3, 3), 255.0)}, "from 255 to 255"),
        ({"x": torch.full((2, 1, 3, 3), torch.nan)}, "from nan to nan"),
    ],
)
def test_bad_input_is_refused(changes: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {
        "model": linear_model(9, 2),
        "x": images(2, 3),
        "y": labels(2, 2),
        "epsilon": 0.1,
        "step": 0.1,
        "steps": 1,
        "generator": Generator(),
    }
    with pytest.raises(ValueError, match=message):
        withstands_pgd(**(good | changes))


@pytest.mark.parametrize("size", [0, 6, -4])
def test_a_network_of_an_odd_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        small_network(size)
