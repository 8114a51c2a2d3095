"""Measure how soon alerts are raised, and how often falsely: ours, and that of the reference example.

    python -m demo.benchmark_alerts              # five simulated days for each rate, some minutes
    python -m demo.benchmark_alerts --days 10

docs/measurements.md quotes what this prints. Requests are simulated; promtool evaluates both sets of rules on
them.
"""

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path

from asteroids.physics import MAGNITUDE, MOID
from demo.simulated_traffic import (
    HOUR,
    RULES,
    STEP,
    Alarms,
    Drift,
    metric_name,
    promtool,
    simulate,
    watch,
)
from local_stack.errors import ProgramsNotFound

# Squared difference between a bucket's share of the last minute and that of the last ten, in per cent.
REFERENCE_FORMULA = """
    ((100 * increase({bucket}[1m]) / increase({sum}[1m]))
    - (100 * increase({bucket}[10m]) / increase({sum}[10m]))) ^ 2
"""
REFERENCE_THRESHOLD = 15

START, END = HOUR, 3 * HOUR
DRIFTS = {
    "MOID doubled": Drift(START, END, factors={MOID: 2}),
    "both doubled": Drift(START, END, factors={MOID: 2, MAGNITUDE: 2}),
    "MOID doubled within an hour": Drift(START, END, factors={MOID: 2}, ramp=HOUR),
    "both doubled in 30 % of requests": Drift(START, END, factors={MOID: 2, MAGNITUDE: 2}, share=0.3),
    "MOID doubled in 30 % of requests": Drift(START, END, factors={MOID: 2}, share=0.3),
}
RATES = (0.5, 1, 50)


def reference_expression(metric: str) -> str:
    """Return the reference's formula for one of its metrics: the largest value over the buckets."""
    formula = REFERENCE_FORMULA.format(bucket=f"{metric}_bucket", sum=f"{metric}_sum")
    return f"max without (le) ({formula})"


def reference_rules(folder: Path, endpoints: list[str]) -> Path:
    """Write the reference's alert on both features of each endpoint as a file of rules."""
    rules = [
        {
            "alert": "Reference",
            "expr": f"{reference_expression(metric)} > {REFERENCE_THRESHOLD}",
            "labels": {"variable": name, "endpoint": endpoint},
        }
        for endpoint in endpoints
        for name in map(metric_name, (MAGNITUDE, MOID))
        for metric in [f"{endpoint}:{name}"]
    ]
    file = folder / "reference.yml"
    file.write_text(json.dumps({"groups": [{"name": "reference", "rules": rules}]}))
    return file


def simulate_runs(
    folder: Path, rate: float, hours: float, runs: int, drift: Drift | None = None
) -> tuple[list[str], Alarms]:
    """Return the endpoints, one for each run, and the alarms of both sets of rules at all of them."""
    endpoints = [f"asteroid_{seed}" for seed in range(runs)]
    traffic = [simulate(rate, hours, drift, seed=n, endpoint=name) for n, name in enumerate(endpoints)]
    theirs = watch(*traffic, rules=reference_rules(folder, endpoints))
    return endpoints, Alarms(watch(*traffic).on | theirs.on)


def print_false_alarms(folder: Path, days: int) -> None:
    alerts = ["Reference", "MajorDrift", "MinorDrift", "PositiveShareDrift"]
    print(f"False alarms on normal traffic, {days} days each. How often a day · share of the time it is on:")
    print(f"{'requests/s':>10}", *(f"{alert:>22}" for alert in alerts))
    for rate in RATES:
        endpoints, alarms = simulate_runs(folder, rate, 24, days)
        shown = []
        for alert in alerts:
            of_alert = [alarms.at(endpoint).of(alert) for endpoint in endpoints]
            often = sum(alarms.at(endpoint).episodes(alert) for endpoint in endpoints) / days
            shown.append(f"{often:.2f} · {sum(on.mean() for on in of_alert) / days:.1%}")
        print(f"{rate:>10}", *(f"{text:>22}" for text in shown), flush=True)


def print_detection(folder: Path, seeds: int) -> None:
    alerts = ["Reference", "MajorDrift", "MinorDrift"]
    print(
        f"\nDrift of two hours, median of {seeds} runs. Seconds to the alarm · share of the drift it is on:"
    )
    print(f"{'':>34} {'requests/s':>10}", *(f"{alert:>20}" for alert in alerts))
    for name, drift in DRIFTS.items():
        for rate in RATES:
            endpoints, alarms = simulate_runs(folder, rate, 3, seeds, drift)
            shown = [summary(alarms, alert, endpoints) for alert in alerts]
            print(f"{name:>34} {rate:>10}", *(f"{text:>20}" for text in shown), flush=True)


def summary(alarms: Alarms, alert: str, endpoints: list[str]) -> str:
    """Return the median time to the first alarm, and the median share of the drift's time with it on."""
    seconds, shares = [], []
    for endpoint in endpoints:
        here = alarms.at(endpoint)
        on = here.of(alert)[START // STEP : END // STEP]
        on_before = on.size and on[0]  # then it says nothing about the drift
        seconds.append(-math.inf if on_before else here.first(alert, after=START) - START)
        shares.append(on.mean() if on.size else 0.0)
    middle = len(seconds) // 2
    first, share = sorted(seconds)[middle], sorted(shares)[middle]
    words = {math.inf: "never", -math.inf: "on before"}
    return words.get(first, f"{first:.0f} · {share:.0%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--days", type=int, default=5, help="simulated days of normal traffic for each rate")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each drift")
    arguments = parser.parse_args()
    try:
        promtool("--version")
    except ProgramsNotFound as error:
        sys.exit(str(error))
    print(f"Rules of {RULES.name}; scraped and evaluated every {STEP} s.\n")
    with tempfile.TemporaryDirectory() as folder:
        print_false_alarms(Path(folder), arguments.days)
        print_detection(Path(folder), arguments.seeds)


if __name__ == "__main__":
    main()
