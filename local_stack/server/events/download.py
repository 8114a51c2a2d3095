"""A task's console lines as one text, sent while it is read: it may be larger than the memory."""

import json
import re
from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

from ..documents import Document
from ..errors import fields_value_error
from ..store import Store
from .state import LOG, Selection, event_of

FIELDS = {"asctime", "timestamp", "level", "worker", "msg"}
DEFAULT_FORMAT = "{asctime} {worker} {level} {msg}"
# Doubled braces stand for one. Python's own format() would run what a client writes behind a field's name.
PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(\w*)\}|[{}]")
LONGEST_FORMAT = 1000  # as each line has all of it
LINES = 1000  # that are read at once


def check_format(line_format: str) -> None:
    """Raise the API's error for a long format, or one with other placeholders than the names of FIELDS."""
    if len(line_format) > LONGEST_FORMAT:
        raise fields_value_error(f"line_format has more than {LONGEST_FORMAT} characters")
    for found in PLACEHOLDER.finditer(line_format):
        if found[0] not in ("{{", "}}") and found[1] not in FIELDS:
            raise fields_value_error(f"{found[0]} in line_format is no field of a line")


def log_download(store: Store, task_id: str, line_format: str | None) -> StreamingResponse:
    """Return the lines of a task's console, formatted, or each as JSON."""
    headers = {"Content-Disposition": f'attachment; filename="task_{task_id}.log"'}
    return StreamingResponse(_lines(store, task_id, line_format), media_type="text/plain", headers=headers)


async def _lines(store: Store, task_id: str, line_format: str | None) -> AsyncIterator[str]:
    selection, place = Selection(store, task_id, LOG, []), None
    while (page := selection.page("timestamp", LINES, place, whole=False)).rows:
        place = page.place
        yield "".join(_line(event_of(row), line_format) for row in page.rows)


def _line(event: Document, line_format: str | None) -> str:
    event["asctime"] = event["timestamp"]
    if line_format is None:
        return (
            json.dumps({key: event[key] for key in event if key not in ("type", "task", "timestamp")}) + "\n"
        )

    def text(found: re.Match[str]) -> str:
        return str(event.get(found[1]) or "") if found[1] else found[0][0]

    return PLACEHOLDER.sub(text, line_format).rstrip("\n") + "\n"
