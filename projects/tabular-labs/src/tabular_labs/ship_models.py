"""The models of who lived, and their scores from one fitting of each."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline

from groundwork import Run
from supervised_learning import (
    GradientBoostingClassifier,
    LogisticRegression,
    RandomForestClassifier,
)
from tabular_labs.calibration import calibration_error
from tabular_labs.encoding import dense
from tabular_labs.ensembles import Averaged, Stacked
from tabular_labs.evaluation import Evaluation, Split, cross_validate
from tabular_labs.folds import accuracy
from tabular_labs.passengers import PERSON, WITH_PARTY, OnPassengers
from tabular_labs.schema import Schema
from tabular_labs.tuning import TunedBooster

#: Which of logistic regression, forest, boosting and CatBoost a model is the mean of.
PARTS = {
    "logistic": (0,), "forest": (1,), "boosting": (2,), "averaged": (0, 1, 2), "catboost": (3,),
    "strong": (0, 1, 2, 3),
}  # fmt: skip
SCORES = {
    "accuracy": accuracy,
    "auc": roc_auc_score,
    "log_loss": log_loss,
    "calibration_error": calibration_error,
}


def forest_of(schema: Schema, trees: int, seed: int) -> Any:
    """Our random forest on indicators and filled numbers."""
    return make_pipeline(
        dense(schema),
        RandomForestClassifier(trees, min_samples_leaf=3, max_features=0.4, random_state=seed),
    )


def ship_models(trees: int, trials: int, rounds: int, seed: int) -> dict[str, Any]:
    """Models of the columns of `WITH_PARTY`."""
    sex = Schema(tuple(column for column in PERSON.columns if column.name == "sex"))
    ours = {
        "logistic": make_pipeline(
            dense(WITH_PARTY, log=("fare_each",)), LogisticRegression(C=0.5, max_iter=500)
        ),
        "forest": forest_of(WITH_PARTY, trees, seed),
        "boosting": make_pipeline(
            dense(WITH_PARTY),
            GradientBoostingClassifier(
                n_estimators=max(10, trees // 2), learning_rate=0.07, max_depth=3, subsample=0.7,
                max_features=0.5, min_samples_leaf=5, random_state=seed,
            ),
        ),
    }  # fmt: skip
    catboost = TunedBooster(WITH_PARTY, "catboost", trials=trials, rounds=rounds, seed=seed)
    return {
        "sex": make_pipeline(dense(sex), LogisticRegression()),
        "all": Averaged({**ours, "catboost": catboost}),
        "stacked": Stacked(ours, seed=seed),
    }


def judge(
    run: Run,
    models: dict[str, Any],
    X: pd.DataFrame,
    y: NDArray[np.int64],
    splits: list[list[Split]],
    titles: Iterable[str],
) -> Evaluation:
    """The scores of the models named; the single models and their means come from one fitting."""

    def say(model: OnPassengers, rows: pd.DataFrame) -> NDArray[np.float64]:
        if not isinstance(model.model_, Averaged):
            return model.predict_proba(rows)[:, 1]
        parts = model.parts(rows)
        return np.column_stack([parts[:, list(columns)].mean(1) for columns in PARTS.values()])

    def one(score: Any, place: int) -> Any:
        return lambda y, said: score(y, said if said.ndim == 1 else said[:, place])

    scores = {
        f"{kind}@{place}": one(score, place)
        for kind, score in SCORES.items()
        for place in range(len(PARTS))
    }
    behind = {name: OnPassengers(model) for name, model in models.items()}
    found = cross_validate(run, behind, X, y, splits, scores, say=say)
    judged = Evaluation({}, {}, {})
    for name in titles:
        source, place = ("all", list(PARTS).index(name)) if name in PARTS else (name, 0)
        for kind in SCORES:
            judged.scores[name, kind] = found.scores[source, f"{kind}@{place}"]
        judged.said[name] = found.said["all"][:, place] if name in PARTS else found.said[name]
    return judged
