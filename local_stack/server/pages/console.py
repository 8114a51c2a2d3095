"""The console of a task: its last lines first, then others on request, those with a text, and new ones."""

import re
from collections import deque
from collections.abc import Iterator

from ..documents import Document
from ..errors import validation_error
from ..events.state import lines_before, lines_since, newest_seq
from ..store import Store
from .rendering import ID, MOST_IDS
from .views import found_task, is_live, path_of

LINES = 500  # in one answer
LONGEST_LINE = 5000  # characters
# Characters for one answer, some 50 ms; and the last ones of an event, which holds a line, or all that a
# program printed within seconds.
MOST_READ, MOST_OF_EVENT = 1_000_000, 1_000_000
COST_OF_LINE = 20  # characters, so that empty lines end too
MOST_FOUND, LONGEST_TEXT = 100, 200  # lines of one answer to a search, and characters that are searched for
AROUND = 120  # characters before and after what was found
LINES_AFTER = 200  # that are shown after a line that was found
# What a terminal takes for colours and movements of the cursor.
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")

# "timestamp_seq_n": before that event, less the last n lines of the event before it.
Line = tuple[str, str, int]  # the place after it, its text, and how much was read before it


def console_data(store: Store, request: Document) -> Document:
    """Return the last lines, or those `before` a place, or those that came in `after` a seq.

    With a text to `find`, return where it is, from the end or from `before` a place backwards.
    """
    task = found_task(store, request)
    found: Document = {"last": newest_seq(store)}
    if text := request.get("find"):
        if len(text) > LONGEST_TEXT:
            raise validation_error(f"a text of more than {LONGEST_TEXT} characters is not searched for")
        return _find(_backwards(store, task["id"], request.get("before")), text)
    if "after" in request:
        found |= _lines_since(store, task["id"], *_numbers(request["after"], 1))
    else:
        lines, earlier = _last_lines(store, task["id"], LINES, request.get("before"))
        found |= {"lines": lines, "before": earlier}
    # Which run this is: a reset deletes the lines of earlier runs.
    found |= {"live": is_live(task), "run": task.get("started", "")}
    ids = list(dict.fromkeys(ID.findall("\n".join(found["lines"]))))[-MOST_IDS:]
    return {**found, "ids": {key: path for key in ids if (path := path_of(store, key))}}


def _last_lines(
    store: Store, task_id: str, count: int, place: str | None = None
) -> tuple[list[str], str | None]:
    """Return the last lines before a place, at most `count`, and the place of those before them."""
    lines: list[str] = []
    for after, line, read in _backwards(store, task_id, place):
        if len(lines) == count or read > MOST_READ:
            return lines[::-1], after
        lines.append(_shortened(line))
    return lines[::-1], None


def tail(store: Store, task_id: str, count: int) -> list[str]:
    """Return the last lines of the console, at most `count`."""
    return _last_lines(store, task_id, count)[0]


def _backwards(store: Store, task_id: str, place: str | None) -> Iterator[Line]:
    """Yield the lines before a place, the last one first."""
    *end, taken = _numbers(place, 3) if place else (2**63 - 1, 2**63 - 1, 0)
    read = 0
    for timestamp, seq, text in lines_before(store, task_id, end):
        lines = split_lines(text)
        all_read = read + (0 if taken else len(text))  # with what no line shows
        for n in range(taken, len(lines)):
            yield f"{timestamp}_{seq + 1}_{n}", lines[-1 - n], read
            read += len(lines[-1 - n]) + COST_OF_LINE
        taken, read = 0, max(read, all_read)


def _find(lines: Iterator[Line], text: str) -> Document:
    """Return those of the lines that have the text, in any case, and the place `before` which to search on.

    They come in pieces: what was found is the second one. Before its `place` are it and so many `after` it.
    """
    wanted = _lower(text)
    found: list[Document] = []
    places: deque[tuple[str, int]] = deque(maxlen=LINES_AFTER + 1)
    for place, line, read in lines:
        if len(found) == MOST_FOUND or read > MOST_READ:
            return {"found": found, "before": place}
        places.append((place, read))
        while read - places[0][1] > MOST_READ:  # one answer would not reach from there to this line
            places.popleft()
        if (start := _lower(line).find(wanted)) >= 0:
            end = start + len(text)
            pieces = (line[max(0, start - AROUND) : start], line[start:end], line[end : end + AROUND])
            found.append({"place": places[0][0], "after": len(places) - 1, "pieces": pieces})
    return {"found": found, "before": None}


def _lower(text: str) -> str:
    return text.replace("İ", "i").lower()  # the one character that lower() would make longer


def _lines_since(store: Store, task_id: str, seq: int) -> Document:
    """Return the lines that came in after a seq, and whether there are `more`."""
    newest = newest_seq(store)
    shown: list[str] = []
    read = 0
    for number, text in lines_since(store, task_id, seq):
        shown += _last_of(split_lines(text))
        read += len(text)
        if len(shown) >= LINES or read > MOST_READ:
            return {"lines": shown, "last": number, "more": True}
    return {"lines": shown, "last": newest, "more": False}


def _last_of(lines: list[str]) -> list[str]:
    last = list(map(_shortened, lines[-LINES:]))
    left_out = len(lines) - LINES
    return [f"… ({left_out} lines; reload the page to see them)", *last] if left_out > 0 else last


def split_lines(text: str) -> list[str]:
    """Return the lines as a terminal would show them: no colours, progress bars in their last state."""
    plain = ESCAPES.sub("", text[-MOST_OF_EVENT:]).replace("\r\n", "\n").rstrip("\n")
    lines = plain.split("\n")
    if "\r" in plain:
        lines = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
    left_out = len(text) - MOST_OF_EVENT
    return [f"… ({left_out} characters)", *lines] if left_out > 0 else lines


def _shortened(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + " … (shortened)"


def _numbers(text: str, count: int) -> list[int]:
    parts = text.split("_")
    if len(parts) != count or not all(part.isdecimal() and len(part) <= 18 for part in parts):
        raise validation_error(f"{text!r} is not a place in a console")
    return list(map(int, parts))
