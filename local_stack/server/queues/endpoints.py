"""The endpoints of queues."""

from collections.abc import Callable, Iterable

from ..auth import OWNER
from ..documents import Document, by_key, present_fields
from ..errors import (
    ApiError,
    already_exists,
    check_name,
    check_not_empty,
    task_already_queued,
    task_not_in_queue,
)
from ..listing import list_documents
from ..registry import Service
from ..store import Store
from ..tags import checked_tags
from ..tasks.state import change_status
from ..workers.state import list_workers
from . import state

service = Service()


def _fields(request: Document) -> Document:
    """Return the queue's fields in the request, once their values are checked."""
    fields = {**present_fields(("name", "display_name"), request), **checked_tags(request)}
    if "name" in fields:
        fields["name"] = check_name("queue", fields["name"])
    if "metadata" in request:
        fields["metadata"] = by_key(request["metadata"])
    return fields


@service.endpoint("queues.create", "name", display_name=str)
def create_queue(store: Store, request: Document) -> Document:
    fields = _fields(request)
    if state.find_queue(store, fields["name"]):
        raise already_exists("queue", fields["name"])
    return {"id": state.find_or_create_queue(store, **fields)["id"]}


@service.endpoint("queues.get_by_id", "queue")
def get_queue_by_id(store: Store, request: Document) -> Document:
    return {"queue": _shortened(store.get_required("queue", request["queue"]), request)}


@service.endpoint("queues.get_all")
def get_all_queues(store: Store, request: Document) -> Document:
    answer = list_documents(store, "queue", request)
    return {**answer, "queues": [_shortened(queue, request) for queue in answer["queues"]]}


@service.endpoint("queues.get_all_ex")
def get_all_queues_joined(store: Store, request: Document) -> Document:
    """List whole queues, with the names of the tasks that wait in them and the workers that listen."""
    everything = {**request, "only_fields": ["*", "entries.task.name"]}
    workers = list_workers(store, {})
    answer = list_documents(store, "queue", everything, join=True)
    queues = [
        {**_shortened(queue, request), "workers": [_listener(w) for w in workers if _listens_to(w, queue)]}
        for queue in answer["queues"]
    ]
    return {**answer, "queues": queues}


def _listens_to(worker: Document, queue: Document) -> bool:
    return any(listened["id"] == queue["id"] for listened in worker["queues"])


def _listener(worker: Document) -> Document:
    task = worker.get("task")
    return {
        "name": worker["id"],
        "ip": worker["ip"],
        "key": worker["key"],
        "task": {"id": task["id"], "name": task["name"]} if task else None,
    }


def _shortened(queue: Document, request: Document) -> Document:
    most = request.get("max_task_entries")
    if not most or "entries" not in queue:
        return queue
    return {**queue, "entries": queue["entries"][:most]}


@service.endpoint("queues.get_default")
def get_default_queue(store: Store, request: Document) -> Document:
    return present_fields(("id", "name"), state.default_queue(store))


@service.endpoint("queues.update", "queue", display_name=str)
def update_queue(store: Store, request: Document) -> Document:
    queue = store.get_required("queue", request["queue"])
    fields = _fields(request)
    other = state.find_queue(store, str(fields.get("name", queue["name"])))
    if other and other["id"] != queue["id"]:
        raise already_exists("queue", fields["name"])
    store.put("queue", {**queue, **fields})
    return {"updated": int(bool(fields)), "fields": fields}


def _take_back(store: Store, queue: Document, task_ids: Iterable[str], reason: str) -> list[str]:
    """Give the tasks that were enqueued here the state that they had before; return their ids.

    Public ones stay as they are.
    """
    taken = []
    for task_id in task_ids:
        task = store.get("task", task_id)
        if task and task["execution"].get("queue") == queue["id"] and not store.is_public("task", task_id):
            task = store.edit("task", task_id)
            del task["execution"]["queue"]
            words = {"force": True, "status_reason": reason}
            change_status(store, task, task.get("enqueue_status") or "created", words)
            taken.append(task_id)
    return taken


def _waiting(queue: Document) -> list[str]:
    return [entry["task"] for entry in queue["entries"]]


@service.endpoint("queues.delete", "queue")
def delete_queue(store: Store, request: Document) -> Document:
    queue = store.get_required("queue", request["queue"])
    if queue["entries"] and not request.get("force"):
        raise ApiError(400, 702, f"Queue is not empty: {queue['name']}; use force=true to delete it")
    _take_back(store, queue, _waiting(queue), f"Queue {queue['name']} was deleted")
    store.delete("queue", queue["id"])
    return {"deleted": 1}


