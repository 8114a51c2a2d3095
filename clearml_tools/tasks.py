"""ClearML tasks of the scripts: with all their code, and with the reason where they fail."""

import atexit
import os
import sys
from contextlib import suppress
from pathlib import Path

from clearml_tools.errors import UserError, storage_errors

from clearml import Task
from clearml.config import get_remote_task_id, running_remotely

from clearml_tools.checkout import record_what_can_be_kept
from clearml_tools.connection import watch_server
from clearml_tools.interrupts import delayed_interrupt, finish_first, tell
from clearml_tools.name_limits import wrong_name
from global_config import PROJECT_NAME

FINISHED = ("completed", "closed", "published")
ENDED = (*FINISHED, "failed", "stopped")

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
    UserError if there is a name in global_config.py that ClearML cannot take.
    """
    if wrong := wrong_name():
        raise UserError(wrong)
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
