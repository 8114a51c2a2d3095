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
from pathlib import Path
from typing import Any

import duckdb

LARGEST = 10**9  # bytes of a table
# Bytes of address space, of which DuckDB fills few; bytes of what is written; seconds of processor time.
LIMITS = {resource.RLIMIT_AS: 4 * 2**30, resource.RLIMIT_FSIZE: 2 * LARGEST, resource.RLIMIT_CPU: 60}
ROWS, COLUMNS, LONGEST = 50, 100, 200  # of a table that is shown; characters of a value
COMPARED_COLUMNS, BINS, VALUES = 60, 30, 8
SAMPLE = 500_000  # rows of larger tables, of which values are compared
WHOLE = re.compile("U?(TINY|SMALL|BIG)INT|U?INTEGER")
NUMBERS = re.compile(rf"{WHOLE.pattern}|U?HUGEINT|FLOAT|DOUBLE|DECIMAL\([\d,]+\)")
TIMES = re.compile("DATE|TIMESTAMP(_NS|_MS|_S)?")
# Where values do not fit the types of the first rows, all are taken as text.
CSV = "read_csv(?, hive_partitioning = false{})"
READERS = {".parquet": ["read_parquet(?, hive_partitioning = false)"]}
CSV_READERS = [CSV.format(""), CSV.format(", all_varchar = true, null_padding = true, strict_mode = false")]
Answer = dict[str, Any]


class Unreadable(Exception):
    """Why a table cannot be read, in a line."""


def extract(side: Answer, name: str, target: Path) -> None:
    """Write a file of a dataset from the archive that holds it, which may be a parent's."""
    if ".." in Path(name).parts:
        raise Unreadable("Its name leads out of the dataset.")
    try:
        state = json.loads(Path(side["state"]).read_bytes())
        entries = {entry["relative_path"]: entry for entry in state["dataset_file_entries"]}
        if name not in entries:
            raise Unreadable("The dataset holds no such file, but perhaps a link to one.")
        archive = side["archives"].get(entries[name]["parent_dataset_id"], {})[entries[name]["artifact_name"]]
        with zipfile.ZipFile(archive) as opened, opened.open(name) as source, target.open("wb") as out:
            while chunk := source.read(2**20):
                if out.tell() + len(chunk) > LARGEST:  # whatever the archive says
                    raise Unreadable(f"It is larger than {LARGEST // 10**9} GB.")
                out.write(chunk)
    except (KeyError, TypeError) as error:
        raise Unreadable("Its archive is not on this server.") from error
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise Unreadable("Its archive cannot be read.") from error


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """Return a database in the folder, which reaches no other file, and no network."""
    quoted = str(folder).replace("'", "''")
    database = duckdb.connect(str(folder / "database"), config={"threads": 1, "memory_limit": "600MB"})
    database.execute(f"SET autoload_known_extensions = false; SET allowed_directories = ['{quoted}']")
    database.execute("SET enable_external_access = false; SET lock_configuration = true")  # in this order
    return database


class Table:
    """A file as a table of the database. `note` says how it is read, where that is not as it should be."""

    def __init__(self, database: duckdb.DuckDBPyConnection, side: Answer, name: str, target: Path) -> None:
        extract(side, name, target)
        self.database, self.path, self.note = database, str(target), ""
        for self.source in READERS.get(Path(name).suffix.lower(), CSV_READERS):
            try:
                self.columns = {row[0]: row[1] for row in self.rows("DESCRIBE SELECT *")}
                self.count = self.rows("SELECT count(*)")[0][0]
                return
            except duckdb.Error as error:
                self.note = "Not all values fit the types of their columns: all are read as text."
                reason = str(error).split("\n")[0].replace(self.path, "it")[:LONGEST]
        raise Unreadable(f"It cannot be read as a table. {reason}")

    def rows(self, query: str, end: str = "") -> list[tuple[Any, ...]]:
        return self.database.execute(f"{query} FROM {self.source} {end}", [self.path]).fetchall()


