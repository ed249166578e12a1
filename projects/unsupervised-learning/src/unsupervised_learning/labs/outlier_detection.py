"""Find outliers in four ways, treat them in four ways, and measure what the model gains.

What is an outlier depends on what is usual. A z-score looks at one column at a time; a robust
covariance at the ellipse of all columns; the local outlier factor at the density around a row;
an isolation forest at how soon random cuts set it apart. The figure shows the borders that each
draws around two clusters of different density, then a real regression whose training rows were
spoiled (one in ten: a column moved far off or a false target), and the error on clean rows of a
model that leaves the spoiled rows in, clips the columns, drops what each detector finds, or is
itself robust (Huber's loss). Spoiled columns are found, a false target within its range hardly: so
the detectors are given the target too.

M. M. Breunig, H.-P. Kriegel, R. T. Ng and J. Sander, LOF: identifying density-based local outliers,
2000; P. J. Rousseeuw and K. Van Driessen, A fast algorithm for the minimum covariance determinant
estimator, 1999.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import covariance, neighbors
from sklearn.datasets import make_blobs
from sklearn.linear_model import HuberRegressor, LinearRegression

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from unsupervised_learning.isolation_forest import IsolationForest
from unsupervised_learning.local_outlier_factor import LocalOutlierFactor
from unsupervised_learning.outlier_demo import crowd, rare_ranked
from unsupervised_learning.robust_covariance import EllipticEnvelope

PRESETS = {
    "smoke": {"sets": ("wine", "breast_cancer"), "seeds": 2, "rows": 2000},
    "default": {"rows": 5000},
    "full": {
        "regressions": ("concrete", "california_housing", "jb_abalone"),
        "sets": (
            "creditcard_fraud_sample",
            "jb_pima_indians_diabetes",
            "jb_banknote_authentication",
            "jb_wheat_seeds",
        ),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("local_factor_finds_the_near_outlier", "==", 1.0),
    Claim("found.best", ">=", 0.8),
    Claim("error_over_clean.as_is", ">=", 1.15),
    Claim("gained_by_best_detector", ">=", 0.15),
    Claim("apart.LocalOutlierFactor", "<=", 0.01),
    Claim("behind.EllipticEnvelope", "<=", 0.5),
    Claim("ratio.fit.LocalOutlierFactor", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.LocalOutlierFactor", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.EllipticEnvelope", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.EllipticEnvelope", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.LocalOutlierFactor", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.EllipticEnvelope", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.LocalOutlierFactor", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.EllipticEnvelope", "<=", 2.0, presets=("full",)),
]
SPOILED = 0.1


def main(
    run: Run,
    *,
    regressions: Sets = ("friedman1", "diabetes"),
    sets: Sets = ("wine", "breast_cancer", "digits"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Draw the borders, spoil a table and treat it, then hold two detectors to the library."""
    figure, axes = plots.figure(1, 5, width=13.5, height=3.0)
    draw_borders(run, axes[:4])
    draw_treatments(run, axes[4], regressions, seeds)
    run.figure(
        "outliers",
        figure,
        "The borders of four detectors around two clusters and an outlier near the dense one; the "
        "error of a linear model on clean rows after each treatment, over that of clean training.",
    )
    pairs = [
        Pair(
            "LocalOutlierFactor",
            LocalOutlierFactor(novelty=True),
            neighbors.LocalOutlierFactor(novelty=True),
            score=rare_ranked,
            make=crowd,
        ),
        Pair(
            "EllipticEnvelope",
            EllipticEnvelope(support_fraction=0.9),
            covariance.EllipticEnvelope(support_fraction=0.9),
            score=rare_ranked,
            make=crowd,
        ),
    ]
    study(run, pairs, sets=sets, seeds=seeds, rows=rows, largest=largest, memory=memory)


class ZScore:
    """Rows with a column farther from its median than the threshold, in robust deviations."""

    def __init__(self, contamination: float) -> None:
        self.contamination = contamination

    def fit(self, X: NDArray) -> "ZScore":
        """Learn the medians, the deviations and the threshold from rows (n, d)."""
        self.center = np.median(X, axis=0)
        self.scale = np.maximum(np.median(np.abs(X - self.center), axis=0), 1e-9)
        self.threshold = np.quantile(self.score(X), 1 - self.contamination)
        return self

    def score(self, X: NDArray) -> NDArray:
        """The largest deviation of a column of each row, shape (n,)."""
        return (np.abs(X - self.center) / self.scale).max(axis=1)

    def fit_predict(self, X: NDArray) -> NDArray:
        """Fit, and label the same rows."""
        return self.fit(X).predict(X)

    def predict(self, X: NDArray) -> NDArray:
        """-1 for outliers, 1 for inliers, shape (n,)."""
        return np.where(self.score(X) > self.threshold, -1, 1)


def detectors(share: float, seed: int, novelty: bool = False) -> dict[str, Any]:
    """The four, each told the share of outliers."""
    return {
        "ZScore": ZScore(share),
        "EllipticEnvelope": EllipticEnvelope(contamination=share, random_state=seed),
        "LocalOutlierFactor": LocalOutlierFactor(contamination=share, novelty=novelty),
        "IsolationForest": IsolationForest(contamination=share, random_state=seed),
    }


