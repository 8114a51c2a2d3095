"""local_stack.alertmanager: whose configuration it runs with, and whom it tells of Prometheus's alerts."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import psutil
import pytest
import yaml

from local_stack import alertmanager, prometheus
from local_stack.alertmanager import Tools, alertmanager_command, write_configuration
from local_stack.debian_programs import find_programs, root_of
from local_stack.errors import StackError
from local_stack.loopback import HOST
from local_stack.processes import Processes
from local_stack.serving import take_port
from local_stack.tests.programs import skip_outside_ci
from local_stack.waiting import wait_until

pytestmark = pytest.mark.e2e

# The one in the middle is silenced by the first. The last one is told last: see its route.
RULES = """
groups:
  - name: test
    rules:
      - {alert: Major, expr: vector(1), labels: {endpoint: one}}
      - {alert: Minor, expr: vector(1), labels: {endpoint: one}}
      - {alert: Minor, expr: vector(1), labels: {endpoint: two}}
"""
CONFIGURATION = """
route:
  {receiver: people, group_by: [...], group_wait: 1s, routes: [{matchers: [endpoint = two], group_wait: 2s}]}
receivers: [{name: people, webhook_configs: []}, {name: others}]
templates: ["*.tmpl"]
inhibit_rules:
  - {source_matchers: [alertname = Major], target_matchers: [alertname = Minor], equal: [endpoint]}
"""
WEBHOOK = "http://127.0.0.1:9/alerts"


@pytest.fixture(scope="module")
def programs() -> tuple[prometheus.Tools, Tools]:
    """Prometheus and Alertmanager."""
    try:
        collector, notifier = find_programs([prometheus.PACKAGE, alertmanager.PACKAGE])
    except StackError as error:
        skip_outside_ci(str(error))
    return prometheus.Tools(*collector), Tools(*notifier)


@pytest.fixture
def tools(programs: tuple[prometheus.Tools, Tools]) -> Tools:
    return programs[1]


@pytest.fixture
def told() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A webhook's URL, and name and endpoint of each alert that it is told."""
    alerts: list[tuple[str, str]] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            alerts.extend(
                (alert["labels"]["alertname"], alert["labels"]["endpoint"]) for alert in body["alerts"]
            )
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer((HOST, 0), Webhook) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://{HOST}:{server.server_port}/alerts", alerts
        server.shutdown()
        thread.join()


def test_an_alert_of_prometheus_reaches_the_webhook_and_an_inhibited_one_does_not(programs, told, tmp_path):
    url, alerts = told
    rules, file = tmp_path / "rules.yml", tmp_path / "alertmanager.yml"
    rules.write_text(RULES)
    file.write_text(CONFIGURATION)
    collector, notifier = programs
    ports = take_port(), take_port()
    configuration = write_configuration(notifier, tmp_path / "notifier", file, url)
    target = f"{HOST}:{ports[1]}"
    commands = {
        "alertmanager": alertmanager_command(notifier, tmp_path / "notifier", ports[1], configuration),
        "prometheus": prometheus.prometheus_command(
            collector, tmp_path / "prometheus", ports[0], [], rules, 1, alertmanagers=[target]
        ),
    }
    with Processes(tmp_path / "logs") as processes:
        for name, command in commands.items():
            processes.spawn(name, command, cwd=root_of(notifier.alertmanager))
        wait_until(lambda: ("Minor", "two") in alerts, "the last alert", processes.log("alertmanager"))
        listening = [
            connection.laddr.ip
            for connection in psutil.Process(processes.running["alertmanager"].pid).net_connections()
            if connection.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
        ]
    assert set(alerts) == {("Major", "one"), ("Minor", "two")}
    assert listening == [HOST]  # nobody to gossip with


def test_without_a_file_there_is_one_receiver_and_the_webhook_is_its_only_one(tools, tmp_path):
    assert "webhook_configs" not in write_configuration(tools, tmp_path).read_text()
    written = yaml.safe_load(write_configuration(tools, tmp_path, None, WEBHOOK).read_text())
    assert written["receivers"] == [{"name": "default", "webhook_configs": [{"url": WEBHOOK}]}]


def test_a_file_is_used_as_it_is_and_a_webhook_is_added_to_a_copys_default_receiver(tools, tmp_path):
    file = tmp_path / "alertmanager.yml"
    file.write_text(CONFIGURATION.replace("[]", f"[{{url: {WEBHOOK}}}]"))
    assert write_configuration(tools, tmp_path / "home", file) == file
    assert not (tmp_path / "home").exists()
    other = f"{WEBHOOK}/other"
    written = yaml.safe_load(write_configuration(tools, tmp_path / "home", file, other).read_text())
    webhooks = {"webhook_configs": [{"url": WEBHOOK}, {"url": other}]}
    assert written["receivers"] == [{"name": "people", **webhooks}, {"name": "others"}]
    assert written["templates"] == [str(tmp_path / "*.tmpl")]  # the copy lies elsewhere


@pytest.mark.parametrize(
    ("text", "webhook", "reason"),
    [
        ("route: [", None, r"\S+/alertmanager\.yml: yaml: line 1: .*"),
        ("route: {receiver: x}", None, r'\S+/alertmanager\.yml: undefined receiver "x" used in route'),
        (CONFIGURATION, "example", r"the webhook 'example': unsupported scheme .*"),
    ],
)
def test_a_wrong_configuration_is_one_line_with_amtools_own_words(tools, tmp_path, text, webhook, reason):
    file = tmp_path / "alertmanager.yml"
    file.write_text(text)
    with pytest.raises(StackError, match=rf"^Alertmanager refuses {reason}$"):
        write_configuration(tools, tmp_path / "home", file, webhook)
