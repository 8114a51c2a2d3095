"""A task's hyperparameters and configuration objects."""

from collections.abc import Iterable

from ..documents import Document
from ..errors import ApiError, check_not_empty
from ..registry import Service
from ..schemas import CONFIGURATION, PARAMETER
from ..store import Store
from .state import check_open, complete_configuration, complete_parameters, save_task

USER_PROPERTIES = "properties"  # a section that may be edited in every state: that is no change of the task

service = Service()


def _tasks(store: Store, request: Document) -> list[Document]:
    """Return the tasks that the request names, each once."""
    check_not_empty(request, "tasks")
    return [store.get_required("task", task_id) for task_id in dict.fromkeys(request["tasks"])]


def _by_name(items: Iterable[Document]) -> list[Document]:
    return sorted(items, key=lambda item: (item.get("section", ""), item["name"]))


@service.endpoint("tasks.get_hyper_params", "tasks")
def get_task_hyper_params(store: Store, request: Document) -> Document:
    params = []
    for task in _tasks(store, request):
        items = [item for section in task["hyperparams"].values() for item in section.values()]
        params.append({"task": task["id"], "hyperparams": _by_name(items)})
    return {"params": params}


def _open_for(store: Store, request: Document) -> tuple[Document, list[Document], bool]:
    """Return a copy of the task, the parameters in the request, and whether all are user properties.

    Raise the API's error if the state of the task does not allow to change them.
    """
    check_not_empty(request, "hyperparams")
    task = store.edit("task", request["task"])
    items = [
        {**item, "section": USER_PROPERTIES} if item["section"].lower() == USER_PROPERTIES else item
        for item in request["hyperparams"]
    ]
    only_properties = all(item["section"] == USER_PROPERTIES for item in items)
    if not only_properties:
        check_open(task, request.get("force"))
    return task, items, only_properties


@service.endpoint("tasks.edit_hyper_params", "task", "hyperparams", hyperparams=[PARAMETER])
def edit_task_hyper_params(store: Store, request: Document) -> Document:
    task, items, only_properties = _open_for(store, request)
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
    save_task(store, task, updated=not only_properties)
    return {"updated": 1}


@service.endpoint(
    "tasks.delete_hyper_params", "task", "hyperparams", hyperparams=[{"section!": str, "name": str}]
)
def delete_task_hyper_params(store: Store, request: Document) -> Document:
    task, items, only_properties = _open_for(store, request)
    whole = {item["section"] for item in items if not item.get("name")}
    for item in items:
        if item.get("name") and item["section"] in whole:
            reason = f"{item['section']} is to be deleted whole and in part"
            raise ApiError(400, 15, f"Conflicting fields: {reason}")
        section = task["hyperparams"].get(item["section"], {})
        section.pop(item.get("name"), None)
        if not item.get("name") or not section:
            task["hyperparams"].pop(item["section"], None)
    save_task(store, task, updated=not only_properties)
    return {"deleted": 1}


@service.endpoint("tasks.get_configurations", "tasks")
def get_task_configurations(store: Store, request: Document) -> Document:
    names = request.get("names")
    answer = []
    for task in _tasks(store, request):
        wanted = [item for item in task["configuration"].values() if not names or item["name"] in names]
        answer.append({"task": task["id"], "configuration": _by_name(wanted)})
    return {"configurations": answer}


@service.endpoint("tasks.get_configuration_names", "tasks")
def get_task_configuration_names(store: Store, request: Document) -> Document:
    """Name the configurations of tasks that have any; empty ones are skipped unless they are asked for."""
    check_not_empty(request, "tasks")
    answer = []
    for task_id in dict.fromkeys(request["tasks"]):
        items = (store.get("task", task_id) or {}).get("configuration", {}).values()
        skip_empty = request.get("skip_empty", True)
        names = sorted(item["name"] for item in items if item.get("value") or not skip_empty)
        if names:
            answer.append({"task": task_id, "names": names})
    return {"configurations": answer}


@service.endpoint("tasks.edit_configuration", "task", "configuration", configuration=[CONFIGURATION])
def edit_task_configuration(store: Store, request: Document) -> Document:
    check_not_empty(request, "configuration")
    task = store.edit("task", request["task"])
    check_open(task, request.get("force"))
    held = {} if request.get("replace_configuration") else task["configuration"]
    given = {item["name"]: item for item in request["configuration"]}
    task["configuration"] = complete_configuration({**held, **given})
    save_task(store, task)
    return {"updated": 1}


@service.endpoint("tasks.delete_configuration", "task", "configuration", configuration=[str])
def delete_task_configuration(store: Store, request: Document) -> Document:
    check_not_empty(request, "configuration")
    task = store.edit("task", request["task"])
    check_open(task, request.get("force"))
    for name in request["configuration"]:
        task["configuration"].pop(name, None)
    save_task(store, task)
    return {"deleted": 1}
