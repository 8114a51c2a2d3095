"""The page of the monitoring: what fires, what is served, and a Grafana dashboard with live panels."""

from functools import partial
from itertools import islice
from pathlib import Path
from urllib.parse import urlencode

from ..documents import Document
from ..monitoring_file import Monitoring
from ..store import Store
from .endpoints_served import is_service, service_of
from .grafana_answers import alerts
from .grafana_dashboard import Panel, count_panels, length_of, read_dashboard, sections, time_span
from .grafana_variables import Ask, Variable, documents_at, fill, value_at, values_of, variables
from .panels import TROUBLES, asking, trouble_of

RANGES = {"now-5m": "5 minutes", "now-15m": "15 minutes", "now-30m": "30 minutes", "now-1h": "hour"}
RANGES |= {"now-3h": "3 hours", "now-6h": "6 hours", "now-24h": "24 hours", "now-7d": "7 days"}
MOST_ALERTS, MOST_PANELS, MOST_LINKS, MOST_SERVICES = 100, 200, 20, 20
MOST_SECONDS = 86400  # until the page is refreshed


def monitoring_page(store: Store, request: Document) -> Document:
    """Show what is served, and leave to a thread what Prometheus is asked for."""
    monitoring = Monitoring.read(request["monitoring"])
    services = [task for task in store.all("task") if is_service(task)]
    return {
        "services": [service_of(store, task) for task in services[:MOST_SERVICES]],
        "services_left_out": max(0, len(services) - MOST_SERVICES),
        "charts": True,
        "later": partial(_look, monitoring, request, asking(monitoring)),
    }


def _look(monitoring: Monitoring, request: Document, ask: Ask) -> Document:
    found: Document = {"monitoring": monitoring, "live": True}  # it may run again in a moment
    if not monitoring.prometheus:
        return found
    try:
        firing = alerts(ask)
        found |= {"alerts": firing[:MOST_ALERTS], "alerts_left_out": len(firing) - MOST_ALERTS}
    except TROUBLES as error:
        found["trouble"], ask = trouble_of(error), _nobody
    if monitoring.dashboard:
        try:
            found |= dashboard_of(Path(monitoring.dashboard), request, ask)
            found["live"] = found["refresh_seconds"] > 0 or "trouble" in found
        except TROUBLES as error:
            found["trouble"] = trouble_of(error)
    return found


def _nobody(*_: object, **__: object) -> list[str]:
    """Answer for a Prometheus that does not, so that the panels are there when it is."""
    return []


def dashboard_of(file: Path, request: Document, ask: Ask) -> Document:
    """Return the dashboard's head, its variables, and where the panels are and are asked for."""
    dashboard, query = read_dashboard(file), request["query"]
    begin = query.get("from") or value_at(dashboard, "time.from", "now-6h")
    end = query.get("to") or value_at(dashboard, "time.to", "now")
    chosen, span = variables(dashboard, query.getlist, ask), time_span(begin, end)
    values = {**values_of(chosen), **span.values(span.step())}
    places: list[Document] = []
    left, seconds = MOST_PANELS, length_of(value_at(dashboard, "refresh", ""))
    for title, collapsed, placed in islice(sections(dashboard, values), MOST_PANELS):
        panels = [
            {"title": panel.title, "place": panel.place, "source": _source(panel, begin, end, chosen)}
            | {"about": fill(value_at(panel.document, "description", ""), values)}
            for panel in islice(placed, left)
        ]
        left -= len(panels)
        if panels or title:
            places.append({"title": title, "collapsed": collapsed, "panels": panels})
    return {
        "dashboard": {name: value_at(dashboard, name, "") for name in ("title", "description")},
        "file": file.name,
        "links": [
            {"title": value_at(each, "title", "") or url, "about": value_at(each, "tooltip", ""), "url": url}
            for each in documents_at(dashboard, "links")[:MOST_LINKS]
            if (url := fill(value_at(each, "url", ""), values))
        ],
        "variables": [each for each in chosen if not each.hidden],
        "sections": places,
        "panels_left_out": count_panels(dashboard, values) - (MOST_PANELS - left),
        "begin": begin,
        "end": end,
        "ranges": RANGES,
        "refresh_seconds": seconds and min(MOST_SECONDS, max(1, seconds)),
    }


def _source(panel: Panel, begin: str, end: str, chosen: list[Variable]) -> str:
    query = {"from": [begin], "to": [end]} | {f"var-{each.name}": each.chosen for each in chosen}
    query |= {f"var-{name}": value.values for name, value in panel.scoped.items()}
    return f"/pages/panel/{panel.number}?{urlencode(query, doseq=True, errors='replace')}"
