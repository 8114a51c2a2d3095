"""get_data.py: what a query finds, and what it says to those who ask for the impossible."""

import sys
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from clearml_tools.errors import UserError

import duckdb
import pandas as pd
import pytest

import get_data
from asteroids import table_files
from preprocess_serving import RAW_COLUMNS
from tests.support.asteroid_tables import asteroid_table


@pytest.fixture
def table() -> pd.DataFrame:
    return asteroid_table(asteroids=20)


@pytest.fixture
def csv(table: pd.DataFrame, tmp_path: Path) -> Path:
    path = tmp_path / "asteroids.csv"
    table.to_csv(path, index=False)
    return path


def text_of(rows: pd.DataFrame) -> str:
    return rows.to_csv(index=False)


def query(source: Path | str, query_date: str | None = None) -> str:
    """What the dataset's file has in the end: CSV, as these tables are small."""
    with TemporaryDirectory() as folder:
        get_data.query_table(source, query_date, Path(folder))
        return Path(folder, "nasa.csv").read_text()


def save(table: pd.DataFrame, column: str, spelled: str, path: Path) -> Path:
    """Write the table with the cells of a column spelled otherwise: by a format, or in a type of DuckDB."""
    if "{" in spelled:
        table.assign(**{column: table[column].map(spelled.format)}).to_csv(path, index=False)
        return path
    table.to_csv(path, index=False)
    parquet = path.with_suffix(".parquet")
    cells = f'SELECT * REPLACE (CAST("{column}" AS {spelled}) AS "{column}")'
    kept = "types = {'Orbit Determination Date': 'VARCHAR'}"  # or it would lose its time, which is midnight
    duckdb.sql(f"COPY ({cells} FROM read_csv('{path}', {kept})) TO '{parquet}'")
    return parquet


# What is found


def test_keeps_the_approaches_up_to_the_day_and_on_it(table, csv):
    day = table["Close Approach Date"][7]
    assert query(csv, day) == text_of(table[table["Close Approach Date"] <= day])


@pytest.mark.parametrize("query_date", [None, "", "2022-01-01"])
def test_without_a_date_and_with_a_late_one_the_file_stays_as_it_is(csv, query_date, capsys):
    assert query(csv, query_date) == csv.read_text()
    assert capsys.readouterr().out == ""


def test_the_number_of_rows_that_are_left_out_is_printed(table, csv, capsys):
    rest = query(csv, "2005-06-30").count("\n") - 1
    out = f"{len(table) - rest} of {len(table)} rows are left out, as they are of days after 2005-06-30\n"
    assert capsys.readouterr().out == out


def test_a_table_without_dates_is_taken_whole_whatever_the_query(table, tmp_path, monkeypatch):
    monkeypatch.setattr(get_data, "DATE_COLUMN", None)
    monkeypatch.setattr(get_data, "NEEDED_COLUMNS", [*RAW_COLUMNS, "Neo Reference ID", "Hazardous"])
    path = tmp_path / "undated.csv"
    table[get_data.NEEDED_COLUMNS].to_csv(path, index=False)
    assert query(path, "2005-06-30") == path.read_text()


