"""The order of the documents that a request lists, as MongoDB has it under the real server."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from .documents import Document, Path, value_at

# MongoDB's order of types. Text is between numbers and objects, and what is missing comes before all.
MISSING, NUMBER, TEXT, OBJECT, BOOLEAN, LAST = range(6)
RUNS = re.compile(r"[0-9]+|[^\W\d_]+|.", re.DOTALL)
LONGEST_TEXT = 1000  # characters that count


def sort_documents(documents: list[Document], order: Sequence[tuple[Path, bool]], numeric: bool) -> None:
    """Sort by several paths, each ascending or (True) descending. Equal documents keep their order.

    Documents without a value of the first path come last in both directions. In the others they count as the
    least value, as on the real server. `numeric` puts run2 before run10, and ignores case.
    """
    for position, (path, descending) in reversed(list(enumerate(order))):
        missing_last = position == 0 and not descending

        def key(
            document: Document, path: Path = path, descending: bool = descending, last: bool = missing_last
        ) -> Any:
            value = value_at(document, path)
            if last and (value is None or (len(path) == 1 and value in ("", []))):
                return (LAST,)
            return _sort_key(value, descending, numeric)

        documents.sort(key=key, reverse=descending)


def _sort_key(value: Any, descending: bool, numeric: bool) -> tuple[Any, ...]:
    match value:
        case bool():
            return (BOOLEAN, value)
        case int() | float():
            return (NUMBER, value)
        case str():
            return (TEXT, *_text_key(value)) if numeric else (TEXT, value)
        case list() if value:  # a list stands where its least item would, or its greatest
            keys = (_sort_key(item, descending, numeric) for item in value)
            return max(keys) if descending else min(keys)
        case dict():  # a hyperparameter or piece of metadata: by its value
            return (OBJECT, _sort_key(value.get("value"), descending, numeric))
    return (MISSING,)


def _text_key(text: str) -> tuple[Any, ...]:
    """Order as the collation "en_US" with numericOrdering: punctuation, numbers, letters in any case."""
    text = text[:LONGEST_TEXT]
    plain = text if text.isascii() else _without_accents(text)
    return [_run_key(run) for run in RUNS.findall(plain.lower())], text.swapcase()


def _without_accents(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char))


def _run_key(run: str) -> tuple[int, int, str]:
    if run[0] in "0123456789":
        digits = run.lstrip("0")
        return (1, len(digits), digits)  # as int() would order them, and in linear time
    return (2 if run[0].isalpha() else 0, 0, run)
