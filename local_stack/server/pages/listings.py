"""The pages that list: tasks of a project, datasets, pipelines, models, queues and workers."""

from collections.abc import Callable

from ..documents import Document
from ..errors import ApiError
from ..projects.state import with_subprojects
from ..query import HIDDEN
from ..store import Store
from ..workers.state import list_workers
from . import views
from .rendering import number
from .tables import table

MOST_WAITING = 100  # tasks of a queue in the page


def project_page(store: Store, request: Document) -> Document:
    """List one project's tasks; "*" means all projects, as in the SDK's addresses."""
    found = _project_of(store, request)
    inside = [task for task in store.all("task") if not found or task.get("project") == found["id"]]
    where = [] if found else ["project"]
    children = [
        (child["basename"], f"/projects/{child['id']}")
        for child in store.all("project")
        if found and child["parent"] == found["id"] and HIDDEN not in child["system_tags"]
    ]
    return {
        "project": found,
        "parents": _parents(store, found),
        "children": sorted(children, key=lambda child: child[0].casefold()),
        "found": table(store, request, "task", inside, "status", "type", *where, "started", "duration"),
        "live": True,
    }


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


def datasets_page(store: Store, request: Document) -> Document:
    columns = ("version", "status", "files", "size", "created", "project")
    return _listing(store, request, "Datasets", "task", views.is_dataset, *columns)


def pipelines_page(store: Store, request: Document) -> Document:
    columns = ("status", "project", "started", "duration")
    return _listing(store, request, "Pipelines", "task", views.is_pipeline, *columns)


def models_page(store: Store, request: Document) -> Document:
    columns = ("id", "published", "framework", "task", "created")
    return _listing(store, request, "Models", "model", lambda model: True, *columns)


def _listing(
    store: Store, request: Document, place: str, kind: str, belongs: Callable[[Document], bool], *columns: str
) -> Document:
    """List the tasks or models that belong there, in the project and below it if the request names one."""
    project = _project_of(store, request)
    ids = {inner["id"] for inner in with_subprojects(store, project)} if project else None
    inside = [
        document
        for document in store.all(kind)
        if belongs(document) and (ids is None or document.get("project") in ids)
    ]
    found = table(store, request, kind, inside, *columns)
    return {"place": place, "project": project, "found": found, "live": True}


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
