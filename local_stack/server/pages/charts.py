"""Scalars and plots, one at a time, as the pages' scripts ask for them.

Each answer has a `version`. To whoever has it already, as `known`, nothing else is answered.
"""

import re
from typing import Any

from ..documents import parse_json
from ..errors import ApiError
from ..events.plots import get_task_plots, newest_plot
from ..events.scalars import scalar_metrics_iter_histogram
from ..events.state import PLOT, variants_of
from ..store import Document, Store
from .rendering import picture, text_size
from .views import found_task

SAMPLES = 500  # points of a series: more than a chart is pixels wide
FEW = 20  # points that are also marked one by one
MOST_ROWS, MOST_COLUMNS, LONGEST_CELL = 500, 100, 500  # of a table that are shown
LARGEST_PLOT = 8 * 2**20  # characters that are drawn: a browser would be busy for seconds with more
AXIS = re.compile(r"[xy]axis\d*")
# The little HTML that plotly understands in texts.
MARKUP = re.compile(r"</?(?:a|b|i|em|strong|sub|sup|span|s|u)(?:\s[^<>]*)?>|<br\s*/?>", re.IGNORECASE)


def scalars(store: Store, request: dict) -> dict:
    """A figure of one metric, a line for each of its variants."""
    task = found_task(store, request)
    metric = request.get("metric", "")
    version = _version(task, metric)
    if request.get("known") == version:
        return {"version": version}
    asked = {"task": task["id"], "metrics": [{"metric": metric}], "samples": SAMPLES}
    variants = scalar_metrics_iter_histogram(store, asked).get(metric, {})
    traces = [
        {
            **series,
            "type": "scatter",
            "mode": "lines+markers" if len(series["x"]) <= FEW else "lines",
        }
        for series in variants.values()
    ]
    axes = {"xaxis": {"title": {"text": "iteration"}}}
    figure = {"data": traces, "layout": {**axes, "showlegend": len(traces) > 1}}
    return {"version": version, "figure": figure}


def _version(task: Document, metric: str) -> str:
    """What changes with every report of the metric, without a look at its points, of which there are many."""
    kept = [last for variants in task["last_metrics"].values() for last in variants.values()]
    count = sum(last["count"] for last in kept if last["metric"] == metric)
    return f"{count} since {task.get('started')}"


def plot(store: Store, request: dict) -> dict:
    """One plot as it was last reported: a figure, tables, or an image."""
    task = found_task(store, request)
    metric, variant = request.get("metric", ""), request.get("variant", "")
    found = newest_plot(store, task["id"], metric, variant)
    if not found:
        raise ApiError(404, 0, f"There is no plot {metric} / {variant}.")
    version, size = found
    if request.get("known") == version:
        return {"version": version}
    if size > LARGEST_PLOT:
        problem = (
            f"This plot is too large to be drawn ({text_size(size)}). Task.get_reported_plots() reads it."
        )
        return {"version": version, "problem": problem}
    asked = {"task": task["id"], "metrics": [{"metric": metric, "variants": [variant]}]}
    return {"version": version, **_shown(get_task_plots(store, asked)["plots"][-1], request["files"])}


def plot_names(store: Store, task_id: str) -> list[dict]:
    return [
        {"metric": metric, "variant": variant}
        for metric, variants in variants_of(store, task_id, PLOT).items()
        for variant in variants
    ]


def _shown(event: dict, files: str) -> dict:
    figure = _figure(event)
    if figure is None:
        return {"problem": "This plot is not in a form that can be shown."}
    if tables := _tables(figure):
        return {"tables": tables}
    layout = figure["layout"]
    images = layout.get("images")
    if not figure["data"] and isinstance(images, list) and len(images) == 1 and isinstance(images[0], dict):
        return {"image": picture(images[0].get("source"), files)}
    for image in images if isinstance(images, list) else []:
        if isinstance(image, dict):
            image["source"] = picture(image.get("source"), files)
    return {"figure": figure}


def _figure(event: dict) -> dict | None:
    """The plot as plotly takes it, or None where it is something else."""
    try:
        figure = parse_json(event.get("plot_str") or "")  # plotly makes a gap of what is None
    except (TypeError, ValueError, RecursionError):
        return None
    if not isinstance(figure, dict):
        return None
    data, layout = figure.get("data") or [], figure.get("layout") or {}
    if not (isinstance(data, list) and isinstance(layout, dict) and all(isinstance(t, dict) for t in data)):
        return None
    layout.pop("title", None)  # the page has it
    for name, axis in layout.items():
        # Newer versions of plotly.js take a title as an object only, and the SDK sends a text.
        if AXIS.fullmatch(name) and isinstance(axis, dict) and isinstance(axis.get("title"), str):
            axis["title"] = {"text": axis["title"]}
    return {"data": data, "layout": layout}


def _tables(figure: dict | None) -> list[dict]:
    """The tables of a figure that has nothing else in it."""
    data = figure["data"] if figure else []
    if any(trace.get("type") != "table" for trace in data):
        return []
    return [_table(trace) for trace in data]


def _table(trace: dict) -> dict:
    names = _values(trace, "header")[:MOST_COLUMNS]
    columns = [cells if isinstance(cells, list) else [cells] for cells in _values(trace, "cells")]
    length = max(map(len, columns), default=0)
    rows = [
        [_text(column[i]) if i < len(column) else "" for column in columns[:MOST_COLUMNS]]
        for i in range(min(length, MOST_ROWS))
    ]
    return {
        "columns": [_text(name) for name in names],
        "rows": rows,
        "left_out": length - len(rows),
        "columns_left_out": max(0, len(columns) - MOST_COLUMNS),
    }


def _values(trace: dict, part: str) -> list:
    inner = trace.get(part)
    values = inner.get("values") if isinstance(inner, dict) else None
    return values if isinstance(values, list) else []


def _text(value: Any) -> str:
    levels = value if isinstance(value, list) else [value]  # a header may have several
    text = MARKUP.sub(" ", " / ".join(map(_plain, levels))).strip()
    return text if len(text) <= LONGEST_CELL else text[:LONGEST_CELL] + "…"


def _plain(value: Any) -> str:
    if value is None:
        return ""
    try:
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    except RecursionError:  # lists within lists, hundreds deep
        return "…"
