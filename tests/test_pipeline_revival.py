"""pipeline.py when an agent dies together with the step that it runs."""

import time
from contextlib import suppress

import psutil
from conftest import Checkout

from local_stack.stack import Stack


def test_a_step_whose_agent_is_killed_is_done_by_another_and_the_pipeline_completes(tmp_path):
    with Stack(tmp_path / "home", port=0, agents=2, silence=15) as stack:
        # Its clearml.conf leads git to the checkout that the stack itself runs in; this one is another.
        environment = {**stack.environment(), "CLEARML_ENABLE_ENV_CONFIG_SECTION": "0"}
        checkout = Checkout(tmp_path / "asteroids", environment)
        checkout.run("pipeline.py", "--training-seeds", "1", "--query-date", "1999-01-01")
        victim = wait_for(stack, name="get_data", status=["in_progress"])
        kill(stack, victim["last_worker"])
        wait_for(stack, type=["controller"], status=["completed", "failed", "stopped"])
        tasks = stack.call("tasks.get_all", search_hidden=True)["tasks"]
        steps = {task["name"]: task for task in tasks if task.get("parent") == victim["parent"]}
        names = ["get_data", "model_training_0", "preprocess_data", "select_best_model"]
        assert sorted(steps) == names
        assert [steps[name]["status"] for name in names] == ["completed"] * 4
        revived = steps["get_data"]
        assert revived["id"] == victim["id"]
        assert revived["hyperparams"]["properties"]["revivals"]["value"] == "1"
        assert revived["last_worker"] != victim["last_worker"]


def wait_for(stack: Stack, seconds: float = 300, **wanted: object) -> dict:
    """The first such task that an agent executes, or has executed, once there is one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for task in stack.call("tasks.get_all", search_hidden=True, **wanted)["tasks"]:
            if task.get("last_worker"):
                return task
        time.sleep(0.2)
    raise AssertionError(f"there never was a task with {wanted}")


def kill(stack: Stack, worker: str) -> None:
    """Kill the agent and all that it runs, as a machine that loses its power."""
    name = worker.partition(":")[2].rpartition("-")[0]
    agent = psutil.Process(stack.processes.running[name].pid)
    family = [agent, *agent.children(recursive=True)]
    for action in (psutil.Process.suspend, psutil.Process.kill):  # so that none has time to say good-bye
        for process in family:
            with suppress(psutil.NoSuchProcess):  # it ended by itself, as git does all the time
                action(process)
