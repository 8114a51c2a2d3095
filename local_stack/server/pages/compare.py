"""The page that compares tasks: a column for each, what differs first, and texts as differences."""

import re
import time
from collections import Counter
from collections.abc import Callable
from difflib import SequenceMatcher, unified_diff
from functools import partial
from itertools import chain
from typing import Any
from urllib.parse import urlencode

from ..documents import Document
from ..events.state import MONITOR_PREFIX, SINGLE_VALUE_ITERATION
from ..store import Store
from . import charts, views
from .rendering import number, text_duration, text_moment, text_number

MOST_TASKS, MOST_ROWS, MOST_CHARTS = 10, 500, 100
LEGEND = 100  # characters of all names in the legend of a chart
# How many texts of the tasks are compared, for how long, and how many lines of each comparison are shown.
MOST_TEXTS, SECONDS, MOST_LINES = 60, 1.0, 400
MOST_WORK = 3 * 10**7  # of difflib in one comparison: two seconds, at worst
# A task's curves have one of each. Ten tasks have ten pairs.
COLOURS = ("#3f7ae0", "#e58a1f", "#2f9e63", "#c5453c", "#8a5fd0")
DASHES = ("solid", "6px,3px", "2px,2px")
# What is better the lower it is. Short words stand alone, as "sentiment" is no time.
LOWER = re.compile(
    r"loss|error|brier|duration|latency|perplexity|false.?(positive|negative)"
    r"|(?<![a-z])(r?ms[dl]?e|mape?|mae|fpr|fnr|wer|fid|time|runtime|seconds|ms)(?![a-z])",
    re.IGNORECASE,
)
Cells = list[tuple[str | None, str]]  # of a row: what each says, and how it is marked


def compare_page(store: Store, request: Document) -> Document:
    chosen, notes = _chosen(store, request["query"].getlist("id"))
    tasks = chosen[:MOST_TASKS]
    in_one_project = len({task.get("project") for task in tasks}) == 1
    return {
        "notes": notes,
        "ids": [task["id"] for task in chosen],
        "tasks": [
            {**views.link_to(task), "id": task["id"], "line": _line(place)}
            for place, task in enumerate(tasks)
        ],
        "project": views.project_of(store, tasks[0]) if in_one_project else None,
        "live": any(map(views.is_live, tasks)),
        "facts": _table([_facts(store, task) for task in tasks], _unlike_first),
        "parameters": _table([_parameters(task) for task in tasks], _unlike_first),
        "values": _table([_values(task) for task in tasks], _best),
        **_curves(tasks),
        "charts": len(tasks) > 1,
        "later": partial(_texts, [views.texts_of(task) for task in tasks]),
    }


def _chosen(store: Store, ids: list[str]) -> tuple[list[Document], list[str]]:
    """Return the tasks that have these ids, and what there is to say of the others."""
    found = {key: store.get("task", key) for key in ids if key}
    tasks = [task for task in found.values() if task]
    notes = [
        f"There is no task {key}. It may have been deleted, or it is on another server."
        for key, task in found.items()
        if task is None
    ]
    if len(tasks) > MOST_TASKS:
        notes.append(f"{len(tasks)} tasks were chosen. The first {MOST_TASKS} are compared: remove some.")
    return tasks, notes[-MOST_TASKS:]


def _facts(store: Store, task: Document) -> dict[str, str]:
    project, queue = views.project_of(store, task), store.get("queue", task["execution"].get("queue"))
    facts = {
        "Project": project and project["name"],
        "Type": task["type"].replace("_", " "),
        "Tags": ", ".join(sorted(task["tags"])),
        "Queue": queue and queue["name"],
        "Worker": task.get("last_worker"),
        "Started": text_moment(task.get("started")),
        "Duration": text_duration(views.seconds_run(task)),
        "Last iteration": task["last_iteration"],
    }
    known = {name: str(value) for name, value in facts.items() if value not in (None, "")}
    return known | views.source_of(task)


def _parameters(task: Document) -> dict[str, str]:
    return {
        f"{section} / {name}": item.get("value", "")
        for section, items in sorted(task["hyperparams"].items())
        for name, item in sorted(items.items())
    }


def _values(task: Document) -> dict[str, float | None]:
    return {
        value["name"] + ("" if value["single"] else " (last)"): number(value["value"])
        for value in views.last_values(task)
    }


