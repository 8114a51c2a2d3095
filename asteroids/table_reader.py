"""Read a table from a file, for get_data.py and inference.py alike, or say what is wrong with the file.

The file is CSV in UTF-8 with a header line, plain or as .gz, or Parquet. Its content decides which, as its
name may be wrong. A file that cannot be read is a UserError that names the cause.
"""

import csv
import glob
import gzip
import re
import string
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from clearml_tools.errors import UserError

if TYPE_CHECKING:
    import duckdb

# The first bytes of files that are often taken for CSV, and what to do about them.
OTHER_FILES = {
    b"\xff\xfe": "it is UTF-16: save it as UTF-8",
    b"\xfe\xff": "it is UTF-16: save it as UTF-8",
    b"PK\x03\x04": "it is a zip file, as .xlsx is: unpack it, or save the sheet as CSV",
}

BROKEN_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)


class Fault(Exception):
    """A file that cannot be read; the text says why."""


@contextmanager
def open_table(path: Path, needed: Collection[str]) -> "Iterator[duckdb.DuckDBPyConnection]":
    """Open a database in which the file is the view `raw_table`; nothing is read into memory yet.

    All columns of a CSV are text, so that they stay as they are unless a query changes them. UserError if
    there is no such file, if it lacks a column of `needed`, or, from the queries too, if it is broken.
    """
    # Not above: a thread of inference.py that still waits for an answer at the end would hold the module,
    # and DuckDB would print a warning of "leaked instances".
    import duckdb

    try:
        with duckdb.connect() as database:
            database.execute("SET TimeZone = 'UTC'")  # a moment is the same day on any machine
            table = read_file(database, path, needed)
            missing = [name for name in needed if name not in table.columns]
            if missing:
                names = ", ".join(map(repr, missing[:5]))
                more = f" and {len(missing) - 5} more" if missing[5:] else ""
                raise UserError(f"{path} lacks {names}{more} of the {len(needed)} columns that are needed")
            table.create_view("raw_table")
            yield database
    except (duckdb.Error, Fault, *BROKEN_GZIP) as error:
        raise UserError(
            f"{path} is not a table in CSV, with a header line, or Parquet "
            f"({describe_error(error, path, needed)})"
        ) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error


def quote_name(column: str) -> str:
    """Return the name of a column as SQL takes it."""
    return '"' + column.replace('"', '""') + '"'


def read_file(
    database: "duckdb.DuckDBPyConnection", path: Path, needed: Collection[str]
) -> "duckdb.DuckDBPyRelation":
    """Return the file as a relation; an error of DuckDB or a Fault if it cannot be read."""
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise UserError(f"{path}: {what}; give --csv a CSV or Parquet file, or leave it out")
    if not path.stat().st_size:
        raise UserError(f"{path} is empty: it needs a header line and rows")
    # DuckDB takes a path for a pattern. Beside a backslash it knows no escape, and the plain name works.
    pattern = str(path) if "\\" in str(path) else glob.escape(str(path))
    if first_bytes(path) == b"PAR1":
        return database.read_parquet(pattern, hive_partitioning=False)
    with open_text(path) as file:
        names = read_header(file, needed)
        has_quotes = any('"' in line for line in file)
    if has_quotes:
        # By the rules of CSV, all between two stray quotes is one cell. DuckDB would lose rows silently.
        with open_text(path) as file:
            check_rows(file, needed)
    # Without this form, DuckDB would guess one that fits even a broken file, take a row that begins with "#"
    # for a comment, and add columns for folders such as year=2010.
    return database.sql(
        """FROM read_csv($path, columns = $columns, auto_detect = false, header = true, delim = ',',
           quote = '"', escape = '"', compression = $compression, hive_partitioning = false)""",
        params={
            "path": pattern,
            "columns": dict.fromkeys(names, "VARCHAR"),
            "compression": "gzip" if is_gzip(path) else "none",
        },
    )


def first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def is_gzip(path: Path) -> bool:
    return first_bytes(path).startswith(b"\x1f\x8b")


