"""Queues: how they are found and made, and the tasks that wait in them."""

from typing import Any

from ..documents import Document
from ..errors import check_name
from ..store import Store, new_document, now
from ..workers.state import alive_workers


def find_queue(store: Store, name: str) -> Document | None:
    return next((queue for queue in store.all("queue") if queue["name"] == name), None)


def find_or_create_queue(store: Store, name: str, **fields: Any) -> Document:
    existing = find_queue(store, name)
    if existing:
        return existing
    check_name("queue", name)
    queue = new_document(name=name, entries=[], metadata={}, **fields)
    store.put("queue", queue)
    return queue


def is_queued_in(queue: Document, task_id: str) -> bool:
    return any(entry["task"] == task_id for entry in queue["entries"])


def append_to_queue(store: Store, queue_id: str, task_id: str) -> None:
    queue = store.get_required("queue", queue_id)
    set_entries(store, queue, [*queue["entries"], {"task": task_id, "added": now()}])


def remove_from_queues(store: Store, task_id: str) -> bool:
    """Take the task out of the queue in which it waits; return whether there was one."""
    for queue in store.all("queue"):
        if is_queued_in(queue, task_id):
            set_entries(store, queue, [entry for entry in queue["entries"] if entry["task"] != task_id])
            return True
    return False


def is_watched(store: Store, queue_id: str) -> bool:
    """Return whether a worker listens to the queue."""
    return any(queue_id in worker["queues"] for worker in alive_workers(store))


def set_entries(store: Store, queue: Document, entries: list[Document]) -> None:
    store.put("queue", {**queue, "entries": entries, "last_update": now()})
