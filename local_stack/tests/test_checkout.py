"""local_stack.checkout: git leads agents to the very checkout that the stack runs in."""

import os
from pathlib import Path

import pytest

from local_stack.checkout import git_environment, own_settings
from local_stack.waiting import run


def git(folder: Path, *arguments: str, **environment: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    done = run(command, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def repository(folder: Path, scripts: Path | str = "") -> Path:
    """A repository with one commit; the folder of its scripts, which may be below it."""
    scripts = folder / scripts
    scripts.mkdir(parents=True)
    (scripts / "train.py").touch()
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "All of it")
    return scripts


def address(scripts: Path, settings: Path) -> str:
    """Where an agent is led to."""
    return git(scripts, "ls-remote", "--get-url", **git_environment(scripts, settings))


@pytest.mark.parametrize("name", ["scripts", "a b", "scr[i]p*ts?", "höhe"])
def test_agents_are_led_to_the_checkout_with_and_without_a_remote(tmp_path, name):
    scripts = repository(tmp_path / name)
    assert address(scripts, tmp_path) == scripts.as_uri()
    git(scripts, "remote", "add", "origin", "https://example.com/scripts.git")
    assert address(scripts, tmp_path) == scripts.as_uri()


def test_agents_are_led_to_the_top_of_a_repository_that_holds_the_scripts_in_a_folder(tmp_path):
    scripts = repository(tmp_path / "mono", "examples/scripts")
    assert address(scripts, tmp_path) == (tmp_path / "mono").as_uri()


def test_another_repository_keeps_its_remote(tmp_path):
    scripts = repository(tmp_path / "scripts")
    other = repository(tmp_path / "other")
    git(other, "remote", "add", "origin", "https://example.com/other.git")
    environment = git_environment(scripts, tmp_path)
    assert git(other, "ls-remote", "--get-url", **environment) == "https://example.com/other.git"


def test_scripts_that_the_repository_around_them_does_not_know_are_no_checkout(tmp_path):
    repository(tmp_path / "dotfiles")
    scripts = tmp_path / "dotfiles" / "scripts"
    scripts.mkdir()
    (scripts / "train.py").touch()
    assert git_environment(scripts, tmp_path) is None


@pytest.mark.parametrize("place", ["home/.gitconfig", "home/.config/git/config", "settings of mine"])
def test_what_agents_write_into_gits_settings_does_not_reach_the_users_own(tmp_path, monkeypatch, place):
    users = tmp_path / place
    users.parent.mkdir(parents=True, exist_ok=True)
    text = "[user]\n\tname = somebody\n[safe]\n\tdirectory = /srv/mine\n"
    users.write_text(text)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("GIT_CONFIG_GLOBAL", raising=False)
    if place == "settings of mine":
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(users))
    settings = own_settings(tmp_path / "agent")
    command = ["git", "config", "--global", "--replace-all", "safe.directory", "*"]  # the agent's own
    assert run(command, env={**os.environ, **settings}, cwd=tmp_path).returncode == 0
    asked = ["git", "config", "--includes", "user.name"]
    # Asked elsewhere than in this repository, which may have settings of its own.
    answer = run(asked, env={**os.environ, **settings}, cwd=tmp_path)
    assert answer.stdout == "somebody\n"
    assert users.read_text() == text
