"""Draw the kinds of panels that asteroid.json has, by their own options. Grafana itself is not involved."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from demo.dashboard import Document
from images.style import AMBER, BLUE, EDGE, FAINT, GREEN, INK, LARGE, ORANGE, PINK, RED, SCALE, SMALL, VIOLET
from local_stack.prometheus import INTERVAL_SECONDS

# Grafana's names for colours that asteroid.json uses, and its palette, in this project's colours.
COLOURS = {"green": GREEN, "yellow": AMBER, "orange": ORANGE, "red": RED, "text": INK}
COLOURS |= {"blue": BLUE, "light-blue": "#9cc6ff", "dark-blue": "#3f7fd0", "super-light-blue": "#c9e0ff"}
COLOURS |= {
    "purple": VIOLET,
    "light-purple": "#d3c4ff",
    "dark-purple": "#8b68e0",
    "super-light-purple": "#e6dcff",
}
PALETTE = [GREEN, AMBER, BLUE, VIOLET, RED, PINK, "#5fd0d8", "#c9d86a", "#e09560", "#8f9fe8", "#d8d3c4"]
PALETTE += ["#a8764f", "#7d8ca3"]

# How far below the axes a legend and a scale of colours begin, in CSS pixels; the time is between.
LEGEND_PIXELS, BAR_PIXELS = 23, 28
LETTER_SHARE = 0.0095  # of the picture's width, for a letter and what is free around a text

UNITS = {"percentunit": " %", "reqps": " req/s", "s": " s", "short": "", "none": ""}


class Series(NamedTuple):
    """A name for the legend, and a value for each time; not a number where there is none.

    Beside them stands the letter of the expression that this is an answer to.
    """

    name: str
    values: np.ndarray
    target: str = "A"


def moments(start: float, end: float) -> np.ndarray:
    """Return the times between two, both included, for which Prometheus answers a range query."""
    return np.arange(start, end + 1e-6, INTERVAL_SECONDS)


def on_moments(times: np.ndarray, points: Sequence[tuple[float, float]]) -> np.ndarray:
    """Return a value for each time of a range; Prometheus gives points only where there was a value."""
    values = np.full(len(times), math.nan)
    for time, value in points:
        values[round((time - times[0]) / INTERVAL_SECONDS)] = value
    return values


def shown_value(value: float, defaults: Document) -> str:
    """Return a number with its unit, with the panel's decimals or as many as it needs."""
    unit = defaults.get("unit", "short")
    if unit == "hex":
        return f"{int(value):X}"
    value *= 100 if unit == "percentunit" else 1
    number = f"{value:,.{defaults['decimals']}f}" if "decimals" in defaults else f"{value:,.6g}"
    return number + UNITS[unit]


def own_defaults(panel: Document, series: "Series") -> Document:
    """Return how a panel shows one of its series: as all of them, but for what is overridden."""
    defaults: Document = panel["fieldConfig"]["defaults"]
    custom = dict(defaults.get("custom", {}))
    changed: Document = {}
    for rule in panel["fieldConfig"]["overrides"]:
        name = {"byName": series.name, "byFrameRefID": series.target}[rule["matcher"]["id"]]
        if name == rule["matcher"]["options"]:
            for each in rule["properties"]:
                place, key = (
                    (custom, each["id"][7:]) if each["id"].startswith("custom.") else (changed, each["id"])
                )
                place[key] = each["value"]
    return {**defaults, **changed, "custom": custom}


def draw_timeseries(axes: Axes, panel: Document, times: np.ndarray, series: Sequence[Series]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    base = np.zeros(len(times))
    for number, each in enumerate(series):
        own = own_defaults(panel, each)
        custom, colour = own["custom"], PALETTE[number % len(PALETTE)]
        if own["color"]["mode"] == "fixed":
            colour = COLOURS[own["color"]["fixedColor"]]
        style = {"dash": "--", "dot": ":"}.get(custom.get("lineStyle", {}).get("fill"), "-")
        top = base + np.nan_to_num(each.values) if stacked else each.values
        if custom["lineWidth"]:
            shown = np.where(np.isnan(each.values), math.nan, top)
            width = 0.7 * custom["lineWidth"]
            axes.plot(times, shown, linestyle=style, color=colour, linewidth=width, label=each.name)
        if custom["fillOpacity"]:
            low = next((other.values for other in series if other.name == custom.get("fillBelowTo")), base)
            label = None if custom["lineWidth"] else each.name
            shade = {"alpha": custom["fillOpacity"] / 100, "linewidth": 0, "label": label}
            axes.fill_between(times, low, top, where=~np.isnan(each.values), color=colour, **shade)
        base = top if stacked else base
    draw_thresholds(axes, defaults)
    if defaults["custom"].get("scaleDistribution", {}).get("type") == "log":
        axes.set_yscale("log", base=defaults["custom"]["scaleDistribution"]["log"])
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    largest = max(axes.get_ylim()[1], defaults["custom"].get("axisSoftMax", 0))
    axes.set_ylim(defaults.get("min"), defaults.get("max", largest))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown_value(value, defaults)))
    place_legend(axes, panel)


def draw_thresholds(axes: Axes, defaults: Document) -> None:
    if defaults["custom"].get("thresholdsStyle", {}).get("mode") != "dashed":
        return
    for step in defaults["thresholds"]["steps"]:
        if step["value"] is not None:
            axes.axhline(step["value"], color=COLOURS[step["color"]], linewidth=1, linestyle="--")


