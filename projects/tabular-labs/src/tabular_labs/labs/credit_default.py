r"""Tell which credit-card bills will not be paid, and draw the line by what mistakes cost.

Six months of bills, payments and delays, and whether the seventh was paid. The plan's model is
logistic regression. How far it gets is decided by its columns: a status such as `m+2` is a number
and a category at once, a balance means little without its limit, and a payment little without the
bill that it settles. The same model stands in the table with the columns as they are. Boosted
trees, tuned inside the training rows, need less of that.

The bank has to decide. If a missed default costs as much as r needless alarms, an alarm pays from
the probability 1 / (1 + r) on. The last panel has the cost at every threshold; the marks are where
the rule puts it, which is the lowest point only where probabilities are true.

The map is t-SNE's, made without the answers. It has islands of like statements, not of defaults:
what the neighbors on the map say is told as a score, and it is less than any model's.

I-Cheng Yeh and Che-hui Lien, The comparisons of data mining techniques for the predictive accuracy
of probability of default of credit card clients, 2009; Charles Elkan, The foundations of
cost-sensitive learning, 2001; Laurens van der Maaten and Geoffrey Hinton, Visualizing data using
t-SNE, 2008.
"""

from typing import Annotated, Literal

import numpy as np
import pandas as pd
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from groundwork import Claim, Run, plots
from supervised_learning import KNeighborsClassifier, LogisticRegression
from tabular_labs import credit, leakage
from tabular_labs.calibration import calibration_error, reliability
from tabular_labs.decisions import cost, cost_curve, threshold
from tabular_labs.encoding import dense
from tabular_labs.evaluation import Evaluation, cross_validate
from tabular_labs.generated_credit import cards
from tabular_labs.prediction import Deployed, keep
from tabular_labs.schema import Schema
from tabular_labs.slices import worst_slices
from tabular_labs.tuning import TunedBooster
from unsupervised_learning import TSNE

PRESETS = {
    "smoke": {
        "rows": 600, "repetitions": 1, "folds": 2, "trials": 1, "rounds": 40, "mapped": 150,
    },
    "default": {},
    "full": {"data": "rubix_credit", "folds": 5, "trials": 12, "mapped": 3000},
}  # fmt: skip
CLAIMS = [
    Claim("derived_error", "<=", 1e-3),
    Claim("auc.logistic", ">=", 0.65, presets=("smoke", "default")),
    Claim("behind_best.lightgbm", "<=", 0.03, presets=("default",)),
    Claim("auc.lightgbm", ">=", 0.77, presets=("full",)),
    Claim("lightgbm_over_plan", ">=", 0.0, presets=("default", "full")),
    Claim("columns_gain", ">=", 0.02, presets=("full",)),
    Claim("calibration_error.lightgbm", "<=", 0.02, presets=("full",)),
    Claim("cost_over_least.lightgbm", "<=", 1.03, presets=("default", "full")),
    Claim("cost_at_half_over_rule", ">=", 1.1, presets=("default", "full")),
]
TITLES = {
    "baseline": "share of all",
    "plain": "logistic regression, columns as they are",
    "logistic": "logistic regression",
    "lightgbm": "LightGBM, tuned",
}


