"""The panels of a dashboard that show a course over time, as figures of plotly."""

import itertools
import math
from collections.abc import Iterator

from ..documents import Document
from .grafana_answers import Points, Series, View, finite
from .grafana_variables import documents, fill, get
from .rendering import number
from .units import TEXT, colour, faded, scale_of, shown, threshold_steps

MOST_STRETCHES, MOST_MARKS, LONGEST_NAME = 2000, 20, 100
ON_THE_RIGHT = {"side": "right", "overlaying": "y", "tickmode": "auto", "showgrid": False}
DASHES = {"dash": "dash", "dot": "dot"}
SHAPES = {"stepAfter": "hv", "stepBefore": "vh", "smooth": "spline"}
SCHEMES = {"Oranges": "orange", "Reds": "red", "Greens": "green", "Blues": "blue", "Purples": "purple"}


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
    """Draw lines and areas over time. A second axis has what has another unit than the first series."""
    marked = {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True}
    data: list[Document] = []
    layout: Document = {"xaxis": time_axis(view), "yaxis3": marked, "shapes": []}
    unit = series[0].settings.get("unit")
    for axis, same in (("y", True), ("y2", False)):
        if members := [each for each in series if (each.settings.get("unit") == unit) is same]:
            made, factor = _value_axis(members)
            layout[f"yaxis{axis[1:]}"] = made if same else {**made, **ON_THE_RIGHT}
            layout["shapes"] += _threshold_shapes(members[0], made, factor)
            data += _lines(view, members, axis, factor)
    data += _marks(view)
    legend = {"orientation": "h", "x": 0, "y": -0.13, "yanchor": "top", "traceorder": "normal"}
    legend |= {"font": {"size": 10}, "itemwidth": 30}
    if view.option("legend.placement", "bottom") == "right":
        legend |= {"orientation": "v", "x": 1.01, "y": 1}
    on = view.option("legend.showLegend", True) and view.option("legend.displayMode", "list") != "hidden"
    hover = "x unified" if view.option("tooltip.mode", "single") == "multi" else "closest"
    layout |= {"showlegend": on, "legend": legend, "hovermode": hover}
    return figure(data, layout, l=46, r=14, t=10, b=28)


def _value_axis(series: list[Series]) -> tuple[Document, float]:
    """Return the axis of some series, and what their values are divided by to be on it."""
    first, settings = series[0], series[0].settings
    values = [value for each in series for value in each.values if value is not None]
    stacking, soft = first.custom("stacking.mode", "none"), number(first.custom("axisSoftMax", None))
    if stacking == "normal":
        values += map(sum, zip(*([value or 0 for value in each.values] for each in series), strict=False))
    low, high = min(values), max(values)
    factor, suffix = scale_of(get(settings, "unit", ""), max(abs(low), abs(high), soft or 0))
    axis: Document = {"nticks": 6, "tickformat": "~r", "zeroline": False}
    if first.custom("scaleDistribution.type", "") == "log":
        axis |= {"type": "log", "dtick": 1}
        low = min((value for value in values if value > 0), default=1.0)
    else:  # lines have room around them
        low = min(low, 0.0) if stacking != "none" or first.custom("fillOpacity", 0) else low
        room = 0.05 * ((high - low) or abs(high) or 1)
        low, high = low - room if low else low, high + room
    high = high if soft is None else max(soft, high)
    least, most = number(settings.get("min")), number(settings.get("max"))
    ends = [low if least is None else least, high if most is None else most]
    if stacking == "percent":
        factor, suffix, ends = 1, "%", [0, 100]
    ends = [end / factor for end in ends]
    if "type" in axis:
        ends = [math.log10(end if end > 0 else low / factor) for end in ends]
    title = {"text": plain(first.custom("axisLabel", ""))}
    return {**axis, "ticksuffix": suffix, "range": ends, "title": title}, factor


def _lines(view: View, series: list[Series], axis: str, factor: float) -> Iterator[Document]:
    """Yield the traces. What is filled down to another follows it, as plotly wants it."""
    times = [view.written(moment) for moment in view.times()]
    by_name = {each.name: each for each in series}
    lower = [by_name.get(each.custom("fillBelowTo", "")) for each in series]
    for each, under in zip(series, lower, strict=True):
        if not any(each is other for other in lower):
            if under:
                yield _line(under, times, axis, factor, "none")
            yield _line(each, times, axis, factor, "tonexty" if under else "tozeroy")


