"""asteroid.json on real traffic: what a real Prometheus answers to each expression in it."""

import json
import math
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xgboost
from starlette.datastructures import QueryParams

from asteroids.drift import counted_variables
from global_config import LABEL_COLUMN, WATCHED_FEATURES
from local_stack.errors import StackError
from local_stack.processes import Processes
from local_stack.prometheus import ask, find_tools, is_ready, prometheus_command, query, query_range
from local_stack.server.monitoring_file import Monitoring
from local_stack.server.pages.grafana_dashboard import all_panels
from local_stack.server.pages.grafana_variables import ALL, variables
from local_stack.server.pages.panels import asking, draw_panel
from local_stack.serving import accepts, take_port
from local_stack.serving_programs import check_packages
from local_stack.tests.programs import skip_outside_ci
from local_stack.waiting import wait_until
from model_training import save_model
from preprocess_serving import FEATURES as MODEL_FEATURES
from preprocess_serving import RANK_EDGES, RAW_COLUMNS, Preprocess, build_features
from tests.monitoring.test_dashboard import alerts, heatmap_of, targets_of
from tests.support import dashboard
from tests.support.alarms import RULES, TOOLS_CACHE
from tests.support.dashboard import FEATURES, Document
from tests.support.simulated_traffic import table, training_reference

pytestmark = pytest.mark.e2e

STATISTICS = Path(__file__).resolve().parent / "statistics_without_kafka.py"
NORMAL, DRIFTED = "asteroid_latest", "asteroid_2"  # the endpoints of the made-up traffic


