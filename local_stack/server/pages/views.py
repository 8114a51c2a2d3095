"""What several pages show of a task or a model."""

from datetime import UTC, datetime

from ..errors import ApiError
from ..events.ingest import MONITOR_PREFIX
from ..events.state import SINGLE_VALUE_ITERATION
from ..query import HIDDEN
from ..store import Document, Store
from ..tasks.status_endpoints import ENDED
from .rendering import moment

SHOWN_METRICS = 3
PER_PAGE = 50


def is_dataset(task: Document) -> bool:
    return "dataset" in task["system_tags"]


def is_pipeline(task: Document) -> bool:
    return "pipeline" in task["system_tags"] and task["type"] == "controller"


def is_live(task: Document) -> bool:
    return task["status"] not in ENDED


def task_path(task: Document) -> str:
    """The task's own pages, whatever else it may be."""
    return f"/projects/{task.get('project') or '*'}/tasks/{task['id']}"


def best_path(task: Document) -> str:
    """The page that shows the most of what the task is."""
    project = task.get("project") or "*"
    if is_dataset(task):
        return f"/datasets/simple/{project}/experiments/{task['id']}"
    if is_pipeline(task):
        return f"/pipelines/{project}/experiments/{task['id']}"
    return task_path(task)


def model_path(model: Document) -> str:
    return f"/projects/{model.get('project') or '*'}/models/{model['id']}"


def project_of(store: Store, document: Document) -> dict | None:
    """Name and address of the project that a task or model is in."""
    project = store.get("project", document.get("project"))
    while project and HIDDEN in project["system_tags"] and project["parent"]:
        # Datasets and pipelines are in hidden projects below the one that people know.
        project = store.get("project", project["parent"])
    return project and {"id": project["id"], "name": project["name"], "path": f"/projects/{project['id']}"}


def seconds_run(task: Document) -> float | None:
    """For how long the task ran, or has been running by now."""
    started = moment(task.get("started"))
    if not started:
        return None
    ended = moment(task.get("completed"))
    if not ended and task["status"] != "in_progress":
        return None
    return max(0.0, ((ended or datetime.now(UTC)) - started).total_seconds())


def heading(store: Store, task: Document) -> dict:
    """What every page of a task begins with."""
    return {
        "task": task,
        "task_path": task_path(task),
        "project": project_of(store, task),
        "seconds": seconds_run(task),
        "live": is_live(task),
    }


def last_values(task: Document) -> list[dict]:
    """The last value of every scalar, those of the machine left out."""
    found = [
        last
        for variants in task["last_metrics"].values()
        for last in variants.values()
        if not last["metric"].startswith(MONITOR_PREFIX)
    ]
    values = [
        {
            "metric": last["metric"],
            "name": _value_name(last),
            "value": last.get("value"),
            "single": last["iteration"] == SINGLE_VALUE_ITERATION,
        }
        for last in found
    ]
    # Otherwise in the order in which they were first reported, which is the program's own.
    return sorted(values, key=lambda value: not value["single"])


def _value_name(last: dict) -> str:
    if last["iteration"] == SINGLE_VALUE_ITERATION:  # the SDK's name for their metric says nothing
        return last["variant"]
    return (
        last["metric"] if last["variant"] in (last["metric"], "") else f"{last['metric']} / {last['variant']}"
    )


def row(store: Store, task: Document) -> dict:
    """A task as a line of a table."""
    values = last_values(task)
    return {
        "name": task["name"],
        "path": best_path(task),
        "status": task["status"],
        "type": task["type"],
        "tags": task["tags"],
        "version": task["runtime"].get("version"),
        "runtime": task["runtime"],
        "project": project_of(store, task),
        "started": task.get("started"),
        "created": task["created"],
        "seconds": seconds_run(task),
        "metrics": values[:SHOWN_METRICS],
        "more_metrics": len(values) - SHOWN_METRICS,
    }


def reference(store: Store, task_id: str | None) -> dict | None:
    """Enough of a task to link to it, if it is there."""
    task = store.get("task", task_id)
    return task and {"name": task["name"], "path": best_path(task), "status": task["status"]}


def model_row(store: Store, model: Document) -> dict:
    return {
        "id": model["id"],
        "name": model["name"],
        "path": model_path(model),
        "tags": model["tags"],
        "published": bool(model["ready"]),
        "framework": model["framework"],
        "project": project_of(store, model),
        "task": reference(store, model.get("task")),
        "created": model["created"],
    }


def found_task(store: Store, request: dict) -> Document:
    task = store.get("task", request["task"])
    if task is None:
        raise ApiError(404, 0, f"There is no task {request['task']}.")
    return task


def chosen_page(request: dict) -> int:
    """The number of the page asked for, from 0 on."""
    text = str(request.get("page", "1"))
    return max(0, int(text[:9]) - 1) if text.isdecimal() else 0


def paged(documents: list, request: dict, size: int = PER_PAGE) -> dict:
    """One page of the documents, and what the template needs to lead to the others."""
    pages = max(1, -(-len(documents) // size))
    number = min(chosen_page(request), pages - 1)
    return {
        "items": documents[number * size :][:size],
        "total": len(documents),
        "number": number + 1,
        "pages": pages,
    }
