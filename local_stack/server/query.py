"""The filter language of the `get_all` calls, over plain dictionaries.

A request names fields and what they should be; a table says which fields of which documents may be asked for,
and how. Names are regular expressions; lists follow the tag language that the SDK documents for
`Task.get_tasks(tags=…)`; numbers and dates have ranges (`[2, 6]`, `["2026-01-01", null]`), dates compare too
(`>=2026-01-01`); `_any_` (or `_or_`) and `_all_` (or `_and_`) search one pattern or date in several fields.
Other keys are ignored, as on the real server: clients send some (`method`, for one).
"""

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

from .documents import Document, Path, values_at
from .errors import ApiError, invalid_scroll_id, validation_error, wrong_type
from .ordering import Order, sort_documents
from .patterns import Matches, compile_pattern

PAGE_SIZE = 500  # what a request without a page size gets, and the most that any gets
MOST_CONDITIONS = 100  # of a request, and of fields in one of them
MOST_ORDERS = 50
MOST_ONLY_FIELDS = 1000
MOST_LEVELS = 50  # of a path such as hyperparams.Args.depth.value
LONGEST_PATH = 2000
LONGEST_SEARCH_TEXT = 1000

HIDDEN = "hidden"  # the system tag of documents that are listed only by their ids or on request
COMPARISON = re.compile(r"^(>=|<=|>|<|=)?(.*)$", re.DOTALL)
COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "=": operator.eq}
WORD = re.compile(r"\w+")
SEVERAL_FIELDS = {"_any_": any, "_or_": any, "_all_": all, "_and_": all}
EMPTY: tuple[Any, ...] = (None, [])
TEXT_SCORE = "@text_score"  # in order_by: has no say here, as all that is found has one of the words
# Fields of lists that hold one text; of the others, some hold several.
SINGLE = {"framework", "id", "parent", "project", "status", "task", "type", "uri", "user"}

# Names of sections, parameters and metadata come encoded, as a dot in one would part the path.
ENCODED_LEVELS = {"hyperparams": 4, "configuration": 4, "metadata": 3}
CODES = {"%%": "%", "%2E": ".", "%24": "$", "%_%_": "__", "%_": "_"}
CODE = re.compile("%%|%2E|%24|%_%_|^%_")
LEGACY_PATHS = {
    "execution.parameters": "hyperparams.Args",
    "execution.model_desc": "configuration",
    "execution.docker_cmd": "container",
}
# A request that sorts or filters by one of these sorts all text numeric-aware, as on the real server.
NUMERIC = ("hyperparams.", "last_metrics.", "metadata.", "execution.parameters.")

Narrow = Callable[[list[Document]], list[Document]]  # to those that meet a condition
ValueTest = Callable[[Any], bool]
SetTest = Callable[[list[Any]], bool]
Combine = Callable[[Iterable[object]], bool]


@dataclass(frozen=True)
class Fields:
    """What a request may ask of a kind of documents. A name that ends in a dot means all paths below it."""

    patterns: tuple[str, ...] = ("name",)
    lists: tuple[str, ...] = ("id", "tags", "system_tags")
    ranges: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    texts: tuple[str, ...] = ("name", "id")  # what search_text looks in


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
    "queue": Fields(lists=("id", "tags", "system_tags", "metadata.")),
    "user": Fields(lists=("id",)),
}  # fmt: skip


def search(documents: Iterable[Document], request: Document, fields: Fields) -> list[Document]:
    """Return all documents that a get_all request asks for, in its order."""
    keys = _strings(request, "order_by", MOST_ORDERS)
    numeric = any(key.removeprefix("-").startswith(NUMERIC) for key in [*keys[:1], *request])
    orders = []
    for key in keys:
        name = key.removeprefix("-")
        if name != TEXT_SCORE:
            orders.append(Order(parse_path(name), key != name, numeric and name not in fields.dates))
        elif not request.get("search_text"):
            raise fields_value_error(f"order_by {TEXT_SCORE} needs a search_text")
    found = list(documents)
    for narrow in _conditions(request, fields):
        found = narrow(found)
    return sort_documents(found, orders)


def page_of(documents: list[Document], request: Document) -> list[Document]:
    """Return the page of the documents that the request asks for."""
    size = request.get("page_size", PAGE_SIZE)
    if size < 1:
        raise validation_error("page_size should be more than 0")
    size = min(size, PAGE_SIZE)
    first = request.get("page", 0) * size
    return documents[first : first + size]


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
        return [_included(item, tree) for item in value]
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


