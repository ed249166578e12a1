"""Train a digit classifier in NumPy alone, as accurate as PyTorch's and no slower.

Forward pass, backward pass, mini-batches and Adam are written out in `mnist_labs.numpy_network`;
the derivation is in its docstring. The same network in PyTorch (eager `nn.Linear`, its own Adam at
normal settings) trains next to it: same data, batch size, precision and threads.

Where the time of an epoch goes is in the table. The two spend most of it in the same matrix
products; a small network leaves PyTorch's bookkeeping for each operation in plain sight, and a wide
one (the second comparison, for which nothing is claimed) makes it disappear.
"""

import statistics
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt
from torch import nn
from torch.nn.functional import cross_entropy

from groundwork import Claim, Run, plots
from groundwork.run import Stopwatch
from mnist_labs.images import DataName, Images, load_images
from mnist_labs.numpy_network import Adam, Network, batches, train_epoch
from mnist_labs.training import accuracy, fit

PRESETS = {
    "smoke": {"epochs": 15, "seeds": 1, "hidden": 32, "wide": 64, "batch_size": 32},
    "default": {"epochs": 40, "batch_size": 32},
    "full": {"data": "mnist"},
}
CLAIMS = [
    Claim("gradient_error", "<=", 1e-6),
    Claim("test_accuracy", ">=", 0.978, presets=("full",)),
    Claim("behind_torch", "<=", 0.002, presets=("full",)),
    Claim("ratio.epoch", "<=", 1.0, presets=("full",)),
    Claim("test_accuracy", ">=", 0.93, presets=("default",)),
    Claim("test_accuracy", ">=", 0.85, presets=("smoke",)),
]


def main(
    run: Run,
    *,
    data: Annotated[DataName, "the data set"] = "digits",
    hidden: Annotated[int, Ge(1), "units of the hidden layer"] = 128,
    wide: Annotated[int, Ge(1), "units in the second comparison"] = 512,
    epochs: Annotated[int, Ge(1), "passes over the training set"] = 10,
    batch_size: Annotated[int, Ge(1), "rows a step"] = 128,
    learning_rate: Annotated[float, Gt(0), "Adam's first rate; it falls to 0 in a line"] = 0.002,
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
) -> None:
    """Check the gradients, train for each seed, compare; see the module's docstring."""
    images = load_images(run, data)
    x, x_test = (part.flatten(1).numpy() for part in (images.x_train, images.x_test))
    y, y_test = images.y_train.numpy(), images.y_test.numpy()
    sizes = (x.shape[1], hidden, len(images.classes))
    run.metric("gradient_error", gradient_error(x[:64], y[:64], run.rng))

    scores, curves = [], []
    for seed in run.seeds(seeds):
        rng = np.random.default_rng(seed)
        network = Network(sizes, rng)
        optimizer = Adam(network.parameters)
        curve = []
        for epoch in run.progress(range(epochs), label=f"seed {seed}"):
            rate = learning_rate * (1 - epoch / epochs)
            train_epoch(
                network, optimizer, x, y, batch_size=batch_size, learning_rate=rate, rng=rng
            )
            curve.append(network.accuracy(x_test, y_test))
        scores.append(curve[-1])
        curves.append(curve)
    run.metric("test_accuracy", scores)
    theirs = [
        torch_accuracy(images, sizes, seed, epochs, batch_size, learning_rate)
        for seed in run.progress(run.seeds(seeds), label="PyTorch")
    ]
    run.metric("test_accuracy_torch", theirs)
    run.metric("behind_torch", statistics.fmean(theirs) - statistics.fmean(scores))

    compare_epochs(run, "epoch", sizes, x, y, batch_size)
    compare_epochs(run, "wide_epoch", (sizes[0], wide, sizes[-1]), x, y, batch_size)
    parts = time_by_part(sizes, x, y, batch_size)
    total = sum(parts.values())
    run.table(
        "time",
        [
            {"part": name, "share of an epoch": f"{100 * s / total:.0f} %"}
            for name, s in parts.items()
        ],
        caption="Where an epoch's time goes",
    )
    figure, (left, right) = plots.figure(1, 2, width=9, height=3.5)
    for seed, curve in zip(run.seeds(seeds), curves, strict=True):
        left.plot(range(1, epochs + 1), [100 * a for a in curve], label=f"seed {seed}")
    left.set(xlabel="epoch", ylabel="test accuracy in %", title="Training in NumPy")
    left.legend()
    right.barh(list(parts), [1e3 * s for s in parts.values()], color=plots.PALETTE[0])
    right.set(xlabel="ms an epoch", title="Where the time goes")
    right.invert_yaxis()
    run.figure("training", figure, caption="Accuracy by epoch, and the time of an epoch by part")


