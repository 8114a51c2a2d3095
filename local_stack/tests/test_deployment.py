"""local_stack.deployment: the user's command runs when published models change, and never twice at once."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from local_stack import deployment as deployment_module
from local_stack.deployment import NAME, SETTLE_SECONDS, DeploymentCommand
from local_stack.processes import Processes
from local_stack.waiting import wait_until

pytestmark = pytest.mark.e2e

PRINT_SERVICE = "import os; print('deploy to', os.environ['CLEARML_SERVING_TASK_ID'], os.getcwd())"


class Models(dict[str, list[str]]):
    """Published models and their tags, and the service's endpoints, as the server would say."""

    endpoints = canary = ""

    def __call__(self, name: str, **_: object) -> dict[str, list[dict[str, object]]]:
        if name == "tasks.get_all":
            parts = {"endpoints": {"value": self.endpoints}, "canary": {"value": self.canary}}
            return {"tasks": [{"configuration": parts}]}
        return {"models": [{"id": model, "tags": tags} for model, tags in self.items()]}


@pytest.fixture
def models() -> Models:
    return Models()


@pytest.fixture
def serving(tmp_path: Path, models: Models) -> Iterator[SimpleNamespace]:
    with Processes(tmp_path / "logs") as processes:
        stack = SimpleNamespace(processes=processes, call=models, environment=dict)
        yield SimpleNamespace(stack=stack, service_id="a-service")


def run_once(under_test: DeploymentCommand, serving: SimpleNamespace) -> None:
    """Poll until the command has run and its output was shown."""
    under_test.poll()
    process = serving.stack.processes.running[NAME]
    wait_until(lambda: process.poll() is not None, "the command's end")
    under_test.poll()


def command(code: str) -> str:
    return f'python -c "{code}"'


def test_it_runs_where_the_project_is_when_models_or_endpoints_have_changed(
    serving, models, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(deployment_module, "SETTLE_SECONDS", 0)
    deployment = DeploymentCommand(command(PRINT_SERVICE), serving, tmp_path)
    deployment.poll()
    assert NAME not in serving.stack.processes.running
    models["a-model"] = []
    run_once(deployment, serving)
    assert capsys.readouterr().out == f"deploy to a-service {tmp_path}\n\n"
    first = serving.stack.processes.running[NAME]
    deployment.poll()
    assert serving.stack.processes.running[NAME] is first  # nothing has changed
    models["a-model"] = ["best"]
    run_once(deployment, serving)
    second = serving.stack.processes.running[NAME]
    assert second is not first
    models.endpoints = 'digits/1 {\n  serving_url = "digits"\n}'
    run_once(deployment, serving)
    assert serving.stack.processes.running[NAME] is not second
    assert capsys.readouterr().out == ""  # the same as before


def test_it_waits_until_nobody_has_changed_the_configuration_for_a_while(
    serving, models, tmp_path, monkeypatch
):
    now = 0.0
    monkeypatch.setattr(deployment_module, "time", SimpleNamespace(monotonic=lambda: now))
    deployment = DeploymentCommand(command("pass"), serving, tmp_path)
    deployment.poll()
    models.endpoints = 'digits {\n  serving_url = "digits"\n}'
    deployment.poll()
    now = SETTLE_SECONDS - 1
    models.canary = "digits_latest {\n  weights = [1]\n}"
    deployment.poll()
    now = 2 * SETTLE_SECONDS - 2
    deployment.poll()
    assert NAME not in serving.stack.processes.running
    now = 2 * SETTLE_SECONDS
    run_once(deployment, serving)


def test_a_command_that_fails_is_shown_with_what_it_printed_and_one_that_prints_nothing_is_not(
    serving, models, tmp_path, capsys
):
    models["a-model"] = []
    run_once(DeploymentCommand(command("raise SystemExit('no such model')"), serving, tmp_path), serving)
    told = capsys.readouterr().out
    assert "failed with code 1" in told
    assert "no such model" in told
    run_once(DeploymentCommand(command("pass"), serving, tmp_path), serving)
    assert capsys.readouterr().out == ""


FAIL_ONCE = (
    "import os, sys; sys.exit(os.mkdir('been') or 'not yet') if not os.path.isdir('been') else print('done')"
)


def test_a_command_that_fails_runs_again_after_a_pause_until_it_succeeds(
    serving, models, tmp_path, capsys, monkeypatch
):
    models["a-model"] = []
    failing = DeploymentCommand(command(FAIL_ONCE), serving, tmp_path)
    run_once(failing, serving)
    first = serving.stack.processes.running[NAME]
    assert "failed with code 1, it runs again every 30 s" in capsys.readouterr().out
    failing.poll()
    assert serving.stack.processes.running[NAME] is first  # the pause
    later = time.monotonic() + deployment_module.RETRY_SECONDS
    monkeypatch.setattr(deployment_module, "time", SimpleNamespace(monotonic=lambda: later))
    run_once(failing, serving)
    second = serving.stack.processes.running[NAME]
    assert capsys.readouterr().out == "done\n\n"
    failing.poll()
    assert serving.stack.processes.running[NAME] is second


def test_a_command_that_does_not_exist_is_one_line(serving, models, tmp_path, capsys):
    models["a-model"] = []
    DeploymentCommand("no-such-program --now", serving, tmp_path).poll()
    told = capsys.readouterr().out
    assert "no-such-program --now" in told
    assert told.count("\n") == 1


def test_a_server_that_has_died_is_no_traceback(serving, tmp_path):
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    serving.stack.call = refuse
    DeploymentCommand(command("pass"), serving, tmp_path).poll()
