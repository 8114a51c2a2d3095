"""Child processes that log to files, are waited for until ready, and never outlive their parent.

Every child carries a mark in its environment, which its own children inherit. Stopping ends the children
that were started here, then whatever else carries the mark. A guardian process does the same when the
parent dies without having stopped anything: it waits on a pipe that only the parent holds open.
"""

import contextlib
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from .errors import ProcessError
from .interrupts import uninterrupted

MARK = "LOCAL_STACK_ID"
# Children start in the folder that has this package in it, so that all of them can import it.
PACKAGE_PARENT = Path(__file__).resolve().parent.parent
GRACE_SECONDS = 5
POLL_SECONDS = 0.02
# How long a child may take until it is ready. One that ends before is reported at once: this is for hangs,
# and leaves time for machines that are busy.
READY_SECONDS = 180
LEAST_FREE_BYTES = 2**20  # below that a disk counts as full
ORPHAN_SECONDS = 1  # for what a dead child has left: it keeps the next one waiting

# What is quoted of the log of a process that has failed.
TELLING = re.compile(r"error|exception|fatal|panic|cannot|denied|refused|no space|in use", re.IGNORECASE)
LOG_END_BYTES = 20_000
MOST_LETTERS = 300


class Processes:
    """Use as a context manager: leaving it stops everything that was started in it."""

    def __init__(self, logs: Path, lock: int | None = None) -> None:
        """`lock`: a locked file's descriptor, which the guardian holds until nothing is left running."""
        self.logs = logs
        self.logs.mkdir(parents=True, exist_ok=True)
        self.lock = lock
        self.mark = uuid.uuid4().hex
        self.running: dict[str, subprocess.Popen[Any]] = {}
        self._began: dict[str, int] = {}  # bytes that were in the log of each child when it began

    def __enter__(self) -> "Processes":
        command = [sys.executable, "-m", "local_stack.processes", self.mark]
        # A session of its own: the terminal's Ctrl-C must not take the guardian along.
        self._guardian = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            cwd=PACKAGE_PARENT,
            start_new_session=True,
            pass_fds=() if self.lock is None else (self.lock,),
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with uninterrupted(already=kind is KeyboardInterrupt):
            children = list(self.running.values())
            stop(*children[1:])
            stop(*children[:1])  # the first one started: the others may report their end to it
            # Closing the pipe sets the guardian to work; it ends when nothing is left.
            self._guardian.communicate()

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        ready: Callable[[], bool],
        timeout: float = READY_SECONDS,
        **options: Any,
    ) -> "subprocess.Popen[bytes]":
        """Start a child as `spawn` does, and return when `ready()` is true."""
        process = self.spawn(name, command, **options)
        self.wait_for(name, ready, timeout)
        return process

    def spawn(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path = PACKAGE_PARENT,
        pass_fds: Iterable[int] = (),
        stdin: int = subprocess.DEVNULL,
        log: Path | None = None,
    ) -> "subprocess.Popen[bytes]":
        """Start a child and return at once; its output goes to `log`, by default one of its own."""
        file = log or self.log(name)
        with file.open("ab") as output:
            self._began[name] = file.stat().st_size
            options = {"stdin": stdin, "stdout": output, "pass_fds": tuple(pass_fds)}
            return self._spawn(name, command, env, cwd, **options)

    def release(self, name: str) -> None:
        """Let a child go on that waits for a line on its standard input, or let it find nobody there."""
        pipe = self.running[name].stdin
        if pipe:
            with contextlib.suppress(OSError), pipe:  # it may have died
                pipe.write(b"\n")

    def is_running(self, name: str) -> bool:
        return name in self.running and self.running[name].poll() is None

    def replace(self, name: str, other: str) -> bool:
        """Give the name of a child that has died to another that runs; return whether there was one."""
        if not self.is_running(other):
            return False
        self.running[name], self._began[name] = self.running.pop(other), self._began.pop(other)
        return True

    def wait_for(self, name: str, ready: Callable[[], bool], timeout: float = READY_SECONDS) -> None:
        """Return when `ready()` is true; ProcessError if the child ends before, or `timeout` seconds pass."""
        process, deadline = self.running[name], time.monotonic() + timeout
        while True:
            answer = ready()
            # Asked afterwards: it may have been another process that answered, on the port that it wanted.
            if process.poll() is not None:
                raise ProcessError(
                    self.failure_report(name, f"ended with code {process.returncode} before it was ready")
                )
            if answer:
                return
            if time.monotonic() > deadline:
                raise ProcessError(self.failure_report(name, f"was not ready within {timeout:.0f} s"))
            time.sleep(POLL_SECONDS)

    def end_group(self, process: "subprocess.Popen[Any]") -> None:
        """End what a dead child has left running in its process group: it may hold the child's port."""
        left = []
        for other in marked(self.mark):  # the mark shows that it is ours, even if the number was given again
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(other.pid) == process.pid:
                    left.append(other)
        end(left, ORPHAN_SECONDS)

    def run(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        each_line: Callable[[str], None],
        cwd: Path = PACKAGE_PARENT,
    ) -> int:
        """Run a child to its end, hand on its lines of output as they come, and return its exit code."""
        output = {"stdout": subprocess.PIPE, "text": True, "errors": "replace"}
        process = self._spawn(name, command, env, cwd, stdin=subprocess.DEVNULL, **output)
        with self.log(name).open("a", buffering=1) as log:
            for line in process.stdout or ():  # which is a pipe
                log.write(line)
                each_line(line.rstrip("\n"))
        del self.running[name]
        return process.wait()

    def _spawn(
        self, name: str, command: Sequence[str], env: Mapping[str, str] | None, cwd: Path, **options: Any
    ) -> "subprocess.Popen[Any]":
        if name in self.running and self.running[name].poll() is None:
            raise ValueError(f"a process of the name {name} is running")  # nobody would stop it any more
        process = subprocess.Popen(
            command,
            stderr=subprocess.STDOUT,
            # Python would hold its lines back, as no terminal is there to read them: logs would be late, and
            # who waits for a line of an agent's would wait until 8 KB of them have come together.
            env={**(os.environ if env is None else env), MARK: self.mark, "PYTHONUNBUFFERED": "1"},
            cwd=cwd,
            start_new_session=True,
            **options,
        )
        self.running[name] = process
        return process

    def unexpected_end(self, restarted: Collection[str] = ()) -> str | None:
        """Return a report on the first child that has ended by itself, None while all run.

        Those in `restarted` do not count: somebody else starts them again. Nor do those of `run`, which may
        be at work in another thread.
        """
        for name, process in list(self.running.items()):
            if name not in restarted and not process.stdout and process.poll() is not None:
                return self.failure_report(name, f"ended by itself with code {process.returncode}")
        return None

    def failure_report(self, name: str, what: str) -> str:
        """Return in one line what happened to a child, and what it had to say about that."""
        if words := self.last_words(name):
            told = f"{words} (more in {self.log(name)})"
        elif shutil.disk_usage(self.logs).free < LEAST_FREE_BYTES:
            told = f"{os.strerror(errno.ENOSPC)} in {self.logs.parent}: make room there."
        else:
            told = f"It wrote nothing into {self.log(name)}."
        return f"The {name} process {what}. {told}"

    def reason_of_end(self, name: str) -> str:
        """Return in half a line why a child has ended."""
        code = self.running[name].returncode
        if code < 0:
            return f"it was ended by {signal.Signals(-code).name}"
        words = self.last_words(name)
        return f"it ended with code {code}" + (f": {words}" if words else "")

    def last_words(self, name: str) -> str:
        """Return the line of a child's log that tells best why it has ended: its last error or last line."""
        with self.log(name).open("rb") as log:
            log.seek(max(self._began.get(name, 0), log.seek(0, os.SEEK_END) - LOG_END_BYTES))
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines()]
        lines = [line for line in lines if line]
        telling = [line for line in lines if TELLING.search(line)]
        return (telling or lines or [""])[-1][:MOST_LETTERS]


