"""The life of a task: its states and the calls that move it from one to another."""

from datetime import datetime
from functools import partial

from ..errors import ApiError, invalid_task_status, validation_error
from ..events.state import delete_all, image_urls
from ..models import endpoints as models
from ..queues import endpoints as queues
from ..registry import each, endpoint
from ..store import Document, Store, now
from .endpoints import editable_task, required_task, save

# A task may always stay in the state it is in; `force` allows any change.
TRANSITIONS = {
    "created": {"queued", "in_progress", "stopped"},
    "queued": {"created", "in_progress", "stopped"},
    "in_progress": {"created", "stopped", "failed", "completed"},
    "stopped": {
        "created", "queued", "in_progress", "failed", "completed", "closed", "publishing", "published",
    },
    "closed": {"created", "stopped", "failed", "publishing", "published"},
    "failed": {"created", "queued", "in_progress", "stopped", "completed", "closed", "published"},
    "completed": {
        "created", "queued", "in_progress", "stopped", "failed", "closed", "publishing", "published",
    },
    "publishing": {"published"},
    "published": set(),
}  # fmt: skip
OF_A_RUN = ("started", "completed", "published", "active_duration", "last_worker", "last_worker_report")
ENDED = {"stopped", "failed", "completed", "closed", "published"}


def change_status(store: Store, task: Document, status: str, request: dict, **fields) -> dict:
    """Move the task to a state, or raise if it may not go there; the answer lists what was changed."""
    if status != task["status"] and not request.get("force") and status not in TRANSITIONS[task["status"]]:
        raise invalid_task_status(f"task {task['id']} is {task['status']} and cannot become {status}")
    changed = {
        "status": status,
        "status_reason": request.get("status_reason") or "",
        "status_message": request.get("status_message") or "",
        "status_changed": now(),
        **fields,
    }
    task.update(changed)
    if status in ENDED and task.get("started") and task.get("completed"):
        ran = datetime.fromisoformat(task["completed"]) - datetime.fromisoformat(task["started"])
        task["active_duration"] = max(0, round(ran.total_seconds()))
    save(store, task)
    return {"updated": 1, "fields": {**changed, "last_update": task["last_update"]}}


@endpoint("tasks.started", "task")
def started(store: Store, request: dict) -> dict:
    task = editable_task(store, request["task"])
    first = {} if task["status"] == "in_progress" and task.get("started") else {"started": now()}
    task.pop("completed", None)
    return {**change_status(store, task, "in_progress", request, **first), "started": 1}


@endpoint("tasks.stopped", "task")
def stopped(store: Store, request: dict) -> dict:
    return change_status(store, editable_task(store, request["task"]), "stopped", request, completed=now())


@endpoint("tasks.failed", "task")
def failed(store: Store, request: dict) -> dict:
    return change_status(store, editable_task(store, request["task"]), "failed", request, completed=now())


@endpoint("tasks.close", "task")
def close(store: Store, request: dict) -> dict:
    return change_status(store, editable_task(store, request["task"]), "closed", request)


@endpoint("tasks.completed", "task")
def completed(store: Store, request: dict) -> dict:
    task = editable_task(store, request["task"])
    answer = change_status(store, task, "completed", request, completed=now())
    if request.get("publish"):
        publish(store, {"task": task["id"], "force": request.get("force")})
        answer["published"] = 1
    return answer


@endpoint("tasks.stop", "task")
def stop(store: Store, request: dict) -> dict:
    """Ask a running task's worker to end it; a task that nobody runs is stopped at once."""
    task = editable_task(store, request["task"])
    if task["status"] == "queued":
        queues.take_out(store, task["id"])
    elif task["status"] == "in_progress" and queues.is_run_by_a_worker(store, task["id"]):
        # The agent and the SDK look for this word and then report the task stopped themselves.
        stopping = {"status_message": "stopping", "status_reason": request.get("status_reason") or ""}
        task.update(stopping)
        save(store, task)
        return {"updated": 1, "fields": stopping}
    return change_status(store, task, "stopped", request, completed=now())


