"""Queues: how they are found and made, and the tasks that wait in them."""

from functools import partial
from operator import itemgetter
from typing import Any

from ..documents import Document
from ..errors import ApiError, check_name
from ..store import Store, new_document, now
from ..workers.state import alive_workers
from .metrics import record_queue

TASK_OF = itemgetter("task")  # several times faster than a loop: queues may be long


def find_queue(store: Store, name: str) -> Document | None:
    return next((queue for queue in store.all("queue") if queue["name"] == name), None)


def find_or_create_queue(store: Store, name: str, **fields: Any) -> Document:
    existing = find_queue(store, name)
    if existing:
        return existing
    name = check_name("queue", name)
    queue = new_document(**{"metadata": {}, **fields, "name": name, "entries": []})
    store.put("queue", queue)
    return queue


def is_queued_in(queue: Document, task_id: str) -> bool:
    return task_id in map(TASK_OF, queue["entries"])


def append_to_queue(store: Store, queue_id: str, task_id: str) -> None:
    queue = store.get_required("queue", queue_id)
    set_entries(store, queue, [*queue["entries"], {"task": task_id, "added": now()}])


def default_queue(store: Store) -> Document:
    """Return the queue that is tagged as the default one."""
    tagged = [queue for queue in store.all("queue") if "default" in queue["system_tags"]]
    if not tagged:
        raise ApiError(400, 707, "No default queue: no queue is tagged as the default one")
    if len(tagged) > 1:
        names = ", ".join(queue["name"] for queue in tagged)
        raise ApiError(400, 708, f"Multiple default queues: {names} are all tagged as the default one")
    return tagged[0]


def remove_from_queues(store: Store, task_id: str) -> int:
    """Take the task out of the queues in which it waits; return from how many."""
    return sum(remove_from_queue(store, queue, task_id) for queue in store.all("queue"))


def queues_of(store: Store, task_id: str) -> list[Document]:
    """Return the queues in which the task waits."""
    return [queue for queue in store.all("queue") if is_queued_in(queue, task_id)]


def remove_from_queue(store: Store, queue: Document, task_id: str) -> bool:
    """Take the task out of the queue; return whether it waited there."""
    entries = list(queue["entries"])
    tasks = list(map(TASK_OF, entries))
    try:
        del entries[tasks.index(task_id)]
    except ValueError:
        return False
    set_entries(store, queue, entries)
    return True


def is_watched(store: Store, queue_id: str) -> bool:
    """Return whether a worker listens to the queue."""
    return any(queue_id in worker["queues"] for worker in alive_workers(store))


def set_entries(store: Store, queue: Document, entries: list[Document]) -> None:
    changed = {**queue, "entries": entries, "last_update": now()}
    store.put_late("queue", changed, partial(record_queue, store))
