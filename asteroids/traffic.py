"""Mock requests: rows of the table drawn at random, as they are or drifted. inference.py sends them.

Rows are drawn whole, so that their columns stay correlated as they are in nature.
"""

import csv
import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clearml_tools.errors import UserError

from asteroids.physics import follow_physics
from asteroids.table_reader import open_table
from global_config import DRIFT_SCENARIOS, LABEL_COLUMN
from preprocess_serving import RAW_COLUMNS, find_problems

MOST_ROWS = 50_000  # some hundred megabytes

Row = dict[str, Any]  # numbers and texts, by the name of the column


@dataclass(frozen=True)
class Scenario:
    """How mock rows differ from real ones."""

    factors: Mapping[str, float] = field(default_factory=dict)  # by the name of the column
    share: float = 1.0  # of the rows that drift
    ramp: bool = False  # whether the factors grow from 1 to their full size over the run

    @property
    def summary(self) -> str:
        text = ", ".join(f"{name} x {factor:g}" for name, factor in self.factors.items()) or "real rows"
        text += f", in {self.share:.0%} of the rows" if self.share < 1 else ""
        return text + (", growing over the run or an hour" if self.ramp else "")


MAJOR_DRIFT = next(iter(DRIFT_SCENARIOS), "normal")  # what --drift sends
MAJOR_FACTORS = DRIFT_SCENARIOS.get(MAJOR_DRIFT, {})
SCENARIOS = {
    "normal": Scenario(),
    **{name: Scenario(factors) for name, factors in DRIFT_SCENARIOS.items()},
    "share": Scenario(MAJOR_FACTORS, share=0.2),
    "ramp": Scenario(MAJOR_FACTORS, ramp=True),
}


def read_rows(table_path: Path) -> list[Row]:
    """Return the rows of a table as requests: without the label, and without NaNs.

    Of a large table it is every second one, or third, and so on: up to MOST_ROWS. Rows that the serving hook
    would refuse are left out. UserError if there is no file or no such row.
    """
    with open_table(table_path, RAW_COLUMNS) as database:
        ((count,),) = database.execute("SELECT count(*) FROM raw_table").fetchall()
        step = max(1, math.ceil(count / MOST_ROWS))
        found = database.execute(
            f"SELECT CAST(COLUMNS(*) AS VARCHAR) FROM raw_table QUALIFY row_number() OVER () % {step} = 0"
        )
        names = [name for name, *_ in found.description]
        table = [parse_row(names, cells) for cells in found.fetchall()]
    rows = [row for row in table if not find_problems(row)]
    if not rows:
        why = f"in the first, {find_problems(table[0])[0]}" if table else "it is empty"
        raise UserError(f"{table_path} has no row that could be sent: {why}")
    if len(rows) < len(table):
        print(f"{len(table) - len(rows)} of {len(table)} rows are left out: the hook would refuse them")
    return rows


def parse_row(names: Sequence[str], cells: Sequence[str | None]) -> Row:
    """Return a row with numbers as numbers, and without the cells that are empty, NaN or infinite."""
    row: Row = {}
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


def drift_row(row: Row, factors: Mapping[str, float]) -> Row:
    """Return a copy of `row` with columns multiplied, and with what follows from that in other columns."""
    drifted = row | {name: row[name] * factor for name, factor in factors.items()}
    follow_physics(row, drifted)
    return drifted


def mock_rows(
    table: Sequence[Row], scenario: Scenario = SCENARIOS["normal"], seed: int = 42, ramp_rows: int = 1000
) -> Iterator[Row]:
    """Yield rows without end, drawn from `table` with replacement; the same ones for the same arguments.

    All scenarios draw the same rows from one seed. A ramp reaches its full factors after `ramp_rows`.
    """
    draws, shares = random.Random(seed), random.Random(f"share {seed}")
    for number in itertools.count():
        strength = min(1.0, number / ramp_rows) if scenario.ramp else 1.0
        if shares.random() >= scenario.share:
            strength = 0.0
        factors = {name: 1 + (factor - 1) * strength for name, factor in scenario.factors.items()}
        yield drift_row(draws.choice(table), factors)


def write_rows(rows: Iterable[Row], path: Path) -> None:
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
