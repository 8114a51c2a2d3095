"""The endpoints of projects: made, listed, moved and deleted."""

from itertools import chain

from ..documents import Document, present_fields
from ..errors import ApiError, already_exists
from ..events.state import image_urls
from ..files.unneeded import note_unneeded
from ..listing import list_documents
from ..registry import Service
from ..store import Store, now
from ..tags import checked_tags
from . import cleanup, state, statistics

EDITABLE = ("name", "description", "tags", "system_tags", "default_output_destination")

service = Service()


@service.endpoint("projects.create", "name")
def create_project(store: Store, request: Document) -> Document:
    name = "/".join(state.split_name(request["name"]))
    state.check_private(store, name)
    if state.find_project(store, name):
        raise already_exists("project", name)
    fields = {**present_fields(EDITABLE, request), **checked_tags(request)}
    del fields["name"]
    return {"id": state.find_or_create_project(store, name, **fields)}


@service.endpoint("projects.get_by_id", "project")
def get_project_by_id(store: Store, request: Document) -> Document:
    return {"project": store.get_required("project", request["project"])}


@service.endpoint("projects.get_all", **statistics.SCHEMAS)
def get_all_projects(store: Store, request: Document) -> Document:
    return _list_projects(store, request)


@service.endpoint("projects.get_all_ex", **statistics.SCHEMAS)
def get_all_projects_joined(store: Store, request: Document) -> Document:
    answer = _list_projects(store, request, join=True)
    return {**answer, "projects": statistics.add_statistics(store, answer["projects"], request)}


def _list_projects(store: Store, request: Document, join: bool = False) -> Document:
    """List projects. A `parent` is any project above them, with `shallow_search` the next one alone."""
    documents = statistics.candidates(store, request)
    request = {key: value for key, value in request.items() if key != "path"}
    if request.get("shallow_search"):
        return list_documents(store, "project", {"parent": [None], **request}, join, documents)
    if "parent" not in request:
        return list_documents(store, "project", request, join, documents)
    request["path"] = request.pop("parent")
    with_paths = [
        {**project, "path": state.ancestors(store, project["id"])}
        for project in (store.all("project") if documents is None else documents)
    ]
    answer = list_documents(store, "project", request, join, with_paths)
    for project in answer["projects"]:
        project.pop("path", None)
    return answer


@service.endpoint("projects.update", "project")
def update_project(store: Store, request: Document) -> Document:
    """Change a project. It is renamed here, at its place, and goes to another one by `projects.move`."""
    project = store.get_required("project", request["project"])
    fields = {**present_fields(EDITABLE, request), **checked_tags(request)}
    if fields.get("name"):
        parts = state.split_name(fields["name"])
        if parts[:-1] != project["name"].split("/")[:-1]:
            raise ApiError(400, 408, f"Cannot update project location: move it to {fields['name']!r}")
        fields |= {"name": "/".join(parts), "basename": parts[-1]}
        if fields["name"] != project["name"]:
            state.place_project(store, project, fields["name"])
    fields["last_update"] = now()
    store.put("project", {**store.get_required("project", project["id"]), **fields})
    return {"updated": 1, "fields": fields}


@service.endpoint("projects.move", "project")
def move_project(store: Store, request: Document) -> Document:
    """Move a project, and those below it, below another one, which is made if need be, or to the top."""
    project = store.get_required("project", request["project"])
    location = "/".join(part.strip() for part in request.get("new_location", "").split("/") if part)
    if location == project["name"].rpartition("/")[0]:
        raise ApiError(400, 410, f"Project has the same source and destination paths: {location!r}")
    if f"{location}/".startswith(f"{project['name']}/"):
        raise ApiError(400, 411, f"Project {project['name']!r} cannot be moved under itself")
    members = state.with_subprojects(store, project)
    state.place_project(store, project, state.name_in(location, project["basename"]))
    for parent in (project["parent"], store.get_required("project", project["id"])["parent"]):
        state.touch_project(store, parent)
    return {"moved": len(members)}


@service.endpoint("projects.merge", "project")
def merge_project(store: Store, request: Document) -> Document:
    """Hand all that a project holds to another one, or to the top, and delete it.

    Archived tasks and models go along. ClearML's server leaves them in the project that it deletes, where
    nobody finds them.
    """
    source = store.get_required("project", request["project"])
    target_id = request.get("destination_project")
    if source["id"] == target_id:
        raise ApiError(400, 410, f"Project has the same source and destination: {source['name']!r}")
    target = store.get_required("project", target_id) if target_id else None
    if target and source["id"] in state.ancestors(store, target["id"]):
        raise ApiError(400, 412, f"Project {source['name']!r} cannot be merged into its own child")
    entities = 0
    for kind in ("task", "model"):
        for document in store.all(kind):
            if document.get("project") == source["id"]:
                store.put(kind, {**document, "project": target and target["id"]})
                entities += 1
    children = [project for project in store.all("project") if project["parent"] == source["id"]]
    # The project goes first: a child may have its name, and take its place.
    store.delete("project", source["id"])
    location = target["name"] if target else None
    for child in children:
        state.place_project(store, child, state.name_in(location, child["basename"]))
    state.touch_project(store, target_id)
    return {"moved_entities": entities, "moved_projects": len(children)}


# Deleted


@service.endpoint("projects.validate_delete", "project")
def validate_project_delete(store: Store, request: Document) -> Document:
    """Count what is in the project that would be deleted."""
    project = store.get_required("project", request["project"])
    held = cleanup.contents_of(store, project)
    return {
        "pipelines": len({task["project"] for task in cleanup.in_use(held.pipeline_runs)}),
        "datasets": len({task["project"] for task in cleanup.in_use(held.dataset_versions)}),
        **{
            f"{prefix}{name}": len(documents)
            for name, all_of_them in (
                ("tasks", held.tasks),
                ("models", held.models),
                ("reports", held.reports),
            )
            for prefix, documents in (("", all_of_them), ("non_archived_", cleanup.in_use(all_of_them)))
        },
    }


@service.endpoint("projects.delete", "project")
def delete_project(store: Store, request: Document) -> Document:
    """Delete the project and those below it. Their contents go too, or stay without a project."""
    project = store.get_required("project", request["project"])
    if not request.get("force"):
        cleanup.check_unused(cleanup.contents_of(store, project), project)
    members = state.with_subprojects(store, project)
    tasks, models = state.contents(store, "task", project), state.contents(store, "model", project)
    with_contents = request.get("delete_contents")
    answer: Document = {
        "deleted": len(members),
        "disassociated_tasks": 0,
        "deleted_tasks": 0,
        "deleted_models": 0,
    }
    if with_contents:
        images = (url for owner in (*tasks, *models) for url in image_urls(store, owner["id"]))
        note_unneeded(store, request, images)
        urls = cleanup.delete_contents(store, tasks, models)
        note_unneeded(store, request, chain.from_iterable(urls.values()))
        answer |= {"deleted_tasks": len(tasks), "deleted_models": len(models), "urls": urls}
    else:
        for kind, documents in (("task", tasks), ("model", models)):
            for document in documents:
                store.put(kind, {**document, "project": None})
        answer["disassociated_tasks"] = len(tasks)
    for member in members:
        store.delete("project", member["id"])
    return answer
