"""The console of a task: its last lines first, earlier ones on demand, new ones as they come."""

import re

from ..errors import validation_error
from ..events.console import arrived_since, lines_before, newest_seq
from ..store import Document, Store
from .views import found_task, is_live

LINES = 500  # in one answer
EVENTS = 50  # read at once: an event holds one line or all that a program printed within seconds
LONGEST_LINE = 5000  # characters that are shown
# Colours and movements of the cursor, as terminals know them.
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")

Place = tuple[int, int, int]  # before a (timestamp, seq), less this many lines of the event right before it


def lines(store: Store, request: dict) -> dict:
    """The last lines; with `before` those before a place; with `after` those that came in since."""
    task = found_task(store, request)
    if "after" in request:
        return {**_since(store, task["id"], _number(request["after"])), **_state(task)}
    newest = newest_seq(store)
    place = _place(request["before"]) if request.get("before") else None
    shown, earlier = _back(store, task["id"], place)
    return {
        "lines": shown,
        "before": "_".join(map(str, earlier)) if earlier else None,
        "last": newest,
        **_state(task),
    }


def _state(task: Document) -> dict:
    """Whether lines may follow, and which run of the task this is: a reset deletes the lines of others."""
    return {"live": is_live(task), "run": task.get("started", "")}


def tail(store: Store, task_id: str, count: int) -> list[str]:
    """The last lines of the console, at most `count`."""
    return _back(store, task_id, None)[0][-count:]


def _back(store: Store, task_id: str, place: Place | None) -> tuple[list[str], Place | None]:
    """Lines that end at the place, oldest first, and the place of those before them, if there are any."""
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


def _since(store: Store, task_id: str, seq: int) -> dict:
    """Lines that came in after a seq, and whether there are `more`."""
    newest = newest_seq(store)
    events = arrived_since(store, task_id, seq, EVENTS)
    shown: list[str] = []
    for number, text in events:
        if len(shown) >= LINES:
            return {"lines": shown, "last": seq, "more": True}
        shown += _end_of(split_lines(text))
        seq = number
    more = len(events) == EVENTS
    return {"lines": shown, "last": seq if more else newest, "more": more}


def _end_of(lines: list[str]) -> list[str]:
    if len(lines) <= LINES:
        return lines
    return [f"… ({len(lines) - LINES} lines; load the page anew to see them)", *lines[-LINES:]]


def split_lines(text: str) -> list[str]:
    """Lines as a terminal would leave them: without colours, and a progress bar in its last state only."""
    plain = ESCAPES.sub("", text).replace("\r\n", "\n").rstrip("\n")
    return [_shortened(line.rstrip("\r").rpartition("\r")[2]) for line in plain.split("\n")]


def _shortened(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + " … (shortened)"


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise validation_error(f"{text!r} is no place in a console")
    return int(text)


def _place(text: str) -> Place:
    parts = text.split("_")
    if len(parts) != 3:
        raise validation_error(f"{text!r} is no place in a console")
    timestamp, seq, taken = map(_number, parts)
    return timestamp, seq, taken
