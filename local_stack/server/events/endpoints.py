"""The endpoints of events: what tasks report while they run."""

import time
from typing import Any

from ..documents import Document
from ..errors import invalid_scroll_id
from ..query import offset
from ..registry import Service
from ..schemas import METRIC, METRICS_OF_TASKS
from ..store import Store
from . import state
from .ingest import add_events

ALL_READ = "end"  # the scroll id of an answer that holds everything: the next page is empty

service = Service()


# Reported and deleted


@service.endpoint("events.add", key=str)
def add_event(store: Store, request: Document) -> Document:
    add_events(store, [request])
    return {}


@service.endpoint("events.add_batch", "batch", batch=[object])
def add_event_batch(store: Store, request: Document) -> Document:
    return add_events(store, request["batch"])


@service.endpoint("events.delete_for_task", "task")
def delete_task_events(store: Store, request: Document) -> Document:
    state.delete_events(store, store.get_required("task", request["task"])["id"])
    return {"deleted": True}


@service.endpoint("events.delete_for_model", "model")
def delete_model_events(store: Store, request: Document) -> Document:
    state.delete_events(store, store.get_required("model", request["model"])["id"])
    return {"deleted": True}


# Events of any kind, as they were sent


@service.endpoint("events.get_task_metrics", "tasks")
def get_task_metrics(store: Store, request: Document) -> Document:
    kind = request.get("event_type") or state.SCALAR
    answer = []
    for task_id in request["tasks"]:
        owner = state.owner_of(store, request, task_id)
        answer.append({"task": task_id, "metrics": list(state.variants_by_metric(store, owner["id"], kind))})
    return {"metrics": answer}


@service.endpoint("events.get_task_events", "task")
def get_task_events(store: Store, request: Document) -> Document:
    """Return a batch of events in the order of time; the scroll id is the place of the last one."""
    return _scrolled(store, request, request.get("event_type"), request.get("order", "asc"))


@service.endpoint("events.get_scalar_metric_data", "task")
def get_scalar_metric_data(store: Store, request: Document) -> Document:
    metrics = [{"metric": request["metric"]}] if request.get("metric") else []
    return _scrolled(store, {**request, "metrics": metrics}, state.SCALAR, "asc")


def _scrolled(store: Store, request: Document, kind: str | None, order: str) -> Document:
    condition, values = "task = ?", [state.owner_of(store, request)["id"]]
    if kind:
        condition += " AND type = ?"
        values.append(kind)
    filters, filter_values = state.metric_filter(request.get("metrics", []))
    condition += filters
    values += filter_values
    (total,) = store.db.execute(f"SELECT COUNT(*) FROM events WHERE {condition}", values).fetchone()
    after, direction = (">", "ASC") if order == "asc" else ("<", "DESC")
    if request.get("scroll_id"):
        condition += f" AND (timestamp, seq) {after} (?, ?)"
        values += _place(request["scroll_id"])
    rows = store.db.execute(
        f"SELECT {state.COLUMNS} FROM events WHERE {condition} "
        f"ORDER BY timestamp {direction}, seq {direction} LIMIT ?",
        [*values, request.get("batch_size") or 500],
    ).fetchall()
    events = [state.event_of(row) for row in rows]
    scroll_id = f"{events[-1]['timestamp']}_{rows[-1][0]}" if rows else request.get("scroll_id")
    return {"events": events, "returned": len(events), "total": total, "scroll_id": scroll_id}


def _place(scroll_id: str) -> tuple[int, int]:
    try:
        timestamp, seq = scroll_id.split("_")
        return int(timestamp), int(seq)
    except ValueError as error:
        raise invalid_scroll_id(scroll_id) from error


# Scalars


@service.endpoint("events.scalar_metrics_iter_histogram", "task")
def get_scalar_series(store: Store, request: Document) -> Document:
    return _series(store, state.owner_of(store, request)["id"], request)


def _series(store: Store, owner_id: str, request: Document) -> Document:
    key, samples = request.get("key", "iter"), request.get("samples")
    return state.scalar_series(store, owner_id, request.get("metrics", []), key, samples)


