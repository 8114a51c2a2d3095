"""asteroids/table_files.py: tables are CSV or Parquet by their size, and nobody else has to know which."""

import resource
from pathlib import Path

from clearml_tools.errors import UserError

import duckdb
import pandas as pd
import pytest

import global_config
from asteroids import table_files
from asteroids.table_files import TableWriter, read_chunks, read_table, write_table
from tests.support.checkouts import REPOSITORY

SHIPPED = REPOSITORY / "data" / "nasa.csv"
CSV_AS_TEXT = "FROM read_csv($path, all_varchar = true)"


@pytest.fixture(autouse=True)
def ten_rows_are_few(monkeypatch) -> None:
    monkeypatch.setattr(global_config, "LARGE_TABLE_ROWS", 10)
    monkeypatch.setattr(table_files, "CHUNK_ROWS", 4)


def write(query: str, folder: Path, **parameters: object) -> Path:
    with table_files.open_database() as database:
        return write_table(database, query, parameters, folder, "nasa.csv")


def types(path: Path) -> dict[str, str]:
    return dict(
        duckdb.execute("SELECT name, duckdb_type FROM parquet_schema($1)", [str(path)]).fetchall()[1:]
    )


@pytest.mark.parametrize(("rows", "name"), [(1, "nasa.csv"), (10, "nasa.csv"), (11, "nasa.parquet")])
def test_the_number_of_rows_decides_on_the_file(tmp_path, rows, name):
    assert write("SELECT row AS a FROM range($rows) AS t(row)", tmp_path, rows=rows) == tmp_path / name
    with TableWriter(tmp_path, "X.csv") as writer:
        for number in range(rows):
            writer.append(pd.DataFrame({"a": [number]}))
    assert {path.name for path in tmp_path.iterdir()} == {name, "X" + Path(name).suffix}
    for file_name in ("nasa.csv", "X.csv"):
        assert read_table(tmp_path, file_name)["a"].tolist() == list(range(rows))


def test_the_shipped_table_is_the_same_file_byte_for_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(global_config, "LARGE_TABLE_ROWS", 5000)
    assert write(CSV_AS_TEXT, tmp_path, path=str(SHIPPED)).read_bytes() == SHIPPED.read_bytes()


def test_rows_keep_their_order_in_chunks_and_cells_their_last_digit(tmp_path):
    expected = pd.read_csv(SHIPPED, dtype={"Neo Reference ID": str})
    write(CSV_AS_TEXT, tmp_path, path=str(SHIPPED))
    columns = ["Neo Reference ID", "Name", "Eccentricity", "Perihelion Time"]
    chunks = list(read_chunks(tmp_path, "nasa.csv", columns))
    assert {len(chunk) for chunk in chunks[:-1]} == {4}
    pd.testing.assert_frame_equal(pd.concat(chunks, ignore_index=True), expected[columns], check_exact=True)


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("'1e-3'", "DOUBLE"),
        ("' 7 '", "DOUBLE"),
        ("NULL", "DOUBLE"),
        ("'n/a'", "VARCHAR"),
        ("'1_000'", "VARCHAR"),
        ("''", "VARCHAR"),
    ],
)
def test_a_column_of_the_model_becomes_numbers_unless_a_cell_is_none(tmp_path, cell, kind):
    query = """SELECT row::VARCHAR AS "Mean Motion", lpad(row::VARCHAR, 4, '0') AS "Neo Reference ID",
        '5' AS "Orbit ID" FROM range(11) AS t(row)"""
    query = (
        f'SELECT * REPLACE (if("Mean Motion" = \'9\', {cell}, "Mean Motion") AS "Mean Motion") FROM ({query})'
    )
    path = write(query, tmp_path)
    assert types(path) == {"Mean Motion": kind, "Neo Reference ID": "VARCHAR", "Orbit ID": "VARCHAR"}
    assert read_table(tmp_path, "nasa.csv")["Neo Reference ID"].iloc[9] == "0009"


