"""Write cross-entropy as an autograd function: derive it, check it, time it, train with it.

The derivation is in `mnist_labs.losses`. The lab holds the function against PyTorch's own: values
and gradients over random and extreme logits, a numerical gradient check, the time of the forward
and the backward pass, and the accuracy of the same network trained with either.

Look at the figure: written as `-log(exp(z) / sum(exp(z)))`, the loss overflows at logits near 89 in
float32, and the gradient is gone long before; with the maximum taken out it is a straight line.
"""

from functools import partial
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.nn import functional

from groundwork import Claim, Run, plots
from mnist_labs.images import DataName, Images, load_images
from mnist_labs.losses import cross_entropy
from mnist_labs.training import Loss, accuracy, fit

PRESETS = {
    "smoke": {"epochs": 3, "seeds": 1, "batch_size": 32, "big": 64},
    "default": {"epochs": 15, "batch_size": 32},
    "full": {"data": "mnist"},
}
CLAIMS = [
    Claim("value_error", "<=", 1e-6),
    Claim("gradient_error", "<=", 1e-6),
    Claim("gradcheck", "==", 1),
    Claim("finite_at_extremes", "==", 1),
    Claim("ratio.backward", "<=", 1.5, presets=("full",)),
    Claim("ratio.backward_1000_classes", "<=", 1.5, presets=("full",)),
    Claim("accuracy_difference", "<=", 0.002, presets=("full",)),
    Claim("test_accuracy", ">=", 0.965, presets=("full",)),
    Claim("test_accuracy", ">=", 0.9, presets=("default",)),
]


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the data set"] = "digits",
    epochs: Annotated[int, Ge(1), "passes over the training set"] = 5,
    batch_size: Annotated[int, Ge(1), "images a step"] = 128,
    learning_rate: Annotated[float, Gt(0), "Adam's rate"] = 0.001,
    big: Annotated[int, Ge(1), "rows of the timed batches"] = 4096,
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
) -> None:
    """Check, time and train; see the module's docstring."""
    value_error, gradient_error = errors(torch.Generator().manual_seed(run.seed))
    run.metric("value_error", value_error)
    run.metric("gradient_error", gradient_error)
    run.metric("gradcheck", numerical_check(torch.Generator().manual_seed(run.seed)))
    run.metric("finite_at_extremes", extremes_are_finite())
    for name, classes in (("", 10), ("_1000_classes", 1000)):
        time_passes(run, name, big, classes)

    images = load_images(run, data)
    ours: list[float] = []
    theirs: list[float] = []
    for seed in run.progress(run.seeds(seeds), label="seeds"):
        for loss, scores in ((cross_entropy, ours), (functional.cross_entropy, theirs)):
            scores.append(train(images, loss, seed, epochs, batch_size, learning_rate))
    run.metric("test_accuracy", ours)
    run.metric("test_accuracy_torch", theirs)
    pairs = zip(ours, theirs, strict=True)
    run.metric("accuracy_difference", max(abs(a - b) for a, b in pairs))
    draw(run)


def errors(generator: torch.Generator) -> tuple[float, float]:
    """The largest difference from PyTorch's value and gradient, relative to values above 1."""
    value, gradient = 0.0, 0.0
    for dtype in (torch.float32, torch.float64):
        for scale in (1e-3, 1.0, 100.0, 1e4):
            for smoothing in (0.0, 0.1):
                logits = torch.randn(64, 10, generator=generator, dtype=dtype) * scale
                target = torch.randint(10, (64,), generator=generator)
                a = logits.clone().requires_grad_()
                b = logits.clone().requires_grad_()
                ours = cross_entropy(a, target, smoothing=smoothing)
                theirs = functional.cross_entropy(b, target, label_smoothing=smoothing)
                ours.backward()
                theirs.backward()
                difference = float(((ours - theirs).abs() / theirs.abs().clamp(min=1)).detach())
                value = max(value, difference)
                gradient = max(gradient, float((a.grad - b.grad).abs().max()))
    return value, gradient


