"""The endpoints of events: reporting and deleting them, raw events, and scalars.

Plots and debug images are in sample_endpoints, console lines in log_endpoints.
"""

from typing import Any

from ..documents import Document
from ..errors import ApiError, validation_error
from ..registry import Service
from ..schemas import METRIC
from ..store import Store
from . import scalars, state
from .ingest import add_events
from .state import ALL_TYPES, SCALAR, VECTOR, Page, Place, Selection

EVENT_TYPE = {*state.TYPES, ALL_TYPES}
SAMPLES = range(1, scalars.MOST_SAMPLES + 1)
MOST_TASKS = 100  # whose series are compared in one call
METRIC_PAGE = 500
RAW_SCALARS, MOST_RAW_SCALARS = 10_000, 200_000  # in an answer that is asked for no number, and in any

service = Service()


# Reported and deleted


@service.endpoint("events.add", key=str)
def add_event(store: Store, request: Document) -> Document:
    return add_events(store, [request])


@service.endpoint("events.add_batch", "batch", batch=[object])
def add_event_batch(store: Store, request: Document) -> Document:
    if not request["batch"]:
        raise ApiError(400, 17, "Batch request contains no items")
    return add_events(store, request["batch"])


@service.endpoint("events.delete_for_task", "task")
def delete_task_events(store: Store, request: Document) -> Document:
    state.delete_events(store, state.changeable_task(store, request)["id"])
    return {"deleted": True}


@service.endpoint("events.delete_for_model", "model")
def delete_model_events(store: Store, request: Document) -> Document:
    model = store.get_required("model", request["model"])
    store.check_changeable("model", model["id"])
    if model["ready"] and not request.get("allow_locked"):
        raise ApiError(400, 201, f"Cannot update events for a published model: id={model['id']}")
    state.delete_events(store, model["id"])
    return {"deleted": True}


# Events of any type, as they were sent


@service.endpoint("events.get_task_metrics", "tasks", event_type=EVENT_TYPE)
def get_task_metrics(store: Store, request: Document) -> Document:
    kind = request.get("event_type") or SCALAR
    found = {
        owner["id"]: list(state.variants_by_metric(store, owner["id"], kind, with_single_values=False))
        for owner in state.owners_of(store, request)
    }
    return {"metrics": [{"task": task_id, "metrics": metrics} for task_id, metrics in found.items()]}


@service.endpoint("events.get_multi_task_metrics", "tasks", event_type=EVENT_TYPE)
def get_multi_task_metrics(store: Store, request: Document) -> Document:
    """Return the metrics that any of the tasks has, with the variants in all of them together."""
    found: dict[str, set[str]] = {}
    for owner in state.owners_of(store, request):
        kind = request.get("event_type") or ALL_TYPES
        for metric, variants in state.variants_by_metric(store, owner["id"], kind).items():
            found.setdefault(metric, set()).update(variants)
    return {"metrics": [{"metric": name, "variants": sorted(found[name])} for name in sorted(found)]}


@service.endpoint("events.get_task_events", "task", event_type=EVENT_TYPE)
def get_task_events(store: Store, request: Document) -> Document:
    """Return a page of events in the order of iterations. None of its iterations goes on in the next page."""
    owner_id, kind = state.owner_of(store, request)["id"], request.get("event_type") or ALL_TYPES
    selection = Selection(store, owner_id, kind, request.get("metrics", []))
    descending = request.get("order") == "desc"
    page = selection.page("iter", request.get("batch_size") or 500, _place(request), descending)
    return _events_answer(request, page, _total(request, selection, request.get("count_total", True)))


@service.endpoint("events.get_scalar_metric_data", "task", "metric")
def get_scalar_metric_data(store: Store, request: Document) -> Document:
    """Return a page of the events of one metric, newest iterations first."""
    metrics = [{"metric": request["metric"]}]
    selection = Selection(store, state.owner_of(store, request)["id"], SCALAR, metrics)
    page = selection.page("iter", METRIC_PAGE, _place(request), descending=True, whole=False)
    return _events_answer(request, page, _total(request, selection, True))


def _total(request: Document, selection: Selection, wanted: bool) -> int | None:
    """Return how many events there are, as the first page counted them."""
    place = _place(request)
    if place and place.total is not None:
        return place.total
    return selection.count() if wanted else None


def _place(request: Document) -> Place | None:
    return Place.of(request["scroll_id"]) if request.get("scroll_id") else None


def _events_answer(request: Document, page: Page, total: int | None) -> Document:
    events = [state.event_of(row) for row in page.rows]
    scroll_id = _next(request, page.place, total)
    return {"events": events, "returned": len(events), "total": total, "scroll_id": scroll_id}


def _next(request: Document, place: Place | None, total: int | None) -> str | None:
    """Return the scroll id of the next page: after the last one, more may be reported."""
    return place._replace(total=total).scroll_id() if place else request.get("scroll_id")


@service.endpoint("events.clear_scroll", "scroll_id")
def clear_scroll(store: Store, request: Document) -> Document:
    """Do nothing: the scroll ids of events are places, and nothing is kept for them."""
    return {}


# Scalars


@service.endpoint("events.scalar_metrics_iter_histogram", "task", samples=SAMPLES)
def get_scalar_series(store: Store, request: Document) -> Document:
    return _series(store, state.owner_of(store, request), request)


