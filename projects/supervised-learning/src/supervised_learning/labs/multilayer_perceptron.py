"""Bend a border with hidden units: a multilayer perceptron with `fit` and `predict`.

Back-propagation is derived in `supervised_learning.mlp`. The figure shows two spirals that no line
parts: with 2 units a layer the border can hardly bend, with 8 it follows in straight pieces, with
64 it winds with the spirals. Below, the loss of each pass. Weights are drawn and rows are shuffled
in the order in which scikit-learn does it, so one seed gives both the same network, and the two
loss curves agree to rounding: what differs is the time of a step.

D. Rumelhart, G. Hinton and R. Williams, Learning representations by back-propagating errors, 1986.
"""

import warnings
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier as ReferenceClassifier
from sklearn.neural_network import MLPRegressor as ReferenceRegressor
from sklearn.preprocessing import StandardScaler

from groundwork import Claim, Run, plots
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from supervised_learning.mlp import MLPClassifier, MLPRegressor

PRESETS = {
    "smoke": {"sets": ("iris",), "value_sets": ("diabetes",), "seeds": 2, "rows": 500},
    "default": {},
    "full": {
        "sets": ("penguins", "wisdm_har", "letter", "adult"),
        "value_sets": ("concrete", "california_housing", "jb_abalone", "insurance"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("loss_curve_error", "<=", 1e-6),
    Claim("spirals_accuracy.64", ">=", 0.97),
    Claim("spirals_accuracy.2", "<=", 0.8),
    Claim("behind.MLPClassifier", "<=", 0.5),
    Claim("behind.MLPRegressor", "<=", 0.5),
    Claim("ratio.fit.MLPClassifier", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.MLPClassifier", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.MLPRegressor", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.MLPRegressor", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.MLPClassifier", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.MLPRegressor", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.MLPClassifier", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.MLPRegressor", "<=", 2.0, presets=("full",)),
]
UNITS = (2, 8, 64)


def main(
    run: Run,
    *,
    sets: Sets = ("iris", "wine", "digits"),
    value_sets: Sets = ("diabetes", "friedman1"),
    passes: Annotated[int, Ge(1), "passes of each network that is held against the other"] = 20,
    seeds: Seeds = 3,
    rows: Rows = 5_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Draw the spirals, check the loss curve, then hold both estimators against the reference."""
    draw_spirals(run)
    fixed: dict[str, Any] = {"max_iter": passes, "tol": 0.0, "n_iter_no_change": passes}
    with warnings.catch_warnings():
        # The number of passes is fixed on purpose: both sides do the same work.
        warnings.simplefilter("ignore", ConvergenceWarning)
        check_curve(run, fixed)
        pairs = [
            Pair("MLPClassifier", MLPClassifier(**fixed), ReferenceClassifier(**fixed), sets=sets),
            Pair(
                "MLPRegressor",
                scaled(MLPRegressor(**fixed)),
                scaled(ReferenceRegressor(**fixed)),
                sets=value_sets,
            ),
        ]
        study(run, pairs, seeds=seeds, rows=rows, largest=largest, memory=memory)


def scaled(estimator: Any) -> TransformedTargetRegressor:
    """The estimator, fitted to targets of mean 0 and variance 1: what a network begins near."""
    return TransformedTargetRegressor(estimator, transformer=StandardScaler())


def check_curve(run: Run, fixed: dict[str, Any]) -> None:
    """The loss curve of ours and of the reference from one seed: the largest difference."""
    digits = run.data("digits")
    X, y = digits["x"].reshape(len(digits["y"]), -1) / 16.0, digits["y"]
    curves = [
        estimator(random_state=run.seed, **fixed).fit(X, y).loss_curve_
        for estimator in (MLPClassifier, ReferenceClassifier)
    ]
    run.metric("loss_curve_error", float(np.abs(np.subtract(*curves)).max()))


def draw_spirals(run: Run) -> None:
    """Borders on two spirals with few and many hidden units, and the loss of each pass."""
    bunch = run.data("spirals", seed=run.seed)
    X, y = StandardScaler().fit_transform(bunch["x"]), bunch["y"]
    figure, axes = plots.figure(2, len(UNITS), width=8.4, height=5.2)
    ticks = np.linspace(-2.2, 2.2, 140)
    grid = np.meshgrid(ticks, ticks)
    points = np.column_stack([g.ravel() for g in grid])
    for column, units in enumerate(UNITS):
        scores = []
        for seed in run.seeds(3):
            model = MLPClassifier(
                (units, units), learning_rate_init=0.01, max_iter=1000, random_state=seed
            ).fit(X, y)
            scores.append(model.score(X, y))
        run.metric(f"spirals_accuracy.{units}", scores)
        p = model.predict_proba(points)
        upper, lower = axes[0, column], axes[1, column]
        upper.contourf(*grid, p.argmax(axis=1).reshape(grid[0].shape), cmap="RdBu_r", alpha=0.35)
        for value in np.unique(y):
            upper.plot(*X[y == value].T, ".", markersize=2.5)
        upper.set(title=f"2 layers of {units}", xticks=[], yticks=[])
        lower.semilogy(model.loss_curve_)
        lower.set(xlabel="pass", ylabel="loss (nats)" if column == 0 else "")
    run.figure(
        "spirals",
        figure,
        "The border with 2, 8 and 64 units in each of two hidden layers; below, the loss.",
        format="png",
    )
