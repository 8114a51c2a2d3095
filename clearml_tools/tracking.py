"""What the tracked scripts share: tasks with all their code, dataset versions that are whole or not there.

Nothing here knows about asteroids.
"""

import atexit
import errno
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from clearml_tools.errors import InputError, storage_errors

from clearml import Dataset, Task
from clearml.config import get_cache_dir, get_remote_task_id, running_remotely
from filelock import FileLock

from clearml_tools.checkout import record_what_can_be_kept
from clearml_tools.connection import watch_server
from clearml_tools.interrupts import delayed_interrupt, finish_first, tell
from clearml_tools.name_limits import wrong_name
from global_config import PROJECT_NAME

# Under this name a task keeps the id of the dataset version that it made, as an artifact. A pipeline hands
# it on with "${step.artifacts.dataset_id.preview}". As a parameter of the task it would do harm: parameters
# are copied by a clone, and they are what a pipeline compares to find out if a step can be reused.
DATASET_ID_ARTIFACT = "dataset_id"

FINISHED = ("completed", "closed", "published")
ENDED = (*FINISHED, "failed", "stopped")

LEAST_FREE_BYTES = 2**20  # below that a disk counts as full

# How long another process may take to unpack the same dataset.
UNPACKING_SECONDS = 600

# Under this name a task keeps why it failed, among the runtime properties: a clone does not copy them and a
# reset empties them, so that no task ever shows the reason of another run. (Its description would stay.)
ERROR_PROPERTY = "error"

REQUIREMENTS = str(Path(__file__).parent.with_name("requirements-steps.txt"))  # the SDK wants a str


def keep_reason(text: str) -> None:
    """Keep why a script fails where nothing overwrites it, for the pipeline to tell; see ERROR_PROPERTY.

    Under an agent the task's own reason is the agent's, "worker execution exit code 1".
    """
    task = Task.get_task(task_id=get_remote_task_id()) if running_remotely() else Task.current_task()
    if task:
        task._set_runtime_properties({ERROR_PROPERTY: text})


def start_task(name: str, kind: Task.TaskTypes) -> Task:
    """A new task in PROJECT_NAME that tracks the running script.

    Nothing of frameworks is tracked by itself: the scripts report and upload it under names of their own.
    InputError if there is a name in global_config.py that ClearML cannot take.
    """
    if wrong := wrong_name():
        raise InputError(wrong)
    # Otherwise ClearML would look through all files here for what they import, and agents install all of it.
    Task.force_requirements_env_freeze(requirements_file=REQUIREMENTS)
    made: list[Task] = []
    atexit.register(check_end, made)  # called after what ClearML registers
    with delayed_interrupt():
        task = Task.init(
            project_name=PROJECT_NAME,
            task_name=name,
            task_type=kind,
            reuse_last_task_id=False,
            auto_connect_frameworks=False,
            auto_resource_monitoring=False,  # it begins after 30 s, and complains where there is no GPU
        )
        made.append(task)
        atexit.register(finish_first)  # called before what ClearML has registered
    if not task.output_uri:
        # Models go to the file server. Task.init would leave the task running where that cannot be written.
        with storage_errors("files"):
            task.output_uri = True
    watch_server()
    if Task.running_locally():
        record_what_can_be_kept(task)
    return task


def check_end(made: list[Task]) -> None:
    """End with a line and exit code 1 if the server does not know that the task has ended.

    ClearML itself passes over it if the server refuses that, on a full disk for one.
    """
    for task in made:
        if running_remotely():  # the agent says how it ended
            continue
        with suppress(Exception):
            task.reload()
            if task.status not in ENDED:
                tell(f"error: the ClearML server did not note that this task has ended: it is {task.status}")
                sys.stdout.flush()
                os._exit(1)


def get_dataset(name: str, dataset_id: str | None, made_by: str) -> Dataset:
    """The dataset version with this id, or without one the newest whole version of the dataset `name`.

    The current task records which it was. InputError if there is none; `made_by` is the script that
    makes it.
    """
    which = (
        {"ids": [dataset_id]}
        if dataset_id
        else {"dataset_project": PROJECT_NAME, "partial_name": re.escape(name)}
    )
    if name not in [found["name"] for found in Dataset.list_datasets(**which)]:
        raise InputError(
            f"--dataset-id '{dataset_id}' is not a finished version of '{name}': {made_by} prints the id of "
            "each it makes, and without --dataset-id the newest is taken"
            if dataset_id
            else f"there is no dataset '{name}' in project '{PROJECT_NAME}' yet: run {made_by} first"
        )
    try:
        if dataset_id:
            return Dataset.get(dataset_id=dataset_id, alias=name)
        return Dataset.get(dataset_project=PROJECT_NAME, dataset_name=name, only_completed=True, alias=name)
    except (ValueError, OSError) as error:
        raise InputError(f"ClearML could not load the dataset '{name}': {error}") from error


def local_copy(dataset: Dataset) -> Path:
    """The folder with the dataset's files, in the ClearML cache that all processes of this machine share.

    One process at a time looks there: the SDK takes what another is still unpacking for broken, and deletes
    it under the other's hands. Trainings that start together would read half a table. InputError if the
    cache cannot be used.
    """
    cache = get_cache_dir()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{dataset.id}.lock", timeout=UNPACKING_SECONDS):
            folder = Path(dataset.get_local_copy())
            if shutil.disk_usage(cache).free < LEAST_FREE_BYTES:  # ClearML leaves out files, and says nothing
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(cache))
            return folder
    except OSError as error:  # the lock's time-out is one
        raise InputError(f"ClearML's cache {cache} cannot be used: {error}") from error


@contextmanager
def new_dataset_version(name: str, parents: Sequence[Dataset] = ()) -> Iterator[Dataset]:
    """A new version of the dataset `name`: uploaded when the block is done, deleted if anything fails.

    The current task keeps its id as the artifact DATASET_ID_ARTIFACT. InputError if ClearML cannot store it.
    """
    task, dataset = Task.current_task(), None
    try:
        with storage_errors(f"a version of '{name}'"):
            dataset = Dataset.create(
                dataset_name=name, dataset_project=PROJECT_NAME, parent_datasets=list(parents)
            )
        yield dataset
        with storage_errors(f"a version of '{name}'"):
            dataset.upload(show_progress=False)
            dataset.finalize()
            task.upload_artifact(DATASET_ID_ARTIFACT, dataset.id, wait_on_upload=True)
    except BaseException:
        with delayed_interrupt():
            if dataset and dataset._task_pinger:
                # Or they would go on reporting to the server about a version that is no more.
                dataset._task_pinger.unregister()
                dataset._task.close()
            # Looked up, as Dataset.create may have failed half-way.
            begun = {"parent": task.id, "system_tags": ["dataset"], "search_hidden": True}
            for version in Task.get_tasks(task_filter=begun):
                # One that an earlier attempt of this task has finished may be in use: it stays.
                if version.status not in FINISHED or (dataset and version.id == dataset.id):
                    version.delete()
        raise
