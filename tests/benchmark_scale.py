"""How long the tracked scripts take on tables of any size, and how much memory at most.

    python -m tests.benchmark_scale --rows 50000 500000 5000000

Makes the tables from the one that is shipped, and runs the three scripts on each, with a clearml.conf of
servers and credentials alone, on a local stack. All of it is in one folder, which is deleted at the end.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from local_stack.interrupts import take_signals
from local_stack.stack import Stack
from tests.benchmark_scripts import SCRIPTS, configurations
from tests.support.checkouts import REPOSITORY

ROWS = [50_000, 500_000, 5_000_000]
DISK_BYTES = 3000  # that a row takes: in the table, in two datasets on the server, and in the SDK's cache

# Columns of the made table. An asteroid's changes hang on its number alone; change() is from -1 to 1.
CHANGED = {
    "Absolute Magnitude": '"Absolute Magnitude" + 0.3 * change(number, 2)',
    "Minimum Orbit Intersection": '"Minimum Orbit Intersection" * (1 + 0.05 * change(number, 3))',
    "Eccentricity": "Eccentricity * (1 + 0.02 * change(number, 5))",
    "Semi Major Axis": '"Semi Major Axis" * (1 + 0.02 * change(number, 7))',
    "Inclination": "Inclination * (1 + 0.02 * change(number, 11))",
    "Asc Node Longitude": '("Asc Node Longitude" + 180 + 180 * change(number, 13)) % 360',
    "Perihelion Arg": '("Perihelion Arg" + 180 + 180 * change(number, 17)) % 360',
    "Mean Anomaly": '("Mean Anomaly" + 180 + 180 * change(number, 19)) % 360',
}
SPEEDS = ["Relative Velocity km per sec", "Relative Velocity km per hr", "Miles per hour"]
DISTANCES = ["Astronomical", "lunar", "kilometers", "miles"]
DIAMETERS = [f"Est Dia in {unit}({end})" for unit in ("KM", "M", "Miles", "Feet") for end in ("min", "max")]
# What follows from those. Each number has a designation, and an id as data/README.md says. Hazardous is what
# the rule says, or its opposite where the table has that: it is as hard to tell as in the table.
DERIVED = {
    "Neo Reference ID": "if(Name LIKE '(%', code, 2000000 + number)",
    "Name": "if(Name LIKE '(%', '', number || ' ') || '(' || designation || ')'",
    "Perihelion Distance": '"Semi Major Axis" * (1 - Eccentricity)',
    "Aphelion Dist": '"Semi Major Axis" * (1 + Eccentricity)',
    "Orbital Period": '365.2568983 * "Semi Major Axis" ** 1.5',
    "Mean Motion": '0.9856076686 / "Semi Major Axis" ** 1.5',
    "Jupiter Tisserand Invariant": 'round(5.2033 / "Semi Major Axis" + 2 * cos(radians(Inclination))'
    ' * sqrt("Semi Major Axis" / 5.2033 * (1 - Eccentricity ** 2)), 3)',
    "Hazardous": 'rule("Absolute Magnitude", "Minimum Orbit Intersection") <> differs',
    **{name: f'"{name}" * 10 ** (-0.06 * change(number, 2))' for name in DIAMETERS},
    **{name: f'"{name}" * (1 + 0.05 * change(number, 23))' for name in SPEEDS},
    **{
        name: f'"{name}" * (1 + 0.05 * change(number, 29))'
        for name in (f"Miss Dist.({unit})" for unit in DISTANCES)
    },
}


def replaced(columns: dict[str, str]) -> str:
    return ", ".join(f'{expression} AS "{name}"' for name, expression in columns.items())


# The shipped table again and again, each time with other asteroids, which have as many approaches.
TABLE = f"""
    CREATE MACRO rule(h, moid) AS h <= 22 AND moid <= 0.05;
    CREATE MACRO change(number, prime) AS number * sqrt(prime) % 1 * 2 - 1;
    CREATE TABLE shipped AS
        SELECT *, row_number() OVER () - 1 AS line,
            dense_rank() OVER (ORDER BY "Neo Reference ID") - 1 AS rank,
            rule("Absolute Magnitude", "Minimum Orbit Intersection") <> Hazardous AS differs
        FROM read_csv(getvariable('shipped'));
    SET VARIABLE lines = (SELECT count(*) FROM shipped);
    SET VARIABLE asteroids = (SELECT count(DISTINCT rank) FROM shipped);
    COPY (
        SELECT * EXCLUDE (line, rank, differs, number, year, half, second, count, designation, code)
            REPLACE ({replaced(DERIVED)})
        FROM (
            SELECT * REPLACE ({replaced(CHANGED)}),
                concat(
                    year, ' ', 'ABCDEFGHJKLMNOPQRSTUVWXY'[half + 1], 'ABCDEFGHJKLMNOPQRSTUVWXYZ'[second + 1],
                    if(count = 0, '', count::VARCHAR)
                ) AS designation,
                year * 10000000 + (half + if(half < 8, 1, 2)) * 100000
                + (second + if(second < 8, 1, 2)) * 1000 + count AS code
            FROM (
                SELECT *, 1950 + number % 70 AS year, number // 70 % 24 AS half,
                    number // 1680 % 25 AS second, number // 42000 AS count
                FROM (
                    SELECT shipped.*,
                        range // getvariable('lines') * getvariable('asteroids') + rank AS number
                    FROM range(getvariable('rows')) JOIN shipped ON line = range % getvariable('lines')
                )
            )
        )
    ) TO (getvariable('path'));
