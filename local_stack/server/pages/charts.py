"""Scalars and plots, one at a time, as the pages' scripts ask for them.

Each answer has a `version`. A request that names it as `known` gets nothing but the version.
"""

import re
from typing import Any

from ..documents import Document, parse_json
from ..errors import ApiError
from ..events.scalars import scalar_series
from ..events.state import PLOT, last_plots, newest_plot, variants_by_metric
from ..store import Store
from .rendering import moment, picture, text_size
from .views import found_task, last_reports

SAMPLES = 500  # points of a series: a chart has hardly more pixels
LEAST_SAMPLES, MOST_POINTS = 100, 10_000  # of a series, and of a chart: with very many series, they are fewer
MOST_MARKERS = 20  # series with so many points also have a marker at each point
MOST_ABOVE = 10  # names of series stand above a chart, more of them at its side
MOST_ROWS, MOST_COLUMNS, LONGEST_CELL = 500, 100, 500  # of a table in a page
LARGEST_PLOT = 8 * 2**20  # characters: a browser would need seconds to draw more
UNITS = (("hours", 3600), ("minutes", 60))
AXIS = re.compile(r"[xy]axis\d*")
# The HTML that plotly understands in texts.
MARKUP = re.compile(r"</?(?:a|b|i|em|strong|sub|sup|span|s|u)(?:\s[^<>]*)?>|<br\s*/?>", re.IGNORECASE)


def scalars_data(store: Store, request: Document) -> Document:
    """Return a figure of one metric with a line for each of its variants."""
    return scalar_figure(store, request, [(found_task(store, request), {})])


def scalar_figure(store: Store, request: Document, tasks: list[tuple[Document, Document]]) -> Document:
    """Return a figure of a metric, or of one variant of it, in tasks, each with a style of its lines."""
    metric, variant = request.get("metric", ""), request.get("variant")
    axis = "timestamp" if request.get("x") == "time" else "iter"
    counts = [
        last["count"]
        for task, _ in tasks
        for last in last_reports(task)
        if last["metric"] == metric and variant in (None, last["variant"])
    ]
    # It changes with every report of the metric, and needs none of the many points.
    version = f"{sum(counts)} over {axis} since {[task.get('started') for task, _ in tasks]}"
    if request.get("known") == version:
        return {"version": version}
    samples = max(LEAST_SAMPLES, min(SAMPLES, MOST_POINTS // max(1, len(counts))))
    wanted = {"metric": metric} if variant is None else {"metric": metric, "variants": [variant]}
    lines = [
        (task, {**series, **style})
        for task, style in tasks
        for series in scalar_series(store, task["id"], [wanted], axis, samples).get(metric, {}).values()
    ]
    title = "iteration" if axis == "iter" else _count_from_start(lines)
    traces = [
        {
            **line,
            "type": "scatter",
            "mode": "lines+markers" if len(line["x"]) <= MOST_MARKERS else "lines",
        }
        for _, line in lines
    ]
    layout: Document = {"xaxis": {"title": {"text": title}}, "showlegend": len(traces) > 1}
    if len(traces) > MOST_ABOVE:
        layout["legend"] = {"orientation": "v", "x": 1.02, "y": 1, "yanchor": "top"}
    return {"version": version, "figure": {"data": traces, "layout": layout}}


def _count_from_start(lines: list[tuple[Document, Document]]) -> str:
    """Let the times of lines count from the start of their tasks, and return the title of their axis."""
    for task, line in lines:
        start = moment(task.get("started") or task["created"])
        line["x"] = [at / 1000 - (start.timestamp() if start else 0) for at in line["x"]]
    longest = max((at for _, line in lines for at in line["x"]), default=0)
    unit, length = next(((unit, n) for unit, n in UNITS if longest > 2 * n), ("seconds", 1))
    for _, line in lines:
        line["x"] = [at / length for at in line["x"]]
    return f"{unit} since the start"


def plot_data(store: Store, request: Document) -> Document:
    """Return one plot as it was last reported: a figure, tables, or an image."""
    task = found_task(store, request)
    metric, variant = request.get("metric", ""), request.get("variant", "")
    found = newest_plot(store, task["id"], metric, variant)
    if not found:
        raise ApiError(404, 0, f"There is no plot {metric} / {variant}.")
    version, size = found
    if request.get("known") == version:
        return {"version": version}
    if size > LARGEST_PLOT:
        problem = f"This plot is too large to draw ({text_size(size)}). Read it by Task.get_reported_plots()."
        return {"version": version, "problem": problem}
    plots = last_plots(store, task["id"], [{"metric": metric, "variants": [variant]}])
    return {"version": version, **_drawable(plots[-1], request["files"])}


def plot_names(store: Store, task_id: str) -> list[Document]:
    return [
        {"metric": metric, "variant": variant}
        for metric, variants in variants_by_metric(store, task_id, PLOT).items()
        for variant in variants
    ]


def _drawable(event: Document, files: str) -> Document:
    figure = _figure(event)
    if figure is None:
        return {"problem": "This plot is not in a format that can be drawn."}
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


def _figure(event: Document) -> Document | None:
    """Return the plot as plotly takes it, or None if it is something else."""
    try:
        figure = parse_json(event.get("plot_str") or "")  # plotly draws a gap for None
    except (TypeError, ValueError, RecursionError):
        return None
    if not isinstance(figure, dict):
        return None
    data, layout = figure.get("data") or [], figure.get("layout") or {}
    if not (isinstance(data, list) and isinstance(layout, dict) and all(isinstance(t, dict) for t in data)):
        return None
    layout.pop("title", None)  # the page shows it itself
    for name, axis in layout.items():
        # Newer versions of plotly.js take a title only as an object. The SDK sends a text.
        if AXIS.fullmatch(name) and isinstance(axis, dict) and isinstance(axis.get("title"), str):
            axis["title"] = {"text": axis["title"]}
    return {"data": data, "layout": layout}


def _tables(figure: Document) -> list[Document]:
    """Return the tables of a figure that holds nothing else."""
    if any(trace.get("type") != "table" for trace in figure["data"]):
        return []
    return [_table(trace) for trace in figure["data"]]


def _table(trace: Document) -> Document:
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


def _values(trace: Document, part: str) -> list[Any]:
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
