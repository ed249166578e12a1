"""Learn to read digits from sums alone: no digit's label is ever shown.

Each training image holds digits side by side, and its only label is their sum. One network reads
every digit with the same weights; the sum's distribution is the convolution of the digits'
distributions, and the loss is the negative log-likelihood of the true sum. The sums 0 and 18 of a
pair name both digits, the others only narrow them down, yet together they determine the classes:
the digits' reading emerges without being taught.

Look at how soon the reading emerges and how good it is, beside the same network taught with labels
(sums of one digit), and at the confusions that are left. A network that was trained on pairs also
answers for four digits, as its part that reads a single digit stays the same. Each test digit
appears in one test image; no digit is in both parts.

Reference: the task is "MNIST addition" of Manhaeve, Dumančić, Kimmig, Demeester, De Raedt,
"DeepProbLog: Neural Probabilistic Logic Programming", 2018, there on pairs.
"""

from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt
from matplotlib.figure import Figure
from torch import Generator, Tensor
from torch.nn.functional import nll_loss

from groundwork import Claim, Run, plots
from mnist_labs.digit_sums import SumImages, SumNetwork, side_by_side
from mnist_labs.images import Images, load_images
from mnist_labs.training import History, accuracy, fit, predict

PRESETS = {
    "smoke": {"epochs": 8, "rounds": 3, "seeds": 1},
    "default": {},
    "full": {"data": "mnist", "epochs": 5, "rounds": 1, "batch_size": 64},
}
CLAIMS = [
    Claim("sum_accuracy.two", ">=", 0.95, presets=("full",)),
    Claim("digit_accuracy.two", ">=", 0.98, presets=("full",)),
    Claim("sum_accuracy.four", ">=", 0.93, presets=("full",)),
    Claim("sum_accuracy.two", ">=", 0.90, presets=("default",)),
    Claim("digit_accuracy.two", ">=", 0.95, presets=("default",)),
    Claim("sum_accuracy.four", ">=", 0.80, presets=("default",)),
    Claim("sum_accuracy.two", ">=", 0.85, presets=("smoke",)),
    Claim("digit_accuracy.two", ">=", 0.92, presets=("smoke",)),
]

COUNTS = {"one": 1, "two": 2, "four": 4}
NAMES = {"one": "labels (sums of one)", "two": "sums of two", "four": "sums of four"}


def main(
    run: Run,
    *,
    data: Annotated[Literal["digits", "mnist"], "the data set"] = "digits",
    epochs: Annotated[int, Ge(1), "passes over the training images"] = 10,
    rounds: Annotated[int, Ge(1), "images that each training digit appears in"] = 8,
    batch_size: Annotated[int, Ge(1), "images in a batch"] = 32,
    learning_rate: Annotated[float, Gt(0), "Adam's largest rate in the one-cycle schedule"] = 3e-3,
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
) -> None:
    images = load_images(run, data)
    scores: dict[str, list[float]] = {}
    curves: dict[str, list[list[float]]] = {name: [] for name in COUNTS}
    confusion = torch.zeros(10, 10)
    for seed in run.seeds(seeds):
        for name, count in COUNTS.items():
            generator = Generator().manual_seed(seed)
            train = side_by_side(
                images.x_train, images.y_train, count, generator=generator, rounds=rounds
            )
            test = side_by_side(images.x_test, images.y_test, count, generator=generator)
            torch.manual_seed(seed)
            model = SumNetwork(images.size, count)
            history = _train(
                run, f"{name}-{seed}", model, train, test, seed, epochs, batch_size, learning_rate
            )
            curves[name].append(history.notes)
            found = {
                f"sum_accuracy.{name}": accuracy(model, test.x, test.y),
                f"digit_accuracy.{name}": _digit_accuracy(model, test),
            }
            if name == "two":
                _count(confusion, test.digits, model.read(test.x))
                if seed == run.seed:
                    drawing = _draw_examples(model, test)
                    run.figure("examples", drawing, EXAMPLES, format="png")
                found["sum_accuracy.two_to_four"] = _on_four(model, images, generator)
            for key, value in found.items():
                scores.setdefault(key, []).append(value)
            told = ", ".join(f"{key} {value:.4f}" for key, value in found.items())
            run.log(f"seed {seed}: {told}")

    for key, values in scores.items():
        if key != "sum_accuracy.one":  # the same number as digit_accuracy.one
            run.metric(key, values)
    gap = zip(scores["digit_accuracy.one"], scores["digit_accuracy.two"], strict=True)
    run.metric("labels_minus_sums", [labels - sums for labels, sums in gap])
    run.figure("learning", _draw_learning(curves), LEARNING)
    run.figure("confusion", _draw_confusion(confusion), CONFUSION)


