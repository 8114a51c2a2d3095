"""The endpoints of models."""

from ..documents import Document, by_key, present_fields, set_archived
from ..errors import ApiError, check_name, invalid_id, missing_field, model_is_published
from ..listing import list_documents
from ..projects.state import project_to_move_to
from ..registry import Service, for_each_id
from ..store import Store, now
from ..tasks.state import publish_task_with_models
from .state import change_model, new_model, publish_model, remove_model, tasks_that_use

SETTABLE = (
    "name", "comment", "tags", "system_tags", "framework", "design", "labels", "uri", "parent", "project",
    "task",
)  # fmt: skip
# What changes a model itself: other fields, such as its name, leave `last_update` as it is.
UPDATES = {"uri", "framework", "design", "labels", "ready", "metadata", "system_tags", "tags"}
FIXED_WHEN_PUBLISHED = ("uri", "framework", "design", "labels", "parent")

service = Service()


def _fields(store: Store, request: Document) -> Document:
    """Return the model's fields in the request, once their values are checked."""
    fields = present_fields(SETTABLE, request)
    if "name" in fields:
        check_name("model", fields["name"])
    for kind in ("project", "task"):
        if fields.get(kind):
            store.get_required(kind, fields[kind])
    if "metadata" in request:
        fields["metadata"] = by_key(request["metadata"])
    return fields


@service.endpoint("models.create", "name", "uri")
def create_model(store: Store, request: Document) -> Document:
    fields = _fields(store, request)
    return {"id": new_model(store, ready=bool(request.get("ready", True)), **fields), "created": True}


@service.endpoint("models.get_by_id", "model")
def get_model_by_id(store: Store, request: Document) -> Document:
    return {"model": store.get_required("model", request["model"])}


@service.endpoint("models.get_by_task_id", "task")
def get_model_by_task_id(store: Store, request: Document) -> Document:
    outputs = store.get_required("task", request["task"])["models"]["output"]
    if not outputs:
        raise invalid_id("model", None)
    return {"model": store.get_required("model", outputs[-1]["model"])}


@service.endpoint("models.get_all")
def get_all_models(store: Store, request: Document) -> Document:
    return list_documents(store, "model", request)


@service.endpoint("models.get_all_ex")
@service.endpoint("models.get_by_id_ex", "id")
def get_all_models_joined(store: Store, request: Document) -> Document:
    return list_documents(store, "model", request, join=True)


@service.endpoint("models.get_frameworks")
def get_model_frameworks(store: Store, request: Document) -> Document:
    return {"frameworks": sorted({model["framework"] for model in store.all("model") if model["framework"]})}


@service.endpoint("models.edit", "model")
@service.endpoint("models.update", "model")
def edit_model(store: Store, request: Document) -> Document:
    model = store.get_required("model", request["model"])
    fields = _fields(store, request)
    # The SDK sends all fields even where it changes only a tag, so only new values are refused.
    changed = [key for key in FIXED_WHEN_PUBLISHED if key in fields and fields[key] != model.get(key)]
    if model["ready"] and changed:
        raise model_is_published(model["id"])
    fields["last_change"] = now()
    if UPDATES.intersection(request):
        fields["last_update"] = fields["last_change"]
    model = {**model, **fields}
    store.put("model", model)
    task = store.get("task", model.get("task"))
    if request.get("iteration") is not None and task:
        store.patch("task", task["id"], last_iteration=max(task["last_iteration"], request["iteration"]))
    if request.get("ready") and not model["ready"]:
        publish_model(store, model["id"])
    return {"updated": 1, "fields": fields}


