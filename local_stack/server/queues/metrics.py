"""How many tasks waited in each queue over time, and for how long."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime

from ..documents import Document
from ..measurements import check_dates, measurements, record_measurement
from ..store import Store

QUEUE = "queue"
RECORD_SECONDS = 300  # a queue that does not change is recorded as often as this
SECONDS_BEFORE = 3600  # a chart begins so much earlier than asked for, as queues change seldom


def record_queue(store: Store, queue: Document) -> None:
    """Keep how many tasks wait in the queue, and for how long on average."""
    present = datetime.now(UTC)
    waited = [
        (present - datetime.fromisoformat(entry["added"])).total_seconds() for entry in queue["entries"]
    ]
    body = {"length": len(waited), "waited": sum(waited) / len(waited) if waited else 0}
    record_measurement(store, QUEUE, queue["id"], body)


def record_due_queues(store: Store) -> None:
    """Record the queues that were not recorded for a while. Called when workers report."""
    present = time.time()
    recent = {each.source for each in measurements(store, QUEUE, present - RECORD_SECONDS, present + 1)}
    for queue in store.all("queue"):
        if queue["id"] not in recent:
            record_queue(store, queue)


def queue_series(store: Store, request: Document) -> list[Document]:
    """Return a series for each queue in the request, or one of all queues together."""
    if request.get("refresh"):
        for queue in store.all("queue"):
            if not request.get("queue_ids") or queue["id"] in request["queue_ids"]:
                record_queue(store, queue)
    check_dates(request)
    step = request["interval"] * 1000
    found: dict[int, dict[str, tuple[float, int]]] = {}
    start = max(0, request["from_date"] - SECONDS_BEFORE)
    for each in measurements(store, QUEUE, start, request["to_date"], request.get("queue_ids")):
        of_interval = found.setdefault(each.timestamp // step * step, {})
        # Of an interval, the moment counts when tasks had waited longest.
        value = (each.body["waited"], each.body["length"])
        of_interval[each.source] = max(value, of_interval.get(each.source, (0, 0)))
    if request.get("queue_ids"):
        queues = dict.fromkeys(queue for of_interval in found.values() for queue in of_interval)
        return [
            _series(queue, ((date, found[date][queue]) for date in found if queue in found[date]))
            for queue in queues
        ]
    return [_series("total", _total(found))]


def _total(
    found: dict[int, dict[str, tuple[float, int]]],
) -> Iterable[tuple[int, tuple[float, int]]]:
    """Yield the waiting time of a task on average, and the tasks in all queues: each as last recorded."""
    last: dict[str, tuple[float, int]] = {}
    for date, of_interval in found.items():
        last |= of_interval
        length = sum(count for _, count in last.values())
        yield date, (sum(waited * count for waited, count in last.values()) / length if length else 0, length)


def _series(queue: str, points: Iterable[tuple[int, tuple[float, int]]]) -> Document:
    points = list(points)
    return {
        "queue": queue,
        "dates": [date for date, _ in points],
        "avg_waiting_times": [waited for _, (waited, _) in points],
        "queue_lengths": [length for _, (_, length) in points],
    }
