"""asteroid_alerts.yml: silent on normal traffic, on for as long as there is drift, silent again after it.

promtool evaluates the rules themselves, over hours of requests simulated from the real table. For figures
over days of traffic run demo/benchmark_alerts.py.
"""

import re
from collections.abc import Callable

import numpy as np
import pytest

from asteroids.physics import MAGNITUDE, MOID
from demo.simulated_traffic import (
    HOUR,
    RULES,
    STEP,
    TOOLS_CACHE,
    Alarms,
    Drift,
    Series,
    promtool,
    simulate,
    training_edges,
    watch,
)
from local_stack.errors import ProgramsNotFound
from local_stack.prometheus import find_tools
from local_stack.tests.programs import skip_outside_ci

pytestmark = pytest.mark.e2e

# When the simulated drifts begin and end: before and after them traffic is normal for long enough to show it.
MINUTE = 60
START, END = 30 * MINUTE, 100 * MINUTE
HOURS = 2.75

H_DRIFT = ("MajorDrift", "Absolute_Magnitude")
MOID_DRIFT = ("MajorDrift", "Minimum_Orbit_Intersection")
MOID_SHIFT = ("MinorDrift", "Minimum_Orbit_Intersection")


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    """Without Prometheus's promtool these tests are skipped; in CI they fail."""
    try:
        find_tools(TOOLS_CACHE)
    except ProgramsNotFound as error:
        skip_outside_ci(str(error))


def test_promtool_accepts_the_file():
    checked = promtool("check", "rules", RULES)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def tide(seconds: np.ndarray) -> np.ndarray:
    """Requests a second that swing from nearly none to 20 and back within an hour."""
    return 10 + 9.9 * np.sin(2 * np.pi * seconds / HOUR)


# Each on an endpoint of its own, so that one run of promtool serves all.
NORMAL = {
    "normal_half": {"rate": 0.5},
    "normal_half_again": {"rate": 0.5},
    "normal_1": {"rate": 1},
    "normal_1_again": {"rate": 1},
    "normal_50": {"rate": 50},
    "normal_50_again": {"rate": 50},
    "normal_tide": {"rate": tide},
}
DRIFTS = {
    "moid_50": {"rate": 50, "drift": Drift(START, END, factors={MOID: 2})},
    "moid_1": {"rate": 1, "drift": Drift(START, END, factors={MOID: 2})},
    "moid_half": {"rate": 0.5, "drift": Drift(START, END, factors={MOID: 2})},
    "both_50": {"rate": 50, "drift": Drift(START, END, factors={MAGNITUDE: 2, MOID: 2})},
    "both_1": {"rate": 1, "drift": Drift(START, END, factors={MAGNITUDE: 2, MOID: 2})},
    "fainter_5": {"rate": 5, "drift": Drift(START, END, offsets={MAGNITUDE: 1.5})},
    "three_in_ten_50": {"rate": 50, "drift": Drift(START, END, factors={MAGNITUDE: 2}, share=0.3)},
    "ramp_50": {"rate": 50, "drift": Drift(START, END, factors={MOID: 2}, ramp=HOUR)},
    "ramp_1": {"rate": 1, "drift": Drift(START, END, factors={MOID: 2}, ramp=HOUR)},
    "few_50": {"rate": 50, "drift": Drift(START, END, factors={MOID: 2}, share=0.3)},
}


@pytest.fixture(scope="module")
def alarms_of() -> Callable[[str], Alarms]:
    """The alarms of each of the scenarios above, by its name."""
    scenarios = {f"asteroid_{name}": scenario for name, scenario in (NORMAL | DRIFTS).items()}
    traffic = [
        simulate(**scenario, hours=HOURS, seed=seed, endpoint=endpoint)
        for seed, (endpoint, scenario) in enumerate(scenarios.items())
    ]
    alarms = watch(*traffic)
    return lambda name: alarms.at(f"asteroid_{name}")


@pytest.mark.parametrize("traffic", NORMAL)
def test_normal_traffic_raises_no_alarm(traffic, alarms_of):
    assert alarms_of(traffic).names() == set()


