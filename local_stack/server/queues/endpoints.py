"""Queues of tasks that wait for an agent."""

from ..auth import COMPANY, USER
from ..errors import ApiError, already_exists, check_name, invalid_queue_id, invalid_task_id
from ..models.endpoints import by_key
from ..query import next_scroll, search
from ..registry import endpoint
from ..store import Document, Store, new_id, now
from ..workers.endpoints import alive_workers

FIELDS = {"id", "name", "user", "company", "created", "tags", "system_tags", "entries", "last_update"}


def required_queue(store: Store, queue_id: object) -> Document:
    queue = store.get("queue", queue_id)
    if queue is None:
        raise invalid_queue_id(queue_id)
    return queue


def find_by_name(store: Store, name: str) -> Document | None:
    return next((queue for queue in store.all("queue") if queue["name"] == name), None)


def get_or_create(store: Store, name: str, **fields) -> Document:
    existing = find_by_name(store, name)
    if existing:
        return existing
    check_name("queue", name)
    created = now()
    queue = {
        "id": new_id(),
        "name": name,
        "user": USER["id"],
        "company": COMPANY["id"],
        "created": created,
        "last_update": created,
        "tags": [],
        "system_tags": [],
        "entries": [],
        "metadata": {},
        **{key: value for key, value in fields.items() if value is not None},
    }
    store.put("queue", queue)
    return queue


def holds(queue: Document, task_id: str) -> bool:
    return any(entry["task"] == task_id for entry in queue["entries"])


def add(store: Store, queue_id: str, task_id: str) -> None:
    queue = required_queue(store, queue_id)
    _set_entries(store, queue, [*queue["entries"], {"task": task_id, "added": now()}])


def take_out(store: Store, task_id: str) -> bool:
    """Remove the task from whichever queue holds it; whether one did."""
    for queue in store.all("queue"):
        if holds(queue, task_id):
            _set_entries(store, queue, [entry for entry in queue["entries"] if entry["task"] != task_id])
            return True
    return False


def is_watched(store: Store, queue_id: str) -> bool:
    return any(queue_id in worker["queues"] for worker in alive_workers(store))


def is_run_by_a_worker(store: Store, task_id: str) -> bool:
    return any(worker.get("task") == task_id for worker in alive_workers(store))


def _set_entries(store: Store, queue: Document, entries: list[dict]) -> None:
    store.put("queue", {**queue, "entries": entries, "last_update": now()})


@endpoint("queues.create", "name")
def create(store: Store, request: dict) -> dict:
    if find_by_name(store, request["name"]):
        raise already_exists("queue", request["name"])
    fields = {key: request.get(key) for key in ("tags", "system_tags")}
    return {"id": get_or_create(store, request["name"], **fields)["id"]}


@endpoint("queues.get_by_id", "queue")
def get_by_id(store: Store, request: dict) -> dict:
    return {"queue": _shortened(required_queue(store, request["queue"]), request)}


@endpoint("queues.get_all")
def get_all(store: Store, request: dict) -> dict:
    found = search(store.all("queue"), request, FIELDS)
    answer = [_shortened(queue, request) for queue in found]
    return {"queues": answer, "scroll_id": next_scroll(request, len(found))}


def _shortened(queue: Document, request: dict) -> Document:
    most = request.get("max_task_entries")
    if most is None or "entries" not in queue:
        return queue
    return {**queue, "entries": queue["entries"][:most]}


@endpoint("queues.get_default")
def get_default(store: Store, request: dict) -> dict:
    for queue in store.all("queue"):
        if "default" in queue["system_tags"]:
            return {"id": queue["id"], "name": queue["name"]}
    raise ApiError(400, 707, "No default queue: no queue is tagged as the default one")


@endpoint("queues.update", "queue")
def update(store: Store, request: dict) -> dict:
    queue = required_queue(store, request["queue"])
    fields = {key: request[key] for key in ("name", "tags", "system_tags") if key in request}
    check_name("queue", fields.get("name", queue["name"]))
    other = find_by_name(store, fields.get("name", queue["name"]))
    if other and other["id"] != queue["id"]:
        raise already_exists("queue", fields["name"])
    store.put("queue", {**queue, **fields, "last_update": now()})
    return {"updated": 1, "fields": fields}


