"""The console of a task: its last lines first, then others on request, those with a text, and new ones."""

import re
from collections import deque
from collections.abc import Iterator
from itertools import islice

from ..documents import Document
from ..errors import validation_error
from ..events.state import lines_before, lines_since, newest_seq
from ..store import Store
from .rendering import ID
from .views import found_task, is_live, path_of

LINES = 500  # in one answer
EVENTS = 50  # read at once: an event holds one line, or all that a program printed within seconds
LONGEST_LINE = 5000  # characters
MOST_FOUND, MOST_SEARCHED = 100, 1_000_000  # lines and characters of one answer to a search: some 50 ms
AROUND = 120  # characters before and after what was found
LINES_AFTER = 200  # that are shown after a line that was found
# What a terminal takes for colours and movements of the cursor.
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")

# "timestamp_seq_n": before that event, less the last n lines of the event before it.
Line = tuple[str, str]  # the place after it, and its text


def console_data(store: Store, request: Document) -> Document:
    """Return the last lines, or those `before` a place, or those that came in `after` a seq.

    With a text to `find`, return where it is, from the end or from `before` a place backwards.
    """
    task = found_task(store, request)
    found: Document = {"last": newest_seq(store)}
    if request.get("find"):
        return _find(_backwards(store, task["id"], request.get("before")), request["find"])
    if "after" in request:
        found |= _lines_since(store, task["id"], *_numbers(request["after"], 1))
    else:
        read = list(islice(_backwards(store, task["id"], request.get("before")), LINES + 1))
        earlier = read[LINES][0] if len(read) > LINES else None
        found |= {"lines": _oldest_first(read[:LINES]), "before": earlier}
    # Which run this is: a reset deletes the lines of earlier runs.
    found |= {"live": is_live(task), "run": task.get("started", "")}
    ids = set(ID.findall("\n".join(found["lines"])))
    return {**found, "ids": {key: path for key in ids if (path := path_of(store, key))}}


def _oldest_first(lines: list[Line]) -> list[str]:
    return [_shortened(text) for _, text in reversed(lines)]


def tail(store: Store, task_id: str, count: int) -> list[str]:
    """Return the last lines of the console, at most `count`."""
    return _oldest_first(list(islice(_backwards(store, task_id), count)))


def _backwards(store: Store, task_id: str, place: str | None = None) -> Iterator[Line]:
    """Yield the lines before a place, the last one first."""
    timestamp, seq, taken = _numbers(place, 3) if place else (2**63 - 1, 2**63 - 1, 0)
    while events := lines_before(store, task_id, (timestamp, seq), EVENTS):
        for timestamp, seq, text in events:
            lines = _split(text)
            for n in range(taken, len(lines)):
                yield f"{timestamp}_{seq + 1}_{n}", lines[-1 - n]
            taken = 0


def _find(lines: Iterator[Line], text: str) -> Document:
    """Return those of the lines that have the text, in any case, and the place `before` which to search on.

    They come in pieces: what was found is the second one. Before its `place` are it and so many `after` it.
    """
    pattern = re.compile(re.escape(text), re.IGNORECASE)
    found: list[Document] = []
    searched = 0
    places: deque[str] = deque(maxlen=LINES_AFTER + 1)
    for place, line in lines:
        if len(found) == MOST_FOUND or searched > MOST_SEARCHED:
            return {"found": found, "before": place}
        places.append(place)
        if match := pattern.search(line):
            start, end = match.start(), min(match.end(), match.start() + AROUND)
            pieces = (line[max(0, start - AROUND) : start], line[start:end], line[end : end + AROUND])
            found.append({"place": places[0], "after": len(places) - 1, "pieces": pieces})
        searched += len(line) + 1
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


def _numbers(text: str, count: int) -> list[int]:
    parts = text.split("_")
    if len(parts) != count or not all(part.isdecimal() and len(part) <= 18 for part in parts):
        raise validation_error(f"{text!r} is not a place in a console")
    return list(map(int, parts))
