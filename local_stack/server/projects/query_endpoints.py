"""What the tasks, models and projects of a project have: their tags, parameters, metrics, users, parents."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from ..documents import Document
from ..query import PAGE_SIZE, Fields, fitting, page_of
from ..registry import Service
from ..store import Store
from ..users.state import find_user
from .state import projects_below

TERMS = [(str, type(None))]
TAG_FILTER = {"tags": TERMS, "system_tags": TERMS}

service = Service()


def _in_projects(store: Store, kind: str, projects: list[str] | None, request: Document) -> list[Document]:
    """Return the tasks or models of the projects and those below them; of all projects if none is named.

    Without the projects below, naming none means what is in no project.
    """
    documents = store.all(kind)
    places: AbstractSet[str | None] | None
    if request.get("include_subprojects") is not False:
        places = projects_below(store, projects)
    else:
        places = {None} if projects is None else set(projects) or None
    return documents if places is None else [d for d in documents if d.get("project") in places]


def _named(request: Document) -> list[str] | None:
    """Return the project that the request names, if any."""
    return [request["project"]] if request.get("project") else None


# Tags


def tags_of(documents: list[Document], request: Document) -> Document:
    """List the tags in use among those of the documents that pass the request's filter."""
    conditions = {field: terms for field, terms in request.get("filter", {}).items() if terms}
    chosen = fitting(documents, conditions, Fields(patterns=(), lists=("tags", "system_tags")))
    answer = {"tags": sorted({tag for document in chosen for tag in document.get("tags") or []})}
    if request.get("include_system"):
        answer["system_tags"] = sorted({tag for d in chosen for tag in d.get("system_tags") or []})
    return answer


@service.endpoint("projects.get_task_tags", filter=TAG_FILTER)
def get_task_tags(store: Store, request: Document) -> Document:
    return tags_of(_in_projects(store, "task", request.get("projects"), {}), request)


@service.endpoint("projects.get_model_tags", filter=TAG_FILTER)
def get_model_tags(store: Store, request: Document) -> Document:
    return tags_of(_in_projects(store, "model", request.get("projects"), {}), request)


@service.endpoint("projects.get_project_tags", filter=TAG_FILTER)
def get_project_tags(store: Store, request: Document) -> Document:
    inside = projects_below(store, request.get("projects"))
    projects = [project for project in store.all("project") if inside is None or project["id"] in inside]
    return {"system_tags": [], **tags_of(projects, request)}


# Metrics, parameters and metadata


@service.endpoint("projects.get_unique_metric_variants", model_metrics=bool)
def get_unique_metric_variants(store: Store, request: Document) -> Document:
    """List every (metric, variant) that the tasks, or the models, have reported as scalars."""
    kind, ids = "model" if request.get("model_metrics") else "task", set(request.get("ids") or ())
    found = {
        (last["metric"], last["variant"], metric_hash, variant_hash)
        for document in _in_projects(store, kind, _named(request), request)
        if not ids or document["id"] in ids
        for metric_hash, variants in (document.get("last_metrics") or {}).items()
        for variant_hash, last in variants.items()
    }
    keys = ("metric", "variant", "metric_hash", "variant_hash")
    return {"metrics": [dict(zip(keys, entry, strict=True)) for entry in sorted(found)]}


def _page(found: list[Any], request: Document) -> tuple[list[Any], Document]:
    """Return a page of what was found, and how much there is."""
    size = request.get("page_size") or PAGE_SIZE
    start = request.get("page", 0) * size
    counts = {"total": len(found), "remaining": max(0, len(found) - start - size)}
    return found[start : start + size], counts


@service.endpoint("projects.get_hyper_parameters")
def get_project_hyper_parameters(store: Store, request: Document) -> Document:
    """List the sections and names of the hyperparameters of a project's tasks, or of all tasks."""
    if request.get("project"):
        store.get_required("project", request["project"])
    names = {
        (section, name)
        for task in _in_projects(store, "task", _named(request), request)
        for section, items in task["hyperparams"].items()
        for name in items
    }
    page, counts = _page(sorted(names), request)
    return {"parameters": [{"section": section, "name": name} for section, name in page], **counts}


@service.endpoint("projects.get_model_metadata_keys")
def get_model_metadata_keys(store: Store, request: Document) -> Document:
    models = _in_projects(store, "model", _named(request), request)
    page, counts = _page(sorted({key for model in models for key in model["metadata"]}), request)
    return {"keys": page, **counts}


def _values(items: Iterable[Mapping[str, Any] | None], request: Document) -> Document:
    """List the values of parameters or metadata, each once, ordered and paged as lists of documents are."""
    values = {item.get("value") for item in items if item}
    path = "hyperparams.value"  # as values of hyperparameters are ordered: run2 before run10
    found = [{"id": value, "hyperparams": {"value": value}} for value in values if value is not None]
    wanted: Document = {"order_by": [path]}
    if request.get("pattern"):
        wanted["_any_"] = {"fields": [path], "pattern": request["pattern"]}
    page = [item["id"] for item in page_of(fitting(found, wanted, Fields()), request)]
    return {"total": len(page), "values": page}


@service.endpoint("projects.get_hyperparam_values", "section", "name", pattern=str)
def get_hyperparam_values(store: Store, request: Document) -> Document:
    section, name = request["section"], request["name"]
    tasks = _in_projects(store, "task", request.get("projects", []), request)
    return _values((task["hyperparams"].get(section, {}).get(name) for task in tasks), request)


@service.endpoint("projects.get_model_metadata_values", "key", key=str)
def get_model_metadata_values(store: Store, request: Document) -> Document:
    models = _in_projects(store, "model", request.get("projects", []), request)
    return _values((model["metadata"].get(request["key"]) for model in models), request)


# People and parents


@service.endpoint("projects.get_user_names", entity={"task", "model"})
def get_user_names(store: Store, request: Document) -> Document:
    """List who made the tasks, or the models, of the projects."""
    documents = _in_projects(store, request.get("entity", "task"), request.get("projects", []), request)
    users = {document["user"] for document in documents}
    user = find_user(store)
    return {"users": [{"id": user["id"], "name": user["name"]}] if user["id"] in users else []}


@service.endpoint("projects.get_task_parents", tasks_state={"active", "archived"}, task_name=str)
def get_task_parents(store: Store, request: Document) -> Document:
    """List the tasks that those of the projects were made from, by their names."""
    wanted = request.get("tasks_state")
    keys = {
        task["parent"]
        for task in _in_projects(store, "task", request.get("projects", []), request)
        if task.get("parent")
        if wanted is None or ("archived" in task["system_tags"]) == (wanted == "archived")
    }
    parents = [parent for parent in (store.get("task", key) for key in keys) if parent]
    if request.get("task_name"):
        parents = fitting(parents, {"name": request["task_name"]}, Fields())
    answer = []
    for parent in sorted(parents, key=lambda task: (task["name"], task["id"])):
        item = {"id": parent["id"], "name": parent["name"]}
        if project := store.get("project", parent.get("project")):
            item["project"] = {"id": project["id"], "name": project["name"]}
        answer.append(item)
    return {"parents": answer}
