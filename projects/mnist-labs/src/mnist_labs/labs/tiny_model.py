"""Find the smallest model that does the job: 98.5 % of MNIST with fewer than 10,000 parameters.

A dense layer on 28×28 pixels spends 7,850 parameters before it has learnt a single shape. A
convolution spends 9 for each pair of channels and uses them at every place. This network is four
narrow convolutions, the last one split into a depthwise and a pointwise part (Howard et al.,
"MobileNets", 2017), and an average over the image in place of a large dense layer (Lin, Chen, Yan,
"Network in Network", 2014). Most of its parameters see every pixel.

Look at the first figure: accuracy against seconds of training, for each seed. The second shows the
test images that it misreads with the greatest confidence.
"""

from typing import Annotated

import torch
from annotated_types import Ge, Gt

from groundwork import Claim, Run, plots
from mnist_labs.augmentation import random_shift
from mnist_labs.images import DataName, Images, load_images
from mnist_labs.models import TinyNet, count_parameters
from mnist_labs.training import History, accuracy, fit, predict

PRESETS = {
    "smoke": {"epochs": 8, "seeds": 1, "batch_size": 32},
    "default": {"epochs": 20, "batch_size": 32},
    "full": {"data": "mnist"},
}
CLAIMS = [
    Claim("parameters", "<=", 10_000),
    Claim("test_accuracy", ">=", 0.985, presets=("full",)),
    Claim("seconds_to_98", "<=", 60, presets=("full",)),
    Claim("test_accuracy", ">=", 0.95, presets=("default",)),
    Claim("test_accuracy", ">=", 0.7, presets=("smoke",)),
]


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the data set"] = "digits",
    width: Annotated[int, Ge(1), "channels of the first convolution"] = 16,
    epochs: Annotated[int, Ge(1), "passes over the training set"] = 6,
    batch_size: Annotated[int, Ge(1), "images a step"] = 128,
    learning_rate: Annotated[float, Gt(0), "the top of the cycle"] = 0.02,
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
) -> None:
    """Train and test for each seed; see the module's docstring."""
    images = load_images(run, data)
    histories: list[History] = []

    def train(seed: int) -> TinyNet:
        torch.manual_seed(seed)
        model = TinyNet(width, len(images.classes)).to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
        steps = epochs * max(1, len(images.x_train) // batch_size)
        history = fit(
            model,
            images.x_train,
            images.y_train,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            schedule=torch.optim.lr_scheduler.OneCycleLR(
                optimizer, learning_rate, total_steps=steps
            ),
            augment=lambda x, generator: random_shift(x, generator, pixels=1),
            seed=seed,
            checkpoint=run.checkpoint(f"seed-{seed}"),
            progress=lambda passes: run.progress(passes, label=f"seed {seed}"),
            on_epoch=lambda _: accuracy(model, images.x_test, images.y_test),
        )
        histories.append(history)
        return model

    models = [train(seed) for seed in run.seeds(seeds)]
    model = models[-1]
    run.metric("parameters", count_parameters(model))
    run.metric("test_accuracy", [history.notes[-1] for history in histories])
    if all(max(history.notes) >= 0.98 for history in histories):
        run.metric("seconds_to_98", [seconds_to(history, 0.98) for history in histories], unit="s")
    run.metric("training_seconds", [history.seconds[-1] for history in histories], unit="s")
    draw(run, images, model, histories)


def seconds_to(history: History, goal: float) -> float:
    """Seconds of training up to the first epoch whose test accuracy reaches the goal."""
    return next(s for s, a in zip(history.seconds, history.notes, strict=True) if a >= goal)


def draw(run: Run, images: Images, model: torch.nn.Module, histories: list[History]) -> None:
    """The learning curves over time, and the surest mistakes of the last seed."""
    figure, axes = plots.figure(width=6)
    for seed, history in zip(run.seeds(len(histories)), histories, strict=True):
        axes.plot(
            history.seconds, [100 * a for a in history.notes], marker="o", label=f"seed {seed}"
        )
    axes.axhline(98, color="grey", linewidth=0.8, linestyle=":")
    axes.set(
        xlabel="seconds of training",
        ylabel="test accuracy in %",
        title=f"{count_parameters(model):,} parameters",
    )
    axes.legend()
    run.figure("accuracy-over-time", figure, caption="Test accuracy after each epoch, over time")
    logits = predict(model, images.x_test)
    wrong = (logits.argmax(1) != images.y_test).nonzero().squeeze(1)
    worst = wrong[logits[wrong].amax(1).argsort(descending=True)][:16]
    if len(worst):
        titles = [f"{int(images.y_test[i])}, read {int(logits[i].argmax())}" for i in worst]
        grid = plots.image_grid(list(images.x_test[worst].squeeze(1).numpy()), titles, columns=8)
        run.figure(
            "misread", grid, caption="Surest mistakes: the label, and what was read", format="png"
        )
