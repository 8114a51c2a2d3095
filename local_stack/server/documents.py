"""JSON as clients in Python write it."""

import json
import math
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """What a text of JSON says; NaN and infinity in it, which no other client could read back, become None.

    Raises ValueError, or RecursionError where it is nested too deep.
    """
    return json.loads(text, parse_constant=lambda _: None, parse_float=_finite)


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None
