"""The endpoints of pipelines. A run is a task of the type controller in the pipeline's own hidden project."""

import re

from ..documents import Document
from ..errors import ApiError, check_name, validation_error
from ..projects.state import PIPELINE, PIPELINES, find_or_create_project, find_project, name_in
from ..registry import Service, for_each_id
from ..store import Store
from ..tasks.endpoints import clone_task
from ..tasks.state import pipeline_steps, remove_task, save_task
from ..tasks.status_endpoints import enqueue_task

ARGUMENTS = "Args"  # the section of a controller's hyperparameters that holds those of the pipeline

service = Service()


def _pipeline_name(store: Store, request: Document) -> str:
    """Return the name of the project in which a run of that pipeline would be."""
    name = request.get("new_pipeline_name") or store.get_required("task", request["task"])["name"]
    if "/" in name:
        raise validation_error(f"the name of a pipeline has no slash: {name!r}")
    check_name("pipeline", name)
    return name_in(request["new_project_name"].strip("/"), f"{PIPELINES}/{name}")


NEW_NAMES: Document = dict.fromkeys(("new_project_name", "new_pipeline_name", "new_pipeline_version"), str)


@service.endpoint("pipelines.check_new_run", "task", "new_project_name", **NEW_NAMES)
def check_new_run(store: Store, request: Document) -> Document:
    """Tell whether there is a pipeline of that name already, to which a new run would be added."""
    store.get_required("task", request["task"])
    project = find_project(store, _pipeline_name(store, request))
    return {"existing_project": {"id": project["id"], "name": project["name"]}} if project else {}


@service.endpoint(
    "pipelines.start_pipeline",
    "task",
    "queue",
    args=[{"name!": str, "value": (str, float, bool)}],
    **NEW_NAMES,
)
def start_pipeline(store: Store, request: Document) -> Document:
    """Run a pipeline again: its controller's task is cloned with other arguments, and waits in the queue."""
    source = store.get_required("task", request["task"])
    clone: Document = {"task": source["id"], "new_task_name": source["name"]}
    new_project = None
    if request.get("new_project_name"):
        name = _pipeline_name(store, request)
        key = find_or_create_project(store, name, system_tags=[PIPELINE])
        clone["new_task_project"] = key
        new_project = {"id": key, "name": name}
    task = store.edit("task", clone_task(store, clone)["id"])
    for argument in request.get("args", []):
        held = task["hyperparams"].setdefault(ARGUMENTS, {})
        text = {"section": ARGUMENTS, "name": argument["name"], "value": str(argument.get("value"))}
        held[argument["name"]] = {**held.get(argument["name"], {}), **text}
    if version := request.get("new_pipeline_version"):
        # The SDK reads the one, and people see the other.
        task["runtime"] = {**task["runtime"], "version": version}
        named = {"section": "properties", "name": "version", "value": version}
        task["hyperparams"].setdefault("properties", {})["version"] = named
    save_task(store, task)
    save_task(store, {**task, "name": _run_name(store, task)})
    place = {"queue": request["queue"], "verify_watched_queue": request.get("verify_watched_queue")}
    answer = enqueue_task(store, {"task": task["id"], "status_message": "Starting pipeline", **place})
    watched = {"queue_watched": answer["queue_watched"]} if "queue_watched" in answer else {}
    return {
        "pipeline": task["id"],
        "enqueued": bool(answer["queued"]),
        **watched,
        **({"new_project": new_project} if new_project else {}),
    }


def _run_name(store: Store, task: Document) -> str:
    """Return the pipeline's name with the number of its runs, this one included."""
    project = store.get("project", task.get("project"))
    if not project:
        return str(task["name"])
    name = project["basename"]
    is_run = re.compile(rf"{re.escape(name)}( #\d+)?$").search
    runs = [
        other
        for other in store.all("task")
        if other.get("project") == project["id"]
        and PIPELINE in other["system_tags"]
        and is_run(other["name"])
    ]
    return f"{name} #{len(runs)}" if runs else str(name)


@service.endpoint("pipelines.delete_runs", "project", "ids")
def delete_runs(store: Store, request: Document) -> Document:
    """Delete runs with their steps. One run stays, or there would be no pipeline to run again."""
    runs = {
        task["id"]
        for task in store.all("task")
        if task.get("project") == request["project"] and task["type"] == "controller"
    }
    ids = set(request["ids"])
    if runs <= ids:
        raise ApiError(
            400, 160, f"Cannot remove all runs: at least one of {request['project']} should be left"
        )

    def act(run: str) -> Document:
        # Runs that were started from this one have it as their parent, too.
        for step in pipeline_steps(store, store.get_required("task", run)):
            if step["id"] not in runs:
                remove_task(store, step["id"])
        return remove_task(store, run)

    return for_each_id(store, {"ids": sorted(runs & ids)}, act)
