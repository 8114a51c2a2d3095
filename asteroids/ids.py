"""One key for each group, such as an asteroid, however its id is written and whatever its number is now.

A hash of the key decides whether a group is in the test set (frozen_test_set.py). Software respells ids: a
column with an empty cell becomes one of floats, 2446862.0, and exports put blanks around. And an asteroid
gets another id when it is numbered: (2001 VB76) becomes 446862 (2001 VB76). Under another key, a group would
change sides, and a model would be tested on what it has learned. An asteroid's designation stays, so that is
its key.
"""

import re
from decimal import Decimal, InvalidOperation

# Year, half-month, letter and number, such as 2001 VB76 or A898 PA; or that of a survey, such as 6344 P-L.
DESIGNATION = re.compile(r"((?:1[89]|20)\d\d|A[89]\d\d) ?([A-HJ-Y][A-HJ-Z]) ?(\d*)|(\d{4}) ?(P-L|T-[123])")
# An id of the table in data/ for an asteroid without a number: YYYYHHSSNNN (see data/README.md).
CODED_DESIGNATION = re.compile(r"((?:18|19|20)\d\d)(\d\d)(\d\d)(\d{3})")

# How software writes an empty cell, or a truth value from a column that was moved.
NO_NAMES = {"na", "n/a", "<na>", "nat", "none", "null", "true", "false"}


def normalized_id(value: object) -> str | None:
    """Return the id, a number or a text, as "2446862"; None if it is empty or cannot be an id.

    Leading zeros belong to the id. A table may have names for ids: a text with letters, or with digits
    joined by '-', '_', ':' or '/', is kept as it is, without the blanks around it.
    """
    text = str(value).strip()
    whole = re.fullmatch(r"([0-9]+)(\.0*)?", text)
    if whole:
        return whole[1]
    if re.fullmatch(r"[0-9]+([-_:/][0-9]+)+", text):
        return text
    try:
        number = Decimal(text)
    except InvalidOperation:
        is_name = text.isprintable() and any(map(str.isalpha, text)) and text.lower() not in NO_NAMES
        return text if is_name else None
    # 2.446862e6 has all digits of a whole number. 2.01517E+10 has lost the last ones of 20151708003.
    exponent = number.as_tuple().exponent
    is_whole = isinstance(exponent, int) and exponent <= 0 and number == number.to_integral_value()
    return f"{number:.0f}" if is_whole and number > 0 else None


def group_key(group_id: object, name: object = None) -> str | None:
    """Return what a group is known by for good: its designation, from the name or the id, or else its id.

    "99942 Apophis (2004 MN4)", "(2004 MN4)" and "2004 MN4" name one asteroid, and so does the id 20041314004.
    None if there is no designation and `group_id` cannot be an id.
    """
    return designation(name) or designation(group_id) or normalized_id(group_id)


def designation(value: object) -> str | None:
    """Return the designation that a text consists of, or that ends it in parentheses, as "2001 VB76"."""
    text = " ".join(str(value).split()).upper()
    if text.endswith(")") and "(" in text:
        text = text[text.rindex("(") + 1 : -1].strip()
    if found := DESIGNATION.fullmatch(text):
        year, letters, count, number, survey = found.groups()
        return f"{year} {letters}{int(count) if count else ''}" if year else f"{number} {survey}"
    if coded := CODED_DESIGNATION.fullmatch(normalized_id(value) or ""):
        year, half_month, second, count = coded.groups()
        letters = "".join(chr(ord("A") - 1 + int(place)) for place in (half_month, second))
        return designation(f"{year} {letters}{int(count) or ''}")
    return None
