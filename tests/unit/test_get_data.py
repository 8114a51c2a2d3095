"""get_data.py: what a query finds, and what it says to those who ask for the impossible."""

import os
import sys
from pathlib import Path

from clearml_tools.errors import UserError

import duckdb
import numpy as np
import pandas as pd
import pytest

import get_data
from get_data import query_table
from local_stack.waiting import run
from preprocess_serving import RAW_COLUMNS
from tests.support.asteroid_tables import asteroid_table

SCRIPT = Path(__file__).resolve().parents[2] / "get_data.py"


@pytest.fixture
def table() -> pd.DataFrame:
    return asteroid_table(asteroids=20)


@pytest.fixture
def csv(table: pd.DataFrame, tmp_path: Path) -> Path:
    path = tmp_path / "asteroids.csv"
    table.to_csv(path, index=False)
    return path


def to_parquet(csv: Path) -> Path:
    path = csv.with_suffix(".parquet")
    duckdb.sql(f"COPY (SELECT * FROM read_csv('{csv}')) TO '{path}'")
    return path


def text_of(rows: pd.DataFrame) -> str:
    return rows.to_csv(index=False)


def save(table: pd.DataFrame, column: str, spelled: object, path: Path) -> Path:
    """Write the table with the cells of a column spelled otherwise: by a function, or in a type of DuckDB."""
    if callable(spelled):
        table.assign(**{column: table[column].map(spelled)}).to_csv(path, index=False)
        return path
    table.to_csv(path, index=False)
    parquet = path.with_suffix(".parquet")
    cells = f'SELECT * REPLACE (CAST("{column}" AS {spelled}) AS "{column}")'
    duckdb.sql(f"COPY ({cells} FROM read_csv('{path}')) TO '{parquet}'")
    return parquet


# What is found


def test_keeps_the_approaches_up_to_the_day_and_on_it(table, csv):
    day = table["Close Approach Date"][7]
    found = query_table(csv, day)
    assert text_of(found) == text_of(table[table["Close Approach Date"] <= day])


@pytest.mark.parametrize("query_date", [None, "", "2022-01-01"])
def test_without_a_date_and_with_a_late_one_the_file_stays_as_it_is(csv, query_date, capsys):
    assert text_of(query_table(csv, query_date)) == csv.read_text()
    assert capsys.readouterr().out == ""


def test_the_number_of_rows_that_are_left_out_is_printed(table, csv, capsys):
    rest = len(query_table(csv, "2005-06-30"))
    out = f"{len(table) - rest} of {len(table)} rows are left out, as they are of days after 2005-06-30\n"
    assert capsys.readouterr().out == out


def test_a_table_without_dates_is_taken_whole_whatever_the_query(table, tmp_path, monkeypatch):
    monkeypatch.setattr(get_data, "DATE_COLUMN", None)
    monkeypatch.setattr(get_data, "NEEDED_COLUMNS", [*RAW_COLUMNS, "Neo Reference ID", "Hazardous"])
    path = tmp_path / "undated.csv"
    table[get_data.NEEDED_COLUMNS].to_csv(path, index=False)
    assert text_of(query_table(path, "2005-06-30")) == path.read_text()


@pytest.mark.parametrize("name", ["it's {a,b} [1]*?.csv", "()[]{}|?*+.^$ \\xy"])
def test_a_file_may_have_any_name(csv, name):
    assert len(query_table(csv.rename(csv.with_name(name)))) > 0


def test_parquet_gives_the_same_rows_as_csv(csv):
    assert text_of(query_table(to_parquet(csv), "2005-06-30")) == text_of(query_table(csv, "2005-06-30"))


def test_names_and_orbit_ids_may_be_numbers_as_in_nasas_own_dump(table, tmp_path):
    dump = table.assign(**{"Name": table["Neo Reference ID"], "Orbit ID": range(len(table))})
    path = tmp_path / "dump.csv"
    dump.to_csv(path, index=False)
    assert text_of(query_table(path, "2022-01-01")) == path.read_text()


def test_columns_that_the_table_does_not_know_are_kept(table, tmp_path):
    path = tmp_path / "more.csv"
    table.assign(note="seen from here, too").to_csv(path, index=False)
    assert query_table(path, "2022-01-01")["note"].eq("seen from here, too").all()


@pytest.mark.parametrize(
    "spelled",
    [
        lambda day: f" {day} ",
        lambda day: day.replace("-", "/"),
        lambda day: day.replace("-0", "-"),
        lambda day: f"{day} 00:00:00",
        lambda day: f"{day} 23:59:59.999",
        lambda day: f"{day}T12:00:00Z",
        lambda day: f"{day} 23:00:00-08",
        "DATE",
        "VARCHAR",
        "TIMESTAMP",
        "TIMESTAMP_NS",
        "TIMESTAMPTZ",
    ],
)
def test_a_date_is_the_same_day_however_it_is_written(table, tmp_path, monkeypatch, spelled):
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    duckdb.sql("SET TimeZone = 'UTC'")  # of the file; the query must not depend on the machine's
    path = save(table, "Close Approach Date", spelled, tmp_path / "dates.csv")
    day = table["Close Approach Date"][7]
    assert text_of(query_table(path, day)) == text_of(table[table["Close Approach Date"] <= day])


