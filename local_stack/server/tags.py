"""The tags of tasks, models and queues: checked, added and taken away."""

from collections.abc import Iterable

from .documents import Document, present_fields
from .errors import check_not_empty, field_value_error, validation_error
from .store import Store, now


def checked_tags(request: Document) -> Document:
    """Return the tags in the request, each once and sorted; raise the API's error for an operator."""
    fields = present_fields(("tags", "system_tags"), request)
    for field, tags in fields.items():
        check_tags(field, tags)
        fields[field] = sorted(set(tags))
    return fields


def check_tags(field: str, tags: Iterable[str]) -> None:
    if any(tag.startswith("__$") for tag in tags):
        raise field_value_error(f"{field} may not begin with '__$', as the operators of filters do")


def edit_tags(store: Store, kind: str, request: Document) -> int:
    """Add and remove tags of the documents in `ids`; return how many times one was changed."""
    check_not_empty(request, "ids")
    added, removed = (set(request.get(field) or ()) for field in ("add_tags", "remove_tags"))
    if not added | removed:
        raise validation_error("add_tags or remove_tags should name a tag")
    check_tags("add_tags", added)
    found = [document for key in dict.fromkeys(request["ids"]) if (document := store.get(kind, key))]
    for document in found:
        tags = sorted((set(document["tags"]) | added) - removed)
        store.put(kind, {**document, "tags": tags, "last_change": now()})
    return len(found) * (bool(added) + bool(removed))
