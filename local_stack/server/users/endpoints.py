"""The endpoints of users."""

from typing import Any

from ..auth import COMPANY
from ..documents import Document, present_fields
from ..errors import ApiError
from ..listing import list_documents
from ..projects.state import projects_below
from ..registry import Service
from ..store import Store
from .state import MOST_ROWS, find_user, keep_user, public

service = Service()

# What the UI shows to somebody who has no task yet.
GETTING_STARTED = {
    "agentName": "clearml-agent",
    "configure": "clearml-init",
    "install": "pip install clearml",
    "packageName": "clearml",
}


@service.endpoint("users.get_current_user")
def get_current_user(store: Store, request: Document) -> Document:
    user = find_user(store)
    return {
        "user": {**user, "company": COMPANY, "role": "admin"},
        "getting_started": GETTING_STARTED,
        "settings": {"max_download_items": MOST_ROWS},
    }


@service.endpoint("users.get_by_id", "user", user=str)
def get_user_by_id(store: Store, request: Document) -> Document:
    keep_user(store)
    return {"user": public(store.get_required("user", request["user"]))}


@service.endpoint("users.get_all")
def get_all_users(store: Store, request: Document) -> Document:
    return list_documents(store, "user", request)


@service.endpoint("users.get_all_ex", active_in_projects=[str])
def get_all_users_ex(store: Store, request: Document) -> Document:
    wanted = request.get("active_in_projects")
    if wanted is not None and not _is_active(store, wanted):
        return {"users": []}
    return list_documents(store, "user", request, join=True)


def _is_active(store: Store, projects: list[str]) -> bool:
    """Return whether the user has made the projects or anything below them; for none, anything at all."""
    inside = projects_below(store, projects)
    places = {document["id"] for document in store.all("project")}
    places |= {made.get("project") for kind in ("task", "model") for made in store.all(kind)}
    return bool(places if inside is None else places & inside)


@service.endpoint("users.update", "user", user=str, given_name=str, family_name=str, avatar=str)
def update_user(store: Store, request: Document) -> Document:
    fields = present_fields(("name", "given_name", "family_name", "avatar"), request)
    user = find_user(store)
    if request["user"] != user["id"]:
        raise ApiError(400, 301, f"Invalid user id: id={request['user']}")
    changed = {**user, **fields} != user
    if changed:
        store.put("user", {**user, **fields})
    return {"updated": int(changed), "fields": fields}


@service.endpoint("users.get_preferences")
def get_preferences(store: Store, request: Document) -> Document:
    return {"preferences": find_user(store)["preferences"]}


@service.endpoint("users.set_preferences", "preferences", preferences=dict)
def set_preferences(store: Store, request: Document) -> Document:
    _check_keys(request["preferences"])
    user = find_user(store)
    preferences = {**user["preferences"], **request["preferences"]}
    if preferences == user["preferences"]:
        return {"updated": 0, "fields": {}}
    store.put("user", {**user, "preferences": preferences})
    return {"updated": 1, "fields": {"preferences": preferences}}


def _check_keys(value: Any) -> None:
    """Raise the API's error for a key that ClearML's database cannot hold."""
    if isinstance(value, dict):
        for key in value:
            if key.startswith("$") or "." in key:
                raise ApiError(400, 16, f"Invalid value for fields: {key!r} begins with $ or has a dot")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_keys(inner)
