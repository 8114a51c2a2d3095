"""Hours of simulated requests, counted as clearml-serving counts them, put through Prometheus rules.

Requests are rows of data/nasa.csv drawn at random, whole, so that features keep their correlations. Drift
changes their values. What clearml-serving would export of them becomes the input of a promtool test, and
promtool evaluates the rules over the hours within seconds.
"""

import json
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from asteroids.drift import decile_edges
from asteroids.evaluation import rule_of_thumb
from asteroids.frozen_test_set import is_test_group
from global_config import GROUP_COLUMN, SERVING_ENDPOINT, WATCHED_FEATURES
from local_stack.prometheus import STATISTICS_JOB, find_tools
from local_stack.settings import default_home

REPOSITORY = Path(__file__).resolve().parent.parent
RULES = REPOSITORY / "deploy" / "asteroid_alerts.yml"
TOOLS_CACHE = default_home() / "tools"

STEP = 30  # seconds between two scrapes and between two evaluations
HOUR = 3600

H, MOID = WATCHED_FEATURES


@cache
def table() -> pd.DataFrame:
    return pd.read_csv(REPOSITORY / "data" / "nasa.csv")


@cache
def training_edges() -> dict[str, list[float]]:
    """The edges in the commands that model_training.py prints: the deciles of all rows but the test set's."""
    seen = table()[~table()[GROUP_COLUMN].map(is_test_group)]
    return {name: decile_edges(seen[name]) for name in WATCHED_FEATURES}


@dataclass
class Drift:
    """A change of values between two moments, in seconds since the beginning.

    The features in `factors` are multiplied and those in `offsets` raised, in a `share` of the requests. A
    ramp of `ramp` seconds brings the change on by and by.
    """

    start: int
    end: int
    factors: dict[str, float] = field(default_factory=dict)
    offsets: dict[str, float] = field(default_factory=dict)
    share: float = 1.0
    ramp: int = 0

    def apply(self, rows: pd.DataFrame, seconds: np.ndarray, random: np.random.Generator) -> None:
        """Change the rows, each of which was sent at its second, in place."""
        hit = (seconds >= self.start) & (seconds < self.end) & (random.random(len(rows)) < self.share)
        strength = np.clip((seconds - self.start) / self.ramp, 0, 1) if self.ramp else 1.0
        strength = hit * strength
        for name, factor in self.factors.items():
            rows[name] *= 1 + (factor - 1) * strength
        for name, offset in self.offsets.items():
            rows[name] += offset * strength


