import csv

import pytest

from groundwork.errors import UsageError
from groundwork.testing import run_lab
from tabular_labs import generated
from tabular_labs.prediction import predict_command


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run_lab("tabular-labs/churn", folder, preset="smoke", rows=400, folds=2, trials=1, rounds=20)
    return folder


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "customers.csv"
    generated.customers(30, seed=9).X.to_csv(path, index=False, sep=";", decimal=",")
    return path


def test_a_table_of_ones_own_is_answered_row_by_row(trained, table, tmp_path, capsys):
    out = tmp_path / "answers.csv"
    predict_command(["churn", str(table), "--run", str(trained), "--out", str(out)])
    rows = list(csv.DictReader(out.read_text("utf-8").splitlines()))
    assert len(rows) == 30
    for row in rows:
        shares = {label: float(row[f"P({label})"]) for label in ("stays", "leaves")}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
        assert row["churn"] == max(shares, key=shares.get)
    assert capsys.readouterr().err == ""


def test_levels_that_training_never_saw_are_told_and_answered(trained, table, capsys):
    table.write_text(table.read_text("utf-8").replace("monthly", "for ever"), "utf-8")
    predict_command(["churn", str(table), "--run", str(trained)])
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 31
    assert "contract" in told.err
    assert "'for ever'" in told.err


def test_a_damaged_table_leaves_no_answers_behind(trained, table, tmp_path):
    lines = table.read_text("utf-8").splitlines()
    lines[7] = lines[7].replace(lines[7].split(";")[5], "many", 1)
    table.write_text("\n".join(lines), "utf-8")
    out = tmp_path / "answers.csv"
    with pytest.raises(UsageError, match=r"customers\.csv, line 8, column 'months': 'many'"):
        predict_command(["churn", str(table), "--run", str(trained), "--out", str(out)])
    assert list(tmp_path.iterdir()) == [table]


@pytest.mark.parametrize(
    "words,told",
    [
        (["churn"], "Usage"),
        (["churn", "a.csv", "--fast"], "--fast is not an option"),
        (["churn", "a.csv", "--out"], "--out without a path"),
        (["chrun", "a.csv"], "churn"),
    ],
)
def test_wrong_words_are_refused_with_what_is_taken(words, told):
    with pytest.raises(UsageError, match=told):
        predict_command(words)


def test_a_lab_that_never_ran_says_so(monkeypatch, tmp_path, table):
    monkeypatch.setenv("GROUNDWORK_RUNS", str(tmp_path / "runs"))
    with pytest.raises(UsageError, match="groundwork run tabular-labs/churn"):
        predict_command(["churn", str(table)])


def test_a_file_that_is_no_model_is_refused(tmp_path, table):
    (tmp_path / "model.pickle").write_bytes(b"nonsense")
    with pytest.raises(UsageError, match=r"model\.pickle"):
        predict_command(["churn", str(table), "--run", str(tmp_path)])
