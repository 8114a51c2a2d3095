"""Console lines."""

import time

from ..registry import endpoint
from ..store import Store
from ..tasks.documents import required_task
from .storage import select


@endpoint("events.get_task_log", "task")
def get_task_log(store: Store, request: dict) -> dict:
    """A page of console lines, in the order asked for: the latest, or those before or after a moment."""
    required_task(store, request["task"])
    size = request.get("batch_size") or 500
    earlier = request.get("navigate_earlier", True)
    since = request.get("from_timestamp")
    condition = "task = ? AND type = 'log'"
    values: list = [request["task"]]
    if since is not None:
        condition += f" AND timestamp {'<' if earlier else '>'} ?"
        values.append(since)
    direction = "DESC" if earlier else "ASC"
    order = f"ORDER BY timestamp {direction}, seq {direction} LIMIT ?"
    events = select(store, condition, [*values, size], order)
    if (direction == "ASC") != (request.get("order") == "asc"):
        events.reverse()
    (total,) = store.db.execute(
        "SELECT COUNT(*) FROM events WHERE task = ? AND type = 'log'", (request["task"],)
    ).fetchone()
    return {"events": events, "returned": len(events), "total": total}


@endpoint("events.download_task_log", "task")
def download_task_log(store: Store, request: dict) -> dict:
    """All console lines, oldest first."""
    required_task(store, request["task"])
    order = "ORDER BY timestamp, seq"
    return {"events": select(store, "task = ? AND type = 'log'", (request["task"],), order)}


@endpoint("events.clear_task_log", "task")
def clear_task_log(store: Store, request: dict) -> dict:
    required_task(store, request["task"])
    condition, values = "task = ? AND type = 'log'", [request["task"]]
    if request.get("threshold_sec"):
        condition += " AND timestamp < ?"
        values.append((time.time() - request["threshold_sec"]) * 1000)
    return {"deleted": store.db.execute(f"DELETE FROM events WHERE {condition}", values).rowcount}
