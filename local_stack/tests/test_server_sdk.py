"""The unmodified ClearML SDK on the local server: what it records, it reads back.

The scripts in sdk_scripts/ are clients of the server, most of them at the same time. They check what they
read back. Every answer that they get is checked against the SDK's own schemas.
"""

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from local_stack.waiting import Child

pytestmark = pytest.mark.e2e

SCRIPTS = Path(__file__).with_name("sdk_scripts")
AT_ONCE = ("experiment", "lifecycle", "datasets", "models")


class Client(Child):
    """One of the scripts, running, with its calls of the API recorded."""

    def __init__(self, name: str, stack, folder: Path, *arguments: str) -> None:
        self.calls = folder / f"{name}.jsonl"
        path = os.pathsep.join(filter(None, [str(SCRIPTS.parent), os.environ.get("PYTHONPATH")]))
        command = [sys.executable, SCRIPTS / f"{name}.py", self.calls, *arguments]
        super().__init__(command, env={**stack.environment(), "PYTHONPATH": path}, apart=True)


@pytest.fixture(scope="module")
def clients(stack, tmp_path_factory) -> dict[str, Client]:
    """All scripts at their end. All but the reading one have run at the same time."""
    folder = tmp_path_factory.mktemp("calls")
    with ExitStack() as running:
        clients = {name: running.enter_context(Client(name, stack, folder)) for name in AT_ONCE}
        task = clients["experiment"].wait_for(r"(?m)^the task is (\w+)$")[1]
        clients["reading"] = running.enter_context(Client("reading", stack, folder, task))
        for client in clients.values():
            client.wait_for_end()
    return clients


@pytest.mark.parametrize("name", [*AT_ONCE, "reading"])
def test_the_sdk_reads_back_what_it_recorded_and_every_answer_fits_its_schema(clients, name):
    assert clients[name].returncode == 0, clients[name].output()
    calls = [json.loads(line) for line in clients[name].calls.read_text().splitlines()]
    assert len({call for call, _ in calls}) > 8
    assert [call for call in calls if call[1]] == []


def test_what_is_reported_of_a_model_is_there_when_the_script_has_ended(clients, stack_api):
    model = clients["models"].wait_for(r"(?m)^the model is (\w+)$")[1]
    series = stack_api("events.scalar_metrics_iter_histogram", task=model, model_events=True)
    assert series == {"score": {"AUC": {"name": "AUC", "x": [1], "y": [0.9]}}}
    (single,) = stack_api("events.get_task_single_value_metrics", tasks=[model], model_events=True)["tasks"]
    assert [(value["variant"], value["value"]) for value in single["values"]] == [("F1", 0.8)]
