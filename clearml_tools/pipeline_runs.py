"""Runs of PIPELINE_NAME in ClearML: the newest one that ended well, and copies of it for agents."""

import re
import threading
from collections.abc import Mapping
from typing import Any

from clearml_tools.errors import UserError

from clearml import Task

from clearml_tools.pipeline_progress import follow
from clearml_tools.queues import print_agent_commands, queues_without_agent, queues_without_free_agent
from clearml_tools.sdk_internals import APIClient
from clearml_tools.tasks import ENDED, FINISHED
from global_config import CONTROLLER_QUEUE, PIPELINE_NAME, PROJECT_NAME, SELECTION_STEP, STEP_QUEUE

PROJECT = f"{PROJECT_NAME}/.pipelines/{PIPELINE_NAME}"  # where ClearML has the runs of a pipeline

starting = threading.Lock()


def find_runs(**wanted: Any) -> list[Any]:
    """Return id, name, status and code of the runs that are not archived, the newest first."""
    client = APIClient()
    projects = client.projects.get_all(name=f"^{re.escape(PROJECT)}$", search_hidden=True)
    if not projects:
        return []
    return list(
        client.tasks.get_all(
            project=[project.id for project in projects],
            system_tags=["__$all", "pipeline", "__$not", "archived"],
            search_hidden=True,
            order_by=["-created"],
            only_fields=["id", "name", "status", "script.repository"],
            **wanted,
        )
    )


def newest_successful_run() -> str:
    """Return the id of the run to copy, an experiment's too; UserError if agents could run none."""
    found = find_runs(status=list(FINISHED))
    if not found:
        raise UserError(
            f"no run of '{PIPELINE_NAME}' has ended well yet, and there is nothing to repeat: run "
            "`python pipeline.py --wait` first"
        )
    for run in found:
        if run.script and run.script.repository:
            return str(run.id)
    raise UserError(
        f"agents could not get the code of any run of '{PIPELINE_NAME}': push it, and run "
        "`python pipeline.py --wait` first"
    )


def start_copy(kind: str, parameters: Mapping[str, str], once: str = "") -> bool:
    """Enqueue a copy of the newest successful run, with other parameters, and print its outcome later.

    Return whether a run will begin, or has with `once`; not so while one is under way, which may not see what
    is new.

    `kind` and `once` become its name, by which it is found again: nothing is enqueued while a copy of this
    kind has not ended, and with `once` there is one in all. A copy that nobody has enqueued is taken first.
    """
    beginning = f"{PIPELINE_NAME}, {kind}"
    with starting:
        drafts = []
        for run in find_runs(name=f"^{re.escape(beginning)}"):
            status = str(run.status)  # it is an enum
            if status == "created":
                drafts.append(run.id)
            elif once and run.name == beginning + once:
                print(f"{run.name}: was started already, and is {status} ({run.id})", flush=True)
                return True
            elif status not in ENDED:
                print(f"{run.name}: is {status} still ({run.id}), so no other is started", flush=True)
                return status == "queued"
        name = beginning + once
        task = Task.get_task(drafts[0]) if drafts else Task.clone(newest_successful_run(), name=name)
        task.set_name(name)
        for key, value in parameters.items():
            task.set_parameter(f"Args/{key}", value)
        say_who_is_missing([CONTROLLER_QUEUE, task.get_parameter("Args/step_queue") or STEP_QUEUE])
        Task.enqueue(task, queue_name=CONTROLLER_QUEUE)
    given = "".join(f", {key} {value}" for key, value in parameters.items())
    print(f"{name}: is enqueued as {task.id}{given}", flush=True)
    threading.Thread(target=follow, args=[task, SELECTION_STEP, True], daemon=True).start()
    return True


def say_who_is_missing(queues: list[str]) -> None:
    """Print for which queues there is no agent, or none that is free."""
    if missing := queues_without_agent(queues):
        print_agent_commands(missing)
    for name in queues_without_free_agent(queues):
        if name not in missing:
            print(f"All agents of '{name}' are busy: a run waits until one is free", flush=True)
