r"""Tell who will leave: naive Bayes, what it is too sure of, and what boosting finds beyond it.

A company's customers, and whether they left. The plan's model is naive Bayes over categories, with
numbers cut at their quantiles. It counts evidence that columns have in common more than once:
months, charges and contract say much the same. Its order of the customers is good all the same, its
probabilities are not, and the second panel shows both before and after a monotone map learnt on
held-out rows. Logistic regression weighs the columns together; boosted trees, tuned inside the
training rows, find what columns do only together.

All scores are of rows held out, in repeated cross-validation. On the generated table the
probabilities are known, and with them the largest area under the curve that can be reached. The
last panel has what a model is for: of all who leave, how many are among the first so many that are
called.

Pedro Domingos and Michael Pazzani, On the optimality of the simple Bayesian classifier under
zero-one loss, 1997.
"""

from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from annotated_types import Ge
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline

from groundwork import Claim, Run, plots
from groundwork.data import tables
from supervised_learning import CategoricalNB, LogisticRegression
from tabular_labs import generated, leakage
from tabular_labs.calibration import calibration_error, reliability
from tabular_labs.encoding import Binned, dense
from tabular_labs.evaluation import Evaluation, cross_validate
from tabular_labs.prediction import Deployed, keep
from tabular_labs.schema import Schema
from tabular_labs.slices import worst_slices
from tabular_labs.tuning import TunedBooster

PRESETS = {
    "smoke": {"rows": 800, "repetitions": 1, "folds": 3, "trials": 2, "rounds": 60},
    "default": {},
    "full": {"data": "telco_churn", "folds": 5, "trials": 20},
}
CLAIMS = [
    Claim("auc.naive-bayes", ">=", 0.7, presets=("smoke", "default")),
    Claim("behind_best.lightgbm", "<=", 0.02, presets=("default",)),
    Claim("auc.lightgbm", ">=", 0.84, presets=("full",)),
    Claim("lightgbm_over_plan", ">=", 0.0, presets=("default", "full")),
    Claim("calibration_error.naive-bayes", ">=", 0.03, presets=("default", "full")),
    Claim("calibration_error.calibrated", "<=", 0.03, presets=("default", "full")),
]
TITLES = {
    "baseline": "share of all",
    "naive-bayes": "naive Bayes",
    "calibrated": "naive Bayes, calibrated",
    "logistic": "logistic regression",
    "lightgbm": "LightGBM, tuned",
}


class BinnedNaiveBayes(ClassifierMixin, BaseEstimator):
    """Our `CategoricalNB` on numbers cut at quantiles and on categories."""

    def __init__(self, schema: Schema, bins: int = 8) -> None:
        self.schema, self.bins = schema, bins

    def fit(self, X: pd.DataFrame, y: NDArray[Any]) -> "BinnedNaiveBayes":
        """Cut, and count."""
        self.cut_ = Binned(self.schema, self.bins).fit(X)
        self.model_ = CategoricalNB(min_categories=self.cut_.sizes_).fit(self.cut_.transform(X), y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Probabilities (n, classes)."""
        return np.asarray(self.model_.predict_proba(self.cut_.transform(X)))

    def predict(self, X: pd.DataFrame) -> NDArray[Any]:
        """The more probable class."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(1)])


def main(
    run: Run,
    *,
    data: Annotated[Literal["generated", "telco_churn"], "the customers"] = "generated",
    rows: Annotated[int, Ge(100), "of the generated table"] = 4000,
    repetitions: Annotated[int, Ge(1), "of the cross-validation"] = 3,
    folds: Annotated[int, Ge(2), "of each cross-validation"] = 3,
    trials: Annotated[int, Ge(1), "of settings, for each fitting of the boosted trees"] = 10,
    rounds: Annotated[int, Ge(1), "of boosting at most"] = 500,
) -> None:
    """Look, check, judge on held-out rows, and leave the best model behind."""
    X, y, best = load(run, data, rows)
    schema = Schema.of(X)
    X = schema.conform(X)
    splits = [
        list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(X, y))
        for seed in run.seeds(repetitions)
    ]
    train, test = splits[0][0]
    found = leakage.check(X, y, schema, train=train, test=test, seed=run.seed)
    run.table("leakage", found, caption="Asked of the table before a model was trained")
    bayes = BinnedNaiveBayes(schema)
    strong = TunedBooster(schema, trials=trials, rounds=rounds, seed=run.seed)
    models = {
        "baseline": DummyClassifier(),
        "naive-bayes": bayes,
        "calibrated": CalibratedClassifierCV(bayes, method="isotonic", cv=5),
        "logistic": make_pipeline(dense(schema), LogisticRegression()),
        "lightgbm": strong,
    }
    judged = cross_validate(
        run, models, X, y, splits,
        {"auc": roc_auc_score, "log_loss": log_loss, "calibration_error": calibration_error},
    )  # fmt: skip
    judged.tell(run)
    differences = np.subtract(judged.scores["lightgbm", "auc"], judged.scores["naive-bayes", "auc"])
    run.metric("lightgbm_over_plan", list(differences))
    if best is not None:
        run.metric("auc.best", roc_auc_score(y, best))
        run.metric("behind_best.lightgbm", roc_auc_score(y, best) - judged.mean("lightgbm", "auc"))
    tell(run, X, y, schema, judged)
    draw(run, X, y, schema, judged, best)
    final = strong.fit(X, y)
    keep(run, Deployed(schema, final, "churn", ("stays", "leaves")))


