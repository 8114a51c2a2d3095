"""Scalars: series over iterations, and single values."""

from datetime import UTC, datetime
from itertools import pairwise

from ..registry import endpoint
from ..schemas import METRIC
from ..store import Store
from ..tasks.endpoints import required_task
from .state import (
    ALL_READ,
    SCALAR,
    SINGLE_VALUE_ITERATION,
    VECTOR,
    metric_filter,
    reader,
    select,
    variants_of,
)


def _series(store: Store, owner: str, request: dict) -> dict:
    """{metric: {variant: {"name", "x", "y"}}}, over the axis and in the number of samples asked for."""
    key = request.get("key", "iter")
    axis = "iter" if key == "iter" else "timestamp"
    filters, values = metric_filter(request.get("metrics", []))
    rows = store.db.execute(
        f"SELECT metric, variant, {axis}, value FROM events "
        f"WHERE task = ? AND type = ?{filters} AND iter != ? ORDER BY metric, variant, {axis}",
        [owner, SCALAR, *values, SINGLE_VALUE_ITERATION],
    )
    answer: dict[str, dict[str, dict]] = {}
    for metric, variant, x, y in rows:
        series = answer.setdefault(metric, {}).setdefault(variant, {"name": variant, "x": [], "y": []})
        series["x"].append(x)
        series["y"].append(y)
    for variants in answer.values():
        for series in variants.values():
            _sample(series, request.get("samples"))
            if key == "iso_time":
                series["x"] = [_iso_time(x) for x in series["x"]]
    return answer


def _sample(series: dict, samples: int | None) -> None:
    """Average what lies between one sample and the next, as the SDK documents it."""
    count = len(series["x"])
    if samples and count > samples:
        bounds = [i * count // samples for i in range(samples + 1)]
        windows = list(pairwise(bounds))
        series["x"] = [series["x"][last - 1] for _, last in windows]
        series["y"] = [_mean(series["y"][first:last]) for first, last in windows]


def _mean(values: list[float]) -> float:
    return sum(value / len(values) for value in values)  # the sum of the largest numbers would overflow


def _iso_time(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@endpoint("events.scalar_metrics_iter_histogram", "task")
def scalar_metrics_iter_histogram(store: Store, request: dict) -> dict:
    return _series(store, reader(store, request), request)


@endpoint("events.multi_task_scalar_metrics_iter_histogram", "tasks")
def multi_task_scalar_metrics_iter_histogram(store: Store, request: dict) -> dict:
    answer: dict[str, dict] = {}
    for task_id in request["tasks"]:
        owner = reader(store, {**request, "task": task_id})
        name = (store.get("task", owner) or store.get("model", owner))["name"]
        for metric, variants in _series(store, owner, request).items():
            for variant, points in variants.items():
                place = answer.setdefault(metric, {}).setdefault(variant, {})
                place[task_id] = {**points, "name": name}
    return answer


@endpoint("events.scalar_metrics_iter_raw", "task", "metric", metric=METRIC)
def scalar_metrics_iter_raw(store: Store, request: dict) -> dict:
    owner = reader(store, request)
    # All points come in one answer, so a client that scrolls on finds nothing more.
    wanted = {"key": request.get("key", "iter"), "metrics": [request["metric"]]}
    series = {} if request.get("scroll_id") else _series(store, owner, wanted)
    variants = series.get(request["metric"]["metric"], {})
    returned = sum(len(points["x"]) for points in variants.values())
    total = returned if request.get("count_total") else None
    return {"variants": variants, "total": total, "returned": returned, "scroll_id": ALL_READ}


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
    for metric, variants in _series(store, request["task"], {}).items():
        values = [
            {"name": variant, "last_value": points["y"][-1], "last_100_value": _mean(points["y"][-100:])}
            for variant, points in variants.items()
        ]
        metrics.append({"name": metric, "variants": values})
    return {"metrics": metrics}


@endpoint("events.get_scalar_metrics_and_variants", "task")
def get_scalar_metrics_and_variants(store: Store, request: dict) -> dict:
    return {"metrics": variants_of(store, reader(store, request), SCALAR)}


@endpoint("events.get_vector_metrics_and_variants", "task")
def get_vector_metrics_and_variants(store: Store, request: dict) -> dict:
    found = variants_of(store, reader(store, request), VECTOR)
    return {"metrics": [{"metric": metric, "variants": names} for metric, names in found.items()]}
