"""Events of any kind, as they were sent."""

from ..errors import invalid_scroll_id
from ..registry import endpoint
from ..store import Store
from .state import COLUMNS, SCALAR, event_of, metric_filter, reader


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
    """Raw events by their time, a batch at a time; the scroll id is the place of the last one."""
    return _scrolled(store, request, request.get("event_type"), request.get("order", "asc"))


@endpoint("events.get_scalar_metric_data", "task")
def get_scalar_metric_data(store: Store, request: dict) -> dict:
    metrics = [{"metric": request["metric"]}] if request.get("metric") else []
    return _scrolled(store, {**request, "metrics": metrics}, SCALAR, "asc")


def _scrolled(store: Store, request: dict, kind: str | None, order: str) -> dict:
    condition, values = "task = ?", [reader(store, request)]
    if kind:
        condition += " AND type = ?"
        values.append(kind)
    filters, filter_values = metric_filter(request.get("metrics", []))
    condition += filters
    values += filter_values
    (total,) = store.db.execute(f"SELECT COUNT(*) FROM events WHERE {condition}", values).fetchone()
    after, direction = (">", "ASC") if order == "asc" else ("<", "DESC")
    if request.get("scroll_id"):
        condition += f" AND (timestamp, seq) {after} (?, ?)"
        values += _place(request["scroll_id"])
    rows = store.db.execute(
        f"SELECT {COLUMNS} FROM events WHERE {condition} "
        f"ORDER BY timestamp {direction}, seq {direction} LIMIT ?",
        [*values, request.get("batch_size") or 500],
    ).fetchall()
    events = [event_of(row) for row in rows]
    scroll_id = f"{events[-1]['timestamp']}_{rows[-1][0]}" if rows else request.get("scroll_id")
    return {"events": events, "returned": len(events), "total": total, "scroll_id": scroll_id}


def _place(scroll_id: str) -> tuple[int, int]:
    try:
        timestamp, seq = scroll_id.split("_")
        return int(timestamp), int(seq)
    except ValueError as error:
        raise invalid_scroll_id(scroll_id) from error
