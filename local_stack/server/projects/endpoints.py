"""Projects: a tree by the slashes in their names; those below a part that begins with a dot are hidden."""

from ..auth import COMPANY, USER
from ..errors import ApiError, already_exists, check_name, invalid_project_id, validation_error
from ..query import HIDDEN, PAGE_SIZE, next_scroll, search
from ..registry import endpoint
from ..store import Document, Store, new_id, now

FIELDS = {
    "id", "name", "basename", "description", "user", "company", "tags", "system_tags",
    "created", "last_update", "parent", "default_output_destination",
}  # fmt: skip
DEEPEST = 50  # parts of a project's name
EDITABLE = ("name", "description", "tags", "system_tags", "default_output_destination")


def required_project(store: Store, project_id: str) -> Document:
    project = store.get("project", project_id)
    if project is None:
        raise invalid_project_id(project_id)
    return project


def find_by_name(store: Store, name: str) -> Document | None:
    return next((project for project in store.all("project") if project["name"] == name), None)


def _parts(name: str) -> list[str]:
    parts = name.split("/")
    if not all(part.strip() for part in parts):
        raise ApiError(400, 407, f"Invalid project name: {name!r} has an empty part")
    check_name("project", name)
    if len(parts) > DEEPEST:
        raise ApiError(
            400, 407, f"Invalid project name: it has {len(parts)} parts, and {DEEPEST} are the most"
        )
    return parts


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def get_or_create(store: Store, name: str, **fields) -> str:
    """The id of the project of that name, made with all its missing parents if need be."""
    existing = find_by_name(store, name)
    if existing:
        return existing["id"]
    parts = _parts(name)
    parent = get_or_create(store, "/".join(parts[:-1])) if len(parts) > 1 else None
    hidden = [HIDDEN] if _is_hidden(name) else []
    created = now()
    project = {
        "id": new_id(),
        "name": name,
        "basename": parts[-1],
        "description": "",
        "user": USER["id"],
        "company": COMPANY["id"],
        "parent": parent,
        "created": created,
        "last_update": created,
        "tags": [],
        **{key: value for key, value in fields.items() if value is not None},
    }
    project["system_tags"] = sorted({*hidden, *(fields.get("system_tags") or [])})
    store.put("project", project)
    return project["id"]


def below(store: Store, project: Document) -> list[Document]:
    """The project itself and all projects under it."""
    prefix = project["name"] + "/"
    return [p for p in store.all("project") if p["id"] == project["id"] or p["name"].startswith(prefix)]


def contents(store: Store, kind: str, project: Document) -> list[Document]:
    ids = {p["id"] for p in below(store, project)}
    return [document for document in store.all(kind) if document.get("project") in ids]


def project_id_for(store: Store, request: dict) -> str:
    """The id that a `move` names, by `project` or by `project_name`."""
    if request.get("project"):
        return required_project(store, request["project"])["id"]
    if request.get("project_name"):
        return get_or_create(store, request["project_name"])
    raise validation_error("either project or project_name should be given")


@endpoint("projects.create", "name")
def create(store: Store, request: dict) -> dict:
    if find_by_name(store, request["name"]):
        raise already_exists("project", request["name"])
    fields = {key: request.get(key) for key in EDITABLE if key != "name"}
    return {"id": get_or_create(store, request["name"], **fields)}


@endpoint("projects.get_by_id", "project")
def get_by_id(store: Store, request: dict) -> dict:
    return {"project": required_project(store, request["project"])}


@endpoint("projects.get_all")
def get_all(store: Store, request: dict) -> dict:
    projects = store.all("project")
    if request.get("shallow_search"):
        projects = [project for project in projects if not project["parent"]]
    found = search(projects, request, FIELDS)
    return {"projects": found, "scroll_id": next_scroll(request, len(found))}


