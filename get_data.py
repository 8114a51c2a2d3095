"""Query the table as a database, and version the rows as a ClearML dataset.

    python get_data.py --query-date 2010-01-01

Reads data/nasa.csv, keeps the close approaches up to the date, and uploads them as a new version of the
dataset "raw_asteroid_dataset". The same query gives the same rows on any day: it looks at the table's own
dates and never at today's. DuckDB reads and writes the rows: a table of any size needs about a gigabyte.
"""

import argparse
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from clearml_tools.errors import UserError, report_errors_in_one_line, storage_errors

from clearml import Logger, Task

from asteroids.configuration import check_configuration
from asteroids.database import quote_name
from asteroids.ids import normalized_id
from asteroids.table_files import write_table
from asteroids.table_reader import open_table
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

if TYPE_CHECKING:
    import duckdb

PREVIEW_ROWS = 20

SHIPPED_TABLE = Path(__file__).parent / "data" / RAW_FILE_NAME

NEEDED_COLUMNS = [*RAW_COLUMNS, GROUP_COLUMN, LABEL_COLUMN, *([DATE_COLUMN] if DATE_COLUMN else [])]


@dataclass
class Found:
    """What a query has found: its figures and first rows."""

    rows: int
    groups: int
    balance: dict[object, int]  # rows by their label
    preview: list[list[str]]  # the header, and rows


def query_table(source: Path | str, query_date: str | None, folder: Path) -> Found:
    """Write the rows of a table whose date is not after `query_date` (YYYY-MM-DD), if given, to a folder.

    For `source` see open_table. Rows and columns keep their order. Dates become texts such as 1995-01-08 and
    ids texts such as 2446862, however the table has them: one table gives one dataset. UserError if
    `query_date` is not a date, if a column is missing, if a row has no date or no id, or if no row is left.
    """
    last_day = parse_date(query_date).isoformat() if query_date and DATE_COLUMN else "9999-12-31"
    replaced = [f"{id_of_row()} AS {quote_name(GROUP_COLUMN)}"]
    if DATE_COLUMN:
        replaced.append(f"{day_of_row()} AS {quote_name(DATE_COLUMN)}")
    query = f"SELECT * REPLACE ({', '.join(replaced)}) FROM raw_table WHERE {day_of_row()} <= $last_day"
    parameters = {"last_day": last_day}
    with open_table(source, NEEDED_COLUMNS) as database:
        # The name of a type that moved between versions of DuckDB would be right for one of them only.
        database.create_function(
            "normalized_id", normalized_id, ["VARCHAR"], "VARCHAR", null_handling="special"
        )  # type: ignore[call-overload]
        rows, groups, balance = check_rows(database, source, last_day)
        write_table(database, query, parameters, folder, RAW_FILE_NAME)
        first = database.execute(f"FROM ({query}) LIMIT {PREVIEW_ROWS}", parameters)
        preview = [[name for name, *_ in first.description]]
        preview += [["" if cell is None else str(cell) for cell in row] for row in first.fetchall()]
        return Found(rows, groups, balance, preview)


def day_of_row() -> str:
    """Return SQL for a row's day as text, or NULL if it has none; a time of the day is ignored.

    Only years from 1900 to 2199 count: DuckDB alone would take "95-01-08" for a day of the year 95, and
    every query would find the row. In a table without dates, all rows are of the day ''.
    """
    if not DATE_COLUMN:
        return "''"
    return rf"""CAST(TRY_CAST(regexp_extract(
        {text_of(DATE_COLUMN)},
        '^\s*((19|2[01])\d\d[-/]\d{{1,2}}[-/]\d{{1,2}})([ T]\d+:\d.*)?\s*$', 1
    ) AS DATE) AS VARCHAR)"""


def id_of_row() -> str:
    """Return SQL for a row's id in its one form, or NULL if it has none. Most are digits, and stay."""
    text = text_of(GROUP_COLUMN)
    return f"CASE WHEN regexp_full_match({text}, '[0-9]+') THEN {text} ELSE normalized_id({text}) END"


def text_of(column: str) -> str:
    return f"CAST({quote_name(column)} AS VARCHAR)"


