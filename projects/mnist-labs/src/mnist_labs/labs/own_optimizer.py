"""Write an optimizer of your own, and race it against SGD with momentum, Adam and Lion.

The four rules are in `mnist_labs.optimizers`, each written on `torch.optim.Optimizer` with
parameter groups, a closure and a state that can be saved. Ours, Concord, looks one gradient ahead,
trusts weights whose gradients agree, and shares its scale within a row.

The race is fair in this sense: every rule gets the same five learning rates around its usual one,
tried once with one seed on a tenth of the training set held back; the best goes on to three fresh
seeds on the test set. Counted are the steps to the first evaluation at the goal, every 20 steps.

Look at the figure for the shape of the curves, and at the table for what tuning cost.
"""

import statistics
from collections.abc import Callable
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Lt
from torch import nn
from torch.nn.functional import cross_entropy

from groundwork import Claim, Run, plots
from mnist_labs.images import DataName, Images, load_images
from mnist_labs.optimizers import Adam, Concord, Lion, Momentum
from mnist_labs.training import accuracy

PRESETS = {
    "smoke": {"goal": 0.8, "steps": 200, "batch_size": 32, "hidden": 32},
    "default": {"goal": 0.95, "steps": 800, "batch_size": 32},
    "full": {"data": "mnist"},
}
CLAIMS = [
    Claim("adam_parity", "<=", 1e-6),
    Claim("sgd_parity", "<=", 1e-6),
    Claim("reached", "==", 1),
    Claim("steps_ratio", "<=", 1.1, presets=("full",)),
]

RULES: dict[str, tuple[Callable[..., Any], float]] = {
    "SGD + momentum": (Momentum, 0.05),
    "Adam": (Adam, 0.002),
    "Lion": (Lion, 0.0004),
    "Concord": (Concord, 0.002),
}
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
EVERY = 20


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the data set"] = "digits",
    goal: Annotated[float, Gt(0), Lt(1), "the accuracy to reach"] = 0.97,
    steps: Annotated[int, Ge(EVERY), "the most steps a run may take"] = 2000,
    batch_size: Annotated[int, Ge(1), "images a step"] = 128,
    hidden: Annotated[int, Ge(1), "units of the hidden layer"] = 256,
    seeds: Annotated[int, Ge(1), "fresh seeds after tuning"] = 3,
) -> None:
    """Check parity, tune, race; see the module's docstring."""
    run.metric("adam_parity", parity(Adam, torch.optim.Adam, lr=1e-3))
    run.metric("sgd_parity", parity(Momentum, torch.optim.SGD, lr=0.05, momentum=0.9))
    images = load_images(run, data)
    held = images.validation_split(0.1, seed=run.seed)
    tuning_seed = run.seed + 1000

    def race(name: str, rate: float, part: Images, seed: int) -> list[float]:
        return curve(RULES[name][0], rate, part, seed, goal, steps, batch_size, hidden)

    rates: dict[str, float] = {}
    rows = []
    store = run.checkpoint("tuning")
    tried: dict[tuple[str, float], int] = store.load() or {}
    jobs = [(name, factor * usual) for name, (_, usual) in RULES.items() for factor in FACTORS]
    for name, rate in run.progress(jobs, label="tuning"):
        if (name, rate) not in tried:
            tried[name, rate] = EVERY * len(race(name, rate, held, tuning_seed))
            store.save(tried)
    for name in RULES:
        results = {rate: count for (rule, rate), count in tried.items() if rule == name}
        rates[name] = min(results, key=lambda rate: results[rate])
        rows.append({"rule": name} | {f"{f:g}×": results[f * RULES[name][1]] for f in FACTORS})
    run.table("tuning", rows, caption="Steps to the goal on held-back data, by learning rate")

    curves = {
        name: [race(name, rates[name], images, seed) for seed in run.seeds(seeds)]
        for name in run.progress(list(RULES), label="race")
    }
    counts = {name: [EVERY * len(c) for c in runs] for name, runs in curves.items()}
    reached = all(c[-1] >= goal for runs in curves.values() for c in runs)
    run.metric("reached", float(reached))
    for name, values in counts.items():
        label = name.lower().replace(" + ", "_")
        run.metric(f"steps.{label}", values, unit="steps")
        run.metric(f"learning_rate.{label}", rates[name])
    best = min(statistics.fmean(counts[name]) for name in ("SGD + momentum", "Adam"))
    run.metric("steps_ratio", statistics.fmean(counts["Concord"]) / best)
    compare_step_times(run, images.size**2, hidden)
    draw(run, curves, rates, goal)


