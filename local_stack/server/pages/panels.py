"""The panels of a dashboard, with the answers of Prometheus to their own expressions, for charts.js."""

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ...prometheus import UNKNOWN, ask
from ..documents import Document
from ..errors import ApiError
from ..monitoring_file import Monitoring
from ..store import Store
from .charts import MOST_COLUMNS, MOST_ROWS
from .grafana_answers import Series, View, alerts, reduced
from .grafana_dashboard import all_panels, read_dashboard, time_span
from .grafana_variables import Ask, documents_at, fill, value_at, values_of, variables
from .rendering import number, text_moment
from .time_panels import figure, heatmap, name_axis, plain, state_timeline, timeseries
from .units import TEXT, faded, scale_of, shown, threshold_steps

MOST_SERIES = 100
ASK_SECONDS = 10  # for all questions of a panel or page
AWAY = "Prometheus does not answer at the moment. It is asked again."
# What Prometheus raises; what raises an answer that is none of its; and numbers that are too large to draw.
TROUBLES = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
COLUMN_PIXELS, ROW_PIXELS, NARROW = 50, 28, 350  # of the grid in a wide window; of a panel on a phone
EMPTY = "rgba(127,138,153,0.15)"


def panel_data(store: Store, request: Document) -> Document:
    """Return one panel of the dashboard; its address has the time and the values of all variables."""
    monitoring = Monitoring.read(request["monitoring"])
    return {"later": partial(draw_panel, monitoring, request, asking(monitoring))}


def draw_panel(monitoring: Monitoring, request: Document, asked: Ask) -> Document:
    """Return what charts.js draws, or in one line why there is nothing to draw."""
    try:
        found = _drawn(monitoring, request, asked)
        text = json.dumps(found, allow_nan=False)
    except TROUBLES as error:
        text = trouble_of(error)
        found = {"problem": text}
    version = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {"version": version} if request.get("known") == version else {"version": version, **found}


def trouble_of(error: Exception) -> str:
    """Return in one line why there is nothing to show."""
    if isinstance(error, OSError):
        return AWAY
    if isinstance(error, ValueError):
        return str(error)[:1000]
    if isinstance(error, ArithmeticError):
        return "There are numbers here that are too large to draw."
    return UNKNOWN


def asking(monitoring: Monitoring, seconds: float = ASK_SECONDS) -> Ask:
    """Return how to ask Prometheus; OSError if there is none, or no time is left from now on."""
    end = time.monotonic() + seconds

    def asked(kind: str, **parameters: object) -> Any:
        if not monitoring.prometheus:
            raise OSError("Prometheus does not run.")
        if (left := end - time.monotonic()) <= 0:
            raise TimeoutError("Prometheus takes too long.")
        return ask(monitoring.prometheus, kind, timeout=left, **parameters)

    return asked


def _drawn(monitoring: Monitoring, request: Document, asked: Ask) -> Document:
    dashboard = read_dashboard(Path(monitoring.dashboard))
    panels, wanted, query = all_panels(dashboard), request["number"][:9], request["query"]
    if not (wanted.isdecimal() and int(wanted) < len(panels)):
        raise ApiError(404, 0, f"There is no panel {wanted} in the dashboard.")
    panel = panels[int(wanted)]
    kind = value_at(panel, "type", "")
    if kind not in (*DRAW, "text", "alertlist"):
        raise ValueError(f"A panel of the type “{kind[:50]}” cannot be drawn here.")
    if documents_at(panel, "transformations"):
        raise ValueError("A panel with transformations cannot be drawn here.")
    values = values_of(variables(dashboard, query.getlist, asked))
    if kind == "text":
        return {"text": fill(value_at(panel, "options.content", ""), values)}
    span = time_span(query.get("from", ""), query.get("to", ""))
    intervals = (value_at(each, "interval", "") for each in (panel, *documents_at(panel, "targets")))
    step = span.step(*(fill(each, values, "raw") for each in intervals))
    view = View(panel, span, step, {**values, **span.values(step)}, asked, dashboard)
    if kind == "alertlist":
        return alert_list(view)
    there = [each for each in view.series() if any(value is not None for value in each.values)]
    if not there:
        raise ValueError("No data")
    if kind == "table":  # which says itself what it leaves out
        return table(view, there)
    drawn = there[:MOST_SERIES]
    if kind == "timeseries":
        drawn = [each for each in drawn if each.settings.get("unit") == drawn[0].settings.get("unit")]
    found = DRAW[kind](view, drawn)
    if len(drawn) < len(there):
        why = "" if len(drawn) == MOST_SERIES else ": the others have another unit"
        note = words(f"{len(drawn)} of {len(there)} series are shown{why}", 1, 1, 11, xanchor="right")
        found["figure"]["layout"].setdefault("annotations", []).append(note)
    return found


