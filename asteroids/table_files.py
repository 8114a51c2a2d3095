"""Write and read the tables of datasets: the one place that knows whether a file is CSV or Parquet.

A table of up to LARGE_TABLE_ROWS rows is CSV. A larger one is Parquet under the same stem, X.parquet for
X.csv: smaller, read ten times as fast, and with types. Callers give the name of the CSV file for both.
Whatever the size, memory holds some chunks of rows, never the table.
"""

import errno
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from clearml_tools.errors import UserError

import pandas as pd

import global_config as config
from asteroids.database import open_database, path_pattern, quote_name
from preprocess_serving import RAW_COLUMNS

if TYPE_CHECKING:  # DuckDB takes a tenth of a second to load, which a small table does not need
    import duckdb

VECTOR_ROWS = 2048  # DuckDB hands out rows in vectors of this size
CHUNK_ROWS = 24 * VECTOR_ROWS

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


# Writing


def write_table(
    database: "duckdb.DuckDBPyConnection",
    query: str,
    parameters: Mapping[str, object],
    folder: Path,
    file_name: str,
) -> Path:
    """Write the rows of a query, in their order, and return the file: `file_name`, or Parquet beyond.

    In Parquet, RAW_COLUMNS become the DOUBLEs that their texts in a CSV would be: 0.05 in 32 bits is 0.05,
    and not a bit more. A column with a cell that is no number stays as it is, so that preprocessing.py can
    name the row. All other columns keep the query's types.
    The query runs twice.
    """
    kinds = {
        name: kind for name, kind, *_ in database.execute(f"DESCRIBE {query}", dict(parameters)).fetchall()
    }
    others = [name for name in RAW_COLUMNS if kinds.get(name, "DOUBLE") != "DOUBLE"]
    counts = ", ".join(["count(*)", *map(are_numbers, others)])
    ((rows, *fits),) = database.execute(f"SELECT {counts} FROM ({query})", dict(parameters)).fetchall()
    if rows <= config.LARGE_TABLE_ROWS:
        # As Python writes them, and as the table that is shipped has them.
        replaced = [
            f"CASE WHEN {quote_name(name)} THEN 'True' WHEN NOT {quote_name(name)} THEN 'False' END "
            f"AS {quote_name(name)}"
            for name, kind in kinds.items()
            if kind == "BOOLEAN"
        ]
        parquet_path(folder, file_name).unlink(missing_ok=True)
        return copy(database, replace(query, replaced), parameters, folder / file_name, "csv, header")
    casts = [
        f"{as_number(name)} AS {quote_name(name)}" for name, fit in zip(others, fits, strict=True) if fit
    ]
    return copy_to_parquet(database, replace(query, casts), parameters, folder, file_name)


def replace(query: str, expressions: Collection[str]) -> str:
    """Return the query with these expressions in place of columns."""
    return f"SELECT * REPLACE ({', '.join(expressions)}) FROM ({query})" if expressions else query


def are_numbers(column: str) -> str:
    """Return SQL for whether each cell of a column is a number by its text, or NULL."""
    name = quote_name(column)
    # DuckDB alone takes 1_000 for a number.
    return (
        f"bool_and({name} IS NULL OR "
        f"{as_number(column)} IS NOT NULL AND NOT contains(CAST({name} AS VARCHAR), '_'))"
    )


def as_number(column: str) -> str:
    """Return SQL for the number that the text of a cell is, or NULL."""
    return f"TRY_CAST(CAST({quote_name(column)} AS VARCHAR) AS DOUBLE)"


def cast(column: str, kind: str) -> str:
    return f"CAST({quote_name(column)} AS {kind}) AS {quote_name(column)}"


