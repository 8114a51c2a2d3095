"""The endpoints of reports. A report is a hidden task of the type report in a project ".reports"."""

import textwrap
from typing import Any

from ..documents import Document, present_fields, set_archived
from ..errors import ApiError, check_name, invalid_task_status, missing_field, task_cannot_be_deleted
from ..events.endpoints import SAMPLES, compared_series, get_task_single_value_metrics
from ..events.sample_endpoints import get_debug_images, get_multi_task_plots
from ..listing import list_documents
from ..lists import as_list
from ..projects.state import REPORT, REPORTS, find_or_create_project, name_in, projects_below
from ..query import HIDDEN
from ..registry import Handler, Service
from ..schemas import FIELDS, METRIC, NATURAL
from ..store import Store, now
from ..tags import checked_tags
from ..tasks.state import change_status, new_task, remove_task, save_task

EDITABLE = ("name", "tags", "comment", "report", "report_assets")
ALWAYS_EDITABLE = {"tags", "name", "comment"}  # of a report that is published, too
TEXTS: dict[str, Any] = {"report": str, "report_assets": [str]}

service = Service()


def _report(store: Store, request: Document) -> Document:
    """Return a copy of the report that the request names."""
    task = store.edit("task", request["task"])
    if task["type"] != "report":
        raise ApiError(400, 150, f"Operation is supported on reports only: {task['id']} is a {task['type']}")
    return task


def _put(store: Store, task: Document, **fields: Any) -> None:
    """Change what is said of a report, and not the report itself."""
    store.put("task", {**task, **fields, "last_change": now()})


def _reports_project(store: Store, project_name: str) -> str:
    """Return the id of the project that holds the reports of a project, or of none for an empty name."""
    name = project_name.strip("/")
    if name.rpartition("/")[2] != REPORTS:
        name = name_in(name, REPORTS)
    return find_or_create_project(store, name, description="Reports project", system_tags=[REPORT, HIDDEN])


def _delete_if_empty(store: Store, project_id: str | None) -> None:
    """Delete a project of reports that holds none any more."""
    project = store.get("project", project_id)
    empty = not any(task.get("project") == project_id for task in store.all("task"))
    if project and project["basename"] == REPORTS and empty:
        store.delete("project", project["id"])


def _fields(request: Document) -> Document:
    """Return the report's fields in the request, once their values are checked."""
    fields = present_fields(EDITABLE, {**request, **checked_tags(request)})
    if "name" in fields:
        fields["name"] = check_name("report", fields["name"])
    return fields


@service.endpoint("reports.create", "name", **TEXTS)
def create_report(store: Store, request: Document) -> Document:
    name = store.get_required("project", request["project"])["name"] if request.get("project") else ""
    project = _reports_project(store, name)
    fields = {**_fields(request), "project": project, "system_tags": [HIDDEN, REPORT]}
    task = new_task(type="report", **fields)
    store.put("task", task)
    return {"id": task["id"], "project_id": project}


@service.endpoint("reports.update", "task", **TEXTS)
def update_report(store: Store, request: Document) -> Document:
    task = _report(store, request)
    fields = _fields(request)
    if not fields:
        return {"updated": 0}
    if task["status"] != "created" and not fields.keys() <= ALWAYS_EDITABLE:
        raise invalid_task_status(f"report {task['id']} is {task['status']}; only a draft's text changes")
    if fields.keys() <= ALWAYS_EDITABLE:
        _put(store, task, **fields)
    else:
        save_task(store, {**task, **fields})
    if "report" in fields:
        fields["report"] = textwrap.shorten(fields["report"], width=100)
    return {"updated": 1, "fields": fields}


@service.endpoint("reports.move", "task", project=(str, type(None)))
def move_report(store: Store, request: Document) -> Document:
    """Move a report to another project: by its id, by its name, or to none, for which `project` is null."""
    if "project" not in request and not request.get("project_name"):
        raise missing_field("project or project_name")
    task = _report(store, request)
    name = request.get("project_name") or ""
    if not name and request["project"]:
        name = store.get_required("project", request["project"])["name"]
    project = _reports_project(store, name)
    before = task.get("project")
    _put(store, task, project=project)
    _delete_if_empty(store, before)
    return {"project_id": project}


