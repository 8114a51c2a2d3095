"""Tables of tasks and models: the columns, the order and the filters that an address names.

An address with all of them: ?column=status&column=parameter:Args/eta&sort=-metric:validation+F1&tags=best
"""

import math
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

from .. import lists
from ..documents import Document
from ..events.ingest import metric_key
from ..events.state import MONITOR_PREFIX
from ..ordering import Order, sort_by_values
from ..paths import value_at
from ..store import Store
from . import views
from .rendering import moment, number, text_duration, text_number, text_size

MOST_COLUMNS = 40  # beside the name
MOST_OPTIONS = 200  # of a filter, and names of parameters or metrics that are offered
MOST_READ = 20_000  # parameters or metrics of rows, to learn their names
LONGEST_NAME = 300  # characters
TELLING_PARAMETERS, TELLING_METRICS = 3, 4
VALIDATION = re.compile("(?<![a-z])e?val(id(ation)?)?(?![a-z])", re.IGNORECASE)
# In this section the SDK keeps the version of a dataset or pipeline, which has a column of its own.
PROPERTIES = "properties/"
ID_PATH_OR_LONG = re.compile(r"[0-9a-f]{32}|[/\\]|.{41}")
NUMBERS = {"duration": text_duration, "size": text_size, "number": text_number}

Value = Callable[[Store, Document], Any]


def _at(path: str) -> Value:
    keys = tuple(path.split("."))
    return lambda store, document: value_at(document, keys)


# Names in addresses, which are the titles too: how the cells look, and where the values are.
COMMON: dict[str, tuple[str, str | Value]] = {
    "name": ("text", "name"), "project": ("link", views.project_of), "created": ("when", "created"),
    "updated": ("when", "last_update"), "comment": ("text", "comment"), "id": ("id", "id"),
}  # fmt: skip
COLUMNS: dict[str, dict[str, tuple[str, str | Value]]] = {
    "task": {
        "status": ("status", "status"), "type": ("text", lambda store, task: task["type"].replace("_", " ")),
        "started": ("when", "started"), "ended": ("when", "completed"),
        "duration": ("duration", lambda store, task: views.seconds_run(task)),
        "iteration": ("number", "last_iteration"), "worker": ("text", "last_worker"),
        "parent": ("link", lambda store, task: views.reference(store, task.get("parent"))),
        "version": ("text", "runtime.version"), "files": ("number", "runtime.ds_file_count"),
        "size": ("size", "runtime.ds_total_size"), **COMMON,
    },
    "model": {
        "published": ("status", lambda store, model: "published" if model["ready"] else None),
        "framework": ("text", "framework"),
        "task": ("link", lambda store, model: views.reference(store, model.get("task"))), **COMMON,
    },
}  # fmt: skip
HELD_IN = {"parameter": "hyperparams", "metric": "last_metrics"}  # more columns, such as metric:loss
FILTERS = {"task": ("status", "type", "tags"), "model": ("framework", "tags")}


class Column(NamedTuple):
    title: str
    look: str
    value: Value


def table(store: Store, request: Document, kind: str, documents: list[Document], *standard: str) -> Document:
    """Return one page of the documents as a table.

    Without a choice, its columns are the `standard` ones, and what tells the documents of the page apart.
    """
    query = request["query"]
    filters, found = _filtered(documents, query, FILTERS[kind])
    sort = query.get("sort", "")
    order, descending = sort.removeprefix("-"), sort.startswith("-")
    if by := _column(kind, order):
        values = [_sort_key(by.look, by.value(store, document)) for document in found]
        found = sort_by_values(found, values, Order((), descending, numeric=True))
    else:
        found.sort(key=lambda document: document["created"], reverse=True)
    page = views.paged(found, request)
    rows = page.pop("items")
    wanted = [*filter(None, query.getlist("column"))] or [*standard, *_telling(store, rows)]
    keys = dict.fromkeys(["name", *wanted[:MOST_COLUMNS], order])  # what it is sorted by is always shown
    columns = {key: column for key in keys if (column := _column(kind, key))}
    return {
        **page,
        "kind": kind,
        "filters": filters,
        "filtered": any(query.get(name) for name in ("name", "archived", *FILTERS[kind])),
        "heads": [_head(key, column, sort) for key, column in columns.items()],
        "rows": [
            (row, views.PATHS[kind](row), [_cell(store, column, row) for column in columns.values()])
            for row in rows
        ],
        "left_out": len(wanted) - MOST_COLUMNS,
        "groups": _groups(store, kind, found, columns, query.get("find", "")) if query.get("choose") else [],
    }


