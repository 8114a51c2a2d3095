"""Paths to values in documents, such as `hyperparams.Args.depth.value`: read, looked up and selected."""

import re
from collections.abc import Iterable
from typing import Any

from .documents import Document
from .errors import validation_error

Path = tuple[str, ...]  # the keys on the way to a value

MOST_LEVELS = 50
LONGEST_PATH = 2000  # characters

# Names of sections, parameters and metadata come encoded, as a dot in one would part the path.
ENCODED_LEVELS = {"hyperparams": 4, "configuration": 4, "metadata": 3}
CODES = {"%%": "%", "%2E": ".", "%24": "$", "%_%_": "__", "%_": "_"}
CODE = re.compile("%%|%2E|%24|%_%_|^%_")
LEGACY_PATHS = {
    "execution.parameters": "hyperparams.Args",
    "execution.model_desc": "configuration",
    "execution.docker_cmd": "container",
}


def parse_path(text: str) -> Path:
    """Return the keys of a dotted path; raise the API's error for one that no document can have."""
    for legacy, name in LEGACY_PATHS.items():
        if text.startswith(legacy):
            text = name + text[len(legacy) :]
    if len(text) > LONGEST_PATH or text.count(".") >= MOST_LEVELS:
        raise validation_error(
            f"the field {text[:50]!r}… is longer than {LONGEST_PATH} characters or {MOST_LEVELS} levels"
        )
    first, *inner = text.split(".")
    if first not in ENCODED_LEVELS:
        return (first, *inner)
    if len(inner) >= ENCODED_LEVELS[first]:
        raise validation_error(f"invalid field {text!r}: dots in names are written as %2E")
    return (first, *(CODE.sub(lambda code: CODES[code[0]], key) for key in inner))


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
        values = [
            v.get(key) if isinstance(v, dict) else None if v is None else value_at(v, (key,)) for v in values
        ]
    return values


def select_fields(documents: list[Document], only_fields: list[str]) -> list[Document]:
    """Return the documents with the named fields and their ids; "-name" leaves one out, ".*" is all below."""
    included: Document = {}
    excluded: Document = {}
    for name in only_fields:
        tree = excluded if name.startswith("-") else included
        *parents, last = parse_path(name.removeprefix("-").removesuffix(".*"))
        for key in parents:
            tree = tree.setdefault(key, {})
            if tree is ALL_OF_IT:
                break
        else:
            tree[last] = ALL_OF_IT
    if included and "*" not in included:
        included["id"] = ALL_OF_IT
        documents = [_included(document, included) for document in documents]
    return [_excluded(document, excluded) for document in documents] if excluded else documents


ALL_OF_IT: Document = {}  # stands at the end of a path; told from others by being this very object


def _included(value: Any, tree: Document) -> Any:
    if tree is ALL_OF_IT:
        return value
    if isinstance(value, list):
        return [_included(item, tree) for item in value if isinstance(item, dict | list)]
    return {
        key: _included(value[key], inner)
        for key, inner in tree.items()
        if key in value and (inner is ALL_OF_IT or isinstance(value[key], dict | list))
    }


def _excluded(value: Any, tree: Document) -> Any:
    if isinstance(value, list):
        return [_excluded(item, tree) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _excluded(item, tree[key]) if key in tree else item
        for key, item in value.items()
        if tree.get(key) is not ALL_OF_IT
    }
