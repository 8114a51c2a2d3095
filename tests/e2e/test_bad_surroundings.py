"""The scripts where something fails around them: full disks, closed streams, signals at any moment."""

import os
import random
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import psutil
import pytest

from local_stack.waiting import run, wait_until
from tests.support.checkouts import REPOSITORY, Checkout

QUERY = ["get_data.py", "--query-date", "1999-01-01"]  # few rows
pytestmark = pytest.mark.e2e

FIRST_LINES = 0.2  # seconds of a processor's time; without other work they take a third of that
SECONDS = 60  # for a script to end after a signal, on a machine that has a lot else to do


# Full disks and closed streams


def tasks(checkout: Checkout, sdk) -> dict[str, str]:
    """Return the statuses of all tasks of the checkout's project, those of datasets included, by id."""
    wanted = {"project_name": checkout.project, "task_filter": {"search_hidden": True}}
    found = sdk.Task.query_tasks(**wanted, additional_return_fields=["status"])
    return {task["id"]: str(task["status"]) for task in found}


@pytest.mark.skipif(sys.platform != "linux", reason="the limit's signal is Linux's")
def test_a_script_whose_files_find_no_room_says_so_and_leaves_no_task(checkout, sdk):
    as_a_command = f"import runpy, sys; sys.argv = {QUERY}; runpy.run_path(sys.argv[0], run_name='__main__')"
    code = f"import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n{as_a_command}"
    before = tasks(checkout, sdk)
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (100_000, 100_000))
    settings = {"cwd": checkout.folder, "env": checkout.environment}
    done = run([sys.executable, "-c", code], preexec_fn=limit, **settings)
    assert done.returncode == 1
    assert "get_data.py: error: File too large (" in done.stderr
    assert "Traceback" not in done.stderr
    assert tasks(checkout, sdk) == before
    assert sdk.Dataset.list_datasets(dataset_project=checkout.project, only_completed=False) == []


def test_an_output_that_is_closed_stops_no_script(checkout):
    command = ["sh", "-c", f'exec "{sys.executable}" {" ".join(QUERY)} >&-']
    done = run(command, cwd=checkout.folder, env=checkout.environment)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_leaves_is_one_line():
    command = f'"{sys.executable}" inference.py --url http://127.0.0.1:9/ --count 3 | true'
    done = run(["bash", "-c", f"set -o pipefail; {command}"], cwd=REPOSITORY)
    assert done.returncode == 1
    assert done.stderr == "inference.py: error: what read the output of this script has ended\n"


def test_an_end_that_the_server_does_not_take_is_no_success(checkout):
    code = (
        "from clearml_tools.errors import report_errors_in_one_line\nreport_errors_in_one_line()\n"
        "from clearml import Task\nfrom clearml_tools.connection import connect\n"
        "from clearml_tools.tasks import start_task\n"
        "connect()\n"
        "task = start_task('a task', Task.TaskTypes.training)\n"
        "task.mark_completed = lambda *_, **__: None\n"
    )
    done = checkout.run("-c", code, check=False)
    assert done.returncode == 1
    last_line = done.stderr.splitlines()[-1]
    assert last_line.startswith("-c: error: ClearML's server") and "in_progress" in last_line


# Signals


def end_by_signal(checkout: Checkout, sdk, command: list[str], number: int, moment) -> None:
    """Run a script, send it a signal when `moment` says so, and check what it leaves behind."""
    before = tasks(checkout, sdk)
    process = subprocess.Popen(
        [sys.executable, "-u", *command],
        cwd=checkout.folder,
        env=checkout.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    moment(process)
    process.send_signal(number)
    _, told = process.communicate(timeout=SECONDS)
    assert process.returncode in (-number, -signal.SIGINT, 0), told
    # Besides progress bars, and what ClearML says of a log that it had no time to send.
    others = ("it/s]", "?it", " - clearml.log - INFO - ")
    lines = [line for line in told.splitlines() if line.strip() and not any(map(line.count, others))]
    if process.returncode:
        assert lines in ([f"{command[0]}: interrupted"], []), told  # nothing, once Python itself is ending
    # A process that has just ended belongs to its group until the system has noted its end.
    wait_until(lambda: not group_exists(process.pid), "the end of all that the script started")
    new = {status for task, status in tasks(checkout, sdk).items() if task not in before}
    assert new <= {"completed", "stopped"}
    versions = sdk.Dataset.list_datasets(dataset_project=checkout.project, only_completed=False)
    whole = sdk.Dataset.list_datasets(dataset_project=checkout.project, only_completed=True)
    assert len(versions) == len(whole)


def group_exists(number: int) -> bool:
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


def printed(text: str):
    """The moment when a script has printed this."""

    def wait(process: subprocess.Popen) -> None:
        if not any(text in line for line in process.stdout):
            pytest.fail(f"it ended without having printed {text!r}")

    return wait


def after(seconds: float):
    """The moment that comes so many seconds after a script's first lines, or at its own end."""

    def wait(process: subprocess.Popen) -> None:
        # A script is interrupted as it should be once its first import is done. A busy machine may take long.
        started = psutil.Process(process.pid)
        wait_until(lambda: sum(started.cpu_times()[:2]) > FIRST_LINES, "the script's first lines")
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)

    return wait


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("created new task", signal.SIGTERM),
        ("ClearML dataset page", signal.SIGTERM),  # test_datasets.py has SIGINT there
        ("Hash generation", signal.SIGINT),
        ("raw_asteroid_dataset 1", signal.SIGINT),
    ],
)
def test_a_signal_leaves_no_process_no_running_task_and_no_half_made_version(checkout, sdk, line, number):
    end_by_signal(checkout, sdk, QUERY, number, printed(line))


def test_a_signal_while_libraries_are_imported_is_one_line(checkout, sdk):
    for seconds in (0.1, 0.3):
        end_by_signal(checkout, sdk, ["model_training.py"], signal.SIGINT, after(seconds))


@pytest.mark.slow
def test_a_signal_at_many_moments(tmp_path, clearml_environment, sdk):
    """Two scripts at once, each in a project of its own: much of the time they wait."""

    def end_many_times(script: list[str]) -> None:
        checkout = Checkout(tmp_path / script[0], clearml_environment)
        checkout.run(*QUERY)
        checkout.run("preprocessing.py")
        draw = random.Random(42)
        for _ in range(12):
            number, seconds = draw.choice([signal.SIGINT, signal.SIGTERM]), draw.uniform(0, 4.8)
            end_by_signal(checkout, sdk, script, number, after(seconds))

    with ThreadPoolExecutor() as pool:
        list(pool.map(end_many_times, [QUERY, ["model_training.py", "--num-boost-round", "20"]]))
