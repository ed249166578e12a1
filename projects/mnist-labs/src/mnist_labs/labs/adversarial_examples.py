"""Fool a digit classifier with changes of a few grey levels, then train one that resists them.

A network that reads clean digits well is attacked with the fast gradient sign method (FGSM, one
step) and projected gradient descent (PGD, many small steps) inside an L∞ ball of radius ε around
each image. The answer is adversarial training: each batch is replaced by PGD examples against the
network of the moment, with ε growing from zero in the first epochs. Both networks face the same
attack: PGD of 40 steps of ε/30 from a random start, an image being lost when any iterate fools the
network.

Look at the curves of accuracy against ε, and at the changes themselves: on MNIST they run in
connected strokes against the plain network and are specks against the trained one. Three checks
tell robustness from hidden gradients (Athalye, Carlini, Wagner, "Obfuscated Gradients Give a False
Sense of Security", 2018): how much a stronger attack gains (longer steps, more of them, restarts;
that number is the better estimate of the two), whether examples carried over from the plain network
are weaker than the network's own, and whether a much larger ball breaks it.

References: Goodfellow, Shlens, Szegedy, "Explaining and Harnessing Adversarial Examples", 2015;
Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", 2018.
"""

from functools import partial
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Le
from matplotlib.figure import Figure
from torch import Generator, Tensor, nn

from groundwork import Claim, Run, plots
from mnist_labs.attacks import AdversarialBatches, fgsm, pgd, small_network, withstands_pgd
from mnist_labs.images import Images, load_images
from mnist_labs.training import accuracy, fit, predict

PRESETS = {
    "smoke": {
        "plain_epochs": 10,
        "epochs": 12,
        "batch_size": 64,
        "warmup_epochs": 4,
        "strong_images": 100,
        "strong_restarts": 1,
        "seeds": 1,
    },
    "default": {},
    "full": {
        "data": "mnist",
        "epsilon": 0.3,
        "plain_epochs": 2,
        "epochs": 6,
        "warmup_epochs": 2,
        "batch_size": 128,
        "strong_images": 1000,
        "strong_restarts": 2,
    },
}
CLAIMS = [
    Claim("clean_accuracy.plain", ">=", 0.98, presets=("full",)),
    Claim("pgd_accuracy.plain", "<=", 0.05, presets=("full",)),
    Claim("pgd_accuracy.robust", ">=", 0.85, presets=("full",)),
    Claim("strong_pgd_accuracy.robust", ">=", 0.85, presets=("full",)),
    Claim("large_ball_accuracy.robust", "<=", 0.05, presets=("full",)),
    Claim("clean_accuracy.robust", ">=", 0.97, presets=("full",)),
    Claim("pgd_minus_strong_pgd.robust", "<=", 0.05, presets=("full",)),
    Claim("transfer_minus_pgd.robust", ">=", 0.0),
    Claim("clean_accuracy.plain", ">=", 0.93, presets=("smoke", "default")),
    Claim("clean_accuracy.robust", ">=", 0.93, presets=("smoke", "default")),
    Claim("pgd_accuracy.plain", "<=", 0.35, presets=("smoke", "default")),
    Claim("pgd_accuracy.robust", ">=", 0.55, presets=("smoke",)),
    Claim("pgd_accuracy.robust", ">=", 0.72, presets=("default",)),
]

STEPS = 40  # of the attack that both networks face; each of ε / 30, so that it can cross the ball
STRONG_STEPS = 100  # of the stronger one, each of ε / 15
PITCH = 1.18  # from one image to the next in the figure; an image is 1 wide

EXAMPLES = (
    "The first test image of each digit and its PGD examples at the trained radius. Beside each: "
    "the attacked network's answer, red where wrong. Changes: red adds ink, blue takes it away."
)
CURVES = "Accuracy on the first test images against ε; line: mean, band: all seeds."


