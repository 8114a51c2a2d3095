"""The files in deploy/, read by the programs that they are for; docker alone is missing.

Docker Compose merges clearml-serving's compose file with ours, and checks both by the compose specification's
schema; promtool and amtool check their configurations; a real Alertmanager silences what it should.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest
import yaml

from local_stack.alertmanager import PACKAGE, Tools, alertmanager_command
from local_stack.debian_programs import find_programs, root_of
from local_stack.errors import ProgramsNotFound
from local_stack.loopback import HOST, open_loopback
from local_stack.processes import Processes
from local_stack.prometheus import is_ready
from local_stack.serving import take_port
from local_stack.tests.programs import skip_outside_ci
from local_stack.waiting import run
from tests.support.alarms import RULES, TOOLS_CACHE, promtool
from tests.support.checkouts import REPOSITORY
from tests.support.docker_compose import find_compose
from tests.support.readme import commands

DEPLOY = REPOSITORY / "deploy"
ALERTMANAGER = DEPLOY / "alertmanager.yml"
EXAMPLE_ENV = DEPLOY / "example.env"
OVERRIDE = DEPLOY / "compose.override.yaml"

INFERENCE, STATISTICS = "clearml-serving-inference", "clearml-serving-statistics"

# What clearml-serving's docker/compose.yaml has that ours must take into account, as of late 2026: its
# services, and of each what would be in the way.
UPSTREAM: dict[str, dict[str, Any]] = {
    "zookeeper": {"image": "bitnamilegacy/zookeeper"},
    "kafka": {
        "image": "bitnamilegacy/kafka",
        "depends_on": ["zookeeper"],
        "environment": ["KAFKA_CFG_ZOOKEEPER_CONNECT=clearml-serving-zookeeper:2181"],
    },
    "prometheus": {
        "image": "prom/prometheus:v2.34.0",
        "command": ["--config.file=/prometheus.yml"],
        "volumes": ["./prometheus.yml:/prometheus.yml"],
        "depends_on": [STATISTICS],
    },
    "alertmanager": {"image": "prom/alertmanager:v0.23.0", "depends_on": ["prometheus", "grafana"]},
    "grafana": {
        "image": "grafana/grafana:8.4.4-ubuntu",
        "volumes": ["./datasource.yml:/etc/grafana/provisioning/datasources/datasource.yaml"],
        "ports": ["3000:3000"],
        "depends_on": ["prometheus"],
    },
    INFERENCE: {
        "image": "allegroai/clearml-serving-inference:latest",
        "ports": ["8080:8080"],
        "depends_on": ["kafka"],
    },
    STATISTICS: {"image": "allegroai/clearml-serving-statistics:latest", "depends_on": ["kafka"]},
}
# Variables that it passes on to inference, to statistics, or to both.
UPSTREAM_VARIABLES = [
    "CLEARML_WEB_HOST",
    "CLEARML_API_HOST",
    "CLEARML_FILES_HOST",
    "CLEARML_API_ACCESS_KEY",
    "CLEARML_API_SECRET_KEY",
    "CLEARML_SERVING_TASK_ID",
    "CLEARML_SERVING_PORT",
    "CLEARML_SERVING_POLL_FREQ",
    "CLEARML_SERVING_NUM_PROCESS",
    "CLEARML_DEFAULT_KAFKA_SERVE_URL",
    "CLEARML_DEFAULT_BASE_SERVE_URL",
    "CLEARML_EXTRA_PYTHON_PACKAGES",
]
for service in (INFERENCE, STATISTICS):
    UPSTREAM[service]["environment"] = {name: f"${{{name}:-}}" for name in UPSTREAM_VARIABLES}

FROM_A_PERSON = {
    "CLEARML_API_ACCESS_KEY": "key",
    "CLEARML_API_SECRET_KEY": "secret",
    "CLEARML_SERVING_TASK_ID": "id",
    "GRAFANA_ADMIN_PASSWORD": "password",
}

Merged = dict[str, Any]


class Compose:
    """The README's `docker compose` command, which here prints what it would run instead of running it."""

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "clearml-serving"
        file = self.clone / "docker" / "compose.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(yaml.safe_dump({"services": UPSTREAM}))
        self.program = " ".join(find_compose(TOOLS_CACHE))
        (up,) = {line for line in commands("docker compose") if "--env-file" in line}
        self.command = up.replace("docker compose", self.program).replace("up -d", "config --format json")

    def __call__(
        self, variables: dict[str, str], folder: Path = REPOSITORY
    ) -> "subprocess.CompletedProcess[str]":
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment |= {"CLEARML_SERVING": str(self.clone), **variables}
        return run(["sh", "-c", self.command], cwd=folder, env=environment)


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Compose:
    return Compose(tmp_path_factory.mktemp("upstream"))


