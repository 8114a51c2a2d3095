"""The table of scalars: how series are found in it, and read in few points."""

from collections.abc import Iterator
from datetime import UTC, datetime
from math import ceil, isfinite
from typing import Any

from ..documents import Document
from ..store import Store

SINGLE_VALUE_ITERATION = -(2**31)  # where the SDK puts what has no iteration
SAMPLES, MOST_SAMPLES = 2000, 6000  # of one series: those that a request gets, and the most it may ask for
LONGEST_INTERVAL = 2**62  # between samples, so that SQLite's integers hold what is computed from it
AXES = {"iter": "iter", "timestamp": "timestamp", "iso_time": "timestamp"}
SERIES = "task = :task AND metric = :metric AND variant = :variant AND iter > :single"
# A loose scan of the index: it reads one row of each series.
NEXT_VARIANT = """
SELECT metric, variant FROM scalars WHERE task = ? AND metric = ? AND variant > ?
ORDER BY variant LIMIT 1
"""
NEXT_METRIC = (
    "SELECT metric, variant FROM scalars WHERE task = ? AND metric > ? ORDER BY metric, variant LIMIT 1"
)
FIRST_METRIC = "SELECT metric, variant FROM scalars WHERE task = ? ORDER BY metric, variant LIMIT 1"


def series_names(
    store: Store, owner_id: str, metrics: list[Document] | None = None
) -> Iterator[tuple[str, str]]:
    """Yield the metric and variant of each series of a task or model, of the named metrics (none: all)."""
    wanted: dict[str, set[str]] = {}
    for item in metrics or []:
        wanted[item["metric"]] = set(item.get("variants") or [])
    found = store.db.execute(FIRST_METRIC, (owner_id,)).fetchone()
    while found:
        metric, variant = found
        if not metrics or (metric in wanted and (not wanted[metric] or variant in wanted[metric])):
            yield metric, variant
        found = (
            store.db.execute(NEXT_VARIANT, (owner_id, metric, variant)).fetchone()
            or store.db.execute(NEXT_METRIC, (owner_id, metric)).fetchone()
        )


def scalar_series(
    store: Store, owner_id: str, metrics: list[Document], key: str = "iter", samples: int | None = None
) -> dict[str, dict[str, Document]]:
    """Return {metric: {variant: {"name", "x", "y"}}} over the axis `key`, in about so many samples.

    Each sample is the mean of the values of an interval, which begins at a multiple of its length.
    """
    found: dict[str, dict[str, Document]] = {}
    for metric, variant in series_names(store, owner_id, metrics):
        names = {"task": owner_id, "metric": metric, "variant": variant, "single": SINGLE_VALUE_ITERATION}
        x, y = _points(store, names, AXES[key], samples or SAMPLES)
        if x:
            x = [_iso_time(moment) for moment in x] if key == "iso_time" else x
            found.setdefault(metric, {})[variant] = {"name": variant, "x": x, "y": y}
    return found


def _points(store: Store, names: Document, axis: str, samples: int) -> tuple[list[Any], list[float]]:
    low, high, count = store.db.execute(
        f"SELECT (SELECT MIN({axis}) FROM scalars WHERE {SERIES}), (SELECT MAX({axis}) FROM scalars WHERE "
        f"{SERIES}), (SELECT COUNT(*) FROM (SELECT 1 FROM scalars WHERE {SERIES} LIMIT :samples))",
        {**names, "samples": samples},
    ).fetchone()
    if not count:
        return [], []
    interval = 1 if count < samples else min(max(1, ceil((high - low + 1) / samples)), LONGEST_INTERVAL)
    # SQLite's % has the sign of the dividend: adding the interval makes the rest positive.
    start = f"{axis} - (({axis} % :interval) + :interval) % :interval"
    rows = _means(store, names, start, interval, "AVG(value)")
    if not all(mean is not None and isfinite(mean) for _, mean in rows):
        # The sum of the largest numbers is none. Halving often loses nothing of numbers as large as these.
        rows = _means(store, names, start, interval, f"AVG(value / {2.0**40}) * {2.0**40}")
    return [int(x) for x, _ in rows], [y for _, y in rows]


def _means(store: Store, names: Document, start: str, interval: int, mean: str) -> list[tuple[float, float]]:
    sql = f"SELECT {start} AS x, {mean} FROM scalars WHERE {SERIES} GROUP BY x ORDER BY x"
    return store.db.execute(sql, {**names, "interval": interval}).fetchall()


def _iso_time(milliseconds: int) -> str:
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):  # a time that no calendar here has
        moment = datetime.max if milliseconds > 0 else datetime.min
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def single_values(store: Store, owner_id: str, metrics: list[Document]) -> list[Document]:
    """Return the values that have no iteration, by metric and variant."""
    values = []
    for metric, variant in series_names(store, owner_id, metrics):
        row = store.db.execute(
            "SELECT value, timestamp FROM scalars WHERE task = ? AND metric = ? AND variant = ? AND iter = ?",
            (owner_id, metric, variant, SINGLE_VALUE_ITERATION),
        ).fetchone()
        if row:
            values.append({"metric": metric, "variant": variant, "value": row[0], "timestamp": row[1]})
    return values


def last_values(store: Store, owner_id: str, metric: str, variant: str, count: int) -> list[float]:
    """Return the values of the last iterations of a series, newest first."""
    rows = store.db.execute(
        "SELECT value FROM scalars WHERE task = ? AND metric = ? AND variant = ? ORDER BY iter DESC LIMIT ?",
        (owner_id, metric, variant, count),
    )
    return [value for (value,) in rows]


def last_timestamp(store: Store, owner_id: str) -> int:
    row = store.db.execute("SELECT MAX(timestamp) FROM scalars WHERE task = ?", (owner_id,)).fetchone()
    return row[0] or 0


def has_iterations(store: Store, owner_id: str, metric: str, variant: str) -> bool:
    """Return whether the series is more than a single value."""
    row = store.db.execute(
        "SELECT 1 FROM scalars WHERE task = ? AND metric = ? AND variant = ? AND iter > ? LIMIT 1",
        (owner_id, metric, variant, SINGLE_VALUE_ITERATION),
    ).fetchone()
    return row is not None


def mean(values: list[float]) -> float:
    return sum(value / len(values) for value in values)  # the sum of the largest numbers would overflow
