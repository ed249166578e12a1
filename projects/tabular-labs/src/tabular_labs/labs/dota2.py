r"""Guess who wins from the heroes alone: naive Bayes, and how little pairs of heroes add.

Ten heroes out of 113 meet, five a side, and nothing else is known of a game but its mode: players,
who decide it, are not in the table. So the honest area under the curve is little above 0.6, and a
much better one would be a sign of a leak. The plan's model is naive Bayes over who is on which
side. The strong one is built by hand: strengths, which pairs of heroes do better together or
against each other than their strengths say, and what a team is made of, told to tuned boosted
trees (`tabular_labs.heroes`). Whatever is learnt from outcomes comes from other rows than those
that it is told for; the table of leakage has what it would look like if it did not.

The first panel has the heroes: how often each is picked and how often it wins, with what chance
alone would give to a hero of even strength. The second has every repetition's area under the curve;
on generated games the probabilities are known, and with them the best there is. The third has the
probabilities against what came true.

K. Conley and D. Perry, How does he saw me? A recommendation engine for picking heroes in Dota 2,
2013.
"""

from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from groundwork import Claim, Run, plots
from tabular_labs import leakage
from tabular_labs.calibration import calibration_error, reliability
from tabular_labs.evaluation import Evaluation, cross_validate
from tabular_labs.heroes import (
    PairSurprises,
    TeamBayes,
    TeamBoosting,
    TeamLogistic,
    hero_names,
    make_games,
    trait_table,
)
from tabular_labs.prediction import Deployed, keep
from tabular_labs.schema import Schema
from tabular_labs.slices import worst_slices

PRESETS = {
    "smoke": {"games": 600, "heroes": 30, "repetitions": 1, "folds": 2, "trials": 1, "rounds": 20},
    "default": {},
    "full": {"data": "rubix_dota2", "folds": 5, "trials": 12, "rounds": 300},
}
CLAIMS = [
    Claim("auc.naive-bayes", ">=", 0.55),
    Claim("lightgbm_over_plan", ">=", 0.0, presets=("default", "full")),
    Claim("behind_best.lightgbm", "<=", 0.05, presets=("default",)),
    Claim("auc.lightgbm", ">=", 0.61, presets=("full",)),
    Claim("accuracy.lightgbm", ">=", 0.58, presets=("full",)),
    Claim("leak.pairs", ">=", 0.05, presets=("default", "full")),
    Claim("calibration_error.lightgbm", "<=", 0.04, presets=("default", "full")),
]
TITLES = {
    "baseline": "the side's share",
    "naive-bayes": "naive Bayes",
    "logistic": "logistic regression",
    "lightgbm": "LightGBM on pairs, tuned",
}


