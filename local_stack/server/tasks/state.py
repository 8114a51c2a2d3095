"""Tasks: what a new one holds, the states that it goes through, and what is deleted with it."""

from datetime import datetime
from typing import Any

from ..documents import Document, present_fields
from ..errors import (
    check_name,
    field_value_error,
    invalid_id,
    invalid_task_status,
    task_cannot_be_deleted,
    validation_error,
)
from ..events.state import delete_events, image_urls
from ..files.unneeded import note_unneeded
from ..models.state import DELETED, publish_model, remove_model
from ..projects.state import touch_project
from ..queues.state import remove_from_queues
from ..store import Store, new_document, now
from ..tags import checked_tags

TYPES = {
    "training", "testing", "inference", "data_processing", "application", "monitor", "controller",
    "optimizer", "service", "qc", "custom", "report", "dataset_import", "annotation",
    "annotation_manual",
}  # fmt: skip

# A task may always stay in the state it is in; `force` allows any change.
TRANSITIONS = {
    "created": {"queued", "in_progress"},
    "queued": {"created", "in_progress", "stopped"},
    "in_progress": {"created", "stopped", "failed", "completed"},
    "stopped": {
        "created", "queued", "in_progress", "failed", "completed", "closed", "publishing", "published",
    },
    "closed": {"created", "stopped", "failed", "publishing", "published"},
    "failed": {"created", "queued", "stopped", "published"},
    "completed": {"created", "in_progress", "published"},
    "publishing": {"published"},
    "published": set(),
}  # fmt: skip
ENDED = {"stopped", "failed", "completed", "closed", "published"}
DEVELOPMENT = "development"  # the system tag of a task that runs where somebody started it, not on an agent
LEGACY = "legacy"  # the type of parameters and configurations that came in the fields of older clients
DESCRIPTIVE = {"name", "comment", "project", "tags", "system_tags", "status_message"}  # not the task itself
# What a request may set.
SETTABLE = (
    "name", "type", "comment", "parent", "project", "execution", "script", "hyperparams", "configuration",
    "container", "models", "tags", "system_tags", "runtime",
)  # fmt: skip


def save_task(store: Store, task: Document, updated: bool = True) -> None:
    """Put the changed task back; it is also `updated` if what it runs or made has changed."""
    task["last_change"] = now()
    if updated:
        task["last_update"] = task["last_change"]
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


def check_open(task: Document, force: bool | None) -> None:
    """Raise the API's error unless the task is a draft, or runs and is to be changed by force."""
    if task["status"] != "created" and not (force and task["status"] == "in_progress"):
        hint = "; use force=true to edit it" if task["status"] == "in_progress" else ""
        raise invalid_task_status(f"task {task['id']} is {task['status']}{hint}")


def settable_fields(store: Store, request: Document, task: Document | None = None) -> Document:
    """Return the task's fields in the request, checked, and as the newest clients give them.

    `task` is the one to be changed, if there is one already.
    """
    fields = {**present_fields(SETTABLE, request), **checked_tags(request)}
    if "name" in fields:
        fields["name"] = check_name("task", fields["name"])
    if "type" in fields:
        check_type(fields["type"])
    for kind, field in (("project", "project"), ("task", "parent")):
        key = fields.get(field)
        if key is not None and not key.startswith(DELETED) and not store.get(kind, key):
            raise field_value_error(f"{field} should be the id of a {kind}, and there is none with {key!r}")
    if "script" in fields:
        texts = {key: value.strip() for key, value in fields["script"].items() if isinstance(value, str)}
        fields["script"] = {**fields["script"], **texts, **present_fields(["diff"], fields["script"])}
    if "execution" in fields:
        fields |= execution_fields(fields, task)
    if "hyperparams" in fields:
        fields["hyperparams"] = complete_parameters(fields["hyperparams"])
    if "configuration" in fields:
        fields["configuration"] = complete_configuration(fields["configuration"])
    return fields


def execution_fields(fields: Document, task: Document | None = None) -> Document:
    """Return `execution` as it is stored, and the fields that newer clients have for what is in it.

    Those are the input model, the container, parameters and configuration.
    """
    execution = dict(fields["execution"])
    found: Document = {"execution": execution}
    if "artifacts" in execution:
        execution["artifacts"] = sorted_artifacts(execution["artifacts"])
    model, command = execution.pop("model", None), execution.pop("docker_cmd", None)
    if model is not None and "models" not in fields:
        found["models"] = {"input": [{"name": "Input Model", "model": model}] if model else []}
    if command is not None and "container" not in fields:
        image, _, arguments = command.partition(" ")
        found["container"] = {**(task or {}).get("container", {}), "image": image, "arguments": arguments}
    parameters, configuration = execution.pop("parameters", None), execution.pop("model_desc", None)
    if parameters is not None:
        sections = fields.get("hyperparams") or {
            section: kept
            for section, items in (task or {}).get("hyperparams", {}).items()
            if (kept := _without_legacy(items))
        }
        found["hyperparams"] = sections = {section: dict(items) for section, items in sections.items()}
        for path, value in parameters.items():
            section, _, name = path.partition("/")
            section, name = (section, name) if section == "TF_DEFINE" and name else ("Args", path)
            sections.setdefault(section, {})[name] = {"type": LEGACY, "value": value}
    if configuration is not None:
        items = fields.get("configuration") or _without_legacy((task or {}).get("configuration", {}))
        given = {name: {"type": LEGACY, "value": value} for name, value in configuration.items()}
        found["configuration"] = {**items, **given}
    return found


def _without_legacy(items: Document) -> Document:
    return {name: item for name, item in items.items() if item.get("type") != LEGACY}


