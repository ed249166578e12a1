"""Name an iris by its nearest neighbors, with their number chosen where the answer is not seen.

Four lengths of 150 flowers, three species. How many neighbors are asked, and whether the lengths
are standardized first, is chosen by cross-validation inside the training rows of each fold: a
number chosen by the test flowers is the oldest way to a score that is too good. Equal flowers
(there are some) stay in one fold.

The strong model is chosen in the same way among boosted trees, a kernel machine and a linear
discriminant. On 150 rows it is not the trees: two species differ along a slanted line, which a tree
has to draw in steps. One flower is two thirds of a point, so that models a point apart are alike;
the table tells on how many flowers they differ.

The first panel has the regions of the neighbors by the petals alone; the second the accuracy for
each number of neighbors, and how often the inner folds chose it.

Ronald Fisher, The use of multiple measurements in taxonomic problems, 1936; Evelyn Fix and Joseph
Hodges, Discriminatory analysis: nonparametric discrimination, 1951.
"""

from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from groundwork import Claim, Run, plots
from groundwork.data import tables
from supervised_learning import SVC, KNeighborsClassifier, LinearDiscriminantAnalysis
from tabular_labs import leakage
from tabular_labs.choosing import Chosen
from tabular_labs.dots import draw_dots
from tabular_labs.evaluation import Evaluation, cross_validate
from tabular_labs.folds import accuracy, repeated_folds, twin_groups
from tabular_labs.prediction import Deployed, keep
from tabular_labs.schema import Schema
from tabular_labs.tuning import TunedBooster

PRESETS = {
    "smoke": {
        "repetitions": 1, "folds": 2, "neighbors": (1, 5, 9), "trials": 1, "rounds": 20,
        "inner": 2, "prices": (10.0,),
    },
    "default": {},
    "full": {"data": "rubix_iris", "repetitions": 10},
}  # fmt: skip
CLAIMS = [
    Claim("accuracy.neighbors", ">=", 0.9, presets=("smoke",)),
    Claim("accuracy.neighbors", ">=", 0.95, presets=("default", "full")),
    Claim("strong_over_plan", ">=", 0.0, presets=("default", "full")),
]
SPECIES = ("setosa", "versicolor", "virginica")
TITLES = {
    "baseline": "one species for all",
    "neighbors": "nearest neighbors",
    "lightgbm": "LightGBM, tuned",
    "catboost": "CatBoost, tuned",
    "machine": "kernel machine, tuned",
    "discriminant": "linear discriminant",
    "strong": "chosen among the four",
}


def main(
    run: Run,
    *,
    data: Annotated[Literal["iris", "rubix_iris"], "the flowers"] = "iris",
    repetitions: Annotated[int, Ge(1), "of the cross-validation"] = 3,
    folds: Annotated[int, Ge(2), "of each cross-validation"] = 5,
    neighbors: Annotated[tuple[int, ...], Ge(1), "the numbers to choose from"] = (
        1, 3, 5, 7, 9, 11, 13, 15, 19, 23, 29, 35,
    ),
    trials: Annotated[int, Ge(1), "of settings, for each fitting of boosted trees"] = 3,
    rounds: Annotated[int, Ge(1), "of boosting at most"] = 150,
    inner: Annotated[int, Ge(2), "folds of the choices inside"] = 5,
    prices: Annotated[tuple[float, ...], Gt(0), "C of the kernel machines to choose from"] = (
        1.0, 10.0, 100.0,
    ),
) -> None:  # fmt: skip
    """Look, check, choose inside the folds, judge outside of them, and leave a model behind."""
    X, y = load(run, data)
    schema = Schema.of(X)
    X = schema.conform(X)
    splits = repeated_folds(y, twin_groups(X), folds, run.seeds(repetitions))
    train, test = splits[0][0]
    found = leakage.check(X, y, schema, train=train, test=test, seed=run.seed)
    run.table("leakage", found, caption="Asked of the table before a model was trained")
    models = candidates(schema, neighbors, trials, rounds, inner, prices, run.seed)
    judged = cross_validate(
        run, models, X, y, splits, {"accuracy": accuracy, "log_loss": _log_loss},
        keep=lambda model: getattr(model, "name_", ""),
    )  # fmt: skip
    judged.tell(run)
    over = np.subtract(judged.scores["strong", "accuracy"], judged.scores["neighbors", "accuracy"])
    run.metric("strong_over_plan", list(over))
    by_number = cross_validate(
        run, {str(k): _neighbors(k, scaled=False) for k in neighbors}, X, y, splits,
        {"accuracy": accuracy}, name="numbers",
    )  # fmt: skip
    tell(run, X, y, judged)
    draw(run, X, y, judged, by_number, models["neighbors"])
    final = models["strong"].fit(X, y)
    keep(run, Deployed(schema, final, "species", SPECIES))