def words(text: str, x: float, y: float, size: float, own: str = TEXT, xanchor: str = "center") -> Document:
    """Return a text in a place that is counted from the lower left corner, from 0 to 1."""
    place = {"x": x, "y": y, "xref": "paper", "yref": "paper", "xanchor": xanchor, "yanchor": "middle"}
    return {"text": plain(text), "showarrow": False, "font": {"size": round(size), "color": own}, **place}


# Panels of single values.


class Single(NamedTuple):
    """The one value of a series, and the middle and size of its place: from 0 to 1, and in pixels."""

    name: str
    value: float
    text: str
    colour: str
    settings: Document
    middle: tuple[float, float]
    size: tuple[float, float]
    pixels: tuple[float, float]

    def words(self, text: str, up: float, size: float, own: str = TEXT) -> Document:
        """Return a text in the middle of the place, so far up from it."""
        return words(text, self.middle[0], self.middle[1] + up * self.size[1], size, own)


def singles(view: View, series: list[Series]) -> Iterator[Single]:
    """Yield the values side by side, or one below the other where that is asked for or fits better."""
    width = min(NARROW, COLUMN_PIXELS * (number(value_at(view.panel, "gridPos.w", None)) or 12))
    height = ROW_PIXELS * (number(value_at(view.panel, "gridPos.h", None)) or 8) - 40
    below = view.option("orientation", "auto") == "horizontal" or (len(series) > 1 and width < height)
    across, down = (1, len(series)) if below else (len(series), 1)
    sizes = (1 / across, 1 / down), (width / across, height / down)
    for index, each in enumerate(series):
        value = reduced(each.values, view.option("reduceOptions.calcs", []))
        middle = (index % across + 0.5) / across, 1 - (index % down + 0.5) / down
        text, own = shown(value, each.settings, each.colour)
        yield Single(each.name, value, text, own, each.settings, middle, *sizes)


def stat(view: View, series: list[Series]) -> Document:
    """Write each value large, with its name if that is asked for or there are several."""
    mode, coloured = view.option("textMode", "auto"), view.option("colorMode", "value") != "none"
    named = mode == "value_and_name" or (mode == "auto" and len(series) > 1)
    texts = []
    for each in singles(view, series):
        text = each.name if mode == "name" else each.text
        size = min(40, each.pixels[1] * (0.4 if named else 0.55), 1.3 * each.pixels[0] / max(1, len(text)))
        own = each.colour if coloured else TEXT
        texts.append(each.words(text, -0.14 if named else 0, max(11, size), own))
        texts += [each.words(each.name, 0.3, 12)] if named else []
    axes = {"xaxis": {"visible": False}, "yaxis": {"visible": False}}
    return figure([], {**axes, "annotations": texts}, l=8, r=8, t=4, b=8)


