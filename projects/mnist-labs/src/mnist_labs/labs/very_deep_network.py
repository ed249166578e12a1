"""Repair a 60-layer network that does not learn: initialisation, normalisation, residuals.

As it comes, the network guesses: the gradient that reaches its first layers is too small to move
them. The figure shows its norm layer by layer before the first step, for the plain network and for
each repair; the table shows what each repair does on its own and what all three do together. The
mathematics is in `mnist_labs.deep`.

A repair that makes the gradients right at the start need not be enough to train: look at which of
the three works alone, and how far the seeds differ.
"""

import statistics
from typing import Annotated

import torch
from annotated_types import Ge, Gt

from groundwork import Claim, Run, plots
from mnist_labs.deep import REPAIRS, DeepNet, gradient_norms
from mnist_labs.images import DataName, Images, load_images
from mnist_labs.training import accuracy, fit

PRESETS = {
    "smoke": {"epochs": 4, "seeds": 1, "batch_size": 64},
    "default": {"epochs": 12, "batch_size": 64},
    "full": {"data": "mnist"},
}
CLAIMS = [
    Claim("plain_accuracy", "<", 0.2),
    Claim("repaired_accuracy", ">=", 0.97, presets=("full",)),
    Claim("repaired_accuracy", ">=", 0.9, presets=("default",)),
    Claim("repaired_accuracy", ">=", 0.6, presets=("smoke",)),
]


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the data set"] = "digits",
    depth: Annotated[int, Ge(3), "dense layers"] = 60,
    width: Annotated[int, Ge(1), "units a layer"] = 64,
    epochs: Annotated[int, Ge(1), "passes over the training set"] = 8,
    batch_size: Annotated[int, Ge(2), "images a step"] = 256,
    learning_rate: Annotated[float, Gt(0), "the top of Adam's cycle"] = 0.003,
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
) -> None:
    """Train every variant for each seed; see the module's docstring."""
    images = load_images(run, data)
    scores: dict[str, list[float]] = {name: [] for name in REPAIRS}
    norms: dict[str, list[float]] = {}
    jobs = [(name, seed) for seed in run.seeds(seeds) for name in REPAIRS]
    for name, seed in run.progress(jobs, label="variants × seeds"):
        torch.manual_seed(seed)
        he, normalise, residual = REPAIRS[name]
        model = DeepNet(
            images.size**2,
            depth=depth,
            width=width,
            classes=len(images.classes),
            he=he,
            normalise=normalise,
            residual=residual,
        )
        norms.setdefault(name, gradient_norms(model, images.x_train[:256], images.y_train[:256]))
        optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
        steps = epochs * max(1, len(images.x_train) // batch_size)
        fit(
            model,
            images.x_train,
            images.y_train,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            schedule=torch.optim.lr_scheduler.OneCycleLR(
                optimizer, learning_rate, total_steps=steps
            ),
            seed=seed,
            checkpoint=run.checkpoint(f"{name.replace(' ', '-')}-{seed}"),
        )
        scores[name].append(accuracy(model, images.x_test, images.y_test))
    run.metric("plain_accuracy", scores["plain"])
    run.metric("repaired_accuracy", scores["all three"])
    for name in ("initialisation", "normalisation", "residuals"):
        run.metric(f"{name}_alone_accuracy", scores[name])
    run.table(
        "repairs",
        [
            {
                "repair": name,
                "accuracy": round(statistics.fmean(values), 4),
                "lowest seed": round(min(values), 4),
                "gradient norm, first layer": f"{norms[name][0]:.1e}",
                "gradient norm, last layer": f"{norms[name][-1]:.1e}",
            }
            for name, values in scores.items()
        ],
        caption="Test accuracy by repair, and the gradient before the first step",
    )
    draw(run, images, norms, scores)


def draw(
    run: Run, images: Images, norms: dict[str, list[float]], scores: dict[str, list[float]]
) -> None:
    """Gradient norms by layer at the start, and the accuracy that each variant reaches."""
    figure, (left, right) = plots.figure(1, 2, width=9, height=3.8, width_ratios=(3, 2))
    smallest = 1e-30
    for name, values in norms.items():
        left.semilogy([max(v, smallest) for v in values], label=name)
    left.set(
        xlabel="layer",
        ylabel="norm of the gradient",
        title="Before the first step",
    )
    left.legend()
    means = [100 * statistics.fmean(values) for values in scores.values()]
    bars = right.barh(list(scores), means, color=plots.PALETTE[: len(scores)])
    right.bar_label(bars, fmt="%.1f", padding=3)
    right.set(xlabel=f"test accuracy in % ({images.name})", title="After training", xlim=(0, 112))
    right.invert_yaxis()
    run.figure(
        "gradients",
        figure,
        caption="The gradient's norm by layer before the first step (values below 1e-30 are drawn "
        "at 1e-30), and the test accuracy after training",
    )
