"""clearml-serving on the local stack: its answers, its metrics, new models, and the death of its parts."""

import json
import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
import requests
import xgboost

import preprocess_serving as hook
from clearml_tools.alert_webhook import Webhook
from local_stack import waiting
from local_stack.tests.programs import require_programs
from local_stack.waiting import run, wait_until
from tests.support.checkouts import copy_repository
from tests.support.deployment import (
    ADD_CANARY,
    ADD_LATEST,
    ADD_VERSION,
    AUTO_UPDATE,
    NAME_LATEST,
    Deployment,
    deploy,
    predict,
    table_rows,
    up,
)
from tests.support.readme import commands
from tests.unit.test_notebook import check_story, printed

pytestmark = pytest.mark.e2e

ROWS = table_rows()
ROW = ROWS[0]


@pytest.fixture(scope="module")
def told() -> list[str]:
    """The alerts that have reached a webhook."""
    return []


@pytest.fixture(scope="module")
def deployment(told: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """All of it running, with a champion deployed. Tests may kill its parts: they are started again."""
    require_programs()
    webhook = Webhook("127.0.0.1", 0, told.extend).start()
    with up(tmp_path_factory.mktemp("deployment") / "home", "--alert-webhook", webhook) as running:
        deploy(running)
        yield running


def champion_file(deployment: Deployment) -> Path:
    return next(iter(deployment.model_files.values()))


# Answers


def test_all_of_it_listens_on_the_loopback_address_alone(deployment):
    processes = psutil.Process(deployment.process.pid).children(recursive=True)
    listening = {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_answers_are_the_models_own_predictions_and_its_thresholds_classes(deployment):
    rows = ROWS[:200]
    answers = [deployment.post(row).json() for row in rows]
    probabilities = predict(champion_file(deployment), rows)
    threshold = float(xgboost.Booster(model_file=champion_file(deployment)).attr("threshold"))
    assert [set(answer) for answer in answers] == [{"y", "y_raw"}] * len(rows)
    np.testing.assert_allclose([answer["y_raw"] for answer in answers], probabilities, rtol=0, atol=1e-6)
    assert [answer["y"] for answer in answers] == (probabilities >= threshold).astype(int).tolist()
    assert {answer["y"] for answer in answers} == {0, 1}


def changed(**values: object) -> bytes:
    """The row with other values, as JSON; `_` in a name stands for a blank."""
    return json.dumps({**ROW, **{name.replace("_", " "): value for name, value in values.items()}}).encode()


NO_OBJECT = "the body must be a JSON object"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (changed(Eccentricity=None), "'Eccentricity' must be a number"),
        (changed(Eccentricity="CUDA out of memory. "), "'Eccentricity' must be a number"),
        (changed(Eccentricity=["SECRET"]), "'Eccentricity' must be a number"),
        (changed(Eccentricity=-0.1), "'Eccentricity' must be from 0"),
        (changed(Eccentricity=float("nan")), "'Eccentricity' must be a finite number"),
        (changed(Absolute_Magnitude=10**400), "'Absolute Magnitude' must be a finite number"),
        (changed().replace(b"Mean Motion", b"SECRET"), "'Mean Motion' is missing"),
        (b'{"SECRET": "\\ud800"}', "'Absolute Magnitude' is missing"),
        (b"[" + changed() + b"]", NO_OBJECT),
        (b'["\\ud800"]', NO_OBJECT),
        (b"null", NO_OBJECT),
        (b'"SECRET"', NO_OBJECT),
        (b"", NO_OBJECT),
        (b"SECRET", NO_OBJECT),
        (b'{"SECRET": ', NO_OBJECT),
        (b'{"Eccentricity": ' + b"9" * 5000 + b"}", "error parsing the body"),
        (b'{"SECRET": "\xff"}', "error parsing the body"),
        (b"[" * 100_000, "error parsing the body"),
    ],
    ids=lambda value: repr(value[-30:]),
)  # fmt: skip
def test_a_bad_request_is_refused_by_name_without_an_echo_and_the_next_is_answered(deployment, body, named):
    refusal = deployment.post(body, headers={"Content-Type": "application/json"})
    assert 400 <= refusal.status_code < 500
    assert named in refusal.text
    assert [word for word in ("SECRET", "CUDA", "Traceback") if word in refusal.text] == []
    assert deployment.post(ROW).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
)
def test_what_is_not_sent_as_json_is_refused(deployment, headers):
    refusal = deployment.post(b"SECRET=\x00\xff", headers=headers)
    assert 400 <= refusal.status_code < 500
    assert "SECRET" not in refusal.text
    assert deployment.post(ROW).status_code == 200


