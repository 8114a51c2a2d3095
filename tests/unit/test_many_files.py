"""table_reader.py: a pattern that means many files, which are one table or are refused, never mixed."""

import gzip
from pathlib import Path

from clearml_tools.errors import UserError

import duckdb
import pytest

from asteroids.table_reader import open_table
from get_data import NEEDED_COLUMNS
from tests.support.asteroid_tables import asteroid_table, cells, edit_line


@pytest.fixture(scope="module")
def text() -> str:
    return asteroid_table(asteroids=20).to_csv(index=False)


def read(source: str) -> list[tuple]:
    """All cells as texts, row by row."""
    with open_table(source, NEEDED_COLUMNS) as database:
        return database.execute("SELECT CAST(COLUMNS(*) AS VARCHAR) FROM raw_table").fetchall()


def pack_file(path: Path) -> None:
    """Pack a file with gzip, under the same name."""
    path.write_bytes(gzip.compress(path.read_bytes()))


@pytest.fixture
def parts(text: str, tmp_path: Path) -> list[Path]:
    """Three files with a third of the rows each, in folders of their own."""
    header, *rows = text.splitlines(keepends=True)
    third = len(rows) // 3 + 1
    paths = [tmp_path / "parts" / f"year={number}" / f"part-{number}.csv" for number in range(3)]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True)
        path.write_text(header + "".join(rows[number * third : (number + 1) * third]))
    return paths


def to_parquet(path: Path, cells: str = "*") -> None:
    """Write a CSV as Parquet, under the same name."""
    rows = f"SELECT {cells} FROM read_csv('{path}', all_varchar = true, hive_partitioning = false)"
    new = path.with_suffix(".new")
    duckdb.sql(f"COPY ({rows}) TO '{new}' (FORMAT parquet)")
    new.rename(path)


@pytest.mark.parametrize("pattern", ["*/part-*.csv", "**/**/*.csv", "year=?/*", "year=[012]/part*"])
@pytest.mark.parametrize("pack", [lambda path: None, pack_file, to_parquet])
def test_a_pattern_gives_the_rows_of_all_files_in_the_order_of_their_names(text, parts, pack, pattern):
    for path in parts:
        pack(path)
    assert read(f"{parts[0].parents[1]}/{pattern}") == cells(text)


def test_a_pattern_may_begin_in_the_home_folder(text, parts, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read("~/parts/*/*") == cells(text)


def test_each_file_may_have_line_ends_of_its_own(text, parts):
    parts[1].write_bytes(parts[1].read_bytes().replace(b"\n", b"\r\n"))
    assert read(f"{parts[0].parents[1]}/*/*") == cells(text)


def test_a_file_is_meant_by_its_name_before_others_by_a_pattern(text, tmp_path):
    (tmp_path / "a1.csv").write_text("another")
    (tmp_path / "a[1].csv").write_text(text)
    assert read(f"{tmp_path}/a[1].csv") == cells(text)


def swap(text: str) -> str:
    """Exchange the first two columns."""
    return "\n".join(",".join([*line.split(",")[1::-1], *line.split(",")[2:]]) for line in text.splitlines())


OTHER_FORMS = {
    "lacks 'Equinox', which {first} has": lambda path: edit_line(path, 1, "Equinox", "Epoch"),
    "has its columns in another order than {first}": lambda path: path.write_text(swap(path.read_text())),
    "is CSV in gzip, and {first} is CSV": lambda path: pack_file(path),
    "is Parquet, and {first} is CSV": lambda path: to_parquet(path),
}


@pytest.mark.parametrize("told", OTHER_FORMS)
def test_a_file_of_another_form_than_the_first_is_named(parts, told):
    OTHER_FORMS[told](parts[1])
    with pytest.raises(UserError) as error:
        read(f"{parts[0].parents[1]}/*/*")
    assert str(error.value) == f"{parts[1]} {told.format(first=parts[0])}: give all files one form"


def test_a_column_of_another_type_is_named(parts):
    for path in parts[:2]:
        to_parquet(path)
    to_parquet(parts[2], '* REPLACE (CAST("Inclination" AS FLOAT) AS "Inclination")')
    with pytest.raises(UserError) as error:
        read(f"{parts[0].parents[1]}/*/*")
    told = f"{parts[2]} has 'Inclination' as FLOAT, and {parts[0]} as VARCHAR: give all files one form"
    assert str(error.value) == told


FAULTS = {
    "line 3 has 39 cells, and the header 40": lambda path: edit_line(path, 3, ",Earth", ""),
    "in line 3, a quote is not closed, or not where": lambda path: edit_line(path, 3, ",", ',"'),
    "its first line names none of the columns": lambda path: path.write_text("\n" + path.read_text()),
    "line 2 has the byte 0xEB": lambda path: path.write_bytes(
        path.read_bytes().replace(b"Earth", b"\xeb", 1)
    ),
}


@pytest.mark.parametrize("told", FAULTS)
def test_the_file_with_a_fault_is_named(parts, told):
    FAULTS[told](parts[1])
    with pytest.raises(UserError) as error:
        read(f"{parts[0].parents[1]}/*/*")
    start = f"{parts[1]} is not a table in CSV, with a header line, or Parquet ({told}"
    assert str(error.value).startswith(start)


def test_a_file_that_lacks_a_needed_column_is_named(parts):
    edit_line(parts[2], 1, "Hazardous", "Harmless")
    with pytest.raises(UserError) as error:
        read(f"{parts[0].parents[1]}/*/*")
    assert str(error.value) == f"{parts[2]} lacks 'Hazardous' of the 23 columns that are needed"