def load(
    run: Run, data: str, rows: int
) -> tuple[pd.DataFrame, NDArray[np.int64], NDArray[np.float64] | None]:
    """The columns, 1 for those who left, and where it is known the probability of that."""
    if data == "generated":
        known = generated.customers(rows, run.seed)
        return known.X, known.y, known.probability
    X, y = tables.frame(data, run.data)
    return X, y.astype(np.int64), None


def tell(
    run: Run, X: pd.DataFrame, y: NDArray[np.int64], schema: Schema, judged: Evaluation
) -> None:
    """Scores side by side; where the strong model errs."""
    run.table(
        "scores",
        [
            {"model": TITLES[model]}
            | {
                title: judged.mean(model, score)
                for score, title in (
                    ("auc", "AUC"),
                    ("log_loss", "log loss"),
                    ("calibration_error", "calibration error"),
                )
            }
            for model in TITLES
        ],
        caption="On rows held out, the mean over repetitions",
    )
    said = np.clip(judged.said["lightgbm"], 1e-6, 1 - 1e-6)
    losses = -np.where(y == 1, np.log(said), np.log(1 - said))
    worst = worst_slices(X, losses, schema)
    run.table("errors", worst, caption="Where the log loss of the tuned trees is highest")


def draw(
    run: Run,
    X: pd.DataFrame,
    y: NDArray[np.int64],
    schema: Schema,
    judged: Evaluation,
    best: NDArray[np.float64] | None,
) -> None:
    """The strongest columns; reliability; who is found among the first called."""
    figure, axes = plots.figure(1, 3, width=11.5, height=3.6)
    strengths = leakage.column_strengths(X, y, schema, seed=run.seed)
    names = list(strengths)[:8][::-1]
    axes[0].barh(names, [strengths[name] for name in names], color=plots.PALETTE[0])
    axes[0].set(title="Each column by itself", xlabel="AUC", xlim=(0.5, None))
    for k, model in enumerate(("naive-bayes", "calibrated", "lightgbm")):
        told, true, _ = reliability(y, judged.said[model])
        axes[1].plot(told, true, "o-", markersize=3.5, color=plots.PALETTE[k], label=TITLES[model])
    axes[1].plot([0, 1], [0, 1], ":", color=plots.PALETTE[7])
    axes[1].set(title="Said and seen", xlabel="probability said", ylabel="share that left")
    axes[1].legend(fontsize=8)
    called = np.linspace(0, 100, 101)
    for k, model in enumerate(("baseline", "naive-bayes", "logistic", "lightgbm")):
        if model == "baseline":
            axes[2].plot(called, called, ":", color=plots.PALETTE[7], label="at random")
            continue
        axes[2].plot(
            called, caught(y, judged.said[model], called), color=plots.PALETTE[k],
            label=TITLES[model],
        )  # fmt: skip
    if best is not None:
        line = caught(y, best, called)
        axes[2].plot(called, line, "--", color="#20242c", linewidth=1, label="true probabilities")
    axes[2].set(title="Whom a call reaches", xlabel="customers called (%)")
    axes[2].set(ylabel="of those who leave (%)")
    axes[2].legend(fontsize=8, loc="lower right")
    run.figure(
        "churn",
        figure,
        "The area under the curve of each column alone; probabilities against what came true, in "
        "ten bins; the share of leaving customers among the first called.",
    )


def caught(
    y: NDArray[np.int64], said: NDArray[np.float64], called: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The share of class 1, in percent, among the highest so many percent of all rows."""
    order = np.argsort(-said, kind="stable")
    totals = np.concatenate([[0], np.cumsum(y[order])])
    return np.asarray(100 * totals[np.round(called / 100 * len(y)).astype(int)] / y.sum())
