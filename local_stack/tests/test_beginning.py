"""A home that was never used begins with the files of another one, and nothing is ever lost."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from local_stack.__main__ import tell_of_other
from local_stack.beginning import move_in
from local_stack.errors import StackError
from local_stack.home_checks import LOCK
from local_stack.server.monitoring_file import MONITORING, Monitoring
from local_stack.stack import Stack, bind

MADE = {"server/clearml.sqlite": "tasks", "prometheus/data/wal": "history", "port": "30000"}
MADE |= {LOCK: "77", "clearml.conf": "keys"}
MOVED = {**MADE, LOCK: "1", "tools/kept": "a tool", f"demo/{LOCK}": "77", "demo/clearml.conf": "keys"}
del MOVED["clearml.conf"]  # a start writes its own


def fill(home: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    return home


def content(folder: Path) -> dict[str, str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): file.read_text() for file in files}


@pytest.fixture
def home(tmp_path) -> Path:
    """A project's home that a stack has just locked, and that has a folder of tools in it."""
    return fill(tmp_path / ".local_stack", {LOCK: "1", "tools/kept": "a tool"})


@pytest.fixture
def other(home) -> Path:
    return fill(home / "demo", MADE)


def test_an_unused_home_gets_all_that_the_other_one_holds(home, other):
    assert move_in(home, other)
    assert content(home) == MOVED
    assert not move_in(home, other)


@pytest.mark.parametrize("used", ["server/credentials.json", "clearml.conf"])
def test_a_home_that_was_used_stays_as_it_is_and_so_does_the_other(home, other, used):
    fill(home, {used: "my own"})
    before = content(home)
    assert not move_in(home, other)
    assert content(home) == before


def test_a_stack_that_runs_is_left_alone(home, other):
    with (other / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not move_in(home, other)
    assert content(other) == MADE


def test_what_holds_no_stack_or_is_on_another_disk_is_left_alone(home, tmp_path):
    tools, link = home / "tools", home / "link"
    link.symlink_to(fill(tmp_path / "elsewhere", MADE))
    before = content(home)
    assert [move_in(home, other) for other in (tools, link, home / "not there")] == [False] * 3
    assert content(home) == before


@pytest.mark.parametrize("moves", range(3))
def test_a_move_that_was_interrupted_goes_on_at_the_next_start(home, other, monkeypatch, moves):
    rename, left = Path.rename, iter(range(moves))

    def rename_or_stop(self: Path, target: Path) -> Path:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename_or_stop)
        with pytest.raises(KeyboardInterrupt):
            move_in(home, other)
    assert move_in(home, other)
    assert content(home) == MOVED


@pytest.mark.parametrize("in_the_way", ["a file", "a link in it", "a link to nothing", "the home"])
def test_what_cannot_be_moved_is_named_and_nothing_moves_until_it_can(home, other, in_the_way):
    first, entry = home, other / "port"
    match in_the_way:
        case "a file":
            fill(home, {"port": "1"})
        case "a link in it":
            entry.unlink()
            entry.symlink_to("clearml.conf")
        case "a link to nothing":
            (home / "port").symlink_to("nowhere")
        case "the home":
            home = fill(other, {f"below/home/{LOCK}": "1"}) / "below" / "home"
            entry = other / "below"
    before = content(first)
    with pytest.raises(StackError, match=f"{entry} cannot be moved into {home} .* move away what is in"):
        move_in(home, other)
    assert content(first) == before


def test_a_move_that_the_system_refuses_names_the_entry_and_goes_on_when_it_can(home, other, monkeypatch):
    def refuse(self: Path, target: Path) -> Path:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        with pytest.raises(StackError, match=r"demo/p.* cannot be moved into .*Invalid cross-device link"):
            move_in(home, other)
    assert move_in(home, other)
    assert content(home) == MOVED


def test_a_demo_that_waits_for_the_lock_meanwhile_gets_what_is_left(home, other):
    with (other / LOCK).open("a") as waiting:
        move_in(home, other)
        fcntl.flock(waiting, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert os.path.samestat(os.fstat(waiting.fileno()), (other / LOCK).stat())
    assert content(other) == {LOCK: "77", "clearml.conf": "keys"}


@pytest.mark.e2e
def test_the_next_stack_shows_what_the_other_one_made_at_its_old_address(tmp_path, capsys):
    home, other = tmp_path / "home", tmp_path / "home-of-a-demo"
    with Stack(other, port=0) as stack:
        made = stack.call("tasks.create", name="made before", type="training")["id"]
    Monitoring("http://gone").write(other)  # as one that was killed leaves it
    with bind(stack.port, "--port") as taker:
        taker.listen()
        with pytest.raises(StackError, match=f"Port {stack.port} cannot be used"):
            Stack(home, begin_with=other).__enter__()
    assert f"All that was in {other} was moved. To begin with nothing:" in capsys.readouterr().out
    with Stack(home, begin_with=other) as taken:
        assert taken.url == stack.url
        assert taken.call("tasks.get_all", id=[made])["tasks"][0]["name"] == "made before"
        assert Monitoring.read(home / MONITORING) == Monitoring()
        tell_of_other(other)
    assert capsys.readouterr().out == ""
    with Stack(other, port=0):
        pass
    with Stack(home, begin_with=other) as own:
        assert own.url == stack.url
        tell_of_other(other)
    assert capsys.readouterr().out == (
        f"To see what is in {other}: python -m local_stack up --home {other}\n\n"
    )


def test_a_start_with_nothing_of_another_says_nothing(tmp_path, capsys):
    for other in (None, tmp_path / "not there"):
        tell_of_other(other)
    assert capsys.readouterr().out == ""
