"""Deleting a project, with or without the tasks and models in it."""

from .errors import ApiError
from .models import endpoints as models
from .projects.endpoints import below, contents, required_project
from .registry import endpoint
from .store import Document, Store
from .tasks import status_endpoints as lifecycle


@endpoint("projects.validate_delete", "project")
def validate_delete(store: Store, request: dict) -> dict:
    """What deleting the project would meet."""
    project = required_project(store, request["project"])
    tasks, its_models = contents(store, "task", project), contents(store, "model", project)
    return {
        "tasks": len(tasks),
        "non_archived_tasks": len(_in_use(tasks)),
        "models": len(its_models),
        "non_archived_models": len(_in_use(its_models)),
    }


def _in_use(documents: list[Document]) -> list[Document]:
    return [document for document in documents if "archived" not in document["system_tags"]]


@endpoint("projects.delete", "project")
def delete(store: Store, request: dict) -> dict:
    """Delete the project and those below it; what they hold goes too, or stays without a project."""
    project = required_project(store, request["project"])
    tasks, its_models = contents(store, "task", project), contents(store, "model", project)
    if not request.get("force"):
        if _in_use(tasks):
            raise ApiError(400, 402, "Project has associated tasks: use force=true to delete it")
        if _in_use(its_models):
            raise ApiError(400, 405, "Project has associated models: use force=true to delete it")
    erases = request.get("delete_contents")
    urls: dict[str, list[str]] = {"artifact_urls": [], "event_urls": [], "model_urls": []}
    if erases:
        for model in its_models:
            models.erase(store, model["id"])
            urls["model_urls"].append(model["uri"])
        for task in tasks:
            answer = lifecycle.delete(store, {"task": task["id"], "force": True})
            for kind, found in answer["urls"].items():
                urls[kind] += found
    else:
        for kind, documents in (("task", tasks), ("model", its_models)):
            for document in documents:
                store.put(kind, {**document, "project": None})
    deleted = below(store, project)
    for member in deleted:
        store.delete("project", member["id"])
    return {
        "deleted": len(deleted),
        "disassociated_tasks": 0 if erases else len(tasks),
        "deleted_tasks": len(tasks) if erases else 0,
        "deleted_models": len(its_models) if erases else 0,
        "urls": urls,
    }
