"""A script of this folder as a task that an agent runs for as long as it is not aborted."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from clearml_tools.errors import UserError

from clearml import Task

from clearml_tools.checkout import (
    check_for_agents,
    remote_address,
    text_of,
    uncommitted_edits,
    why_unreachable,
)
from clearml_tools.name_limits import check_names
from clearml_tools.sdk_internals import APIClient
from clearml_tools.tasks import REQUIREMENTS
from global_config import PROJECT_NAME

GOING = ["queued", "in_progress"]


def find_others(name: str, replace: bool, besides: str | None = None) -> list[Task]:
    """Return the tasks of this name that wait or run, `besides` one; UserError if not to `replace` them."""
    wanted = {"status": GOING, "type": [str(Task.TaskTypes.service)]}
    exact = f"^{re.escape(name)}$"
    found = Task.get_tasks(project_name=PROJECT_NAME, task_name=exact, task_filter=wanted)
    others = [task for task in found if task.id != besides]
    if others and not replace:
        raise UserError(
            f"'{name}' is {others[0].status} already, as task {others[0].id}: give --replace to end that "
            "one, also if its process was killed"
        )
    return others


def end(tasks: list[Task]) -> None:
    """End tasks, as another one takes their place."""
    for task in tasks:
        print(f"'{task.name}' was {task.status} as task {task.id}: ending that one", flush=True)
        task.mark_stopped(force=True, status_message="another one takes its place")


def first_made(name: str) -> datetime | None:
    """Return when the oldest task of this name was made, in UTC; None if there is none."""
    found = APIClient().tasks.get_all(
        name=f"^{re.escape(name)}$",
        project=[Task.get_project_id(PROJECT_NAME)],
        order_by=["created"],
        only_fields=["id", "created"],
        page=0,
        page_size=1,
    )
    return found[0].created.astimezone(UTC) if found else None


def enqueue_script(name: str, script: str, arguments: Mapping[str, object], queue: str) -> Task:
    """Let an agent run a script of this folder, as it is on disk. UserError if agents could not get it."""
    check_names()
    if why := why_unreachable():
        raise UserError(f"agents could not get this code, as {why}: push it to a remote, or give --local")
    edits = uncommitted_edits()
    check_for_agents(edits)
    task: Task = Task.create(project_name=PROJECT_NAME, task_name=name, task_type=Task.TaskTypes.service)
    code = {
        "repository": remote_address(),
        "version_num": text_of("rev-parse", "HEAD"),
        "diff": edits,
        "working_dir": text_of("rev-parse", "--show-prefix") or ".",
        "entry_point": script,
        "binary": "python",
        "requirements": {"pip": Path(REQUIREMENTS).read_text()},
    }
    task.update_task({"script": code})
    task.set_parameters({f"Args/{key}": value for key, value in arguments.items()})
    Task.enqueue(task, queue_name=queue)
    return task
