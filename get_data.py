"""Query the table as a database, and version the rows as a ClearML dataset.

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

from asteroids.configuration import check_configuration
from asteroids.ids import normalized_id
from asteroids.table_reader import open_table, quote_name
from clearml_tools.connection import connect
from clearml_tools.datasets import new_dataset_version
from clearml_tools.interrupts import delayed_interrupt
from clearml_tools.tasks import keep_reason, start_task
from global_config import (
    DATE_COLUMN,
    GET_DATA_TASK_NAME,
    GROUP_COLUMN,
    GROUPS,
    LABEL_COLUMN,
    RAW_DATASET_NAME,
    RAW_FILE_NAME,
)
from preprocess_serving import RAW_COLUMNS

SHIPPED_TABLE = Path(__file__).parent / "data" / RAW_FILE_NAME

NEEDED_COLUMNS = [*RAW_COLUMNS, GROUP_COLUMN, LABEL_COLUMN, *([DATE_COLUMN] if DATE_COLUMN else [])]


def day_expression(column: str) -> str:
    """Return SQL for a row's day as text, or NULL if it has none; a time of the day is ignored.

    Only years from 1900 to 2199 count: DuckDB alone would take "95-01-08" for a day of the year 95, and
    every query would find the row.
    """
    return rf"""CAST(TRY_CAST(regexp_extract(
        CAST({quote_name(column)} AS VARCHAR),
        '^\s*((19|2[01])\d\d[-/]\d{{1,2}}[-/]\d{{1,2}})([ T]\d+:\d.*)?\s*$', 1
    ) AS DATE) AS VARCHAR)"""


def query_table(table_path: Path, query_date: str | None = None) -> pd.DataFrame:
    """Return the rows of a CSV or Parquet file whose date is not after `query_date` (YYYY-MM-DD), if given.

    Rows and columns keep the file's order. Dates become texts such as 1995-01-08 and ids texts such as
    2446862, however the file has them: one table gives one dataset. UserError if `query_date` is not a date,
    if a column is missing, if a row has no date or no id, or if no row is left.
    """
    last_day = parse_date(query_date).isoformat() if query_date and DATE_COLUMN else "9999-12-31"
    day, text, group = "''", "''", quote_name(GROUP_COLUMN)  # without dates, all rows are of the day ''
    replaced = [f"CAST({group} AS VARCHAR) AS {group}"]
    if DATE_COLUMN:
        day, text = day_expression(DATE_COLUMN), f"CAST({quote_name(DATE_COLUMN)} AS VARCHAR)"
        replaced.append(f"{day} AS {quote_name(DATE_COLUMN)}")
    with open_table(table_path, NEEDED_COLUMNS) as database:
        ((rows, dated, first_day, undated, id_type),) = database.execute(f"""
            SELECT count(*), count(day), min(day), min(text) FILTER (day IS NULL), any_value(typeof(id))
            FROM (SELECT {day} AS day, {text} AS text, {group} AS id FROM raw_table)
        """).fetchall()
        query = f"SELECT * REPLACE ({', '.join(replaced)}) FROM raw_table WHERE {day} <= $last_day"
        found = database.execute(query, {"last_day": last_day}).df()
    if dated < rows:
        raise UserError(
            f"{table_path}: {rows - dated} of {rows} rows have no date in '{DATE_COLUMN}', "
            f"one of them {(undated or '')!r}; write dates as YYYY-MM-DD, from 1900 to 2199"
        )
    if not rows:
        raise UserError(f"{table_path} has no rows below its header")
    if found.empty:
        raise UserError(f"{table_path} has no rows up to {last_day}: the first is of {first_day}")
    if len(found) < rows:
        print(f"{rows - len(found)} of {rows} rows are left out, as they are of days after {last_day}")
    if id_type == "FLOAT":
        raise UserError(
            f"{table_path} has 32-bit floats in '{GROUP_COLUMN}', too short for an id: "
            "write whole numbers or text"
        )
    ids = found[GROUP_COLUMN].map(normalized_id)
    wrong = found[GROUP_COLUMN].fillna("")[ids.isna()]
    if len(wrong):
        raise UserError(
            f"{table_path}: {len(wrong)} of {len(ids)} rows have no id in '{GROUP_COLUMN}', "
            f"the first of them {wrong.iloc[0]!r}; an id is a whole number or a name"
        )
    return found.assign(**{GROUP_COLUMN: ids})


def parse_date(text: str) -> date:
    """Return a YYYY-MM-DD text as a date; UserError for another text."""
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
    logger.report_table("Raw table", "first rows", iteration=0, table_plot=rows.head(20))
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
    parser.add_argument("--query-date", help="keep rows up to this day, YYYY-MM-DD (all rows)")
    # No path as the default: the parameter travels to agents, where the repository lies elsewhere.
    parser.add_argument("--csv", help="CSV (or .csv.gz) or Parquet file to take (the table in data/)")
    return parser.parse_args()


def main() -> None:
    report_errors_in_one_line(record=keep_reason)
    arguments = parse_arguments()
    check_configuration()
    # Before there is a task: a query that cannot be answered leaves nothing behind in ClearML.
    rows = query_table(Path(arguments.csv or SHIPPED_TABLE), arguments.query_date)

    connect()
    task = start_task(GET_DATA_TASK_NAME, Task.TaskTypes.data_processing)
    report_rows(task.get_logger(), rows)
    with tempfile.TemporaryDirectory() as folder, new_dataset_version(RAW_DATASET_NAME) as dataset:
        rows.to_csv(Path(folder, RAW_FILE_NAME), index=False)
        with storage_errors("the table"):
            dataset.add_files(folder)
        report_rows(dataset.get_logger(), rows)
    groups = rows[GROUP_COLUMN].nunique()
    print(f"{RAW_DATASET_NAME} {dataset.version} ({dataset.id}): {len(rows)} rows, {groups} {GROUPS}")


if __name__ == "__main__":
    main()
