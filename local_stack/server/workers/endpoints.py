"""The endpoints of workers."""

from ..documents import Document
from ..errors import ApiError
from ..registry import Service
from ..store import Store
from .state import DEFAULT_TIMEOUT_SECONDS, list_workers, reporting_worker

service = Service()


@service.endpoint("workers.register", "worker")
def register_worker(store: Store, request: Document) -> Document:
    worker = reporting_worker(store, request)
    timeout = request.get("timeout") or DEFAULT_TIMEOUT_SECONDS
    store.put("worker", {**worker, "timeout": timeout, "register_time": worker["last_activity_time"]})
    return {}


@service.endpoint("workers.unregister", "worker")
def unregister_worker(store: Store, request: Document) -> Document:
    if store.get("worker", request["worker"]) is None:
        raise ApiError(400, 1004, f"Worker is not registered: {request['worker']}")
    store.delete("worker", request["worker"])
    return {}


@service.endpoint("workers.status_report", "worker")
def report_worker_status(store: Store, request: Document) -> Document:
    worker = reporting_worker(store, request)
    seen = worker["last_activity_time"]
    reported = {key: request.get(key) for key in ("task", "queue", "machine_stats")}
    store.put("worker", {**worker, **reported, "last_report_time": seen})
    task = store.get("task", request.get("task"))
    if task and task["status"] == "in_progress":
        store.patch("task", task["id"], last_worker=worker["id"], last_worker_report=seen, last_update=seen)
    return {}


@service.endpoint("workers.get_all")
def get_all_workers(store: Store, request: Document) -> Document:
    return {"workers": list_workers(store, request)}
