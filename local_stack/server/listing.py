"""The answers of the `get_all`, `get_all_ex` and `get_by_id_ex` calls of all services.

The `_ex` calls give objects in place of ids: `{"id": …}`, with those fields that `only_fields` names below it
(`project.name`).
"""

import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from .auth import COMPANY
from .documents import Document
from .errors import validation_error
from .lists import as_list
from .paths import Path, parse_path, select_fields
from .projects.state import projects_below
from .query import FIELDS, only_fields_of, page_of, search
from .store import Scroll, Store, new_id
from .users.state import find_user, public

SCROLL_SECONDS = 600  # after which a scroll that nobody uses is forgotten, as on the real server
MOST_SCROLLS = 100

# Which fields of which documents hold the ids of others.
REFERENCES: dict[str, dict[str, str]] = {
    "task": {
        "user": "user", "company": "company", "parent": "task", "project": "project",
        "execution.queue": "queue", "models.input.model": "model", "models.output.model": "model",
    },
    "model": {"user": "user", "company": "company", "parent": "model", "project": "project", "task": "task"},
    "project": {"user": "user", "company": "company", "parent": "project"},
    "queue": {"company": "company", "entries.task": "task"},
    "user": {"company": "company"},
}  # fmt: skip


def list_documents(
    store: Store,
    kind: str,
    request: Document,
    join: bool = False,
    documents: Iterable[Document] | None = None,
) -> Document:
    """Answer a listing call: a page of the documents, or the next ones of a scroll with the scroll's id.

    `join` looks up what the documents refer to. `documents` are all of the kind unless they are given.
    """
    only_fields = only_fields_of(request)

    def find() -> list[Document]:
        return find_documents(store, kind, request, documents)

    answer: Document = {}
    if "scroll_id" in request or "size" in request:
        found, answer["scroll_id"] = _scroll(store, kind, request, find)
    else:
        found = page_of(find(), request)
    chosen = _joined(store, kind, found, only_fields) if join else select_fields(found, only_fields)
    return {f"{kind}s": chosen, **answer}


def find_documents(
    store: Store, kind: str, request: Document, documents: Iterable[Document] | None = None
) -> list[Document]:
    """Return all documents that the request asks for, in its order."""
    candidates = _candidates(store, kind, request) if documents is None else documents
    return search(candidates, _with_subprojects(store, kind, request), FIELDS[kind])


def _get(store: Store, kind: str, key: str) -> Document | None:
    if kind in ("user", "company"):
        return next((person for person in _all(store, kind) if person["id"] == key), None)
    return store.get(kind, key)


def _all(store: Store, kind: str) -> list[Document]:
    if kind == "company":
        return [COMPANY]
    return [public(find_user(store))] if kind == "user" else store.all(kind)


def _candidates(store: Store, kind: str, request: Document) -> Iterable[Document]:
    """Return the documents of the ids that are asked for, or all: nobody needs to look at the others."""
    wanted = dict.fromkeys(as_list(request.get("id", [])))
    if wanted and all(isinstance(key, str) and key[:1] not in ("_", "-") for key in wanted):
        found = [document for key in wanted if (document := _get(store, kind, key))]
        return sorted(found, key=lambda document: document.get("created", ""))
    return _all(store, kind)


def _with_subprojects(store: Store, kind: str, request: Document) -> Document:
    named = as_list(request.get("project", []))
    if kind not in ("task", "model") or not named or not request.get("include_subprojects"):
        return request
    below = projects_below(store, [key for key in named if isinstance(key, str)])
    return {**request, "project": [*named, *(below or ())]}


def _scroll(
    store: Store, kind: str, request: Document, find: Callable[[], list[Document]]
) -> tuple[list[Document], str]:
    """Return the next documents of a scroll, and its id.

    A scroll goes on through what it found at first, whatever has changed since: it skips nothing and gives
    nothing twice. `refresh_scroll` looks anew, and gives all that was read again.
    """
    size = request.get("size", 0)
    if size < 1:
        raise validation_error("a scroll needs a size of at least 1")
    present = time.monotonic()
    known = {key: scroll for key, scroll in store.scrolls.items() if present - scroll.used < SCROLL_SECONDS}
    scroll_id = str(request.get("scroll_id"))
    scroll = known.pop(scroll_id, None)
    if scroll is None or request.get("refresh_scroll"):
        size = max(size, scroll.position) if scroll else size
        scroll_id = scroll_id if scroll else new_id()
        scroll = Scroll([document["id"] for document in find()], present)
    found: list[Document] = []
    while len(found) < size and scroll.position < len(scroll.ids):
        key = scroll.ids[scroll.position]
        scroll.position += 1
        if document := _get(store, kind, key):
            found.append(document)
    scroll.used = present
    store.scrolls = dict([*known.items(), (scroll_id, scroll)][-MOST_SCROLLS:])
    return found, scroll_id


def _joined(store: Store, kind: str, documents: list[Document], only_fields: list[str]) -> list[Document]:
    """Return the documents with objects in place of ids, the chosen fields only."""
    references = REFERENCES.get(kind, {})
    own: list[str] = []
    wanted: dict[str, list[str]] = {field: [] for field in references}
    for path in only_fields:
        field = next((field for field in references if path.startswith(field + ".")), None)
        own.append(field or path)
        if field:
            wanted[field].append(path[len(field) + 1 :])
    chosen = select_fields(documents, own)
    for field, inner in wanted.items():
        keys, referenced = parse_path(field), _reference(store, references[field], inner)
        chosen = [_replaced(document, keys, referenced) for document in chosen]
    return chosen


def _reference(store: Store, kind: str, only_fields: list[str]) -> Callable[[str], Document]:
    """Return a function that gives the object for the id of such a document."""

    @cache
    def referenced(key: str) -> Document:
        found = _get(store, kind, key) if only_fields else None
        return _joined(store, kind, [found], only_fields)[0] if found else {"id": key}

    return referenced


def _replaced(value: Any, path: Path, referenced: Callable[[str], Document]) -> Any:
    """Return the value with what `referenced` gives for the id at the path; without an id, the field goes."""
    if isinstance(value, list):
        return [_replaced(item, path, referenced) for item in value]
    if not isinstance(value, dict) or path[0] not in value:
        return value
    key, *rest = path
    if rest:
        return {**value, key: _replaced(value[key], tuple(rest), referenced)}
    if not isinstance(value[key], str) or not value[key]:
        return {name: item for name, item in value.items() if name != key}
    return {**value, key: referenced(value[key])}