def test_200_000_unknown_columns_cost_next_to_nothing(deployment):
    inference = deployment.inference()
    before = inference.cpu_times().user  # the time by the clock depends on what else the machine does
    assert deployment.post({**ROW, **{f"column {n}": n for n in range(200_000)}}).status_code == 200
    assert inference.cpu_times().user - before < 30  # to list them took minutes


# Metrics


def bucket_counts(model_file: Path, name: str, rows: list[dict]) -> list[int]:
    """How many of the rows the model's own reference puts into each bucket of ranks."""
    of_feature = hook.Model(str(model_file)).reference["features"][name]
    found = [hook.rank(row[name], **of_feature) for row in rows]
    return np.bincount(np.searchsorted(hook.RANK_EDGES, found), minlength=len(hook.RANK_EDGES) + 1).tolist()


def assert_counted(deployment: Deployment, metric: str, expected: list[int]) -> None:
    measured = measured_buckets(deployment, metric)
    assert sorted(measured) == [*hook.RANK_EDGES, float("inf")]
    counts = np.array([measured[edge] for edge in sorted(measured)])
    assert counts.sum() == sum(expected)
    # H has one decimal, so many rows lie on an edge, and are of the one tenth or the other by chance.
    assert np.abs(counts - expected).max() <= 3 + 0.02 * counts.sum()


def measured_buckets(deployment: Deployment, metric: str) -> dict[float, float]:
    return {float(labels["le"]): count for labels, count in deployment.query(f"{metric}_bucket")}


@pytest.fixture(scope="module")
def canary_answers(deployment: Deployment) -> list[dict]:
    """The canary's answers to the first 300 rows. All requests up to now have reached Prometheus."""
    for row in ROWS[:300]:
        assert deployment.post(row).status_code == 200
    answers = [deployment.post(row, "asteroid_canary").json() for row in ROWS[:300]]
    for endpoint, counts in [
        ("asteroid", "asteroid:_count_total"),
        ("asteroid_canary", "asteroid_1:_count_total + on () asteroid_2:_count_total"),
    ]:
        sent = len(deployment.answered[endpoint])
        wait_until(
            lambda counts=counts, sent=sent: deployment.value(counts) == sent,
            f"{sent} requests in Prometheus's {counts}",
            deployment.process.output,
        )
    return answers


def test_prometheus_gets_every_request_in_the_tenths_of_the_training_data(deployment, canary_answers):
    rows = deployment.answered["asteroid"]
    for variable in ("Absolute Magnitude", "Minimum Orbit Intersection"):
        metric = f"asteroid:rank_of_{variable.replace(' ', '_')}"
        assert_counted(deployment, metric, bucket_counts(champion_file(deployment), variable, rows))
        # `_sum` is the number of requests, once more for every bucket.
        assert [count for _, count in deployment.query(f"{metric}_sum")] == [len(rows)] * 12
    assert sum(measured_buckets(deployment, "asteroid:y").values()) == len(rows)
    model = next(iter(deployment.model_files))
    assert deployment.value("asteroid:model") == int(model[:8], 16)
    assert 0 <= time.time() - deployment.value("asteroid:sent") < 600


def test_a_canary_shares_the_requests_out_and_prometheus_tells_the_versions_apart(deployment, canary_answers):
    rows = ROWS[:300]
    # Both models' probabilities are known, so each answer tells which version gave it.
    one, two = (predict(file, rows) for file in deployment.model_files.values())
    given = np.array([answer["y_raw"] for answer in canary_answers])
    by_two = np.abs(given - two) < np.abs(given - one)
    assert 0.12 < by_two.mean() < 0.38  # 0.25 and five standard deviations
    for version, chosen in [(1, np.flatnonzero(~by_two)), (2, np.flatnonzero(by_two))]:
        metric = f"asteroid_{version}"
        assert deployment.value(f"{metric}:_count_total") == len(chosen)
        hazardous = np.mean([canary_answers[number]["y"] for number in chosen])
        share = f'{metric}:y_bucket{{le="1.0"}} / {metric}:y_sum{{le="1.0"}}'
        assert deployment.value(share) == pytest.approx(hazardous)
        file = list(deployment.model_files.values())[version - 1]
        expected = bucket_counts(file, "Absolute Magnitude", [rows[number] for number in chosen])
        assert_counted(deployment, f"{metric}:rank_of_Absolute_Magnitude", expected)