def network(pixels: int, hidden: int) -> nn.Module:
    """A perceptron with one hidden layer."""
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def curve(
    rule: Callable[..., Any],
    rate: float,
    images: Images,
    seed: int,
    goal: float,
    steps: int,
    batch_size: int,
    hidden: int,
) -> list[float]:
    """Test accuracy after every 20 steps, up to the first at the goal or the last allowed."""
    torch.manual_seed(seed)
    model = network(images.size**2, hidden)
    optimizer = rule(model.parameters(), lr=rate)
    generator = torch.Generator().manual_seed(seed)
    scores: list[float] = []
    order = torch.empty(0, dtype=torch.int64)
    for step in range(1, steps + 1):
        if len(order) < batch_size:
            order = torch.randperm(len(images.x_train), generator=generator)
        rows, order = order[:batch_size], order[batch_size:]
        optimizer.zero_grad()
        cross_entropy(model(images.x_train[rows]), images.y_train[rows]).backward()
        optimizer.step()
        if step % EVERY == 0:
            scores.append(accuracy(model, images.x_test, images.y_test, batch_size=5000))
            model.train()
            if scores[-1] >= goal:
                break
    return scores


def parity(ours: Callable[..., Any], theirs: Callable[..., Any], **options: float) -> float:
    """The largest difference of any parameter from PyTorch's rule over 100 steps (float64)."""
    models = []
    for rule in (ours, theirs):
        torch.manual_seed(0)
        model = network(16, 8).double()
        optimizer = rule(model.parameters(), **options)
        generator = torch.Generator().manual_seed(1)
        for _ in range(100):
            x = torch.randn(32, 16, generator=generator, dtype=torch.float64)
            y = torch.randint(10, (32,), generator=generator)
            optimizer.zero_grad()
            cross_entropy(model(x), y).backward()
            optimizer.step()
        models.append(model)
    pairs = zip(models[0].parameters(), models[1].parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


def compare_step_times(run: Run, pixels: int, hidden: int) -> None:
    """Time one step of our Adam, and of Concord, against PyTorch's Adam."""
    optimizers = {}
    for name, rule in (("ours", Adam), ("theirs", torch.optim.Adam), ("concord", Concord)):
        model = network(pixels, hidden)
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter) * 1e-3
        optimizers[name] = rule(model.parameters(), lr=1e-6)
    for label, name in (("adam_step", "ours"), ("concord_step", "concord")):
        run.compare(
            label, optimizers[name].step, optimizers["theirs"].step, library="torch optim.Adam"
        )


def draw(
    run: Run, curves: dict[str, list[list[float]]], rates: dict[str, float], goal: float
) -> None:
    """Accuracy against steps: each seed a line, each rule a colour."""
    figure, axes = plots.figure(width=6.5)
    for color, (name, runs) in zip(plots.PALETTE, curves.items(), strict=False):
        for number, scores in enumerate(runs):
            at = [EVERY * (i + 1) for i in range(len(scores))]
            label = f"{name}, rate {rates[name]:g}" if number == 0 else None
            axes.plot(at, [100 * s for s in scores], color=color, label=label, linewidth=1.2)
    axes.axhline(100 * goal, color="grey", linestyle=":", linewidth=0.8)
    low = max(0.0, 100 * goal - 12)
    axes.set(xlabel="step", ylabel="test accuracy in %", ylim=(low, 100 * goal + 1))
    axes.set_title("Each rule at its best learning rate")
    axes.legend(loc="lower right")
    run.figure("race", figure, caption="Test accuracy by step, each line a seed, up to the goal")
