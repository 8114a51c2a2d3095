"""retrain.py on a real ClearML server: what it starts, and how it is started again itself.

The slow test at the end is the whole loop, on agents and clearml-serving.
"""

import re
import signal
import socket
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from local_stack.processes import Processes
from local_stack.stack import call
from local_stack.tests.programs import require_programs
from local_stack.waiting import Child, wait_until
from tests.support.agents import start_agent
from tests.support.checkouts import Checkout
from tests.support.deployment import (
    ADD_LATEST,
    AUTO_UPDATE,
    NAME_LATEST,
    Deployment,
    predict,
    table_rows,
    up,
)

pytestmark = pytest.mark.e2e

TODAY = f"{datetime.now(UTC):%Y-%m-%d}"
RUN = "asteroid pipeline"
ROW = table_rows()[0]


class Site:
    """A project in which the pipeline has run once, and queues that nobody listens to."""

    def __init__(self, checkout: Checkout, sdk, queue: str) -> None:
        self.checkout, self.sdk, self.queue = checkout, sdk, queue

    def add_run(self) -> None:
        """Let ClearML believe that the pipeline has run, on agents."""
        task = self.sdk.Task.create(f"{self.checkout.project}/.pipelines/{RUN}", RUN, "controller")
        task.set_system_tags(["pipeline"])
        task.set_script(repository="https://git.invalid/asteroids.git", entry_point="pipeline.py")
        task.set_parameters({"Args/query_date": "2000-01-01", "Args/step_queue": self.queue})
        task.mark_started()
        task.mark_completed()

    def scheduler(self, *options: object) -> Child:
        command = [sys.executable, "-u", "retrain.py", "--local", "--poll-seconds", "0.5", *map(str, options)]
        return Child(command, cwd=self.checkout.folder, env=self.checkout.environment)

    def runs(self) -> dict[str, object]:
        """The tasks of the runs that were started, by the rest of their name."""
        filter_ = {"status": ["queued"], "search_hidden": True, "type": ["controller"]}
        found = self.sdk.Task.get_tasks(task_name=f"^{RUN}, ", task_filter=filter_)
        project = f"{self.checkout.project}/.pipelines/{RUN}"
        return {t.name.removeprefix(f"{RUN}, "): t for t in found if t.get_project_name() == project}

    def add_champion(self) -> str:
        """Publish a model as the champion, and return its id."""
        task = self.sdk.Task.create(self.checkout.project, "model training")
        api = self.sdk.backend_api.session.client.APIClient()
        fields = {"name": "model training - best_model", "uri": "http://files.invalid/m.ubj", "ready": True}
        return api.models.create(project=task.project, tags=["champion"], **fields).id


@pytest.fixture(scope="module")
def site(tmp_path_factory, clearml_environment, sdk) -> Iterator[Site]:
    queue = f"no agent {uuid.uuid4().hex[:8]}"
    names = {"CONTROLLER_QUEUE": queue, "STEP_QUEUE": queue}
    folder = tmp_path_factory.mktemp("retraining") / "asteroids"
    yield Site(Checkout(folder, clearml_environment, names=names), sdk, queue)


def test_before_the_pipeline_has_run_one_line_says_so_and_there_is_no_task(site):
    done = site.checkout.run("retrain.py", "--local", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "retrain.py: error: no run of 'asteroid pipeline' has ended well yet, and there is nothing to "
        "repeat: run `python pipeline.py --wait` first\n"
    )


def test_it_starts_one_run_a_night_whatever_becomes_of_it_and_another_for_each_tag(site):
    site.add_run()
    champion = site.add_champion()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    webhook = ("--webhook", f"127.0.0.1:{port}")
    with site.scheduler("--now", *webhook) as first:
        url = first.wait_for(r"Alertmanager may post to (\S+)")[1]
        first.wait_for(rf"night of {TODAY}: is enqueued as \w+, query_date {TODAY}")
        first.wait_for(rf'No agent listens to .*clearml-agent daemon --queue "{site.queue}"')

        second = site.checkout.run("retrain.py", "--local", check=False)
        assert second.returncode == 1
        assert re.search(r"'retraining' is in_progress already, as task \w+: give --replace", second.stderr)

        alert = {"status": "firing", "labels": {"alertname": "MajorDrift"}, "startsAt": "now"}
        body = {"version": "4", "status": "firing", "alerts": [alert]}
        assert requests.post(url, json=body, timeout=10).status_code == 200
        assert site.sdk.Model(champion).tags == ["champion", "look at"]
        assert site.sdk.Model(champion).get_metadata("last alerts") == "MajorDrift (since now)"
        assert list(site.runs()) == [f"night of {TODAY}"]
        first.kill()

    site.sdk.Model(champion).tags = ["champion", "look at", "retrain"]  # while there is no scheduler
    with site.scheduler("--now", "--replace", *webhook) as again:
        again.wait_for(r"'retraining' was in_progress as task \w+: ending that one")
        again.wait_for(rf"night of {TODAY}: was started already, and is queued")
        again.wait_for(rf"tag on model {champion[:8]}: is enqueued")
        wait_until(lambda: site.sdk.Model(champion).tags == ["champion", "retrain accepted"], "the other tag")
        site.sdk.Model(champion).tags = ["champion", "retrain"]
        again.wait_for(rf"tag on model {champion[:8]}: is queued still \(\w+\), so no other is started")
        with site.scheduler("--replace", *webhook) as last:
            last.wait_for(r"'retraining' was in_progress as task \w+: ending that one")
            assert last.wait_for(r"Alertmanager may post to (\S+)")[1] == url
            again.wait_for_end()
            last.send_signal(signal.SIGINT)
            assert last.wait_for_end() == -signal.SIGINT
    runs = site.runs()
    assert sorted(runs) == [f"night of {TODAY}", f"tag on model {champion[:8]}"]
    assert {run.get_parameter("Args/query_date") for run in runs.values()} == {TODAY}
    ended = site.sdk.Task.get_tasks(project_name=site.checkout.project, task_name="^retraining$")
    assert {task.status for task in ended} == {"stopped"}


