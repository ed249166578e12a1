"""Read digits with one matrix: softmax regression, and what its weights look like.

Each class has a weight for each pixel; the scores become probabilities by the softmax. The loss and
its derivatives are in `supervised_learning.logistic`. The figure shows the ten rows of the weight
matrix as images: blue where ink speaks for the digit, red where it speaks against it. Below, the
same matrix learnt without a penalty: it fits the training rows better and looks like noise, and
where rows are few it reads unseen digits worse (with the 60,000 of MNIST it hardly matters). One
matrix reads 92 % of MNIST; that is the line that deeper models have to beat.

Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document
recognition, 1998 (a linear classifier, 12 % errors; 8.4 % with pairs).
"""

import warnings
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.model_selection import train_test_split

from groundwork import Claim, Run, plots
from groundwork.estimators import (
    Largest,
    Memory,
    Pair,
    Rows,
    Seeds,
    Sets,
    coefficient_error,
    study,
)
from supervised_learning.logistic import LogisticRegression

PRESETS = {
    "smoke": {"sets": ("iris", "wine"), "seeds": 2, "rows": 1000},
    "default": {},
    "full": {
        "data": "mnist",
        "C": 0.1,
        "sets": ("penguins", "wisdm_har", "letter", "otto"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("test_accuracy", ">=", 0.95, presets=("smoke", "default")),
    Claim("test_accuracy", ">=", 0.92, presets=("full",)),
    Claim("gained_by_penalty", ">=", 0.0, presets=("smoke", "default")),
    Claim("gained_by_penalty", ">=", -0.002, presets=("full",)),
    Claim("coefficient_error.softmax", "<=", 1e-5),
    Claim("behind.SoftmaxRegression", "<=", 0.5),
    Claim("ratio.fit.SoftmaxRegression", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.SoftmaxRegression", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.SoftmaxRegression", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.SoftmaxRegression", "<=", 2.0, presets=("full",)),
]


def main(
    run: Run,
    *,
    data: Annotated[Literal["digits", "mnist"], "the images"] = "digits",
    C: Annotated[float, Gt(0), "inverse strength of the penalty"] = 1.0,
    sets: Sets = ("iris", "wine", "digits"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Learn digits and draw the weights, then hold the model against the reference."""
    results: dict[str, list[float]] = {"penalized": [], "free": []}
    for seed in run.seeds(1 if data == "mnist" else 5):  # MNIST has a split of its own
        train_x, train_y, test_x, test_y = load(run, data, seed)
        models = {
            "penalized": LogisticRegression(C=C, max_iter=500, tol=1e-3),
            "free": LogisticRegression(C=np.inf, max_iter=200, tol=1e-3),
        }
        for name, model in models.items():
            with warnings.catch_warnings():  # without a penalty there may be no minimum
                warnings.simplefilter("ignore", ConvergenceWarning)
                results[name].append(model.fit(train_x, train_y).score(test_x, test_y))
    accuracy = run.metric("test_accuracy", results["penalized"])
    run.metric("train_accuracy", models["penalized"].score(train_x, train_y))
    run.metric("train_accuracy.free", models["free"].score(train_x, train_y))
    run.metric("gained_by_penalty", accuracy - run.metric("test_accuracy.free", results["free"]))
    draw(run, models["penalized"], models["free"])

    tight: dict[str, Any] = {"tol": 1e-9, "max_iter": 20_000}
    exact = Reference(solver="newton-cg", tol=1e-10, max_iter=1000)
    coefficient_error(run, "softmax", LogisticRegression(**tight), exact, sets, rows=1000)
    pair = Pair(
        "SoftmaxRegression",
        LogisticRegression(max_iter=1000),
        Reference(max_iter=1000),
        make=five_classes,
    )
    study(run, [pair], sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


def five_classes(n: int, seed: int) -> tuple[NDArray, NDArray]:
    """Made rows of five classes: X (n, 20), y (n,)."""
    X, y = make_classification(
        n, 20, n_informative=10, n_redundant=4, n_classes=5, flip_y=0.05, random_state=seed
    )
    return X, y


def load(run: Run, data: str, seed: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Pixels from 0 to 1 and digits: training X and y, test X and y."""
    bunch = run.data(data)
    if data == "mnist":
        parts = [bunch[name] for name in ("x_train", "y_train", "x_test", "y_test")]
        train_x, train_y, test_x, test_y = (np.asarray(part) for part in parts)
    else:
        split = train_test_split(bunch["x"], bunch["y"], test_size=0.25, random_state=seed)
        train_x, test_x, train_y, test_y = split
    scale = 1.0 / float(train_x.max())
    flat = [x.reshape(len(x), -1).astype(np.float32) * scale for x in (train_x, test_x)]
    return flat[0], train_y, flat[1], test_y


def draw(run: Run, penalized: LogisticRegression, free: LogisticRegression) -> None:
    """The weights of each class as an image, with the penalty and without."""
    side = int(np.sqrt(penalized.coef_.shape[1]))
    figure, axes = plots.figure(2, 10, height=1.9, width=8.2)
    for line, model in enumerate((penalized, free)):
        limit = float(np.quantile(np.abs(model.coef_), 0.995))
        for digit, cell in enumerate(axes[line]):
            image = model.coef_[digit].reshape(side, side)
            cell.imshow(image, cmap="RdBu", vmin=-limit, vmax=limit, interpolation="nearest")
            cell.axis("off")
            if line == 0:
                cell.set_title(str(digit), loc="center")
    run.figure(
        "weights",
        figure,
        "The weights of each digit: blue where ink speaks for it, red where against. Above with "
        "the penalty, below without.",
        format="png",
    )