def load(run: Run, data: str) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Four lengths in cm, and the species 0, 1, 2 as in `SPECIES`."""
    if data == "iris":
        X, y = tables.frame(data, run.data)
        return X, y.astype(np.int64)
    frame = run.data(data)["frame"]
    names = [f"Iris-{species}" for species in SPECIES]
    return frame.drop(columns="class"), frame["class"].map(names.index).to_numpy(np.int64)


def candidates(
    schema: Schema,
    neighbors: tuple[int, ...],
    trials: int,
    rounds: int,
    inner: int,
    prices: tuple[float, ...],
    seed: int,
) -> dict[str, Any]:
    """The baseline, the plan's model, the strong families and the choice among them."""
    asked = {
        f"{k}{' standardized' if scaled else ''}": _neighbors(k, scaled)
        for k in neighbors
        for scaled in (False, True)
    }
    machines = {
        f"C = {C:g}, gamma = {gamma:g}": make_pipeline(
            StandardScaler(),
            CalibratedClassifierCV(SVC(C=C, gamma=gamma), cv=inner, ensemble=False),
        )
        for C in prices
        for gamma in (0.02, 0.1)
    }
    families = {
        "lightgbm": TunedBooster(schema, trials=trials, rounds=rounds, seed=seed),
        "catboost": TunedBooster(schema, "catboost", trials=trials, rounds=rounds, seed=seed),
        "machine": Chosen(machines, folds=min(3, inner), seed=seed),
        "discriminant": LinearDiscriminantAnalysis(),
    }
    return {
        "baseline": DummyClassifier(),
        "neighbors": Chosen(asked, by="error", folds=inner, repetitions=2, seed=seed),
        **families,
        "strong": Chosen(families, folds=inner, seed=seed),
    }


def _neighbors(k: int, scaled: bool) -> Any:
    first = StandardScaler() if scaled else FunctionTransformer()
    return make_pipeline(first, KNeighborsClassifier(k))


def _log_loss(y: NDArray[Any], said: NDArray[np.float64]) -> float:
    return float(log_loss(y, said, labels=[0, 1, 2]))


def tell(run: Run, X: pd.DataFrame, y: NDArray[np.int64], judged: Evaluation) -> None:
    """Scores side by side, what was chosen, and the flowers that are mistaken."""
    wrong = {model: judged.said[model].argmax(1) != y for model in TITLES}
    run.metric("flowers_apart", int((wrong["strong"] != wrong["neighbors"]).sum()))
    run.table(
        "scores",
        [
            {
                "model": TITLES[model],
                "accuracy": judged.mean(model, "accuracy"),
                "spread": float(np.std(judged.scores[model, "accuracy"])),
                "log loss": judged.mean(model, "log_loss"),
                "flowers wrong": int(wrong[model].sum()),
                "not as the neighbors": int((wrong[model] != wrong["neighbors"]).sum()),
            }
            for model in TITLES
        ],
        caption="On flowers held out: the mean over repetitions; flowers of the first",
    )
    chosen = [
        {"model": TITLES[model], "chosen": str(name), "folds": int(count)}
        for model in ("neighbors", "strong")
        for name, count in pd.Series(judged.fitted[model]).value_counts().items()
    ]
    run.table("chosen", chosen, caption="What the inner folds chose")
    rows = []
    for i in np.flatnonzero(wrong["neighbors"] | wrong["strong"]):
        flower = {name: float(X[name].iloc[i]) for name in X} | {"species": SPECIES[y[i]]}
        for model in ("neighbors", "strong"):
            flower[TITLES[model]] = SPECIES[judged.said[model][i].argmax()]
        rows.append(flower)
    if rows:
        run.table("errors", rows, caption="The flowers that one of the two mistakes")


