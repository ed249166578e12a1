"""LightGBM at its best within a stated budget: what the network is held against.

It gets the columns that the network gets, the categories as LightGBM's own (split by sorted
gradients, not one value at a time), missing numbers as they are. Optuna chooses what it is trained
on (log sales, or their distance from a year ago, with squared errors or with absolute ones weighted
by money; or the sales themselves) and its other parameters by the weighted error on an inner split
by time. Rounds come from early stopping there, and grow with the rows in the last fit.

G. Ke and others, LightGBM: a highly efficient gradient boosting decision tree, 2017; T. Akiba and
others, Optuna: a next-generation hyperparameter optimization framework, 2019.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rossmann_embeddings.evaluation import wmae
from rossmann_embeddings.features import (
    Encoded,
    Encoder,
    Features,
    anchor_of,
    log_sales,
    sales_of,
)
from rossmann_embeddings.tables import Split


@dataclass(frozen=True)
class Target:
    """What trees are grown on.

    objective : LightGBM's. logarithm : of the sales, or the sales. money : the power of the sales
    in a row's weight. anchored : the distance from the anchor, as the network learns it.
    """

    objective: str
    logarithm: bool = True
    money: float = 0.0
    anchored: bool = False


TARGETS = {
    "log, squared": Target("regression"),
    "log, absolute, money": Target("regression_l1", money=1.0),
    "over anchor, squared": Target("regression", anchored=True),
    "over anchor, absolute, money": Target("regression_l1", money=1.0, anchored=True),
    "sales, absolute": Target("regression_l1", logarithm=False),
}
PATIENCE = 40


@dataclass(frozen=True)
class Choice:
    """What tuning chose.

    target : a name in `TARGETS`. parameters : LightGBM's. rounds : trees. error : the inner split's
    weighted error.
    """

    target: str
    parameters: dict[str, Any]
    rounds: int
    error: float
    trials: list[dict[str, Any]] = field(default_factory=list)


def untuned() -> Choice:
    """A sensible setting without a search, for a small chain."""
    return Choice("over anchor, squared", {"learning_rate": 0.05, "num_leaves": 63}, 300, np.nan)


class Boosting:
    """Features → sales by LightGBM with native categories.

    Attributes after `fit`: `encoder_`, `booster_`, and `middle_`, the mean log sales.
    """

    def __init__(self, choice: Choice, seed: int = 0) -> None:
        self.choice, self.seed = choice, seed

    def fit(
        self,
        features: Features,
        sales: NDArray[np.float64],
        rows: NDArray[np.int64],
        weight: NDArray[np.float64],
    ) -> "Boosting":
        """Learn from some rows; sales and weights are of all rows of the features (n,)."""
        import lightgbm

        self.encoder_ = Encoder().fit(features, rows)
        X = _matrix(self.encoder_.transform(features, rows))
        self.middle_ = float(log_sales(sales[rows]).mean())
        start = anchor_of(features, rows, self.middle_)
        data = _dataset(X, sales[rows], weight[rows], start, self.choice.target, self.encoder_)
        self.booster_ = lightgbm.train(
            _parameters(self.choice.target, self.choice.parameters, self.seed),
            data,
            num_boost_round=self.choice.rounds,
        )
        return self

    def predict(self, features: Features, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The sales of some rows (n,), 0 or more."""
        X = _matrix(self.encoder_.transform(features, rows))
        found = np.asarray(self.booster_.predict(X))
        return _sales(found, anchor_of(features, rows, self.middle_), self.choice.target)


