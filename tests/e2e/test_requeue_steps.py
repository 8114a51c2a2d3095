"""requeue_steps.py: an agent dies together with the step of a pipeline that it runs."""

import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from local_stack.stack import call
from local_stack.waiting import Child, wait_until
from tests.support.checkouts import REPOSITORY, Checkout
from tests.support.deployment import clean_environment

pytestmark = pytest.mark.e2e


class Up(Child):
    """`python -m local_stack up --agents 2`, and what its server tells."""

    def __init__(self, home: Path) -> None:
        options = ["--agents", "2", "--task-timeout", "30", "--port", "0", "--home", str(home)]
        command = [sys.executable, "-m", "local_stack", "up", *options]
        super().__init__(command, cwd=REPOSITORY)
        self.wait_for("Ctrl-C stops it")
        url = self.wait_for(r"running at (\S+)\. ")[1]
        self.api = partial(call, url, home)
        # Its clearml.conf leads git to the checkout that the stack itself runs in; the test's is another.
        self.environment = clean_environment() | {
            "CLEARML_CONFIG_FILE": str(home / "clearml.conf"),
            "CLEARML_ENABLE_ENV_CONFIG_SECTION": "0",
        }

    def wait_for_task(self, **wanted: object) -> dict:
        """The first such task that an agent executes, or has executed, once there is one."""

        def found() -> dict | None:
            tasks = self.api("tasks.get_all", search_hidden=True, **wanted)["tasks"]
            return next((task for task in tasks if task.get("last_worker")), None)

        return wait_until(found, f"a task with {wanted} on an agent", self.output)

    def kill_agent(self, worker: str) -> None:
        """Kill the agent and all that it runs, as a machine that loses its power."""
        (agent,) = [
            child
            for child in psutil.Process(self.pid).children()
            if child.environ().get("CLEARML_WORKER_ID") == worker
        ]
        family = [agent, *agent.children(recursive=True)]
        for action in (psutil.Process.suspend, psutil.Process.kill):  # so that none has time to say good-bye
            for process in family:
                with suppress(psutil.NoSuchProcess):  # it ended by itself, as git does all the time
                    action(process)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with Up(tmp_path / "home") as running:
        yield running
        running.send_signal(signal.SIGINT)
        assert running.wait_for_end() == 0


def test_a_step_whose_agent_is_killed_is_done_by_another_and_the_pipeline_completes(up, tmp_path):
    checkout = Checkout(tmp_path / "asteroids", up.environment)
    checkout.run("pipeline.py", "--training-seeds", "1", "--query-date", "1999-01-01")
    victim = up.wait_for_task(name="get_data", status=["in_progress"])
    up.kill_agent(victim["last_worker"])
    name = victim["last_worker"].partition(":")[2].rpartition("-")[0]
    up.wait_for(rf"{name} died: starting it again\.")

    up.wait_for_task(type=["controller"], status=["completed", "failed", "stopped"])
    tasks = up.api("tasks.get_all", search_hidden=True)["tasks"]
    steps = {task["name"]: task for task in tasks if task.get("parent") == victim["parent"]}
    names = ["get_data", "model_training_0", "preprocess_data", "select_best_model"]
    assert sorted(steps) == names
    assert [steps[name]["status"] for name in names] == ["completed"] * 4
    requeued = steps["get_data"]
    assert requeued["id"] == victim["id"]
    assert requeued["hyperparams"]["properties"]["requeues"]["value"] == "1"
    assert requeued["last_worker"] != victim["last_worker"]