"""


def make_table(path: str, rows: int) -> None:
    """Write a table of so many rows; the same one on any machine."""
    import duckdb

    with duckdb.connect() as database:
        for name, value in {
            "shipped": str(REPOSITORY / "data" / "nasa.csv"),
            "rows": rows,
            "path": path,
        }.items():
            database.execute(f"SET VARIABLE {name} = $value", {"value": value})
        database.execute(TABLE)


def run(name: str, command: list[str], rows: int, environment: dict[str, str], log: Path) -> str:
    """Run a command, print what it took, and return what it printed; SystemExit if it fails."""
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=output, stderr=output)
        try:
            # Its peak, or that of a larger child. Never below our own, of which it is a copy at first.
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()  # it uses files that are about to be deleted
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    took, printed = time.monotonic() - began, log.read_text(errors="replace")
    if process.returncode:
        raise SystemExit(f"{name} ended with {process.returncode}:\n" + "\n".join(printed.splitlines()[-15:]))
    cpu = usage.ru_utime + usage.ru_stime
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # in bytes, or in KiB
    figures = f"{took:>9.1f}{cpu:>9.1f}{took / rows * 1e6:>9.0f}{peak / 1e9:>9.2f}"
    print(f"{rows:>9,}  {name:<18}{figures}", flush=True)
    return printed


def measure(rows: int, suffix: str, environment: dict[str, str], folder: Path) -> None:
    """Run the scripts on a table of so many rows, and print what each took and the model's figures."""
    table = folder / f"table.{suffix}"
    code = f"from tests.benchmark_scale import make_table; make_table({str(table)!r}, {rows})"
    # In a process of its own: see run().
    run("(makes the table)", [sys.executable, "-c", code], rows, environment, folder / "log")
    for script in SCRIPTS:
        options = ["--csv", str(table)] if script == "get_data.py" else []
        printed = run(script, [sys.executable, script, *options], rows, environment, folder / "log")
    print(*re.findall(r"^.*\bF1\b.*$|^(?:model|rule)\b.* .*\d$", printed, re.MULTILINE), sep="\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, help="sizes of the tables (%(default)s)")
    parser.add_argument("--csv", action="store_true", help="make them as CSV (Parquet)")
    arguments = parser.parse_args()
    take_signals()  # each ends in order: children first, then their files
    needed, folder = DISK_BYTES * sum(arguments.rows), tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    print(f"needs {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are free")
    if free < needed:
        raise SystemExit("that is not enough: give fewer --rows, or another folder as TMPDIR")
    with tempfile.TemporaryDirectory() as temporary, Stack(Path(temporary, "stack"), port=0) as stack:
        own = {"TMPDIR": temporary, "CLEARML_CACHE_DIR": str(Path(temporary, "cache"))}
        configuration = configurations(stack, Path(temporary))["default"]
        environment = {**stack.environment(), **own, "CLEARML_CONFIG_FILE": str(configuration)}
        print("     rows  script              seconds    CPU s   µs/row  peak GB")
        for rows in arguments.rows:
            measure(rows, "csv" if arguments.csv else "parquet", environment, Path(temporary))
        used = sum(file.stat().st_size for file in Path(temporary).rglob("*") if file.is_file())
        print(f"disk: {used / sum(arguments.rows):.0f} bytes a row")


if __name__ == "__main__":
    main()
