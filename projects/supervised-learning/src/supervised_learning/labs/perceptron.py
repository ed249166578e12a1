"""Correct a neuron by its mistakes: the perceptron, its promise, and where it breaks.

The rule and the proof that it ends are in `supervised_learning.perceptron`: where a margin γ
separates the classes and no row is longer than R, there are at most (R / γ)² corrections. The
figure draws the rule on two kinds of irises: the lines it went through, from pale to
dark. In the middle, the corrections against the bound as the margin shrinks, for made rows of known
margin. On the right the classes of XOR, which no line separates: the mistakes never end, and the
estimator says so.

F. Rosenblatt, The perceptron, 1958; A. Novikoff, On convergence proofs for perceptrons, 1962;
M. Minsky and S. Papert, Perceptrons, 1969.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Perceptron as Reference

from groundwork import Claim, Run, plots
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from supervised_learning.perceptron import Perceptron

PRESETS = {
    "smoke": {"sets": ("iris", "wine"), "seeds": 2, "rows": 1000},
    "default": {},
    "full": {
        "sets": (
            "penguins",
            "wisdm_har",
            "letter",
            "lightgbm_binary",
            "jb_banknote_authentication",
        ),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("separable_accuracy", "==", 1.0),
    Claim("share_of_bound", "<=", 1.0),
    Claim("xor_converged", "==", 0),
    Claim("xor_accuracy", "<=", 0.75),
    Claim("apart.Perceptron", "<=", 1e-6),
    Claim("ratio.fit.Perceptron", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.Perceptron", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.Perceptron", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.Perceptron", "<=", 2.0, presets=("full",)),
]
MARGINS = (0.4, 0.2, 0.1, 0.05, 0.02, 0.01)


def main(
    run: Run,
    *,
    sets: Sets = ("iris", "wine", "breast_cancer", "digits"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Draw the rule, the bound and XOR, then hold it against the reference."""
    figure, axes = plots.figure(1, 3, width=9.6, height=3.1)
    draw_rule(run, axes[0])
    draw_bound(run, axes[1])
    draw_xor(run, axes[2])
    run.figure(
        "rule",
        figure,
        "The lines after 1, 2, 4, 8, … passes, pale to dark; corrections against the bound "
        "(R / γ)²; mistakes a pass on XOR, which never end.",
    )
    # In the same order of the rows both make the same corrections, one by one.
    pair = Pair("Perceptron", Perceptron(shuffle=False), Reference(shuffle=False))
    study(run, [pair], sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


def draw_rule(run: Run, axes: Any) -> None:
    iris = run.data("iris")
    X, y = iris["x"][:100, :2], iris["y"][:100]  # setosa and versicolor, which nearly touch
    across = np.array([X[:, 0].min(), X[:, 0].max()])
    final = Perceptron(tol=None, max_iter=100_000, random_state=run.seed).fit(X, y)
    run.metric("separable_accuracy", final.score(X, y))
    run.metric("separable_passes", final.n_iter_)
    run.metric("separable_corrections", float(final.n_mistakes_[0]))
    stops = [2**k for k in range(20) if 2**k < final.n_iter_] + [final.n_iter_]
    for i, count in enumerate(stops, start=1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it is stopped on purpose
            model = Perceptron(tol=None, max_iter=count, random_state=run.seed).fit(X, y)
        w, b = model.coef_[0], model.intercept_[0]
        shade = {"color": "black", "alpha": 0.1 + 0.9 * (i / len(stops)) ** 2}
        axes.plot(across, -(w[0] * across + b) / w[1], **shade)
    for value, color in ((0, plots.PALETTE[0]), (1, plots.PALETTE[1])):
        axes.plot(*X[y == value].T, ".", color=color, markersize=4)
    axes.set(title="The rule", xlabel="sepal length (cm)", ylabel="sepal width (cm)")
    axes.set_ylim(X[:, 1].min() - 0.5, X[:, 1].max() + 0.5)


def separated(margin: float, seed: int, n: int = 400) -> tuple[NDArray, NDArray]:
    """Rows in the unit disc at least `margin` from a line through its center: X (n, 2), y (n,)."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (20 * n, 2))
    X = X[np.linalg.norm(X, axis=1) <= 1]
    angle = rng.uniform(0, 2 * np.pi)
    side = X @ np.array([np.cos(angle), np.sin(angle)])
    X, side = X[np.abs(side) >= margin][:n], side[np.abs(side) >= margin][:n]
    return X, (side > 0).astype(int)


def draw_bound(run: Run, axes: Any) -> None:
    made, bound = [], [1 / margin**2 for margin in MARGINS]
    for margin in MARGINS:
        counts = []
        for seed in run.seeds(5):
            X, y = separated(margin, seed)
            model = Perceptron(
                fit_intercept=False, tol=None, max_iter=100_000, random_state=seed
            ).fit(X, y)
            counts.append(int(model.n_mistakes_[0]))
        made.append(counts)
    run.metric("share_of_bound", max(max(m) / b for m, b in zip(made, bound, strict=True)))
    axes.loglog(MARGINS, bound, "--", color=plots.PALETTE[7], label="(R / γ)²")
    axes.loglog(MARGINS, np.mean(made, axis=1), "o-", markersize=4, label="made")
    axes.set(title="The bound", xlabel="margin γ", ylabel="corrections")
    axes.legend()


def draw_xor(run: Run, axes: Any) -> None:
    X, y = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 1, 1, 0])
    totals = [0]
    passes = range(1, 31)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is what is to be seen
        for count in passes:
            model = Perceptron(tol=None, max_iter=count, random_state=run.seed).fit(X, y)
            totals.append(int(model.n_mistakes_[0]))
    run.metric("xor_converged", float(model.converged_[0]))
    run.metric("xor_accuracy", model.score(X, y))
    axes.bar(passes, np.diff(totals))
    axes.set(title="XOR", xlabel="pass", ylabel="mistakes, of 4")
