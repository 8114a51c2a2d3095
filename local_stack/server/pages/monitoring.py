"""The page of the monitoring: what fires, what is served, and a Grafana dashboard with live panels."""

from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from ...endpoint_names import metric_name
from ..documents import Document
from ..monitoring_file import Monitoring
from ..store import Store
from .grafana_answers import alerts
from .grafana_dashboard import Panel, length_of, read_dashboard, sections, time_span
from .grafana_variables import Ask, Variable, documents, fill, get, panel_query, variables
from .panels import AWAY, asking
from .services import is_service, service_of

RANGES = {"now-5m": "5 minutes", "now-15m": "15 minutes", "now-30m": "30 minutes", "now-1h": "hour"}
RANGES |= {"now-3h": "3 hours", "now-6h": "6 hours", "now-24h": "24 hours", "now-7d": "7 days"}
MOST_ALERTS, MOST_PANELS, MOST_LINKS = 100, 200, 20
LARGEST_RULES = 2**18
COUNTER = ":_count_total"  # clearml-serving's, behind the name of an endpoint


def monitoring_page(store: Store, request: Document) -> Document:
    """Show what is served, and leave to a thread what Prometheus is asked for."""
    monitoring = Monitoring.read(request["monitoring"])
    services = [service_of(store, task) for task in store.all("task") if is_service(task)]
    return {"services": services, "charts": True, "later": partial(_look, monitoring, request, services)}


def _look(monitoring: Monitoring, request: Document, services: list[Document]) -> Document:
    runs = bool(monitoring.prometheus)
    found: Document = {"monitoring": monitoring, "live": runs, "seconds": 0, "rules": {}, "trouble": ""}
    if not runs:
        return found | ({"rules": rules_of(Path(monitoring.rules))} if monitoring.rules else {})
    ask = asking(monitoring)
    try:
        firing = alerts(ask)
        found |= {"alerts": firing[:MOST_ALERTS], "alerts_left_out": len(firing) - MOST_ALERTS}
        _count_requests(services, ask)
    except OSError:
        found["trouble"], ask = AWAY, _nobody
    if monitoring.dashboard:
        try:
            found |= dashboard_of(Path(monitoring.dashboard), request, ask)
            found["live"] = found["seconds"] > 0 or ask is _nobody
        except (ValueError, OSError) as error:
            found["trouble"] = AWAY if isinstance(error, OSError) else str(error)[:1000]
    return found


def _nobody(kind: str, **_: object) -> Any:
    """Answer for a Prometheus that does not, so that the panels are there when it is."""
    return {"result": []} if kind == "query" else []


def dashboard_of(file: Path, request: Document, ask: Ask) -> Document:
    """Return the dashboard's head, its variables, and where the panels are and are asked for."""
    dashboard, query = read_dashboard(file), request["query"]
    begin = query.get("from") or get(dashboard, "time.from", "now-6h")
    end = query.get("to") or get(dashboard, "time.to", "now")
    refresh, span = query.get("refresh", get(dashboard, "refresh", "")), time_span(begin, end)
    chosen = variables(dashboard, query.getlist, ask)
    values = {**{each.name: each.value for each in chosen}, **span.values(span.step())}
    places: list[Document] = []
    left = MOST_PANELS
    for section in sections(dashboard, values):
        panels = [
            {"title": panel.title, "place": panel.place, "source": _source(panel, begin, end, chosen)}
            | {"about": fill(get(panel.document, "description", ""), values)}
            for panel in section.panels[: max(0, left)]
        ]
        left -= len(section.panels)
        if (panels or section.title) and len(places) < MOST_PANELS:
            places.append({"title": section.title, "collapsed": section.collapsed, "panels": panels})
    return {
        "dashboard": {name: get(dashboard, name, "") for name in ("title", "description")},
        "file": file.name,
        "links": [
            {"title": get(each, "title", "") or url, "about": get(each, "tooltip", ""), "url": url}
            for each in documents(dashboard, "links")[:MOST_LINKS]
            if (url := fill(get(each, "url", ""), values))
        ],
        "variables": [each for each in chosen if not each.hidden],
        "sections": places,
        "panels_left_out": -left,
        "begin": begin,
        "end": end,
        "ranges": RANGES,
        "refresh": refresh,
        "seconds": length_of(refresh),
    }


def _source(panel: Panel, begin: str, end: str, chosen: list[Variable]) -> str:
    query = {"from": [begin], "to": [end], **panel_query(chosen, panel.scoped)}
    return f"/pages/panel/{panel.number}?{urlencode(query, doseq=True, errors='replace')}"


def _count_requests(services: list[Document], ask: Ask) -> None:
    """Note for each endpoint how many requests a second it answered in the last minute."""

    def counted(at: str) -> dict[str, float]:
        named = f'label_replace({{__name__=~".+{COUNTER}"}} {at}, "name", "$1", "__name__", "(.+){COUNTER}")'
        found = ask("query", query=f"sum by (name) ({named})")["result"]
        return {each["metric"].get("name", ""): float(each["value"][1]) for each in found}

    now, before = counted(""), counted("offset 1m")
    for row in (row for service in services for row in service["rows"]):
        name = metric_name(row["name"])
        if name in now:
            row["rate"] = max(0.0, now[name] - before.get(name, 0.0)) / 60


def rules_of(file: Path) -> Document:
    """Return the alerts in a file of rules, or what is wrong with it."""
    try:
        import yaml  # which ClearML's own package needs, and the stack alone does not
    except ImportError:
        return {"trouble": f"Install PyYAML to see the alerts in {file.name} here."}
    try:
        if file.stat().st_size > LARGEST_RULES:
            raise ValueError(f"it is larger than {LARGEST_RULES // 1024} KiB")
        groups = documents(yaml.safe_load(file.read_bytes()), "groups")
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        return {"trouble": f"{file.name} cannot be read as alert rules: {' '.join(str(error).split())[:500]}"}
    rules = [rule for group in groups for rule in documents(group, "rules") if get(rule, "alert", "")]
    paths = {"name": "alert", "severity": "labels.severity", "summary": "annotations.summary"}
    found = [{key: get(rule, path, "") for key, path in paths.items()} for rule in rules[:MOST_ALERTS]]
    return {"file": file.name, "alerts": found, "left_out": len(rules) - MOST_ALERTS}
