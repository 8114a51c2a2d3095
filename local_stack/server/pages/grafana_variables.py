"""The variables of a Grafana dashboard: what one can choose, and texts with what is chosen filled in.

Dashboards come from anywhere: what is missing or of a wrong type is taken as left out.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import re2

from ..documents import Document

MOST_VARIABLES, MOST_VALUES, LONGEST_VALUE, LONGEST_TEXT = 50, 200, 500, 10_000
ALL = "$__all"
REFERENCE = re.compile(r"\$\{(\w+)(?:\.[^:}]*)?(?::(\w+)[^}]*)?\}|\$(\w+)|\[\[(\w+)(?::(\w+))?\]\]")
REGEX_SIGNS = re.compile(r"[\\$^*{}\[\]'+?.()|/]")

Ask = Callable[..., Any]  # of Prometheus, such as ask("query", query="up")
Chosen = Callable[[str], list[str]]  # the values that an address has for a name


def get(document: Any, path: str, default: Any) -> Any:
    """Return what is at a path such as "options.legend", or the default if that is of another type."""
    for key in path.split("."):
        document = document.get(key) if isinstance(document, dict) else None
    return document if default is None or isinstance(document, type(default)) else default


def documents(document: Any, path: str) -> list[Document]:
    return [each for each in get(document, path, []) if isinstance(each, dict)]


def expression(pattern: str) -> Any:
    """Return a regular expression of a dashboard, /such/ or such, that no text can stall; or ValueError."""
    options = re2.Options()
    options.log_errors, options.max_mem = False, 2 * 2**20
    inner = re.fullmatch(r"/(.*)/[gimsuy]*", pattern, re.DOTALL)
    try:
        return re2.compile((inner[1] if inner else pattern).replace("(?<", "(?P<")[:2000], options)
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
    "glob": lambda values: values[0] if len(values) == 1 else "{" + ",".join(values) + "}",
    "json": json.dumps,
    "doublequote": lambda values: ",".join(map(json.dumps, values)),
    "percentencode": lambda values: quote(",".join(values), safe="", errors="replace"),
}


def fill(text: str, values: Values, style: str = "text") -> str:
    """Return a text with values in place of its variables, each as it says or else in a style."""
    left = 2 * LONGEST_TEXT

    def replaced(found: re.Match[str]) -> str:
        nonlocal left
        value = values.get(found[1] or found[3] or found[4])
        if value is None:
            return found[0]
        how = found[2] or found[5] or ("raw" if style == "promql" and not value.several else style)
        written = FORMATS.get(how, FORMATS["text"])(value.values or [""])
        left -= len(written)
        if left < 0:
            raise ValueError("A text of the dashboard is too long with its variables filled in.")
        return written

    if len(text) > LONGEST_TEXT:
        raise ValueError(f"A text of the dashboard is too long: it has more than {LONGEST_TEXT} characters.")
    return REFERENCE.sub(replaced, text)


class Variable(NamedTuple):
    """A variable, what one can choose for it with the text of each, and what is chosen."""

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
    for document in documents(dashboard, "templating.list")[:MOST_VARIABLES]:
        name, kind = get(document, "name", ""), get(document, "type", "")
        options = _options(document, kind, {each.name: each.value for each in found}, ask)
        if get(document, "includeAll", False):
            options = {ALL: "All", **options}
        given = [] if kind == "constant" else [value[:LONGEST_VALUE] for value in chosen(f"var-{name}")]
        current = get(document, "current.value", None)
        listed = current if isinstance(current, list) else [current]
        usual = [value for value in listed if value in [*options]]
        multiple = get(document, "multi", False)
        picked = (given[:MOST_VALUES] or usual or [*options])[: None if multiple and (given or usual) else 1]
        about = get(document, "label", "") or name, get(document, "description", "")
        hidden = get(document, "hide", 0) == 2 or kind in ("constant", "datasource")
        value = _value(document, picked, [each for each in options if each != ALL])
        choices = {} if kind == "textbox" else options
        found.append(Variable(name, *about, hidden, multiple, choices, picked, value))
    return found


def _value(document: Document, picked: list[str], options: list[str]) -> Value:
    several = get(document, "multi", False) or get(document, "includeAll", False)
    if ALL in picked and (everything := get(document, "allValue", "")):
        return Value([everything])  # as it stands
    return Value(options if ALL in picked else picked, several)


def panel_query(found: list[Variable], scoped: Mapping[str, str]) -> dict[str, list[str]]:
    """Return what a panel's address says of the variables: the values of "All", unless it is one text."""
    query = {}
    for each in found:
        whole = ALL in each.chosen and not each.value.several
        query[f"var-{each.name}"] = [ALL] if whole else each.value.values
    return query | {f"var-{name}": [value] for name, value in scoped.items()}


