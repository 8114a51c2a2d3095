"""table_reader.py: the kinds of files that are read, all to the same rows, and why others are refused."""

import gzip
from csv import QUOTE_ALL, QUOTE_NONNUMERIC
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


@pytest.fixture
def csv(text: str, tmp_path: Path) -> Path:
    path = tmp_path / "asteroids.csv"
    path.write_text(text)
    return path


def read(path: Path | str) -> list[tuple]:
    """All cells as texts, row by row."""
    with open_table(path, NEEDED_COLUMNS) as database:
        return database.execute("SELECT CAST(COLUMNS(*) AS VARCHAR) FROM raw_table").fetchall()


def refusal(path: Path | str) -> str:
    """Why a file is refused, which must be told in one line."""
    with pytest.raises(UserError) as error:
        read(path)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    start = f"{path} is not a table in CSV, with a header line, or Parquet ("
    return message.removeprefix(start)[:-1] if message.startswith(start) else message.removeprefix(f"{path}")


# What is read


KINDS = {
    "plain": lambda text: text.encode(),
    "marked as UTF-8": lambda text: text.encode("utf-8-sig"),
    "lines of Windows": lambda text: text.replace("\n", "\r\n").encode(),
    "lines of old Macs": lambda text: text.replace("\n", "\r").encode(),
    "no end of the last line": lambda text: text.rstrip("\n").encode(),
    "empty lines": lambda text: text.replace("\n", "\n\n", 5).replace("\n\n", "\n", 1).encode(),
    "blanks in the header": lambda text: text.replace(",", ", ", 39).encode(),
    "gzip": lambda text: gzip.compress(text.encode()),
    "gzip, marked as UTF-8": lambda text: gzip.compress(text.encode("utf-8-sig")),
}


@pytest.mark.parametrize("name", ["asteroids.csv", "asteroids.csv.gz", "asteroids.CSV", "asteroids.parquet"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_csv_gives_the_same_rows_whatever_its_name(text, tmp_path, kind, name):
    path = tmp_path / name
    path.write_bytes(KINDS[kind](text))
    assert read(path) == cells(text)


@pytest.mark.parametrize("name", ["asteroids.PARQUET", "asteroids", "year=2010/asteroids.csv"])
def test_parquet_is_read_whatever_its_name(text, csv, tmp_path, name):
    path = tmp_path / "folder" / name
    path.parent.mkdir(parents=True)
    duckdb.sql(f"COPY (FROM read_csv('{csv}', all_varchar = true)) TO '{path}' (FORMAT parquet)")
    assert read(path) == cells(text)


@pytest.mark.parametrize("name", ["it's {a,b} [1]*?.csv", "()[]{}|?*+.^$ \\xy", "year=2010/asteroids.csv"])
def test_a_file_name_is_not_taken_for_a_pattern_or_more_columns(text, csv, name):
    path = csv.with_name("folder") / name
    path.parent.mkdir(parents=True)
    assert read(csv.rename(path)) == cells(text)


def test_a_row_that_begins_like_a_comment_is_a_row(text, csv):
    edit_line(csv, 3, "2", "#2")
    assert len(read(csv)) == len(cells(text))


def test_columns_without_a_name_are_kept(text, csv):
    csv.write_text("".join(f"{number},{line}\n" for number, line in enumerate(text.splitlines())).lstrip("0"))
    assert [row[1:] for row in read(csv)] == cells(text)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("quoting", [QUOTE_ALL, QUOTE_NONNUMERIC])
def test_quoted_cells_are_read_with_what_is_in_them(tmp_path, quoting, end):
    table = asteroid_table(asteroids=20).assign(note='it is "new",\nor not')
    table.to_csv(tmp_path / "quoted.csv", index=False, quoting=quoting, lineterminator=end)
    rows = read(tmp_path / "quoted.csv")
    assert [row[1] for row in rows] == table["Name"].tolist()
    assert {row[-1] for row in rows} == {'it is "new",\nor not'}


def test_superfluous_commas_at_the_ends_of_rows_are_passed_over(text, csv):
    header, rows = text.split("\n", 1)
    csv.write_text(header + "\n" + rows.replace("\n", ",,\n").replace("Earth", '"Earth"'))
    assert read(csv) == cells(text)


# What is refused


@pytest.mark.parametrize("separator", [";", "\t", "|", "^"])
def test_another_separator_is_named(csv, separator):
    asteroid_table(asteroids=20).to_csv(csv, index=False, sep=separator, decimal=",", quoting=QUOTE_ALL)
    assert refusal(csv) == f"its columns are separated by {separator!r}: save it with ',', and '.' in numbers"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_utf_16_is_named(text, csv, encoding, mark):
    csv.write_bytes((mark + text).encode(encoding))
    assert "UTF-16" in refusal(csv)


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
@pytest.mark.parametrize("line", [1, 2, 20])
def test_a_byte_that_is_not_utf_8_is_located(csv, encoding, line):
    edit_line(csv, line, "Name" if line == 1 else "Earth", "Zoë")
    csv.write_bytes(csv.read_text().encode(encoding))
    assert refusal(csv).startswith(
        f"line {line} has the byte 0xEB, which is not UTF-8: it may be cp1252, or no text; save it as UTF-8"
    )


@pytest.mark.parametrize("ends", [("\n", "\r\n"), ("\r\n", "\n"), ("\n", "\r"), ("\r", "\n"), ("\r\n", "\r")])
@pytest.mark.parametrize("line", [2, 20])
def test_mixed_line_ends_are_located(text, csv, ends, line):
    lines = [each + ends[number >= line] for number, each in enumerate(text.splitlines(), 1)]
    csv.write_bytes("".join(lines).encode())
    assert refusal(csv) == (
        f"line {line} ends with {ends[1]!r} and the one before with {ends[0]!r}: give all lines one end"
    )


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(("new", "count"), [("", 39), (",False,x", 41)])
@pytest.mark.parametrize("line", [2, 2_501])
def test_a_short_or_long_row_is_located(text, csv, pack, new, count, line):
    header, row = text.splitlines()[0], text.splitlines()[1].rpartition(",")[0]
    rows = [row + ",False"] * 3_000
    rows[line - 2] = row + new
    csv.write_bytes(pack("\n".join([header, *rows]).encode()))
    assert refusal(csv) == f"line {line} has {count} cells, and the header 40"


def test_a_quote_that_is_not_closed_is_located(text, csv):
    edit_line(csv, 7, ",", ',"')
    assert refusal(csv).startswith("in line 7, a quote is not closed, or not where its cell ends")


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (')",x,', "lines 7 to 9, one by their quotes, have 41 cells, and the header 40"),
        (')",', "lines 7 to 9 are one row by their quotes: correct these"),
    ],
)
def test_no_row_is_lost_between_two_stray_quotes(csv, end, told):
    edit_line(csv, 7, ",", ',"')  # before the name of one asteroid
    edit_line(csv, 9, "),", end)  # and after that of another
    assert refusal(csv) == told