@endpoint("tasks.publish", "task")
def publish(store: Store, request: dict) -> dict:
    task = editable_task(store, request["task"])
    answer = change_status(store, task, "published", request, published=now())
    if request.get("publish_model") is not False:
        for item in task["models"]["output"]:
            model = store.get("model", item.get("model"))
            if model and not model["ready"]:
                models.publish(store, model["id"])
    return {**answer, "committed_versions_results": []}


@endpoint("tasks.reset", "task")
def reset(store: Store, request: dict) -> dict:
    """Back to a draft: output artifacts, events and unpublished output models go; inputs and code stay."""
    task = editable_task(store, request["task"])
    if task["status"] == "published" and not request.get("force"):
        raise invalid_task_status(f"task {task['id']} is published")
    dequeued = queues.take_out(store, task["id"])
    urls = _urls(store, task)
    deleted_models = _delete_draft_models(store, task)
    for field in OF_A_RUN:
        task.pop(field, None)
    task["execution"].pop("queue", None)
    task["execution"]["artifacts"] = [a for a in task["execution"]["artifacts"] if a.get("mode") == "input"]
    task["models"]["output"] = []
    if request.get("clear_all"):
        task.update(hyperparams={}, configuration={}, execution={"artifacts": []})
        task["script"] = {"binary": "python", "repository": "", "requirements": {}}
    delete_all(store, task["id"])
    answer = change_status(
        store, task, "created", {**request, "force": True}, last_iteration=0, last_metrics={}, runtime={}
    )
    # The deleted counts of events and frames are per index in ClearML; one table holds them here.
    return {**answer, "deleted_models": deleted_models, "dequeued": {"removed": int(dequeued)}, "urls": urls}


@endpoint("tasks.delete", "task")
def delete(store: Store, request: dict) -> dict:
    task = required_task(store, request["task"])
    if not request.get("force"):
        if task["status"] != "created" and "archived" not in task["system_tags"]:
            raise _cannot_be_deleted(task, f"is {task['status']} and not archived")
        if any(other.get("parent") == task["id"] for other in store.all("task")):
            raise _cannot_be_deleted(task, "has children")
    urls = _urls(store, task)
    queues.take_out(store, task["id"])
    deleted_models = 0
    if request.get("delete_output_models") is not False:
        deleted_models = _delete_draft_models(store, task)
    children = [other for other in store.all("task") if other.get("parent") == task["id"]]
    for child in children:
        store.put("task", {key: value for key, value in child.items() if key != "parent"})
    owned = [model for model in store.all("model") if model.get("task") == task["id"]]
    for model in owned:
        store.put("model", {key: value for key, value in model.items() if key != "task"})
    delete_all(store, task["id"])
    store.delete("task", task["id"])
    return {
        "deleted": True,
        "deleted_models": deleted_models,
        "updated_children": len(children),
        "updated_models": len(owned),
        "urls": urls,
    }


def _cannot_be_deleted(task: Document, reason: str) -> ApiError:
    return ApiError(400, 123, f"Task cannot be deleted: {task['id']} {reason}; use force=true")


def _urls(store: Store, task: Document) -> dict:
    """Where the task's files are: the caller may want to delete them as well."""
    outputs = [store.get("model", item.get("model")) for item in task["models"]["output"]]
    return {
        "artifact_urls": [a["uri"] for a in task["execution"]["artifacts"] if a.get("uri")],
        "event_urls": image_urls(store, task["id"]),
        "model_urls": [model["uri"] for model in outputs if model and model.get("uri")],
    }


def _delete_draft_models(store: Store, task: Document) -> int:
    """Delete the unpublished models that the task made and no other task takes in."""
    drafts = [
        model
        for model in store.all("model")
        if model.get("task") == task["id"] and not model["ready"]
        if not models.users(store, model["id"], besides=task["id"])
    ]
    for model in drafts:
        models.erase(store, model["id"])
    return len(drafts)


