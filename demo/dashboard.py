"""The panels of asteroid.json as Grafana shows them, and what they ask Prometheus."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from global_config import SERVING_ENDPOINT, WATCHED_FEATURES
from local_stack.endpoint_names import metric_name

DASHBOARD = Path(__file__).resolve().parent.parent / "asteroid.json"
COLUMNS = 24  # of Grafana's grid
REPEATED_IN_A_ROW = 4  # at most, if the panel does not say otherwise
ENDPOINT = metric_name(SERVING_ENDPOINT)
FEATURES = [metric_name(feature) for feature in WATCHED_FEATURES]

# What Grafana puts in place of its own variables: 1 minute is its default for $__rate_interval.
VARIABLES = {"$__rate_interval": "1m", "$__range": "30m"}

Document = dict[str, Any]


def load() -> Document:
    document: Document = json.loads(DASHBOARD.read_text())
    return document


def filled_in(part: Document, endpoint: str, feature: str = "") -> Document:
    """Return a part of the dashboard with values in place of its variables."""
    text = json.dumps(part)
    for name, value in {**VARIABLES, "${endpoint}": endpoint, "${feature}": feature}.items():
        text = text.replace(name, value)
    document: Document = json.loads(text)
    return document


def panels(endpoint: str = ENDPOINT) -> Iterator[Document]:
    """Yield the panels as Grafana shows them: variables filled in, repeated ones once for each feature."""
    added_height = 0
    for panel in load()["panels"]:
        place, values = panel["gridPos"], FEATURES if panel.get("repeat") == "feature" else [""]
        in_a_row = min(REPEATED_IN_A_ROW, len(values))
        for number, feature in enumerate(values):
            row, column = divmod(number, in_a_row)
            width = place["w"] // in_a_row
            x, y = place["x"] + column * width, place["y"] + added_height + row * place["h"]
            yield {**filled_in(panel, endpoint, feature), "gridPos": {**place, "x": x, "y": y, "w": width}}
        added_height += row * place["h"]


def annotations(endpoint: str = ENDPOINT) -> list[Document]:
    """Return what Grafana marks in all panels, with the endpoint filled in."""
    return [filled_in(annotation, endpoint) for annotation in load()["annotations"]["list"]]


def expressions(endpoint: str = ENDPOINT) -> Iterator[tuple[str, str]]:
    """Yield the title and each expression of all that Prometheus is asked for: panels, then annotations."""
    for panel in panels(endpoint):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for annotation in annotations(endpoint):
        yield annotation["name"], annotation["expr"]
