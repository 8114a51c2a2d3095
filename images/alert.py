"""Draw the drift alarm of asteroid_alerts.yml and the reference's formula on the same real traffic."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from demo.benchmark_alerts import REFERENCE_THRESHOLD
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from images import style
from images.panels import moments, on_moments, stretches
from images.traffic import ALARM, FEATURES, PSI, PSI_10_MINUTES, REFERENCE, Traffic
from local_stack.prometheus import INTERVAL_SECONDS

PSI_THRESHOLD = 0.1  # of asteroid_alerts.yml

HEIGHT = 772
LEFT, RIGHT = 98, 28  # free beside the axes
BOX_HEIGHT, PLOT_HEIGHT, STRIPS_HEIGHT = 336, 176, 34
TICK_MINUTES = 5
VERDICT_X = (28, 240, 640)
LAST_MINUTES = 2  # of the drift
COLOURS = dict(zip(FEATURES, (style.BLUE, style.PINK), strict=True))
QUIET, PENDING, ON = range(3)
STATES = {QUIET: style.GREEN, PENDING: style.AMBER, ON: style.RED}


class Alert(NamedTuple):
    """How an alert measures drift, and its values for the traffic; arrays are by feature, over time."""

    title: str
    formula: str
    note: str
    threshold: float
    limits: tuple[float, float]  # of what is shown
    values: Mapping[str, np.ndarray]
    long_values: Mapping[str, np.ndarray]  # over ten minutes, where there are such
    states: Mapping[str, np.ndarray]


def ours(traffic: Traffic, times: np.ndarray) -> Alert:
    def by_variable(expression: str) -> dict[str, np.ndarray]:
        return {
            labels["variable"]: on_moments(times, points) for labels, points in traffic.series[expression]
        }

    states = {feature: np.full(len(times), QUIET) for feature in FEATURES}
    for labels, points in traffic.series[ALARM]:
        there = ~np.isnan(on_moments(times, points))
        states[labels["variable"]][there] = ON if labels["alertstate"] == "firing" else PENDING
    return Alert(
        "This repository: how far are the requests from the training data?",
        "PSI = Σ (share − 0.1) · ln(share / 0.1) over the deciles; solid over 2 minutes, dotted over 10",
        "red once yellow has lasted a minute",
        PSI_THRESHOLD,
        (0.004, 40),
        by_variable(PSI),
        by_variable(PSI_10_MINUTES),
        states,
    )


def theirs(traffic: Traffic, times: np.ndarray) -> Alert:
    values = {
        feature: on_moments(times, points)
        for feature, expression in REFERENCE.items()
        for _, points in traffic.series[expression]
    }
    above = {feature: np.where(each > REFERENCE_THRESHOLD, ON, QUIET) for feature, each in values.items()}
    return Alert(
        "The reference example: how far is the last minute from the last ten?",
        "(share in 1 minute − share in 10 minutes)², in per cent, of the bucket where it is greatest",
        "red at once",
        REFERENCE_THRESHOLD,
        (0.3, 30000),
        values,
        {},
        above,
    )


def draw_alerts(traffic: Traffic) -> style.Card:
    """Draw both alerts over the same time, in minutes from the first request."""
    start = traffic.legs[0][1]
    times = moments(traffic.start, traffic.end)
    with matplotlib.rc_context(style.SETTINGS):
        card = style.Card(HEIGHT)
        card.text(28, 38, "Which alarm is right?", fontsize=style.LARGE, fontweight="bold")
        about = f"The same real requests, {traffic.rate} a second. Absolute magnitude and MOID are doubled"
        ends = [round((begun - start) / 60) for _, begun in traffic.legs[1:]]
        about += f" from minute {ends[0]} to {ends[1]}."
        card.text(28, 62, about, fontsize=style.NORMAL, color=style.FAINT)
        for y, alert in ((78, ours(traffic, times)), (78 + BOX_HEIGHT + 8, theirs(traffic, times))):
            draw_alert(card, y, alert, traffic, times)
    return card


def draw_alert(card: style.Card, y: float, alert: Alert, traffic: Traffic, times: np.ndarray) -> None:
    """Draw an alert's values with its threshold, and below them when it is on, by feature."""
    width = style.WIDTH - LEFT - RIGHT
    card.box(14, y, style.WIDTH - 28, BOX_HEIGHT)
    card.text(28, y + 24, alert.title, fontsize=style.NORMAL, fontweight="bold")
    card.text(style.WIDTH - RIGHT, y + 24, alert.note, color=style.FAINT, ha="right")
    card.text(28, y + 43, alert.formula, color=style.FAINT)
    plot = card.axes(LEFT, y + 56, width, PLOT_HEIGHT, label=alert.title)
    strips = card.axes(LEFT, y + 56 + PLOT_HEIGHT + 4, width, STRIPS_HEIGHT)
    minutes = (times - traffic.legs[0][1]) / 60
    for axes in (plot, strips):
        axes.set_xlim(-0.5, minutes[-1])
        axes.set_xticks(np.arange(0, minutes[-1], TICK_MINUTES))
    draw_values(plot, alert, minutes)
    mark_legs(plot, traffic, alert.limits[1])
    draw_states(strips, alert, minutes)
    card.text(LEFT - 5, y + 286, "minute", color=style.FAINT, ha="right")
    for x, (when, what) in zip(VERDICT_X, verdict(alert, traffic, times).items(), strict=True):
        card.text(x, y + 307, when, color=style.FAINT)
        card.text(x, y + 324, what, fontsize=style.NORMAL)


