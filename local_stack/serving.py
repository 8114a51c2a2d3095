"""clearml-serving on the local stack: inference, Kafka broker, statistics, Prometheus, Alertmanager, Grafana.

Inference answers requests and writes about each to a Kafka topic; statistics counts what it reads there, and
Prometheus collects the counts; Alertmanager tells what its rules raise. A part that dies is started again:
meanwhile requests are still answered, and afterwards the metrics go on. Grafana is run where it is installed.
"""

import random
import re
import socket
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from .alertmanager import alertmanager_command, write_configuration
from .debian_programs import root_of
from .errors import ProcessError, StackError
from .grafana import grafana_command, grafana_environment
from .loopback import HOST, open_loopback
from .prometheus import check_rules, is_ready, prometheus_command
from .serving_programs import Programs, find_programs
from .stack import Stack, bind
from .supervision import Part, Supervisor

# How soon a model or a metric that was added takes effect. clearml-serving's own 5 minutes are long to wait.
SYNC_SECONDS = 2

# What begins anew when another part has: statistics does not notice that the broker, which keeps nothing, is
# another one. Inference does.
FOLLOWERS = {"broker": ["statistics"]}

OWN_PORTS = range(10_000, 32_768)  # above them begin those that systems give to connections


@dataclass
class Ports:
    """Where the parts are to be found; 0 takes a free port."""

    inference: int = 8080
    prometheus: int = 9090
    grafana: int = 3000
    alertmanager: int = 9093


