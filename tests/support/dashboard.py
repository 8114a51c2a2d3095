"""The panels of asteroid.json as Grafana and the pages show them, and what they ask Prometheus."""

from collections.abc import Iterator
from typing import Any

from global_config import SERVING_ENDPOINT, WATCHED_FEATURES
from local_stack.endpoint_names import metric_name
from local_stack.server.pages.grafana_dashboard import Span, read_dashboard, sections
from local_stack.server.pages.grafana_variables import Value, fill
from tests.support.checkouts import REPOSITORY

DASHBOARD = REPOSITORY / "asteroid.json"
ENDPOINT = metric_name(SERVING_ENDPOINT)
FEATURES = [metric_name(feature) for feature in WATCHED_FEATURES]
GRAFANAS_OWN = Span(0, 30 * 60).values(step=15)  # for the dashboard's own half-hour

Document = dict[str, Any]


def load() -> Document:
    return read_dashboard(DASHBOARD)


def panels(endpoint: str = ENDPOINT) -> Iterator[Document]:
    """Yield the panels with their variables filled in, repeated ones once for each feature."""
    values = {"endpoint": Value([endpoint]), "feature": Value(FEATURES, several=True), **GRAFANAS_OWN}
    (section,) = sections(load(), values)
    for panel in section.panels:
        own = {**values, **panel.scoped}
        targets = [{**each, "expr": fill(each["expr"], own, "promql")} for each in panel.document["targets"]]
        yield {**panel.document, "title": panel.title, "gridPos": panel.place, "targets": targets}


def annotations(endpoint: str = ENDPOINT) -> list[Document]:
    """Return what is marked in all panels, with the endpoint filled in."""
    values = {"endpoint": Value([endpoint])}
    marks = load()["annotations"]["list"]
    return [{**mark, "expr": fill(mark["expr"], values, "promql")} for mark in marks]


def expressions(endpoint: str = ENDPOINT) -> Iterator[tuple[str, str]]:
    """Yield the title and each expression of all that Prometheus is asked for: panels, then annotations."""
    for panel in panels(endpoint):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for annotation in annotations(endpoint):
        yield annotation["name"], annotation["expr"]
