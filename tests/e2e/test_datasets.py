"""datasets.py and errors.py: errors in one line, interrupts that wait, dataset versions that are whole."""

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

from clearml_tools.errors import UserError, report_errors_in_one_line, shell_quoted

import pytest

from clearml_tools import datasets
from clearml_tools.datasets import get_dataset, local_copy
from clearml_tools.interrupts import SIGNALS, delayed_interrupt
from global_config import PREPROCESSED_DATASET_NAME, RAW_DATASET_NAME
from local_stack.waiting import Child, run
from pipeline import reason

REPOSITORY = Path(datasets.__file__).parent.parent


def told_of(error: BaseException, monkeypatch, capsys) -> str:
    """What a script that ends with this error leaves on the terminal."""
    monkeypatch.setattr(sys, "argv", ["/somewhere/script.py"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # or the next line would set it for good
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    report_errors_in_one_line()
    try:
        raise error
    except BaseException:
        sys.excepthook(*sys.exc_info())
    for number, handler in handlers.items():
        signal.signal(number, handler)
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def test_an_input_error_is_one_line(monkeypatch, capsys):
    error = UserError("the sky is not blue: wait for day")
    assert told_of(error, monkeypatch, capsys) == "script.py: error: the sky is not blue: wait for day\n"


def test_an_error_of_the_program_itself_keeps_its_traceback(monkeypatch, capsys):
    told = told_of(ValueError("a bug"), monkeypatch, capsys)
    assert told.startswith("Traceback") and told.endswith("ValueError: a bug\n")


def test_ctrl_c_is_one_line_and_the_end_by_that_signal(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from clearml_tools import errors\nerrors.report_errors_in_one_line()\nraise KeyboardInterrupt\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = run([sys.executable, script], env=environment)
    assert done.returncode == -signal.SIGINT
    assert done.stderr == "script.py: interrupted\n"


def test_an_interrupt_waits_for_the_end_of_the_block():
    reached = []
    with pytest.raises(KeyboardInterrupt), delayed_interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("the end")
    assert reached == ["the end"]


def test_an_interrupt_after_the_block_comes_at_once():
    with delayed_interrupt():
        pass
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_names_are_quoted_as_a_shell_takes_them():
    for name in ("CPU Queue", "a (b) [c] {d}|?*+.^", "$HOME", "a `b`", 'a "b"', "a\\b", "a'b", "what!"):
        done = run(["bash", "-c", f"printf %s {shell_quoted(name)}"])
        assert done.stdout == name


# Dataset versions, on a server


FAILING_BLOCK = """
from clearml import Task
from global_config import PROJECT_NAME, RAW_DATASET_NAME
from clearml_tools.datasets import new_dataset_version
Task.init(PROJECT_NAME, "a failure")
with new_dataset_version(RAW_DATASET_NAME):
    raise RuntimeError("half-way")
"""


def versions(sdk, checkout) -> list[dict]:
    """All versions of all datasets of the checkout's project, unfinished ones included."""
    return sdk.Dataset.list_datasets(dataset_project=checkout.project, only_completed=False)


def test_a_version_whose_making_fails_is_deleted(checkout, sdk):
    done = checkout.run("-c", FAILING_BLOCK, check=False)
    assert "RuntimeError: half-way" in done.stderr
    assert "ClearML dataset page" in done.stdout + done.stderr
    assert versions(sdk, checkout) == []


def test_a_version_that_an_earlier_attempt_of_the_task_finished_stays(checkout, sdk):
    *beginning, block, failure = FAILING_BLOCK.splitlines()
    done = checkout.run("-c", "\n".join([*beginning, block, "    pass", block, failure]), check=False)
    assert "RuntimeError: half-way" in done.stderr
    (version,) = versions(sdk, checkout)
    assert version["version"] == "1.0.0"
    sdk.Dataset.delete(dataset_id=version["id"])


def test_ctrl_c_leaves_no_version_behind(checkout, sdk):
    # -u, as the SDK prints what is waited for, and empties no buffers.
    command = [sys.executable, "-u", "get_data.py"]
    with Child(command, cwd=checkout.folder, env=checkout.environment) as process:
        process.wait_for("ClearML dataset page")
        process.send_signal(signal.SIGINT)
        assert process.wait_for_end() == -signal.SIGINT, process.told()
    assert versions(sdk, checkout) == []
    (task,) = sdk.Task.get_tasks(project_name=checkout.project, task_name="get data")
    assert task.status == "stopped"


def test_preprocessing_without_a_dataset_is_told_what_to_run_first(checkout, sdk):
    done = checkout.run("preprocessing.py", check=False)
    assert done.returncode == 1
    project = f"project '{checkout.project}'"
    told = f"there is no dataset 'raw_asteroid_dataset' in {project} yet: run get_data.py first"
    assert f"preprocessing.py: error: {told}" in done.stderr.splitlines()
    (task,) = sdk.Task.get_tasks(project_name=checkout.project, task_name="preprocess data")
    assert task.status == "failed"
    assert task.data.status_reason == f"Exception {told}"
    assert reason(task) == told
    assert told not in reason(sdk.Task.clone(task))
    task.reset()
    assert told not in reason(task)


@pytest.mark.parametrize("name", [RAW_DATASET_NAME, PREPROCESSED_DATASET_NAME])
def test_an_id_that_is_of_no_version_is_named_with_the_script_that_prints_ids(sdk, name):
    with pytest.raises(UserError) as error:
        get_dataset(name, "no such id", made_by="a_script.py")
    assert str(error.value).startswith(
        f"--dataset-id 'no such id' is not a finished version of '{name}': a_script.py prints the id of each"
    )


def test_a_dataset_is_unpacked_by_one_process_at_a_time(monkeypatch, tmp_path):
    monkeypatch.setenv("CLEARML_CACHE_DIR", str(tmp_path / "cache"))
    events = []

    def get_local_copy() -> str:
        events.append("begin")
        time.sleep(0.1)
        events.append("end")
        return str(tmp_path)

    dataset = SimpleNamespace(id="1d", get_local_copy=get_local_copy)
    with ThreadPoolExecutor(3) as pool:
        folders = list(pool.map(local_copy, [dataset] * 3))
    assert folders == [tmp_path] * 3
    assert events == ["begin", "end"] * 3
