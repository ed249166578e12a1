"""Tell who is divorced by 54 answers, and find out that a few would have done.

170 couples say from 0 to 4 how far each of 54 sentences is true of them. The sentences ask one
thing in many ways: the first principal component holds most of what the answers have, and the
second panel how few questions do as well as all. Questions are picked inside the training rows, one
by one by their correlation with the answer, or so that they differ from those picked before.

Nearest neighbors need nothing else here: couples alike in their answers are alike. What is left is
a handful of couples who answer like the others, and whom every model mistakes; so does the strong
one, chosen in the training rows among boosted trees, logistic regression and a kernel machine. Some
couples gave the same answers throughout; they stay in one fold.

The leakage check asks a good question: single sentences nearly tell the answer. The questions were
put to people who were divorced already or were not. What is measured is how a divorce is described,
and not how well one can be foretold.

Mustafa Kemal Yöntem and others, Divorce prediction using correlation based feature selection and
artificial neural networks, 2019.
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
from sklearn.preprocessing import StandardScaler

from groundwork import Claim, Run, plots
from supervised_learning import SVC, KNeighborsClassifier, LogisticRegression
from tabular_labs import leakage
from tabular_labs.choosing import Chosen
from tabular_labs.evaluation import Evaluation, Split, cross_validate
from tabular_labs.folds import accuracy, repeated_folds, twin_groups
from tabular_labs.prediction import Deployed, keep
from tabular_labs.questionnaire import TopQuestions, couples
from tabular_labs.schema import Schema
from tabular_labs.tuning import TunedBooster
from unsupervised_learning import PCA

PRESETS = {
    "smoke": {
        "rows": 90, "repetitions": 1, "folds": 2, "neighbors": (1, 5), "counts": (1, 3, 30),
        "trials": 1, "rounds": 20, "inner": 2, "prices": (1.0,),
    },
    "default": {},
    "full": {
        "data": "rubix_divorce", "repetitions": 10, "counts": (1, 2, 3, 5, 8, 15, 54),
    },
}  # fmt: skip
CLAIMS = [
    Claim("accuracy.neighbors", ">=", 0.85, presets=("smoke",)),
    Claim("accuracy.neighbors", ">=", 0.93, presets=("default",)),
    Claim("accuracy.neighbors", ">=", 0.97, presets=("full",)),
    Claim("strong_over_plan", ">=", 0.0, presets=("default", "full")),
    Claim("few_behind_all", "<=", 0.01, presets=("full",)),
    Claim("first_component", ">=", 0.4),
]
TITLES = {
    "baseline": "one answer for all",
    "neighbors": "nearest neighbors",
    "lightgbm": "LightGBM, tuned",
    "catboost": "CatBoost, tuned",
    "logistic": "logistic regression",
    "machine": "kernel machine, tuned",
    "strong": "chosen among the four",
}
LABELS = ("married", "divorced")
#: How many questions are called few.
FEW = 5


def main(
    run: Run,
    *,
    data: Annotated[Literal["generated", "rubix_divorce"], "the couples"] = "generated",
    rows: Annotated[int, Ge(40), "of the generated table"] = 200,
    repetitions: Annotated[int, Ge(1), "of the cross-validation"] = 3,
    folds: Annotated[int, Ge(2), "of each cross-validation"] = 5,
    neighbors: Annotated[tuple[int, ...], Ge(1), "the numbers to choose from"] = (
        1, 3, 5, 9, 15, 25,
    ),
    counts: Annotated[tuple[int, ...], Ge(1), "of questions to try"] = (1, 2, 3, 5, 8, 15, 30),
    trials: Annotated[int, Ge(1), "of settings, for each fitting of boosted trees"] = 3,
    rounds: Annotated[int, Ge(1), "of boosting at most"] = 150,
    inner: Annotated[int, Ge(2), "folds of the choices inside"] = 5,
    prices: Annotated[tuple[float, ...], Gt(0), "C of the kernel machines to choose from"] = (
        0.3, 1.0, 10.0,
    ),
) -> None:  # fmt: skip
    """Look, check, choose inside the folds, judge outside of them, and leave a model behind."""
    X, y = load(run, data, rows)
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
    few = try_counts(run, X, y, splits, counts)
    tell(run, X, y, judged)
    draw(run, X, y, judged, few, counts)
    final = models["strong"].fit(X, y)
    keep(run, Deployed(schema, final, "couple", LABELS))


def load(run: Run, data: str, rows: int) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """The answers from 0 to 4, and 1 for the divorced."""
    if data == "generated":
        known = couples(rows, run.seed)
        return known.X, known.y
    frame = run.data(data)["frame"]
    return frame.drop(columns="Class"), (frame["Class"] == "divorced").to_numpy(np.int64)


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
    asked = {str(k): KNeighborsClassifier(k) for k in neighbors}
    machines = {
        f"C = {C:g}": make_pipeline(
            StandardScaler(), CalibratedClassifierCV(SVC(C=C), cv=inner, ensemble=False)
        )
        for C in prices
    }
    lines = {
        f"C = {C:g}": make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=500))
        for C in (0.001, 0.01, 0.1, 1.0)
    }
    families = {
        "lightgbm": TunedBooster(schema, trials=trials, rounds=rounds, seed=seed),
        "catboost": TunedBooster(schema, "catboost", trials=trials, rounds=rounds, seed=seed),
        "logistic": Chosen(lines, folds=inner, seed=seed),
        "machine": Chosen(machines, folds=min(3, inner), seed=seed),
    }
    return {
        "baseline": DummyClassifier(),
        "neighbors": Chosen(asked, by="error", folds=inner, repetitions=2, seed=seed),
        **families,
        "strong": Chosen(families, folds=inner, seed=seed),
    }


def _log_loss(y: NDArray[Any], said: NDArray[np.float64]) -> float:
    return float(log_loss(y, said, labels=[0, 1]))


def try_counts(
    run: Run,
    X: pd.DataFrame,
    y: NDArray[np.int64],
    splits: list[list[Split]],
    counts: tuple[int, ...],
) -> Evaluation:
    """Neighbors on the best few questions, picked in each fold's training rows in two ways."""
    ways = {
        f"{way}@{count}": make_pipeline(TopQuestions(count, apart), KNeighborsClassifier(9))
        for way, apart in (("ranked", 0.0), ("apart", 0.5))
        for count in sorted({*counts, FEW})
    }
    few = cross_validate(
        run, ways, X, y, splits, {"accuracy": accuracy}, keep=lambda model: model[0].names_,
        name="questions",
    )  # fmt: skip
    few.tell(run)
    all_of_them = few.mean(f"apart@{max(counts)}", "accuracy")
    run.metric("few_behind_all", all_of_them - few.mean(f"apart@{FEW}", "accuracy"))
    picks = pd.Series([name for names in few.fitted[f"apart@{FEW}"] for name in names])
    share = picks.value_counts() / sum(len(folds) for folds in splits)
    run.table(
        "questions",
        [{"question": name, "share of the folds": float(value)} for name, value in share.items()],
        caption=f"How often a question is among the {FEW} that are picked in a fold",
    )
    return few


