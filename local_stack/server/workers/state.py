"""Workers: which of them are alive, what they run, and what a new one looks like."""

from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from ..auth import COMPANY, USER
from ..documents import Document, present_fields
from ..query import HIDDEN
from ..store import Store, now

DEFAULT_TIMEOUT_SECONDS = 600  # ClearML's own: a worker that is silent for longer is gone


def silence_of(worker: Document) -> timedelta:
    """Return for how long the worker has reported nothing."""
    return datetime.now(UTC) - datetime.fromisoformat(worker["last_activity_time"])


def alive_workers(store: Store) -> list[Document]:
    workers = store.all("worker")
    return [worker for worker in workers if silence_of(worker) <= timedelta(seconds=worker["timeout"])]


def is_run_by_worker(store: Store, task_id: str) -> bool:
    return any(worker.get("task") == task_id for worker in alive_workers(store))


def forget_workers(store: Store) -> None:
    """Delete all workers when the server starts: those that are still alive report again."""
    for worker in store.all("worker"):
        store.delete("worker", worker["id"])


def reporting_worker(store: Store, request: Document) -> Document:
    """Return the worker that reports, or a new one: clients may report without having registered."""
    seen = now()
    known = store.get("worker", request["worker"]) or {
        "id": request["worker"],
        "register_time": seen,
        "timeout": DEFAULT_TIMEOUT_SECONDS,
        "queues": [],
        "tags": [],
        "system_tags": [],
    }
    given = present_fields(("queues", "tags", "system_tags"), request)
    return {**known, **given, "last_activity_time": seen}


def find_workers(store: Store, request: Document) -> list[Document]:
    """Return the workers that are alive and that the request asks for."""
    workers = [worker for worker in alive_workers(store) if HIDDEN not in worker["system_tags"]]
    if request.get("last_seen"):
        limit = timedelta(seconds=request["last_seen"])
        workers = [worker for worker in workers if silence_of(worker) <= limit]
    for key in ("tags", "system_tags"):
        tags = [tag for tag in request.get(key) or [] if tag]
        excluded = {tag[1:] for tag in tags if tag.startswith("-")}
        wanted = {tag for tag in tags if not tag.startswith("-")}
        if wanted:
            workers = [worker for worker in workers if wanted & set(worker[key])]
        workers = [worker for worker in workers if not excluded & set(worker[key])]
    pattern = request.get("worker_pattern")
    return [worker for worker in workers if not pattern or fnmatchcase(worker["id"], pattern)]


def list_workers(store: Store, request: Document) -> list[Document]:
    """Describe the workers that are alive and that the request asks for."""
    return [_described(store, worker) for worker in find_workers(store, request)]


def _queue_entry(store: Store, queue: Document) -> Document:
    entry = {**present_fields(("id", "name", "display_name"), queue), "num_tasks": len(queue["entries"])}
    if queue["entries"]:
        task_id = queue["entries"][0]["task"]
        entry["next_task"] = {"id": task_id, "name": (store.get("task", task_id) or {}).get("name")}
    return entry


def _described(store: Store, worker: Document) -> Document:
    """Return the worker with names beside the ids of what it runs and listens to."""
    keys = ("id", "register_time", "last_activity_time", "tags", "system_tags")
    answer = {key: worker[key] for key in keys}
    answer |= {"user": USER, "company": COMPANY, "ip": "127.0.0.1"}
    answer["key"] = f"worker_{COMPANY['id']}_{USER['id']}_{worker['id']}"
    if worker.get("last_report_time"):
        answer["last_report_time"] = worker["last_report_time"]
    queues = [store.get("queue", queue_id) for queue_id in worker["queues"]]
    answer["queues"] = [_queue_entry(store, queue) for queue in queues if queue]
    if queue := store.get("queue", worker.get("queue")):
        answer["queue"] = _queue_entry(store, queue)
    if task := store.get("task", worker.get("task")):
        started = datetime.fromisoformat(task.get("started") or now())
        answer["task"] = {
            "id": task["id"],
            "name": task["name"],
            "last_iteration": task["last_iteration"],
            "running_time": round((datetime.now(UTC) - started).total_seconds() * 1000),
        }
        if project := store.get("project", task.get("project")):
            answer["project"] = {"id": project["id"], "name": project["name"]}
    return answer
