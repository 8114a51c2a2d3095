"""Rows of the events table: the columns they have, and how the other modules read them."""

import json
from collections.abc import Iterable

from ..models.endpoints import required_model
from ..store import Store
from ..tasks.endpoints import required_task

SCALAR, VECTOR, IMAGE, PLOT, LOG = (
    "training_stats_scalar",
    "training_stats_vector",
    "training_debug_image",
    "plot",
    "log",
)
TYPES = {SCALAR, VECTOR, IMAGE, PLOT, LOG}
ALL_READ = "end"  # the scroll id where all comes in one answer: whoever scrolls on finds nothing more
SINGLE_VALUE_ITERATION = -(2**31)  # where the SDK puts what has no iteration


def reader(store: Store, request: dict) -> str:
    """The id of the task (or, with model_events, the model) to read events of."""
    find = required_model if request.get("model_events") else required_task
    return find(store, request["task"])["id"]


def event_of(row: tuple) -> dict:
    """An event as clients know it, from a row of (seq, task, type, metric, variant, iter, timestamp, …)."""
    _, task, kind, metric, variant, iteration, timestamp, value, body = row
    if body is not None:
        return {**json.loads(body), "timestamp": timestamp}
    return {
        "task": task, "type": kind, "metric": metric, "variant": variant, "iter": iteration,
        "timestamp": timestamp, "value": value,
    }  # fmt: skip


COLUMNS = "seq, task, type, metric, variant, iter, timestamp, value, body"


def select(store: Store, where: str, values: Iterable, tail: str = "") -> list[dict]:
    rows = store.db.execute(f"SELECT {COLUMNS} FROM events WHERE {where} {tail}", tuple(values))
    return [event_of(row) for row in rows]


def delete_all(store: Store, owner_id: str) -> None:
    store.db.execute("DELETE FROM events WHERE task = ?", (owner_id,))


def image_urls(store: Store, task_id: str) -> list[str]:
    events = select(store, "task = ? AND type = ?", (task_id, IMAGE))
    return [event["url"] for event in events if event.get("url")]


def variants_of(store: Store, owner: str, kind: str) -> dict[str, list[str]]:
    rows = store.db.execute(
        "SELECT DISTINCT metric, variant FROM events WHERE task = ? AND type = ? ORDER BY metric, variant",
        (owner, kind),
    )
    found: dict[str, list[str]] = {}
    for metric, variant in rows:
        found.setdefault(metric, []).append(variant)
    return found


def metric_filter(metrics: list[dict]) -> tuple[str, list]:
    """SQL and values that keep the named metrics (none: all), each with all or some of its variants."""
    clauses, values = [], []
    for item in metrics:
        clause = "metric = ?"
        values.append(item["metric"])
        if item.get("variants"):
            clause += f" AND variant IN ({', '.join('?' * len(item['variants']))})"
            values += item["variants"]
        clauses.append(f"({clause})")
    return (f" AND ({' OR '.join(clauses)})" if clauses else ""), values
