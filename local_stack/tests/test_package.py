"""local_stack as a package of its own: what is installed works without the checkout that it came from."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

import local_stack
from local_stack.waiting import Child, run

FOLDER = Path(local_stack.__file__).resolve().parent
IMPORT_SECONDS = 1.0

SCRIPT = """
from clearml import Task
task = Task.init("examples", "train")
task.get_logger().report_single_value("accuracy", 0.9)
task.close()
"""


def readme_test() -> str:
    """Return the test in the README, the one block of Python in it."""
    _, _, rest = (FOLDER / "README.md").read_text().partition("```python\n")
    return rest.partition("```")[0]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed package alone."""
    folder = tmp_path_factory.mktemp("package")
    ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")  # of older versions
    shutil.copytree(FOLDER, folder / "source", ignore=ignored)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--target", folder / "installed"]
    if run([sys.executable, "-m", "pip", "--version"]).returncode == 0:
        pip = [sys.executable, "-m", "pip", "install"]
    else:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        pip = [shutil.which("uv", path=path), "pip", "install", "--python", sys.executable]
    done = run([*pip, *options, folder / "source"])
    assert done.returncode == 0, done.stderr
    return folder / "installed"


@pytest.mark.e2e
@pytest.mark.parametrize("options", [[], ["-p", "local_stack.pytest_plugin"]])
def test_the_readmes_test_of_ten_lines_passes_in_another_project(installed, tmp_path, options):
    assert len(readme_test().splitlines()) <= 10
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "test_train.py").write_text(readme_test())
    # The installed package is on the path, and this checkout is not.
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = run([sys.executable, "-m", "pytest", "-q", *options], cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.e2e
def test_the_command_runs_without_any_settings_and_keeps_its_files_where_it_was_started(installed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [installed / "bin" / "local-stack", "up", "--port", "0", "--agents", "1"]
    with Child(command, cwd=tmp_path, env=environment, apart=True) as process:
        process.wait_for("Ctrl-C stops it")
        assert {path.name for path in tmp_path.iterdir()} == {".local_stack"}
        process.send_signal(signal.SIGINT)
        assert (process.wait_for_end(), str(process.errors)) == (0, "")


@pytest.mark.e2e
def test_all_modules_and_all_files_of_the_server_are_in_the_package_and_no_tests(installed):
    files = [*FOLDER.rglob("*.py"), *(FOLDER / "server" / "pages").rglob("*.*")]
    names = [file.relative_to(FOLDER) for file in files]
    inside = {name for name in names if not {"build", "__pycache__"} & set(name.parts)}
    wanted = {name for name in inside if "tests" not in name.parts} - {Path("setup.py")}
    assert {file for file in inside if (installed / "local_stack" / file).is_file()} == wanted


@pytest.mark.e2e
def test_the_installation_leaves_nothing_in_the_folder_that_it_comes_from(installed):
    names = {each.name for each in (installed.parent / "source").iterdir()}
    assert names & {"build", "dist", "local_stack.egg-info"} == set()


@pytest.mark.e2e
def test_it_is_quick_to_import():
    code = "from time import perf_counter as t; s = t(); from local_stack import Stack; print(t() - s)"
    took = [float(run([sys.executable, "-c", code], cwd=FOLDER.parent).stdout) for _ in range(3)]
    assert min(took) < IMPORT_SECONDS
