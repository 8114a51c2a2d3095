"""Wait in tests: every wait ends, and then says what it waited for and what had been printed until then.

The deadlines are for hangs. What is tested takes a fraction of them, also on a machine with much else to do.
"""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeVar, cast

SECONDS = 300  # the limit on a whole test, in pyproject.toml, is longer: this one says more
POLL_SECONDS = 0.05
SHOWN_LINES = 30

Value = TypeVar("Value")


def wait_until(
    condition: Callable[[], Value | None],
    what: str,
    log: Path | Callable[[], str] | None = None,
    seconds: float = SECONDS,
) -> Value:
    """Return the condition's first true value; AssertionError, with the end of the log, if none comes."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s without success for {what}{end_of(log)}"
        time.sleep(POLL_SECONDS)
    return value


def end_of(log: Path | Callable[[], str] | None) -> str:
    """Return the last lines of a log, for the end of a message."""
    if log is None:
        return ""
    if isinstance(log, Path):
        text, name = (log.read_text(errors="replace") if log.exists() else ""), str(log)
    else:
        text, name = log(), "what was printed"
    return "\n".join([f". The end of {name}:", *text.splitlines()[-SHOWN_LINES:]])


class Printed:
    """What comes from a pipe, read as it comes: nobody can write into a pipe that is full."""

    def __init__(self, pipe: IO[str]) -> None:
        self.lines: list[str] = []
        self.reader = threading.Thread(target=self._read, args=[pipe], daemon=True)
        self.reader.start()

    def _read(self, pipe: IO[str]) -> None:
        with pipe:
            for line in pipe:
                self.lines.append(line)

    @property
    def ended(self) -> bool:
        """Whether all that have written to it are gone."""
        return not self.reader.is_alive()

    def __str__(self) -> str:
        return "".join(self.lines)


class Child(subprocess.Popen[str]):
    """A child process, and what it prints on standard output and on standard error, together or apart."""

    def __init__(
        self,
        command: Sequence[object],
        *,
        env: Mapping[str, str] | None = None,
        apart: bool = False,
        **options: Any,
    ) -> None:
        self.command = " ".join(map(str, command))
        super().__init__(
            list(map(str, command)),
            # At a signal, Python prints what it is doing: see `give_up_on`.
            env={**(os.environ if env is None else env), "PYTHONFAULTHANDLER": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if apart else subprocess.STDOUT,
            text=True,
            errors="replace",
            **options,
        )
        self.printed = Printed(cast(IO[str], self.stdout))  # both are pipes
        self.errors = Printed(cast(IO[str], self.stderr)) if apart else self.printed

    def output(self) -> str:
        """Return all that it has printed."""
        return str(self.printed) + (str(self.errors) if self.errors is not self.printed else "")

    def wait_for(self, pattern: str, seconds: float = SECONDS) -> re.Match[str]:
        """Return the first match of the pattern in what it prints, as soon as it has printed that."""

        def found() -> re.Match[str] | None:
            ended = self.printed.ended  # asked first: what it printed last is looked at, too
            match = re.search(pattern, str(self.printed))
            assert match or not ended, f"{self.command} ended without {pattern!r}{end_of(self.output)}"
            return match

        return wait_until(found, f"{pattern!r} from {self.command}", self.output, seconds)

    def wait_for_end(self, seconds: float = SECONDS) -> int:
        """Return its exit code, when it and all that print through it have ended."""

        def has_ended() -> bool:
            return self.poll() is not None and self.printed.ended and self.errors.ended

        deadline = time.monotonic() + seconds
        while not has_ended():
            if time.monotonic() > deadline:
                self.give_up_on()
                raise AssertionError(f"{self.command} did not end within {seconds:g} s{end_of(self.output)}")
            time.sleep(POLL_SECONDS)
        return self.returncode

    def give_up_on(self) -> None:
        """Kill it. A Python process prints before that where each of its threads is."""
        self.send_signal(signal.SIGABRT)
        with suppress(subprocess.TimeoutExpired):
            self.wait(10)
        self.kill()
        self.errors.reader.join(10)

    def __exit__(self, *_: object) -> None:
        """Kill it, however the block ends: those that test its end have waited for it."""
        self.kill()
        self.wait()
        for each in (self.printed, self.errors):
            each.reader.join(10)
        if self.stdin:
            self.stdin.close()


def run(
    command: Sequence[object], seconds: float = SECONDS, **options: Any
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end and return it with what it printed; AssertionError after `seconds`."""
    try:
        return subprocess.run(
            list(map(str, command)), capture_output=True, text=True, timeout=seconds, **options
        )
    except subprocess.TimeoutExpired as error:
        output = b"".join(filter(None, (error.stdout, error.stderr))).decode(errors="replace")
        raise AssertionError(
            f"{' '.join(map(str, command))} did not end within {seconds:g} s{end_of(lambda: output)}"
        ) from None


def be_interruptible() -> None:
    """Let this process, and what it starts, end by SIGINT and SIGHUP.

    Run in the background or under nohup, it ignores them, and all that it starts would, too.
    """
    for name in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(name) == signal.SIG_IGN:
            signal.signal(name, signal.default_int_handler if name == signal.SIGINT else signal.SIG_DFL)