def _filtered(
    documents: list[Document], query: Any, fields: tuple[str, ...]
) -> tuple[list[Document], list[Document]]:
    """Return the filters with their options, and the documents that all of them fit."""
    archived, text = bool(query.get("archived")), query.get("name", "").strip().casefold()
    inside = [document for document in documents if ("archived" in document["system_tags"]) == archived]
    found = [document for document in inside if not text or text in document["name"].casefold()]
    filters = []
    for field in fields:
        chosen = set(filter(None, query.getlist(field)))
        values = [document[field] for document in inside]
        others = (set().union(*values) if field == "tags" else set(values)) - chosen - {"", None}
        options = [*sorted(chosen), *sorted(others)[:MOST_OPTIONS]]
        filters.append({"name": field, "options": options, "chosen": chosen})
        if chosen:
            found = [document for document in found if not chosen.isdisjoint(lists.held(document[field]))]
    return filters, found


def _column(kind: str, key: str) -> Column | None:
    """Return the column that a name in an address means, or None if it means none."""
    prefix, _, name = key.partition(":")
    if key in COLUMNS[kind]:
        look, where = COLUMNS[kind][key]
        return Column(key.capitalize(), look, where if callable(where) else _at(where))
    if prefix not in HELD_IN or not 0 < len(name) <= LONGEST_NAME:
        return None
    places = _metric_places(name) if prefix == "metric" else _parted(name, "/")

    def value(store: Store, document: Document) -> Any:
        held = document.get(HELD_IN[prefix]) or _held(store, prefix, document)  # mostly without another call
        for outer, inner in places:
            if outer in held and inner in held[outer]:
                return held[outer][inner].get("value")
        return None

    return Column(name, "number" if prefix == "metric" else prefix, value)


def _metric_places(name: str) -> list[tuple[str, str]]:
    pairs = [*_parted(name, " / "), (views.SUMMARY, name), (name, name), (name, "")]
    return [(metric_key(metric), metric_key(variant)) for metric, variant in pairs]


def _parted(name: str, separator: str) -> list[tuple[str, str]]:
    """Return the ways to part a name in two: each part may hold the separator."""
    parts = name.split(separator, 8)
    return [(separator.join(parts[:i]), separator.join(parts[i:])) for i in range(1, len(parts))]


def _held(store: Store, prefix: str, document: Document) -> dict[str, Document]:
    """Return parameters by section and name, or last metrics: of a model without own ones, its task's."""
    held: Document = document.get(HELD_IN[prefix]) or {}
    if prefix == "metric" and not held and document.get("task"):
        return (store.get("task", document["task"]) or {}).get("last_metrics") or {}
    return held


def _held_by_name(store: Store, prefix: str, rows: list[Document]) -> dict[str, list[Document]]:
    """Return what the rows have by name, in the order of their reports."""
    found: dict[str, list[Document]] = {}
    sections = (section for row in rows for section in _held(store, prefix, row).items())
    items = ((outer, inner, held) for outer, inside in sections for inner, held in inside.items())
    for outer, inner, held in islice(items, MOST_READ):
        name = f"{outer}/{inner}" if prefix == "parameter" else views.value_name(held)
        if len(name) <= LONGEST_NAME:
            found.setdefault(name, []).append(held)
    return found


