"""Read tables of datasets: show the beginning of one, or compare those of two versions.

A program of its own, for files may be hostile, or need much memory and time: the server's own process must
outlive them. It reads a request from its standard input, works in the folder that the request names, and
prints an answer: JSON, both.
"""

import json
import os
import re
import resource
import sys
import zipfile
import zlib
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

import duckdb

LARGEST = 10**9  # bytes of a table
# Bytes of address space, of which DuckDB fills few; bytes of what is written; seconds of processor time.
LIMITS = {resource.RLIMIT_AS: 4 * 2**30, resource.RLIMIT_FSIZE: 2 * LARGEST, resource.RLIMIT_CPU: 60}
ROWS, COLUMNS, LONGEST = 50, 100, 200  # of a table that is shown; characters of a value or a name
COMPARED_COLUMNS, BINS, VALUES = 60, 30, 8
SAMPLE = 500_000  # rows of a larger table, of which values are compared, and types are found
WHOLE = re.compile("U?(TINY|SMALL|BIG)INT|U?INTEGER")
NUMBERS = re.compile(rf"{WHOLE.pattern}|U?HUGEINT|FLOAT|DOUBLE|DECIMAL\([\d,]+\)")
TIMES = re.compile("DATE|TIMESTAMP(_NS|_MS|_S)?")
CSV = f"read_csv(?, sample_size = {SAMPLE}, null_padding = true, parallel = false, hive_partitioning = false)"
PARQUET = "read_parquet(?, hive_partitioning = false)"
Answer = dict[str, Any]


class Unreadable(Exception):
    """Why a table cannot be read, in a line."""


def extract(side: Answer, name: str, target: Path) -> None:
    """Write a file of a dataset from the archive that holds it, which may be a parent's."""
    try:
        state = json.loads(Path(side["state"]).read_bytes())
        entries = {entry["relative_path"]: entry for entry in state["dataset_file_entries"]}
        archive = side["archives"][entries[name]["parent_dataset_id"]][entries[name]["artifact_name"]]
        with zipfile.ZipFile(archive) as opened, opened.open(name) as source, target.open("wb") as out:
            while chunk := source.read(2**20):
                if out.tell() + len(chunk) > LARGEST:  # whatever the archive says
                    raise Unreadable(f"It is larger than {LARGEST // 10**9} GB.")
                out.write(chunk)
    except (KeyError, TypeError) as error:
        raise Unreadable("The dataset holds no such file on this server.") from error
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise Unreadable("Its archive cannot be read.") from error


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """Return a database in the folder, which reaches no other file, and no network."""
    place = str(folder).replace("'", "''")
    database = duckdb.connect(str(folder / "database"), config={"threads": 1, "memory_limit": "600MB"})
    database.execute(f"SET max_temp_directory_size = '{LARGEST}B'; SET allowed_directories = ['{place}']")
    database.execute("SET autoload_known_extensions = false")
    database.execute("SET enable_external_access = false; SET lock_configuration = true")  # in this order
    return database


class Table:
    """A file as a table of the database."""

    def __init__(self, database: duckdb.DuckDBPyConnection, side: Answer, name: str, target: Path) -> None:
        extract(side, name, target)
        self.database, self.path = database, str(target)
        self.source = PARQUET if target.suffix == ".parquet" else CSV
        try:
            self.columns = {row[0]: row[1] for row in self.rows("DESCRIBE SELECT *")}
            self.count = self.rows("SELECT count(*)")[0][0]
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            reason = str(error).replace(self.path, "it")
            raise Unreadable(f"It cannot be read as a table. {reason}") from error

    def rows(self, query: str, end: str = "") -> list[tuple[Any, ...]]:
        return self.database.execute(f"{query} FROM {self.source} {end}", [self.path]).fetchall()


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def preview(table: Table) -> Answer:
    shown = list(table.columns.items())[:COLUMNS]
    texts = (f"left(CAST({quoted(name)} AS VARCHAR), {LONGEST})" for name, _ in shown)
    return {
        "count": table.count,
        "width": len(table.columns),
        "columns": [(name[:LONGEST], kind[:LONGEST]) for name, kind in shown],
        "rows": table.rows(f"SELECT {', '.join(texts)}", f"LIMIT {ROWS}"),
    }