@endpoint("projects.update", "project")
def update(store: Store, request: dict) -> dict:
    required_project(store, request["project"])
    project = store.edit("project", request["project"])
    fields = {key: request[key] for key in EDITABLE if key in request}
    renamed = fields.pop("name", project["name"])
    if renamed != project["name"]:
        _rename(store, project, renamed)
        project = store.edit("project", request["project"])
    fields["last_update"] = now()
    store.put("project", {**project, **fields})
    return {"updated": 1, "fields": fields}


def _rename(store: Store, project: Document, name: str) -> None:
    old = project["name"]
    _parts(name)
    if name.startswith(old + "/"):
        raise ApiError(400, 408, f"Cannot update project location: {name!r} is below {old!r}")
    if find_by_name(store, name):
        raise already_exists("project", name)
    parent = get_or_create(store, name.rpartition("/")[0]) if "/" in name else None
    for member in below(store, project):
        moved = name + member["name"][len(old) :]
        changed = {**member, "name": moved, "basename": moved.rpartition("/")[2], "last_update": now()}
        if _is_hidden(moved) != _is_hidden(member["name"]):
            tags = {tag for tag in member["system_tags"] if tag != HIDDEN}
            changed["system_tags"] = sorted(tags | {HIDDEN} if _is_hidden(moved) else tags)
        if member["id"] == project["id"]:
            changed["parent"] = parent
        store.put("project", changed)


@endpoint("projects.move", "project", "new_location")
def move(store: Store, request: dict) -> dict:
    project = required_project(store, request["project"])
    location = request["new_location"].strip("/")
    _rename(store, project, f"{location}/{project['basename']}" if location else project["basename"])
    return {"moved": len(below(store, required_project(store, project["id"])))}


@endpoint("projects.merge", "project", "destination_project")
def merge(store: Store, request: dict) -> dict:
    source = required_project(store, request["project"])
    target = required_project(store, request["destination_project"])
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
        _rename(store, child, f"{target['name']}/{child['basename']}")
    store.delete("project", source["id"])
    return {"moved_entities": entities, "moved_projects": len(children)}


def _tags(documents: list[Document], request: dict) -> dict:
    """All tags in use among the documents of the projects that the request names (none: all)."""
    projects = set(request.get("projects") or [])
    chosen = [document for document in documents if not projects or document.get("project") in projects]
    answer = {"tags": sorted({tag for document in chosen for tag in document.get("tags") or []})}
    if request.get("include_system"):
        answer["system_tags"] = sorted({tag for d in chosen for tag in d.get("system_tags") or []})
    return answer


@endpoint("projects.get_task_tags")
def get_task_tags(store: Store, request: dict) -> dict:
    return _tags(store.all("task"), request)


@endpoint("projects.get_model_tags")
def get_model_tags(store: Store, request: dict) -> dict:
    return _tags(store.all("model"), request)


@endpoint("projects.get_project_tags")
def get_project_tags(store: Store, request: dict) -> dict:
    return _tags(store.all("project"), request)


@endpoint("organization.get_tags")
def get_organization_tags(store: Store, request: dict) -> dict:
    return _tags(store.all("task") + store.all("model") + store.all("project"), request)


@endpoint("projects.get_unique_metric_variants")
def get_unique_metric_variants(store: Store, request: dict) -> dict:
    """Every (metric, variant) that the tasks of the project have reported as scalars."""
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


@endpoint("projects.get_hyper_parameters", "project")
def get_hyper_parameters(store: Store, request: dict) -> dict:
    """The sections and names of the hyperparameters that tasks of the project have."""
    project = required_project(store, request["project"])
    deep = request.get("include_subprojects", True)
    tasks = contents(store, "task", project)
    names = sorted(
        {
            (section, name)
            for task in tasks
            if deep or task["project"] == project["id"]
            for section, items in task["hyperparams"].items()
            for name in items
        }
    )
    size = request.get("page_size") or PAGE_SIZE
    start = request.get("page", 0) * size
    page = [{"section": section, "name": name} for section, name in names[start : start + size]]
    return {"parameters": page, "remaining": max(0, len(names) - start - size), "total": len(names)}
