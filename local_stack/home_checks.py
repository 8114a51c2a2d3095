"""What must be right with the files of a home before anything is started on them. Nothing is changed here.

A server that began with an empty database in place of a lost one would take the next scripts as if nothing
had been there. So it does not start until a person has decided.
"""

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from .errors import StackError
from .server.auth import Credentials

# In a home, what is a folder and what is a file. A start makes those that are not there.
FOLDERS = ("server", "server/files", "server/uploads", "logs", "cache", "agent", "prometheus", "alertmanager")
FILES = ("clearml.conf", "port", "server/credentials.json", "server/clearml.sqlite")

# What SQLite says of a damaged database, or of one without the tables of the server.
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LOCK = "local_stack.lock"  # it also marks a folder as a stack's home
DATABASE, KEYS, STARTED = "clearml.sqlite", "credentials.json", "started"

# A check of all pages takes a second where a database is so large, and a start must not wait for longer.
MOST_BYTES_CHECKED = 256 * 2**20


def check_home(home: Path) -> None:
    """Raise StackError for the first thing that is wrong, with what to do about it."""
    for name in FOLDERS:
        check_kind(home / name, is_folder=True)
    for name in FILES:
        check_kind(home / name, is_folder=False)
    server = home / "server"
    check_credentials(server / KEYS)
    has_started = (server / STARTED).exists() or has_files(server / "files")
    if has_started or (server / DATABASE).exists():
        check_database(server / DATABASE, has_started)


def note_start(home: Path) -> None:
    """Remember that a server has run here: from now on its database has to be there."""
    (home / "server" / STARTED).touch()


def check_kind(path: Path, is_folder: bool) -> None:
    if not path.exists():
        return
    if path.is_dir() != is_folder:
        found, wanted = ("file", "folder") if is_folder else ("folder", "file")
        raise StackError(f"{path} is a {found}, and a {wanted} belongs there: move it away.")
    if not os.access(path, os.R_OK | os.W_OK | (os.X_OK if is_folder else 0)):
        raise StackError(
            f"{path} cannot be read and written by this user: give the right back (chmod u+rwX), "
            "or choose another home with --home."
        )


def check_credentials(path: Path) -> None:
    if not path.exists():
        return
    try:
        credentials = Credentials.load_or_make(path)
        keys = credentials.access_key, credentials.secret_key, credentials.token_secret
        whole = all(isinstance(key, str) and key for key in keys)
    except (ValueError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise StackError(
            f"{path} is {'damaged' if path.stat().st_size else 'empty'}: put a copy of it back, "
            "or delete it, and new credentials are made. Tasks and files stay."
        )


def has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def check_database(path: Path, has_started: bool) -> None:
    """Raise StackError unless the database is whole and, where a server has run, holds what that wrote."""
    try:
        what = fault_of(path, has_started)
    except sqlite3.OperationalError as error:  # its place, not the database
        raise StackError(
            f"{path} cannot be opened ({error}): free space on its disk, give the rights back, or end what "
            "else uses it. What was stored is still there."
        ) from error
    if what:
        raise StackError(
            f"{path} {what}: put a copy of it back, or move the folder {path.parent} away to begin anew "
            "without its tasks and files. Nothing in it was changed."
        )


def fault_of(path: Path, has_started: bool) -> str | None:
    if not path.exists():
        return "is gone, while other files of the server are still there"
    log = path.with_name(f"{path.name}-wal")
    if not path.stat().st_size and not (log.exists() and log.stat().st_size):
        return "is empty" if has_started else None
    kept = None
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            if path.stat().st_size < MOST_BYTES_CHECKED:
                (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
                if verdict != "ok":
                    return f"is damaged ({verdict.splitlines()[-1]})"
            if has_started:
                kept = database.execute("SELECT 1 FROM documents").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in DAMAGE:
            return f"is damaged ({error})"
        raise
    return None if kept or not has_started else "has been emptied: it has no queue, project or task in it"


def disk_error(error: OSError, home: Path) -> StackError:
    """Return an error of the operating system at the start as one that names the remedy."""
    where, what = error.filename or home, error.strerror or str(error)
    remedy = "give the rights back, move away what is in the way, or choose another home with --home"
    if error.errno in FULL:
        remedy = "free some space and start again. What was stored is still there"
    return StackError(f"{where} cannot be written or read ({what}): {remedy}.")
