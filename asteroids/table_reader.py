"""Read a table from files, for get_data.py and inference.py alike, or say what is wrong with them.

A file is CSV in UTF-8 with a header line, plain or as .gz, or Parquet. Its content decides which, as its name
may be wrong. A table may be in many files of one form, below s3:// or https:// too. What cannot be read is a
UserError that names the file and the cause.
"""

import glob
import os
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from clearml_tools.errors import UserError

from asteroids.csv_checks import (
    BROKEN_GZIP,
    Fault,
    check_rows,
    first_bytes,
    has_quotes,
    is_gzip,
    open_text,
    read_header,
)
from asteroids.database import open_database, path_pattern, quote_name

if TYPE_CHECKING:
    import duckdb

PARQUET, CSV, GZIP = "Parquet", "CSV", "CSV in gzip"
COMPRESSIONS = {CSV: "none", GZIP: "gzip"}

REMEDY = "give --csv a CSV or Parquet file, or a pattern such as 'folder/*.parquet', or leave it out"

# Without an extension DuckDB knows no network. It fetches one by itself where it can.
INSTALL = (
    "DuckDB needs its extension httpfs for that, and could not fetch it. Where there is a network, run once: "
    """python -c "import duckdb; duckdb.sql('INSTALL httpfs')\""""
)


class Form(NamedTuple):
    """What all files of a table must have in common."""

    kind: str
    columns: dict[str, str]  # their types by their names, in the order of the file


@contextmanager
def open_table(source: Path | str, needed: Collection[str]) -> "Iterator[duckdb.DuckDBPyConnection]":
    """Open a database in which the table is the view `raw_table`; no row is in memory yet.

    `source` is a file, a pattern for files, whose rows follow each other in the order of their names, or an
    address. All columns of a CSV are text, so that they stay as they are unless a query changes them.
    UserError if there is no such file, if one lacks a column of `needed` or has another form than the first,
    or, from the queries too, if one is broken.
    """
    with open_database() as database, tempfile.TemporaryDirectory() as folder:
        database.execute("SET TimeZone = 'UTC'")  # a moment is the same day on any machine
        if is_remote(source):
            copy = Path(folder, "table.parquet")
            copy_remote_table(database, str(source), needed, copy)
            source, files = copy, [copy]
        else:
            files = find_files(source)
        forms = []
        for path in files:
            with named_errors(path):
                forms.append(local_form(database, path, needed))
        check_forms(files, forms, needed)
        with named_errors(source, lambda: find_fault(files, forms[0], needed)):
            table = select_files(database, [path_pattern(path) for path in files], forms[0])
            if forms[0].kind != PARQUET and any(map(has_quotes, files)):
                check_quotes(table, needed, lambda: find_fault(files, forms[0], needed))
            table.create_view("raw_table")
            yield database


