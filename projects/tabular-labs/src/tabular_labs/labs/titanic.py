"""Enter Kaggle's Titanic with ensembles, and see what a column made of answers is worth.

Who lived is told by sex, class and age, and by what became of one's party: whoever travelled on one
ticket or under one name mostly lived or died together. That last column is made of answers. Made
in each fold from its training rows, without the row's own answer, it is knowledge; made on the
whole table before the folds are cut, or with the row's own answer, it is a leak. The last panel has
all of these, and the score with whole parties held out, where nobody's mates are known. On the
generated ship each chance is known: a score above what they allow proves the leak.

The plan's entry is the mean and the stack of our logistic regression, random forest and gradient
boosting. CatBoost, tuned inside the training rows, is held against them; the strong model is the
mean of all four. The lab leaves `submission.csv` for the passengers whose fate Kaggle keeps. The
scores here are of rows held out in repeated cross-validation, and no leaderboard scores. Many of
those are not honest either: the passengers' fates are in the history books.

Kaggle, Titanic: machine learning from disaster, 2012; David Wolpert, Stacked generalization, 1992;
Shachar Kaufman, Saharon Rosset and Claudia Perlich, Leakage in data mining, 2011.
"""

from typing import Annotated, Literal

import numpy as np
import pandas as pd
from annotated_types import Ge
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold

from groundwork import Claim, Run, plots
from tabular_labs import leakage, passengers
from tabular_labs.dots import draw_dots
from tabular_labs.evaluation import Evaluation, Split, cross_validate
from tabular_labs.folds import accuracy, repeated_folds
from tabular_labs.generated_ship import ship
from tabular_labs.passengers import PERSON, WITH_PARTY, OnPassengers, Passengers
from tabular_labs.prediction import Deployed, keep
from tabular_labs.ship_models import forest_of, judge, ship_models
from tabular_labs.slices import worst_slices

PRESETS = {
    "smoke": {
        "rows": 300, "repetitions": 1, "folds": 2, "trees": 20, "trials": 1, "rounds": 30,
    },
    "default": {},
    "full": {"data": "titanic", "folds": 5, "trees": 300, "trials": 8},
}  # fmt: skip
CLAIMS = [
    Claim("self_over_best", ">=", 0.02, presets=("smoke", "default")),
    Claim("accuracy.forest", ">=", 0.68, presets=("smoke", "default")),
    Claim("party_gain", ">=", 0.0, presets=("default", "full")),
    Claim("accuracy.strong", ">=", 0.82, presets=("full",)),
    Claim("strong_over_plan", ">=", 0.0, presets=("default", "full")),
]
TITLES = {
    "sex": "women live, men die",
    "logistic": "logistic regression",
    "forest": "random forest",
    "boosting": "gradient boosting",
    "averaged": "their mean",
    "stacked": "their stack",
    "catboost": "CatBoost, tuned",
    "strong": "CatBoost and the three",
}
WAYS = {
    "person": "no such column",
    "honest": "made in the folds",
    "parties": "… whole parties held out",
    "whole": "made before the folds",
    "self": "… with one's own answer",
}


def main(
    run: Run,
    *,
    data: Annotated[Literal["generated", "titanic"], "the passengers"] = "generated",
    rows: Annotated[int, Ge(100), "of the generated list"] = 1000,
    repetitions: Annotated[int, Ge(1), "of the cross-validation"] = 3,
    folds: Annotated[int, Ge(2), "of each cross-validation"] = 3,
    trees: Annotated[int, Ge(1), "of a forest"] = 100,
    trials: Annotated[int, Ge(1), "of settings, for each fitting of CatBoost"] = 3,
    rounds: Annotated[int, Ge(1), "of boosting at most"] = 300,
) -> None:
    """Look, check, judge on held-out rows, measure the leak, and write the entry."""
    X, y, chance, unlabelled = load(run, data, rows)
    splits = [
        list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(X, y))
        for seed in run.seeds(repetitions)
    ]
    person = Passengers(party=False).fit(X, y).transform(X)
    train, test = splits[0][0]
    found = leakage.check(person, y, PERSON, train=train, test=test, seed=run.seed)
    run.table("leakage", found, caption="Asked of the table before a model was trained")
    models = ship_models(trees, trials, rounds, run.seed)
    judged = judge(run, models, X, y, splits, TITLES)
    judged.tell(run)
    scores = {model: np.array(judged.scores[model, "accuracy"]) for model in TITLES}
    run.metric("strong_over_plan", list(scores["strong"] - scores["averaged"]))
    ways = measure_leaks(run, X, y, splits, trees, folds, repetitions)
    if chance is not None:
        best = float(np.maximum(chance, 1 - chance).mean())
        run.metric("accuracy.best", best)
        run.metric("self_over_best", float(np.mean(ways["self"])) - best)
    tell(run, person, y, judged, ways)
    draw(run, person, y, judged, ways)
    final = OnPassengers(models["all"]).fit(X, y)
    numbers = unlabelled["PassengerId"]
    entry = passengers.submission(numbers, final.predict(passengers.RAW.conform(unlabelled)))
    entry.to_csv(run.artifact("submission.csv"), index=False)
    run.metric("submitted", len(entry), "passengers")
    keep(run, Deployed(passengers.RAW, final, "fate", ("died", "lived")))