DATE_SPELLINGS = [" {} ", "{} 00:00:00", "{}T12:00:00Z", "{} 23:00:00-08", "{:%Y/%m/%d}", "{:%Y-%-m-%-d}"]
DATE_TYPES = ["DATE", "VARCHAR", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMPTZ"]


@pytest.mark.parametrize("spelled", [*DATE_SPELLINGS, *DATE_TYPES])
def test_a_date_is_the_same_day_however_it_is_written(table, tmp_path, monkeypatch, spelled):
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    duckdb.sql("SET TimeZone = 'UTC'")  # of the file; the query must not depend on the machine's
    dates = table["Close Approach Date"].map(date.fromisoformat)
    path = save(
        table.assign(**{"Close Approach Date": dates}), "Close Approach Date", spelled, tmp_path / "a.csv"
    )
    day = table["Close Approach Date"][7]
    assert query(path, day) == text_of(table[table["Close Approach Date"] <= day])


@pytest.mark.parametrize(
    "spelled", ["{}.0", "  {}\t", "{:.10e}", "DOUBLE", "HUGEINT", "DECIMAL(18, 3)", "VARCHAR"]
)
def test_an_id_is_the_same_however_it_is_written(table, tmp_path, spelled):
    path = save(table, "Neo Reference ID", spelled, tmp_path / "ids.csv")
    assert query(path, "2022-01-01") == text_of(table)


def test_the_rows_of_a_large_table_are_the_same_in_parquet(table, csv, tmp_path, monkeypatch):
    monkeypatch.setattr(table_files.config, "LARGE_TABLE_ROWS", len(table) // 2)
    found = get_data.query_table(csv, None, tmp_path)
    assert found.rows == len(table)
    assert found.groups == table["Neo Reference ID"].nunique()
    assert found.balance == {str(label): count for label, count in table["Hazardous"].value_counts().items()}
    assert found.preview[1:] == [line.split(",") for line in csv.read_text().splitlines()[1:21]]
    rows = duckdb.sql(f"FROM '{tmp_path / 'nasa.parquet'}'").df()
    assert rows["Neo Reference ID"].tolist() == table["Neo Reference ID"].astype(str).tolist()
    assert rows["Absolute Magnitude"].tolist() == table["Absolute Magnitude"].tolist()


# What is refused


@pytest.mark.parametrize(
    "text", ["soon", "2010-02-30", "01/02/2010", "20100101", "2010-W01-1", "2010-01-01' --"]
)
def test_what_is_no_date_is_named_with_the_form_of_one(csv, text):
    with pytest.raises(UserError) as error:
        query(csv, text)
    told = f"--query-date '{text}' is not a date: give one as YYYY-MM-DD, such as 2010-01-01"
    assert str(error.value) == told


def test_a_date_before_the_first_approach_is_told_when_that_was(table, csv):
    first = table["Close Approach Date"].min()
    with pytest.raises(UserError, match=f"has no rows up to 1994-12-31: the first is of {first}$"):
        query(csv, "1994-12-31")


def test_a_table_without_rows_is_told_to_be_empty(csv):
    csv.write_text(csv.read_text().splitlines()[0] + "\n")
    with pytest.raises(UserError, match="has no rows below its header"):
        query(csv, "2022-01-01")


NO_DATES = ["", "a Monday", "95-01-08", "01/08/1995", "8.1.1995", "19950108", "34707", "1995-02-30"]
NO_DATES += ["1995-01-08 (BC)", "0095-01-08", "1899-12-31", "2200-01-01", "infinity", "epoch"]
NO_IDS = ["", "2446862.5", "2.01517E+10", "NULL"]  # test_ids.py has more of them


@pytest.mark.parametrize(
    ("column", "text", "rest"),
    [
        *(("Close Approach Date", text, "write dates as YYYY-MM-DD, from 1900 to 2199") for text in NO_DATES),
        *(("Neo Reference ID", text, "an id is a whole number or a name") for text in NO_IDS),
    ],
)
def test_what_is_no_date_or_no_id_is_counted_and_shown(table, tmp_path, column, text, rest):
    table[column] = table[column].astype(object)
    table.loc[[2, 5], column] = text
    table.to_csv(tmp_path / "wrong.csv", index=False)
    what, first = ("date", "one") if column == "Close Approach Date" else ("id", "the first")
    told = rf": 2 of {len(table)} rows have no {what} in '{column}', {first} of them {text!r}; {rest}"
    with pytest.raises(UserError) as error:
        query(tmp_path / "wrong.csv", "2022-01-01")
    assert str(error.value).endswith(f"wrong.csv{told}")


def test_ids_that_lost_digits_as_32_bit_floats_are_refused(table, tmp_path):
    path = save(table, "Neo Reference ID", "FLOAT", tmp_path / "ids.csv")
    with pytest.raises(UserError, match="has 32-bit floats in 'Neo Reference ID', too short for an id"):
        query(path, "2022-01-01")


# The command line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--query-date", "soon"], "--query-date 'soon' is not a date"),
        (["--query-date", "1900-01-01"], "has no rows up to 1900-01-01"),
        (["--csv", "missing.csv"], r"missing\.csv: no such file"),
        (["--csv", __file__], "is not a table in CSV"),
    ],
)
def test_a_query_that_cannot_be_answered_leaves_no_task_behind(monkeypatch, arguments, told):
    monkeypatch.setattr(sys, "argv", ["get_data.py", *arguments])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # main() sets another
    monkeypatch.setattr(get_data.Task, "init", lambda **_: pytest.fail("there is a task"))
    with pytest.raises(UserError, match=told):
        get_data.main()