@service.endpoint("events.multi_task_scalar_metrics_iter_histogram", "tasks")
def get_multi_task_scalar_series(store: Store, request: Document) -> Document:
    """Return {metric: {variant: {task: {"name", "x", "y"}}}}; the name is the task's."""
    answer: dict[str, Document] = {}
    for task_id in request["tasks"]:
        owner = state.owner_of(store, request, task_id)
        for metric, variants in _series(store, owner["id"], request).items():
            for variant, points in variants.items():
                by_task = answer.setdefault(metric, {}).setdefault(variant, {})
                by_task[task_id] = {**points, "name": owner["name"]}
    return answer


@service.endpoint("events.scalar_metrics_iter_raw", "task", "metric", metric=METRIC)
def get_raw_scalar_series(store: Store, request: Document) -> Document:
    owner_id, metric = state.owner_of(store, request)["id"], request["metric"]
    # All points come in one answer, so a client that scrolls on finds nothing more.
    all_read = bool(request.get("scroll_id"))
    series = {} if all_read else state.scalar_series(store, owner_id, [metric], request.get("key", "iter"))
    variants = series.get(metric["metric"], {})
    returned = sum(len(points["x"]) for points in variants.values())
    total = returned if request.get("count_total") else None
    return {"variants": variants, "total": total, "returned": returned, "scroll_id": ALL_READ}


@service.endpoint("events.get_task_single_value_metrics", "tasks")
def get_task_single_value_metrics(store: Store, request: Document) -> Document:
    condition, order = "task = ? AND type = ? AND iter = ?", "ORDER BY metric, variant"
    keys = ("metric", "variant", "value", "timestamp")
    answer = []
    for task_id in request["tasks"]:
        owner_id = state.owner_of(store, request, task_id)["id"]
        events = state.select_events(
            store, condition, (owner_id, state.SCALAR, state.SINGLE_VALUE_ITERATION), order
        )
        if events:
            answer.append({"task": task_id, "values": [{key: e[key] for key in keys} for e in events]})
    return {"tasks": answer}


@service.endpoint("events.get_task_latest_scalar_values", "task")
def get_task_latest_scalar_values(store: Store, request: Document) -> Document:
    task = store.get_required("task", request["task"])
    metrics = []
    for metric, variants in state.scalar_series(store, task["id"], []).items():
        values = [
            {"name": variant, "last_value": points["y"][-1], "last_100_value": state.mean(points["y"][-100:])}
            for variant, points in variants.items()
        ]
        metrics.append({"name": metric, "variants": values})
    return {"metrics": metrics}


@service.endpoint("events.get_scalar_metrics_and_variants", "task")
def get_scalar_metrics_and_variants(store: Store, request: Document) -> Document:
    return {"metrics": state.variants_by_metric(store, state.owner_of(store, request)["id"], state.SCALAR)}


@service.endpoint("events.get_vector_metrics_and_variants", "task")
def get_vector_metrics_and_variants(store: Store, request: Document) -> Document:
    found = state.variants_by_metric(store, state.owner_of(store, request)["id"], state.VECTOR)
    return {"metrics": [{"metric": metric, "variants": names} for metric, names in found.items()]}


# Plots and debug images


@service.endpoint("events.get_task_plots", "task")
def get_task_plots(store: Store, request: Document) -> Document:
    owner_id, metrics = state.owner_of(store, request)["id"], request.get("metrics", [])
    # All plots come in one answer, so a client that scrolls on finds nothing more.
    all_read = bool(request.get("scroll_id"))
    plots = [] if all_read else state.last_plots(store, owner_id, metrics, request.get("iters") or 1)
    return {"plots": plots, "returned": len(plots), "total": len(plots), "scroll_id": ALL_READ}


@service.endpoint("events.get_multi_task_plots", "tasks")
def get_multi_task_plots(store: Store, request: Document) -> Document:
    """Return {metric: {variant: {task: {iteration: {"name", "plots"}}}}}."""
    answer: dict[str, Document] = {}
    count = 0
    for task_id in request["tasks"]:
        owner = state.owner_of(store, request, task_id)
        for event in state.last_plots(store, owner["id"], [], request.get("iters") or 1):
            variants = answer.setdefault(event["metric"], {}).setdefault(event["variant"], {})
            iterations = variants.setdefault(task_id, {})
            iteration = str(event.get("iter") or 0)
            iterations.setdefault(iteration, {"name": owner["name"], "plots": []})["plots"].append(event)
            count += 1
    return {"plots": answer, "returned": count, "total": count, "scroll_id": ALL_READ}