@endpoint("queues.delete", "queue")
def delete(store: Store, request: dict) -> dict:
    queue = required_queue(store, request["queue"])
    if queue["entries"] and not request.get("force"):
        raise ApiError(400, 702, f"Queue is not empty: {queue['name']}; use force=true to delete it")
    store.delete("queue", queue["id"])
    return {"deleted": 1}


@endpoint("queues.get_next_task", "queue")
def get_next_task(store: Store, request: dict) -> dict:
    """Take the first task out of the queue; an empty queue answers nothing at all."""
    queue = required_queue(store, request["queue"])
    if not queue["entries"]:
        return {}
    entry, *rest = queue["entries"]
    _set_entries(store, queue, rest)
    info = (
        {"task_info": {"company": COMPANY["id"], "user": USER["id"]}} if request.get("get_task_info") else {}
    )
    return {"entry": entry, **info}


@endpoint("queues.peek_task", "queue")
def peek_task(store: Store, request: dict) -> dict:
    entries = required_queue(store, request["queue"])["entries"]
    return {"task": entries[0]["task"]} if entries else {}


@endpoint("queues.get_num_entries", "queue")
def get_num_entries(store: Store, request: dict) -> dict:
    return {"num": len(required_queue(store, request["queue"])["entries"])}


@endpoint("queues.add_task", "queue", "task")
def add_task(store: Store, request: dict) -> dict:
    queue = required_queue(store, request["queue"])
    if store.get("task", request["task"]) is None:
        raise invalid_task_id(request["task"])
    if holds(queue, request["task"]):
        raise ApiError(400, 706, f"Task already queued: {request['task']} in {queue['name']}")
    take_out(store, request["task"])
    add(store, queue["id"], request["task"])
    return {"added": 1}


@endpoint("queues.remove_task", "queue", "task")
def remove_task(store: Store, request: dict) -> dict:
    queue = required_queue(store, request["queue"])
    if not holds(queue, request["task"]):
        raise ApiError(400, 703, f"Invalid queue id or task not in queue: {request['task']}")
    take_out(store, request["task"])
    return {"removed": 1}


def _reposition(store: Store, request: dict, place) -> dict:
    """Move a task within its queue to `place(position, last position)`."""
    queue = required_queue(store, request["queue"])
    tasks = [entry["task"] for entry in queue["entries"]]
    if request["task"] not in tasks:
        raise ApiError(400, 703, f"Invalid queue id or task not in queue: {request['task']}")
    position = tasks.index(request["task"])
    entries = list(queue["entries"])
    entry = entries.pop(position)
    position = max(0, min(len(entries), place(position, len(entries))))
    entries.insert(position, entry)
    _set_entries(store, queue, entries)
    return {"position": position}


@endpoint("queues.move_task_to_front", "queue", "task")
def move_task_to_front(store: Store, request: dict) -> dict:
    return _reposition(store, request, lambda position, last: 0)


@endpoint("queues.move_task_to_back", "queue", "task")
def move_task_to_back(store: Store, request: dict) -> dict:
    return _reposition(store, request, lambda position, last: last)


@endpoint("queues.move_task_forward", "queue", "task")
def move_task_forward(store: Store, request: dict) -> dict:
    return _reposition(store, request, lambda position, last: position - (request.get("count") or 1))


@endpoint("queues.move_task_backward", "queue", "task")
def move_task_backward(store: Store, request: dict) -> dict:
    return _reposition(store, request, lambda position, last: position + (request.get("count") or 1))


@endpoint("queues.add_or_update_metadata", "queue", "metadata")
def add_or_update_metadata(store: Store, request: dict) -> dict:
    queue = required_queue(store, request["queue"])
    held = {} if request.get("replace_metadata") else queue["metadata"]
    store.put("queue", {**queue, "metadata": {**held, **by_key(request["metadata"])}})
    return {"updated": 1}


@endpoint("queues.delete_metadata", "queue", "keys")
def delete_metadata(store: Store, request: dict) -> dict:
    queue = required_queue(store, request["queue"])
    kept = {key: item for key, item in queue["metadata"].items() if key not in request["keys"]}
    store.put("queue", {**queue, "metadata": kept})
    return {"updated": 1}