def tell(run: Run, X: pd.DataFrame, y: NDArray[np.int64], judged: Evaluation) -> None:
    """Scores side by side; the couples whom models mistake."""
    wrong = {model: (judged.said[model] >= 0.5) != y for model in TITLES}
    run.table(
        "scores",
        [
            {
                "model": TITLES[model],
                "accuracy": judged.mean(model, "accuracy"),
                "spread": float(np.std(judged.scores[model, "accuracy"])),
                "log loss": judged.mean(model, "log_loss"),
                "couples wrong": int(wrong[model].sum()),
                "not as the neighbors": int((wrong[model] != wrong["neighbors"]).sum()),
            }
            for model in TITLES
        ],
        caption="On couples held out: the mean over repetitions; couples of the first",
    )
    middle = [np.abs(X.to_numpy() - X[y == k].mean().to_numpy()).mean(1) for k in (0, 1)]
    rows = [
        {
            "row": int(i) + 1,
            "is": LABELS[y[i]],
            "from the mean of the married": float(middle[0][i]),
            "from the mean of the divorced": float(middle[1][i]),
            "models that mistake it": sum(int(wrong[m][i]) for m in TITLES if m != "baseline"),
        }
        for i in np.flatnonzero(wrong["neighbors"] | wrong["strong"])
    ]
    if rows:
        run.table("errors", rows, caption="Who is mistaken, with the mean distance of an answer")


def draw(
    run: Run,
    X: pd.DataFrame,
    y: NDArray[np.int64],
    judged: Evaluation,
    few: Evaluation,
    counts: tuple[int, ...],
) -> None:
    """The questions' correlations; how few suffice; the couples in a plane."""
    figure, (like, enough, plane) = plots.figure(1, 3, width=12.0, height=3.8)
    image = like.imshow(np.corrcoef(X.to_numpy().T), cmap="RdBu_r", vmin=-1, vmax=1)
    ticks = np.arange(9, X.shape[1], 10)
    like.set_xticks(ticks, [f"{k + 1}" for k in ticks])
    like.set_yticks(ticks, [f"{k + 1}" for k in ticks])
    like.grid(visible=False)
    like.set(title="Questions are alike", xlabel="question", ylabel="question")
    figure.colorbar(image, ax=like, label="correlation", shrink=0.85)
    shown = sorted({*counts, FEW})
    for k, (way, label) in enumerate((("ranked", "one by one"), ("apart", "unlike those before"))):
        values = np.array([few.scores[f"{way}@{count}", "accuracy"] for count in shown]) * 100
        enough.errorbar(
            shown, values.mean(1), values.std(1), fmt="o-", markersize=4, capsize=2, label=label,
            color=plots.PALETTE[k],
        )  # fmt: skip
    enough.set_xscale("log")
    enough.set_xticks(shown, [str(count) for count in shown])
    enough.minorticks_off()
    enough.set(title="How many are enough", xlabel="questions asked")
    enough.set(ylabel="accuracy, held out (%)")
    enough.legend(fontsize=8, loc="lower right", title="picked", title_fontsize=8)
    pca = PCA(n_components=2).fit(X.to_numpy())
    run.metric("first_component", float(pca.explained_variance_ratio_[0]))
    places = pca.transform(X.to_numpy())
    for k, label in enumerate(LABELS):
        plane.plot(
            *places[y == k].T, "o", markersize=3.5, alpha=0.7, color=plots.PALETTE[(0, 3)[k]],
            label=label,
        )  # fmt: skip
    missed = (judged.said["neighbors"] >= 0.5) != y
    plane.plot(
        *places[missed].T, "o", markersize=9, fillstyle="none", color="#20242c",
        markeredgewidth=1.1, label="mistaken",
    )  # fmt: skip
    share = 100 * pca.explained_variance_ratio_
    plane.set(title="The couples", xlabel=f"first component ({share[0]:.0f} % of the variance)")
    plane.set(ylabel=f"second component ({share[1]:.0f} %)")
    plane.legend(fontsize=8)
    run.figure(
        "divorce",
        figure,
        "Correlations between questions; accuracy of the neighbors by how many questions are "
        "asked, picked in each fold in two ways; the couples by their first two components, those "
        "mistaken when held out circled.",
    )
