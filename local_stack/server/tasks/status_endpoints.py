"""The endpoints that move tasks from one state to another, to queues, and out of the server."""

from functools import partial

from ..auth import USER
from ..documents import Document, present_fields, set_archived
from ..errors import (
    check_not_empty,
    invalid_task_status,
    task_already_queued,
    task_cannot_be_deleted,
    validation_error,
)
from ..queues.state import (
    append_to_queue,
    default_queue,
    find_or_create_queue,
    is_watched,
    queues_of,
    remove_from_queue,
    remove_from_queues,
)
from ..registry import Handler, Service, for_each_id
from ..store import Store, now
from ..workers.state import is_run_by_worker
from . import state

RUN_FIELDS = (
    "started", "completed", "published", "active_duration", "last_worker", "last_worker_report",
    "enqueue_status",
)  # fmt: skip

service = Service()


@service.endpoint("tasks.started", "task")
def task_started(store: Store, request: Document) -> Document:
    task = store.edit("task", request["task"])
    first = {} if task.get("started") else {"started": now()}
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
    answer = {**state.change_status(store, task, "completed", request, completed=now()), "published": 0}
    if request.get("publish"):
        published = state.publish_task(store, task["id"], request, with_model=True)
        answer["published"] = published["updated"]
        answer["fields"]["status"] = published["fields"]["status"]
    return answer


@service.endpoint("tasks.stop", "task", include_pipeline_steps=bool)
def stop_task(store: Store, request: Document) -> Document:
    """Ask a running task's worker to end it. A task that no worker runs is stopped at once."""
    task = store.edit("task", request["task"])
    if request.get("include_pipeline_steps"):
        for step in state.pipeline_steps(store, task):
            forced = {**request, "force": True, "include_pipeline_steps": False}
            stop_task(store, {**forced, "task": step["id"]})
    if task["status"] == "queued":
        remove_from_queues(store, task["id"])
    elif (
        task["status"] == "in_progress"
        and state.DEVELOPMENT not in task["system_tags"]
        and is_run_by_worker(store, task["id"])
    ):
        # The agent and the SDK look for this word and then report the task stopped themselves.
        return state.change_status(store, task, task["status"], {**request, "status_message": "stopping"})
    words = {**request, "status_message": f"Stopped by {USER['name']}"}
    return state.change_status(store, task, "stopped", words, completed=now())


@service.endpoint("tasks.publish", "task")
def publish_task(store: Store, request: Document) -> Document:
    return state.publish_task(store, request["task"], request, request.get("publish_model", True))


@service.endpoint("tasks.reset", "task", return_file_urls=bool)
def reset_task(store: Store, request: Document) -> Document:
    """Make the task a draft again: what its run made is deleted, its inputs and code stay."""
    task = store.edit("task", request["task"])
    if task["status"] == "published" and not request.get("force"):
        raise invalid_task_status(f"task {task['id']} is published")
    dequeued = remove_from_queues(store, task["id"])
    cleaned = state.clean_up(store, task, request, deleting=False)
    for field in RUN_FIELDS:
        task.pop(field, None)
    task["output"].pop("error", None)
    task["execution"].pop("queue", None)
    task["execution"]["artifacts"] = [a for a in task["execution"]["artifacts"] if a.get("mode") == "input"]
    task["models"]["output"] = []
    if request.get("clear_all"):
        task["execution"] = {"artifacts": []}
        task["script"] = {"binary": "python", "repository": "", "requirements": {}}
    words = {"force": request.get("force"), "status_reason": "reset", "status_message": "reset"}
    answer = state.change_status(store, task, "created", words, last_iteration=0, last_metrics={}, runtime={})
    # The deleted counts of events and frames are per index in ClearML; one table holds them here.
    counts = {key: cleaned[key] for key in ("deleted_models", "urls")}
    return {**answer, **counts, "dequeued": {"removed": dequeued} if dequeued else {}}


@service.endpoint("tasks.delete", "task", return_file_urls=bool, include_pipeline_steps=bool)
def delete_task(store: Store, request: Document) -> Document:
    task = store.get_required("task", request["task"])
    if task["status"] != "created" and "archived" not in task["system_tags"] and not request.get("force"):
        raise task_cannot_be_deleted(task["id"], f"is {task['status']} and not archived")
    if request.get("include_pipeline_steps"):
        for step in state.pipeline_steps(store, task):
            state.remove_task(store, step["id"], {**request, "force": True})
    return state.remove_task(store, task["id"], request)


def _leave_queue(store: Store, task: Document, request: Document, status: str | None = None) -> Document:
    """Take the task out of the queues; one that waits or runs gets a status, by default its earlier one."""
    remove_from_queues(store, task["id"])
    if task["status"] not in ("queued", "in_progress"):
        return {"updated": 0, "fields": {}}
    status = status or task.get("enqueue_status") or "created"
    return state.change_status(store, task, status, {**request, "force": True})


def _set_archived(store: Store, request: Document, archived: bool) -> Document:
    task = store.edit("task", request["task"])
    for step in state.pipeline_steps(store, task) if request.get("include_pipeline_steps") else ():
        _set_archived(store, {**request, "task": step["id"], "include_pipeline_steps": False}, archived)
    if archived:
        _leave_queue(store, task, request, "stopped" if task["status"] == "in_progress" else None)
    words = {key: request.get(key) or "" for key in ("status_reason", "status_message")}
    state.save_task(store, {**set_archived(task, archived), **words}, updated=False)
    return {"archived" if archived else "unarchived": True}


