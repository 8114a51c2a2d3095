"""Projects that are deleted: what stands against it, and what becomes of their contents."""

from dataclasses import dataclass

from ..documents import Document
from ..errors import ApiError
from ..events.state import delete_events
from ..models.state import DELETED
from ..queues.state import set_entries
from ..store import Store, now
from . import state


@dataclass(frozen=True)
class Contents:
    """What is in a project and below it. What belongs to a pipeline or a dataset is in their lists alone."""

    pipeline_runs: list[Document]
    dataset_versions: list[Document]
    tasks: list[Document]
    reports: list[Document]
    models: list[Document]


def contents_of(store: Store, project: Document) -> Contents:
    members = state.with_subprojects(store, project)
    pipelines, datasets = (
        {p["id"] for p in members if tag in p["system_tags"] and p["basename"] != folder}
        for tag, folder in ((state.PIPELINE, state.PIPELINES), (state.DATASET, state.DATASETS))
    )
    tasks, models = state.contents(store, "task", project), state.contents(store, "model", project)
    others = [task for task in tasks if task["project"] not in pipelines | datasets]
    return Contents(
        [task for task in tasks if task["project"] in pipelines and task["type"] == "controller"],
        [task for task in tasks if task["project"] in datasets],
        [task for task in others if state.REPORT not in task["system_tags"]],
        [task for task in others if state.REPORT in task["system_tags"]],
        [model for model in models if model["project"] not in pipelines | datasets],
    )


def in_use(documents: list[Document]) -> list[Document]:
    return [document for document in documents if "archived" not in document["system_tags"]]


def check_unused(held: Contents, project: Document) -> None:
    """Raise the API's error if the project holds anything that is not archived."""
    for documents, subcode, kind in (
        (held.pipeline_runs, 413, "pipelines"),
        (held.dataset_versions, 406, "datasets"),
        (held.tasks + held.reports, 402, "tasks"),
        (held.models, 405, "models"),
    ):
        if in_use(documents):
            raise ApiError(400, subcode, f"Project {project['name']!r} has {kind}: use force=true")


def delete_contents(store: Store, tasks: list[Document], models: list[Document]) -> Document:
    """Delete tasks and models with their events, and return the addresses of their files.

    One pass over the others takes away what they say of them: it does not matter how many are deleted.
    """
    gone = {"task": {task["id"] for task in tasks}, "model": {model["id"] for model in models}}
    artifacts = [
        artifact["uri"]
        for task in tasks
        for artifact in task["execution"]["artifacts"]
        if artifact.get("uri") and (artifact.get("mode") or "output") == "output"
    ]
    urls = {
        "artifact_urls": artifacts,
        "event_urls": [],  # as those of a task that is deleted
        "model_urls": [model["uri"] for model in models if model.get("uri")],
    }
    for kind, ids in gone.items():
        for key in ids:
            delete_events(store, key)
            store.delete(kind, key)
    for task in store.all("task"):
        changed = _without(task, "parent", gone["task"])
        changed = {**changed, "models": _without_models(task, gone["model"])}
        _save_if_changed(store, "task", task, changed)
    for model in store.all("model"):
        _save_if_changed(store, "model", model, _without(model, "task", gone["task"]))
    for queue in store.all("queue"):
        kept = [entry for entry in queue["entries"] if entry["task"] not in gone["task"]]
        if kept != queue["entries"]:
            set_entries(store, queue, kept)
    return urls


def _without(document: Document, field: str, ids: set[str]) -> Document:
    return {key: value for key, value in document.items() if key != field or value not in ids}


def _without_models(task: Document, ids: set[str]) -> Document:
    """Return the task's models. Deleted outputs go, but for those of a published task, which stay named."""
    models = dict(task["models"])
    for kind in ("input", "output"):
        if kind == "output" and task["status"] != "published":
            models[kind] = [item for item in models[kind] if item["model"] not in ids]
        else:
            models[kind] = [
                {**item, "model": DELETED} if item["model"] in ids else item for item in models[kind]
            ]
    return models


def _save_if_changed(store: Store, kind: str, document: Document, changed: Document) -> None:
    if changed != document:
        store.put(kind, {**changed, "last_change": now()})
