"""What asteroid.json asks of Prometheus, and whether it gets an answer."""

import json
import math
import time
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


def check_expressions(prometheus_url: str, seconds: float = 30) -> None:
    """AssertionError unless each expression in the dashboard comes to have a value within so many seconds.

    Not a number is no value: it is what shares are while there are no requests.
    """
    deadline = time.monotonic() + seconds
    while empty := [
        f"{title}: {expression}"
        for title, expression in expressions()
        if not any(math.isfinite(value) for _, value in prometheus.query(prometheus_url, expression))
    ]:
        assert time.monotonic() < deadline, "without a value:\n" + "\n".join(empty)
        time.sleep(0.5)


def metric_names(prometheus_url: str, selector: str) -> list[str]:
    """What Grafana gets for a variable with the query label_values(selector, __name__)."""
    parameters = urllib.parse.urlencode({"match[]": selector})
    address = f"{prometheus_url}/api/v1/label/__name__/values?{parameters}"
    with urllib.request.urlopen(address, timeout=30) as answer:
        return json.load(answer)["data"]