def _series(store: Store, owner: Document, request: Document) -> dict[str, dict[str, Document]]:
    key, samples = request.get("key", "iter"), request.get("samples")
    found = scalars.scalar_series(store, owner["id"], request.get("metrics", []), key, samples)
    for variants in (owner.get("last_metrics") or {}).values():
        for last in variants.values():
            series = found.get(last["metric"], {}).get(last["variant"])
            if series and "x_axis_label" in last:
                series["x_axis_label"] = last["x_axis_label"]
    return found


@service.endpoint("events.multi_task_scalar_metrics_iter_histogram", "tasks", samples=SAMPLES)
def get_multi_task_scalar_series(store: Store, request: Document) -> Document:
    if not 1 <= len(request["tasks"]) <= MOST_TASKS:
        raise validation_error(f"tasks should name 1 to {MOST_TASKS} of them")
    return compared_series(store, request)


def compared_series(store: Store, request: Document) -> Document:
    """Return {metric: {variant: {task: {"name", "x", "y"}}}}; the name is the task's."""
    answer: dict[str, Document] = {}
    for owner in state.owners_of(store, request):
        for metric, variants in _series(store, owner, request).items():
            for variant, points in variants.items():
                by_task = answer.setdefault(metric, {}).setdefault(variant, {})
                by_task[owner["id"]] = {**points, "name": owner["name"]}
    return {"metrics": answer}


@service.endpoint("events.scalar_metrics_iter_raw", "task", "metric", metric=METRIC)
def get_raw_scalar_series(store: Store, request: Document) -> Document:
    """Return a page of the points of a metric: {variant: {"y", and the key: "iter", "timestamp" …}}."""
    owner_id, key = state.owner_of(store, request)["id"], request.get("key", "iter")
    selection = Selection(store, owner_id, SCALAR, [request["metric"]])
    rows: list[Any] = []
    place, last = _place(request), None
    wanted = min(request.get("batch_size") or (place and place.size) or RAW_SCALARS, MOST_RAW_SCALARS)
    while len(rows) < wanted:
        page = selection.page(scalars.AXES[key], wanted - len(rows), place)
        if not page.rows:
            break
        rows += page.rows
        place = last = page.place
    variants: dict[str, Document] = {}
    for *_, variant, iteration, timestamp, value in rows:
        points = variants.setdefault(variant, {"y": [], key: []})
        points["y"].append(value)
        points[key].append(iteration if key == "iter" else timestamp)
    total = _total(request, selection, request.get("count_total", False))
    scroll_id = _next(request, last and last._replace(size=wanted), total)
    return {"variants": variants, "total": total, "returned": len(rows), "scroll_id": scroll_id}


@service.endpoint("events.get_task_single_value_metrics", "tasks")
def get_task_single_value_metrics(store: Store, request: Document) -> Document:
    answer = []
    for owner in state.owners_of(store, request):
        values = scalars.single_values(store, owner["id"], request.get("metrics", []))
        if values:
            answer.append({"task": owner["id"], "task_name": owner["name"], "values": values})
    return {"tasks": answer}


@service.endpoint("events.get_task_latest_scalar_values", "task")
def get_task_latest_scalar_values(store: Store, request: Document) -> Document:
    task = store.get_required("task", request["task"])
    metrics: dict[str, list[Document]] = {}
    for metric, variant in scalars.series_names(store, task["id"]):
        last = scalars.last_values(store, task["id"], metric, variant, 100)
        # ClearML's server names the last value twice; its documentation has the mean of a hundred.
        values = {"last_value": last[0], "last_10_value": last[0], "last_100_value": scalars.mean(last)}
        metrics.setdefault(metric, []).append({"name": variant, **values})
    newest = Selection(store, task["id"], ALL_TYPES, []).page("iter", 1, None, descending=True, whole=False)
    return {
        "metrics": [{"name": metric, "variants": variants} for metric, variants in metrics.items()],
        "last_iter": newest.place.value if newest.place else 0,
        "last_timestamp": scalars.last_timestamp(store, task["id"]),
        "name": task["name"],
        "status": task["status"],
    }


@service.endpoint("events.get_scalar_metrics_and_variants", "task")
def get_scalar_metrics_and_variants(store: Store, request: Document) -> Document:
    return {"metrics": state.variants_by_metric(store, state.owner_of(store, request)["id"], SCALAR)}


@service.endpoint("events.get_vector_metrics_and_variants", "task")
def get_vector_metrics_and_variants(store: Store, request: Document) -> Document:
    found = state.variants_by_metric(store, state.owner_of(store, request)["id"], VECTOR)
    return {"metrics": [{"metric": metric, "variants": names} for metric, names in found.items()]}


@service.endpoint("events.vector_metrics_iter_histogram", "task", "metric", "variant")
def get_vector_series(store: Store, request: Document) -> Document:
    metric, variant = request["metric"], request["variant"]
    where = f"task = ? AND {state.of_type(VECTOR)} AND metric = ? AND variant = ?"
    values = (state.owner_of(store, request)["id"], metric, variant)
    events = state.select_events(store, where, values, f"ORDER BY iter LIMIT {state.LARGEST_PAGE}")
    return {
        "metric": metric,
        "variant": variant,
        "vectors": [event.get("values", event.get("value")) for event in events],
        "iterations": [event.get("iter") or 0 for event in events],
    }
