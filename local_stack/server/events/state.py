"""The tables of events: how events are read a page at a time, with plots, images and console lines."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ..documents import Document
from ..errors import ApiError, invalid_scroll_id, validation_error
from ..store import Store
from .scalars import SINGLE_VALUE_ITERATION as SINGLE_VALUE_ITERATION
from .scalars import has_iterations, series_names

SCALAR, VECTOR, IMAGE, PLOT, LOG = (
    "training_stats_scalar",
    "training_stats_vector",
    "training_debug_image",
    "plot",
    "log",
)
OTHER_TYPES = (VECTOR, IMAGE, PLOT, LOG)  # than scalars, which have a table of their own
TYPES = {SCALAR, *OTHER_TYPES}
ALL_TYPES = "*"
SCALARS = f"SELECT 0 AS seq, task, '{SCALAR}' AS type, metric, variant, iter, timestamp, value FROM scalars"
OTHERS = "SELECT seq, task, type, metric, variant, iter, timestamp, body FROM events"
MONITOR_PREFIX = ":monitor:"  # metrics of the machine: their iterations are seconds, not the task's own
LARGEST_PAGE = 10_000
LEAST, GREATEST = -(2**63), 2**63 - 1  # of SQLite's integers
MOST_NAMING, LARGEST_NAMING = 20, 100_000  # plots of a task that are searched, and characters of one
MOST_NAMES = 10_000  # of metrics and variants in a request
IMAGE_SOURCE = re.compile(r"""["']source["']:\s?["']([a-z][a-z0-9+.-]{0,20}://[^"']*)""", re.IGNORECASE)


def of_type(kind: str) -> str:
    """Return SQL that selects one of TYPES, and shows SQLite when it may use the index without the log."""
    return "type = 'log'" if kind == LOG else f"type = '{kind}' AND type != 'log'"


def owner_of(store: Store, request: Document, task_id: str | None = None) -> Document:
    """Return the task (or, with model_events, the model) whose events the request reads."""
    kind = "model" if request.get("model_events") else "task"
    return store.get_required(kind, request["task"] if task_id is None else task_id)


def owners_of(store: Store, request: Document) -> list[Document]:
    """Return the tasks (or models) of a request that names several, each once."""
    return [owner_of(store, request, task_id) for task_id in dict.fromkeys(request["tasks"])]


def changeable_task(store: Store, request: Document) -> Document:
    """Return the task of a request that deletes events, or raise the API's error if it is published."""
    task = store.get_required("task", request["task"])
    store.check_changeable("task", task["id"])
    if task["status"] in ("publishing", "published") and not request.get("allow_locked"):
        raise ApiError(400, 101, f"Cannot update events for a published task: id={task['id']}")
    return task


def event_of(row: tuple[Any, ...]) -> Document:
    """Return the event of a row of SCALARS or OTHERS as clients know it."""
    _, task, kind, metric, variant, iteration, timestamp, content = row
    if kind != SCALAR:
        named = {} if kind == "log" else {"metric": metric, "variant": variant}
        return {**json.loads(content), **named, "timestamp": timestamp}
    return {
        "task": task, "type": kind, "metric": metric, "variant": variant, "iter": iteration,
        "timestamp": timestamp, "value": content,
    }  # fmt: skip


def select_events(store: Store, where: str, values: Iterable[Any], tail: str = "") -> list[Document]:
    """Return events other than scalars."""
    return [event_of(row) for row in store.db.execute(f"{OTHERS} WHERE {where} {tail}", tuple(values))]


def delete_events(store: Store, owner_id: str) -> None:
    for table in ("events", "scalars"):
        store.db.execute(f"DELETE FROM {table} WHERE task = ?", (owner_id,))


def image_urls(store: Store, task_id: str) -> list[str]:
    """Return the addresses of the files of a task's debug images and of the images in its plots."""
    found: dict[str, None] = {}
    for event in select_events(store, "task = ? AND type IN (?, ?)", (task_id, IMAGE, PLOT)):
        urls = (
            [event.get("url")] if event["type"] == IMAGE else IMAGE_SOURCE.findall(str(event.get("plot_str")))
        )
        found |= {url: None for url in urls if isinstance(url, str) and url}
    return list(found)


def variants_by_metric(
    store: Store, owner_id: str, kind: str, with_single_values: bool = True
) -> dict[str, list[str]]:
    """Return the variants of each metric in events of a type, or of ALL_TYPES."""
    names: set[tuple[str, str]] = set()
    if kind in (SCALAR, ALL_TYPES):
        names.update(
            name
            for name in series_names(store, owner_id)
            if with_single_values or has_iterations(store, owner_id, *name)
        )
    for other in OTHER_TYPES if kind == ALL_TYPES else [kind]:
        sql = f"SELECT DISTINCT metric, variant FROM events WHERE task = ? AND {of_type(other)}"
        names.update(store.db.execute(sql, (owner_id,)))
    found: dict[str, list[str]] = {}
    for metric, variant in sorted(names):
        found.setdefault(metric, []).append(variant)
    return found


def metric_filter(metrics: list[Document]) -> tuple[str, list[str]]:
    """Return SQL and values that select the named metrics (none: all), each with all or some variants."""
    whole = [item["metric"] for item in metrics if not item.get("variants")]
    pairs = [(item["metric"], name) for item in metrics for name in item.get("variants") or []]
    if len(whole) + len(pairs) > MOST_NAMES:
        raise validation_error(f"metrics names more than {MOST_NAMES} metrics and variants")
    clauses = []
    if whole:
        clauses.append(f"metric IN ({', '.join('?' * len(whole))})")
    if pairs:
        clauses.append(f"(metric, variant) IN (VALUES {', '.join(['(?, ?)'] * len(pairs))})")
    values = [*whole, *(name for pair in pairs for name in pair)]
    return (f" AND ({' OR '.join(clauses)})" if clauses else ""), values


# Pages of events


class Place(NamedTuple):
    """How far a reader is: the last iteration (or time) that it has seen, and how many events of that."""

    value: int
    seen: int
    size: int = 0  # of the first page, for readers that do not repeat it; 0 is none
    total: int | None = None  # of the events that the reader scrolls through, counted once

    @classmethod
    def of(cls, scroll_id: str) -> "Place":
        try:
            value, seen, size, *totals = map(int, scroll_id.split("_"))
            (total,) = totals or (None,)
        except ValueError as error:
            raise invalid_scroll_id(scroll_id) from error
        if not (LEAST <= value <= GREATEST and 0 <= seen <= GREATEST and 0 <= size <= GREATEST):
            raise invalid_scroll_id(scroll_id)
        return cls(value, seen, size, total)

    def scroll_id(self) -> str:
        return "_".join(str(number) for number in self if number is not None)


class Page(NamedTuple):
    """A page of rows of SCALARS and OTHERS, and the place after it, or None if there are no rows."""

    rows: list[tuple[Any, ...]]
    place: Place | None


class Selection:
    """Events of a task or model: of a type and of the named metrics."""

    def __init__(self, store: Store, owner_id: str, kind: str, metrics: list[Document]) -> None:
        self.store = store
        filters, self.values = metric_filter(metrics)
        self.values.insert(0, owner_id)
        where = f"WHERE task = ?{filters}"
        kinds = TYPES if kind == ALL_TYPES else {kind}
        # Each type has a part, which SQLite reads in order from an index; it merges the parts.
        self.parts = [f"{OTHERS} {where} AND {of_type(other)}" for other in OTHER_TYPES if other in kinds]
        if SCALAR in kinds:
            self.parts.append(f"{SCALARS} {where}")

    def count(self) -> int:
        counts = [f"(SELECT COUNT(*) FROM ({part}))" for part in self.parts]
        row = self.store.db.execute(f"SELECT {' + '.join(counts)}", self.values * len(self.parts)).fetchone()
        return int(row[0])

    def page(
        self, axis: str, size: int, place: Place | None, descending: bool = False, whole: bool = True
    ) -> Page:
        """Return events in the order of an axis, "iter" or "timestamp", after a place.

        Those of the last iteration (or time) of a `whole` page all come, though it gets longer.
        """
        size = min(size, LARGEST_PAGE)
        bounds = [LEAST, GREATEST]
        if place:
            bounds[1 if descending else 0] = place.value
        rows = self._rows(axis, bounds, size, place.seen if place else 0, descending)
        if not rows:
            return Page([], None)
        column = 5 if axis == "iter" else 6
        last = rows[-1][column]
        seen = sum(1 for row in rows if row[column] == last)
        seen += place.seen if place and place.value == last else 0
        if whole and len(rows) == size:
            rest = self._rows(axis, [last, last], LARGEST_PAGE, seen, descending)
            rows += rest
            seen += len(rest)
        return Page(rows, Place(last, seen))

    def _rows(
        self, axis: str, bounds: list[int], size: int, offset: int, descending: bool
    ) -> list[tuple[Any, ...]]:
        direction = "DESC" if descending else "ASC"
        order = ", ".join(f"{column} {direction}" for column in (axis, "seq", "metric", "variant"))
        # Two bounds, though one may be enough: by them SQLite sees which index is in this order.
        sql = " UNION ALL ".join(f"{part} AND {axis} BETWEEN ? AND ?" for part in self.parts)
        return self.store.db.execute(
            f"{sql} ORDER BY {order} LIMIT ? OFFSET ?",
            [*([*self.values, *bounds] * len(self.parts)), size, offset],
        ).fetchall()


# Plots and debug images


def last_plots(store: Store, owner_id: str, metrics: list[Document], iterations: int = 1) -> list[Document]:
    """Return the plots of the last iterations of every (metric, variant), newest first."""
    filters, values = metric_filter(metrics)
    ranked = (
        "SELECT seq, ROW_NUMBER() OVER (PARTITION BY metric, variant ORDER BY iter DESC) AS age "
        f"FROM events WHERE task = ? AND {of_type(PLOT)}{filters}"
    )
    where = f"seq IN (SELECT seq FROM ({ranked}) WHERE age <= ?)"
    return select_events(store, where, [owner_id, *values, iterations], "ORDER BY metric, variant, iter DESC")


def plots_of_last_iterations(
    store: Store, owner_id: str, metrics: list[Document], iterations: int, per_metric: bool
) -> list[tuple[int, int, int]]:
    """Return (iter, seq, size) of the plots in the last iterations of the task, or of each metric of it."""
    filters, values = metric_filter(metrics)
    partition = "PARTITION BY metric " if per_metric else ""
    return store.db.execute(
        "SELECT iter, seq, size FROM (SELECT iter, seq, LENGTH(body) AS size, "
        f"DENSE_RANK() OVER ({partition}ORDER BY iter DESC) AS age "
        f"FROM events WHERE task = ? AND {of_type(PLOT)}{filters}) WHERE age <= ?",
        [owner_id, *values, iterations],
    ).fetchall()


def newest_plot(store: Store, task_id: str, metric: str, variant: str) -> tuple[str, int] | None:
    """Return a version, which only the last report of this plot has, and the report's size in characters."""
    row = store.db.execute(
        "SELECT seq, timestamp, LENGTH(body) FROM events "
        f"WHERE task = ? AND {of_type(PLOT)} AND metric = ? AND variant = ? ORDER BY iter DESC LIMIT 1",
        (task_id, metric, variant),
    ).fetchone()
    return row and ("_".join(map(str, row)), row[2])


def plots_that_name(store: Store, task_id: str, texts: list[str]) -> list[str]:
    """Return the metrics of the task's plots in which one of the texts stands.

    Of each of its first plots, by name, the last report is read, if it is not large.
    """
    rows = store.db.execute(
        "WITH lasts AS (SELECT seq, MAX(iter) FROM events "
        f"WHERE task = ? AND {of_type(PLOT)} GROUP BY metric, variant LIMIT ?) SELECT DISTINCT metric "
        "FROM events WHERE seq IN (SELECT seq FROM lasts) AND LENGTH(body) <= ? "
        "AND EXISTS (SELECT 1 FROM json_each(?) WHERE INSTR(body, value))",
        (task_id, MOST_NAMING, LARGEST_NAMING, json.dumps(texts)),
    )
    return [metric for (metric,) in rows]


# Names of files are used again: only the last iteration of each file shows what was reported then. Of the
# newest file of a variant, the iteration before the last is where the files that are left begin.
LAST_INVALID = f"""
WITH files AS (SELECT metric, variant, iter, json_extract(body, '$.url') AS url FROM events
    WHERE task = ? AND {of_type(IMAGE)}),
compared AS (SELECT *,
    FIRST_VALUE(url) OVER newest AS newest_url, FIRST_VALUE(iter) OVER newest AS newest_iter
    FROM files WHERE url IS NOT NULL WINDOW newest AS (PARTITION BY metric, variant ORDER BY iter DESC))
SELECT metric, variant, MAX(iter) FROM compared WHERE url = newest_url AND iter < newest_iter
    GROUP BY metric, variant
"""


def events_by_iteration(
    store: Store,
    owner_id: str,
    kind: str,
    metrics: list[Document],
    count: int,
    first: int = 0,
    beyond: tuple[str, int] | None = None,
) -> list[Document]:
    """Return iterations with their plots or images, newest first.

    They are `count` iterations from the `first` on, or those next to one: before it with ("<", its number),
    or after it with (">", its number).
    """
    filters, values = metric_filter(metrics)
    condition = f"task = ? AND type = ?{filters}"
    values = [owner_id, kind, *values]
    last_invalid: dict[tuple[str, str], int] = {}
    if kind == IMAGE:
        condition += " AND json_extract(body, '$.url') IS NOT NULL"
        rows = store.db.execute(LAST_INVALID, (owner_id,))
        last_invalid = {(metric, variant): iteration for metric, variant, iteration in rows}
    compare, number = beyond or (">=", LEAST)
    seqs: dict[int, list[int]] = {}
    for seq, metric, variant, iteration in store.db.execute(
        f"SELECT seq, metric, variant, iter FROM events WHERE {condition} AND iter {compare} ? "
        "ORDER BY metric, variant",
        [*values, number],
    ):
        if iteration > last_invalid.get((metric, variant), LEAST - 1):
            seqs.setdefault(iteration, []).append(seq)
    nearest = sorted(seqs, reverse=compare != ">")[first : first + count]
    return [
        {"iter": number, "events": events_of_seqs(store, seqs[number])}
        for number in sorted(nearest, reverse=True)
    ]


def events_of_seqs(store: Store, seqs: Iterable[int]) -> list[Document]:
    """Return the events with these seqs, in this order."""
    found = (store.db.execute(f"{OTHERS} WHERE seq = ?", (seq,)).fetchone() for seq in seqs)
    return [event_of(row) for row in found]


# The console


def lines_before(store: Store, task_id: str, place: Iterable[int]) -> Iterator[tuple[int, int, str]]:
    """Yield (timestamp, seq, text) of the log events before a (timestamp, seq), newest first.

    As events may be large, each is read only when it is asked for.
    """
    rows = store.db.execute(
        "SELECT timestamp, seq, body FROM events WHERE task = ? AND type = 'log' "
        "AND (timestamp, seq) < (?, ?) ORDER BY timestamp DESC, seq DESC",
        (task_id, *place),
    )
    return ((timestamp, seq, _text(body)) for timestamp, seq, body in rows)


def lines_since(store: Store, task_id: str, seq: int) -> Iterator[tuple[int, str]]:
    """Yield (seq, text) of the log events that came in after a seq, oldest first, as lines_before does.

    Unlike a search by time, this finds events that were reported late.
    """
    rows = store.db.execute(
        # Few events are new: reading all of them is faster than looking at every line of the task.
        "SELECT seq, body FROM events NOT INDEXED WHERE seq > ? AND task = ? AND type = 'log' ORDER BY seq",
        (seq, task_id),
    )
    return ((number, _text(body)) for number, body in rows)


def newest_seq(store: Store) -> int:
    """Return the seq of the last event that came in, of any task; 0 if there is none."""
    return store.db.execute("SELECT MAX(seq) FROM events").fetchone()[0] or 0


def _text(body: str) -> str:
    return str(json.loads(body).get("msg") or "")
