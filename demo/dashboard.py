"""What asteroid.json asks Prometheus, and which of its questions have an answer."""

import json
import math
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from demo.simulated_traffic import metric_name
from global_config import SERVING_ENDPOINT, WATCHED_FEATURES
from local_stack import prometheus

DASHBOARD = Path(__file__).resolve().parent.parent / "asteroid.json"
COLUMNS = 24  # of Grafana's grid
REPEATED_IN_A_ROW = 4  # at most, if the panel does not say otherwise
ENDPOINT = metric_name(SERVING_ENDPOINT)
FEATURES = [metric_name(feature) for feature in WATCHED_FEATURES]

# What Grafana puts in place of its variables: 1 minute is its default for $__rate_interval.
VARIABLES = {"${endpoint}": ENDPOINT, "$__rate_interval": "1m", "$__range": "30m"}

Document = dict[str, Any]


def load() -> Document:
    document: Document = json.loads(DASHBOARD.read_text())
    return document


def panels() -> Iterator[Document]:
    """Yield the panels as Grafana shows them: variables filled in, repeated ones once for each feature."""
    added_height = 0
    for panel in load()["panels"]:
        place, values = panel["gridPos"], FEATURES if panel.get("repeat") == "feature" else [""]
        in_a_row = min(REPEATED_IN_A_ROW, len(values))
        for number, feature in enumerate(values):
            text = json.dumps(panel).replace("${feature}", feature)
            for name, value in VARIABLES.items():
                text = text.replace(name, value)
            row, column = divmod(number, in_a_row)
            width = place["w"] // in_a_row
            x, y = place["x"] + column * width, place["y"] + added_height + row * place["h"]
            yield {**json.loads(text), "gridPos": {**place, "x": x, "y": y, "w": width}}
        added_height += row * place["h"]


def expressions() -> Iterator[tuple[str, str]]:
    """Yield the panel's title and the expression of each target in the dashboard."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def without_a_value(prometheus_url: str) -> list[str]:
    """Return the expressions in the dashboard that have no value now, each with its panel.

    Not a number is no value: it is what shares are while there are no requests.
    """
    return [
        f"{title}: {expression}"
        for title, expression in expressions()
        if not any(math.isfinite(value) for _, value in prometheus.query(prometheus_url, expression))
    ]


def label_values(prometheus_url: str, selector: str, label: str) -> list[str]:
    """Return the values that a label has in the series of a selector, as Grafana's label_values does."""
    parameters = urllib.parse.urlencode({"match[]": selector})
    address = f"{prometheus_url}/api/v1/label/{label}/values?{parameters}"
    with urllib.request.urlopen(address, timeout=30) as answer:
        values: list[str] = json.load(answer)["data"]
    return values
