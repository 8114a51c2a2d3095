"""ClearML datasets: versions that are whole or not there, and their files on this machine."""

import errno
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from clearml_tools.errors import UserError, storage_errors

from clearml import Dataset, Task
from filelock import FileLock

from clearml_tools.interrupts import delayed_interrupt
from clearml_tools.sdk_internals import get_cache_dir, stop_reporting
from clearml_tools.tasks import FINISHED
from global_config import PROJECT_NAME

# Under this name a task keeps the id of the dataset version that it made, as an artifact. As a parameter of
# the task it would do harm: parameters are copied by a clone, and a pipeline compares them to find out if a
# step can be reused.
DATASET_ID_ARTIFACT = "dataset_id"

LEAST_FREE_BYTES = 2**20  # below that a disk counts as full

# How long another process may take to unpack the same dataset.
UNPACKING_SECONDS = 600


def get_dataset(name: str, dataset_id: str | None, made_by: str) -> Dataset:
    """Return the version of the dataset `name` with this id or, without an id, the newest whole version.

    The current task records which it was. UserError if there is none; `made_by` is the script that
    makes it.
    """
    which = (
        {"ids": [dataset_id]}
        if dataset_id
        else {"dataset_project": PROJECT_NAME, "partial_name": re.escape(name)}
    )
    if name not in [found["name"] for found in Dataset.list_datasets(**which)]:
        raise UserError(
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
        raise UserError(f"ClearML could not load the dataset '{name}': {error}") from error


def local_copy(dataset: Dataset) -> Path:
    """Return the folder with the dataset's files: in ClearML's cache, which all processes here share.

    One process at a time looks there: the SDK takes what another is still unpacking for broken, and deletes
    it under the other's hands. Trainings that start together would read half a table. UserError if the
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
        raise UserError(f"ClearML's cache {cache} cannot be used: {error}") from error


@contextmanager
def new_dataset_version(name: str, parents: Sequence[Dataset] = ()) -> Iterator[Dataset]:
    """Make a new version of the dataset `name`: uploaded when the block is done, deleted if anything fails.

    The current task keeps its id as the artifact DATASET_ID_ARTIFACT. UserError if ClearML cannot store it.
    """
    task: Task = Task.current_task()
    dataset: Dataset | None = None
    try:
        with storage_errors(f"a version of '{name}'"):
            dataset = Dataset.create(
                dataset_name=name, dataset_project=PROJECT_NAME, parent_datasets=list(parents)
            )
        yield dataset
        with storage_errors(f"a version of '{name}'"):
            # Parquet is packed already. To pack it again would take most of the time of a large table.
            is_packed = all(file.endswith(".parquet") for file in dataset.list_files())
            dataset.upload(show_progress=False, compression=zipfile.ZIP_STORED if is_packed else None)
            dataset.finalize()
            task.upload_artifact(DATASET_ID_ARTIFACT, dataset.id, wait_on_upload=True)
    except BaseException:
        with delayed_interrupt():
            if dataset:
                stop_reporting(dataset)
            # Looked up, as Dataset.create may have failed half-way.
            begun = {"parent": task.id, "system_tags": ["dataset"], "search_hidden": True}
            versions: list[Task] = Task.get_tasks(task_filter=begun)
            for version in versions:
                # One that an earlier attempt of this task has finished may be in use: it stays.
                if version.status not in FINISHED or (dataset and version.id == dataset.id):
                    version.delete()
        raise


def dataset_id_of_step(step: str) -> str:
    """Return what a pipeline replaces by the id of the dataset version that this step has made."""
    return f"${{{step}.artifacts.{DATASET_ID_ARTIFACT}.preview}}"
