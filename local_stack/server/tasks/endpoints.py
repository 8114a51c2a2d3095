"""The endpoints of tasks: made, found, cloned, and what they hold besides their parameters."""

from typing import Any

from ..documents import Document, present_fields
from ..listing import list_documents
from ..projects.state import find_or_create_project, project_to_move_to
from ..registry import Service
from ..store import Store
from . import state

MERGED = ("execution", "script", "models")  # one level deep; the other fields are replaced

service = Service()


@service.endpoint("tasks.create", "name", "type")
def create_task(store: Store, request: Document) -> Document:
    task = state.new_task(**state.settable_fields(store, request))
    if request.get("output_dest"):
        task["output"]["destination"] = request["output_dest"]
    store.put("task", task)
    return {"id": task["id"]}


@service.endpoint("tasks.validate", "name", "type")
def validate_task(store: Store, request: Document) -> Document:
    state.new_task(**state.settable_fields(store, request))
    return {}


@service.endpoint("tasks.clone", "task")
def clone_task(store: Store, request: Document) -> Document:
    """Make a new draft with the task's settings, and nothing of what its run made."""
    source = store.edit("task", request["task"])
    new_project = None
    project = source.get("project")
    if request.get("new_task_project"):
        project = store.get_required("project", request["new_task_project"])["id"]
    elif request.get("new_project_name"):
        project = find_or_create_project(store, request["new_project_name"])
        new_project = {"id": project, "name": request["new_project_name"]}
    execution = {key: value for key, value in source["execution"].items() if key != "queue"}
    execution["artifacts"] = [a for a in execution["artifacts"] if a.get("mode") == "input"]
    execution.update(request.get("execution_overrides", {}))
    input_models = request.get("new_task_input_models")
    system_tags = [tag for tag in source["system_tags"] if tag not in ("development", "archived")]

    def overridden(field: str, default: Any) -> Any:
        return request.get(f"new_task_{field}", default)

    task = state.new_task(
        overridden("name", f"Clone of {source['name']}"),
        source["type"],
        comment=overridden("comment", source["comment"]),
        parent=overridden("parent", source.get("parent")),
        project=project,
        tags=overridden("tags", source["tags"]),
        system_tags=overridden("system_tags", system_tags),
        hyperparams=state.complete_parameters(overridden("hyperparams", source["hyperparams"])),
        configuration=state.complete_configuration(overridden("configuration", source["configuration"])),
        container=overridden("container", source["container"]),
        script=source["script"],
        execution=execution,
        models={"input": source["models"]["input"] if input_models is None else input_models, "output": []},
        output={"destination": source["output"].get("destination", "")},
    )
    store.put("task", task)
    return {"id": task["id"], **({"new_project": new_project} if new_project else {})}


@service.endpoint("tasks.get_by_id", "task")
def get_task_by_id(store: Store, request: Document) -> Document:
    return {"task": store.get_required("task", request["task"])}


@service.endpoint("tasks.get_all")
def get_all_tasks(store: Store, request: Document) -> Document:
    return list_documents(store, "task", request)


@service.endpoint("tasks.get_all_ex")
@service.endpoint("tasks.get_by_id_ex", "id")
def get_all_tasks_joined(store: Store, request: Document) -> Document:
    return list_documents(store, "task", request, join=True)


@service.endpoint("tasks.get_types")
def get_task_types(store: Store, request: Document) -> Document:
    projects = set(request.get("projects") or [])
    tasks = [task for task in store.all("task") if not projects or task.get("project") in projects]
    return {"types": sorted({task["type"] for task in tasks})}


@service.endpoint("tasks.move", "ids")
def move_tasks(store: Store, request: Document) -> Document:
    project = project_to_move_to(store, request)
    for task_id in request["ids"]:
        state.save_task(store, {**store.get_required("task", task_id), "project": project})
    return {}


@service.endpoint("tasks.edit", "task")
def edit_task(store: Store, request: Document) -> Document:
    task = store.edit("task", request["task"])
    state.check_editable(task, request, ("created",))
    fields = state.settable_fields(store, request)
    for field in MERGED:
        if field in fields:
            fields[field] = {**task[field], **fields[field]}
    if "output_dest" in request:
        fields["output"] = {**task["output"], "destination": request["output_dest"]}
    task.update(fields)
    state.save_task(store, task)
    return {"updated": 1, "fields": {**fields, "last_update": task["last_update"]}}


