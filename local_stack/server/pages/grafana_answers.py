"""What Prometheus answers to the expressions of a dashboard's panel, and how each series is to be shown."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..documents import Document
from .grafana_dashboard import Span
from .grafana_variables import Ask, Values, documents_at, expression, fill, labelled, value_at
from .units import PALETTE, colour

MOST_TARGETS = 30  # of a panel
MOST_READ = 2000  # series of an expression
LONGEST_LEGEND = 500  # characters
LABEL = re.compile(r"\{\{\s*([^\s{}]+)\s*\}\}")

Labels = Mapping[str, str]
Points = list[float | None]


class Series(NamedTuple):
    """A value for each time, None where there is none, with its name and how it is to be shown."""

    name: str
    labels: Labels
    values: Points
    target: str
    settings: Document
    colour: str

    def custom(self, name: str, default: Any) -> Any:
        return value_at(self.settings, f"custom.{name}", default)


class View(NamedTuple):
    """A panel, and what its answers depend on."""

    panel: Document
    span: Span
    step: float
    values: Values
    ask: Ask
    dashboard: Document

    def times(self) -> list[float]:
        """Return the moments of a range: multiples of the step, so that old points stay as they were."""
        first, last = math.ceil(self.span.start / self.step), math.floor(self.span.end / self.step)
        return [count * self.step for count in range(first, max(first, last) + 1)]

    def written(self, seconds: float) -> str:
        """Return a time as plotly takes it, in this machine's time zone as on all pages."""
        utc = value_at(self.dashboard, "timezone", "") == "utc"
        return datetime.fromtimestamp(seconds, UTC if utc else None).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]

    def option(self, name: str, default: Any) -> Any:
        return value_at(self.panel, f"options.{name}", default)

    def legend(self, pattern: str) -> Callable[[Labels], str]:
        """Return how series are named by their labels, which stand in place of such as {{endpoint}}."""
        filled = fill(pattern, self.values)[:LONGEST_LEGEND]
        return lambda labels: LABEL.sub(lambda label: labels.get(label[1], "")[:LONGEST_LEGEND], filled)

    def over_time(self, asked: str) -> Iterator[tuple[Labels, Points]]:
        """Yield labels of each series of an expression, and a value for each of the times."""
        times = self.times()
        found = self.ask("query_range", query=asked, start=times[0], end=times[-1], step=self.step)
        for each in bounded(found["result"]):
            values: Points = [None] * len(times)
            for moment, value in each.get("values", []):
                values[round((moment - times[0]) / self.step)] = finite(value)
            yield each["metric"], values

    def now(self, asked: str) -> Iterator[tuple[Labels, Points]]:
        """Yield labels and the one value of each series at the end of the time."""
        found = self.ask("query", query=asked, time=self.span.end)
        single = found["resultType"] in ("scalar", "string")
        for each in [{"metric": {}, "value": found["result"]}] if single else bounded(found["result"]):
            yield each["metric"], [finite(each["value"][1])] if "value" in each else []

    def series(self) -> list[Series]:
        """Return the answers to all expressions of the panel, in their order."""
        found: list[Series] = []
        for target in documents_at(self.panel, "targets")[:MOST_TARGETS]:
            ref, expr = value_at(target, "refId", "A"), value_at(target, "expr", "")
            if value_at(target, "hide", False):
                continue
            if not expr.strip():
                raise ValueError(f"Query {ref[:20]} of this panel asks something else than Prometheus.")
            asked = fill(expr, self.values, "promql")
            instant = value_at(target, "instant", False) and not value_at(target, "range", False)
            legend = value_at(target, "legendFormat", "")
            named = None if legend in ("", "__auto") else self.legend(legend)
            for labels, values in self.now(asked) if instant else self.over_time(asked):
                name = named(labels) if named else labelled(labels) or asked
                settings = settings_of(self.panel, name, ref)
                own = PALETTE[len(found) % len(PALETTE)]
                if value_at(settings, "color.mode", "") == "fixed":
                    own = colour(value_at(settings, "color.fixedColor", ""), own)
                name = value_at(settings, "displayName", "") or name
                found.append(Series(name, labels, values, ref, settings, own))
        return found


def bounded(result: list[Document]) -> list[Document]:
    if len(result) > MOST_READ:
        raise ValueError(f"An expression has {len(result)} series, and more than {MOST_READ} are not read.")
    return result


def finite(text: object) -> float | None:
    """Return a value of Prometheus; what is no number, or infinite, is shown as if it were not there."""
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def settings_of(panel: Document, name: str, target: str) -> Document:
    """Return how a series is shown: as all of its panel, but for what is overridden for it."""
    defaults = value_at(panel, "fieldConfig.defaults", {})
    settings = {**defaults, "custom": dict(value_at(defaults, "custom", {}))}
    for rule in documents_at(panel, "fieldConfig.overrides"):
        kind, wanted = value_at(rule, "matcher.id", ""), value_at(rule, "matcher.options", None)
        fits = {"byName": name == wanted, "byFrameRefID": target == wanted}
        if kind == "byRegexp":
            fits[kind] = bool(expression(str(wanted)).search(name))
        for each in documents_at(rule, "properties") if fits.get(kind) else []:
            key = value_at(each, "id", "")
            place = settings["custom"] if key.startswith("custom.") else settings
            place[key.removeprefix("custom.")] = each.get("value")
    return settings


REDUCTIONS: dict[Any, Callable[[list[float]], float]] = {
    "firstNotNull": lambda values: values[0],
    "lastNotNull": lambda values: values[-1],
    "mean": lambda values: sum(values) / len(values),
    "sum": sum,
    "min": min,
    "max": max,
}


def reduced(values: Points, kinds: list[Any]) -> float:
    """Return the one number that stands for all, of which there is one at least."""
    kind = str(kinds[0]) if kinds else "lastNotNull"
    if kind not in REDUCTIONS:
        raise ValueError(f"The “{kind[:50]}” of values cannot be calculated here.")
    return REDUCTIONS[kind]([value for value in values if value is not None])


def alerts(ask: Ask) -> list[Document]:
    """Return what fires and what is pending, by Prometheus' own rules: what fires first, the oldest first."""
    found = [
        {
            "state": alert["state"],
            "name": rule["name"],
            "since": alert["activeAt"][:19] + "+00:00",
            "labels": {name: value for name, value in alert["labels"].items() if name != "alertname"},
            **{
                name: alert["annotations"].get(name, "") for name in ("summary", "description", "runbook_url")
            },
        }
        for group in ask("rules", type="alert")["groups"]
        for rule in group["rules"]
        for alert in rule.get("alerts", [])
    ]
    return sorted(found, key=lambda alert: (alert["state"] != "firing", alert["since"]))
