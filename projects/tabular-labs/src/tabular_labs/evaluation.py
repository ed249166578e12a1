"""Judge models on rows that they were not fitted on, fold by fold, and go on after an interruption.

All models meet the same folds. A repetition is one cross-validation: its score is that of all its
held-out predictions' folds in the mean, so that a metric has one number for each repetition.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone

from groundwork import Run

Split = tuple[NDArray[np.int64], NDArray[np.int64]]
Score = Callable[[NDArray[Any], NDArray[Any]], float]


@dataclass
class Evaluation:
    """What held-out rows said.

    scores : by model and score, one number a repetition.
    said : by model, what was predicted for each row in the first repetition: (n,) or (n, classes).
    fitted : by model, what `keep` took from each fitted one, in the order of the folds.
    """

    scores: dict[tuple[str, str], list[float]]
    said: dict[str, NDArray[np.float64]]
    fitted: dict[str, list[Any]]

    def tell(self, run: Run, unit: str = "") -> None:
        """A metric for each score and model: `auc.lightgbm`."""
        for (model, score), values in self.scores.items():
            run.metric(f"{score}.{model}", values, unit)

    def mean(self, model: str, score: str) -> float:
        """Over repetitions."""
        return float(np.mean(self.scores[model, score]))


def probability(model: Any, X: pd.DataFrame) -> NDArray[np.float64]:
    """Of class 1 where there are two (n,), otherwise of each (n, classes)."""
    said = np.asarray(model.predict_proba(X), np.float64)
    return said[:, 1] if said.shape[1] == 2 else said


def number(model: Any, X: pd.DataFrame) -> NDArray[np.float64]:
    """The predicted number (n,)."""
    return np.asarray(model.predict(X), np.float64)


def cross_validate(
    run: Run,
    models: Mapping[str, Any],
    X: pd.DataFrame,
    y: NDArray[Any],
    repetitions: Sequence[Sequence[Split]],
    scores: Mapping[str, Score],
    *,
    say: Callable[[Any, pd.DataFrame], NDArray[np.float64]] = probability,
    keep: Callable[[Any], Any] | None = None,
    groups: NDArray[Any] | None = None,
    name: str = "folds",
) -> Evaluation:
    """Fit a clone of each model on each fold's training rows, and score it on the others.

    repetitions : of the cross-validation, each a sequence of (train, test) rows.
    scores : functions of (y, said); a fold counts as much as it has rows.
    keep : what is kept of a fitted model, such as its settings.
    groups : handed on to models whose `fit` takes them.
    name : of the checkpoint.
    """
    store = run.checkpoint(name)
    done: dict[tuple[str, int, int], tuple[NDArray[np.float64], Any]] = store.load() or {}
    work = [
        (model, r, k)
        for r, folds in enumerate(repetitions)
        for k in range(len(folds))
        for model in models
    ]
    for model, r, k in run.progress(work, label=name):
        if (model, r, k) in done:
            continue
        train, test = repetitions[r][k]
        told = {}
        if groups is not None and _takes_groups(models[model]):
            told["groups"] = groups[train]
        fitted = clone(models[model]).fit(X.iloc[train], y[train], **told)
        done[model, r, k] = say(fitted, X.iloc[test]), keep(fitted) if keep else None
        store.save(done)
    found: dict[tuple[str, str], list[float]] = {}
    said: dict[str, NDArray[np.float64]] = {}
    for model in models:
        for title, score in scores.items():
            found[model, title] = [
                float(
                    np.average(
                        [score(y[test], done[model, r, k][0]) for k, (_, test) in enumerate(folds)],
                        weights=[len(test) for _, test in folds],
                    )
                )
                for r, folds in enumerate(repetitions)
            ]
        first = done[model, 0, 0][0]
        said[model] = np.full((len(y), *first.shape[1:]), np.nan)
        for k, (_, test) in enumerate(repetitions[0]):
            said[model][test] = done[model, 0, k][0]
    fitted_parts = {
        model: [done[model, r, k][1] for m, r, k in work if m == model] for model in models
    }
    return Evaluation(found, said, fitted_parts)


def _takes_groups(model: Any) -> bool:
    return "groups" in model.fit.__code__.co_varnames[: model.fit.__code__.co_argcount]
