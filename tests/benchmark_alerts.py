"""Measure how soon drift is told and how often falsely, by our alert rules and by what else one could use.

    python -m tests.benchmark_alerts                 # 60 simulated days a row: an hour or two
    python -m tests.benchmark_alerts --days 6        # a tenth of them
    python -m tests.benchmark_alerts --only drift    # the first table alone, some minutes
    python -m tests.benchmark_alerts --only quiet --rows nights waves --days 30

Requests are simulated from the table, and promtool evaluates the rules on them. On the same windows, of 2
minutes, 20 minutes and 2 hours, each watched feature is compared with training by

- the Wasserstein distance, divided by the standard deviation: above 0.1. That is what Evidently does by
  default with a numerical column of which it knows more than 1,000 rows. Here a window must hold more than
  1,000 requests, too: of fewer, chance alone makes 0.1, and at one request a second it would be on most of
  the time. With fewer it would also be sooner, by chance or not;
- the test of Kolmogorov and Smirnov: p below 0.05, as is usual, and below 1e-9, about what our rules ask for.

README quotes what this prints.
"""

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain, product
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kstwobign

from asteroids.physics import MAGNITUDE, MOID
from global_config import WATCHED_FEATURES
from local_stack.errors import ProgramsNotFound
from tests.support.alarms import RULES, Alarms, promtool, watch
from tests.support.simulated_traffic import (
    HOUR,
    Choice,
    Drift,
    Numbers,
    Series,
    Traffic,
    at_random,
    export,
    reference_to,
    send,
    table,
    training_rows,
)

WINDOWS = (120, 1200, 7200)  # seconds
DRIFT_STEP, QUIET_STEP = 30, 60  # seconds between two scrapes, in the two tables
QUIET_EVERY = 2  # at every second of these quiet traffic is evaluated: more takes hours
RUN_DAYS = 3  # of quiet traffic: so many days in one go, from an empty Prometheus on
AT_ONCE = 5  # so many runs at once, as endpoints of one Prometheus
LOOK_EVERY = 5  # of quiet traffic the others look at every fifth evaluation alone, in their favour

START, END = 2 * HOUR, 4 * HOUR
DRIFTS = {
    "H + 0.25 mag": Drift(START, END, offsets={MAGNITUDE: 0.25}),
    "MOID × 1.1": Drift(START, END, factors={MOID: 1.1}),
    "MOID × 1.2": Drift(START, END, factors={MOID: 1.2}),
    "MOID × 2 in 30 %": Drift(START, END, factors={MOID: 2}, share=0.3),
    "MOID × 2 in 50 %": Drift(START, END, factors={MOID: 2}, share=0.5),
    "MOID in km in 10 %": Drift(START, END, factors={MOID: 149_597_870.7}, share=0.1),
    "H + 1.5 mag": Drift(START, END, offsets={MAGNITUDE: 1.5}),
    "both × 2": Drift(START, END, factors={MOID: 2, MAGNITUDE: 2}),
    "MOID × 2 within an hour": Drift(START, END, factors={MOID: 2}, ramp=HOUR),
}
RATES = (5, 50, 200)

URGENT = ("MajorDrift", "OutOfRange")
OURS = (*URGENT, "MinorDrift")
OTHERS = ("Wasserstein > 0.1", "KS, p < 0.05", "KS, p < 1e-9")


# Other ways


def windowed(counts: Numbers, length: int) -> Numbers:
    """Return the sums of counts (steps, n) over the last `length` steps; shape (steps, n)."""
    total = np.concatenate([np.zeros((1, counts.shape[1]), counts.dtype), counts.cumsum(axis=0)])
    last = np.arange(1, len(total))
    return total[last] - total[np.maximum(last - length, 0)]


