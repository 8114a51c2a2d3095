"""JSON documents: the type that all of them have here, and how to read one from a text."""

import json
import math
from collections.abc import Iterable
from typing import Any

Document = dict[str, Any]


def parse_json(text: str | bytes | bytearray) -> Any:
    """Return what a JSON text holds; NaN and infinity become None, as other clients could not read them.

    Raise ValueError for a text that is not JSON, and RecursionError for one that is nested too deep.
    """
    return json.loads(text, parse_constant=lambda _: None, parse_float=_finite)


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def present_fields(fields: Iterable[str], request: Document) -> Document:
    """Return those of the fields that the request has."""
    return {field: request[field] for field in fields if field in request}


def stored_json(task: Document, name: str) -> Document:
    """Return a configuration object that the SDK stored as JSON, or {} if there is none or it is not one."""
    try:
        found = json.loads((task["configuration"].get(name) or {}).get("value") or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def by_key(items: list[Document] | Document) -> Document:
    """Return metadata as documents hold them: by their keys. Clients send them so, too, or as a list."""
    if isinstance(items, dict):
        return {key: {"key": key, **item} for key, item in items.items()}
    return {item["key"]: item for item in items}


def set_archived(document: Document, archived: bool) -> Document:
    """Return the document with the system tag "archived", or without it."""
    tags = [tag for tag in document["system_tags"] if tag != "archived"]
    return {**document, "system_tags": sorted([*tags, "archived"]) if archived else tags}