def gradient_error(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> float:
    """The largest difference between our gradient and autograd's, relative to the largest entry."""
    network = Network((x.shape[1], 24, 16, 10), rng, np.float64)
    network.loss_and_gradient(x.astype(np.float64), y)
    h = torch.from_numpy(x).double()
    leaves: list[torch.Tensor] = []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        pair = [torch.from_numpy(part.copy()).requires_grad_() for part in (weight, bias)]
        h = (torch.relu(h) if leaves else h) @ pair[0] + pair[1]
        leaves += pair
    cross_entropy(h, torch.from_numpy(y)).backward()
    theirs = np.concatenate([leaf.grad.numpy().ravel() for leaf in leaves])
    return float(np.abs(network.gradient - theirs).max() / np.abs(theirs).max())


def torch_accuracy(
    images: Images,
    sizes: tuple[int, ...],
    seed: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
) -> float:
    """The test accuracy of the same network, rates and epochs in PyTorch."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), *torch_network(sizes))
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    steps = len(images.x_train) // batch_size
    fit(
        model,
        images.x_train,
        images.y_train,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        schedule=torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: 1 - step // steps / epochs
        ),
        seed=seed,
    )
    return accuracy(model, images.x_test, images.y_test)


def torch_network(sizes: tuple[int, ...]) -> nn.Sequential:
    """The perceptron in PyTorch."""
    return nn.Sequential(nn.Linear(sizes[0], sizes[1]), nn.ReLU(), nn.Linear(sizes[1], sizes[2]))


def compare_epochs(
    run: Run, name: str, sizes: tuple[int, ...], x: np.ndarray, y: np.ndarray, batch_size: int
) -> None:
    """Time an epoch of ours and of the same network in PyTorch, in turns."""
    rng = np.random.default_rng(0)
    network = Network(sizes, rng)
    ours = Adam(network.parameters)
    model = torch_network(sizes)
    theirs = torch.optim.Adam(model.parameters())
    x_torch, y_torch = torch.from_numpy(x), torch.from_numpy(y)

    def torch_epoch() -> None:
        order = torch.randperm(len(x_torch))
        for start in range(0, len(x_torch) - batch_size + 1, batch_size):
            rows = order[start : start + batch_size]
            theirs.zero_grad()
            cross_entropy(model(x_torch[rows]), y_torch[rows]).backward()
            theirs.step()

    run.compare(
        name,
        ours=lambda: train_epoch(
            network, ours, x, y, batch_size=batch_size, learning_rate=1e-3, rng=rng
        ),
        reference=torch_epoch,
        library="torch",
        pairs=9 if name == "epoch" else 5,
    )


def time_by_part(
    sizes: tuple[int, ...], x: np.ndarray, y: np.ndarray, batch_size: int
) -> dict[str, float]:
    """Seconds of an epoch for batches, the two passes, and Adam, each run on its own."""
    rng = np.random.default_rng(0)
    network = Network(sizes, rng)
    optimizer = Adam(network.parameters)
    x_batch, y_batch = next(batches(x, y, batch_size, rng))
    steps = range(len(x) // batch_size)
    parts = {}
    watch = Stopwatch()
    for _ in batches(x, y, batch_size, rng):
        pass
    parts["gathering batches"] = watch.seconds
    watch = Stopwatch()
    for _ in steps:
        network.forward(x_batch)
    parts["forward"] = watch.seconds
    watch = Stopwatch()
    for _ in steps:
        network.loss_and_gradient(x_batch, y_batch)
    parts["backward"] = watch.seconds - parts["forward"]
    watch = Stopwatch()
    for _ in steps:
        optimizer.step(network.gradient, 0.0)
    parts["Adam"] = watch.seconds
    return parts