EXAMPLES = (
    "Test pairs and the likeliest sum after training on sums of two; the digits read are in "
    "brackets. Lower row: the first sums that were missed."
)
LEARNING = "Test digits misread after each epoch (logarithmic); line: mean, band: all seeds."
CONFUSION = (
    "Per cent of each test digit read as each digit, after training on sums of two; all seeds."
)


def _train(
    run: Run,
    name: str,
    model: SumNetwork,
    train: SumImages,
    test: SumImages,
    seed: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
) -> History:
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    batches = max(1, len(train.y) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=epochs * batches
    )
    return fit(
        model,
        train.x,
        train.y,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        schedule=schedule,
        loss=nll_loss,
        seed=seed,
        checkpoint=run.checkpoint(name),
        progress=lambda passes: run.progress(passes, label=name),
        on_epoch=lambda _: _digit_accuracy(model, test),
    )


def _digit_accuracy(model: SumNetwork, test: SumImages) -> float:
    return float((model.read(test.x) == test.digits).double().mean())


def _on_four(model: SumNetwork, images: Images, generator: Generator) -> float:
    """The accuracy of sums of four, for a network that was trained on another count."""
    test = side_by_side(images.x_test, images.y_test, 4, generator=generator)
    trained_on, model.count = model.count, 4
    exact = accuracy(model, test.x, test.y)
    model.count = trained_on
    return exact


def _count(confusion: Tensor, digits: Tensor, read: Tensor) -> None:
    """Add each pair of a true digit and the digit read to the table, shape (10, 10)."""
    cells = torch.bincount(digits.flatten() * 10 + read.flatten(), minlength=100)
    confusion += cells.view(10, 10)


def _draw_examples(model: SumNetwork, test: SumImages, columns: int = 8) -> Figure:
    """A row of right sums above a row of wrong ones."""
    sums, read = predict(model, test.x).argmax(1), model.read(test.x)
    drawing, axes = plots.figure(2, columns, height=1.9)
    for right, line in zip((True, False), axes, strict=True):
        rows = ((sums == test.y) == right).nonzero().flatten()[:columns]
        for cell in line:
            cell.axis("off")
        for cell, row in zip(line, rows.tolist(), strict=False):
            cell.imshow(test.x[row, 0], cmap="gray_r", vmin=0, vmax=1)
            digits = "+".join(str(int(digit)) for digit in read[row])
            title = f"{int(sums[row])}  ({digits})" + (
                "" if right else f"\ntrue: {int(test.y[row])}"
            )
            colour = "#20242c" if right else plots.PALETTE[3]
            cell.set_title(title, loc="center", fontsize=8.5, fontweight="normal", color=colour)
    return drawing


def _draw_learning(curves: dict[str, list[Any]]) -> Figure:
    drawing, axes = plots.figure(height=3.6)
    for name, lines in curves.items():
        misread = 100 * (1 - torch.tensor(lines))
        epochs = range(1, misread.shape[1] + 1)
        (line,) = axes.plot(epochs, misread.mean(0), marker="o", markersize=4, label=NAMES[name])
        low, high = misread.amin(0), misread.amax(0)
        axes.fill_between(epochs, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.set_yscale("log")
    ticks = [1, 2, 5, 10, 20, 50, 90]
    axes.set_yticks(ticks, [f"{tick} %" for tick in ticks])
    axes.minorticks_off()
    axes.axhline(90, color="#7a7f87", linewidth=1, linestyle=":")
    middle = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    axes.annotate("chance", (0.4, 90), (0, -3), fontsize=8.5, va="top", **middle)
    axes.set(xlabel="epoch", ylabel="digits misread")
    axes.set_title("Reading that emerges from sums")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="upper right")
    return drawing


def _draw_confusion(confusion: Tensor) -> Figure:
    drawing, axes = plots.figure(width=5.2, height=4.8)
    shares = 100 * confusion / confusion.sum(1, keepdim=True)
    axes.imshow(shares.sqrt(), cmap="Blues", vmin=0, vmax=14)
    for digit in range(10):
        for read in range(10):
            share = float(shares[digit, read])
            if share >= 0.05:
                colour = "white" if share > 50 else "#20242c"
                place = {"ha": "center", "va": "center", "fontsize": 8}
                axes.text(read, digit, f"{share:.1f}", color=colour, **place)
    axes.set(xlabel="digit read", ylabel="digit shown", xticks=range(10), yticks=range(10))
    axes.grid(False)
    axes.set_title("Shown and read, per cent")
    return drawing
