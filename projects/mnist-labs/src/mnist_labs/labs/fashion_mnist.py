"""Tell ten kinds of clothes apart at 92 %, and see which ones look alike.

Fashion-MNIST (Xiao, Rasul, Vollgraf, 2017) has the format of MNIST and none of its ease: a shirt,
a pullover and a coat of 28×28 grey pixels differ by little. A small convolutional network with
shifted and mirrored images does what a large dense network cannot.

Look at the confusion matrix: where the network errs, the classes err in pairs, and most errors are
between the four kinds of tops. The split is the data set's own.
"""

from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Generator, Tensor

from groundwork import Claim, Run, plots
from mnist_labs.augmentation import random_flip, random_shift
from mnist_labs.images import DataName, Images, load_images
from mnist_labs.models import SmallCNN, count_parameters
from mnist_labs.training import History, accuracy, fit, predict

PRESETS = {
    "smoke": {
        "epochs": 6,
        "width": 8,
        "batch_size": 32,
        "seeds": 1,
        "bf16": False,
        "mirror": False,
    },
    "default": {"epochs": 20, "width": 16, "batch_size": 32, "bf16": False, "mirror": False},
    "full": {"data": "fashion_mnist"},
}
CLAIMS = [
    Claim("test_accuracy", ">=", 0.92, presets=("full",)),
    Claim("test_accuracy", ">=", 0.96, presets=("default",)),
    Claim("test_accuracy", ">=", 0.7, presets=("smoke",)),
]


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the data set"] = "digits",
    epochs: Annotated[int, Ge(1), "passes over the training set"] = 12,
    width: Annotated[int, Ge(1), "channels of the first convolution"] = 32,
    batch_size: Annotated[int, Ge(1), "images a step"] = 128,
    learning_rate: Annotated[float, Gt(0), "the top of the cycle"] = 0.01,
    mirror: Annotated[bool, "mirror half of the images; not for digits"] = True,
    bf16: Annotated[bool, "forward pass in bfloat16"] = True,
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
) -> None:
    """Train and test for each seed; see the module's docstring."""
    images = load_images(run, data)

    def augment(x: Tensor, generator: Generator) -> Tensor:
        shifted = random_shift(x, generator, pixels=1)
        return random_flip(shifted, generator) if mirror else shifted

    def train(seed: int) -> tuple[SmallCNN, History]:
        torch.manual_seed(seed)
        model = SmallCNN(width, len(images.classes)).to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.02)
        steps = epochs * max(1, len(images.x_train) // batch_size)
        history = fit(
            model,
            images.x_train,
            images.y_train,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            schedule=torch.optim.lr_scheduler.OneCycleLR(
                optimizer, learning_rate, total_steps=steps, pct_start=0.2
            ),
            augment=augment,
            precision=torch.bfloat16 if bf16 else torch.float32,
            seed=seed,
            checkpoint=run.checkpoint(f"seed-{seed}"),
            progress=lambda passes: run.progress(passes, label=f"seed {seed}"),
        )
        return model, history

    trained = [train(seed) for seed in run.seeds(seeds)]
    scores = [accuracy(model, images.x_test, images.y_test) for model, _ in trained]
    run.metric("test_accuracy", scores)
    run.metric("training_seconds", [history.seconds[-1] for _, history in trained], unit="s")
    run.metric("parameters", count_parameters(trained[-1][0]))
    draw(run, images, trained[-1][0])


def draw(run: Run, images: Images, model: torch.nn.Module) -> None:
    """The last seed's confusion matrix, and the mistakes that it was surest of."""
    logits = predict(model, images.x_test)
    read = logits.argmax(1)
    count = len(images.classes)
    table = torch.bincount(images.y_test * count + read, minlength=count**2).view(count, count)
    share = table / table.sum(1, keepdim=True).clamp(min=1)
    figure, axes = plots.figure(width=6.2, height=5.6)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.grid(False)
    for i in range(count):
        for j in range(count):
            if table[i, j]:
                color = "white" if share[i, j] > 0.5 else "#20242c"
                axes.text(j, i, f"{100 * share[i, j]:.0f}", ha="center", va="center", color=color)
    axes.set_xticks(range(count), images.classes, rotation=45, ha="right")
    axes.set_yticks(range(count), images.classes)
    axes.set(xlabel="read as", ylabel="is", title="Share of each class in %")
    run.figure("confusion", figure, caption="What each class is read as, in % of the class")
    wrong = (read != images.y_test).nonzero().squeeze(1)
    worst = wrong[logits[wrong].amax(1).argsort(descending=True)][:12]
    if len(worst):
        titles = [
            f"{images.classes[int(images.y_test[i])]},\nread {images.classes[int(read[i])]}"
            for i in worst
        ]
        grid = plots.image_grid(list(images.x_test[worst].squeeze(1).numpy()), titles, columns=6)
        run.figure(
            "mistaken", grid, caption="Surest mistakes: what it is, and what was read", format="png"
        )