def other_alarms(traffic: Traffic, every: int = 1) -> dict[str, Numbers]:
    """Return for each of OTHERS whether it tells a drift, at each `every`-th step; shape (steps,)."""
    looks = np.arange(every - 1, traffic.steps, every)
    on = {name: np.zeros(len(looks), bool) for name in OTHERS}
    for feature in WATCHED_FEATURES:
        known = np.sort(training_rows()[feature].to_numpy())
        values = np.unique(np.concatenate([known, *(part[1][feature] for part in traffic.parts)]))
        counts = traffic.sums(
            lambda rows, f=feature, v=values: np.searchsorted(v, rows[f]), len(values), np.float32
        )
        share_known = np.searchsorted(known, values, side="right") / len(known)
        gaps = np.diff(values)
        for seconds in WINDOWS:
            within = windowed(counts, seconds // traffic.step)[looks].cumsum(axis=1)
            n = within[:, -1]
            distance = np.abs(within / np.maximum(n, 1)[:, None] - share_known.astype(np.float32))
            wasserstein = (distance[:, :-1] @ gaps.astype(np.float32)) / known.std()
            largest = distance.max(axis=1) * np.sqrt(n * len(known) / np.maximum(n + len(known), 1))
            on["Wasserstein > 0.1"] |= (n > 1000) & (wasserstein > 0.1)
            on["KS, p < 0.05"] |= largest > kstwobign.isf(0.05)
            on["KS, p < 1e-9"] |= largest > kstwobign.isf(1e-9)
    return on


# Drift


def run_drift(name: str, rate: float, seed: int) -> tuple[Alarms, dict[str, Numbers]]:
    """Return our alarms, and those of the others, on one run of a drift."""
    traffic = send(rate, END / HOUR, DRIFTS[name], seed=seed, step=DRIFT_STEP)
    return watch(export(traffic), step=DRIFT_STEP), other_alarms(traffic)


def told(on: Numbers) -> float:
    """Return how many seconds after its start a drift was told; infinity if never, minus if before."""
    start = START // DRIFT_STEP
    if len(on) <= start:
        return np.inf
    if on[start]:
        return -np.inf
    (later,) = np.nonzero(on[start:])
    return float(later[0] * DRIFT_STEP) if len(later) else np.inf


def in_words(seconds: list[float]) -> str:
    """Return the median of some times, in words."""
    middle = sorted(seconds)[len(seconds) // 2]
    return {np.inf: "never", -np.inf: "on before"}.get(middle, f"{middle:.0f} s")


def print_drifts(pool: ProcessPoolExecutor, seeds: int) -> None:
    """Print how soon each drift is told, and whether it stays told."""
    print(f"From the start of a drift to the first alarm, median of {seeds} runs.")
    print("In brackets, the share of the drift's second hour with the alarm on.")
    print_row("", "requests/s", "urgent", "any of ours", *OTHERS)
    jobs = list(product(DRIFTS, RATES, range(seeds)))
    results = dict(zip(jobs, pool.map(run_drift, *zip(*jobs, strict=True)), strict=True))
    for name, rate in product(DRIFTS, RATES):
        runs = [results[name, rate, seed] for seed in range(seeds)]
        cells = []
        for alerts in (URGENT, OURS):
            on = [np.any([pad(alarms.of(alert)) for alert in alerts], axis=0) for alarms, _ in runs]
            cells.append(
                f"{in_words([told(each) for each in on])} ({np.mean([each[-120:] for each in on]):.0%})"
            )
        for other in OTHERS:
            # A step's counts are scraped at its end: ours are of one step before.
            on = [np.concatenate([[False], each[other]]) for _, each in runs]
            cells.append(
                f"{in_words([told(each) for each in on])} ({np.mean([each[-120:] for each in on]):.0%})"
            )
        print_row(name, f"{rate:g}", *cells)


def pad(on: Numbers) -> Numbers:
    """Return what `Alarms.of` gives, of full length also where an alert was never on."""
    return on if len(on) > 1 else np.zeros(END // DRIFT_STEP + 1, bool)


# Quiet


def nights(seconds: Numbers, rate: float) -> Numbers:
    """Return the rate with ten hours without requests each day."""
    return np.where(seconds % (24 * HOUR) < 14 * HOUR, rate, 0.0)


def waves(seconds: Numbers, rate: float) -> Numbers:
    """Return the rate going up and down with the day, to nearly none."""
    return rate * (1.01 + np.sin(2 * np.pi * seconds / (24 * HOUR)))


def from_the_third_hour(seconds: Numbers, rate: float) -> Numbers:
    """Return the rate of a deployment that nobody uses at first."""
    return np.where(seconds < 3 * HOUR, 0.0, rate)


def in_table_order(random: np.random.Generator, requests: Numbers) -> Numbers:
    """Send the table from its top to its bottom, again and again."""
    rows = len(table())
    ends = requests.cumsum()
    whole, first = requests // rows, (ends - requests) % rows
    place = (np.arange(rows) - first[:, None]) % rows  # of each row after the first one of a step
    return whole[:, None] + (place < (requests % rows)[:, None])


def by_popularity(random: np.random.Generator, requests: Numbers) -> Numbers:
    """Send some asteroids more often than others: the k-th most popular 1/k times as often (Zipf)."""
    weights = 1 / random.permutation(np.arange(1, len(table()) + 1))
    return random.multinomial(requests, weights / weights.sum())


def in_bursts(random: np.random.Generator, requests: Numbers) -> Numbers:
    """Double the traffic for five minutes about once in six hours, by one row alone."""
    counts = at_random(random, requests)
    length = 300 // QUIET_STEP
    for begin in np.flatnonzero(random.random(len(requests)) < QUIET_STEP / (6 * HOUR)):
        counts[begin : begin + length, random.integers(len(table()))] += requests[begin : begin + length]
    return counts


def steady(seconds: Numbers, rate: float) -> Numbers:
    return np.full(len(seconds), float(rate))


QUIET: dict[str, tuple[Callable[[Numbers, float], Numbers], Choice, tuple[float, ...], str]] = {
    "independent": (steady, at_random, (0.1, 0.5, 1, 5, 50, 200), ""),
    "nights of ten hours": (nights, at_random, (5,), ""),
    "waves of a day": (waves, at_random, (5,), ""),
    "no traffic for three hours": (from_the_third_hour, at_random, (5,), ""),
    "statistics restarts every 3 days": (steady, at_random, (5,), "restart"),
    "another champion every 3 days": (steady, at_random, (5,), "champion"),
    "bursts of one asteroid": (steady, in_bursts, (5,), ""),
    "in the table's order": (steady, in_table_order, (5,), ""),
    "Zipf's popularity": (steady, by_popularity, (5,), ""),
    "asteroids of the other half": (steady, at_random, (5,), "other half"),
}


def quiet_runs(name: str, rate: float, seeds: range) -> list[tuple[Alarms, dict[str, Numbers]]]:
    """Return our alarms, and those of the others, on some runs of traffic that does not drift."""
    exported, others = [], []
    for seed in seeds:
        shape, choice, _, event = QUIET[name]
        if event == "other half":
            choice = partial(of_other_half, seed=seed)
        traffic = send(partial(shape, rate=rate), 24 * RUN_DAYS, seed=seed, step=QUIET_STEP, choice=choice)
        options: dict[str, Any] = {"endpoint": f"run_{seed}"}
        if event == "restart":
            options["restart"] = 36 * HOUR
        if event == "other half":
            options["reference"] = reference_to(table()[in_half(seed)])
        exported.append(switched(traffic, **options) if event == "champion" else export(traffic, **options))
        others.append(other_alarms(traffic, LOOK_EVERY))
    alarms = watch(*exported, step=QUIET_STEP, every=QUIET_EVERY)
    of_service = alarms.at("")
    return [
        (
            Alarms(alarms.at(f"run_{seed}").on | (of_service.on if seed == seeds[0] else {}), alarms.step),
            other,
        )
        for seed, other in zip(seeds, others, strict=True)
    ]


def in_half(seed: int) -> Numbers:
    """Return which rows are of a random half of the asteroids; shape (rows,)."""
    names = table()["Name"]
    chosen = pd.Series(np.random.default_rng(seed).random(names.nunique()) < 0.5, index=names.unique())
    return names.map(chosen).to_numpy()


def of_other_half(random: np.random.Generator, requests: Numbers, seed: int) -> Numbers:
    """Send rows of the asteroids alone that the model has not learned from."""
    weights = ~in_half(seed) / np.sum(~in_half(seed))
    return random.multinomial(requests, weights)


def switched(traffic: Traffic, endpoint: str) -> Series:
    """Return what is scraped while a champion that has learned from more takes over in the middle."""
    middle = traffic.steps // 2
    first, second = (
        Traffic(traffic.step, traffic.steps, [(steps[chosen], values, counts[chosen])])
        for steps, values, counts in traffic.parts
        for chosen in (steps < middle, steps >= middle)
    )
    one = export(first, endpoint)
    two = export(second, endpoint, reference=reference_to(table()), model=1)
    merged = {}
    for name, values in one.items():
        numbers, others = np.array(values.split(), float), np.array(two[name].split(), float)
        gauge = any(word in name for word in ('"up"', ":model", "_share", "_rows", "_features", ":sent"))
        steps = np.arange(len(numbers))
        both = np.where(steps <= middle, numbers, others) if gauge else numbers + others
        merged[name] = " ".join(f"{value:.12g}" for value in both)
    return merged


def print_quiet(pool: ProcessPoolExecutor, days: int, wanted: list[str]) -> None:
    """Print how often alarms are raised by traffic that does not drift, of the wanted rows or all."""
    runs = max(1, days // RUN_DAYS)
    print(f"\nTraffic without drift, {runs * RUN_DAYS} days a row.")
    print("How often an alarm went on, and in brackets the share of the time.")
    print_row("", "requests/s", "MajorDrift", "OutOfRange", "MinorDrift", "other alerts", *OTHERS)
    for name, (_, _, rates, _) in QUIET.items():
        for rate in rates:
            if wanted and not any(word in f"{name} {rate:g}" for word in wanted):
                continue
            batches = [range(first, min(first + AT_ONCE, runs)) for first in range(0, runs, AT_ONCE)]
            found = list(chain.from_iterable(pool.map(partial(quiet_runs, name, rate), batches)))
            cells = [often([alarms.of(alert) for alarms, _ in found]) for alert in OURS]
            rest = sorted({alert for alarms, _ in found for alert in alarms.names()} - set(OURS))
            cells.append(", ".join(rest) or "0")
            cells += [often([on[other] for _, on in found]) for other in OTHERS]
            print_row(name, f"{rate:g}", *cells)


def often(runs: list[Numbers]) -> str:
    """Return how often something went on in some runs, and the share of the time."""
    times = sum(int(on[0]) + np.count_nonzero(on[1:] & ~on[:-1]) for on in runs)
    return f"{times} ({np.mean([on.mean() for on in runs]):.1%})" if times else "0"


def print_row(name: str, rate: str, *cells: str) -> None:
    print(f"{name:>32} {rate:>10}", *(f"{cell:>18}" for cell in cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--days", type=int, default=60, help="simulated days a row of traffic without drift")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each drift")
    parser.add_argument(
        "--rows", nargs="+", default=[], help="only rows with one of these words, of the second"
    )
    parser.add_argument("--only", choices=["drift", "quiet"], help="one of the two tables")
    arguments = parser.parse_args()
    try:
        promtool("--version")
    except ProgramsNotFound as error:
        sys.exit(str(error))
    print(f"Rules of {RULES.name}\n")
    with ProcessPoolExecutor(max_workers=2) as pool:
        if arguments.only != "quiet":
            print_drifts(pool, arguments.seeds)
        if arguments.only != "drift":
            print_quiet(pool, arguments.days, arguments.rows)


if __name__ == "__main__":
    main()
