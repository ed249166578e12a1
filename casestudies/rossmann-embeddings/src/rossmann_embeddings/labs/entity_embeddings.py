"""Forecast a chain's sales with entity embeddings, and hold them against tuned boosting.

Two questions, and a split by time for both: the last tenth of the dates judges. The paper's is
whether the vectors that a network learns for stores, departments and weeks help other methods, all
of which see categories alone. The practical one is whether networks are the better forecaster where
both they and LightGBM, tuned, see attributes, festivals and the past sales that are known when the
forecast is made. Networks trained apart forecast by their mean there, as hundreds of trees do by
their sum; numbers that drift go to the trees alone, for a network would carry them on. The paper's
second split, shuffled rows, is measured too; it is no forecast.

In the picture, look for stores and departments that lie near each other without anything having
told the network that they are alike, then at the weeks in which the forecasts go wrong. A generated
chain, where the truth is known, tells how far such a map can be believed. Nothing measured on a
chain other than Rossmann's is a result on Rossmann: `--data FOLDER` takes the competition's files.

Cheng Guo and Felix Berkhahn, Entity embeddings of categorical variables, 2016.
"""

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray

from groundwork import Claim, Run, machine, plots
from groundwork.errors import UsageError
from rossmann_embeddings.baselines import same_week_last_year
from rossmann_embeddings.conformal import ConformalIntervals, coverage_of
from rossmann_embeddings.drawing import draw_curves, draw_map, draw_weeks, kinds_of
from rossmann_embeddings.evaluation import wmae
from rossmann_embeddings.experiment import Experiment
from rossmann_embeddings.generator import Truth, generate_chain
from rossmann_embeddings.papers import PAPER
from rossmann_embeddings.pieces import Pieces
from rossmann_embeddings.recovery import distance_agreement, neighbors_of_own_kind
from rossmann_embeddings.sources import load_table
from rossmann_embeddings.tables import split_shuffled
from rossmann_embeddings.training import INFORMED, Recipe

PRESETS = {
    "smoke": {
        "stores": 12, "weeks": 90, "epochs": 5, "batch_size": 256, "seeds": 1, "trials": 0,
        "sample": 4000, "trees": 10, "shuffled_seeds": 0, "networks": 1, "history_epochs": 1,
    },
    "default": {},
    "full": {
        "data": "walmart", "epochs": 6, "seeds": 5, "trials": 15, "sample": 50_000,
        "trees": 30, "batch_size": 1024, "networks": 4,
    },
}  # fmt: skip
CLAIMS = [
    Claim("agreement.store", ">=", 0.6, presets=("smoke", "default")),
    Claim("agreement.department", ">=", 0.6, presets=("smoke", "default")),
    Claim("network_over_lightgbm", "<=", 1.0, presets=("full",)),
    Claim("gain.knn", ">=", 10.0, presets=("default", "full")),
    Claim("gain.random-forest", ">=", 10.0, presets=("default", "full")),
    Claim("training", "<=", 600.0, presets=("full",)),
    Claim("memory", "<=", 3.0, presets=("full",)),
]
GAINS = {"knn": "kNN", "random-forest": "random forest", "gradient-boosting": "gradient boosting"}


