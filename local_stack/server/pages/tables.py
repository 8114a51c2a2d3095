"""Tables of tasks and models: the columns, the order and the filters that an address names.

An address with all of them: ?column=status&column=parameter:Args/eta&sort=-metric:validation+F1&tag=best
"""

import math
import re
from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

from ..documents import Document
from ..events.ingest import metric_key
from ..events.state import MONITOR_PREFIX, SINGLE_VALUE_ITERATION
from ..ordering import Order, sort_by_values
from ..paths import value_at
from ..store import Store
from . import views
from .rendering import moment, number, text_duration, text_number, text_size

MOST_COLUMNS = 40  # beside the name
MOST_OPTIONS = 200  # of a filter, and names of parameters or metrics that are offered
MOST_READ = 20_000  # parameters or metrics of rows, to learn their names
LONGEST_NAME, LONGEST_TITLE, LONGEST_CELL, LONGEST_NUMBER = 300, 60, 80, 40  # characters
NUMBERS_BEGIN = frozenset("+-.0123456789")
TELLING_PARAMETERS, TELLING_METRICS = 3, 4
STATES = ("created", "queued", "in_progress", "stopped", "failed", "completed", "closed", "published")
VALIDATION = re.compile("(?<![a-z])e?val(id(ation)?)?(?![a-z])", re.IGNORECASE)
# In this section the SDK keeps the version of a dataset or pipeline, which has a column of its own.
PROPERTIES = "properties/"
ID_PATH_OR_LONG = re.compile(r"[0-9a-f]{32}|[/\\]|.{41}")
NUMBERS = {"duration": text_duration, "size": text_size, "number": text_number}

Value = Callable[[Store, Document], Any]


def _at(path: str) -> Value:
    keys = tuple(path.split("."))
    return lambda store, document: value_at(document, keys)


def _named(kind: str, path: str) -> Value:
    at = _at(path)
    return lambda store, document: (store.get(kind, at(store, document)) or {}).get("name")


def _task(field: str) -> Value:
    return lambda store, document: views.reference(store, document.get(field))


# Names in addresses, which are the titles too: how the cells look, and where the values are.
COMMON: dict[str, tuple[str, str | Value]] = {
    "name": ("text", "name"), "project": ("link", views.project_of), "tags": ("tags", "tags"),
    "created": ("when", "created"), "updated": ("when", "last_update"),
    "user": ("text", _named("user", "user")), "comment": ("text", "comment"), "id": ("id", "id"),
}  # fmt: skip
COLUMNS: dict[str, dict[str, tuple[str, str | Value]]] = {
    "task": {
        "status": ("status", "status"), "type": ("type", "type"), "started": ("when", "started"),
        "ended": ("when", "completed"), "duration": ("duration", lambda store, task: views.seconds_run(task)),
        "iteration": ("number", "last_iteration"), "worker": ("text", "last_worker"),
        "queue": ("text", _named("queue", "execution.queue")), "parent": ("link", _task("parent")),
        "version": ("text", "runtime.version"), "files": ("number", "runtime.ds_file_count"),
        "size": ("size", "runtime.ds_total_size"), **COMMON,
    },
    "model": {
        "published": ("published", "ready"), "framework": ("text", "framework"),
        "task": ("link", _task("task")), **COMMON,
    },
}  # fmt: skip
NAMED = {"parameter": "Parameters", "metric": "Metrics"}  # more columns, such as metric:loss
HELD_IN = {"parameter": "hyperparams", "metric": "last_metrics"}
FILTERS = {
    "task": {"status": "status", "type": "type", "tag": "tags"},
    "model": {"framework": "framework", "tag": "tags"},
}
ALIKE = {"task": "type", "model": "framework"}  # rows that have this in common are compared


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
    wanted = [*filter(None, query.getlist("column"))] or [*standard, *_telling(store, kind, rows)]
    keys = dict.fromkeys([*wanted[:MOST_COLUMNS], order])  # what it is sorted by is shown in any case
    columns = {key: column for key in keys if key != "name" and (column := _column(kind, key))}
    cells = {key: [_cell(store, column, row) for row in rows] for key, column in columns.items()}
    direction = {order: "descending" if descending else "ascending"}
    heads = {"name": Column("Name", "text", _at("name")), **columns}
    return {
        **page,
        "kind": kind,
        "filters": filters,
        "filtered": any(query.get(name) for name in ("name", "archived", *FILTERS[kind])),
        "heads": [_head(key, head, cells.get(key, []), direction.get(key)) for key, head in heads.items()],
        "rows": [
            {
                "id": row["id"],
                "name": row["name"],
                "path": views.page_path(row) if kind == "task" else views.model_path(row),
                "tags": [] if "tags" in columns else row["tags"],
                "cells": [column[place] for column in cells.values()],
            }
            for place, row in enumerate(rows)
        ],
        "counts": [
            (title.lower(), sum(key.startswith(f"{prefix}:") for key in columns), count)
            for prefix, title in NAMED.items()
            if (count := len(_held_by_name(store, prefix, rows)))
        ],
        "left_out": len(wanted) - MOST_COLUMNS,
        "groups": _groups(store, kind, found, columns, query.get("find", "")) if query.get("choose") else [],
    }


def _filtered(
    documents: list[Document], query: Any, fields: dict[str, str]
) -> tuple[list[Document], list[Document]]:
    """Return the filters with their options, and the documents that all of them fit."""
    archived, text = bool(query.get("archived")), query.get("name", "").strip().casefold()
    inside = [document for document in documents if ("archived" in document["system_tags"]) == archived]
    found = [document for document in inside if not text or text in document["name"].casefold()]
    filters = []
    for name, field in fields.items():
        chosen = set(filter(None, query.getlist(name)))
        held = [document[field] for document in inside]
        others = (set().union(*held) if field == "tags" else set(held)) - chosen - {"", None}
        options = [*sorted(chosen), *sorted(others)[:MOST_OPTIONS]]
        filters.append({"name": name, "options": options, "chosen": chosen})
        if chosen and field == "tags":
            found = [document for document in found if not chosen.isdisjoint(document[field])]
        elif chosen:
            found = [document for document in found if document[field] in chosen]
    return filters, found


