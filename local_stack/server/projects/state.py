"""The tree of projects: how they are found, made, renamed and listed with what is in them."""

from collections.abc import Iterable
from typing import Any

from ..documents import Document
from ..errors import ApiError, already_exists, check_name, missing_field
from ..query import HIDDEN
from ..store import Store, new_document, now

MOST_PARTS = 10  # of a project's name, as in ClearML
# System tags, and the hidden projects that hold what has them.
PIPELINE, DATASET, REPORT = "pipeline", "dataset", "reports"
PIPELINES, DATASETS, REPORTS = ".pipelines", ".datasets", ".reports"


def find_project(store: Store, name: str) -> Document | None:
    return next((project for project in store.all("project") if project["name"] == name), None)


def split_name(name: str) -> list[str]:
    """Return the parts of a project's name, without what is too much: spaces around them, empty ones."""
    parts = [part for part in (part.strip() for part in name.split("/")) if part]
    if not parts:
        raise ApiError(400, 407, f"Invalid project name: {name!r} has no part that is not empty")
    check_name("project", "/".join(parts))
    if len(parts) > MOST_PARTS:
        raise ApiError(
            400, 409, f"Project path exceeds the maximum depth of {MOST_PARTS}: {len(parts)} parts"
        )
    return parts


def name_in(location: str | None, basename: str) -> str:
    """Return the name of a project below another one, or at the top."""
    return f"{location}/{basename}" if location else basename


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def find_or_create_project(store: Store, name: str, **fields: Any) -> str:
    """Return the id of the project of that name. Make it, and the parents that it lacks, if need be."""
    existing = find_project(store, name)
    if existing:
        return str(existing["id"])
    parts = split_name(name)
    name = "/".join(parts)
    if existing := find_project(store, name):
        return str(existing["id"])
    check_private(store, name)
    parent = _parent_of(store, name)
    hidden = [HIDDEN] if _is_hidden(name) else []
    project = {"name": name, "basename": parts[-1], "description": "", **new_document(**fields)}
    project |= {"parent": parent, "system_tags": sorted({*hidden, *project["system_tags"]})}
    store.put("project", project)
    return str(project["id"])


def check_private(store: Store, name: str) -> None:
    """Raise the API's error for the name of a public project, or one below it: nobody changes those."""
    parts = name.split("/")
    for count in range(1, len(parts) + 1):
        project = find_project(store, "/".join(parts[:count]))
        if project and store.is_public("project", project["id"]):
            raise ApiError(400, 414, f"Cannot create project {name!r}: {project['name']!r} is public")


def _parent_of(store: Store, name: str) -> str | None:
    """Return the id of the project that a name is below, made if need be; None for one at the top."""
    location = name.rpartition("/")[0]
    return find_or_create_project(store, location) if location else None


def touch_project(store: Store, project_id: str | None) -> None:
    """Note that something has changed in the project, if there is one."""
    if project_id and store.get("project", project_id) and not store.is_public("project", project_id):
        store.patch("project", project_id, last_update=now())


def with_subprojects(store: Store, project: Document) -> list[Document]:
    """Return the project itself and all projects below it."""
    prefix = project["name"] + "/"
    return [p for p in store.all("project") if p["id"] == project["id"] or p["name"].startswith(prefix)]


def ancestors(store: Store, project_id: str) -> list[str]:
    """Return the ids of the projects above one, the nearest first."""
    found = []
    project = store.get("project", project_id)
    while project and project["parent"]:
        found.append(project["parent"])
        project = store.get("project", project["parent"])
    return found


def contents(store: Store, kind: str, project: Document) -> list[Document]:
    """Return the tasks or models in the project and below it."""
    ids = {p["id"] for p in with_subprojects(store, project)}
    return [document for document in store.all(kind) if document.get("project") in ids]


def projects_below(store: Store, project_ids: Iterable[str] | None) -> set[str] | None:
    """Return the ids of the projects and of those below them; None if no project is named."""
    top = set(project_ids or ())
    if not top:
        return None
    return {
        project["id"]
        for project in store.all("project")
        if not top.isdisjoint([project["id"], *ancestors(store, project["id"])])
    }


def project_to_move_to(store: Store, request: Document) -> str | None:
    """Return the id of the project that a `move` names; None if `project` is null: out of all projects."""
    if request.get("project"):
        return str(store.get_required("project", request["project"])["id"])
    if request.get("project_name"):
        return find_or_create_project(store, request["project_name"])
    if "project" not in request:
        raise missing_field("project or project_name")
    return None


def place_project(store: Store, project: Document, name: str) -> None:
    """Give the project a name, which is its place too, and move those below it along."""
    old = project["name"]
    members = with_subprojects(store, project)
    split_name(name)
    for member in members:
        split_name(name + member["name"][len(old) :])  # as it may be too deep
    check_private(store, name)
    if find_project(store, name):
        raise already_exists("project", name)
    parent = _parent_of(store, name)
    for member in members:
        moved = name + member["name"][len(old) :]
        changed = {**member, "name": moved, "basename": moved.rpartition("/")[2], "last_update": now()}
        if _is_hidden(moved) != _is_hidden(member["name"]):
            tags = {tag for tag in member["system_tags"] if tag != HIDDEN}
            changed["system_tags"] = sorted(tags | {HIDDEN} if _is_hidden(moved) else tags)
        if member["id"] == project["id"]:
            changed["parent"] = parent
        store.put("project", changed)
