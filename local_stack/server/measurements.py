"""What workers, queues and serving containers measured, for charts over time: of a week at most."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .documents import Document
from .errors import ApiError, validation_error
from .store import Store

KEPT_SECONDS = 7 * 24 * 3600
MOST_KEPT = 100_000
SHORTEST_INTERVAL = 40  # seconds between two points of a chart, as on ClearML's server
MOST_POINTS = 10_000  # of a chart
LARGEST_NUMBER = 1e15  # nothing that is measured is larger, and sums of such stay numbers
MACHINE_STATISTICS = (
    "cpu_usage", "cpu_temperature", "gpu_usage", "gpu_temperature", "gpu_memory_free", "gpu_memory_used",
    "memory_used", "memory_free", "network_tx", "network_rx", "disk_free_home", "disk_free_temp", "disk_read",
    "disk_write",
)  # fmt: skip
MOST_DEVICES = 256
# The schemas of the fields that requests for charts have in common.
CHART: Document = {"from_date": float, "to_date": float, "interval": range(1, 2**31)}


class Measurement(NamedTuple):
    timestamp: int  # milliseconds
    source: str
    body: Document


def record_measurement(store: Store, kind: str, source: str, body: Document, timestamp: int = 0) -> None:
    """Keep what a source measured at a time (0: now), and forget what is too old or too much."""
    present = int(time.time() * 1000)
    newest = store.db.execute(
        "INSERT INTO measurements (kind, source, timestamp, body) VALUES (?, ?, ?, ?)",
        (kind, source, timestamp or present, json.dumps(body)),
    ).lastrowid
    assert newest  # as SQLite numbers every row
    store.db.execute(
        "DELETE FROM measurements WHERE kind = ? AND timestamp < ?", (kind, present - KEPT_SECONDS * 1000)
    )
    store.db.execute("DELETE FROM measurements WHERE seq <= ?", (newest - MOST_KEPT,))


def measurements(
    store: Store, kind: str, start: float, end: float, sources: Sequence[str] | None = None
) -> Iterator[Measurement]:
    """Yield what was measured between two times in seconds, by all or by some sources, oldest first."""
    wanted = set(sources or [])
    for timestamp, source, body in store.db.execute(
        "SELECT timestamp, source, body FROM measurements WHERE kind = ? AND timestamp BETWEEN ? AND ? "
        "ORDER BY timestamp, seq",
        (kind, int(start) * 1000, int(end) * 1000),
    ):
        if not wanted or source in wanted:
            yield Measurement(timestamp, source, json.loads(body))


def machine_statistics(given: Document) -> Document:
    """Return those statistics of a machine that ClearML knows and that are numbers, or lists of such."""
    found: Document = {}
    for name in MACHINE_STATISTICS:
        value = given.get(name)
        if isinstance(value, list):
            found[name] = [number(item) or 0 for item in value[:MOST_DEVICES]]
        elif number(value):
            found[name] = value
    return {name: value for name, value in found.items() if value}


def number(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) > LARGEST_NUMBER:
        return None
    return value


def check_dates(request: Document) -> None:
    if min(request["from_date"], request["to_date"]) < 0:
        raise validation_error("from_date and to_date should not be negative")
    if request["from_date"] >= request["to_date"]:
        raise ApiError(400, 16, "Invalid value for fields: from_date must be less than to_date")


def chart_interval(request: Document) -> int:
    """Return the seconds between two points of the chart in the request."""
    return max(int(request["interval"]), SHORTEST_INTERVAL)


def chart_dates(request: Document) -> range:
    """Return the times, in milliseconds, at which the intervals of a chart begin."""
    check_dates(request)
    step = chart_interval(request) * 1000
    first, last = (int(request[key]) * 1000 // step * step for key in ("from_date", "to_date"))
    if (last - first) // step >= MOST_POINTS:
        raise validation_error(f"interval makes more than {MOST_POINTS} points: it should be longer")
    return range(first, last + 1, step)


def whole_intervals(request: Document, dates: Sequence[int]) -> list[int]:
    """Return the dates without that of the last interval, if less than nine tenths of it have gone by."""
    end = (request["to_date"] - 0.9 * chart_interval(request)) * 1000
    return [date for date in dates if date <= end]
