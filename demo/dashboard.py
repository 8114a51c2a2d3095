"""What asteroid.json asks of Prometheus, and whether it gets an answer."""

import json
import math
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from global_config import SERVING_ENDPOINT
from local_stack import prometheus

DASHBOARD = Path(__file__).resolve().parent.parent / "asteroid.json"

# What Grafana puts in place of its variables: 1 minute is what it makes of $__rate_interval by default.
VARIABLES = {"${endpoint}": SERVING_ENDPOINT, "$__rate_interval": "1m", "$__range": "30m"}


def load() -> dict:
    return json.loads(DASHBOARD.read_text())


def expressions() -> Iterator[tuple[str, str]]:
    """Title of the panel and expression of each target in the dashboard, variables filled in."""
    for panel in load()["panels"]:
        for target in panel["targets"]:
            yield panel["title"], resolved(target["expr"])


def resolved(expression: str) -> str:
    """A target's expression with the dashboard's variables filled in."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def without_a_value(prometheus_url: str) -> list[str]:
    """The expressions in the dashboard that have no value now, each with its panel.

    Not a number is no value: it is what shares are while there are no requests.
    """
    return [
        f"{title}: {expression}"
        for title, expression in expressions()
        if not any(math.isfinite(value) for _, value in prometheus.query(prometheus_url, expression))
    ]


def metric_names(prometheus_url: str, selector: str) -> list[str]:
    """What Grafana gets for a variable with the query label_values(selector, __name__)."""
    parameters = urllib.parse.urlencode({"match[]": selector})
    address = f"{prometheus_url}/api/v1/label/__name__/values?{parameters}"
    with urllib.request.urlopen(address, timeout=30) as answer:
        return json.load(answer)["data"]
