"""Tasks: what a new one holds, the states that it goes through, and what is deleted with it."""

from datetime import datetime
from typing import Any

from ..documents import Document, present_fields
from ..errors import check_name, invalid_task_status, validation_error
from ..events.state import delete_events, image_urls
from ..models.state import publish_model, remove_model, tasks_that_use
from ..queues.state import remove_from_queues
from ..store import Store, new_document, now

TYPES = {
    "training", "testing", "inference", "data_processing", "application", "monitor", "controller",
    "optimizer", "service", "qc", "custom", "report", "dataset_import", "annotation",
    "annotation_manual",
}  # fmt: skip

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
ENDED = {"stopped", "failed", "completed", "closed", "published"}
# What a request may set.
SETTABLE = (
    "name", "type", "comment", "parent", "project", "execution", "script", "hyperparams", "configuration",
    "container", "models", "tags", "system_tags", "runtime",
)  # fmt: skip


def save_task(store: Store, task: Document, changed: bool = True) -> None:
    """Put the task back; `changed` sets the times of its last change to now."""
    if changed:
        task["last_update"] = task["last_change"] = now()
    store.put("task", task)


def check_type(kind: str) -> None:
    if kind not in TYPES:
        raise validation_error(f"{kind!r} is not a type of task; the types are {', '.join(sorted(TYPES))}")


def new_task(name: str, type: str, **fields: Any) -> Document:
    """Return a task in the state "created", with every field that clients look into."""
    check_name("task", name)
    check_type(type)
    task = {
        "status": "created",
        "status_reason": "",
        "status_message": "",
        "last_iteration": 0,
        "last_metrics": {},
        "comment": "",
        "output": {"destination": ""},
        "runtime": {},
        "configuration": {},
        "hyperparams": {},
        "container": {},
        **new_document(name=name, type=type, **fields),
    }
    task["status_changed"] = task["last_change"] = task["created"]
    task["script"] = {"binary": "python", "repository": "", "requirements": {}, **(task.get("script") or {})}
    task["execution"] = {"artifacts": [], **(task.get("execution") or {})}
    task["models"] = {"input": [], "output": [], **(task.get("models") or {})}
    return task


def check_editable(
    task: Document, request: Document, states: tuple[str, ...] = ("created", "in_progress")
) -> None:
    """Raise the API's error unless the task is in one of the states or the request forces the change."""
    if task["status"] not in states and not request.get("force"):
        raise invalid_task_status(f"task {task['id']} is {task['status']}; use force=true to edit it")


def settable_fields(store: Store, request: Document) -> Document:
    """Return the task's fields in the request, once their values are checked."""
    fields = present_fields(SETTABLE, request)
    if "name" in fields:
        check_name("task", fields["name"])
    if "type" in fields:
        check_type(fields["type"])
    if fields.get("project"):
        store.get_required("project", fields["project"])
    if "hyperparams" in fields:
        fields["hyperparams"] = complete_parameters(fields["hyperparams"])
    if "configuration" in fields:
        fields["configuration"] = complete_configuration(fields["configuration"])
    return fields


def complete_parameters(sections: Document) -> Document:
    """Return hyperparameters by section and name; each item also holds its section and name."""
    return {
        section: {name: {**_texts(item), "section": section, "name": name} for name, item in items.items()}
        for section, items in sections.items()
    }


def complete_configuration(items: Document) -> Document:
    return {name: {**_texts(item), "name": name} for name, item in items.items()}


def _texts(item: Document) -> Document:
    return {key: str(value) for key, value in item.items()}


def change_status(store: Store, task: Document, status: str, request: Document, **fields: Any) -> Document:
    """Move the task to a state and return what changed, or raise if the state does not allow it."""
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
    save_task(store, task)
    return {"updated": 1, "fields": {**changed, "last_update": task["last_update"]}}


def publish_task_with_models(store: Store, task_id: str, request: Document) -> Document:
    """Publish the task and, unless the request says otherwise, its output models."""
    task = store.edit("task", task_id)
    answer = change_status(store, task, "published", request, published=now())
    if request.get("publish_model") is not False:
        for item in task["models"]["output"]:
            model = store.get("model", item.get("model"))
            if model and not model["ready"]:
                publish_model(store, model["id"])
    return answer


def remove_task(store: Store, task_id: str, delete_models: bool = True) -> Document:
    """Delete the task, its events and, if asked, the models that nothing else needs."""
    task = store.get_required("task", task_id)
    urls = file_urls(store, task)
    remove_from_queues(store, task_id)
    deleted_models = delete_draft_models(store, task_id) if delete_models else 0
    freed = {}
    for kind, key in (("task", "parent"), ("model", "task")):
        freed[kind] = [document for document in store.all(kind) if document.get(key) == task_id]
        for document in freed[kind]:
            store.put(kind, {name: value for name, value in document.items() if name != key})
    delete_events(store, task_id)
    store.delete("task", task_id)
    return {
        "deleted": True,
        "deleted_models": deleted_models,
        "updated_children": len(freed["task"]),
        "updated_models": len(freed["model"]),
        "urls": urls,
    }


def file_urls(store: Store, task: Document) -> Document:
    """Return the addresses of the task's files: the caller may want to delete them as well."""
    outputs = [store.get("model", item.get("model")) for item in task["models"]["output"]]
    return {
        "artifact_urls": [a["uri"] for a in task["execution"]["artifacts"] if a.get("uri")],
        "event_urls": image_urls(store, task["id"]),
        "model_urls": [model["uri"] for model in outputs if model and model.get("uri")],
    }


def delete_draft_models(store: Store, task_id: str) -> int:
    """Delete the unpublished models that the task made and no other task uses; return how many."""
    drafts = [
        model["id"]
        for model in store.all("model")
        if model.get("task") == task_id and not model["ready"]
        if not tasks_that_use(store, model["id"], besides=task_id)
    ]
    for model_id in drafts:
        remove_model(store, model_id)
    return len(drafts)
