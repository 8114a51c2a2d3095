"""The endpoints of models."""

from functools import partial

from ..documents import Document, by_key, present_fields, set_archived
from ..errors import (
    ApiError,
    check_name,
    check_not_empty,
    field_value_error,
    missing_field,
    model_is_published,
    validation_error,
)
from ..events.state import image_urls
from ..files.unneeded import note_unneeded
from ..listing import list_documents
from ..projects.state import project_to_move_to, projects_below
from ..registry import Handler, Service, for_each_id
from ..store import Store, now
from ..tags import checked_tags, edit_tags
from ..tasks.state import check_open, publish_task
from .state import DELETED, change_model, new_model, publish_model, remove_model, tasks_that_use

SETTABLE = (
    "name", "comment", "tags", "system_tags", "framework", "design", "labels", "uri", "parent", "project",
    "task", "ready", "metadata",
)  # fmt: skip
DESCRIPTIVE = {"name", "project", "comment", "tags", "system_tags", "uri", "metadata"}  # what `update` sets
# What changes a model itself: other fields, such as its name, leave `last_update` as it is.
UPDATES = {"uri", "framework", "design", "labels", "ready", "metadata", "system_tags", "tags"}

service = Service()


def _fields(request: Document) -> Document:
    """Return the model's fields in the request, once their values are checked."""
    fields = {**present_fields(SETTABLE, request), **checked_tags(request)}
    if "name" in fields:
        fields["name"] = check_name("model", fields["name"])
    if "uri" in fields:
        fields["uri"] = fields["uri"].strip()
    if "metadata" in fields:
        fields["metadata"] = by_key(fields["metadata"])
    return fields


@service.endpoint("models.create", "name", "uri")
def create_model(store: Store, request: Document) -> Document:
    fields = {"ready": True, **_fields(request)}
    if "project" in fields and not store.get("project", fields["project"]):
        raise validation_error(f"there is no project with the id {fields['project']!r}")
    if "task" in fields:
        store.get_required("task", fields["task"])
    return {"id": new_model(store, **fields), "created": True}


@service.endpoint("models.get_by_id", "model")
def get_model_by_id(store: Store, request: Document) -> Document:
    return {"model": store.get_required("model", request["model"])}


@service.endpoint("models.get_by_task_id", "task")
def get_model_by_task_id(store: Store, request: Document) -> Document:
    outputs = store.get_required("task", request["task"])["models"]["output"]
    if not outputs:
        raise ApiError(400, 122, "Task is missing expected fields: it has no models.output")
    return {"model": store.get_required("model", outputs[-1]["model"])}


@service.endpoint("models.get_all")
def get_all_models(store: Store, request: Document) -> Document:
    return list_documents(store, "model", request)


@service.endpoint("models.get_all_ex", include_stats=bool)
@service.endpoint("models.get_by_id_ex", "id")
def get_all_models_joined(store: Store, request: Document) -> Document:
    answer = list_documents(store, "model", request, join=True)
    if not request.get("include_stats"):
        return answer
    labels = {model["id"]: store.get_required("model", model["id"])["labels"] for model in answer["models"]}
    counted = [{**model, "stats": {"labels_count": len(labels[model["id"]])}} for model in answer["models"]]
    return {**answer, "models": counted}


@service.endpoint("models.get_frameworks")
def get_model_frameworks(store: Store, request: Document) -> Document:
    inside = projects_below(store, request.get("projects"))
    models = [model for model in store.all("model") if inside is None or model.get("project") in inside]
    return {"frameworks": sorted({model["framework"] for model in models if model["framework"]})}


@service.endpoint("models.edit", "model")
def edit_model(store: Store, request: Document) -> Document:
    model = store.get_required("model", request["model"])
    if request.get("task", "").startswith(DELETED):
        request = {key: value for key, value in request.items() if key != "task"}
    fields = _fields(request)
    for kind, field in (("project", "project"), ("task", "task"), ("model", "parent")):
        if field in fields and not store.get(kind, fields[field]):
            raise field_value_error(f"{field} should be the id of a {kind}, and {fields[field]!r} is none")
    _note_iteration(store, model.get("task") or fields.get("task"), request)
    return _change(store, model, fields)


@service.endpoint("models.update", "model")
def update_model(store: Store, request: Document) -> Document:
    """Change what a model is called and where it is; all else needs `models.edit`."""
    model = store.get_required("model", request["model"])
    if "task" in request:
        store.get_required("task", request["task"])
    _note_iteration(store, request.get("task"), request)
    return _change(store, model, present_fields(DESCRIPTIVE, _fields(request)))


def _note_iteration(store: Store, task_id: str | None, request: Document) -> None:
    """Store the iteration at which a task made the model, if it is the task's highest one."""
    task = store.get("task", task_id)
    if task and "iteration" in request:
        store.patch("task", task["id"], last_iteration=max(task["last_iteration"], request["iteration"]))


def _change(store: Store, model: Document, fields: Document) -> Document:
    if not fields:
        return {"updated": 0, "fields": {}}
    times = {"last_change": now()}
    if UPDATES & fields.keys():
        times["last_update"] = times["last_change"]
    store.put("model", {**model, **fields, **times})
    return {"updated": 1, "fields": {**fields, **times}}


