"""asteroid_alerts.yml: silent on normal traffic, on for as long as there is drift, silent again after it.

promtool evaluates the rules themselves, over hours of requests simulated from the real table. For figures
over days of traffic run tests/benchmark_alerts.py.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from asteroids.physics import MAGNITUDE, MOID
from local_stack.errors import ProgramsNotFound
from local_stack.prometheus import find_tools
from local_stack.tests.programs import skip_outside_ci
from tests.support.alarms import RULES, STEP, TOOLS_CACHE, Alarms, promtool, watch
from tests.support.simulated_traffic import (
    HOUR,
    Drift,
    Series,
    reference_to,
    simulate,
    table,
    training_reference,
)

pytestmark = pytest.mark.e2e

# When the simulated drifts begin and end: before and after them traffic is normal for long enough to show it.
MINUTE = 60
START, END = 10 * MINUTE, 70 * MINUTE
HOURS = 1.9

H, D = "Absolute_Magnitude", "Minimum_Orbit_Intersection"
H_DRIFT, MOID_DRIFT = ("MajorDrift", H), ("MajorDrift", D)


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
    "normal_5": {"rate": 5},
    "normal_200": {"rate": 200},
    "normal_tide": {"rate": tide},
}
# Traffic, the alerts that it raises, and within how many minutes the first of them is on.
BOTH_ALERTS = {("MajorDrift", D), ("OutOfRange", D)}
IN_HALF, IN_KM = {"factors": {MOID: 2}, "share": 0.5}, {"factors": {MOID: 1.5e8}, "share": 0.1}
FAINTER, FURTHER = {"offsets": {MAGNITUDE: 0.25}}, {"factors": {MOID: 1.1}}
DRIFTS: dict[str, tuple[dict, set[tuple[str, str]], float]] = {
    "half_doubled_5": ({"rate": 5, **IN_HALF}, BOTH_ALERTS, 2),
    "half_doubled_200": ({"rate": 200, **IN_HALF}, BOTH_ALERTS, 2),
    "kilometres_5": ({"rate": 5, **IN_KM}, BOTH_ALERTS, 3),
    "kilometres_200": ({"rate": 200, **IN_KM}, BOTH_ALERTS, 3),
    "doubled_half": ({"rate": 0.5, "factors": {MOID: 2}}, BOTH_ALERTS, 8),
    "both_5": ({"rate": 5, "factors": {MAGNITUDE: 2, MOID: 2}}, {H_DRIFT, MOID_DRIFT}, 2),
    "ramp_5": ({"rate": 5, "factors": {MOID: 2}, "ramp": HOUR}, {("MinorDrift", D), MOID_DRIFT}, 30),
    "quarter_magnitude_5": ({"rate": 5, **FAINTER}, {("MinorDrift", H)}, 60),
    "quarter_magnitude_50": ({"rate": 50, **FAINTER}, {("MinorDrift", H)}, 20),
    "moid_tenth_more_5": ({"rate": 5, **FURTHER}, {("MinorDrift", D)}, 60),
}


@pytest.fixture(scope="module")
def alarms_of() -> Callable[[str], Alarms]:
    """The alarms of each of the scenarios above, by its name."""
    scenarios = dict(NORMAL)
    for name, (options, _, _) in DRIFTS.items():
        drift = {key: value for key, value in options.items() if key != "rate"}
        scenarios[name] = {"rate": options["rate"], "drift": Drift(START, END, **drift)}
    traffic = [
        simulate(**scenario, hours=HOURS, seed=seed, endpoint=endpoint)
        for seed, (endpoint, scenario) in enumerate(scenarios.items())
    ]
    alarms = watch(*traffic)
    return alarms.at


@pytest.mark.parametrize("traffic", NORMAL)
def test_normal_traffic_raises_no_alarm(traffic, alarms_of):
    assert alarms_of(traffic).names() == set()


@pytest.mark.parametrize("traffic", DRIFTS)
def test_a_drift_raises_its_alerts_in_time_and_until_its_end_and_then_they_end(traffic, alarms_of):
    alarms = alarms_of(traffic)
    _, expected, minutes = DRIFTS[traffic]
    # What was there before the drift would be a false alarm.
    assert START < min(alarms.first(*key) for key in alarms.on) <= START + minutes * MINUTE
    for key in expected:
        assert alarms.always(*key, start=START + 50 * MINUTE, end=END), key
    if {name for name, _ in expected} == {"MinorDrift"}:
        assert "MajorDrift" not in alarms.names()
    # Twenty minutes forget within twenty, and then the alert goes on for fifteen; two hours do not.
    if traffic != "doubled_half":
        urgent = [alarms.last(*key) for key in alarms.on if key[0] in ("MajorDrift", "OutOfRange")]
        assert max(urgent, default=END) < END + 36 * MINUTE


def test_more_traffic_never_makes_an_alarm_later(alarms_of):
    for name in ("half_doubled", "kilometres", "quarter_magnitude"):
        first = [
            min(alarms_of(f"{name}_{rate}").first(*key[:2]) for key in alarms_of(f"{name}_{rate}").on)
            for rate in (5, 50, 200)
            if f"{name}_{rate}" in DRIFTS
        ]
        assert first == sorted(first, reverse=True), name


def test_other_answers_to_the_same_requests_raise_the_alarm_of_the_positive_share_alone():
    normal = simulate(5, 2)
    answers = simulate(5, 2, Drift(START, 2 * HOUR, offsets={MAGNITUDE: 9}))
    alarms = watch(normal | {name: counts for name, counts in answers.items() if ":y_" in name})
    assert alarms.names() == {"PositiveShareDrift"}
    raised = alarms.first("PositiveShareDrift")
    assert START < raised <= START + 40 * MINUTE
    assert alarms.always("PositiveShareDrift", start=raised, end=2 * HOUR)


@pytest.fixture
def rules_of_requests(tmp_path) -> Path:
    """The rules that count requests and miss them, without the others: over days these take a minute."""
    rules = yaml.safe_load(RULES.read_text())
    (group,) = rules["groups"]
    names = re.compile("(endpoint|service):requests.*|NoRequests")
    group["rules"] = [rule for rule in group["rules"] if names.fullmatch(rule.get("record") or rule["alert"])]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(rules))
    return file


def test_missing_requests_are_told_if_there_were_some_a_day_ago_but_not_at_night_nor_at_first(
    rules_of_requests,
):
    def office_hours(seconds: np.ndarray) -> np.ndarray:
        hour = seconds / HOUR
        return np.where((hour > 1) & (hour % 24 < 14) & ~((hour > 29) & (hour < 30)), 0.1, 0)

    exported = simulate(office_hours, hours=50, step=120)
    exported = {name: values for name, values in exported.items() if "_count" in name or '"up"' in name}
    alarms = watch(exported, rules=rules_of_requests, step=120).at("")
    assert alarms.names() == {"NoRequests"}
    assert 29 * HOUR + 10 * MINUTE <= alarms.first("NoRequests") <= 29 * HOUR + 20 * MINUTE
    assert alarms.last("NoRequests") <= 30 * HOUR + 4 * MINUTE
    assert alarms.episodes("NoRequests") == 1


def test_missing_requests_are_told_on_a_monday_and_for_days_and_not_at_the_weekend(rules_of_requests):
    day, step = 24 * HOUR, 300

    def office_days(seconds: np.ndarray) -> np.ndarray:
        days = seconds / day
        return np.where((days % 7 < 5) & (days % 1 > 0.3) & (days % 1 < 0.7) & (days < 14.4), 0.1, 0)

    exported = simulate(office_days, hours=24 * 17, step=step)
    exported = {name: values for name, values in exported.items() if "_count" in name or '"up"' in name}
    alarms = watch(exported, rules=rules_of_requests, step=step)
    no_requests = alarms.of("NoRequests")[8 * day // step :]
    assert alarms.names() == {"NoRequests"}
    assert np.flatnonzero(no_requests)[0] * step == pytest.approx(6.4 * day, abs=25 * MINUTE)  # a Monday
    for number in (6, 7, 8):
        assert no_requests[int((number + 0.45) * day) // step : int((number + 0.7) * day) // step].all()
        assert not no_requests[int((number + 0.8) * day) // step : int((number + 1) * day) // step].any()


def test_a_dead_statistics_process_raises_its_own_alarm():
    up = 'up{job="clearml-inference-stats",instance="statistics:9999"}'
    alarms = watch({up: "1 " * 10 + "0 " * 20})
    assert alarms.names() == {"StatisticsDown"}
    assert alarms.first("StatisticsDown") <= 11 * STEP + 2 * MINUTE


def test_slow_answers_and_late_counts_raise_their_alarms():
    alarms = watch(
        simulate(5, 0.5, slow=0.03, endpoint="slow"),
        simulate(5, 0.5, slow=0.003, endpoint="fast"),
        simulate(5, 0.5, lag=300, endpoint="late"),
    )
    assert alarms.on.keys() == {("SlowAnswers", "", "slow"), ("StatisticsLag", "", "late")}


def test_counting_only_some_of_the_requests_raises_no_alarm_and_hides_none():
    """clearml-serving writes --log-freq 0.5 as a count of two for each request that it tells of."""
    exported = {**simulate(5, 0.5, endpoint="normal"), **simulate(5, 0.5, slow=0.015, endpoint="slow")}
    for name, values in exported.items():
        if ":_count_total" in name:
            exported[name] = " ".join(str(2 * int(value)) for value in values.split())
    assert watch(exported).on.keys() == {("SlowAnswers", "", "slow")}


def test_a_restart_of_the_statistics_process_raises_no_alarm_and_does_not_interrupt_one():
    normal = simulate(5, 1.5, restart=HOUR, endpoint="normal")
    drift = Drift(START, END, factors={MOID: 2})
    alarms = watch(normal, simulate(5, 1.5, drift, restart=HOUR, endpoint="drifted"))
    assert alarms.at("normal").names() == set()
    assert alarms.always(*MOID_DRIFT, start=START + 3 * MINUTE, end=END)


def test_a_restart_after_which_nobody_sends_anything_raises_no_alarm():
    exported = simulate(5, 0.3)
    gone = {name: values if '"up"' in name else f"{values} stale" for name, values in exported.items()}
    (up,) = (name for name in gone if '"up"' in name)
    assert watch(gone | {up: "1 " * (HOUR // STEP)}).names() == set()


@pytest.mark.parametrize("change", ["another address", "a champion that has learned from more"])
def test_a_change_of_the_statistics_process_or_the_model_raises_no_alarm(change):
    other = {"instance": "statistics-b:9999"} if "address" in change else {"reference": reference_to(table())}
    before, after = simulate(5, 0.5, seed=1), simulate(5, 1, seed=2, lag=-HOUR // 2, **other)
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


OTHER_FEATURES = {H: "income_2_bucket", D: "debt"}


def test_other_endpoints_with_other_features_are_watched_as_well():
    drift = Drift(START, END, factors={MOID: 2})
    normal = simulate(5, 1, endpoint="loans-2024/1", seed=1)
    drifted = simulate(5, 1, drift, endpoint="crédit v2.1", seed=2)
    alarms = watch(*(renamed(each, **OTHER_FEATURES) for each in (normal, drifted)))
    assert alarms.at("loans_2024_1").names() == set()
    assert {key for key in alarms.on if key[0] == "MajorDrift"} == {("MajorDrift", "debt", "cr_dit_v2_1")}
    assert START < alarms.first("MajorDrift") <= START + 2 * MINUTE


def test_what_kubernetes_adds_to_the_labels_keeps_no_alert_from_its_endpoint():
    """A ServiceMonitor's labels, and the same endpoint in two namespaces."""

    def in_namespace(name: str, exported: Series) -> Series:
        labels = f'namespace="{name}",service="statistics",container="c",pod="{name}-0",endpoint="http"'
        return {series.replace("{", f"{{{labels},", 1): values for series, values in exported.items()}

    drift = Drift(START, END, factors={MOID: 2})
    other_answers = simulate(5, 1, reference=training_reference() | {"share": 0.5})
    alarms = watch(in_namespace("production", simulate(5, 1, drift)), in_namespace("staging", other_answers))
    assert alarms.names() == {"MajorDrift", "OutOfRange", "MinorDrift", "PositiveShareDrift"}
    assert START < alarms.first(*MOID_DRIFT) <= START + 2 * MINUTE


