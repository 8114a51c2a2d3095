"""What several pages show of tasks and models."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from starlette.datastructures import ImmutableMultiDict

from ..documents import Document
from ..errors import ApiError
from ..events.state import MONITOR_PREFIX, SINGLE_VALUE_ITERATION
from ..query import HIDDEN
from ..queues.state import is_watched
from ..store import Store
from ..tasks.state import ENDED
from .rendering import moment

Form = ImmutableMultiDict[str, str]  # the fields of a form that a page has sent

SUMMARY = "Summary"  # the metric that the SDK gives all single values
PER_PAGE = 50
MOST_TEXT = 200_000  # characters of one configuration object or diff in a page
# What is shown of `script`, and its name there.
SOURCE = {
    "Repository": "repository", "Branch": "branch", "Tag": "tag", "Commit": "version_num",
    "Working folder": "working_dir", "Entry point": "entry_point", "Interpreter": "binary",
}  # fmt: skip


def is_dataset(task: Document) -> bool:
    return "dataset" in task["system_tags"]


def is_pipeline(task: Document) -> bool:
    return "pipeline" in task["system_tags"] and task["type"] == "controller"


def is_live(task: Document) -> bool:
    return task["status"] not in ENDED


def task_path(task: Document) -> str:
    """Return the address of the task's own page, whatever else the task may be."""
    return f"/projects/{task.get('project') or '*'}/tasks/{task['id']}"


def page_path(task: Document) -> str:
    """Return the address of the page for what the task is: a dataset, a pipeline or a plain task."""
    project = task.get("project") or "*"
    if is_dataset(task):
        return f"/datasets/simple/{project}/experiments/{task['id']}"
    if is_pipeline(task):
        return f"/pipelines/{project}/experiments/{task['id']}"
    return task_path(task)


def model_path(model: Document) -> str:
    return f"/projects/{model.get('project') or '*'}/models/{model['id']}"


PATHS: dict[str, Callable[[Document], str]] = {
    "task": page_path,
    "model": model_path,
    "project": lambda project: f"/projects/{project['id']}",
    "queue": lambda queue: f"/workers-and-queues#queue-{queue['id']}",
    "worker": lambda worker: f"/workers-and-queues#worker-{quote(worker['id'], errors='replace')}",
}


def path_of(store: Store, key: str, field: str = "") -> str | None:
    """Return the address of the page that shows what has this id or, in a field of a queue, this name."""
    if field == "queue":
        key = next((queue["id"] for queue in store.all("queue") if queue["name"] == key), key)
    found = ((path, store.get(kind, key)) for kind, path in PATHS.items())
    return next((path(document) for path, document in found if document), None)


def project_of(store: Store, document: Document) -> Document | None:
    """Return name and address of the project that a task or model is in."""
    project = store.get("project", document.get("project"))
    while project and HIDDEN in project["system_tags"] and project["parent"]:
        # Datasets and pipelines are in hidden projects below the one that users know.
        project = store.get("project", project["parent"])
    return project and {"id": project["id"], "name": project["name"], "path": f"/projects/{project['id']}"}


def seconds_run(task: Document) -> float | None:
    """Return for how many seconds the task ran, or has been running by now."""
    started = moment(task.get("started"))
    if not started:
        return None
    ended = moment(task.get("completed"))
    if not ended and task["status"] != "in_progress":
        return None
    return max(0.0, ((ended or datetime.now(UTC)) - started).total_seconds())


def heading(store: Store, task: Document) -> Document:
    """Return what every page of a task begins with."""
    queue = store.get("queue", task["execution"].get("queue"))
    waits_unheard = queue and task["status"] == "queued" and not is_watched(store, queue["id"])
    return {
        "task": task,
        "task_path": task_path(task),
        "project": project_of(store, task),
        "seconds": seconds_run(task),
        "live": is_live(task),
        "new_run_path": f"{page_path(task)}/new-run" if is_pipeline(task) else None,
        "unheard_queue": queue if waits_unheard else None,
    }


def last_reports(task: Document) -> list[Document]:
    """Return what is kept of every scalar, in the order in which they were first reported."""
    return [last for variants in task["last_metrics"].values() for last in variants.values()]


