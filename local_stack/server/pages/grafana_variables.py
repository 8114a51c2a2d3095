"""The variables of a Grafana dashboard: what one can choose, and texts with what is chosen filled in.

Dashboards come from anywhere: what is missing or of a wrong type is taken as left out.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

import re2

from ..documents import Document

MOST_VARIABLES, MOST_VALUES, LONGEST_TEXT = 50, 200, 10**5
ALL = "$__all"
REFERENCE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)")
REGEX_SIGNS = re.compile(r"[\\$^*{}\[\]'+?.()|/]")
TO_BE_WRITTEN = "Its values cannot be asked for here: write one."

Ask = Callable[..., Any]  # of Prometheus, such as ask("query", query="up")
Chosen = Callable[[str], list[str]]  # the values that an address has for a name


def value_at(document: Any, path: str, default: Any) -> Any:
    """Return what is at a path such as "options.legend", or the default if that is of another type."""
    for key in path.split("."):
        document = document.get(key) if isinstance(document, dict) else None
    return document if default is None or isinstance(document, type(default)) else default


def documents_at(document: Any, path: str) -> list[Document]:
    return [each for each in value_at(document, path, []) if isinstance(each, dict)]


@lru_cache(maxsize=64)
def expression(pattern: str) -> Any:
    """Return a regular expression of a dashboard, /such/ or such, that no text can stall; or ValueError."""
    options = re2.Options()
    options.log_errors, options.max_mem = False, 2 * 2**20
    inner = re.fullmatch(r"/(.*)/[gimsuy]*", pattern, re.DOTALL)
    try:
        return re2.compile((inner[1] if inner else pattern)[:2000], options)
    except (re2.error, UnicodeError) as error:
        raise ValueError(f"The regular expression {pattern[:100]!r} cannot be used.") from error


class Value(NamedTuple):
    """What a variable stands for. Where it can be several, Grafana writes it as a regular expression."""

    values: list[str]
    several: bool = False


Values = Mapping[str, Value]


def _pattern(values: list[str], backslash: str) -> str:
    escaped = [REGEX_SIGNS.sub(lambda found: backslash + found[0], value) for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


FORMATS: dict[str, Callable[[list[str]], str]] = {
    "raw": ",".join,
    "csv": ",".join,
    "pipe": "|".join,
    "text": " + ".join,
    "regex": lambda values: _pattern(values, "\\"),
    "promql": lambda values: _pattern(values, "\\\\"),  # within the quotes of an expression
}


def fill(text: str, values: Values, style: str = "text") -> str:
    """Return a text with values in place of its variables, each as it says or else in a style.

    What has an unknown name or format stays as it is, for a reader to see.
    """
    marks = text.count("$")
    longest = max((sum(map(len, value.values)) for value in values.values()), default=0) if marks else 0
    if len(text) + marks * longest > LONGEST_TEXT:
        raise ValueError("A text of the dashboard is too long with its variables filled in.")

    def replaced(found: re.Match[str]) -> str:
        value, how = values.get(found[1] or found[3]), found[2] or style
        if value is None or how not in FORMATS:
            return found[0]
        return FORMATS["raw" if how == "promql" and not value.several else how](value.values or [""])

    return REFERENCE.sub(replaced, text)


class Variable(NamedTuple):
    """A variable, what one can choose for it with the text of each (if that is known), and what is chosen."""

    name: str
    label: str
    about: str
    hidden: bool
    multiple: bool
    options: dict[str, str]
    chosen: list[str]
    value: Value


def variables(dashboard: Document, chosen: Chosen, ask: Ask) -> list[Variable]:
    """Return all variables in their order; each may ask for what those before it say."""
    found: list[Variable] = []
    for document in documents_at(dashboard, "templating.list")[:MOST_VARIABLES]:
        name, kind = value_at(document, "name", ""), value_at(document, "type", "")
        options = _options(document, kind, values_of(found), ask)
        about = value_at(document, "description", "")
        multiple, with_all = value_at(document, "multi", False), value_at(document, "includeAll", False)
        current = value_at(document, "current.value", None)
        if options is None:
            options, about = {current: current} if isinstance(current, str) else {}, TO_BE_WRITTEN
            kind = "textbox"
        if with_all:
            options = {ALL: "All", **options}
        usual = [each for each in (current if isinstance(current, list) else [current]) if each in [*options]]
        given = [] if kind == "constant" else chosen(f"var-{name}")
        picked = given or usual or [*options][:1]
        picked = picked if multiple else picked[:1]
        value = Value(picked, multiple or with_all)
        if ALL in picked:
            whole = value_at(document, "allValue", "")  # which stands as it is
            value = Value([whole]) if whole else Value([each for each in options if each != ALL], True)
        label, choices = value_at(document, "label", "") or name, {} if kind == "textbox" else options
        hidden = value_at(document, "hide", 0) == 2 or kind in ("constant", "datasource")
        found.append(Variable(name, label, about, hidden, multiple, choices, picked, value))
    return found


def values_of(found: list[Variable]) -> dict[str, Value]:
    return {each.name: each.value for each in found}


def _options(document: Document, kind: str, values: Values, ask: Ask) -> dict[str, str] | None:
    """Return the values that one can choose, with their texts; None if they cannot be asked for."""
    text = value_at(document, "query.query", "") or value_at(document, "query", "")
    if kind in ("custom", "interval"):
        parts = [part.replace("\\,", ",").partition(" : ") for part in re.split(r"(?<!\\),", text)]
        return {(value or key).strip(): key.strip() for key, _, value in parts[:MOST_VALUES]}
    if kind in ("textbox", "constant", "datasource"):
        return {text: text}
    function, _, inner = fill(text, values, "promql").strip().removesuffix(")").partition("(")
    if kind != "query" or function != "label_values":
        return None
    series, _, label = inner.rpartition(",")
    answers = ask(f"label/{quote(label.strip(), safe='')}/values", **{"match[]": series.strip() or []})
    if pattern := fill(value_at(document, "regex", ""), values, "regex"):
        found = filter(None, map(expression(pattern).search, answers))
        answers = [each[1 if each.re.groups else 0] or "" for each in found]
    return {each: each for each in _sorted(answers, value_at(document, "sort", 0))[:MOST_VALUES]}


def _sorted(values: list[str], order: int) -> list[str]:
    """Return values in Grafana's order 1 (by text), 3 (by number) or the next, reversed."""
    if order <= 0:
        return values
    by_number = order in (3, 4)
    return sorted(
        values,
        key=lambda text: int((re.findall(r"\d{1,15}", text) or ["-1"])[0]) if by_number else text.casefold(),
        reverse=order % 2 == 0,
    )


def labelled(labels: Mapping[str, str]) -> str:
    inner = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__")
    return labels.get("__name__", "") + (f"{{{inner}}}" if inner else "")
