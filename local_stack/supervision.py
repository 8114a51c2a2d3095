"""Start again what dies: each part by itself, after pauses that grow, while all others go on.

A look never waits for a part: one that takes long to start, or cannot start, holds nobody up.
"""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import StackError
from .processes import GRACE_SECONDS, PACKAGE_PARENT, READY_SECONDS, Processes

# Seconds before each attempt in a row. Who was killed is back at once; who cannot live does not keep the
# machine busy.
PAUSES = (0, 0, 1, 2, 4, 8, 15)
STEADY_SECONDS = 5  # with so long a life as a part that is ready, its row of attempts begins anew
SPARE_SECONDS = 30  # between two spares that were not needed, or died


@dataclass
class Part:
    """A process, and how to tell that it is ready."""

    name: str
    command: list[str]
    environment: dict[str, str]
    ready: Callable[[], bool]
    check: Callable[[], object] = lambda: None  # raises StackError where it could not start, its port for one
    folder: Path = PACKAGE_PARENT  # in which it runs
    spare: bool = False  # it waits for a line on standard input before it begins: a second one can be at hand
    orphans: bool = False  # what it had started may go on when it has died


@dataclass
class Life:
    """What is known of a part: `make` returns how to start it this time."""

    make: Callable[[], Part]
    part: Part
    since: float = 0.0  # when it was started, or became ready
    ready: bool = False
    attempts: int = 0  # in a row
    next_attempt: float | None = None  # while it is down
    told: str = ""  # why it is down, as the user knows
    fault: str = ""  # why it was ended here, empty where it is to begin anew only
    kill_at: float | None = None  # it was asked to end
    next_spare: float = 0.0


@dataclass
class Supervisor:
    """`followers`: what has to begin anew when a part has, as it would not notice."""

    processes: Processes
    followers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lives: dict[str, Life] = field(default_factory=dict)

    def start(self, make: Callable[[], Part]) -> None:
        """Start a part for the first time, and return at once."""
        life = Life(make, make())
        self._spawn(life)
        self.lives[life.part.name] = life

    def wait(self) -> None:
        """Return when all parts that were started are ready; ProcessError if one ends before."""
        for life in self.lives.values():
            self.processes.wait_for(life.part.name, life.part.ready)
            life.ready, life.since = True, time.monotonic()

    def poll(self) -> None:
        """Look after all parts once; to be called now and then."""
        for life in self.lives.values():
            if life.next_attempt is None:
                if self.processes.running[life.part.name].poll() is None:
                    self._look_at_living(life)
                else:
                    self._note_end(life)
            if life.next_attempt is not None and time.monotonic() >= life.next_attempt:
                self._try_again(life)
            if life.part.spare and (life.ready or life.next_attempt is not None):
                self._keep_spare(life)

    def names(self) -> list[str]:
        """Return the names of all processes that are looked after here."""
        return [name for own in self.lives for name in (own, spare_of(own))]

    def _look_at_living(self, life: Life) -> None:
        name, age = life.part.name, time.monotonic() - life.since
        if life.kill_at is not None:
            if time.monotonic() > life.kill_at:
                self.processes.running[name].kill()
        elif not life.ready and life.part.ready():
            life.ready, life.since = True, time.monotonic()
            if life.told:
                life.told = ""
                say(f"{name} is back.")
            for follower in self.followers.get(name, ()):
                self._end(self.lives[follower], "")
        elif not life.ready and age > READY_SECONDS:
            self._end(life, f"it was not ready within {READY_SECONDS} s")

    def _end(self, life: Life, fault: str) -> None:
        if life.next_attempt is None:  # else it has ended already
            self.processes.running[life.part.name].terminate()
            life.fault, life.kill_at = fault, time.monotonic() + GRACE_SECONDS

    def _note_end(self, life: Life) -> None:
        asked, steady = life.kill_at is not None, time.monotonic() - life.since >= STEADY_SECONDS
        life.kill_at = None
        if life.ready and (asked or steady):
            life.attempts = 0
        if asked and not life.fault:
            life.next_attempt = time.monotonic()
        else:
            self._put_off(life, life.fault or self.processes.reason_of_end(life.part.name))
        life.ready, life.fault = False, ""

    def _put_off(self, life: Life, why: str) -> None:
        """Let some time pass until the next attempt, and tell why, once."""
        life.next_attempt = time.monotonic() + PAUSES[min(life.attempts, len(PAUSES) - 1)]
        life.attempts += 1
        if not life.told:
            say(f"{life.part.name} died: starting it again. {capitalized(why)}.")
        elif life.told != why:
            say(f"{life.part.name} is still down, and is tried again now and then. {capitalized(why)}.")
        life.told = why

    def _try_again(self, life: Life) -> None:
        name = life.part.name
        try:
            if not life.part.orphans:
                self.processes.end_group(self.processes.running[name])
            life.part.check()
            life.part = life.make()
            if not self.processes.replace(name, spare_of(name)):
                self._spawn(life)
            elif life.part.spare:
                self.processes.release(name)
                life.next_spare = 0.0
        except (StackError, OSError) as error:
            self._put_off(life, str(error).rstrip("."))
        else:
            life.next_attempt, life.since = None, time.monotonic()

    def _keep_spare(self, life: Life) -> None:
        spare, now = spare_of(life.part.name), time.monotonic()
        if not self.processes.is_running(spare) and now >= life.next_spare:
            life.next_spare = now + SPARE_SECONDS
            self._spawn_as(life.part, spare, log=self.processes.log(life.part.name))

    def _spawn(self, life: Life) -> None:
        life.since = time.monotonic()
        self._spawn_as(life.part, life.part.name)
        if life.part.spare:
            self.processes.release(life.part.name)

    def _spawn_as(self, part: Part, name: str, **options: Any) -> None:
        stdin = subprocess.PIPE if part.spare else subprocess.DEVNULL
        self.processes.spawn(
            name, part.command, env=part.environment, cwd=part.folder, stdin=stdin, **options
        )


def spare_of(name: str) -> str:
    return f"{name}-spare"


def say(line: str) -> None:
    print(line, flush=True)


def capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]