def open_text(path: Path) -> TextIO:
    """Open a CSV file, plain or packed. A byte that is not UTF-8 is read as a surrogate, 0xDC80 to 0xDCFF."""
    with gzip.open(path) if is_gzip(path) else path.open("rb") as file:
        start = file.read(4)
    for mark, remedy in OTHER_FILES.items():
        if start.startswith(mark):
            raise Fault(remedy)
    opener = gzip.open if is_gzip(path) else open
    return opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")


def read_header(file: TextIO, needed: Collection[str]) -> list[str]:
    """Return the names of the columns from the first line; a Fault if it is not a header."""
    line = next(check_lines(file), "")
    names = split(line, ",")
    if not set(names) & set(needed):
        for mark in sorted(set(string.punctuation + "\t") & set(line) - {'"'}):
            if len(set(split(line, mark)) & set(needed)) > 1:
                raise Fault(f"its columns are separated by {mark!r}: save it with ',', and '.' in numbers")
        raise Fault("its first line names none of the columns that are needed")
    for name in names:
        if name and names.count(name) > 1:
            raise Fault(f"its header has '{name}' {names.count(name)} times")
    return [name or f"column{position}" for position, name in enumerate(names)]


def split(line: str, separator: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]


def check_lines(file: TextIO) -> Iterator[str]:
    """Yield the lines; a Fault at the first one with a wrong byte or another end than the one before."""
    former, quoted = "", False
    for number, line in enumerate(file, 1):
        wrong = re.search("[\udc80-\udcff]", line)
        if wrong:
            byte = ord(wrong[0]) - 0xDC00
            raise Fault(
                f"line {number} has the byte 0x{byte:02X}, which is not UTF-8: it may be cp1252, or no text; "
                "save it as UTF-8"
            )
        if "\0" in line:
            raise Fault(f"line {number} has a zero byte, as UTF-16 and files that are not text have")
        quoted ^= line.count('"') % 2 == 1
        end = "" if quoted else line[len(line.rstrip("\r\n")) :]  # in quotes, it is part of a cell
        if former and end and end != former:
            raise Fault(
                f"line {number} ends with {end!r} and the one before with {former!r}: give all lines one end"
            )
        former = end or former
        yield line


def describe_error(error: Exception, path: Path, needed: Collection[str]) -> str:
    """Return what is wrong with a file: the first fault in the lines of a CSV, or else DuckDB's words."""
    try:
        if not isinstance(error, Fault) and first_bytes(path) != b"PAR1":
            with open_text(path) as file:
                check_rows(file, needed)
    except Fault as fault:
        error = fault
    except BROKEN_GZIP:
        return "its compression is broken: the file may have come in part"
    return str(error).splitlines()[0]


def check_rows(file: TextIO, needed: Collection[str]) -> None:
    """Raise a Fault for the first row of a CSV that is not like the header, or that is several rows.

    Quoted text may have line ends in it, but no needed column has such text.
    """
    reader = csv.reader(check_lines(file), strict=True)
    done = 0  # lines
    try:
        header = next(reader)
        no_text = [position for position, name in enumerate(header) if name.strip() in needed]
        done = reader.line_num
        for row in reader:
            first, done = done + 1, reader.line_num
            where = (
                f"line {first} has"
                if first == done
                else f"lines {first} to {done}, one by their quotes, have"
            )
            # DuckDB skips blank lines, and commas that are too many at the end.
            if row and (len(row) < len(header) or any(row[len(header) :])):
                raise Fault(f"{where} {len(row)} cells, and the header {len(header)}")
            # A text over several lines that has as many commas as rows have is not a text.
            commas = sum(cell.count(",") for cell in row)
            is_several = commas >= (len(header) - 1) * (done - first)
            if first < done and (is_several or any(set("\r\n") & set(row[at]) for at in no_text)):
                raise Fault(f"lines {first} to {done} are one row by their quotes: correct these")
    except csv.Error as error:
        raise Fault(
            f"in line {done + 1}, a quote is not closed, or not where its cell ends: {error}"
        ) from error
