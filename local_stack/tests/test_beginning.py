"""A home that was never used begins with the files of another one, and nothing is ever lost."""

import fcntl
from pathlib import Path

import pytest

from local_stack.__main__ import tell_of_other
from local_stack.beginning import move_in
from local_stack.home_checks import LOCK
from local_stack.stack import Stack

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
    assert [move_in(home, other) for other in (None, tools, link, home / "not there")] == [False] * 4
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


def test_what_has_a_place_already_is_never_overwritten(home, other):
    fill(home, {"port": "1"})
    assert move_in(home, other)
    assert ((home / "port").read_text(), (other / "port").read_text()) == ("1", "30000")


@pytest.mark.e2e
def test_the_next_stack_shows_what_the_other_one_made_at_its_old_address(tmp_path, capsys):
    home, other = tmp_path / "home", tmp_path / "home-of-a-demo"
    with Stack(other, port=0) as stack:
        made = stack.call("tasks.create", name="made before", type="training")["id"]
    with Stack(home, begin_with=other) as taken:
        assert (taken.url, taken.moved_in) == (stack.url, True)
        assert taken.call("tasks.get_all", id=[made])["tasks"][0]["name"] == "made before"
        tell_of_other(taken, other)
    assert "All this was in" in capsys.readouterr().out
    with Stack(other, port=0):
        pass
    with Stack(home, begin_with=other) as own:
        assert (own.url, own.moved_in) == (stack.url, False)
        tell_of_other(own, other)
    assert capsys.readouterr().out.startswith("To see what is in ")


def test_a_start_with_nothing_of_another_says_nothing(tmp_path, capsys):
    stack = Stack(tmp_path / "home")
    stack.moved_in = move_in(tmp_path, None)
    tell_of_other(stack, tmp_path / "not there")
    assert capsys.readouterr().out == ""