def fields_value_error(reason: str) -> ApiError:
    return ApiError(400, 16, f"Invalid value for fields: {reason}")


def _conditions(request: Document, fields: Fields) -> list[Narrow]:
    """Return what narrows documents down to those that the request asks for, the quick ones first."""
    filters = request.get("filters", {})
    found = [
        _where(field, _list_filter(field, wanted))
        for field, wanted in filters.items()
        if _is_one_of(field, fields.lists)
    ]
    for names, test_of in (
        (fields.lists, _list_test),
        (fields.values, _value_test),
        (fields.ranges, _range_test),
        (fields.dates, _date_test),
        (fields.patterns, _pattern_test),
    ):
        for field, wanted in request.items():
            if _is_one_of(field, names) and field not in filters:
                found.append(_where(field, test_of(field, wanted)))
    if not (request.get("search_hidden") or request.get("id")):
        found.append(_without_hidden)
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


def _without_hidden(documents: list[Document]) -> list[Document]:
    return [document for document in documents if HIDDEN not in (document.get("system_tags") or ())]


def _value_test(field: str, wanted: Any) -> ValueTest:
    return (lambda value: value in wanted) if isinstance(wanted, list) else (lambda value: value == wanted)


def _pattern_test(field: str, wanted: Any) -> ValueTest:
    if not isinstance(wanted, str):
        raise wrong_type(field, "a string")
    matches = compile_pattern(wanted)
    return lambda value: matches(value or "")


def _list_test(field: str, wanted: Any) -> ValueTest:
    """Read the tag language as the real server does.

    Values after `__$all` (`__$and`) must all be there, and of those after `__$any` (`__$or`), or after no
    operator, one. None of the values after `__$not` may be there. All three must hold, unless the first
    operator is `__$any`.
    """
    groups: dict[str, set[str]] = {"all": set(), "any": set(), "not": set()}
    context, first, empty = "any", None, False
    negate, dash_excludes = False, True
    for value in as_list(wanted):
        if value is None:
            negate, empty, first = False, True, first or "all"
            continue
        if not isinstance(value, str):
            raise fields_value_error(f"{field} should hold strings, and {value!r} is none")
        if value == "__$nop":
            context, negate, dash_excludes, first = "any", False, True, first or "all"
            continue
        if value.startswith("__$"):
            if negate or value not in OPERATORS:
                raise fields_value_error(
                    f"{field}: {value!r} is no operator, or there should be a value in its place"
                )
            if value == "__$not":
                negate = True
            else:
                context, dash_excludes, first = OPERATORS[value], False, first or OPERATORS[value]
            continue
        first = first or "all"
        if not negate and dash_excludes and value.startswith("-"):  # the older way to exclude
            value, negate = value[1:], True
            if not value:
                raise fields_value_error(f"{field}: a value is missing after -")
        groups["not" if negate else context].add(value)
        negate = False
    if negate:
        raise fields_value_error(f"{field}: a value is missing after __$not")
    return _groups_test(groups, any if first == "any" else all, empty, field in SINGLE)


OPERATORS = {"__$all": "all", "__$and": "all", "__$any": "any", "__$or": "any", "__$not": "not"}


def _groups_test(groups: dict[str, set[str]], combine: Combine, empty: bool, single: bool) -> ValueTest:
    given = {name: values for name, values in groups.items() if values}
    if single and not empty and list(given) == ["any"]:
        return given["any"].__contains__  # much the most frequent: the tasks of a project
    checks: list[SetTest] = []
    if "all" in given:
        checks.append(given["all"].issubset)
    if "any" in given:
        checks.append(partial(_shares, given["any"]))
    if "not" in given:
        checks.append(given["not"].isdisjoint)
    if len(checks) == 1 and not empty:
        check = checks[0]
        return lambda value: check(value if isinstance(value, list) else _held(value))

    def test(value: Any) -> bool:
        if empty and (not checks or value in EMPTY):
            return value in EMPTY
        return _passes(checks, combine, value)

    return test


def _shares(wanted: set[str], held: Iterable[Any]) -> bool:
    return not wanted.isdisjoint(held)


def _passes(checks: list[SetTest], combine: Combine, value: Any) -> bool:
    held = _held(value)
    return combine(check(held) for check in checks)


def _held(value: Any) -> list[Any]:
    """Return the texts of a field that holds one or several."""
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, str) else []


