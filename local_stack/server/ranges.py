"""Conditions on numbers and dates: [2, 6], ["2026-01-01", null] or ">=2026-01-01"."""

import operator
import re
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from dateutil import parser

from .errors import ApiError, fields_value_error, validation_error
from .lists import ValueTest, as_list

MOST_BOUNDS = 10
LONGEST_DATE = 50
COMPARISON = re.compile(r"^(>=|<=|>|<|=)?(.*)$", re.DOTALL)
COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "=": operator.eq}


def range_test(field: str, wanted: Any) -> ValueTest:
    """Read [least, most]. Either may be null. Without the least, what has no value is in the range too.

    A number may be written as text: ClearML's web UI takes the filters of its tables from its own address.
    """
    least, most = (_as_number(bound) for bound in _bounds(field, wanted))
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
    return wanted


def _as_number(bound: Any) -> Any:
    try:
        return float(bound) if isinstance(bound, str) else bound
    except ValueError:
        return bound


def date_test(field: str, wanted: Any) -> ValueTest:
    bounds = as_list(wanted)
    if len(bounds) > MOST_BOUNDS:
        raise fields_value_error(f"{field} has {len(bounds)} bounds, more than {MOST_BOUNDS}")
    for bound in bounds:
        if not isinstance(bound, str | None):
            raise _no_date(str(bound))
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
    compare, limit = COMPARE[found[1] or "="], _wanted_date(found[2])
    return lambda value: compare(_date(value), limit)


@lru_cache(maxsize=65536)
def _date(text: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise _no_date(text) from error
    return _with_zone(parsed)


def _wanted_date(text: str) -> datetime:
    """Read a date as ClearML's server does: as ISO writes it, or as people do, such as 11/30/2026."""
    text = text.strip()
    if len(text) > LONGEST_DATE:
        raise _no_date(text)
    with suppress(ApiError):
        return _date(text)
    try:
        # Its zone may be off by more than a day, which is found out only when it is used.
        return _with_zone(parser.parse(text)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _no_date(text) from error


def _no_date(text: str) -> ApiError:
    return validation_error(f"{text[:LONGEST_DATE]!r} is not a date such as 2026-01-31T12:00:00")


def _with_zone(parsed: datetime) -> datetime:
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