def draw_borders(run: Run, panels: Any) -> None:
    """A dense cluster and a wide one, and a row beside the dense one."""
    dense = make_blobs(150, centers=[[0, 0]], cluster_std=0.25, random_state=run.seed)[0]
    wide = make_blobs(150, centers=[[5, 4]], cluster_std=1.2, random_state=run.seed)[0]
    X = np.vstack([dense, wide, [[1.5, -1.2]]])
    low, high = X.min(axis=0) - 1.5, X.max(axis=0) + 1.5
    across, up = np.meshgrid(*(np.linspace(low[i], high[i], 150) for i in range(2)))
    plane = np.column_stack([across.ravel(), up.ravel()])
    for panel, (name, model) in zip(panels, detectors(0.03, run.seed, True).items(), strict=True):
        inside = model.fit(X).predict(plane).reshape(across.shape)
        panel.contourf(across, up, inside, [0, 2], colors=[plots.PALETTE[6]], alpha=0.3)
        panel.plot(*X.T, ".", color="black", markersize=2)
        panel.plot(*X[-1], "o", color=plots.PALETTE[3], markersize=5)
        panel.set(title=name)
        if name == "LocalOutlierFactor":
            found = float(model.predict(X[-1:])[0] == -1)
            run.metric("local_factor_finds_the_near_outlier", found)


def spoil(X: NDArray, y: NDArray, seed: int) -> tuple[NDArray, NDArray, NDArray]:
    """One row in ten spoiled: a column moved far off, or a target far from the others."""
    rng = np.random.default_rng(seed)
    X, y = X.copy(), y.astype(float)
    bad = rng.random(len(y)) < SPOILED
    rows = np.flatnonzero(bad)
    moved = rows[: len(rows) // 2]
    columns = rng.integers(0, X.shape[1], len(moved))
    X[moved, columns] += rng.choice([-1, 1], len(moved)) * rng.uniform(8, 20, len(moved))
    y[rows[len(rows) // 2 :]] += rng.uniform(4, 10, len(rows) - len(moved)) * y.std()
    return X, y, bad


def draw_treatments(run: Run, panel: Any, regressions: tuple[str, ...], seeds: int) -> None:
    """The error on clean rows after each treatment, over that of training on clean rows."""
    ratios: dict[str, list[float]] = {}
    found: dict[str, list[float]] = {}
    for seed in run.seeds(max(seeds, 3)):
        each: dict[str, list[float]] = {}
        for name in regressions:
            X, y = tables.matrix(name, run.data, rows=3000, seed=run.seed, standardize=True)
            order = np.random.default_rng(seed).permutation(len(y))
            train, test = order[: len(y) // 2], order[len(y) // 2 :]
            clean = error(LinearRegression().fit(X[train], y[train]), X[test], y[test])
            for way, model in treated(*spoil(X[train], y[train], seed), seed, found).items():
                each.setdefault(way, []).append(error(model, X[test], y[test]) / clean)
        for way, values in each.items():
            ratios.setdefault(way, []).append(float(np.mean(values)))
    for way, values in ratios.items():
        run.metric(f"error_over_clean.{way}", values)
    shares = {name: run.metric(f"found.{name}", float(np.mean(s))) for name, s in found.items()}
    run.metric("found.best", max(shares.values()))
    best = min(float(np.mean(ratios[name])) for name in found)
    run.metric("gained_by_best_detector", 1 - best / float(np.mean(ratios["as_is"])))
    labels = list(ratios)
    means = [np.mean(ratios[way]) for way in labels]
    panel.barh(labels, means, xerr=[np.std(ratios[way]) for way in labels])
    panel.axvline(1.0, color="black", linewidth=1)
    panel.invert_yaxis()
    panel.set(title="Error over clean training", xlabel="ratio of squared errors")


def treated(
    X: NDArray, y: NDArray, bad: NDArray, seed: int, found: dict[str, list[float]]
) -> dict[str, Any]:
    """A linear model after each treatment of spoiled rows; `found` gets the shares detected."""
    low, high = np.quantile(X, [0.02, 0.98], axis=0)
    limits = np.quantile(y, [0.02, 0.98])
    models = {
        "as_is": LinearRegression().fit(X, y),
        "clipped": LinearRegression().fit(np.clip(X, low, high), np.clip(y, *limits)),
        "Huber": HuberRegressor(max_iter=1000).fit(X, y),
    }
    rows = np.column_stack([X, (y - y.mean()) / y.std()])
    for name, detector in detectors(SPOILED, seed).items():
        with warnings.catch_warnings():
            # Half of the rows of `concrete` hold no ash: in that direction they do not vary.
            warnings.filterwarnings("ignore", ".* do not vary in some direction")
            kept = detector.fit_predict(rows) == 1
        found.setdefault(name, []).append(float(np.mean(~kept[bad])))
        models[name] = LinearRegression().fit(X[kept], y[kept])
    return models


def error(model: Any, X: NDArray, y: NDArray) -> float:
    return float(np.mean((model.predict(X) - y) ** 2))
