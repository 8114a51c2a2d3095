"""Simulate hours of requests, count them as clearml-serving does, and evaluate the alert rules on them.

Requests are whole rows of data/nasa.csv, drawn at random, so that features keep their correlations. Drift
changes their values. What clearml-serving would export becomes the input of a promtool test, and promtool
evaluates hours of it within seconds.
"""

import json
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from asteroids.drift import decile_edges
from asteroids.evaluation import rule_of_thumb
from asteroids.frozen_test_set import is_test_group
from global_config import SERVING_ENDPOINT, WATCHED_FEATURES
from local_stack.prometheus import STATISTICS_JOB, find_tools
from local_stack.settings import default_home

REPOSITORY = Path(__file__).resolve().parent.parent
RULES = REPOSITORY / "deploy" / "asteroid_alerts.yml"
TOOLS_CACHE = default_home() / "tools"

STEP = 30  # seconds between two scrapes and between two evaluations
HOUR = 3600

Series = dict[str, str]  # of a promtool test: a series, and its values with a blank between two
Steps = npt.NDArray[np.floating[Any]]


@cache
def table() -> pd.DataFrame:
    return pd.read_csv(REPOSITORY / "data" / "nasa.csv")


@cache
def training_edges() -> dict[str, list[float]]:
    """Return the edges in the commands that model_training.py prints: deciles of all but the test set."""
    seen = table()[~table()["Name"].map(is_test_group)]
    return {name: decile_edges(name, seen[name].to_numpy()) for name in WATCHED_FEATURES}


@dataclass
class Drift:
    """A change of values between two times, in seconds since the beginning.

    It multiplies the features in `factors` and adds to those in `offsets`, in a `share` of the requests. The
    change grows over the first `ramp` seconds.
    """

    start: int
    end: int
    factors: dict[str, float] = field(default_factory=dict)
    offsets: dict[str, float] = field(default_factory=dict)
    share: float = 1.0
    ramp: int = 0

    def apply(self, rows: pd.DataFrame, seconds: Steps, random: np.random.Generator) -> None:
        """Change the rows in place; `seconds` says when each was sent."""
        hit = (seconds >= self.start) & (seconds < self.end) & (random.random(len(rows)) < self.share)
        strength = hit * np.clip((seconds - self.start) / self.ramp if self.ramp else 1.0, 0, 1)
        for name, factor in self.factors.items():
            rows[name] *= 1 + (factor - 1) * strength
        for name, offset in self.offsets.items():
            rows[name] += offset * strength


