"""The pages that list: projects and their tasks, datasets, pipelines, models, queues and workers."""

from collections.abc import Callable

from ..documents import Document
from ..errors import ApiError
from ..projects.state import with_subprojects
from ..query import HIDDEN
from ..store import Store
from ..workers.state import list_workers
from . import views
from .rendering import number

RECENT = 8
MOST_WAITING = 100  # tasks of a queue in the page


def front_page(store: Store, request: Document) -> Document:
    """List all projects that are not hidden, each with its numbers, and the latest tasks."""
    shown = [project for project in store.all("project") if HIDDEN not in project["system_tags"]]
    counts: dict[str | None, Document] = {}
    for task in store.all("task"):
        count = counts.setdefault(task.get("project"), {"tasks": 0, "running": 0, "last": ""})
        count["tasks"] += 1
        count["running"] += task["status"] == "in_progress"
        count["last"] = max(count["last"], task["last_update"])
    nothing = {"tasks": 0, "running": 0, "last": ""}
    rows = [
        {
            "name": project["name"],
            "path": f"/projects/{project['id']}",
            "description": project["description"],
            **counts.get(project["id"], nothing),
        }
        for project in _named(shown, request)
    ]
    rows.sort(key=lambda item: item["name"].casefold())
    latest = sorted(store.all("task"), key=lambda task: task["last_update"], reverse=True)[:RECENT]
    return {
        "projects": views.paged(rows, request),
        "recent": [views.task_row(store, task) for task in latest],
        "live": True,
    }


def project_page(store: Store, request: Document) -> Document:
    """List one project's tasks; "*" means all projects, as in the SDK's addresses."""
    found = _project_of(store, request)
    inside = [task for task in store.all("task") if not found or task.get("project") == found["id"]]
    children = [
        (child["basename"], f"/projects/{child['id']}")
        for child in store.all("project")
        if found and child["parent"] == found["id"] and HIDDEN not in child["system_tags"]
    ]
    return {
        "project": found,
        "parents": _parents(store, found),
        "children": sorted(children, key=lambda child: child[0].casefold()),
        **_listed(store, request, inside),
    }


def _listed(store: Store, request: Document, tasks: list[Document]) -> Document:
    """Return one page of the tasks. It is live: new ones may come at any time."""
    page = views.paged(_newest(_named(tasks, request)), request)
    return {"tasks": {**page, "items": [views.task_row(store, task) for task in page["items"]]}, "live": True}


def _project_of(store: Store, request: Document) -> Document | None:
    if request.get("project", "*") == "*":
        return None
    found = store.get("project", request["project"])
    if found is None:
        raise ApiError(404, 0, f"There is no project {request['project']}.")
    return found


def _parents(store: Store, found: Document | None) -> list[tuple[str, str]]:
    """Return names and addresses of the projects around the project, the outermost first."""
    parents: list[tuple[str, str]] = []
    while found and (found := store.get("project", found["parent"])):
        parents.insert(0, (found["basename"], f"/projects/{found['id']}"))
    return parents


def _named(documents: list[Document], request: Document) -> list[Document]:
    """Return the documents whose names contain the text of the search."""
    text = request.get("name", "").strip().casefold()
    return [document for document in documents if text in document["name"].casefold()]


def _newest(documents: list[Document]) -> list[Document]:
    return sorted(documents, key=lambda document: document["created"], reverse=True)


def _of_kind(store: Store, request: Document, belongs: Callable[[Document], bool]) -> Document:
    """List the tasks of a kind, in the project and below it if the request names one."""
    found = _project_of(store, request)
    ids = {inner["id"] for inner in with_subprojects(store, found)} if found else None
    tasks = [
        task for task in store.all("task") if belongs(task) and (ids is None or task.get("project") in ids)
    ]
    return {"project": found, **_listed(store, request, tasks)}


def datasets_page(store: Store, request: Document) -> Document:
    return _of_kind(store, request, views.is_dataset)


def pipelines_page(store: Store, request: Document) -> Document:
    return _of_kind(store, request, views.is_pipeline)


def models_page(store: Store, request: Document) -> Document:
    found = _project_of(store, request)
    inside = [model for model in store.all("model") if not found or model.get("project") == found["id"]]
    page = views.paged(_newest(_named(inside, request)), request)
    return {
        "project": found,
        "models": {**page, "items": [views.model_row(store, model) for model in page["items"]]},
    }


def queues_page(store: Store, request: Document) -> Document:
    """List queues with the tasks that wait in them, and workers with what they run."""
    rows = [
        {
            "name": queue["name"],
            "anchor": views.PATHS["queue"](queue).partition("#")[2],
            "length": len(queue["entries"]),
            "waiting": [
                {"task": views.reference(store, entry["task"]), "added": entry["added"]}
                for entry in queue["entries"][:MOST_WAITING]
            ],
        }
        for queue in store.all("queue")
    ]
    rows.sort(key=lambda queue: queue["name"].casefold())
    workers = [
        {
            "id": worker["id"],
            "anchor": views.PATHS["worker"](worker).partition("#")[2],
            "queues": [{**queue, "path": views.PATHS["queue"](queue)} for queue in worker["queues"]],
            "task": views.reference(store, worker.get("task", {}).get("id")),
            "seconds": worker.get("task", {}).get("running_time", 0) / 1000,
            "seen": worker["last_activity_time"],
            "cpu": _cpu(store, worker["id"]),
        }
        for worker in list_workers(store, {})
    ]
    return {"queues": rows, "workers": sorted(workers, key=lambda worker: worker["id"]), "live": True}


def _cpu(store: Store, worker_id: str) -> float | None:
    """Return the mean use of the worker's processors in percent, if its last report holds it."""
    worker = store.get("worker", worker_id) or {}
    use = (worker.get("machine_stats") or {}).get("cpu_usage")
    numbers = [
        found for value in (use if isinstance(use, list) else [use]) if (found := number(value)) is not None
    ]
    return sum(numbers) / len(numbers) if numbers else None
