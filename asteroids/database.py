"""DuckDB as the modules use it that read and write tables: with bounded memory, and its own spelling."""

import glob
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

# What DuckDB may use before it writes to disk. Its own limit is 80 % of the machine's memory.
MEMORY_LIMIT = "1GB"


@contextmanager
def open_database() -> "Iterator[duckdb.DuckDBPyConnection]":
    """Open an empty database that needs little memory: what is too much goes to a temporary folder."""
    # Not above, as it takes a tenth of a second to load, which a small table may not need. And a thread of
    # inference.py that still waits for an answer at the end would hold the module, and DuckDB would print a
    # warning of "leaked instances".
    import duckdb

    with (
        tempfile.TemporaryDirectory() as folder,
        duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": folder}) as database,
    ):
        database.execute("SET enable_progress_bar = false")  # a log would be full of it
        yield database


def quote_name(column: str) -> str:
    """Return the name of a column as SQL takes it."""
    return '"' + column.replace('"', '""') + '"'


def path_pattern(path: Path) -> str:
    """Return the path as DuckDB takes it: for a pattern. Beside a backslash it knows no escape."""
    return str(path) if "\\" in str(path) else glob.escape(str(path))