def _table(columns: list[dict[str, Any]], marked: Callable[[str, list[Any]], Cells]) -> Document:
    """Return the rows that differ, and the names and values of those that are the same in all columns."""
    rows = {name: [column.get(name) for column in columns] for name in chain.from_iterable(columns)}
    same = {name: cells for name, cells in rows.items() if cells.count(cells[0]) == len(cells)}
    differing = {name: cells for name, cells in rows.items() if name not in same}
    shown = [
        [(name, marked(name, found[name])) for name in list(found)[:MOST_ROWS]] for found in (differing, same)
    ]
    left_out = len(rows) - sum(map(len, shown))
    return {"differing": shown[0], "same": shown[1], "same_in_all": len(same), "left_out": left_out}


def _unlike_first(name: str, cells: list[Any]) -> Cells:
    return [(text, "" if text == cells[0] else "unlike") for text in cells]


def _best(name: str, cells: list[Any]) -> Cells:
    """Mark the lowest of losses, errors and times, and the highest of all other values."""
    cells = [value if value is None else float(f"{value:.5g}") for value in cells]  # as it is shown
    numbers = {value for value in cells if value is not None}
    word, choose = ("lowest", min) if LOWER.search(name) else ("highest", max)
    best = choose(numbers) if len(numbers) > 1 else None
    return [
        (None, "") if value is None else (text_number(value), word if value == best else "")
        for value in cells
    ]


def _curves(tasks: list[Document]) -> Document:
    """Return the charts of the scalars that at least two of the tasks have, those of the machine last."""
    having = Counter(
        (last["metric"], last["variant"], views.value_name(last))
        for task in tasks
        for last in views.last_reports(task)
        if last["iteration"] != SINGLE_VALUE_ITERATION
    )
    shared = [name for name, count in having.items() if count > 1]
    shared.sort(key=lambda name: name[0].startswith(MONITOR_PREFIX))
    ids = [("id", task["id"]) for task in tasks]
    curves = [
        (title, f"/pages/overlay?{urlencode([('metric', metric), ('variant', variant), *ids])}")
        for metric, variant, title in shared[:MOST_CHARTS]
    ]
    return {"curves": curves, "curves_left_out": len(having) - len(curves)}


def _line(place: int) -> Document:
    """Return how the curves of the task in this column are drawn."""
    return {"color": COLOURS[place % len(COLOURS)], "dash": DASHES[place % len(DASHES)]}


def overlay_data(store: Store, request: Document) -> Document:
    """Return a figure of one variant of a metric with a line for each of the tasks."""
    ids = request["query"].getlist("id")[:MOST_TASKS]
    tasks = [(place, task) for place, key in enumerate(ids) if (task := store.get("task", key))]
    length = LEGEND // max(1, len(tasks))
    styled = [
        (task, {"name": f"{place + 1} {task['name'][:length]}", "line": _line(place)})
        for place, task in tasks
    ]
    return charts.scalar_figure(store, request, styled)


def _texts(columns: list[dict[str, str]]) -> Document:
    """Compare the texts of each name with those of the first task, as long as there is time."""
    end = time.monotonic() + SECONDS
    same, pairs = [], []
    for name in dict.fromkeys(chain.from_iterable(columns)):
        places: dict[str, list[int]] = {}
        for place, column in enumerate(columns, 1):
            places.setdefault(column.get(name, ""), []).append(place)
        (first, against), *others = places.items()
        same += [] if others else [name]
        pairs += [(name, of, against, first, other) for other, of in others]
    changed = [
        {"name": name, "of": of, "against": against, **_changes(first, other, end)}
        for name, of, against, first, other in pairs[:MOST_TEXTS]
    ]
    return {"same_texts": same[:MOST_ROWS], "changed": changed, "more": len(pairs) - MOST_TEXTS}


def _changes(first: str, other: str, end: float) -> Document:
    """Return the lines of a unified difference, or why there are none."""
    a, b = (views.shortened(text).split("\n") if text else [] for text in (first, other))
    # difflib looks at each pair of equal lines, for each part of the text that differs.
    repeated = SequenceMatcher(None, a, b).b2j  # type: ignore[attr-defined]
    work = min(len(a), len(b)) * sum(len(repeated.get(line, ())) for line in a)
    if work > MOST_WORK or time.monotonic() > end:
        return {"problem": f"It differs, and is too long to compare here: {len(a)} and {len(b)} lines."}
    lines = list(unified_diff(a, b, lineterm=""))[2:]
    if not lines:
        return {"problem": f"It differs, but not in its first {views.MOST_TEXT} characters."}
    return {"lines": lines[:MOST_LINES], "left_out": max(0, len(lines) - MOST_LINES)}
