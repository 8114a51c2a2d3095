"""Simulate hours or days of requests, and count them as clearml-serving does.

Requests are whole rows of data/nasa.csv, so that features keep their correlations. Drift changes values.
How often each row is sent in each step is simulated, so that 200 requests a second cost no more than one.
What clearml-serving would export of them becomes the input of a promtool test: see alarms.py.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from asteroids.drift import reference_of
from asteroids.evaluation import rule_of_thumb
from asteroids.frozen_test_set import is_test_group
from global_config import LABEL_COLUMN, SERVING_ENDPOINT, WATCHED_FEATURES
from local_stack.endpoint_names import metric_name
from local_stack.prometheus import STATISTICS_JOB
from preprocess_serving import RANK, RANK_EDGES, RAW_COLUMNS, build_features, rank
from tests.support.checkouts import REPOSITORY

HOUR = 3600
RAMP_LEVELS = 20  # as many as a growing drift is simulated with

Series = dict[str, str]  # of a promtool test: a series, and its values with a blank between two
Numbers = npt.NDArray[Any]
Reference = dict[str, Any]


@cache
def table() -> pd.DataFrame:
    return pd.read_csv(REPOSITORY / "data" / "nasa.csv")


@cache
def training_rows() -> pd.DataFrame:
    return table()[~table()["Name"].map(is_test_group)]


@cache
def training_reference() -> Reference:
    """Return what a model holds that was trained on all but the test set."""
    return reference_to(training_rows())


def reference_to(rows: pd.DataFrame) -> Reference:
    """Return what a model holds that was trained on these rows."""
    features = build_features({name: rows[name].to_numpy() for name in RAW_COLUMNS}).astype(np.float32)
    return reference_of(features, rows[LABEL_COLUMN].to_numpy(int))


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

    def strength(self, seconds: Numbers) -> Numbers:
        """Return how strong it is at some times, from 0 to 1."""
        grown = (
            np.ceil(np.clip((seconds - self.start) / self.ramp, 0, 1) * RAMP_LEVELS)
            if self.ramp
            else RAMP_LEVELS
        )
        return ((seconds >= self.start) & (seconds < self.end)) * grown / RAMP_LEVELS

    def values(self, strength: float) -> pd.DataFrame:
        """Return the watched features of the table's rows as they are at this strength."""
        rows = table()[WATCHED_FEATURES].copy()
        for name, factor in self.factors.items():
            rows[name] *= 1 + (factor - 1) * strength
        for name, offset in self.offsets.items():
            rows[name] += offset * strength
        return rows


@dataclass
class Traffic:
    """How often each row was sent in each step, with which values.

    `parts` has for each state of the values the steps in which some had it, the values (rows, features), and
    the counts (steps, rows).
    """

    step: int  # seconds
    steps: int
    parts: list[tuple[Numbers, pd.DataFrame, Numbers]]

    def requests(self) -> Numbers:
        """Return the number of requests in each step; shape (steps,)."""
        return self.sums(lambda values: np.zeros(len(values), int), 1)[:, 0]

    def sums(
        self, group: Callable[[pd.DataFrame], Numbers], groups: int, kind: type[np.number] = np.int64
    ) -> Numbers:
        """Return the number of requests in each step and group; `group` gives that of each row's values."""
        total = np.zeros((self.steps, groups), kind)
        for steps, values, counts in self.parts:
            order = np.argsort(of_row := group(values), kind="stable")
            found, first = np.unique(of_row[order], return_index=True)
            total[np.ix_(steps, found)] += np.add.reduceat(counts[:, order], first, axis=1).astype(kind)
        return total


# How often each of the table's rows is sent in each step, given the number of requests in each step.
Choice = Callable[[np.random.Generator, Numbers], Numbers]


def at_random(random: np.random.Generator, requests: Numbers) -> Numbers:
    return random.multinomial(requests, np.full(len(table()), 1 / len(table())))


