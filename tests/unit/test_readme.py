"""The README's commands exist with the options that it names, and its links lead somewhere."""

import importlib
import io
import re
import shlex
import sys
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from unittest.mock import patch

import pytest

from local_stack.waiting import run
from tests.support.checkouts import REPOSITORY
from tests.support.readme import PAGES, TEXT, commands

BIN = Path(sys.executable).parent


@cache
def help_of(*program: str) -> str:
    if program[0] == sys.executable and program[1] != "-m":
        return help_of_script(program[1])
    done = run([*program, "--help"], cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    return done.stdout


def help_of_script(path: str) -> str:
    """What a script of this repository prints, in this process, to import clearml and the like once."""
    script = importlib.import_module(Path(path).stem)
    text = io.StringIO()
    with redirect_stdout(text), pytest.raises(SystemExit), patch.object(sys, "argv", [path, "--help"]):
        script.parse_arguments()
    return text.getvalue()


def program_and_options(command: str) -> tuple[list[str], list[str]]:
    """The program that a command line runs, as found here, and the options that it is given."""
    words = shlex.split(command.removeprefix(".venv/bin/"))
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    rest = [word for word in words[1:] if not word.startswith("-")]
    match words[0]:
        case "make":
            return ["make"], []
        case "python" if words[1] == "-m":
            return [sys.executable, "-m", words[2], *rest[1:2]], options
        case "python":
            return [sys.executable, words[1]], options
        case "pytest":
            return [str(BIN / "pytest"), "tests"], options
        case _:
            return [str(BIN / words[0]), *rest[:1]], options


def test_the_two_commands_come_first():
    assert commands()[:2] == ["make demo", "make test"]


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("make ")])
def test_every_make_target_exists(command):
    assert re.search(rf"^{command.split()[1]}:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.e2e
# test_serving.py executes those of clearml-serving.
@pytest.mark.parametrize(
    "command", [c for c in commands() if not c.startswith(("make ", "clearml-serving "))]
)
def test_every_command_knows_the_options_it_is_given(command, pytestconfig):
    program, options = program_and_options(command)
    if program[0] == sys.executable and program[1].endswith(".py"):
        assert (REPOSITORY / program[1]).is_file()
    if program[0].endswith("pytest"):  # the program that runs this
        for option in options:
            pytestconfig.getoption(option)
    elif options:
        known = set(re.findall(r"(?<![\w-])--?\w[\w-]*", help_of(*[w for w in program if w != "--help"])))
        assert set(options) <= known, f"{command}: {' '.join(program)} has other options"


def links() -> list[tuple[Path, str]]:
    """Every link of a page that leads into the repository, with the page."""
    return [
        (page, link) for page in PAGES for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text())
    ]


@pytest.mark.parametrize(("page", "link"), links(), ids=lambda value: str(getattr(value, "name", value)))
def test_every_link_within_the_repository_leads_somewhere(page, link):
    path, _, anchor = link.partition("#")
    assert (page.parent / path).exists()
    if anchor:
        target = page.parent / path if path else page
        headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
        words = [re.sub(r"[^\w -]", "", heading.lower()) for heading in headings]
        assert anchor in [heading.replace(" ", "-") for heading in words]


def test_its_code_fits_the_window_of_a_terminal():
    assert [line for line in TEXT.splitlines() if line.startswith("    ") and len(line) > 100] == []


def test_the_readme_is_short():
    assert len(PAGES[0].read_text().splitlines()) <= 275