def main(
    run: Run,
    *,
    data: Annotated[Literal["generated", "rubix_credit"], "the customers"] = "generated",
    rows: Annotated[int, Ge(200), "of the generated table"] = 6000,
    repetitions: Annotated[int, Ge(1), "of the cross-validation"] = 3,
    folds: Annotated[int, Ge(2), "of each cross-validation"] = 3,
    trials: Annotated[int, Ge(1), "of settings, for each fitting of the boosted trees"] = 8,
    rounds: Annotated[int, Ge(1), "of boosting at most"] = 500,
    ratio: Annotated[float, Gt(0), "what a missed default costs, in needless alarms"] = 5.0,
    mapped: Annotated[int, Ge(100), "customers on the map"] = 1200,
) -> None:
    """Look, check, judge on held-out rows, draw the line, and leave the best model behind."""
    table, y, best = load(run, data, rows)
    run.metric("derived_error", credit.derived_error(table))
    raw = Schema.of(table[list(credit.RAW)])
    X = credit.features(raw.conform(table))
    every, trees = Schema.of(X), Schema.of(X.drop(columns=list(credit.STATUS)))
    plain = Schema.of(X[[name for name in X if name in credit.RAW or name.startswith("delay")]])
    plain = Schema(tuple(column for column in plain.columns if column.name not in credit.STATUS))
    splits = [
        list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(X, y))
        for seed in run.seeds(repetitions)
    ]
    train, test = splits[0][0]
    found = leakage.check(X, y, trees, train=train, test=test, seed=run.seed)
    run.table("leakage", found, caption="Asked of the table before a model was trained")
    strong = TunedBooster(trees, trials=trials, rounds=rounds, seed=run.seed)
    models = {
        "baseline": DummyClassifier(),
        "plain": make_pipeline(dense(plain), LogisticRegression(max_iter=500)),
        "logistic": make_pipeline(
            dense(every, log=credit.AMOUNTS), LogisticRegression(C=0.3, max_iter=500)
        ),
        "lightgbm": strong,
    }
    judged = cross_validate(
        run, models, X, y, splits,
        {"auc": roc_auc_score, "log_loss": log_loss, "calibration_error": calibration_error},
    )  # fmt: skip
    judged.tell(run)
    auc = {model: np.array(judged.scores[model, "auc"]) for model in models}
    run.metric("lightgbm_over_plan", list(auc["lightgbm"] - auc["logistic"]))
    run.metric("columns_gain", list(auc["logistic"] - auc["plain"]))
    if best is not None:
        run.metric("auc.best", roc_auc_score(y, best))
        run.metric("behind_best.lightgbm", roc_auc_score(y, best) - auc["lightgbm"].mean())
    tell(run, X, y, trees, judged, ratio)
    sample = np.sort(run.rng.permutation(len(y))[:mapped])
    places = embed(run, X.iloc[sample], every, y[sample])
    draw(run, table, y, judged, ratio, places, y[sample])
    final = strong.fit(X, y)
    keep(run, Deployed(raw, final, "default", ("no", "yes"), credit.features))


def load(
    run: Run, data: str, rows: int
) -> tuple[pd.DataFrame, NDArray[np.int64], NDArray[np.float64] | None]:
    """The table, 1 for those who default, and where it is known the probability of that."""
    if data == "generated":
        known = cards(rows, run.seed)
        return known.X, known.y, known.probability
    frame = run.data(data)["frame"]
    return frame, (frame["default"] == "yes").to_numpy(np.int64), None


def tell(
    run: Run,
    X: pd.DataFrame,
    y: NDArray[np.int64],
    schema: Schema,
    judged: Evaluation,
    ratio: float,
) -> None:
    """Scores and costs side by side; where the strong model errs."""
    at = threshold(ratio)
    rows = []
    for model in TITLES:
        said = judged.said[model]
        by_rule, least = cost(y, said, at, ratio), cost_curve(y, said, ratio)[1].min()
        run.metric(f"cost.{model}", by_rule, "alarms")
        run.metric(f"cost_over_least.{model}", by_rule / least)
        rows.append(
            {
                "model": TITLES[model],
                "AUC": judged.mean(model, "auc"),
                "log loss": judged.mean(model, "log_loss"),
                "calibration error": judged.mean(model, "calibration_error"),
                "cost at 1 / 2": cost(y, said, 0.5, ratio),
                "cost by the rule": by_rule,
                "least cost": least,
            }
        )
    at_half = cost(y, judged.said["lightgbm"], 0.5, ratio)
    run.metric("cost_at_half_over_rule", at_half / cost(y, judged.said["lightgbm"], at, ratio))
    run.table(
        "scores",
        rows,
        caption=f"On rows held out: the mean over repetitions; the costs (a customer, a missed "
        f"default is {ratio:g}) of the first. The least is known only afterwards.",
    )
    said = np.clip(judged.said["lightgbm"], 1e-6, 1 - 1e-6)
    losses = -np.where(y == 1, np.log(said), np.log(1 - said))
    worst = worst_slices(X, losses, schema)
    run.table("errors", worst, caption="Where the log loss of the tuned trees is highest")