def artifact_key(artifact: Document) -> tuple[str, str]:
    return artifact["key"], artifact.get("mode") or "output"


def sorted_artifacts(artifacts: list[Document]) -> list[Document]:
    """Return the last artifact of each key and mode, in the order of the keys."""
    held = {artifact_key(artifact): {"mode": "output", **artifact} for artifact in artifacts}
    return sorted(held.values(), key=lambda artifact: artifact["key"])


def check_references(store: Store, task: Document, *fields: str) -> None:
    """Raise the API's error if the task's project, parent or input models, as named, do not exist."""
    wanted = {
        "project": [("project", task.get("project"))],
        "parent": [("task", task.get("parent"))],
        "models": [("model", item["model"]) for item in task["models"]["input"]],
    }
    for field in fields:
        for kind, key in wanted[field]:
            if key and not (kind == "task" and key.startswith(DELETED)) and not store.get(kind, key):
                raise invalid_id(kind, key)


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
    if status == "queued":
        task["system_tags"] = [tag for tag in task["system_tags"] if tag != DEVELOPMENT]
    else:
        task.pop("enqueue_status", None)
    changed = {
        "status": status,
        "status_reason": request.get("status_reason") or "",
        "status_message": request.get("status_message") or "",
        "status_changed": now(),
        **fields,
    }
    task.update(changed)
    if status in ENDED and task.get("completed"):
        task |= run_time(task, task["completed"])
    save_task(store, task)
    touch_project(store, task.get("project"))
    return {"updated": 1, "fields": {**changed, "last_update": task["last_update"]}}


def run_time(task: Document, until: str) -> Document:
    """Return the field that holds for how many seconds the task has run, if it was ever started."""
    if not task.get("started"):
        return {}
    ran = datetime.fromisoformat(until) - datetime.fromisoformat(task["started"])
    return {"active_duration": max(0, round(ran.total_seconds()))}


def publish_task(store: Store, task_id: str, request: Document, with_model: bool) -> Document:
    """Publish the task and, if asked, the last model that it made."""
    task = store.edit("task", task_id)
    if task["status"] == "published" and not request.get("force"):
        raise invalid_task_status(f"task {task_id} is published already")
    answer = change_status(store, task, "published", request, published=now())
    outputs = task["models"]["output"]
    model = store.get("model", outputs[-1]["model"]) if with_model and outputs else None
    if model and not model["ready"]:
        publish_model(store, model["id"])
    return answer


def pipeline_steps(store: Store, task: Document) -> list[Document]:
    """Return the tasks that a pipeline's controller has made; none if the task is something else."""
    if task["type"] != "controller":
        return []
    return store.referring("task", "parent", task["id"])


def remove_task(store: Store, task_id: str, request: Document | None = None) -> Document:
    """Delete the task with all that only it needs. Without a `request` it is done by force."""
    task = store.get_required("task", task_id)
    request = {"force": True, "return_file_urls": True} if request is None else request
    answer = clean_up(store, task, request, deleting=True)
    remove_from_queues(store, task_id)
    children = store.referring("task", "parent", task_id)
    for child in children:
        save_task(store, {**child, "parent": DELETED + task_id}, updated=False)
    store.delete("task", task_id)
    touch_project(store, task.get("project"))
    return {"deleted": True, "updated_children": len(children), **answer}


def made_models(store: Store, task: Document) -> list[Document]:
    made = {model["id"]: model for model in store.referring("model", "task", task["id"])}
    listed = {item["model"]: store.get("model", item["model"]) for item in task["models"]["output"]}
    return [model for model in {**made, **listed}.values() if model]


def unneeded_drafts(store: Store, models: list[Document]) -> list[Document]:
    """Return those of the models that are not published, and that no task takes in."""
    return [
        model for model in models if not model["ready"] and not store.referring("task", "input", model["id"])
    ]


def clean_up(store: Store, task: Document, request: Document, deleting: bool) -> Document:
    """Delete the task's events and, unless the request says otherwise, the drafts of models that it made.

    Models that another task takes in, and published ones, stay without their task. Return how many models
    were deleted and changed and, if the request asks for them, the addresses of the files that nobody needs.
    """
    models = made_models(store, task)
    if not request.get("force"):
        children = store.referring("task", "parent", task["id"])
        if any(child["status"] == "published" for child in children):
            raise task_cannot_be_deleted(task["id"], "has published children")
        if any(model["ready"] for model in models):
            raise task_cannot_be_deleted(task["id"], "has published models")
    drafts = unneeded_drafts(store, models)
    delete_drafts = request.get("delete_output_models", True)
    updated = 0
    for model in models:
        if delete_drafts and model in drafts:
            remove_model(store, model["id"])
        elif model.get("task") == task["id"]:
            freed = {key: value for key, value in model.items() if key != "task"}
            if deleting and (model["ready"] or not delete_drafts):
                freed["task"] = DELETED + task["id"]
                updated += 1
            store.put("model", {**freed, "last_change": now()})
    urls = {
        "artifact_urls": [
            artifact["uri"]
            for artifact in task["execution"]["artifacts"]
            if artifact.get("uri") and artifact_key(artifact)[1] == "output"
        ],
        "event_urls": [],  # the real server no longer names them: the SDK asks for them on its own
        "model_urls": [model["uri"] for model in drafts if model.get("uri")],
    }
    deleted = urls["model_urls"] if delete_drafts else []
    note_unneeded(store, request, [*urls["artifact_urls"], *deleted, *image_urls(store, task["id"])])
    delete_events(store, task["id"])
    return {
        "deleted_models": len(drafts) if delete_drafts else 0,
        "updated_models": updated,
        "urls": urls if request.get("return_file_urls") else None,
    }
