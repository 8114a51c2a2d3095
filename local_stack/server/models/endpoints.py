"""Models: a name, where the weights are, the task that made them, and whether they are published."""

from ..auth import COMPANY, USER
from ..errors import (
    ApiError,
    check_name,
    invalid_model_id,
    invalid_task_id,
    missing_field,
    model_is_published,
)
from ..projects.endpoints import project_id_for, required_project
from ..query import next_scroll, search
from ..registry import each, endpoint
from ..store import Document, Store, new_id, now

FIELDS = {
    "id", "name", "user", "company", "created", "last_update", "task", "parent", "project", "comment",
    "tags", "system_tags", "framework", "design", "labels", "uri", "ready", "metadata",
}  # fmt: skip
SETTABLE = (
    "name", "comment", "tags", "system_tags", "framework", "design", "labels", "uri", "parent", "project",
    "task",
)  # fmt: skip
FIXED_WHEN_PUBLISHED = ("uri", "framework", "design", "labels", "parent")


def required_model(store: Store, model_id: object) -> Document:
    model = store.get("model", model_id)
    if model is None:
        raise invalid_model_id(model_id)
    return model


def _fields(store: Store, request: dict) -> dict:
    fields = {key: request[key] for key in SETTABLE if key in request}
    if "name" in fields:
        check_name("model", fields["name"])
    if fields.get("project"):
        required_project(store, fields["project"])
    if fields.get("task") and store.get("task", fields["task"]) is None:
        raise invalid_task_id(fields["task"])
    if "metadata" in request:
        fields["metadata"] = by_key(request["metadata"])
    return fields


def by_key(items: list[dict]) -> dict[str, dict]:
    """Metadata as documents hold them."""
    return {item["key"]: item for item in items}


@endpoint("models.create", "name", "uri")
def create(store: Store, request: dict) -> dict:
    created = now()
    model = {
        "id": new_id(),
        "user": USER["id"],
        "company": COMPANY["id"],
        "created": created,
        "last_update": created,
        "comment": "",
        "tags": [],
        "system_tags": [],
        "framework": "",
        "design": {},
        "labels": {},
        "metadata": {},
        "ready": bool(request.get("ready", True)),
        **_fields(store, request),
    }
    store.put("model", model)
    return {"id": model["id"], "created": True}


@endpoint("models.get_by_id", "model")
def get_by_id(store: Store, request: dict) -> dict:
    return {"model": required_model(store, request["model"])}


@endpoint("models.get_by_task_id", "task")
def get_by_task_id(store: Store, request: dict) -> dict:
    task = store.get("task", request["task"])
    if task is None:
        raise invalid_task_id(request["task"])
    outputs = task["models"]["output"]
    if not outputs:
        raise invalid_model_id(None)
    return {"model": required_model(store, outputs[-1]["model"])}


@endpoint("models.get_all")
def get_all(store: Store, request: dict) -> dict:
    found = search(store.all("model"), request, FIELDS)
    return {"models": found, "scroll_id": next_scroll(request, len(found))}


@endpoint("models.get_frameworks")
def get_frameworks(store: Store, request: dict) -> dict:
    return {"frameworks": sorted({model["framework"] for model in store.all("model") if model["framework"]})}


def _change(store: Store, request: dict) -> dict:
    model = required_model(store, request["model"])
    fields = _fields(store, request)
    # The SDK sends all fields even where it changes only a tag, so it is new values that are refused.
    changed = [key for key in FIXED_WHEN_PUBLISHED if key in fields and fields[key] != model.get(key)]
    if model["ready"] and changed:
        raise model_is_published(model["id"])
    fields["last_update"] = now()
    store.put("model", {**model, **fields})
    model = {**model, **fields}
    if request.get("iteration") is not None and model.get("task"):
        task = store.get("task", model["task"])
        if task:
            store.patch("task", task["id"], last_iteration=max(task["last_iteration"], request["iteration"]))
    if request.get("ready") and not model["ready"]:
        publish(store, model["id"])
    return {"updated": 1, "fields": fields}


@endpoint("models.edit", "model")
def edit(store: Store, request: dict) -> dict:
    return _change(store, request)


@endpoint("models.update", "model")
def update(store: Store, request: dict) -> dict:
    return _change(store, request)


