"""Errors in one line, for whoever runs a script: what is wrong, and what to do about it."""

import errno
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import TracebackType

import psutil

from clearml_tools.interrupts import delayed_interrupt, finish_first, is_script, print_line, script_name
from clearml_tools.network import without_password

LONGEST_TEXT = 600  # a server may answer with a whole page

# The disk, or somebody's share of it, is full; a file is larger than it may be.
FULL = {number: os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)}

MOST_FULL_DISKS = 30  # a script that does not repeat itself gives up long before

# What has been logged about full disks: libraries go on without the file, and fail later.
logged_full_disks: list[str] = []


class UserError(ValueError):
    """Something that the user can correct. The message says what is wrong, and how to correct it."""


# What to say about errors that are not bugs of the program, by kind. Modules add those of their libraries.
EXPLANATIONS: dict[type[BaseException], Callable[[BaseException], str]] = {
    UserError: str,
    BrokenPipeError: lambda _: "what read the output of this script has ended",
}


def report_errors_in_one_line(record: Callable[[str], None] | None = None) -> None:
    """End the script with one line and exit code 1, without a traceback, at an error that has an explanation.

    `record` gets the text of the error, too. To be called before Task.init, which wraps what it finds here
    and marks the task as failed.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed, and ClearML would fail on that
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    sys.excepthook = partial(_report, record)


def _report(
    record: Callable[[str], None] | None,
    kind: type[BaseException],
    error: BaseException,
    traceback: TracebackType | None,
) -> None:
    finish_first()
    text = explanation(error)
    if isinstance(error, BrokenPipeError):
        sys.stdout = None  # or Python would try to write the rest
    if text:
        print(f"{script_name()}: error: {text}", file=sys.stderr)
        if record:
            record(text)
    elif isinstance(error, KeyboardInterrupt):
        print(f"{script_name()}: interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


def explanation(error: BaseException) -> str | None:
    """Return in one line what is wrong, without anybody's password; None if it is a bug of the program."""
    explain = next((text for known, text in EXPLANATIONS.items() if isinstance(error, known)), None)
    text = full_disk(error) or (explain(error) if explain else None)
    if text is None:
        return None
    if logged_full_disks and logged_full_disks[0] not in text:
        text += f" ({logged_full_disks[0]})"
    text = without_password(" ".join(text.split()))
    # A ClearML server puts its reason into a lot else.
    text = re.sub(r'\{"meta": .*?"result_msg": "(.*?)".*\}', r"\1", text)
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …"


def full_disk(error: BaseException | None) -> str | None:
    """Return which disk is full, if that caused the error: libraries wrap it in errors of many kinds."""
    while error:
        if isinstance(error, OSError) and error.errno in FULL:
            where = error.filename or "a disk that this script writes to"
            return f"{FULL[error.errno]} ({where}): make room there; TMPDIR and CLEARML_CACHE_DIR name others"
        error = error.__cause__ or error.__context__
    return None


def note_full_disks() -> None:
    """From now on, keep what is logged of a full disk, by whichever of ClearML's many loggers.

    A pipeline of ClearML repeats a request that a full server refuses, without a pause, and does not end for
    a signal either. So the process, and what it started, is ended when that was said often enough.
    """
    make = logging.getLogRecordFactory()

    def note(*arguments: object, **options: object) -> logging.LogRecord:
        record = make(*arguments, **options)
        with suppress(Exception):  # a message that does not fit its arguments is the handlers' matter
            message = record.getMessage()
            logged_full_disks.extend(text for text in FULL.values() if text in message)
        if len(logged_full_disks) >= MOST_FULL_DISKS and is_script():
            print_line(f"error: {logged_full_disks[0]}, as is logged again and again: make room there")
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    child.kill()
            os._exit(1)
        return record

    logging.setLogRecordFactory(note)


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn the errors of a file server or storage that cannot be written to into a UserError.

    A Ctrl-C takes effect after the block: see delayed_interrupt.
    """
    try:
        with delayed_interrupt():
            yield
    except (ValueError, OSError) as error:
        raise UserError(f"ClearML could not store {what}: {error}") from error
