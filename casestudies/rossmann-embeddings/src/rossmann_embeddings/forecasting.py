"""Forecast the next weeks of chosen stores, with intervals whose coverage was measured.

Networks are trained three times, each time on all that was known then. The first ends two spans of
weeks before the last sales: its errors on the span that follows make the intervals. The second ends
one span before: its forecasts of the last span, with those intervals, tell the coverage. The third
learns from everything and forecasts the weeks ahead, with intervals from the second one's errors.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from groundwork.errors import UsageError
from groundwork.suggest import nearest
from rossmann_embeddings.baselines import same_week_last_year
from rossmann_embeddings.conformal import ConformalIntervals, coverage_of
from rossmann_embeddings.ensemble import Ensemble
from rossmann_embeddings.evaluation import wmae
from rossmann_embeddings.features import make_features, with_past
from rossmann_embeddings.tables import SalesTable
from rossmann_embeddings.training import INFORMED, Recipe

#: Series in the figure, at most.
PANELS = 6


@dataclass(frozen=True)
class Outlook:
    """Forecasts of planned rows, and how good the same procedure was a span earlier.

    rows : the keys, `date`, `forecast`, `low` and `high` of each row.
    asked, coverage : the share of truths that intervals shall hold, and did hold on the last span.
    error, naive_error : weighted errors there, of the network and of the same week a year ago.
    """

    rows: pd.DataFrame
    asked: float
    coverage: float
    error: float
    naive_error: float


def forecast(
    table: SalesTable,
    weeks: int,
    *,
    coverage: float = 0.9,
    recipe: Recipe | None = None,
    networks: int = 1,
    seed: int = 0,
    tell: Callable[[str], None] = lambda line: None,
) -> Outlook:
    """Forecast the first `weeks` of the plan, for all series, by the mean of some `networks`.

    `tell` hears of each training. Raises ValueError where the plan has no such weeks, or there are
    too few past ones: the three trainings need four spans.
    """
    steps = weeks * 7 // table.step
    dates = table.dates
    if weeks < 1 or len(dates) < 4 * steps:
        raise ValueError(
            f"weeks={weeks}: 1 to {len(dates) * table.step // 28} are taken with "
            f"{len(dates)} dates of past sales"
        )
    end = dates[-1] + np.timedelta64(steps * table.step, "D")
    ahead = (table.plan["date"] <= end).to_numpy()
    if not ahead.any():
        raise ValueError(f"the table {table.name} has no plan of the weeks after its sales")
    features = make_features(table, steps, history=True, plan=True).without(table.drifting)
    when = table.frame["date"].to_numpy()
    sales, weight = table.sales, table.weight
    known = np.arange(len(when))
    spans = [known[when >= dates[-k * steps]] for k in (2, 1)]
    spans[0] = np.setdiff1d(spans[0], spans[1])

    def learn(rows: NDArray[np.int64]) -> Ensemble:
        tell(f"learning from {len(rows):,} rows, until {str(when[rows[-1]])[:10]}")
        model = Ensemble(recipe, seed, networks)
        return model.fit(features, sales, with_past(features, rows), weight)

    earlier, later = spans
    first = learn(known[when < dates[-2 * steps]]).predict(features, earlier)
    second = learn(known[when < dates[-steps]]).predict(features, later)
    intervals = ConformalIntervals(coverage).fit(sales[earlier], first)
    found = coverage_of(sales[later], *intervals.intervals(second))
    naive = wmae(sales[later], same_week_last_year(table, features)[later], weight[later])
    places = len(when) + np.flatnonzero(ahead)
    middle = learn(known).predict(features, places)
    low, high = ConformalIntervals(coverage).fit(sales[later], second).intervals(middle)
    rows = table.plan.loc[ahead, [*table.keys, "date"]].reset_index(drop=True)
    rows = rows.assign(forecast=middle, low=np.maximum(low, 0.0), high=high)
    return Outlook(rows, coverage, found, wmae(sales[later], second, weight[later]), naive)


def forecast_command(words: Sequence[str]) -> None:
    """`forecast [--data …] [--stores 1,5] [--weeks 6] …`: a CSV and a figure in a folder."""
    options = _parse(words)
    from groundwork import data
    from rossmann_embeddings.sources import load_table

    table = load_table(options.data, data.load)
    chosen = {"store": options.stores}
    if options.departments:
        if "department" not in table.keys:
            raise UsageError(f"--departments: the table {table.name} has stores only")
        chosen["department"] = options.departments
    wanted = _check_chosen(table, chosen)
    try:
        outlook = forecast(
            table,
            options.weeks,
            coverage=options.coverage,
            recipe=replace(INFORMED, epochs=options.epochs),
            networks=options.networks,
            seed=options.seed,
            tell=lambda line: print(line, file=sys.stderr, flush=True),
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    rows = outlook.rows
    for key, values in wanted.items():
        rows = rows[rows[key].isin(values)]
    if not len(rows):
        raise UsageError("nothing is planned for what was chosen in these weeks")
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(folder / "forecast.csv", index=False, float_format="%.2f")
    draw(table, rows, folder / "forecast.svg")
    print(f"{len(rows)} rows in {folder / 'forecast.csv'}, the picture in forecast.svg")
    print(
        f"tried on the last {options.weeks} weeks of all series: intervals of "
        f"{100 * outlook.asked:g} % held {100 * outlook.coverage:.1f} % of the sales"
    )
    print(
        f"weighted error there {outlook.error:,.2f}, of the same week a year ago "
        f"{outlook.naive_error:,.2f}"
    )


def draw(table: SalesTable, rows: pd.DataFrame, path: Path) -> None:
    """The series with the largest forecasts, up to six, with half a year of their sales before."""
    from groundwork import plots
    from groundwork.files import write_bytes
    from rossmann_embeddings.drawing import draw_forecasts

    keys = list(table.keys)
    sizes = rows.groupby(keys)["forecast"].sum().sort_values(ascending=False)
    names = [name if isinstance(name, tuple) else (name,) for name in sizes.index[:PANELS]]
    down, across = -(-len(names) // 3), min(3, len(names))
    figure, axes = plots.figure(down, across, width=3.6 * across, height=2.6 * down, squeeze=False)
    recent = table.frame[table.frame["date"] > table.dates[-1] - np.timedelta64(26 * 7, "D")]
    past, ahead = [], []
    for name in names:
        old, new = (_of(part, keys, name) for part in (recent, rows))
        past.append((old["date"].to_numpy(), old["sales"].to_numpy()))
        ahead.append(
            tuple(new[column].to_numpy() for column in ("date", "forecast", "low", "high"))
        )
    titles = [
        ", ".join(f"{key} {value}" for key, value in zip(keys, name, strict=True)) for name in names
    ]
    draw_forecasts(axes.flat, past, ahead, titles)
    for panel in list(axes.flat)[len(names) :]:
        panel.axis("off")
    write_bytes(path, plots.render(figure))


def _of(part: pd.DataFrame, keys: list[str], name: tuple) -> pd.DataFrame:
    for key, value in zip(keys, name, strict=True):
        part = part[part[key] == value]
    return part


def _check_chosen(table: SalesTable, chosen: dict[str, list[str]]) -> dict[str, list]:
    """The values of each key that were chosen by their texts; none means all."""
    found: dict[str, list] = {}
    for key, texts in chosen.items():
        if not texts:
            continue
        there = {str(value): value for value in table.frame[key].unique()}
        for word in texts:
            if word not in there:
                raise UsageError(
                    f"--{key}s: there is no {key} {word} in the table {table.name}; "
                    f"near it: {nearest(word, there)}"
                )
        found[key] = [there[word] for word in texts]
    return found


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"forecast: {message}")


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="rossmann-embeddings forecast", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", default="generated", help="generated, walmart, or a folder with Rossmann's files"
    )
    parser.add_argument("--stores", type=_list, default=[], help="1,5,9; all where it is left out")
    parser.add_argument("--departments", type=_list, default=[], help="1,2; all likewise")
    parser.add_argument("--weeks", type=_from(1, 26), default=6, help="to forecast, 1 to 26")
    parser.add_argument(
        "--coverage", type=_share, default=0.9, help="of the intervals, 0.5 to 0.99"
    )
    parser.add_argument(
        "--epochs", type=_from(1, 1000), default=INFORMED.epochs, help="of each training"
    )
    parser.add_argument(
        "--networks", type=_from(1, 20), default=1,
        help="whose mean forecasts; four err about 1 %% less than one, in four times the time",
    )  # fmt: skip
    parser.add_argument("--seed", type=_from(0, 2**31), default=0, help="of the training")
    parser.add_argument(
        "--out", default="forecast", help="folder for forecast.csv and forecast.svg"
    )
    return parser.parse_args(list(words))


def _list(word: str) -> list[str]:
    return [part.strip() for part in word.split(",") if part.strip()]


def _from(low: int, high: int) -> Callable[[str], int]:
    def whole(word: str) -> int:
        if not word.isdigit() or not low <= int(word) <= high:
            raise argparse.ArgumentTypeError(f"{word!r}; a whole number, {low} to {high}, is taken")
        return int(word)

    return whole


def _share(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = np.nan
    if not 0.5 <= value <= 0.99:
        raise argparse.ArgumentTypeError(f"{word!r}; a share from 0.5 to 0.99 is taken")
    return value