def main(
    run: Run,
    *,
    data: Annotated[Literal["generated", "rubix_dota2"], "the games"] = "generated",
    games: Annotated[int, Ge(200), "of the generated table"] = 4000,
    heroes: Annotated[int, Ge(12), Le(112), "of the generated games"] = 60,
    shrink: Annotated[float, Gt(0), "games that a pair counts as having drawn"] = 50.0,
    repetitions: Annotated[int, Ge(1), "of the cross-validation"] = 3,
    folds: Annotated[int, Ge(2), "of each cross-validation"] = 3,
    trials: Annotated[int, Ge(1), "of settings, for each fitting of the boosted trees"] = 4,
    rounds: Annotated[int, Ge(1), "of boosting at most"] = 100,
) -> None:
    """Look, check, judge on held-out games, and leave the best model behind."""
    X, y, best, names = load(run, data, games, heroes)
    columns = tuple(name for name in X if name.startswith("hero_"))
    schema = Schema.of(X)
    X = schema.conform(X)
    splits = [
        list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(X, y))
        for seed in run.seeds(repetitions)
    ]
    strong = TeamBoosting(
        columns, trait_table(names), tuple(n for n in schema.names if n.startswith("game")),
        shrink=shrink, trials=trials, rounds=rounds, seed=run.seed,
    )  # fmt: skip
    models = {
        "baseline": DummyClassifier(),
        "naive-bayes": TeamBayes(columns),
        "logistic": TeamLogistic(columns),
        "lightgbm": strong,
    }
    judged = cross_validate(
        run, models, X, y, splits,
        {"auc": roc_auc_score, "accuracy": right, "log_loss": log_loss,
         "calibration_error": calibration_error},
        keep=lambda model: getattr(model, "trees_", None) and model.trees_.importances_,
    )  # fmt: skip
    judged.tell(run)
    gains = np.subtract(judged.scores["lightgbm", "auc"], judged.scores["naive-bayes", "auc"])
    run.metric("lightgbm_over_plan", list(gains))
    if best is not None:
        run.metric("auc.best", roc_auc_score(y, best))
        run.metric("behind_best.lightgbm", roc_auc_score(y, best) - judged.mean("lightgbm", "auc"))
    told, honest = pair_leak(X, y, columns, splits[0], shrink)
    run.metric("leak.pairs", told - honest)
    train, test = splits[0][0]
    found = leakage.check(X, y, schema, train=train, test=test, seed=run.seed)
    found.append(
        {
            "question": "pairs alone, told for the rows that they were learnt from",
            "found": f"AUC {told:.3f}; for other rows {honest:.3f}",
            "worth a look": "yes",
        }
    )
    run.table("leakage", found, caption="Asked of the table, and of what is learnt from outcomes")
    tell(run, X, y, schema, judged, columns, names)
    draw(run, X, y, judged, columns, best)
    final = strong.fit(X, y)
    keep(run, Deployed(schema, final, "winner", ("second team", "first team")))


def load(
    run: Run, data: str, games: int, heroes: int
) -> tuple[pd.DataFrame, NDArray[np.int64], NDArray[np.float64] | None, list[str]]:
    """The table, 1 where the first team won, the probabilities where known, the heroes' names."""
    bunch = run.data("rubix_dota2") if data == "rubix_dota2" else None
    if bunch is None:
        names = hero_names()[:heroes]
        made = make_games(run.rng, games, names)
        return made.X, made.y, made.probability, names
    frame = bunch["frame"]
    columns = [name for name in frame if name.startswith("hero_")]
    names = [f"hero {k + 1}" for k in range(len(columns))]
    for hero in bunch["heroes"]["heroes"]:
        names[hero["id"] - 1] = hero["name"]
    y = (frame["outcome"] == "team_1").to_numpy().astype(np.int64)
    X = frame.drop(columns="outcome")
    for name in ("cluster_id", "game_mode", "game_type"):
        X[name] = X[name].astype(str)
    return X, y, None, names


def right(y: NDArray[Any], said: NDArray[np.float64]) -> float:
    """Accuracy at one half."""
    return float(accuracy_score(y, said > 0.5))


def pair_leak(
    X: pd.DataFrame,
    y: NDArray[np.int64],
    columns: tuple[str, ...],
    folds: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
    shrink: float,
) -> tuple[float, float]:
    """The area under the curve of pairs, for the rows they were learnt from and for others."""
    heroes = X[list(columns)].to_numpy(np.float64)
    surprise = y - y.mean()
    own = PairSurprises(shrink).fit(heroes, surprise).transform(heroes).sum(axis=1)
    other = np.empty(len(y))
    for train, test in folds:
        pairs = PairSurprises(shrink).fit(heroes[train], surprise[train])
        other[test] = pairs.transform(heroes[test]).sum(axis=1)
    return float(roc_auc_score(y, own)), float(roc_auc_score(y, other))


