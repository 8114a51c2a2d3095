"""Begin with the files of another home, such as a demo's, where a stack's own home has none yet."""

import fcntl
from pathlib import Path

from .home_checks import DATABASE, LOCK

SERVER, CONFIGURATION = "server", "clearml.conf"
OWN = (LOCK, CONFIGURATION, ".gitignore")  # which a start makes


def move_in(home: Path, other: Path | None) -> bool:
    """Move the other home's files into one in which no stack ran, and return whether it was done.

    The caller has locked `home`. Nothing moves while a stack runs in the other one, nor from another disk.
    The server's folder moves last: a move that was interrupted goes on at the next start.
    """
    was_used = (home / SERVER).exists() or (home / CONFIGURATION).exists()
    if not other or was_used or not holds_stack(other) or other.stat().st_dev != home.stat().st_dev:
        return False
    with (other / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        for entry in sorted(other.iterdir(), key=lambda entry: entry.name == SERVER):
            if entry.name not in OWN and not (home / entry.name).exists():
                entry.rename(home / entry.name)
    return True


def holds_stack(home: Path) -> bool:
    return not home.is_symlink() and (home / SERVER / DATABASE).exists()