FIRST_LINES = {
    "no header": lambda lines: lines[1:],
    "an empty line": lambda lines: ["", *lines],
    "a title": lambda lines: ["Asteroids, as of today", *lines],
    "a web page": lambda lines: ["<!DOCTYPE html>", "<html></html>"],
    "nothing": lambda lines: ["", ""],
}


@pytest.mark.parametrize("kind", FIRST_LINES)
def test_a_first_line_that_is_no_header_is_named(text, csv, kind):
    csv.write_text("\n".join(FIRST_LINES[kind](text.splitlines())))
    assert refusal(csv) == "its first line names none of the columns that are needed"


def test_a_name_that_stands_twice_in_the_header_is_named(csv):
    edit_line(csv, 1, "Equinox", "Hazardous")
    assert refusal(csv) == "its header has 'Hazardous' 2 times"


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_missing_columns_are_named_and_of_many_a_few(tmp_path, form):
    path = tmp_path / f"less.{form}"
    for columns, told in [
        (NEEDED_COLUMNS[1:], f" lacks '{NEEDED_COLUMNS[0]}' of the 23 columns that are needed"),
        (["Hazardous", "Name"], "'Miss Dist.(kilometers)' and 17 more of the 23 columns that are needed"),
    ]:
        asteroid_table(asteroids=2)[columns].to_csv(tmp_path / "less.csv", index=False)
        if form == "parquet":
            duckdb.sql(f"COPY (FROM read_csv('{tmp_path / 'less.csv'}')) TO '{path}'")
        assert refusal(path).endswith(told)


def test_what_is_no_file_or_an_empty_one_is_named(tmp_path):
    (tmp_path / "empty.parquet").touch()
    assert refusal(tmp_path / "nowhere.csv").startswith(": no such file; give --csv")
    assert refusal(f"{tmp_path}/*.csv").startswith(": no such file; give --csv")
    assert refusal(tmp_path).startswith(": a folder; give --csv")
    assert refusal(tmp_path / "empty.parquet").startswith(" is empty")


def test_a_file_that_must_not_be_read_is_named(csv, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")  # no mode of a file keeps root from it

    monkeypatch.setattr(Path, "open", refuse)
    assert refusal(csv) == " cannot be read (Permission denied)"


@pytest.mark.parametrize("name", ["asteroids.csv", "asteroids.parquet"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe" * 50, "line 1 has the byte 0x89"),
        (b"PK\x03\x04\x14\x00\x06\x00" * 50, "it is a zip file, as .xlsx is"),
        (b"\x00\x01\x02\x03" * 50, "line 1 has a zero byte"),
        (b"PAR1", "Invalid Input Error"),
        (b"PAR1" + b"\x15\x04" * 500, "Invalid Input Error"),
    ],
)
def test_what_is_no_table_is_refused_whatever_its_name(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    assert words in refusal(path)


@pytest.mark.parametrize("rest", [30, 2000])
def test_a_gzip_file_that_came_in_part_is_named(text, csv, rest):
    csv.write_bytes(gzip.compress(text.encode())[:rest])
    assert refusal(csv) == "its compression is broken: the file may have come in part"