def main(
    run: Run,
    *,
    data: Annotated[Literal["digits", "mnist"], "the data set"] = "digits",
    epsilon: Annotated[float, Gt(0), Le(0.5), "the largest change of a pixel"] = 0.15,
    plain_epochs: Annotated[int, Ge(1), "passes of the plain training"] = 20,
    epochs: Annotated[int, Ge(1), "passes of the adversarial training"] = 60,
    warmup_epochs: Annotated[int, Ge(0), "passes in which the training radius grows"] = 15,
    train_steps: Annotated[int, Ge(1), "PGD steps on each training batch"] = 3,
    batch_size: Annotated[int, Ge(1), "images in a batch"] = 32,
    learning_rate: Annotated[float, Gt(0), "Adam's largest rate in the one-cycle schedule"] = 5e-3,
    strong_images: Annotated[int, Ge(1), "test images for curves and the stronger attack"] = 360,
    strong_restarts: Annotated[int, Ge(1), "random restarts of the stronger attack"] = 5,
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
) -> None:
    images = load_images(run, data)
    few = images.first(len(images.y_train), strong_images)
    radii = [epsilon * i / 4 for i in range(8)]
    train = partial(_train, run, images, batch_size=batch_size, learning_rate=learning_rate)
    harden = partial(train, epsilon=epsilon, warmup_epochs=warmup_epochs, train_steps=train_steps)
    scores = []
    for seed in run.seeds(seeds):
        plain = train(f"plain-{seed}", seed, epochs=plain_epochs)
        robust = harden(f"robust-{seed}", seed, epochs=epochs)
        store = run.checkpoint(f"scores-{seed}")
        score = store.load()
        if score is None:
            nets = {"plain": plain, "robust": robust}
            score = {
                name: _scores(net, images, few, epsilon, strong_restarts, seed)
                for name, net in nets.items()
            }
            carried = _against(plain, few.x_test, few.y_test, epsilon, seed)
            score["robust"]["transfer"] = accuracy(robust, carried, few.y_test)
            score["curves"] = {name: _curves(net, few, radii, seed) for name, net in nets.items()}
            store.save(score)
        scores.append(score)
        run.log(
            f"seed {seed}: PGD leaves {score['plain']['pgd']:.4f} of the plain network's "
            f"answers, {score['robust']['pgd']:.4f} of the robust one's"
        )
        if seed == run.seed:
            drawing = _draw_examples(plain, robust, images, epsilon, seed)
            run.figure("examples", drawing, EXAMPLES, format="png")
    _report(run, scores)
    run.figure("curves", _draw_curves(scores, radii, epsilon), CURVES)


def _train(
    run: Run,
    images: Images,
    name: str,
    seed: int,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    epsilon: float = 0.0,
    warmup_epochs: int = 0,
    train_steps: int = 1,
) -> nn.Module:
    """Train on clean images, or for ε > 0 on PGD examples of them."""
    torch.manual_seed(seed)
    model = small_network(images.size)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    batches = max(1, len(images.y_train) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=epochs * batches, pct_start=0.4
    )
    attack = AdversarialBatches(
        epsilon, train_steps, warmup_epochs * batches, clock=lambda: schedule.last_epoch
    )
    fit(
        model,
        images.x_train,
        images.y_train,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        schedule=schedule,
        perturb=attack if epsilon else None,
        seed=seed,
        checkpoint=run.checkpoint(name),
        progress=lambda passes: run.progress(passes, label=name),
    )
    return model


def _standing(model: nn.Module, images: Images, epsilon: float, seed: int) -> Tensor:
    """Which test images withstand the attack that both networks face."""
    return withstands_pgd(
        model,
        images.x_test,
        images.y_test,
        epsilon,
        step=epsilon / 30,
        steps=STEPS,
        generator=Generator().manual_seed(seed),
    )


def _scores(
    model: nn.Module, images: Images, few: Images, epsilon: float, restarts: int, seed: int
) -> dict[str, float]:
    """Accuracy on the whole test set, clean and attacked; `strong` and `pgd_few` on the few."""
    x, y = images.x_test, images.y_test
    standing = _standing(model, images, epsilon, seed).double()
    strong = withstands_pgd(
        model,
        few.x_test,
        few.y_test,
        epsilon,
        step=epsilon / 15,
        steps=STRONG_STEPS,
        restarts=restarts,
        generator=Generator().manual_seed(seed),
    )
    return {
        "clean": accuracy(model, x, y),
        "fgsm": accuracy(model, fgsm(model, x, y, epsilon), y),
        "pgd": float(standing.mean()),
        "pgd_few": float(standing[: len(few.y_test)].mean()),
        "strong": float(strong.double().mean()),
    }


def _curves(model: nn.Module, few: Images, radii: list[float], seed: int) -> dict[str, list[float]]:
    """Accuracy under both attacks at each radius."""
    x, y = few.x_test, few.y_test
    return {
        "FGSM": [accuracy(model, fgsm(model, x, y, radius), y) for radius in radii],
        "PGD": [float(_standing(model, few, radius, seed).double().mean()) for radius in radii],
    }


