"""Rossmann's sales from the user's own copy of the competition's files.

The folder holds `train.csv` and `store.csv`, and where there is one `test.csv`, the plan of the six
weeks that follow. Three files that people shared beside them are joined where they lie there too:
`store_states.csv` (the state of a store), `weather.csv` and `googletrend.csv`.

Days on which a store is closed, or sold nothing, are no rows, as in the paper. `Customers` is known
only when the day is over, and is never read.

C. Guo and F. Berkhahn, Entity embeddings of categorical variables, 2016.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from groundwork.errors import UsageError
from rossmann_embeddings import csv_columns as csv
from rossmann_embeddings.tables import SalesTable

HOW_TO_GET = (
    "Rossmann's files are had from kaggle.com/c/rossmann-store-sales/data by whoever accepts the "
    "competition's rules: unpack train.csv, store.csv and test.csv into one folder"
)
FLAG = csv.whole(0, 1)
DAYS = {
    "Store": csv.whole(1),
    "DayOfWeek": csv.whole(1, 7),
    "Date": csv.day(),
    "Promo": FLAG,
    "StateHoliday": csv.one_of("0", "a", "b", "c"),
    "SchoolHoliday": FLAG,
}
TRAIN = {**DAYS, "Open": FLAG, "Sales": csv.number(0)}
TEST = {**DAYS, "Open": csv.whole(0, 1, optional=True)}
STORE = {
    "Store": csv.whole(1),
    "StoreType": csv.text(),
    "Assortment": csv.text(),
    "CompetitionDistance": csv.number(0, optional=True),
}
STATES = {"Store": csv.whole(1), "State": csv.text()}
WEATHER = {
    "file": csv.text(),
    "Date": csv.day(),
    "Mean_TemperatureC": csv.number(optional=True),
    "Precipitationmm": csv.number(0, optional=True),
}
TREND = {"file": csv.text(), "week": csv.text(), "trend": csv.number(0)}
#: The state of a store → the name that the weather's file gives it.
WEATHER_NAMES = {
    "BB": "Brandenburg", "BE": "Berlin", "BW": "BadenWuerttemberg", "BY": "Bayern",
    "HB": "Bremen", "HB,NI": "Niedersachsen", "HE": "Hessen", "HH": "Hamburg",
    "MV": "MecklenburgVorpommern", "NI": "Niedersachsen", "NW": "NordrheinWestfalen",
    "RP": "RheinlandPfalz", "SH": "SchleswigHolstein", "SL": "Saarland", "SN": "Sachsen",
    "ST": "SachsenAnhalt", "TH": "Thueringen",
}  # fmt: skip


def read_rossmann(folder: Path) -> SalesTable:
    """The table of a folder with Rossmann's files.

    Raises UsageError, in one line with the file, the line and the column, for a file that is not
    there and for values that do not fit, with themselves or with another file.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}. {HOW_TO_GET}")
    for name in ("train.csv", "store.csv"):
        if not (folder / name).is_file():
            raise UsageError(f"{folder} has no {name}. {HOW_TO_GET}")
    stores = csv.read(folder / "store.csv", STORE)
    _refuse_repeated(folder / "store.csv", stores, ["Store"])
    train = _read_days(folder / "train.csv", TRAIN, stores)
    plan_file = folder / "test.csv"
    plan = _read_days(plan_file, TEST, stores) if plan_file.is_file() else train.iloc[:0]
    plan = plan[(plan["Open"] != 0) & (plan["Date"] > train["Date"].max())]
    sold = train[(train["Open"] == 1) & (train["Sales"] > 0)]
    if not len(sold):
        raise UsageError(f"{folder / 'train.csv'}: no row has Open 1 and Sales above 0")
    categories = ["type", "assortment", "promo", "state_holiday", "school_holiday"]
    numbers = ["competition_distance"]
    stores = _with_states(folder, stores, categories)
    frames = [_joined(part, stores) for part in (sold, plan)]
    frames = _with_weather(folder, frames, numbers)
    frames = _with_trend(folder, frames, numbers)
    columns = ["date", "store", "weight", *categories, *numbers]
    frame, ahead = (part.sort_values(["date", "store"], ignore_index=True) for part in frames)
    return SalesTable(
        name="Rossmann",
        frame=frame[[*columns, "sales"]],
        plan=ahead[columns],
        keys=("store",),
        step=1,
        categories=tuple(categories),
        numbers=tuple(numbers),
        note=f"Rossmann's files in {folder.name}: open days with sales above 0",
    )