def test_a_run_that_was_copied_and_not_enqueued_is_the_nights_run(site):
    (run,) = (run for name, run in site.runs().items() if name.startswith("night of"))
    site.sdk.Task.dequeue(run)  # as if it had been killed between the two
    with site.scheduler("--now") as again:
        again.wait_for(rf"night of {TODAY}: is enqueued as {run.id}")


# The whole loop


class Loop:
    """The local stack with agents and serving, and what ClearML knows there."""

    def __init__(self, running: Deployment, home: Path) -> None:
        self.running, self.home = running, home
        self.url = f"http://127.0.0.1:{(home / 'port').read_text()}"

    def call(self, name: str, /, **wanted: object) -> dict:
        return call(self.url, self.home, name, **wanted)

    def told(self) -> str:
        """What retrain.py has printed on its agent."""
        tasks = self.call("tasks.get_all", name="^retraining$", only_fields=["id"])["tasks"]
        logs = [self.call("events.get_task_log", task=task["id"])["events"] for task in tasks]
        return "".join(event["msg"] for log in logs for event in log)

    def wait_for(self, pattern: str) -> re.Match[str]:
        return wait_until(lambda: re.search(pattern, self.told()), pattern, self.told)

    def answer_of(self, model: str) -> float:
        """What a model itself says of the row."""
        path = self.running.run("-c", f"from clearml import Model; print(Model({model!r}).get_local_copy())")
        return predict(Path(path.splitlines()[-1]), [ROW])[0]


# The second version answers at the address that stays.
SECOND_VERSION = 'endpoint:version{endpoint="asteroid_latest"} == 2'


@pytest.mark.slow
def test_new_rows_become_a_champion_that_is_served_and_no_request_fails(tmp_path):
    require_programs()
    home, pipeline = tmp_path / "home", ["pipeline.py", "--wait", "--training-seeds", "42"]
    with up(home, "--agents", "2") as running, Processes(tmp_path / "agents") as processes:
        loop = Loop(running, home)
        # retrain.py keeps the stack's own agent of this queue busy.
        start_agent(processes, "services-2", ["services"], running.environment)
        decided = running.run(*pipeline, "--query-date", "2000-01-01").splitlines()[-1]
        old = re.match(r"Model (\w+) is the new champion: there is no champion yet", decided)[1]
        running.command(AUTO_UPDATE, NAME_LATEST, ADD_LATEST)
        running.process.wait_for('metrics add --endpoint "asteroid_latest" ')
        with running.traffic(ROW, "asteroid_latest") as answers:
            running.run("retrain.py", "--now", "--poll-seconds", "1")
            new = loop.wait_for(r"Model (\w+) is the new champion: it is better: .* on 3062 asteroids")[1]
            before, after = loop.answer_of(old), loop.answer_of(new)
            newest = pytest.approx(after, abs=1e-6)
            wait_until(lambda: answers[-1][1]["y_raw"] == newest, "the new model's answer", loop.told)

            loop.call("models.edit", model=new, tags=["champion", "retrain"])
            loop.wait_for(rf"Model {new} stays the champion: no candidate is better than it was")
            wait_until(
                lambda: running.value(SECOND_VERSION) > 0,
                "requests to the new version in Prometheus",
                running.process.output,
            )
        (model,) = loop.call("models.get_all", id=[new])["models"]
        assert model["tags"] == ["champion", "retrain accepted"]
    assert {status for status, _ in answers} == {200}
    served = [answer["y_raw"] for _, answer in answers]
    switch = next(number for number, value in enumerate(served) if value == newest)
    assert served[:switch] == pytest.approx([before] * switch, abs=1e-6)
    assert served[switch:] == pytest.approx([after] * (len(served) - switch), abs=1e-6)
