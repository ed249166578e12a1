r"""Tell from a phone's motion what its owner does, and how well for owners never seen before.

Ten seconds of an accelerometer are a row of features; six activities are the classes. The plan's
model is softmax regression. The strong one is boosted trees, tuned, which are also told how a
window compares with the other windows of the same recording, without labels.

Two splits of the same rows tell two stories. At random, windows of one person are on both sides,
and a test window's nearest neighbor is nearly always a window of its own owner: that is the
protocol of the source, and it says how well known people are recognized. By user, whole people are
held out: that is what a new owner of the phone can expect, and it is the honest number for a
product. The first panel has both, for every person; the second, what is taken for what for new
people; the third, how far the probabilities can be trusted in either case.

J. R. Kwapisz, G. M. Weiss and S. A. Moore, Activity recognition using cell phone accelerometers,
2010 (ten folds at random: decision trees 85.1 %, logistic regression 78.1 %, a network 91.7 %).
"""

from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from annotated_types import Ge
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline

from groundwork import Claim, Run, plots
from supervised_learning import LogisticRegression
from tabular_labs import leakage
from tabular_labs.calibration import calibration_error, reliability
from tabular_labs.encoding import dense
from tabular_labs.evaluation import Evaluation, cross_validate
from tabular_labs.prediction import Deployed, keep
from tabular_labs.schema import Schema
from tabular_labs.sensors import ACTIVITIES, WindowModel, make_recordings, nearest_is_own
from tabular_labs.slices import worst_slices
from tabular_labs.tuning import TunedBooster

PRESETS = {
    "smoke": {"users": 8, "windows": 4, "repetitions": 1, "folds": 2, "trials": 1, "rounds": 15},
    "default": {},
    "full": {"data": "wisdm_har", "folds": 5, "trials": 4, "rounds": 150},
}
CLAIMS = [
    Claim("users.softmax.accuracy", ">=", 0.5),
    Claim("users.lightgbm_over_plan", ">=", 0.0, presets=("default", "full")),
    Claim("random.lightgbm_over_plan", ">=", 0.0, presets=("default", "full")),
    Claim("random.lightgbm.accuracy", ">=", 0.9, presets=("full",)),
    Claim("users.lightgbm.accuracy", ">=", 0.78, presets=("full",)),
    Claim("leak.lightgbm", ">=", 0.05, presets=("full",)),
    Claim("nearest_is_own.random", ">=", 0.3, presets=("full",)),
]
TITLES = {
    "baseline": "the commonest",
    "softmax": "softmax regression",
    "lightgbm": "LightGBM, tuned",
}
SPLITS = {"random": "known users", "users": "new users"}
PAPER = {"J48 decision tree": 0.851, "logistic regression": 0.781, "multilayer perceptron": 0.917}


def softmax_on(schema: Schema) -> Any:
    """Our logistic regression on standardized features."""
    return make_pipeline(dense(schema), LogisticRegression(C=0.3, max_iter=1000, tol=1e-3))


def trees_on(schema: Schema, *, trials: int, rounds: int, seed: int) -> TunedBooster:
    """Boosted trees that tune themselves."""
    return TunedBooster(schema, trials=trials, rounds=rounds, seed=seed)


