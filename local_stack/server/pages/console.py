"""The console of a task: its last lines first, then others on request, those with a text, and new ones."""

import re
from collections.abc import Iterator
from itertools import islice

from ..documents import Document
from ..errors import validation_error
from ..events.state import lines_before, lines_from, lines_since, newest_seq
from ..store import Store
from .rendering import ID
from .views import found_task, is_live, path_of

LINES = 500  # in one answer
EVENTS = 50  # read at once: an event holds one line, or all that a program printed within seconds
LONGEST_LINE = 5000  # characters
MOST_FOUND, MOST_SEARCHED = 100, 1_000_000  # lines and characters of one answer to a search: some 50 ms
AROUND = 120  # characters before and after what was found
# What a terminal takes for colours and movements of the cursor.
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")

# "timestamp_seq_n": before that event, less the last n lines of the event before it.
Line = tuple[str, str]  # the place before it, and its text


def console_data(store: Store, request: Document) -> Document:
    """Return the last lines, or those `before` or `from` a place, or those that came in `after` a seq.

    With a text to `find`, return where it is, from the end or from `before` a place backwards.
    """
    task = found_task(store, request)
    found: Document = {"last": newest_seq(store)}
    if request.get("find"):
        return _find(_backwards(store, task["id"], request.get("before")), request["find"])
    if "after" in request:
        found |= _lines_since(store, task["id"], _number(request["after"]))
    elif "from" in request:
        read = list(islice(_forwards(store, task["id"], request["from"]), LINES + 1))
        found |= {"lines": _shown(read), "next": read[LINES][0] if len(read) > LINES else None}
    else:
        read = list(islice(_backwards(store, task["id"], request.get("before")), LINES + 1))
        earlier = read[LINES - 1][0] if len(read) > LINES else None
        found |= {"lines": _shown(read)[::-1], "before": earlier}
    # Which run this is: a reset deletes the lines of earlier runs.
    found |= {"live": is_live(task), "run": task.get("started", "")}
    ids = set(ID.findall("\n".join(found["lines"])))
    return {**found, "ids": {key: path for key in ids if (path := path_of(store, key))}}


def _shown(lines: list[Line]) -> list[str]:
    return [_shortened(text) for _, text in lines[:LINES]]


def tail(store: Store, task_id: str, count: int) -> list[str]:
    """Return the last lines of the console, at most `count`."""
    return _shown(list(islice(_backwards(store, task_id), count)))[::-1]


def _backwards(store: Store, task_id: str, place: str | None = None) -> Iterator[Line]:
    """Yield the lines before a place, the last one first."""
    timestamp, seq, taken = _place(place) if place else (2**63 - 1, 2**63 - 1, 0)
    while events := lines_before(store, task_id, (timestamp, seq), EVENTS):
        for timestamp, seq, text in events:
            lines = _split(text)
            for n in range(taken + 1, len(lines) + 1):
                yield f"{timestamp}_{seq + 1}_{n}", lines[-n]
            taken = 0


def _forwards(store: Store, task_id: str, place: str) -> Iterator[Line]:
    """Yield the lines after a place."""
    timestamp, seq, left = _place(place)
    events = lines_before(store, task_id, (timestamp, seq), 1) if left else []
    while events := events + lines_from(store, task_id, (timestamp, seq), EVENTS):
        for timestamp, number, text in events:
            lines, seq = _split(text), number + 1
            for n in range(min(left or len(lines), len(lines)), 0, -1):
                yield f"{timestamp}_{seq}_{n}", lines[-n]
            left = 0
        events = []


def _find(lines: Iterator[Line], text: str) -> Document:
    """Return those of the lines that have the text, in any case, and the place `before` which to search on.

    They come in pieces: what was found is the second one.
    """
    pattern = re.compile(re.escape(text), re.IGNORECASE)
    found: list[Document] = []
    searched = 0
    for place, line in lines:
        if match := pattern.search(line):
            start, end = match.start(), min(match.end(), match.start() + AROUND)
            pieces = (line[max(0, start - AROUND) : start], line[start:end], line[end : end + AROUND])
            found.append({"place": place, "pieces": pieces})
        searched += len(line) + 1
        if len(found) == MOST_FOUND or searched > MOST_SEARCHED:
            return {"found": found, "before": place}
    return {"found": found, "before": None}


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
    return [_shortened(line) for line in _split(text)]


def _split(text: str) -> list[str]:
    plain = ESCAPES.sub("", text).replace("\r\n", "\n").rstrip("\n")
    return [line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n")]


def _shortened(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + " … (shortened)"


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise validation_error(f"{text!r} is not a place in a console")
    return int(text)


def _place(text: str) -> tuple[int, int, int]:
    parts = text.split("_")
    if len(parts) != 3:
        raise validation_error(f"{text!r} is not a place in a console")
    timestamp, seq, taken = map(_number, parts)
    return timestamp, seq, taken
