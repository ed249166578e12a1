"""The case study's pieces of work: each trains something on one part and forecasts the other.

Every piece gives plain data, so that a run can be kept and continued piece by piece.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rossmann_embeddings.baselines import METHODS, REPRESENTATIONS, forecast_with
from rossmann_embeddings.boosting import Boosting, Choice, tune, untuned
from rossmann_embeddings.ensemble import Ensemble
from rossmann_embeddings.evaluation import mape, rmspe, wmae
from rossmann_embeddings.features import Features, make_features, with_past
from rossmann_embeddings.tables import SalesTable, Split, dates_in, split_by_time, split_last
from rossmann_embeddings.training import Forecaster, Recipe

Progress = Callable[[Iterable[int]], Iterator[int]]


@dataclass
class Experiment:
    """A table with its splits and features.

    Parameters
    ----------
    table : the sales.
    share : of the dates that judge, the last ones.
    plain : the recipe of networks that see categories only, as the paper's do.
    informed : the recipe of networks that see history too.
    sample : rows that kNN, forest and boosting of the paper's comparison learn from, at most.
    trees : of the forest.
    networks : with history, trained apart, whose mean is the forecast.

    Attributes
    ----------
    split : by time. inner : the same way again, within the rows to learn from, for all choices.
    categories, history : the two sets of features; see `rossmann_embeddings.features`.
    steady : history without numbers that drift. A network carries on what it learnt of them, to
        where there was nothing to learn from; trees do not, and take them all.
    """

    table: SalesTable
    share: float = 0.1
    plain: Recipe = field(default_factory=Recipe)
    informed: Recipe = field(default_factory=Recipe)
    sample: int = 100_000
    trees: int = 50
    networks: int = 1

    def __post_init__(self) -> None:
        self.split = split_by_time(self.table, self.share)
        last = dates_in(self.table, self.share)
        self.inner = split_last(self.table, last, within=self.split.train)
        self.categories = make_features(self.table, last, history=False)
        self.history = make_features(self.table, last, history=True)
        self.steady = self.history.without(self.table.drifting)
        self.sales, self.weight = self.table.sales, self.table.weight

    def score(self, rows: NDArray[np.int64], forecast: NDArray[np.float64]) -> dict[str, float]:
        """The three errors of a forecast of some rows."""
        actual, floor = self.sales[rows], self.table.floor
        return {
            "wmae": wmae(actual, forecast, self.weight[rows]),
            "mape": mape(actual, forecast, floor),
            "rmspe": rmspe(actual, forecast, floor),
        }

    def network(
        self,
        recipe: Recipe,
        split: Split,
        seed: int,
        progress: Progress = iter,
        watched: bool = False,
    ) -> tuple[Forecaster, NDArray[np.float64]]:
        """A network that learnt categories on a split's first part; its forecast of the second."""
        model = Forecaster(recipe, seed).fit(
            self.categories, self.sales, split.train, self.weight,
            watch=self._watch(self.categories, split) if watched else None, progress=progress,
        )  # fmt: skip
        return model, model.predict(self.categories, split.test)

    def ensemble(
        self, split: Split, seed: int, progress: Progress = iter, watched: bool = False
    ) -> tuple[Ensemble, NDArray[np.float64]]:
        """The networks that learnt history on a split's first part; their mean on the second."""
        model = Ensemble(self.informed, seed, self.networks).fit(
            self.steady, self.sales, with_past(self.steady, split.train), self.weight,
            watch=self._watch(self.steady, split) if watched else None, progress=progress,
        )  # fmt: skip
        return model, model.predict(self.steady, split.test)

    def _watch(self, features: Features, split: Split) -> Callable[[Forecaster], float]:
        """What tells the error of a forecaster on a split's second part."""

        def watch(forecaster: Forecaster) -> float:
            found = forecaster.predict(features, split.test)
            return wmae(self.sales[split.test], found, self.weight[split.test])

        return watch

    def papers_methods(
        self, split: Split, seed: int, one_hot: bool, progress: Progress = iter
    ) -> dict[str, Any]:
        """The paper's comparison on one split: every method on every way to write categories.

        One-hot columns are many and take their time: `one_hot` says whether they are tried. Gives
        `rows` (method, representation, the errors), `vectors` (of each category, by name),
        `levels` (their values) and `seconds` of the networks' training.
        """
        model, found = self.network(self.plain, split, seed, progress)
        seconds = model.history_.seconds
        rows = [
            {"method": "network", "representation": "embeddings", **self.score(split.test, found)}
        ]
        if one_hot:
            recipe = replace(self.plain, one_hot=True)
            other, found = self.network(recipe, split, seed, progress)
            seconds += other.history_.seconds
            errors = self.score(split.test, found)
            rows.append({"method": "network", "representation": "one-hot", **errors})
        rng = np.random.default_rng(seed)
        train = split.train
        if self.sample < len(train):
            train = np.sort(rng.choice(train, self.sample, replace=False))
        for method in METHODS:
            for kind in REPRESENTATIONS:
                if kind == "one-hot" and not one_hot:
                    continue
                found = forecast_with(
                    method, kind, model, self.categories, self.sales, train, split.test,
                    seed=seed, trees=self.trees,
                )  # fmt: skip
                errors = self.score(split.test, found)
                rows.append({"method": method, "representation": kind, **errors})
        encoder = model.encoder_
        return {
            "rows": [{"split": split.name, "seed": seed, **row} for row in rows],
            "vectors": {name: model.embedding(name) for name in encoder.names_},
            "levels": {
                name: list(levels)
                for name, levels in zip(encoder.names_, encoder.levels_, strict=True)
            },
            "seconds": seconds,
        }

    def rehearsal(self, seed: int, progress: Progress = iter) -> dict[str, Any]:
        """Both networks on the inner split: errors by pass, forecasts to calibrate intervals on."""
        one, _ = self.network(self.plain, self.inner, seed, progress, watched=True)
        several, found = self.ensemble(self.inner, seed, progress, watched=True)
        return {
            "curves": {"categories only": one.history_.error, "with history": several.error_},
            "forecast": found,
            "seconds": one.history_.seconds + several.seconds_,
        }

    def informed_networks(self, seed: int, progress: Progress = iter) -> dict[str, Any]:
        """The networks with history on the split by time: `forecast` and training `seconds`."""
        model, found = self.ensemble(self.split, seed, progress)
        return {"forecast": found, "seconds": model.seconds_}

    def tuned_boosting(self, trials: int, seed: int, progress: Progress = iter) -> Choice:
        """What LightGBM is set to, found on the inner split; without trials a plain setting."""
        if not trials:
            return untuned()
        train = with_past(self.history, self.inner.train)
        inner = Split(train, self.inner.test, self.inner.name)
        return tune(
            self.history, self.sales, self.weight, inner, trials=trials, seed=seed,
            progress=progress,
        )  # fmt: skip

    def boosting(self, choice: Choice, seed: int) -> NDArray[np.float64]:
        """LightGBM's forecast on the split by time."""
        train = with_past(self.history, self.split.train)
        model = Boosting(choice, seed).fit(self.history, self.sales, train, self.weight)
        return model.predict(self.history, self.split.test)
