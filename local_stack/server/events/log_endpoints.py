"""The endpoints of console lines."""

import time

from ..documents import Document
from ..errors import missing_field
from ..registry import Service
from ..store import Store
from . import state
from .download import DEFAULT_FORMAT, check_format
from .state import LOG, Place, Selection

LINES = 5000  # in an answer to a request that asks for no number

service = Service()


@service.endpoint("events.get_task_log", "task")
def get_task_log(store: Store, request: Document) -> Document:
    """Return a page of console lines: the latest, or those before or after a moment.

    Lines of one millisecond are not split between pages, so a page may be longer than the request says.
    """
    task_id = store.get_required("task", request["task"])["id"]
    selection = Selection(store, task_id, LOG, request.get("metrics", []))
    earlier = request.get("navigate_earlier", True)
    after = None
    if request.get("from_timestamp"):
        moment = int(request["from_timestamp"] // 1)
        # Pages begin at a moment; the lines at the one in the request are all known.
        after = Place(moment + 1 if not earlier else moment - (moment == request["from_timestamp"]), 0)
    page = selection.page("timestamp", request.get("batch_size") or LINES, after, descending=earlier)
    events = [state.event_of(row) for row in page.rows]
    if request.get("order") == ("asc" if earlier else "desc"):
        events.reverse()
    return {"events": events, "returned": len(events), "total": selection.count()}


@service.endpoint("events.download_task_log", "task", line_type=str, line_format=str)
def download_task_log(store: Store, request: Document) -> Document:
    """Return of which task the lines are sent, and in which format; None is JSON."""
    task_id, line_format = store.get_required("task", request["task"])["id"], None
    if request.get("line_type", "json").lower() != "json":
        line_format = request.get("line_format", DEFAULT_FORMAT)
        if not line_format:
            raise missing_field("line_format")
        check_format(line_format)
    return {"task": task_id, "line_format": line_format}


@service.endpoint("events.clear_task_log", "task", exclude_metrics=[str], include_metrics=[str])
def clear_task_log(store: Store, request: Document) -> Document:
    condition, values = "task = ? AND type = 'log'", [state.changeable_task(store, request)["id"]]
    if request.get("threshold_sec"):
        condition += " AND timestamp < ?"
        values.append((time.time() - request["threshold_sec"]) * 1000)
    for field, wanted in (("include_metrics", "IN"), ("exclude_metrics", "NOT IN")):
        if request.get(field):
            _, names = state.metric_filter([{"metric": name} for name in request[field]])
            condition += f" AND metric {wanted} ({', '.join('?' * len(names))})"
            values += names
    return {"deleted": store.db.execute(f"DELETE FROM events WHERE {condition}", values).rowcount}