@endpoint("models.update_for_task", "task")
def update_for_task(store: Store, request: dict) -> dict:
    """Set the output model of a running task: the one it has, or a new one."""
    task = store.edit("task", request["task"])
    if task is None:
        raise invalid_task_id(request["task"])
    chosen = {k: request[k] for k in ("name", "uri", "comment", "tags", "system_tags") if request.get(k)}
    if request.get("override_model_id"):
        model_id, created = required_model(store, request["override_model_id"])["id"], False
    elif task["models"]["output"]:
        model_id, created = task["models"]["output"][-1]["model"], False
    else:
        if not request.get("uri"):
            raise missing_field("uri")
        made = {"name": task["name"], "ready": False, "project": task.get("project"), "task": task["id"]}
        model_id, created = create(store, {**made, **chosen})["id"], True
    if not created:
        edit(store, {"model": model_id, **chosen})
    name = required_model(store, model_id)["name"]
    task["models"]["output"] = [item for item in task["models"]["output"] if item["model"] != model_id]
    task["models"]["output"].append({"name": name, "model": model_id})
    task["last_update"] = now()
    store.put("task", task)
    return {"id": model_id, "created": created, "updated": int(not created)}


def publish(store: Store, model_id: str) -> None:
    model = required_model(store, model_id)
    store.put("model", {**model, "ready": True, "last_update": now()})


@endpoint("models.add_or_update_metadata", "model", "metadata")
def add_or_update_metadata(store: Store, request: dict) -> dict:
    model = required_model(store, request["model"])
    held = {} if request.get("replace_metadata") else model["metadata"]
    changed = {**held, **by_key(request["metadata"])}
    store.put("model", {**model, "metadata": changed, "last_update": now()})
    return {"updated": 1}


@endpoint("models.delete_metadata", "model", "keys")
def delete_metadata(store: Store, request: dict) -> dict:
    model = required_model(store, request["model"])
    kept = {key: item for key, item in model["metadata"].items() if key not in request["keys"]}
    store.put("model", {**model, "metadata": kept, "last_update": now()})
    return {"updated": 1}


def users(store: Store, model_id: str, besides: str | None = None) -> list[str]:
    """The ids of the tasks that take the model in, `besides` one."""
    return [
        task["id"]
        for task in store.all("task")
        if task["id"] != besides and any(item["model"] == model_id for item in task["models"]["input"])
    ]


def erase(store: Store, model_id: str) -> None:
    """Remove the model, its events, and its place among the models of tasks."""
    for task in store.all("task"):
        listed = [item["model"] for kind in ("input", "output") for item in task["models"][kind]]
        if model_id in listed:
            models = {
                kind: [item for item in task["models"][kind] if item["model"] != model_id]
                for kind in ("input", "output")
            }
            store.put("task", {**task, "models": models})
    store.db.execute("DELETE FROM events WHERE task = ?", (model_id,))
    store.delete("model", model_id)


@endpoint("models.delete", "model")
def delete(store: Store, request: dict) -> dict:
    model = required_model(store, request["model"])
    if not request.get("force"):
        if model["ready"]:
            raise model_is_published(model["id"])
        if using := users(store, model["id"]):
            raise ApiError(
                400, 205, f"Model is used by tasks: {', '.join(using)}; use force=true to delete it"
            )
    erase(store, model["id"])
    return {"deleted": True, "url": model.get("uri")}


@endpoint("models.delete_many", "ids")
def delete_many(store: Store, request: dict) -> dict:
    return each(store, request, lambda model_id: delete(store, {**request, "model": model_id}))


def _set_archived(store: Store, model_id: str, archived: bool) -> None:
    model = required_model(store, model_id)
    tags = [tag for tag in model["system_tags"] if tag != "archived"]
    store.put("model", {**model, "system_tags": [*tags, "archived"] if archived else tags})


@endpoint("models.archive_many", "ids")
def archive_many(store: Store, request: dict) -> dict:
    return each(store, request, lambda model_id: _set_archived(store, model_id, True) or {"archived": True})


@endpoint("models.unarchive_many", "ids")
def unarchive_many(store: Store, request: dict) -> dict:
    return each(
        store, request, lambda model_id: _set_archived(store, model_id, False) or {"unarchived": True}
    )


@endpoint("models.move", "ids")
def move(store: Store, request: dict) -> dict:
    project = project_id_for(store, request)
    for model_id in request["ids"]:
        store.put("model", {**required_model(store, model_id), "project": project, "last_update": now()})
    return {}
