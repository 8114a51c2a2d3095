"""One spelling for each id of a group, such as an asteroid.

A hash of the id decides whether a group is in the test set (frozen_test_set.py). Software respells ids: a
column with an empty cell becomes one of floats, 2446862.0, and exports put blanks around. Spelled otherwise,
a group would change sides, and a model would be tested on what it has learned. So every script that reads
ids passes them through here.
"""

import re
from decimal import Decimal, InvalidOperation

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
