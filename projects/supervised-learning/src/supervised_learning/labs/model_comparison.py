"""Put every model on one table: what it scores, what it costs, and whether the difference is real.

Choosing an algorithm by taste is quick; by measurement it takes one command. Every classifier here
sees the same splits of the same table. The figure shows the held-out accuracy with its spread over
the splits and the time of a fit: a single tree, a linear border, a support vector machine with its
kernel, and the ensembles. The last panel asks which models are really behind the best: the splits
share rows, so their scores are not independent, and the corrected test of Nadeau and Bengio
widens the interval by the share of the test rows. Regressors are held against scikit-learn's on
values, estimator by estimator.

C. Nadeau and Y. Bengio, Inference for the generalization error, 2003; D. Wolpert, The lack of a
priori distinctions between learning algorithms, 1996.
"""

import time
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Lt
from numpy.typing import NDArray
from scipy import stats
from sklearn import ensemble, linear_model, neighbors, svm, tree
from sklearn.base import clone
from sklearn.model_selection import StratifiedShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from groundwork import Claim, Run, plots
from groundwork.data import tables
from supervised_learning.adaboost import AdaBoostClassifier
from supervised_learning.catboost import CatBoostClassifier
from supervised_learning.coordinate_descent import Lasso
from supervised_learning.discriminant import LinearDiscriminantAnalysis
from supervised_learning.forest import RandomForestClassifier, RandomForestRegressor
from supervised_learning.gradient_boosting import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
)
from supervised_learning.histogram_boosting import HistGradientBoostingClassifier
from supervised_learning.lightgbm import LGBMClassifier
from supervised_learning.linear import LinearRegression
from supervised_learning.logistic import LogisticRegression
from supervised_learning.mlp import MLPClassifier
from supervised_learning.naive_bayes import GaussianNB
from supervised_learning.neighbors import KNeighborsClassifier, KNeighborsRegressor
from supervised_learning.perceptron import Perceptron
from supervised_learning.ridge import Ridge
from supervised_learning.svm import SVC, SVR
from supervised_learning.tree import DecisionTreeClassifier, DecisionTreeRegressor
from supervised_learning.xgboost import XGBClassifier

PRESETS = {
    "smoke": {"splits": 3, "most_rows": 300},
    "default": {},
    "full": {
        "classes": "adult",
        "values": "california_housing",
        "splits": 10,
        "most_rows": 5000,
    },
}
CLAIMS = [
    Claim("models", ">=", 15),
    Claim("regressors_apart", "<=", 0.5, presets=("default", "full")),
    Claim("gained_by_ensembles", ">=", 0.01, presets=("default", "full")),
    Claim("best_accuracy", ">=", 0.94, presets=("default",)),
    Claim("best_accuracy", ">=", 0.85, presets=("full",)),
    Claim("really_behind", ">=", 1, presets=("full",)),
]
TEST_SHARE = 0.25


def models() -> dict[str, dict[str, Any]]:
    """The classifiers by family and name, at settings that suit a table of some thousand rows."""
    return {
        "one model": {
            "logistic": LogisticRegression(max_iter=1000),
            "discriminant": LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto"),
            "naive Bayes": GaussianNB(),
            "perceptron": Perceptron(),
            "neighbors": KNeighborsClassifier(15),
            "linear SVM": SVC(kernel="linear"),
            "Gaussian SVM": SVC(),
            "tree": DecisionTreeClassifier(max_depth=8),
            "network": MLPClassifier((50,), max_iter=500, tol=1e-3),
        },
        "ensemble": {
            "forest": RandomForestClassifier(200),
            "AdaBoost": AdaBoostClassifier(n_estimators=100),
            "gradient boosting": GradientBoostingClassifier(),
            "histogram boosting": HistGradientBoostingClassifier(),
            "LightGBM": LGBMClassifier(),
            "XGBoost": XGBClassifier(),
            "CatBoost": CatBoostClassifier(200),
        },
    }


def main(
    run: Run,
    *,
    classes: Annotated[str, "the table of the classifiers"] = "breast_cancer",
    values: Annotated[str, "the table of the regressors"] = "diabetes",
    splits: Annotated[int, Ge(3), "random splits, the same for every model"] = 10,
    most_rows: Annotated[int, Ge(50), "rows that are drawn from each table"] = 2000,
    alpha: Annotated[float, Ge(0), Lt(1), "level of the test"] = 0.05,
) -> None:
    """Score and time every classifier, test the differences, and hold the regressors to theirs."""
    X, y = tables.matrix(classes, run.data, rows=most_rows, seed=run.seed)
    folds = list(
        StratifiedShuffleSplit(splits, test_size=TEST_SHARE, random_state=run.seed).split(X, y)
    )
    scores: dict[str, NDArray] = {}
    seconds: dict[str, float] = {}
    family = {name: kind for kind, listed in models().items() for name in listed}
    everything = {name: model for listed in models().values() for name, model in listed.items()}
    for name, model in run.progress(everything.items(), len(everything), "models"):
        scores[name], seconds[name] = measure(model, X, y, folds)
        run.metric(f"accuracy.{name.replace(' ', '_')}", list(scores[name]))
    order = sorted(scores, key=lambda name: -scores[name].mean())
    best = order[0]
    run.metric("models", len(order))
    run.metric("best_accuracy", list(scores[best]))
    ensembles = [name for name in order if family[name] == "ensemble"]
    run.metric("gained_by_ensembles", list(scores[ensembles[0]] - scores["tree"]))
    ratio = seconds["tree"] / seconds["logistic"]
    run.metric("tree_beside_logistic_fit_time", ratio, "×")

    behind = {}
    for name in order:
        behind[name] = corrected_interval(scores[best] - scores[name], alpha)
    really = [name for name in order if behind[name][1] > 0]
    run.metric("really_behind", len(really))
    run.table(
        "models",
        [
            {
                "model": name,
                "accuracy": float(scores[name].mean()),
                "std": float(scores[name].std(ddof=1)),
                "fit_s": seconds[name],
                "behind_the_best": behind[name][0],
                "at_least": behind[name][1],
                "at_most": behind[name][2],
            }
            for name in order
        ],
        caption=f"Every classifier on {classes}, {splits} splits",
    )
    draw(run, order, scores, seconds, behind, family)
    compare_regressors(run, values, most_rows)