def _sort_key(look: str, value: Any) -> Any:
    """Return what a cell is sorted by: a number if it can be one, and None if it is empty."""
    if look in NUMBERS:
        return value if type(value) is float else number(value)
    if look == "when":
        return (time := moment(value)) and time.timestamp()
    if look == "link":
        return value and value["name"]
    if look == "parameter":
        with suppress(TypeError, ValueError, OverflowError):
            if math.isfinite(found := float(value)):
                return found
    return (value or None) if isinstance(value, str) else None


def _cell(store: Store, column: Column, document: Document) -> Any:
    """Return the text of a cell, or what its look makes a link of."""
    value = column.value(store, document)
    if column.look in NUMBERS:
        return None if number(value) is None else NUMBERS[column.look](value)
    if value is None or column.look == "link":
        return value
    return str(value) if isinstance(value, str | int | float) else "…"


def _head(key: str, column: Column, sort: str) -> Document:
    """Return what a column's head says, and the order that a click on it asks for."""
    descending = sort == f"-{key}"
    descends = sort == key or (not descending and column.look == "when")
    return {
        "title": column.title,
        "look": column.look,
        "class": "right nowrap" if column.look in NUMBERS else "",
        "sorted": "descending" if descending else "ascending" if sort == key else None,
        "sort": f"-{key}" if descends else key,
    }


def _telling(store: Store, rows: list[Document]) -> list[str]:
    """Return the columns that tell rows apart: parameters that differ, then metrics, validation's first.

    Rows that have metrics are compared, if any do, and of them the type that is the most frequent. A metric
    should differ nearly as often as any other does.
    """
    measured = [row for row in rows if _held(store, "metric", row)] or rows
    types = Counter(row.get("type") for row in measured).most_common(1)
    alike = [row for row in measured if row.get("type") == types[0][0]]
    parameters = {
        name: values
        for name, values in _common(store, "parameter", alike).items()
        if len(values) > 1
        and not name.startswith(PROPERTIES)
        and not any(map(ID_PATH_OR_LONG.search, values))
    }
    metrics = _common(store, "metric", alike)
    most = max(map(len, metrics.values()), default=0)
    differing = [
        name for name in metrics if 2 * len(metrics[name]) > most and not name.startswith(MONITOR_PREFIX)
    ]
    # The sorts keep the order in which the programs have reported them.
    shown = sorted(parameters, key=lambda name: -len(parameters[name]))[:TELLING_PARAMETERS]
    judged = sorted(differing, key=lambda name: not VALIDATION.search(name))[:TELLING_METRICS]
    return [*(f"parameter:{name}" for name in shown), *(f"metric:{name}" for name in judged)]


def _common(store: Store, prefix: str, rows: list[Document]) -> dict[str, set[str]]:
    """Return the names that at least half of the rows have, with their different values."""
    return {
        name: {text_number(each.get("value")) for each in held}
        for name, held in _held_by_name(store, prefix, rows).items()
        if 2 * len(held) >= len(rows)
    }


def _groups(
    store: Store, kind: str, documents: list[Document], columns: dict[str, Column], find: str
) -> list[Document]:
    """Return the columns that can be chosen, in groups: of those with names, the ones that hold a text."""
    text = find.strip().casefold()
    fixed = [(key, key.capitalize(), key in columns) for key in COLUMNS[kind] if key != "name"]
    groups = [{"title": kind.capitalize(), "options": fixed, "left_out": 0}]
    for prefix in HELD_IN:
        chosen = [column.title for key, column in columns.items() if key.startswith(f"{prefix}:")]
        names = {*_held_by_name(store, prefix, documents)}.difference(chosen)
        fitting = sorted((name for name in names if text in name.casefold()), key=str.casefold)
        options = [(f"{prefix}:{name}", name, name in chosen) for name in (*chosen, *fitting[:MOST_OPTIONS])]
        groups.append(
            {"title": f"{prefix.capitalize()}s", "options": options, "left_out": len(fitting) - MOST_OPTIONS}
        )
    return groups
