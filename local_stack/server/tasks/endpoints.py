"""The endpoints of tasks: made, found, cloned, and what they hold besides their parameters."""

from ..documents import Document, present_fields
from ..errors import check_not_empty, invalid_task_status
from ..listing import list_documents
from ..models.state import DELETED
from ..projects.state import find_or_create_project, project_to_move_to, projects_below, touch_project
from ..registry import Service
from ..schemas import EXECUTION, Map
from ..store import Store
from ..tags import checked_tags, edit_tags
from . import state

MERGED = ("execution", "script", "models")  # one level deep; the other fields are replaced

service = Service()


def _new_task(store: Store, request: Document) -> Document:
    task = state.new_task(**state.settable_fields(store, request))
    if request.get("output_dest"):
        task["output"]["destination"] = request["output_dest"]
    state.check_references(store, task, "models")
    return task


@service.endpoint("tasks.create", "name", "type")
def create_task(store: Store, request: Document) -> Document:
    task = _new_task(store, request)
    store.put("task", task)
    touch_project(store, task.get("project"))
    return {"id": task["id"]}


@service.endpoint("tasks.validate", "name", "type")
def validate_task(store: Store, request: Document) -> Document:
    _new_task(store, request)
    return {}


@service.endpoint("tasks.clone", "task", execution_overrides={**EXECUTION, "model_labels": Map(float)})
def clone_task(store: Store, request: Document) -> Document:
    """Make a new draft with the task's settings, and nothing of what its run made."""
    source = store.edit("task", request["task"])
    # What is empty in the request counts as not given, too.
    given = {
        key.removeprefix("new_task_"): value
        for key, value in request.items()
        if key.startswith("new_task_") and value
    }
    given |= checked_tags(given)
    new_project = None
    if not given.get("project") and request.get("new_project_name"):
        given["project"] = find_or_create_project(store, request["new_project_name"])
        new_project = {"id": given["project"], "name": request["new_project_name"]}
    overrides = {"execution": request.get("execution_overrides") or {}}
    if "container" in given:
        overrides["container"] = given["container"]
    for field in ("hyperparams", "configuration"):
        if field in given:
            overrides[field] = given[field]
    overrides |= state.execution_fields(overrides, source)
    if "model_labels" in overrides["execution"]:
        labels = overrides["execution"]["model_labels"]
        overrides["execution"]["model_labels"] = {label: int(number) for label, number in labels.items()}
    execution = {**source["execution"], **overrides["execution"]}
    execution.pop("queue", None)
    execution["artifacts"] = [a for a in execution["artifacts"] if a.get("mode") == "input"]
    models = given.get("input_models") or overrides.get("models", {}).get("input")
    system_tags = [tag for tag in source["system_tags"] if tag not in (state.DEVELOPMENT, "archived")]
    parent = source.get("parent")
    task = state.new_task(
        str(given.get("name", source["name"])),
        source["type"],
        comment=given.get("comment", source["comment"]),
        parent=given.get("parent") or (parent if parent and not parent.startswith(DELETED) else source["id"]),
        project=given.get("project", source.get("project")),
        tags=given.get("tags", source["tags"]),
        system_tags=given.get("system_tags", system_tags),
        hyperparams=state.complete_parameters(overrides.get("hyperparams") or source["hyperparams"]),
        configuration=state.complete_configuration(overrides.get("configuration") or source["configuration"]),
        container=overrides.get("container") or source["container"],
        script=source["script"],
        execution=execution,
        models={"input": models or source["models"]["input"], "output": []},
        output={"destination": source["output"].get("destination", "")},
    )
    every = request.get("validate_references")
    checked = {"project": given.get("project"), "parent": given.get("parent"), "models": models}
    state.check_references(store, task, *(field for field, value in checked.items() if every or value))
    store.put("task", task)
    touch_project(store, task.get("project"))
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
    inside = projects_below(store, request.get("projects"))
    tasks = [task for task in store.all("task") if inside is None or task.get("project") in inside]
    return {"types": sorted({task["type"] for task in tasks})}


@service.endpoint("tasks.move", "ids", project=(str, type(None)))
def move_tasks(store: Store, request: Document) -> Document:
    check_not_empty(request, "ids")
    project = project_to_move_to(store, request)
    for task_id in request["ids"]:
        task = store.get_required("task", task_id)
        touch_project(store, task.get("project"))
        state.save_task(store, {**task, "project": project}, updated=False)
    touch_project(store, project)
    return {"project_id": project}


