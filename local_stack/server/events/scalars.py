"""Scalars: series over iterations, and single values."""

from ..errors import missing_field
from ..registry import endpoint
from ..store import Store
from ..tasks.documents import required_task
from .storage import SCALAR, SINGLE_VALUE_ITERATION, VECTOR, reader, select, variants_of


def _series(store: Store, owner: str, metrics: list | None, samples: int | None, key: str | None) -> dict:
    """{metric: {variant: {"name", "x", "y"}}}, thinned evenly to `samples` points, the last one kept."""
    axis = {"timestamp": "timestamp", "iso_time": "timestamp"}.get(key or "iter", "iter")
    condition, values = "task = ? AND type = ? AND iter != ?", [owner, SCALAR, SINGLE_VALUE_ITERATION]
    rows = store.db.execute(
        f"SELECT metric, variant, {axis}, value FROM events WHERE {condition} ORDER BY {axis}", values
    )
    wanted = {item["metric"]: item.get("variants") for item in metrics or []}
    answer: dict[str, dict[str, dict]] = {}
    for metric, variant, x, y in rows:
        if wanted and (metric not in wanted or (wanted[metric] and variant not in wanted[metric])):
            continue
        series = answer.setdefault(metric, {}).setdefault(variant, {"name": variant, "x": [], "y": []})
        series["x"].append(x)
        series["y"].append(y)
    for variants in answer.values():
        for series in variants.values():
            count = len(series["x"])
            if samples and count > samples:
                kept = sorted({round(i * (count - 1) / max(1, samples - 1)) for i in range(samples)})
                series["x"] = [series["x"][i] for i in kept]
                series["y"] = [series["y"][i] for i in kept]
    return answer


@endpoint("events.scalar_metrics_iter_histogram", "task")
def scalar_metrics_iter_histogram(store: Store, request: dict) -> dict:
    owner = reader(store, request)
    return _series(store, owner, request.get("metrics"), request.get("samples"), request.get("key"))


@endpoint("events.multi_task_scalar_metrics_iter_histogram", "tasks")
def multi_task_scalar_metrics_iter_histogram(store: Store, request: dict) -> dict:
    answer: dict[str, dict] = {}
    for task_id in request["tasks"]:
        owner = reader(store, {**request, "task": task_id})
        name = required_task(store, task_id)["name"] if not request.get("model_events") else task_id
        series = _series(store, owner, request.get("metrics"), request.get("samples"), request.get("key"))
        for metric, variants in series.items():
            for variant, points in variants.items():
                place = answer.setdefault(metric, {}).setdefault(variant, {})
                place[task_id] = {**points, "name": name}
    return answer


@endpoint("events.scalar_metrics_iter_raw", "task", "metric")
def scalar_metrics_iter_raw(store: Store, request: dict) -> dict:
    owner = reader(store, request)
    metric = request["metric"]
    if not isinstance(metric, dict) or not metric.get("metric"):
        raise missing_field("metric.metric")
    series = _series(store, owner, [metric], None, request.get("key")).get(metric["metric"], {})
    total = sum(len(points["x"]) for points in series.values())
    return {"variants": series, "total": total, "returned": total}


@endpoint("events.get_task_single_value_metrics", "tasks")
def get_task_single_value_metrics(store: Store, request: dict) -> dict:
    answer = []
    for task_id in request["tasks"]:
        owner = reader(store, {**request, "task": task_id})
        condition = "task = ? AND type = ? AND iter = ?"
        events = select(store, condition, (owner, SCALAR, SINGLE_VALUE_ITERATION), "ORDER BY metric, variant")
        keys = ("metric", "variant", "value", "timestamp")
        values = [{key: event[key] for key in keys} for event in events]
        if values:
            answer.append({"task": task_id, "values": values})
    return {"tasks": answer}


@endpoint("events.get_task_latest_scalar_values", "task")
def get_task_latest_scalar_values(store: Store, request: dict) -> dict:
    required_task(store, request["task"])
    metrics = []
    for metric, variants in _series(store, request["task"], None, None, None).items():
        values = []
        for variant, points in variants.items():
            recent = [y for y in points["y"][-100:] if y is not None]
            if recent:
                mean = sum(recent) / len(recent)
                values.append({"name": variant, "last_value": recent[-1], "last_100_value": mean})
        metrics.append({"name": metric, "variants": values})
    return {"metrics": metrics}


@endpoint("events.get_scalar_metrics_and_variants", "task")
def get_scalar_metrics_and_variants(store: Store, request: dict) -> dict:
    return {"metrics": variants_of(store, reader(store, request), SCALAR)}


@endpoint("events.get_vector_metrics_and_variants", "task")
def get_vector_metrics_and_variants(store: Store, request: dict) -> dict:
    found = variants_of(store, reader(store, request), VECTOR)
    return {"metrics": [{"metric": metric, "variants": names} for metric, names in found.items()]}