def _column(kind: str, key: str) -> Column | None:
    """Return the column that a name in an address means, or None if it means none."""
    prefix, _, name = key.partition(":")
    if key in COLUMNS[kind]:
        look, where = COLUMNS[kind][key]
        return Column(key.capitalize(), look, where if callable(where) else _at(where))
    if prefix not in NAMED or not 0 < len(name) <= LONGEST_NAME:
        return None
    places = _metric_places(name) if prefix == "metric" else _parted(name, "/")
    field = HELD_IN[prefix]

    def value(store: Store, document: Document) -> Any:
        held = document.get(field) or _held(store, prefix, document)  # mostly without another call
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
    if look == "status":
        return STATES.index(value) if value in STATES else None
    if look == "link":
        return value and value["name"]
    if look == "tags":
        return ", ".join(value) or None
    if isinstance(value, str):
        return value or None if (found := number_in(value)) is None else found
    return number(value)


def number_in(text: str) -> float | None:
    """Return the finite number that a short text is, or None."""
    if len(text) > LONGEST_NUMBER or text[:1] not in NUMBERS_BEGIN:  # most texts, and quicker than a try
        return None
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _cell(store: Store, column: Column, document: Document) -> Any:
    """Return what the template makes a cell of: a text, a link, or what its look needs."""
    value = column.value(store, document)
    if column.look in NUMBERS:
        return None if number(value) is None else NUMBERS[column.look](value)
    if value is None or column.look in ("link", "tags", "published"):
        return value
    text = str(value) if isinstance(value, str | int | float) else "…"
    if column.look == "parameter" and (task := views.reference(store, text)):
        return {**task, "name": text}
    return text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}…"


def _head(key: str, column: Column, cells: list[Any], direction: str | None) -> Document:
    """Return what a column's head says, and the order that a click on it asks for."""
    plain = column.look in (*NUMBERS, "text", "link", "parameter")
    right = column.look in NUMBERS
    if column.look == "parameter":
        right = all(isinstance(cell, str) and number_in(cell) is not None for cell in cells if cell)
    descends = direction == "ascending" or (not direction and column.look == "when")
    return {
        "title": column.title if len(column.title) <= LONGEST_TITLE else f"{column.title[:LONGEST_TITLE]}…",
        "look": column.look,
        "plain": plain,
        "class": "right nowrap" if right else "" if plain else "nowrap",
        "sorted": direction,
        "sort": f"-{key}" if descends else key,
    }


def _telling(store: Store, kind: str, rows: list[Document]) -> list[str]:
    """Return the columns that tell the rows of a page apart: parameters, then metrics that most of them have.

    Rows are compared with those of their type; where any have metrics, those without count for nothing. A
    metric should differ nearly as often as any other does.
    """
    alike: dict[str, list[Document]] = {}
    for row in rows:
        alike.setdefault(row[ALIKE[kind]], []).append(row)
    measured = [group for group in alike.values() if any(_held(store, "metric", row) for row in group)]
    parameters: list[tuple[Any, ...]] = []
    metrics: list[tuple[Any, ...]] = []
    for group in measured or alike.values():
        for name, held in _held_by_name(store, "parameter", group).items():
            texts = {str(each.get("value")) for each in held}
            hidden = name.startswith(PROPERTIES) or any(map(ID_PATH_OR_LONG.search, texts))
            if len(texts) > 1 and 2 * len(held) >= len(group) and not hidden:
                parameters.append((-len(held), -len(texts), f"parameter:{name}"))
        named = _held_by_name(store, "metric", group)
        differ = {
            name: len({text_number(each.get("value")) for each in held}) for name, held in named.items()
        }
        common, most = max(map(len, named.values()), default=0), max(differ.values(), default=0)
        for name, held in named.items():
            if 2 * len(held) >= common and 2 * differ[name] > most and not name.startswith(MONITOR_PREFIX):
                single = held[0]["iteration"] == SINGLE_VALUE_ITERATION
                metrics.append((-common, not VALIDATION.search(name), not single, f"metric:{name}"))
    # The sorts keep the order in which the programs have reported them.
    chosen = sorted(parameters, key=lambda found: found[:-1])[:TELLING_PARAMETERS]
    chosen += sorted(metrics, key=lambda found: found[:-1])[:TELLING_METRICS]
    return [key for *_, key in chosen]


def _groups(
    store: Store, kind: str, documents: list[Document], columns: dict[str, Column], find: str
) -> list[Document]:
    """Return the columns that can be chosen, in groups: of those with names, the ones that hold a text."""
    find = find.strip().casefold()
    fixed = [(key, key.capitalize(), key in columns) for key in COLUMNS[kind] if key != "name"]
    groups = [{"title": kind.capitalize(), "options": fixed, "left_out": 0}]
    for prefix, title in NAMED.items():
        names = _held_by_name(store, prefix, documents)
        chosen = [column.title for key, column in columns.items() if key.startswith(f"{prefix}:")]
        fitting = [
            name for name in names if name not in chosen and find.strip().casefold() in name.casefold()
        ]
        fitting.sort(key=str.casefold)
        options = [(f"{prefix}:{name}", name, name in chosen) for name in (*chosen, *fitting[:MOST_OPTIONS])]
        groups.append({"title": title, "options": options, "left_out": len(fitting) - MOST_OPTIONS})
    return groups
