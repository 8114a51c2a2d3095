"""ClearML tasks of the scripts: with all their code, and with the reason where they fail."""

import atexit
import os
import sys
from contextlib import suppress

from clearml_tools.errors import storage_errors

from clearml import Task

from clearml_tools.checkout import FOLDER, record_what_can_be_kept
from clearml_tools.connection import watch_server
from clearml_tools.interrupts import delayed_interrupt, finish_first, print_line
from clearml_tools.name_limits import check_names
from clearml_tools.sdk_internals import APIClient, executed_task
from global_config import PROJECT_NAME

FINISHED = ("completed", "closed", "published")
ENDED = (*FINISHED, "failed", "stopped")

# Under this name a task keeps why it failed, among the runtime properties: a clone does not copy them and a
# reset empties them, so that no task ever shows the reason of another run. (Its description would stay.)
ERROR_PROPERTY = "error"

REQUIREMENTS = str(FOLDER / "requirements-steps.txt")  # what agents install; the SDK wants a str


def start_task(name: str, kind: Task.TaskTypes) -> Task:
    """Return a new task in PROJECT_NAME that tracks the running script.

    Nothing of frameworks is tracked by itself: the scripts report and upload it under names of their own.
    UserError if there is a name in global_config.py that ClearML cannot take.
    """
    check_names()
    # Otherwise ClearML would look through all files here for what they import, and agents install all of it.
    Task.force_requirements_env_freeze(requirements_file=REQUIREMENTS)
    started: list[Task] = []
    atexit.register(check_end, started)  # called after what ClearML registers
    with delayed_interrupt():
        task: Task = Task.init(
            project_name=PROJECT_NAME,
            task_name=name,
            task_type=kind,
            reuse_last_task_id=False,
            auto_connect_frameworks=False,
            auto_resource_monitoring=False,  # it begins after 30 s, and complains where there is no GPU
        )
        started.append(task)
        atexit.register(finish_first)  # called before what ClearML has registered
    if not task.output_uri:
        # Models go to the file server. Task.init would leave the task running where that cannot be written.
        with storage_errors("files"):
            task.output_uri = True
    watch_server()
    if Task.running_locally():
        record_what_can_be_kept(task)
    return task


def keep_reason(text: str) -> None:
    """Keep why the running script fails with its task: see ERROR_PROPERTY.

    Under an agent the task's own reason is the agent's, "worker execution exit code 1".
    """
    task = executed_task() or Task.current_task()
    if task:
        with suppress(Exception):  # the error itself has been printed, and this one may have the same cause
            set_failure_reason(task, text)


def set_failure_reason(task: Task, text: str) -> None:
    """Store why a task failed; an empty text takes the reason away."""
    task.reload()
    APIClient().tasks.edit(
        task=task.id, runtime={**(task.data.runtime or {}), ERROR_PROPERTY: text}, force=True
    )


def failure_reason(task: Task) -> str:
    """Return why a task failed: what its script said or, without that, the last line of its log."""
    task.reload()
    if error := (task.data.runtime or {}).get(ERROR_PROPERTY):
        return str(error)
    lines = [line for report in task.get_reported_console_output(5) for line in report.splitlines()]
    own = [line for line in lines if line.strip() and not line.startswith("Process failed, exit code")]
    return own[-1] if own else task.data.status_message or task.data.status_reason or "no reason given"


def check_end(started: list[Task]) -> None:
    """End with a line and exit code 1 if the server does not know that a task has ended.

    ClearML itself passes over it if the server refuses that, on a full disk for one.
    """
    for task in started:
        if not Task.running_locally():  # the agent says how it ended
            continue
        with suppress(Exception):
            task.reload()
            if task.status not in ENDED:
                print_line(f"error: ClearML's server did not note that this task ended: it is {task.status}")
                sys.stdout.flush()
                os._exit(1)