def embed(run: Run, X: pd.DataFrame, schema: Schema, y: NDArray[np.int64]) -> NDArray[np.float64]:
    """A map of these rows (n, 2), made without y; what the neighbors on it say of y is told."""
    inputs = dense(schema, log=credit.AMOUNTS).fit_transform(X)
    places = TSNE(random_state=run.seed).fit_transform(inputs)
    folds = StratifiedKFold(5, shuffle=True, random_state=run.seed)
    neighbors = KNeighborsClassifier(30)
    said = cross_val_predict(neighbors, places, y, cv=folds, method="predict_proba")[:, 1]
    run.metric("auc.map", roc_auc_score(y, said))
    return np.asarray(places, np.float64)


def draw(
    run: Run,
    table: pd.DataFrame,
    y: NDArray[np.int64],
    judged: Evaluation,
    ratio: float,
    places: NDArray[np.float64],
    mapped: NDArray[np.int64],
) -> None:
    """The latest status; the map; reliability; the cost of each threshold."""
    figure, ((look, chart), (true, costs)) = plots.figure(2, 2, width=9.5, height=7.4)
    shares = pd.Series(100.0 * y).groupby(table["timeliness_1"].to_numpy()).agg(["mean", "size"])
    shares = shares[shares["size"] >= max(5, 0.0005 * len(y))]
    shares = shares.iloc[np.argsort([int(name[1:]) for name in shares.index])]
    look.bar(shares.index, shares["mean"], color=plots.PALETTE[0], width=0.7)
    look.axhline(100 * y.mean(), linestyle=":", color=plots.PALETTE[7])
    look.grid(axis="x", visible=False)
    look.set(title="Status of the latest month", ylabel="of whom default (%)", ylim=(0, None))
    for value, label in ((0, "pays"), (1, "defaults")):
        chart.plot(
            *places[mapped == value].T, ".", markersize=3.5, alpha=0.6, label=label,
            color=plots.PALETTE[(0, 3)[value]], rasterized=True,
        )  # fmt: skip
    chart.set(title="t-SNE, made without the answers", xticks=[], yticks=[])
    chart.margins(y=0.12)
    chart.legend(fontsize=8, markerscale=2.5, ncols=2, loc="upper right")
    at = threshold(ratio)
    for k, model in enumerate(("logistic", "lightgbm")):
        color = plots.PALETTE[k]
        said, seen, _ = reliability(y, judged.said[model])
        true.plot(said, seen, "o-", markersize=4, color=color, label=TITLES[model])
        places_of, values = cost_curve(y, judged.said[model], ratio)
        costs.plot(places_of, values, color=color, label=TITLES[model])
        by_rule = cost(y, judged.said[model], at, ratio)
        costs.plot(at, by_rule, "o", markersize=7, color=color, markeredgecolor="white")
    top = float(true.get_xlim()[1])
    true.plot([0, top], [0, top], ":", color=plots.PALETTE[7])
    true.set(title="Said and seen", xlabel="probability said", ylabel="share that defaults")
    true.legend(fontsize=8)
    low, high = costs.get_ylim()
    for place, label in ((at, f"the rule: {at:.2g}"), (0.5, "1 / 2")):
        costs.axvline(place, linestyle=":", color=plots.PALETTE[7], zorder=1)
        costs.text(place + 0.01, high - 0.04 * (high - low), label, va="top", fontsize=8)
    costs.set(title=f"A missed default costs {ratio:g} alarms", xlabel="alarm from probability")
    costs.set(ylabel="cost a customer", xlim=(0, 0.9))
    costs.legend(fontsize=8, loc="lower right")
    run.figure(
        "credit",
        figure,
        "The share that defaults by the latest status (m+2: two months late); customers on a map "
        "made without the answers; probabilities against what came true; the mean cost at every "
        "threshold, marked where 1 / (1 + r) puts it.",
    )
