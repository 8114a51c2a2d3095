"""The panels of a dashboard that show a course over time, as figures of plotly."""

import itertools
import math
from collections.abc import Iterator

from ..documents import Document
from .grafana_answers import Series, View
from .grafana_variables import documents_at, fill, value_at
from .rendering import number
from .units import TEXT, colour, faded, scale_of, shown, threshold_steps, written

MOST_STRETCHES, MOST_MARKS, LONGEST_NAME = 2000, 20, 100
MOST_POWERS = 7  # of ten that are written on an axis
DASHES = {"dash": "dash", "dot": "dot"}


def figure(data: list[Document], layout: Document, **margin: int) -> Document:
    """Return what charts.js draws. It adds the colours of the page."""
    return {
        "figure": {"data": data, "layout": {"font": {"size": 11}, "uirevision": "kept", **layout}},
        "margin": margin,
    }


def plain(text: str) -> str:
    """Return a name so that plotly, which takes some HTML, shows it as it is."""
    short = text if len(text) <= LONGEST_NAME else text[:LONGEST_NAME] + "…"
    return short.replace("&", "&amp;").replace("<", "&lt;")


def name_axis(names: list[str], upward: bool = False) -> Document:
    """Return an axis with a row for each name, the first one on top or at the bottom."""
    ends, gap = [-0.5, len(names) - 0.5], {"ticks": "outside", "ticklen": 4, "tickcolor": "rgba(0,0,0,0)"}
    rows = {"tickvals": list(range(len(names))), "ticktext": [plain(name) for name in names]}
    return {**rows, "range": ends if upward else ends[::-1], "showgrid": False, "zeroline": False, **gap}


def time_axis(view: View) -> Document:
    ends = [view.written(view.span.start), view.written(view.span.end)]
    form = "%H:%M" if view.span.end - view.span.start <= 86400 else "%m-%d %H:%M"
    return {"type": "date", "range": ends, "tickformat": form, "nticks": 7}


def timeseries(view: View, series: list[Series]) -> Document:
    """Draw lines and areas over time, all on one axis."""
    axis, factor = _value_axis(series)
    marked = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
    layout: Document = {"xaxis": time_axis(view), "yaxis": axis, "yaxis2": marked}
    layout["shapes"] = list(_threshold_lines(series[0], factor))
    legend = {"orientation": "h", "x": 0, "y": -0.13, "yanchor": "top", "traceorder": "normal"}
    legend |= {"font": {"size": 10}, "itemwidth": 30}
    if view.option("legend.placement", "bottom") == "right":
        legend |= {"orientation": "v", "x": 1.01, "y": 1}
    on = view.option("legend.showLegend", True) and view.option("legend.displayMode", "list") != "hidden"
    hover = "x unified" if view.option("tooltip.mode", "single") == "multi" else "closest"
    layout |= {"showlegend": on, "legend": legend, "hovermode": hover}
    return figure([*_lines(view, series, factor), *_marks(view)], layout, l=46, r=14, t=10, b=28)


