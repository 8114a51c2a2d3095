"""Workers: the agents (and the SDK's own processes) that report what they run."""

from datetime import UTC, datetime, timedelta

from ..auth import COMPANY, USER
from ..errors import ApiError
from ..query import HIDDEN
from ..registry import endpoint
from ..store import Document, Store, now

DEFAULT_TIMEOUT_SECONDS = 600  # ClearML's own: a worker that is silent for longer is gone


def _silent_for(worker: Document) -> timedelta:
    return datetime.now(UTC) - datetime.fromisoformat(worker["last_activity_time"])


def alive_workers(store: Store) -> list[Document]:
    workers = store.all("worker")
    return [worker for worker in workers if _silent_for(worker) <= timedelta(seconds=worker["timeout"])]


def forget_all(store: Store) -> None:
    """To be called at the start: most agents of the last time are gone, and those that live report again."""
    for worker in store.all("worker"):
        store.delete("worker", worker["id"])


def _registered(store: Store, request: dict) -> Document:
    """The worker as it stands, or as new: clients may report without having registered."""
    seen = now()
    known = store.get("worker", request["worker"]) or {
        "id": request["worker"],
        "register_time": seen,
        "timeout": DEFAULT_TIMEOUT_SECONDS,
        "queues": [],
        "tags": [],
        "system_tags": [],
    }
    given = {key: request[key] for key in ("queues", "tags", "system_tags") if key in request}
    return {**known, **given, "last_activity_time": seen}


@endpoint("workers.register", "worker")
def register(store: Store, request: dict) -> dict:
    worker = _registered(store, request)
    timeout = request.get("timeout") or DEFAULT_TIMEOUT_SECONDS
    store.put("worker", {**worker, "timeout": timeout, "register_time": worker["last_activity_time"]})
    return {}


@endpoint("workers.unregister", "worker")
def unregister(store: Store, request: dict) -> dict:
    if store.get("worker", request["worker"]) is None:
        raise ApiError(400, 1004, f"Worker is not registered: {request['worker']}")
    store.delete("worker", request["worker"])
    return {}


@endpoint("workers.status_report", "worker")
def status_report(store: Store, request: dict) -> dict:
    worker = _registered(store, request)
    worker["last_report_time"] = worker["last_activity_time"]
    worker["task"] = request.get("task")
    worker["queue"] = request.get("queue")
    worker["machine_stats"] = request.get("machine_stats")
    store.put("worker", worker)
    task = store.get("task", request.get("task"))
    if task and task["status"] == "in_progress":
        seen = worker["last_report_time"]
        store.patch("task", task["id"], last_worker=worker["id"], last_worker_report=seen, last_update=seen)
    return {}


@endpoint("workers.get_all")
def get_all(store: Store, request: dict) -> dict:
    workers = alive_workers(store)
    if request.get("last_seen"):
        limit = timedelta(seconds=request["last_seen"])
        workers = [worker for worker in workers if _silent_for(worker) <= limit]
    for key in ("tags", "system_tags"):
        if request.get(key):
            workers = [worker for worker in workers if set(worker[key]) & set(request[key])]
    return {
        "workers": [_described(store, worker) for worker in workers if HIDDEN not in worker["system_tags"]]
    }


def _described(store: Store, worker: Document) -> dict:
    """The worker with names beside the ids of what it runs and listens to."""
    answer = {
        key: worker[key] for key in ("id", "register_time", "last_activity_time", "tags", "system_tags")
    }
    answer |= {"user": USER, "company": COMPANY, "ip": "127.0.0.1", "key": f"worker_{worker['id']}"}
    if worker.get("last_report_time"):
        answer["last_report_time"] = worker["last_report_time"]
    queues = [store.get("queue", queue_id) for queue_id in worker["queues"]]
    answer["queues"] = [
        {"id": queue["id"], "name": queue["name"], "num_tasks": len(queue["entries"])}
        for queue in queues
        if queue
    ]
    queue = store.get("queue", worker.get("queue"))
    if queue:
        answer["queue"] = {"id": queue["id"], "name": queue["name"]}
    task = store.get("task", worker.get("task"))
    if task:
        started = datetime.fromisoformat(task.get("started") or now())
        answer["task"] = {
            "id": task["id"],
            "name": task["name"],
            "last_iteration": task["last_iteration"],
            "running_time": round((datetime.now(UTC) - started).total_seconds() * 1000),
        }
        project = store.get("project", task.get("project"))
        if project:
            answer["project"] = {"id": project["id"], "name": project["name"]}
    return answer
