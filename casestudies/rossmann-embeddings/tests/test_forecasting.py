import pandas as pd
import pytest

from groundwork.errors import UsageError
from rossmann_embeddings.forecasting import forecast, forecast_command
from rossmann_embeddings.training import Recipe

QUICK = Recipe(hidden=(32,), epochs=3, batch_size=256)


@pytest.fixture
def small(monkeypatch, table):
    """The command's generated chain is the small one."""
    monkeypatch.setattr(
        "rossmann_embeddings.sources.load_table", lambda data, load: table, raising=True
    )


def test_the_command_writes_rows_and_a_picture_and_tells_the_coverage(small, tmp_path, capsys):
    forecast_command(
        ["--stores", "1,4", "--departments", "2", "--weeks", "3", "--epochs", "2",
         "--networks", "2", "--out", str(tmp_path / "out")]
    )  # fmt: skip
    rows = pd.read_csv(tmp_path / "out" / "forecast.csv", parse_dates=["date"])
    assert list(rows) == ["store", "department", "date", "forecast", "low", "high"]
    assert len(rows) == 2 * 3
    assert set(rows["store"]) == {1, 4}
    assert rows["date"].nunique() == 3
    assert (rows["low"] <= rows["forecast"]).all()
    assert (rows["forecast"] <= rows["high"]).all()
    assert b"<svg" in (tmp_path / "out" / "forecast.svg").read_bytes()
    told = capsys.readouterr().out
    assert "intervals of 90 % held" in told
    assert "weighted error" in told


def test_the_tried_intervals_hold_about_as_much_as_was_asked(table):
    outlook = forecast(table, 6, coverage=0.8, recipe=QUICK)
    assert outlook.coverage == pytest.approx(0.8, abs=0.12)
    assert outlook.error < outlook.naive_error
    assert outlook.rows["date"].min() > table.frame["date"].max()
    assert len(outlook.rows) == (table.plan["date"] <= outlook.rows["date"].max()).sum()


def test_rossmanns_files_are_forecast_from_their_plan(rossmann, tmp_path):
    forecast_command(
        ["--data", str(rossmann), "--weeks", "1", "--epochs", "1", "--out", str(tmp_path / "out")]
    )
    rows = pd.read_csv(tmp_path / "out" / "forecast.csv")
    assert list(rows) == ["store", "date", "forecast", "low", "high"]
    assert set(rows["store"]) == {1, 2, 3}


@pytest.mark.parametrize(
    "words, tells",
    [
        (["--stores", "77"], "--stores: there is no store 77"),
        (["--departments", "x"], "--departments: there is no department x"),
        (["--weeks", "0"], "'0'; a whole number, 1 to 26"),
        (["--weeks", "24"], "weeks=24: 1 to 22 are taken"),
        (["--coverage", "2"], "a share from 0.5 to 0.99"),
        (["--sores", "1"], "unrecognized arguments: --sores 1"),
    ],
)
def test_what_cannot_be_forecast_is_told_in_one_line(small, tmp_path, words, tells):
    with pytest.raises(UsageError, match=tells) as caught:
        forecast_command([*words, "--out", str(tmp_path)])
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_plan_is_told(rossmann, tmp_path):
    (rossmann / "test.csv").unlink()
    with pytest.raises(UsageError, match="no plan of the weeks after"):
        forecast_command(["--data", str(rossmann), "--weeks", "1", "--out", str(tmp_path)])