def numerical_check(generator: torch.Generator) -> float:
    """1.0 when PyTorch's gradient check by central differences passes, with every reduction."""
    logits = torch.randn(6, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.randint(5, (6,), generator=generator)
    passed = [
        torch.autograd.gradcheck(
            lambda z, s=smoothing, r=reduction: cross_entropy(z, target, smoothing=s, reduction=r),
            (logits,),
            raise_exception=False,
        )
        for smoothing in (0.0, 0.2)
        for reduction in ("mean", "sum", "none")
    ]
    return float(all(passed))


def extremes_are_finite() -> float:
    """1.0 when value and gradient are finite, and right, at logits of ±10⁴."""
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]], requires_grad=True)
    loss = cross_entropy(logits, torch.tensor([0, 0]), reduction="none")
    loss.sum().backward()
    right = torch.allclose(loss, torch.tensor([0.0, 2e4])) and logits.grad.isfinite().all()
    return float(right)


def time_passes(run: Run, name: str, rows: int, classes: int) -> None:
    """Time the backward pass alone, and both passes, against PyTorch's."""
    logits = torch.randn(rows, classes, requires_grad=True)
    target = torch.randint(classes, (rows,))
    losses: dict[str, Loss] = {"ours": cross_entropy, "theirs": functional.cross_entropy}
    graphs = {key: loss(logits, target) for key, loss in losses.items()}

    def backward(key: str) -> Tensor:
        return torch.autograd.grad(graphs[key], logits, retain_graph=True)[0]

    def both(key: str) -> Tensor:
        return torch.autograd.grad(losses[key](logits, target), logits)[0]

    for label, call in (("backward", backward), ("forward_and_backward", both)):
        run.compare(
            f"{label}{name}",
            ours=partial(call, "ours"),
            reference=partial(call, "theirs"),
            library="torch F.cross_entropy",
        )


def train(
    images: Images, loss: Loss, seed: int, epochs: int, batch_size: int, learning_rate: float
) -> float:
    """The test accuracy of a perceptron trained with this loss."""
    torch.manual_seed(seed)
    classes = len(images.classes)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(images.size**2, 128), nn.ReLU(), nn.Linear(128, classes)
    )
    fit(
        model,
        images.x_train,
        images.y_train,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=torch.optim.Adam(model.parameters(), lr=learning_rate),
        loss=loss,
        seed=seed,
    )
    return accuracy(model, images.x_test, images.y_test)


def draw(run: Run) -> None:
    """The naive and the stable loss over a growing logit, and what smoothing changes."""
    z = torch.linspace(-120, 120, 481)
    rows = torch.stack([z, torch.zeros_like(z)], dim=1)
    target = torch.zeros(len(z), dtype=torch.int64)
    naive = -torch.log(rows.exp()[:, 0] / rows.exp().sum(1))
    stable = cross_entropy(rows, target, reduction="none")
    figure, (left, right) = plots.figure(1, 2, width=9, height=3.6)
    left.plot(z, stable, label="maximum taken out", linewidth=4, alpha=0.5)
    left.plot(z, naive, label="as written: inf, then nan", color=plots.PALETTE[3])
    left.set(xlabel="right logit - wrong logit", ylabel="loss", title="Two classes, float32")
    left.legend()
    gap = torch.linspace(-4, 10, 281)
    rows = torch.cat([gap.unsqueeze(1), torch.zeros(len(gap), 9)], dim=1)
    target = torch.zeros(len(gap), dtype=torch.int64)
    for smoothing in (0.0, 0.05, 0.2):
        loss = cross_entropy(rows, target, smoothing=smoothing, reduction="none")
        right.plot(gap, loss, label=f"smoothing {smoothing:g}")
    right.set(xlabel="right logit - the nine others", title="Ten classes: smoothing ends the race")
    right.legend()
    run.figure(
        "loss",
        figure,
        caption="Left: the loss as the formula is written, and with the maximum taken out. Right: "
        "with smoothing, a larger gap stops paying",
    )
