"""pipeline.py when an agent dies together with the step that it runs."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from conftest import REPOSITORY, Api, Checkout
from deployment import clean_environment

from local_stack.server.auth import Credentials


class Up:
    """`python -m local_stack up --agents 2`, and what its server tells."""

    def __init__(self, home: Path) -> None:
        options = ["--agents", "2", "--silence", "30", "--port", "0", "--home", str(home)]
        command = [sys.executable, "-m", "local_stack", "up", *options]
        self.process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        url = re.search(r"running at (\S+)\. ", self.read_until("Ctrl-C stops it"))[1]
        self.api = Api(url, Credentials.load_or_make(home / "server" / "credentials.json")).login()
        # Its clearml.conf leads git to the checkout that the stack itself runs in; the test's is another.
        self.environment = clean_environment() | {
            "CLEARML_CONFIG_FILE": str(home / "clearml.conf"),
            "CLEARML_ENABLE_ENV_CONFIG_SECTION": "0",
        }

    def read_until(self, text: str) -> str:
        """What it prints until then."""
        printed = ""
        while text not in printed:
            line = self.process.stdout.readline()
            assert line, f"up ended early:\n{printed}"
            printed += line
        return printed

    def wait_for(self, seconds: float = 300, **wanted: object) -> dict:
        """The first such task that an agent executes, or has executed, once there is one."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for task in self.api("tasks.get_all", search_hidden=True, **wanted)["tasks"]:
                if task.get("last_worker"):
                    return task
            time.sleep(0.2)
        raise AssertionError(f"there never was a task with {wanted}")

    def kill_agent(self, worker: str) -> None:
        """Kill the agent and all that it runs, as a machine that loses its power."""
        (agent,) = [
            child
            for child in psutil.Process(self.process.pid).children()
            if child.environ().get("CLEARML_WORKER_ID") == worker
        ]
        family = [agent, *agent.children(recursive=True)]
        for action in (psutil.Process.suspend, psutil.Process.kill):  # so that none has time to say good-bye
            for process in family:
                with suppress(psutil.NoSuchProcess):  # it ended by itself, as git does all the time
                    action(process)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path / "home")
    yield running
    running.process.send_signal(signal.SIGINT)
    running.process.communicate(timeout=30)


def test_a_step_whose_agent_is_killed_is_done_by_another_and_the_pipeline_completes(up, tmp_path):
    checkout = Checkout(tmp_path / "asteroids", up.environment)
    checkout.run("pipeline.py", "--training-seeds", "1", "--query-date", "1999-01-01")
    victim = up.wait_for(name="get_data", status=["in_progress"])
    up.kill_agent(victim["last_worker"])
    name = victim["last_worker"].partition(":")[2].rpartition("-")[0]
    up.read_until(f"{name} died: starting it again.")

    up.wait_for(type=["controller"], status=["completed", "failed", "stopped"])
    tasks = up.api("tasks.get_all", search_hidden=True)["tasks"]
    steps = {task["name"]: task for task in tasks if task.get("parent") == victim["parent"]}
    names = ["get_data", "model_training_0", "preprocess_data", "select_best_model"]
    assert sorted(steps) == names
    assert [steps[name]["status"] for name in names] == ["completed"] * 4
    revived = steps["get_data"]
    assert revived["id"] == victim["id"]
    assert revived["hyperparams"]["properties"]["revivals"]["value"] == "1"
    assert revived["last_worker"] != victim["last_worker"]
