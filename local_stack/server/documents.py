"""JSON documents: the type that all of them have here, and how to read one from a text."""

import json
import math
from collections.abc import Iterable
from typing import Any

Document = dict[str, Any]
Path = tuple[str, ...]  # the keys on the way to a value


def parse_json(text: str | bytes | bytearray) -> Any:
    """Return what a JSON text holds; NaN and infinity become None, as other clients could not read them.

    Raise ValueError for a text that is not JSON, and RecursionError for one that is nested too deep.
    """
    return json.loads(text, parse_constant=lambda _: None, parse_float=_finite)


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def value_at(value: Any, path: Path) -> Any:
    """Return the value at the path, or None; of a path through a list, the list of what it finds there."""
    for position, key in enumerate(path):
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list):
            found = [value_at(item, path[position:]) for item in value]
            return [item for item in found if item is not None]
        else:
            return None
    return value


def values_at(documents: Iterable[Document], path: Path) -> list[Any]:
    """Return the value at the path in each document: for thousands of them, quicker than value_at."""
    first, *inner = path
    values = [document.get(first) for document in documents]
    for key in inner:
        values = [v.get(key) if isinstance(v, dict) else v and value_at(v, (key,)) for v in values]
    return values


def present_fields(fields: Iterable[str], request: Document) -> Document:
    """Return those of the fields that the request has."""
    return {field: request[field] for field in fields if field in request}


def by_key(items: list[Document]) -> Document:
    """Return metadata as documents hold them: by their keys."""
    return {item["key"]: item for item in items}


def set_archived(document: Document, archived: bool) -> Document:
    """Return the document with the system tag "archived", or without it."""
    tags = [tag for tag in document["system_tags"] if tag != "archived"]
    return {**document, "system_tags": [*tags, "archived"] if archived else tags}
