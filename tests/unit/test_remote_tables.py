"""table_reader.py: tables below file://, which DuckDB reads alone, and http://, by its extension httpfs."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from clearml_tools.errors import UserError

import duckdb
import pytest

from asteroids import table_reader
from asteroids.database import open_database
from asteroids.table_reader import INSTALL, open_table
from get_data import NEEDED_COLUMNS
from tests.support.asteroid_tables import asteroid_table, cells


def has_httpfs() -> bool:
    try:
        duckdb.sql("LOAD httpfs")
    except duckdb.Error:
        return False
    return True


needs_httpfs = pytest.mark.skipif(
    not has_httpfs(), reason=f"no httpfs here: make test-slow has one. {INSTALL}"
)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def text() -> str:
    return asteroid_table(asteroids=20).to_csv(index=False)


@pytest.fixture(params=["file", pytest.param("http", marks=needs_httpfs)])
def address(text: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a folder with the table in several forms."""
    (tmp_path / "table.csv").write_text(text)
    (tmp_path / "table.csv.gz").write_bytes(gzip.compress(text.encode()))
    cells = f"FROM read_csv('{tmp_path / 'table.csv'}', all_varchar = true)"
    duckdb.sql(f"COPY ({cells}) TO '{tmp_path / 'table.parquet'}'")
    if request.param == "file":
        yield f"file://{tmp_path}"
        return
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, args=[0.02]).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def read(source: str) -> list[tuple]:
    with open_table(source, NEEDED_COLUMNS) as database:
        return database.execute("SELECT CAST(COLUMNS(*) AS VARCHAR) FROM raw_table").fetchall()


def refusal(source: str) -> str:
    with pytest.raises(UserError) as error:
        read(source)
    # As DuckDB lists the files below file://.
    message, name = (told.removeprefix("file://") for told in (str(error.value), source))
    assert message.startswith(name)
    return message.removeprefix(name)


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz", "table.parquet"])
def test_a_file_elsewhere_gives_the_rows_that_it_gives_here(text, address, name):
    assert read(f"{address}/{name}") == cells(text)


@pytest.mark.parametrize("address", [pytest.param("http", marks=needs_httpfs)], indirect=True)
def test_what_follows_a_name_is_not_part_of_it(text, address):
    assert read(f"{address}/table.csv?version=1.parquet") == cells(text)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_pattern_means_files_in_one_order_here_and_elsewhere(text, tmp_path, scheme):
    parts = {name: text.replace("Earth", name) for name in ("part-1", "part-10", "part-2", "part")}
    for name in sorted(parts):  # a name as a whole: "part-1/a.csv" is before "part/a.csv"
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_text(parts[name])
    rows = read(f"{scheme}{tmp_path}/part*/*.csv")
    assert rows == [row for part in parts.values() for row in cells(part)]


@pytest.mark.parametrize("address", [pytest.param("http", marks=needs_httpfs)], indirect=True)
def test_what_is_not_there_is_told_by_duckdb(address):
    told = refusal(f"{address}/nowhere.csv")
    assert told.startswith(" cannot be read (HTTP Error: ")
    assert "404" in told


def test_the_header_elsewhere_is_checked_as_one_here_is(text, address, tmp_path):
    (tmp_path / "table.csv").write_text(text.replace(",", ";"))
    assert "its columns are separated by ';': save it with ','" in refusal(f"{address}/table.csv")


def test_a_short_row_elsewhere_is_located(text, address, tmp_path):
    (tmp_path / "table.csv").write_text(text.replace(",Earth", "", 1))
    told = "(Invalid Input Error: CSV Error on Line: 2, Expected Number of Columns: 40 Found: 39)"
    assert refusal(f"{address}/table.csv") == f" cannot be read {told}"


def test_no_row_elsewhere_is_lost_between_two_stray_quotes(text, address, tmp_path):
    lines = text.split("\n")
    lines[6] = lines[6].replace(",", ',"', 1)
    lines[8] = lines[8].replace("),", ')",', 1)
    (tmp_path / "table.csv").write_text("\n".join(lines))
    assert "it has a row with line ends in it, by its quotes" in refusal(f"{address}/table.csv")


def test_without_the_extension_the_remedy_is_told(monkeypatch, tmp_path):
    @contextmanager
    def open_bare_database() -> Iterator[duckdb.DuckDBPyConnection]:
        with open_database() as database:
            database.execute("SET autoinstall_known_extensions = false")
            database.execute(f"SET extension_directory = '{tmp_path}'")
            yield database

    monkeypatch.setattr(table_reader, "open_database", open_bare_database)
    assert refusal("s3://rocks/table.csv").endswith(f"). {INSTALL}")


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_the_name_of_a_folder_elsewhere_adds_no_column(text, tmp_path, name):
    folder = tmp_path / "year=2010"
    folder.mkdir()
    (folder / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    assert read(f"file://{folder}/{name}") == cells(text)