def simulate(
    rate: float | Callable[[Steps], Steps],
    hours: float,
    drift: Drift | None = None,
    *,
    seed: int = 0,
    endpoint: str = SERVING_ENDPOINT,
    edges: dict[str, list[float]] | None = None,
    restart: int | None = None,
    instance: str = "statistics:9999",
) -> Series:
    """Return what Prometheus scrapes from clearml-serving while `rate` requests a second come in.

    Each series has a value for each step. `rate` may be a function of the seconds. The requests are Poisson
    distributed. At second `restart` the statistics process starts again from zero.
    """
    random = np.random.default_rng(seed)
    steps = int(hours * HOUR / STEP)
    begins = np.arange(steps) * float(STEP)
    requests = random.poisson(np.broadcast_to(rate(begins) if callable(rate) else rate, steps) * STEP)
    step = np.repeat(np.arange(steps), requests)
    rows = table()[WATCHED_FEATURES].iloc[random.integers(0, len(table()), len(step))]
    rows = rows.reset_index(drop=True)
    if drift:
        drift.apply(rows, begins[step], random)

    # The definition stands in for the model, which agrees with it in 99 of 100 rows.
    values = {**{name: rows[name].to_numpy() for name in WATCHED_FEATURES}, "y": rule_of_thumb(rows)}
    bounds = {**(training_edges() if edges is None else edges), "y": [0.0, 1.0]}

    def series(name: str, values: npt.NDArray[np.int64], **labels: str) -> Series:
        labels = {"__name__": name, "instance": instance, "job": STATISTICS_JOB, **labels}
        selector = ",".join(f"{key}={json.dumps(value)}" for key, value in labels.items())
        return {f"{{{selector}}}": " ".join(map(str, values))}

    def counter(name: str, gains: npt.NDArray[np.int64], **labels: str) -> Series:
        total = np.concatenate([[0], gains.cumsum()])
        if restart is not None:
            total[restart // STEP :] -= total[restart // STEP]
        return series(metric_name(f"{endpoint}:{name}"), total, **labels)

    exported = series("up", np.ones(steps + 1, np.int64)) | counter("_count_total", requests)
    for name, upper in bounds.items():
        # The first bucket whose upper bound is not below the value; the last one is infinite.
        bucket = np.searchsorted(upper, values[name], side="left")
        for number, bound in enumerate([*map(str, map(float, upper)), "+Inf"]):
            counts = np.bincount(step[bucket == number], minlength=steps)
            exported |= counter(f"{name}_bucket", counts, le=bound)
            exported |= counter(f"{name}_sum", requests, le=bound)
    return exported


def metric_name(name: str) -> str:
    """Return the name of an endpoint or a variable as clearml-serving writes it into its metrics."""
    return re.sub(r"[^(a-zA-Z0-9_:)]", "_", name)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool with the arguments; raise ProgramsNotFound, with the remedy, if there is none."""
    command = [find_tools(TOOLS_CACHE).promtool, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=3600)


class Alarms:
    """Which alerts were on at which of the evaluations."""

    def __init__(self, on: dict[tuple[str, ...], npt.NDArray[np.bool_]]) -> None:
        """Take for each alert, by its name, variable and endpoint, whether it was on at each evaluation."""
        self.on = on

    def at(self, endpoint: str) -> "Alarms":
        """Return those about one endpoint."""
        return Alarms({key: on for key, on in self.on.items() if key[2] == endpoint})

    def names(self) -> set[str]:
        """Return the names of the alerts that were on at any time."""
        return {name for name, *_ in self.on}

    def of(self, *name: str) -> npt.NDArray[np.bool_]:
        """Return for each evaluation whether an alert was on: its name, or with its variable and endpoint."""
        chosen = [on for key, on in self.on.items() if key[: len(name)] == name]
        return np.any(chosen, axis=0) if chosen else np.zeros(1, bool)

    def first(self, *name: str, after: int = 0) -> float:
        """Return the second of the first evaluation from `after` on with the alert on; infinity if none."""
        later = np.flatnonzero(self.of(*name)[after // STEP :])
        return float(later[0] * STEP + after) if len(later) else float("inf")

    def last(self, *name: str) -> float:
        """Return the second of the last evaluation with the alert on; minus infinity if none."""
        times = np.flatnonzero(self.of(*name))
        return float(times[-1] * STEP) if len(times) else float("-inf")

    def always(self, *name: str, start: float, end: float) -> bool:
        """Return whether the alert was on at every evaluation from one second to another."""
        return bool(self.of(*name)[int(start) // STEP : int(end) // STEP].all())

    def episodes(self, *name: str) -> int:
        """Return how often the alert went on."""
        on = self.of(*name)
        return int(on[0] + np.count_nonzero(on[1:] & ~on[:-1]))


def watch(*exported: Series, rules: Path = RULES) -> Alarms:
    """Evaluate the rules on series, and return which alerts were on, and when.

    promtool prints only values that differ from the expected ones: so the test expects nothing, and asks for
    the alerts at every evaluation.
    """
    merged = {name: values for each in exported for name, values in each.items()}
    steps = range(max(len(values.split()) for values in merged.values()))
    # The vector(0) is an answer when no alert is on: a missing answer must not pass for silence.
    firing = 'count by (alertname, variable, endpoint) (ALERTS{alertstate="firing"}) or vector(0)'
    test = {
        "rule_files": [str(rules)],
        "evaluation_interval": f"{STEP}s",
        "tests": [
            {
                "interval": f"{STEP}s",
                "input_series": [{"series": name, "values": values} for name, values in merged.items()],
                "promql_expr_test": [
                    {"expr": firing, "eval_time": f"{step * STEP}s", "exp_samples": []} for step in steps
                ],
            }
        ],
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "test.yml")
        file.write_text(json.dumps(test))  # JSON is YAML, too
        done = promtool("test", "rules", file)
    answers = re.findall(r"^ *got: *(.*)$", done.stdout + done.stderr, re.MULTILINE)
    assert len(answers) == len(steps), f"promtool printed:\n{(done.stdout + done.stderr)[:3000]}"
    on: dict[tuple[str, ...], npt.NDArray[np.bool_]] = {}
    for step, answer in enumerate(answers):
        samples = re.findall(r"\{([^}]*)\} [\d.E+]+", answer)
        assert samples, answer
        for labels in samples:
            found = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            if found:
                key = tuple(found.get(label, "") for label in ("alertname", "variable", "endpoint"))
                on.setdefault(key, np.zeros(len(steps), bool))[step] = True
    return Alarms(on)
