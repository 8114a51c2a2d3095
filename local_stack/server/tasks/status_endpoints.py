"""The endpoints that move tasks from one state to another, to queues, and out of the server."""

from functools import partial

from ..documents import Document, set_archived
from ..errors import ApiError, invalid_task_status, task_already_queued, validation_error
from ..events.state import delete_events
from ..queues.state import append_to_queue, find_or_create_queue, is_queued_in, is_watched, remove_from_queues
from ..registry import Handler, Service, for_each_id
from ..store import Store, now
from ..workers.state import is_run_by_worker
from . import state

RUN_FIELDS = ("started", "completed", "published", "active_duration", "last_worker", "last_worker_report")

service = Service()


@service.endpoint("tasks.started", "task")
def task_started(store: Store, request: Document) -> Document:
    task = store.edit("task", request["task"])
    first = {} if task["status"] == "in_progress" and task.get("started") else {"started": now()}
    task.pop("completed", None)
    return {**state.change_status(store, task, "in_progress", request, **first), "started": 1}


@service.endpoint("tasks.stopped", "task")
def task_stopped(store: Store, request: Document) -> Document:
    return state.change_status(
        store, store.edit("task", request["task"]), "stopped", request, completed=now()
    )


@service.endpoint("tasks.failed", "task")
def task_failed(store: Store, request: Document) -> Document:
    return state.change_status(store, store.edit("task", request["task"]), "failed", request, completed=now())


@service.endpoint("tasks.close", "task")
def close_task(store: Store, request: Document) -> Document:
    return state.change_status(store, store.edit("task", request["task"]), "closed", request)


@service.endpoint("tasks.completed", "task")
def task_completed(store: Store, request: Document) -> Document:
    task = store.edit("task", request["task"])
    answer = state.change_status(store, task, "completed", request, completed=now())
    if request.get("publish"):
        state.publish_task_with_models(store, task["id"], {"force": request.get("force")})
        answer["published"] = 1
    return answer


@service.endpoint("tasks.stop", "task")
def stop_task(store: Store, request: Document) -> Document:
    """Ask a running task's worker to end it. A task that no worker runs is stopped at once."""
    task = store.edit("task", request["task"])
    if task["status"] == "queued":
        remove_from_queues(store, task["id"])
    elif task["status"] == "in_progress" and is_run_by_worker(store, task["id"]):
        # The agent and the SDK look for this word and then report the task stopped themselves.
        stopping = {"status_message": "stopping", "status_reason": request.get("status_reason") or ""}
        task.update(stopping)
        state.save_task(store, task)
        return {"updated": 1, "fields": stopping}
    return state.change_status(store, task, "stopped", request, completed=now())


@service.endpoint("tasks.publish", "task")
def publish_task(store: Store, request: Document) -> Document:
    answer = state.publish_task_with_models(store, request["task"], request)
    return {**answer, "committed_versions_results": []}


@service.endpoint("tasks.reset", "task")
def reset_task(store: Store, request: Document) -> Document:
    """Make the task a draft again: what its run made is deleted, its inputs and code stay."""
    task = store.edit("task", request["task"])
    if task["status"] == "published" and not request.get("force"):
        raise invalid_task_status(f"task {task['id']} is published")
    dequeued = remove_from_queues(store, task["id"])
    urls = state.file_urls(store, task)
    deleted_models = state.delete_draft_models(store, task["id"])
    for field in RUN_FIELDS:
        task.pop(field, None)
    task["execution"].pop("queue", None)
    task["execution"]["artifacts"] = [a for a in task["execution"]["artifacts"] if a.get("mode") == "input"]
    task["models"]["output"] = []
    if request.get("clear_all"):
        task.update(hyperparams={}, configuration={}, execution={"artifacts": []})
        task["script"] = {"binary": "python", "repository": "", "requirements": {}}
    delete_events(store, task["id"])
    answer = state.change_status(
        store, task, "created", {**request, "force": True}, last_iteration=0, last_metrics={}, runtime={}
    )
    # The deleted counts of events and frames are per index in ClearML; one table holds them here.
    return {**answer, "deleted_models": deleted_models, "dequeued": {"removed": int(dequeued)}, "urls": urls}


@service.endpoint("tasks.delete", "task")
def delete_task(store: Store, request: Document) -> Document:
    task = store.get_required("task", request["task"])
    if not request.get("force"):
        if task["status"] != "created" and "archived" not in task["system_tags"]:
            raise _cannot_be_deleted(task, f"is {task['status']} and not archived")
        if any(other.get("parent") == task["id"] for other in store.all("task")):
            raise _cannot_be_deleted(task, "has children")
    return state.remove_task(store, task["id"], request.get("delete_output_models") is not False)