def stop(*processes: "subprocess.Popen[Any]") -> None:
    """End children, all at once."""
    end([psutil.Process(process.pid) for process in processes if process.poll() is None])
    for process in processes:
        process.wait()


def end(processes: Sequence[psutil.Process], seconds: float | None = None) -> None:
    """Ask the processes to end, and kill those that have not after a while."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    stubborn = wait_for_end(processes, seconds)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    wait_for_end(stubborn)


def wait_for_end(processes: Sequence[psutil.Process], seconds: float | None = None) -> list[psutil.Process]:
    """Return those that still run after a while, by default GRACE_SECONDS.

    psutil's own wait would also wait for dead ones whose parent has not asked for their exit code. It may
    never do so: the parent may be the process that waits for us, or the first process of a container.
    """
    deadline = time.monotonic() + (GRACE_SECONDS if seconds is None else seconds)
    while (left := [each for each in processes if is_alive(each)]) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return left


def is_alive(process: psutil.Process) -> bool:
    """Return whether it runs: a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def marked(mark: str) -> list[psutil.Process]:
    """Return the processes of this user that carry the mark."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def guard(mark: str) -> None:
    """Wait until the parent closes the pipe or dies, then end all that carries its mark."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    sys.stdin.read()
    # A process may be starting another one at this very moment: look again until there is none.
    while leftovers := marked(mark):
        end(leftovers)


if __name__ == "__main__":
    guard(sys.argv[1])
