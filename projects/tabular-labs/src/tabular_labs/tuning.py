"""Boosted trees of LightGBM, XGBoost or CatBoost, tuned within a stated number of trials.

Each trial is scored by cross-validation inside the training rows; how many trees there are is found
there too, by stopping where the held-out loss no longer falls. The first trial is the library's own
setting, so that tuning begins from what most people would run. The others are proposed by Optuna's
tree-structured Parzen estimator. The model that is kept is fitted once more, on all training rows.

Takuya Akiba and others, Optuna: a next-generation hyperparameter optimization framework, 2019;
James Bergstra and others, Algorithms for hyper-parameter optimization, 2011.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.metrics import log_loss, root_mean_squared_error
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

from tabular_labs.schema import Schema

Library = Literal["lightgbm", "xgboost", "catboost"]
#: The names that figures and tables have.
TITLES = {"lightgbm": "LightGBM", "xgboost": "XGBoost", "catboost": "CatBoost"}
_PATIENCE = 50


class TunedBooster(BaseEstimator):
    """A boosting library behind scikit-learn's interface, which tunes itself when it is fitted.

    Parameters
    ----------
    schema : the columns; categories are told to the library as such.
    library : which.
    regression : for a number; otherwise for classes 0, 1, …
    trials : of settings, the library's own counted in.
    folds : of the cross-validation that judges a trial.
    rounds : trees at most.
    seed : of proposals, folds and trees.

    Attributes
    ----------
    settings_, rounds_, loss_ : of the best trial: log loss, or the root of the mean squared error.
    losses_ : of all trials, in their order.
    model_ : the library's own model.
    """

    def __init__(
        self,
        schema: Schema,
        library: Library = "lightgbm",
        *,
        regression: bool = False,
        trials: int = 20,
        folds: int = 3,
        rounds: int = 1000,
        seed: int = 0,
    ) -> None:
        self.schema, self.library, self.regression = schema, library, regression
        self.trials, self.folds, self.rounds, self.seed = trials, folds, rounds, seed

    def fit(
        self, X: pd.DataFrame, y: NDArray[Any], groups: NDArray[Any] | None = None
    ) -> "TunedBooster":
        """Tune and fit; `groups` keeps the rows of a group in one fold.

        Raises ValueError for a library that is not known.
        """
        import optuna

        if self.library not in _LIBRARIES:
            raise ValueError(f"library {self.library!r}; {', '.join(_LIBRARIES)} are taken")
        library = _LIBRARIES[self.library]
        y = np.asarray(y)
        self.levels_ = {name: sorted(X[name].dropna().unique()) for name in self.schema.categories}
        self.classes_ = None if self.regression else np.unique(y)
        inputs = self._inputs(X)
        splits = list(self._splits(inputs, y, groups))

        def judge(trial: "optuna.Trial") -> float:
            settings = library.propose(trial)
            losses, rounds = [], []
            for train, test in splits:
                model, best = library.fit(
                    settings, inputs.iloc[train], y[train], self, self.rounds,
                    held=(inputs.iloc[test], y[test]),
                )  # fmt: skip
                losses.append(self._loss(y[test], self._say(model, inputs.iloc[test])))
                rounds.append(best)
            trial.set_user_attr("rounds", max(1, int(np.mean(rounds))))
            return float(np.mean(losses))

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=8)
        study = optuna.create_study(sampler=sampler)
        study.enqueue_trial(library.usual)
        study.optimize(judge, n_trials=self.trials)
        best = study.best_trial
        self.settings_, self.loss_ = dict(best.params), float(study.best_value)
        self.rounds_ = int(best.user_attrs["rounds"])
        self.losses_ = [float(trial.value) for trial in study.trials if trial.value is not None]
        self.model_, _ = library.fit(self.settings_, inputs, y, self, self.rounds_)
        return self

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Probabilities (n, classes)."""
        said = self._say(self.model_, self._inputs(X))
        return np.column_stack([1 - said, said]) if said.ndim == 1 else said

    def predict(self, X: pd.DataFrame) -> NDArray[Any]:
        """The number, or the most probable class."""
        if self.regression:
            return self._say(self.model_, self._inputs(X))
        assert self.classes_ is not None
        return self.classes_[self.predict_proba(X).argmax(1)]

    @property
    def importances_(self) -> dict[str, float]:
        """Each column's share of what the splits gained, the largest first."""
        gains = np.asarray(_LIBRARIES[self.library].gains(self.model_), float)
        shares = gains / max(gains.sum(), 1e-300)
        found = zip(self.schema.names, shares.tolist(), strict=True)
        return dict(sorted(found, key=lambda item: -item[1]))

    def _splits(
        self, X: pd.DataFrame, y: NDArray[Any], groups: NDArray[Any] | None
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        if groups is not None:
            yield from GroupKFold(self.folds, shuffle=True, random_state=self.seed).split(
                X, y, groups
            )
            return
        kind = KFold if self.regression else StratifiedKFold
        yield from kind(self.folds, shuffle=True, random_state=self.seed).split(X, y)

    def _inputs(self, X: pd.DataFrame) -> pd.DataFrame:
        """Numbers as float64, categories with the levels of the training rows."""
        made: dict[str, Any] = {}
        for name in self.schema.names:
            if name in self.levels_:
                levels = self.levels_[name]
                places = {level: code for code, level in enumerate(levels)}
                codes = X[name].map(places).fillna(-1).astype(np.int64)
                made[name] = pd.Categorical.from_codes(codes, categories=levels)
            else:
                made[name] = X[name].to_numpy(np.float64)
        plain = {name: f"c{k}" for k, name in enumerate(self.schema.names)}
        return pd.DataFrame(made, index=X.index).rename(columns=plain)

    def _say(self, model: Any, inputs: pd.DataFrame) -> NDArray[np.float64]:
        if self.regression:
            return np.asarray(_LIBRARIES[self.library].say(model, inputs, True), np.float64)
        said = np.asarray(_LIBRARIES[self.library].say(model, inputs, False), np.float64)
        return said[:, 1] if said.shape[1] == 2 else said

    def _loss(self, y: NDArray[Any], said: NDArray[np.float64]) -> float:
        if self.regression:
            return float(root_mean_squared_error(y, said))
        return float(log_loss(y, said, labels=self.classes_))


class _LightGBM:
    usual: ClassVar[dict[str, Any]] = {
        "learning_rate": 0.1, "num_leaves": 31, "min_child_samples": 20, "colsample_bytree": 1.0,
        "subsample": 1.0, "reg_lambda": 1e-3,
    }  # fmt: skip

    @staticmethod
    def propose(trial: Any) -> dict[str, Any]:
        return {
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
            "num_leaves": trial.suggest_int("num_leaves", 3, 64, log=True),
            "min_child_samples": trial.suggest_int("min_child_samples", 5, 100, log=True),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "reg_lambda": trial.suggest_float("reg_lambda", 1e-3, 30.0, log=True),
        }

    @staticmethod
    def fit(
        settings: dict[str, Any],
        X: Any,
        y: Any,
        booster: TunedBooster,
        rounds: int,
        held: Any = None,
    ) -> tuple[Any, int]:
        import lightgbm

        kind = lightgbm.LGBMRegressor if booster.regression else lightgbm.LGBMClassifier
        model = kind(
            n_estimators=rounds, subsample_freq=1, random_state=booster.seed, n_jobs=1,
            verbose=-1, cat_smooth=20, deterministic=True, force_row_wise=True, **settings,
        )  # fmt: skip
        told: dict[str, Any] = {}
        if held:
            told = {
                "eval_X": (held[0],),
                "eval_y": (held[1],),
                "callbacks": [lightgbm.early_stopping(_PATIENCE, verbose=False)],
            }
        model.fit(X, y, **told)
        return model, int(model.best_iteration_ or rounds) if held else rounds

    @staticmethod
    def say(model: Any, X: Any, regression: bool) -> Any:
        return model.predict(X) if regression else model.predict_proba(X)

    @staticmethod
    def gains(model: Any) -> Any:
        return model.booster_.feature_importance("gain")


class _XGBoost:
    usual: ClassVar[dict[str, Any]] = {
        "learning_rate": 0.1, "max_depth": 6, "min_child_weight": 1.0, "colsample_bytree": 1.0,
        "subsample": 1.0, "reg_lambda": 1.0,
    }  # fmt: skip

    @staticmethod
    def propose(trial: Any) -> dict[str, Any]:
        return {
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
            "max_depth": trial.suggest_int("max_depth", 2, 8),
            "min_child_weight": trial.suggest_float("min_child_weight", 1.0, 30.0, log=True),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "reg_lambda": trial.suggest_float("reg_lambda", 0.1, 30.0, log=True),
        }

    @staticmethod
    def fit(
        settings: dict[str, Any],
        X: Any,
        y: Any,
        booster: TunedBooster,
        rounds: int,
        held: Any = None,
    ) -> tuple[Any, int]:
        import xgboost

        kind = xgboost.XGBRegressor if booster.regression else xgboost.XGBClassifier
        model = kind(
            n_estimators=rounds, tree_method="hist", enable_categorical=True, n_jobs=1,
            random_state=booster.seed, early_stopping_rounds=_PATIENCE if held else None,
            **settings,
        )  # fmt: skip
        model.fit(X, y, eval_set=[held] if held else None, verbose=False)
        return model, int(model.best_iteration) + 1 if held else rounds

    say, gains = _LightGBM.say, staticmethod(lambda model: model.feature_importances_)


class _CatBoost:
    usual: ClassVar[dict[str, Any]] = {
        "learning_rate": 0.05, "depth": 6, "l2_leaf_reg": 3.0, "random_strength": 1.0,
    }  # fmt: skip

    @staticmethod
    def propose(trial: Any) -> dict[str, Any]:
        return {
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
            "depth": trial.suggest_int("depth", 2, 8),
            "l2_leaf_reg": trial.suggest_float("l2_leaf_reg", 1.0, 30.0, log=True),
            "random_strength": trial.suggest_float("random_strength", 0.1, 3.0, log=True),
        }

    @staticmethod
    def fit(
        settings: dict[str, Any],
        X: Any,
        y: Any,
        booster: TunedBooster,
        rounds: int,
        held: Any = None,
    ) -> tuple[Any, int]:
        import catboost

        kind = catboost.CatBoostRegressor if booster.regression else catboost.CatBoostClassifier
        places = [booster.schema.names.index(name) for name in booster.schema.categories]
        model = kind(
            iterations=rounds, cat_features=places, thread_count=1, random_seed=booster.seed,
            verbose=False, allow_writing_files=False, **settings,
        )  # fmt: skip
        told = {} if held is None else {
            "eval_set": (_texts(held[0]), held[1]), "early_stopping_rounds": _PATIENCE
        }  # fmt: skip
        model.fit(_texts(X), y, **told)
        return model, int(model.get_best_iteration() or 0) + 1 if held else rounds

    @staticmethod
    def say(model: Any, X: Any, regression: bool) -> Any:
        return model.predict(_texts(X)) if regression else model.predict_proba(_texts(X))

    @staticmethod
    def gains(model: Any) -> Any:
        return model.get_feature_importance()


def _texts(X: pd.DataFrame) -> pd.DataFrame:
    """Categories as text, a gap as an empty one: what CatBoost takes."""
    made = {
        name: X[name].astype(object).where(X[name].notna(), "").astype(str)
        if isinstance(X[name].dtype, pd.CategoricalDtype)
        else X[name]
        for name in X
    }
    return pd.DataFrame(made, index=X.index)


_LIBRARIES: dict[str, Any] = {"lightgbm": _LightGBM, "xgboost": _XGBoost, "catboost": _CatBoost}