def main(
    run: Run,
    *,
    data: Annotated[str, "generated, walmart, or a folder with Rossmann's files"] = "generated",
    stores: Annotated[int, Ge(3), "of the generated chain"] = 16,
    weeks: Annotated[int, Ge(60), "of the generated chain"] = 130,
    epochs: Annotated[int, Ge(1), "passes of a network that sees categories only"] = 6,
    history_epochs: Annotated[int, Ge(1), "passes of a network that sees history too"] = 5,
    networks: Annotated[int, Ge(1), "that see history and forecast by their mean"] = 2,
    batch_size: Annotated[int, Ge(1), "rows of a step"] = 256,
    seeds: Annotated[int, Ge(1), "independent repetitions"] = 3,
    shuffled_seeds: Annotated[int, Ge(0), "repetitions on the shuffled split"] = 1,
    trials: Annotated[int, Ge(0), "of LightGBM's tuning; 0: a plain setting"] = 6,
    sample: Annotated[int, Ge(100), "rows that the paper's other methods learn from"] = 8_000,
    trees: Annotated[int, Ge(1), "of the random forest"] = 20,
    share: Annotated[float, Gt(0), Lt(0.4), "of the dates that judge"] = 0.1,
    coverage: Annotated[float, Gt(0), Lt(1), "of the intervals"] = 0.9,
) -> None:
    """Do each piece of work once, keep it, then tell and draw."""
    truth = None
    if data == "generated":
        table, truth = generate_chain(stores=stores, weeks=weeks, seed=run.seed)
    else:
        table = load_table(data, run.data)
    plain = Recipe(epochs=epochs, batch_size=batch_size, money=0.5, learning_rate=4e-3)
    informed = replace(INFORMED, epochs=history_epochs, batch_size=batch_size)
    try:
        study = Experiment(table, share, plain, informed, sample, trees, networks)
    except ValueError as error:
        raise UsageError(f"--share {share}: {error}") from None
    work = Pieces(run)
    inner = work("inner", study.rehearsal, run.seed, work.bar("inner split"))
    choice = work("tuning", study.tuned_boosting, trials, run.seed, work.bar("tuning"))
    done: dict[str, list[Any]] = {"paper": [], "shuffled": [], "network": [], "lightgbm": []}
    for i, seed in enumerate(run.seeds(seeds)):
        bar = work.bar(f"seed {seed}")
        done["network"].append(work(f"network.{seed}", study.informed_networks, seed, bar))
        done["lightgbm"].append(work(f"lightgbm.{seed}", study.boosting, choice, seed))
        done["paper"].append(
            work(f"paper.{seed}", study.papers_methods, study.split, seed, not i, bar)
        )
        if i < shuffled_seeds:
            mixed = split_shuffled(table, share, seed)
            found = work(f"shuffled.{seed}", study.papers_methods, mixed, seed, not i, bar)
            done["shuffled"].append(found)
    tell_paper(run, study, done)
    errors = tell_forecasts(run, study, done)
    tell_intervals(run, study, inner, done["network"], coverage)
    if truth is not None:
        tell_recovery(run, done["paper"], truth)
    run.metric("training", [piece["seconds"] for piece in done["network"]], "s")
    spent = [inner, *done["network"], *done["paper"], *done["shuffled"]]
    run.metric("training_of_all", sum(piece["seconds"] for piece in spent), "s")
    run.metric("rows", len(table.frame), "rows")
    run.metric("memory", machine.peak_memory_mb() / 1000, "GB")
    draw(run, study, inner, choice, done["paper"][0], errors, truth)


def tell_paper(run: Run, study: Experiment, done: dict[str, list[Any]]) -> None:
    """What embeddings do for other methods, on both splits, and the paper's numbers beside it."""
    rows = [row for name in ("paper", "shuffled") for piece in done[name] for row in piece["rows"]]
    names = list(dict.fromkeys((r["split"], r["method"], r["representation"]) for r in rows))

    def of(split: str, method: str, kind: str, error: str) -> NDArray[np.float64]:
        key = (split, method, kind)
        return np.array(
            [r[error] for r in rows if (r["split"], r["method"], r["representation"]) == key]
        )

    own = study.table.name == "Rossmann"
    run.table(
        "methods",
        [
            {
                "split": f"{name[0]}, no forecast" if name[0] == "shuffled" else name[0],
                "method": name[1],
                "categories as": name[2],
                "weighted error": of(*name, "wmae").mean(),
                "MAPE": of(*name, "mape").mean(),
                "MAPE, std": of(*name, "mape").std(ddof=1) if len(of(*name, "mape")) > 1 else None,
                "RMSPE": of(*name, "rmspe").mean(),
                "paper's MAPE": PAPER.get(name, "none"),
                "comparable": "nearly: Rossmann, other sample" if own else "no: other data",
            }
            for name in names
        ],
        caption=f"{study.table.note}. Methods that see categories only; errors as a share count "
        f"sales above {study.table.floor:g}",
    )
    for short, method in GAINS.items():
        learnt, codes = (of("time", method, kind, "wmae") for kind in ("embeddings", "codes"))
        run.metric(f"gain.{short}", list(100 * (1 - learnt / codes)), "%")
    for short, method in {**GAINS, "network": "network"}.items():
        learnt, columns = (
            of("time", method, kind, "wmae")[0] for kind in ("embeddings", "one-hot")
        )
        run.metric(f"gain_over_one_hot.{short}", 100 * (1 - learnt / columns), "%")