def gauge(view: View, series: list[Series]) -> Document:
    """Draw a dial for each value, with the thresholds along it."""
    data, texts = [], []
    for each in singles(view, series):
        unit, least = value_at(each.settings, "unit", ""), number(each.settings.get("min")) or 0.0
        most = number(each.settings.get("max"))
        most = max(1.0 if unit == "percentunit" else 100.0, each.value) if most is None else most
        factor, suffix = scale_of(unit, most)
        steps = threshold_steps({**each.settings, "min": least, "max": most})
        bounds = [*(min(most, max(least, begin)) / factor for begin, _ in steps), most / factor]
        bands = zip(itertools.pairwise(bounds), steps, strict=True)
        coloured = [{"range": ends, "color": faded(own, 0.25)} for ends, (_, own) in bands]
        axis = {"range": [least / factor, most / factor], "ticksuffix": suffix, "nticks": 5}
        dial = {"axis": axis, "bar": {"color": each.colour}, "borderwidth": 0, "steps": coloured}
        dial["bgcolor"] = EMPTY
        places = zip("xy", each.middle, each.size, ((-0.44, 0.44), (-0.4, 0.5)), strict=True)
        domain = {axis: [at + end * size for end in ends] for axis, at, size, ends in places}
        trace = {"type": "indicator", "mode": "gauge", "gauge": dial, "domain": domain}
        data.append({**trace, "value": each.value / factor})
        texts.append(each.words(each.text, -0.28, max(12, min(28, each.pixels[1] / 6)), each.colour))
        texts += [each.words(each.name, -0.46, 11)] if len(series) > 1 else []
    return figure(data, {"annotations": texts}, l=20, r=20, t=24, b=8)


def bar_gauge(view: View, series: list[Series]) -> Document:
    """Draw a bar for each value, on a background as long as the largest."""
    found = list(singles(view, series))
    least, most = (number(series[0].settings.get(end)) for end in ("min", "max"))
    full, least = max(each.value for each in found) if most is None else most, least or 0.0
    base: Document = {"type": "bar", "orientation": "h", "width": 0.6, "hoverinfo": "skip"}
    base["y"] = list(range(len(found)))
    texts, colours = [plain(each.text) for each in found], [each.colour for each in found]
    behind = {**base, "x": [full] * len(found), "marker": {"color": EMPTY}, "text": texts}
    behind |= {"textposition": "outside", "textfont": {"size": 14, "color": colours}, "cliponaxis": False}
    bars = {**base, "x": [each.value for each in found], "marker": {"color": colours}}
    axis = {"range": [least, least + 1.2 * ((full - least) or 1)], "visible": False}
    layout = {"yaxis": name_axis([each.name for each in found]), "xaxis": axis, "barmode": "overlay"}
    return figure([behind, bars], {**layout, "showlegend": False}, l=80, r=14, t=8, b=10)


# Tables.


def table(view: View, series: list[Series]) -> Document:
    """Return a row for each set of labels, with the value of each expression."""
    rows: dict[str, dict[str, str]] = {}
    several = len({each.target for each in series}) > 1
    for each, single in zip(series, singles(view, series), strict=True):
        labels = {name: value for name, value in each.labels.items() if name != "__name__"}
        row = rows.setdefault(json.dumps(labels, sort_keys=True), labels)
        row[f"Value #{each.target}" if several else "Value"] = single.text
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    return tables(columns, [[row.get(name, "") for name in columns] for row in rows.values()])


def alert_list(view: View) -> Document:
    """Return the alerts that fire or are pending, as Prometheus tells them."""
    found = [
        [each["state"], each["name"], text_moment(each["since"]), each["summary"]]
        for each in alerts(view.ask)
        if view.option("alertName", "") in each["name"]
    ]
    return tables(["State", "Alert", "Since", "Summary"], found) if found else {"problem": "No alert is on."}


def tables(columns: list[str], rows: list[list[str]]) -> Document:
    left_out = {"left_out": max(0, len(rows) - MOST_ROWS)}
    left_out |= {"columns_left_out": max(0, len(columns) - MOST_COLUMNS)}
    cells = [row[:MOST_COLUMNS] for row in rows[:MOST_ROWS]]
    return {"tables": [{"columns": columns[:MOST_COLUMNS], "rows": cells, **left_out}]}


DRAW: dict[str, Callable[[View, list[Series]], Document]] = {
    "timeseries": timeseries,
    "heatmap": heatmap,
    "state-timeline": state_timeline,
    "stat": stat,
    "gauge": gauge,
    "bargauge": bar_gauge,
    "table": table,
}
