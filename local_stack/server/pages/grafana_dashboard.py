"""A Grafana dashboard file: its panels in their places, and the time that it shows."""

import math
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ..documents import Document, parse_json
from .grafana_variables import Value, Values, documents_at, fill, value_at
from .rendering import moment, number

LARGEST_FILE = 5 * 2**20
COLUMNS = 24  # of Grafana's grid
REPEATED_IN_A_ROW = 4  # at most
POINTS = 400  # of a series
SCRAPE_SECONDS = 15  # which Grafana takes for its data source's, if nobody says otherwise
# A month is taken as 30 days, and a year as 365.
LENGTHS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000, "y": 31536000}
STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)
MOMENT = re.compile(r"now(?:([+-]\d{1,6})([smhdwMy]))?")


def read_dashboard(file: Path) -> Document:
    """Return the dashboard in a file, also as Grafana's API exports it; ValueError says what is wrong."""
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise ValueError(f"it is larger than {LARGEST_FILE // 2**20} MB")
        found = parse_json(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{file.name} cannot be read as a dashboard: {error}.") from error
    found = value_at(found, "dashboard", {}) or found
    if not isinstance(value_at(found, "panels", None), list):
        raise ValueError(f"{file.name} is no dashboard of Grafana: it has no list of panels.")
    return dict(found)


class Span(NamedTuple):
    """The time that is shown, in seconds since 1970."""

    start: float
    end: float

    def step(self, *asked: str) -> float:
        """Return the seconds between two points, no fewer than is `asked` for in texts such as ">10s"."""
        least = max(map(length_of, asked), default=0) or SCRAPE_SECONDS
        wanted = max(least, (self.end - self.start) / POINTS)
        return next((step for step in STEPS if step >= wanted), 86400 * math.ceil(wanted / 86400))

    def values(self, step: float) -> dict[str, Value]:
        """Return Grafana's own variables."""
        shown, rate = self.end - self.start, max(4 * SCRAPE_SECONDS, step + SCRAPE_SECONDS)
        texts = {"interval": f"{step:g}s", "rate_interval": f"{rate:g}s", "range": f"{shown:.0f}s"}
        texts["range_s"] = f"{shown:.0f}"
        return {f"__{name}": Value([text]) for name, text in texts.items()}


def length_of(text: str) -> float:
    """Return the seconds of a text such as 30s, and 0 for another."""
    found = re.fullmatch(r">?\s*(\d{1,9})(ms|[smhdwMy])", text)
    return int(found[1]) * LENGTHS[found[2]] if found else 0


def time_span(begin: str, end: str) -> Span:
    """Return the time between two moments such as now-30m, an ISO text or milliseconds."""
    span = Span(_moment(begin), _moment(end))
    if not 1 <= span.end - span.start <= 100 * LENGTHS["y"]:
        raise ValueError(f"From {begin[:50]} to {end[:50]} is no time that can be shown.")
    return span


def _moment(text: str) -> float:
    """Return a moment in seconds since 1970."""
    if found := MOMENT.fullmatch(text):
        return time.time() + (int(found[1]) * LENGTHS[found[2]] if found[1] else 0)
    known = moment(int(text) / 1000 if re.fullmatch(r"\d{1,15}", text) else text)
    if known is None:
        raise ValueError(f"{text[:50]!r} is no time: write such as now-30m, or 2030-01-31T12:00.")
    return known.timestamp()


class Panel(NamedTuple):
    """A panel at its place. `number` is that of the file's panels, `scoped` what it is repeated for."""

    number: int
    document: Document
    title: str
    place: Mapping[str, int]  # x, y, w and h in cells of the grid
    scoped: Values


class Section(NamedTuple):
    """The panels below a row's title, each made when it is asked for; the first ones may have no title."""

    title: str
    collapsed: bool
    panels: Iterator[Panel]


def all_panels(dashboard: Document) -> list[Document]:
    """Return the panels in the order of the file, each row before the panels that it hides."""
    return [
        each
        for panel in documents_at(dashboard, "panels")
        for each in (panel, *documents_at(panel, "panels"))
    ]


def _groups(dashboard: Document, values: Values) -> list[tuple[Document, list[tuple[int, Document]]]]:
    """Return each row with the numbered panels below it, without those that are repeated for no value."""
    groups: list[tuple[Document, list[tuple[int, Document]]]] = [({}, [])]
    for numbered in enumerate(all_panels(dashboard)):
        if numbered[1].get("type") == "row":
            groups.append((numbered[1], []))
        elif _repeats(numbered[1], values):
            groups[-1][1].append(numbered)
    return groups


def count_panels(dashboard: Document, values: Values) -> int:
    """Return how many panels there are, repeated ones once for each value."""
    return sum(
        len(_repeats(row, values)) * sum(len(_repeats(panel, values)) for _, panel in inside)
        for row, inside in _groups(dashboard, values)
    )


def sections(dashboard: Document, values: Values) -> Iterator[Section]:
    """Yield rows and their panels as Grafana shows them: repeated ones once for each value."""
    for row, inside in _groups(dashboard, values):
        for scoped in _repeats(row, values):
            title = fill(value_at(row, "title", ""), {**values, **scoped})
            yield Section(title, value_at(row, "collapsed", False), _placed(inside, values, scoped))


def _repeats(document: Document, values: Values) -> list[dict[str, Value]]:
    name = value_at(document, "repeat", "")
    return [{name: Value([value])} for value in values[name].values] if name in values else [{}]


def _cells(panel: Document, name: str, default: int, most: int) -> int:
    found = number(value_at(panel, f"gridPos.{name}", None))
    return default if found is None or not math.isfinite(found) else max(0, min(most, int(found)))


def _placed(inside: list[tuple[int, Document]], values: Values, row: Values) -> Iterator[Panel]:
    """Yield panels from above, each as high up as there is room, which is how Grafana's grid does it."""
    heights = [0] * COLUMNS
    inside = sorted(inside, key=lambda each: [_cells(each[1], axis, 0, 10**6) for axis in "yx"])
    for index, panel in inside:
        repeats, width = _repeats(panel, values), max(1, _cells(panel, "w", 12, COLUMNS))
        height, x = max(1, _cells(panel, "h", 8, 60)), min(_cells(panel, "x", 0, COLUMNS), COLUMNS - width)
        if value_at(panel, "repeat", "") in values:
            x, width = 0, COLUMNS // max(1, min(len(repeats), REPEATED_IN_A_ROW))
        for count, repeated in enumerate(repeats):
            left, scoped = x + count * width % COLUMNS, {**row, **repeated}
            y = max(heights[left : left + width])
            heights[left : left + width] = [y + height] * width
            title = fill(value_at(panel, "title", ""), {**values, **scoped})
            yield Panel(index, panel, title, {"x": left, "y": y, "w": width, "h": height}, scoped)