def tell_forecasts(run: Run, study: Experiment, done: dict[str, list[Any]]) -> dict[str, Any]:
    """The network and LightGBM with history; returns the absolute errors of each test row."""
    rows = study.split.test
    actual, weight = study.sales[rows], study.weight[rows]
    naive = same_week_last_year(study.table, study.history)[rows]
    forecasts = {
        "network": [piece["forecast"] for piece in done["network"]],
        "LightGBM": done["lightgbm"],
        "same week a year ago": [naive],
    }
    found = {}
    for name, metric in zip(forecasts, ("network", "lightgbm", "last_year"), strict=True):
        found[metric] = [wmae(actual, values, weight) for values in forecasts[name]]
        run.metric(f"wmae.{metric}", found[metric])
    over = np.mean(found["network"]) / np.mean(found["lightgbm"])
    run.metric("network_over_lightgbm", float(over))
    run.table(
        "forecasts",
        [
            {"forecast": name, **{k: np.mean([study.score(rows, v)[k] for v in values])
                                  for k in ("wmae", "mape", "rmspe")}, "seeds": len(values)}
            for name, values in forecasts.items()
        ],
        caption=f"{study.table.note}. The last {100 * study.share:g} % of the dates, with history "
        "and attributes for both",
    )  # fmt: skip
    return {
        name: np.mean([np.abs(actual - v) for v in values], axis=0)
        for name, values in forecasts.items()
    }


def tell_intervals(
    run: Run, study: Experiment, inner: dict[str, Any], networks: list[Any], coverage: float
) -> None:
    """Conformal intervals from the inner split's errors, on the forecasts of the test part."""
    intervals = ConformalIntervals(coverage)
    intervals.fit(study.sales[study.inner.test], inner["forecast"])
    actual, held, width = study.sales[study.split.test], [], []
    for piece in networks:
        low, high = intervals.intervals(piece["forecast"])
        held.append(100 * coverage_of(actual, low, high))
        width.append(100 * float((high - low).mean() / actual.mean()))
    run.metric("coverage", held, "%")
    run.metric("interval_width", width, "% of the mean sales")


def tell_recovery(run: Run, pieces: list[Any], truth: Truth) -> None:
    """How well distances in embedding space agree with the generated chain's own."""
    for name, true, kind in (
        ("store", truth.store_distance, truth.region),
        ("department", truth.department_distance, truth.group),
    ):
        vectors = [piece["vectors"][name] for piece in pieces]
        run.metric(f"agreement.{name}", [distance_agreement(v, true) for v in vectors])
        run.metric(f"own_kind.{name}", [100 * neighbors_of_own_kind(v, kind) for v in vectors], "%")


def draw(
    run: Run,
    study: Experiment,
    inner: dict[str, Any],
    choice: Any,
    piece: dict[str, Any],
    errors: dict[str, Any],
    truth: Truth | None,
) -> None:
    """Two maps, errors by week, learning curves."""
    frame = study.table.frame
    figure, axes = plots.figure(2, 2, width=10.5, height=7.6)
    second = study.table.keys[1] if len(study.table.keys) > 1 else "state"
    second = second if second in piece["levels"] else "week"
    for panel, name in zip(axes[0], ("store", second), strict=True):
        levels = piece["levels"][name]
        kinds = kinds_of(study.table, name, levels, truth)
        title = f"{name.capitalize()}s in embedding space"
        draw_map(panel, piece["vectors"][name], levels, kinds, title)
    rows = study.split.test
    dates = frame["date"].to_numpy()[rows]
    draw_weeks(axes[1, 0], dates, errors, study.weight[rows] > 1, "sales")
    levels = {}
    if study.networks > 1:
        mean = study.score(study.inner.test, inner["forecast"])["wmae"]
        levels[f"mean of {study.networks} with history"] = mean
    if np.isfinite(choice.error):
        levels["LightGBM, tuned"] = choice.error
    draw_curves(axes[1, 1], inner["curves"], levels)
    run.figure(
        "embeddings",
        figure,
        f"{study.table.note}. The vectors that the network learnt for stores and for {second}s, "
        "in their two main directions; the mean absolute error in each week that judges; the "
        "weighted error on the inner split after each pass.",
    )
