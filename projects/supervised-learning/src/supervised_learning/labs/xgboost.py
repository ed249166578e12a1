r"""Grow trees by Newton's method: regularized leaves, early stopping, tuning, importances.

Each tree of `supervised_learning.xgboost` is a regularized Newton step: a leaf's weight is
$-G / (H + \lambda)$, and a split has to be worth $\gamma$. The figure shows what that does. Upper
left, the leaves of one tree: a leaf that knows little (small $H$) is drawn to 0, the more so the
larger λ is. Upper right, the held-out loss round by round: without penalties the model learns the
training rows by heart and gets worse; early stopping finds the round to keep. Lower left, a table
as it comes (text, gaps) goes through a pipeline, and a random search tunes it: the columns that
gain most are held against those whose shuffling hurts. Lower right, the trials of the search.

Tianqi Chen and Carlos Guestrin, XGBoost: A scalable tree boosting system, 2016.
"""

from typing import Annotated, Any

import numpy as np
import xgboost as reference
from annotated_types import Ge
from numpy.typing import NDArray
from scipy import stats
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.inspection import permutation_importance
from sklearn.metrics import log_loss
from sklearn.model_selection import RandomizedSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from groundwork import Claim, Run, plots
from groundwork.data import tables
from groundwork.estimators import Largest, Memory, Pair, Rows, Seeds, Sets, study
from supervised_learning.xgboost import XGBClassifier, XGBRegressor