def _value_axis(series: list[Series]) -> tuple[Document, float]:
    """Return the axis, and what values are divided by to be on it."""
    first, settings = series[0], series[0].settings
    values = [value for each in series for value in each.values if value is not None]
    stacked, soft = first.custom("stacking.mode", "none") != "none", number(first.custom("axisSoftMax", None))
    if stacked:
        values += map(sum, zip(*([value or 0 for value in each.values] for each in series), strict=False))
    low, high = min(values), max(values)
    factor, suffix = scale_of(value_at(settings, "unit", ""), max(abs(low), abs(high), soft or 0))
    axis: Document = {"nticks": 6, "tickformat": "~r", "zeroline": False, "ticksuffix": suffix}
    is_log = first.custom("scaleDistribution.type", "") == "log"
    if is_log:  # each power of ten has a prefix of its own
        factor = 1.0
        axis = {"type": "log", "zeroline": False}
        low = min((value for value in values if value > 0), default=1.0)
    else:  # lines have room around them
        low = min(low, 0.0) if stacked or first.custom("fillOpacity", 0) else low
        room = 0.05 * ((high - low) or abs(high) or 1)
        low, high = low - room if low else low, high + room
    high = high if soft is None else max(soft, high)
    least, most = number(settings.get("min")), number(settings.get("max"))
    ends = [(low if least is None else least) / factor, (high if most is None else most) / factor]
    if is_log:
        ends = [math.log10(end if end > 0 else low) for end in ends]
        first_power, last_power = math.ceil(min(ends) - 1e-9), math.floor(max(ends) + 1e-9)
        powers = range(first_power, last_power + 1, 1 + (last_power - first_power) // MOST_POWERS)
        axis |= {"tickvals": [10.0**power for power in powers]}
        axis |= {"ticktext": [written(10.0**power, settings) for power in powers]}
    return {**axis, "range": ends, "title": {"text": plain(first.custom("axisLabel", ""))}}, factor


def _lines(view: View, series: list[Series], factor: float) -> Iterator[Document]:
    """Yield the traces. What is filled down to another follows it, as plotly wants it."""
    times = [view.written(moment) for moment in view.times()]
    by_name = {each.name: each for each in series}
    lower = [by_name.get(each.custom("fillBelowTo", "")) for each in series]
    for each, under in zip(series, lower, strict=True):
        if not any(each is other for other in lower):
            if under:
                yield _line(under, times, factor, "none")
            yield _line(each, times, factor, "tonexty" if under else "tozeroy")


def _line(series: Series, times: list[str], factor: float, fill_to: str) -> Document:
    width, opacity = (number(series.custom(name, None)) for name in ("lineWidth", "fillOpacity"))
    y = [None if value is None else value / factor for value in series.values]
    line: Document = {"color": series.colour, "width": 0.8 * (2 if width is None else max(0, width))}
    line["dash"] = DASHES.get(series.custom("lineStyle.fill", ""), "solid")
    alone = sum(value is not None for value in y) == 1
    trace: Document = {"name": plain(series.name), "x": times[-len(y) :], "y": y, "type": "scatter"}
    trace |= {"mode": "lines+markers" if alone else "lines", "marker": {"size": 4}, "line": line}
    trace["fillcolor"] = faded(series.colour, (opacity or 0) / 100)
    stacking = series.custom("stacking.mode", "none")
    if stacking not in ("none", "normal"):
        raise ValueError(f"Lines that are stacked by “{stacking[:50]}” cannot be drawn here.")
    if stacking == "normal":
        return {**trace, "stackgroup": series.custom("stacking.group", "A")}
    return {**trace, "fill": fill_to if opacity else "none"}


def _threshold_lines(series: Series, factor: float) -> Iterator[Document]:
    mode = series.custom("thresholdsStyle.mode", "off")
    for least, own in threshold_steps(series.settings) if mode != "off" else []:
        if least > -math.inf:
            line = {"color": own, "width": 1, "dash": "dash" if "dashed" in mode else "solid"}
            ends = {"x0": 0, "x1": 1, "y0": least / factor, "y1": least / factor}
            yield {"type": "line", "xref": "paper", "layer": "below", "line": line, **ends}


def _marks(view: View) -> Iterator[Document]:
    """Yield lines where each thing begins that the dashboard marks in all of these panels."""
    times = view.times()
    for mark in documents_at(view.dashboard, "annotations.list")[:MOST_MARKS]:
        expr = value_at(mark, "expr", "") or value_at(mark, "target.expr", "")
        if not (expr and value_at(mark, "enable", True)):
            continue
        begins: list[tuple[str, str]] = []
        legends = [view.legend(value_at(mark, key, "")) for key in ("titleFormat", "textFormat")]
        for labels, values in view.over_time(fill(expr, view.values, "promql")):
            about = [legend(labels) for legend in legends]
            text = "<br>".join(plain(line) for line in about if line) + "<extra></extra>"
            for (before, value), moment in zip(itertools.pairwise(values), times[1:], strict=True):
                if value and not before:
                    begins.append((view.written(moment), text))
        line = {"color": colour(mark.get("iconColor")), "width": 1, "dash": "dot"}
        trace = {"type": "scatter", "mode": "lines", "yaxis": "y2", "line": line}
        left_out = f" ({MOST_MARKS} of {len(begins)})" if len(begins) > MOST_MARKS else ""
        trace["name"] = plain(value_at(mark, "name", "")) + left_out
        points = [(moment, end, text) for moment, text in begins[:MOST_MARKS] for end in (0, 1, None)]
        if points:
            x, y, texts = map(list, zip(*points, strict=True))
            yield {**trace, "x": x, "y": y, "hovertemplate": texts}


def heatmap(view: View, series: list[Series]) -> Document:
    """Draw a row for each series, the first one at the bottom."""
    formats = [value_at(target, "format", "") for target in documents_at(view.panel, "targets")]
    if view.option("calculate", False) or "heatmap" in formats:
        raise ValueError("A heatmap whose buckets Grafana calculates cannot be drawn here.")
    least = number(view.option("filterValues.le", None))
    least = -math.inf if least is None else least
    cells = [[v if v is not None and v > least else None for v in each.values] for each in series]
    largest = max((value for row in cells for value in row if value is not None), default=1.0)
    unit = view.option("cellValues.unit", "") or value_at(view.panel, "fieldConfig.defaults.unit", "")
    factor, suffix = scale_of(unit, largest)
    hue = colour(view.option("color.scheme", "").lower().removesuffix("s"), colour("orange"))  # of "Blues"
    power = number(view.option("color.exponent", None)) or 1.0
    trace: Document = {"type": "heatmap", "x": [view.written(moment) for moment in view.times()], "ygap": 1}
    trace |= {"z": [[None if value is None else value / factor for value in row] for row in cells]}
    trace |= {"zmin": 0, "zmax": largest / factor}
    trace |= {"colorscale": [[n / 20, faded(hue, 0.04 + 0.96 * (n / 20) ** power)] for n in range(21)]}
    trace |= {"colorbar": {"thickness": 8, "ticksuffix": suffix, "outlinewidth": 0, "nticks": 5}}
    trace |= {"text": [[plain(each.name)] * len(each.values) for each in series]}
    trace |= {"hovertemplate": f"%{{x}}<br>%{{text}}: %{{z:.4~g}}{plain(suffix)}<extra></extra>"}
    names = name_axis([each.name for each in series], upward=True)
    return figure([trace], {"xaxis": time_axis(view), "yaxis": names}, l=80, r=10, t=8, b=26)


def state_timeline(view: View, series: list[Series]) -> Document:
    """Draw a row for each series, with a bar for each stretch of a state."""
    times = view.times()
    bars: list[tuple[int, float, float, str, str]] = []
    for row, each in enumerate(series):
        states = [None if v is None else shown(v, each.settings, each.colour) for v in each.values]
        at = 0
        for state, stretch in itertools.groupby(states):
            begin, at = at, at + len(list(stretch))
            if state:
                bars.append((row, times[begin], 1000 * view.step * (at - begin), *state))
    if len(bars) > MOST_STRETCHES:
        raise ValueError(f"There are more than {MOST_STRETCHES} changes here: choose a shorter time.")
    rows, begins, lengths, texts, colours = zip(*bars, strict=True)
    trace: Document = {"type": "bar", "orientation": "h", "y": rows, "x": lengths, "width": 0.8}
    trace |= {"base": [view.written(begin) for begin in begins], "text": [*map(plain, texts)]}
    trace |= {"marker": {"color": [faded(own, 0.7) for own in colours]}, "textfont": {"color": TEXT}}
    trace |= {"textposition": "inside", "insidetextanchor": "start", "textangle": 0}
    trace |= {"hovertemplate": "%{y}: %{text}<br>from %{base}<extra></extra>"}
    layout = {"xaxis": time_axis(view), "yaxis": name_axis([each.name for each in series])}
    return figure([trace], {**layout, "uniformtext": {"mode": "hide", "minsize": 9}}, l=80, r=14, t=6, b=24)
