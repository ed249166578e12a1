"""Learn a logistic regression by its likelihood: its border, its calibration, its threshold.

The loss is derived in `supervised_learning.logistic`, and brought down in three ways: by plain
gradient descent, L-BFGS and Newton's method. The figure shows what the model says: the border on
two measurements of breast tumours with the probability on both sides of it; whether a probability
of 0.8 comes true in 8 of 10 cases (the reliability of held-out predictions); what the threshold
costs when a missed tumour counts ten times a false alarm; and how the strength of the penalty is
chosen on held-out rows. Held against scikit-learn under L2, L1 and the mix of both.

D. R. Cox, The regression analysis of binary sequences, 1958; A. Niculescu-Mizil and R. Caruana,
Predicting good probabilities with supervised learning, 2005.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

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
from supervised_learning.logistic import LogisticRegression, gradient_descent

PRESETS = {
    "smoke": {"sets": ("breast_cancer",), "seeds": 2, "rows": 1000},
    "default": {},
    "full": {
        "sets": ("adult", "telco_churn", "rubix_credit", "jb_german", "lightgbm_binary"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("coefficient_error.l2", "<=", 1e-5),
    Claim("coefficient_error.newton", "<=", 1e-5),
    Claim("coefficient_error.l1", "<=", 1e-5),
    Claim("coefficient_error.elastic_net", "<=", 1e-5),
    Claim("gradient_descent_gap", "<=", 1e-3),
    Claim("held_out_accuracy", ">=", 0.96),
    Claim("calibration_error", "<=", 0.05),
    Claim("one_against_rest_accuracy", ">=", 0.9),
    Claim("behind.LogisticRegression", "<=", 0.5),
    Claim("behind.LogisticRegression-newton", "<=", 0.5),
    Claim("ratio.fit.LogisticRegression", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.LogisticRegression-newton", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.LogisticRegression", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.LogisticRegression-newton", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.LogisticRegression", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.LogisticRegression-newton", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.LogisticRegression", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.LogisticRegression-newton", "<=", 2.0, presets=("full",)),
]
STRENGTHS = np.logspace(-4, 4, 17)
MISSED, FALSE_ALARM = 10.0, 1.0


def main(
    run: Run,
    *,
    sets: Sets = ("breast_cancer", "iris", "wine"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Draw what the model says, then hold it against the reference."""
    bunch = run.data("breast_cancer")
    X, y = bunch["x"], 1 - bunch["y"]  # 1: malignant
    draw(run, X, y, list(bunch["features"]))
    descend(run, StandardScaler().fit_transform(X), y)
    iris = run.data("iris")
    one_against_rest = OneVsRestClassifier(LogisticRegression()).fit(iris["x"], iris["y"])
    run.metric("one_against_rest_accuracy", one_against_rest.score(iris["x"], iris["y"]))
    compare_penalties(run, sets)
    pairs = [
        Pair("LogisticRegression", LogisticRegression(max_iter=1000), Reference(max_iter=1000)),
        Pair(
            "LogisticRegression-newton",
            LogisticRegression(solver="newton-cg"),
            Reference(solver="newton-cg"),
        ),
    ]
    study(run, pairs, sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


def held_out(X: NDArray, y: NDArray, C: float = 1.0) -> NDArray:
    """The probability of class 1 for every row, from models that have not seen it: (n,)."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    p: NDArray = cross_val_predict(model, X, y, cv=folds, method="predict_proba")[:, 1]
    return p


def reliability(p: NDArray, y: NDArray, bins: int = 8) -> tuple[NDArray, NDArray, float]:
    """Mean probability and share of ones in bins of equal count; the expected calibration error."""
    parts = np.array_split(np.argsort(p), bins)
    said = np.array([p[part].mean() for part in parts])
    came = np.array([y[part].mean() for part in parts])
    return said, came, float(np.abs(said - came).mean())


def draw(run: Run, X: NDArray, y: NDArray, features: list[str]) -> None:
    """Border, reliability, cost of the threshold, and strength of the penalty."""
    figure, axes = plots.figure(2, 2, height=6.2)
    draw_border(axes[0, 0], X, y, features)

    losses = [log_loss(y, held_out(X, y, C)) for C in STRENGTHS]
    best = float(STRENGTHS[int(np.argmin(losses))])
    p = held_out(X, y, best)
    run.metric("best_C", best)
    run.metric("held_out_loss", min(losses), "nats")
    run.metric("held_out_accuracy", float(np.mean((p > 0.5) == y)))
    axes[1, 1].semilogx(STRENGTHS, losses, "o-", markersize=3)
    axes[1, 1].axvline(best, color=plots.PALETTE[3], linewidth=1)
    axes[1, 1].set(title="Strength of the penalty", xlabel="C", ylabel="held-out loss (nats)")

    said, came, error = reliability(p, y)
    run.metric("calibration_error", error)
    axes[0, 1].plot([0, 1], [0, 1], color=plots.PALETTE[7], linewidth=1)
    axes[0, 1].plot(said, came, "o-", markersize=4)
    axes[0, 1].set(title="Calibration", xlabel="probability said", ylabel="share that came true")

    thresholds = np.linspace(0.01, 0.99, 99)
    costs = [
        MISSED * np.mean((p <= t) & (y == 1)) + FALSE_ALARM * np.mean((p > t) & (y == 0))
        for t in thresholds
    ]
    cheapest = float(thresholds[int(np.argmin(costs))])
    run.metric("cheapest_threshold", cheapest)
    run.metric("cost_saved", float(np.interp(0.5, thresholds, costs)) - min(costs), "per case")
    axes[1, 0].plot(thresholds, costs)
    axes[1, 0].axvline(cheapest, color=plots.PALETTE[3], linewidth=1)
    theory = FALSE_ALARM / (FALSE_ALARM + MISSED)
    axes[1, 0].axvline(theory, color=plots.PALETTE[7], linewidth=1, linestyle="--")
    axes[1, 0].set(
        title="A miss costs ten false alarms", xlabel="threshold", ylabel="cost per case"
    )
    run.figure(
        "model",
        figure,
        "Probability over two measurements; reliability; cost against the threshold (red: the "
        "cheapest here, dashed: 1/11, the answer for true probabilities); held-out loss against C.",
    )


def draw_border(axes: Any, X: NDArray, y: NDArray, features: list[str]) -> None:
    pair = [features.index("mean radius"), features.index("mean concave points")]
    two = X[:, pair]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(two, y)
    low, high = two.min(axis=0), two.max(axis=0)
    grid = np.meshgrid(*(np.linspace(a, b, 120) for a, b in zip(low, high, strict=True)))
    p = model.predict_proba(np.column_stack([g.ravel() for g in grid]))[:, 1]
    axes.contourf(*grid, p.reshape(grid[0].shape), levels=11, cmap="RdBu_r", alpha=0.5)
    axes.contour(*grid, p.reshape(grid[0].shape), levels=[0.5], colors="#20242c", linewidths=1.2)
    for value, color in ((0, plots.PALETTE[0]), (1, plots.PALETTE[3])):
        axes.plot(*two[y == value].T, ".", color=color, markersize=3)
    axes.set(title="Border", xlabel=features[pair[0]], ylabel=features[pair[1]])


def descend(run: Run, X: NDArray, y: NDArray) -> None:
    """Plain gradient descent comes to the minimum that Newton's method finds."""
    l2 = 0.1
    best = LogisticRegression(C=1 / (l2 * len(X)), solver="newton-cg", tol=1e-10).fit(X, y)
    z, w = best.decision_function(X), best.coef_[0]
    least = float(np.mean(np.logaddexp(0, z) - y * z) + 0.5 * l2 * w @ w)
    run.metric("gradient_descent_gap", gradient_descent(X, y, l2=l2)[2][-1] - least, "nats")


def compare_penalties(run: Run, sets: Sets) -> None:
    """The coefficients of ours and of the reference, both solved tightly."""
    tight: dict[str, Any] = {"tol": 1e-9, "max_iter": 20_000}
    exact = Reference(solver="newton-cholesky", tol=1e-10, max_iter=1000)
    coefficient_error(run, "l2", LogisticRegression(**tight), exact, sets)
    newton = LogisticRegression(solver="newton-cg", **tight)
    coefficient_error(run, "newton", newton, exact, sets)
    for name, share in (("l1", 1.0), ("elastic_net", 0.5)):
        ours = LogisticRegression(C=0.05, l1_ratio=share, **tight)
        saga = Reference(C=0.05, l1_ratio=share, solver="saga", tol=1e-10, max_iter=100_000)
        coefficient_error(run, name, ours, saga, sets)