@service.endpoint("queues.clear_queue", "queue")
def clear_queue(store: Store, request: Document) -> Document:
    queue = store.get_required("queue", request["queue"])
    taken = _take_back(store, queue, _waiting(queue), f"Queue {queue['name']} was cleared")
    state.set_entries(store, queue, [])
    return {"removed_tasks": taken}


@service.endpoint("queues.get_next_task", "queue")
def get_next_task(store: Store, request: Document) -> Document:
    """Take the first task out of the queue, if need be only a certain one.

    Public ones wait until they are private: no agent could start them. The answer of a queue without such a
    task is an empty object.
    """
    queue = store.get_required("queue", request["queue"])
    entry = next((entry for entry in queue["entries"] if not store.is_public("task", entry["task"])), None)
    if not entry or request.get("task") not in (None, entry["task"]):
        return {}
    state.set_entries(store, queue, [other for other in queue["entries"] if other is not entry])
    task = store.get("task", entry["task"])
    if task and task["status"] == "stopped":  # by the agent of an earlier run, after it was enqueued again
        store.put("task", {**task, "status": "queued"})
    return {"entry": entry, **({"task_info": OWNER} if task and request.get("get_task_info") else {})}


@service.endpoint("queues.peek_task", "queue")
def peek_task(store: Store, request: Document) -> Document:
    entries = store.get_required("queue", request["queue"])["entries"]
    return {"task": entries[0]["task"] if entries else None}


@service.endpoint("queues.get_num_entries", "queue")
def get_num_queue_entries(store: Store, request: Document) -> Document:
    return {"num": len(store.get_required("queue", request["queue"])["entries"])}


@service.endpoint("queues.add_task", "queue", "task", update_execution_queue=bool)
def add_task_to_queue(store: Store, request: Document) -> Document:
    queue = store.get_required("queue", request["queue"])
    task = store.get_required("task", request["task"])
    if state.is_queued_in(queue, task["id"]):
        raise task_already_queued(task["id"], queue["name"])
    state.append_to_queue(store, queue["id"], task["id"])
    if request.get("update_execution_queue", True):
        store.put("task", {**task, "execution": {**task["execution"], "queue": queue["id"]}})
    return {"added": 1}


@service.endpoint("queues.remove_task", "queue", "task", update_task_status=bool)
def remove_task_from_queue(store: Store, request: Document) -> Document:
    queue = store.get_required("queue", request["queue"])
    if not state.is_queued_in(queue, request["task"]):
        raise task_not_in_queue(request["task"])
    state.remove_from_queue(store, queue, request["task"])
    if request.get("update_task_status"):
        _take_back(store, queue, [request["task"]], f"Task was removed from queue {queue['name']}")
    return {"removed": 1}


def _reposition(store: Store, request: Document, place: Callable[[int, int], int]) -> Document:
    """Move a task within its queue to `place(position, last position)`."""
    queue = store.get_required("queue", request["queue"])
    tasks = [entry["task"] for entry in queue["entries"]]
    if request["task"] not in tasks:
        raise task_not_in_queue(request["task"])
    position = tasks.index(request["task"])
    entries = list(queue["entries"])
    entry = entries.pop(position)
    position = max(0, min(len(entries), place(position, len(entries))))
    entries.insert(position, entry)
    state.set_entries(store, queue, entries)
    return {"position": position}


@service.endpoint("queues.move_task_to_front", "queue", "task")
def move_task_to_front(store: Store, request: Document) -> Document:
    return _reposition(store, request, lambda position, last: 0)


@service.endpoint("queues.move_task_to_back", "queue", "task")
def move_task_to_back(store: Store, request: Document) -> Document:
    return _reposition(store, request, lambda position, last: last)


@service.endpoint("queues.move_task_forward", "queue", "task", count=int)
def move_task_forward(store: Store, request: Document) -> Document:
    return _reposition(store, request, lambda position, last: position - request.get("count", 1))


@service.endpoint("queues.move_task_backward", "queue", "task", count=int)
def move_task_backward(store: Store, request: Document) -> Document:
    return _reposition(store, request, lambda position, last: position + request.get("count", 1))


@service.endpoint("queues.add_or_update_metadata", "queue", "metadata")
def add_or_update_queue_metadata(store: Store, request: Document) -> Document:
    check_not_empty(request, "metadata")
    queue = store.get_required("queue", request["queue"])
    held = {} if request.get("replace_metadata") else queue["metadata"]
    store.put("queue", {**queue, "metadata": {**held, **by_key(request["metadata"])}})
    return {"updated": 1}


@service.endpoint("queues.delete_metadata", "queue", "keys")
def delete_queue_metadata(store: Store, request: Document) -> Document:
    check_not_empty(request, "keys")
    queue = store.get_required("queue", request["queue"])
    kept = {key: item for key, item in queue["metadata"].items() if key not in request["keys"]}
    store.put("queue", {**queue, "metadata": kept})
    return {"updated": 1}
