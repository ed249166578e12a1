import numpy as np
import pandas as pd
import pytest

from groundwork.errors import UsageError
from tabular_labs.schema import Reading, Schema, read_csv

FRAME = pd.DataFrame({"size": [1.5, np.nan, 3.0], "kind": ["a", "b", None], "count": [1, 2, 3]})
SCHEMA = Schema.of(FRAME)


def read(tmp_path, text, encoding="utf-8", **options):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode(encoding))
    return pd.concat(list(read_csv(path, SCHEMA, **options)), ignore_index=True)


def test_a_schema_tells_numbers_from_categories_and_knows_the_levels():
    assert SCHEMA.numbers == ["size", "count"]
    assert SCHEMA.categories == ["kind"]
    assert SCHEMA.columns[1].levels == ("a", "b")


@pytest.mark.parametrize(
    "text",
    [
        "size,kind,count\n1.5,a,1\n,b,2\n3,,3\n",
        "count;kind;size\n1;a;1,5\n2;b;NA\n3;?;3,0\n",
        "kind\tother\tsize\tcount\na\tx\t1.5\t1\nb\ty\tnull\t2\n\tz\t3\t3\n",
        '"size" |kind|count\r\n"1.5"| a |1\r\n\r\nN/A|b|2\r\n3|-|3\r\n',
        "\ufeffsize,kind,count\n1.5,a,1\nnan,b,2\n3,none,3\n",
    ],
    ids=["comma", "semicolon and decimal comma", "tab", "bar, quotes, blank line", "mark"],
)
def test_files_of_all_manners_give_the_same_table(tmp_path, text):
    read_in = read(tmp_path, text)
    pd.testing.assert_frame_equal(read_in, SCHEMA.conform(FRAME), check_dtype=False)


def test_windows_letters_are_understood(tmp_path):
    reading = Reading(0, {})
    made = read(tmp_path, "size,kind,count\n1,é,1\n", "cp1252", reading=reading)
    assert made["kind"][0] == "é"
    assert reading.unseen == {"kind": {"é": 1}}
    assert "kind" in reading.told()[0]


def test_a_level_that_is_named_like_a_gap_stays_a_level_where_training_had_it(tmp_path):
    schema = Schema.of(pd.DataFrame({"kind": ["none", "some"]}))
    path = tmp_path / "table.csv"
    path.write_text("kind\nnone\nNA\n", encoding="utf-8")
    (made,) = read_csv(path, schema)
    assert list(made["kind"]) == ["none", None]


@pytest.mark.parametrize(
    "text,told",
    [
        ("size,kind,count\n1,a,1\nbig,b,2\n", r"line 3, column 'size': 'big' is not a number"),
        ("size,kind,count\n1,a,inf\n", r"line 2, column 'count'"),
        ('size,kind,count\n1,"a\nb",1\nx,b,2\n', r"line 4, column 'size'"),
        ("size,kind\n1,a\n", r"no column 'count'"),
        ("size,kind,Count\n1,a,2\n", r"did you mean 'Count'"),
        ("size,size,kind,count\n1,1,a,2\n", r"'size' stands there twice"),
        ("size,kind,count\n1,a\n", r"line 2: 2 fields; the header has 3"),
        ("", "is empty"),
        ("a\0b", "is not text"),
    ],
)
def test_what_cannot_be_read_is_refused_by_file_line_and_column(tmp_path, text, told):
    with pytest.raises(UsageError, match=told) as error:
        read(tmp_path, text)
    assert "table.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.csv"):
        next(read_csv(tmp_path / "nowhere.csv", SCHEMA))


def test_a_long_file_comes_in_pieces_whose_rows_are_all_there(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("size,kind,count\n" + "".join(f"{i},a,{i}\n" for i in range(25)), "utf-8")
    pieces = list(read_csv(path, SCHEMA, rows=10))
    assert [len(piece) for piece in pieces] == [10, 10, 5]
    assert list(pd.concat(pieces)["count"]) == list(range(25))


def test_conform_names_the_column_that_lacks():
    with pytest.raises(ValueError, match="'count'"):
        SCHEMA.conform(FRAME[["size", "kind"]])
