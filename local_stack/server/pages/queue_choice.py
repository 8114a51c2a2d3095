"""The queues that a task may wait in, and who listens to them."""

from ..documents import Document
from ..queues.state import queues_of
from ..store import Store
from ..workers.state import alive_workers


def queue_choices(store: Store, task: Document, wanted: str | None = None) -> list[Document]:
    """Return the queues by name, one of them chosen.

    That is the wanted one, or the one that the task ran on; else the one that the latest task like it ran on,
    if somebody listens there; else the one that most workers listen to.
    """
    latest = next(
        (
            other["execution"]["queue"]
            for other in reversed(store.all("task"))  # the newest first
            if other["type"] == task["type"]
            and other.get("project") == task.get("project")
            and other["execution"].get("queue")
        ),
        None,
    )
    wanted = wanted or task["execution"].get("queue")
    rows = [_row(store, queue) for queue in store.all("queue")]
    rows.sort(key=lambda row: row["name"].casefold())
    chosen = max(
        rows,
        key=lambda row: (row["id"] == wanted, row["id"] == latest and row["listeners"] > 0, row["listeners"]),
        default={},
    )
    return [{**row, "chosen": row is chosen} for row in rows]


def _row(store: Store, queue: Document) -> Document:
    number = sum(queue["id"] in worker["queues"] for worker in alive_workers(store))
    who = ("nobody listens", "1 worker listens", f"{number} workers listen")[min(number, 2)]
    return {
        "id": queue["id"],
        "name": queue["name"],
        "waiting": len(queue["entries"]),
        "listeners": number,
        "who": who,
    }


def waits_in(store: Store, task: Document) -> Document | None:
    """Return the queue that the task waits in, and at which place."""
    for queue in queues_of(store, task["id"]) if task["status"] == "queued" else ():
        tasks = [entry["task"] for entry in queue["entries"]]
        return {**_row(store, queue), "place": tasks.index(task["id"]) + 1}
    return None