def panel_values(dashboard: Document, chosen: Chosen) -> dict[str, Value]:
    """Return what `panel_query` wrote."""
    listed = documents(dashboard, "templating.list")[:MOST_VARIABLES]
    named = {get(document, "name", ""): document for document in listed}
    return {name: _value(document, chosen(f"var-{name}"), []) for name, document in named.items()}


def _options(document: Document, kind: str, values: Values, ask: Ask) -> dict[str, str]:
    """Return the values that one can choose, with their texts."""
    asked = get(document, "query.query", "") or get(document, "query", "")
    if kind == "query":
        answers = dict.fromkeys(_answers(fill(asked, values, "promql"), ask))
        pattern = fill(get(document, "regex", ""), values, "regex")
        pairs = [pair for each in answers if (pair := _by_regex(each, pattern))]
        return dict(_sorted(list(dict.fromkeys(pairs)), get(document, "sort", 0))[:MOST_VALUES])
    text = fill(asked, values, "raw")
    if kind in ("custom", "interval"):
        parts = [
            part.replace("\\,", ",").partition(" : ") for part in re.split(r"(?<!\\),", text)[:MOST_VALUES]
        ]
        return {(value or key).strip(): key.strip() for key, _, value in parts}
    return {"prometheus": "Prometheus"} if kind == "datasource" else {text: text}


def _answers(text: str, ask: Ask) -> list[str]:
    """Return the answers to a query of a variable, as Grafana's data source for Prometheus understands it."""
    name, _, inner = text.strip().removesuffix(")").partition("(")
    if name == "label_values":
        series, _, label = inner.rpartition(",")
        return list(ask(f"label/{quote(label.strip(), safe='')}/values", **{"match[]": series.strip() or []}))
    if name == "label_names":
        return list(ask("labels"))
    if name == "metrics":
        wanted = expression(inner.strip())
        return [each for each in ask("label/__name__/values") if wanted.search(each)]
    if name == "query_result":
        found = ask("query", query=inner)["result"]
        return [f"{labelled(each['metric'])} {each['value'][1]}" for each in found]
    return [labelled(each) for each in ask("series", **{"match[]": text})] if text.strip() else []


def labelled(labels: Mapping[str, str]) -> str:
    inner = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__")
    return labels.get("__name__", "") + (f"{{{inner}}}" if inner else "")


def _by_regex(value: str, pattern: str) -> tuple[str, str] | None:
    """Return the value and the text that a regular expression finds in an answer."""
    if not (found := expression(pattern).search(value) if pattern else re.search(".*", value, re.DOTALL)):
        return None
    named = found.groupdict()
    chosen = named.get("value") or named.get("text") or (found[1] if found.re.groups else found[0]) or ""
    return chosen, named.get("text") or chosen


def _sorted(pairs: list[tuple[str, str]], order: int) -> list[tuple[str, str]]:
    """Return values in Grafana's order 1 (by text), 3 (by number), 5 (without case) or the next, reversed."""
    keys: dict[int, Callable[[tuple[str, str]], Any]] = {
        1: lambda pair: pair[1],
        2: lambda pair: int((re.findall(r"\d{1,15}", pair[1]) or ["-1"])[0]),
    }
    key = keys.get((order + 1) // 2, lambda pair: pair[1].casefold())
    return sorted(pairs, key=key, reverse=order % 2 == 0) if order > 0 else pairs