PRESETS = {
    "smoke": {
        "sets": ("iris", "diabetes"),
        "seeds": 2,
        "rows": 500,
        "trials": 2,
        "most_rows": 300,
        "rounds": 50,
    },
    "default": {},
    "full": {
        "table": "telco_churn",
        "sets": ("adult", "letter", "otto", "california_housing", "diamonds"),
        "seeds": 5,
        "rows": 20_000,
        "largest": 100_000,
        "memory": True,
    },
}
CLAIMS = [
    Claim("weight_of_small_leaves_shrunk", ">=", 0.3),
    Claim("loss_saved_by_penalties", ">=", 0.01),
    Claim("loss_saved_by_stopping", ">=", 0.0),
    Claim("gained_by_tuning", ">=", 0.0, presets=("default", "full")),
    Claim("tuned_accuracy", ">=", 0.93, presets=("default",)),
    Claim("tuned_accuracy", ">=", 0.78, presets=("full",)),
    Claim("importances_agree", ">=", 0.3, presets=("default", "full")),
    Claim("apart.exact", "<=", 0.5),
    Claim("behind.XGBClassifier", "<=", 0.5, presets=("default", "full")),
    Claim("behind.XGBRegressor", "<=", 0.5, presets=("default", "full")),
    Claim("ratio.fit.XGBClassifier", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.XGBClassifier", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.XGBRegressor", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.XGBRegressor", "<=", 3.0, presets=("full",)),
    Claim("ratio.fit.exact", "<=", 3.0, presets=("full",)),
    Claim("ratio.predict.exact", "<=", 3.0, presets=("full",)),
    Claim("exponent_excess.XGBClassifier", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.XGBRegressor", "<=", 0.15, presets=("full",)),
    Claim("exponent_excess.exact", "<=", 0.15, presets=("full",)),
    Claim("memory_ratio.XGBClassifier", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.XGBRegressor", "<=", 2.0, presets=("full",)),
    Claim("memory_ratio.exact", "<=", 2.0, presets=("full",)),
]
SPACE = {
    "model__max_depth": stats.randint(2, 9),
    "model__learning_rate": stats.loguniform(0.03, 0.3),
    "model__n_estimators": stats.randint(50, 200),
    "model__reg_lambda": stats.loguniform(0.1, 30),
    "model__min_child_weight": stats.loguniform(0.5, 20),
    "model__subsample": stats.uniform(0.5, 0.5),
    "model__colsample_bytree": stats.uniform(0.4, 0.6),
}
#: No L2 penalty, and no hessian that a leaf has to hold.
FREE: dict[str, Any] = {"reg_lambda": 0.0, "min_child_weight": 0.0}


def main(
    run: Run,
    *,
    table: Annotated[str, "the table of classes to tune on"] = "breast_cancer",
    most_rows: Annotated[int, Ge(50), "rows that are drawn from it"] = 3000,
    trials: Annotated[int, Ge(2), "draws of the random search"] = 15,
    rounds: Annotated[int, Ge(10), "rounds of the curves"] = 200,
    sets: Sets = ("iris", "wine", "digits", "friedman1"),
    seeds: Seeds = 3,
    rows: Rows = 20_000,
    largest: Largest = 0,
    memory: Memory = False,
) -> None:
    """Show the leaves, the curves and the tuned pipeline, then hold the boosters to theirs."""
    figure, axes = plots.figure(2, 2, width=8.4, height=6.4)
    draw_leaves(run, axes[0, 0])
    draw_curves(run, axes[0, 1], rounds)
    tune(run, axes[1, 0], axes[1, 1], table, most_rows, trials)
    run.figure(
        "boosting",
        figure,
        "The weights of one tree's leaves against what they hold; the held-out loss round by "
        "round; gain and permutation importance of the tuned pipeline's columns; the trials of the "
        "search.",
    )
    classes = [name for name in sets if not tables.is_regression(name)]
    numbers = [name for name in sets if tables.is_regression(name)]
    # One thread each: on a busy machine, threads that wait for each other would be timed.
    one: dict[str, Any] = {"n_jobs": 1}
    exact: dict[str, Any] = {"tree_method": "exact", "n_estimators": 30, "n_jobs": 1}
    pairs = [
        Pair(
            "XGBClassifier",
            XGBClassifier(**one),
            reference.XGBClassifier(**one),
            "xgboost-cpu",
            classes,
        ),
        Pair(
            "XGBRegressor",
            XGBRegressor(**one),
            reference.XGBRegressor(**one),
            "xgboost-cpu",
            numbers,
        ),
        Pair(
            "exact",
            XGBClassifier(**exact),
            reference.XGBClassifier(**exact),
            "xgboost-cpu",
            classes,
        ),
    ]
    study(run, pairs, seeds=seeds, rows=rows, largest=largest, threads=1, memory=memory)


def draw_leaves(run: Run, axes: Any) -> None:
    """One tree of the log loss with and without λ: the same rows, smaller weights."""
    data = run.data("breast_cancer")
    weights = {}
    for name, penalty in (("λ = 0", 0.0), ("λ = 1", 1.0), ("λ = 10", 10.0)):
        model = XGBClassifier(
            n_estimators=1, learning_rate=1.0, max_depth=5, min_child_weight=0.1, reg_lambda=penalty
        ).fit(data["x"], data["y"])
        tree = model.trees_[0]
        leaf = tree.nodes["left"] == np.arange(len(tree.nodes))
        axes.plot(tree.cover[leaf], np.abs(tree.value[leaf]), "o", markersize=4, label=name)
        weights[penalty] = np.abs(tree.value[leaf & (tree.cover < 2.0)]).mean()
    run.metric("weight_of_small_leaves_shrunk", 1.0 - weights[1.0] / weights[0.0])
    axes.set(
        xscale="log", xlabel="H, the leaf's sum of hessians", ylabel="|weight|", ylim=(0, None)
    )
    axes.set_title("Leaves of one tree")
    axes.legend()


def draw_curves(run: Run, axes: Any, rounds: int) -> None:
    """The held-out log loss of a noisy problem by the round, with and without penalties."""
    saved, stopped = [], []
    for seed in run.seeds(3):
        X, y = noisy_rows(seed)
        parts = train_test_split(X, y, test_size=0.5, random_state=seed)
        train, watch = (parts[0], parts[2]), (parts[1], parts[3])
        common: dict[str, Any] = {"n_estimators": rounds, "max_depth": 4, "learning_rate": 0.1}
        models = {
            "no penalty": XGBClassifier(**common, **FREE),
            "λ = 10, γ = 1": XGBClassifier(**common, reg_lambda=10.0, gamma=1.0),
        }
        losses = {
            name: model.fit(*train, eval_set=[watch]).evals_result_[0]
            for name, model in models.items()
        }
        free, held = losses.values()
        saved.append(free[-1] - held[-1])
        early = XGBClassifier(**common, **FREE, early_stopping_rounds=10)
        early.fit(*train, eval_set=[watch])
        stopped.append(free[-1] - log_loss(watch[1], early.predict_proba(watch[0])))
        if seed == run.seed:
            for name, loss in losses.items():
                axes.plot(np.arange(1, rounds + 1), loss, label=name)
            axes.axvline(early.best_iteration_ + 1, color=plots.PALETTE[7], linewidth=1)
    run.metric("loss_saved_by_penalties", saved, "nats")
    run.metric("loss_saved_by_stopping", stopped, "nats")
    axes.set(title="Held-out loss", xlabel="round", ylabel="log loss (nats)")
    axes.legend()


def noisy_rows(seed: int) -> tuple[NDArray, NDArray]:
    """Made rows X (1000, 10) with classes y (1000,) that only chance decides in part."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((1000, 10))
    odds = X[:, 0] + X[:, 1] * X[:, 2] + np.sin(2 * X[:, 3])
    return X, (rng.random(1000) < 1 / (1 + np.exp(-odds))).astype(int)


def tune(run: Run, bars: Any, dots: Any, table: str, most_rows: int, trials: int) -> None:
    """Tune a pipeline on a table as it comes; what it gains, and which columns it uses."""
    X, y = tables.frame(table, run.data)
    X.columns = [str(name) for name in X.columns]
    chosen = np.random.default_rng(run.seed).permutation(len(y))[:most_rows]
    losses: dict[str, list[float]] = {"default": [], "tuned": []}
    accuracy, gains, shuffles = [], [], []
    for seed in run.seeds(3):
        train, test = train_test_split(chosen, test_size=0.3, random_state=seed, stratify=y[chosen])
        search = RandomizedSearchCV(
            make_pipeline(seed), SPACE, n_iter=trials, cv=3, scoring="neg_log_loss",
            random_state=seed,
        ).fit(X.iloc[train], y[train])  # fmt: skip
        plain = make_pipeline(seed).fit(X.iloc[train], y[train])
        best = search.best_estimator_
        for name, model in (("default", plain), ("tuned", best)):
            losses[name].append(log_loss(y[test], model.predict_proba(X.iloc[test])))
        accuracy.append(best.score(X.iloc[test], y[test]))
        gains.append(gain_by_column(best, list(X.columns)))
        shuffled = permutation_importance(
            best, X.iloc[test], y[test], scoring="neg_log_loss", n_repeats=5, random_state=seed
        )
        shuffles.append(np.maximum(shuffled.importances_mean, 0.0))
        if seed == run.seed:
            draw_trials(dots, search.cv_results_)
    for name, values in losses.items():
        run.metric(f"{name}_loss", values, "nats")
    run.metric("gained_by_tuning", list(np.subtract(losses["default"], losses["tuned"])), "nats")
    run.metric("tuned_accuracy", accuracy)
    gain, shuffle = np.mean(gains, axis=0), np.mean(shuffles, axis=0)
    run.metric("importances_agree", float(stats.spearmanr(gain, shuffle)[0]))
    top = np.argsort(gain)[-8:]
    place = np.arange(len(top))
    bars.barh(place + 0.2, gain[top] / gain.sum(), 0.4, label="gain")
    bars.barh(place - 0.2, shuffle[top] / shuffle.sum(), 0.4, label="permutation")
    bars.set_yticks(place, X.columns[top])
    bars.set(title="Importances", xlabel="share")
    bars.legend(loc="lower right")


def make_pipeline(seed: int) -> Pipeline:
    """Columns of text one by one as 0 and 1, numbers and their gaps as they are; then boosting."""
    text = make_column_selector(dtype_exclude=np.number)
    prepare = ColumnTransformer(
        [("text", OneHotEncoder(handle_unknown="ignore", sparse_output=False), text)],
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    return Pipeline([("prepare", prepare), ("model", XGBClassifier(random_state=seed))])


def draw_trials(axes: Any, results: dict[str, Any]) -> None:
    """The trials of a search by learning rate and depth."""
    rates = results["param_model__learning_rate"].data.astype(float)
    depths = results["param_model__max_depth"].data.astype(int)
    points = axes.scatter(rates, -results["mean_test_score"], c=depths, cmap="viridis", s=18)
    axes.figure.colorbar(points, ax=axes, label="max_depth")
    axes.set(title="Trials", xlabel="learning rate", ylabel="loss in the folds")


def gain_by_column(pipeline: Pipeline, columns: list[str]) -> NDArray[np.float64]:
    """The total gain of the splits on each column of the table, its values together."""
    model = pipeline["model"].set_params(importance_type="total_gain")
    gain = np.zeros(len(columns))
    names = pipeline["prepare"].get_feature_names_out()
    for name, share in zip(names, model.feature_importances_, strict=True):
        owner = [column for column in columns if name == column or name.startswith(f"{column}_")]
        gain[columns.index(max(owner, key=len))] += share
    return gain
