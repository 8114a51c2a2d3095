"""Query the asteroid table as a database, and version the rows as a ClearML dataset.

    python get_data.py --query-date 2010-01-01

Reads data/nasa.csv, keeps the close approaches up to the date, and uploads them as a new version of the
dataset "raw_asteroid_dataset". The same query gives the same rows on any day: it looks at the table's own
dates and never at today's.
"""

import argparse
import tempfile
from datetime import date
from pathlib import Path

from clearml_tools.errors import UserError, report_errors_in_one_line, storage_errors

import pandas as pd
from clearml import Logger, Task

from asteroids.ids import asteroid_id
from asteroids.table_reader import TABLE_COLUMNS, open_table
from clearml_tools.connection import connect
from clearml_tools.datasets import new_dataset_version
from clearml_tools.interrupts import delayed_interrupt
from clearml_tools.tasks import keep_reason, start_task
from global_config import (
    ASTEROID_COLUMN,
    GET_DATA_TASK_NAME,
    LABEL_COLUMN,
    RAW_DATASET_NAME,
    RAW_FILE_NAME,
)

SHIPPED_TABLE = Path(__file__).parent / "data" / "nasa.csv"

# A row's day as text, or NULL if it has none; a time of the day is passed over. DuckDB alone would take
# "95-01-08" for a day of the year 95, and every query would find the row. NASA's service covers 1900 to 2199
# or so: a date that became one of the year 95 earlier, on its way into a Parquet file, is outside of that.
APPROACH_DAY = r"""CAST(TRY_CAST(regexp_extract(
    CAST("Close Approach Date" AS VARCHAR),
    '^\s*((19|2[01])\d\d[-/]\d{1,2}[-/]\d{1,2})([ T]\d+:\d.*)?\s*$', 1
) AS DATE) AS VARCHAR)"""


def query_asteroids(table_path: Path, query_date: str) -> pd.DataFrame:
    """The rows of a CSV or Parquet file whose `Close Approach Date` is not after `query_date` (YYYY-MM-DD).

    Rows and columns keep the file's order. Dates are texts such as 1995-01-08 and ids such as 2446862,
    however the file has them: one table gives one dataset. UserError if the date is none, if the file is
    not the NASA table, if a row has no date or no id, or if no row is left.
    """
    last_day = parse_date(query_date).isoformat()
    with open_table(table_path, TABLE_COLUMNS) as database:
        rows, dated_rows, first_approach, undated, id_type = database.execute(f"""
            SELECT count(*), count(day), min(day), min(text) FILTER (day IS NULL), any_value(typeof(id))
            FROM (SELECT {APPROACH_DAY} AS day, CAST("Close Approach Date" AS VARCHAR) AS text,
                "{ASTEROID_COLUMN}" AS id FROM asteroids)
        """).fetchone()
        found = database.execute(
            f"""
            SELECT * REPLACE ({APPROACH_DAY} AS "Close Approach Date",
                CAST("{ASTEROID_COLUMN}" AS VARCHAR) AS "{ASTEROID_COLUMN}")
            FROM asteroids WHERE {APPROACH_DAY} <= $last_day
            """,
            {"last_day": last_day},
        ).df()
    if dated_rows < rows:
        raise UserError(
            f"{table_path}: {rows - dated_rows} of {rows} rows have no date in 'Close Approach Date', "
            f"one of them {(undated or '')!r}; write dates as YYYY-MM-DD, from 1900 to 2199"
        )
    if found.empty:
        since = f"the first is on {first_approach}" if rows else "the table is empty"
        raise UserError(f"{table_path} has no close approach up to {last_day}: {since}")
    if id_type == "FLOAT":
        raise UserError(
            f"{table_path} has 32-bit floats in '{ASTEROID_COLUMN}', too short for an id: "
            "write whole numbers or text"
        )
    ids = found[ASTEROID_COLUMN].map(asteroid_id)
    wrong = found[ASTEROID_COLUMN].fillna("")[ids.isna()]
    if len(wrong):
        raise UserError(
            f"{table_path}: {len(wrong)} of {len(ids)} rows have no id in '{ASTEROID_COLUMN}', "
            f"the first of them {wrong.iloc[0]!r}; write ids such as 2446862"
        )
    found[ASTEROID_COLUMN] = ids
    return found


def parse_date(text: str) -> date:
    """A YYYY-MM-DD text as a date, or an UserError."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:  # Python takes 20100101 and 2010-W01-1 as well
        raise UserError(f"--query-date '{text}' is not a date: give one as YYYY-MM-DD, such as 2010-01-01")
    return day


@delayed_interrupt()
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
    parser.add_argument(
        "--csv", help="CSV (or .csv.gz) or Parquet file shaped like the NASA table (data/nasa.csv)"
    )
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
        with storage_errors("the table"):
            dataset.add_files(folder)
        report_rows(dataset.get_logger(), rows)
    asteroids = rows[ASTEROID_COLUMN].nunique()
    print(f"{RAW_DATASET_NAME} {dataset.version} ({dataset.id}): {len(rows)} rows, {asteroids} asteroids")


if __name__ == "__main__":
    main()
