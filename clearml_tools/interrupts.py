"""Ctrl-C and SIGTERM: at any moment they end a script in order, and SIGTERM does what Ctrl-C does.

Until a script has begun something, they end it at once: libraries that are being imported, read clearml.conf
or a table may swallow an interrupt, or answer it with a long traceback. So errors.py, which imports this
module, is imported before all of them.
"""

import _thread
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)

# Where ClearML takes what a script prints or logs, and puts it into a queue. It holds locks there, which an
# interrupt may leave locked: what sends the queue would wait for them for ever, and the script for that.
PRINTS = os.path.join("clearml", "backend_interface", "logger.py")
RETRY_SECONDS = 0.01


def script_name() -> str:
    """Return the name of the running script, for the lines that it prints about itself."""
    return Path(sys.argv[0]).name


def print_line(text: str) -> None:
    """Write a line about the script to the terminal at once, from a signal's handler or a thread as well."""
    if sys.__stderr__:  # there is none where it was closed
        with suppress(OSError):
            os.write(sys.__stderr__.fileno(), f"{script_name()}: {text}\n".encode())


def end_at_once(number: int, frame: FrameType | None) -> None:
    """End the process by the signal, with one line."""
    print_line("interrupted")
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Do what a Ctrl-C does. One that is ignored, as in a shell's background, raises KeyboardInterrupt."""
    on_ctrl_c = signal.getsignal(signal.SIGINT)
    (on_ctrl_c if callable(on_ctrl_c) else raise_outside_prints)(signal.SIGINT, frame)


def signal_main_thread(number: int) -> None:
    if sys.platform == "win32":
        _thread.interrupt_main(number)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, number)  # wakes it from a wait as well


def raise_outside_prints(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; within PRINTS, a moment later."""
    place = frame
    while place:
        if place.f_code.co_filename.endswith(PRINTS):
            again = threading.Timer(RETRY_SECONDS, signal_main_thread, [number])
            again.daemon = True  # the script may end before
            again.start()
            return
        place = place.f_back
    signal.default_int_handler(number, frame)


def raise_interrupts() -> None:
    """From now on, let both signals raise KeyboardInterrupt, so that what was begun can be cleaned up."""
    if not is_script():
        return
    if signal.getsignal(signal.SIGINT) is end_at_once:
        signal.signal(signal.SIGINT, raise_outside_prints)
    if signal.getsignal(signal.SIGTERM) in (end_at_once, signal.SIG_DFL):
        signal.signal(signal.SIGTERM, interrupt)


@contextmanager
def delayed_interrupt() -> Iterator[None]:
    """Let a signal within the block take effect after it, unless it fails; a second one at once.

    What is broken off while it is half made could not be found, to be deleted or marked as stopped. And
    ClearML's reports and uploads may wait for ever for a lock that a call which was broken off still holds.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone is interrupted
        yield
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    former = {int(number): handler for number, handler in handlers.items() if callable(handler)}
    received: list[int] = []
    inside = True

    def delay(number: int, frame: FrameType | None) -> None:
        if inside and not received:
            received.append(number)
        else:
            former[number](number, frame)

    for number in former:
        signal.signal(number, delay)
    try:
        yield
    finally:
        inside = False
        for number, handler in former.items():
            # Task.init puts ClearML's own in front. For Ctrl-C it only notes the signal. For SIGTERM it would
            # end the task while the script is still at work on it.
            if number == signal.SIGTERM or signal.getsignal(number) is delay:
                signal.signal(number, handler)
    if received:
        signal.raise_signal(received[0])


def finish_first() -> None:
    """From now on, put off the first signal while ClearML is told how the task ended."""

    def put_off(number: int, frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, end_at_once)
        print_line("telling ClearML how the task ended; a second Ctrl-C ends this at once")

    for number in SIGNALS:
        if callable(signal.getsignal(number)):
            signal.signal(number, put_off)


def is_script() -> bool:
    """Return whether a script of this folder is running, rather than a test or a notebook that imports it."""
    main = getattr(sys.modules["__main__"], "__file__", None)
    return main is not None and Path(main).resolve().parent == Path(__file__).resolve().parent.parent


if is_script():
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end_at_once)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, end_at_once)