def test_changed_metrics_are_counted_anew_and_removed_ones_no_longer(deployment, canary_answers):
    removed = re.findall(r'"([^"=]+)=', deployment.watch_command)[0]
    counts = f"asteroid_2:{removed.replace(' ', '_')}_bucket"
    assert deployment.query(counts)
    requests_before = deployment.value("asteroid_2:_count_total")
    endpoint = 'clearml-serving --id ID metrics {} --endpoint "asteroid/2"'
    deployment.command(
        f'{endpoint.format("add")} --variable-scalar "y=0,0.5,1"',
        f'{endpoint.format("remove")} --variable "{removed}"',
    )
    for row in ROWS[:5]:
        assert deployment.post(row, "asteroid/2").status_code == 200
    wait_until(
        lambda: sum(measured_buckets(deployment, "asteroid_2:y").values()) == 5,
        "five answers in new buckets",
        deployment.logs / "statistics.log",
    )
    assert set(measured_buckets(deployment, "asteroid_2:y")) == {0, 0.5, 1, float("inf")}
    assert deployment.query(counts) == []
    assert deployment.value("asteroid_2:_count_total") == requests_before + 5  # the process goes on


def test_prometheus_tells_the_alertmanager(deployment):
    def known() -> list[str]:
        answer = requests.get(f"{deployment.prometheus_url}/api/v1/alertmanagers", timeout=waiting.SECONDS)
        return [each["url"] for each in answer.json()["data"]["activeAlertmanagers"]]

    expected = [f"{deployment.alertmanager_url}/api/v2/alerts"]
    wait_until(lambda: known() == expected, "Prometheus to know Alertmanager", deployment.process.output)


# What the README prints


def test_the_readmes_commands_are_those_that_these_tests_execute(deployment):
    executed = {
        deployment.add_command.replace(deployment.service_id, "ID"),
        deployment.watch_command.replace(deployment.service_id, "ID"),
        *(ADD_VERSION.format(version=version, model=f"M{version}") for version in (1, 2)),
        AUTO_UPDATE,
        NAME_LATEST,
        ADD_LATEST,
        ADD_CANARY,
    }
    assert set(commands("clearml-serving --id")) == executed


# A new champion


def test_a_promoted_model_is_served_while_requests_keep_flowing(deployment):
    _, challenger = deployment.model_files
    before, after = (predict(file, [ROW])[0] for file in deployment.model_files.values())
    deployment.command(AUTO_UPDATE, NAME_LATEST, ADD_LATEST)
    deployment.process.wait_for('metrics add --endpoint "asteroid_latest" ')
    deployment.command()
    told = deployment.process.output
    with deployment.traffic(ROW, "asteroid_latest") as answers:
        wait_until(lambda: answers, "a first answer", told)
        deployment.promote(challenger)
        wait_until(
            lambda: answers[-1][1]["y_raw"] == pytest.approx(after, abs=1e-6), "the new model's answer", told
        )
        switched = len(answers)
        wait_until(lambda: len(answers) > switched + 50, "fifty answers more", told)
    assert {status for status, _ in answers} == {200}
    served = [answer["y_raw"] for _, answer in answers]
    first_new = next(i for i, value in enumerate(served) if value == pytest.approx(after, abs=1e-6))
    assert served[:first_new] == pytest.approx([before] * first_new, abs=1e-6)
    assert served[first_new:] == pytest.approx([after] * len(served[first_new:]), abs=1e-6)
    # Both versions are counted under the name that clients use, and the newer one has the next number.
    wait_until(
        lambda: deployment.value("asteroid_latest:model") == int(challenger[:8], 16),
        "counts of the new one",
        told,
    )
    wait_until(
        lambda: (
            sum(measured_buckets(deployment, "asteroid_latest:rank_of_Absolute_Magnitude").values())
            == deployment.value("asteroid_latest:_count_total")
            == len(answers)
        ),
        "all requests, of both versions, under one name",
        told,
    )
    assert deployment.value("asteroid_latest:version") == 2