def _line(series: Series, times: list[str], axis: str, factor: float, fill_to: str) -> Document:
    width, opacity = (number(series.custom(name, None)) for name in ("lineWidth", "fillOpacity"))
    own, style = shown(None, series.settings, series.colour)[1], series.custom("drawStyle", "line")
    shade, y = faded(own, (opacity or 0) / 100), [None if v is None else v / factor for v in series.values]
    trace: Document = {"name": plain(series.name), "x": times[-len(y) :], "y": y, "yaxis": axis}
    if style == "bars":
        return {**trace, "type": "bar", "marker": {"color": shade if opacity else own}}
    line = {"color": own, "width": 0.8 * (2 if width is None else max(0, width))}
    line["dash"] = DASHES.get(series.custom("lineStyle.fill", ""), "solid")
    line["shape"] = SHAPES.get(series.custom("lineInterpolation", ""), "linear")
    alone = sum(value is not None for value in y) == 1
    points = alone or style == "points" or series.custom("showPoints", "") == "always"
    trace |= {"type": "scatter", "mode": "lines+markers" if points else "lines", "marker": {"size": 4}}
    trace |= {"line": line, "fillcolor": shade, "connectgaps": bool(series.custom("spanNulls", None))}
    stacking = series.custom("stacking.mode", "none")
    if stacking in ("normal", "percent"):
        group = series.custom("stacking.group", "A") + axis
        return {**trace, "stackgroup": group, "groupnorm": "percent" if stacking == "percent" else ""}
    return {**trace, "fill": fill_to if opacity else "none"}


def _threshold_shapes(series: Series, axis: Document, factor: float) -> Iterator[Document]:
    mode, steps = series.custom("thresholdsStyle.mode", "off"), threshold_steps(series.settings)
    low, high = (10**end if axis.get("type") == "log" else end for end in axis["range"])
    across = {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "layer": "below"}
    for (least, own), (most, _) in itertools.pairwise([*steps, (math.inf, "")]):
        if "area" in mode:
            ends = {"y0": min(high, max(low, least / factor)), "y1": min(high, max(low, most / factor))}
            yield {**across, **ends, "fillcolor": faded(own, 0.1), "line": {"width": 0}}
        if ("line" in mode or "dashed" in mode) and least > -math.inf:
            line = {"color": own, "width": 1, "dash": "dash" if "dashed" in mode else "solid"}
            yield {**across, "type": "line", "y0": least / factor, "y1": least / factor, "line": line}


def _marks(view: View) -> Iterator[Document]:
    """Yield lines where each thing begins that the dashboard marks in all of these panels."""
    times = view.times()
    for mark in documents(view.dashboard, "annotations.list")[:MOST_MARKS]:
        expr = get(mark, "expr", "") or get(mark, "target.expr", "")
        if not (expr and get(mark, "enable", True)):
            continue
        begins: list[tuple[str, str]] = []
        for labels, values in view.over_time(fill(expr, view.values, "promql")):
            about = [view.legend(get(mark, key, ""), labels) for key in ("titleFormat", "textFormat")]
            text = "<br>".join(plain(line) for line in about if line) + "<extra></extra>"
            for (before, value), moment in zip(itertools.pairwise(values), times[1:], strict=True):
                if value and not before and len(begins) < MOST_MARKS:
                    begins.append((view.written(moment), text))
        line = {"color": colour(mark.get("iconColor")), "width": 1, "dash": "dot"}
        trace = {"type": "scatter", "mode": "lines", "yaxis": "y3", "line": line}
        x, y = [x for x, _ in begins for _ in range(3)], [0, 1, None] * len(begins)
        about = [text for _, text in begins for _ in range(3)]
        if begins:
            yield {**trace, "name": plain(get(mark, "name", "")), "x": x, "y": y, "hovertemplate": about}


