"""Read files shaped like the NASA table, for get_data.py and inference.py alike.

CSV in UTF-8 with a header line, plain or as .gz, and Parquet. What a file is, its content tells: its name
may lie. A file that cannot be read is an UserError that names the cause.
"""

import csv
import glob
import gzip
import re
import string
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from clearml_tools.errors import UserError

if TYPE_CHECKING:
    import duckdb

# One row for each close approach of an asteroid to the Earth. Spelling is the table's own.
TABLE_COLUMNS = [
    "Neo Reference ID", "Name", "Absolute Magnitude",
    "Est Dia in KM(min)", "Est Dia in KM(max)", "Est Dia in M(min)", "Est Dia in M(max)",
    "Est Dia in Miles(min)", "Est Dia in Miles(max)", "Est Dia in Feet(min)", "Est Dia in Feet(max)",
    "Close Approach Date", "Epoch Date Close Approach",
    "Relative Velocity km per sec", "Relative Velocity km per hr", "Miles per hour",
    "Miss Dist.(Astronomical)", "Miss Dist.(lunar)", "Miss Dist.(kilometers)", "Miss Dist.(miles)",
    "Orbiting Body", "Orbit ID", "Orbit Determination Date", "Orbit Uncertainity",
    "Minimum Orbit Intersection", "Jupiter Tisserand Invariant", "Epoch Osculation", "Eccentricity",
    "Semi Major Axis", "Inclination", "Asc Node Longitude", "Orbital Period", "Perihelion Distance",
    "Perihelion Arg", "Aphelion Dist", "Perihelion Time", "Mean Anomaly", "Mean Motion", "Equinox",
    "Hazardous",
]  # fmt: skip

# What files begin with that are often taken for CSV, and what to do about them.
OTHER_FILES = {
    b"\xff\xfe": "it is UTF-16: save it as UTF-8",
    b"\xfe\xff": "it is UTF-16: save it as UTF-8",
    b"PK\x03\x04": "it is a zip file, as .xlsx is: unpack it, or save the sheet as CSV",
}


BROKEN_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)


class Fault(Exception):
    """Why a file cannot be read, in words."""


@contextmanager
def open_table(path: Path, needed: Iterable[str]) -> "Iterator[duckdb.DuckDBPyConnection]":
    """Open a database in which the file is the view `asteroids`; nothing of it is in memory yet.

    All columns of a CSV are text, so that what a query does not touch comes out as it went in. UserError
    if there is no such file, if it lacks a column of `needed`, or, from the queries too, if it is broken.
    """
    # Not above: a thread of inference.py that still waits for an answer at the end would keep hold of it,
    # by the names of the modules, and DuckDB would tell the terminal of "leaked instances".
    import duckdb

    try:
        with duckdb.connect() as database:
            database.execute("SET TimeZone = 'UTC'")  # a moment is the same day on any machine
            table = read_file(database, path)
            missing = [name for name in needed if name not in table.columns]
            if missing:
                names = ", ".join(map(repr, missing[:5]))
                more = f" and {len(missing) - 5} more" if missing[5:] else ""
                raise UserError(f"{path} is not the NASA table: it lacks {names}{more} of its 40 columns")
            table.create_view("asteroids")
            yield database
    except (duckdb.Error, Fault, *BROKEN_GZIP) as error:
        raise UserError(
            f"{path} is not a table in CSV, with a header line, or Parquet ({reason(error, path)})"
        ) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error


def read_file(database: "duckdb.DuckDBPyConnection", path: Path) -> "duckdb.DuckDBPyRelation":
    """Give the file as a relation, with DuckDB's errors or a Fault."""
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise UserError(f"{path}: {what}; give --csv a CSV or Parquet file, or leave it out")
    if not path.stat().st_size:
        raise UserError(f"{path} is empty: it needs the 40 columns, and rows")
    pattern = glob.escape(str(path))  # DuckDB takes a path for a pattern
    if first_bytes(path) == b"PAR1":
        return database.read_parquet(pattern, hive_partitioning=False)
    with open_text(path) as file:
        names = read_header(file)
        has_quotes = any('"' in line for line in file)
    if has_quotes:
        # Between two stray quotes, all is one cell by the rules of CSV, and DuckDB would lose rows unseen.
        with open_text(path) as file:
            check_rows(file)
    # The form is given, for DuckDB would go far to find one that fits a broken file. It would take a row
    # that begins with "#" for a comment, and add columns for folders such as year=2010.
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
    for mark, words in OTHER_FILES.items():
        if start.startswith(mark):
            raise Fault(words)
    opener = gzip.open if is_gzip(path) else open
    return opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")


def read_header(file: TextIO) -> list[str]:
    """Read the names of the columns from the first line, or tell why it is none."""
    line = next(check_lines(file), "")
    names = split(line, ",")
    if not set(names) & set(TABLE_COLUMNS):
        for mark in sorted(set(string.punctuation + "\t") & set(line) - {'"'}):
            if len(set(split(line, mark)) & set(TABLE_COLUMNS)) > 1:
                raise Fault(f"its columns are separated by {mark!r}: save it with ',', and '.' in numbers")
        raise Fault("its first line has none of the 40 columns' names")
    for name in names:
        if name and names.count(name) > 1:
            raise Fault(f"its header has '{name}' {names.count(name)} times")
    return [name or f"column{position}" for position, name in enumerate(names)]


def split(line: str, separator: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]


def check_lines(file: TextIO) -> Iterator[str]:
    """Give the lines, up to the first one with a wrong byte or another end than the one before."""
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


def reason(error: Exception, path: Path) -> str:
    """Say what is wrong with a file: what the lines of a CSV tell, or else DuckDB's words."""
    try:
        if not isinstance(error, Fault) and first_bytes(path) != b"PAR1":
            with open_text(path) as file:
                check_rows(file)
    except Fault as fault:
        error = fault
    except BROKEN_GZIP:
        return "its compression is broken: the file may have come in part"
    return str(error).splitlines()[0]


def check_rows(file: TextIO) -> None:
    """Raise a Fault that names the first row of a CSV that is not like the header.

    Cells of columns that the NASA table does not have may have line ends in them.
    """
    reader = csv.reader(check_lines(file), strict=True)
    done = 0  # lines
    try:
        header = next(reader)
        known = [position for position, name in enumerate(header) if name.strip() in TABLE_COLUMNS]
        done = reader.line_num
        for row in reader:
            first, done = done + 1, reader.line_num
            where = (
                f"line {first} has"
                if first == done
                else f"lines {first} to {done}, one by their quotes, have"
            )
            # DuckDB passes over blank lines, and over superfluous commas at the end.
            if row and (len(row) < len(header) or any(row[len(header) :])):
                raise Fault(f"{where} {len(row)} cells, and the header {len(header)}")
            if first < done and any(set("\r\n") & set(row[position]) for position in known):
                raise Fault(f"lines {first} to {done} are one row by their quotes: correct these")
    except csv.Error as error:
        raise Fault(
            f"in line {done + 1}, a quote is not closed, or not where its cell ends: {error}"
        ) from error
