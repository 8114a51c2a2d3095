"""Small parts of the shipped table, for tests that need rows and not all of them."""

from functools import cache
from pathlib import Path

import pandas as pd

from tests.support.checkouts import REPOSITORY


@cache
def shipped_table() -> pd.DataFrame:
    return pd.read_csv(REPOSITORY / "data" / "nasa.csv")


def asteroid_table(asteroids: int) -> pd.DataFrame:
    """Return all rows of the asteroids that come first, in order of their dates."""
    ids = shipped_table()["Neo Reference ID"]
    return shipped_table()[ids.isin(ids.unique()[:asteroids])].reset_index(drop=True)


def cells(text: str) -> list[tuple]:
    """Return the cells of a CSV without quotes, row by row, without its header."""
    return [tuple(line.split(",")) for line in text.splitlines()[1:]]


def edit_line(path: Path, number: int, old: str, new: str) -> None:
    """Replace a text in one line of a file, counted from 1; it must be there."""
    lines = path.read_text().split("\n")
    assert old in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new, 1)
    path.write_text("\n".join(lines))
