"""The order of the documents that a request lists, as MongoDB has it under the real server."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .documents import Document
from .paths import Path, values_at

# MongoDB's order of types. Text is between numbers and objects, and what is missing comes before all.
MISSING, NUMBER, TEXT, OBJECT, BOOLEAN = range(5)
DIGITS = re.compile("[0-9]+")
PUNCTUATION_FIRST = {
    ord(char): position for position, char in enumerate(" _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$", 1)
}
LONGEST_TEXT = 250  # characters that count


@dataclass(frozen=True)
class Order:
    """A path to sort by. `numeric` puts run2 before run10, and ignores case."""

    path: Path
    descending: bool = False
    numeric: bool = False


def sort_documents(documents: list[Document], orders: Sequence[Order]) -> list[Document]:
    """Return the documents sorted by several paths. Equal documents keep their order.

    Documents without a value of the first path come last in both directions. In the others they count as the
    least value, as on the real server.
    """
    for position, order in reversed(list(enumerate(orders))):
        values = values_at(documents, order.path)
        first = position == 0
        if first and not order.descending and len(order.path) == 1:
            values = [None if value == "" or value == [] else value for value in values]
        documents = sort_by_values(documents, values, order, first or order.descending)
    return documents


def sort_by_values(
    documents: list[Document], values: list[Any], order: Order, missing_last: bool = True
) -> list[Document]:
    """Return the documents sorted by a value of each, in place of what they have at the order's path."""
    without = [number for number, value in enumerate(values) if value is None]
    sorted_ = [number for number, value in enumerate(values) if value is not None]
    keys = _sort_keys(values, order)
    sorted_.sort(key=keys.__getitem__, reverse=order.descending)
    return [documents[number] for number in (sorted_ + without if missing_last else without + sorted_)]


def _sort_keys(values: list[Any], order: Order) -> list[Any]:
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {int, float} or (kinds == {str} and not order.numeric):
        return values  # values of one kind are their own keys
    if kinds == {str}:
        return [None if value is None else _text_key(value[:LONGEST_TEXT]) for value in values]
    return [_sort_key(value, order.descending, order.numeric) for value in values]


def _sort_key(value: Any, descending: bool, numeric: bool) -> tuple[Any, ...]:
    match value:
        case bool():
            return (BOOLEAN, value)
        case int() | float():
            return (NUMBER, value)
        case str():
            return (TEXT, _text_key(value[:LONGEST_TEXT])) if numeric else (TEXT, value)
        case list() if value:  # a list stands where its least item would, or its greatest
            keys = (_sort_key(item, descending, numeric) for item in value)
            return max(keys) if descending else min(keys)
        case {"value": inner}:  # a hyperparameter or piece of metadata
            return (OBJECT, (("", _sort_key(inner, descending, numeric)),))
        case dict():  # a section of them, for one: by what it holds, in its order
            return (OBJECT, tuple((key, _sort_key(v, descending, numeric)) for key, v in value.items()))
    return (MISSING,)


@lru_cache(maxsize=65536)
def _text_key(text: str) -> str:
    """Order as the collation "en_US" with numericOrdering: punctuation, numbers, letters in any case."""
    plain = text if text.isascii() else _without_accents(text)
    key = DIGITS.sub(_number_key, plain.lower().translate(PUNCTUATION_FIRST))
    return f"{key}\0{text.swapcase()}"  # among equals, small letters come first


def _without_accents(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char))


def _number_key(digits: re.Match[str]) -> str:
    significant = digits[0].lstrip("0")
    return f"0{chr(len(significant))}{significant}"  # the longer number is the greater one