@pytest.mark.parametrize(
    "spelled",
    [
        lambda number: f"{number}.0",
        lambda number: f"  {number}\t",
        lambda number: f"{number:.6e}",
        "DOUBLE",
        "BIGINT",
        "HUGEINT",
        "DECIMAL(18, 3)",
        "VARCHAR",
    ],
)
def test_an_id_is_the_same_however_it_is_written(table, tmp_path, spelled):
    path = save(table, "Neo Reference ID", spelled, tmp_path / "ids.csv")
    assert text_of(query_table(path, "2022-01-01")) == text_of(table)


def test_an_empty_id_in_a_row_that_is_not_asked_for_changes_no_other(table, tmp_path):
    table.loc[len(table) - 1, "Neo Reference ID"] = np.nan  # and all ids are floats
    table.to_csv(tmp_path / "ids.csv", index=False)
    found = query_table(tmp_path / "ids.csv", table["Close Approach Date"].iloc[-2])
    assert found["Neo Reference ID"].tolist() == [
        f"{number:.0f}" for number in table["Neo Reference ID"][:-1]
    ]


# What is refused


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "2010-13-01",
        "2010-02-30",
        "01/02/2010",
        "20100101",
        "2010-W01-1",
        "2010-01-01' OR 1=1 --",
    ],
)
def test_what_is_no_date_is_named_with_the_form_of_one(csv, text):
    with pytest.raises(UserError) as error:
        query_table(csv, text)
    assert (
        str(error.value) == f"--query-date '{text}' is not a date: give one as YYYY-MM-DD, such as 2010-01-01"
    )


def test_a_date_before_the_first_approach_is_told_when_that_was(table, csv):
    with pytest.raises(UserError) as error:
        query_table(csv, "1994-12-31")
    first = table["Close Approach Date"].min()
    assert str(error.value) == f"{csv} has no rows up to 1994-12-31: the first is of {first}"


def test_a_table_without_rows_is_told_to_be_empty(csv):
    csv.write_text(csv.read_text().splitlines()[0] + "\n")
    with pytest.raises(UserError, match="has no rows below its header"):
        query_table(csv, "2022-01-01")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a Monday",
        "95-01-08",
        "95/01/08",
        "01/08/95",
        "01/08/1995",
        "08-01-1995",
        "8.1.1995",
        "19950108",
        "34707",
        "1995-02-30",
        "1995-01-08 (BC)",
        "0095-01-08",
        "1899-12-31",
        "2200-01-01",
        "9999-12-31",
        "infinity",
        "epoch",
    ],
)
def test_what_is_no_date_is_counted_and_shown(table, tmp_path, text):
    table.loc[[2, 5], "Close Approach Date"] = text
    table.to_csv(tmp_path / "undated.csv", index=False)
    with pytest.raises(UserError) as error:
        query_table(tmp_path / "undated.csv", "2022-01-01")
    assert str(error.value) == (
        f"{tmp_path / 'undated.csv'}: 2 of {len(table)} rows have no date in 'Close Approach Date', "
        f"one of them {text!r}; write dates as YYYY-MM-DD, from 1900 to 2199"
    )


@pytest.mark.parametrize("text", ["", "2446862.5", "inf", "2.01517E+10", "2,446,862", "NULL"])
def test_what_is_no_id_is_counted_and_shown(table, tmp_path, text):
    table["Neo Reference ID"] = table["Neo Reference ID"].astype(object)
    table.loc[[2, 5], "Neo Reference ID"] = text
    table.to_csv(tmp_path / "ids.csv", index=False)
    with pytest.raises(UserError) as error:
        query_table(tmp_path / "ids.csv", "2022-01-01")
    assert str(error.value) == (
        f"{tmp_path / 'ids.csv'}: 2 of {len(table)} rows have no id in 'Neo Reference ID', "
        f"the first of them {text!r}; an id is a whole number or a name"
    )


def test_ids_that_lost_digits_as_32_bit_floats_are_refused(table, tmp_path):
    path = save(table, "Neo Reference ID", "FLOAT", tmp_path / "ids.csv")
    with pytest.raises(UserError, match="has 32-bit floats in 'Neo Reference ID', too short for an id"):
        query_table(path, "2022-01-01")


# The command line


@pytest.mark.e2e
def test_a_bad_query_ends_in_one_line_before_any_server_is_needed(tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path), "CLEARML_CONFIG_FILE": str(tmp_path / "none.conf")}
    command = [sys.executable, str(SCRIPT), "--query-date", "soon"]
    done = run(command, cwd=tmp_path, env=environment)
    assert done.returncode == 1
    assert done.stderr == (
        "get_data.py: error: --query-date 'soon' is not a date: give one as YYYY-MM-DD, such as 2010-01-01\n"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
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