def _cannot_be_deleted(task: Document, reason: str) -> ApiError:
    return ApiError(400, 123, f"Task cannot be deleted: {task['id']} {reason}; use force=true")


def _set_archived(store: Store, task_id: str, archived: bool) -> Document:
    state.save_task(store, set_archived(store.get_required("task", task_id), archived))
    return {"archived" if archived else "unarchived": True}


@service.endpoint("tasks.archive", "tasks")
def archive_tasks(store: Store, request: Document) -> Document:
    for task_id in request["tasks"]:
        _set_archived(store, task_id, True)
    return {"archived": len(request["tasks"])}


@service.endpoint("tasks.unarchive", "tasks")
def unarchive_tasks(store: Store, request: Document) -> Document:
    for task_id in request["tasks"]:
        _set_archived(store, task_id, False)
    return {"unarchived": len(request["tasks"])}


@service.endpoint("tasks.ping", "task")
def ping_task(store: Store, request: Document) -> Document:
    store.get_required("task", request["task"])
    store.patch("task", request["task"], last_update=now())
    return {}


@service.endpoint("tasks.enqueue", "task")
def enqueue_task(store: Store, request: Document) -> Document:
    task = store.edit("task", request["task"])
    if request.get("queue"):
        queue = store.get_required("queue", request["queue"])
    elif request.get("queue_name"):
        queue = find_or_create_queue(store, request["queue_name"])
    else:
        raise validation_error("either queue or queue_name should be given")
    if task["status"] == "queued" and is_queued_in(queue, task["id"]):
        raise task_already_queued(task["id"], queue["name"])
    remove_from_queues(store, task["id"])
    task["system_tags"] = [tag for tag in task["system_tags"] if tag != "development"]
    task["execution"]["queue"] = queue["id"]
    answer = state.change_status(store, task, "queued", request)
    append_to_queue(store, queue["id"], task["id"])
    watched = {}
    if request.get("verify_watched_queue"):
        watched["queue_watched"] = is_watched(store, queue["id"])
    return {**answer, "queued": 1, **watched}


@service.endpoint("tasks.dequeue", "task", new_status=set(state.TRANSITIONS))
def dequeue_task(store: Store, request: Document) -> Document:
    task = store.edit("task", request["task"])
    removed = remove_from_queues(store, task["id"])
    if task["status"] != "queued":
        return {"dequeued": int(removed), "updated": 0, "fields": {}}
    status = request.get("new_status", "created")
    if status == "created":  # a running task keeps the queue that it came from
        task["execution"].pop("queue", None)
    return {**state.change_status(store, task, status, request), "dequeued": int(removed)}


# Calls for many tasks: the endpoint of one task, the fields of its answer that are kept, and constant ones.
MANY: dict[str, tuple[Handler, tuple[str, ...], Document]] = {
    "tasks.delete_many": (
        delete_task,
        ("deleted", "deleted_models", "updated_children", "updated_models", "urls"),
        {},
    ),
    "tasks.reset_many": (reset_task, ("updated", "fields", "deleted_models", "urls"), {}),
    "tasks.publish_many": (publish_task, ("updated", "fields"), {}),
    "tasks.stop_many": (stop_task, ("updated", "fields"), {}),
    "tasks.dequeue_many": (dequeue_task, ("dequeued", "updated", "fields"), {}),
    "tasks.enqueue_many": (enqueue_task, ("updated", "fields"), {"queued": True}),
}


def _many(name: str, store: Store, request: Document) -> Document:
    single, keys, constants = MANY[name]

    def act(task_id: str) -> Document:
        answer = single(store, {**request, "task": task_id})
        kept = {key: answer[key] for key in keys if key in answer}
        if "dequeued" in kept:
            kept["dequeued"] = bool(kept["dequeued"])
        return {**kept, **constants}

    return for_each_id(store, request, act)


for _name in MANY:
    service.endpoint(_name, "ids")(partial(_many, _name))


@service.endpoint("tasks.archive_many", "ids")
def archive_many_tasks(store: Store, request: Document) -> Document:
    return for_each_id(store, request, lambda task_id: _set_archived(store, task_id, True))


@service.endpoint("tasks.unarchive_many", "ids")
def unarchive_many_tasks(store: Store, request: Document) -> Document:
    return for_each_id(store, request, lambda task_id: _set_archived(store, task_id, False))