def tune(
    features: Features,
    sales: NDArray[np.float64],
    weight: NDArray[np.float64],
    inner: Split,
    *,
    trials: int = 20,
    most_rounds: int = 1000,
    seed: int = 0,
    progress: Callable[[Iterable[int]], Iterator[int]] = iter,
) -> Choice:
    """Search for the parameters of the least weighted error on the inner split.

    Parameters
    ----------
    sales, weight : of all rows of the features (n,); only the rows of `inner` are looked at.
    trials : the budget. The first ones are a plain setting on each of `TARGETS`.
    most_rounds : trees of a trial at most.
    progress : wraps the trials.
    """
    import lightgbm
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    encoder = Encoder().fit(features, inner.train)
    X, held = (_matrix(encoder.transform(features, rows)) for rows in (inner.train, inner.test))
    actual, weights = sales[inner.test], weight[inner.test]
    middle = float(log_sales(sales[inner.train]).mean())
    start, start_held = (anchor_of(features, rows, middle) for rows in (inner.train, inner.test))
    kept: dict[str, Any] = {}

    def objective(trial: Any) -> float:
        target = trial.suggest_categorical("target", list(TARGETS))
        parameters = _suggest(trial)
        if target not in kept:
            kept.clear()  # one set of bins at a time: memory
            kept[target] = _dataset(
                X, sales[inner.train], weight[inner.train], start, target, encoder
            )
        data = kept[target]
        valid = data.create_valid(held, label=_label(actual, start_held, target))

        def error(found: NDArray[np.float64], _: Any) -> tuple[str, float, bool]:
            return "wmae", wmae(actual, _sales(found, start_held, target), weights), False

        def prune(env: Any) -> None:
            if env.iteration % 25 == 24:
                trial.report(env.evaluation_result_list[0][2], env.iteration)
                if trial.should_prune():
                    raise optuna.TrialPruned

        booster = lightgbm.train(
            {**_parameters(target, parameters, seed), "metric": "none"},
            data,
            num_boost_round=most_rounds,
            valid_sets=[valid],
            feval=error,
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False), prune],
        )
        trial.set_user_attr("rounds", booster.best_iteration)
        return float(booster.best_score["valid_0"]["wmae"])

    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=8, multivariate=False),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=100),
    )
    plain = {
        "learning_rate": 0.08, "num_leaves": 127, "min_child_samples": 20,
        "feature_fraction": 0.7, "bagging_fraction": 0.9, "lambda_l2": 1.0, "cat_smooth": 10.0,
        "cat_l2": 10.0, "max_cat_threshold": 32,
    }  # fmt: skip
    for target in TARGETS:
        study.enqueue_trial({**plain, "target": target})
    for _ in progress(range(trials)):
        study.optimize(objective, n_trials=1)
    best = study.best_trial
    parameters = dict(best.params)
    target = parameters.pop("target")
    grown = 1 + len(inner.test) / len(inner.train)
    told = [
        {
            "trial": t.number,
            "state": t.state.name.lower(),
            "error": t.value,
            "rounds": t.user_attrs.get("rounds"),
            **t.params,
        }
        for t in study.trials
    ]
    return Choice(target, parameters, round(best.user_attrs["rounds"] * grown), best.value, told)


def _suggest(trial: Any) -> dict[str, Any]:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.04, 0.2, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 31, 511, log=True),
        "min_child_samples": trial.suggest_int("min_child_samples", 5, 200, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.4, 1.0),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.6, 1.0),
        "lambda_l2": trial.suggest_float("lambda_l2", 1e-2, 100.0, log=True),
        "cat_smooth": trial.suggest_float("cat_smooth", 1.0, 100.0, log=True),
        "cat_l2": trial.suggest_float("cat_l2", 0.1, 100.0, log=True),
        "max_cat_threshold": trial.suggest_int("max_cat_threshold", 16, 128, log=True),
    }


def _parameters(target: str, chosen: dict[str, Any], seed: int) -> dict[str, Any]:
    return {
        **chosen,
        "objective": TARGETS[target].objective,
        "bagging_freq": 1,
        "feature_pre_filter": False,
        "seed": seed,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 0,
        "verbosity": -1,
    }


def _matrix(encoded: Encoded) -> NDArray[np.float32]:
    """Codes and numbers side by side (n, columns)."""
    return np.hstack([encoded.codes.astype(np.float32), encoded.numbers])


def _dataset(
    X: NDArray[np.float32],
    sales: NDArray[np.float64],
    weight: NDArray[np.float64],
    start: NDArray[np.float64],
    target: str,
    encoder: Encoder,
) -> Any:
    import lightgbm

    each = weight * np.maximum(sales, 1.0) ** TARGETS[target].money
    return lightgbm.Dataset(
        X,
        label=_label(sales, start, target),
        weight=np.minimum(each / each.mean(), 100.0),
        categorical_feature=list(range(len(encoder.names_))),
        params={"feature_pre_filter": False, "verbosity": -1},
        free_raw_data=False,
    )


def _label(
    sales: NDArray[np.float64], start: NDArray[np.float64], target: str
) -> NDArray[np.float64]:
    if not TARGETS[target].logarithm:
        return sales
    return log_sales(sales) - (start if TARGETS[target].anchored else 0.0)


def _sales(
    found: NDArray[np.float64], start: NDArray[np.float64], target: str
) -> NDArray[np.float64]:
    if not TARGETS[target].logarithm:
        return np.maximum(found, 0.0)
    return sales_of(found + (start if TARGETS[target].anchored else 0.0))
