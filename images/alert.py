"""Draw when alarms tell a drift that grows slowly. tests/draw_alert.py simulates it."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from images import style

LEFT, RIGHT = 150, 28  # free beside the axes
GROWTH_HEIGHT, ROW_HEIGHT = 120, 24
FREE_ABOVE, FREE_BELOW = 40, 16  # of the rows, within their box
COLOURS = {"urgent": style.RED, "notice": style.ORANGE, "other": style.FAINT}


class Told(NamedTuple):
    """An alarm, and whether it was on at each time; its kind decides its colour."""

    name: str
    kind: str
    on: np.ndarray


class Run(NamedTuple):
    """All alarms at a rate of requests."""

    rate: float
    alarms: Sequence[Told]


def draw_alerts(hours: np.ndarray, factor: np.ndarray, what: str, runs: Sequence[Run]) -> style.Card:
    """Draw a factor on values as it grows over time, and below it when each alarm was on, for each run.

    `hours` since its beginning and `factor` are (n,), as is each alarm's `on`; `what` names the values.
    """
    boxes = [FREE_ABOVE + ROW_HEIGHT * len(run.alarms) + FREE_BELOW for run in runs]
    top = 78 + GROWTH_HEIGHT + 66
    with matplotlib.rc_context(style.SETTINGS):
        card = style.Card(top + sum(boxes) + 8 * len(runs) + 30)
        card.text(
            28, 38, "A drift that grows: who tells it, and when?", fontsize=style.LARGE, fontweight="bold"
        )
        about = "Simulated requests, rows of the table. Our rules by promtool, the distance on their windows."
        card.text(28, 62, about, color=style.FAINT)
        card.box(14, 78, style.WIDTH - 28, GROWTH_HEIGHT + 58)
        card.text(28, 102, f"{what} is multiplied by", fontsize=style.NORMAL, fontweight="bold")
        draw_growth(place(card, 112, GROWTH_HEIGHT - 8, hours, labels=True), hours, factor)
        y = float(top)
        for run, height in zip(runs, boxes, strict=True):
            card.box(14, y, style.WIDTH - 28, height)
            title = f"{run.rate:g} requests a second"
            card.text(28, y + 24, title, fontsize=style.NORMAL, fontweight="bold")
            axes = place(card, y + FREE_ABOVE - 4, ROW_HEIGHT * len(run.alarms), hours, labels=False)
            draw_alarms(axes, hours, factor, run.alarms)
            y += height + 8
        legend = "beside each bar: how large the factor was when the alarm went on, and after how long"
        card.text(style.WIDTH / 2, card.height - 12, legend, color=style.FAINT, ha="center")
    return card


def place(card: style.Card, y: float, height: float, hours: np.ndarray, *, labels: bool) -> Axes:
    """Return axes over all hours at a height of the card."""
    axes = card.axes(LEFT, y, style.WIDTH - LEFT - RIGHT, height)
    axes.set_xlim(hours[0], hours[-1])
    axes.set_xticks(np.arange(np.ceil(hours[0]), hours[-1] + 0.01))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda hour, _: f"{hour:g} h"))
    axes.tick_params(axis="x", labelbottom=labels)
    return axes


def draw_growth(axes: Axes, hours: np.ndarray, factor: np.ndarray) -> None:
    axes.plot(hours, factor, color=style.BLUE, linewidth=1.5)
    axes.set_ylim(0.95, 1.05 * factor.max())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"× {value:g}"))


def draw_alarms(axes: Axes, hours: np.ndarray, factor: np.ndarray, alarms: Sequence[Told]) -> None:
    """Draw a row for each alarm: a bar while it was on, and in words when it first went on."""
    step = hours[1] - hours[0]
    look: dict[str, Any] = {"va": "center", "color": style.FAINT}
    for row, alarm in enumerate(alarms):
        on = stretches(np.where(alarm.on, 1.0, np.nan))
        for first, last in on:
            length = hours[last] + step - hours[first]
            axes.barh(row, length, 0.7, left=hours[first], color=COLOURS[alarm.kind], alpha=0.75, linewidth=0)
        if on:
            axes.text(
                hours[on[0][0]] - 0.05, row, in_words(hours[on[0][0]], factor[on[0][0]]), ha="right", **look
            )
        else:
            axes.text(0, row, "never", ha="right", **look)
    axes.set_yticks(range(len(alarms)), [alarm.name for alarm in alarms])
    axes.set_ylim(len(alarms) - 0.5, -0.5)
    axes.grid(False, axis="y")
    axes.spines[:].set_visible(False)


def in_words(hours: float, factor: float) -> str:
    """Return how large a drift was when it was told, and how long after it began."""
    minutes = round(60 * hours)
    return f"× {factor:.2f}, {minutes // 60} h {minutes % 60:02} min" if minutes >= 0 else "before it begins"


def stretches(values: np.ndarray) -> list[tuple[int, int]]:
    """Return the first and last index of each run of equal values, without those that are not numbers."""
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    bounds = [0, *changes, len(values)]
    return [(first, end - 1) for first, end in itertools.pairwise(bounds) if not np.isnan(values[first])]
