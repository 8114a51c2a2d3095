"""Errors in one line, for whoever runs a script: what is wrong, and what to do about it."""

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType


class InputError(ValueError):
    """Something that whoever runs a script can put right. The message says what it is, and how."""


# What to say of an error that is no fault of the program, by its kind. Modules add kinds of their libraries.
EXPLANATIONS: dict[type[BaseException], Callable[[BaseException], str]] = {InputError: str}


def report_errors_in_one_line(record: Callable[[str], None] | None = None) -> None:
    """End the script with one line and exit code 1, without a traceback, at an error that has an explanation.

    `record` gets the text of the error, too. To be called before Task.init, which wraps what it finds here
    and marks the task as failed.
    """
    sys.excepthook = partial(_report, record)


def _report(
    record: Callable[[str], None] | None,
    kind: type[BaseException],
    error: BaseException,
    traceback: TracebackType | None,
) -> None:
    script = Path(sys.argv[0]).name
    explain = next((text for known, text in EXPLANATIONS.items() if isinstance(error, known)), None)
    if explain:
        print(f"{script}: error: {explain(error)}", file=sys.stderr)
        if record:
            record(explain(error))
    elif isinstance(error, KeyboardInterrupt):
        print(f"{script}: interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn the errors of a file server or storage that cannot be written to into an InputError."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise InputError(f"ClearML could not store {what}: {error}") from error


def shell_quoted(text: str) -> str:
    """Return the text in quotes, as a shell takes it."""
    return shlex.quote(text) if re.search(r'[$`"\\!]', text) else f'"{text}"'