@pytest.mark.parametrize(
    ("kind", "cell", "number"),
    [
        ("FLOAT", "0.05", 0.05),
        ("DECIMAL(38, 18)", "0.123456789012345678", 0.123456789012345678),
        ("BIGINT", "9007199254740993", 9007199254740992.0),
    ],
)
def test_a_number_of_any_type_is_the_same_in_csv_and_in_parquet(tmp_path, kind, cell, number):
    for rows in (5, 20):
        write(f'SELECT CAST({cell} AS {kind}) AS "Mean Motion" FROM range({rows})', tmp_path)
        assert read_table(tmp_path, "nasa.csv")["Mean Motion"].astype(float).tolist() == [number] * rows


@pytest.mark.parametrize("rows", [5, 20])
def test_only_an_empty_cell_is_no_text(tmp_path, rows):
    texts = ["NA", "None", "nan", "null", "0012"] * (rows // 5)
    with TableWriter(tmp_path, "X.csv") as writer:
        writer.append(pd.DataFrame({"a": [None, *texts[1:]], "b": texts}))
    read = read_table(tmp_path, "X.csv", text=["a", "b"])
    assert read["b"].tolist() == texts
    assert read["a"].isna().tolist() == [True] + [False] * (rows - 1)


@pytest.mark.parametrize("rows", [5, 20])
def test_callers_choose_columns_and_which_of_them_are_text(tmp_path, rows):
    frame = pd.DataFrame({"a": ["01"] * rows, "b": 1.5, "id": range(rows)})
    with TableWriter(tmp_path, "X.csv") as writer:
        writer.append(frame)
    read = read_table(tmp_path, "X.csv", columns=["id", "a", "none"], text=["a", "id"])
    assert list(read) == ["a", "id"]
    assert read["a"].tolist() == frame["a"].tolist()
    assert read["id"].tolist() == frame["id"].astype(str).tolist()


def test_a_table_without_rows_is_one_chunk_with_its_columns(tmp_path):
    (tmp_path / "X.csv").write_text("a,b\n")
    duckdb.execute(f"COPY (SELECT 1 AS a, 2 AS b LIMIT 0) TO '{tmp_path}/y.parquet'")
    for file_name in ("X.csv", "y.csv"):
        assert [(len(chunk), list(chunk)) for chunk in read_chunks(tmp_path, file_name)] == [(0, ["a", "b"])]


def test_a_folder_may_have_any_name(tmp_path):
    folder = tmp_path / "it's [a-z]* ?"
    folder.mkdir()
    with TableWriter(folder, "X.csv") as writer:
        writer.append(pd.DataFrame({"a": range(20)}))
    assert read_table(folder, "X.csv")["a"].tolist() == list(range(20))


# What goes wrong


def test_a_new_table_takes_the_place_of_an_old_one_of_another_size(tmp_path):
    for rows in (5, 20, 5):
        write("FROM range($rows)", tmp_path, rows=rows)
        assert len(read_table(tmp_path, "nasa.csv")) == rows
    for rows in (20, 5):
        with TableWriter(tmp_path, "nasa.csv") as writer:
            writer.append(pd.DataFrame({"a": range(rows)}))
        assert len(read_table(tmp_path, "nasa.csv")) == rows


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "neither this nor X.parquet is there"),
        ({"X.csv": b"a\n1\n", "X.parquet": b"PAR1"}, "there is X.parquet, too, and one of them may be old"),
        ({"X.csv": b""}, "."),
        ({"X.csv": b"a,b\n1,2\n1,2,3\n"}, "Expected 2 fields in line 3, saw 3"),
        ({"X.csv": "a,b\n1,2\n".encode("utf-16")}, "."),
        ({"X.parquet": b"PAR1 and no more of it"}, "."),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(tmp_path, files, told):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"^no readable X\.csv: .*{told}") as error:
        list(read_chunks(tmp_path, "X.csv", columns=["a"]))
    assert "\n" not in str(error.value)


def test_an_error_while_a_table_is_made_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError), TableWriter(tmp_path, "X.csv") as writer:
        writer.append(pd.DataFrame({"a": range(20)}))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_oserror_that_says_so(tmp_path):
    """A limit on the size of files stands for it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            write("SELECT hash(row) AS a FROM range(100000) AS t(row)", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
