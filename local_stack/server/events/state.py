"""The table of events: its rows, and how series, plots, images and console lines are read from it."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from ..documents import Document
from ..store import Store

SCALAR, VECTOR, IMAGE, PLOT, LOG = (
    "training_stats_scalar",
    "training_stats_vector",
    "training_debug_image",
    "plot",
    "log",
)
TYPES = {SCALAR, VECTOR, IMAGE, PLOT, LOG}
COLUMNS = "seq, task, type, metric, variant, iter, timestamp, value, body"
SINGLE_VALUE_ITERATION = -(2**31)  # where the SDK puts what has no iteration
MONITOR_PREFIX = ":monitor:"  # metrics of the machine: their iterations are seconds, not the task's own


def owner_of(store: Store, request: Document, task_id: str | None = None) -> Document:
    """Return the task (or, with model_events, the model) whose events the request reads."""
    kind = "model" if request.get("model_events") else "task"
    return store.get_required(kind, request["task"] if task_id is None else task_id)


def event_of(row: tuple[Any, ...]) -> Document:
    """Return the event of a row of COLUMNS as clients know it."""
    _, task, kind, metric, variant, iteration, timestamp, value, body = row
    if body is not None:
        return {**json.loads(body), "timestamp": timestamp}
    return {
        "task": task, "type": kind, "metric": metric, "variant": variant, "iter": iteration,
        "timestamp": timestamp, "value": value,
    }  # fmt: skip


def select_events(store: Store, where: str, values: Iterable[Any], tail: str = "") -> list[Document]:
    rows = store.db.execute(f"SELECT {COLUMNS} FROM events WHERE {where} {tail}", tuple(values))
    return [event_of(row) for row in rows]


def delete_events(store: Store, owner_id: str) -> None:
    store.db.execute("DELETE FROM events WHERE task = ?", (owner_id,))


def image_urls(store: Store, task_id: str) -> list[str]:
    events = select_events(store, "task = ? AND type = ?", (task_id, IMAGE))
    return [event["url"] for event in events if event.get("url")]


def variants_by_metric(store: Store, owner_id: str, kind: str) -> dict[str, list[str]]:
    rows = store.db.execute(
        "SELECT DISTINCT metric, variant FROM events WHERE task = ? AND type = ? ORDER BY metric, variant",
        (owner_id, kind),
    )
    found: dict[str, list[str]] = {}
    for metric, variant in rows:
        found.setdefault(metric, []).append(variant)
    return found


def metric_filter(metrics: list[Document]) -> tuple[str, list[str]]:
    """Return SQL and values that select the named metrics (none: all), each with all or some variants."""
    clauses, values = [], []
    for item in metrics:
        clause = "metric = ?"
        values.append(item["metric"])
        if item.get("variants"):
            clause += f" AND variant IN ({', '.join('?' * len(item['variants']))})"
            values += item["variants"]
        clauses.append(f"({clause})")
    return (f" AND ({' OR '.join(clauses)})" if clauses else ""), values


# Scalars


def scalar_series(
    store: Store, owner_id: str, metrics: list[Document], key: str = "iter", samples: int | None = None
) -> dict[str, dict[str, Document]]:
    """Return {metric: {variant: {"name", "x", "y"}}} over the axis `key`, in at most so many samples."""
    axis = "iter" if key == "iter" else "timestamp"
    filters, values = metric_filter(metrics)
    rows = store.db.execute(
        f"SELECT metric, variant, {axis}, value FROM events "
        f"WHERE task = ? AND type = ?{filters} AND iter != ? ORDER BY metric, variant, {axis}",
        [owner_id, SCALAR, *values, SINGLE_VALUE_ITERATION],
    )
    found: dict[str, dict[str, Document]] = {}
    for metric, variant, x, y in rows:
        series = found.setdefault(metric, {}).setdefault(variant, {"name": variant, "x": [], "y": []})
        series["x"].append(x)
        series["y"].append(y)
    for variants in found.values():
        for series in variants.values():
            _sample(series, samples)
            if key == "iso_time":
                series["x"] = [_iso_time(x) for x in series["x"]]
    return found


def _sample(series: Document, samples: int | None) -> None:
    """Average the points between one sample and the next, as the SDK documents it."""
    count = len(series["x"])
    if samples and count > samples:
        windows = list(pairwise(i * count // samples for i in range(samples + 1)))
        series["x"] = [series["x"][last - 1] for _, last in windows]
        series["y"] = [mean(series["y"][first:last]) for first, last in windows]


def mean(values: list[float]) -> float:
    return sum(value / len(values) for value in values)  # the sum of the largest numbers would overflow


def _iso_time(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# Plots and debug images


def last_plots(store: Store, owner_id: str, metrics: list[Document], iterations: int = 1) -> list[Document]:
    """Return the plots of the last iterations of every (metric, variant), oldest first."""
    filters, values = metric_filter(metrics)
    ranked = (
        f"SELECT {COLUMNS}, ROW_NUMBER() OVER (PARTITION BY metric, variant ORDER BY iter DESC) AS age "
        f"FROM events WHERE task = ? AND type = ?{filters}"
    )
    rows = store.db.execute(
        f"SELECT {COLUMNS} FROM ({ranked}) WHERE age <= ? ORDER BY metric, variant, iter",
        [owner_id, PLOT, *values, iterations],
    )
    return [event_of(row) for row in rows]


def newest_plot(store: Store, task_id: str, metric: str, variant: str) -> tuple[str, int] | None:
    """Return a version, which only the last report of this plot has, and the report's size in characters."""
    row = store.db.execute(
        "SELECT seq, timestamp, LENGTH(body) FROM events "
        "WHERE task = ? AND type = ? AND metric = ? AND variant = ? ORDER BY iter DESC LIMIT 1",
        (task_id, PLOT, metric, variant),
    ).fetchone()
    return row and ("_".join(map(str, row)), row[2])