@pytest.mark.parametrize(
    ("traffic", "drifted", "minutes"),
    [
        ("moid_50", {MOID_DRIFT}, 4),
        ("moid_1", {MOID_DRIFT}, 8),
        ("moid_half", {MOID_DRIFT}, 12),
        ("both_50", {H_DRIFT, MOID_DRIFT}, 4),
        ("both_1", {H_DRIFT, MOID_DRIFT}, 8),
        ("fainter_5", {H_DRIFT}, 4),
        ("three_in_ten_50", {H_DRIFT}, 4),
    ],
)
def test_a_drift_raises_its_alarm_in_time_and_until_its_end(traffic, drifted, minutes, alarms_of):
    alarms = alarms_of(traffic)
    assert {key[:2] for key in alarms.on if key[0] == "MajorDrift"} == drifted
    # What was there before the drift would be a false alarm.
    assert min(alarms.first(*key) for key in alarms.on) > START
    for key in drifted:
        raised = alarms.first(*key)
        assert raised <= START + minutes * MINUTE
        assert alarms.always(*key, start=raised, end=END)


@pytest.mark.parametrize("traffic", DRIFTS)
def test_after_a_drift_there_is_silence_again(traffic, alarms_of):
    alarms = alarms_of(traffic)
    # Where an hour of traffic had to be looked at, it takes most of that to forget.
    assert alarms.last("MajorDrift") <= END + (45 if traffic == "moid_half" else 12) * MINUTE
    assert max(alarms.last(*key) for key in alarms.on) <= END + HOUR


@pytest.mark.parametrize("traffic", ["ramp_50", "ramp_1"])
def test_a_slow_drift_is_noticed_as_a_shift_and_raises_the_alarm_before_it_is_complete(traffic, alarms_of):
    alarms = alarms_of(traffic)
    assert START < alarms.first(*MOID_SHIFT) <= START + HOUR
    raised = alarms.first(*MOID_DRIFT)
    assert START < raised < START + HOUR
    assert alarms.always(*MOID_DRIFT, start=raised, end=END)


def test_a_change_in_few_requests_is_a_shift_and_no_drift(alarms_of):
    alarms = alarms_of("few_50")
    assert alarms.names() == {"MinorDrift"}
    assert START < alarms.first(*MOID_SHIFT) <= START + HOUR
    assert alarms.always(*MOID_SHIFT, start=alarms.first(*MOID_SHIFT), end=END)


def test_other_answers_to_the_same_requests_raise_the_alarm_of_the_positive_share_alone():
    normal = simulate(5, 2)
    answers = simulate(5, 2, Drift(START, 2 * HOUR, offsets={MAGNITUDE: 9}))
    alarms = watch(normal | {name: counts for name, counts in answers.items() if ":y_" in name})
    assert alarms.names() == {"PositiveShareDrift"}
    raised = alarms.first("PositiveShareDrift")
    assert START < raised <= START + 40 * MINUTE
    assert alarms.always("PositiveShareDrift", start=raised, end=2 * HOUR)


def test_the_end_of_all_requests_raises_an_alarm_that_ends_with_the_next_ones():
    def pause(seconds: np.ndarray) -> np.ndarray:
        return np.where((seconds >= START) & (seconds < HOUR), 0, 2)

    alarms = watch(simulate(pause, hours=1.5))
    assert alarms.names() == {"NoRequests"}
    assert START + 10 * MINUTE <= alarms.first("NoRequests") <= START + 17 * MINUTE
    assert alarms.last("NoRequests") <= HOUR + MINUTE


def test_a_version_that_another_has_replaced_is_not_missed():
    old = simulate(lambda seconds: np.where(seconds < HOUR / 2, 2, 0), 2, endpoint="asteroid_1")
    new = simulate(lambda seconds: np.where(seconds < HOUR / 2, 0, 2), 2, endpoint="asteroid_2")
    assert watch(old, new).names() == set()


def test_no_requests_since_the_beginning_raise_the_alarm_and_a_dead_statistics_process_its_own():
    steps = HOUR // 2 // STEP
    up = 'up{job="clearml-inference-stats",instance="statistics:9999"}'
    assert watch({up: "1 " * steps}).names() == {"NoRequests"}
    alarms = watch({up: "1 " * 10 + "0 " * (steps - 10)})
    assert alarms.names() == {"NoRequests", "StatisticsDown"}
    assert alarms.first("StatisticsDown") <= 11 * STEP + 2 * MINUTE


