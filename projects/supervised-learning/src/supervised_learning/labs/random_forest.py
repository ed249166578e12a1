"""Average many trees and see what goes away: out-of-bag error, importances, removed variance.

The variance of a mean is derived in `supervised_learning.forest`. On the left, the error of votes
from trees that have not seen a row, beside the error on rows held out, while the forest grows: the
estimate costs no data. In the middle, a table of which the truth is known is drawn anew many times.
The error of one tree, of bagging (each node sees all columns) and of a forest is split into squared
bias and variance. Averaging removes variance, and more of it where drawn columns make the trees
less alike; the price is some bias, as each tree sees fewer rows and columns. On the right, which
columns the forest uses: by the gain of their splits, and by what shuffling a column costs on rows
held out. Five columns matter, the others are noise.

L. Breiman, Bagging predictors, 1996; L. Breiman, Random forests, 2001; the made table is from
J. Friedman, Multivariate adaptive regression splines, 1991.
"""

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from sklearn import ensemble as reference
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import make_friedman1
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from supervised_learning.forest import RandomForestClassifier, RandomForestRegressor

PRESETS = {
    "smoke": {
        "sets": ("iris", "diabetes"),
        "seeds": 2,
        "rows": 1000,
        "repeats": 8,
        "trees": 40,
    },
    "default": {},
    "full": {
        "table": "adult",
        "sets": ("adult", "letter", "otto", "telco_churn", "california_housing", "diamonds"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("pipeline_accuracy", ">=", 0.9, presets=("smoke", "default")),
    Claim("pipeline_accuracy", ">=", 0.84, presets=("full",)),
    Claim("oob_differs_from_test", "<=", 0.03),
    Claim("variance_removed", ">=", 0.7),
    Claim("variance_formula_differs", "<=", 0.25),
    Claim("informative_columns_found", "==", 5),
    Claim("probabilities_that_differ", "==", 0),
    Claim("behind.RandomForestClassifier", "<=", 0.5),
    Claim("behind.RandomForestRegressor", "<=", 0.5),
    Claim("ratio.fit.RandomForestClassifier", "<=", 1.0, presets=("full",)),
    Claim("ratio.predict.RandomForestClassifier", "<=", 1.5, presets=("full",)),
    Claim("ratio.fit.RandomForestRegressor", "<=", 1.0, presets=("full",)),
    Claim("ratio.predict.RandomForestRegressor", "<=", 1.5, presets=("full",)),
    Claim("exponent_excess.RandomForestClassifier", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.RandomForestRegressor", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.RandomForestClassifier", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.RandomForestRegressor", "<=", 2.0, presets=("full",)),
]
#: The forests that are timed; the time grows with their number on both sides alike.
TIMED_TREES = 10


def main(
    run: Run,
    *,
    table: Annotated[
        Literal["wine", "adult"], "the table of the pipeline and of the out-of-bag error"
    ] = "wine",
    trees: Annotated[int, Ge(10), "trees of the forests that are drawn"] = 100,
    repeats: Annotated[int, Ge(5), "tables drawn anew to measure bias and variance"] = 30,
    sets: Sets = ("iris", "wine", "breast_cancer", "digits", "diabetes", "friedman1"),
    seeds: Seeds = 3,
    rows: Rows = 5000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Measure the three effects of averaging, then hold both forests against the library's."""
    fit_pipeline(run, table, trees)
    figure, axes = plots.figure(1, 3, width=10.5, height=3.4)
    draw_out_of_bag(run, axes[0], table, trees)
    draw_variance(run, axes[1], trees, repeats)
    draw_importances(run, axes[2], trees)
    run.figure(
        "forest",
        figure,
        "Left: out-of-bag and held-out error as trees are added. Middle: squared bias and variance "
        "of one tree, of bagging and of a forest. Right: what the columns are worth.",
    )
    compare_with_library(run)
    pairs = [
        Pair(
            "RandomForestClassifier",
            RandomForestClassifier(TIMED_TREES),
            reference.RandomForestClassifier(TIMED_TREES),
            sets=[name for name in sets if not tables.is_regression(name)],
        ),
        Pair(
            "RandomForestRegressor",
            RandomForestRegressor(TIMED_TREES),
            reference.RandomForestRegressor(TIMED_TREES),
            sets=[name for name in sets if tables.is_regression(name)],
        ),
    ]
    study(run, pairs, seeds=seeds, rows=rows, largest=largest, memory=memory)


def fit_pipeline(run: Run, name: str, trees: int) -> None:
    """From a frame as it is to classes: fill, encode, grow; the columns that count most."""
    X, y = tables.frame(name, run.data)
    X, y = X[:10_000], y[:10_000]
    numbers = make_column_selector(dtype_include="number")
    pipeline = make_pipeline(
        make_column_transformer(
            (SimpleImputer(strategy="median"), numbers),
            (OneHotEncoder(min_frequency=20, handle_unknown="ignore", sparse_output=False),
             make_column_selector(dtype_exclude="number")),
        ),
        RandomForestClassifier(trees, min_samples_leaf=2, random_state=run.seed),
    )  # fmt: skip
    run.metric("pipeline_accuracy", list(cross_val_score(pipeline, X, y, cv=5)))
    pipeline.fit(X, y)
    names = pipeline[0].get_feature_names_out()
    worth = pipeline[1].feature_importances_
    rows = [
        {"column": names[c].split("__")[-1], "importance": float(worth[c])}
        for c in np.argsort(-worth)[:10]
    ]
    run.table("importances", rows, caption=f"The ten columns that gain most, {name}")


def draw_out_of_bag(run: Run, axes: Any, name: str, trees: int) -> None:
    """Out-of-bag and held-out error of the first 1, 2, … trees, mean over three splits."""
    X, y = tables.matrix(name, run.data, rows=4000, seed=run.seed)
    sizes = np.unique(np.geomspace(5, trees, 15).astype(int))
    unseen_errors, test_errors, gaps = [], [], []
    for seed in run.seeds(3):
        X_fit, X_test, y_fit, y_test = train_test_split(X, y, test_size=0.5, random_state=seed)
        forest = RandomForestClassifier(trees, oob_score=True, random_state=seed)
        forest.fit(X_fit, y_fit)
        gaps.append(abs(forest.oob_score_ - forest.score(X_test, y_test)))
        votes = np.zeros((len(X_fit), forest.n_classes_))
        test_votes = np.zeros((len(X_test), forest.n_classes_))
        unseen_curve, test_curve = [], []
        grown = zip(forest.estimators_, forest.estimators_samples_, strict=True)
        for count, (tree, sample) in enumerate(grown, start=1):
            unseen = np.setdiff1d(np.arange(len(X_fit)), sample)
            votes[unseen] += tree.predict_proba(X_fit[unseen])
            test_votes += tree.predict_proba(X_test)
            if count in sizes:
                known = votes.sum(axis=1) > 0
                unseen_curve.append(np.mean(votes[known].argmax(axis=1) != y_fit[known]))
                test_curve.append(np.mean(test_votes.argmax(axis=1) != y_test))
        unseen_errors.append(unseen_curve)
        test_errors.append(test_curve)
    run.metric("oob_error", [curve[-1] for curve in unseen_errors])
    run.metric("test_error", [curve[-1] for curve in test_errors])
    run.metric("oob_differs_from_test", float(np.mean(gaps)))
    axes.plot(sizes, np.mean(unseen_errors, axis=0), "o-", markersize=3, label="out-of-bag")
    axes.plot(sizes, np.mean(test_errors, axis=0), "s--", markersize=3, label="held out")
    axes.set(title="No data held out", xlabel="trees", ylabel="error", ylim=(0, None))
    axes.legend()


def draw_variance(run: Run, axes: Any, trees: int, repeats: int) -> None:
    """Squared bias and variance over tables drawn anew, and the variance that theory expects."""
    X_new, truth = make_friedman1(300, noise=0.0, random_state=run.seed)
    kinds: dict[str, dict[str, Any]] = {
        "one tree": {"n_estimators": 1, "bootstrap": False, "max_features": 1.0},
        "bagging": {"n_estimators": trees, "max_features": 1.0},
        "forest": {"n_estimators": trees, "max_features": 0.4},
    }
    means: dict[str, list[NDArray]] = {kind: [] for kind in kinds}
    alone: list[list[NDArray]] = []  # what each tree of the forest predicts
    for seed in run.progress(run.seeds(repeats), repeats, "tables"):
        X, y = make_friedman1(200, noise=1.0, random_state=10_000 + seed)
        for kind, parameters in kinds.items():
            forest = RandomForestRegressor(random_state=seed, **parameters).fit(X, y)
            means[kind].append(forest.predict(X_new))
        alone.append([tree.predict(X_new) for tree in forest.estimators_[:10]])
    bias, variance = {}, {}
    for kind, predictions in means.items():
        variance[kind] = float(np.var(predictions, axis=0, ddof=1).mean())
        error = float(((np.mean(predictions, axis=0) - truth) ** 2).mean())
        bias[kind] = error - variance[kind] / repeats
        run.metric(f"variance.{kind.replace(' ', '_')}", variance[kind])
        run.metric(f"squared_bias.{kind.replace(' ', '_')}", bias[kind])
    run.metric("variance_removed", 1 - variance["forest"] / variance["one tree"])
    # What ten trees of each forest say about the variance of one, and about what all share, is
    # enough to expect the variance of the whole forest.
    ten = np.array(alone)
    sigma2 = float(np.var(ten, axis=(0, 1), ddof=1).mean())
    odd, even = ten[:, ::2].mean(axis=1), ten[:, 1::2].mean(axis=1)
    shared = ((odd - odd.mean(axis=0)) * (even - even.mean(axis=0))).sum(axis=0) / (repeats - 1)
    rho = float(shared.mean()) / sigma2
    expected = rho * sigma2 + (1 - rho) * sigma2 / trees
    run.metric("correlation_of_trees", rho)
    run.metric("variance_formula_differs", abs(expected / variance["forest"] - 1))
    axes.bar(list(kinds), list(bias.values()), label="squared bias")
    axes.bar(list(kinds), list(variance.values()), bottom=list(bias.values()), label="variance")
    axes.set(title="The variance goes away", ylabel="squared error (noise left out)")
    axes.legend()


def draw_importances(run: Run, axes: Any, trees: int) -> None:
    """Importance by gain and by shuffling, of ten columns of which five matter."""
    X, y = make_friedman1(1000, noise=1.0, random_state=run.seed)
    forest = RandomForestRegressor(trees, max_features=0.4, random_state=run.seed)
    forest.fit(X[:500], y[:500])
    shuffled = permutation_importance(
        forest, X[500:], y[500:], n_repeats=3, random_state=run.seed
    ).importances_mean
    found = set(np.argsort(-forest.feature_importances_)[:5]) & set(np.argsort(-shuffled)[:5])
    run.metric("informative_columns_found", len(found & set(range(5))))
    place = np.arange(10)
    shares = shuffled.clip(0) / shuffled.clip(0).sum()
    axes.barh(place - 0.2, forest.feature_importances_, 0.4, label="by gain")
    axes.barh(place + 0.2, shares, 0.4, label="by shuffling")
    axes.set(title="Five columns matter", xlabel="share", yticks=place)
    axes.set_yticklabels([f"x{c}" for c in place])
    axes.invert_yaxis()
    axes.legend()


def compare_with_library(run: Run) -> None:
    """Entries of the class probabilities that are not scikit-learn's at the same random state."""
    differ = 0
    for name in ("iris", "wine", "breast_cancer"):
        X, y = tables.matrix(name, run.data)
        p = [
            Forest(20, random_state=run.seed).fit(X[::2], y[::2]).predict_proba(X[1::2])
            for Forest in (RandomForestClassifier, reference.RandomForestClassifier)
        ]
        differ += int(np.count_nonzero(~np.isclose(p[0], p[1])))
    run.metric("probabilities_that_differ", differ)
