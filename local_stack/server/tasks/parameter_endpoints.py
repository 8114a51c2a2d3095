"""A task's hyperparameters and configuration objects."""

from ..documents import Document
from ..registry import Service
from ..schemas import CONFIGURATION, PARAMETER
from ..store import Store
from .state import check_editable, complete_configuration, complete_parameters, save_task

USER_PROPERTIES = "properties"  # a section that may be edited in every state: that is no change of the task

service = Service()


@service.endpoint("tasks.get_hyper_params", "tasks")
def get_task_hyper_params(store: Store, request: Document) -> Document:
    params = []
    for task_id in request["tasks"]:
        sections = store.get_required("task", task_id)["hyperparams"]
        items = [item for section in sections.values() for item in section.values()]
        params.append({"task": task_id, "hyperparams": items})
    return {"params": params}


@service.endpoint("tasks.edit_hyper_params", "task", "hyperparams", hyperparams=[PARAMETER])
def edit_task_hyper_params(store: Store, request: Document) -> Document:
    task = store.edit("task", request["task"])
    items = request["hyperparams"]
    only_properties = all(item["section"] == USER_PROPERTIES for item in items)
    if not only_properties:
        check_editable(task, request)
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
    save_task(store, task, changed=not only_properties)
    return {"updated": 1}


@service.endpoint(
    "tasks.delete_hyper_params", "task", "hyperparams", hyperparams=[{"section!": str, "name": str}]
)
def delete_task_hyper_params(store: Store, request: Document) -> Document:
    task = store.edit("task", request["task"])
    items = request["hyperparams"]
    if any(item["section"] != USER_PROPERTIES for item in items):
        check_editable(task, request)
    for item in items:
        section = task["hyperparams"].get(item["section"], {})
        if item.get("name"):
            section.pop(item["name"], None)
        if not item.get("name") or not section:
            task["hyperparams"].pop(item["section"], None)
    save_task(store, task)
    return {"deleted": 1}


@service.endpoint("tasks.get_configurations", "tasks")
def get_task_configurations(store: Store, request: Document) -> Document:
    names = request.get("names")
    answer = []
    for task_id in request["tasks"]:
        items = store.get_required("task", task_id)["configuration"].values()
        wanted = [item for item in items if not names or item["name"] in names]
        answer.append({"task": task_id, "configuration": wanted})
    return {"configurations": answer}


@service.endpoint("tasks.get_configuration_names", "tasks")
def get_task_configuration_names(store: Store, request: Document) -> Document:
    answer = []
    for task_id in request["tasks"]:
        names = list(store.get_required("task", task_id)["configuration"])
        if names or not request.get("skip_empty", True):
            answer.append({"task": task_id, "names": names})
    return {"configurations": answer}


@service.endpoint("tasks.edit_configuration", "task", "configuration", configuration=[CONFIGURATION])
def edit_task_configuration(store: Store, request: Document) -> Document:
    task = store.edit("task", request["task"])
    check_editable(task, request)
    held = {} if request.get("replace_configuration") else task["configuration"]
    given = {item["name"]: item for item in request["configuration"]}
    task["configuration"] = complete_configuration({**held, **given})
    save_task(store, task)
    return {"updated": 1}


@service.endpoint("tasks.delete_configuration", "task", "configuration", configuration=[str])
def delete_task_configuration(store: Store, request: Document) -> Document:
    task = store.edit("task", request["task"])
    check_editable(task, request)
    for name in request["configuration"]:
        task["configuration"].pop(name, None)
    save_task(store, task)
    return {"deleted": 1}
