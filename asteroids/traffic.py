"""Mock requests: rows of the NASA table drawn at random, as they are or drifted. inference.py sends them.

Rows are drawn whole, so that their columns keep to each other as they do in nature.
"""

import csv
import itertools
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clearml_tools.errors import UserError

from asteroids.table_reader import open_table
from global_config import LABEL_COLUMN
from preprocess_serving import RAW_COLUMNS, find_problems

MAGNITUDE = "Absolute Magnitude"
MOID = "Minimum Orbit Intersection"
DIAMETERS = [f"Est Dia in {unit}({end})" for unit in ("KM", "M", "Miles", "Feet") for end in ("min", "max")]
KM_PER_AU = 149597870.7


@dataclass(frozen=True)
class Scenario:
    """How mock rows differ from real ones."""

    summary: str
    magnitude: float = 1  # factor on the absolute magnitude
    moid: float = 1  # factor on the minimum orbit intersection distance
    share: float = 1  # of the rows that differ at all
    ramp: bool = False  # whether the factors grow from 1 to the full over the run


SCENARIOS = {
    "normal": Scenario("real rows"),
    "drift": Scenario("absolute magnitude and MOID doubled", magnitude=2, moid=2),
    "mild": Scenario("absolute magnitude 5 % and MOID 50 % larger", magnitude=1.05, moid=1.5),
    "magnitude": Scenario("absolute magnitude doubled", magnitude=2),
    "moid": Scenario("MOID doubled", moid=2),
    "share": Scenario("both doubled in a fifth of the rows", magnitude=2, moid=2, share=0.2),
    "ramp": Scenario("both growing to double, over the run or an hour", magnitude=2, moid=2, ramp=True),
}


def read_rows(table_path: Path) -> list[dict]:
    """The rows of a file shaped like the NASA table, as requests: without the label, without a NaN.

    Rows that the serving hook would refuse are left out. UserError if there is no file or no such row.
    """
    with open_table(table_path, RAW_COLUMNS) as database:
        found = database.execute("SELECT CAST(COLUMNS(*) AS VARCHAR) FROM asteroids")
        names = [name for name, *_ in found.description]
        table = [parse_row(names, cells) for cells in found.fetchall()]
    rows = [row for row in table if not find_problems(row)]
    if not rows:
        why = f"in the first, {find_problems(table[0])[0]}" if table else "it is empty"
        raise UserError(f"{table_path} has no row that could be sent: {why}")
    if len(rows) < len(table):
        print(f"{len(table) - len(rows)} of {len(table)} rows are left out: the hook would refuse them")
    return rows


def parse_row(names: Sequence[str], cells: Sequence[str | None]) -> dict[str, float | str]:
    """A row with numbers as numbers; cells that are empty, NaN or infinite are missing from it."""
    row = {}
    for name, cell in zip(names, cells, strict=True):
        if name == LABEL_COLUMN or not cell:
            continue
        try:
            number = float(cell)
        except ValueError:
            row[name] = cell
            continue
        if math.isfinite(number):
            row[name] = int(cell) if cell.isdecimal() else number
    return row


def drift_row(row: dict, magnitude_factor: float, moid_factor: float) -> dict:
    """A copy of `row` with absolute magnitude and MOID multiplied, and with what follows from them.

    A diameter is 1329 km / sqrt(albedo) * 10^(-H/5), so all of them shrink alike as H grows. A MOID belongs
    to no one orbit: the orbital elements stay. But nothing comes closer to us than its orbit does, so the
    distance at which it misses the Earth is raised to the new MOID where it would be less.
    """
    magnitude, moid = row[MAGNITUDE] * magnitude_factor, row[MOID] * moid_factor
    shrinking = 10 ** ((row[MAGNITUDE] - magnitude) / 5)
    drifted = {**row, MAGNITUDE: magnitude, MOID: moid}
    drifted |= {name: row[name] * shrinking for name in DIAMETERS if name in row}
    if moid_factor > 1 and row["Miss Dist.(kilometers)"] < moid * KM_PER_AU:
        drifted["Miss Dist.(Astronomical)"] = moid
        drifted["Miss Dist.(lunar)"] = moid * 389
        drifted["Miss Dist.(kilometers)"] = moid * KM_PER_AU
        drifted["Miss Dist.(miles)"] = moid * KM_PER_AU * 0.621371
    return drifted


def mock_rows(
    table: Sequence[dict], scenario: Scenario = SCENARIOS["normal"], seed: int = 42, ramp_rows: int = 1000
) -> Iterator[dict]:
    """Rows without end, drawn from `table` with replacement; the same ones for the same arguments.

    All scenarios draw the same asteroids from one seed. A ramp is at its height after `ramp_rows`.
    """
    asteroids, lots = random.Random(seed), random.Random(f"share {seed}")
    for number in itertools.count():
        strength = min(1.0, number / ramp_rows) if scenario.ramp else 1.0
        if lots.random() >= scenario.share:
            strength = 0.0
        factors = [1 + (factor - 1) * strength for factor in (scenario.magnitude, scenario.moid)]
        yield drift_row(asteroids.choice(table), *factors)


def write_rows(rows: Iterable[dict], path: Path) -> None:
    """Write rows as a CSV file; UserError if it cannot be written."""
    rows = list(rows)
    names = dict.fromkeys(name for row in rows for name in row)
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror})") from error
