"""A task's hyperparameters and configuration objects."""

from ..errors import invalid_task_status
from ..registry import endpoint
from ..schemas import CONFIGURATION, PARAMETER
from ..store import Document, Store
from .endpoints import complete_configuration, complete_parameters, editable_task, required_task, save

USER_PROPERTIES = "properties"  # a section that stays open in every state, and does not touch the task


def _check_open(task: Document, request: dict) -> None:
    if task["status"] not in ("created", "in_progress") and not request.get("force"):
        raise invalid_task_status(f"task {task['id']} is {task['status']}; use force=true to edit it")


@endpoint("tasks.get_hyper_params", "tasks")
def get_hyper_params(store: Store, request: dict) -> dict:
    params = []
    for task_id in request["tasks"]:
        sections = required_task(store, task_id)["hyperparams"]
        items = [item for section in sections.values() for item in section.values()]
        params.append({"task": task_id, "hyperparams": items})
    return {"params": params}


@endpoint("tasks.edit_hyper_params", "task", "hyperparams", hyperparams=[PARAMETER])
def edit_hyper_params(store: Store, request: dict) -> dict:
    task = editable_task(store, request["task"])
    items = request["hyperparams"]
    only_properties = all(item["section"] == USER_PROPERTIES for item in items)
    if not only_properties:
        _check_open(task, request)
    sections = task["hyperparams"]
    match request.get("replace_hyperparams"):
        case "all":
            sections.clear()
        case "section":
            for item in items:
                sections.pop(item["section"], None)
    for item in items:
        sections.setdefault(item["section"], {})[item["name"]] = item
    task["hyperparams"] = complete_parameters(sections)
    save(store, task, changed=not only_properties)
    return {"updated": 1}


@endpoint("tasks.delete_hyper_params", "task", "hyperparams", hyperparams=[{"section!": str, "name": str}])
def delete_hyper_params(store: Store, request: dict) -> dict:
    task = editable_task(store, request["task"])
    items = request["hyperparams"]
    if any(item["section"] != USER_PROPERTIES for item in items):
        _check_open(task, request)
    for item in items:
        section = task["hyperparams"].get(item["section"], {})
        if item.get("name"):
            section.pop(item["name"], None)
        if not item.get("name") or not section:
            task["hyperparams"].pop(item["section"], None)
    save(store, task)
    return {"deleted": 1}


@endpoint("tasks.get_configurations", "tasks")
def get_configurations(store: Store, request: dict) -> dict:
    names = request.get("names")
    answer = []
    for task_id in request["tasks"]:
        items = required_task(store, task_id)["configuration"].values()
        wanted = [item for item in items if not names or item["name"] in names]
        answer.append({"task": task_id, "configuration": wanted})
    return {"configurations": answer}


@endpoint("tasks.get_configuration_names", "tasks")
def get_configuration_names(store: Store, request: dict) -> dict:
    answer = []
    for task_id in request["tasks"]:
        names = list(required_task(store, task_id)["configuration"])
        if names or not request.get("skip_empty", True):
            answer.append({"task": task_id, "names": names})
    return {"configurations": answer}


@endpoint("tasks.edit_configuration", "task", "configuration", configuration=[CONFIGURATION])
def edit_configuration(store: Store, request: dict) -> dict:
    task = editable_task(store, request["task"])
    _check_open(task, request)
    held = {} if request.get("replace_configuration") else task["configuration"]
    given = {item["name"]: item for item in request["configuration"]}
    task["configuration"] = complete_configuration({**held, **given})
    save(store, task)
    return {"updated": 1}


@endpoint("tasks.delete_configuration", "task", "configuration", configuration=[str])
def delete_configuration(store: Store, request: dict) -> dict:
    task = editable_task(store, request["task"])
    _check_open(task, request)
    for name in request["configuration"]:
        task["configuration"].pop(name, None)
    save(store, task)
    return {"deleted": 1}