def test_a_restart_of_the_statistics_process_raises_no_alarm_and_does_not_interrupt_one():
    normal = simulate(5, 1.5, restart=HOUR, endpoint="normal")
    drift = Drift(START, END, factors={MOID: 2})
    alarms = watch(normal, simulate(5, 1.5, drift, restart=HOUR, endpoint="drifted"))
    assert alarms.at("normal").names() == set()
    assert alarms.always(*MOID_DRIFT, start=START + 10 * MINUTE, end=1.5 * HOUR)


@pytest.mark.parametrize("change", ["another address", "new edges after a new training"])
def test_a_change_of_the_statistics_process_raises_no_alarm(change):
    if change == "another address":
        first, second = {"instance": "statistics-a:9999"}, {"instance": "statistics-b:9999"}
    else:
        newer = {name: [edge * 1.01 for edge in edges] for name, edges in training_edges().items()}
        first, second = {}, {"edges": newer}
    before, after = simulate(5, 0.5, seed=1, **first), simulate(5, 1.5, seed=2, **second)
    gone = {name: f"{values} stale" for name, values in before.items()}
    late = {name: f"_x{HOUR // 2 // STEP} {values}" for name, values in after.items()}
    both = {name: f"{before[name]} {after[name]}" for name in before.keys() & after.keys()}
    assert watch(gone | late | both).names() == set()


# Whatever the endpoint, the features and the share are.


def renamed(exported: Series, **names: str) -> Series:
    """Return the series with other variables in their names."""
    return {
        re.sub("|".join(names), lambda found: names[found[0]], name): each for name, each in exported.items()
    }


OTHER_FEATURES = {"Absolute_Magnitude": "income_2_bucket", "Minimum_Orbit_Intersection": "debt"}


def test_other_endpoints_with_other_features_are_watched_as_well():
    drift = Drift(START, END, factors={MOID: 2})
    normal = simulate(5, 2, endpoint="loans-2024/1", seed=1)
    drifted = simulate(5, 2, drift, endpoint="crédit v2.1", seed=2)
    alarms = watch(*(renamed(each, **OTHER_FEATURES) for each in (normal, drifted)))
    assert alarms.at("loans_2024_1").names() == set()
    assert {key for key in alarms.on if key[0] == "MajorDrift"} == {("MajorDrift", "debt", "cr_dit_v2_1")}
    assert START < alarms.first("MajorDrift") <= START + 8 * MINUTE


def test_another_expected_share_takes_one_line(tmp_path):
    rules = tmp_path / "rules.yml"
    rules.write_text(re.sub(r"vector\(0\.\d+\)", "vector(0.5)", RULES.read_text()))
    assert watch(simulate(5, 1), rules=rules).names() == {"PositiveShareDrift"}


def test_what_is_not_counted_or_not_in_ten_buckets_is_called_unwatched_and_raises_no_false_alarm():
    def without(missing: str, endpoint: str) -> Series:
        exported = simulate(5, 0.5, endpoint=endpoint)
        return {name: values for name, values in exported.items() if not re.search(missing, name)}

    # What the reference example's commands give.
    reference = training_edges() | {MAGNITUDE: [11.139, 18.14, 25.12, 32.1]}
    alarms = watch(
        without("_bucket|_sum", "nothing"),
        without(":y_", "features"),
        without("answers:(?!y_|_count)", "answers"),
        simulate(5, 0.5, edges=reference, endpoint="reference"),
    )
    whole = {("DriftUnwatched", "", endpoint) for endpoint in ("nothing", "features", "answers")}
    assert alarms.on.keys() == {*whole, ("DriftUnwatched", "Absolute_Magnitude", "reference")}
    for key in alarms.on:
        assert 15 * MINUTE <= alarms.first(*key) <= 18 * MINUTE


def test_series_of_other_exporters_are_not_taken_for_requests():
    growing = " ".join(map(str, range(HOUR // STEP)))
    others = {
        name: growing
        for metric in ("http_seconds", "job:http_seconds")
        for name in (f"{metric}_sum", f"{metric}_count", *(f'{metric}_bucket{{le="{n}"}}' for n in range(10)))
    }
    assert watch(others).names() == {"NoRequests", "StatisticsDown"}
    assert watch(others, simulate(5, 1)).names() == set()