def _list_filter(field: str, wanted: Any) -> ValueTest:
    """Read {"any": {"include": […], "exclude": […]}, "all": {…}, "op": "and"}, the newer form for lists.

    Null in one of the lists stands for an empty field.
    """
    reason = f'filters.{field} should be like {{"any": {{"include": ["a"], "exclude": ["b"]}}, "op": "and"}}'
    if not isinstance(wanted, dict) or not wanted.keys() <= {"any", "all", "op"}:
        raise validation_error(reason)
    parts: list[ValueTest] = []
    for name, combine in (("any", any), ("all", all)):
        part = wanted.get(name) or {}
        if not isinstance(part, dict) or not part.keys() <= {"include", "exclude"}:
            raise validation_error(reason)
        checks = []
        for action, values in part.items():
            values = values or []
            if not isinstance(values, list) or not all(isinstance(value, str | None) for value in values):
                raise validation_error(reason)
            checks += _include_checks(set(values), combine, action == "include")
        if checks:
            parts.append(partial(_passes, checks, combine))
    if wanted.get("op", "and") not in ("and", "or"):
        raise validation_error(reason)
    combine_parts: Combine = any if wanted.get("op") == "or" else all
    return lambda value: not parts or combine_parts(part(value) for part in parts)


def _include_checks(values: set[Any], combine: Combine, include: bool) -> list[SetTest]:
    checks: list[SetTest] = []
    if None in values:
        checks.append(lambda held: bool(held) != include)
    if texts := values - {None}:
        has_all, has_none = texts.issubset, texts.isdisjoint
        if combine is any:
            checks.append((lambda held: not has_none(held)) if include else (lambda held: not has_all(held)))
        else:
            checks.append(has_all if include else has_none)
    return checks


def _range_test(field: str, wanted: Any) -> ValueTest:
    """Read [least, most]. Either may be null. Without the least, what has no value is in the range too."""
    least, most = _bounds(field, wanted)
    if not all(isinstance(bound, int | float | None) for bound in (least, most)):
        raise fields_value_error(f"{field} should be a range of numbers")

    def test(value: Any) -> bool:
        if not isinstance(value, int | float):
            return value is None and least is None
        return (least is None or value >= least) and (most is None or value <= most)

    return test


def _bounds(field: str, wanted: Any) -> list[Any]:
    if not isinstance(wanted, list) or len(wanted) != 2 or wanted == [None, None]:
        raise validation_error(f"{field} should be a range such as [2, 6], [2, null] or [null, 6]")
    return [_as_number(bound) if field.startswith("last_metrics.") else bound for bound in wanted]


def _as_number(bound: Any) -> Any:
    try:
        return float(bound) if isinstance(bound, str) else bound
    except ValueError:
        return bound


def _date_test(field: str, wanted: Any) -> ValueTest:
    bounds = as_list(wanted)
    if len(bounds) == 2 and not any(str(bound).startswith((">", "<", "=")) for bound in bounds):
        least, most = _bounds(field, wanted)
        tests = [
            _bound_test(f"{sign}{bound}")
            for sign, bound in ((">=", least), ("<=", most))
            if bound is not None
        ]
        return lambda value: least is None if value is None else all(test(value) for test in tests)
    tests = [_bound_test(bound) for bound in bounds]
    return lambda value: isinstance(value, str) and all(test(value) for test in tests)


def _bound_test(bound: Any) -> ValueTest:
    found = COMPARISON.match(str(bound))
    assert found  # as it matches every text
    compare, limit = COMPARE[found[1] or "="], _date(found[2])
    return lambda value: compare(_date(value), limit)


@lru_cache(maxsize=65536)
def _date(text: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise validation_error(f"{text[:50]!r} is not a date such as 2026-01-31T12:00:00") from error
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _where_several(wanted: Document, fields: Fields, combine: Combine) -> list[Narrow]:
    names = wanted["fields"]
    if ("pattern" in wanted) == ("datetime" in wanted):
        raise fields_value_error("a search of several fields needs either a pattern or a datetime")
    if len(names) > MOST_CONDITIONS:
        raise validation_error(f"a search of {len(names)} fields is one of more than {MOST_CONDITIONS}")
    if "pattern" in wanted:
        test = _text_test(compile_pattern(wanted["pattern"], ignore_case=True))
    else:
        test = _date_test("datetime", wanted["datetime"])
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
        text = "\n".join(item for value in values if value for item in _held(value)).lower()
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


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


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