@service.endpoint("reports.publish", "task", message=str)
def publish_report(store: Store, request: Document) -> Document:
    reason = {"force": True, "status_message": request.get("message")}
    return change_status(store, _report(store, request), "published", reason, published=now())


def _set_archived(store: Store, request: Document, archived: bool) -> None:
    task = set_archived(_report(store, request), archived)
    _put(store, task, status_message=request.get("message", ""), status_reason="")


@service.endpoint("reports.archive", "task", message=str)
def archive_report(store: Store, request: Document) -> Document:
    _set_archived(store, request, True)
    return {"archived": 1}


@service.endpoint("reports.unarchive", "task", message=str)
def unarchive_report(store: Store, request: Document) -> Document:
    _set_archived(store, request, False)
    return {"unarchived": 1}


@service.endpoint("reports.delete", "task")
def delete_report(store: Store, request: Document) -> Document:
    task = _report(store, request)
    if task["status"] != "created" and "archived" not in task["system_tags"] and not request.get("force"):
        raise task_cannot_be_deleted(task["id"], f"is {task['status']} and not archived")
    remove_task(store, task["id"])
    _delete_if_empty(store, task.get("project"))
    return {"deleted": 1}


@service.endpoint("reports.get_tags")
def get_report_tags(store: Store, request: Document) -> Document:
    reports = [task for task in store.all("task") if task["type"] == "report"]
    return {"tags": sorted({tag for report in reports for tag in report["tags"]})}


@service.endpoint("reports.get_all_ex", project=(str, [(str, type(None))]))
def get_all_reports(store: Store, request: Document) -> Document:
    """List reports. A project stands for the reports that belong to it, and null for those of none."""
    wanted = {**request, "type": ["report"], "search_hidden": True}
    if request.get("project"):
        places = set(as_list(request["project"]))
        if request.get("include_subprojects"):
            places |= projects_below(store, places - {None}) or set()
        wanted["project"] = [
            project["id"]
            for project in store.all("project")
            if project["basename"] == REPORTS and places & {project["id"], project["parent"]}
        ]
        if not wanted["project"]:
            return {"tasks": []}
    wanted.pop("include_subprojects", None)
    return list_documents(store, "task", wanted, join=True)


METRICS = {"iters": NATURAL, "metrics": [METRIC]}
# What a report shows of tasks: what gives it, where in the answer it is, and its parameters.
SHOWN: dict[str, tuple[Handler, str, Document]] = {
    "debug_images": (get_debug_images, "metrics", METRICS),
    "plots": (get_multi_task_plots, "plots", {**METRICS, "last_iters_per_task_metric": bool}),
    "scalar_metrics_iter_histogram": (
        compared_series,
        "metrics",
        {"samples": SAMPLES, "key": FIELDS["key"], "metrics": [METRIC]},
    ),
    "single_value_metrics": (get_task_single_value_metrics, "tasks", {}),
}
SHOWN_SCHEMAS: Document = {name: schema for name, (_, _, schema) in SHOWN.items()}


@service.endpoint("reports.get_task_data", model_events=bool, **SHOWN_SCHEMAS)
def get_report_task_data(store: Store, request: Document) -> Document:
    """List tasks, or models, with what a report shows of them."""
    models = request.get("model_events", False)
    kind = "model" if models else "task"
    wanted = {key: value for key, value in request.items() if key not in SHOWN and key != "model_events"}
    answer = list_documents(store, kind, wanted, join=True)
    answer["tasks"] = answer.pop("models") if models else answer["tasks"]
    ids = [task["id"] for task in answer["tasks"]]
    for name, (give, key, _) in SHOWN.items():
        if name in request:
            asked = {**request[name], "tasks": ids, "model_events": models}
            if name == "debug_images":
                metrics = request[name].get("metrics") or [{}]
                asked["metrics"] = [{"task": task, **metric} for task in ids for metric in metrics]
            answer[name] = give(store, asked)[key]
    return answer
