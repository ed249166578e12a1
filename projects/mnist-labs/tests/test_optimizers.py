import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from mnist_labs.optimizers import Adam, Concord, Lion, Momentum

RULES = [Momentum, Adam, Lion, Concord]


def problem() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    x = torch.randn(64, 4, dtype=torch.float64)
    return model, x, x[:, :1] * x[:, 1:2]


def train(model: nn.Module, optimizer: Any, steps: int) -> list[float]:
    _, x, y = problem()
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(
    "ours, theirs, options",
    [
        (Adam, torch.optim.Adam, {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-3}),
        (Momentum, torch.optim.SGD, {"lr": 0.05, "momentum": 0.7}),
    ],
)
def test_a_rule_takes_the_steps_of_torchs(ours: Any, theirs: Any, options: dict[str, Any]) -> None:
    models = []
    for rule in (ours, theirs):
        model, _, _ = problem()
        train(model, rule(model.parameters(), **options), 100)
        models.append(model)
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-10)


def test_lion_takes_the_steps_of_its_formula() -> None:
    p = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = Lion([p], lr=0.1, betas=(0.9, 0.5), weight_decay=0.2)
    for gradient in ([1.0, -1.0], [-3.0, -1.0]):
        p.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    # m = 0, then 0.5 g₁; the second step follows sign(0.9 · 0.5 g₁ + 0.1 g₂) = (1, -1)
    first = torch.tensor([1.0, -2.0]) * 0.98 - 0.1 * torch.tensor([1.0, -1.0])
    assert torch.allclose(p.data.float(), first * 0.98 - 0.1 * torch.tensor([1.0, -1.0]))


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_brings_the_loss_down(rule: Any) -> None:
    model, _, _ = problem()
    losses = train(model, rule(model.parameters(), lr=0.01), 300)
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("rule", RULES)
def test_a_saved_state_goes_on_with_the_same_steps(rule: Any) -> None:
    model, _, _ = problem()
    optimizer = rule(model.parameters(), lr=0.01)
    train(model, optimizer, 5)
    other = copy.deepcopy(model)
    resumed = rule(other.parameters(), lr=0.5)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert train(model, optimizer, 5) == train(other, resumed, 5)


@pytest.mark.parametrize("rule", RULES)
def test_groups_have_rates_of_their_own_and_what_has_no_gradient_stays(rule: Any) -> None:
    still, moving, idle = (nn.Parameter(torch.ones(3, 2)) for _ in range(3))
    optimizer = rule([{"params": [still], "lr": 0.0}, {"params": [moving, idle]}], lr=0.1)
    for p in (still, moving):
        p.grad = torch.ones(3, 2)
    optimizer.step()
    assert torch.equal(still, torch.ones(3, 2))
    assert torch.equal(idle, torch.ones(3, 2))
    assert (moving < 1).all()


@pytest.mark.parametrize("rule", RULES)
def test_a_closure_is_called_with_gradients_and_its_value_returned(rule: Any) -> None:
    p = nn.Parameter(torch.tensor([2.0]))
    optimizer = rule([p], lr=0.1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4.0
    assert p.item() < 2.0


@pytest.mark.parametrize("rule", RULES)
def test_a_zero_gradient_gives_no_nan(rule: Any) -> None:
    p = nn.Parameter(torch.ones(2, 2))
    optimizer = rule([p], lr=0.1)
    p.grad = torch.zeros(2, 2)
    optimizer.step()
    assert torch.equal(p, torch.ones(2, 2))


@pytest.mark.parametrize(
    "rule, options, words",
    [
        (Adam, {"lr": -1.0}, "lr=-1.0"),
        (Adam, {"lr": float("nan")}, "lr=nan"),
        (Adam, {"betas": (1.0, 0.9)}, "beta 1.0"),
        (Adam, {"eps": -1e-8}, "eps"),
        (Momentum, {"momentum": 1.0}, "momentum or beta 1.0"),
        (Lion, {"weight_decay": -0.1}, "weight_decay"),
        (Concord, {"patience": 1.5}, "patience=1.5"),
    ],
)
def test_options_out_of_range_are_refused(rule: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rule([nn.Parameter(torch.ones(1))], **options)


def test_agreement_keeps_a_concord_step_and_a_turn_shortens_it() -> None:
    def second_step(gradient: list[float]) -> torch.Tensor:
        p = nn.Parameter(torch.zeros(1, 2, dtype=torch.float64))
        optimizer = Concord([p], lr=1.0, patience=0.0)
        for g in ([1.0, 1.0], gradient):
            before = p.detach().clone()
            p.grad = torch.tensor([g], dtype=torch.float64)
            optimizer.step()
        return (p.detach() - before)[0]

    agreeing, turned = second_step([1.0, 1.0]), second_step([1.0, -0.1])
    assert agreeing[0] == agreeing[1] < 0
    assert turned[1] == 0
    assert turned[0] < 0
