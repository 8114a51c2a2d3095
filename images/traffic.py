"""Send half an hour of real traffic with a drift in it, and record what Prometheus computes from it."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from demo.benchmark_alerts import reference_expression
from demo.simulated_traffic import metric_name

from asteroids.physics import MAGNITUDE, MOID
from demo import dashboard
from demo.dashboard import ENDPOINT
from demo.running import DemoRun, run_script, say
from local_stack import prometheus

# Few enough to show chance: with fifty a second the reference's alarm would be silent before the drift.
REQUESTS_A_SECOND = 5

# The drift is longer than the ten minutes that the reference compares with; what follows is longer than ours.
LEGS = (("normal", 5 * 60), ("major", 12 * 60), ("normal", 10.5 * 60))
SHOWN_SECONDS = 30 * 60  # the dashboard's own range, "now-30m"

# What is drawn of them, and its name there.
FEATURES = {metric_name(MAGNITUDE): "absolute magnitude", metric_name(MOID): "MOID"}
PSI = f'endpoint_variable:psi:2m{{endpoint="{ENDPOINT}"}}'
PSI_10_MINUTES = f'endpoint_variable:psi:10m{{endpoint="{ENDPOINT}"}}'
ALARM = f'ALERTS{{alertname="MajorDrift",endpoint="{ENDPOINT}"}}'
REFERENCE = {feature: reference_expression(f"{ENDPOINT}:{feature}") for feature in FEATURES}

Points = list[tuple[float, float]]  # times in seconds since 1970, and values


@dataclass
class Traffic:
    """What was sent when (seconds since 1970), and the answers to every expression that is drawn."""

    rate: float
    legs: list[tuple[str, float]]  # a scenario of inference.py, and when it began
    start: float  # of what is shown
    end: float
    series: dict[str, list[tuple[dict[str, str], Points]]]  # by expression: labels and points

    def save(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, file: Path) -> "Traffic":
        return cls(**json.loads(file.read_text()))


def run_traffic(run: DemoRun) -> Traffic:
    """Send the legs one after another to the service that serves the champion, and record the answers."""
    begun = []
    for seed, (scenario, seconds) in enumerate(LEGS):
        say(f"inference.py --scenario {scenario}: {seconds / 60:g} minutes")
        begun.append((scenario, time.time()))
        count = round(seconds * REQUESTS_A_SECOND)
        arguments = ["--scenario", scenario, "--rate", REQUESTS_A_SECOND, "--count", count, "--seed", seed]
        run_script(run, "inference.py", "--url", run.endpoint_url, *map(str, arguments))
    return record(run.serving.prometheus_url, begun, time.time())


def record(prometheus_url: str, legs: list[tuple[str, float]], end: float) -> Traffic:
    """Ask Prometheus for everything that the pictures show, over the dashboard's time range."""
    start = end - SHOWN_SECONDS
    wanted = [*(each for _, each in dashboard.expressions()), PSI, PSI_10_MINUTES, ALARM, *REFERENCE.values()]
    series = {
        expression: prometheus.query_range(prometheus_url, expression, start, end)
        for expression in dict.fromkeys(wanted)
    }
    return Traffic(REQUESTS_A_SECOND, legs, start, end, series)
