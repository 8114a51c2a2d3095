"""The endpoints of projects, and the tags that are in use."""

from ..documents import Document, present_fields
from ..errors import ApiError, already_exists, validation_error
from ..listing import list_documents
from ..models.state import remove_model
from ..query import HIDDEN, PAGE_SIZE
from ..registry import Service
from ..store import Store, now
from ..tasks.state import remove_task
from . import state

EDITABLE = ("name", "description", "tags", "system_tags", "default_output_destination")

service = Service()


@service.endpoint("projects.create", "name")
def create_project(store: Store, request: Document) -> Document:
    if state.find_project(store, request["name"]):
        raise already_exists("project", request["name"])
    fields = {key: request.get(key) for key in EDITABLE if key != "name"}
    return {"id": state.find_or_create_project(store, request["name"], **fields)}


@service.endpoint("projects.get_by_id", "project")
def get_project_by_id(store: Store, request: Document) -> Document:
    return {"project": store.get_required("project", request["project"])}


@service.endpoint("projects.get_all")
def get_all_projects(store: Store, request: Document) -> Document:
    return _list_projects(store, request)


@service.endpoint("projects.get_all_ex")
def get_all_projects_joined(store: Store, request: Document) -> Document:
    answer = _list_projects(store, request, join=True)
    if not request.get("search_hidden"):
        return answer
    hidden = {project["id"] for project in store.all("project") if HIDDEN in project["system_tags"]}
    marked = [
        {**project, "hidden": True} if project["id"] in hidden else project for project in answer["projects"]
    ]
    return {**answer, "projects": marked}


def _list_projects(store: Store, request: Document, join: bool = False) -> Document:
    """List projects. A `parent` is any project above them, with `shallow_search` the next one alone."""
    request = {key: value for key, value in request.items() if key != "path"}
    if request.get("shallow_search"):
        return list_documents(store, "project", {"parent": [None], **request}, join)
    if "parent" not in request:
        return list_documents(store, "project", request, join)
    request["path"] = request.pop("parent")
    with_paths = [{**project, "path": state.path_to(store, project)} for project in store.all("project")]
    answer = list_documents(store, "project", request, join, with_paths)
    for project in answer["projects"]:
        project.pop("path", None)
    return answer


@service.endpoint("projects.update", "project")
def update_project(store: Store, request: Document) -> Document:
    project = store.get_required("project", request["project"])
    fields = present_fields(EDITABLE, request)
    name = fields.pop("name", project["name"])
    if name != project["name"]:
        state.rename_project(store, project, name)
    fields["last_update"] = now()
    store.put("project", {**store.get_required("project", project["id"]), **fields})
    return {"updated": 1, "fields": fields}


@service.endpoint("projects.move", "project", "new_location")
def move_project(store: Store, request: Document) -> Document:
    project = store.get_required("project", request["project"])
    location = request["new_location"].strip("/")
    state.rename_project(
        store, project, f"{location}/{project['basename']}" if location else project["basename"]
    )
    return {"moved": len(state.with_subprojects(store, store.get_required("project", project["id"])))}


@service.endpoint("projects.merge", "project", "destination_project")
def merge_project(store: Store, request: Document) -> Document:
    source = store.get_required("project", request["project"])
    target = store.get_required("project", request["destination_project"])
    if source["id"] == target["id"]:
        raise validation_error("a project cannot merge into itself")
    entities = 0
    for kind in ("task", "model"):
        for document in store.all(kind):
            if document.get("project") == source["id"]:
                store.put(kind, {**document, "project": target["id"]})
                entities += 1
    children = [project for project in store.all("project") if project["parent"] == source["id"]]
    for child in children:
        state.rename_project(store, child, f"{target['name']}/{child['basename']}")
    store.delete("project", source["id"])
    return {"moved_entities": entities, "moved_projects": len(children)}


@service.endpoint("projects.validate_delete", "project")
def validate_project_delete(store: Store, request: Document) -> Document:
    """Count what is in the project that would be deleted."""
    project = store.get_required("project", request["project"])
    tasks, models = state.contents(store, "task", project), state.contents(store, "model", project)
    return {
        "tasks": len(tasks),
        "non_archived_tasks": len(_in_use(tasks)),
        "models": len(models),
        "non_archived_models": len(_in_use(models)),
    }