def _read_days(path: Path, columns: dict[str, csv.Column], stores: pd.DataFrame) -> pd.DataFrame:
    """train.csv or test.csv, held against itself and against the stores."""
    days = csv.read(path, columns)
    _refuse_repeated(path, days, ["Store", "Date"])
    weekday = days["Date"].dt.day_of_week + 1
    _refuse(
        path, days, days["DayOfWeek"] != weekday, "DayOfWeek", "the weekday of its Date, 1 to 7"
    )
    known = days["Store"].isin(stores["Store"])
    _refuse(path, days, ~known, "Store", "a store that store.csv has")
    return days


def _refuse(path: Path, rows: pd.DataFrame, bad: pd.Series, column: str, takes: str) -> None:
    if bad.any():
        row = rows.loc[bad.idxmax()]
        value = f"{row[column]:g}" if isinstance(row[column], float | int) else str(row[column])
        raise UsageError(
            f"{path}, line {row['line']}, column {column}: {value} is not taken; it takes {takes}"
        )


def _refuse_repeated(path: Path, rows: pd.DataFrame, columns: list[str]) -> None:
    again = rows.duplicated(columns)
    if again.any():
        line = rows.loc[again.idxmax(), "line"]
        raise UsageError(
            f"{path}, line {line}, column {' and '.join(columns)}: the row is there already; "
            f"each {' and '.join(columns)} is taken once"
        )


def _joined(days: pd.DataFrame, stores: pd.DataFrame) -> pd.DataFrame:
    """Days with what is known of their stores, under this package's names."""
    joined = days.merge(stores.drop(columns="line"), on="Store", how="left")
    names = {
        "Date": "date", "Store": "store", "Sales": "sales", "Promo": "promo",
        "StateHoliday": "state_holiday", "SchoolHoliday": "school_holiday",
        "StoreType": "type", "Assortment": "assortment", "State": "state",
    }  # fmt: skip
    distance = np.log1p(joined.pop("CompetitionDistance").astype(np.float64))
    joined = joined.rename(columns=names).assign(competition_distance=distance, weight=1.0)
    for name in ("store", "promo", "school_holiday"):
        joined[name] = joined[name].astype(np.int64)
    return joined


def _with_states(folder: Path, stores: pd.DataFrame, categories: list[str]) -> pd.DataFrame:
    path = folder / "store_states.csv"
    if not path.is_file():
        return stores
    states = csv.read(path, STATES)
    _refuse_repeated(path, states, ["Store"])
    absent = ~stores["Store"].isin(states["Store"])
    if absent.any():
        store = int(stores.loc[absent.idxmax(), "Store"])
        raise UsageError(f"{path}: store {store} of store.csv is not there")
    categories.append("state")
    return stores.merge(states.drop(columns="line"), on="Store", how="left")


def _with_weather(
    folder: Path, frames: list[pd.DataFrame], numbers: list[str]
) -> list[pd.DataFrame]:
    """The day's weather in the store's state: a perfect weather forecast is taken for granted."""
    path = folder / "weather.csv"
    if not path.is_file() or "state" not in frames[0]:
        return frames
    weather = csv.read(path, WEATHER)
    _refuse_repeated(path, weather, ["file", "Date"])
    weather = weather.drop(columns="line").rename(
        columns={
            "file": "weather_of",
            "Date": "date",
            "Mean_TemperatureC": "temperature",
            "Precipitationmm": "rain",
        }
    )
    numbers += ["temperature", "rain"]
    placed = [part.assign(weather_of=part["state"].map(WEATHER_NAMES)) for part in frames]
    return [part.merge(weather, on=["weather_of", "date"], how="left") for part in placed]


def _with_trend(folder: Path, frames: list[pd.DataFrame], numbers: list[str]) -> list[pd.DataFrame]:
    """How much a state searched for the chain in a week eight weeks before.

    That week is over when a forecast of the next six weeks is made; the same week is not.
    """
    path = folder / "googletrend.csv"
    if not path.is_file() or "state" not in frames[0]:
        return frames
    trend = csv.read(path, TREND)
    start = pd.to_datetime(trend["week"].str[:10], format="%Y-%m-%d", errors="coerce")
    _refuse(path, trend, start.isna(), "week", "a week as YYYY-MM-DD - YYYY-MM-DD")
    state = trend["file"].str.rsplit("_", n=1).str[-1].replace({"NI": "HB,NI"})
    lagged = pd.DataFrame(
        {"week": start + pd.Timedelta(weeks=8), "state": state, "trend": trend["trend"]}
    ).drop_duplicates(["week", "state"])
    numbers.append("trend")
    # A week begins on a Sunday.
    placed = [
        part.assign(
            week=part["date"] - pd.to_timedelta((part["date"].dt.day_of_week + 1) % 7, unit="D")
        )
        for part in frames
    ]
    return [part.merge(lagged, on=["week", "state"], how="left") for part in placed]
