"""Query the asteroid table as a database, and version the rows as a ClearML dataset.

    python get_data.py --query-date 2010-01-01

Reads data/nasa.csv, keeps the close approaches up to the date, and uploads them as a new version of the
dataset "raw_asteroid_dataset". The same query gives the same rows on any day: it looks at the table's own
dates and never at today's.
"""

import argparse
import glob
import tempfile
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
from clearml import Logger, Task

from connection import connect
from errors import InputError, report_errors_in_one_line
from global_config import (
    ASTEROID_COLUMN,
    GET_DATA_TASK_NAME,
    LABEL_COLUMN,
    RAW_DATASET_NAME,
    RAW_FILE_NAME,
)
from tracking import keep_reason, new_dataset_version, start_task

SHIPPED_TABLE = Path(__file__).parent / "data" / "nasa.csv"

# The NASA table: one row for each close approach of an asteroid to the Earth. Spelling is the table's own.
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

# The date of a row, or NULL if it has none. Without `trim` DuckDB leaves the cast to its CSV reader, which
# fails on a bad date where TRY_CAST gives NULL.
APPROACH_DAY = 'TRY_CAST(trim(CAST("Close Approach Date" AS VARCHAR)) AS DATE)'


def query_asteroids(table_path: Path, query_date: str) -> pd.DataFrame:
    """The rows of a CSV or Parquet file whose `Close Approach Date` is not after `query_date` (YYYY-MM-DD).

    Rows and columns keep the file's order. InputError if the date is none, if the file is not the NASA
    table, or if no row is left.
    """
    last_day = parse_date(query_date)
    try:
        with duckdb.connect() as database:
            create_asteroids_view(database, table_path)
            rows, dated_rows, first_approach = database.execute(
                f"SELECT count(*), count(day), min(day) FROM (SELECT {APPROACH_DAY} AS day FROM asteroids)"
            ).fetchone()
            found = database.execute(
                f"SELECT * FROM asteroids WHERE {APPROACH_DAY} <= $last_day", {"last_day": last_day}
            ).df()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{table_path} is not a table in CSV, with a header line, or Parquet ({reason})"
        ) from error
    if dated_rows < rows:
        raise InputError(
            f"{table_path}: {rows - dated_rows} of {rows} rows have no date in 'Close Approach Date'; "
            "write dates as YYYY-MM-DD"
        )
    if found.empty:
        since = f"the first is on {first_approach}" if rows else "the table is empty"
        raise InputError(f"{table_path} has no close approach up to {last_day}: {since}")
    return found


def parse_date(text: str) -> date:
    """A YYYY-MM-DD text as a date, or an InputError."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:  # Python takes 20100101 and 2010-W01-1 as well
        raise InputError(f"--query-date '{text}' is not a date: give one as YYYY-MM-DD, such as 2010-01-01")
    return day


def create_asteroids_view(database: duckdb.DuckDBPyConnection, table_path: Path) -> None:
    """Make the file queryable as `asteroids`; nothing of it is read into memory yet."""
    if not table_path.is_file():
        what = "a folder" if table_path.is_dir() else "no such file"
        raise InputError(f"{table_path}: {what}; give --csv a CSV or Parquet file, or leave it out")
    if not table_path.stat().st_size:
        raise InputError(f"{table_path} is empty: it needs the 40 columns, and rows")
    path = glob.escape(str(table_path))  # DuckDB takes a path for a pattern
    if table_path.suffix.lower() == ".parquet":
        table = database.read_parquet(path)
    else:
        # The form is given, for DuckDB would go far to find one that fits a broken file. All columns are
        # text, so that what a query does not touch comes out as it went in; queries cast.
        table = database.read_csv(
            path, header=True, skiprows=0, delimiter=",", quotechar='"', all_varchar=True
        )
    missing = [name for name in TABLE_COLUMNS if name not in table.columns]
    if missing:
        names = ", ".join(map(repr, missing[:5])) + (f" and {len(missing) - 5} more" if missing[5:] else "")
        raise InputError(f"{table_path} is not the NASA table: it lacks {names} of its 40 columns")
    table.create_view("asteroids")


def report_rows(logger: Logger, rows: pd.DataFrame) -> None:
    """Show the first rows and the class balance in ClearML."""
    logger.report_table("Raw asteroids", "first rows", iteration=0, table_plot=rows.head(20))
    balance = rows[LABEL_COLUMN].value_counts()
    logger.report_histogram(
        "Class balance",
        "rows",
        values=balance.tolist(),
        iteration=0,
        xlabels=[f"{LABEL_COLUMN}: {label}" for label in balance.index],
        yaxis="rows",
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--query-date",
        default="2022-01-01",
        help="keep close approaches up to this day, YYYY-MM-DD (%(default)s)",
    )
    # No path as the default: the parameter travels to agents, where the repository lies elsewhere.
    parser.add_argument("--csv", help="CSV or Parquet file shaped like the NASA table (data/nasa.csv)")
    return parser.parse_args()


def main() -> None:
    report_errors_in_one_line(record=keep_reason)
    arguments = parse_arguments()
    # Before there is a task: a query that cannot be answered leaves nothing behind in ClearML.
    rows = query_asteroids(Path(arguments.csv or SHIPPED_TABLE), arguments.query_date)

    connect()
    task = start_task(GET_DATA_TASK_NAME, Task.TaskTypes.data_processing)
    report_rows(task.get_logger(), rows)
    with tempfile.TemporaryDirectory() as folder, new_dataset_version(RAW_DATASET_NAME) as dataset:
        rows.to_csv(Path(folder, RAW_FILE_NAME), index=False)
        dataset.add_files(folder)
        report_rows(dataset.get_logger(), rows)
    asteroids = rows[ASTEROID_COLUMN].nunique()
    print(f"{RAW_DATASET_NAME} {dataset.version} ({dataset.id}): {len(rows)} rows, {asteroids} asteroids")


if __name__ == "__main__":
    main()