def send(
    rate: float | Callable[[Numbers], Numbers],
    hours: float,
    drift: Drift | None = None,
    *,
    seed: int = 0,
    step: int = 30,
    choice: Choice = at_random,
) -> Traffic:
    """Return traffic of `rate` requests a second (or a function of the seconds), Poisson distributed."""
    random = np.random.default_rng(seed)
    steps = int(hours * HOUR / step)
    begins = np.arange(steps) * float(step)
    requests = random.poisson(np.broadcast_to(rate(begins) if callable(rate) else rate, steps) * step)
    counts = choice(random, requests)
    if drift is None:
        return Traffic(step, steps, [(np.arange(steps), table()[WATCHED_FEATURES], counts)])
    strength = drift.strength(begins)
    hit = random.binomial(counts, drift.share * (strength > 0)[:, None])
    parts = [(np.arange(steps), drift.values(0), counts - hit)]
    for level in np.unique(strength[strength > 0]):
        chosen = np.flatnonzero(strength == level)
        parts.append((chosen, drift.values(level), hit[chosen]))
    return Traffic(step, steps, parts)


def export(
    traffic: Traffic,
    endpoint: str = SERVING_ENDPOINT,
    *,
    reference: Reference | None = None,
    restart: int | None = None,
    instance: str = "statistics:9999",
    model: int = 0x606E85CF,
    slow: float = 0.0,
    lag: int = 0,
) -> Series:
    """Return what Prometheus scrapes from clearml-serving meanwhile: for each series a value for each step.

    At second `restart` the statistics process starts again from zero. A share `slow` of the requests takes
    0.2 s, the others 2 ms. Counts are of requests that were sent `lag` seconds before.
    """
    reference = reference or training_reference()
    requests, steps = traffic.requests(), traffic.steps

    def series(name: str, values: Iterable[float], **labels: str) -> Series:
        labels = {"__name__": name, "instance": instance, "job": STATISTICS_JOB, **labels}
        selector = ",".join(f"{key}={json.dumps(value)}" for key, value in labels.items())
        return {f"{{{selector}}}": " ".join(f"{value:.12g}" for value in values)}

    def counter(name: str, gains: Numbers, **labels: str) -> Series:
        total = np.concatenate([[0], gains.cumsum()])
        if restart is not None:
            total[restart // traffic.step :] -= total[restart // traffic.step]
        return series(metric_name(f"{endpoint}:{name}"), total, **labels)

    def histogram(name: str, counts: Numbers, edges: list[str]) -> Series:
        found: Series = {}
        for number, edge in enumerate(edges):
            found |= counter(f"{name}_bucket", counts[:, number], le=edge)
        return found | counter(f"{name}_sum", requests, le="+Inf")  # for other le it is the same

    edges = [*map(str, RANK_EDGES), "+Inf"]
    exported = series("up", np.ones(steps + 1)) | counter("_count_total", requests)
    for name, about in reference["features"].items():

        def bucket(values: pd.DataFrame, name: str = name, about: Reference = about) -> Numbers:
            return np.searchsorted(RANK_EDGES, [rank(value, **about) for value in values[name]])

        exported |= histogram(RANK + name, traffic.sums(bucket, len(edges)), edges)
    # The definition stands in for the model, which agrees with it in 99 of 100 rows.
    exported |= histogram("y", traffic.sums(rule_of_thumb, 3), ["0.0", "1.0", "+Inf"])
    took = np.random.default_rng(0).binomial(requests, slow)
    exported |= histogram("_latency", np.array([requests - took, took]).T, ["0.005", "0.25"])
    about_model = {
        "model": model,
        "expected share": reference["share"],
        "training rows": reference["rows"],
        "watched features": len(reference["features"]),
    }
    for name, value in about_model.items():
        exported |= series(metric_name(f"{endpoint}:{name}"), np.full(steps + 1, value))
    # promtool's time begins with 0. Without requests the newest one stays the newest.
    newest = np.maximum.accumulate(
        np.where(np.append(0, requests) > 0, np.arange(steps + 1) * traffic.step - lag, -1)
    )
    return exported | series(metric_name(f"{endpoint}:sent"), newest)


def simulate(
    rate: float | Callable[[Numbers], Numbers], hours: float, drift: Drift | None = None, **options: Any
) -> Series:
    """Return what Prometheus scrapes, see `export`, of traffic, see `send`."""
    of_traffic = {key: options.pop(key) for key in ("seed", "step", "choice") if key in options}
    return export(send(rate, hours, drift, **of_traffic), **options)