def simulate(
    rate: float | Callable[[np.ndarray], np.ndarray],
    hours: float,
    drift: Drift | None = None,
    *,
    seed: int = 0,
    endpoint: str = SERVING_ENDPOINT,
    edges: dict[str, list[float]] | None = None,
    restart: int | None = None,
    instance: str = "statistics:9999",
) -> dict[str, str]:
    """The series that clearml-serving exports while requests come in at `rate` a second, for promtool.

    Series and their values, one for each step. `rate` may be a function of the seconds. The requests are
    Poisson distributed. At second `restart` the statistics process starts again from zero.
    """
    random = np.random.default_rng(seed)
    steps = int(hours * HOUR / STEP)
    begins = np.arange(steps) * STEP
    requests = random.poisson(np.broadcast_to(rate(begins) if callable(rate) else rate, steps) * STEP)
    step = np.repeat(np.arange(steps), requests)
    rows = table()[WATCHED_FEATURES].iloc[random.integers(0, len(table()), len(step))]
    rows = rows.reset_index(drop=True)
    if drift:
        drift.apply(rows, begins[step], random)

    values = {name: rows[name].to_numpy() for name in WATCHED_FEATURES}
    # The definition stands in for the model, which agrees with it in 99 of 100 rows.
    values["y"] = rule_of_thumb(rows)
    bounds = {**(training_edges() if edges is None else edges), "y": [0.0, 1.0]}

    def series(name: str, counts: np.ndarray, **labels: str) -> tuple[str, str]:
        """Name and values of a counter that gained `counts`, one for each step after the first scrape."""
        labels = {"__name__": f"{endpoint}:{name}", "instance": instance, "job": STATISTICS_JOB, **labels}
        selector = ",".join(f"{key}={json.dumps(value)}" for key, value in labels.items())
        total = np.concatenate([[0], counts.cumsum()])
        if restart is not None:
            total[restart // STEP :] -= total[restart // STEP]
        return f"{{{selector}}}", " ".join(map(str, total))

    exported = dict([series("_count_total", requests)])
    for name, upper in bounds.items():
        metric = name.replace(" ", "_")
        # The first bucket whose upper bound is not below the value; the last one is infinite.
        bucket = np.searchsorted(upper, values[name], side="left")
        for number, bound in enumerate([*map(str, map(float, upper)), "+Inf"]):
            counts = np.bincount(step[bucket == number], minlength=steps)
            exported |= dict([series(f"{metric}_bucket", counts, le=bound)])
            exported |= dict([series(f"{metric}_sum", requests, le=bound)])
    return exported


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess:
    """Run promtool on the arguments. PrometheusNotFound, with the remedy, if there is none."""
    command = [find_tools(TOOLS_CACHE).promtool, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=3600)


class Alarms:
    """Which alarms were on at which of the evaluations."""

    def __init__(self, on: dict[tuple[str, ...], np.ndarray]) -> None:
        self.on = on

    def at(self, endpoint: str) -> "Alarms":
        """Those about one endpoint."""
        return Alarms({key: on for key, on in self.on.items() if key[2] == endpoint})

    def names(self) -> set[str]:
        """The alarms that were on at any time."""
        return {name for name, *_ in self.on}

    def of(self, *name: str) -> np.ndarray:
        """For each evaluation whether an alarm was on: an alert's name, or with its variable and endpoint."""
        chosen = [on for key, on in self.on.items() if key[: len(name)] == name]
        return np.any(chosen, axis=0) if chosen else np.zeros(1, bool)

    def first(self, *name: str, after: int = 0) -> float:
        """The second of the first evaluation from `after` on at which the alarm was on; infinity if none."""
        later = np.flatnonzero(self.of(*name)[after // STEP :])
        return float(later[0] * STEP + after) if len(later) else float("inf")

    def last(self, *name: str) -> float:
        """The second of the last evaluation at which the alarm was on; minus infinity if none."""
        moments = np.flatnonzero(self.of(*name))
        return float(moments[-1] * STEP) if len(moments) else float("-inf")

    def always(self, *name: str, start: float, end: float) -> bool:
        """Whether the alarm was on at every evaluation from one second to another."""
        return bool(self.of(*name)[int(start) // STEP : int(end) // STEP].all())

    def episodes(self, *name: str) -> int:
        """How often the alarm went on."""
        on = self.of(*name)
        return int(on[0] + np.count_nonzero(on[1:] & ~on[:-1]))


def watch(*exported: dict[str, str], rules: Path = RULES) -> Alarms:
    """Put series through the rules, and tell which alarms they raised, and when.

    promtool shows values only where they are not what was expected: so nothing is expected, and it is asked
    for the alarms at every evaluation.
    """
    series = [{"series": name, "values": values} for each in exported for name, values in each.items()]
    moments = range(max(len(each["values"].split()) for each in series))
    # It answers even while all is silent, so that an answer that was not understood cannot pass for silence.
    firing = 'count by (alertname, variable, endpoint) (ALERTS{alertstate="firing"}) or vector(0)'
    questions = [{"expr": firing, "eval_time": f"{moment * STEP}s", "exp_samples": []} for moment in moments]
    test = {
        "rule_files": [str(rules)],
        "evaluation_interval": f"{STEP}s",
        "tests": [{"interval": f"{STEP}s", "input_series": series, "promql_expr_test": questions}],
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "test.yml")
        file.write_text(json.dumps(test))  # JSON is YAML, too
        done = promtool("test", "rules", file)
    answers = re.findall(r"^ *got: *(.*)$", done.stdout + done.stderr, re.MULTILINE)
    assert len(answers) == len(moments), f"promtool said:\n{(done.stdout + done.stderr)[:3000]}"
    on: dict[tuple[str, ...], np.ndarray] = {}
    for moment, answer in enumerate(answers):
        samples = re.findall(r"\{([^}]*)\} [\d.E+]+", answer)
        assert samples, answer
        for labels in samples:
            found = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            if found:
                key = tuple(found.get(label, "") for label in ("alertname", "variable", "endpoint"))
                on.setdefault(key, np.zeros(len(moments), bool))[moment] = True
    return Alarms(on)
