"""local_stack as a package of its own: what is installed works without the checkout that it came from."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import local_stack
from local_stack.waiting import run

FOLDER = Path(local_stack.__file__).resolve().parent
IMPORT_SECONDS = 1.0

SCRIPT = """
from clearml import Task
task = Task.init("examples", "train")
task.get_logger().report_single_value("accuracy", 0.9)
task.close()
"""


def packages() -> list[str]:
    return tomllib.loads((FOLDER / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]


def test_the_package_has_all_folders_but_the_tests():
    found = {file.parent.relative_to(FOLDER.parent) for file in FOLDER.rglob("__init__.py")}
    inside = {folder for folder in found if not {"tests", "build"} & set(folder.parts)}
    assert sorted(packages()) == sorted(".".join(folder.parts) for folder in inside)


def test_the_readmes_test_has_ten_lines():
    assert len(readme_test().splitlines()) <= 10


def readme_test() -> str:
    """Return the test in the README, the one block of Python in it."""
    _, _, rest = (FOLDER / "README.md").read_text().partition("```python\n")
    return rest.partition("```")[0]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed package alone."""
    folder = tmp_path_factory.mktemp("package")
    ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    shutil.copytree(FOLDER, folder / "source", ignore=ignored)  # building writes into the source
    pip = [sys.executable, "-m", "pip"]
    if run([*pip, "--version"]).returncode:
        pip = [
            shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"),
            "pip",
        ]
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--target", folder / "installed"]
    python = ["--python", sys.executable] if pip[-1:] == ["pip"] and pip[0] != sys.executable else []
    done = run([*pip, "install", *python, *options, folder / "source"])
    assert done.returncode == 0, done.stderr
    return folder / "installed"


def python(installed: Path, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python in another folder, with the installed package on its path and not this checkout."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return run([sys.executable, *arguments], cwd=folder, env=environment)


@pytest.mark.e2e
@pytest.mark.parametrize("options", [[], ["-p", "local_stack.pytest_plugin"]])
def test_the_readmes_test_passes_in_another_project(installed, tmp_path, options):
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "test_train.py").write_text(readme_test())
    done = python(installed, tmp_path, "-m", "pytest", "-q", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.e2e
def test_the_command_runs_and_pages_and_all_are_in_it(installed, tmp_path):
    where = python(installed, tmp_path, "-c", "import local_stack; print(local_stack.__file__)")
    assert where.stdout.strip() == str(installed / "local_stack" / "__init__.py")
    done = run(
        [installed / "bin" / "local-stack", "--help"], env={**os.environ, "PYTHONPATH": str(installed)}
    )
    assert "up" in done.stdout, done.stderr
    data = {file.relative_to(FOLDER) for file in (FOLDER / "server").rglob("*") if file.is_file()}
    shipped = {each for each in data if "__pycache__" not in each.parts}
    assert [each for each in shipped if not (installed / "local_stack" / each).exists()] == []


@pytest.mark.e2e
def test_it_is_quick_to_import():
    code = (
        "import time; t = time.perf_counter(); from local_stack import Stack; print(time.perf_counter() - t)"
    )
    took = [float(run([sys.executable, "-c", code], cwd=FOLDER.parent).stdout) for _ in range(3)]
    assert min(took) < IMPORT_SECONDS
