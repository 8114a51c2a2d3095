"""local_stack.home_checks: a home with something wrong in it is refused, with the remedy, and stays."""

import errno
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from local_stack import home_checks
from local_stack.errors import StackError
from local_stack.home_checks import check_home, disk_error, note_start
from local_stack.server.app import create_app
from local_stack.server.auth import Credentials
from local_stack.server.files.state import FileStore
from local_stack.server.store import Store


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home as a server leaves it that has run, and holds a file."""
    server = tmp_path / "home" / "server"
    server.mkdir(parents=True)
    with closing(Store(server / "clearml.sqlite")) as store:
        create_app(store, Credentials.load_or_make(server / "credentials.json"), FileStore(server / "files"))
    (server / "files" / "model").write_text("weights")
    note_start(tmp_path / "home")
    return tmp_path / "home"


def contents(home: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


def refusal(home: Path) -> str:
    """Return why the home is refused; whatever is in it stays."""
    before = contents(home)
    with pytest.raises(StackError) as caught:
        check_home(home)
    after = contents(home)
    assert {path: after.get(path) for path in before} == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_home_in_order_passes_and_so_does_an_empty_one(home, tmp_path):
    check_home(home)
    check_home(tmp_path / "nothing")


def test_a_start_that_was_killed_before_the_server_wrote_anything_is_begun_again(home):
    for name in ("started", "files/model", "clearml.sqlite"):
        (home / "server" / name).unlink()
    check_home(home)
    (home / "server" / "clearml.sqlite").touch()
    check_home(home)


def test_what_a_killed_server_left_in_its_write_ahead_log_counts(home):
    database = home / "server" / "clearml.sqlite"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("DELETE FROM documents")
        connection.execute("INSERT INTO documents VALUES ('queue', 'a', '{}', NULL)")
        connection.commit()
        check_home(home)
    check_home(home)


@pytest.mark.parametrize("name", home_checks.FOLDERS)
def test_a_file_where_a_folder_belongs(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert refusal(tmp_path) == f"{path} is a file, and a folder belongs there: move it away."


@pytest.mark.parametrize("name", home_checks.FILES)
def test_a_folder_where_a_file_belongs(tmp_path, name):
    (tmp_path / name).mkdir(parents=True)
    assert refusal(tmp_path) == f"{tmp_path / name} is a folder, and a file belongs there: move it away."


@pytest.mark.parametrize("name", ["server", "server/files", "server/clearml.sqlite", "clearml.conf"])
def test_what_this_user_may_not_read_or_write(home, name, monkeypatch):
    (home / "clearml.conf").touch()
    forbidden = home / name  # root, who may run this test, may do everything
    monkeypatch.setattr(home_checks.os, "access", lambda path, mode: path != forbidden)
    told = refusal(home)
    assert f"{forbidden} cannot be read and written by this user" in told
    assert "chmod u+rwX" in told


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("{", "damaged"),
        ("[]", "damaged"),
        ("{}", "damaged"),
        ("\ufffd" * 3, "damaged"),
        (json.dumps({"access_key": "a", "secret_key": "", "token_secret": "c"}), "damaged"),
        (json.dumps({"access_key": "a", "secret_key": 1, "token_secret": "c"}), "damaged"),
        (json.dumps({"access_key": "a", "secret_key": "b"}), "damaged"),
    ],
)
def test_credentials_that_are_none(home, text, word):
    (home / "server" / "credentials.json").write_text(text)
    told = refusal(home)
    assert f"credentials.json is {word}: put a copy of it back, or delete it" in told


def test_credentials_that_are_no_text(home):
    (home / "server" / "credentials.json").write_bytes(b"\xff\xfe\x00")
    assert "credentials.json is damaged" in refusal(home)


def damage(database: Path, how: str) -> None:
    for log in database.parent.glob(f"{database.name}-*"):
        log.unlink()
    size = database.stat().st_size
    if how == "gone":
        database.unlink()
    elif how == "noise":
        database.write_bytes(os.urandom(size))
    elif how == "noise inside":
        with database.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xab" * (size - 4096))
    elif how == "rows deleted":
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("DELETE FROM documents")
            connection.commit()
    elif how == "another database":
        database.unlink()
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("CREATE TABLE years (work TEXT)")
    else:
        os.truncate(database, {"empty": 0, "truncated": size // 2, "cut short": size - 5000}[how])


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("gone", "is gone, while other files of the server are still there"),
        ("empty", "is empty"),
        ("truncated", "is damaged ("),
        ("cut short", "is damaged ("),
        ("noise", "is damaged (file is not a database)"),
        ("noise inside", "is damaged ("),
        ("rows deleted", "has been emptied"),
        ("another database", "is damaged (no such table: documents)"),
    ],
)
def test_a_database_that_is_not_as_the_server_left_it(home, how, told):
    database = home / "server" / "clearml.sqlite"
    damage(database, how)
    line = refusal(home)
    assert f"{database} {told}" in line
    assert f"put a copy of it back, or move the folder {home / 'server'} away" in line


def test_a_database_that_cannot_be_opened_now_is_not_called_damaged(home, monkeypatch):
    class Database(sqlite3.Connection):
        def execute(self, *_: object) -> None:
            error = sqlite3.OperationalError("disk I/O error")  # as where its log finds no room
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
            raise error

    connect = sqlite3.connect
    monkeypatch.setattr(
        home_checks.sqlite3, "connect", lambda *words, **options: connect(*words, factory=Database, **options)
    )
    line = refusal(home)
    assert "clearml.sqlite cannot be opened (disk I/O error): free space" in line
    assert "damaged" not in line


@pytest.mark.parametrize("left", ["files/model", "started"])
def test_either_the_files_or_the_mark_tells_that_there_was_a_database(home, left):
    for name in {"files/model", "started"} - {left}:
        (home / "server" / name).unlink()
    damage(home / "server" / "clearml.sqlite", "gone")
    assert "clearml.sqlite is gone" in refusal(home)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "(No space left on device): free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "(Permission denied): give the rights back"),
        (errno.EROFS, "choose another home with --home"),
    ],
)
def test_any_other_error_of_the_disk_is_one_line_with_the_remedy(tmp_path, number, remedy):
    error = OSError(number, os.strerror(number), str(tmp_path / "port"))
    assert remedy in str(disk_error(error, tmp_path))
    assert str(tmp_path / "port") in str(disk_error(error, tmp_path))
