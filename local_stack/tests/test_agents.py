"""Agents that die: what becomes of what they ran."""

import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from local_stack.agents import take_up_again
from local_stack.processes import MARK
from local_stack.server.services import answer_call
from local_stack.stack import Stack
from local_stack.waiting import wait_until

PIPELINE = """
import sys
from clearml import PipelineController


def first() -> int:
    return 1


def second(one: int, gate: str) -> int:
    import os, time
    while not os.path.exists(gate):
        time.sleep(0.1)
    return one + 1


pipeline = PipelineController(name="a pipeline", project="pipelines", version="1.0.0", pool_frequency=0.02)
pipeline.add_function_step("first", first, function_return=["one"])
pipeline.add_function_step("second", second, dict(one="${first.one}", gate=GATE), function_return=["two"])
pipeline.set_default_execution_queue("default")
pipeline.start(queue="services")
"""


def test_only_what_the_dead_agent_ran_is_killed_stopped_and_queued_again(store, capsys):
    def call(name: str, /, **parameters) -> dict:
        return answer_call(store, name, parameters)

    def new_task(**fields) -> str:
        return call("tasks.create", **{"name": "a task", "type": "custom", **fields})["id"]

    host, dead = socket.gethostname(), "agent-services-0123abcd"
    alive = [f"{host}:{name}" for name in ("agent-services-2-0123abcd", "agent-1-0123abcd")]
    controller, ended, others = (
        new_task(type="controller", name="pipeline"),
        new_task(),
        [new_task(), new_task()],
    )
    steps = [new_task(parent=controller), new_task(parent=controller)]
    copy = new_task(type="controller", parent=controller)
    for task in (controller, ended, *others, steps[0], copy):
        call("tasks.started", task=task)
    call("tasks.completed", task=ended)
    runs = {f"{host}:{dead}": controller, **dict(zip(alive, others, strict=True))}
    for worker, task in runs.items():
        call("workers.status_report", worker=worker, task=task, timestamp=0)

    with ExitStack() as running:
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        environments = [{MARK: "a mark", "CLEARML_WORKER_ID": worker} for worker in runs]
        environments.append({MARK: "another mark", "CLEARML_WORKER_ID": f"{host}:{dead}"})
        children = [subprocess.Popen(command, env={**os.environ, **own}) for own in environments]
        for child in children:
            running.callback(child.wait)
            running.callback(child.kill)
        take_up_again(SimpleNamespace(mark="a mark"), "agent-services", "services", call)
        assert children[0].wait(timeout=60) == -9
        assert [child.poll() for child in children[1:]] == [None] * 3

    assert capsys.readouterr().out == "agent-services ran 'pipeline' when it died: it is executed again.\n"
    states = [store.get("task", task)["status"] for task in (controller, *steps, ended, *others, copy)]
    assert states == ["queued", "stopped", "created", "completed", *["in_progress"] * 3]
    (queue,) = call("queues.get_all", name="^services$")["queues"]
    assert [entry["task"] for entry in queue["entries"]] == [controller]
    assert [worker["id"] for worker in call("workers.get_all")["workers"]] == alive
    take_up_again(SimpleNamespace(mark="a mark"), "agent-services", "services", call)
    assert capsys.readouterr().out == ""


@pytest.mark.e2e
def test_a_pipeline_whose_agent_is_killed_is_executed_again_to_its_end(tmp_path, monkeypatch, capsys):
    gate, script = tmp_path / "gate", tmp_path / "a_pipeline.py"
    script.write_text(PIPELINE.replace("GATE", repr(str(gate))))
    monkeypatch.chdir(tmp_path)  # no git checkout: the tasks hold their code themselves
    with Stack(tmp_path / "home", port=0, agents=2) as stack:
        subprocess.run([sys.executable, script], env=stack.environment(), check=True, cwd=tmp_path)

        def tasks(name: str, *status: str) -> list[dict]:
            conditions = {"name": f"^{name}$", "search_hidden": True}
            found = stack.call("tasks.get_all", **conditions)["tasks"]
            return [task for task in found if not status or task["status"] in status]

        log = stack.processes.log("agent-services")
        wait_until(lambda: tasks("second", "in_progress"), "the second step", log)
        (controller,) = tasks("a pipeline")
        agent = stack.processes.running["agent-services"]
        agent.kill()  # the controller that it ran is not: it has nobody now who tells of its end
        agent.wait()
        capsys.readouterr()
        stack.restart_dead_agents()
        assert (
            "agent-services ran 'a pipeline' when it died: it is executed again." in capsys.readouterr().out
        )
        gate.touch()
        wait_until(lambda: tasks("a pipeline", "completed", "failed", "stopped"), "the pipeline's end", log)
        (ended,) = tasks("a pipeline")
        assert (ended["id"], ended["status"]) == (controller["id"], "completed")
        steps = {name: sorted(step["status"] for step in tasks(name)) for name in ("first", "second")}
        assert steps == {"first": ["completed", "completed"], "second": ["completed", "stopped"]}
        workers = stack.call("workers.get_all")["workers"]
        assert [w["id"] for w in workers if "agent-services" in w["id"]] == [ended["last_worker"]]
        assert ended["last_worker"] != controller["last_worker"]
