"""The endpoints of queues."""

from collections.abc import Callable

from ..auth import OWNER
from ..documents import Document, by_key, present_fields
from ..errors import ApiError, already_exists, check_name, task_already_queued, task_not_in_queue
from ..listing import list_documents
from ..registry import Service
from ..store import Store, now
from ..workers.state import list_workers
from . import state

service = Service()


@service.endpoint("queues.create", "name")
def create_queue(store: Store, request: Document) -> Document:
    if state.find_queue(store, request["name"]):
        raise already_exists("queue", request["name"])
    fields = {key: request.get(key) for key in ("tags", "system_tags")}
    return {"id": state.find_or_create_queue(store, request["name"], **fields)["id"]}


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
    if most is None or "entries" not in queue:
        return queue
    return {**queue, "entries": queue["entries"][:most]}


@service.endpoint("queues.get_default")
def get_default_queue(store: Store, request: Document) -> Document:
    for queue in store.all("queue"):
        if "default" in queue["system_tags"]:
            return {"id": queue["id"], "name": queue["name"]}
    raise ApiError(400, 707, "No default queue: no queue is tagged as the default one")


@service.endpoint("queues.update", "queue")
def update_queue(store: Store, request: Document) -> Document:
    queue = store.get_required("queue", request["queue"])
    fields = present_fields(("name", "tags", "system_tags"), request)
    name = str(fields.get("name", queue["name"]))
    check_name("queue", name)
    other = state.find_queue(store, name)
    if other and other["id"] != queue["id"]:
        raise already_exists("queue", name)
    store.put("queue", {**queue, **fields, "last_update": now()})
    return {"updated": 1, "fields": fields}


@service.endpoint("queues.delete", "queue")
def delete_queue(store: Store, request: Document) -> Document:
    queue = store.get_required("queue", request["queue"])
    if queue["entries"] and not request.get("force"):
        raise ApiError(400, 702, f"Queue is not empty: {queue['name']}; use force=true to delete it")
    store.delete("queue", queue["id"])
    return {"deleted": 1}


@service.endpoint("queues.get_next_task", "queue")
def get_next_task(store: Store, request: Document) -> Document:
    """Take the first task out of the queue. The answer of an empty queue is an empty object."""
    queue = store.get_required("queue", request["queue"])
    if not queue["entries"]:
        return {}
    entry, *rest = queue["entries"]
    state.set_entries(store, queue, rest)
    return {"entry": entry, **({"task_info": OWNER} if request.get("get_task_info") else {})}


@service.endpoint("queues.peek_task", "queue")
def peek_task(store: Store, request: Document) -> Document:
    entries = store.get_required("queue", request["queue"])["entries"]
    return {"task": entries[0]["task"]} if entries else {}


@service.endpoint("queues.get_num_entries", "queue")
def get_num_queue_entries(store: Store, request: Document) -> Document:
    return {"num": len(store.get_required("queue", request["queue"])["entries"])}


@service.endpoint("queues.add_task", "queue", "task")
def add_task_to_queue(store: Store, request: Document) -> Document:
    queue = store.get_required("queue", request["queue"])
    store.get_required("task", request["task"])
    if state.is_queued_in(queue, request["task"]):
        raise task_already_queued(request["task"], queue["name"])
    state.remove_from_queues(store, request["task"])
    state.append_to_queue(store, queue["id"], request["task"])
    return {"added": 1}


@service.endpoint("queues.remove_task", "queue", "task")
def remove_task_from_queue(store: Store, request: Document) -> Document:
    queue = store.get_required("queue", request["queue"])
    if not state.is_queued_in(queue, request["task"]):
        raise task_not_in_queue(request["task"])
    state.remove_from_queues(store, request["task"])
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


@service.endpoint("queues.move_task_forward", "queue", "task")
def move_task_forward(store: Store, request: Document) -> Document:
    return _reposition(store, request, lambda position, last: position - (request.get("count") or 1))


@service.endpoint("queues.move_task_backward", "queue", "task")
def move_task_backward(store: Store, request: Document) -> Document:
    return _reposition(store, request, lambda position, last: position + (request.get("count") or 1))


@service.endpoint("queues.add_or_update_metadata", "queue", "metadata")
def add_or_update_queue_metadata(store: Store, request: Document) -> Document:
    queue = store.get_required("queue", request["queue"])
    held = {} if request.get("replace_metadata") else queue["metadata"]
    store.put("queue", {**queue, "metadata": {**held, **by_key(request["metadata"])}})
    return {"updated": 1}


@service.endpoint("queues.delete_metadata", "queue", "keys")
def delete_queue_metadata(store: Store, request: Document) -> Document:
    queue = store.get_required("queue", request["queue"])
    kept = {key: item for key, item in queue["metadata"].items() if key not in request["keys"]}
    store.put("queue", {**queue, "metadata": kept})
    return {"updated": 1}
