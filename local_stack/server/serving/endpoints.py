"""The endpoints of serving: what its containers report, and what the pages show of it."""

from datetime import UTC, datetime

from ..documents import Document
from ..errors import ApiError, validation_error
from ..measurements import CHART
from ..registry import Service
from ..store import Store
from . import state

COUNT = range(10**15)  # so that sums of them and their means are exact
CONTAINER: Document = {
    "container_id": str, "endpoint_name": str, "endpoint_url": str, "model_name": str, "model_source": str,
    "model_version": str, "preprocess_artifact": str, "input_type": str, "input_size": (str, float),
    "reference": [{"type!": {"app_id", "app_instance", "model", "task", "url"}, "value!": str}],
}  # fmt: skip
REQUIRED = ("container_id", "endpoint_name", "model_name")
REPORT: Document = {
    **CONTAINER, "uptime_sec": COUNT, "requests_num": COUNT, "requests_min": float, "latency_ms": float,
    "machine_stats": dict,
}  # fmt: skip

service = Service()


@service.endpoint("serving.register_container", *REQUIRED, **CONTAINER, timeout=range(1, 10**10))
def register_container(store: Store, request: Document) -> Document:
    state.save_container(store, _checked(request), request.get("timeout", state.DEFAULT_TIMEOUT_SECONDS))
    return {}


@service.endpoint("serving.unregister_container", "container_id", container_id=str)
def unregister_container(store: Store, request: Document) -> Document:
    if store.get(state.CONTAINER, request["container_id"]):
        store.delete(state.CONTAINER, request["container_id"])
    return {}


@service.endpoint("serving.container_status_report", *REQUIRED, **REPORT)
def report_container_status(store: Store, request: Document) -> Document:
    if not request.get("endpoint_url"):
        raise validation_error("a container that reports its status has an endpoint_url")
    checked = _checked(request)
    state.save_container(store, checked)
    state.record_container(store, checked)
    return {}


def _checked(request: Document) -> Document:
    """Return the request as it is kept: a size as text, a latency as an integer."""
    changed: Document = {}
    if "input_size" in request:
        changed["input_size"] = str(request["input_size"])
    for field in ("latency_ms", "requests_min"):
        if field in request and abs(request[field]) >= COUNT.stop:
            raise validation_error(f"{field} should be less than {COUNT.stop}")
    if "latency_ms" in request:
        changed["latency_ms"] = int(request["latency_ms"])
    return {**request, **changed}


@service.endpoint("serving.get_endpoints")
def get_endpoints(store: Store, request: Document) -> Document:
    return {"endpoints": state.endpoint_summaries(store)}


@service.endpoint("serving.get_loading_instances")
def get_loading_instances(store: Store, request: Document) -> Document:
    """Return the containers that have no address yet."""
    return {"instances": [_loading(container) for container in state.containers_at(store, None)]}


def _loading(container: Document) -> Document:
    age = datetime.now(UTC) - datetime.fromisoformat(container["register_time"])
    return {
        "id": container["id"],
        **state.described(container),
        "uptime_sec": container.get("uptime_sec"),
        "age_sec": int(age.total_seconds()),
        "last_update": container["last_activity_time"],
    }


@service.endpoint("serving.get_endpoint_details", "endpoint_url", endpoint_url=str)
def get_endpoint_details(store: Store, request: Document) -> Document:
    containers = state.containers_at(store, request["endpoint_url"])
    if not containers:
        raise ApiError(400, 1052, f"No container instances found for service url: {request['endpoint_url']}")
    return {
        **state.described(containers[0]),
        "uptime_sec": max(each.get("uptime_sec") or 0 for each in containers),
        "last_update": max(each["last_activity_time"] for each in containers),
        "instances": [_instance(container) for container in containers],
    }


def _instance(container: Document) -> Document:
    return {
        "id": container["id"],
        "uptime_sec": container.get("uptime_sec"),
        "requests": container.get("requests_num"),
        "requests_min": container.get("requests_min"),
        "latency_ms": container.get("latency_ms"),
        "last_update": container["last_activity_time"],
        "reference": container.get("reference") or [],
        **state.device_counts(container),
    }


@service.endpoint(
    "serving.get_endpoint_metrics_history", "endpoint_url", "from_date", "to_date", "interval",
    **CHART, endpoint_url=str, metric_type=set(state.CHARTS), instance_charts=bool,
)  # fmt: skip
def get_endpoint_metrics_history(store: Store, request: Document) -> Document:
    return state.endpoint_history(store, request)