def tell(
    run: Run,
    X: pd.DataFrame,
    y: NDArray[np.int64],
    schema: Schema,
    judged: Evaluation,
    columns: tuple[str, ...],
    names: list[str],
) -> None:
    """The heroes at a glance; scores; what the trees used; where they err."""
    heroes = X[list(columns)].to_numpy()
    picked, won = record(heroes, y)
    order = np.argsort(-picked)
    run.table(
        "look",
        [
            {"hero": names[h], "picked in": picked[h] / len(y), "wins": won[h] / picked[h]}
            for h in order[:10]
        ],
        caption="The ten heroes that are picked most, shares of all games",
    )
    scores = {"auc": "AUC", "accuracy": "accuracy", "log_loss": "log loss"}
    run.table(
        "scores",
        [
            {"model": title} | {t: judged.mean(model, s) for s, t in scores.items()}
            for model, title in TITLES.items()
        ],
        caption="On games held out, the mean over repetitions",
    )
    kept = pd.DataFrame([gains for gains in judged.fitted["lightgbm"] if gains]).mean()
    run.table(
        "features",
        [{"feature": name, "share of the gain": kept[name]} for name in kept.nlargest(8).index],
        caption="What the trees split on",
    )
    said = np.clip(judged.said["lightgbm"], 1e-6, 1 - 1e-6)
    losses = -np.where(y == 1, np.log(said), np.log(1 - said))
    worst = worst_slices(X, losses, schema, share=0.01)
    run.table("errors", worst, caption="Where the log loss of the tuned trees is highest")


def record(heroes: NDArray, y: NDArray[np.int64]) -> tuple[NDArray, NDArray]:
    """Games and wins of each hero."""
    first, second = heroes > 0, heroes < 0
    return (first | second).sum(axis=0), first[y == 1].sum(axis=0) + second[y == 0].sum(axis=0)


def draw(
    run: Run,
    X: pd.DataFrame,
    y: NDArray[np.int64],
    judged: Evaluation,
    columns: tuple[str, ...],
    best: NDArray[np.float64] | None,
) -> None:
    """The heroes; every repetition; reliability."""
    figure, axes = plots.figure(1, 3, width=12, height=3.8)
    picked, won = record(X[list(columns)].to_numpy(), y)
    some = picked > 0
    axes[0].plot(picked[some], 100 * won[some] / picked[some], "o", markersize=3.5, alpha=0.8)
    line = np.linspace(max(picked.min(), 10), picked.max(), 200)
    for sign in (-1, 1):
        axes[0].plot(line, 50 + sign * 196 * 0.5 / np.sqrt(line), ":", color=plots.PALETTE[7])
    axes[0].set(title="The heroes", xlabel="games", ylabel="won (%)")
    for k, model in enumerate(list(TITLES)[1:]):
        values = judged.scores[model, "auc"]
        axes[1].plot([k] * len(values), values, "o", color=plots.PALETTE[(1, 2, 0)[k]], alpha=0.7)
    axes[1].set_xticks(range(3), ["naive\nBayes", "logistic\nregression", "LightGBM\non pairs"])
    axes[1].set(title="Every repetition", ylabel="AUC", xlim=(-0.5, 2.5))
    if best is not None:
        axes[1].axhline(roc_auc_score(y, best), color=plots.PALETTE[7], linestyle=":")
        axes[1].set_title("Every repetition, and the best there is")
    for model, color in (("naive-bayes", 1), ("lightgbm", 0)):
        told, true, _ = reliability(y, judged.said[model])
        axes[2].plot(told, true, "o-", markersize=3.5, color=plots.PALETTE[color],
                     label=TITLES[model])  # fmt: skip
    axes[2].plot([0.3, 0.8], [0.3, 0.8], ":", color=plots.PALETTE[7])
    axes[2].set(title="Said and seen", xlabel="probability that the first team wins")
    axes[2].set(ylabel="share that it won")
    axes[2].legend(fontsize=8)
    run.figure(
        "dota2",
        figure,
        "How often each hero is picked and wins, with the limits that chance would leave 95 % of "
        "even heroes in; the area under the curve of every repetition; probabilities against what "
        "came true.",
    )