def measure(
    model: Any, X: NDArray, y: NDArray, folds: list[tuple[NDArray, NDArray]]
) -> tuple[NDArray, float]:
    """The accuracy on each held-out part, and the median seconds of a fit once it is compiled."""
    accuracies, times = [], []
    for index, (train, test) in enumerate(folds):
        estimator = make_pipeline(StandardScaler(), clone(model))
        names = [key for key in estimator.get_params() if key.endswith("random_state")]
        estimator.set_params(**dict.fromkeys(names, index))
        if index == 0:
            estimator.fit(X[train], y[train])
        start = time.perf_counter()
        estimator.fit(X[train], y[train])
        times.append(time.perf_counter() - start)
        accuracies.append(estimator.score(X[test], y[test]))
    return np.array(accuracies), float(np.median(times))


def corrected_interval(differences: NDArray, alpha: float) -> tuple[float, float, float]:
    """The mean difference over random splits, and its interval, corrected for their shared rows."""
    n, mean = len(differences), float(differences.mean())
    if not differences.any():
        return 0.0, 0.0, 0.0
    variance = differences.var(ddof=1) * (1 / n + TEST_SHARE / (1 - TEST_SHARE))
    width = float(stats.t.ppf(1 - alpha / 2, n - 1) * np.sqrt(variance))
    return mean, mean - width, mean + width


def draw(
    run: Run,
    order: list[str],
    scores: dict[str, NDArray],
    seconds: dict[str, float],
    behind: dict[str, tuple[float, float, float]],
    family: dict[str, str],
) -> None:
    figure, axes = plots.figure(1, 3, width=10.4, height=4.0, sharey=True)
    colors = {"one model": plots.PALETTE[0], "ensemble": plots.PALETTE[1]}
    for line, name in enumerate(order):
        look: dict[str, Any] = {"color": colors[family[name]], "markersize": 4}
        spread = scores[name].std(ddof=1)
        axes[0].errorbar(scores[name].mean(), line, xerr=spread, fmt="o", elinewidth=1.2, **look)
        axes[1].plot(seconds[name], line, "o", **look)
        mean, low, high = behind[name]
        axes[2].plot([low, high], [line, line], color=look["color"])
        axes[2].plot(mean, line, "o", **look)
    axes[0].set(title="Held-out accuracy", xlabel="mean and deviation over the splits")
    axes[0].set_yticks(range(len(order)), order)
    axes[0].invert_yaxis()
    axes[1].set(title="Time of a fit", xlabel="seconds", xscale="log")
    axes[2].axvline(0, color=plots.PALETTE[7], linewidth=1)
    axes[2].set(title=f"Behind {order[0]}", xlabel="accuracy, with the corrected interval")
    for kind, color in colors.items():
        axes[1].plot([], [], "o", color=color, markersize=4, label=kind)
    axes[1].legend()
    run.figure(
        "models",
        figure,
        "What every model scores, what its fit costs, and how far it is behind the best, with the "
        "corrected 95 % interval.",
    )


def compare_regressors(run: Run, values: str, most_rows: int) -> None:
    """R² of our regressors and of scikit-learn's in five folds: the largest difference of means."""
    X, y = tables.matrix(values, run.data, rows=most_rows, seed=run.seed, standardize=True)
    y = (y - y.mean()) / y.std()
    pairs: dict[str, tuple[Any, Any]] = {
        "linear": (LinearRegression(), linear_model.LinearRegression()),
        "ridge": (Ridge(), linear_model.Ridge()),
        "lasso": (Lasso(0.01), linear_model.Lasso(0.01)),
        "neighbors": (KNeighborsRegressor(10), neighbors.KNeighborsRegressor(10)),
        "SVR": (SVR(), svm.SVR()),
        "tree": (
            DecisionTreeRegressor(max_depth=5, random_state=0),
            tree.DecisionTreeRegressor(max_depth=5, random_state=0),
        ),
        "forest": (
            RandomForestRegressor(200, random_state=0),
            ensemble.RandomForestRegressor(200, random_state=0),
        ),
        "gradient_boosting": (
            GradientBoostingRegressor(random_state=0),
            ensemble.GradientBoostingRegressor(random_state=0),
        ),
    }
    rows, apart = [], 0.0
    for name, (ours, theirs) in pairs.items():
        means = [100 * float(cross_val_score(model, X, y, cv=5).mean()) for model in (ours, theirs)]
        apart = max(apart, abs(means[0] - means[1]))
        rows.append({"model": name, "ours": means[0], "scikit-learn": means[1]})
    run.metric("regressors_apart", apart, "points")
    run.table("regressors", rows, caption=f"R² in points on {values}, five folds")
