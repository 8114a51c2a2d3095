"""The endpoints of workers."""

from ..documents import Document
from ..errors import ApiError, invalid_id, validation_error
from ..measurements import CHART
from ..queues.metrics import record_due_queues
from ..registry import Service
from ..schemas import NATURAL, SECONDS
from ..store import Store
from .state import DEFAULT_TIMEOUT_SECONDS, find_workers, list_workers, reporting_worker
from .statistics import AGGREGATIONS, metric_categories, record_machine, worker_counts, worker_series

STATISTICS = [{"key!": str, "aggregation": set(AGGREGATIONS)}]
LAST_SEEN_SECONDS = 3600

service = Service()


@service.endpoint("workers.register", "worker")
def register_worker(store: Store, request: Document) -> Document:
    for queue_id in request.get("queues", []):
        if store.get("queue", queue_id) is None:
            raise invalid_id("queue", queue_id)
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


@service.endpoint("workers.status_report", "worker", timestamp=NATURAL)
def report_worker_status(store: Store, request: Document) -> Document:
    worker = reporting_worker(store, request)
    seen = worker["last_activity_time"]
    reported = {key: request.get(key) for key in ("task", "queue", "machine_stats")}
    store.put("worker", {**worker, **reported, "last_report_time": seen})
    record_machine(store, worker["id"], request)
    record_due_queues(store)
    task = store.get("task", request.get("task"))
    if task and task["status"] == "in_progress" and not store.is_public("task", task["id"]):
        store.patch("task", task["id"], last_worker=worker["id"], last_worker_report=seen, last_update=seen)
    return {}


@service.endpoint("workers.get_all", worker_pattern=str)
def get_all_workers(store: Store, request: Document) -> Document:
    return {"workers": list_workers(store, {"last_seen": LAST_SEEN_SECONDS, **request})}


@service.endpoint("workers.get_count", worker_pattern=str, last_seen=SECONDS, tags=[str], system_tags=[str])
def get_worker_count(store: Store, request: Document) -> Document:
    return {"count": len(find_workers(store, request))}


@service.endpoint("workers.get_metric_keys", worker_ids=[str])
def get_worker_metric_keys(store: Store, request: Document) -> Document:
    categories = metric_categories(store, request.get("worker_ids", []))
    if not categories:
        raise ApiError(400, 1005, "Worker stats not found: no worker has reported of its machine")
    return {"categories": [{"name": name, "metric_keys": keys} for name, keys in categories.items()]}


@service.endpoint(
    "workers.get_stats", "from_date", "to_date", "interval", "items",
    **CHART, items=STATISTICS, split_by_variant=bool, worker_ids=[str],
)  # fmt: skip
def get_worker_statistics(store: Store, request: Document) -> Document:
    if not request["items"]:
        raise validation_error("items should name at least one statistic")
    found = worker_series(store, request)
    return {"workers": [{"worker": worker, "metrics": metrics} for worker, metrics in found.items()]}


@service.endpoint("workers.get_activity_report", "from_date", "to_date", "interval", **CHART)
def get_activity_report(store: Store, request: Document) -> Document:
    total, active = worker_counts(store, request)
    return {"total": total, "active": active}
