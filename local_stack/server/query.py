"""The filter language of the `get_all` calls, over plain dictionaries.

A request names fields and what they should be; a table says which fields of which documents may be asked for,
and how. Names are regular expressions; lists follow the tag language that the SDK documents for
`Task.get_tasks(tags=…)`; numbers and dates have ranges (`[2, 6]`, `["2026-01-01", null]`), dates compare too
(`>=2026-01-01`); `_any_` (or `_or_`) and `_all_` (or `_and_`) search one pattern or date in several fields.
Other keys are ignored, as on the real server: clients send some (`method`, for one).
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .documents import Document
from .errors import fields_value_error, invalid_scroll_id, validation_error, wrong_type
from .lists import Combine, ValueTest, as_list, held, list_filter, list_test
from .ordering import Order, sort_documents
from .paths import parse_path, values_at
from .patterns import Matches, compile_pattern
from .ranges import date_test, range_test

PAGE_SIZE = 500  # what a request without a page size gets, and the most that any gets
MOST_CONDITIONS = 50  # of a request, and of fields in one of them
MOST_ORDERS = 50
MOST_ONLY_FIELDS = 1000
LONGEST_SEARCH_TEXT = 1000

HIDDEN = "hidden"  # the system tag of documents that are listed only by their ids or on request
WORD = re.compile(r"\w+")
SEVERAL_FIELDS = {"_any_": any, "_or_": any, "_all_": all, "_and_": all}
TEXT_SCORE = "@text_score"  # in order_by: has no say here, as all that is found has one of the words

Narrow = Callable[[list[Document]], list[Document]]  # to those that meet a condition


@dataclass(frozen=True)
class Fields:
    """What a request may ask of a kind of documents. A name that ends in a dot means all paths below it."""

    patterns: tuple[str, ...] = ("name",)
    lists: tuple[str, ...] = ("id", "tags", "system_tags")
    ranges: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    texts: tuple[str, ...] = ("name", "id")  # what search_text looks in
    hidden: str = HIDDEN  # the system tag of documents that are listed only for a request with one of these
    shown_by: tuple[str, ...] = ("search_hidden", "id")


FIELDS = {
    "task": Fields(
        patterns=("name", "comment", "report"),
        lists=(
            "id", "user", "tags", "system_tags", "type", "status", "project", "parent", "hyperparams.",
            "execution.queue", "models.input.model",
        ),
        ranges=("active_duration", "last_metrics.", "last_iteration"),
        dates=("created", "started", "status_changed", "last_update", "last_change"),
        values=("runtime.",),
        texts=(
            "name", "id", "comment", "report", "models.input.model", "models.output.model",
            "script.repository", "script.entry_point",
        ),
    ),
    "model": Fields(
        patterns=("name", "comment"),
        lists=(
            "id", "user", "tags", "system_tags", "framework", "uri", "project", "task", "parent", "metadata.",
        ),
        ranges=("last_metrics.", "last_iteration"),
        dates=("created", "last_update", "last_change"),
        values=("ready",),
        texts=("name", "id", "comment", "parent", "task", "project"),
    ),
    "project": Fields(
        patterns=("name", "basename", "description"),
        lists=("id", "tags", "system_tags", "parent", "path"),
        dates=("last_update",),
        texts=("name", "id", "description"),
    ),
    "queue": Fields(
        lists=("id", "tags", "system_tags", "metadata."),
        hidden="k8s-glue",
        shown_by=("search_hidden", "id", "name"),
    ),
    "user": Fields(lists=("id",)),
}  # fmt: skip


def search(documents: Iterable[Document], request: Document, fields: Fields) -> list[Document]:
    """Return all documents that a get_all request asks for, in its order."""
    keys = _strings(request, "order_by", MOST_ORDERS)
    orders = []
    for key in keys:
        name = key.removeprefix("-")
        if name != TEXT_SCORE:
            orders.append(Order(parse_path(name), key != name, numeric=name not in (*fields.dates, "id")))
        elif not request.get("search_text"):
            raise fields_value_error(f"order_by {TEXT_SCORE} needs a search_text")
    found = list(documents)
    for narrow in _conditions(request, fields):
        found = narrow(found)
    return sort_documents(found, orders)


def fitting(documents: Iterable[Document], request: Document, fields: Fields) -> list[Document]:
    """Return all documents that the conditions fit, hidden ones too."""
    return search(documents, {**request, "search_hidden": True}, fields)


def page_of(documents: list[Document], request: Document) -> list[Document]:
    """Return the page of the documents that the request asks for."""
    size = request.get("page_size", PAGE_SIZE)
    if size < 1:
        raise validation_error("page_size should be more than 0")
    size = min(size, PAGE_SIZE)
    first = request.get("page", 0) * size
    return documents[first : first + size]


def _conditions(request: Document, fields: Fields) -> list[Narrow]:
    """Return what narrows documents down to those that the request asks for, the quick ones first."""
    filters = request.get("filters", {})
    found = [
        _where(field, list_filter(field, wanted))
        for field, wanted in filters.items()
        if _is_one_of(field, fields.lists)
    ]
    for names, test_of in (
        (fields.lists, list_test),
        (fields.values, _value_test),
        (fields.ranges, range_test),
        (fields.dates, date_test),
        (fields.patterns, _pattern_test),
    ):
        for field, wanted in request.items():
            if _is_one_of(field, names) and field not in filters:
                found.append(_where(field, test_of(field, wanted)))
    if not any(request.get(name) for name in fields.shown_by):
        found.append(_without(fields.hidden))
    for key, combine in SEVERAL_FIELDS.items():
        if key in request and request[key]["fields"]:
            found += _where_several(request[key], fields, combine)
    if request.get("search_text"):
        found.append(_where_text(request["search_text"], fields))
    if len(found) > MOST_CONDITIONS:
        raise validation_error(f"{len(found)} conditions are more than {MOST_CONDITIONS}")
    return found


def _is_one_of(field: str, names: tuple[str, ...]) -> bool:
    return field in names or any(field.startswith(name) for name in names if name.endswith("."))


def _where(field: str, test: ValueTest) -> Narrow:
    path = parse_path(field)
    return lambda documents: [
        document for document, value in zip(documents, values_at(documents, path), strict=True) if test(value)
    ]


def _without(tag: str) -> Narrow:
    return lambda documents: [
        document for document in documents if tag not in (document.get("system_tags") or ())
    ]


def _value_test(field: str, wanted: Any) -> ValueTest:
    if isinstance(wanted, list) and len(wanted) > MOST_CONDITIONS:
        raise fields_value_error(f"{field} has {len(wanted)} values, more than {MOST_CONDITIONS}")
    return (lambda value: value in wanted) if isinstance(wanted, list) else (lambda value: value == wanted)


def _pattern_test(field: str, wanted: Any) -> ValueTest:
    if not isinstance(wanted, str):
        raise wrong_type(field, "a string")
    matches = compile_pattern(wanted)
    return lambda value: matches(value or "")


def _where_several(wanted: Document, fields: Fields, combine: Combine) -> list[Narrow]:
    names = wanted["fields"]
    if ("pattern" in wanted) == ("datetime" in wanted):
        raise fields_value_error("a search of several fields needs either a pattern or a datetime")
    if len(names) > MOST_CONDITIONS:
        raise validation_error(f"a search of {len(names)} fields is one of more than {MOST_CONDITIONS}")
    if "pattern" in wanted:
        test = _text_test(compile_pattern(wanted["pattern"], ignore_case=True))
    else:
        test = date_test("datetime", wanted["datetime"])
        names = [name for name in names if name in fields.dates]
    paths = [parse_path(name) for name in names]

    def narrow(documents: list[Document]) -> list[Document]:
        columns = [[test(value) for value in values_at(documents, path)] for path in paths]
        rows = zip(documents, zip(*columns, strict=True), strict=True)
        return [document for document, row in rows if combine(row)]

    return [narrow] if paths else []


def _text_test(matches: Matches) -> ValueTest:
    def test(value: Any) -> bool:
        if isinstance(value, list):
            return any(matches(item) for item in value if isinstance(item, str))
        return isinstance(value, str) and matches(value)

    return test


def _where_text(text: str, fields: Fields) -> Narrow:
    """Look for words, as MongoDB does: each "quoted phrase" must be there, no -word, and one of the others.

    Unlike there, "running" does not find "run".
    """
    if len(text) > LONGEST_SEARCH_TEXT:
        raise validation_error(f"search_text is longer than {LONGEST_SEARCH_TEXT} characters")
    phrases = [phrase.lower() for phrase in re.findall(r'"([^"]*)"', text)]
    others = re.sub(r'"[^"]*"', " ", text.lower()).split()
    words = {word for other in others if not other.startswith("-") for word in WORD.findall(other)}
    unwanted = {word for other in others if other.startswith("-") for word in WORD.findall(other)}
    paths = [parse_path(name) for name in fields.texts]

    def has_text(*values: Any) -> bool:
        text = "\n".join(item for value in values if value for item in held(value)).lower()
        if _has_word(text, unwanted) or not all(phrase in text for phrase in phrases):
            return False
        return _has_word(text, words) if words else bool(phrases)

    def narrow(documents: list[Document]) -> list[Document]:
        columns = [values_at(documents, path) for path in paths]
        return [document for document, *row in zip(documents, *columns, strict=True) if has_text(*row)]

    return narrow


def _has_word(text: str, words: set[str]) -> bool:
    # To look for it in the whole text first is much quicker, and most texts do not have it.
    return any(word in text for word in words) and not words.isdisjoint(WORD.findall(text))


def _strings(request: Document, key: str, most: int) -> list[str]:
    values = as_list(request.get(key, []))
    if len(values) > most:
        raise validation_error(f"{key} names {len(values)} fields, which are more than {most}")
    return values


def only_fields_of(request: Document) -> list[str]:
    names = _strings(request, "only_fields", MOST_ONLY_FIELDS)
    for name in names:
        parse_path(name.removeprefix("-"))
    return names


def offset(scroll_id: str) -> int:
    """Return how many documents came before the page of this scroll id."""
    if not scroll_id.isdecimal() or len(scroll_id) > 18:
        raise invalid_scroll_id(scroll_id)
    return int(scroll_id)
