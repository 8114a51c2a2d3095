"""--help of every script: its first line of documentation, and no error where there is none."""

import json
import subprocess
import sys

import pytest

from tests.support.checkouts import REPOSITORY

# Each script twice, the second time as ClearML changes it for an agent: with lines above the docstring, which
# is none then. All in one process, as their imports take most of the time.
RUN_ALL = """
import contextlib, io, json, sys, traceback
from pathlib import Path

def run(path, source):
    sys.argv, sys.path[0], told = [path, "--help"], str(Path(path).resolve().parent), io.StringIO()
    with contextlib.redirect_stdout(told):
        try:
            names = {"__name__": "__main__", "__doc__": None, "__file__": str(Path(path).resolve())}
            exec(compile(source, path, "exec"), names)
        except SystemExit as end:
            return [end.code, told.getvalue()]
        except BaseException:
            return ["error", traceback.format_exc()]
    return ["no help", told.getvalue()]

sys.path.append(".")  # for those that are run with -m
sources = {path: Path(path).read_text() for path in sys.argv[1:]}
lines = "from clearml import Task\\n\\n"
print(json.dumps({path: [run(path, text), run(path, lines + text)] for path, text in sources.items()}))
"""


def scripts() -> list[str]:
    """The scripts that read arguments, and say what they do by their docstring."""
    found = [
        path for folder in (".", "demo", "images", "tests") for path in (REPOSITORY / folder).glob("*.py")
    ]
    paths = [path for path in found if "ArgumentParser(" in path.read_text() and "test_" not in path.name]
    return sorted(str(path.relative_to(REPOSITORY)) for path in paths)


@pytest.fixture(scope="module")
def told() -> dict[str, list]:
    command = [sys.executable, "-c", RUN_ALL, *scripts()]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.e2e
@pytest.mark.parametrize("script", scripts())
def test_help_says_what_the_script_does_and_does_without_where_lines_are_inserted(told, script):
    (code, text), (code_with_lines, text_with_lines) = told[script]
    purpose = (REPOSITORY / script).read_text().partition("\n")[0].removeprefix('"""')
    assert code == 0, text
    assert purpose in " ".join(text.split())
    assert code_with_lines == 0, text_with_lines
    assert " ".join(text.split()).replace(f"{purpose} ", "") == " ".join(text_with_lines.split())
