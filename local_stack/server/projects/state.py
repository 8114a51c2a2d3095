"""The tree of projects: how they are found, made, renamed and listed with what is in them."""

from typing import Any

from ..documents import Document
from ..errors import ApiError, already_exists, check_name, missing_field
from ..query import HIDDEN
from ..store import Store, new_document, now

MOST_PARTS = 50  # of a project's name


def find_project(store: Store, name: str) -> Document | None:
    return next((project for project in store.all("project") if project["name"] == name), None)


def _split_name(name: str) -> list[str]:
    parts = name.split("/")
    if not all(part.strip() for part in parts):
        raise ApiError(400, 407, f"Invalid project name: {name!r} has an empty part")
    check_name("project", name)
    if len(parts) > MOST_PARTS:
        raise ApiError(400, 407, f"Invalid project name: {len(parts)} parts are more than {MOST_PARTS}")
    return parts


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def find_or_create_project(store: Store, name: str, **fields: Any) -> str:
    """Return the id of the project of that name. Make it, and the parents that it lacks, if need be."""
    existing = find_project(store, name)
    if existing:
        return str(existing["id"])
    parts = _split_name(name)
    parent = find_or_create_project(store, "/".join(parts[:-1])) if len(parts) > 1 else None
    hidden = [HIDDEN] if _is_hidden(name) else []
    project = {"name": name, "basename": parts[-1], "description": "", **new_document(**fields)}
    project |= {"parent": parent, "system_tags": sorted({*hidden, *project["system_tags"]})}
    store.put("project", project)
    return str(project["id"])


def with_subprojects(store: Store, project: Document) -> list[Document]:
    """Return the project itself and all projects below it."""
    prefix = project["name"] + "/"
    return [p for p in store.all("project") if p["id"] == project["id"] or p["name"].startswith(prefix)]


def path_to(store: Store, project: Document) -> list[str]:
    """Return the ids of the projects above this one, the highest first."""
    path: list[str] = []
    parent = project.get("parent")
    while parent and (found := store.get("project", parent)):
        path.insert(0, parent)
        parent = found.get("parent")
    return path


def contents(store: Store, kind: str, project: Document) -> list[Document]:
    """Return the tasks or models in the project and below it."""
    ids = {p["id"] for p in with_subprojects(store, project)}
    return [document for document in store.all(kind) if document.get("project") in ids]


def projects_below(store: Store, project_ids: list[str] | None) -> set[str] | None:
    """Return the ids of the projects and of those below them; None if no project is named."""
    if not project_ids:
        return None
    named = [project for key in project_ids if (project := store.get("project", key))]
    return {inner["id"] for project in named for inner in with_subprojects(store, project)}


def project_to_move_to(store: Store, request: Document) -> str | None:
    """Return the id of the project that a `move` names; None if `project` is null: out of all projects."""
    if request.get("project"):
        return str(store.get_required("project", request["project"])["id"])
    if request.get("project_name"):
        return find_or_create_project(store, request["project_name"])
    if "project" not in request:
        raise missing_field("project or project_name")
    return None


def rename_project(store: Store, project: Document, name: str) -> None:
    """Rename the project and move those below it along."""
    old = project["name"]
    _split_name(name)
    if name.startswith(old + "/"):
        raise ApiError(400, 408, f"Cannot update project location: {name!r} is below {old!r}")
    if find_project(store, name):
        raise already_exists("project", name)
    parent = find_or_create_project(store, name.rpartition("/")[0]) if "/" in name else None
    for member in with_subprojects(store, project):
        moved = name + member["name"][len(old) :]
        changed = {**member, "name": moved, "basename": moved.rpartition("/")[2], "last_update": now()}
        if _is_hidden(moved) != _is_hidden(member["name"]):
            tags = {tag for tag in member["system_tags"] if tag != HIDDEN}
            changed["system_tags"] = sorted(tags | {HIDDEN} if _is_hidden(moved) else tags)
        if member["id"] == project["id"]:
            changed["parent"] = parent
        store.put("project", changed)
