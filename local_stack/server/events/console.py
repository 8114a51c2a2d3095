"""Console lines."""

import json
import time

from ..registry import endpoint
from ..store import Store
from ..tasks.endpoints import required_task
from .state import select


@endpoint("events.get_task_log", "task")
def get_task_log(store: Store, request: dict) -> dict:
    """A page of console lines: the latest, or those before or after a moment.

    Lines of one millisecond are never split between pages, so a page may be longer than was asked for.
    """
    required_task(store, request["task"])
    condition, values = "task = ? AND type = 'log'", [request["task"]]
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
    events = select(store, condition, values, f"ORDER BY timestamp {order}, seq {order}")
    return {"events": events, "returned": len(events), "total": total}


@endpoint("events.clear_task_log", "task")
def clear_task_log(store: Store, request: dict) -> dict:
    required_task(store, request["task"])
    condition, values = "task = ? AND type = 'log'", [request["task"]]
    if request.get("threshold_sec"):
        condition += " AND timestamp < ?"
        values.append((time.time() - request["threshold_sec"]) * 1000)
    return {"deleted": store.db.execute(f"DELETE FROM events WHERE {condition}", values).rowcount}


def lines_before(
    store: Store, task_id: str, place: tuple[int, int] | None, count: int
) -> list[tuple[int, int, str]]:
    """(timestamp, seq, text) of the last console events before a (timestamp, seq), newest first."""
    condition, values = "task = ? AND type = 'log'", [task_id]
    if place:
        condition += " AND (timestamp, seq) < (?, ?)"
        values += place
    rows = store.db.execute(
        f"SELECT timestamp, seq, body FROM events WHERE {condition} "
        "ORDER BY timestamp DESC, seq DESC LIMIT ?",
        [*values, count],
    )
    return [(timestamp, seq, _text(body)) for timestamp, seq, body in rows]


def arrived_since(store: Store, task_id: str, seq: int, count: int) -> list[tuple[int, str]]:
    """(seq, text) of the console events that came in after a seq, oldest first.

    Unlike a search by time it misses none that was reported late.
    """
    rows = store.db.execute(
        # What is new is little: going through all of it beats looking at every line of the task.
        "SELECT seq, body FROM events NOT INDEXED WHERE seq > ? AND task = ? AND type = 'log' "
        "ORDER BY seq LIMIT ?",
        (seq, task_id, count),
    )
    return [(number, _text(body)) for number, body in rows]


def newest_seq(store: Store) -> int:
    """The seq of the event of any task that came in last; 0 where there is none."""
    return store.db.execute("SELECT MAX(seq) FROM events").fetchone()[0] or 0


def _text(body: str) -> str:
    return str(json.loads(body).get("msg") or "")
