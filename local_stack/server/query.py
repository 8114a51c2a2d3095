"""The filter language of the `get_all` calls, over plain dictionaries.

A request names fields and what they should be. Names are regular expressions; lists follow the tag
language that the SDK documents for `Task.get_tasks(tags=…)`; dates compare (`>=2026-01-01`); `_any_`
(or `_or_`) and `_all_` (or `_and_`) search one pattern or date in several fields. Keys that are not
fields of the document are ignored, as clients send some (`method`, for one).
"""

import operator
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from .documents import Document
from .errors import ApiError, invalid_scroll_id, validation_error, wrong_type

PAGE_SIZE = 500  # what a request without a page size gets, and the most that any gets

TEXT_FIELDS = ["id", "name", "tags", "comment", "description"]  # what search_text looks in
PATTERN_FIELDS = {"name", "basename", "description", "comment"}
DATE_FIELDS = {
    "created", "started", "completed", "published", "status_changed",
    "last_update", "last_change", "last_activity_time", "last_report_time",
}  # fmt: skip
COMPARISON = re.compile(r"^(>=|<=|>|<|=)?(.*)$", re.DOTALL)
COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "=": operator.eq}
HIDDEN = "hidden"  # the system tag of documents that are listed only by their ids or on request

Test = Callable[[Any], bool]
Combine = Callable[[Iterable[bool]], bool]


def lookup(document: Document, path: str) -> Any:
    """Return the value at a dotted path, or None. Keys may hold dots themselves."""
    if "." not in path:
        return document.get(path)
    value: Any = document
    parts = path.split(".")
    while parts:
        if not isinstance(value, dict):
            return None
        keys = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
        key = next((key for key in keys if key in value), None)
        if key is None:
            return None
        value = value[key]
        del parts[: key.count(".") + 1]
    return value


def search(documents: Iterable[Document], request: Document, fields: set[str]) -> list[Document]:
    """Return the documents that a get_all request asks for: filtered, ordered, one page, its fields only.

    `fields` are the names of the document's own fields. Conditions on other names are ignored.
    """
    found = _filtered(documents, request, fields)
    for key in reversed(_strings(request, "order_by")):
        path, descending = (key[1:], True) if key.startswith("-") else (key, False)
        found.sort(key=lambda document: _sort_key(lookup(document, path)), reverse=descending)
    found = found[_first(request) :][: _size(request)]
    only = _strings(request, "only_fields")
    return [select_fields(document, only) for document in found] if only else found


def next_scroll(request: Document, returned: int) -> str | None:
    """Return the scroll id of the next page, if the request scrolls and there may be one."""
    scrolls = "scroll_id" in request or "size" in request
    return str(_first(request) + returned) if scrolls and returned else None


def select_fields(document: Document, only_fields: list[str]) -> Document:
    """Return the id and the named fields of the document; a dotted path brings its parents along."""
    result: Document = {"id": document["id"]}
    for path in only_fields:
        *parents, last = path.split(".")
        source: Any = document
        target = result
        for parent in parents:
            source = source.get(parent)
            if not isinstance(source, dict):
                break
            # A copy: another path may have put the stored document's own dictionary here.
            target[parent] = target = dict(target.get(parent) or {})
        else:
            if last in source:
                target[last] = source[last]
    return result


def _filtered(documents: Iterable[Document], request: Document, fields: set[str]) -> list[Document]:
    tests = [_test(key, wanted) for key, wanted in request.items() if key.split(".")[0] in fields]
    for key, combine in (("_any_", any), ("_or_", any), ("_all_", all), ("_and_", all)):
        if key in request:
            tests.append(_pattern_test(request[key], combine))
    if request.get("search_text"):
        text = {"pattern": re.escape(request["search_text"]), "fields": TEXT_FIELDS}
        tests.append(_pattern_test(text, any))
    if not (request.get("search_hidden") or request.get("id")):
        tests.append(lambda document: HIDDEN not in (document.get("system_tags") or ()))
    return [document for document in documents if all(test(document) for test in tests)]