archive_task, unarchive_task = partial(_set_archived, archived=True), partial(_set_archived, archived=False)


@service.endpoint("tasks.archive", "tasks", include_pipeline_steps=bool)
def archive_tasks(store: Store, request: Document) -> Document:
    check_not_empty(request, "tasks")
    ids = dict.fromkeys(request["tasks"])
    for task_id in ids:
        archive_task(store, {**request, "task": task_id})
    return {"archived": len(ids)}


@service.endpoint("tasks.unarchive", "tasks")
def unarchive_tasks(store: Store, request: Document) -> Document:
    ids = dict.fromkeys(request["tasks"])
    for task_id in ids:
        unarchive_task(store, {**request, "task": task_id})
    return {"unarchived": len(ids)}


@service.endpoint("tasks.ping", "task")
def ping_task(store: Store, request: Document) -> Document:
    """Note that the task is alive. One that is gone needs no answer: its process ends by itself."""
    task = store.get("task", request["task"])
    if task:
        seen = now()
        ran = state.run_time(task, seen) if task["status"] == "in_progress" else {}
        store.patch("task", task["id"], last_update=seen, last_change=seen, **ran)
    return {}


@service.endpoint("tasks.enqueue", "task", update_execution_queue=bool)
def enqueue_task(store: Store, request: Document) -> Document:
    task = store.edit("task", request["task"])
    keeps_queue = request.get("update_execution_queue") is False
    waits = task["status"] == "queued"
    if request.get("queue") and request.get("queue_name"):
        raise validation_error("either queue or queue_name should be given, not both")
    if keeps_queue and request.get("verify_watched_queue"):
        raise validation_error("verify_watched_queue needs update_execution_queue")
    if keeps_queue and not (waits and task["execution"].get("queue")):
        raise validation_error("only a task that is queued, and has a queue, can keep its execution queue")
    if request.get("queue"):
        queue = store.get_required("queue", request["queue"])
    elif request.get("queue_name"):
        queue = find_or_create_queue(store, request["queue_name"])
    else:
        queue = default_queue(store)
    if request.get("validate_tasks"):
        state.check_references(store, task, "project", "parent", "models")
    before = task.get("enqueue_status", task["status"]) if waits else task["status"]
    if not keeps_queue:
        task["execution"]["queue"] = queue["id"]
    answer = state.change_status(store, task, "queued", request, enqueue_status=before)
    waits_in = queues_of(store, task["id"])
    if queue in waits_in:
        raise task_already_queued(task["id"], queue["name"])
    for other in waits_in:
        remove_from_queue(store, other, task["id"])
    append_to_queue(store, queue["id"], task["id"])
    if not keeps_queue:
        answer["fields"]["execution.queue"] = queue["id"]
    watched = {}
    if request.get("verify_watched_queue"):
        watched["queue_watched"] = is_watched(store, queue["id"])
    return {**answer, "queued": 1, **watched}


@service.endpoint("tasks.dequeue", "task", new_status=set(state.TRANSITIONS))
def dequeue_task(store: Store, request: Document) -> Document:
    """Take a task out of its queue, or one that is gone out of all queues."""
    if not store.get("task", request["task"]):
        remove_from_queues(store, request["task"])
        return {"dequeued": 1, "updated": 0, "fields": {}}
    task = store.edit("task", request["task"])
    return {**_leave_queue(store, task, request, request.get("new_status")), "dequeued": 1}


UPDATED = ("updated", "fields")
CLEANED = ("deleted_models", "urls")
# Calls for many tasks: the endpoint of one task, and the fields of its answer that are kept.
MANY: dict[str, tuple[Handler, tuple[str, ...]]] = {
    "tasks.delete_many": (delete_task, ("deleted", "updated_children", "updated_models", *CLEANED)),
    "tasks.reset_many": (reset_task, (*UPDATED, *CLEANED, "dequeued")),
    "tasks.publish_many": (publish_task, UPDATED),
    "tasks.stop_many": (stop_task, UPDATED),
    "tasks.dequeue_many": (dequeue_task, (*UPDATED, "dequeued")),
    "tasks.enqueue_many": (enqueue_task, (*UPDATED, "queued")),
    "tasks.archive_many": (archive_task, ("archived",)),
    "tasks.unarchive_many": (unarchive_task, ("unarchived",)),
}
MANY_SCHEMAS: Document = {
    "return_file_urls": bool,
    "include_pipeline_steps": bool,
    "validate_tasks": bool,
    "new_status": set(state.TRANSITIONS),
}


def _many(name: str, store: Store, request: Document) -> Document:
    single, keys = MANY[name]
    check_not_empty(request, "ids")
    watched: Document = {}

    def act(task_id: str) -> Document:
        answer = single(store, {**request, "task": task_id})
        if "queue_watched" in answer:
            watched["queue_watched"] = answer["queue_watched"]
        # What is a count in the answer for one task is a yes or no in these.
        for key in answer.keys() & {"queued", "dequeued"}:
            answer[key] = bool(answer[key])
        return present_fields(keys, answer)

    return {**for_each_id(store, request, act), **watched}


for _name in MANY:
    service.endpoint(_name, "ids", **MANY_SCHEMAS)(partial(_many, _name))