@service.endpoint("tasks.edit", "task", status=set(state.TRANSITIONS))
def edit_task(store: Store, request: Document) -> Document:
    task = store.edit("task", request["task"])
    if task["status"] != "created" and not request.get("force"):
        raise invalid_task_status(f"task {task['id']} is {task['status']}; use force=true to edit it")
    fields = {**state.settable_fields(store, request, task), **present_fields(["status"], request)}
    for field in MERGED:
        if field in fields:
            fields[field] = {**task[field], **fields[field]}
    if "output_dest" in request:
        fields["output"] = {**task["output"], "destination": request["output_dest"]}
    if "models" in fields:
        state.check_references(store, fields, "models")
    return _changed(store, task, fields, updated=not fields.keys() <= state.DESCRIPTIVE)


@service.endpoint("tasks.update", "task")
def update_task(store: Store, request: Document) -> Document:
    """Rename, move, tag or comment a task, in any state."""
    task = store.edit("task", request["task"])
    fields = state.settable_fields(store, present_fields(state.DESCRIPTIVE, request))
    fields |= present_fields(["status_message"], request)
    if "output__error" in request:
        fields["output"] = {**task["output"], "error": request["output__error"]}
    return _changed(store, task, fields, updated=False)


def _changed(store: Store, task: Document, fields: Document, updated: bool) -> Document:
    """Store the task with its new fields, and return the answer to who changed them."""
    if not fields:
        return {"updated": 0, "fields": {}}
    task.update(fields)
    state.save_task(store, task, updated)
    touch_project(store, task.get("project"))
    times = ("last_change", "last_update") if updated else ("last_change",)
    return {"updated": 1, "fields": {**fields, **present_fields(times, task)}}


@service.endpoint("tasks.update_tags", "ids", add_tags=[str], remove_tags=[str])
def update_task_tags(store: Store, request: Document) -> Document:
    for task_id in request["ids"]:
        store.get_required("task", task_id)
    return {"updated": edit_tags(store, "task", request)}


@service.endpoint("tasks.set_requirements", "task", "requirements")
def set_task_requirements(store: Store, request: Document) -> Document:
    task = store.edit("task", request["task"])
    task["script"]["requirements"] = request["requirements"]
    state.save_task(store, task)
    return {"updated": 1, "fields": {"script.requirements": request["requirements"]}}


@service.endpoint("tasks.add_or_update_artifacts", "task", "artifacts")
def add_or_update_task_artifacts(store: Store, request: Document) -> Document:
    """Add artifacts. One with the key and mode of an earlier one replaces it."""
    check_not_empty(request, "artifacts")
    task = store.edit("task", request["task"])
    state.check_open(task, force=True)
    held = [*task["execution"]["artifacts"], *request["artifacts"]]
    task["execution"]["artifacts"] = state.sorted_artifacts(held)
    state.save_task(store, task)
    return {"updated": 1}


@service.endpoint(
    "tasks.delete_artifacts", "task", "artifacts", artifacts=[{"key!": str, "mode": {"input", "output"}}]
)
def delete_task_artifacts(store: Store, request: Document) -> Document:
    check_not_empty(request, "artifacts")
    task = store.edit("task", request["task"])
    state.check_open(task, force=True)
    gone = {state.artifact_key(artifact) for artifact in request["artifacts"]}
    kept = [a for a in task["execution"]["artifacts"] if state.artifact_key(a) not in gone]
    task["execution"]["artifacts"] = kept
    state.save_task(store, task)
    return {"deleted": 1}


@service.endpoint("tasks.add_or_update_model", "task", "name", "model", "type", type={"input", "output"})
def add_or_update_task_model(store: Store, request: Document) -> Document:
    """Add a model to the task's inputs or outputs. One of the same name is replaced."""
    task = store.edit("task", request["task"])
    state.check_open(task, force=True)
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
    check_not_empty(request, "models")
    task = store.edit("task", request["task"])
    state.check_open(task, force=True)
    for item in request["models"]:
        held = task["models"][item["type"]]
        held[:] = [other for other in held if other["name"] != item["name"]]
    state.save_task(store, task, updated=False)
    return {"updated": 1}