def last_values(task: Document) -> list[Document]:
    """Return the last value of every scalar, except those of the machine."""
    found = [last for last in last_reports(task) if not last["metric"].startswith(MONITOR_PREFIX)]
    values = [
        {
            "metric": last["metric"],
            "name": value_name(last),
            "value": last.get("value"),
            "single": last["iteration"] == SINGLE_VALUE_ITERATION,
        }
        for last in found
    ]
    # The sort keeps the order in which they were first reported, which is the program's own.
    return sorted(values, key=lambda value: not value["single"])


def value_name(last: Document) -> str:
    """Return what the pages call a metric of `last_metrics`."""
    if last["iteration"] == SINGLE_VALUE_ITERATION and last["metric"] == SUMMARY:
        return last["variant"]
    return (
        last["metric"] if last["variant"] in (last["metric"], "") else f"{last['metric']} / {last['variant']}"
    )


def task_row(store: Store, task: Document) -> Document:
    """Return a task as a row of a table."""
    more = {"project": project_of(store, task), "seconds": seconds_run(task)}
    return {**task, **more, "path": page_path(task)}


def link_to(task: Document) -> Document:
    """Return what a template needs for a link to the task."""
    return {"name": task["name"], "path": page_path(task), "status": task["status"]}


def reference(store: Store, task_id: str | None) -> Document | None:
    """Return what a template needs for a link to a task, or None if there is no such task."""
    task = store.get("task", task_id)
    return task and link_to(task)


def model_row(store: Store, model: Document) -> Document:
    """Return a model as a row of a table."""
    return {**model, "path": model_path(model), "task": reference(store, model.get("task"))}


def models_of(store: Store, task: Document, kind: str) -> list[Document]:
    """Return the models that a task took in or made: its "input" or "output"."""
    models = (store.get("model", item["model"]) for item in task["models"][kind])
    return [model_row(store, model) for model in models if model]


def found_task(store: Store, request: Mapping[str, Any]) -> Document:
    task = store.get("task", request.get("task"))
    if task is None:
        raise ApiError(404, 0, f"There is no task {request.get('task')}.")
    return task


def chosen_page(request: Document) -> int:
    """Return the number of the page that the request names, counted from 0."""
    text = request.get("page", "1")
    return max(0, int(text[:9]) - 1) if text.isdecimal() else 0


def paged(documents: list[Any], request: Document, size: int = PER_PAGE) -> Document:
    """Return one page of the documents, and what the template needs to link to the others."""
    pages = max(1, -(-len(documents) // size))
    number = min(chosen_page(request), pages - 1)
    return {
        "items": documents[number * size :][:size],
        "total": len(documents),
        "number": number + 1,
        "pages": pages,
    }


def artifacts_of(task: Document) -> list[Document]:
    return [
        {**artifact, "preview": shortened((artifact.get("type_data") or {}).get("preview") or "")}
        for artifact in task["execution"]["artifacts"]
    ]


def parameters_of(task: Document) -> list[Document]:
    """Return the sections of the hyperparameters."""
    return [
        {"name": section, "items": sorted(items.values(), key=lambda item: item["name"])}
        for section, items in sorted(task["hyperparams"].items())
    ]


def source_of(task: Document) -> dict[str, str]:
    """Return where the task's code comes from, and the container it runs in."""
    found = {label: task["script"].get(key) for label, key in SOURCE.items()}
    found |= {f"Container: {key}": value for key, value in sorted(task["container"].items())}
    return {label: str(value) for label, value in found.items() if value}


def texts_of(task: Document) -> dict[str, str]:
    """Return the task's code as far as no repository has it, its packages and configuration objects."""
    script = task["script"]
    found = {"Uncommitted changes" if script.get("repository") else "Script": script.get("diff") or ""}
    for name, text in (script.get("requirements") or {}).items():
        if isinstance(text, str | list):
            found[f"Packages: {name}"] = text if isinstance(text, str) else "\n".join(map(str, text))
    for name, item in sorted(task["configuration"].items()):
        found[f"Configuration: {name}"] = item.get("value") or ""
    return {name: text for name, text in found.items() if text}


def shortened(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}\n… (the first {MOST_TEXT} characters)"