def test_the_deployed_endpoint_gets_the_new_champion_by_the_same_command_again(deployment):
    _, challenger = deployment.model_files
    deployment.promote(challenger)
    after = predict(deployment.model_files[challenger], [ROW])[0]
    with deployment.traffic(ROW) as answers:
        deployment.command(deployment.add_command)
        wait_until(
            lambda: answers[-1][1].get("y_raw") == pytest.approx(after, abs=1e-6),
            "the new champion's answer",
            deployment.process.output,
        )
    assert {status for status, _ in answers} == {200}


# Death of a part


@pytest.mark.parametrize("part", ["tansu", "serving_statistics"])
def test_requests_are_answered_without_it_and_the_metrics_resume(deployment, part):
    dead = deployment.part(part)
    with deployment.traffic(ROW) as answers:
        dead.kill()
        killed_at, killed = time.time(), len(answers)
        # Statistics is a new process in both cases, and tells when it began to count.
        wait_until(
            lambda: deployment.value("asteroid:_count_created") > killed_at,
            "counts of a new statistics process",
            deployment.process.output,
        )
    assert len(answers) > killed + 20  # hundreds on a machine of its own, a tenth of that on a busy one
    assert {status for status, _ in answers} == {200}
    assert deployment.part(part).pid != dead.pid


def test_inference_is_started_again_with_the_models_it_had(deployment):
    dead = deployment.inference()
    before = deployment.post(ROW).json()
    dead.kill()

    def answer() -> dict | None:
        try:
            response = deployment.post(ROW)
        except requests.ConnectionError:
            return None
        return response.json() if response.status_code == 200 else None

    wait_until(lambda: answer() == before, "the answer that it gave before", deployment.process.output)
    assert deployment.inference().pid != dead.pid


def test_a_part_whose_port_is_taken_holds_up_no_other_and_is_back_when_it_is_free(deployment):
    before = deployment.post(ROW).json()
    port = urlsplit(deployment.url).port
    deployment.inference().kill()
    with wait_until(lambda: listen(port), "the port"):
        deployment.process.wait_for(rf"inference is still down, .* Port {port} cannot be used")
        dead = deployment.part("alertmanager")
        dead.kill()
        deployment.process.wait_for(r"alertmanager is back\.")
        assert deployment.part("alertmanager").pid != dead.pid
        assert deployment.process.poll() is None
    deployment.process.wait_for(r"inference is still down(.|\n)*inference is back\.")
    assert deployment.post(ROW).json() == before


def listen(port: int) -> socket.socket | None:
    """A listener on a port of this machine, as soon as nobody else has it."""
    with suppress(OSError):
        return socket.create_server(("127.0.0.1", port))


# The story


def test_the_notebook_runs_from_top_to_bottom_and_its_drift_is_told_to_people(deployment, told, tmp_path):
    """The last test here: it sends traffic of its own to the endpoint and to the canary."""
    copy_repository(tmp_path / "asteroids")
    urls = {"INFERENCE_URL": f"{deployment.url}/asteroid", "PROMETHEUS_URL": deployment.prometheus_url}
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace"]
    done = run(
        [*command, "inference.ipynb"],
        seconds=600,  # it sends minutes of traffic
        cwd=tmp_path / "asteroids",
        env={**os.environ, **deployment.environment, **urls},
    )
    assert done.returncode == 0, done.stderr
    executed = tmp_path / "asteroids" / "inference.ipynb"
    check_story(executed)
    assert "From ClearML" in printed(executed)
    assert re.search(r"\{'asteroid_1': \d+, 'asteroid_2': \d+\}", printed(executed))
    wait_until(
        lambda: any(alert.startswith("MajorDrift") for alert in told),
        "the alarm at the webhook, by way of Prometheus and Alertmanager",
        deployment.process.output,
    )