def draw(
    run: Run,
    X: pd.DataFrame,
    y: NDArray[np.int64],
    judged: Evaluation,
    by_number: Evaluation,
    chooser: Chosen,
) -> None:
    """The regions by the petals; accuracy by the number of neighbors; the models."""
    figure, (regions, numbers, scores) = plots.figure(1, 3, width=12.0, height=3.7)
    petals = X.iloc[:, 2:4]
    model = chooser.fit(petals, y)
    across, up = np.meshgrid(np.linspace(0.6, 7.2, 220), np.linspace(-0.1, 2.7, 180))
    grid = pd.DataFrame(np.column_stack([across.ravel(), up.ravel()]), columns=petals.columns)
    areas = model.predict(grid).reshape(across.shape)
    regions.contourf(
        across, up, areas, levels=[-0.5, 0.5, 1.5, 2.5], colors=plots.PALETTE[:3], alpha=0.2
    )
    for k, species in enumerate(SPECIES):
        regions.plot(
            *petals[y == k].to_numpy().T, "o", markersize=3.2, color=plots.PALETTE[k], label=species
        )
    missed = judged.said["neighbors"].argmax(1) != y
    regions.plot(
        *petals[missed].to_numpy().T, "o", markersize=9, fillstyle="none", color="#20242c",
        label="mistaken, held out", markeredgewidth=1.1,
    )  # fmt: skip
    asked = str(model.name_).split()[0]
    regions.set(title=f"By the petals, {asked} neighbor{'s' * (asked != '1')}")
    regions.set(xlabel="petal length (cm)", ylabel="petal width (cm)")
    regions.legend(fontsize=8, loc="upper left")
    counts = [int(model) for model, _ in by_number.scores]
    means = [100 * by_number.mean(str(k), "accuracy") for k in counts]
    bars = pd.Series([int(name.split()[0]) for name in judged.fitted["neighbors"]]).value_counts()
    beside = numbers.twinx()
    beside.bar(bars.index, bars.to_numpy(), width=1.2, color=plots.PALETTE[7], alpha=0.35)
    beside.set(ylabel="times chosen", ylim=(0, 3 * bars.max()))
    beside.grid(visible=False)
    numbers.set_zorder(beside.get_zorder() + 1)
    numbers.patch.set_visible(False)
    numbers.plot(counts, means, "o-", markersize=4, color=plots.PALETTE[0])
    numbers.set(title="How many to ask", xlabel="neighbors", ylabel="accuracy, held out (%)")
    numbers.set(ylim=(min(means) - 4, max(means) + 1))
    percent = {
        TITLES[m]: 100 * np.array(judged.scores[m, "accuracy"]) for m in TITLES if m != "baseline"
    }
    colors = {TITLES["neighbors"]: plots.PALETTE[0], TITLES["strong"]: plots.PALETTE[1]}
    draw_dots(scores, percent, colors)
    scores.set(title="Each repetition", xlabel="accuracy, held out (%)")
    run.figure(
        "iris",
        figure,
        "Regions of the neighbors by the petals, and the flowers mistaken when held out; the "
        "accuracy for each number of neighbors, and how often it was chosen; each model's "
        "accuracy in each repetition, its mean marked.",
    )
