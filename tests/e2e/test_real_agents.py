"""The pipeline on agents as a user has them: README's commands, default settings, environments of their own.

The other tests' agents run in the environment of the tests, which hides what agents install. These make
their own, in an empty home folder. That takes minutes: `make test-slow` runs it.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from local_stack.stack import Stack
from local_stack.waiting import wait_until
from tests.support.checkouts import Checkout
from tests.support.readme import commands

pytestmark = [pytest.mark.slow, pytest.mark.e2e]

START, STOP = commands("clearml-agent daemon --detached"), commands("clearml-agent daemon --stop")

# What of this environment leads to a package registry, where a user's own settings would.
REGISTRY = ("PIP_", "UV_", "SSL_CERT_", "REQUESTS_CA_")

LARGEST_ENVIRONMENT = 700 * 2**20


@dataclass
class Machine:
    """A user's machine: a home folder with a clearml.conf, a clone of the code, and agents."""

    home: Path
    clone: Path
    stack: Stack
    project: str

    @property
    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if name.startswith(REGISTRY)}
        return {**kept, "HOME": str(self.home), "PATH": path, "LANG": "C.UTF-8"}

    def run(self, command: str) -> subprocess.CompletedProcess:
        """Run a command as a user would type it."""
        options = {"cwd": self.clone, "env": self.environment, "capture_output": True, "text": True}
        # A file, as detached agents would hold the ends of a pipe.
        with (self.home / "printed").open("w+") as printed:
            options |= {"capture_output": False, "stdout": printed, "stderr": subprocess.STDOUT}
            done = subprocess.run(["bash", "-c", command], timeout=900, stdin=subprocess.DEVNULL, **options)
            printed.seek(0)
            done.stdout = printed.read()
        return done

    def processes(self) -> list[psutil.Process]:
        """Everything that runs with this home folder."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get("HOME") == str(self.home) and process.status() != "zombie":
                    found.append(process)
        return found


@pytest.fixture(scope="module")
def machine(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine whose agents have started. At the end all that they made is deleted: it is a gigabyte."""
    folder = tmp_path_factory.mktemp("machine")
    home, remote, clone = folder / "home", folder / "remote", folder / "clone"
    home.mkdir()
    block = re.search(r"^api \{.*?^\}$", stack.config_file.read_text(), re.MULTILINE | re.DOTALL)[0]
    (home / "clearml.conf").write_text(block)  # servers and credentials, as `clearml-init` asks for them
    checkout = Checkout(remote, {}, committed=True)
    subprocess.run(["git", "clone", "--quiet", str(remote), str(clone)], check=True, timeout=60)
    made = Machine(home, clone, stack, checkout.project)
    try:
        for command in START:
            done = made.run(command)
            assert done.returncode == 0, done.stdout
        yield made
    finally:
        for process in made.processes():
            with suppress(psutil.Error):
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def finished(machine: Machine) -> str:
    """What `python pipeline.py --wait` prints when the pipeline has ended well."""
    edited = machine.clone / "model_training.py"
    edited.write_text(edited.read_text() + "\nprint('an uncommitted edit')\n")
    done = machine.run("python pipeline.py --wait --training-seeds 1 2")
    assert done.returncode == 0, done.stdout
    return done.stdout


def steps(machine: Machine) -> dict[str, dict]:
    """The tasks of the pipeline's steps, by name."""
    (controller,) = machine.stack.call("tasks.get_all", type=["controller"], search_hidden=True)["tasks"]
    found = machine.stack.call("tasks.get_all", parent=controller["id"], search_hidden=True)["tasks"]
    return {task["name"]: task for task in [controller, *found]}


def console(machine: Machine, task: dict) -> str:
    return "".join(
        event["msg"] for event in machine.stack.call("events.get_task_log", task=task["id"])["events"]
    )


def test_the_readme_starts_and_stops_an_agent_for_either_queue():
    assert len(START) == len(STOP) == 2


def test_the_pipeline_runs_to_a_champion_and_says_so_in_its_last_line(machine, finished):
    decision = finished.splitlines()[-1]
    champion = re.fullmatch(r"Model (\w+) is the new champion: there is no champion yet", decision)[1]
    (model,) = machine.stack.call("models.get_all", id=[champion])["models"]
    assert model["ready"] and model["tags"] == ["champion"]


def test_agents_ran_the_uncommitted_edit(machine, finished):
    assert "an uncommitted edit" in console(machine, steps(machine)["model_training_0"])


def test_steps_install_what_they_import_and_reuse_the_environment(machine, finished):
    (environment,) = [path for path in (machine.home / ".clearml" / "venvs-cache").iterdir() if path.is_dir()]
    size = sum(file.stat().st_size for file in environment.rglob("*") if file.is_file())
    assert size < LARGEST_ENVIRONMENT
    installed = {path.name.lower() for path in environment.glob("lib/python*/site-packages/*")}
    assert "xgboost" in installed
    assert not installed & {"jupyter_core", "notebook", "clearml_serving", "matplotlib", "nvidia"}
    for name, task in steps(machine).items():
        if name in ("preprocess_data", "model_training_0", "select_best_model"):
            assert "Using Cached environment" in console(machine, task), name


def test_agents_stop_by_the_readmes_commands_and_leave_no_process(machine, finished):
    for command in STOP:
        done = machine.run(command)
        assert done.returncode == 0, done.stdout
    wait_until(lambda: not machine.processes(), "the end of all processes of the agents")