class Serving:
    """clearml-serving on a running stack. The stack stops it when it stops itself."""

    def __init__(
        self,
        stack: Stack,
        ports: Ports | None = None,
        *,
        name: str = "serving",
        workers: int = 1,
        rules: Path | None = None,
        dashboard: Path | None = None,
        alertmanager: Path | None = None,
        alert_webhook: str | None = None,
        project: Path | None = None,
    ) -> None:
        """Start all parts; `wait` for them. StackError names what is missing or in the way, with remedy.

        `name` is that of the clearml-serving service, which is made if need be; `rules` is a file of alert
        rules for Prometheus, `dashboard` one for Grafana, and `alertmanager` the configuration of
        Alertmanager, to whose default receiver `alert_webhook`, a URL, is added. Links in alerts can lead to
        files of `project`, a folder.
        """
        for setting, file in {"rules": rules, "dashboard": dashboard, "alertmanager": alertmanager}.items():
            if file and not file.is_file():
                raise StackError(f"{file} is not a file: correct the setting `{setting}`.")
        self.stack, self.name = stack, name
        self._rules, self._dashboard, self._project = rules, dashboard, project
        wanted = ports or Ports()
        programs = find_programs()
        if rules:
            check_rules(programs.prometheus, rules)
        folder = stack.home / "alertmanager"
        alerting = write_configuration(programs.alertmanager, folder, alertmanager, alert_webhook)
        ports = Ports(
            take_port(wanted.inference, "--serving-port"),
            take_port(wanted.prometheus, "--prometheus-port"),
            take_port(wanted.grafana, "--grafana-port") if programs.grafana else 0,
            take_port(wanted.alertmanager, "--alertmanager-port"),
        )
        self.url = f"http://{HOST}:{ports.inference}/serve"
        self.prometheus_url = f"http://{HOST}:{ports.prometheus}"
        self.alertmanager_url = f"http://{HOST}:{ports.alertmanager}"
        self.grafana_url = f"http://{HOST}:{ports.grafana}" if programs.grafana else None
        self.service_id = self._find_service() or self._create_service()
        statistics_port = take_port()
        broker, *others = [
            *self._plan_serving(programs, ports, workers, statistics_port),
            *self._plan_monitoring(programs, ports, statistics_port, alerting),
        ]
        self._supervisor = Supervisor(stack.processes, FOLLOWERS)
        self._supervisor.start(lambda: broker)
        self._supervisor.wait()
        for part in others:  # at once: most take seconds to import what they need
            self._supervisor.start(partial(always, part))
        stack.tell_pages(dashboard, self.prometheus_url, self.alertmanager_url)

    def wait(self) -> None:
        """Return when all parts are ready; ProcessError for one that does not become so."""
        self._supervisor.wait()

    def _plan_serving(
        self, programs: Programs, ports: Ports, workers: int, statistics_port: int
    ) -> list[Part]:
        """Return the parts of clearml-serving, none started; the broker is first: others need it to start."""
        broker_port = take_port()
        environment = {
            **self.stack.environment(),
            "CLEARML_SERVING_TASK_ID": self.service_id,
            "CLEARML_SERVING_POLL_FREQ": str(SYNC_SECONDS / 60),
            "CLEARML_DEFAULT_KAFKA_SERVE_URL": f"{HOST}:{broker_port}",
            "CLEARML_DEFAULT_BASE_SERVE_URL": self.url,
            # A single row gains nothing from threads, and waiting for them costs milliseconds.
            "OMP_NUM_THREADS": "1",
        }
        python = [sys.executable, "-m"]
        address, storage = f"tcp://{HOST}:{broker_port}", ["--storage-engine", "memory://tansu/"]
        broker = Part(
            "broker",
            [programs.broker, *storage, "--listener-url", address, "--advertised-listener-url", address],
            environment,
            ready=lambda: accepts(broker_port),
        )
        app = ["local_stack.serving_spare", "--log-level", "warning"]
        inference = Part(
            "inference",
            [*python, *app, "--host", HOST, "--port", str(ports.inference), "--workers", str(workers)],
            environment | {"CLEARML_SERVING_PORT": str(ports.inference)},
            ready=lambda: accepts(ports.inference),
            check=partial(take_port, ports.inference, "--serving-port"),
            spare=True,
        )
        statistics = Part(
            "statistics",
            [*python, "local_stack.serving_statistics"],
            environment | {"CLEARML_SERVING_PORT": str(statistics_port)},
            ready=lambda: accepts(statistics_port),
        )
        return [broker, inference, statistics]

    def _plan_monitoring(
        self, programs: Programs, ports: Ports, statistics_port: int, alerting: Path
    ) -> list[Part]:
        """Return what watches clearml-serving, none started; `alerting` configures Alertmanager."""
        home, environment = self.stack.home, self.stack.environment()
        collector = prometheus_command(
            programs.prometheus,
            home / "prometheus",
            ports.prometheus,
            [f"{HOST}:{statistics_port}"],
            self._rules,
            alertmanagers=[f"{HOST}:{ports.alertmanager}"],
            repository=self._project,
        )
        notifier = alertmanager_command(
            programs.alertmanager, home / "alertmanager", ports.alertmanager, alerting
        )
        parts = [
            Part(
                "prometheus",
                collector,
                environment,
                partial(is_ready, self.prometheus_url),
                partial(take_port, ports.prometheus, "--prometheus-port"),
            ),
            Part(
                "alertmanager",
                notifier,
                environment,
                partial(is_ready, self.alertmanager_url),
                partial(take_port, ports.alertmanager, "--alertmanager-port"),
                folder=root_of(programs.alertmanager.alertmanager),
            ),
        ]
        if programs.grafana:
            settings = grafana_environment(
                home / "grafana", ports.grafana, self.prometheus_url, self._dashboard
            )
            command = grafana_command(programs.grafana)
            ready = partial(accepts, ports.grafana)
            check = partial(take_port, ports.grafana, "--grafana-port")
            parts.append(Part("grafana", command, environment | settings, ready, check))
        return parts

    def restart_dead_processes(self) -> None:
        """Start again what has died, and what has to begin anew after it; to be called now and then."""
        self._supervisor.poll()

    def serves(self, endpoint: str, refusal: str) -> bool:
        """Return whether a model is deployed there: it answers an empty row, or its hook refuses the row.

        `refusal` is what the hook says then. A model that cannot be loaded has the same status, 422.
        """
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/{quote(endpoint)}", b"{}", headers)
        try:
            open_loopback(request, timeout=30).close()
        except urllib.error.HTTPError as error:
            return error.code == 422 and refusal in error.read().decode(errors="replace")
        return True

    def names(self) -> list[str]:
        """Return the names of the processes that `restart_dead_processes` starts again."""
        return self._supervisor.names()

    def _find_service(self) -> str | None:
        """Return the id of this home's newest service of this name, if any."""
        found = self.stack.call(
            "tasks.get_all",
            name=f"^{re.escape(self.name)}$",
            type=["service"],
            system_tags=["serving-control-plane", "-archived"],
            order_by=["-created"],
            only_fields=["id"],
        )["tasks"]
        return found[0]["id"] if found else None

    def _create_service(self) -> str:
        lines: list[str] = []
        command = [sys.executable, "-m", "clearml_serving", "create", "--name", self.name]
        environment = self.stack.environment()
        self.stack.processes.run("create-service", command, env=environment, each_line=lines.append)
        created = re.search(r"New Serving Service created: id=(\w+)", "\n".join(lines))
        if not created:
            raise ProcessError("\n".join(["clearml-serving create failed. It said:", *lines]))
        return created[1]


def always(part: Part) -> Part:
    return part


def take_port(wanted: int = 0, option: str = "") -> int:
    """Return a port that is free at this moment: the wanted one, or for 0 any.

    Not one that the system would choose: those it also gives to connections, of which there are many. One of
    them could have it before the process that it is meant for.
    """
    if wanted:
        bind(wanted, option).close()
        return wanted
    for candidate in random.sample(OWN_PORTS, 100):
        try:
            return take_port(candidate)
        except StackError:
            continue
    with bind(0, option) as probe:
        return probe.getsockname()[1]


def accepts(port: int) -> bool:
    """Return whether something listens on the port."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
        return True
    except OSError:
        return False
