"""Conditions on fields that hold several texts, as tags do, or may be one of several.

The tag language is the one that the SDK documents for `Task.get_tasks(tags=…)`; `filters` are its newer form.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from .errors import fields_value_error, validation_error

OPERATORS = {"__$all": "all", "__$and": "all", "__$any": "any", "__$or": "any", "__$not": "not"}
EMPTY: tuple[Any, ...] = (None, [])
# Fields of lists that hold one text; of the others, some hold several.
SINGLE = {"framework", "id", "parent", "project", "status", "task", "type", "uri", "user"}

ValueTest = Callable[[Any], bool]
SetTest = Callable[[list[Any]], bool]
Combine = Callable[[Iterable[object]], bool]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def list_test(field: str, wanted: Any) -> ValueTest:
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
        return lambda value: check(held(value))

    def test(value: Any) -> bool:
        if empty and (not checks or value in EMPTY):
            return value in EMPTY
        return _passes(checks, combine, value)

    return test


def _shares(wanted: set[str], held: Iterable[Any]) -> bool:
    return not wanted.isdisjoint(held)


def _passes(checks: list[SetTest], combine: Combine, value: Any) -> bool:
    texts = held(value)
    return combine(check(texts) for check in checks)


def held(value: Any) -> list[Any]:
    """Return the texts of a field that holds one or several."""
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, str) else []


def list_filter(field: str, wanted: Any) -> ValueTest:
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