def heatmap(view: View, series: list[Series]) -> Document:
    """Draw a row for each series, or for each bucket of a histogram of Prometheus."""
    if view.option("calculate", False):
        raise ValueError("A heatmap whose buckets Grafana calculates cannot be drawn here.")
    limits = [finite(each.labels.get("le", each.name).replace("+Inf", "1e308")) for each in series]
    if None not in limits:
        ordered = sorted(zip(limits, series, strict=True), key=lambda pair: pair[0] or 0)
        series = [each for _, each in ordered]
    rows = [each.values for each in series]
    if any(get(target, "format", "") == "heatmap" for target in documents(view.panel, "targets")):
        # Each bucket counts what is in the smaller ones, too.
        below: list[Points] = [[0.0] * len(rows[0]), *rows[:-1]]
        rows = [list(map(_less, row, smaller)) for row, smaller in zip(rows, below, strict=True)]
    least = number(view.option("filterValues.le", None))
    least = -math.inf if least is None else least
    cells = [[value if value is not None and value > least else None for value in row] for row in rows]
    largest = max((value for row in cells for value in row if value is not None), default=1.0)
    unit = view.option("cellValues.unit", "") or get(view.panel, "fieldConfig.defaults.unit", "")
    factor, suffix = scale_of(unit, largest)
    hue = colour(SCHEMES.get(view.option("color.scheme", "Oranges"), view.option("color.fill", "orange")))
    power = number(view.option("color.exponent", None)) or 1.0
    low, high = (number(view.option(f"color.{end}", None)) for end in ("min", "max"))
    trace: Document = {"type": "heatmap", "x": [view.written(moment) for moment in view.times()], "ygap": 1}
    trace |= {"z": [[None if value is None else value / factor for value in row] for row in cells]}
    trace |= {"zmin": (low or 0) / factor, "zmax": (largest if high is None else high) / factor}
    trace |= {"colorscale": [[n / 20, faded(hue, 0.04 + 0.96 * (n / 20) ** power)] for n in range(21)]}
    trace |= {"colorbar": {"thickness": 8, "ticksuffix": suffix, "outlinewidth": 0, "nticks": 5}}
    trace |= {"text": [[plain(each.name)] * len(each.values) for each in series]}
    trace |= {"hovertemplate": f"%{{x}}<br>%{{text}}: %{{z:.4~g}}{plain(suffix)}<extra></extra>"}
    names = name_axis([each.name for each in series], upward=True)
    return figure([trace], {"xaxis": time_axis(view), "yaxis": names}, l=80, r=10, t=8, b=26)


def _less(value: float | None, other: float | None) -> float | None:
    return None if value is None else value - (other or 0)


def state_timeline(view: View, series: list[Series]) -> Document:
    """Draw a row for each series, with a bar for each stretch of a state."""
    times = view.times()
    bars: list[tuple[int, float, float, str, str]] = []
    for row, each in enumerate(series):
        states = [None if v is None else shown(v, each.settings, each.colour) for v in each.values]
        at = 0
        for state, stretch in itertools.groupby(states):
            begin, at = at, at + len(list(stretch))
            if state and len(bars) < MOST_STRETCHES:
                bars.append((row, times[begin], 1000 * view.step * (at - begin), *state))
    rows, begins, lengths, texts, colours = zip(*bars, strict=True)
    opacity = number(get(view.panel, "fieldConfig.defaults.custom.fillOpacity", None))
    shades = [faded(own, (70 if opacity is None else opacity) / 100) for own in colours]
    trace: Document = {"type": "bar", "orientation": "h", "y": rows, "x": lengths}
    trace["marker"] = {"color": shades}
    trace |= {"base": [view.written(begin) for begin in begins]}
    trace |= {"width": number(view.option("rowHeight", None)) or 0.9, "customdata": [*map(plain, texts)]}
    trace |= {"hovertemplate": "%{y}: %{customdata}<br>from %{base}<extra></extra>"}
    if view.option("showValue", "auto") != "never":
        trace |= {"text": trace["customdata"], "textposition": "inside", "insidetextanchor": "start"}
        trace |= {"textfont": {"color": TEXT}, "textangle": 0}
    layout = {"xaxis": time_axis(view), "yaxis": name_axis([each.name for each in series])}
    return figure([trace], {**layout, "uniformtext": {"mode": "hide", "minsize": 9}}, l=80, r=14, t=6, b=24)