def compare(before: Table, after: Table) -> Answer:
    both = [name for name in before.columns if name in after.columns]
    compared = both[:COMPARED_COLUMNS]
    for number, table in enumerate((before, after) if compared else ()):
        # Repeatable: of columns that are the same in both, the same values are chosen.
        sample = f"USING SAMPLE reservoir({SAMPLE} ROWS) REPEATABLE (1)"
        chosen = ", ".join(map(quoted, compared))
        table.rows(f"CREATE OR REPLACE TABLE side{number} AS SELECT {chosen}", sample)
    types = {name: (before.columns[name], after.columns[name]) for name in both}
    answer: Answer = {
        "count": (before.count, after.count),
        "added": [name[:LONGEST] for name in after.columns if name not in types],
        "removed": [name[:LONGEST] for name in before.columns if name not in types],
        "retyped": [
            tuple(text[:LONGEST] for text in (name, *pair))
            for name, pair in types.items()
            if len(set(pair)) == 2
        ],
        "columns_left_out": len(both) - len(compared),
        "sample": SAMPLE if max(before.count, after.count) > SAMPLE else 0,
        "numbers": [],
        "texts": [],
        "alike": [],
    }
    for name in compared:
        column, pair = quoted(name), types[name]
        whole, numbers, times = (all(map(kind.fullmatch, pair)) for kind in (WHOLE, NUMBERS, TIMES))
        if numbers or times:
            place, found = "numbers", distribution(before.database, column, whole, times)
        else:
            place, found = "texts", frequent(before.database, column)
        answer["alike" if found["alike"] else place].append({"name": name[:LONGEST], **found})
    answer["numbers"].sort(key=lambda column: -column["distance"])
    return answer


def both_sides(value: str) -> str:
    """Return the SQL of a table of an expression's values in both tables."""
    return " UNION ALL ".join(f"SELECT {side} AS side, {value} AS x FROM side{side}" for side in (0, 1))


def distribution(database: duckdb.DuckDBPyConnection, column: str, whole: bool, times: bool) -> Answer:
    """Return the shares of both tables' values in the same intervals, in percent, and their means.

    The outermost intervals hold all that is beyond them, as few values may lie far from all others. The
    distance is by how many percent the shares differ. Values that no drawing can hold count as missing.
    """
    value = f"epoch_ms(CAST({column} AS TIMESTAMP))" if times else column
    number = f"TRY(CAST({value} AS {'BIGINT' if whole or times else 'DOUBLE'}))"
    values = f"SELECT side, CASE WHEN x BETWEEN -1e300 AND 1e300 THEN x END AS x FROM ({both_sides(number)})"
    bins = f"equi_width_bins(quantile_disc(x, 0.005), quantile_disc(x, 0.995), {BINS}, false)"
    ((ends,),) = database.execute(f"SELECT {bins} FROM ({values})").fetchall()
    if not ends:
        return {"alike": True}
    share = "100 * avg(CAST(x IS NULL AS INTEGER))"  # of what is missing
    counts = "histogram(least(x, ?), ?) FILTER (WHERE x IS NOT NULL)"
    sides = []
    for side in (0, 1):
        query = f"SELECT avg(x), {share}, {counts} FROM ({values}) WHERE side = {side}"
        ((*facts, found),) = database.execute(query, [ends[-1], ends]).fetchall()
        counted = list(found.values()) if found else []
        sides.append((*facts, [100 * count / sum(counted) for count in counted]))
    means, missing, shares = zip(*sides, strict=True)
    width = ends[1] - ends[0] if len(ends) > 1 else 1
    return {
        "alike": sides[0] == sides[1],
        "distance": sum(abs(one - other) for one, other in zip_longest(*shares, fillvalue=0)),
        "missing": missing if any(missing) else None,
        "means": None if times else means,
        "x": [end - (width - whole) / 2 for end in ends],  # an interval holds its end
        "width": width,
        "shares": shares,
        "times": times,
    }


def frequent(database: duckdb.DuckDBPyConnection, column: str) -> Answer:
    """Return the values that are most frequent in both tables together."""
    counted = (
        f"SELECT left(CAST(x AS VARCHAR), {LONGEST}) AS text, count(*) FILTER (WHERE side = 0) AS before, "
        f"count(*) FILTER (WHERE side = 1) AS after FROM ({both_sides(column)}) GROUP BY text"
    )
    alike = "bool_and(before * (SELECT count(*) FROM side1) = after * (SELECT count(*) FROM side0))"
    ((different, alike),) = database.execute(f"SELECT count(*), {alike} FROM ({counted})").fetchall()
    shown = f"SELECT * FROM ({counted}) ORDER BY before + after DESC, text LIMIT {VALUES}"
    return {"alike": alike, "different": different, "values": database.execute(shown).fetchall()}


def answer_to(request: Answer) -> list[Answer]:
    """Return for each of the files what it looks like, or how it differs, or why that cannot be said."""
    folder = Path(request["folder"])
    database = connect(folder)
    answers = []
    for name in request["files"]:
        try:
            tables = [
                Table(database, side, name, folder / f"table{number}{Path(name).suffix.lower()}")
                for number, side in enumerate(request["sides"])
            ]
            answers.append({"name": name, **(compare(*tables) if len(tables) == 2 else preview(*tables))})
        except (Unreadable, duckdb.Error) as error:
            full = isinstance(error, duckdb.OutOfMemoryException)
            problem = "It has too many columns, or values that are too long." if full else str(error)
            answers.append({"name": name, "problem": problem.split("\n")[0][:LONGEST]})
    return answers


if __name__ == "__main__":
    os.nice(10)  # the server comes first
    for limit, value in LIMITS.items():
        with suppress(ValueError, OSError):  # not every system has each limit
            resource.setrlimit(limit, (value, value))
    print(json.dumps(answer_to(json.load(sys.stdin))))
