"""Small parts of the shipped table, for tests that need rows and not all of them."""

from functools import cache

import pandas as pd

from tests.support.checkouts import REPOSITORY


@cache
def shipped_table() -> pd.DataFrame:
    return pd.read_csv(REPOSITORY / "data" / "nasa.csv")


def asteroid_table(asteroids: int) -> pd.DataFrame:
    """Return all rows of the asteroids that come first, in order of their dates."""
    ids = shipped_table()["Neo Reference ID"]
    return shipped_table()[ids.isin(ids.unique()[:asteroids])].reset_index(drop=True)
