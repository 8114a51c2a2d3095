"""Ctrl-C, and the other signals that ask this process to end: one KeyboardInterrupt that cannot get lost.

Python raises it in whatever code runs at that moment. Some code cannot pass an exception on: what is called
when an object goes, as at the end of every import. There Python drops it, and Ctrl-C would have done nothing.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_SECONDS = 0.05
INTERRUPTED = 130  # the exit code


def end_at_once() -> None:
    """Let each of them end this process in one line from here on, as long as it has started nothing.

    For the time of imports: some modules catch every exception there, or are left half made by one.
    """
    for name in SIGNALS:
        if signal.getsignal(name) != signal.SIG_IGN:
            signal.signal(name, leave)


def leave(*_: object) -> None:
    os.write(2, b"\nStopped.\n")
    os._exit(INTERRUPTED)


def take_signals() -> None:
    """Let each of them raise KeyboardInterrupt from here on; one that nothing catches ends in one line."""
    for name in SIGNALS:
        if signal.getsignal(name) != signal.SIG_IGN:  # nohup wants to outlive the terminal
            signal.signal(name, interrupt)
    signal.signal(signal.SIGALRM, interrupt)
    sys.unraisablehook = raise_again
    sys.excepthook = report_in_one_line


def ignore_signals() -> None:
    """Let the process end by itself from here on: a second Ctrl-C must not disturb it."""
    for name in (*SIGNALS, signal.SIGALRM):
        signal.signal(name, signal.SIG_IGN)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def raise_again(dropped: "sys.UnraisableHookArgs") -> None:
    """Raise an interrupt that Python has dropped again, a moment later, when other code runs."""
    if issubclass(dropped.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
    else:
        sys.__unraisablehook__(dropped)


def report_in_one_line(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("\nStopped.", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


@contextmanager
def uninterrupted(already: bool = False) -> Iterator[None]:
    """Let signals that would raise KeyboardInterrupt wait for the end of the block.

    They are dropped if one is under way `already`: the process is about to end.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone is interrupted
        yield
        return
    received: list[int] = []

    def keep(number: int, frame: FrameType | None) -> None:
        received.append(number)

    delayed = {name: handler for name in SIGNALS if callable(handler := signal.getsignal(name))}
    if signal.getsignal(signal.SIGALRM) is interrupt:  # it is ours, and no limit on a test
        delayed[signal.SIGALRM] = interrupt
    for name in delayed:
        signal.signal(name, keep)
    try:
        yield
    finally:
        for name, handler in delayed.items():
            signal.signal(name, handler)
    if received and not already:
        signal.raise_signal(received[0])