@service.endpoint("tasks.update", "task")
def update_task(store: Store, request: Document) -> Document:
    """Rename, move, tag or comment a task, in any state."""
    task = store.edit("task", request["task"])
    allowed = ("name", "comment", "project", "tags", "system_tags")
    fields = state.settable_fields(store, present_fields(allowed, request))
    if "output__error" in request:
        fields["output"] = {**task["output"], "error": request["output__error"]}
    task.update(fields)
    state.save_task(store, task)
    return {"updated": 1, "fields": {**fields, "last_update": task["last_update"]}}


@service.endpoint("tasks.set_requirements", "task", "requirements")
def set_task_requirements(store: Store, request: Document) -> Document:
    task = store.edit("task", request["task"])
    task["script"]["requirements"] = request["requirements"]
    state.save_task(store, task)
    return {"updated": 1, "fields": {"script.requirements": request["requirements"]}}


def _artifact_key(artifact: Document) -> tuple[str, str]:
    return artifact["key"], artifact.get("mode") or "output"


@service.endpoint("tasks.add_or_update_artifacts", "task", "artifacts")
def add_or_update_task_artifacts(store: Store, request: Document) -> Document:
    """Add artifacts. One with the key and mode of an earlier one replaces it."""
    task = store.edit("task", request["task"])
    state.check_editable(task, request)
    held = {_artifact_key(artifact): artifact for artifact in task["execution"]["artifacts"]}
    for artifact in request["artifacts"]:
        held[_artifact_key(artifact)] = {"mode": "output", **artifact}
    task["execution"]["artifacts"] = list(held.values())
    state.save_task(store, task)
    return {"updated": 1}


@service.endpoint(
    "tasks.delete_artifacts", "task", "artifacts", artifacts=[{"key!": str, "mode": {"input", "output"}}]
)
def delete_task_artifacts(store: Store, request: Document) -> Document:
    task = store.edit("task", request["task"])
    gone = {_artifact_key(artifact) for artifact in request["artifacts"]}
    kept = [a for a in task["execution"]["artifacts"] if _artifact_key(a) not in gone]
    task["execution"]["artifacts"] = kept
    state.save_task(store, task)
    return {"deleted": 1}


@service.endpoint("tasks.add_or_update_model", "task", "name", "model", "type", type={"input", "output"})
def add_or_update_task_model(store: Store, request: Document) -> Document:
    """Add a model to the task's inputs or outputs. One of the same name is replaced."""
    task = store.edit("task", request["task"])
    store.get_required("model", request["model"])
    held = {item["name"]: item for item in task["models"][request["type"]]}
    held[request["name"]] = {"name": request["name"], "model": request["model"]}
    task["models"][request["type"]] = list(held.values())
    if "iteration" in request:
        task["last_iteration"] = max(task["last_iteration"], request["iteration"])
    state.save_task(store, task)
    return {"updated": 1}


@service.endpoint(
    "tasks.delete_models", "task", "models", models=[{"name!": str, "type!": {"input", "output"}}]
)
def delete_task_models(store: Store, request: Document) -> Document:
    task = store.edit("task", request["task"])
    for item in request["models"]:
        held = task["models"][item["type"]]
        held[:] = [other for other in held if other["name"] != item["name"]]
    state.save_task(store, task)
    return {"updated": 1}


def task_for_version(task: Document, version: tuple[int, int]) -> Document:
    """Return the task as clients of an older API expect it.

    Before 2.13 models were plain ids in `execution.model` and `output.model`, and the container's image and
    arguments were `execution.docker_cmd`; before 2.9 hyperparameters were flat, in `execution.parameters`.
    """
    if version >= (2, 13):
        return task
    execution = dict(task.get("execution") or {})
    output = dict(task.get("output") or {})
    models = task.get("models") or {}
    if models.get("input"):
        execution["model"] = models["input"][0]["model"]
    if models.get("output"):
        output["model"] = models["output"][-1]["model"]
    container = task.get("container") or {}
    if container.get("image"):
        execution["docker_cmd"] = f"{container['image']} {container.get('arguments') or ''}".strip()
    if version < (2, 9):
        execution["parameters"] = {
            name if section == "Args" else f"{section}/{name}": item.get("value")
            for section, items in (task.get("hyperparams") or {}).items()
            for name, item in items.items()
        }
    return {
        **task,
        **({"execution": execution} if execution else {}),
        **({"output": output} if output else {}),
    }