def _set_archived(store: Store, task_id: str, archived: bool) -> None:
    task = editable_task(store, task_id)
    tags = [tag for tag in task["system_tags"] if tag != "archived"]
    task["system_tags"] = [*tags, "archived"] if archived else tags
    save(store, task)


@endpoint("tasks.archive", "tasks")
def archive(store: Store, request: dict) -> dict:
    for task_id in request["tasks"]:
        _set_archived(store, task_id, True)
    return {"archived": len(request["tasks"])}


@endpoint("tasks.unarchive", "tasks")
def unarchive(store: Store, request: dict) -> dict:
    for task_id in request["tasks"]:
        _set_archived(store, task_id, False)
    return {"unarchived": len(request["tasks"])}


@endpoint("tasks.ping", "task")
def ping(store: Store, request: dict) -> dict:
    required_task(store, request["task"])
    store.patch("task", request["task"], last_update=now())
    return {}


@endpoint("tasks.enqueue", "task")
def enqueue(store: Store, request: dict) -> dict:
    task = editable_task(store, request["task"])
    if request.get("queue"):
        queue = queues.required_queue(store, request["queue"])
    elif request.get("queue_name"):
        queue = queues.get_or_create(store, request["queue_name"])
    else:
        raise validation_error("either queue or queue_name should be given")
    if task["status"] == "queued" and queues.holds(queue, task["id"]):
        raise ApiError(400, 706, f"Task already queued: {task['id']} in {queue['name']}")
    queues.take_out(store, task["id"])
    task["system_tags"] = [tag for tag in task["system_tags"] if tag != "development"]
    task["execution"]["queue"] = queue["id"]
    answer = change_status(store, task, "queued", request)
    queues.add(store, queue["id"], task["id"])
    watched = {}
    if request.get("verify_watched_queue"):
        watched["queue_watched"] = queues.is_watched(store, queue["id"])
    return {**answer, "queued": 1, **watched}


@endpoint("tasks.dequeue", "task", new_status=set(TRANSITIONS))
def dequeue(store: Store, request: dict) -> dict:
    task = editable_task(store, request["task"])
    removed = queues.take_out(store, task["id"])
    if task["status"] != "queued":
        return {"dequeued": int(removed), "updated": 0, "fields": {}}
    status = request.get("new_status", "created")
    if status == "created":  # a task that runs remembers the queue that it came by
        task["execution"].pop("queue", None)
    return {**change_status(store, task, status, request), "dequeued": int(removed)}


# The same for many tasks at once. What each answers beside its id is the single call's answer.
MANY = {
    "delete_many": (delete, ("deleted", "deleted_models", "updated_children", "updated_models", "urls"), {}),
    "reset_many": (reset, ("updated", "fields", "deleted_models", "urls"), {}),
    "publish_many": (publish, ("updated", "fields"), {}),
    "stop_many": (stop, ("updated", "fields"), {}),
    "dequeue_many": (dequeue, ("dequeued", "updated", "fields"), {}),
    "enqueue_many": (enqueue, ("updated", "fields"), {"queued": True}),
}


def _many(action: str, store: Store, request: dict) -> dict:
    single, keys, constants = MANY[action]

    def act(task_id: str) -> dict:
        answer = single(store, {**request, "task": task_id})
        kept = {key: answer[key] for key in keys if key in answer}
        if "dequeued" in kept:
            kept["dequeued"] = bool(kept["dequeued"])
        return {**kept, **constants}

    return each(store, request, act)


for _action in MANY:
    endpoint(f"tasks.{_action}", "ids")(partial(_many, _action))


@endpoint("tasks.archive_many", "ids")
def archive_many(store: Store, request: dict) -> dict:
    return each(store, request, lambda task_id: _set_archived(store, task_id, True) or {"archived": True})


@endpoint("tasks.unarchive_many", "ids")
def unarchive_many(store: Store, request: dict) -> dict:
    return each(store, request, lambda task_id: _set_archived(store, task_id, False) or {"unarchived": True})