def test_the_share_that_a_model_was_trained_with_is_the_expected_one():
    reference = training_reference() | {"share": 0.5}
    assert watch(simulate(5, 1, reference=reference)).names() == {"PositiveShareDrift"}


def test_what_cannot_be_watched_is_called_unwatched_and_raises_no_false_alarm():
    def without(missing: str, endpoint: str) -> Series:
        exported = simulate(5, 0.6, endpoint=endpoint)
        return {name: values for name, values in exported.items() if not re.search(missing, name)}

    fewer = {"features": {MAGNITUDE: training_reference()["features"][MAGNITUDE]}}
    alarms = watch(
        without("added:(?!_count|_latency)", "metrics_never_added"),
        without("rank_of_Absolute", "a_feature_not_added"),
        without(":y_", "answers_not_added"),
        without("rank|share|rows|features", "model_without_reference"),
        without("training_rows", "size_not_added"),
        without("expected_share", "share_not_added"),
        without('le="0.[37]"', "other_edges"),
        # The model before knew ranks, and its counts are still there: they do not grow any more.
        {
            name: re.sub(r"\d+", "7", values) if "rank" in name else values
            for name, values in simulate(5, 0.6, endpoint="counts_stand_still").items()
        },
        simulate(5, 0.6, endpoint="fewer_features_wanted", reference=training_reference() | fewer),
    )
    expected = {"metrics_never_added", "a_feature_not_added", "answers_not_added"}
    expected |= {"model_without_reference", "other_edges", "counts_stand_still"}
    expected |= {"size_not_added", "share_not_added"}
    assert alarms.on.keys() == {("DriftUnwatched", "", endpoint) for endpoint in expected}
    for key in alarms.on:
        assert 15 * MINUTE <= alarms.first(*key) <= 18 * MINUTE


def test_series_of_other_exporters_are_not_taken_for_requests():
    growing = " ".join(map(str, range(HOUR // STEP)))
    others = {
        name: growing
        for metric in ("http_seconds", "job:http_seconds", "app:model", "app:sent", "x:version")
        for name in (f"{metric}_sum", f"{metric}_count", *(f'{metric}_bucket{{le="{n}"}}' for n in range(10)))
    }
    assert watch(others).names() == {"StatisticsDown"}
    assert watch(others, simulate(5, 1)).names() == set()
