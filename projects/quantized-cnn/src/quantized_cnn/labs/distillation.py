"""Teach a small network by a large one: the gain over learning from the labels alone.

A student with a quarter of the teacher's multiplications learns the same images for the same number
of passes in up to five ways: from the labels; from the teacher's softened probabilities; from these
and the teacher's inner features, or its attention; and from probabilities of which the order of the
wrong classes is shuffled, which shows how much of the gain is knowledge about the classes and how
much is only softer targets.

The first panel has the students' accuracies over the seeds, the second what the teacher says of
some images at temperatures 1 and 4, the third where teacher and student look.

Geoffrey Hinton, Oriol Vinyals and Jeff Dean, Distilling the knowledge in a neural network, 2015;
Adriana Romero and others, FitNets, 2015; Sergey Zagoruyko and Nikos Komodakis, Paying more
attention to attention, 2017.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import numpy as np
import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from groundwork import Claim, Run, plots
from groundwork.errors import UsageError
from quantized_cnn.channels import multiplications
from quantized_cnn.distillation import Distillation, Taps, attention_map
from quantized_cnn.graph import trace
from quantized_cnn.images import DataName, Images, load_images
from quantized_cnn.networks import ResNet
from quantized_cnn.pretrained import pretrained
from quantized_cnn.training import accuracy, classification_loss, fit, predict

PRESETS = {
    "smoke": {"epochs": 4, "student_epochs": 5, "seeds": 1, "images": None},
    "default": {},
    "full": {
        "data": "cifar10_subset",
        "images": None,
        "epochs": 20,
        "student_epochs": 12,
        "ways": ("labels", "logits", "attention"),
        "seeds": 5,
        "bf16": True,
    },
}
CLAIMS = [
    Claim("multiplications_share", "<=", 0.26),
    Claim("accuracy.logits", ">=", 40.0, presets=("smoke", "default")),
    Claim("gained.logits", ">=", 1.0, presets=("full",)),
    Claim("gained.best", ">=", 1.0, presets=("full",)),
]
Way = Literal["labels", "logits", "shuffled", "features", "attention"]
WAYS: tuple[Way, ...] = get_args(Way)


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the images"] = "digits",
    images: Annotated[int | None, "the student sees so many; all for None"] = 300,
    epochs: Annotated[int, Ge(1), "passes that the teacher was trained for"] = 15,
    student_epochs: Annotated[int, Ge(1), "passes of each student"] = 15,
    temperature: Annotated[float, Gt(0), "of the softened probabilities"] = 4.0,
    ways: Annotated[tuple[Way, ...], "how to teach, beside the labels alone"] = WAYS,
    seeds: Annotated[int, Ge(1), "students of each kind"] = 3,
    bf16: Annotated[bool, "convolutions in bfloat16 in training"] = False,
) -> None:
    """Train the students, and see what the teacher told them."""
    loaded = load_images(run, data)
    teacher = pretrained(run, "resnet", loaded, epochs=epochs, seed=run.seed, bf16=bf16)
    shown = loaded.first(images)
    store = run.checkpoint("results")
    rows: list[dict[str, Any]] = store.load() or []
    student = make_student(loaded, run.seed)
    ways = ("labels", *(way for way in ways if way != "labels"))
    if len(ways) == 1:
        raise UsageError("ways names no way to teach; logits, features or attention are taken")
    for seed in run.seeds(seeds):
        for way in ways:
            if any((row["seed"], row["way"]) == (seed, way) for row in rows):
                continue
            student = teach(run, teacher, shown, way, student_epochs, temperature, seed, bf16)
            points = accuracy(student, loaded.x_test, loaded.y_test)
            rows.append({"seed": seed, "way": way, "points": points})
            store.save(rows)
    of = {way: np.array([row["points"] for row in rows if row["way"] == way]) for way in ways}
    run.table(
        "accuracy",
        [{"way": way, "points": values.mean(), "std": values.std()} for way, values in of.items()],
        caption="The students' accuracy in points",
    )
    run.metric("accuracy.teacher", accuracy(teacher, loaded.x_test, loaded.y_test), "points")
    for way, values in of.items():
        run.metric(f"accuracy.{way}", list(values), "points")
    for way in ways[1:]:
        run.metric(f"gained.{way}", list(of[way] - of["labels"]), "points")
    best = max((way for way in ways[1:] if way != "shuffled"), key=lambda way: of[way].mean())
    run.metric("gained.best", list(of[best] - of["labels"]), "points")
    shape = loaded.shape
    costs = [sum(multiplications(trace(net), shape).values()) for net in (student, teacher)]
    run.metric("multiplications_share", costs[0] / costs[1])
    draw(run, loaded, teacher, student, of, temperature)


def make_student(images: Images, seed: int) -> nn.Module:
    """Half as wide as the teacher: a quarter of the multiplications."""
    torch.manual_seed(1000 + seed)
    if images.small:
        return ResNet(images.classes, images.channels, (4, 8), (1, 1))
    return ResNet(images.classes, images.channels, (8, 16, 32), (3, 3, 3))


def teach(
    run: Run,
    teacher: nn.Module,
    images: Images,
    way: str,
    epochs: int,
    temperature: float,
    seed: int,
    bf16: bool,
) -> nn.Module:
    """A student, taught in one of the ways."""
    student = make_student(images, seed).to(memory_format=torch.channels_last)
    common: dict[str, Any] = {
        "epochs": epochs,
        "learning_rate": 0.1 if images.small else 0.2,
        "batch_size": images.batch_size,
        "seed": seed,
        "augment": images.augment,
        "bf16": bf16,
        "progress": lambda steps: run.progress(steps, label=f"{way}, seed {seed}"),
    }
    if way == "labels":
        fit(student, images.x_train, images.y_train, loss=classification_loss, **common)
        return student
    master: nn.Module = Shuffled(teacher) if way == "shuffled" else teacher
    layers = [("stages", "stages")] if way in ("features", "attention") else []
    distillation = Distillation(
        student,
        master,
        images.x_train,
        temperature=temperature,
        layers=layers,
        features=0.5 if way == "features" else 0.0,
        attention=5.0 if way == "attention" else 0.0,
    )
    fit(distillation, images.x_train, images.y_train, loss=distillation.loss, **common)
    return distillation.close()


class Shuffled(nn.Module):
    """The teacher, the logits of all classes but the first shuffled in each row."""

    def __init__(self, teacher: nn.Module) -> None:
        super().__init__()
        self.teacher = teacher
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, x: Tensor) -> Tensor:
        """The largest logit stays where it is."""
        logits = self.teacher(x)
        order = torch.rand(logits.shape, generator=self.generator)
        best = logits.argmax(1, keepdim=True)
        order.scatter_(1, best, -1.0)
        values = torch.cat([logits.gather(1, best), _others(logits, best)], 1)
        return torch.empty_like(logits).scatter_(1, order.argsort(1), values)


def _others(logits: Tensor, best: Tensor) -> Tensor:
    mask = torch.ones_like(logits, dtype=torch.bool).scatter_(1, best, False)
    return logits[mask].view(len(logits), -1)


def draw(
    run: Run,
    images: Images,
    teacher: nn.Module,
    student: nn.Module,
    of: Mapping[Way, np.ndarray],
    temperature: float,
) -> None:
    """The students; what the teacher says; where both look."""
    figure, axes = plots.figure(1, 3, width=11.5, height=3.2)
    axes[0].boxplot(list(of.values()), tick_labels=list(of))
    axes[0].set(title="Ways to learn", ylabel="accuracy (points)")
    axes[0].tick_params(axis="x", rotation=20)
    logits = predict(teacher, images.x_test)
    unsure = (logits.softmax(1).amax(1) - 0.9).abs().argsort()[:6]
    for k, t in enumerate((1.0, temperature)):
        p = (logits[unsure] / t).softmax(1)
        for i, row in enumerate(p):
            left = np.concatenate([[0], np.cumsum(row)[:-1]])
            for c, width in enumerate(row):
                color = plots.PALETTE[c % len(plots.PALETTE)]
                axes[1].barh(i + 0.4 * k, float(width), 0.36, left[c], color=color)
    axes[1].set(title=f"Temperatures 1 and {temperature:g}", xlabel="probability", ylabel="image")
    axes[1].grid(False)
    x = images.x_test[unsure[:4]]
    rows = []
    for network in (teacher, student):
        taps = Taps(network, ["stages.0"])
        with torch.inference_mode():
            network(x)
        maps = attention_map(taps.values["stages.0"])
        taps.close()
        side = int(maps.shape[1] ** 0.5)
        rows.append(torch.cat([m.view(side, side) / m.max() for m in maps], 1))
    axes[2].imshow(torch.cat(rows), cmap="magma")
    axes[2].set(title="Where they look", yticks=[side / 2, 1.5 * side], xticks=[])
    axes[2].set_yticklabels(["teacher", "student"])
    axes[2].grid(False)
    run.figure(
        "distillation",
        figure,
        "The students' accuracy by the way that they were taught; the teacher's probabilities of "
        "six images, plain and softened; attention maps of teacher and student.",
    )
