import numpy as np
import pandas as pd
import pytest

from groundwork.errors import UsageError
from rossmann_embeddings import csv_columns
from rossmann_embeddings.rossmann import read_rossmann
from rossmann_embeddings.sources import load_table
from rossmann_embeddings.tables import SalesTable
from rossmann_embeddings.walmart import make_walmart


def test_the_files_become_open_days_and_a_plan(rossmann):
    table = read_rossmann(rossmann)
    train = pd.read_csv(rossmann / "train.csv")
    sold = train[train["Sales"] > 0]
    assert len(table.frame) == len(sold)
    assert table.sales.sum() == sold["Sales"].sum()
    assert table.frame["date"].is_monotonic_increasing
    assert "Customers" not in table.frame
    assert table.categories == ("type", "assortment", "promo", "state_holiday", "school_holiday")
    assert table.plan["date"].min() > table.frame["date"].max()
    assert "sales" not in table.plan
    one = table.frame.iloc[0]
    file = sold.set_index(["Store", "Date"]).loc[(one["store"], f"{one['date']:%Y-%m-%d}")]
    assert (one["sales"], one["promo"]) == (file["Sales"], file["Promo"])
    # A store without a known competitor has no distance to it.
    assert table.frame.loc[table.frame["store"] == 2, "competition_distance"].isna().all()


def test_states_weather_and_trends_are_joined_where_they_lie_there(rossmann):
    (rossmann / "store_states.csv").write_text('Store,State\n1,HE\n2,"HB,NI"\n3,HE\n')
    days = pd.date_range("2015-01-01", periods=60).strftime("%Y-%m-%d")
    weather = [f"{s},{d},{i},0.5" for s in ("Hessen", "Niedersachsen") for i, d in enumerate(days)]
    (rossmann / "weather.csv").write_text(
        "\n".join(["file,Date,Mean_TemperatureC,Precipitationmm", *weather])
    )
    (rossmann / "googletrend.csv").write_text(
        "file,week,trend\nRossmann_DE_HE,2014-11-30 - 2014-12-06,80\n"
        "Rossmann_DE_NI,2014-11-30 - 2014-12-06,60\n"
    )
    frame = read_rossmann(rossmann).frame
    assert set(frame["state"]) == {"HE", "HB,NI"}
    first = frame["date"].min()
    assert (frame["temperature"] == (frame["date"] - first).dt.days).all()
    # The trend of a week is known when that week is over: it is seen eight weeks later.
    late = frame["date"].between("2015-01-25", "2015-01-31")
    assert frame.loc[late, ["state", "trend"]].drop_duplicates().set_index("state")[
        "trend"
    ].to_dict() == {"HE": 80, "HB,NI": 60}
    assert frame.loc[~late, "trend"].isna().all()


def spoil(name, line, old, new):
    def change(folder):
        lines = (folder / name).read_text().splitlines()
        assert old in lines[line - 1]
        lines[line - 1] = lines[line - 1].replace(old, new, 1)
        (folder / name).write_text("\n".join(lines) + "\n")

    return change


def repeat_last(name):
    def change(folder):
        lines = (folder / name).read_text().splitlines()
        (folder / name).write_text("\n".join([*lines, lines[-1]]) + "\n")

    return change


@pytest.mark.parametrize(
    "change, tells",
    [
        (lambda f: (f / "train.csv").unlink(), r"no train\.csv.*kaggle\.com"),
        (lambda f: (f / "store.csv").unlink(), r"no store\.csv.*kaggle\.com"),
        (spoil("train.csv", 1, "Sales", "Umsatz"), r"train\.csv, line 1: no column Sales; it has"),
        (spoil("train.csv", 1, ",", ";"), r"train\.csv, line 1: no column Store"),
        (
            spoil("train.csv", 5, "2015-02-", "2015/02/"),
            r"train\.csv, line 5, column Date: '2015/02/\d\d' is not taken; .* YYYY-MM-DD",
        ),
        (repeat_last("train.csv"), r"train\.csv, line 122, column Store and Date: .* once"),
        (repeat_last("store.csv"), r"store\.csv, line 5, column Store: .* once"),
        (spoil("store.csv", 2, "1,a", "9,a"), r"train\.csv, line 2, column Store: 1 is not taken"),
        (spoil("store.csv", 3, "2,b", "2,"), r"store\.csv, line 3, column StoreType: '' is not"),
    ],
)
def test_what_does_not_fit_is_told_by_file_line_and_column(rossmann, change, tells):
    change(rossmann)
    with pytest.raises(UsageError, match=tells) as caught:
        read_rossmann(rossmann)
    assert "\n" not in str(caught.value)