def place_legend(axes: Axes, panel: Document) -> None:
    handles, names = axes.get_legend_handles_labels()
    if panel["options"]["legend"]["placement"] == "right":
        axes.legend(handles, names, loc="center left", bbox_to_anchor=(1.06, 0.5), labelspacing=0.25)
        return
    columns = math.ceil(max(1, len(names)) / legend_rows(len(names)))
    anchor = (0.47, -LEGEND_PIXELS / pixel_height(axes))
    axes.legend(handles, names, loc="upper center", bbox_to_anchor=anchor, ncols=columns, labelspacing=0.25)


def legend_rows(names: int) -> int:
    """Return the rows of a legend below: up to three names are in one row, more in two columns."""
    return 1 if names <= 3 else math.ceil(names / 2)


def pixel_height(axes: Axes) -> float:
    """Return the height of the axes in CSS pixels."""
    return axes.bbox.height / SCALE


def draw_heatmap(axes: Axes, panel: Document, times: np.ndarray, series: Sequence[Series]) -> None:
    """Draw a row for each series, in the order in which they come, in the colours of the panel's scale."""
    options = panel["options"]["color"]
    shares = np.array([each.values for each in series])
    shares[shares <= panel["options"]["filterValues"]["le"]] = math.nan
    edges = np.append(times, times[-1] + INTERVAL_SECONDS)
    greatest = float(np.nanmax(shares))
    scale = PowerNorm(options["exponent"], vmin=options["min"], vmax=greatest)
    # On a dark page Grafana reverses its colour scales.
    colours = matplotlib.colormaps[f"{options['scheme']}_r"].resampled(options["steps"])
    mesh = axes.pcolormesh(
        edges, np.arange(len(series) + 1), shares, norm=scale, cmap=colours, rasterized=True
    )
    axes.grid(False)
    axes.set_yticks(np.arange(len(series)) + 0.5, [each.name for each in series])
    high = pixel_height(axes)
    inset = axes.inset_axes((0, -BAR_PIXELS / high, 1, 5 / high))
    bar = axes.figure.colorbar(mesh, cax=inset, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.set_ticks([greatest * part for part in (0, 0.1, 0.25, 0.5, 1)])
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))


def draw_state_timeline(axes: Axes, panel: Document, times: np.ndarray, series: Sequence[Series]) -> None:
    """Draw a row for each series: one bar for each stretch of a state, with the state's name if it fits."""
    height = panel["options"]["rowHeight"]
    for row, each in enumerate(series):
        own = own_defaults(panel, each)
        opacity = own["custom"]["fillOpacity"] / 100
        for first, last in stretches(each.values):
            (text, colour), begin = state(each.values[first], own), times[first]
            length = times[last] + INTERVAL_SECONDS - begin
            axes.barh(row, length, height, left=begin, color=colour, alpha=opacity, linewidth=0)
            if length > LETTER_SHARE / axes.get_position().width * len(text) * (times[-1] - times[0]):
                axes.text(begin + 8, row, text, va="center", color="black")
    axes.set_yticks(range(len(series)), [each.name for each in series])
    axes.set_ylim(len(series) - 0.5, -0.5)
    axes.grid(False)


def state(value: float, defaults: Document) -> tuple[str, str]:
    """Return the name and the colour of a value: as it is mapped, or the number itself, by the thresholds."""
    for mapping in defaults.get("mappings", []):
        if found := mapping["options"].get(f"{value:g}"):
            return found["text"], COLOURS[found["color"]]
    name = defaults["color"].get("fixedColor")
    if defaults["color"]["mode"] == "thresholds":
        name = [step for step in defaults["thresholds"]["steps"] if (step["value"] or 0) <= value][-1][
            "color"
        ]
    return shown_value(value, defaults), COLOURS[name]


def stretches(values: np.ndarray) -> list[tuple[int, int]]:
    """Return the first and last index of each run of equal values, without those that are not numbers."""
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    bounds = [0, *changes, len(values)]
    return [(first, end - 1) for first, end in itertools.pairwise(bounds) if not np.isnan(values[first])]


def draw_bargauge(axes: Axes, panel: Document, _: np.ndarray, series: Sequence[Series]) -> None:
    """Draw a bar for the last value of each series, on a background as long as the greatest value."""
    defaults = panel["fieldConfig"]["defaults"]
    series = [each for each in series if not np.isnan(each.values).all()]
    last = [each.values[~np.isnan(each.values)][-1] for each in series]
    full = defaults.get("max", max(last, default=1))
    for row, (value, colour) in enumerate(zip(last, PALETTE, strict=False)):
        axes.barh(row, full, 0.5, color=EDGE, alpha=0.5)
        axes.barh(row, value, 0.5, color=colour, alpha=0.8)
        axes.text(
            1.02 * full, row, shown_value(value, defaults), va="center", color=colour, fontsize=1.4 * SMALL
        )
    axes.set_yticks(range(len(series)), [each.name for each in series])
    axes.set_ylim(len(series) - 0.3, -0.7)
    axes.set_xlim(0, 1.25 * full)
    axes.set_xticks([])
    axes.grid(False)
    axes.spines[:].set_visible(False)


def draw_stat(axes: Axes, panel: Document, _: np.ndarray, series: Sequence[Series]) -> None:
    """Write the last value of each series large, one below the other, beside its name."""
    series = [each for each in series if not np.isnan(each.values).all()]
    for row, each in enumerate(series):
        own = own_defaults(panel, each)
        value = each.values[~np.isnan(each.values)][-1]
        place = 1 - (row + 0.5) / len(series)
        axes.text(0.46, place, each.name, ha="right", va="center", color=FAINT)
        axes.text(0.54, place, shown_value(value, own), va="center", fontsize=LARGE)
    axes.set_axis_off()


DRAW = {
    "stat": draw_stat,
    "timeseries": draw_timeseries,
    "heatmap": draw_heatmap,
    "state-timeline": draw_state_timeline,
    "bargauge": draw_bargauge,
}