@service.endpoint("models.update_for_task", "task")
def update_model_for_task(store: Store, request: Document) -> Document:
    """Change the last output model of a running task, or make its first one."""
    task = store.edit("task", request["task"])
    if bool(request.get("uri")) == bool(request.get("override_model_id")):
        raise missing_field("uri or override_model_id, and not both")
    check_open(task, force=True)
    outputs = task["models"]["output"]
    _note_iteration(store, task["id"], request)
    if request.get("override_model_id"):
        model_id = store.get_required("model", request["override_model_id"])["id"]
    else:
        told = f"Created by task `{task['name']}` ({task['id']})"
        given = {"name": task["name"], "comment": told, **_fields(request)}
        if outputs:
            model_id = outputs[-1]["model"]
            model, fields = store.get_required("model", model_id), present_fields(DESCRIPTIVE, given)
            return {"id": model_id, "created": False, **_change(store, model, fields)}
        execution, inputs = task["execution"], task["models"]["input"]
        model_id = new_model(
            store,
            **{
                **given,
                "task": task["id"],
                "project": task.get("project"),
                "parent": inputs[0]["model"] if inputs else None,
                "framework": execution.get("framework"),
                "labels": execution.get("model_labels"),
                "ready": False,
            },
        )
    task = store.get_required("task", task["id"])
    item = {"name": "Output Model", "model": model_id}
    times = dict.fromkeys(["last_update", "last_change"], now())
    store.put("task", {**task, "models": {**task["models"], "output": [item]}, **times})
    return {"id": model_id, "created": True}


@service.endpoint("models.set_ready", "model")
def set_model_ready(store: Store, request: Document) -> Document:
    """Publish the model and, unless the request says otherwise, the task that made it."""
    model = store.get_required("model", request["model"])
    if model["ready"]:
        raise model_is_published(model["id"])
    answer: Document = {"updated": 1}
    task = store.get("task", model.get("task"))
    if request.get("publish_task", True) and task and task["status"] != "published":
        force = {"force": request.get("force_publish_task")}
        data = publish_task(store, task["id"], force, with_model=False)
        answer["published_task"] = {"id": task["id"], "data": data}
    publish_model(store, model["id"])
    return answer


@service.endpoint("models.update_tags", "ids", add_tags=[str], remove_tags=[str])
def update_model_tags(store: Store, request: Document) -> Document:
    return {"updated": edit_tags(store, "model", request)}


@service.endpoint("models.add_or_update_metadata", "model", "metadata")
def add_or_update_model_metadata(store: Store, request: Document) -> Document:
    check_not_empty(request, "metadata")
    model = store.get_required("model", request["model"])
    held = {} if request.get("replace_metadata") else model["metadata"]
    change_model(store, model["id"], metadata={**held, **by_key(request["metadata"])})
    return {"updated": 1}


@service.endpoint("models.delete_metadata", "model", "keys")
def delete_model_metadata(store: Store, request: Document) -> Document:
    check_not_empty(request, "keys")
    model = store.get_required("model", request["model"])
    kept = {key: item for key, item in model["metadata"].items() if key not in request["keys"]}
    change_model(store, model["id"], metadata=kept)
    return {"updated": 1}


@service.endpoint("models.delete", "model")
def delete_model(store: Store, request: Document) -> Document:
    model = store.get_required("model", request["model"])
    if not request.get("force"):
        if tasks := tasks_that_use(store, model["id"]):
            names = ", ".join(tasks)
            raise ApiError(400, 205, f"Model is used by tasks: {names}; use force=true to delete it")
        task = store.get("task", model.get("task"))
        if task and task["status"] == "published":
            reason = f"task {task['id']} that created this model is published; use force=true to delete it"
            raise ApiError(400, 206, f"Model creating task exists: {reason}")
    note_unneeded(store, request, [model.get("uri"), *image_urls(store, model["id"])])
    remove_model(store, model["id"])
    return {"deleted": True, "url": model.get("uri")}


def _set_archived(store: Store, request: Document, archived: bool) -> Document:
    model = set_archived(store.get_required("model", request["model"]), archived)
    store.put("model", {**model, "last_change": now()})
    return {"archived" if archived else "unarchived": True}


# Calls for many models: the endpoint of one model.
MANY: dict[str, Handler] = {
    "models.publish_many": lambda store, request: {**set_model_ready(store, request), "updated": True},
    "models.delete_many": delete_model,
    "models.archive_many": partial(_set_archived, archived=True),
    "models.unarchive_many": partial(_set_archived, archived=False),
}


def _many(single: Handler, store: Store, request: Document) -> Document:
    check_not_empty(request, "ids")
    return for_each_id(store, request, lambda model_id: single(store, {**request, "model": model_id}))


for _name, _single in MANY.items():
    service.endpoint(_name, "ids")(partial(_many, _single))


@service.endpoint("models.move", "ids", project=(str, type(None)))
def move_models(store: Store, request: Document) -> Document:
    check_not_empty(request, "ids")
    project = project_to_move_to(store, request)
    for model_id in request["ids"]:
        model = store.get_required("model", model_id)
        store.put("model", {**model, "project": project, "last_change": now()})
    return {"project_id": project}