def check_rows(
    database: "duckdb.DuckDBPyConnection", source: Path | str, last_day: str
) -> tuple[int, int, dict[object, int]]:
    """Return the numbers of rows and groups up to a day, and of rows by label. UserError: see query_table."""
    parameters = {"last_day": last_day}
    ((rows, dated, first_day, undated, found, with_id, groups, balance, id_type),) = database.execute(
        f"""SELECT count(*), count(day), min(day), min(date_text) FILTER (day IS NULL),
            count(*) FILTER (found), count(id) FILTER (found), count(DISTINCT id) FILTER (found),
            histogram(label) FILTER (found), any_value(id_type)
        FROM (SELECT day <= $last_day AS found, * FROM (
            SELECT {day_of_row()} AS day, {text_of(DATE_COLUMN or LABEL_COLUMN)} AS date_text,
                {id_of_row()} AS id, typeof({quote_name(GROUP_COLUMN)}) AS id_type,
                {quote_name(LABEL_COLUMN)} AS label
            FROM raw_table
        ))""",
        parameters,
    ).fetchall()
    if dated < rows:
        raise UserError(
            f"{source}: {rows - dated} of {rows} rows have no date in '{DATE_COLUMN}', "
            f"one of them {(undated or '')!r}; write dates as YYYY-MM-DD, from 1900 to 2199"
        )
    if not rows:
        raise UserError(f"{source} has no rows below its header")
    if not found:
        raise UserError(f"{source} has no rows up to {last_day}: the first is of {first_day}")
    if found < rows:
        print(f"{rows - found} of {rows} rows are left out, as they are of days after {last_day}")
    if id_type == "FLOAT":
        raise UserError(
            f"{source} has 32-bit floats in '{GROUP_COLUMN}', too short for an id: "
            "write whole numbers or text"
        )
    if with_id < found:
        ((first_wrong,),) = database.execute(
            f"""SELECT {text_of(GROUP_COLUMN)} FROM raw_table
            WHERE {day_of_row()} <= $last_day AND {id_of_row()} IS NULL LIMIT 1""",
            parameters,
        ).fetchall()
        raise UserError(
            f"{source}: {found - with_id} of {found} rows have no id in '{GROUP_COLUMN}', "
            f"the first of them {first_wrong or ''!r}; an id is a whole number or a name"
        )
    return found, groups, balance or {}


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
def report_rows(logger: Logger, found: Found) -> None:
    """Show the first rows and the class balance in ClearML."""
    logger.report_table("Raw table", "first rows", iteration=0, table_plot=found.preview)
    balance = sorted(found.balance.items(), key=lambda item: -item[1])
    logger.report_histogram(
        "Class balance",
        "rows",
        values=[count for _, count in balance],
        iteration=0,
        xlabels=[f"{LABEL_COLUMN}: {label}" for label, _ in balance],
        yaxis="rows",
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--query-date", help="keep rows up to this day, YYYY-MM-DD (all rows)")
    # No path as the default: the parameter travels to agents, where the repository lies elsewhere.
    parser.add_argument(
        "--csv",
        help="CSV (or .csv.gz) or Parquet to take: a file, a pattern in quotes such as 'data/*.parquet', "
        "or an address such as s3://bucket/*.parquet (the table in data/)",
    )
    return parser.parse_args()


def main() -> None:
    report_errors_in_one_line(record=keep_reason)
    arguments = parse_arguments()
    check_configuration()
    with tempfile.TemporaryDirectory() as folder:
        # Before there is a task: a query that cannot be answered leaves nothing behind in ClearML.
        found = query_table(arguments.csv or SHIPPED_TABLE, arguments.query_date, Path(folder))

        connect()
        task = start_task(GET_DATA_TASK_NAME, Task.TaskTypes.data_processing)
        report_rows(task.get_logger(), found)
        with new_dataset_version(RAW_DATASET_NAME) as dataset:
            with storage_errors("the table"):
                dataset.add_files(folder)
            report_rows(dataset.get_logger(), found)
    print(f"{RAW_DATASET_NAME} {dataset.version} ({dataset.id}): {found.rows} rows, {found.groups} {GROUPS}")


if __name__ == "__main__":
    main()
