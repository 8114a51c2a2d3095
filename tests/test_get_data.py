"""get_data.py: what a query finds, and what it says to those who ask for the impossible."""

import os
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from asteroid_tables import asteroid_table
from waiting import run

import get_data
from get_data import TABLE_COLUMNS, query_asteroids
from tracking import InputError

SCRIPT = Path(__file__).resolve().parent.parent / "get_data.py"


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


# What is found


def test_keeps_the_approaches_up_to_the_day_and_on_it(table, csv):
    day = table["Close Approach Date"][7]
    found = query_asteroids(csv, day)
    assert text_of(found) == text_of(table[table["Close Approach Date"] <= day])


def test_a_date_after_the_last_approach_gives_the_file_as_it_is(csv):
    assert text_of(query_asteroids(csv, "2022-01-01")) == csv.read_text()


def test_parquet_gives_the_same_rows_as_csv(csv):
    assert text_of(query_asteroids(to_parquet(csv), "2005-06-30")) == text_of(
        query_asteroids(csv, "2005-06-30")
    )


def test_parquet_with_dates_as_text_is_understood(table, tmp_path):
    path = tmp_path / "text.parquet"
    duckdb.register("rows_as_text", table)
    duckdb.sql(f"COPY (FROM rows_as_text) TO '{path}'")
    day = table["Close Approach Date"][3]
    assert len(query_asteroids(path, day)) == (table["Close Approach Date"] <= day).sum()


def test_names_and_orbit_ids_may_be_numbers_as_in_nasas_own_dump(table, tmp_path):
    dump = table.assign(**{"Name": table["Neo Reference ID"], "Orbit ID": range(len(table))})
    path = tmp_path / "dump.csv"
    dump.to_csv(path, index=False)
    assert text_of(query_asteroids(path, "2022-01-01")) == path.read_text()


def test_columns_that_the_table_does_not_know_are_kept(table, tmp_path):
    path = tmp_path / "more.csv"
    table.assign(note="seen from here, too").to_csv(path, index=False)
    assert query_asteroids(path, "2022-01-01")["note"].eq("seen from here, too").all()


def test_a_file_name_is_not_taken_for_a_pattern(csv):
    path = csv.rename(csv.with_name("asteroids[1]*.csv"))
    assert len(query_asteroids(path, "2022-01-01")) > 0


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
        "",
        "2010-01-01' OR 1=1 --",
    ],
)
def test_what_is_no_date_is_named_with_the_form_of_one(csv, text):
    with pytest.raises(InputError) as error:
        query_asteroids(csv, text)
    assert (
        str(error.value) == f"--query-date '{text}' is not a date: give one as YYYY-MM-DD, such as 2010-01-01"
    )


def test_a_date_before_the_first_approach_is_told_when_that_was(table, csv):
    with pytest.raises(InputError) as error:
        query_asteroids(csv, "1994-12-31")
    first = table["Close Approach Date"].min()
    assert str(error.value) == f"{csv} has no close approach up to 1994-12-31: the first is on {first}"


def test_a_table_without_rows_is_told_to_be_empty(csv):
    csv.write_text(csv.read_text().splitlines()[0] + "\n")
    with pytest.raises(InputError, match="has no close approach up to 2022-01-01: the table is empty"):
        query_asteroids(csv, "2022-01-01")


@pytest.mark.parametrize("column", TABLE_COLUMNS)
def test_a_missing_column_is_named(table, tmp_path, column):
    path = tmp_path / "less.csv"
    table.drop(columns=column).to_csv(path, index=False)
    with pytest.raises(InputError, match="is not the NASA table") as error:
        query_asteroids(path, "2022-01-01")
    assert f"it lacks '{column}' of its 40 columns" in str(error.value)


def test_of_many_missing_columns_a_few_are_named(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("Name,Height\nMatterhorn,4478\n")
    with pytest.raises(InputError, match=r"'Neo Reference ID', .* and 34 more of its 40 columns"):
        query_asteroids(path, "2022-01-01")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file"):
        query_asteroids(tmp_path / "nowhere.csv", "2022-01-01")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match="a folder"):
        query_asteroids(tmp_path, "2022-01-01")


@pytest.mark.parametrize("name", ["picture.csv", "picture.parquet"])
def test_what_is_no_table_is_refused_in_one_line(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe" * 50)
    with pytest.raises(InputError, match="is not a table in CSV, with a header line, or Parquet") as error:
        query_asteroids(path, "2022-01-01")
    assert "\n" not in str(error.value)


def test_a_broken_row_is_not_passed_over(csv):
    with csv.open("a") as file:
        file.write("one,field,too,many" * 100 + "\n")
    with pytest.raises(InputError, match="is not a table in CSV"):
        query_asteroids(csv, "2022-01-01")


def test_a_broken_row_far_down_is_located(csv):
    header, first, *_ = csv.read_text().splitlines()
    csv.write_text("\n".join([header, *[first] * 24_999, "one,field,too,many" * 100, *[first] * 5000]))
    with pytest.raises(InputError, match="CSV Error on Line: 25001"):
        query_asteroids(csv, "2022-01-01")


def test_rows_without_a_date_are_counted(table, tmp_path):
    path = tmp_path / "undated.csv"
    table.loc[[2, 5], "Close Approach Date"] = ["", "a Monday"]
    table.to_csv(path, index=False)
    with pytest.raises(InputError, match=f"2 of {len(table)} rows have no date in 'Close Approach Date'"):
        query_asteroids(path, "2022-01-01")


# The command line


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
        (["--query-date", "1900-01-01"], "has no close approach up to 1900-01-01"),
        (["--csv", "missing.csv"], r"missing\.csv: no such file"),
        (["--csv", __file__], "is not a table in CSV"),
    ],
)
def test_a_query_that_cannot_be_answered_leaves_no_task_behind(monkeypatch, arguments, told):
    monkeypatch.setattr(sys, "argv", ["get_data.py", *arguments])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # main() sets another
    monkeypatch.setattr(get_data.Task, "init", lambda **_: pytest.fail("there is a task"))
    with pytest.raises(InputError, match=told):
        get_data.main()


@pytest.mark.parametrize("name", ["asteroids.csv", "asteroids.parquet"])
def test_a_file_with_nothing_in_it_is_called_empty(tmp_path, name):
    file = tmp_path / name
    file.touch()
    with pytest.raises(InputError, match=f"{name} is empty"):
        query_asteroids(file, "2022-01-01")
