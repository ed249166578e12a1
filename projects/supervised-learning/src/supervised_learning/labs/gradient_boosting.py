"""Boost regression trees on residuals, by hand and by estimator, and tune them on a table.

The upper row boosts a noisy wave: each round fits a small regression tree to the residuals, what is
still missing, and adds a part of it. A dozen lines here do that by hand, and the estimator gives
the same numbers. The lower row is real. On a small table the error on unseen rows is followed round
by round for three learning rates, ours on top of scikit-learn's: a small rate needs more rounds and
ends lower, and all turn up again when the trees begin to learn the noise. Then a search as on a
Kaggle table: random settings by cross-validation, with the rounds found by early stopping. On house
prices the target is the logarithm, so that the error is Kaggle's. The rows that give the score are
looked at once.

J. Friedman, Greedy function approximation: a gradient boosting machine, 2001; J. Friedman,
Stochastic gradient boosting, 2002; J. Bergstra and Y. Bengio, Random search for hyper-parameter
optimization, 2012.
"""

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from sklearn import ensemble as reference
from sklearn.linear_model import RidgeCV
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import KFold, train_test_split

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from supervised_learning.gradient_boosting import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
)
from supervised_learning.tree import DecisionTreeRegressor

PRESETS = {
    "smoke": {
        "classes": ("iris",),
        "values": ("friedman1",),
        "rounds": 150,
        "trials": 4,
        "seeds": 2,
        "rows": 1000,
    },
    "default": {},
    "full": {
        "kaggle": "ames_full",
        "logarithm": True,
        "trials": 16,
        "classes": ("adult", "telco_churn", "titanic", "rubix_credit", "jb_wheat_seeds"),
        "values": ("california_housing", "concrete", "diamonds", "jb_abalone"),
        "seeds": 20,  # one table has 53 rows to test on
        "rows": 20_000,
        "largest": 50_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("by_hand_apart", "<=", 1e-10),
    Claim("small_table_apart", "<=", 1e-3),
    Claim("best_round_r2", ">=", 0.3),
    Claim("gained_by_tuning", ">=", 0.0, presets=("default", "full")),
    Claim("gained_over_linear", ">=", 0.1, presets=("default",)),
    Claim("tuned_error", "<=", 0.13, presets=("full",)),
    Claim("behind.GradientBoostingClassifier", "<=", 0.5),
    Claim("behind.GradientBoostingRegressor", "<=", 0.5),
    Claim("ratio.fit.GradientBoostingClassifier", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.GradientBoostingRegressor", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.GradientBoostingClassifier", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.GradientBoostingRegressor", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.GradientBoostingClassifier", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.GradientBoostingRegressor", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.GradientBoostingClassifier", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.GradientBoostingRegressor", "<=", 2.0, presets=("full",)),
]
STAGES = (1, 5, 50)
RATES = (1.0, 0.3, 0.05)
WHOLE: dict[str, Any] = {
    "n_iter_no_change": 20,
    "n_estimators": 1000,
    "validation_fraction": 0.15,
    "tol": 0.0,
}


def main(
    run: Run,
    *,
    small: Annotated[str, "small table of values on which the rounds are followed"] = "diabetes",
    kaggle: Annotated[str, "table of values on which the search is run"] = "friedman1",
    logarithm: Annotated[bool, "whether the search's target is the logarithm of the table's"] = (
        False
    ),
    rounds: Annotated[int, Ge(50), "rounds on the small table"] = 300,
    trials: Annotated[int, Ge(2), "settings that the search tries"] = 20,
    classes: Sets = ("iris", "wine", "breast_cancer"),
    values: Annotated[tuple[str, ...], "tables of values to score on"] = ("diabetes", "friedman1"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Fit residuals by hand, follow the rounds, tune, then hold both to the reference."""
    figure, axes = plots.figure(2, 3, width=10.4, height=6.2)
    fit_residuals(run, axes[0])
    follow_rates(run, axes[1, 0], small, rounds, seeds)
    tune(run, axes[1, 1:], kaggle, logarithm, trials)
    run.figure(
        "residuals",
        figure,
        "Above: a sum of regression trees, and the residuals that the next tree is fitted to. "
        f"Below: rounds on {small}, and a search on {kaggle}.",
    )
    common: dict[str, Any] = {"n_estimators": 20, "learning_rate": 0.3}
    pairs = [
        Pair(
            "GradientBoostingClassifier",
            GradientBoostingClassifier(**common),
            reference.GradientBoostingClassifier(**common),
            sets=classes,
        ),
        Pair(
            "GradientBoostingRegressor",
            GradientBoostingRegressor(**common),
            reference.GradientBoostingRegressor(**common),
            sets=values,
        ),
    ]
    study(run, pairs, seeds=seeds, rows=rows, largest=largest, memory=memory)


def fit_residuals(run: Run, axes: Any) -> None:
    """Boost a wave by hand, hold it against the estimator, and draw some rounds."""
    x = np.sort(run.rng.uniform(0, 10, 200))
    y = np.sin(x) + x / 5 + 0.25 * run.rng.standard_normal(200)
    X, rate, depth = x[:, np.newaxis], 0.3, 2
    drawn = iter(axes)
    prediction = np.full_like(y, y.mean())
    for t in range(1, STAGES[-1] + 1):
        residual = y - prediction
        tree = DecisionTreeRegressor(max_depth=depth).fit(X, residual)
        prediction = prediction + rate * tree.predict(X)
        if t in STAGES:
            panel = next(drawn)
            panel.plot(x, y, ".", color=plots.PALETTE[7], markersize=3)
            panel.plot(x, prediction, color=plots.PALETTE[0], label="the sum")
            panel.plot(x, residual - 2.5, ".", color=plots.PALETTE[1], markersize=2)
            panel.plot(x, tree.predict(X) - 2.5, color=plots.PALETTE[3], lw=1.2, label="last tree")
            panel.set(title=f"{t} tree{'s' * (t > 1)}", xlabel="x", ylim=(-5.2, 3.6))
            panel.annotate("residuals, moved down", (0.1, -4.4), fontsize=7)
            panel.legend(ncols=2, loc="lower right", fontsize=7)
    model = GradientBoostingRegressor(
        n_estimators=STAGES[-1], learning_rate=rate, max_depth=depth
    ).fit(X, y)
    run.metric("by_hand_apart", float(np.abs(model.predict(X) - prediction).max()))


def follow_rates(run: Run, axes: Any, small: str, rounds: int, seeds: int) -> None:
    """The error on unseen rows round by round for each learning rate; ours and scikit-learn's."""
    X, y = tables.matrix(small, run.data, rows=2000, seed=run.seed)
    best: dict[float, list[float]] = {rate: [] for rate in RATES}
    curves: dict[float, list[list[list[float]]]] = {rate: [] for rate in RATES}
    apart = 0.0
    for seed in run.seeds(seeds):
        X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=seed)
        # Leaves of 10 rows leave no two columns that divide a node in the same way.
        for rate in RATES:
            errors = []
            for kind in (GradientBoostingRegressor, reference.GradientBoostingRegressor):
                model = kind(
                    n_estimators=rounds, learning_rate=rate, max_depth=2, min_samples_leaf=10
                )
                model.set_params(random_state=seed).fit(X_train, y_train)
                stages = model.staged_predict(X_test)
                errors.append([root_mean_squared_error(y_test, stage) for stage in stages])
            difference = np.abs(np.diff(errors, axis=0)) / y_test.std()
            apart = max(apart, float(difference.max()))
            best[rate].append(1 - (min(errors[0]) / y_test.std()) ** 2)
            curves[rate].append(errors)
    for rate, color in zip(RATES, plots.PALETTE, strict=False):
        ours, theirs = np.mean(curves[rate], axis=0)
        axes.plot(range(1, rounds + 1), ours, color=color, label=f"rate {rate}")
        axes.plot(range(1, rounds + 1), theirs, ":", color="black", lw=1.0)
    axes.set(title=f"Unseen rows of {small}", xlabel="round", ylabel="error (RMSE)", xscale="log")
    axes.legend()
    run.metric("small_table_apart", apart)
    run.metric("best_round_r2", best[RATES[-1]])


def tune(run: Run, axes: Any, kaggle: str, logarithm: bool, trials: int) -> None:
    """Search settings by cross-validation, refit the best, and score it once on held-out rows."""
    X, y = tables.matrix(kaggle, run.data, rows=5000, seed=run.seed)
    if logarithm:
        y = np.log(y)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=run.seed)
    folds = list(KFold(3, shuffle=True, random_state=run.seed).split(X_train))
    lines = []
    for _ in run.progress(range(trials), trials, "settings"):
        settings: dict[str, Any] = {
            "learning_rate": float(10 ** run.rng.uniform(-1.6, -0.5)),
            "max_depth": int(run.rng.integers(1, 7)),
            "min_samples_leaf": int(run.rng.integers(1, 21)),
            "subsample": float(run.rng.uniform(0.4, 1.0)),
            "max_features": float(run.rng.uniform(0.2, 1.0)),
        }
        errors, found = [], []
        for train, test in folds:
            model = GradientBoostingRegressor(**settings, **WHOLE, random_state=run.seed)
            model.fit(X_train[train], y_train[train])
            found.append(model.n_estimators_)
            predicted = model.predict(X_train[test])
            errors.append(root_mean_squared_error(y_train[test], predicted))
        lines.append({"error": float(np.mean(errors)), "rounds": float(np.mean(found)), **settings})
    lines.sort(key=lambda line: line["error"])
    run.table("search", lines[:10], caption=f"The best settings on {kaggle}, 3 folds")
    chosen = {name: value for name, value in lines[0].items() if name not in ("error", "rounds")}
    tuned = GradientBoostingRegressor(
        **chosen, n_estimators=round(lines[0]["rounds"] * 1.2), random_state=run.seed
    )
    scores = {
        "linear": RidgeCV(np.logspace(-3, 3, 13)),
        "one tree": DecisionTreeRegressor(min_samples_leaf=5),
        "as it comes": GradientBoostingRegressor(random_state=run.seed),
        "tuned": tuned,
    }
    errors_of = {
        name: float(root_mean_squared_error(y_test, model.fit(X_train, y_train).predict(X_test)))
        for name, model in scores.items()
    }
    run.metric("tuned_error", errors_of["tuned"])
    run.metric("gained_by_tuning", 1 - errors_of["tuned"] / errors_of["as it comes"])
    run.metric("gained_over_linear", 1 - errors_of["tuned"] / errors_of["linear"])
    run.metric("tuned_r2", 1 - (errors_of["tuned"] / y_test.std()) ** 2)
    depths = [line["max_depth"] for line in lines]
    points = axes[0].scatter(
        [line["learning_rate"] for line in lines],
        [line["error"] for line in lines],
        c=depths,
        cmap="viridis",
        s=24,
    )
    axes[0].figure.colorbar(points, ax=axes[0], label="depth")
    axes[0].set(title=f"Search on {kaggle}", xlabel="learning rate", ylabel="error", xscale="log")
    axes[0].set_xticks([0.03, 0.1, 0.3], ["0.03", "0.1", "0.3"])
    axes[0].set_xticks([], minor=True)
    axes[1].barh(list(errors_of), list(errors_of.values()), color=plots.PALETTE[0])
    for place, value in enumerate(errors_of.values()):
        axes[1].annotate(f"{value:.3g}", (value, place), ha="right", va="center", color="white")
    axes[1].set(title="Held-out rows", xlabel="error (RMSE)")
    axes[1].invert_yaxis()
