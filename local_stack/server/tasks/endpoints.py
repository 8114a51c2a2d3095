"""A task's document: how one is made, found, cloned and listed."""

from typing import Any

from ..auth import COMPANY, USER
from ..errors import check_name, invalid_task_id, validation_error
from ..projects.endpoints import get_or_create, project_id_for, required_project
from ..query import next_scroll, search
from ..registry import endpoint
from ..store import Document, Store, new_id, now

TYPES = {
    "training", "testing", "inference", "data_processing", "application", "monitor", "controller",
    "optimizer", "service", "qc", "custom", "report", "dataset_import", "annotation",
    "annotation_manual",
}  # fmt: skip

FIELDS = {
    "id", "name", "user", "company", "type", "status", "comment", "created", "started", "completed",
    "published", "parent", "project", "output", "execution", "models", "container", "tags", "system_tags",
    "script", "hyperparams", "configuration", "runtime", "status_changed", "status_message", "status_reason",
    "last_update", "last_change", "last_iteration", "last_worker", "last_worker_report", "last_metrics",
    "active_duration",
}  # fmt: skip

# What a request may set on a new task besides its name and type.
SETTABLE = (
    "comment", "parent", "project", "execution", "script", "hyperparams", "configuration", "container",
    "models", "tags", "system_tags", "runtime",
)  # fmt: skip


def required_task(store: Store, task_id: Any) -> Document:
    task = store.get("task", task_id)
    if task is None:
        raise invalid_task_id(task_id)
    return task


def editable_task(store: Store, task_id: Any) -> Document:
    required_task(store, task_id)
    return store.edit("task", task_id)


def save(store: Store, task: Document, changed: bool = True) -> None:
    """Put the task back; `changed` marks its content as touched just now."""
    if changed:
        task["last_update"] = task["last_change"] = now()
    store.put("task", task)


def check_type(kind: str) -> None:
    if kind not in TYPES:
        raise validation_error(f"{kind!r} is no type of task; the types are {', '.join(sorted(TYPES))}")


def new_task(name: str, kind: str, **fields) -> Document:
    """A task in the state "created", with every container that clients expect to find in it."""
    check_name("task", name)
    check_type(kind)
    created = now()
    task = {
        "id": new_id(),
        "name": name,
        "type": kind,
        "user": USER["id"],
        "company": COMPANY["id"],
        "status": "created",
        "status_reason": "",
        "status_message": "",
        "status_changed": created,
        "created": created,
        "last_update": created,
        "last_change": created,
        "last_iteration": 0,
        "last_metrics": {},
        "comment": "",
        "tags": [],
        "system_tags": [],
        "output": {"destination": ""},
        "runtime": {},
        "configuration": {},
        "hyperparams": {},
        "container": {},
        **{key: value for key, value in fields.items() if value is not None},
    }
    task["script"] = {"binary": "python", "repository": "", "requirements": {}, **(task.get("script") or {})}
    task["execution"] = {"artifacts": [], **(task.get("execution") or {})}
    task["models"] = {"input": [], "output": [], **(task.get("models") or {})}
    return task


def settable_fields(store: Store, request: dict) -> dict:
    """The fields of the request that a task may hold, with what they refer to checked."""
    fields = {key: request[key] for key in SETTABLE if key in request}
    if fields.get("project"):
        required_project(store, fields["project"])
    if "hyperparams" in fields:
        fields["hyperparams"] = complete_parameters(fields["hyperparams"])
    if "configuration" in fields:
        fields["configuration"] = complete_configuration(fields["configuration"])
    return fields


def complete_parameters(sections: dict) -> dict:
    """Hyperparameters by section and name, each of which also says what it is called itself."""
    return {
        section: {name: {**_texts(item), "section": section, "name": name} for name, item in items.items()}
        for section, items in sections.items()
    }


def complete_configuration(items: dict) -> dict:
    return {name: {**_texts(item), "name": name} for name, item in items.items()}


def _texts(item: dict) -> dict:
    return {key: str(value) for key, value in item.items()}


@endpoint("tasks.create", "name", "type")
def create(store: Store, request: dict) -> dict:
    task = new_task(request["name"], request["type"], **settable_fields(store, request))
    if request.get("output_dest"):
        task["output"]["destination"] = request["output_dest"]
    store.put("task", task)
    return {"id": task["id"]}


@endpoint("tasks.validate", "name", "type")
def validate(store: Store, request: dict) -> dict:
    new_task(request["name"], request["type"], **settable_fields(store, request))
    return {}


@endpoint("tasks.clone", "task")
def clone(store: Store, request: dict) -> dict:
    """A new draft of the task: what it was told to do, and nothing of what it did."""
    source = store.edit("task", required_task(store, request["task"])["id"])
    new_project = None
    project = source.get("project")
    if request.get("new_task_project"):
        project = required_project(store, request["new_task_project"])["id"]
    elif request.get("new_project_name"):
        project = get_or_create(store, request["new_project_name"])
        new_project = {"id": project, "name": request["new_project_name"]}
    execution = {key: value for key, value in source["execution"].items() if key != "queue"}
    execution["artifacts"] = [a for a in execution["artifacts"] if a.get("mode") == "input"]
    execution.update(request.get("execution_overrides", {}))
    input_models = request.get("new_task_input_models")
    system_tags = [tag for tag in source["system_tags"] if tag not in ("development", "archived")]

    def overridden(field: str, default: Any) -> Any:
        return request.get(f"new_task_{field}", default)

    task = new_task(
        overridden("name", f"Clone of {source['name']}"),
        source["type"],
        comment=overridden("comment", source["comment"]),
        parent=overridden("parent", source.get("parent")),
        project=project,
        tags=overridden("tags", source["tags"]),
        system_tags=overridden("system_tags", system_tags),
        hyperparams=complete_parameters(overridden("hyperparams", source["hyperparams"])),
        configuration=complete_configuration(overridden("configuration", source["configuration"])),
        container=overridden("container", source["container"]),
        script=source["script"],
        execution=execution,
        models={"input": source["models"]["input"] if input_models is None else input_models, "output": []},
        output={"destination": source["output"].get("destination", "")},
    )
    store.put("task", task)
    return {"id": task["id"], **({"new_project": new_project} if new_project else {})}


@endpoint("tasks.get_by_id", "task")
def get_by_id(store: Store, request: dict) -> dict:
    return {"task": required_task(store, request["task"])}


@endpoint("tasks.get_all")
def get_all(store: Store, request: dict) -> dict:
    found = search(store.all("task"), request, FIELDS)
    return {"tasks": found, "scroll_id": next_scroll(request, len(found))}


@endpoint("tasks.get_types")
def get_types(store: Store, request: dict) -> dict:
    projects = set(request.get("projects") or [])
    tasks = [task for task in store.all("task") if not projects or task.get("project") in projects]
    return {"types": sorted({task["type"] for task in tasks})}


@endpoint("tasks.move", "ids")
def move(store: Store, request: dict) -> dict:
    project = project_id_for(store, request)
    for task_id in request["ids"]:
        save(store, {**required_task(store, task_id), "project": project})
    return {}


def for_version(task: dict, version: tuple[int, int]) -> dict:
    """The task as clients that ask for an older API expect it.

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