def _in_use(documents: list[Document]) -> list[Document]:
    return [document for document in documents if "archived" not in document["system_tags"]]


@service.endpoint("projects.delete", "project")
def delete_project(store: Store, request: Document) -> Document:
    """Delete the project and those below it. Their contents go too, or stay without a project."""
    project = store.get_required("project", request["project"])
    tasks, models = state.contents(store, "task", project), state.contents(store, "model", project)
    if not request.get("force"):
        if _in_use(tasks):
            raise ApiError(400, 402, "Project has associated tasks: use force=true to delete it")
        if _in_use(models):
            raise ApiError(400, 405, "Project has associated models: use force=true to delete it")
    with_contents = request.get("delete_contents")
    urls: dict[str, list[str]] = {"artifact_urls": [], "event_urls": [], "model_urls": []}
    if with_contents:
        for model in models:
            remove_model(store, model["id"])
            urls["model_urls"].append(model["uri"])
        for task in tasks:
            for kind, found in remove_task(store, task["id"])["urls"].items():
                urls[kind] += found
    else:
        for kind, documents in (("task", tasks), ("model", models)):
            for document in documents:
                store.put(kind, {**document, "project": None})
    deleted = state.with_subprojects(store, project)
    for member in deleted:
        store.delete("project", member["id"])
    return {
        "deleted": len(deleted),
        "disassociated_tasks": 0 if with_contents else len(tasks),
        "deleted_tasks": len(tasks) if with_contents else 0,
        "deleted_models": len(models) if with_contents else 0,
        "urls": urls,
    }


def _tags(documents: list[Document], request: Document) -> Document:
    """List the tags in use among the documents of the projects that the request names (none: all)."""
    projects = set(request.get("projects") or [])
    chosen = [document for document in documents if not projects or document.get("project") in projects]
    answer = {"tags": sorted({tag for document in chosen for tag in document.get("tags") or []})}
    if request.get("include_system"):
        answer["system_tags"] = sorted({tag for d in chosen for tag in d.get("system_tags") or []})
    return answer


@service.endpoint("projects.get_task_tags")
def get_task_tags(store: Store, request: Document) -> Document:
    return _tags(store.all("task"), request)


@service.endpoint("projects.get_model_tags")
def get_model_tags(store: Store, request: Document) -> Document:
    return _tags(store.all("model"), request)


@service.endpoint("projects.get_project_tags")
def get_project_tags(store: Store, request: Document) -> Document:
    return _tags(store.all("project"), request)


@service.endpoint("organization.get_tags")
def get_organization_tags(store: Store, request: Document) -> Document:
    return _tags(store.all("task") + store.all("model") + store.all("project"), request)


@service.endpoint("projects.get_unique_metric_variants")
def get_unique_metric_variants(store: Store, request: Document) -> Document:
    """List every (metric, variant) that the tasks of the project have reported as scalars."""
    wanted = request.get("project")
    found = {
        (last["metric"], last["variant"], metric_hash, variant_hash)
        for task in store.all("task")
        if not wanted or task.get("project") == wanted
        for metric_hash, variants in task["last_metrics"].items()
        for variant_hash, last in variants.items()
    }
    keys = ("metric", "variant", "metric_hash", "variant_hash")
    return {"metrics": [dict(zip(keys, entry, strict=True)) for entry in sorted(found)]}


@service.endpoint("projects.get_hyper_parameters", "project")
def get_project_hyper_parameters(store: Store, request: Document) -> Document:
    """List the sections and names of the hyperparameters of the project's tasks."""
    project = store.get_required("project", request["project"])
    deep = request.get("include_subprojects", True)
    names = sorted(
        {
            (section, name)
            for task in state.contents(store, "task", project)
            if deep or task["project"] == project["id"]
            for section, items in task["hyperparams"].items()
            for name in items
        }
    )
    size = request.get("page_size") or PAGE_SIZE
    start = request.get("page", 0) * size
    page = [{"section": section, "name": name} for section, name in names[start : start + size]]
    return {"parameters": page, "remaining": max(0, len(names) - start - size), "total": len(names)}