@service.endpoint("models.update_for_task", "task")
def update_model_for_task(store: Store, request: Document) -> Document:
    """Change the last output model of a running task, or make its first one."""
    task = store.edit("task", request["task"])
    outputs = task["models"]["output"]
    given = {k: request[k] for k in ("name", "uri", "comment", "tags", "system_tags") if request.get(k)}
    created = not (request.get("override_model_id") or outputs)
    if created:
        if not request.get("uri"):
            raise missing_field("uri")
        made = {"name": task["name"], "ready": False, "project": task.get("project"), "task": task["id"]}
        model_id = create_model(store, {**made, **given})["id"]
    else:
        model_id = request.get("override_model_id") or outputs[-1]["model"]
        edit_model(store, {"model": model_id, **given})
    name = store.get_required("model", model_id)["name"]
    others = [item for item in outputs if item["model"] != model_id]
    task["models"]["output"] = [*others, {"name": name, "model": model_id}]
    task["last_update"] = now()
    store.put("task", task)
    return {"id": model_id, "created": created, "updated": int(not created)}


@service.endpoint("models.set_ready", "model")
def set_model_ready(store: Store, request: Document) -> Document:
    """Publish the model and, on request, the task that made it."""
    model = store.get_required("model", request["model"])
    publish_model(store, model["id"])
    answer: Document = {"updated": 1}
    task = store.get("task", model.get("task"))
    if request.get("publish_task") and task and task["status"] != "published":
        force = {"force": request.get("force_publish_task")}
        data = publish_task_with_models(store, task["id"], force)
        answer["published_task"] = {"id": task["id"], "data": data}
    return answer


@service.endpoint("models.publish_many", "ids")
def publish_many_models(store: Store, request: Document) -> Document:
    def publish(model_id: str) -> Document:
        options = {"publish_task": request.get("publish_tasks"), **request}
        return {**set_model_ready(store, {**options, "model": model_id}), "updated": True}

    return for_each_id(store, request, publish)


@service.endpoint("models.add_or_update_metadata", "model", "metadata")
def add_or_update_model_metadata(store: Store, request: Document) -> Document:
    model = store.get_required("model", request["model"])
    held = {} if request.get("replace_metadata") else model["metadata"]
    change_model(store, model["id"], metadata={**held, **by_key(request["metadata"])})
    return {"updated": 1}


@service.endpoint("models.delete_metadata", "model", "keys")
def delete_model_metadata(store: Store, request: Document) -> Document:
    model = store.get_required("model", request["model"])
    kept = {key: item for key, item in model["metadata"].items() if key not in request["keys"]}
    change_model(store, model["id"], metadata=kept)
    return {"updated": 1}


@service.endpoint("models.delete", "model")
def delete_model(store: Store, request: Document) -> Document:
    model = store.get_required("model", request["model"])
    if not request.get("force"):
        if model["ready"]:
            raise model_is_published(model["id"])
        if tasks := tasks_that_use(store, model["id"]):
            names = ", ".join(tasks)
            raise ApiError(400, 205, f"Model is used by tasks: {names}; use force=true to delete it")
    remove_model(store, model["id"])
    return {"deleted": True, "url": model.get("uri")}


@service.endpoint("models.delete_many", "ids")
def delete_many_models(store: Store, request: Document) -> Document:
    return for_each_id(store, request, lambda model_id: delete_model(store, {**request, "model": model_id}))


def _set_archived(store: Store, model_id: str, archived: bool) -> Document:
    store.put("model", set_archived(store.get_required("model", model_id), archived))
    return {"archived" if archived else "unarchived": True}


@service.endpoint("models.archive_many", "ids")
def archive_many_models(store: Store, request: Document) -> Document:
    return for_each_id(store, request, lambda model_id: _set_archived(store, model_id, True))


@service.endpoint("models.unarchive_many", "ids")
def unarchive_many_models(store: Store, request: Document) -> Document:
    return for_each_id(store, request, lambda model_id: _set_archived(store, model_id, False))


@service.endpoint("models.move", "ids")
def move_models(store: Store, request: Document) -> Document:
    project = project_to_move_to(store, request)
    for model_id in request["ids"]:
        change_model(store, model_id, project=project)
    return {}