def load(
    run: Run, data: str, rows: int
) -> tuple[pd.DataFrame, NDArray[np.int64], NDArray[np.float64] | None, pd.DataFrame]:
    """The list, 1 for who lived, the chances where they are known, and the list without answers."""
    if data == "generated":
        known = ship(rows, run.seed)
        other = ship(max(rows // 3, 20), run.seed + 1).X
        other.insert(0, "PassengerId", np.arange(len(known.X), len(known.X) + len(other)) + 1)
        return passengers.RAW.conform(known.X), known.y, known.chance, other
    parts = run.data(data)
    labelled = parts["train"]
    y = labelled["Survived"].to_numpy(np.int64)
    return passengers.RAW.conform(labelled), y, None, parts["unlabelled"]


def measure_leaks(
    run: Run,
    X: pd.DataFrame,
    y: NDArray[np.int64],
    splits: list[list[Split]],
    trees: int,
    folds: int,
    repetitions: int,
) -> dict[str, list[float]]:
    """The accuracy of one forest with the column of the party's fate made in five ways."""
    maker = Passengers()
    tables = {"whole": maker.fit_transform(X, y), "self": maker.transform(X)}
    person = OnPassengers(forest_of(PERSON, trees, run.seed), party=False)
    forest = forest_of(WITH_PARTY, trees, run.seed)
    honest = OnPassengers(forest)
    apart = repeated_folds(y, passengers.parties(X), folds, run.seeds(repetitions))
    found = {}
    for way, model, inputs, cut in (
        ("person", person, X, splits),
        ("honest", honest, X, splits),
        ("parties", honest, X, apart),
        ("whole", clone(forest), tables["whole"], splits),
        ("self", clone(forest), tables["self"], splits),
    ):
        judged = cross_validate(
            run, {way: model}, inputs, y, cut, {"accuracy": accuracy}, name=f"party-{way}"
        )
        found[way] = judged.scores[way, "accuracy"]
        run.metric(f"accuracy_party.{way}", found[way])
    run.metric("party_gain", list(np.subtract(found["honest"], found["person"])))
    return found


def tell(
    run: Run,
    person: pd.DataFrame,
    y: NDArray[np.int64],
    judged: Evaluation,
    ways: dict[str, list[float]],
) -> None:
    """Scores side by side, the column's five ways, and where the strong model errs."""
    titles = {"accuracy": "accuracy", "auc": "AUC", "log_loss": "log loss"}
    titles["calibration_error"] = "calibration error"
    rows = [
        {"model": TITLES[model]}
        | {title: judged.mean(model, score) for score, title in titles.items()}
        | {"spread of the accuracy": float(np.std(judged.scores[model, "accuracy"]))}
        for model in TITLES
    ]
    run.table("scores", rows, caption="On rows held out, the mean over repetitions")
    answers = {"person": "yes", "honest": "yes", "parties": "yes", "whole": "no", "self": "no"}
    run.table(
        "party",
        [
            {"what became of one's party": WAYS[way], "accuracy": float(np.mean(values)),
             "honest": answers[way]}
            for way, values in ways.items()
        ],
        caption="The random forest, with the column made in five ways",
    )  # fmt: skip
    said = np.clip(judged.said["strong"], 1e-6, 1 - 1e-6)
    losses = -np.where(y == 1, np.log(said), np.log(1 - said))
    worst = worst_slices(person, losses, PERSON)
    run.table("errors", worst, caption="Where the log loss of the strong model is highest")


def draw(
    run: Run,
    person: pd.DataFrame,
    y: NDArray[np.int64],
    judged: Evaluation,
    ways: dict[str, list[float]],
) -> None:
    """Who lived; the models; the column's five ways."""
    figure, (look, models, leaks) = plots.figure(1, 3, width=12.5, height=3.7)
    shares = (100.0 * pd.Series(y)).groupby([person["class"], person["sex"]]).mean().unstack()
    for k, sex in enumerate(("female", "male")):
        places = np.arange(len(shares)) + 0.2 * (2 * k - 1)
        look.bar(places, shares[sex], width=0.38, color=plots.PALETTE[k], label=sex)
    look.set_xticks(range(len(shares)), [f"class {level:g}" for level in shares.index])
    look.set(title="Who lived", ylabel="of them lived (%)", ylim=(0, 108))
    look.grid(axis="x", visible=False)
    look.legend(fontsize=8, ncols=2, loc="upper right")
    percent = {TITLES[m]: 100 * np.array(judged.scores[m, "accuracy"]) for m in TITLES}
    blue, orange, red = plots.PALETTE[0], plots.PALETTE[1], plots.PALETTE[3]
    draw_dots(models, percent, {TITLES["averaged"]: blue, TITLES["strong"]: orange})
    models.set(title="Rows held out", xlabel="accuracy (%)")
    percent = {WAYS[way]: 100 * np.array(values) for way, values in ways.items()}
    draw_dots(leaks, percent, {WAYS[w]: red if w in ("whole", "self") else blue for w in WAYS})
    leaks.set(title="What became of one's party", xlabel="accuracy of the forest (%)")
    run.figure(
        "titanic",
        figure,
        "The share that lived by class and sex; each model's accuracy on rows held out, one dot a "
        "repetition; one forest with the column of the party's fate made in five ways, of which "
        "the last two leak.",
    )