def quote(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def preview(table: Table) -> Answer:
    shown = list(table.columns.items())[:COLUMNS]
    texts = ", ".join(f"left(CAST({quote(name)} AS VARCHAR), {LONGEST})" for name, _ in shown)
    return {
        "count": table.count,
        "columns": shown,
        "columns_left_out": len(table.columns) - len(shown),
        "rows": table.rows(f"SELECT {texts}", f"LIMIT {ROWS}"),
        "note": table.note,
    }


def compare(before: Table, after: Table) -> Answer:
    for number, table in enumerate((before, after)):
        # Repeatable: of columns that are the same in both, the same values are chosen.
        sample = f"USING SAMPLE reservoir({SAMPLE} ROWS) REPEATABLE (1)" if table.count > SAMPLE else ""
        table.rows(f"CREATE OR REPLACE TABLE side{number} AS SELECT *", sample)
    both = {
        name: (kind, after.columns[name]) for name, kind in before.columns.items() if name in after.columns
    }
    answer: Answer = {
        "count": (before.count, after.count),
        "added": [name for name in after.columns if name not in before.columns],
        "removed": [name for name in before.columns if name not in after.columns],
        "retyped": [(name, *both[name]) for name in both if len(set(both[name])) == 2],
        "columns_left_out": max(0, len(both) - COMPARED_COLUMNS),
        "note": before.note or after.note,
        "sample": SAMPLE if max(before.count, after.count) > SAMPLE else 0,
        **{place: [] for place in ("numbers", "texts", "alike", "problems")},
    }
    totals = [min(SAMPLE, table.count) for table in (before, after)]
    for name, types in list(both.items())[:COMPARED_COLUMNS]:
        whole, numbers, times = (all(map(kind.fullmatch, types)) for kind in (WHOLE, NUMBERS, TIMES))
        place = "numbers" if numbers or times else "texts"
        try:
            if place == "numbers":
                found = distribution(before.database, quote(name), totals, whole, times)
            else:
                found = frequent(before.database, quote(name), totals)
        except duckdb.Error:
            place, found = "problems", {"distance": None}
        answer["alike" if found["distance"] == 0 else place].append({"name": name, **found})
    answer["numbers"].sort(key=lambda column: -column["distance"])
    return answer


def both_sides(value: str) -> str:
    """Return the SQL of a table of an expression's values in both tables."""
    return " UNION ALL ".join(f"SELECT {side} AS side, {value} AS x FROM side{side}" for side in (0, 1))


def distribution(
    database: duckdb.DuckDBPyConnection, column: str, totals: list[int], whole: bool, times: bool
) -> Answer:
    """Return the shares of both tables' values in the same intervals, and their means.

    The outermost intervals hold all that is beyond them, as few values may lie far from all others. The
    distance is by how many percent of the rows the shares differ.
    """
    value = f"epoch_ms(CAST({column} AS TIMESTAMP))" if times else column
    source = f"FROM ({both_sides(f'CAST({value} AS DOUBLE)')}) WHERE abs(x) < 1e300 GROUP BY ALL"
    numbers = "min(x), max(x), quantile_disc(x, 0.005), quantile_disc(x, 0.995), avg(x), count(*)"
    found = {row[0]: row[1:] for row in database.execute(f"SELECT side, {numbers} {source}").fetchall()}
    if not found:
        return {"distance": 0}
    lowest, highest, low, high = (
        pick(row[place] for row in found.values()) for place, pick in enumerate((min, max, min, max))
    )
    bins = BINS
    if whole and highest - lowest < BINS:
        bins, low, high = int(highest - lowest) + 1, lowest - 0.5, highest + 0.5
    elif low == high:
        low, high = lowest, highest
    width = (high - low) / bins or 1
    interval = f"CAST(greatest(least(floor((x - ?) / ?), {bins - 1}), 0) AS INTEGER) AS interval"
    shares = [[0.0] * bins for _ in (0, 1)]
    counted = database.execute(f"SELECT side, {interval}, count(*) {source}", [low, width])
    for side, place, count in counted.fetchall():
        shares[side][place] = 100 * count / found[side][5]
    means = [found[side][4] if side in found else None for side in (0, 1)]
    missing = [totals[side] - (found[side][5] if side in found else 0) for side in (0, 1)]
    distance = sum(abs(one - other) for one, other in zip(*shares, strict=True)) / 2
    alike = means[0] == means[1] and missing[0] * totals[1] == missing[1] * totals[0]
    return {
        "distance": distance or (0 if alike else 0.001),
        "missing": missing if any(missing) else None,
        "means": None if times else means,
        "x": [low + width * (place + 0.5) for place in range(bins)],
        "width": width,
        "shares": shares,
        "times": times,
    }


def frequent(database: duckdb.DuckDBPyConnection, column: str, totals: list[int]) -> Answer:
    """Return the values that are most frequent in both tables together; the distance is 0 or 1."""
    counted = (
        f"SELECT left(CAST(x AS VARCHAR), {LONGEST}) AS text, count(*) FILTER (WHERE side = 0) AS before, "
        f"count(*) FILTER (WHERE side = 1) AS after FROM ({both_sides(column)}) GROUP BY text"
    )
    unequal = f"count(*) FILTER (WHERE before * {totals[1]} != after * {totals[0]})"
    ((different, distance),) = database.execute(f"SELECT count(*), {unequal} FROM ({counted})").fetchall()
    shown = f"SELECT * FROM ({counted}) ORDER BY before + after DESC, text LIMIT {VALUES}"
    return {"distance": distance, "different": different, "values": database.execute(shown).fetchall()}


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
            answers.append({"name": name, "problem": str(error).split("\n")[0][:LONGEST]})
    return answers


if __name__ == "__main__":
    os.nice(10)  # the server comes first
    for limit, value in LIMITS.items():
        with suppress(ValueError, OSError):  # not every system has each limit
            resource.setrlimit(limit, (value, value))
    print(json.dumps(answer_to(json.load(sys.stdin))))