def draw_values(axes: Axes, alert: Alert, minutes: np.ndarray) -> None:
    low, high = alert.limits
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="x", labelbottom=False)
    for feature, name in FEATURES.items():
        look: dict[str, Any] = {"color": COLOURS[feature], "linewidth": 1.5}
        axes.plot(minutes, np.maximum(alert.values[feature], low), label=name, **look)
        if feature in alert.long_values:
            axes.plot(minutes, np.maximum(alert.long_values[feature], low), linestyle=(0, (1, 1.2)), **look)
    axes.axhline(alert.threshold, color=style.RED, linewidth=1.1, linestyle=(0, (5, 3)))
    label = f"threshold {alert.threshold:g}"
    ground = {"facecolor": style.PANEL, "edgecolor": "none", "alpha": 0.8, "pad": 1}
    axes.text(axes.get_xlim()[0], 1.3 * alert.threshold, f" {label}", color=style.RED, bbox=ground)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1.01), ncols=2)


def mark_legs(axes: Axes, traffic: Traffic, top: float) -> None:
    """Write what was sent when along the upper edge, and shade the drift."""
    start = traffic.legs[0][1]
    bounds = [*((begun - start) / 60 for _, begun in traffic.legs), (traffic.end - start) / 60]
    names = ("normal traffic", "drift", "normal again")
    for name, begin, end in zip(names, bounds, bounds[1:], strict=False):
        if name == "drift":
            axes.axvspan(begin, end, color=style.INK, alpha=0.07, linewidth=0)
            for moment in (begin, end):
                axes.axvline(moment, color=style.FAINT, linewidth=0.9)
        axes.text((begin + end) / 2, 0.55 * top, name, ha="center", va="top", color=style.INK)


def draw_states(axes: Axes, alert: Alert, minutes: np.ndarray) -> None:
    step = INTERVAL_SECONDS / 60
    for row, feature in enumerate(FEATURES):
        known = np.where(minutes < 0, np.nan, alert.states[feature])
        for first, last in stretches(known):
            length = minutes[last] + step - minutes[first]
            axes.barh(
                row, length, 0.78, left=minutes[first], color=STATES[known[first]], alpha=0.75, linewidth=0
            )
            if known[first] == ON and length > 2:
                axes.text(minutes[first] + 0.15, row, "ALARM", va="center", color="black")
    axes.set_yticks(range(len(FEATURES)), ["magnitude", "MOID"])
    for label, colour in zip(axes.get_yticklabels(), COLOURS.values(), strict=True):
        label.set_color(colour)
    axes.set_ylim(len(FEATURES) - 0.5, -0.5)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def verdict(alert: Alert, traffic: Traffic, times: np.ndarray) -> dict[str, str]:
    """Return in words and numbers when the alarm was on for any feature."""
    begin, drift, over = (begun for _, begun in traffic.legs)
    on = np.any([states == ON for states in alert.states.values()], axis=0)

    def share(first: float, last: float) -> str:
        return f"{100 * on[(times >= first) & (times < last)].mean():.0f} %"

    early, late = share(begin, drift), share(over - 60 * LAST_MINUTES, over)
    minutes = on[times >= over].sum() * INTERVAL_SECONDS / 60
    return {
        "Before the drift": "silent" if early == "0 %" else f"on {early} of the time",
        "During the drift": f"on {share(drift, over)} of the time, {late} of its last {LAST_MINUTES} minutes",
        "After the drift": f"on for {minutes:.1f} minutes",
    }