def events_by_iteration(
    store: Store, owner_id: str, kind: str, metrics: list[Document], count: int, first: int = 0
) -> list[Document]:
    """Return `count` iterations, newest first and from the `first` on, each with its events."""
    filters, values = metric_filter(metrics)
    condition = f"task = ? AND type = ?{filters}"
    iterations = store.db.execute(
        f"SELECT DISTINCT iter FROM events WHERE {condition} ORDER BY iter DESC LIMIT ? OFFSET ?",
        [owner_id, kind, *values, count, first],
    ).fetchall()
    order = "ORDER BY metric, variant"
    return [
        {
            "iter": number,
            "events": select_events(
                store, f"{condition} AND iter = ?", [owner_id, kind, *values, number], order
            ),
        }
        for (number,) in iterations
    ]


# The console


def lines_before(
    store: Store, task_id: str, place: tuple[int, int], count: int
) -> list[tuple[int, int, str]]:
    """Return (timestamp, seq, text) of the last log events before a (timestamp, seq), newest first."""
    rows = store.db.execute(
        "SELECT timestamp, seq, body FROM events WHERE task = ? AND type = 'log' "
        "AND (timestamp, seq) < (?, ?) ORDER BY timestamp DESC, seq DESC LIMIT ?",
        (task_id, *place, count),
    )
    return [(timestamp, seq, _text(body)) for timestamp, seq, body in rows]


def lines_since(store: Store, task_id: str, seq: int, count: int) -> list[tuple[int, str]]:
    """Return (seq, text) of the log events that came in after a seq, oldest first.

    Unlike a search by time, this finds events that were reported late.
    """
    rows = store.db.execute(
        # Few events are new: reading all of them is faster than looking at every line of the task.
        "SELECT seq, body FROM events NOT INDEXED WHERE seq > ? AND task = ? AND type = 'log' "
        "ORDER BY seq LIMIT ?",
        (seq, task_id, count),
    )
    return [(number, _text(body)) for number, body in rows]


def newest_seq(store: Store) -> int:
    """Return the seq of the last event that came in, of any task; 0 if there is none."""
    return store.db.execute("SELECT MAX(seq) FROM events").fetchone()[0] or 0


def _text(body: str) -> str:
    return str(json.loads(body).get("msg") or "")
