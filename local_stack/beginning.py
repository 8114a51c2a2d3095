"""Begin with the files of another home, such as a demo's, where a stack's own home has none yet."""

import fcntl
import os
from pathlib import Path

from .errors import StackError
from .home_checks import DATABASE, LOCK

SERVER, CONFIGURATION = "server", "clearml.conf"
OWN = (LOCK, CONFIGURATION, ".gitignore")  # which a start makes


def move_in(home: Path, other: Path) -> bool:
    """Move the other home's files into one in which no stack ran, and return whether it was done.

    The caller has locked `home`. Nothing moves while a stack runs in the other one, nor from another disk.
    The server's folder moves last: a move that was interrupted goes on at the next start. StackError names
    what cannot be moved.
    """
    was_used = (home / SERVER).exists() or (home / CONFIGURATION).exists()
    if was_used or not holds_stack(other) or other.stat().st_dev != home.stat().st_dev:
        return False
    # The lock stays there: who waits for it finds what was left, and not what was moved.
    with (other / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not holds_stack(other):  # any more
            return False
        entries = sorted(other.iterdir(), key=lambda entry: entry.name == SERVER)
        entries = [entry for entry in entries if entry.name not in OWN]
        for entry in entries:
            if os.path.lexists(home / entry.name):
                raise cannot_move(entry, home, "there is one of this name already")
            if entry.is_symlink() or home.is_relative_to(entry.resolve()):
                raise cannot_move(entry, home, "it is a link, or holds that folder")
        for entry in entries:
            try:
                entry.rename(home / entry.name)
            except OSError as error:
                raise cannot_move(entry, home, error.strerror) from error
    return True


def cannot_move(entry: Path, home: Path, why: str | None) -> StackError:
    return StackError(
        f"{entry} cannot be moved into {home} ({why}). Give the rights back, move away what is in the "
        "way, or move it by hand, and start again; or choose another home with --home. Nothing is lost."
    )


def holds_stack(home: Path) -> bool:
    return not home.is_symlink() and (home / SERVER / DATABASE).exists()