def _by_iteration(store: Store, request: Document, kind: str) -> Document:
    """Return the last iterations of the named tasks, newest first, each with its events."""
    count = request.get("iters") or 1
    first = 0
    if request.get("scroll_id"):
        first = offset(request["scroll_id"])
        if request.get("navigate_earlier") is False:
            first = max(0, first - 2 * count)
    metrics_by_task: dict[str, list[Document]] = {}
    for item in request["metrics"]:
        metrics_by_task.setdefault(item["task"], []).extend([item] if item.get("metric") else [])
    answer = []
    for task_id, metrics in metrics_by_task.items():
        owner_id = state.owner_of(store, request, task_id)["id"]
        iterations = state.events_by_iteration(store, owner_id, kind, metrics, count, first)
        answer.append({"task": task_id, "iterations": iterations})
    return {"metrics": answer, "scroll_id": str(first + count)}


@service.endpoint("events.debug_images", "metrics", metrics=METRICS_OF_TASKS)
def get_debug_images(store: Store, request: Document) -> Document:
    return _by_iteration(store, request, state.IMAGE)


@service.endpoint("events.plots", "metrics", metrics=METRICS_OF_TASKS)
def get_plots(store: Store, request: Document) -> Document:
    return _by_iteration(store, request, state.PLOT)


@service.endpoint("events.get_debug_image_sample", "task", "metric", "variant")
def get_debug_image_sample(store: Store, request: Document) -> Document:
    """Return one image: that of the iteration in the request, or the last one."""
    condition = "task = ? AND type = ? AND metric = ? AND variant = ?"
    values = [state.owner_of(store, request)["id"], state.IMAGE, request["metric"], request["variant"]]
    limits = store.db.execute(f"SELECT MIN(iter), MAX(iter) FROM events WHERE {condition}", values)
    low, high = limits.fetchone()
    events = state.select_events(
        store, f"{condition} AND iter = ?", [*values, request.get("iteration", high)]
    )
    answer = {"min_iteration": low, "max_iteration": high, "scroll_id": ALL_READ}
    return {**answer, "event": events[0] if events else None}


# The console


@service.endpoint("events.get_task_log", "task")
def get_task_log(store: Store, request: Document) -> Document:
    """Return a page of console lines: the latest, or those before or after a moment.

    Lines of one millisecond are never split between pages, so a page may be longer than the request says.
    """
    condition, values = _log_of(store, request)
    (total,) = store.db.execute(f"SELECT COUNT(*) FROM events WHERE {condition}", values).fetchone()
    earlier = request.get("navigate_earlier", True)
    direction, after, up_to = ("DESC", "<", ">=") if earlier else ("ASC", ">", "<=")
    if "from_timestamp" in request:
        condition += f" AND timestamp {after} ?"
        values.append(request["from_timestamp"])
    last = store.db.execute(
        f"SELECT timestamp FROM events WHERE {condition} ORDER BY timestamp {direction} LIMIT 1 OFFSET ?",
        [*values, (request.get("batch_size") or 500) - 1],
    ).fetchone()
    if last:
        condition += f" AND timestamp {up_to} ?"
        values += last
    order = request.get("order", direction)
    events = state.select_events(store, condition, values, f"ORDER BY timestamp {order}, seq {order}")
    return {"events": events, "returned": len(events), "total": total}


@service.endpoint("events.clear_task_log", "task")
def clear_task_log(store: Store, request: Document) -> Document:
    condition, values = _log_of(store, request)
    if request.get("threshold_sec"):
        condition += " AND timestamp < ?"
        values.append((time.time() - request["threshold_sec"]) * 1000)
    return {"deleted": store.db.execute(f"DELETE FROM events WHERE {condition}", values).rowcount}


def _log_of(store: Store, request: Document) -> tuple[str, list[Any]]:
    """Return the SQL condition, and its values, of the console lines of the task in the request."""
    return "task = ? AND type = 'log'", [store.get_required("task", request["task"])["id"]]