def test_a_weekday_that_is_not_that_of_the_date_is_told(rossmann):
    train = pd.read_csv(rossmann / "train.csv", dtype=str)
    train.loc[3, "DayOfWeek"] = str(int(train.loc[3, "DayOfWeek"]) % 7 + 1)
    train.to_csv(rossmann / "train.csv", index=False)
    with pytest.raises(UsageError, match=r"train\.csv, line 5, column DayOfWeek: \d is not taken"):
        read_rossmann(rossmann)


@pytest.mark.parametrize(
    "column, value, takes",
    [
        ("Sales", "-3", "a number, 0 or more"),
        ("Sales", "much", "a number, 0 or more"),
        ("StateHoliday", "x", "one of 0, a, b, c"),
        ("Promo", "2", "a whole number, 0 to 1"),
        ("Store", "1.5", "a whole number, 1 or more"),
    ],
)
def test_a_value_that_is_not_taken_is_told(rossmann, column, value, takes):
    train = pd.read_csv(rossmann / "train.csv", dtype=str)
    train.loc[8, column] = value
    train.to_csv(rossmann / "train.csv", index=False)
    tells = rf"train\.csv, line 10, column {column}: '{value}' is not taken; it takes {takes}"
    with pytest.raises(UsageError, match=tells):
        read_rossmann(rossmann)


def test_lines_are_counted_across_the_pieces_that_a_file_is_read_in(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_columns, "ROWS_AT_ONCE", 3)
    path = tmp_path / "long.csv"
    path.write_text("x\n" + "1\n" * 8 + "bad\n")
    with pytest.raises(UsageError, match="line 10, column x: 'bad'"):
        csv_columns.read(path, {"x": csv_columns.number()})


@pytest.mark.parametrize(
    "content, tells", [("", "not read as CSV"), ("x\n", "a header and no rows")]
)
def test_an_empty_file_is_told(tmp_path, content, tells):
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(UsageError, match=tells):
        csv_columns.read(tmp_path / "x.csv", {"x": csv_columns.number()})


def test_a_word_that_is_no_data_says_what_is_taken():
    with pytest.raises(UsageError, match="generated, walmart or a folder"):
        load_table("nowhere", lambda name: None)


def test_walmarts_parts_become_weighted_weeks_and_a_plan():
    dates = ["2012-09-07", "2012-10-26", "2012-11-23"]
    features = pd.DataFrame({"Store": 1, "Date": dates, "IsHoliday": [True, False, True]})
    names = ["Temperature", "Fuel_Price", "CPI", "Unemployment"]
    features[names + [f"MarkDown{i}" for i in range(1, 6)]] = 1.0
    features.loc[0, "MarkDown1"] = np.nan
    sales = pd.DataFrame(
        {"Store": 1, "Dept": [4, 4, 7], "Date": [*dates[:2], dates[1]],
         "Weekly_Sales": [100.0, -20.0, 30.0], "IsHoliday": [True, False, False]}
    )  # fmt: skip
    stores = pd.DataFrame({"Store": [1], "Type": ["A"], "Size": [1000]})
    table = make_walmart({"train": sales, "features": features, "stores": stores})
    assert table.weight.tolist() == [5.0, 1.0, 1.0]
    assert table.frame["holiday"].tolist() == ["Labor Day", "none", "none"]
    assert table.frame["markdown1"].isna().tolist() == [True, False, False]
    assert table.sales.min() == -20
    assert table.plan[["department", "holiday"]].values.tolist() == [
        [4, "Thanksgiving"],
        [7, "Thanksgiving"],
    ]


def test_a_table_without_a_column_is_refused():
    frame = pd.DataFrame({"date": [1], "store": [1], "sales": [1.0]})
    with pytest.raises(ValueError, match="lacks weight"):
        SalesTable("t", frame, frame, ("store",), 7)