class TableWriter:
    """Writes a table that comes in parts, in their order; to be used as a context manager.

        with TableWriter(folder, "X.csv") as writer:
            writer.append(frame)

    The file is there, under the name that its number of rows asks for, when the block is left.
    """

    def __init__(self, folder: Path, file_name: str) -> None:
        self.folder, self.file_name = folder, file_name
        self.rows = 0
        self.waiting: list[pd.DataFrame] = []  # all there is, as long as it may become CSV
        self.parts: list[str] = []
        self.opened = ExitStack()

    def __enter__(self) -> Self:
        return self

    def append(self, frame: pd.DataFrame) -> None:
        """Add rows below the ones that are there."""
        self.waiting.append(frame)
        self.rows += len(frame)
        if self.rows > config.LARGE_TABLE_ROWS:
            self.write_part(pd.concat(self.waiting))
            self.waiting.clear()

    def write_part(self, frame: pd.DataFrame) -> None:
        """Write rows to a file of their own: nothing can be added to a Parquet file."""
        if not self.parts:
            self.parts_folder = self.opened.enter_context(tempfile.TemporaryDirectory())
            self.database = self.opened.enter_context(open_database())
        name = f"{len(self.parts)}.parquet"
        self.database.register("part", frame)
        copy_to_parquet(self.database, "FROM part", {}, Path(self.parts_folder), name)
        self.parts.append(path_pattern(Path(self.parts_folder, name)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self.opened:
            if kind:
                return
            if self.parts:
                query, files = "FROM read_parquet($files)", {"files": self.parts}
                copy_to_parquet(self.database, query, files, self.folder, self.file_name)
            elif self.waiting:
                write_csv(pd.concat(self.waiting), self.folder, self.file_name)


def write_csv(frame: pd.DataFrame, folder: Path, file_name: str) -> Path:
    """Write a whole table as CSV."""
    path = folder / file_name
    frame.to_csv(path, index=False)
    parquet_path(folder, file_name).unlink(missing_ok=True)
    return path


def copy_to_parquet(
    database: "duckdb.DuckDBPyConnection",
    query: str,
    parameters: Mapping[str, object],
    folder: Path,
    file_name: str,
) -> Path:
    """Write the rows of a query as Parquet."""
    path = parquet_path(folder, file_name)
    copy(database, query, parameters, path, "parquet, compression zstd")
    if folder / file_name != path:
        (folder / file_name).unlink(missing_ok=True)
    return path


def copy(
    database: "duckdb.DuckDBPyConnection", query: str, parameters: Mapping[str, object], path: Path, form: str
) -> Path:
    """Write the rows of a query to a file, and return its path. OSError if the disk is full."""
    import duckdb

    target = str(path).replace("'", "''")
    try:
        database.execute(f"COPY ({query}) TO '{target}' (FORMAT {form})", dict(parameters))
    except duckdb.Error as error:
        for number in FULL_DISK:
            if os.strerror(number) in str(error):
                raise OSError(number, os.strerror(number), str(path)) from error
        raise
    return path


# Reading


def read_table(
    folder: Path, file_name: str, columns: Collection[str] | None = None, text: Collection[str] = ()
) -> pd.DataFrame:
    """Return the whole table in memory; for the arguments and errors see read_chunks."""
    return pd.concat(read_chunks(folder, file_name, columns, text), ignore_index=True)


def read_chunks(
    folder: Path, file_name: str, columns: Collection[str] | None = None, text: Collection[str] = ()
) -> Iterator[pd.DataFrame]:
    """Yield the table in chunks of at most CHUNK_ROWS rows, in order; a table without rows is one chunk.

    The index of each chunk begins with 0. Of `columns`, those that the table has are read, in its order.
    Those of `text` come as texts: in a CSV, "0012" would become 12, and one empty cell would turn all whole
    numbers into floats. Only an empty cell is no text: "NA" and "None" are. UserError, "no readable X.csv: "
    and why, if there is no such file, or one that cannot be read, or a CSV and a Parquet.
    """
    csv, parquet = folder / file_name, parquet_path(folder, file_name)
    if csv.exists() and parquet.exists() and csv != parquet:
        raise UserError(f"no readable {csv.name}: there is {parquet.name}, too, and one of them may be old")
    read = read_parquet_chunks if parquet.exists() else read_csv_chunks
    try:
        for chunk in read(parquet if parquet.exists() else csv, columns, text):
            yield chunk.reset_index(drop=True)
    except FileNotFoundError as error:
        raise UserError(f"no readable {csv.name}: neither this nor {parquet.name} is there") from error
    except (OSError, ValueError) as error:
        raise UserError(f"no readable {csv.name}: {' '.join(str(error).split())}") from error


def read_csv_chunks(
    path: Path, columns: Collection[str] | None, text: Collection[str]
) -> Iterator[pd.DataFrame]:
    # All columns are read: with pandas' `usecols`, a row with a comma too many would be no error.
    options: dict[str, Any] = {"dtype": dict.fromkeys(text, str), "keep_default_na": False, "na_values": [""]}
    with pd.read_csv(path, chunksize=CHUNK_ROWS, **options) as chunks:
        for chunk in chunks:
            yield chunk if columns is None else chunk[[name for name in chunk if name in columns]]


def read_parquet_chunks(
    path: Path, columns: Collection[str] | None, text: Collection[str]
) -> Iterator[pd.DataFrame]:
    import duckdb

    with open_database() as database:
        try:
            source, files = "read_parquet($files, hive_partitioning = false)", {"files": path_pattern(path)}
            names = [name for name, *_ in database.execute(f"DESCRIBE FROM {source}", files).fetchall()]
            expressions = [
                cast(name, "VARCHAR") if name in text else quote_name(name)
                for name in names
                if columns is None or name in columns
            ]
            yield from fetch_chunks(
                database.execute(f"SELECT {', '.join(expressions) or 'NULL'} FROM {source}", files)
            )
        except duckdb.Error as error:
            raise ValueError(str(error).splitlines()[0]) from error


def fetch_chunks(rows: "duckdb.DuckDBPyConnection") -> Iterator[pd.DataFrame]:
    """Yield what a query has found, in order, in chunks of at most CHUNK_ROWS rows: an empty one of none."""
    is_first = True
    while len(frame := rows.fetch_df_chunk(max(1, CHUNK_ROWS // VECTOR_ROWS))) or is_first:
        for first in range(0, max(1, len(frame)), CHUNK_ROWS):
            yield frame.iloc[first : first + CHUNK_ROWS]
        is_first = False


def find_table(folder: Path, file_name: str) -> Path:
    """Return the file that the table is in: as CSV, or as Parquet if there is one."""
    parquet = parquet_path(folder, file_name)
    return parquet if parquet.exists() else folder / file_name


def parquet_path(folder: Path, file_name: str) -> Path:
    return folder / Path(file_name).with_suffix(".parquet")
