"""Begin with the files of another home, such as a demo's, where a stack's own home has none yet.

The other home is renamed into the own one as a whole, then its entries move up. So a move that was
interrupted can be seen, and goes on at the next start.
"""

import fcntl
from pathlib import Path

from .home_checks import DATABASE, FILES, FOLDERS, LOCK

MOVING = "moving_in"  # in the home, while its entries move


def move_in(home: Path, other: Path | None) -> bool:
    """Move the other home's files into one that has none, and return whether it was done.

    The caller has locked `home`. A stack that runs in the other one is left alone.
    """
    moving = home / MOVING
    if not moving.exists() and not (other and is_unused(home) and holds_stack(other) and take(other, moving)):
        return False
    for entry in list(moving.iterdir()):
        if not (home / entry.name).exists():
            entry.rename(home / entry.name)
        elif entry.name in (LOCK, ".gitignore"):  # which both have
            entry.unlink()
    moving.rmdir()
    return True


def is_unused(home: Path) -> bool:
    """Return whether no stack has left anything in the home."""
    return not any((home / name).exists() for name in (*FOLDERS, *FILES))


def holds_stack(home: Path) -> bool:
    return not home.is_symlink() and (home / "server" / DATABASE).exists()


def take(other: Path, place: Path) -> bool:
    """Rename the other home; return whether that was done: not while a stack runs, nor from another disk."""
    try:
        with (other / LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            other.rename(place)
    except OSError:
        return False
    return True