@contextmanager
def named_errors(name: Path | str, find: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Turn what is wrong with a file into a UserError; `find` may raise a better one than DuckDB."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        find()
        first, *more = str(error).strip().splitlines()
        # Of a broken row, DuckDB tells further down what is wrong with it.
        why = ", ".join([first, *[line for line in more if line.startswith(("Expected", "Value"))][:1]])
        if not is_remote(name):
            raise not_a_table(name, why) from error
        remedy = f". {INSTALL}" if "httpfs" in str(error) else ""
        raise UserError(f"{name} cannot be read ({why}){remedy}") from error
    except Fault as fault:
        raise not_a_table(name, str(fault)) from fault
    except BROKEN_GZIP as error:
        raise not_a_table(name, "its compression is broken: the file may have come in part") from error
    except OSError as error:
        raise UserError(f"{name} cannot be read ({error.strerror})") from error


def not_a_table(name: Path | str, why: str) -> UserError:
    return UserError(f"{name} is not a table in CSV, with a header line, or Parquet ({why})")


# Files of this machine


def find_files(source: Path | str) -> list[Path]:
    """Return the files that a path or a pattern means, in the order of their names."""
    path = Path(os.path.expanduser(source))  # in quotes, or after --csv=, the shell leaves ~ as it is
    if path.is_dir():
        raise UserError(f"{source}: a folder; {REMEDY}")
    # A file that is there is meant by its name, even if it looks like a pattern. With two **, a pattern
    # finds files twice.
    found = {path} if path.exists() else {Path(each) for each in glob.glob(str(path), recursive=True)}
    if files := sorted((each for each in found if each.is_file()), key=str):  # as DuckDB sorts them
        return files
    raise UserError(f"{source}: no such file; {REMEDY}")


def local_form(database: "duckdb.DuckDBPyConnection", path: Path, needed: Collection[str]) -> Form:
    if not path.stat().st_size:
        raise UserError(f"{path} is empty: it needs a header line and rows")
    if first_bytes(path) == b"PAR1":
        return parquet_form(database, path_pattern(path))
    with open_text(path) as file:
        return Form(GZIP if is_gzip(path) else CSV, dict.fromkeys(read_header(file, needed), "VARCHAR"))


def parquet_form(database: "duckdb.DuckDBPyConnection", pattern: str) -> Form:
    table = select_files(database, [pattern], Form(PARQUET, {}))
    return Form(PARQUET, dict(zip(table.columns, map(str, table.types), strict=True)))


def find_fault(files: Sequence[Path], form: Form, needed: Collection[str]) -> None:
    """Raise a UserError for the first fault in the lines of CSV files, if there is one."""
    for path in files if form.kind != PARQUET else ():
        with named_errors(path), open_text(path) as file:
            check_rows(file, needed)


# All files


def check_forms(files: Sequence[Path | str], forms: Sequence[Form], needed: Collection[str]) -> None:
    """Raise a UserError for a file that lacks a needed column, or that has another form than the first."""
    for file, form in zip(files, forms, strict=True):
        missing = [name for name in needed if name not in form.columns]
        if missing:
            names = ", ".join(map(repr, missing[:5]))
            more = f" and {len(missing) - 5} more" if missing[5:] else ""
            raise UserError(f"{file} lacks {names}{more} of the {len(needed)} columns that are needed")
        if form != forms[0] or list(form.columns) != list(forms[0].columns):
            raise UserError(f"{file} {difference(form, forms[0], files[0])}: give all files one form")


def difference(form: Form, first: Form, first_file: Path | str) -> str:
    """Return in which way the form of a file is another than that of the first."""
    if form.kind != first.kind:
        return f"is {form.kind}, and {first_file} is {first.kind}"
    for name in [*first.columns, *form.columns]:
        if name not in form.columns:
            return f"lacks '{name}', which {first_file} has"
        if name not in first.columns:
            return f"has '{name}', which {first_file} lacks"
        if form.columns[name] != first.columns[name]:
            return f"has '{name}' as {form.columns[name]}, and {first_file} as {first.columns[name]}"
    return f"has its columns in another order than {first_file}"


def select_files(
    database: "duckdb.DuckDBPyConnection", patterns: Sequence[str], form: Form
) -> "duckdb.DuckDBPyRelation":
    """Return the rows of all files, in the order of these, as a relation."""
    if form.kind == PARQUET:
        # Folders such as year=2010 add no column: the same file is the same table anywhere.
        return database.sql(
            "FROM read_parquet($files, hive_partitioning = false)", params={"files": list(patterns)}
        )
    # Without this form, DuckDB would guess one that fits even a broken file, and take a row that begins with
    # "#" for a comment.
    return database.sql(
        """FROM read_csv($files, columns = $columns, auto_detect = false, header = true, delim = ',',
           quote = '"', escape = '"', compression = $compression, hive_partitioning = false)""",
        params={
            "files": list(patterns),
            "columns": form.columns,
            "compression": COMPRESSIONS[form.kind],
        },
    )


def check_quotes(
    table: "duckdb.DuckDBPyRelation", needed: Collection[str], find: Callable[[], object] = lambda: None
) -> None:
    """Raise a Fault, or what `find` raises, for a row of a CSV that is several rows.

    By the rules of CSV, all between two stray quotes is one cell, and rows would be lost silently. Quoted
    text may have line ends in it, but no needed column has such text, and a text over several lines that has
    as many commas as rows have is not a text.
    """
    text = f"concat_ws('|', {', '.join(map(quote_name, table.columns))})"
    ends = r"'\r\n|\r|\n'"
    cells = [f"regexp_matches({quote_name(name)}, {ends})" for name in needed]
    lines = f"len(regexp_extract_all({text}, {ends}))"
    commas = f"len({text}) - len(replace({text}, ',', ''))"
    wrong = f"{' OR '.join(cells)} OR {commas} >= {len(table.columns) - 1} * {lines}"
    has_ends = f"(contains({text}, chr(10)) OR contains({text}, chr(13)))"  # faster, and most rows have none
    if table.filter(f"{has_ends} AND ({wrong})").limit(1).fetchall():
        find()
        raise Fault("it has a row with line ends in it, by its quotes: correct these")


# Files elsewhere


def is_remote(source: Path | str) -> bool:
    return bool(re.match("[a-z][a-z0-9]+://", str(source), re.I))


def copy_remote_table(
    database: "duckdb.DuckDBPyConnection", address: str, needed: Collection[str], target: Path
) -> None:
    """Copy the table at an address, or at those that fit a pattern, to a Parquet file, which queries read.

    So it travels once, and stays the same for all of them. DuckDB has the credentials, as its own secrets.
    """
    with named_errors(address):
        found = database.execute("SELECT file FROM glob($1) ORDER BY file", [address]).fetchall()
    files = [file for (file,) in found]
    if not files:
        raise UserError(f"{address}: no such file; {REMEDY}")
    forms = []
    for file in files:
        with named_errors(file):
            forms.append(remote_form(database, file, needed))
    check_forms(files, forms, needed)
    with named_errors(address):
        select_files(database, files, forms[0]).write_parquet(str(target))
        if forms[0].kind != PARQUET:
            check_quotes(database.read_parquet(path_pattern(target)), needed)


def remote_form(database: "duckdb.DuckDBPyConnection", address: str, needed: Collection[str]) -> Form:
    """Return the form of a file elsewhere. Its name decides what it is: no first bytes can be asked for."""
    name = urlsplit(address).path if address.lower().startswith("http") else address
    if name.lower().endswith(".parquet"):
        return parquet_form(database, address)
    kind = GZIP if name.lower().endswith(".gz") else CSV
    # All rows, though it is one: DuckDB takes no other query before the end of this one.
    lines = database.execute(
        """FROM read_csv($file, columns = {'line': 'VARCHAR'}, auto_detect = false, header = false,
           delim = chr(31), quote = '', escape = '', compression = $compression,
           hive_partitioning = false) LIMIT 1""",
        {"file": address, "compression": COMPRESSIONS[kind]},
    ).fetchall()
    return Form(kind, dict.fromkeys(read_header((line for (line,) in lines), needed), "VARCHAR"))
