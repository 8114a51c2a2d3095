"""The console of a task: its last lines first, then earlier ones on request and new ones as they come."""

import re

from ..documents import Document
from ..errors import validation_error
from ..events.state import lines_before, lines_since, newest_seq
from ..store import Store
from .views import found_task, is_live

LINES = 500  # in one answer
EVENTS = 50  # read at once: an event holds one line, or all that a program printed within seconds
LONGEST_LINE = 5000  # characters
# What a terminal takes for colours and movements of the cursor.
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")

# (timestamp, seq, n): before that event, less the last n lines of the event before it.
Place = tuple[int, int, int]


def console_data(store: Store, request: Document) -> Document:
    """Return the last lines, or those `before` a place, or those that came in `after` a seq."""
    task = found_task(store, request)
    if "after" in request:
        return {**_lines_since(store, task["id"], _number(request["after"])), **_state(task)}
    newest = newest_seq(store)
    place = _place(request["before"]) if request.get("before") else None
    shown, earlier = _lines_before(store, task["id"], place)
    return {
        "lines": shown,
        "before": "_".join(map(str, earlier)) if earlier else None,
        "last": newest,
        **_state(task),
    }


def _state(task: Document) -> Document:
    """Return whether lines may follow, and which run this is: a reset deletes the lines of earlier runs."""
    return {"live": is_live(task), "run": task.get("started", "")}


def tail(store: Store, task_id: str, count: int) -> list[str]:
    """Return the last lines of the console, at most `count`."""
    return _lines_before(store, task_id, None)[0][-count:]


def _lines_before(store: Store, task_id: str, place: Place | None) -> tuple[list[str], Place | None]:
    """Return the lines before a place, oldest first, and the place of those before them, if any."""
    timestamp, seq, taken = place or (2**63 - 1, 2**63 - 1, 0)
    shown: list[str] = []
    while len(shown) < LINES:
        events = lines_before(store, task_id, (timestamp, seq), EVENTS)
        for timestamp, seq, text in events:
            split = split_lines(text)
            left = split[: len(split) - taken]
            room = LINES - len(shown)
            shown[:0] = left[-room:]
            if len(left) > room:
                return shown, (timestamp, seq + 1, taken + room)
            taken = 0
            if len(shown) == LINES:
                break
        if len(events) < EVENTS:
            break
    more = lines_before(store, task_id, (timestamp, seq), 1)
    return shown, (timestamp, seq, 0) if more else None


def _lines_since(store: Store, task_id: str, seq: int) -> Document:
    """Return the lines that came in after a seq, and whether there are `more`."""
    newest = newest_seq(store)
    events = lines_since(store, task_id, seq, EVENTS)
    shown: list[str] = []
    for number, text in events:
        if len(shown) >= LINES:
            return {"lines": shown, "last": seq, "more": True}
        shown += _last_of(split_lines(text))
        seq = number
    more = len(events) == EVENTS
    return {"lines": shown, "last": seq if more else newest, "more": more}


def _last_of(lines: list[str]) -> list[str]:
    if len(lines) <= LINES:
        return lines
    return [f"… ({len(lines) - LINES} lines; reload the page to see them)", *lines[-LINES:]]


def split_lines(text: str) -> list[str]:
    """Return the lines as a terminal would show them: no colours, progress bars in their last state."""
    plain = ESCAPES.sub("", text).replace("\r\n", "\n").rstrip("\n")
    return [_shortened(line.rstrip("\r").rpartition("\r")[2]) for line in plain.split("\n")]


def _shortened(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + " … (shortened)"


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise validation_error(f"{text!r} is not a place in a console")
    return int(text)


def _place(text: str) -> Place:
    parts = text.split("_")
    if len(parts) != 3:
        raise validation_error(f"{text!r} is not a place in a console")
    timestamp, seq, taken = map(_number, parts)
    return timestamp, seq, taken