@pytest.fixture(scope="module")
def prometheus_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that scrapes clearml-serving's own statistics process and evaluates the rules.

    Every expression in the dashboard has a value then, or all tests that ask for it fail.
    """
    try:
        check_packages()
        tools = find_tools(TOOLS_CACHE)
    except StackError as error:
        skip_outside_ci(str(error))
    home = tmp_path_factory.mktemp("prometheus")
    port = take_port(0)
    traffic = home / "traffic.json"
    traffic.write_text(json.dumps(made_up_traffic(home / "model.ubj")))
    with Processes(home / "logs") as processes:
        command = [sys.executable, str(STATISTICS), str(traffic), str(port)]
        processes.start("statistics", command, ready=lambda: accepts(port))
        targets, port = [f"127.0.0.1:{port}"], take_port(0)
        command = prometheus_command(tools, home, port, targets, RULES, interval_seconds=1)
        url = f"http://127.0.0.1:{port}"
        processes.start("prometheus", command, ready=lambda: is_ready(url))
        empty = partial(without_a_value, url)
        wait_until(lambda: not empty(), "a value of every expression", lambda: "\n".join(empty()))
        yield url


def without_a_value(prometheus_url: str) -> list[str]:
    """Return the expressions in the dashboard that have no value now, each with its panel.

    Not a number is no value: it is what shares are while there are no requests. An alarm is raised amid the
    drifted requests alone.
    """
    asked = [*dashboard.expressions(DRIFTED), *dashboard.expressions(NORMAL)]
    return [
        f"{title}: {expression}"
        for title, expression in asked
        if (title, expression) != ("Alarms raised", *targets_of("Alarms raised", NORMAL))
        and not any(math.isfinite(value) for _, value in query(prometheus_url, expression))
    ]


def made_up_traffic(model_file: Path) -> Document:
    """Return what inference reports of real rows, answered in turn by two endpoints, with the hook's words.

    The one gets normal traffic, and goes from a version of an auto-update endpoint to the next one and back.
    The other is a version of its own, for which all values of the watched features are doubled.
    """
    rows = table()[[*RAW_COLUMNS, LABEL_COLUMN]]
    columns = {name: rows[name].to_numpy() for name in RAW_COLUMNS}
    data = xgboost.DMatrix(build_features(columns), rows[LABEL_COLUMN], feature_names=MODEL_FEATURES)
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, data, 20)
    save_model(booster, model_file, 0.5, training_reference())
    former, newer, drifted = (
        hook_of(model_file, serving_url, version, model_id)
        for serving_url, version, model_id in [
            ("asteroid_auto", "3", "606e85cf" * 4),
            ("asteroid_auto", "4", "c0ffee00" * 4),
            ("asteroid", "2", "0badcafe" * 4),
        ]
    )
    shuffled = rows.sample(1500, random_state=0).to_dict("records")
    messages = []
    for number, row in enumerate(shuffled):
        messages.append(reported(former if number < len(shuffled) / 2 else newer, row))
        messages.append(reported(drifted, row | {name: 2 * row[name] for name in WATCHED_FEATURES}))
    buckets, values = counted_variables()
    metrics: dict[str, Any] = {
        name: {"type": "scalar", "buckets": [float(edge) for edge in edges.split(",")]}
        for name, edges in buckets.items()
    }
    metrics |= {name: {"type": "value"} for name in values}
    return {"metrics": {NORMAL: metrics, "asteroid/2": metrics}, "messages": messages}


def hook_of(model_file: Path, serving_url: str, version: str, model_id: str) -> Preprocess:
    hook = Preprocess()
    hook.model_endpoint = SimpleNamespace(serving_url=serving_url, version=version, model_id=model_id)
    hook.load(str(model_file))
    return hook


def reported(hook: Preprocess, row: dict[str, float]) -> Document:
    """Return what inference reports of a request."""
    url = f"{hook.model_endpoint.serving_url}/{hook.model_endpoint.version}"
    message: Document = {"_url": url, "_latency": 0.004, "_count": 1}
    state: Document = {}
    features = hook.preprocess(row, state, message.update)
    hook.postprocess(np.asarray(hook.model.predict(features)), state, message.update)
    return message


def test_the_endpoints_and_features_to_choose_from_are_those_that_are_counted(prometheus_url):
    chosen = {"var-endpoint": [DRIFTED]}
    found = variables(dashboard.load(), lambda name: chosen.get(name, []), partial(ask, prometheus_url))
    choices = {each.name: list(each.options) for each in found if not each.hidden}
    assert choices == {"endpoint": [DRIFTED, NORMAL], "feature": [ALL, *sorted(FEATURES)]}


def test_the_pages_draw_every_panel(prometheus_url):
    query = {"from": "now-30m", "to": "now", "var-endpoint": DRIFTED, "var-feature": FEATURES[0]}
    monitoring = Monitoring(prometheus=prometheus_url, dashboard=str(dashboard.DASHBOARD))

    def problems() -> list[str]:
        """What panels say that are not drawn; at first some have no data, as their points are 15 s apart."""
        numbers = map(str, range(len(all_panels(dashboard.load()))))
        asked = ({"number": number, "query": QueryParams(query)} for number in numbers)
        answers = [draw_panel(monitoring, request, asking(monitoring)) for request in asked]
        return [answer["problem"] for answer in answers if "figure" not in answer]

    wait_until(lambda: not problems(), "a drawing of every panel", lambda: "\n".join(problems()))


def rows_of_heatmap(feature: str, endpoint: str, prometheus_url: str) -> dict[str, float]:
    """Return the rows' names as Grafana writes them, from the lowest to the highest, and their shares.

    Prometheus sorts a range's series by their labels, as text, and Grafana takes series whose names are no
    numbers as they come. All is asked in one query: between two Prometheus may collect new counts, and shares
    of different ones do not add up.
    """
    (panel,) = (each for each in dashboard.panels(endpoint) if each["title"] == heatmap_of(feature))
    parts = [
        f'label_replace({target["expr"]}, "target", "{number}", "", "")'
        for number, target in enumerate(panel["targets"])
    ]
    found: dict[str, float] = {}
    for labels, share in sorted(
        query(prometheus_url, " or ".join(parts)), key=lambda each: (each[0]["target"], each[0]["le"])
    ):
        name = panel["targets"][int(labels["target"])]["legendFormat"]
        found[name.replace("{{number}}", labels.get("number", ""))] = share
    return found


@pytest.mark.parametrize("feature", FEATURES)
def test_a_heatmap_goes_from_below_the_training_data_over_their_tenths_to_above(feature, prometheus_url):
    tenths = [f"tenth {number}" for number in range(1, len(RANK_EDGES))]
    normal = rows_of_heatmap(feature, NORMAL, prometheus_url)
    assert [*normal] == ["below all of it", *tenths, "above all of it"]
    assert sum(normal.values()) == pytest.approx(1)
    assert all(0.03 < normal[tenth] < 0.2 for tenth in tenths)
    drifted = rows_of_heatmap(feature, DRIFTED, prometheus_url)
    assert drifted["above all of it"] > 0.05 > normal["above all of it"]


def test_the_model_that_answers_is_told_by_its_id_and_version(prometheus_url):
    def asked(endpoint: str) -> list[float]:
        about = [query(prometheus_url, each) for each in targets_of("Model that answers", endpoint)]
        return [value for ((_, value),) in about]

    assert asked(DRIFTED) == [0x0BADCAFE, 2, training_reference()["rows"]]
    assert asked(NORMAL)[:2] in ([0x606E85CF, 3], [0xC0FFEE00, 4])
    when = [query(prometheus_url, each) for each in targets_of("Which model answered when")]
    assert [sorted(labels["endpoint"] for labels, _ in each) for each in when] == [[DRIFTED, NORMAL]] * 2


def test_alarms_are_those_of_the_endpoint(prometheus_url):
    def levels(endpoint: str) -> dict[str, float]:
        names = [alert["alert"] for alert in alerts()]
        found = [query(prometheus_url, each) for each in targets_of("Alarms", endpoint)]
        return {name: value for name, ((_, value),) in zip(names, found, strict=True)}

    assert {name for name, level in levels(NORMAL).items() if level > 1} == set()
    drifted = levels(DRIFTED)
    assert (drifted["MajorDrift"], drifted["OutOfRange"], drifted["MinorDrift"]) == (3, 3, 2)
    (raised,) = targets_of("Alarms raised", DRIFTED)
    marked = query(prometheus_url, raised)
    assert {"MajorDrift", "OutOfRange"} == {labels["alertname"] for labels, _ in marked}


def test_the_first_model_of_an_endpoint_is_marked_and_each_that_follows_it(prometheus_url):
    def marked(endpoint: str) -> float:
        ((_, value),) = query(prometheus_url, *targets_of("Deployments", endpoint))
        return value

    assert marked(DRIFTED) == 0x0BADCAFE
    wait_until(lambda: 0 < marked(NORMAL) < 1000, "another model")  # the number of changes


def test_psi_of_the_training_data_s_own_rows_is_small_and_of_drifted_ones_large(prometheus_url):
    found = query(prometheus_url, f'endpoint_variable:psi{{variable="{FEATURES[0]}", window="20m"}}')
    psi = {labels["endpoint"]: value for labels, value in found}
    assert psi[NORMAL] < 0.04 < 1 < psi[DRIFTED]


def test_a_range_has_a_value_for_each_moment_both_ends_included(prometheus_url):
    answer = query_range(prometheus_url, "vector(2)", 1000, 1010, step=5)
    assert answer == [({}, [(1000, 2.0), (1005, 2.0), (1010, 2.0)])]
