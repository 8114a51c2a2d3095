"""Events of any kind, as they were sent."""

from ..registry import endpoint
from ..store import Store
from .storage import COLUMNS, SCALAR, event_of, metric_filter, reader, scroll_position


@endpoint("events.get_task_metrics", "tasks")
def get_task_metrics(store: Store, request: dict) -> dict:
    answer = []
    for task_id in request["tasks"]:
        owner = reader(store, {**request, "task": task_id})
        rows = store.db.execute(
            "SELECT DISTINCT metric FROM events WHERE task = ? AND type = ? ORDER BY metric",
            (owner, request.get("event_type") or SCALAR),
        )
        answer.append({"task": task_id, "metrics": [metric for (metric,) in rows]})
    return {"metrics": answer}


@endpoint("events.get_task_events", "task")
def get_task_events(store: Store, request: dict) -> dict:
    """Raw events, a batch at a time; the scroll id is the last event's place in the order of arrival."""
    return _scrolled(store, request, request.get("event_type"), request.get("order") or "asc")


@endpoint("events.get_scalar_metric_data", "task")
def get_scalar_metric_data(store: Store, request: dict) -> dict:
    metrics = [{"metric": request["metric"]}] if request.get("metric") else None
    return _scrolled(store, {**request, "metrics": metrics}, SCALAR, "asc")


def _scrolled(store: Store, request: dict, kind: str | None, order: str) -> dict:
    owner = reader(store, request)
    size = request.get("batch_size") or 500
    condition, values = "task = ?", [owner]
    if kind:
        condition += " AND type = ?"
        values.append(kind)
    filters, filter_values = metric_filter(request.get("metrics"))
    condition += filters
    values += filter_values
    (total,) = store.db.execute(f"SELECT COUNT(*) FROM events WHERE {condition}", values).fetchone()
    if request.get("scroll_id"):
        condition += f" AND seq {'>' if order == 'asc' else '<'} ?"
        values.append(scroll_position(request["scroll_id"]))
    rows = store.db.execute(
        f"SELECT {COLUMNS} FROM events WHERE {condition} ORDER BY seq {'ASC' if order == 'asc' else 'DESC'} LIMIT ?",
        [*values, size],
    ).fetchall()
    scroll = str(rows[-1][0]) if rows else request.get("scroll_id")
    return {
        "events": [event_of(row) for row in rows],
        "returned": len(rows),
        "total": total,
        "scroll_id": scroll or "0",
    }
