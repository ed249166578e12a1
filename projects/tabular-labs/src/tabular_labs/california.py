"""Houses of California: rows at random against whole squares of the map.

A house's neighbors are in the table, at nearly its place and price. Held out at random, it is
guessed from them; what a model knows of a place where nobody was asked is told by squares.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, KFold

from groundwork import Run
from groundwork.data import tables
from tabular_labs.evaluation import cross_validate, number
from tabular_labs.folds import rmsle
from tabular_labs.house_models import house_models
from tabular_labs.schema import Schema
from tabular_labs.tuning import TunedBooster


def squares(longitude: NDArray[Any], latitude: NDArray[Any]) -> NDArray[np.int64]:
    """The number of each place's square of one degree (n,)."""
    return np.asarray(np.floor(longitude) * 1000 + np.floor(latitude), np.int64)


def california(run: Run, trees: int, trials: int, rounds: int) -> list[dict[str, Any]]:
    """RMSLE of our boosting and tuned LightGBM in three folds of each kind, as rows of a table."""
    X, prices = tables.frame("california_housing", run.data)
    schema = Schema.of(X)
    X, y = schema.conform(X), np.log(prices)
    groups = squares(X["longitude"].to_numpy(), X["latitude"].to_numpy())
    models = {
        "boosting": house_models(schema, trees, trials, rounds, run.seed)["boosting"],
        "lightgbm": TunedBooster(
            schema, regression=True, trials=trials, rounds=rounds, seed=run.seed
        ),
    }
    whole = GroupKFold(3, shuffle=True, random_state=run.seed).split(X, groups=groups)
    cuts = {
        "rows": list(KFold(3, shuffle=True, random_state=run.seed).split(X)),
        "squares": list(whole),
    }
    lines = []
    means = {}
    for way, cut in cuts.items():
        judged = cross_validate(
            run, models, X, y, [cut], {"rmsle": rmsle}, say=number, name=f"california-{way}"
        )
        for model in models:
            run.metric(f"rmsle_california_{way}.{model}", judged.scores[model, "rmsle"])
        means[way] = judged.mean("lightgbm", "rmsle")
        lines.append(
            {
                "held out": "rows at random" if way == "rows" else "squares of one degree",
                "gradient boosting": judged.mean("boosting", "rmsle"),
                "LightGBM, tuned": means[way],
            }
        )
    run.metric("squares_over_rows", means["squares"] / means["rows"])
    return lines