def main(
    run: Run,
    *,
    data: Annotated[Literal["generated", "wisdm_har"], "the recordings"] = "generated",
    users: Annotated[int, Ge(4), "of the generated recordings"] = 12,
    windows: Annotated[int, Ge(2), "of a generated user's activity"] = 8,
    repetitions: Annotated[int, Ge(1), "of the cross-validation"] = 3,
    folds: Annotated[int, Ge(2), "of each cross-validation"] = 3,
    trials: Annotated[int, Ge(1), "of settings, for each fitting of the boosted trees"] = 2,
    rounds: Annotated[int, Ge(1), "of boosting at most"] = 40,
) -> None:
    """Look, check, judge by both splits, and leave the best model behind."""
    X, y, labels = load(run, data, users, windows)
    user = X["user"].to_numpy()
    schema = Schema.of(X)
    trees = partial(trees_on, trials=trials, rounds=rounds, seed=run.seed)
    models = {
        "baseline": DummyClassifier(),
        "softmax": WindowModel(softmax_on),
        "lightgbm": WindowModel(trees, relative=True),
    }
    judged, near = {}, {}
    numbers = X[schema.numbers].to_numpy(np.float64)
    for split in SPLITS:
        splits = [folds_of(split, folds, seed, y, user) for seed in run.seeds(repetitions)]
        near[split] = nearest_is_own(numbers, user, *splits[0][0])
        run.metric(f"nearest_is_own.{split}", near[split])
        judged[split] = cross_validate(
            run, models, X, y, splits,
            {"accuracy": top, "balanced_accuracy": balanced, "calibration_error": trust},
            groups=user if split == "users" else None, name=split,
        )  # fmt: skip
    train, test = splits[0][0]
    plain = X.drop(columns="user")
    found = leakage.check(plain, y, Schema.of(plain), train=train, test=test, seed=run.seed)
    found += [
        {
            "question": f"{title}: the nearest training window is the user's own",
            "found": f"{near[split]:.0%}",
            "worth a look": "yes" if near[split] > 0.1 else "no",
        }
        for split, title in SPLITS.items()
    ]
    run.table("leakage", found, caption="Asked of the table and of both splits")
    tell(run, X, y, schema, judged, labels, PAPER if data == "wisdm_har" else {})
    draw(run, y, user, judged, labels)
    final = models["lightgbm"].fit(X, y, user)
    keep(run, Deployed(schema, final, "activity", labels))


def load(
    run: Run, data: str, users: int, windows: int
) -> tuple[pd.DataFrame, NDArray[np.int64], tuple[str, ...]]:
    """The windows with a column `user`, the activities' numbers, and their names."""
    if data == "generated":
        X, y = make_recordings(run.rng, users=users, windows=windows)
        return X, y, ACTIVITIES
    frame = run.data(data)["frame"]
    y, names = pd.factorize(frame["class"], sort=True)
    X = frame.drop(columns=["UNIQUE_ID", "class"])
    X = X.drop(columns=[name for name in X if X[name].nunique(dropna=False) == 1])
    return X.assign(user="u" + X["user"].astype(str)), y.astype(np.int64), tuple(map(str, names))