def _against(model: nn.Module, x: Tensor, y: Tensor, epsilon: float, seed: int) -> Tensor:
    """The last iterate of the attack on each image."""
    generator = Generator().manual_seed(seed)
    return pgd(model, x, y, epsilon, step=epsilon / 30, steps=STEPS, generator=generator)


def _report(run: Run, scores: list[dict[str, Any]]) -> None:
    def values(name: str, key: str) -> list[float]:
        return [score[name][key] for score in scores]

    def difference(minuend: str, subtrahend: str) -> list[float]:
        pairs = zip(values("robust", minuend), values("robust", subtrahend), strict=True)
        return [first - second for first, second in pairs]

    for name in ("plain", "robust"):
        for key in ("clean", "fgsm", "pgd"):
            run.metric(f"{key}_accuracy.{name}", values(name, key))
    run.metric("strong_pgd_accuracy.robust", values("robust", "strong"))
    run.metric("transfer_accuracy.robust", values("robust", "transfer"))
    run.metric("pgd_minus_strong_pgd.robust", difference("pgd_few", "strong"))
    run.metric("transfer_minus_pgd.robust", difference("transfer", "pgd_few"))
    far_out = [score["curves"]["robust"]["PGD"][-1] for score in scores]
    run.metric("large_ball_accuracy.robust", far_out)


def _draw_curves(scores: list[dict[str, Any]], radii: list[float], epsilon: float) -> Figure:
    drawing, axes = plots.figure(height=4.1)
    names = {"plain": "plain training", "robust": "adversarial training"}
    for colour, (name, label) in zip(plots.PALETTE[3::-3], names.items(), strict=False):
        for attack, style in (("FGSM", "--"), ("PGD", "-")):
            curves = torch.tensor([score["curves"][name][attack] for score in scores])
            axes.plot(radii, curves.mean(0), style, color=colour, label=f"{label}, {attack}")
            low, high = curves.amin(0), curves.amax(0)
            axes.fill_between(radii, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.axvline(epsilon, color="#7a7f87", linewidth=1, linestyle=":")
    axes.annotate("trained for", (epsilon, 1.0), (4, 2), textcoords="offset points", fontsize=8.5)
    axes.set(xlabel="ε, the largest change of a pixel", ylabel="accuracy", ylim=(-0.02, 1.05))
    axes.set_title("Accuracy under attack")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    return drawing


def _draw_examples(
    plain: nn.Module, robust: nn.Module, images: Images, epsilon: float, seed: int
) -> Figure:
    """The first test image of each digit, and what PGD makes of it against either network."""
    rows = [int((images.y_test == digit).nonzero()[0, 0]) for digit in range(10)]
    x, y = images.x_test[rows], images.y_test[rows]
    drawing, axes = plots.figure(width=6.4, height=2.95)
    _draw_line(axes, 0, "clean", x)
    for line, name, net in ((1, "plain", plain), (3, "robust", robust)):
        moved = _against(net, x, y, epsilon, seed)
        _draw_line(axes, line, f"against {name}", moved)
        _draw_line(axes, line + 1, "change", (moved - x) / (2 * epsilon) + 0.5, "RdBu_r")
        for column, answer in enumerate(predict(net, moved).argmax(1).tolist()):
            colour = plots.PALETTE[3] if answer != y[column] else "#20242c"
            place = {"fontsize": 8, "va": "top", "ha": "left", "color": colour}
            axes.text(PITCH * column + 1.01, PITCH * line, str(answer), **place)
    axes.set(xlim=(-1.9, 10 * PITCH), ylim=(5 * PITCH, 0))
    axes.set_aspect("equal")
    axes.axis("off")
    return drawing


def _draw_line(axes: Any, line: int, label: str, shown: Tensor, colours: str = "gray_r") -> None:
    """Ten images side by side, shape (10, 1, h, w), in the figure's row `line`."""
    top = PITCH * line
    for column, image in enumerate(shown):
        extent = (PITCH * column, PITCH * column + 1, top + 1, top)
        axes.imshow(image[0], cmap=colours, vmin=0, vmax=1, extent=extent)
    axes.text(-0.1, top + 0.5, label, ha="right", va="center", fontsize=8)
