"""Draw asteroid.json in its own layout, with the answers to its own expressions, by matplotlib."""

from datetime import UTC, datetime

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from demo.dashboard import COLUMNS, ENDPOINT, Document, annotations, load, panels
from images.panels import COLOURS, DRAW, Series, legend_rows, moments, on_moments, stretches
from images.style import FAINT, LARGE, NORMAL, SETTINGS, WIDTH, Card
from images.traffic import Traffic

WHAT_IT_IS = "rendered from asteroid.json by images/make_images.py; not a Grafana screenshot"

MARGIN, GAP, HEADER, FOOTER = 14, 8, 48, 32
COLUMN = (WIDTH - 2 * MARGIN + GAP) / COLUMNS
ROW = 24.5
TICK_MINUTES = 5

# The pixels between a panel's edge and its axes: left, right, above and below.
SPACE = {
    "stat": (14, 14, 32, 10),
    "state-timeline": (118, 14, 32, 26),
    "heatmap": (84, 26, 32, 52),
    "timeseries": (66, 14, 34, 38),
    "bargauge": (76, 14, 36, 14),
}
SHORT_NAMES = {"Minimum_Orbit_Intersection": "MOID"}  # in a legend that would be wider than its panel
LEGEND_WIDTH, LEGEND_ROW = 92, 14  # of one on the right; of one below


def draw_dashboard(traffic: Traffic) -> Card:
    """Draw all panels of the dashboard, over the time that the measurements cover."""
    shown = list(panels())
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in shown)
    with matplotlib.rc_context(SETTINGS):
        card = Card(HEADER + rows * ROW + FOOTER)
        minutes = round((traffic.end - traffic.start) / 60)
        card.text(MARGIN + 4, 31, load()["title"], fontsize=LARGE, fontweight="bold")
        about = f"Endpoint: {ENDPOINT}     Last {minutes} minutes (UTC)"
        card.text(WIDTH - MARGIN - 4, 31, about, fontsize=NORMAL, color=FAINT, ha="right")
        for number, annotation in enumerate(annotations()):
            colour = COLOURS[annotation["iconColor"]]
            card.text(
                MARGIN + 210 + 110 * number, 31, f"┆ {annotation['name']}", fontsize=NORMAL, color=colour
            )
        for panel in shown:
            draw_panel(card, panel, traffic)
        card.text(WIDTH / 2, card.height - 12, WHAT_IT_IS, color=FAINT, ha="center")
    return card


def draw_panel(card: Card, panel: Document, traffic: Traffic) -> None:
    """Draw a panel at its place in the grid, with its title."""
    place = panel["gridPos"]
    x, y = MARGIN + place["x"] * COLUMN, HEADER + place["y"] * ROW
    width, height = place["w"] * COLUMN - GAP, place["h"] * ROW - GAP
    card.box(x, y, width, height)
    card.text(x + 12, y + 21, panel["title"], fontsize=NORMAL, fontweight="bold")
    times = moments(traffic.start, traffic.end)
    series = panel_series(panel, traffic, times)
    left, right, above, below = SPACE[panel["type"]]
    if panel["type"] == "timeseries":
        if panel["options"]["legend"]["placement"] == "right":
            right, below = LEGEND_WIDTH, SPACE["state-timeline"][3]
        else:
            below += LEGEND_ROW * legend_rows(len(series))
    axes = card.axes(x + left, y + above, width - left - right, height - above - below, label=panel["title"])
    DRAW[panel["type"]](axes, panel, times, series)
    if panel["type"] not in ("bargauge", "stat"):
        show_time(axes, traffic)
    if panel["type"] == "timeseries":
        mark_annotations(axes, traffic, times)


def panel_series(panel: Document, traffic: Traffic, times: np.ndarray) -> list[Series]:
    """Return the answers to the panel's expressions, with the names in its legend."""
    return [
        Series(legend_name(target["legendFormat"], labels), on_moments(times, points), target["refId"])
        for target in panel["targets"]
        for labels, points in traffic.series[target["expr"]]
    ]


def legend_name(pattern: str, labels: dict[str, str]) -> str:
    for label, value in labels.items():
        pattern = pattern.replace(f"{{{{{label}}}}}", SHORT_NAMES.get(value, value))
    return pattern


def mark_annotations(axes: Axes, traffic: Traffic, times: np.ndarray) -> None:
    """Draw a line where each thing begins that the dashboard marks; how long it lasts is not shown."""
    for annotation in annotations():
        for _, points in traffic.series[annotation["expr"]]:
            there = on_moments(times, points) > 0
            for first, _ in stretches(np.where(there, 1.0, np.nan)):
                colour = COLOURS[annotation["iconColor"]]
                axes.axvline(times[first], color=colour, linewidth=1, linestyle=(0, (1, 2)), zorder=3)


def show_time(axes: Axes, traffic: Traffic) -> None:
    """Write the hours and minutes below the axes."""
    step = 60 * TICK_MINUTES
    ticks = np.arange(-(-traffic.start // step) * step, traffic.end, step)
    axes.set_xticks(ticks, [datetime.fromtimestamp(tick, UTC).strftime("%H:%M") for tick in ticks])
    axes.set_xlim(traffic.start, traffic.end)