@pytest.fixture(scope="module")
def merged(compose: Compose) -> Merged:
    """All services as Compose would start them, by name."""
    done = compose(FROM_A_PERSON)
    assert done.returncode == 0, done.stderr
    assert "not set" not in done.stderr  # a variable that nobody sets
    services: Merged = json.loads(done.stdout)["services"]
    return services


class PlainLoader(yaml.SafeLoader):
    """Reads a compose file as if it had no !override and no !reset."""


def without_tag(loader: PlainLoader, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return None


for tag in ("!override", "!reset"):
    PlainLoader.add_constructor(tag, without_tag)


def test_the_override_names_only_services_that_clearml_serving_has():
    ours = yaml.load(OVERRIDE.read_text(), PlainLoader)["services"]
    assert set(ours) == set(UPSTREAM)


def test_all_run_but_zookeeper_each_from_an_image_that_exists(merged):
    assert set(merged) == set(UPSTREAM) - {"zookeeper"}
    assert not [name for name, service in merged.items() if "bitnami" in service.get("image", "bitnami")]
    assert int(re.split(r"[:.]", merged["grafana"]["image"])[1]) >= 9


def test_nothing_of_the_old_kafka_is_left(merged):
    kafka = merged["kafka"]
    assert "depends_on" not in kafka
    assert not [name for name in kafka["environment"] if name.startswith("KAFKA_CFG") or "ZOOKEEPER" in name]


def test_each_service_says_whether_it_is_well_and_starts_again(merged):
    for service in merged.values():
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD"


def test_every_port_is_on_loopback_and_none_is_one_of_the_clearml_server(merged):
    ports = [port for service in merged.values() for port in service.get("ports", [])]
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    published = sorted(int(port["published"]) for port in ports)
    assert published == [3000, 8082, 9090, 9093]
    assert not {8008, 8080, 8081} & set(published)


def test_every_file_that_is_mounted_exists_and_is_ours(merged):
    mounts = [
        mount
        for service in merged.values()
        for mount in service.get("volumes", [])
        if mount["type"] == "bind"
    ]
    sources = {Path(mount["source"]).relative_to(REPOSITORY) for mount in mounts}
    assert {Path("asteroid.json"), Path("deploy/asteroid_alerts.yml")} < sources
    assert all((REPOSITORY / source).exists() for source in sources)
    for mount in mounts:
        assert mount["read_only"]
        assert not mount["bind"].get("create_host_path")


def test_what_each_service_is_told_is_where_the_others_listen(merged):
    kafka = merged["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].removeprefix("PLAINTEXT://")
    for name, port in ((INFERENCE, "8080"), (STATISTICS, "9999")):
        told = merged[name]["environment"]
        assert told["CLEARML_DEFAULT_KAFKA_SERVE_URL"] == kafka == "kafka:9092"
        assert told["CLEARML_SERVING_PORT"] == port
    assert merged[INFERENCE]["ports"][0]["target"] == 8080
    assert merged[INFERENCE]["environment"]["OMP_NUM_THREADS"] == "1"

    prometheus = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in prometheus["scrape_configs"]}
    assert targets["clearml-inference-stats"] == [f"{STATISTICS}:9999"]
    (alerting,) = prometheus["alerting"]["alertmanagers"]
    assert alerting["static_configs"] == [{"targets": ["alertmanager:9093"]}]
    (source,) = yaml.safe_load((DEPLOY / "grafana/datasources/prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"


def test_grafana_looks_for_the_dashboard_where_it_is_mounted(merged):
    (provider,) = yaml.safe_load((DEPLOY / "grafana/dashboards/asteroid.yaml").read_text())["providers"]
    targets = {mount.get("source"): mount["target"] for mount in merged["grafana"]["volumes"]}
    assert Path(targets[str(REPOSITORY / "asteroid.json")]).parent == Path(provider["options"]["path"])
    for kind in ("datasources", "dashboards"):
        assert targets[str(DEPLOY / "grafana" / kind)] == f"/etc/grafana/provisioning/{kind}"


@pytest.mark.parametrize("missing", FROM_A_PERSON)
def test_without_a_key_or_a_password_nothing_starts(compose, missing):
    done = compose({name: value for name, value in FROM_A_PERSON.items() if name != missing})
    assert done.returncode != 0
    assert f"required variable {missing} is missing a value" in done.stderr


def test_example_env_explains_every_variable_that_the_override_reads():
    lines = EXAMPLE_ENV.read_text().splitlines()
    explained = [
        line.partition("=")[0]
        for before, line in zip(["", *lines], lines, strict=False)
        if re.match(r"\w+=", line) and before.startswith("# ")
    ]
    assert explained == [line.partition("=")[0] for line in lines if re.match(r"\w+=", line)]
    read = set(re.findall(r"\$\{(\w+)", OVERRIDE.read_text()))
    assert read <= set(explained)
    assert set(explained) - read <= set(UPSTREAM_VARIABLES)


def test_the_filled_in_copies_stay_out_of_git():
    for name in ("deploy/.env", "deploy/alertmanager.local.yml"):
        assert run(["git", "check-ignore", name], cwd=REPOSITORY).returncode == 0, name


def test_prometheus_accepts_its_configuration_and_the_rules():
    done = promtool("check", "config", DEPLOY / "prometheus.yml")
    assert done.returncode == 0, done.stderr
    assert f"Checking {RULES}" in done.stdout


@pytest.fixture(scope="module")
def tools() -> Tools:
    """Alertmanager and amtool, as the local stack finds or fetches them."""
    try:
        (programs,) = find_programs([PACKAGE], TOOLS_CACHE)
    except ProgramsNotFound as error:
        skip_outside_ci(str(error))
    return Tools(*programs)


def test_alertmanager_accepts_its_configuration(tools):
    done = run([tools.amtool, "check-config", ALERTMANAGER])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 inhibit rules" in done.stdout


def test_alertmanager_tells_in_one_message_what_is_wrong_at_an_endpoint_and_hurries_for_no_notice(tools):
    def route(**labels: str) -> str:
        shown = ["config", "routes", "test", f"--config.file={ALERTMANAGER}"]
        return run(
            [tools.amtool, *shown, *(f"{name}={value}" for name, value in labels.items())]
        ).stdout.strip()

    assert route(alertname="MajorDrift", severity="warning") == "people"
    assert route(alertname="MinorDrift", severity="info") == "people"
    routes = yaml.safe_load(ALERTMANAGER.read_text())["route"]
    assert routes["group_by"] == ["endpoint"]
    assert [child["matchers"] for child in routes["routes"]] == [['severity="info"']]


def test_the_pages_test_alarm_does_not_keep_the_first_real_one_waiting():
    (raised,) = commands("curl .*api/v2/alerts")
    ((labels,),) = [alert.values() for alert in json.loads(re.search(r"'(.*)'", raised)[1])]
    (drift,) = {line for line in commands("python inference.py --url") if "--drift" in line}
    assert labels["endpoint"] != re.search(r"/serve/(\w+)", drift)[1]  # by which messages are grouped
    routes = yaml.safe_load(ALERTMANAGER.read_text())["route"]
    assert (routes["group_wait"], routes["group_interval"]) == ("1m", "10m")  # as the page says


def test_the_checkers_of_the_images_read_what_is_mounted_there(merged):
    checks = [line.split() for line in commands("docker compose run .*--entrypoint")]
    services = [words[words.index("--entrypoint") + 2] for words in checks]
    assert services == ["alertmanager", "prometheus"]
    for words, service in zip(checks, services, strict=True):
        assert words[-1] in {mount["target"] for mount in merged[service]["volumes"]}


@pytest.fixture(scope="module")
def alertmanager(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Alertmanager with our configuration, which can reach nobody."""
    home, port = tmp_path_factory.mktemp("alertmanager"), take_port()
    url = f"http://{HOST}:{port}"
    command = alertmanager_command(tools, home, port, ALERTMANAGER)
    with Processes(home / "logs") as processes:
        folder = root_of(tools.alertmanager)
        processes.start("alertmanager", command, cwd=folder, ready=partial(is_ready, url))
        yield url


# Alert, endpoint and feature: fourteen that fire at once.
DRIFTING = ["MajorDrift", "OutOfRange", "MinorDrift"]
FIRING = [
    *((name, "asteroid", "MOID") for name in DRIFTING),
    *((name, "asteroid", "Magnitude") for name in DRIFTING[1:]),
    *((name, "asteroid_latest", "MOID") for name in DRIFTING[1:]),
    ("MinorDrift", "asteroid_latest", "Magnitude"),
    ("PositiveShareDrift", "asteroid", ""),
    ("DriftUnwatched", "asteroid", ""),
    ("SlowAnswers", "asteroid", ""),
    ("StatisticsDown", "", ""),
    ("StatisticsLag", "", ""),
    ("NoRequests", "asteroid", ""),
]
SILENCED = {
    ("OutOfRange", "asteroid", "MOID"),
    ("MinorDrift", "asteroid", "MOID"),
    ("MinorDrift", "asteroid", "Magnitude"),
    ("MinorDrift", "asteroid_latest", "MOID"),
    ("StatisticsLag", "", ""),
    ("NoRequests", "asteroid", ""),
}


def test_an_alert_that_follows_from_another_is_silenced_at_its_endpoint_and_feature_alone(alertmanager):
    labels = [
        {"alertname": name, "endpoint": endpoint, "variable": variable} for name, endpoint, variable in FIRING
    ]
    url = f"{alertmanager}/api/v2/alerts"
    body = json.dumps([{"labels": {key: value for key, value in each.items() if value}} for each in labels])
    with open_loopback(Request(url, body.encode(), {"Content-Type": "application/json"}), timeout=10):
        pass
    with open_loopback(url, timeout=10) as answer:
        alerts = json.load(answer)
    assert len(alerts) == len(FIRING)
    silenced = [alert["labels"] for alert in alerts if alert["status"]["inhibitedBy"]]
    assert {
        (each["alertname"], each.get("endpoint", ""), each.get("variable", "")) for each in silenced
    } == SILENCED


def test_every_alert_that_alertmanager_names_has_a_runbook_entry():
    named = {
        name
        for rule in yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]
        for matcher in rule["source_matchers"] + rule["target_matchers"]
        for name in re.findall(r"[A-Z]\w+", matcher)
    }
    runbook = (DEPLOY / "runbook.md").read_text()
    assert named < set(re.findall(r"^### (\w+)$", runbook, re.MULTILINE))


def test_the_rules_become_what_kubernetes_takes_by_the_command_of_the_page():
    (command,) = commands(r"\{ printf .*asteroid_alerts\.yml.*kubectl")
    made = run(["sh", "-c", command.partition("| kubectl")[0]], cwd=REPOSITORY)
    resource = yaml.safe_load(made.stdout)
    assert (resource["apiVersion"], resource["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert resource["spec"] == yaml.safe_load(RULES.read_text())
