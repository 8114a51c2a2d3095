"""What a task holds besides its parameters: its description, code, artifacts and models."""

from ..errors import check_name, invalid_model_id, invalid_task_status
from ..registry import endpoint
from ..store import Store
from .endpoints import check_type, editable_task, save, settable_fields

MERGED = ("execution", "script", "models")  # one level deep; the other fields are replaced


@endpoint("tasks.edit", "task")
def edit(store: Store, request: dict) -> dict:
    task = editable_task(store, request["task"])
    if task["status"] != "created" and not request.get("force"):
        raise invalid_task_status(f"task {task['id']} is {task['status']}; use force=true to edit it")
    fields = settable_fields(store, request)
    if "name" in request:
        check_name("task", request["name"])
        fields["name"] = request["name"]
    if "type" in request:
        check_type(request["type"])
        fields["type"] = request["type"]
    for field in MERGED:
        if field in fields:
            fields[field] = {**task[field], **fields[field]}
    if "output_dest" in request:
        fields["output"] = {**task["output"], "destination": request["output_dest"]}
    task.update(fields)
    save(store, task)
    return {"updated": 1, "fields": {**fields, "last_update": task["last_update"]}}


@endpoint("tasks.update", "task")
def update(store: Store, request: dict) -> dict:
    """Rename, move, tag or comment a task, in any state."""
    task = editable_task(store, request["task"])
    allowed = ("comment", "project", "tags", "system_tags")
    fields = {k: v for k, v in settable_fields(store, request).items() if k in allowed}
    if "name" in request:
        check_name("task", request["name"])
        fields["name"] = request["name"]
    if "output__error" in request:
        fields["output"] = {**task["output"], "error": request["output__error"]}
    task.update(fields)
    save(store, task)
    return {"updated": 1, "fields": {**fields, "last_update": task["last_update"]}}


@endpoint("tasks.set_requirements", "task", "requirements")
def set_requirements(store: Store, request: dict) -> dict:
    task = editable_task(store, request["task"])
    task["script"]["requirements"] = request["requirements"]
    save(store, task)
    return {"updated": 1, "fields": {"script.requirements": request["requirements"]}}


def _artifact_key(artifact: dict) -> tuple[str, str]:
    return artifact["key"], artifact.get("mode") or "output"


@endpoint("tasks.add_or_update_artifacts", "task", "artifacts")
def add_or_update_artifacts(store: Store, request: dict) -> dict:
    """Artifacts are known by (key, mode); one that comes again takes the place of the earlier one."""
    task = editable_task(store, request["task"])
    if task["status"] not in ("created", "in_progress") and not request.get("force"):
        raise invalid_task_status(f"task {task['id']} is {task['status']}; use force=true to add artifacts")
    held = {_artifact_key(artifact): artifact for artifact in task["execution"]["artifacts"]}
    for artifact in request["artifacts"]:
        held[_artifact_key(artifact)] = {"mode": "output", **artifact}
    task["execution"]["artifacts"] = list(held.values())
    save(store, task)
    return {"updated": 1}


@endpoint(
    "tasks.delete_artifacts", "task", "artifacts", artifacts=[{"key!": str, "mode": {"input", "output"}}]
)
def delete_artifacts(store: Store, request: dict) -> dict:
    task = editable_task(store, request["task"])
    gone = {_artifact_key(artifact) for artifact in request["artifacts"]}
    kept = [a for a in task["execution"]["artifacts"] if _artifact_key(a) not in gone]
    task["execution"]["artifacts"] = kept
    save(store, task)
    return {"deleted": 1}


@endpoint("tasks.add_or_update_model", "task", "name", "model", "type", type={"input", "output"})
def add_or_update_model(store: Store, request: dict) -> dict:
    """Models are known by name within a task's inputs and outputs."""
    task = editable_task(store, request["task"])
    if store.get("model", request["model"]) is None:
        raise invalid_model_id(request["model"])
    held = task["models"][request["type"]]
    item = {"name": request["name"], "model": request["model"]}
    for i, other in enumerate(held):
        if other["name"] == item["name"]:
            held[i] = item
            break
    else:
        held.append(item)
    if "iteration" in request:
        task["last_iteration"] = max(task["last_iteration"], request["iteration"])
    save(store, task)
    return {"updated": 1}


@endpoint("tasks.delete_models", "task", "models", models=[{"name!": str, "type!": {"input", "output"}}])
def delete_models(store: Store, request: dict) -> dict:
    task = editable_task(store, request["task"])
    for item in request["models"]:
        held = task["models"][item["type"]]
        held[:] = [other for other in held if other["name"] != item["name"]]
    save(store, task)
    return {"updated": 1}