def _test(field: str, wanted: Any) -> Test:
    if field in DATE_FIELDS:
        bounds = [_date_test(bound) for bound in (wanted if isinstance(wanted, list) else [wanted])]
        return lambda document: (
            lookup(document, field) is not None and all(bound(lookup(document, field)) for bound in bounds)
        )
    if isinstance(wanted, list):
        return _list_test(field, wanted)
    if field in PATTERN_FIELDS:
        if not isinstance(wanted, str):
            raise wrong_type(field, "a string")
        matches = _regex(wanted)
        return lambda document: bool(matches.search(lookup(document, field) or ""))
    return lambda document: lookup(document, field) == wanted


def _list_test(field: str, wanted: list[Any]) -> Test:
    """Read groups of values: each begins with an operator, AND joins them, NOT negates the next value."""
    groups: list[tuple[Combine, list[tuple[Any, bool]]]] = [(any, [])]
    excluded = []
    negate = False
    for value in wanted:
        match value:
            case "__$all" | "__$and":
                groups.append((all, []))
            case "__$any" | "__$or":
                groups.append((any, []))
            case "__$not":
                negate = True
            case "__$nop":
                pass
            case str() if value.startswith("-") and field in ("tags", "system_tags"):
                excluded.append(value[1:])  # the older way to exclude a tag
            case _:
                groups[-1][1].append((value, negate))
                negate = False
    groups = [group for group in groups if group[1]]

    def test(document: Document) -> bool:
        held = lookup(document, field)
        held = held if isinstance(held, list) else [held]

        def has(value: Any, negated: bool) -> bool:
            present = value in held if value is not None else held in ([], [None])
            return present != negated

        return all(
            combine(has(value, negated) for value, negated in values) for combine, values in groups
        ) and not any(value in held for value in excluded)

    return test


def _pattern_test(wanted: Any, combine: Combine) -> Test:
    if wanted.get("datetime"):
        bounds = [_date_test(bound) for bound in wanted["datetime"]]

        def matches(value: Any) -> bool:
            return isinstance(value, str) and all(bound(value) for bound in bounds)
    else:
        regex = _regex(wanted.get("pattern", ""), re.IGNORECASE)

        def matches(value: Any) -> bool:
            values = value if isinstance(value, list) else [value]
            return any(regex.search(str(item)) for item in values if item is not None)

    return lambda document: combine(matches(lookup(document, field)) for field in wanted["fields"])


def _regex(pattern: str, flags: int = 0) -> re.Pattern[str]:
    try:
        return re.compile(pattern, flags)
    except re.error as error:
        raise ApiError(400, 21, f"Malformed regular expression: {pattern!r}: {error}") from error


def _date_test(bound: Any) -> Test:
    found = COMPARISON.match(str(bound))
    assert found  # as it matches every text
    compare, limit = COMPARE[found[1] or "="], _date(found[2])
    return lambda value: compare(_date(value), limit)


@lru_cache(maxsize=65536)
def _date(text: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise validation_error(f"{text!r} is not a date such as 2026-01-31T12:00:00") from error
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _sort_key(value: Any) -> tuple[Any, ...]:
    """Order values of any types: missing ones first, then numbers, strings and the rest."""
    if value is None:
        return (0,)
    if isinstance(value, int | float):
        return (1, value)
    return (2, value) if isinstance(value, str) else (3, str(value))


def _strings(request: Document, key: str) -> list[str]:
    value = request.get(key, [])
    return [value] if isinstance(value, str) else value


def _first(request: Document) -> int:
    scroll_id = request.get("scroll_id")
    if not scroll_id:
        return request.get("page", 0) * _size(request)
    return offset(scroll_id)


def offset(scroll_id: str) -> int:
    """Return how many documents came before the page of this scroll id."""
    if not scroll_id.isdecimal() or len(scroll_id) > 18:
        raise invalid_scroll_id(scroll_id)
    return int(scroll_id)


def _size(request: Document) -> int:
    size: Any = request.get("page_size", request.get("size", PAGE_SIZE))
    return int(min(size, PAGE_SIZE))