def folds_of(
    split: str, folds: int, seed: int, y: NDArray[np.int64], user: NDArray[Any]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Whole users held out, or windows at random."""
    if split == "users":
        return list(GroupKFold(folds, shuffle=True, random_state=seed).split(y, y, user))
    return list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(y, y))


def top(y: NDArray[Any], said: NDArray[np.float64]) -> float:
    """The share of windows whose most probable class is right."""
    return float(accuracy_score(y, said.argmax(axis=1)))


def balanced(y: NDArray[Any], said: NDArray[np.float64]) -> float:
    """The same with each activity as heavy as any other."""
    return float(balanced_accuracy_score(y, said.argmax(axis=1)))


def trust(y: NDArray[Any], said: NDArray[np.float64]) -> float:
    """How far the most probable class's probability is from how often it is right."""
    return calibration_error((said.argmax(axis=1) == y).astype(int), said.max(axis=1))


def tell(
    run: Run,
    X: pd.DataFrame,
    y: NDArray[np.int64],
    schema: Schema,
    judged: dict[str, Evaluation],
    labels: tuple[str, ...],
    paper: dict[str, float],
) -> None:
    """Both splits side by side, the source's numbers beside them; where new users go wrong."""
    rows: list[dict[str, Any]] = []
    for split, found in judged.items():
        for (model, score), values in found.scores.items():
            run.metric(f"{split}.{model}.{score}", values)
        gains = np.subtract(
            found.scores["lightgbm", "accuracy"], found.scores["softmax", "accuracy"]
        )
        run.metric(f"{split}.lightgbm_over_plan", list(gains))
        rows += [
            {
                "split": SPLITS[split],
                "model": title,
                "accuracy": found.mean(model, "accuracy"),
                "mean over activities": found.mean(model, "balanced_accuracy"),
                "comparable with the source": "no: whole users out"
                if split == "users"
                else "yes"
                if paper
                else "no: generated",
            }
            for model, title in TITLES.items()
        ]
    for model in ("softmax", "lightgbm"):
        leak = judged["random"].mean(model, "accuracy") - judged["users"].mean(model, "accuracy")
        run.metric(f"leak.{model}", leak)
    rows += [
        {"split": "source, ten folds at random", "model": name, "accuracy": value,
         "mean over activities": None, "comparable with the source": "its own, 29 users"}
        for name, value in paper.items()
    ]  # fmt: skip
    run.table("scores", rows, caption="Accuracy on rows held out, the mean over repetitions")
    said = judged["users"].said["lightgbm"]
    losses = -np.log(np.clip(said[np.arange(len(y)), y], 1e-6, 1))
    worst = worst_slices(X, losses, schema)
    run.table("errors", worst, caption="New users: where the log loss is highest")
    run.table(
        "look",
        [
            {"activity": name, "windows": int(np.sum(y == c)),
             "users": int(X["user"][y == c].nunique()),
             "spread along Y (median)": float(X["YSTANDDEV"][y == c].median()),
             "time between peaks (median, ms)": float(X["YPEAK"][y == c].median()),
             "peaks not found": float(X["YPEAK"][y == c].isna().mean())}
            for c, name in enumerate(labels)
        ],
        caption="The recordings at a glance",
    )  # fmt: skip


def draw(
    run: Run,
    y: NDArray[np.int64],
    user: NDArray[Any],
    judged: dict[str, Evaluation],
    labels: tuple[str, ...],
) -> None:
    """Every person by both splits; what is taken for what; reliability."""
    figure, axes = plots.figure(1, 3, width=12.5, height=3.9)
    right = {s: found.said["lightgbm"].argmax(axis=1) == y for s, found in judged.items()}
    by_user = pd.DataFrame(right).groupby(user).mean().sort_values("users")
    for k, (split, title) in enumerate(SPLITS.items()):
        axes[0].plot(100 * by_user[split].to_numpy(), "o", markersize=4, label=title,
                     color=plots.PALETTE[1 - k])  # fmt: skip
    axes[0].set(title="Every person", xlabel="person", ylabel="accuracy (%)", xticks=[])
    axes[0].legend(fontsize=8, loc="lower right")
    table = np.zeros((len(labels), len(labels)))
    np.add.at(table, (y, judged["users"].said["lightgbm"].argmax(axis=1)), 1)
    table *= 100 / table.sum(axis=1, keepdims=True)
    axes[1].imshow(table, cmap="Blues", vmin=0, vmax=100)
    axes[1].grid(visible=False)
    for i, j in np.ndindex(table.shape):
        if table[i, j] >= 0.5:
            axes[1].text(j, i, f"{table[i, j]:.0f}", ha="center", va="center", fontsize=8,
                         color="white" if table[i, j] > 55 else "#20242c")  # fmt: skip
    axes[1].set_xticks(range(len(labels)), labels, rotation=40, ha="right", fontsize=8)
    axes[1].set_yticks(range(len(labels)), labels, fontsize=8)
    axes[1].set(title="New users: said of each (%)")
    for k, (split, title) in enumerate(SPLITS.items()):
        said = judged[split].said["lightgbm"]
        told, true, _ = reliability(right[split].astype(int), said.max(axis=1))
        axes[2].plot(told, true, "o-", markersize=3.5, label=title, color=plots.PALETTE[1 - k])
    axes[2].plot([0.3, 1], [0.3, 1], ":", color=plots.PALETTE[7])
    axes[2].set(title="Said and seen", xlabel="probability of the activity named")
    axes[2].set(ylabel="share named rightly")
    axes[2].legend(fontsize=8)
    run.figure(
        "activity",
        figure,
        "Tuned trees: the accuracy for each person, with windows of the same person in training "
        "and with none; for new people, what each activity is taken for; probabilities against "
        "what was right.",
    )
