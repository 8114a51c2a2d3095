"""local_stack.settings: what a project's pyproject.toml says, and where the project's folder is."""

import argparse
from dataclasses import asdict
from pathlib import Path

import pytest

from local_stack.errors import StackError
from local_stack.settings import Settings, find_project, settable

README = Path(__file__).resolve().parent.parent / "README.md"


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(text)
    return folder


def table(folder: Path, *lines: str) -> Path:
    return write(folder, "\n".join(["[tool.local_stack]", *lines]))


def test_without_any_file_there_are_neutral_defaults(tmp_path):
    settings = Settings.load(tmp_path)
    assert settings.home == tmp_path / ".local_stack"
    assert (settings.agent_queues, settings.controller_queue) == (("default",), "services")
    assert (settings.rules, settings.dashboard, settings.deployment_command) == (None, None, "")


def test_a_projects_table_holds_for_the_folders_below_it_and_its_paths_are_in_it(tmp_path):
    project = table(tmp_path / "project", 'rules = "deploy/rules.yml"', 'agent_queues = ["gpu", "cpu"]')
    below = write(project / "packages" / "one", "[project]\nname = 'one'")
    settings = Settings.load(below)
    assert settings.project == project
    assert settings.rules == project / "deploy" / "rules.yml"
    assert settings.agent_queues == ("gpu", "cpu")
    assert settings.home == project / ".local_stack"


def test_an_option_wins_over_the_table(tmp_path):
    settings = Settings.load(table(tmp_path, "port = 1234", "workers = 3"))
    parser = argparse.ArgumentParser()
    settings.add_options(parser)
    options = parser.parse_args(["--port", "0", "--agent-queues", "a", "b", "--home", "elsewhere"])
    changed = asdict(settings.with_options(options))
    assert changed == asdict(settings) | {"port": 0, "agent_queues": ["a", "b"], "home": Path("elsewhere")}
    assert changed["workers"] == 3


def test_what_a_home_begins_with_is_for_the_projects_own_home_unless_an_option_says_so(tmp_path, monkeypatch):
    settings = Settings.load(table(tmp_path, 'begin_with = ".local_stack/demo"'))
    parser = argparse.ArgumentParser()
    settings.add_options(parser)
    monkeypatch.chdir(tmp_path)
    demo = tmp_path / ".local_stack" / "demo"
    for options, begin_with in {
        "": demo,
        "--home .local_stack": demo,
        "--home elsewhere": None,
        "--home elsewhere --begin-with other": Path("other"),
        f"--home elsewhere --begin-with {demo}": demo,
    }.items():
        assert settings.with_options(parser.parse_args(options.split())).begin_with == begin_with


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("prot = 1", "has no key prot. The keys are home, begin_with, port,"),
        ('port = "8008"', "port: '8008' is not a whole number from 0 to 65535"),
        ("port = true", "port: True is not a whole number"),
        ("task_timeout = 0", "task_timeout: 0 is not a whole number from 1 up"),
        ('agent_queues = "default"', "agent_queues: 'default' is not a list of texts"),
        ("agent_queues = []", "agent_queues: [] is not a list of texts"),
        ("rules = 1", "rules: 1 is not a text"),
        ('serving_name = ""', "serving_name: '' is not a text that is not empty"),
        ("port =", "cannot be read as TOML"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_file_key_and_remedy(tmp_path, line, told):
    with pytest.raises(StackError) as refusal:
        Settings.load(table(tmp_path, line))
    assert str(tmp_path / "pyproject.toml") in str(refusal.value)
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_project_without_the_table_is_where_its_pyproject_or_its_git_folder_is(tmp_path):
    git, deep = tmp_path / "git", tmp_path / "git" / "a" / "b"
    for folder in (git / ".git", deep):
        folder.mkdir(parents=True)
    assert find_project(deep) == (git, {})
    assert find_project(write(git / "a", "tool = 1")) == (git / "a", {})
    assert find_project(deep) == (git / "a", {})


def test_a_table_outside_the_git_checkout_is_another_projects(tmp_path):
    table(tmp_path, "port = 1234")
    checkout = tmp_path / "checkout"
    (checkout / ".git").mkdir(parents=True)
    assert Settings.load(checkout).port is None


def test_the_readme_explains_every_setting():
    text = README.read_text()
    assert [each.name for each in settable() if f"`{each.name}`" not in text] == []
