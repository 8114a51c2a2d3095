"""Scalars and plots, one at a time, as the pages' scripts ask for them."""

import json
import math
import re
from typing import Any

from ..errors import ApiError
from ..events.plots import get_task_plots
from ..events.scalars import scalar_metrics_iter_histogram
from ..events.storage import PLOT, variants_of
from ..store import Store
from .rendering import safe_link
from .views import found_task

SAMPLES = 500  # points of a series: more than a chart is pixels wide
FEW = 20  # points that are also marked one by one
MOST_ROWS = 500  # of a table that are shown
AXIS = re.compile(r"[xy]axis\d*")
# The little HTML that plotly understands in texts.
MARKUP = re.compile(r"</?(?:a|b|i|em|strong|sub|sup|span|s|u)(?:\s[^<>]*)?>|<br\s*/?>", re.IGNORECASE)


def scalars(store: Store, request: dict) -> dict:
    """A figure of one metric, a line for each of its variants."""
    task = found_task(store, request)
    wanted = {"metric": request.get("metric", "")}
    asked = {"task": task["id"], "metrics": [wanted], "samples": SAMPLES}
    variants = scalar_metrics_iter_histogram(store, asked).get(wanted["metric"], {})
    traces = [
        {
            **series,
            "type": "scatter",
            "mode": "lines+markers" if len(series["x"]) <= FEW else "lines",
        }
        for series in variants.values()
    ]
    axes = {"xaxis": {"title": {"text": "iteration"}}}
    return {"figure": {"data": traces, "layout": {**axes, "showlegend": len(traces) > 1}}}


def plot(store: Store, request: dict) -> dict:
    """One plot as it was last reported: a figure, tables, or an image."""
    task = found_task(store, request)
    metric, variant = request.get("metric", ""), request.get("variant", "")
    found = _plots(store, task["id"], metric, variant)
    if not found:
        raise ApiError(404, 0, f"There is no plot {metric} / {variant}.")
    return _shown(found[-1], request["files"])


def plot_names(store: Store, task_id: str) -> list[dict]:
    return [
        {"metric": metric, "variant": variant}
        for metric, variants in variants_of(store, task_id, PLOT).items()
        for variant in variants
    ]


def table_of(store: Store, task_id: str, name: dict) -> dict | None:
    """The first table of a plot, where it is one of tables."""
    found = _plots(store, task_id, name["metric"], name["variant"])
    tables = _tables(_figure(found[-1])) if found else None
    return tables[0] if tables else None


def _plots(store: Store, task_id: str, metric: str, variant: str) -> list[dict]:
    asked = {"task": task_id, "metrics": [{"metric": metric, "variants": [variant]}]}
    return get_task_plots(store, asked)["plots"]


def _shown(event: dict, files: str) -> dict:
    figure = _figure(event)
    if figure is None:
        return {"problem": "This plot is not in a form that can be shown."}
    if tables := _tables(figure):
        return {"tables": tables}
    layout = figure["layout"]
    images = layout.get("images")
    if not figure["data"] and isinstance(images, list) and len(images) == 1 and isinstance(images[0], dict):
        return {"image": safe_link(images[0].get("source"), files)}
    for image in images if isinstance(images, list) else []:
        if isinstance(image, dict):
            image["source"] = safe_link(image.get("source"), files)
    return {"figure": figure}


def _figure(event: dict) -> dict | None:
    """The plot as plotly takes it, or None where it is something else."""
    try:
        # NaN and infinity are no JSON for browsers; a gap is what plotly makes of null.
        figure = json.loads(event.get("plot_str") or "", parse_constant=lambda _: None, parse_float=_finite)
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


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _tables(figure: dict | None) -> list[dict]:
    """The tables of a figure that has nothing else in it."""
    data = figure["data"] if figure else []
    if any(trace.get("type") != "table" for trace in data):
        return []
    return [_table(trace) for trace in data]


def _table(trace: dict) -> dict:
    names = _values(trace, "header")
    columns = [cells if isinstance(cells, list) else [cells] for cells in _values(trace, "cells")]
    length = max(map(len, columns), default=0)
    rows = [
        [_text(column[i]) if i < len(column) else "" for column in columns]
        for i in range(min(length, MOST_ROWS))
    ]
    return {"columns": [_text(name) for name in names], "rows": rows, "left_out": length - len(rows)}


def _values(trace: dict, part: str) -> list:
    inner = trace.get(part)
    values = inner.get("values") if isinstance(inner, dict) else None
    return values if isinstance(values, list) else []


def _text(value: Any) -> str:
    if isinstance(value, list):  # a header of several levels
        return " / ".join(_text(part) for part in value)
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    return "" if value is None else MARKUP.sub(" ", str(value)).strip()
