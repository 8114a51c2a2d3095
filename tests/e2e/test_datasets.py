"""datasets.py: versions that are whole or not there, and why a task without its data failed."""

import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from clearml_tools.errors import UserError

import pytest

from clearml_tools.datasets import get_dataset, local_copy
from clearml_tools.tasks import failure_reason
from global_config import PREPROCESSED_DATASET_NAME, RAW_DATASET_NAME
from local_stack.waiting import Child

pytestmark = pytest.mark.e2e


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
        assert process.wait_for_end() == -signal.SIGINT, process.output()
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
    assert failure_reason(task) == told
    assert told not in failure_reason(sdk.Task.clone(task))
    task.reset()
    assert told not in failure_reason(task)


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
